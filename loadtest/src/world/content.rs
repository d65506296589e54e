//! What people write.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ids::ChatId;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text; one that begins with `/` is a command.
    Text(String),
    /// A photo with its caption.
    Photo(String),
    /// One photo of an album with this id (E56).
    AlbumPhoto(String),
    /// A sticker.
    Sticker(String),
    /// Text by way of an inline bot (E8).
    ViaBot(String),
    /// A post of a channel, forwarded.
    Forwarded {
        /// Of which channel.
        from: ChatId,
        /// What it says.
        text: String,
    },
}

impl Content {
    /// Text or caption, and the rest of the message's JSON.
    pub(super) fn parts(&self) -> (&str, Value) {
        let photo = || json!([{"file_id": "AgAD", "file_unique_id": "AQAD", "width": 320, "height": 240}]);
        match self {
            Self::Text(text) => {
                let mut extra = json!({"text": text});
                let command = text.split_whitespace().next().unwrap_or_default();
                if command.starts_with('/') {
                    let length = command.encode_utf16().count();
                    extra["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
                }
                (text, extra)
            }
            Self::Photo(caption) => (caption, json!({"caption": caption, "photo": photo()})),
            Self::AlbumPhoto(album) => ("", json!({"photo": photo(), "media_group_id": album})),
            Self::Sticker(emoji) => (
                "",
                json!({"sticker": {"file_id": "CAAD", "file_unique_id": "AgAD", "type": "regular", "width": 512,
                    "height": 512, "is_animated": false, "is_video": false, "emoji": emoji}}),
            ),
            Self::ViaBot(text) => (
                text,
                json!({"text": text, "via_bot": {"id": 140_267_078, "is_bot": true, "first_name": "gif",
                    "username": "gif"}}),
            ),
            Self::Forwarded { text, .. } => (text, json!({"text": text})),
        }
    }
}
