//! The limiter of what a bot may send: at most 30 messages in any second over all workers together, and per chat what
//! Telegram allows there.
//!
//! A sliding log of the last 30 grants over `W = 1 s + δ + J`, grants spaced `W/30` under backlog. A grant is good only
//! for δ counted from when the caller *asked*; J covers what happens between us and Telegram.

use std::time::Duration;

use async_trait::async_trait;
use nezuko_telegram::ChatId;

/// The limiter cannot be asked now: no message may be sent.
#[derive(Debug, thiserror::Error)]
#[error("limiter unavailable: {0}")]
pub struct LimiterError(pub String);

/// Which budget a call draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Sends and edits: 30 a second for the bot, one a second a chat, 20 a minute a group. They share one budget.
    Message,
    /// `getChatMember`, `getChat`: 100 calls/s.
    Lookup,
    /// `deleteMessages`: 100 calls/s.
    Deletion,
    /// `restrictChatMember`, `banChatMember`: 100 calls/s.
    Restriction,
    /// `answerCallbackQuery`: 100 calls/s.
    Answer,
}

/// The limiter's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Go, within `valid_for` of having asked; after that throw it away and ask again.
    Granted {
        /// Counted from the moment of asking.
        valid_for: Duration,
    },
    /// Not now; ask again in `retry_in`.
    Denied {
        /// Until a grant is possible for this chat and budget.
        retry_in: Duration,
        /// Whether it is this chat's own budget or pause that denies, so that other chats may go first.
        chat_bound: bool,
    },
}

/// The port; one limiter per bot.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Asks for one call. The global and the chat's budget are taken together or not at all. Cancellation may waste
    /// one grant.
    ///
    /// # Errors
    /// [`LimiterError`]: messages must wait; other calls may go on without a permit.
    async fn ask(&self, budget: Budget, chat: Option<ChatId>) -> Result<Permit, LimiterError>;

    /// Telegram said 429: nobody calls this chat (`None`: anything) for so long. A shorter pause never ends a longer one.
    ///
    /// # Errors
    /// [`LimiterError`]: the pause is known to this process only.
    async fn pause(&self, chat: Option<ChatId>, for_: Duration) -> Result<(), LimiterError>;
}
