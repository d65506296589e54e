//! Recognising commands.

use nezuko_telegram::{Message, RepliedTo, User};

use super::{Receipt, is_well_known, member_event::display_name};
use crate::{
    commands,
    intent::{Answered, Command},
    settings::Language,
};

/// Longer texts are no settings of ours.
const TEXT_CHARS: usize = 4_096;

/// The command that `message` gives, if it is one of ours.
pub(super) fn parse(message: &Message, from: &User, receipt: &Receipt<'_>) -> Option<Command> {
    // What somebody else has said is no command of who passes it on.
    let text = message.text.as_deref().filter(|_| !message.is_forwarded)?.strip_prefix('/')?;
    let (word, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (name, addressee) = word.split_once('@').map_or((word, None), |(name, addressee)| (name, Some(addressee)));
    let name = commands::named(&name.to_ascii_lowercase())?.name;
    Some(Command {
        update_id: receipt.update_id,
        name: name.to_owned(),
        addressee: addressee.map(str::to_owned),
        arguments: arguments.trim().to_owned(),
        chat: message.chat.id,
        topic: message.thread,
        message: message.message_id,
        user: from.id,
        language: Language::of_code(from.language_code.as_deref()),
        reply_to: message.reply_to.as_deref().filter(|note| !note.is_service).map(answered),
        received_ms: receipt.received_ms,
    })
}

fn answered(message: &RepliedTo) -> Answered {
    let writer = message.from.as_ref().filter(|from| message.sender_chat.is_none() && !is_well_known(from.id));
    let title = |chat: &nezuko_telegram::Chat| (chat.id, chat.title.clone().unwrap_or_default());
    Answered {
        writer: writer.map(|from| (from.id, display_name(from))),
        sender_chat: message.sender_chat.as_ref().map(title),
        forwarded_from: message.origin.as_ref().and_then(|origin| origin.chat.as_ref()).map(|chat| chat.id),
        text: message.text.as_deref().map(|text| text.chars().take(TEXT_CHARS).collect()),
    }
}
