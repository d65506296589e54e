//! Everything that ever happened in a world, so that a run can be judged afterwards.

use serde::Serialize;

use super::{
    act::{Act, Refused},
    ids::{ChatId, MessageId, QueryId, UserId},
    member::Member,
};

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When, Unix ms.
    pub at_ms: i64,
    /// What.
    pub what: Happened,
}

/// The kinds of thing that happen.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "happened", rename_all = "snake_case")]
pub enum Happened {
    /// Somebody stood like this in a chat when the world began.
    Founded {
        /// Where.
        chat: ChatId,
        /// Who.
        user: UserId,
        /// How.
        member: Member,
    },
    /// Somebody did something, or could not.
    Acted {
        /// What.
        act: Act,
        /// Why not.
        refused: Option<Refused>,
    },
    /// A standing changed.
    Changed {
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
        /// Who changed it.
        by: UserId,
        /// Before.
        old: Member,
        /// After.
        new: Member,
        /// Whether the bot was sent an update about it.
        told: bool,
    },
    /// A message was sent, by a person or by the bot.
    Sent {
        /// Where.
        chat: ChatId,
        /// Which.
        message: MessageId,
        /// In which topic.
        thread: Option<i64>,
        /// The person behind it.
        author: UserId,
        /// Who is shown as the sender.
        from: UserId,
        /// In whose name.
        sender_chat: Option<ChatId>,
        /// A note by Telegram about the chat, not something that a person wrote (E61).
        service: bool,
        /// Its text without markup.
        text: String,
        /// The message it replies to.
        reply_to: Option<MessageId>,
        /// Whether it carries a callback button.
        has_button: bool,
        /// Whether the bot was sent an update about it.
        told: bool,
    },
    /// The bot edited a message of its own.
    Edited {
        /// Where.
        chat: ChatId,
        /// Which.
        message: MessageId,
        /// Its text now.
        text: String,
        /// Whether it carries a callback button now.
        has_button: bool,
    },
    /// A message was deleted.
    Deleted {
        /// Where.
        chat: ChatId,
        /// Which.
        message: MessageId,
        /// Who did it.
        by: UserId,
    },
    /// A button was pressed.
    Pressed {
        /// Which press.
        query: QueryId,
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// On which message.
        message: MessageId,
        /// What stands on the button; nothing if the message has none of the kind.
        label: Option<String>,
    },
    /// The bot answered a press in time.
    Answered {
        /// Which press.
        query: QueryId,
        /// What the presser was shown; empty if nothing.
        text: String,
    },
    /// The bot asked how somebody stands in a chat.
    LookedUp {
        /// Where.
        chat: ChatId,
        /// Who.
        user: UserId,
        /// Whether Telegram told it.
        known: bool,
    },
    /// An update was taken in by the bot.
    Delivered {
        /// When it came about, Unix ms.
        emitted_ms: i64,
    },
    /// The bot called a method.
    Called {
        /// Which.
        method: String,
        /// About which chat.
        chat: Option<ChatId>,
        /// About whom.
        user: Option<UserId>,
        /// Telegram's description, if it refused.
        error: Option<String>,
    },
}
