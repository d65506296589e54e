//! Unix time that never goes backwards during a run, and goes ahead when it is told to.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The wall clock at the start, carried on by the monotonic clock.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    started_unix: Duration,
    ahead_ms: AtomicI64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix, ahead_ms: AtomicI64::new(0) }
    }

    /// Unix time.
    pub(super) fn now(&self) -> Duration {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        self.started_unix + self.started.elapsed() + Duration::from_millis(ahead_ms.unsigned_abs())
    }

    /// Unix ms.
    pub(super) fn now_ms(&self) -> i64 {
        i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }

    /// It is later by so much, ms.
    pub(super) fn skip(&self, by_ms: u32) {
        self.ahead_ms.fetch_add(i64::from(by_ms), Ordering::Relaxed);
    }

    /// By how much it is ahead of the wall clock, ms.
    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }
}
