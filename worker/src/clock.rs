//! The clock, handed in so that tests can turn it.

use std::sync::Arc;

use nezuko_shared::clock::unix_ms;

/// Gives Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(unix_ms)
}
