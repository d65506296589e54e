//! The time, as it is written into facts and envelopes and as windows are counted by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The machine's clock, Unix milliseconds; tests can have it ahead.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(ahead::ms())
}

/// The monotonic clock for windows that are counted in this process, ahead where the other one is.
#[must_use]
pub fn instant() -> Instant {
    Instant::now() + Duration::from_millis(ahead::ms().unsigned_abs())
}

#[cfg(not(feature = "clock-ahead"))]
mod ahead {
    pub(super) const fn ms() -> i64 {
        0
    }
}

/// With the feature `clock-ahead`, which nothing but tests turns on, the file that `NEZUKO_CLOCK_AHEAD` names says by how
/// many milliseconds the clock is ahead. Whoever plays a week in minutes writes the next hour into it, and all programs of
/// a fleet are there at once.
#[cfg(feature = "clock-ahead")]
mod ahead {
    use std::{fs, path::PathBuf, sync::OnceLock};

    pub(super) fn ms() -> i64 {
        static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(file) = FILE.get_or_init(|| std::env::var_os("NEZUKO_CLOCK_AHEAD").map(PathBuf::from)) else {
            return 0;
        };
        let ahead = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        ahead.expect("invariant: NEZUKO_CLOCK_AHEAD names a file with a number, which is replaced as a whole")
    }
}
