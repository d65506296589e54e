//! How far this machine's clock is from Telegram's, as the `Date` of every answer shows.
//!
//! Events are ordered by Telegram's dates and lookups by our clock, so the two must agree to about two seconds.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::telemetry::metrics::Metrics;

/// What the comparison of events and lookups puts up with.
pub const TOLERANCE: Duration = Duration::from_secs(2);
/// `Date` is cut to whole seconds.
const RESOLUTION: f64 = 1.0;

/// By how much at least this machine's clock is ahead of the other one (negative: behind), in seconds, where an answer that
/// was made between `asked` and `answered` by ours has `date`. 0 where they may agree; the longer the answer took, the less
/// is known.
fn at_least(asked: SystemTime, answered: SystemTime, date: SystemTime) -> f64 {
    let ahead = |ours: SystemTime| match ours.duration_since(date) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    };
    let (least, most) = (ahead(asked) - RESOLUTION, ahead(answered));
    least.max(0.0) + most.min(0.0)
}

/// What a process knows of it. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct ClockSkew(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    seconds: Option<f64>,
    shown_in: Option<Metrics>,
}

impl fmt::Debug for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClockSkew").field(&self.seconds()).finish()
    }
}

impl ClockSkew {
    /// Shows it among the metrics of the process.
    pub(crate) fn show_in(&self, metrics: Metrics) {
        self.known().shown_in = Some(metrics);
    }

    /// An answer was made at `date` by Telegram's clock, between `asked` and `answered` by ours.
    pub(crate) fn note(&self, asked: SystemTime, answered: SystemTime, date: SystemTime) {
        let seconds = at_least(asked, answered, date);
        // That both clocks fit into a long wait is no agreement.
        if seconds == 0.0 && answered.duration_since(asked).is_ok_and(|took| took > TOLERANCE) {
            return;
        }
        let mut known = self.known();
        let is_off = |seconds: f64| seconds.abs() > TOLERANCE.as_secs_f64();
        let was_off = known.seconds.replace(seconds).is_some_and(is_off);
        if let Some(metrics) = &known.shown_in {
            metrics.set_clock_skew(seconds);
        }
        drop(known);
        if is_off(seconds) && !was_off {
            tracing::warn!(
                seconds,
                "this machine's clock is not Telegram's, so that newer facts may be taken for older ones: let it be set by \
                 NTP (`timedatectl set-ntp true`)"
            );
        } else if was_off && !is_off(seconds) {
            tracing::info!(seconds, "this machine's clock agrees with Telegram's again");
        }
    }

    /// By how many seconds at least this machine's clock is ahead of Telegram's; negative: behind. `None` before the first
    /// answer.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.known().seconds
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_neither_the_way_nor_whole_seconds_explain() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = |ms: i64| match u64::try_from(ms) {
            Ok(ms) => date + Duration::from_millis(ms),
            Err(_) => date - Duration::from_millis(ms.unsigned_abs()),
        };
        for (asked, answered, seconds) in [
            (0, 100, 0.0),
            (900, 1_000, 0.0),
            (-100, 50, 0.0),
            // Held up for 8 s: whenever it was made in that time, the clocks may agree.
            (-8_000, 0, 0.0),
            (0, 8_000, 0.0),
            (3_500, 3_600, 2.5),
            (3_500, 9_000, 2.5),
            (-3_600, -3_500, -3.5),
            (-9_000, -3_500, -3.5),
        ] {
            assert_eq!(at_least(at(asked), at(answered), date), seconds, "{asked}..{answered}");
        }
    }
}
