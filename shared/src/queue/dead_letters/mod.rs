//! What operators do with updates that were given up: look, replay, drop.

pub mod redis;
pub mod sql;

use async_trait::async_trait;
use bytes::Bytes;

use super::QueueError;

/// An entry that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name among the dead letters.
    pub id: String,
    /// When it was given up, Unix ms.
    pub died_ms: i64,
    /// Why.
    pub reason: String,
    /// Telegram's number of the update; `None` where the entry was no envelope.
    pub update_id: Option<i64>,
    /// When the gateway first had it, Unix ms.
    pub received_ms: Option<i64>,
    /// W3C trace context; the trace id in it finds the logs.
    pub traceparent: Option<String>,
    /// The update as Telegram sent it.
    pub payload: Bytes,
}

/// The dead letters of one bot.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// The oldest ones, at most `max`.
    ///
    /// # Errors
    /// [`QueueError`] where the queue's server is away.
    async fn list(&self, max: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// One of them.
    ///
    /// # Errors
    /// [`QueueError`] where the queue's server is away.
    async fn show(&self, id: &str) -> Result<Option<DeadLetter>, QueueError>;

    /// Puts one back into the queue as it was first received; false where there is none. Both or nothing happens.
    ///
    /// # Errors
    /// [`QueueError`] where the queue's server is away; it is then unknown whether it happened.
    async fn replay(&self, id: &str) -> Result<bool, QueueError>;

    /// Forgets one for good; false where there is none.
    ///
    /// # Errors
    /// [`QueueError`] where the queue's server is away; it is then unknown whether it happened.
    async fn drop_one(&self, id: &str) -> Result<bool, QueueError>;
}
