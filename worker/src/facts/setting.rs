//! What people set: registers in the order of the updates that set them.

use nezuko_telegram::UpdateId;
use serde::{Deserialize, Serialize};

use crate::planted::{self, Bug};

/// A register of a value that people set: ordered by update id, since Telegram numbers what one bot is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// The update that set it.
    pub update_id: UpdateId,
    /// When that update first arrived, Unix milliseconds.
    pub received_ms: i64,
}

/// Ids restart at random after a quiet week or a move to another Bot API server; a lower id that arrived this much later
/// than a higher one is newer.
const ID_RESTART_MS: i64 = 24 * 3_600_000;

impl<T> Setting<T> {
    /// Whether this was set after `other`.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        if self.update_id > other.update_id {
            other.received_ms <= self.received_ms + ID_RESTART_MS
        } else {
            self.received_ms > other.received_ms + ID_RESTART_MS
        }
    }
}

/// Sets `register` unless it holds a newer value; returns whether it was set.
pub fn set<T>(register: &mut Option<Setting<T>>, setting: Setting<T>) -> bool {
    let by_arrival = planted::has(Bug::SettingByArrival);
    let newer = by_arrival || register.as_ref().is_none_or(|held| setting.is_newer_than(held));
    if newer {
        *register = Some(setting);
    }
    newer
}
