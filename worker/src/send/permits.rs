//! Leave to call Telegram: the fleet's limiter, asked by one task at a time for each budget and urgency.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nezuko_shared::{
    limiter::{Budget, Limiter, Paused, Permit, Urgency},
    telemetry::{
        metrics::{Metrics, Trouble},
        trace,
    },
};
use nezuko_telegram::ChatId;
use tokio::time::Instant;

/// Nobody waits longer than this for the limiter with a claim in hand; the intent then goes back.
const PATIENCE: Duration = Duration::from_secs(5);
/// When messages are tried again without the limiter.
const LIMITER_AWAY: Duration = Duration::from_secs(1);

/// There is no leave to be had now.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// When to ask again.
    pub retry_in: Duration,
    /// Whether all calls to the chat have to wait so long.
    pub chat_bound: bool,
}

/// Asks the limiter on behalf of a process.
pub struct Permits {
    limiter: Arc<dyn Limiter>,
    metrics: Metrics,
    /// One asker for each budget and urgency, so that waiting callers do not outbid each other.
    askers: [[tokio::sync::Mutex<()>; 2]; Budget::ALL.len()],
    own: Mutex<Own>,
}

/// What this process knows by itself.
#[derive(Debug, Default)]
struct Own {
    /// The limiter is away: it is not asked before this for calls that can go on without it.
    away_until: Option<Instant>,
    /// The pauses that it was told of: until when the bot (`None`) or a chat is not to be called. The limiter may have been
    /// away just then.
    pauses: HashMap<Option<ChatId>, Instant>,
}

impl Own {
    /// The pause that a call about `chat` has to wait for.
    fn paused(&self, chat: Option<ChatId>, now: Instant) -> Option<Refused> {
        let left = |what| self.pauses.get(&what).map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let (of_bot, of_chat) = (left(None), chat.map(|chat| left(Some(chat))).unwrap_or_default());
        let retry_in = of_bot.max(of_chat);
        (!retry_in.is_zero()).then_some(Refused { retry_in, chat_bound: !of_chat.is_zero() })
    }
}

impl Permits {
    /// Asks `limiter` and counts what comes of it.
    #[must_use]
    pub fn new(limiter: Arc<dyn Limiter>, metrics: Metrics) -> Self {
        Self { limiter, metrics, askers: Default::default(), own: Mutex::default() }
    }

    /// Waits for leave to make one call now, some seconds at most, and not at all where it is this chat that has to wait. A
    /// message's grant that comes late is thrown away and asked for anew; the limits of other calls are not so exact.
    /// Cancellation may waste one grant.
    ///
    /// Without the limiter no messages are sent; answers, deletions, restrictions and lookups go on.
    ///
    /// # Errors
    /// [`Refused`]: to be asked again later, by whoever has the intent then.
    pub async fn leave(&self, budget: Budget, urgency: Urgency, chat: Option<ChatId>) -> Result<(), Refused> {
        let began = Instant::now();
        let _asking = self.metrics.asking_for_leave();
        let mut delayed = false;
        let _asker = self.askers[budget as usize][urgency as usize].lock().await;
        loop {
            let asked = Instant::now();
            if let Some(refused) = self.own().paused(chat, asked) {
                self.metrics.limiter_denial(budget, urgency);
                return Err(refused);
            }
            if budget != Budget::Message && self.own().away_until.is_some_and(|until| until > asked) {
                return Ok(());
            }
            match self.limiter.ask(budget, urgency, chat).await {
                Ok(Permit::Granted { valid_for }) if budget == Budget::Message && asked.elapsed() >= valid_for => {
                    self.metrics.limiter_late(budget);
                    if began.elapsed() > PATIENCE {
                        return Err(Refused { retry_in: LIMITER_AWAY, chat_bound: false });
                    }
                }
                Ok(Permit::Granted { .. }) => {
                    self.metrics.limiter_grant(budget, urgency);
                    self.metrics.rate_limit_delay(budget, urgency, began.elapsed());
                    return Ok(());
                }
                Ok(Permit::Denied { retry_in, chat_bound }) => {
                    self.metrics.limiter_denial(budget, urgency);
                    if !delayed {
                        self.metrics.rate_limit_delays();
                        delayed = true;
                    }
                    if chat_bound || began.elapsed() + retry_in > PATIENCE {
                        return Err(Refused { retry_in, chat_bound });
                    }
                    tokio::time::sleep(retry_in).await;
                }
                Err(error) if budget == Budget::Message => {
                    self.metrics.error(Trouble::Limiter);
                    tracing::warn!(%error, trace_id = trace::id(), "no message without the limiter");
                    return Err(Refused { retry_in: LIMITER_AWAY, chat_bound: false });
                }
                Err(error) => {
                    self.metrics.error(Trouble::Limiter);
                    tracing::warn!(%error, budget = budget.name(), trace_id = trace::id(), "calls go on without the limiter");
                    self.own().away_until = Some(Instant::now() + LIMITER_AWAY);
                }
            }
        }
    }

    /// Telegram said 429 to a call of `budget`: all workers leave this chat (`None`: everything) alone for so long.
    pub async fn pause(&self, budget: Budget, chat: Option<ChatId>, for_: Duration) {
        let now = Instant::now();
        {
            let mut own = self.own();
            own.pauses.retain(|_, until| *until > now);
            let until = own.pauses.entry(chat).or_insert(now);
            *until = (now + for_).max(*until);
        }
        let chat_id = chat.map(|chat| chat.0);
        match self.limiter.pause(budget, chat, for_).await {
            Ok(paused) => {
                self.metrics.limiter_pause(paused);
                let of_bot = paused == Paused::Bot;
                tracing::warn!(
                    budget = budget.name(),
                    chat_id,
                    ?for_,
                    of_bot,
                    trace_id = trace::id(),
                    "Telegram wants a pause"
                );
            }
            Err(error) => tracing::warn!(%error, chat_id, ?for_, "a pause is known to this process only"),
        }
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use nezuko_shared::limiter::LimiterError;
    use nezuko_telegram::BotId;

    use super::*;

    /// Grants everything, too late for a message.
    #[derive(Default)]
    struct Slow {
        asked: AtomicU32,
    }

    #[async_trait]
    impl Limiter for Slow {
        async fn ask(&self, _: Budget, _: Urgency, _: Option<ChatId>) -> Result<Permit, LimiterError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(Permit::Granted { valid_for: Duration::from_millis(200) })
        }

        async fn pause(&self, _: Budget, _: Option<ChatId>, _: Duration) -> Result<Paused, LimiterError> {
            Err(LimiterError("away just now".to_owned()))
        }
    }

    fn permits() -> (Arc<Slow>, Permits) {
        let limiter = Arc::new(Slow::default());
        (limiter.clone(), Permits::new(limiter, Metrics::new(BotId(1), "test")))
    }

    #[tokio::test]
    async fn mutes_and_lookups_go_on_however_slow_the_limiter_is() {
        let (limiter, permits) = permits();
        for budget in [Budget::Lookup, Budget::Deletion, Budget::Restriction, Budget::Answer] {
            let leave = permits.leave(budget, Urgency::Urgent, None);
            tokio::time::timeout(PATIENCE, leave).await.unwrap().unwrap();
        }
        assert_eq!(limiter.asked.load(Ordering::Relaxed), 4, "grants were thrown away");
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_for_a_message_that_cannot_be_granted_in_time() {
        let (_, permits) = permits();
        let leave = permits.leave(Budget::Message, Urgency::Urgent, None);
        let refused = tokio::time::timeout(PATIENCE * 2, leave).await.unwrap().unwrap_err();
        assert!(!refused.chat_bound, "it is not about the chat");
    }

    #[tokio::test]
    async fn a_pause_that_the_limiter_did_not_take_in_is_kept_here() {
        const PAUSE: Duration = Duration::from_secs(60);
        let (limiter, permits) = permits();
        let (paused, other) = (Some(ChatId(-1)), Some(ChatId(-2)));
        permits.pause(Budget::Lookup, paused, PAUSE).await;
        let refused = permits.leave(Budget::Restriction, Urgency::Urgent, paused).await.unwrap_err();
        assert!(refused.chat_bound && refused.retry_in > PAUSE / 2, "{refused:?}");
        permits.leave(Budget::Restriction, Urgency::Urgent, other).await.unwrap();
        permits.pause(Budget::Answer, None, PAUSE / 2).await;
        let refused = permits.leave(Budget::Restriction, Urgency::Urgent, other).await.unwrap_err();
        assert!(!refused.chat_bound && refused.retry_in <= PAUSE / 2, "{refused:?}");
        assert_eq!(limiter.asked.load(Ordering::Relaxed), 1, "the limiter need not be asked");
    }
}
