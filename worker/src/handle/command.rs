//! Recognising commands.

use nezuko_telegram::{Message, UserId};

use super::Receipt;
use crate::intent::Command;

/// The commands that there are.
pub(crate) const NAMES: [&str; 5] = ["start", "help", "protect", "unprotect", "status"];

/// The command that `message` gives, if it is one of ours.
pub(super) fn parse(message: &Message, user: UserId, receipt: &Receipt<'_>) -> Option<Command> {
    let text = message.text.as_deref()?.strip_prefix('/')?;
    let (word, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (name, addressee) = word.split_once('@').map_or((word, None), |(name, addressee)| (name, Some(addressee)));
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str()).then(|| Command {
        update_id: receipt.update_id,
        name,
        addressee: addressee.map(str::to_owned),
        arguments: arguments.trim().to_owned(),
        chat: message.chat.id,
        topic: message.thread,
        message: message.message_id,
        user,
        received_ms: receipt.received_ms,
    })
}
