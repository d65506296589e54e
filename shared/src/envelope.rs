//! An update on its way from the gateway to a worker.

use bytes::Bytes;
use nezuko_telegram::{BotId, UpdateId};

/// What the gateway puts into the queue: the update's bytes untouched and what it knows about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The bot that the update is for.
    pub bot: BotId,
    /// Telegram's number; two envelopes of one bot with one number are duplicates.
    pub update_id: UpdateId,
    /// The person whom the update is about, else its chat, else 0: updates with one key are handled one after the other.
    pub routing_key: i64,
    /// When the gateway first had it, Unix milliseconds. A replay keeps it.
    pub received_ms: i64,
    /// W3C trace context, `00-<trace id>-<span id>-<flags>`; its trace id is the correlation id of all logs.
    pub traceparent: String,
    /// The body as Telegram sent it.
    pub payload: Bytes,
}

impl Envelope {
    /// The correlation id: the trace id inside `traceparent`, empty where that is malformed.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.traceparent.split('-').nth(1).unwrap_or_default()
    }
}
