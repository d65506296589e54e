//! How somebody stands in a chat, with Telegram's statuses and their JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::people::Person;

/// The kinds of permission that a restriction can take away, as Bot API 10.3 names them in `ChatPermissions`.
const PERMISSIONS: [&str; 16] = [
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
];
/// Newer than most clients: the Bot API takes them from the older permissions where they are left out.
const REACT: usize = 10;
const EDIT_TAG: usize = 11;
const PIN: usize = 14;
const TOPICS: usize = 15;
/// `can_send_messages` up to and including `can_send_polls`.
const SENDING: u16 = 0b1111_1111;
/// Text, audio, documents, photos, videos, video and voice notes: what "other messages" used to imply.
const MEDIA: u16 = 0b0111_1111;

/// A set of permissions in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(u16);

impl Permissions {
    /// Everything: restricting somebody to this lifts the restriction.
    pub const ALL: Self = Self(u16::MAX);
    /// Nothing at all: what people call a mute.
    pub const NONE: Self = Self(0);
    /// Text and nothing else.
    pub const TEXT: Self = Self(1);

    /// Whether text may be sent, which is what every kind of mute takes away.
    #[must_use]
    pub const fn can_send_messages(self) -> bool {
        self.0 & 1 == 1
    }

    /// Reads `ChatPermissions`: what is left out is false, but for the newer flags that follow older ones; without
    /// `independent` the broader flags imply the narrower ones, as the Bot API documents for `restrictChatMember`.
    pub(super) fn from_json(value: &Value, independent: bool) -> Self {
        let given = |index: usize| value.get(PERMISSIONS[index]).and_then(Value::as_bool);
        let mut bits = 0_u16;
        for index in 0..PERMISSIONS.len() {
            let follows = match index {
                TOPICS => given(PIN),
                REACT | EDIT_TAG => given(0),
                _ => None,
            };
            if given(index).or(follows).unwrap_or(false) {
                bits |= 1 << index;
            }
        }
        if !independent {
            if bits & (1 << 8 | 1 << 9) != 0 {
                bits |= MEDIA;
            }
            if bits & SENDING != 0 {
                bits |= 1;
            }
        }
        Self(bits)
    }

    pub(super) fn write_to(self, map: &mut Map<String, Value>) {
        for (index, name) in PERMISSIONS.iter().enumerate() {
            map.insert((*name).to_owned(), Value::Bool(self.0 & (1 << index) != 0));
        }
    }
}

/// The administrator rights that matter here; the others are shown as false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// May restrict, ban and unban members.
    pub can_restrict_members: bool,
    /// May delete messages of others.
    pub can_delete_messages: bool,
    /// May invite people.
    pub can_invite_users: bool,
    /// May change title and settings.
    pub can_change_info: bool,
    /// May make and unmake administrators.
    pub can_promote_members: bool,
    /// Acts under the chat's name.
    pub is_anonymous: bool,
}

impl Rights {
    /// What a full, visible administrator has.
    pub const FULL: Self = Self {
        can_restrict_members: true,
        can_delete_messages: true,
        can_invite_users: true,
        can_change_info: true,
        can_promote_members: true,
        is_anonymous: false,
    };
}

/// How somebody stands in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Member {
    /// The owner.
    Creator {
        /// Acts under the chat's name.
        is_anonymous: bool,
    },
    /// An administrator.
    Administrator(Rights),
    /// An ordinary member.
    Member,
    /// Somebody limited, inside or outside.
    Restricted {
        /// Whether they are in the chat.
        is_member: bool,
        /// Unix seconds; 0 means for ever.
        until: i64,
        /// What is left to them.
        permissions: Permissions,
    },
    /// Not in the chat.
    Left,
    /// Banned.
    Kicked {
        /// Unix seconds; 0 means for ever.
        until: i64,
    },
}

impl Member {
    /// Whether they are in the chat (E29).
    #[must_use]
    pub const fn is_in(self) -> bool {
        match self {
            Self::Creator { .. } | Self::Administrator(_) | Self::Member => true,
            Self::Restricted { is_member, .. } => is_member,
            Self::Left | Self::Kicked { .. } => false,
        }
    }

    /// Whether they run the chat.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Creator { .. } | Self::Administrator(_))
    }

    /// What they may do as an administrator: everything for the owner, nothing for who is none.
    #[must_use]
    pub const fn rights(self) -> Rights {
        match self {
            Self::Creator { is_anonymous } => Rights { is_anonymous, ..Rights::FULL },
            Self::Administrator(rights) => rights,
            _ => Rights {
                can_restrict_members: false,
                can_delete_messages: false,
                can_invite_users: false,
                can_change_info: false,
                can_promote_members: false,
                is_anonymous: false,
            },
        }
    }

    /// Whether they may not write.
    #[must_use]
    pub const fn is_muted(self) -> bool {
        match self {
            Self::Restricted { permissions, .. } => !permissions.can_send_messages(),
            _ => false,
        }
    }

    /// The same standing once its time is over.
    #[must_use]
    pub const fn at(self, now_ms: i64) -> Self {
        match self {
            Self::Restricted { until, is_member, .. } if is_over(until, now_ms) => {
                if is_member {
                    Self::Member
                } else {
                    Self::Left
                }
            }
            Self::Kicked { until } if is_over(until, now_ms) => Self::Left,
            other => other,
        }
    }

    /// `ChatMember` as the Bot API shows it.
    pub(super) fn to_json(self, person: &Person) -> Value {
        let mut map = Map::new();
        map.insert("user".to_owned(), person.to_json());
        let status = match self {
            Self::Creator { is_anonymous } => {
                map.insert("is_anonymous".to_owned(), json!(is_anonymous));
                "creator"
            }
            Self::Administrator(rights) => {
                write_rights(rights, &mut map);
                "administrator"
            }
            Self::Member => "member",
            Self::Restricted { is_member, until, permissions } => {
                map.insert("is_member".to_owned(), json!(is_member));
                map.insert("until_date".to_owned(), json!(until));
                permissions.write_to(&mut map);
                "restricted"
            }
            Self::Left => "left",
            Self::Kicked { until } => {
                map.insert("until_date".to_owned(), json!(until));
                "kicked"
            }
        };
        map.insert("status".to_owned(), json!(status));
        Value::Object(map)
    }
}

const fn is_over(until: i64, now_ms: i64) -> bool {
    until != 0 && until * 1000 <= now_ms
}

fn write_rights(rights: Rights, map: &mut Map<String, Value>) {
    // Bot API 10.3 always sends these, granted or not.
    let fields = [
        ("can_be_edited", false),
        ("is_anonymous", rights.is_anonymous),
        ("can_manage_chat", true),
        ("can_delete_messages", rights.can_delete_messages),
        ("can_manage_video_chats", false),
        ("can_restrict_members", rights.can_restrict_members),
        ("can_promote_members", rights.can_promote_members),
        ("can_change_info", rights.can_change_info),
        ("can_invite_users", rights.can_invite_users),
        ("can_post_stories", false),
        ("can_edit_stories", false),
        ("can_delete_stories", false),
        ("can_send_welcome_messages", false),
    ];
    for (name, value) in fields {
        map.insert(name.to_owned(), Value::Bool(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_permissions_are_refused_and_all_of_them_lift() {
        assert_eq!(Permissions::from_json(&json!({}), true), Permissions::NONE);
        let all: Value = PERMISSIONS.iter().map(|name| ((*name).to_owned(), json!(true))).collect::<Map<_, _>>().into();
        assert_eq!(Permissions::from_json(&all, true), Permissions::ALL);
        let without_new_ones: Value = PERMISSIONS
            .iter()
            .filter(|name| !["can_react_to_messages", "can_edit_tag", "can_manage_topics"].contains(name))
            .map(|name| ((*name).to_owned(), json!(true)))
            .collect::<Map<_, _>>()
            .into();
        assert_eq!(Permissions::from_json(&without_new_ones, true), Permissions::ALL);
    }

    #[test]
    fn media_permissions_imply_text_unless_they_are_independent() {
        let photos = json!({"can_send_photos": true});
        assert!(Permissions::from_json(&photos, false).can_send_messages());
        assert!(!Permissions::from_json(&photos, true).can_send_messages());
    }

    #[test]
    fn a_restriction_ends_at_its_second() {
        let muted = Member::Restricted { is_member: true, until: 100, permissions: Permissions::NONE };
        assert!(muted.at(99_999).is_muted());
        assert_eq!(muted.at(100_000), Member::Member);
        assert_eq!(Member::Kicked { until: 100 }.at(100_000), Member::Left);
        assert_eq!(Member::Kicked { until: 0 }.at(i64::MAX), Member::Kicked { until: 0 });
    }
}
