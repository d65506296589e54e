//! Back-pressure: the stream is never trimmed, so it is kept from growing without end by taking nothing more in. Telegram
//! keeps what is answered 503 and brings it again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nezuko_shared::{
    ops::Part,
    queue::{Backlog, Memory},
    telemetry::metrics::{Doubt, Metrics},
};
use nezuko_telegram::BotId;
use tokio::time::{MissedTickBehavior, interval};

use crate::intake::Intake;

const ASK_EVERY: Duration = Duration::from_millis(500);

/// Above this share of the memory that Redis may use nothing is let in, so that what is left serves those who empty it:
/// acknowledgements, limiter and cache. Half a second of 20,000 updates of 1 kB fits into a tenth of 128 MB.
const SHORT_ABOVE_PERCENT: u64 = 90;
/// And below this one it is again, not sooner, so that gateways do not flutter.
const ENOUGH_BELOW_PERCENT: u64 = 85;

/// Whether new updates are let in. Where the queue cannot be asked they are: then each push decides for itself.
#[derive(Debug)]
pub(crate) struct Admission {
    full: AtomicBool,
    short: AtomicBool,
    max_backlog: u64,
}

/// Who is told whether the queue answers.
pub(crate) struct Watchers<'a> {
    pub(crate) metrics: &'a Metrics,
    /// The gauge of whatever the queue lives in.
    pub(crate) gauge: fn(&Metrics, bool),
    pub(crate) health: &'a Part,
}

impl Admission {
    pub(crate) fn new(max_backlog: u64) -> Self {
        Self { full: AtomicBool::new(false), short: AtomicBool::new(false), max_backlog }
    }

    /// Why nothing is let in now, if so.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        if self.full.load(Ordering::Relaxed) {
            return Some(Doubt::BacklogFull);
        }
        self.short.load(Ordering::Relaxed).then_some(Doubt::MemoryShort)
    }

    /// Watches the queue for ever; drop it to stop.
    pub(crate) async fn watch(&self, bot: BotId, intake: &Intake, tell: Watchers<'_>) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answered_before = true;
        loop {
            ticks.tick().await;
            let (answer, memory) = tokio::join!(intake.backlog(), intake.memory());
            let answers = answer.is_ok();
            self.heed_memory(bot, memory.unwrap_or_default());
            tell.health.set(answers);
            (tell.gauge)(tell.metrics, answers);
            match answer {
                Ok(backlog) => {
                    self.heed(backlog);
                    tell.metrics.set_backlog(backlog);
                    if !answered_before {
                        tracing::info!(bot_id = bot.0, "the queue answers again");
                    }
                }
                Err(error) => {
                    self.full.store(false, Ordering::Relaxed);
                    if answered_before {
                        tracing::warn!(bot_id = bot.0, %error, "the queue does not answer");
                    }
                }
            }
            answered_before = answers;
        }
    }

    fn heed(&self, backlog: Backlog) {
        let waiting = backlog.unread.saturating_add(backlog.pending);
        let full = waiting > self.max_backlog;
        if self.full.swap(full, Ordering::Relaxed) != full {
            let max = self.max_backlog;
            if full {
                tracing::warn!(waiting, max, "backlog full, updates are answered 503 until workers catch up");
            } else {
                tracing::info!(waiting, max, "backlog below its limit, updates are taken in again");
            }
        }
    }

    fn heed_memory(&self, bot: BotId, memory: Option<Memory>) {
        let was_short = self.short.load(Ordering::Relaxed);
        let percent = if was_short { ENOUGH_BELOW_PERCENT } else { SHORT_ABOVE_PERCENT };
        let is_over = |memory: Memory| memory.used.saturating_mul(100) > memory.limit.saturating_mul(percent);
        let short = memory.is_some_and(is_over);
        self.short.store(short, Ordering::Relaxed);
        let Some(Memory { used, limit }) = memory.filter(|_| short != was_short) else { return };
        if short {
            tracing::warn!(
                bot_id = bot.0,
                used,
                limit,
                "Redis is nearly full, updates are answered 503 until workers have made room; if it stays so, give it more \
                 maxmemory"
            );
        } else {
            tracing::info!(bot_id = bot.0, used, limit, "Redis has room again, updates are taken in");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_above_nine_tenths_until_a_twentieth_more_is_free() {
        let admission = Admission::new(10);
        let at = |used| {
            admission.heed_memory(BotId(1), Some(Memory { used, limit: 1_000 }));
            admission.doubt()
        };
        assert_eq!(
            [900, 901, 851, 850, 900].map(at),
            [None, Some(Doubt::MemoryShort), Some(Doubt::MemoryShort), None, None]
        );
        assert_eq!(at(1_001), Some(Doubt::MemoryShort));
        admission.heed_memory(BotId(1), None);
        assert_eq!(admission.doubt(), None, "where nothing is known each push decides for itself");
    }
}
