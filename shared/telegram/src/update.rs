//! The part of an update that Nezuko reads, decoded so that nothing unknown fails it.
//!
//! `frankenstein::updates::Update` loses the whole update over an unknown kind, chat type or member status and over
//! fields that older Bot API servers do not send; these types name only what is needed and take everything else as it comes.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use thiserror::Error;

use crate::{
    ids::{ChatId, MessageId, UpdateId, UserId},
    member::ChatMember,
};

/// A decoded update.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Telegram's number for it.
    pub id: UpdateId,
    /// What it tells.
    pub kind: UpdateKind,
}

/// What an update tells, as far as Nezuko acts on it.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateKind {
    /// A message in a group or a private chat.
    Message(Box<Message>),
    /// *I have joined* or another button was pressed.
    CallbackQuery(CallbackQuery),
    /// Somebody's standing in a chat changed.
    ChatMember(ChatMemberUpdated),
    /// The bot's own standing in a chat changed.
    MyChatMember(ChatMemberUpdated),
    /// A kind that Nezuko does nothing about, or that nobody knew yet.
    Other,
}

/// Why bytes are no update.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON, no `update_id`, or a known kind without its required fields. The text names the field, never the content.
    #[error("not a Telegram update: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Decodes one update as Telegram's webhook delivers it.
///
/// # Errors
/// [`DecodeError`] where the bytes are not JSON, have no `update_id`, or lack what a kind we act on always has.
pub fn parse_update(bytes: &[u8]) -> Result<Update, DecodeError> {
    #[derive(Deserialize)]
    struct Wire {
        update_id: UpdateId,
        message: Option<Box<Message>>,
        callback_query: Option<CallbackQuery>,
        chat_member: Option<ChatMemberUpdated>,
        my_chat_member: Option<ChatMemberUpdated>,
    }
    let wire: Wire = serde_json::from_slice(bytes)?;
    let kind = if let Some(message) = wire.message {
        UpdateKind::Message(message)
    } else if let Some(query) = wire.callback_query {
        UpdateKind::CallbackQuery(query)
    } else if let Some(change) = wire.chat_member {
        UpdateKind::ChatMember(change)
    } else if let Some(change) = wire.my_chat_member {
        UpdateKind::MyChatMember(change)
    } else {
        UpdateKind::Other
    };
    Ok(Update { id: wire.update_id, kind })
}

/// A person or a bot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Whether it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// As the person wrote it: hostile until escaped. Empty for deleted accounts.
    #[serde(default)]
    pub first_name: String,
    /// As the person wrote it.
    #[serde(default)]
    pub last_name: Option<String>,
    /// Without the `@`.
    #[serde(default)]
    pub username: Option<String>,
}

/// The kinds of chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChatKind {
    /// A private chat.
    Private,
    /// A basic group, in which nobody can be restricted.
    Group,
    /// A supergroup.
    Supergroup,
    /// A channel.
    Channel,
    /// A kind that nobody knew yet.
    #[default]
    Unknown,
}

impl ChatKind {
    /// Telegram's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
            Self::Unknown => "unknown",
        }
    }

    /// The kind with Telegram's word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "private" => Self::Private,
            "group" => Self::Group,
            "supergroup" => Self::Supergroup,
            "channel" => Self::Channel,
            _ => Self::Unknown,
        }
    }

    /// Whether people talk to each other in it.
    #[must_use]
    pub const fn is_group(self) -> bool {
        matches!(self, Self::Group | Self::Supergroup)
    }
}

impl<'de> Deserialize<'de> for ChatKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_word(&String::deserialize(deserializer)?))
    }
}

/// A chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// Which.
    pub id: ChatId,
    /// What kind.
    #[serde(rename = "type", default)]
    pub kind: ChatKind,
    /// As its owners wrote it: hostile until escaped.
    #[serde(default)]
    pub title: Option<String>,
    /// Without the `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// The bot's own or the primary invite link; only in `getChat`.
    #[serde(default)]
    pub invite_link: Option<String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Which, inside its chat.
    pub message_id: MessageId,
    /// The forum topic it is in.
    pub thread: Option<i64>,
    /// Who sent it; missing in channels.
    pub from: Option<User>,
    /// The channel or group in whose name it was sent.
    pub sender_chat: Option<Chat>,
    /// Where.
    pub chat: Chat,
    /// When, Unix seconds.
    pub date: i64,
    /// Text or caption.
    pub text: Option<String>,
    /// An automatic forward from the linked channel (E1).
    pub is_automatic_forward: bool,
    /// A note by Telegram about the chat (somebody joined, the title changed …), not something a person wrote (E61).
    pub is_service: bool,
    /// In a basic group: the supergroup that it has become (E79).
    pub migrate_to: Option<ChatId>,
    /// In a supergroup: the basic group that it was (E79).
    pub migrate_from: Option<ChatId>,
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireMessage::deserialize(deserializer)?;
        let is_service = wire.is_service();
        Ok(Self {
            message_id: wire.message_id,
            thread: if wire.is_topic_message { wire.message_thread_id } else { None },
            from: wire.from,
            sender_chat: wire.sender_chat,
            chat: wire.chat,
            date: wire.date,
            text: wire.text.or(wire.caption),
            is_automatic_forward: wire.is_automatic_forward,
            is_service,
            migrate_to: wire.migrate_to_chat_id,
            migrate_from: wire.migrate_from_chat_id,
        })
    }
}

macro_rules! wire_message {
    ($($service:ident)*) => {
        #[derive(Deserialize)]
        struct WireMessage {
            message_id: MessageId,
            message_thread_id: Option<i64>,
            #[serde(default)]
            is_topic_message: bool,
            from: Option<User>,
            sender_chat: Option<Chat>,
            chat: Chat,
            date: i64,
            text: Option<String>,
            caption: Option<String>,
            #[serde(default)]
            is_automatic_forward: bool,
            migrate_to_chat_id: Option<ChatId>,
            migrate_from_chat_id: Option<ChatId>,
            $($service: Option<IgnoredAny>,)*
        }

        impl WireMessage {
            fn is_service(&self) -> bool {
                self.migrate_to_chat_id.is_some() || self.migrate_from_chat_id.is_some() $(|| self.$service.is_some())*
            }
        }
    };
}

// Bot API 10.3, "Message": the fields that only service messages carry, but for the two about migration.
wire_message! {
    new_chat_members left_chat_member new_chat_title new_chat_photo delete_chat_photo group_chat_created
    supergroup_chat_created channel_chat_created message_auto_delete_timer_changed pinned_message
    successful_payment refunded_payment users_shared chat_shared gift unique_gift
    connected_website write_access_allowed proximity_alert_triggered boost_added chat_background_set
    checklist_tasks_done checklist_tasks_added direct_message_price_changed forum_topic_created forum_topic_edited
    forum_topic_closed forum_topic_reopened general_forum_topic_hidden general_forum_topic_unhidden giveaway_created
    giveaway_completed paid_message_price_changed video_chat_scheduled video_chat_started video_chat_ended
    video_chat_participants_invited web_app_data
}

/// A message that is only pointed at: it may be gone or too old for Telegram to show (E71).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MessageRef {
    /// Which.
    pub message_id: MessageId,
    /// Where.
    pub chat: Chat,
}

/// A press on an inline button.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CallbackQuery {
    /// What `answerCallbackQuery` wants back.
    pub id: String,
    /// Who pressed.
    pub from: User,
    /// The message with the button.
    #[serde(default)]
    pub message: Option<MessageRef>,
    /// The button's data, at most 64 bytes; anybody can forge it.
    #[serde(default)]
    pub data: Option<String>,
}

/// A change of somebody's standing in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChatMemberUpdated {
    /// Where.
    pub chat: Chat,
    /// Who did it.
    pub from: User,
    /// When, Unix seconds.
    pub date: i64,
    /// Before.
    pub old_chat_member: ChatMember,
    /// After.
    pub new_chat_member: ChatMember,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(chat: i64, extra: &str) -> Message {
        let update = format!(
            r#"{{"update_id":7,"message":{{"message_id":153,"date":1731694471,
                "chat":{{"id":{chat},"type":"group","title":"G"}},
                "from":{{"id":5,"is_bot":false,"first_name":"Ann"}}{extra}}}}}"#
        );
        match parse_update(update.as_bytes()).expect("an update").kind {
            UpdateKind::Message(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_group_that_becomes_a_supergroup_names_the_new_id() {
        let note = message(-4_518, r#","migrate_to_chat_id":-1002471352452"#);
        assert_eq!((note.migrate_to, note.migrate_from), (Some(ChatId(-1_002_471_352_452)), None));
        assert!(note.is_service);
    }

    #[test]
    fn the_supergroup_names_the_old_id() {
        let note = message(-1_002_471_352_452, r#","migrate_from_chat_id":-4518"#);
        assert_eq!((note.migrate_to, note.migrate_from), (None, Some(ChatId(-4_518))));
        assert!(note.is_service);
    }

    #[test]
    fn what_a_person_writes_names_neither() {
        let written = message(-4_518, r#","text":"migrate_to_chat_id""#);
        assert_eq!((written.migrate_to, written.migrate_from, written.is_service), (None, None, false));
    }
}
