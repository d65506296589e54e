//! Commands: each is answered exactly once.

use std::collections::BTreeMap;

use super::{
    Judge,
    due::Due,
    record::{Record, Said},
    verdict::Kind,
};
use crate::world::{ChatId, MessageId, UserId};

/// Every command there is.
const COMMANDS: [&str; 16] = [
    "start",
    "help",
    "verify",
    "forget_me",
    "protect",
    "unprotect",
    "channels",
    "status",
    "settings",
    "allow",
    "disallow",
    "recheck",
    "raid",
    "stats",
    "export",
    "import",
];
/// Those that anybody gives.
const FOR_ANYBODY: [&str; 4] = ["start", "help", "verify", "forget_me"];

/// Which message of the bot answers which command.
pub(super) type Replies = BTreeMap<(ChatId, MessageId), Vec<i64>>;

/// The commands that are for the bot: their word without the slash and the bot's name, and what follows.
pub(super) fn parse<'a>(record: &Record<'_>, said: &'a Said) -> Option<(&'a str, Vec<&'a str>)> {
    let mut words = said.text.split_whitespace();
    let word = words.next()?.strip_prefix('/')?;
    let (word, bot) = word.split_once('@').map_or((word, None), |(word, bot)| (word, Some(bot)));
    let mine = record.world.bot().username.as_deref();
    if bot.is_some_and(|bot| !mine.is_some_and(|mine| mine.eq_ignore_ascii_case(bot))) {
        return None; // E64
    }
    COMMANDS.contains(&word).then(|| (word, words.collect()))
}

/// Assigns the bot's messages that are no prompts to commands: by what they reply to, else to the oldest command of the
/// chat that has no reply yet and is deleted, so that nothing can reply to it. The rest is notices to administrators.
pub(super) fn replies(record: &Record<'_>) -> Replies {
    let mut replies = Replies::new();
    let mut open: BTreeMap<ChatId, Vec<&Said>> = BTreeMap::new();
    for said in &record.said {
        if said.author != record.bot() {
            if said.told && parse(record, said).is_some() {
                replies.insert((said.chat, said.id), Vec::new());
                open.entry(said.chat).or_default().push(said);
            }
            continue;
        }
        let waiting = open.entry(said.chat).or_default();
        let answered = match said.reply_to {
            Some(command) => Some(command),
            None if said.has_button => None,
            None => {
                let is_gone = |command: &&&Said| command.deleted.is_some_and(|(at_ms, _)| at_ms <= said.at_ms);
                waiting.iter().find(is_gone).map(|command| command.id)
            }
        };
        if let Some(command) = answered {
            waiting.retain(|waiting| waiting.id != command);
            replies.entry((said.chat, command)).or_default().push(said.at_ms);
        }
    }
    replies
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
            // E3: who writes in the group's name is first asked who they are.
            if at.len() > 1 + usize::from(said.sender_chat.is_some()) {
                self.verdict.find(Kind::ReplyTwice, format!("{} replies to {}", at.len(), text()));
            }
        }
        self.count("commands", answered, due, possible);
    }

    /// Anybody gets help who may speak; the rest is for administrators with the right to restrict.
    fn is_reply_due(&self, word: &str, said: &Said) -> bool {
        let private = said.chat == UserId(said.chat.0).private_chat() && said.chat.0 > 0;
        if private {
            return FOR_ANYBODY.contains(&word);
        }
        if FOR_ANYBODY.contains(&word) {
            // An unverified person's command is a message like any other (E64).
            let dues = self.dues_during(said.chat, said.author, said.at_ms - 1_000, self.settled(said.at_ms));
            return dues.iter().all(|due| !matches!(due, Due::Restricted | Due::Either | Due::Theirs { .. }));
        }
        let rights = self.record.member_at(said.chat, said.author, said.at_ms).rights();
        rights.can_restrict_members && said.sender_chat.is_none()
    }
}
