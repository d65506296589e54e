//! Who is there.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ids::UserId;

/// A person or a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// Whether it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// As they wrote it.
    pub first_name: String,
    /// Without the `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The language of their application, as Telegram tells it to the bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_code: Option<String>,
}

impl Person {
    /// A person with this name and no username.
    #[must_use]
    pub fn named(id: UserId, first_name: &str) -> Self {
        Self { id, is_bot: false, first_name: first_name.to_owned(), username: None, language_code: None }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut user = json!({"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name});
        if let Some(username) = &self.username {
            user["username"] = json!(username);
        }
        if let Some(language) = &self.language_code {
            user["language_code"] = json!(language);
        }
        user
    }
}

/// Telegram's own accounts (E10), which every world has.
pub(super) fn service_accounts() -> [Person; 3] {
    let bot = |id, name: &str, username: &str| Person {
        id,
        is_bot: true,
        first_name: name.to_owned(),
        username: Some(username.to_owned()),
        language_code: None,
    };
    [
        bot(UserId::GROUP_ANONYMOUS_BOT, "Group", "GroupAnonymousBot"),
        bot(UserId::CHANNEL_BOT, "Channel", "Channel_Bot"),
        Person { is_bot: false, ..bot(UserId::TELEGRAM, "Telegram", "Telegram") },
    ]
}
