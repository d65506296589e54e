//! What people do.

use serde::{Deserialize, Serialize};

use super::{
    Content, Permissions, Pressed, Rights,
    ids::{ChatId, MessageId, UserId},
};

/// Something that a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Enters a chat.
    Join {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
    },
    /// Asks to be let into a chat, by a link that needs an administrator's word.
    AskToJoin {
        /// Who.
        user: UserId,
        /// Into which.
        chat: ChatId,
    },
    /// Grants or declines somebody's request.
    AnswerRequest {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
        /// Whether they come in.
        granted: bool,
    },
    /// Leaves a chat.
    Leave {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
    },
    /// Writes: in a group, to the bot in private, or a post in a channel (which goes on to the linked group).
    /// An anonymous administrator writes in the group's name.
    Write {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// What.
        #[serde(flatten)]
        content: Content,
        /// In which topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<i64>,
    },
    /// Edits what they wrote.
    Edit {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// Which; their newest if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
        /// What it says then.
        text: String,
    },
    /// Brings people into a chat without asking them (E15, E16).
    Add {
        /// Who does it.
        by: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        users: Vec<UserId>,
    },
    /// Writes in a group in the name of a channel that the person runs (E4, E5).
    WriteAs {
        /// Who.
        user: UserId,
        /// In which group.
        chat: ChatId,
        /// In whose name.
        sender: ChatId,
        /// What.
        #[serde(flatten)]
        content: Content,
    },
    /// Presses a callback button of the bot.
    Press {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// On which message; the newest one with a button if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
    },
    /// Presses a certain callback button, or sends what none carries: whoever knows the protocol can.
    PressButton {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// On which message.
        message: MessageId,
        /// Which button.
        button: Pressed,
    },
    /// Presses the callback button with this in its label, on the newest message that has one.
    PressLabelled {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// What its label contains.
        label: String,
    },
    /// Calls themselves something else from now on.
    CallOneself {
        /// Who.
        user: UserId,
        /// What.
        first_name: String,
    },
    /// Writes in reply to a message.
    Reply {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// To which message.
        to: MessageId,
        /// What.
        #[serde(flatten)]
        content: Content,
    },
    /// Takes away the right to write.
    AdminMute {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// To whom.
        user: UserId,
        /// For how many seconds; 0 means for ever.
        #[serde(default)]
        for_s: i64,
    },
    /// Takes away some of somebody's rights (E45).
    AdminRestrict {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
        /// What is left to them.
        permissions: Permissions,
        /// For how many seconds; 0 means for ever.
        #[serde(default)]
        for_s: i64,
    },
    /// Changes what somebody may do who is restricted, and leaves when that ends (E44).
    AdminAmend {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose restriction.
        user: UserId,
        /// What is left to them.
        permissions: Permissions,
    },
    /// Removes a forum topic with everything in it (E63).
    DeleteTopic {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Which.
        thread: i64,
    },
    /// Says what everybody may do in a group (E50).
    SetPermissions {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// What.
        permissions: Permissions,
    },
    /// Lifts a restriction, whoever made it.
    AdminUnmute {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
    },
    /// Bans.
    AdminBan {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
    },
    /// Lifts a ban.
    AdminUnban {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
    },
    /// Makes somebody an administrator, or changes their rights. Adding a bot with rights is this, too.
    Promote {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
        /// With which rights.
        rights: Rights,
    },
    /// Makes an administrator an ordinary member.
    Demote {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
    },
    /// Deletes a message.
    DeleteMessage {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Which; the newest one of the bot with a button if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
    },
    /// Makes a basic group a supergroup, which has another id (E79).
    Upgrade {
        /// Who does it.
        admin: UserId,
        /// Which group.
        chat: ChatId,
        /// The id of the supergroup.
        to: ChatId,
    },
    /// Revokes the invite links that the bot has made.
    RevokeLinks {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
    },
    /// Calls a chat something else.
    Rename {
        /// Who does it.
        admin: UserId,
        /// Which.
        chat: ChatId,
        /// The title from now on.
        title: String,
        /// Without the `@`; none from now on if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
    },
    /// Gives one group the settings of another: writes what the bot's newest `/export` says there as an `/import` here.
    BringSettings {
        /// Who.
        user: UserId,
        /// From which group.
        from: ChatId,
        /// Into which.
        to: ChatId,
    },
    /// The operator gives an order, beside Telegram: the words after `operate`.
    Operate {
        /// Such as `groups quota 3`.
        order: Vec<String>,
    },
    /// Shuts the bot out of the private chat.
    Block {
        /// Who.
        user: UserId,
    },
}

/// Why a person cannot do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Refused {
    /// Telegram does not let them.
    NotAllowed(&'static str),
    /// What the act is about is not there; it may come.
    NotYet(&'static str),
}

impl Act {
    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> UserId {
        match self {
            Self::Join { user, .. }
            | Self::AskToJoin { user, .. }
            | Self::Leave { user, .. }
            | Self::Write { user, .. }
            | Self::Edit { user, .. }
            | Self::Add { by: user, .. }
            | Self::WriteAs { user, .. }
            | Self::Press { user, .. }
            | Self::PressButton { user, .. }
            | Self::PressLabelled { user, .. }
            | Self::CallOneself { user, .. }
            | Self::Reply { user, .. }
            | Self::BringSettings { user, .. }
            | Self::Block { user } => *user,
            Self::Operate { .. } => UserId::TELEGRAM,
            Self::AdminMute { admin, .. }
            | Self::AnswerRequest { admin, .. }
            | Self::AdminRestrict { admin, .. }
            | Self::AdminAmend { admin, .. }
            | Self::DeleteTopic { admin, .. }
            | Self::SetPermissions { admin, .. }
            | Self::AdminUnmute { admin, .. }
            | Self::AdminBan { admin, .. }
            | Self::AdminUnban { admin, .. }
            | Self::Promote { admin, .. }
            | Self::Demote { admin, .. }
            | Self::DeleteMessage { admin, .. }
            | Self::RevokeLinks { admin, .. }
            | Self::Rename { admin, .. }
            | Self::Upgrade { admin, .. } => *admin,
        }
    }
}
