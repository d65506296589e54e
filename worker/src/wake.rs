//! Waking senders: each lane sleeps until something is put into it.

use tokio::sync::Notify;

use crate::intent::{Lane, Put};

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes(u16);

impl Lanes {
    /// The lanes of these intents.
    #[must_use]
    pub fn of(put: &[Put]) -> Self {
        Self(put.iter().fold(0, |lanes, put| lanes | 1 << put.intent.lane(put.urgency) as u16))
    }

    const fn has(self, lane: Lane) -> bool {
        self.0 & (1 << lane as u16) != 0
    }
}

/// A bell per lane.
#[derive(Debug, Default)]
pub struct Wake([Notify; Lane::ALL.len()]);

impl Wake {
    /// Wakes the senders of these lanes.
    pub fn lanes(&self, lanes: Lanes) {
        for lane in Lane::ALL {
            if lanes.has(lane) {
                self.0[lane as usize].notify_one();
            }
        }
    }

    /// Wakes all senders.
    pub fn all(&self) {
        self.0.iter().for_each(Notify::notify_one);
    }

    /// Waits until somebody wakes this lane; a ring while nobody waited counts. Cancellation safe.
    pub async fn rung(&self, lane: Lane) {
        self.0[lane as usize].notified().await;
    }
}
