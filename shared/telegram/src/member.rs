//! How somebody stands in a chat: Telegram's `ChatMember`, cut down to what decides whether a person may write.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::update::User;

/// Where a person stands in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// `creator`.
    Owner,
    /// `administrator`.
    Admin,
    /// `member`, or `restricted` with `is_member`.
    Inside,
    /// `left`, or `restricted` without `is_member`.
    Outside,
    /// `kicked`: out, and cannot come back by themselves.
    Banned,
}

impl Standing {
    /// Whether the person is in the chat.
    #[must_use]
    pub const fn is_in(self) -> bool {
        matches!(self, Self::Owner | Self::Admin | Self::Inside)
    }

    /// Whether the person administers the chat.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// What a person may do in a chat, as far as it differs from everybody else there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    /// Nothing beyond the chat's defaults.
    Free,
    /// `restricted`; it ends at `until` (Unix seconds; 0: never).
    Restricted {
        /// Unix seconds; 0 means for ever.
        until: i64,
        /// What is left to them.
        #[serde(default)]
        left: Permissions,
    },
    /// `kicked`; it ends at `until` (Unix seconds; 0: never).
    Banned {
        /// Unix seconds; 0 means for ever.
        until: i64,
    },
}

impl Limits {
    /// Whether this still limits the person at `now` (Unix seconds).
    #[must_use]
    pub const fn restricts_at(self, now: i64) -> bool {
        match self {
            Self::Free => false,
            Self::Restricted { until, .. } | Self::Banned { until } => until == 0 || until > now,
        }
    }

    /// Whether they leave the person anything to write.
    #[must_use]
    pub const fn leave_a_voice(self) -> bool {
        match self {
            Self::Free => true,
            Self::Restricted { left, .. } => left.can_send(),
            Self::Banned { .. } => false,
        }
    }
}

/// Names of the permissions in the order of [`Permissions`]' bits (Bot API 10.3, `ChatPermissions`).
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
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
    "can_react_to_messages",
    "can_edit_tag",
];
/// Newer permissions, and the older one whose value they have where they are not named.
const FOLLOWERS: [(usize, usize); 3] = [(13, 12), (14, 0), (15, 0)];

/// What somebody may do in a group. As the Bot API wants it in `permissions`, every one is named: what is left out counts
/// as taken (E46).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

impl Permissions {
    /// Nothing at all: a mute.
    pub const NONE: Self = Self(0);
    /// Everything: lifts a restriction.
    pub const ALL: Self = Self(u16::MAX);
    /// Text and nothing else.
    pub const TEXT: Self = Self(1);
    /// `can_send_messages` up to and including `can_send_other_messages`.
    const SENDING: u16 = (1 << 9) - 1;

    /// Whether anything at all may be sent.
    #[must_use]
    pub const fn can_send(self) -> bool {
        self.0 & Self::SENDING != 0
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(PERMISSIONS.iter().enumerate().map(|(bit, name)| (name, self.0 & (1 << bit) != 0)))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named: BTreeMap<String, serde_json::Value> = BTreeMap::deserialize(deserializer)?;
        let given = |bit: usize| named.get(PERMISSIONS[bit]).and_then(serde_json::Value::as_bool);
        let followed =
            |bit: usize| FOLLOWERS.iter().find(|(newer, _)| *newer == bit).and_then(|(_, older)| given(*older));
        let bits = (0..PERMISSIONS.len()).filter(|bit| given(*bit).or_else(|| followed(*bit)).unwrap_or(false));
        Ok(Self(bits.fold(0, |bits, bit| bits | 1 << bit)))
    }
}

/// The administrator rights that Nezuko asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// May restrict, ban and unban members.
    pub can_restrict_members: bool,
    /// May delete messages of others.
    pub can_delete_messages: bool,
    /// May invite and answer join requests.
    pub can_invite_users: bool,
    /// May change the chat's title and settings.
    pub can_change_info: bool,
    /// Acts under the chat's name.
    pub is_anonymous: bool,
}

/// One member of a chat at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMember {
    /// Whom it is about.
    pub user: User,
    /// Where they stand; `None` where Telegram used a status that we do not know.
    pub standing: Option<Standing>,
    /// What limits them.
    pub limits: Limits,
    /// What they may do as an administrator (everything for the owner).
    pub rights: Rights,
}

impl<'de> Deserialize<'de> for ChatMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            user: User,
            status: String,
            #[serde(default)]
            is_member: bool,
            #[serde(default)]
            until_date: i64,
            #[serde(flatten)]
            rights: Rights,
            #[serde(flatten)]
            left: Permissions,
        }
        let wire = Wire::deserialize(deserializer)?;
        let (until, left) = (wire.until_date, wire.left);
        let (standing, limits) = match wire.status.as_str() {
            "creator" => (Some(Standing::Owner), Limits::Free),
            "administrator" => (Some(Standing::Admin), Limits::Free),
            "member" => (Some(Standing::Inside), Limits::Free),
            "restricted" if wire.is_member => (Some(Standing::Inside), Limits::Restricted { until, left }),
            "restricted" => (Some(Standing::Outside), Limits::Restricted { until, left }),
            "left" => (Some(Standing::Outside), Limits::Free),
            "kicked" => (Some(Standing::Banned), Limits::Banned { until }),
            _ => (None, Limits::Free),
        };
        let rights = match standing {
            Some(Standing::Owner) => Rights {
                can_restrict_members: true,
                can_delete_messages: true,
                can_invite_users: true,
                can_change_info: true,
                is_anonymous: wire.rights.is_anonymous,
            },
            Some(Standing::Admin) => wire.rights,
            _ => Rights::default(),
        };
        Ok(Self { user: wire.user, standing, limits, rights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Permissions {
        serde_json::from_str(json).expect("permissions")
    }

    #[test]
    fn what_a_server_does_not_name_yet_has_the_value_of_what_it_was_part_of() {
        assert_eq!(read(r#"{"can_send_messages": true, "can_pin_messages": true}"#), Permissions(0b1111 << 12 | 1));
        let silent = r#"{"can_send_messages": true, "can_react_to_messages": false, "can_edit_tag": false}"#;
        assert_eq!(read(silent), Permissions::TEXT);
        assert_eq!(read("{}"), Permissions::NONE);
    }

    #[test]
    fn every_permission_is_named_and_read_as_it_was_written() {
        for permissions in [Permissions::ALL, Permissions::NONE, Permissions::TEXT] {
            let json = serde_json::to_string(&permissions).expect("JSON");
            assert!(PERMISSIONS.iter().all(|name| json.contains(name)), "{json}");
            assert_eq!(read(&json), permissions);
        }
    }

    #[test]
    fn who_may_send_anything_has_a_voice() {
        let left = |bits| Limits::Restricted { until: 0, left: Permissions(bits) };
        let voices = [Limits::Free, left(1), left(1 << 8), left(0b111 << 13), left(0), Limits::Banned { until: 0 }];
        assert_eq!(voices.map(Limits::leave_a_voice), [true, true, true, false, false, false]);
    }
}
