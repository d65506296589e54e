//! Telegram's identifiers, so that a chat is never taken for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A chat: negative for groups and channels, equal to the person's id for private chats.
    ChatId
}
id! {
    /// A person or a bot.
    UserId
}
id! {
    /// A message inside one chat.
    MessageId
}
id! {
    /// A press on a button; the Bot API shows it as a decimal string.
    QueryId
}

impl UserId {
    /// `GroupAnonymousBot`, the sender of anonymous administrators' messages (E2).
    pub const GROUP_ANONYMOUS_BOT: Self = Self(1_087_968_824);
    /// `Channel_Bot`, the sender of messages written in the name of a channel (E5).
    pub const CHANNEL_BOT: Self = Self(136_817_688);
    /// Telegram itself, the sender of automatic forwards from the linked channel (E1).
    pub const TELEGRAM: Self = Self(777_000);

    /// Whether this is one of Telegram's own accounts, which nobody can restrict.
    #[must_use]
    pub const fn is_service(self) -> bool {
        matches!(self, Self::GROUP_ANONYMOUS_BOT | Self::CHANNEL_BOT | Self::TELEGRAM)
    }

    /// The private chat with this person.
    #[must_use]
    pub const fn private_chat(self) -> ChatId {
        ChatId(self.0)
    }
}
