//! Telegram's identifiers as types of their own, so that a chat is never taken for a person.

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
    /// A bot: the number before the colon of its token, which is also its user id.
    BotId
}
id! {
    /// A chat: negative for groups and channels, equal to the user id for private chats. 52 significant bits at most.
    ChatId
}
id! {
    /// A person or a bot. 52 significant bits at most.
    UserId
}
id! {
    /// An update of one bot: positive, rising, but it may restart at random after a quiet week.
    UpdateId
}
id! {
    /// A message inside one chat.
    MessageId
}

impl BotId {
    /// The bot as a member of chats.
    #[must_use]
    pub const fn user(self) -> UserId {
        UserId(self.0)
    }
}

impl UserId {
    /// `GroupAnonymousBot`, the sender of anonymous administrators' messages.
    pub const GROUP_ANONYMOUS_BOT: Self = Self(1_087_968_824);
    /// `Channel_Bot`, the sender of messages written in the name of a channel.
    pub const CHANNEL_BOT: Self = Self(136_817_688);
    /// Telegram itself, the sender of automatic forwards from the linked channel.
    pub const TELEGRAM: Self = Self(777_000);

    /// The private chat with this person.
    #[must_use]
    pub const fn private_chat(self) -> ChatId {
        ChatId(self.0)
    }
}
