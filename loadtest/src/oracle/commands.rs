//! Commands: each is answered exactly once, and `/protect` and `/unprotect` say what is due from then on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Judge,
    due::Due,
    record::{Record, Rule, Said},
    verdict::Kind,
};
use crate::world::{ChatId, ChatKind, MessageId, UserId};

/// Which message of the bot answers which command.
pub(super) type Replies = BTreeMap<(ChatId, MessageId), Vec<i64>>;

/// The commands that are for the bot: their word without the slash and the bot's name, and what follows.
fn parse<'a>(record: &Record<'_>, said: &'a Said) -> Option<(&'a str, Vec<&'a str>)> {
    let mut words = said.text.split_whitespace();
    let word = words.next()?.strip_prefix('/')?;
    let (word, bot) = word.split_once('@').map_or((word, None), |(word, bot)| (word, Some(bot)));
    let mine = record.world.bot().username.as_deref();
    if bot.is_some_and(|bot| !mine.is_some_and(|mine| mine.eq_ignore_ascii_case(bot))) {
        return None; // E64
    }
    let known = ["start", "help", "protect", "unprotect", "status"];
    known.contains(&word).then(|| (word, words.collect()))
}

/// Assigns the bot's messages that are no prompts to commands: by what they reply to, else to the oldest command of the
/// chat that has no reply yet.
pub(super) fn replies(record: &Record<'_>) -> Replies {
    let mut replies = Replies::new();
    let mut open: BTreeMap<ChatId, Vec<MessageId>> = BTreeMap::new();
    for said in &record.said {
        if said.author != record.bot() {
            if said.told && parse(record, said).is_some() {
                replies.insert((said.chat, said.id), Vec::new());
                open.entry(said.chat).or_default().push(said.id);
            }
            continue;
        }
        let waiting = open.entry(said.chat).or_default();
        let answered = match said.reply_to {
            Some(command) => Some(command),
            None if said.has_button || waiting.is_empty() => None,
            None => Some(waiting[0]),
        };
        if let Some(command) = answered {
            waiting.retain(|waiting| *waiting != command);
            replies.entry((said.chat, command)).or_default().push(said.at_ms);
        }
    }
    replies
}

/// Follows `/protect` and `/unprotect` through the day.
pub(super) fn rules(record: &Record<'_>, replies: &Replies, settle_ms: i64) -> BTreeMap<ChatId, Vec<Rule>> {
    let mut rules: BTreeMap<ChatId, Vec<Rule>> = BTreeMap::new();
    for said in record.said.iter().filter(|said| said.told) {
        let Some((word, arguments)) = parse(record, said) else { continue };
        let mut required =
            rules.get(&said.chat).and_then(|rules| rules.last()).map(|rule| rule.required.clone()).unwrap_or_default();
        let before = required.clone();
        let named = arguments.iter().filter_map(|argument| channel(record, argument));
        match word {
            "protect" if may_protect(record, said) => {
                required.extend(named.filter(|channel| may_require(record, said, *channel)));
            }
            "unprotect" if may_protect(record, said) => {
                let named: BTreeSet<ChatId> = named.collect();
                required.retain(|channel| !arguments.is_empty() && !named.contains(channel));
            }
            _ => continue,
        }
        if required == before {
            continue;
        }
        let replied = replies.get(&(said.chat, said.id)).and_then(|at| at.first());
        let certain_ms = replied.map_or(said.at_ms + settle_ms, |at| at + 1_000);
        rules.entry(said.chat).or_default().push(Rule { at_ms: said.at_ms, certain_ms, required });
    }
    rules
}

fn channel(record: &Record<'_>, argument: &str) -> Option<ChatId> {
    match argument.strip_prefix('@') {
        Some(name) => record.world.chat_named(name).map(|chat| chat.spec.id),
        None => argument.parse().ok().map(ChatId),
    }
}

/// Who restricts people in the group may, if the bot may, too; anonymous administrators must prove themselves first (E3).
fn may_protect(record: &Record<'_>, said: &Said) -> bool {
    let is_supergroup = record.world.chat(said.chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup);
    let restricts = |user| record.member_at(said.chat, user, said.at_ms).rights().can_restrict_members;
    is_supergroup && said.sender_chat.is_none() && restricts(said.author) && restricts(record.bot())
}

/// Who requires a channel runs it, and the bot sees who is in it (E40).
fn may_require(record: &Record<'_>, said: &Said, channel: ChatId) -> bool {
    let runs = |user| record.member_at(channel, user, said.at_ms).is_admin();
    channel != said.chat && runs(said.author) && runs(record.bot())
}

impl Judge<'_, '_> {
    /// Every command gets its one reply.
    pub(super) fn judge_commands(&mut self) {
        let (mut answered, mut due, mut possible) = (0, 0, 0);
        for ((chat, message), at) in self.replies {
            let Some(said) = self.record.said.iter().find(|said| said.chat == *chat && said.id == *message) else {
                continue;
            };
            let Some((word, _)) = parse(self.record, said) else { continue };
            answered += usize::from(!at.is_empty());
            possible += 1;
            let text = || {
                let who = self.record.name(said.author);
                format!("{} by {who} in {chat} at {}", said.text, self.record.time(said.at_ms))
            };
            let is_due = self.is_reply_due(word, said);
            due += usize::from(is_due);
            if is_due && at.is_empty() {
                self.verdict.find(Kind::CommandUnanswered, text());
            }
            if at.len() > 1 {
                self.verdict.find(Kind::ReplyTwice, format!("{} replies to {}", at.len(), text()));
            }
        }
        self.count("commands", answered, due, possible);
    }

    /// Anybody gets help who may speak; the rest is for administrators with the right to restrict.
    fn is_reply_due(&self, word: &str, said: &Said) -> bool {
        let private = said.chat == UserId(said.chat.0).private_chat() && said.chat.0 > 0;
        if private {
            return matches!(word, "start" | "help");
        }
        if matches!(word, "start" | "help") {
            // An unverified person's command is a message like any other (E64).
            let dues = self.dues_during(said.chat, said.author, said.at_ms - 1_000, self.settled(said.at_ms));
            return dues.iter().all(|due| !matches!(due, Due::Restricted | Due::Either | Due::Theirs { .. }));
        }
        let rights = self.record.member_at(said.chat, said.author, said.at_ms).rights();
        rights.can_restrict_members && said.sender_chat.is_none()
    }
}
