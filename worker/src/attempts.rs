//! How often an update is tried, and when it is given up. Pure.

use std::time::Duration;

use crate::planted::{self, Bug};

/// An update that fails for its own sake is given up after so many tries.
pub const TRIES: u32 = 5;

/// The attempts at one entry while it is in one worker's hands. Only failures count that are the update's own: how often
/// an entry was delivered says how often workers died, and nothing about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Takes in that the update has failed for its own sake. Returns for how long to wait before the next try; `None`: it
    /// is to be given up.
    pub const fn failed(&mut self) -> Option<Duration> {
        self.0 += 1;
        if self.0 < TRIES { Some(Duration::from_millis(100 << self.0)) } else { None }
    }

    /// How often it has failed.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }
}

/// Whether an entry is given up unseen because it was delivered so often; only a planted bug does this.
#[must_use]
pub fn is_given_up_unseen(deliveries: u32) -> bool {
    planted::has(Bug::DeliveriesAreAttempts) && deliveries > TRIES
}
