//! The queue between gateway and workers: at least once, unordered, one consumer group.
//!
//! An entry is *unread* until a consumer reads it, then *pending* until that consumer acknowledges it. Pending entries of
//! a dead consumer are reclaimed by another one. An acknowledged entry is gone.

pub mod dead_letters;
pub mod redis;
mod replicated;
pub mod sql;

use async_trait::async_trait;
use nezuko_telegram::BotId;

use crate::envelope::Envelope;

/// The queue cannot be used now. Whether a `push` took effect is unknown: the caller must not report success.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The server is away, slow, loading or refuses; the text never holds a password.
    #[error("queue unavailable: {0}")]
    Unavailable(String),
}

/// The queue's own name of an entry, of use only with the queue that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub String);

/// An entry in a consumer's hands.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// For [`Consumer::ack`].
    pub id: EntryId,
    /// The update.
    pub envelope: Envelope,
    /// How often it was delivered, this time included. It says "run it alone", never "give it up".
    pub deliveries: u32,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Read by nobody yet.
    pub unread: u64,
    /// Read and not acknowledged.
    pub pending: u64,
}

/// How full a server's memory is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What counts towards the limit.
    pub used: u64,
    /// From here on writes are refused.
    pub limit: u64,
}

/// The gateway's side.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Stores the envelope; when this returns `Ok` it survives the death of this process. Not cancellation safe in
    /// the sense that a dropped push may still have taken effect (the entry is then delivered all the same).
    ///
    /// # Errors
    /// [`QueueError`]: the entry may or may not be stored; answer 503.
    async fn push(&self, envelope: &Envelope) -> Result<(), QueueError>;

    /// Sets authenticated bytes aside that are no update, with the reason. Bounded: the oldest go first.
    ///
    /// # Errors
    /// [`QueueError`] as for [`push`](Self::push).
    async fn quarantine(&self, bot: BotId, body: &[u8], reason: &str) -> Result<(), QueueError>;

    /// How much waits; used for admission and metrics.
    ///
    /// # Errors
    /// [`QueueError`] where the queue cannot be asked.
    async fn backlog(&self, bot: BotId) -> Result<Backlog, QueueError>;

    /// The memory of the server that this bot's queue lives in; used for admission. `None` where it has no limit, or cannot
    /// be looked at.
    ///
    /// # Errors
    /// [`QueueError`] where the queue cannot be asked.
    async fn memory(&self, _bot: BotId) -> Result<Option<Memory>, QueueError> {
        Ok(None)
    }
}

/// The worker's side: one named consumer of one bot's queue.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Up to `max` unread entries; waits up to about `wait` for the first. An empty answer is ordinary.
    /// Cancellation: entries read by a dropped call are pending and come back by [`reclaim`](Self::reclaim).
    ///
    /// # Errors
    /// [`QueueError`]; nothing is lost.
    async fn read(&self, max: usize, wait: std::time::Duration) -> Result<Vec<Delivery>, QueueError>;

    /// Ends the entries. Unknown ones are ignored. Idempotent.
    ///
    /// # Errors
    /// [`QueueError`]: try again; an entry that stays pending is delivered again.
    async fn ack(&self, ids: &[EntryId]) -> Result<(), QueueError>;

    /// Says that these entries are still being worked on, so that nobody reclaims them. Entries that another consumer
    /// has taken meanwhile are not taken back.
    ///
    /// # Errors
    /// [`QueueError`]: try again before the idle time runs out.
    async fn keep_alive(&self, ids: &[EntryId]) -> Result<(), QueueError>;

    /// Takes over up to `max` pending entries that nobody has touched for `min_idle`, walking on from where the last
    /// call ended. An empty answer: there is none from there to the end, and the next call begins anew.
    ///
    /// # Errors
    /// [`QueueError`]; nothing is lost.
    async fn reclaim(&self, min_idle: std::time::Duration, max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Moves the entry to the dead letters with the reason and ends it, both or none. Returns whether it was still
    /// pending (if not, somebody else has ended it and nothing is added).
    ///
    /// # Errors
    /// [`QueueError`]: the entry stays pending.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<bool, QueueError>;

    /// How much waits.
    ///
    /// # Errors
    /// [`QueueError`] where the queue cannot be asked.
    async fn backlog(&self) -> Result<Backlog, QueueError>;

    /// Since when the oldest entry is in the queue that nobody has acknowledged, Unix milliseconds; `None` where there is none.
    ///
    /// # Errors
    /// [`QueueError`] where the queue cannot be asked.
    async fn oldest_ms(&self) -> Result<Option<i64>, QueueError>;

    /// Gives the pending entries back for others to reclaim at once and leaves the group. Called at a clean stop.
    ///
    /// # Errors
    /// [`QueueError`]: the entries are reclaimed after the idle time all the same.
    async fn leave(&self) -> Result<(), QueueError>;
}
