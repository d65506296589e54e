//! The part of an update that Nezuko reads, decoded so that nothing unknown fails it.
//!
//! `frankenstein::updates::Update` loses the whole update over an unknown kind, chat type or member status and over
//! fields that older Bot API servers do not send; these types name only what is needed and take everything else as it comes.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use thiserror::Error;

use crate::{
    ids::{ChatId, MessageId, UpdateId, UserId},
    member::{ChatMember, Permissions},
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
    /// A message as it reads now.
    EditedMessage(Box<Message>),
    /// Somebody asks to be let into a chat.
    JoinRequest(JoinRequest),
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
        edited_message: Option<Box<Message>>,
        chat_join_request: Option<JoinRequest>,
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
    } else if let Some(message) = wire.edited_message {
        UpdateKind::EditedMessage(message)
    } else if let Some(request) = wire.chat_join_request {
        UpdateKind::JoinRequest(request)
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
    /// The language of their application (IETF tag), where Telegram tells it.
    #[serde(default)]
    pub language_code: Option<String>,
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
    /// The channel that comments in this group belong to, or the other way round; only in `getChat`.
    #[serde(default)]
    pub linked_chat_id: Option<ChatId>,
    /// What everybody may do in this group; only in `getChat`.
    #[serde(default)]
    pub permissions: Option<Permissions>,
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
    /// When it was last edited, Unix seconds.
    pub edited: Option<i64>,
    /// Whether a bot made it for its sender, and may edit it (E8, E58).
    pub via_bot: bool,
    /// Its text; a caption is none.
    pub text: Option<String>,
    /// Whether somebody has only passed it on.
    pub is_forwarded: bool,
    /// An automatic forward from the linked channel (E1).
    pub is_automatic_forward: bool,
    /// A note by Telegram about the chat (somebody joined, the title changed …), not something a person wrote (E61).
    pub is_service: bool,
    /// A business, guest or offline message, which is none of the group's life (E65).
    pub is_detached: bool,
    /// What is shared by the messages of one album.
    pub album: Option<String>,
    /// The message that this one answers, where it is in the same chat.
    pub reply_to: Option<Box<RepliedTo>>,
    /// Who came in, where this is a note about that; big groups get none (E13).
    pub new_members: Vec<User>,
    /// Who left, where this is a note about that.
    pub left_member: Option<User>,
    /// What the chat is called now, where this is a note about that.
    pub new_title: Option<String>,
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
            edited: wire.edit_date,
            via_bot: wire.via_bot.is_some(),
            text: wire.text,
            is_forwarded: wire.forward_origin.is_some(),
            is_automatic_forward: wire.is_automatic_forward,
            is_service,
            is_detached: wire.business_connection_id.is_some() || wire.guest_query_id.is_some() || wire.is_from_offline,
            album: wire.media_group_id,
            reply_to: wire.reply_to_message,
            new_members: wire.new_chat_members.unwrap_or_default(),
            left_member: wire.left_chat_member,
            new_title: wire.new_chat_title,
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
            edit_date: Option<i64>,
            via_bot: Option<IgnoredAny>,
            text: Option<String>,
            #[serde(default)]
            is_automatic_forward: bool,
            #[serde(default)]
            is_from_offline: bool,
            business_connection_id: Option<IgnoredAny>,
            guest_query_id: Option<IgnoredAny>,
            media_group_id: Option<String>,
            forward_origin: Option<ForwardOrigin>,
            reply_to_message: Option<Box<RepliedTo>>,
            new_chat_members: Option<Vec<User>>,
            left_chat_member: Option<User>,
            new_chat_title: Option<String>,
            migrate_to_chat_id: Option<ChatId>,
            migrate_from_chat_id: Option<ChatId>,
            $($service: Option<IgnoredAny>,)*
        }

        impl WireMessage {
            fn is_service(&self) -> bool {
                let note = self.migrate_to_chat_id.or(self.migrate_from_chat_id).is_some();
                note || self.new_chat_title.is_some() || self.new_chat_members.is_some() || self.left_chat_member.is_some() $(|| self.$service.is_some())*
            }
        }
    };
}

// Bot API 10.3, "Message": the fields that only service messages carry, but for those that are read.
wire_message! {
    new_chat_photo delete_chat_photo group_chat_created
    supergroup_chat_created channel_chat_created message_auto_delete_timer_changed pinned_message
    successful_payment refunded_payment users_shared chat_shared gift unique_gift
    connected_website write_access_allowed proximity_alert_triggered boost_added chat_background_set
    checklist_tasks_done checklist_tasks_added direct_message_price_changed forum_topic_created forum_topic_edited
    forum_topic_closed forum_topic_reopened general_forum_topic_hidden general_forum_topic_unhidden giveaway_created
    giveaway_completed paid_message_price_changed video_chat_scheduled video_chat_started video_chat_ended
    video_chat_participants_invited web_app_data chat_owner_left chat_owner_changed community_chat_added
    community_chat_joined community_chat_removed poll_option_added poll_option_deleted gift_upgrade_sent
    managed_bot_created passport_data suggested_post_approved suggested_post_approval_failed suggested_post_declined
    suggested_post_paid suggested_post_refunded
}

/// A message that another one answers, as far as commands are about it.
#[derive(Clone, Debug, PartialEq)]
pub struct RepliedTo {
    /// Which.
    pub message_id: MessageId,
    /// Who sent it.
    pub from: Option<User>,
    /// The channel or group in whose name it was sent.
    pub sender_chat: Option<Chat>,
    /// Its text.
    pub text: Option<String>,
    /// Where it was forwarded from, if it was.
    pub origin: Option<ForwardOrigin>,
    /// A note by Telegram, which nobody wrote. Each message of a forum topic that answers no other one answers the note that
    /// the topic was created.
    pub is_service: bool,
}

impl<'de> Deserialize<'de> for RepliedTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireMessage::deserialize(deserializer)?;
        Ok(Self {
            is_service: wire.is_service(),
            message_id: wire.message_id,
            from: wire.from,
            sender_chat: wire.sender_chat,
            text: wire.text,
            origin: wire.forward_origin,
        })
    }
}

/// Where a message was forwarded from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ForwardOrigin {
    /// The channel, where it came from one.
    #[serde(default)]
    pub chat: Option<Chat>,
}

/// Somebody asks to be let into a chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct JoinRequest {
    /// Into which.
    pub chat: Chat,
    /// Who.
    pub from: User,
    /// Where a message reaches them for five minutes, if they have never spoken to the bot; older servers do not tell.
    #[serde(default)]
    pub user_chat_id: Option<ChatId>,
    /// When, Unix seconds.
    pub date: i64,
}

/// A message that is only pointed at: it may be gone or too old for Telegram to show (E71).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MessageRef {
    /// Which.
    pub message_id: MessageId,
    /// Where.
    pub chat: Chat,
    /// The forum topic or the thread it is in.
    #[serde(default)]
    pub message_thread_id: Option<i64>,
    /// Whether that is a forum topic.
    #[serde(default)]
    pub is_topic_message: bool,
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
    /// Whether somebody came in by a request that an administrator granted.
    #[serde(default)]
    pub via_join_request: bool,
    /// The link by which somebody came in, where Telegram tells (E18).
    #[serde(default)]
    pub invite_link: Option<InviteLink>,
}

/// An invite link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InviteLink {
    /// Its address; of other administrators' links the end is hidden.
    pub invite_link: String,
    /// Whether it leads in no more.
    #[serde(default)]
    pub is_revoked: bool,
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
