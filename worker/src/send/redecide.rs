//! Deciding everybody of a chat again, in steps: because its settings or our rights there changed, and once a day.
//!
//! The daily sweep finds what no event told: whoever is kept muted is looked up, and every prompt is looked at. Each has
//! the next one follow; the first follows the settings that began to protect the group.

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, UserId};

use super::Sender;
use crate::{
    handle::Handler,
    intent::{Claim, Intent, Put, Settlement},
    store::StoreError,
};

/// People decided with one claim.
const STEP: i64 = 200;
/// From one sweep of a group to the next, give or take a tenth.
const SWEEP_MS: i64 = 24 * 3_600_000;

impl Sender {
    pub(super) async fn redecide(&self, claim: &Claim, chat: ChatId, after: UserId) -> Result<(), StoreError> {
        self.handler.tell_cache(chat).await?;
        let people = self.handler.store.people_of(chat, after, STEP).await?;
        for user in &people {
            self.handler
                .with_person(*user, chat, None, &claim.trace_id, |mut person| {
                    person.urgency = Urgency::Bulk;
                    person.finish(chat)
                })
                .await?;
        }
        match people.last() {
            Some(last) if people.len() as i64 == STEP => {
                self.settle(claim, Settlement::Continue(Box::new(Intent::Redecide { chat, after: *last }))).await
            }
            _ => self.settle_and_put(claim, Settlement::Done, &self.next_sweep(chat).await?).await,
        }
    }

    /// The prompts of a group and what the bot lacks for it now, and everybody again a day later, for as long as it is
    /// protected.
    async fn next_sweep(&self, chat: ChatId) -> Result<Vec<Put>, StoreError> {
        let store = &self.handler.store;
        let view = store.chat(chat).await?;
        if !view.chat.facts.is_protected() {
            return Ok(Vec::new());
        }
        let now_ms = self.now_ms();
        let topics = store.prompted_topics(chat).await?;
        let prompts = topics.into_iter().map(|topic| bulk(Intent::Prompt { group: chat, topic }, now_ms));
        let mut put: Vec<Put> = prompts.collect();
        // Where the bot lacks what it needs, nothing else would show that it was given it back.
        if !view.chat.facts.can_restrict() {
            put.push(self.look_at_own_rights(chat));
        }
        for (channel, _) in view.links.iter().filter(|(_, link)| link.value) {
            let is_closed = store.chat(*channel).await?.chat.facts.is_closed();
            put.extend(is_closed.then(|| self.look_at_own_rights(*channel)));
        }
        put.push(sweep(chat, now_ms, SWEEP_MS * 9 / 10, SWEEP_MS / 5));
        Ok(put)
    }
}

/// Has every protected group swept within a day of which no intent says so: it was protected by a version that had no
/// sweeps, or one that runs beside this has ended them.
///
/// # Errors
/// [`StoreError`]: nothing was written.
pub(crate) async fn seed_sweeps(handler: &Handler) -> Result<(), StoreError> {
    let mut put = Vec::new();
    for group in handler.store.unswept_groups().await? {
        if handler.store.chat(group).await?.chat.facts.is_protected() {
            put.push(sweep(group, (handler.clock)(), 0, SWEEP_MS));
        }
    }
    if put.is_empty() { Ok(()) } else { handler.put(&put, "").await }
}

/// Everybody of `chat` again after `least_ms`, and up to `spread_ms` more: groups that were swept together are not swept
/// together again.
fn sweep(chat: ChatId, now_ms: i64, least_ms: i64, spread_ms: i64) -> Put {
    let apart_ms = least_ms + chat.0.wrapping_add(now_ms).rem_euclid(spread_ms);
    bulk(Intent::Redecide { chat, after: UserId(0) }, now_ms + apart_ms)
}

const fn bulk(intent: Intent, not_before_ms: i64) -> Put {
    Put { intent, not_before_ms, urgency: Urgency::Bulk }
}
