//! Every text that a person sees. Names and titles are hostile until escaped and shortened (E102).

use frankenstein::types::{InlineKeyboardButton, InlineKeyboardMarkup};
use nezuko_telegram::{ChatId, UserId};

use crate::{facts::ChatFacts, send::Found};

/// What the button of a prompt carries.
pub(crate) const VERIFY: &str = "verify";
/// `answerCallbackQuery` takes no longer texts.
const ANSWER_CHARS: usize = 200;
/// Shown of a name or title.
const NAME_CHARS: usize = 32;

/// Cut, and without what turns the writing direction, hides or piles up.
fn clean(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            || matches!(c, '\u{0300}'..='\u{036f}')
    };
    let cut: String = name.chars().filter(|c| !hidden(*c)).take(NAME_CHARS).collect();
    cut.trim().to_owned()
}

/// For HTML.
fn safe(name: &str) -> String {
    escape(&clean(name))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A channel by what people know it by, without HTML.
fn plain_channel(facts: &ChatFacts) -> String {
    if facts.username.is_empty() {
        let title = clean(&facts.title);
        if title.is_empty() { "the channel".to_owned() } else { title }
    } else {
        format!("@{}", facts.username)
    }
}

fn channel(facts: &ChatFacts) -> String {
    escape(&plain_channel(facts))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

/// The group's prompt: who waits, and for what.
pub(crate) fn prompt(waiting: &[(UserId, String)], count: i64, channels: &[(ChatId, ChatFacts)]) -> String {
    let mention = |(user, name): &(UserId, String)| {
        let name = safe(name);
        let name = if name.is_empty() { "someone".to_owned() } else { name };
        format!("<a href=\"tg://user?id={user}\">{name}</a>")
    };
    let named = list(waiting.iter().map(mention));
    let more = count - i64::try_from(waiting.len()).unwrap_or(i64::MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let channels = list(channels.iter().map(|(_, facts)| channel(facts)));
    format!("{named}{more}: to write here, please join {channels} first, then press the button below.")
}

/// The prompt's buttons: one to each channel that has an address, and *I have joined*.
pub(crate) fn prompt_buttons(channels: &[(ChatId, ChatFacts)]) -> InlineKeyboardMarkup {
    let to_channel = |facts: &ChatFacts| {
        let url = if facts.username.is_empty() {
            facts.invite_link.clone()
        } else {
            format!("https://t.me/{}", facts.username)
        };
        (!url.is_empty()).then(|| {
            vec![InlineKeyboardButton::builder().text(format!("Join {}", plain_channel(facts))).url(url).build()]
        })
    };
    let mut rows: Vec<Vec<InlineKeyboardButton>> = channels.iter().filter_map(|(_, facts)| to_channel(facts)).collect();
    rows.push(vec![InlineKeyboardButton::builder().text("I have joined").callback_data(VERIFY).build()]);
    InlineKeyboardMarkup::builder().inline_keyboard(rows).build()
}

/// What a press is answered, without HTML.
pub(crate) fn press_answer(found: &Found, channels: &[(ChatId, ChatFacts)]) -> String {
    let text = match found {
        Found::Freed => "Thank you! You can write now.".to_owned(),
        Found::Already => "You can already write here.".to_owned(),
        Found::ByAdmin => "An administrator of this group has restricted you; only they can lift that.".to_owned(),
        Found::Unknown => "This cannot be checked right now. Please try again in a minute.".to_owned(),
        Found::Missing(missing) => {
            let named = channels.iter().filter(|(chat, _)| missing.contains(chat));
            format!("You have not joined yet: {}", list(named.map(|(_, facts)| plain_channel(facts))))
        }
    };
    text.chars().take(ANSWER_CHARS).collect()
}

/// `/start` and `/help`.
pub(crate) fn help() -> String {
    "I see to it that only members of a group's channels write in the group.\n\n\
     <b>For administrators, in the group:</b>\n\
     /protect @channel – who writes here must have joined @channel\n\
     /unprotect [@channel] – no longer, and free everybody whom I muted\n\
     /status – what is required, and who waits"
        .to_owned()
}

/// `/protect` and others outside of a group.
pub(crate) fn only_in_groups() -> String {
    "This command works in a supergroup that I administer.".to_owned()
}

/// The asker lacks the right.
pub(crate) fn only_for_admins() -> String {
    "Only administrators of this group who may restrict members can do this.".to_owned()
}

/// Sent in the group's name.
pub(crate) fn not_anonymously() -> String {
    "I cannot see who you are. Please send this as yourself, not as an anonymous administrator.".to_owned()
}

/// `/protect` without a channel.
pub(crate) fn protect_usage() -> String {
    "Please name the channel: /protect @channel (or its numeric id; several are possible).".to_owned()
}

/// A basic group.
pub(crate) fn only_supergroups() -> String {
    "Members can only be restricted in supergroups. Make this group a supergroup first \
     (for instance by showing its history to new members), then try again."
        .to_owned()
}

/// A channel that cannot be found.
pub(crate) fn no_such_channel(named: &str) -> String {
    format!("I cannot find {}. Is it spelled right, and am I in it?", safe(named))
}

/// A group required by itself (E39).
pub(crate) fn not_itself() -> String {
    "A group cannot require itself.".to_owned()
}

/// What the bot lacks.
pub(crate) fn missing_rights(group: &[&str], channels: &[String]) -> String {
    let mut lines = vec!["Before this can work:".to_owned()];
    if !group.is_empty() {
        lines.push(format!("• here I need to be an administrator with the right to {}", group.join(" and to ")));
    }
    lines.extend(channels.iter().map(|channel| format!("• in {} I need to be an administrator", safe(channel))));
    lines.join("\n")
}

/// The asker is nobody in the channel (E40).
pub(crate) fn not_your_channel(facts: &ChatFacts) -> String {
    format!("Only an administrator of {} can have it required here.", channel(facts))
}

/// `/protect` has worked.
pub(crate) fn protected(channels: &[ChatFacts]) -> String {
    format!("Protected: who writes here must have joined {}.", list(channels.iter().map(channel)))
}

/// `/unprotect` has worked.
pub(crate) fn unprotected(channel_left: Option<&ChatFacts>) -> String {
    match channel_left {
        Some(facts) => format!("{} is no longer required. Whom I muted for it is being freed.", channel(facts)),
        None => "No longer protected. Everybody whom I muted is being freed.".to_owned(),
    }
}

/// `/unprotect` of what was never required.
pub(crate) fn not_required() -> String {
    "That channel is not required here.".to_owned()
}

/// Telegram did not tell what was needed in time.
pub(crate) fn try_again() -> String {
    "Telegram does not answer right now. Please try again in a minute.".to_owned()
}

/// `/status`.
pub(crate) fn status(is_protected: bool, can_restrict: bool, channels: &[(ChatFacts, bool)], waiting: i64) -> String {
    let state = match (is_protected, can_restrict) {
        (false, _) => "not protected",
        (true, true) => "protected",
        (true, false) => "suspended: I may not restrict members here",
    };
    let mut lines = vec![format!("This group is <b>{state}</b>.")];
    lines.extend(channels.iter().map(|(facts, watched)| {
        let note = if *watched { "" } else { " (I am not an administrator there)" };
        format!("• {}{note}", channel(facts))
    }));
    lines.push(format!("Waiting: {waiting}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
