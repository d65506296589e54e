//! What is done after a silence so long that Telegram may have dropped updates: nothing that was known before it is believed.
//!
//! A silence is a gap of more than a day between the times at which two updates of the bot reached a gateway or poller, or
//! between the last one and now. These times travel with the updates, so that a worker that was away sees no gap where
//! there was none. Looked for is at the start of a worker, before each batch that it takes in, within it, and every few
//! seconds. A bot to which nothing happens for a day looks the same; it then costs some lookups, once a day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nezuko_shared::telemetry::metrics::Metrics;
use nezuko_telegram::UserId;

use crate::{
    intent::{About, Intent, Notice, Put},
    rights,
    store::{ChatView, ChatWrites, Store, StoreError},
};

/// Telegram keeps what it cannot deliver for so long.
const KEPT: Duration = Duration::from_hours(24);
/// What it has kept arrives within this time, before it is too old. So all is told that happened later than `KEPT` before
/// the end of a silence, but for so long.
const CATCHING_UP: Duration = Duration::from_hours(2);
/// What was noticed so shortly before need not be noticed again.
const NOTICED: Duration = Duration::from_hours(1);

/// Watches for gaps between the updates of a bot.
pub struct OutageWatch {
    store: Arc<dyn Store>,
    metrics: Metrics,
    /// When the newest update that is known of reached us, Unix milliseconds; 0 while none is.
    newest_ms: AtomicI64,
    /// Up to which of them the store has been told.
    noted_ms: AtomicI64,
    /// Since when the silence of now is noticed, be it by a process before this one.
    noticed_ms: AtomicI64,
}

impl OutageWatch {
    /// A watch over the updates of the bot whose store this is.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Metrics) -> Self {
        let never = AtomicI64::default;
        Self { store, metrics, newest_ms: never(), noted_ms: never(), noticed_ms: never() }
    }

    /// To be called before updates are taken in that reached us at `received_ms` (Unix milliseconds, in any order): they may
    /// come after a silence, or have one among them. What is later than `now_ms` comes from a machine whose clock is ahead.
    /// Dropping the future leaves what that calls for to the next call.
    ///
    /// # Errors
    /// [`StoreError`]: they must not be taken in yet.
    pub async fn before(&self, received_ms: impl Iterator<Item = i64>, now_ms: i64) -> Result<(), StoreError> {
        let mut received_ms: Vec<i64> = received_ms.map(|at_ms| at_ms.min(now_ms)).collect();
        received_ms.sort_unstable();
        for together in received_ms.chunk_by(|one, next| !is_long(*one, *next)) {
            let (oldest_ms, newest_ms) = (together[0], together[together.len() - 1]);
            if self.is_silence(oldest_ms).await? {
                self.distrust(oldest_ms, NOTICED).await?;
            }
            if self.newest_ms.fetch_max(newest_ms, Ordering::Relaxed) == 0 {
                self.note().await?;
            }
        }
        Ok(())
    }

    /// To be called before anything is decided with no update at hand, and now and then: what is known may be old.
    ///
    /// # Errors
    /// [`StoreError`]: nothing must be decided yet.
    pub async fn look(&self, now_ms: i64) -> Result<(), StoreError> {
        if is_long(self.noticed_ms.load(Ordering::Relaxed), now_ms) && self.is_silence(now_ms).await? {
            // Before a restart it may have been noticed already.
            let noticed_ms = self.distrust(now_ms, KEPT).await?;
            self.noticed_ms.store(noticed_ms, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Tells the store how far the updates have come, if they have come any further.
    ///
    /// # Errors
    /// [`StoreError`]: the next call tells it.
    pub async fn note(&self) -> Result<(), StoreError> {
        let newest_ms = self.newest_ms.load(Ordering::Relaxed);
        if newest_ms > self.noted_ms.load(Ordering::Relaxed) {
            self.store.note_received(newest_ms).await?;
            self.noted_ms.fetch_max(newest_ms, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether no update reached us for so long before `until_ms`.
    async fn is_silence(&self, until_ms: i64) -> Result<bool, StoreError> {
        if !is_long(self.newest_ms.load(Ordering::Relaxed), until_ms) {
            return Ok(false);
        }
        // Other workers may have taken in what this one has not.
        let newest_ms = self.store.newest_received_ms().await?;
        self.newest_ms.fetch_max(newest_ms.unwrap_or_default(), Ordering::Relaxed);
        Ok(newest_ms.is_some_and(|newest_ms| is_long(newest_ms, until_ms)))
    }

    /// Has everybody whom a rule concerns looked up before they are judged, after a silence until `until_ms`; not where a
    /// silence was noticed so shortly before. Returns since when all of it is noticed.
    async fn distrust(&self, until_ms: i64, shortly: Duration) -> Result<i64, StoreError> {
        let missed_until_s = (until_ms - millis(KEPT) + millis(CATCHING_UP)) / 1000;
        let (mut distrusted, mut noticed_ms) = (0, until_ms);
        for chat in self.store.chats_of_rules().await? {
            let own = Intent::Check { chat, user: self.store.bot().user() };
            let everybody = Intent::Redecide { chat, after: UserId(0) };
            let mut noticed_before_s = None;
            let mut step = |view: &ChatView| {
                let mut facts = view.chat.facts.clone();
                let since_s = missed_until_s - facts.missed_until_s;
                noticed_before_s = Some(since_s).filter(|since_s| *since_s <= millis(shortly) / 1000);
                if noticed_before_s.is_some() {
                    return ChatWrites::default();
                }
                facts.missed_until_s = missed_until_s;
                // E26: Telegram lists no requests.
                let missed = Notice { group: chat, about: About::MissedRequests, since_ms: until_ms };
                let told = rights::answers_requests(&facts).then_some(Intent::Notice(missed));
                let intents = [own.clone(), everybody.clone()].into_iter().chain(told);
                let put = intents.map(|intent| Put::urgent(intent, until_ms)).collect();
                ChatWrites { facts: Some(facts), links: Vec::new(), put }
            };
            self.store.with_chat(chat, "", until_ms, &mut step).await?;
            match noticed_before_s {
                Some(since_s) => noticed_ms = noticed_ms.min(until_ms - since_s * 1000),
                None => distrusted += 1,
            }
        }
        if distrusted > 0 {
            self.metrics.outage();
            tracing::warn!(
                chats = distrusted,
                "no update for over a day: Telegram may have dropped some, so what was known is not believed"
            );
        }
        Ok(noticed_ms)
    }
}

const fn is_long(from_ms: i64, to_ms: i64) -> bool {
    to_ms - from_ms > millis(KEPT)
}

const fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

#[cfg(test)]
mod tests;
