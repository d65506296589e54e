//! Chats and the messages that stand in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ids::{ChatId, MessageId, UserId},
    invites::Link,
    member::{Member, Permissions},
};

/// The kinds of chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// With one person.
    Private,
    /// A basic group, in which nobody can be restricted (E41).
    Group,
    /// A supergroup.
    Supergroup,
    /// A channel.
    Channel,
}

impl ChatKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
        }
    }

    /// Whether people talk to each other in it.
    #[must_use]
    pub const fn is_group(self) -> bool {
        matches!(self, Self::Group | Self::Supergroup)
    }
}

/// A chat as a scenario founds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSpec {
    /// Which.
    pub id: ChatId,
    /// What kind.
    pub kind: ChatKind,
    /// Its title.
    pub title: String,
    /// Without the `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// The channel whose posts come into this group, or the group that a channel's posts go to.
    #[serde(default)]
    pub linked: Option<ChatId>,
    /// Whether people may write here without joining, as in a channel's public comments (E11).
    #[serde(default)]
    pub open_to_outsiders: bool,
    /// Whether service messages tell of joins and leaves; big groups have none (E13).
    #[serde(default)]
    pub announces_joins: bool,
    /// Whether it has topics.
    #[serde(default)]
    pub is_forum: bool,
    /// Whether a group shows its members to administrators alone.
    #[serde(default)]
    pub hidden_members: bool,
    /// What everybody may do here.
    #[serde(default = "everything")]
    pub permissions: Permissions,
    /// Who is there at the beginning.
    #[serde(default)]
    pub members: Vec<(UserId, Member)>,
}

const fn everything() -> Permissions {
    Permissions::ALL
}

impl ChatSpec {
    /// A chat without members, links or peculiarities.
    #[must_use]
    pub fn new(id: ChatId, kind: ChatKind, title: &str) -> Self {
        Self {
            id,
            kind,
            title: title.to_owned(),
            username: None,
            linked: None,
            open_to_outsiders: false,
            announces_joins: kind == ChatKind::Group,
            is_forum: false,
            hidden_members: false,
            permissions: Permissions::ALL,
            members: Vec::new(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut chat = json!({"id": self.id, "type": self.kind.word()});
        let name = if self.kind == ChatKind::Private { "first_name" } else { "title" };
        chat[name] = json!(self.title);
        if let Some(username) = &self.username {
            chat["username"] = json!(username);
        }
        if self.is_forum {
            chat["is_forum"] = json!(true);
        }
        chat
    }

    pub(super) fn to_full_json(&self, invites: bool) -> Value {
        let mut chat = self.to_json();
        chat["accent_color_id"] = json!(0);
        chat["max_reaction_count"] = json!(11);
        if self.kind.is_group() {
            let mut permissions = serde_json::Map::new();
            self.permissions.write_to(&mut permissions);
            chat["permissions"] = Value::Object(permissions);
        }
        if let Some(linked) = self.linked {
            chat["linked_chat_id"] = json!(linked);
        }
        if invites {
            chat["invite_link"] = json!(format!("https://t.me/+invite{}", self.id.0.unsigned_abs()));
        }
        chat
    }
}

/// A message that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which, inside its chat.
    pub id: MessageId,
    /// The topic it is in.
    pub thread: Option<i64>,
    /// Who sent it.
    pub from: UserId,
    /// In whose name it was sent, if not in the sender's own.
    pub sender_chat: Option<ChatId>,
    /// When it was sent, Unix ms.
    pub at_ms: i64,
    /// Text or caption without markup.
    pub text: String,
    /// The message it replies to.
    pub reply_to: Option<MessageId>,
    /// Its inline keyboard as the bot gave it; null without one.
    pub markup: Value,
    /// The rest of its JSON, as the Bot API shows it.
    pub(super) extra: Value,
}

impl Message {
    /// Its buttons, row by row.
    fn buttons(&self) -> impl Iterator<Item = &Value> {
        let rows = self.markup.get("inline_keyboard").and_then(Value::as_array);
        rows.into_iter().flatten().flat_map(|row| row.as_array().into_iter().flatten())
    }

    /// The data of its first callback button.
    #[must_use]
    pub fn callback_data(&self) -> Option<&str> {
        self.buttons().find_map(|button| button.get("callback_data")?.as_str())
    }

    /// The data of its first callback button with a label that contains this.
    #[must_use]
    pub fn data_of(&self, label: &str) -> Option<&str> {
        let is_labelled = |button: &&Value| button["text"].as_str().is_some_and(|text| text.contains(label));
        self.buttons().filter(is_labelled).find_map(|button| button.get("callback_data")?.as_str())
    }

    /// The label of its button that carries this data.
    pub(super) fn label_of(&self, data: &str) -> Option<&str> {
        self.buttons().find(|button| button["callback_data"].as_str() == Some(data))?["text"].as_str()
    }

    /// Where its buttons lead to that open an address.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.buttons().filter_map(|button| button.get("url")?.as_str())
    }
}

/// A chat with who and what is in it.
#[derive(Clone, Debug)]
pub struct Chat {
    /// What it is.
    pub spec: ChatSpec,
    pub(super) members: BTreeMap<UserId, Member>,
    /// Who last changed each standing, but for the person concerned.
    pub(super) changed_by: BTreeMap<UserId, UserId>,
    pub(super) messages: BTreeMap<MessageId, Message>,
    pub(super) last_message: i64,
    /// In whose name nobody may write here.
    pub(super) banned_senders: BTreeSet<ChatId>,
    /// The topics that were deleted.
    pub(super) gone_topics: BTreeSet<i64>,
    /// The bot's own invite links, oldest first.
    pub(super) links: Vec<Link>,
    /// Who waits to be let in, and since when (Unix ms).
    pub(super) requests: BTreeMap<UserId, i64>,
    /// Private chats only: whether the person has shut the bot out.
    pub(super) blocked: bool,
    /// Private chats only: until when the bot may write to somebody who has never spoken to it (Unix ms).
    pub(super) reachable_until_ms: Option<i64>,
    /// Basic groups only: the supergroup that it has become.
    pub(super) upgraded_to: Option<ChatId>,
}

impl Chat {
    pub(super) fn found(spec: ChatSpec) -> Self {
        let members = spec.members.iter().copied().collect();
        Self {
            spec,
            members,
            changed_by: BTreeMap::new(),
            messages: BTreeMap::new(),
            last_message: 0,
            banned_senders: BTreeSet::new(),
            gone_topics: BTreeSet::new(),
            links: Vec::new(),
            requests: BTreeMap::new(),
            blocked: false,
            reachable_until_ms: None,
            upgraded_to: None,
        }
    }

    /// How somebody stands here now.
    #[must_use]
    pub fn member(&self, user: UserId, now_ms: i64) -> Member {
        self.members.get(&user).copied().unwrap_or(Member::Left).at(now_ms)
    }

    /// Everybody who ever stood here, as they stand now, with who else last changed that.
    pub fn members(&self, now_ms: i64) -> impl Iterator<Item = (UserId, Member, Option<UserId>)> {
        self.members.iter().map(move |(user, m)| (*user, m.at(now_ms), self.changed_by.get(user).copied()))
    }

    /// The messages that stand, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values()
    }

    pub(super) fn next_message(&mut self) -> MessageId {
        self.last_message += 1;
        MessageId(self.last_message)
    }
}
