//! Intents: the keyed outbox, written in the transaction that wrote the facts.
//!
//! A **state** intent says only *look at this key*: whoever claims it decides again from the facts. It is made again at
//! every fact, so that a result can only ever end what was wanted when it was claimed. An **effect** happens once; what
//! is left of it for 48 h is a tombstone, so that a redelivered update does not repeat it.

mod payload;

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, MessageId, UserId};
pub use payload::{About, Answered, Command, Greeting, Key, KeyDoes, Notice, Press, Reply, SenderMessage, Work};
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
    /// State: grant the person's request to be let in, if the facts still ask for it.
    Admit {
        /// Where.
        group: ChatId,
        /// Whose.
        user: UserId,
    },
    /// State: find out whether an administrator has added the person (E15).
    Adder {
        /// Where.
        group: ChatId,
        /// Who was added.
        user: UserId,
    },
    /// State: make the group's standing prompt name whoever waits.
    Prompt {
        /// Where.
        group: ChatId,
        /// In which forum topic.
        topic: Option<i64>,
    },
    /// State: make a panel show the settings as they are.
    Panel {
        /// Where.
        chat: ChatId,
        /// Which message.
        message: MessageId,
        /// The row of its buttons.
        row: i64,
    },
    /// State: decide everybody of a chat again, because its settings or our rights there changed.
    Redecide {
        /// Which group or channel.
        chat: ChatId,
        /// Everybody up to this id is done.
        after: UserId,
    },
    /// State: look everybody of a group up again, some at a time, at low priority.
    Recheck(Work),
    /// State: show how many are freed yet whom a group's rule kept muted.
    Release(Work),
    /// State: tell a group's log chat what was done there.
    Log {
        /// Which group.
        group: ChatId,
    },
    /// State: look what a required channel is called, and whether our invite link leads into it.
    Link {
        /// Which.
        chat: ChatId,
    },
    /// State: tell a group that the operator does not have it served, and leave it where that is meant.
    Refuse {
        /// Which group.
        group: ChatId,
        /// Whether it has heard why.
        told: bool,
    },
    /// Effect: do what the button is for, for the presser, and answer.
    Answer(Press),
    /// Effect: delete a message.
    Delete {
        /// Where.
        chat: ChatId,
        /// Which.
        message: MessageId,
    },
    /// Effect: decide about a message in the name of a chat.
    SenderChat(SenderMessage),
    /// State: whether people may write in a group in the name of a chat.
    BanSender {
        /// Where.
        group: ChatId,
        /// In whose name.
        sender: ChatId,
    },
    /// Effect: tell a group or its administrators something.
    Notice(Notice),
    /// Effect: carry out a command and reply.
    Command(Command),
    /// Effect: send a text.
    Reply(Reply),
    /// Effect: tell somebody who asks to be let in what to join first.
    Greet(Greeting),
}

/// Each lane has senders and a budget of its own, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Presses.
    Answers = 0,
    /// Deletions.
    Deletions = 1,
    /// Mutes, releases and answers to requests.
    Restrictions = 2,
    /// Lookups.
    Lookups = 3,
    /// Commands.
    Commands = 4,
    /// Prompts, panels, notices and greetings.
    Messages = 5,
    /// Long work in small steps.
    Jobs = 6,
    /// What long work found to do, and long work that calls Telegram itself: mutes, releases and lookups that nobody waits
    /// for. An intent goes to an urgent lane when it is made again for something that just happened.
    Bulk = 7,
    /// Replies to commands, of which one person alone can ask for as many as a group takes messages.
    Replies = 8,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Answers,
        Self::Deletions,
        Self::Restrictions,
        Self::Lookups,
        Self::Commands,
        Self::Messages,
        Self::Jobs,
        Self::Bulk,
        Self::Replies,
    ];

    /// Which part of a budget its calls draw from.
    #[must_use]
    pub const fn urgency(self) -> Urgency {
        match self {
            Self::Bulk => Urgency::Bulk,
            _ => Urgency::Urgent,
        }
    }

    /// Whether somebody waits for what is done in it, so that it is part of a trace: long work would never end one.
    #[must_use]
    pub const fn is_awaited(self) -> bool {
        !matches!(self, Self::Jobs | Self::Bulk)
    }
}

impl Intent {
    /// Its key: there is never more than one intent of a key.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Member { group, user } => format!("member:{group}:{user}"),
            Self::Check { chat, user } => format!("check:{chat}:{user}"),
            Self::Admit { group, user } => format!("admit:{group}:{user}"),
            Self::Adder { group, user } => format!("adder:{group}:{user}"),
            Self::SenderChat(SenderMessage { group, message, .. }) => format!("sender_chat:{group}:{message}"),
            Self::BanSender { group, sender } => format!("ban_sender:{group}:{sender}"),
            Self::Notice(Notice { group, about, since_ms }) => format!("notice:{group}:{}:{since_ms}", about.word()),
            Self::Greet(Greeting { group, user, date, .. }) => format!("greet:{group}:{user}:{date}"),
            Self::Prompt { group, topic } => format!("prompt:{group}:{}", topic.unwrap_or_default()),
            Self::Panel { chat, message, .. } => format!("panel:{chat}:{message}"),
            Self::Redecide { chat, .. } => format!("redecide:{chat}"),
            Self::Recheck(work) => format!("recheck:{}", work.chat),
            Self::Release(work) => format!("release:{}", work.chat),
            Self::Log { group } => format!("log:{group}"),
            Self::Link { chat } => format!("link:{chat}"),
            Self::Refuse { group, .. } => format!("refuse:{group}"),
            Self::Answer(press) => format!("{}{}", answer_key(press.group), press.update_id),
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
            | Self::Admit { group: chat, .. }
            | Self::Adder { group: chat, .. }
            | Self::SenderChat(SenderMessage { group: chat, .. })
            | Self::BanSender { group: chat, .. }
            | Self::Notice(Notice { group: chat, .. })
            | Self::Greet(Greeting { reach: chat, .. })
            | Self::Check { chat, .. }
            | Self::Prompt { group: chat, .. }
            | Self::Panel { chat, .. }
            | Self::Redecide { chat, .. }
            | Self::Recheck(Work { chat, .. })
            | Self::Release(Work { chat, .. })
            | Self::Log { group: chat }
            | Self::Link { chat }
            | Self::Refuse { group: chat, .. }
            | Self::Delete { chat, .. }
            | Self::Command(Command { chat, .. })
            | Self::Reply(Reply { chat, .. }) => Some(*chat),
            Self::Answer(_) => None,
        }
    }

    /// The person by whom it is found.
    #[must_use]
    pub const fn person(&self) -> Option<UserId> {
        match self {
            Self::Member { user, .. }
            | Self::Check { user, .. }
            | Self::Admit { user, .. }
            | Self::Adder { user, .. }
            | Self::Answer(Press { user, .. }) => Some(*user),
            _ => None,
        }
    }

    /// Whether it only marks a key to be looked at.
    #[must_use]
    pub fn is_state(&self) -> bool {
        is_state_kind(self.kind())
    }

    /// Who carries it out.
    #[must_use]
    pub const fn lane(&self, urgency: Urgency) -> Lane {
        match self {
            Self::Member { .. } | Self::Check { .. } | Self::Admit { .. } | Self::Adder { .. } | Self::Link { .. }
                if matches!(urgency, Urgency::Bulk) =>
            {
                Lane::Bulk
            }
            Self::Answer(_) => Lane::Answers,
            Self::Delete { .. } => Lane::Deletions,
            Self::Member { .. } | Self::Admit { .. } | Self::BanSender { .. } => Lane::Restrictions,
            Self::Check { .. } | Self::Adder { .. } | Self::SenderChat(_) | Self::Link { .. } => Lane::Lookups,
            Self::Command(_) => Lane::Commands,
            Self::Prompt { .. } | Self::Panel { .. } | Self::Refuse { .. } | Self::Greet(_) | Self::Notice(_) => {
                Lane::Messages
            }
            // What tells how far a release is does not stand behind those who are to be released.
            Self::Reply(_) | Self::Release(_) => Lane::Replies,
            Self::Redecide { .. } => Lane::Jobs,
            Self::Recheck(_) | Self::Log { .. } => Lane::Bulk,
        }
    }

    /// For metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Member { .. } => "member",
            Self::Check { .. } => "check",
            Self::Admit { .. } => "admit",
            Self::Adder { .. } => "adder",
            Self::SenderChat(_) => "sender_chat",
            Self::BanSender { .. } => "ban_sender",
            Self::Notice(_) => "notice",
            Self::Greet(_) => "greet",
            Self::Prompt { .. } => "prompt",
            Self::Panel { .. } => "panel",
            Self::Redecide { .. } => "redecide",
            Self::Recheck(_) => "recheck",
            Self::Release(_) => "release",
            Self::Log { .. } => "log",
            Self::Link { .. } => "link",
            Self::Refuse { .. } => "refuse",
            Self::Answer(_) => "answer",
            Self::Delete { .. } => "delete",
            Self::Command(_) => "command",
            Self::Reply(_) => "reply",
        }
    }
}

/// Whether `key` is that of an intent that only marks it to be looked at: keys begin with the kind.
#[must_use]
pub fn is_state_key(key: &str) -> bool {
    key.split_once(':').is_some_and(|(kind, _)| is_state_kind(kind))
}

fn is_state_kind(kind: &str) -> bool {
    KINDS[..STATES].contains(&kind)
}

/// Every [`Intent::kind`]; first those of intents that only mark a key to be looked at.
pub const KINDS: [&str; 20] = [
    "member",
    "check",
    "admit",
    "adder",
    "ban_sender",
    "prompt",
    "panel",
    "redecide",
    "recheck",
    "release",
    "log",
    "link",
    "refuse",
    "answer",
    "delete",
    "sender_chat",
    "notice",
    "command",
    "reply",
    "greet",
];
/// How many those are.
const STATES: usize = 13;

/// What the keys of presses in a group begin with; their update's number follows.
#[must_use]
pub fn answer_key(group: ChatId) -> String {
    format!("answer:{group}:")
}

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

    /// One for which nobody waits.
    #[must_use]
    pub const fn bulk(intent: Intent, not_before_ms: i64) -> Self {
        Self { intent, not_before_ms, urgency: Urgency::Bulk }
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
    /// The newest recorded trace behind it; empty where there is none.
    pub traceparent: String,
    /// The recorded traces before that, newest first, separated by blanks.
    pub trace_links: String,
}

/// What becomes of a claimed intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done. A newer generation stays and is due at once.
    Done,
    /// A step is done and this is what remains, due at once. A newer generation begins anew.
    Continue(Box<Intent>),
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
