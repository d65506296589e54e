//! The limiter of what a bot may send: at most 30 messages in any second over all workers together, and per chat what
//! Telegram allows there.
//!
//! A sliding log of the last 30 grants over `W = 1 s + δ + J`, grants spaced `W/30` under backlog. A grant is good only
//! for δ counted from when the caller *asked*; J covers what happens between us and Telegram.
//!
//! Urgent calls go before bulk, which waits while one of them does; of what is not spaced as much is kept free of bulk as
//! urgent calls took lately. A tenth is bulk's in any case.

pub mod memory;
pub mod redis;

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

/// Sends and edits in any second, over all chats.
const MESSAGES_PER_SECOND: u32 = 30;

/// Sends and edits in any minute to one group or channel. To any one chat there is one in a second besides.
const MESSAGES_PER_MINUTE_IN_A_GROUP: u32 = 20;

/// Calls in any second of every other budget.
const CALLS_PER_SECOND: u32 = 100;

impl Budget {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Message, Self::Lookup, Self::Deletion, Self::Restriction, Self::Answer];

    const fn per_second(self) -> u32 {
        match self {
            Self::Message => MESSAGES_PER_SECOND,
            Self::Lookup | Self::Deletion | Self::Restriction | Self::Answer => CALLS_PER_SECOND,
        }
    }

    /// As a part of keys and as a label of metrics; never to be changed while programs of two versions run side by side.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Lookup => "lookup",
            Self::Deletion => "deletion",
            Self::Restriction => "restriction",
            Self::Answer => "answer",
        }
    }
}

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Urgency {
    /// What just happened: somebody came, wrote, pressed or commanded.
    Urgent,
    /// Long work over many people. It takes what urgent calls leave, and a tenth of the budget in any case.
    Bulk,
}

impl Urgency {
    /// As a label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Bulk => "bulk",
        }
    }
}

/// What bulk gets of a budget at least, as a share of it.
const BULK_SHARE: f64 = 0.1;

/// What is kept from bulk even if nothing urgent was asked for lately, as a share of a budget.
const LEAST_RESERVE: f64 = 1.0 / 30.0;

/// Groups and channels have negative ids, persons positive ones.
const fn is_group(chat: ChatId) -> bool {
    chat.0 < 0
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterSettings {
    /// J: by how much one call may be held up more than another between us and Telegram. With the default of 150 ms
    /// some 25 messages a second remain of Telegram's 30, without any 29.
    pub jitter: Duration,
    /// How long no message is sent after another Redis server took over, since the old one may go on granting until
    /// it notices: at least its `min-replicas-max-lag`, whose default is 10 s too.
    pub failover_silence: Duration,
}

impl Default for LimiterSettings {
    fn default() -> Self {
        Self { jitter: Duration::from_millis(150), failover_silence: Duration::from_secs(10) }
    }
}

/// The limiter's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Go; a message within `valid_for` of having asked, after that throw it away and ask again.
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
    /// Asks for one call; `chat` is the one that it acts in, if any. The global and the chat's budget are taken together
    /// or not at all. Cancellation may waste one grant.
    ///
    /// # Errors
    /// [`LimiterError`]: messages must wait; other calls may go on without a permit.
    async fn ask(&self, budget: Budget, urgency: Urgency, chat: Option<ChatId>) -> Result<Permit, LimiterError>;

    /// Telegram said 429 to a call of `budget`: nobody calls this chat (`None`: anything) for so long. Where two chats
    /// meet it within a second it is the bot that is paused, for the shorter of both. A shorter pause never ends a
    /// longer one. Every budget but that of messages is halved besides, once for all calls that were on their way, and
    /// grows by a tenth a minute again.
    ///
    /// # Errors
    /// [`LimiterError`]: others do not know of the pause.
    async fn pause(&self, budget: Budget, chat: Option<ChatId>, for_: Duration) -> Result<Paused, LimiterError>;
}

/// What a 429 has paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// One chat.
    Chat,
    /// Every call of the bot.
    Bot,
}

impl Paused {
    /// As a label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Bot => "bot",
        }
    }
}
