//! Messages: those of unverified people go, all others stay.

use std::collections::BTreeMap;

use super::{
    Judge,
    due::Due,
    record::{Record, Said},
    verdict::Kind,
};
use crate::world::{ChatId, ChatKind, UserId};

/// What each person wrote in their own name, in each group.
pub(super) fn by_author(record: &Record<'_>) -> BTreeMap<(ChatId, UserId), Vec<usize>> {
    let mut messages: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, said) in record.said.iter().enumerate() {
        if said.told && !said.service && said.sender_chat.is_none() {
            messages.entry((said.chat, said.author)).or_default().push(index);
        }
    }
    messages
}

impl Judge<'_, '_> {
    pub(super) fn judge_messages(&mut self) {
        let (mut deleted, mut due, mut possible) = (0, 0, 0);
        let record = self.record;
        for said in record.said.iter().filter(|said| said.told && !said.service) {
            if !record.world.chat(said.chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup) {
                continue;
            }
            let by_bot = said.deleted.filter(|(_, by)| *by == record.bot()).map(|(at, _)| at);
            let text = || {
                let who = record.name(said.author);
                format!("message {} by {who} in {} at {}", said.id, said.chat, record.time(said.at_ms))
            };
            let settled = self.settled(said.at_ms);
            // What came just before in a channel, the bot may have heard of only after the message.
            let from = self.crossing_from(said.at_ms);
            let dues = self.dues_of(said, from, by_bot.unwrap_or(settled));
            let doubtful = dues.iter().any(|due| matches!(due, Due::Restricted | Due::Either));
            let certain = dues.iter().all(|due| *due == Due::Restricted);
            let unknowable = self.is_unknowable(said.chat, said.author, said.at_ms);
            possible += usize::from(doubtful);
            match by_bot {
                Some(at) => {
                    // Commands and their replies are cleared away after a while, whoever wrote them.
                    if !said.is_command() && !doubtful {
                        self.verdict.find(Kind::FreeMessageDeleted, text());
                    } else if certain && !said.is_command() && !self.could_know_about(said, at) {
                        self.verdict.find(Kind::PunishedOnUnknown, text());
                    }
                    deleted += usize::from(doubtful);
                    let in_time = self.dues_of(said, from, settled);
                    due += usize::from(in_time.iter().all(|due| *due == Due::Restricted));
                }
                None if said.deleted.is_none() && certain && !unknowable => {
                    due += 1;
                    self.verdict.find(Kind::MessageNotDeleted, text());
                }
                None => {}
            }
        }
        self.count("deletions", deleted, due, possible);
    }

    fn could_know_about(&self, said: &Said, at_ms: i64) -> bool {
        is_foreign_channel(self, said) || self.could_know(said.chat, said.author, self.reasons_from(said.at_ms), at_ms)
    }

    /// What was due to whoever shows as the sender.
    fn dues_of(&self, said: &Said, from_ms: i64, to_ms: i64) -> Vec<Due> {
        if is_foreign_channel(self, said) {
            // Membership of a channel cannot be checked: in a protected group its messages go (E5).
            let protected = |at| self.record.required_at(said.chat, at).map(|(rule, _)| rule);
            return match (protected(from_ms), protected(to_ms)) {
                (None, None) => vec![Due::Unprotected],
                (Some(before), Some(after)) if before.at_ms == after.at_ms && from_ms >= before.certain_ms => {
                    vec![if before.required.is_empty() { Due::Unprotected } else { Due::Restricted }]
                }
                _ => vec![Due::Either],
            };
        }
        let sender = if said.sender_chat.is_some() { said.from } else { said.author };
        self.dues_during(said.chat, sender, from_ms, to_ms)
    }
}

/// Neither the group itself (an anonymous administrator, E2) nor its linked channel (E1, E4).
fn is_foreign_channel(judge: &Judge<'_, '_>, said: &Said) -> bool {
    let linked = judge.record.world.chat(said.chat).and_then(|chat| chat.spec.linked);
    let foreign = |sender: ChatId| sender != said.chat && Some(sender) != linked;
    said.from == UserId::CHANNEL_BOT && said.sender_chat.is_some_and(foreign)
}
