//! Long polling: asks Telegram for updates where no webhook can be had.
//!
//! Telegram forgets an update when a later question confirms it by its offset, so the offset moves only past what the queue
//! has; whatever happens in between, the update comes again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nezuko_shared::{
    bot_api::BotApi,
    telemetry::{
        metrics::PollOutcome,
        trace::{Entry, KeyValue, SpanKind},
    },
};
use nezuko_telegram::{CallError, Client, ErrorClass, Unsuitable, UpdateId};
use tokio::time::{Instant, sleep};

use crate::{
    bot::Bot,
    intake::{NotTaken, Taken},
};

/// How long Telegram may wait for an update: its maximum.
const WAIT: Duration = Duration::from_secs(50);
/// The whole call: the wait, and what an answer takes that Telegram holds up for a flood.
const CALL_TIMEOUT: Duration = Duration::from_secs(75);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Asks for the updates of one bot.
pub(crate) struct Poller {
    bot: Arc<Bot>,
    api: Client,
}

/// Why no updates came in.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("Telegram: {0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Queue(#[from] nezuko_shared::queue::QueueError),
}

impl Poller {
    pub(crate) fn new(telegram: &BotApi, bot: Arc<Bot>) -> Result<Self, Unsuitable> {
        Ok(Self { api: telegram.client(bot.id, CALL_TIMEOUT)?, bot })
    }

    /// Asks for ever, one question at a time. Dropping it loses nothing: what was not stored was not confirmed.
    pub(crate) async fn run(&self) {
        tracing::info!(bot_id = self.bot.id.0, "asking Telegram for updates");
        let mut offset = None;
        let mut pause = FIRST_PAUSE;
        loop {
            while self.bot.admission.doubt().is_some() {
                sleep(FIRST_PAUSE).await;
            }
            match self.ask(&mut offset).await {
                Ok(outcome) => {
                    self.bot.metrics.poll(outcome);
                    pause = FIRST_PAUSE;
                }
                Err(trouble) => {
                    let longer = self.explain(&trouble, pause);
                    sleep(longer).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// One question, and everything of its answer into the queue. `offset` moves past what the queue has, also where it
    /// then fails.
    async fn ask(&self, offset: &mut Option<UpdateId>) -> Result<PollOutcome, Trouble> {
        self.api.ready().await;
        // Others wait to hear from the first call that gets through.
        let wait = if self.api.is_held_back() { Duration::ZERO } else { WAIT };
        let updates = self.api.updates(*offset, wait).await?;
        if updates.is_empty() {
            // All before is confirmed by now, and numbers may begin anew, lower, after a week without updates.
            *offset = None;
            return Ok(PollOutcome::Empty);
        }
        for update in updates {
            let about = || ("getUpdates".into(), vec![KeyValue::new("nezuko.bot_id", self.bot.id.0)]);
            let entry = Entry::new(SpanKind::Server, None, Instant::now().into_std(), about);
            match self.bot.intake.take(Bytes::copy_from_slice(update.get().as_bytes()), &entry).await {
                Ok(Taken::Stored(id)) => *offset = Some(UpdateId(id.0 + 1)),
                Ok(Taken::Quarantined(reason)) => {
                    tracing::warn!(bot_id = self.bot.id.0, reason, "something that is no update set aside");
                }
                Err(NotTaken { error, .. }) => return Err(error.into()),
            }
        }
        Ok(PollOutcome::Updates)
    }

    /// Says what is wrong and what to do about it; returns how long to wait.
    fn explain(&self, trouble: &Trouble, pause: Duration) -> Duration {
        let bot_id = self.bot.id.0;
        let class = if let Trouble::Call(error) = trouble { Some(error.class()) } else { None };
        let is_conflict = class == Some(ErrorClass::Conflict);
        self.bot.metrics.poll(if is_conflict { PollOutcome::Conflict } else { PollOutcome::Failed });
        match class {
            Some(ErrorClass::Conflict) if trouble.to_string().to_lowercase().contains("webhook") => tracing::error!(
                bot_id,
                error = %trouble,
                "Telegram delivers this bot's updates to a webhook: give WEBHOOK_URL to take them there, or have Telegram \
                 forget the webhook by the method deleteWebhook; trying again"
            ),
            Some(ErrorClass::Conflict) => tracing::error!(
                bot_id,
                error = %trouble,
                "another program asks for this bot's updates with the same token, and only one may: stop the other one; \
                 trying again"
            ),
            Some(ErrorClass::Token) => tracing::error!(
                bot_id,
                error = %trouble,
                "Telegram does not know this token: get the right one from BotFather; trying again"
            ),
            Some(ErrorClass::RetryAfter(wait)) => {
                tracing::warn!(bot_id, error = %trouble, "no updates for a while");
                return wait.max(pause);
            }
            _ => tracing::warn!(bot_id, error = %trouble, "no updates, trying again"),
        }
        pause
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    };

    use async_trait::async_trait;
    use nezuko_shared::{
        config::{Role, Settings},
        telemetry::metrics::Metrics,
    };
    use nezuko_telegram::{BotId, RawResponse, Transport, TransportError};

    use super::*;
    use crate::memory_queue::{MemoryQueue, Mode};

    /// Telegram with some updates; confirmed ones are gone.
    #[derive(Default)]
    struct Telegram {
        updates: Mutex<Vec<i64>>,
        asked: Mutex<Vec<Option<i64>>>,
        waits: Mutex<Vec<Option<i64>>>,
        away: AtomicBool,
    }

    #[async_trait]
    impl Transport for Telegram {
        async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
            assert_eq!(method, "getUpdates");
            let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(asked["allowed_updates"].as_array().unwrap().iter().any(|kind| kind == "chat_member"));
            let offset = asked["offset"].as_i64();
            self.asked.lock().unwrap().push(offset);
            self.waits.lock().unwrap().push(asked["timeout"].as_i64());
            let mut updates = self.updates.lock().unwrap();
            updates.retain(|id| offset.is_none_or(|offset| *id >= offset));
            let result: Vec<_> = updates.iter().map(|id| serde_json::json!({ "update_id": id })).collect();
            let body = serde_json::json!({ "ok": true, "result": result }).to_string().into_bytes();
            Ok(RawResponse { status: 200, retry_after: None, body })
        }

        fn is_held_back(&self) -> bool {
            self.away.load(SeqCst)
        }
    }

    fn poller() -> (Poller, Arc<Telegram>, Arc<MemoryQueue>) {
        let settings = Settings::from_vars(Role::Alone, |name| {
            (name == "BOT_TOKEN").then(|| "42:abcdefghijklmnopqrstuvwxyz".to_owned())
        });
        let settings = settings.unwrap();
        let (queue, telegram) = (Arc::new(MemoryQueue::default()), Arc::new(Telegram::default()));
        let bot = Bot::new(&settings, &settings.bots[0], queue.clone(), &Metrics::new(BotId(42), "abc"));
        (Poller { bot: Arc::new(bot), api: Client::new(telegram.clone()) }, telegram, queue)
    }

    #[tokio::test]
    async fn the_offset_moves_past_what_the_queue_has_and_no_further() {
        let (poller, telegram, queue) = poller();
        *telegram.updates.lock().unwrap() = vec![7, 8, 9];
        let mut offset = None;

        queue.set_mode(Mode::Fails);
        poller.ask(&mut offset).await.unwrap_err();
        assert_eq!(offset, None, "nothing is stored, nothing is confirmed");

        queue.set_mode(Mode::Works);
        assert!(matches!(poller.ask(&mut offset).await, Ok(PollOutcome::Updates)));
        assert_eq!(offset, Some(UpdateId(10)));
        let stored: Vec<_> = queue.stored.lock().unwrap().iter().map(|envelope| envelope.update_id.0).collect();
        assert_eq!(stored, [7, 8, 9]);

        *telegram.updates.lock().unwrap() = vec![9, 10];
        poller.ask(&mut offset).await.unwrap();
        assert_eq!(offset, Some(UpdateId(11)));
        assert!(matches!(poller.ask(&mut offset).await, Ok(PollOutcome::Empty)));
        // After a long silence numbers begin anew, and may be lower.
        *telegram.updates.lock().unwrap() = vec![3];
        assert!(matches!(poller.ask(&mut offset).await, Ok(PollOutcome::Updates)));
        assert_eq!(queue.stored.lock().unwrap().last().unwrap().update_id.0, 3);
        assert_eq!(*telegram.asked.lock().unwrap(), [None, None, Some(10), Some(11), None]);
    }

    #[tokio::test]
    async fn a_question_that_shows_whether_telegram_is_back_does_not_wait_for_updates() {
        let (poller, telegram, _queue) = poller();
        poller.ask(&mut None).await.unwrap();
        telegram.away.store(true, SeqCst);
        poller.ask(&mut None).await.unwrap();
        assert_eq!(*telegram.waits.lock().unwrap(), [Some(50), Some(0)]);
    }
}
