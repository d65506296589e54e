//! Intents: the keyed outbox, written in the transaction that wrote the facts.
//!
//! A **state** intent says only *look at this key*: whoever claims it decides again from the facts. It is made again at
//! every fact, so that a result can only ever end what was wanted when it was claimed. An **effect** happens once; what
//! is left of it for 48 h is a tombstone, so that a redelivered update does not repeat it.

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, MessageId, UpdateId, UserId};
use serde::{Deserialize, Serialize};

/// Something that a sender is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Intent {
    /// State: mute or release the person, if the facts still ask for it.
    Member {
        /// Where.
        group: ChatId,
        /// Whom.
        user: UserId,
    },
    /// State: look the person up, if somebody still wants to know.
    Check {
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
    },
    /// State: make the group's standing prompt name whoever waits.
    Prompt {
        /// Where.
        group: ChatId,
        /// In which forum topic.
        topic: Option<i64>,
    },
    /// State: decide everybody of a chat again, because its settings or our rights there changed.
    Redecide {
        /// Which group or channel.
        chat: ChatId,
        /// Everybody up to this id is done.
        after: UserId,
    },
    /// Effect: check the presser and answer.
    Answer(Press),
    /// Effect: delete a message.
    Delete {
        /// Where.
        chat: ChatId,
        /// Which.
        message: MessageId,
    },
    /// Effect: carry out a command and reply.
    Command(Command),
    /// Effect: send a text.
    Reply(Reply),
}

/// A press on *I have joined*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    /// What `answerCallbackQuery` wants back.
    pub callback: String,
    /// The group of the prompt.
    pub group: ChatId,
    /// Who pressed: the only one whom the press can free (E67).
    pub user: UserId,
    /// The message with the button; 0 where it was in a basic group that has become a supergroup.
    pub message: MessageId,
    /// When the press reached us, Unix milliseconds.
    pub received_ms: i64,
}

/// A command to the bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The update that brought it.
    pub update_id: UpdateId,
    /// Its first word, without slash and addressee.
    pub name: String,
    /// The bot that it is addressed to, if any (`/help@that_bot`).
    #[serde(default)]
    pub addressee: Option<String>,
    /// What follows it.
    pub arguments: String,
    /// Where.
    pub chat: ChatId,
    /// In which forum topic.
    pub topic: Option<i64>,
    /// The message, to reply to; 0 where it was in a basic group that has become a supergroup.
    pub message: MessageId,
    /// Who gave it.
    pub user: UserId,
    /// When it reached us, Unix milliseconds.
    pub received_ms: i64,
}

/// A text to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The update that it answers.
    pub update_id: UpdateId,
    /// Where.
    pub chat: ChatId,
    /// In which forum topic.
    pub topic: Option<i64>,
    /// The message that it answers; 0 where it was in a basic group that has become a supergroup.
    pub message: MessageId,
    /// HTML.
    pub html: String,
}

/// Each lane has senders and a budget of its own, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Presses.
    Answers = 0,
    /// Deletions.
    Deletions = 1,
    /// Mutes and releases.
    Restrictions = 2,
    /// Lookups.
    Lookups = 3,
    /// Commands.
    Commands = 4,
    /// Prompts and replies.
    Messages = 5,
    /// Long work in small steps.
    Jobs = 6,
    /// What long work found to do: mutes, releases and lookups that nobody waits for. An intent goes to an urgent lane
    /// when it is made again for something that just happened.
    Bulk = 7,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Answers,
        Self::Deletions,
        Self::Restrictions,
        Self::Lookups,
        Self::Commands,
        Self::Messages,
        Self::Jobs,
        Self::Bulk,
    ];

    /// Which part of a budget its calls draw from.
    #[must_use]
    pub const fn urgency(self) -> Urgency {
        match self {
            Self::Bulk => Urgency::Bulk,
            _ => Urgency::Urgent,
        }
    }
}

impl Intent {
    /// Its key: there is never more than one intent of a key.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Member { group, user } => format!("member:{group}:{user}"),
            Self::Check { chat, user } => format!("check:{chat}:{user}"),
            Self::Prompt { group, topic } => format!("prompt:{group}:{}", topic.unwrap_or_default()),
            Self::Redecide { chat, .. } => format!("redecide:{chat}"),
            Self::Answer(press) => format!("answer:{}", press.callback),
            Self::Delete { chat, message } => format!("delete:{chat}:{message}"),
            Self::Command(command) => format!("command:{}", command.update_id),
            Self::Reply(reply) => format!("reply:{}", reply.update_id),
        }
    }

    /// The chat that has to wait if this one has to, if there is any: an answer goes to a person, not to a chat.
    #[must_use]
    pub const fn chat(&self) -> Option<ChatId> {
        match self {
            Self::Member { group: chat, .. }
            | Self::Check { chat, .. }
            | Self::Prompt { group: chat, .. }
            | Self::Redecide { chat, .. }
            | Self::Delete { chat, .. }
            | Self::Command(Command { chat, .. })
            | Self::Reply(Reply { chat, .. }) => Some(*chat),
            Self::Answer(_) => None,
        }
    }

    /// Whether it only marks a key to be looked at.
    #[must_use]
    pub const fn is_state(&self) -> bool {
        matches!(self, Self::Member { .. } | Self::Check { .. } | Self::Prompt { .. } | Self::Redecide { .. })
    }

    /// Who carries it out.
    #[must_use]
    pub const fn lane(&self, urgency: Urgency) -> Lane {
        match self {
            Self::Member { .. } | Self::Check { .. } if matches!(urgency, Urgency::Bulk) => Lane::Bulk,
            Self::Answer(_) => Lane::Answers,
            Self::Delete { .. } => Lane::Deletions,
            Self::Member { .. } => Lane::Restrictions,
            Self::Check { .. } => Lane::Lookups,
            Self::Command(_) => Lane::Commands,
            Self::Prompt { .. } | Self::Reply(_) => Lane::Messages,
            Self::Redecide { .. } => Lane::Jobs,
        }
    }

    /// For metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Member { .. } => "member",
            Self::Check { .. } => "check",
            Self::Prompt { .. } => "prompt",
            Self::Redecide { .. } => "redecide",
            Self::Answer(_) => "answer",
            Self::Delete { .. } => "delete",
            Self::Command(_) => "command",
            Self::Reply(_) => "reply",
        }
    }
}

/// Every [`Intent::kind`].
pub const KINDS: [&str; 8] = ["member", "check", "prompt", "redecide", "answer", "delete", "command", "reply"];

/// An intent to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// What.
    pub intent: Intent,
    /// Not before this, Unix milliseconds.
    pub not_before_ms: i64,
    /// Whether somebody waits for it, or it is one of many of a long work.
    pub urgency: Urgency,
}

impl Put {
    /// An intent for what just happened.
    #[must_use]
    pub const fn urgent(intent: Intent, not_before_ms: i64) -> Self {
        Self { intent, not_before_ms, urgency: Urgency::Urgent }
    }
}

/// An intent in a sender's hands.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What to do.
    pub intent: Intent,
    /// Whether it was urgent when it was claimed.
    pub urgency: Urgency,
    /// The generation that was claimed; a result ends no other.
    pub generation: i64,
    /// Which claim of this key this is; only its holder may settle.
    pub claim: i64,
    /// How often it was tried without success.
    pub attempts: i64,
    /// The correlation id of the newest update behind it.
    pub trace_id: String,
}

/// What becomes of a claimed intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done. A newer generation stays and is due at once.
    Done,
    /// A step is done and this is what remains, due at once. A newer generation begins anew.
    Continue(Intent),
    /// Not yet, and not for a failure: a limiter, a cool-down, a 429. A newer generation is due at once.
    Wait {
        /// Unix milliseconds.
        not_before_ms: i64,
    },
    /// It failed: again, not before this (Unix milliseconds). A newer generation is due at once.
    Retry {
        /// Unix milliseconds.
        not_before_ms: i64,
    },
}
