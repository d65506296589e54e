//! What intents carry with them.

use nezuko_telegram::{ChatId, MessageId, UpdateId, UserId};
use serde::{Deserialize, Serialize};

use super::Intent;
use crate::{buttons::Button, settings::Language};

/// A message in the name of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderMessage {
    /// Where.
    pub group: ChatId,
    /// In whose name.
    pub sender: ChatId,
    /// Which.
    pub message: MessageId,
    /// In which forum topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<i64>,
}

/// Something that a group or its administrators are told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Of which group.
    pub group: ChatId,
    /// What about.
    pub about: About,
    /// Since when it is so, Unix milliseconds.
    pub since_ms: i64,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The bot was added: what it does, how to begin, what it lacks (E76).
    Arrival,
    /// The bot lacks rights, so that a rule sleeps (E43).
    Rights,
    /// So many come that they are only counted (E98).
    Raid,
    /// Nothing was heard for so long that requests to be let in may be lost (E26).
    MissedRequests,
    /// Whoever writes in the name of a channel has their messages deleted (E5): to everybody, in this topic.
    NotAsChannel {
        /// The topic; `None`: the general one.
        topic: Option<i64>,
    },
}

impl About {
    /// Whether it goes to the group's log chat, where there is one: who adds the bot is in the group, and who writes.
    pub(crate) const fn is_for_admins(self) -> bool {
        !matches!(self, Self::Arrival | Self::NotAsChannel { .. })
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Rights => "rights",
            Self::Raid => "raid",
            Self::MissedRequests => "missed_requests",
            Self::NotAsChannel { .. } => "not_as_channel",
        }
    }
}

/// What is told to somebody who asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Where they want in.
    pub group: ChatId,
    /// Who.
    pub user: UserId,
    /// When they asked, Unix seconds.
    pub date: i64,
    /// Where a message reaches them.
    pub reach: ChatId,
}

/// Long work over the people of a group, and the message that tells how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Which group.
    pub chat: ChatId,
    /// Everybody up to this id is done.
    pub after: UserId,
    /// How many those are.
    pub done: i64,
    /// How many there were at the beginning.
    pub total: i64,
    /// The message; 0: none is known.
    pub message: MessageId,
    /// When it was last edited, Unix milliseconds.
    pub shown_ms: i64,
    /// When the work began, Unix milliseconds.
    pub began_ms: i64,
    /// How often the next one was tried in vain.
    #[serde(default)]
    pub tries: u32,
    /// How many of those who are done could not be looked up.
    #[serde(default)]
    pub failed: i64,
}

impl Work {
    /// The work on `total` people of `chat` that begins now (Unix milliseconds).
    #[must_use]
    pub const fn begins(chat: ChatId, total: i64, now_ms: i64) -> Self {
        let (after, message) = (UserId(0), MessageId(0));
        Self { chat, after, done: 0, total, message, shown_ms: now_ms, began_ms: now_ms, tries: 0, failed: 0 }
    }
}

/// A press on a button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    /// The update that brought it.
    pub update_id: UpdateId,
    /// What `answerCallbackQuery` wants back.
    pub callback: String,
    /// Which button it was, read from its data in the chat that it was pressed in; `None`: none of ours.
    #[serde(default)]
    pub button: Option<Button>,
    /// The chat of the message with the button.
    pub group: ChatId,
    /// Who pressed: the only one whom the press can free (E67).
    pub user: UserId,
    /// The presser's language.
    #[serde(default)]
    pub language: Language,
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
    /// The language of who gave it.
    #[serde(default)]
    pub language: Language,
    /// The message that it was given as a reply to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Answered>,
    /// When it reached us, Unix milliseconds.
    pub received_ms: i64,
}

/// A message that somebody has replied to with a command, as far as commands are about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Who wrote it, and what they are called; nobody where it was written in the name of a chat.
    pub writer: Option<(UserId, String)>,
    /// The chat in whose name it was written, and its title.
    pub sender_chat: Option<(ChatId, String)>,
    /// The channel that it was forwarded from.
    pub forwarded_from: Option<ChatId>,
    /// What it says.
    pub text: Option<String>,
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
    /// The rows of buttons under it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyboard: Vec<Vec<Key>>,
    /// For so long both messages stand, the answered one and the reply (milliseconds); `None`: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_ms: Option<i64>,
    /// After this nobody waits for it any more (Unix milliseconds); `None`: it is sent, however late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What begins when it is sent, and tells in it how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Intent>>,
}

/// A button under a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What stands on it.
    pub label: String,
    /// What it does.
    pub does: KeyDoes,
}

/// What a button under a message does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDoes {
    /// Opens an address.
    Open(String),
    /// Sends this to us.
    Send(String),
}
