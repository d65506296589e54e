//! The locks of the store in memory, as PostgreSQL has them: on a person or a chat, shared or exclusive, waited for, and
//! held to the end of the transaction, also where it ends in a crash.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nezuko_telegram::{ChatId, UserId};

use crate::{
    coverage::count,
    scheduler::{release, wait_for_release},
};

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Person(UserId),
    Chat(ChatId),
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// Who holds what: so many share it, or -1: one has it alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Arc<Mutex<BTreeMap<Key, i32>>>);

/// A lock that is held.
pub(super) struct Held {
    locks: Locks,
    key: Key,
    mode: Mode,
}

impl Locks {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Key, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, key: Key, mode: Mode) -> Option<Held> {
        let mut held = self.held();
        let holders = held.entry(key).or_default();
        match mode {
            Mode::Shared if *holders >= 0 => *holders += 1,
            Mode::Exclusive if *holders == 0 => *holders = -1,
            _ => return None,
        }
        Some(Held { locks: self.clone(), key, mode })
    }

    /// Waits for a lock.
    pub(super) async fn take(&self, key: Key, mode: Mode) -> Held {
        let mut waited = false;
        loop {
            if let Some(held) = self.try_take(key, mode) {
                return held;
            }
            if !std::mem::replace(&mut waited, true) {
                count("lock", "waited for", if matches!(key, Key::Person(_)) { "a person" } else { "a chat" });
            }
            wait_for_release().await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.locks.held();
        let holders = held.get_mut(&self.key).expect("invariant: what is held is known");
        *holders = if self.mode == Mode::Shared { *holders - 1 } else { 0 };
        release();
    }
}
