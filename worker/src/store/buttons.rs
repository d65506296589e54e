//! What is kept of buttons, deep links and how often people use them.

use nezuko_telegram::{ChatId, UserId};
use serde::{Deserialize, Serialize};

use crate::intent::Command;

/// What is behind a button or a deep link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonRow {
    /// Its number; random, so that none is another's.
    pub id: i64,
    /// The chat that it is about.
    pub chat: ChatId,
    /// For whom; `None`: for anybody.
    pub user: Option<UserId>,
    /// What it does.
    pub payload: Payload,
    /// Until when, Unix milliseconds.
    pub expires_ms: i64,
    /// When it was used, if once is enough; Unix milliseconds, 0: not yet.
    pub used_ms: i64,
}

/// What a button does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub enum Payload {
    /// Carries this command out, once, in the name of the administrator who presses (E3).
    Prove(Box<Command>),
    /// Sets the chat's settings.
    Panel,
    /// Checks the person in the chat.
    Verify,
}

/// What somebody may do only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// Pressing buttons.
    Presses = 0,
    /// Giving commands.
    Commands = 1,
}
