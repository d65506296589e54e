//! Unix time that never goes backwards during a run.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock at the start, carried on by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    started_unix: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix }
    }

    /// Unix time.
    pub(super) fn now(&self) -> Duration {
        self.started_unix + self.started.elapsed()
    }

    /// Unix ms.
    pub(super) fn now_ms(&self) -> i64 {
        i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }
}
