//! Back-pressure: the stream is never trimmed, so it is kept from growing without end by taking nothing more in. Telegram
//! keeps what is answered 503 and brings it again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nezuko_shared::{ops::Part, queue::Backlog, telemetry::metrics::Metrics};
use nezuko_telegram::BotId;
use tokio::time::{MissedTickBehavior, interval};

use crate::intake::Intake;

const ASK_EVERY: Duration = Duration::from_millis(500);

/// Whether new updates are let in. Where the queue cannot be asked they are: then each push decides for itself.
#[derive(Debug)]
pub(crate) struct Admission {
    full: AtomicBool,
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
        Self { full: AtomicBool::new(false), max_backlog }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Watches the queue for ever; drop it to stop.
    pub(crate) async fn watch(&self, bot: BotId, intake: &Intake, tell: Watchers<'_>) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answered_before = true;
        loop {
            ticks.tick().await;
            let answer = intake.backlog().await;
            let answers = answer.is_ok();
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
}
