//! Messages: those of unverified people go, all others stay.

use std::collections::BTreeMap;

use super::{
    Judge,
    due::Due,
    record::{Record, Said},
    terms::Terms,
    verdict::Kind,
};
use crate::world::{ChatId, ChatKind, UserId};

/// From when on news is too old for anything to be done about a message.
const STALE_MS: i64 = 600_000;
/// What is older cannot be deleted (E55).
const DELETABLE_MS: i64 = 2 * 86_400_000;

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
            // What the bot hears of too late it leaves alone (E66).
            let in_time = self.record.late_ms(said.at_ms) < STALE_MS;
            let certain = in_time && dues.iter().all(|due| *due == Due::Restricted);
            let unknowable = self.is_unknowable(said.chat, said.author, said.at_ms);
            possible += usize::from(doubtful);
            match by_bot {
                Some(at) => {
                    // Commands and their replies are cleared away after a while, whoever wrote them.
                    if !said.is_command() && !doubtful {
                        let dry = dues.contains(&Due::Dry);
                        let kind = if dry { Kind::ActedInDryRun } else { Kind::FreeMessageDeleted };
                        self.verdict.find(kind, text());
                    } else if certain && !said.is_command() && !self.could_know_about(said, at) {
                        self.verdict.find(Kind::PunishedOnUnknown, text());
                    }
                    deleted += usize::from(doubtful);
                    let soon = self.dues_of(said, from, settled);
                    due += usize::from(soon.iter().all(|due| *due == Due::Restricted));
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

    /// What is said beside messages: notes about joins and leaves (E13), edits (E58), and channels that may write no more (E5).
    pub(super) fn judge_rarer_messages(&mut self) {
        let record = self.record;
        for said in record.said.iter().filter(|said| said.told) {
            let (settled, crossing) = (self.settled(said.at_ms), self.crossing_from(said.at_ms));
            let about = || format!("message {} in {} at {}", said.id, said.chat, record.time(said.at_ms));
            let terms =
                record.terms_at(said.chat, crossing).filter(|terms| record.terms_at(said.chat, settled) == Some(terms));
            let Some(terms) = terms.filter(|terms| !terms.required.is_empty() && !terms.is_dry()) else { continue };
            let by_bot = said.deleted.is_some_and(|(_, by)| by == record.bot());
            let armed = |at_ms| {
                let rights = record.member_at(said.chat, record.bot(), at_ms).rights();
                rights.can_delete_messages && rights.can_restrict_members
            };
            let is_armed = armed(said.at_ms) && armed(settled);
            if said.service && said.from != UserId::GROUP_ANONYMOUS_BOT {
                match (terms.cleans_notes(), said.deleted.is_some()) {
                    (true, false) if is_armed => self.verdict.find(Kind::NoteLeft, about()),
                    (false, true) if by_bot => self.verdict.find(Kind::FreeMessageDeleted, about()),
                    _ => {}
                }
            }
            let sender = said.sender_chat.filter(|_| is_foreign_channel(self, said));
            let to_ban = sender.filter(|sender| terms.sender_chats() == "ban" && !terms.allows(sender.0) && is_armed);
            if to_ban.is_some_and(|sender| !record.world.is_sender_banned(said.chat, sender)) {
                self.verdict.find(Kind::SenderNotBanned, about());
            }
        }
        for (at_ms, chat, user) in &record.edits {
            let (settled, crossing) = (self.settled(*at_ms), self.crossing_from(*at_ms));
            let looks = record.terms_at(*chat, crossing).is_some_and(Terms::looks_at_edits);
            let restricted =
                self.dues_during(*chat, *user, crossing, settled).iter().all(|due| *due == Due::Restricted);
            if !looks || !restricted || self.is_unknowable(*chat, *user, *at_ms) {
                continue;
            }
            let own = self.messages_of.get(&(*chat, *user)).into_iter().flatten().map(|index| &record.said[*index]);
            let mut stood =
                own.filter(|said| said.at_ms <= *at_ms && said.deleted.is_none_or(|(gone, _)| gone >= *at_ms));
            let young = |said: &&Said| at_ms - said.at_ms < DELETABLE_MS;
            if let Some(said) = stood.next_back().filter(|said| said.deleted.is_none()).filter(young) {
                let text = format!("message {} in {chat}, edited at {}", said.id, record.time(*at_ms));
                self.verdict.find(Kind::MessageNotDeleted, text);
            }
        }
    }

    fn could_know_about(&self, said: &Said, at_ms: i64) -> bool {
        is_foreign_channel(self, said) || self.could_know(said.chat, said.author, self.reasons_from(said.at_ms), at_ms)
    }

    /// What was due to whoever shows as the sender.
    fn dues_of(&self, said: &Said, from_ms: i64, to_ms: i64) -> Vec<Due> {
        if is_foreign_channel(self, said) {
            // Membership of a channel cannot be checked: in a protected group its messages go (E5).
            let protected = |at| self.record.required_at(said.chat, at).map(|(rule, _)| rule);
            let sender = said.sender_chat.unwrap_or(said.chat);
            return match (protected(from_ms), protected(to_ms)) {
                (None, None) => vec![Due::Unprotected],
                (Some(before), Some(after)) if before.at_ms == after.at_ms && from_ms >= before.certain_ms => {
                    vec![of_foreign_channel(&before.terms, sender)]
                }
                _ => vec![Due::Either],
            };
        }
        let sender = if said.sender_chat.is_some() { said.from } else { said.author };
        self.dues_during(said.chat, sender, from_ms, to_ms)
    }
}

/// What is due to a channel that is not the group's own.
fn of_foreign_channel(terms: &Terms, sender: ChatId) -> Due {
    match () {
        () if terms.required.is_empty() => Due::Unprotected,
        () if terms.sender_chats() == "allow" || terms.allows(sender.0) => Due::Allowed,
        () if terms.is_dry() => Due::Dry,
        () => Due::Restricted,
    }
}

/// Neither the group itself (an anonymous administrator, E2) nor its linked channel (E1, E4).
fn is_foreign_channel(judge: &Judge<'_, '_>, said: &Said) -> bool {
    let linked = judge.record.world.chat(said.chat).and_then(|chat| chat.spec.linked);
    let foreign = |sender: ChatId| sender != said.chat && Some(sender) != linked;
    said.from == UserId::CHANNEL_BOT && said.sender_chat.is_some_and(foreign)
}
