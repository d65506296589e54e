//! Log lines about requests that were not simply stored: one a second for each kind of answer at most, with the number
//! of those left out, so that neither a scanner nor an outage floods the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nezuko_shared::telemetry::metrics::WebhookOutcome;
use nezuko_telegram::{BotId, UpdateId};

const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// What to say about one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) bot: BotId,
    pub(crate) outcome: WebhookOutcome,
    pub(crate) reason: &'a str,
    /// Where the request became an update.
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) update_id: Option<UpdateId>,
}

/// When each kind of answer was last written about.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<Vec<Seen>>);

#[derive(Debug)]
struct Seen {
    outcome: WebhookOutcome,
    written: Instant,
    left_out: u64,
}

impl RefusalLog {
    pub(crate) fn write(&self, refusal: Refusal<'_>) {
        let Some(left_out) = self.admit(refusal.outcome, Instant::now()) else { return };
        let Refusal { bot, outcome, reason, trace_id, update_id } = refusal;
        let (bot_id, update_id) = (bot.0, update_id.map(|id| id.0));
        let outcome = outcome.as_str();
        // Wrong paths and methods are what any address on the internet gets; the others are about ourselves.
        match refusal.outcome {
            WebhookOutcome::Unknown | WebhookOutcome::Method => {
                tracing::debug!(bot_id, outcome, reason, left_out, "webhook request refused");
            }
            WebhookOutcome::Quarantined => {
                tracing::warn!(bot_id, outcome, reason, left_out, "authenticated bytes that are no update set aside");
            }
            _ => tracing::warn!(bot_id, outcome, reason, trace_id, update_id, left_out, "webhook request refused"),
        }
    }

    /// How many were left out since the last line, where it is time for another one.
    fn admit(&self, outcome: WebhookOutcome, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = all.iter_mut().find(|seen| seen.outcome == outcome) else {
            all.push(Seen { outcome, written: now, left_out: 0 });
            return Some(0);
        };
        if now.duration_since(seen.written) < AT_MOST_EVERY {
            seen.left_out += 1;
            return None;
        }
        seen.written = now;
        Some(std::mem::take(&mut seen.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_answer_is_written_about_once_a_second_with_the_number_left_out() {
        let log = RefusalLog::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(log.admit(WebhookOutcome::Unauthorized, at(0)), Some(0));
        assert_eq!(log.admit(WebhookOutcome::Unauthorized, at(1)), None);
        assert_eq!(log.admit(WebhookOutcome::Unavailable, at(1)), Some(0), "another kind is not held back");
        assert_eq!(log.admit(WebhookOutcome::Unauthorized, at(999)), None);
        assert_eq!(log.admit(WebhookOutcome::Unauthorized, at(1000)), Some(2));
        assert_eq!(log.admit(WebhookOutcome::Unauthorized, at(2000)), Some(0));
    }
}
