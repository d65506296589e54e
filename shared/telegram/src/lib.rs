//! Telegram as Nezuko sees it: ids, the part of an update that Nezuko reads, the Bot API client and what its errors mean.
//!
//! This crate knows nothing of the rest of Nezuko. Decoding is tolerant on purpose: an update kind, a member status or a
//! field that nobody knew when this was written must never cost the whole update.

mod client;
mod delivery;
mod error;
mod ids;
mod member;
mod update;

pub use client::{Client, HttpTransport, RawResponse, Transport, TransportError, Unsuitable};
pub use delivery::{UPDATE_KINDS, WEBHOOK_CONNECTIONS, WebhookInfo};
pub use error::{CallError, ErrorClass};
pub use ids::{BotId, ChatId, MessageId, UpdateId, UserId};
pub use member::{ChatMember, Limits, Permissions, Rights, Standing};
pub use update::{
    CallbackQuery, Chat, ChatKind, ChatMemberUpdated, DecodeError, ForwardOrigin, InviteLink, JoinRequest, Message,
    MessageRef, RepliedTo, Update, UpdateKind, User, parse_update,
};
