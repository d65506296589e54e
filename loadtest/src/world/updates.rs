//! Updates as the Bot API server hands them to a webhook.

use serde_json::Value;

use super::ids::{ChatId, UserId};

/// What the server keeps apart: updates of one queue are delivered strictly one after the other (E88).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKey {
    /// Messages and posts, new and edited, of one chat.
    Messages(ChatId),
    /// Presses of one person.
    Presses(UserId),
    /// The bot's own standing in one chat.
    MyMember(ChatId),
    /// The standing of one person in all chats.
    Member(UserId),
}

/// A day: how long the server keeps what is not a press (E91).
pub(super) const DAY_MS: i64 = 86_400_000;
/// How long the server keeps a press, and how long it takes an answer to it (E69, E91).
pub(super) const PRESS_MS: i64 = 150_000;

/// An update that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Its number; rising by one.
    pub update_id: i64,
    /// The queue it is delivered through.
    pub queue: QueueKey,
    /// The key of its content, such as `message`.
    pub kind: &'static str,
    /// When it came about, Unix ms.
    pub at_ms: i64,
    /// When the server gives up on it, Unix ms.
    pub expires_ms: i64,
    /// The bytes that are posted.
    pub body: String,
}

impl Emitted {
    pub(super) fn new(update_id: i64, queue: QueueKey, kind: &'static str, at_ms: i64, content: &Value) -> Self {
        // The server writes a comma and a line feed after the id.
        let body = format!("{{\"update_id\":{update_id},\n\"{kind}\":{content}}}");
        let lives_ms = if matches!(queue, QueueKey::Presses(_)) { PRESS_MS } else { DAY_MS };
        Self { update_id, queue, kind, at_ms, expires_ms: at_ms + lives_ms, body }
    }
}
