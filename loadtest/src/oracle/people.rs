//! Who was restricted and freed, and how everybody stands in the end.

use super::{
    Judge,
    due::{self, Due, Segment},
    record::{Stood, holds},
    verdict::Kind,
};
use crate::world::{ChatId, ChatKind, Happened, Member, UserId};

/// The bot's numbers beside what was due.
#[derive(Default)]
struct Tally {
    bot: usize,
    /// Those of the bot that had a reason.
    justified: usize,
    at_least: usize,
    at_most: usize,
}

impl Tally {
    fn add(&mut self, changed: bool, justified: bool) {
        self.bot += usize::from(changed);
        self.justified += usize::from(changed && justified);
    }
}

impl Judge<'_, '_> {
    pub(super) fn judge_people(&mut self) {
        self.judge_attempts();
        let (mut mutes, mut frees) = (Tally::default(), Tally::default());
        for (group, user) in self.record.standings.keys().copied() {
            let supergroup = self.record.world.chat(group).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup);
            if !supergroup || user == self.record.bot() {
                continue;
            }
            self.judge_acts(group, user, &mut mutes, &mut frees);
            let provocations = self.provocations(group, user);
            self.judge_end(group, user, &provocations);
            self.expect_mutes(group, user, &provocations, &mut mutes);
            self.expect_frees(group, user, &mut frees);
        }
        self.count("mutes", mutes.bot, mutes.at_least, mutes.at_most.max(mutes.justified));
        self.count("frees", frees.bot, frees.at_least, frees.at_most.max(frees.justified));
    }

    /// Calls that Telegram refused because of whom they were about: nobody exempt may even be tried.
    fn judge_attempts(&mut self) {
        for entry in self.record.world.history() {
            let Happened::Called { method, chat: Some(chat), user: Some(user), error: Some(_) } = &entry.what else {
                continue;
            };
            let restricts = ["restrictChatMember", "banChatMember"].iter().any(|m| m.eq_ignore_ascii_case(method));
            let exempt = |due: &Due| *due == Due::Exempt;
            let dues = self.dues_during(*chat, *user, self.reasons_from(entry.at_ms), entry.at_ms);
            if restricts && dues.iter().all(exempt) {
                let text = self.about(*chat, *user, entry.at_ms, method);
                self.verdict.find(Kind::ExemptRestricted, text);
            }
        }
    }

    /// Each of the bot's changes: was there any reason for it?
    fn judge_acts(&mut self, group: ChatId, user: UserId, mutes: &mut Tally, frees: &mut Tally) {
        let standing = self.record.standing(group, user);
        for (index, stood) in standing.iter().enumerate().filter(|(_, stood)| stood.by == Some(self.record.bot())) {
            let at = stood.at_ms;
            let before = index.checked_sub(1).map_or(Member::Left, |before| standing[before].member.at(at));
            let found = self.verdict.findings.len();
            // Who is removed, and let in again right after it, is looked at elsewhere.
            if matches!(stood.member, Member::Kicked { .. }) || self.is_end_of_kick(before, at) {
                continue;
            }
            match (holds(before), holds(stood.member)) {
                (was, true) => {
                    self.judge_mute(group, user, stood);
                    mutes.add(!was, self.verdict.findings.len() == found);
                }
                (true, false) => {
                    self.judge_free(group, user, at);
                    frees.add(true, self.verdict.findings.len() == found);
                }
                (false, false) => {}
            }
        }
    }

    fn judge_mute(&mut self, group: ChatId, user: UserId, stood: &Stood) {
        let at = stood.at_ms;
        let crossing = self.dues_during(group, user, self.crossing_from(at), at);
        if let [Due::Theirs { until, .. }] = crossing[..] {
            let same = matches!(stood.member, Member::Restricted { until: set, .. } if set == until);
            if !same {
                let text = self.about(group, user, at, "replaced an administrator's restriction of");
                self.verdict.find(Kind::AdminsRestrictionBroken, text);
            }
            return;
        }
        let from = self.reasons_from(at);
        let dues = self.dues_during(group, user, from, at);
        if dues.iter().all(|due| *due == Due::Exempt) {
            let text = self.about(group, user, at, "restricted");
            self.verdict.find(Kind::ExemptRestricted, text);
        } else if dues.iter().all(|due| *due == Due::Dry) {
            let text = self.about(group, user, at, "muted");
            self.verdict.find(Kind::ActedInDryRun, text);
        } else if dues.iter().all(|due| due.is_free() || matches!(due, Due::Suspended | Due::Dry)) {
            let text = self.about(group, user, at, "muted");
            let unknown = dues.contains(&Due::Suspended) && !self.could_know(group, user, from, at);
            self.verdict.find(if unknown { Kind::PunishedOnUnknown } else { Kind::FreeMuted }, text);
        } else if dues.contains(&Due::Restricted) && !self.could_know(group, user, from, at) && !restores(&dues) {
            let text = self.about(group, user, at, "muted");
            self.verdict.find(Kind::PunishedOnUnknown, text);
        }
    }

    fn judge_free(&mut self, group: ChatId, user: UserId, at: i64) {
        let crossing = self.dues_during(group, user, self.crossing_from(at), at);
        if matches!(crossing[..], [Due::Theirs { .. }]) {
            let text = self.about(group, user, at, "lifted an administrator's restriction of");
            self.verdict.find(Kind::AdminsRestrictionBroken, text);
        }
        let dues = self.dues_during(group, user, self.reasons_from(at), at);
        if dues.iter().all(|due| matches!(due, Due::Restricted | Due::Dry)) {
            let text = self.about(group, user, at, "freed");
            let dry = dues.contains(&Due::Dry);
            self.verdict.find(if dry { Kind::ActedInDryRun } else { Kind::MissingFreed }, text);
        }
    }

    /// When the bot was given a reason to look at somebody: they came, wrote, or left a required channel.
    fn provocations(&self, group: ChatId, user: UserId) -> Vec<i64> {
        let mut at = Vec::new();
        let mut was_in = false;
        for stood in self.record.standing(group, user) {
            if stood.member.is_in() && !was_in && stood.by == Some(user) {
                at.push(stood.at_ms);
            }
            was_in = stood.member.is_in();
        }
        let wrote = self.messages_of.get(&(group, user)).into_iter().flatten();
        at.extend(wrote.map(|index| self.record.said[*index].at_ms));
        for rule in self.record.rules.get(&group).into_iter().flatten() {
            for channel in &rule.terms.required {
                let out = self.record.standing(*channel, user).iter().filter(|stood| !stood.member.is_in());
                at.extend(out.map(|stood| stood.at_ms));
                let grace_ends = due::left(self.record, *channel, user).map(|at_ms| at_ms + rule.terms.grace_ms());
                at.extend(grace_ends.filter(|at_ms| *at_ms <= self.record.end_ms));
            }
        }
        at.sort_unstable();
        at
    }

    /// How somebody stands when all is quiet.
    fn judge_end(&mut self, group: ChatId, user: UserId, provocations: &[i64]) {
        let end = self.record.end_ms;
        let segments = self.segments(group, user);
        let Some(last) = segments.last() else { return };
        let member = self.record.member_at(group, user, end);
        let held = self.record.held_by_bot_at(group, user, end);
        match last.due {
            Due::Restricted => {
                let provoked = provocations.iter().any(|at| *at >= last.from_ms);
                if provoked && member.is_in() && !held && !self.is_unknowable(group, user, end) {
                    let text = self.about(group, user, last.from_ms, "has not muted");
                    self.verdict.find(Kind::NotMuted, text);
                }
            }
            Due::Theirs { until, banned } => {
                let stands = match member {
                    Member::Restricted { until: set, .. } => !banned && member.is_muted() && set == until,
                    Member::Kicked { .. } => banned,
                    _ => false,
                };
                if !stands {
                    let text =
                        self.about(group, user, last.from_ms, "left nothing of an administrator's restriction of");
                    self.verdict.find(Kind::AdminsRestrictionGone, text);
                }
            }
            due if due.is_free() && held => {
                let text = self.about(group, user, last.from_ms, "still mutes");
                self.verdict.find(Kind::StillMuted, format!("{text} ({due:?})"));
            }
            _ => {}
        }
    }

    /// One mute is due for each time that somebody lacks a channel and gives a reason to look.
    fn expect_mutes(&self, group: ChatId, user: UserId, provocations: &[i64], mutes: &mut Tally) {
        for (segment, until) in spans(&self.segments(group, user), self.record.end_ms) {
            if !matches!(segment.due, Due::Restricted | Due::Either) {
                continue;
            }
            let span = segment.from_ms..until;
            let Some(at) = provocations.iter().copied().find(|at| span.contains(at)) else {
                // Not asked for, but not wrong either.
                let standing = self.record.standing(group, user);
                let muted = |s: &&Stood| span.contains(&s.at_ms) && s.by == Some(self.record.bot()) && holds(s.member);
                mutes.at_most += standing.iter().filter(muted).count().min(1);
                continue;
            };
            if self.record.held_by_bot_at(group, user, at - 1) {
                continue;
            }
            mutes.at_most += 1;
            let settled = self.settled(at);
            let stayed = self.record.member_at(group, user, at).is_in()
                && !self
                    .record
                    .standing(group, user)
                    .iter()
                    .any(|s| s.at_ms > at && s.at_ms < settled && !s.member.is_in());
            let lasted = until >= settled || until >= self.record.end_ms;
            let certain = segment.due == Due::Restricted && stayed && lasted;
            mutes.at_least += usize::from(certain && !self.is_unknowable(group, user, at));
        }
    }

    /// One release is due for each time that somebody whom the bot mutes becomes free.
    fn expect_frees(&self, group: ChatId, user: UserId, frees: &mut Tally) {
        let mut doubtful_since = None;
        for (segment, until) in spans(&self.segments(group, user), self.record.end_ms) {
            // While a command is under way, the release may come already.
            let from_ms = doubtful_since.take().unwrap_or(segment.from_ms);
            if segment.due == Due::Either {
                doubtful_since = Some(from_ms);
            }
            // An administrator who allows or promotes somebody has lifted the mute already.
            if !matches!(segment.due, Due::Free | Due::Unprotected) || from_ms == i64::MIN {
                continue;
            }
            let held_at = |at| self.record.held_by_bot_at(group, user, at);
            let held = held_at(from_ms - 1);
            let settled = self.settled(segment.from_ms);
            let late = from_ms..settled.min(until);
            let standing = self.record.standing(group, user);
            if held || standing.iter().any(|stood| late.contains(&stood.at_ms) && held_at(stood.at_ms)) {
                frees.at_most += 1;
                let lasted = until >= settled || until >= self.record.end_ms;
                frees.at_least += usize::from(held && lasted);
            }
        }
    }

    pub(super) fn about(&self, group: ChatId, user: UserId, at_ms: i64, what: &str) -> String {
        format!("{what} {} in {group} at {}", self.record.name(user), self.record.time(at_ms))
    }
}

/// Whether an administrator's restriction was lately in force, which the bot may put back.
fn restores(dues: &[Due]) -> bool {
    dues.iter().any(|due| matches!(due, Due::Theirs { .. }))
}

/// Each segment with where it ends.
pub(super) fn spans(segments: &[Segment], end_ms: i64) -> impl Iterator<Item = (Segment, i64)> {
    segments.iter().enumerate().map(move |(index, segment)| {
        (*segment, segments.get(index + 1).map_or(end_ms.saturating_add(1), |next| next.from_ms))
    })
}
