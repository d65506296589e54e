//! Who waits for too long is removed, where the group wants that: in time and not before, after a warning, for as long as was
//! said (E47, E49).

use super::{
    Judge,
    due::Due,
    people::spans,
    record::Stood,
    terms::{Removal, Terms},
    verdict::Kind,
    words,
};
use crate::world::{ChatId, ChatKind, Happened, Member, UserId};

/// By how much the bot's reckoning may differ from what the world shows.
const ABOUT_MS: i64 = 20_000;
/// Whom the bot only removes is out no longer than this, s.
const KICKED_FOR_S: i64 = 600;

impl Judge<'_, '_> {
    pub(super) fn judge_removals(&mut self) {
        let (mut removed, mut due) = (0, 0);
        let mut is_wanted = false;
        for (group, user) in self.record.standings.keys().copied() {
            let supergroup = self.record.world.chat(group).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup);
            if !supergroup || user == self.record.bot() {
                continue;
            }
            let rules = self.record.rules.get(&group).into_iter().flatten();
            is_wanted |= rules.into_iter().any(|rule| rule.terms.removal().is_some());
            let standing = self.record.standing(group, user);
            for (index, stood) in standing.iter().enumerate() {
                if let (Member::Kicked { until }, Some(by)) = (stood.member, stood.by)
                    && by == self.record.bot()
                {
                    removed += usize::from(self.judge_removal(group, user, &standing[..=index], until));
                    self.judge_return(group, user, stood, standing.get(index + 1));
                }
            }
            due += self.judge_patience(group, user);
        }
        if is_wanted {
            self.count("removals", removed, due, removed.max(due));
        }
    }

    /// One removal; returns whether it was one for waiting. The last of `standing` is it.
    fn judge_removal(&mut self, group: ChatId, user: UserId, standing: &[Stood], until: i64) -> bool {
        let Some(at) = standing.last().map(|stood| stood.at_ms) else { return false };
        let text = |judge: &Self, what: &str| judge.about(group, user, at, what);
        let crossing = self.dues_during(group, user, self.crossing_from(at), at);
        if crossing.iter().any(|due| matches!(due, Due::Theirs { banned: true, .. })) {
            if until != 0 {
                self.verdict.find(Kind::RemovedForWrongTime, text(self, "an administrator had banned"));
            }
            return false;
        }
        if crossing.iter().all(|due| *due == Due::Dry) {
            self.verdict.find(Kind::ActedInDryRun, text(self, "removed"));
            return true;
        }
        let Some((terms, how)) = self.terms_of_removal(group, at) else {
            self.verdict.find(Kind::RemovedWrongly, text(self, "removed without being asked to"));
            return true;
        };
        let Some(since) = self.waits_since(group, user, &standing[..standing.len() - 1], at) else {
            self.verdict.find(Kind::RemovedWrongly, text(self, "removed, who did not wait,"));
            return true;
        };
        if at - since + ABOUT_MS < terms.timeout_ms() {
            let waited = format!("removed, having waited for {} s,", (at - since) / 1000);
            self.verdict.find(Kind::RemovedTooSoon, text(self, &waited));
        }
        if terms.warns() && !self.was_warned(group, since, at - terms.timeout_ms() / 4 + ABOUT_MS) {
            self.verdict.find(Kind::RemovedUnwarned, text(self, "removed"));
        }
        let lasts_s = until - at / 1000;
        let right = match how {
            Removal::Kick => until != 0 && lasts_s <= KICKED_FOR_S,
            Removal::Ban => (lasts_s - terms.ban_s()).abs() <= ABOUT_MS / 1000,
        };
        if !right {
            let end = if until == 0 { "for ever".to_owned() } else { format!("for {lasts_s} s") };
            self.verdict.find(Kind::RemovedForWrongTime, text(self, &format!("banned {end}")));
        }
        true
    }

    /// Who was only removed may come back at once.
    fn judge_return(&mut self, group: ChatId, user: UserId, stood: &Stood, next: Option<&Stood>) {
        let at = stood.at_ms;
        let kicked = self.terms_of_removal(group, at).is_some_and(|(_, how)| how == Removal::Kick);
        let theirs = matches!(self.dues_during(group, user, self.crossing_from(at), at)[..], [.., Due::Theirs { .. }]);
        let lifted = next.is_some_and(|next| next.member == Member::Left && next.at_ms <= self.settled(at));
        if kicked && !theirs && !lifted && self.settled(at) < self.record.end_ms {
            let text = self.about(group, user, at, "removed and did not let back");
            self.verdict.find(Kind::RemovedForWrongTime, text);
        }
    }

    /// Whether somebody stands so because the bot had only removed them.
    pub(super) fn is_end_of_kick(&self, before: Member, at_ms: i64) -> bool {
        matches!(before, Member::Kicked { until } if until != 0 && until - at_ms / 1000 <= KICKED_FOR_S)
    }

    /// Nobody waits for much longer than they may; returns how many removals were due.
    fn judge_patience(&mut self, group: ChatId, user: UserId) -> usize {
        let (mut due, end_ms) = (0, self.record.end_ms);
        let standing = self.record.standing(group, user);
        let segments = self.segments(group, user);
        for (segment, until) in spans(&segments, end_ms).filter(|(segment, _)| segment.due == Due::Restricted) {
            for (index, stood) in standing.iter().enumerate() {
                let stands_until = standing.get(index + 1).map_or(end_ms, |next| next.at_ms);
                let (from, to) = (segment.from_ms.max(stood.at_ms), until.min(stands_until).min(end_ms));
                let held = stood.member.is_muted() && stood.member.is_in();
                if !held || to <= from || !self.record.held_by_bot_at(group, user, from) {
                    continue;
                }
                let terms = self.record.terms_at(group, from);
                let Some(terms) = terms.filter(|terms| self.record.terms_at(group, to) == Some(terms)) else {
                    continue;
                };
                if terms.removal().is_none() || to - from < terms.timeout_ms() {
                    continue;
                }
                due += 1;
                if to - from > terms.timeout_ms() + self.tolerance.timers_ms {
                    let text = self.about(group, user, from, "has not removed, who waits since then,");
                    self.verdict.find(Kind::NotRemoved, text);
                }
            }
        }
        due
    }

    /// What the group wants at a time, if it has people removed.
    fn terms_of_removal(&self, group: ChatId, at_ms: i64) -> Option<(Terms, Removal)> {
        let terms = &self.record.required_at(group, at_ms)?.0.terms;
        Some((terms.clone(), terms.removal()?))
    }

    /// Since when somebody waits who stood so until `at_ms`: in the group, muted by the bot, lacking a channel.
    fn waits_since(&self, group: ChatId, user: UserId, standing: &[Stood], at_ms: i64) -> Option<i64> {
        let waits = |due: Due| matches!(due, Due::Restricted | Due::Either);
        let segments = self.segments(group, user);
        let before = segments[..segments.partition_point(|segment| segment.from_ms <= at_ms)].iter().rev();
        // What has changed in the very moment may have crossed.
        let mut before =
            before.skip_while(|segment| !waits(segment.due) && segment.from_ms > self.crossing_from(at_ms));
        let lacking = before.by_ref().take_while(|segment| waits(segment.due)).last()?.from_ms;
        let held = |stood: &&Stood| stood.member.is_muted() && stood.member.is_in();
        let crossed = |stood: &&Stood| !held(stood) && stood.at_ms > self.crossing_from(at_ms);
        let muted = standing.iter().rev().skip_while(crossed).take_while(held).last()?.at_ms;
        Some(lacking.max(muted))
    }

    /// Whether the group was warned between two moments that somebody will be removed.
    fn was_warned(&self, group: ChatId, from_ms: i64, to_ms: i64) -> bool {
        let warns = |what: &Happened| match what {
            Happened::Sent { chat, text, author, .. } => {
                *chat == group && *author == self.record.bot() && words::warns(text)
            }
            Happened::Edited { chat, text, .. } => *chat == group && words::warns(text),
            _ => false,
        };
        let history = self.record.world.history();
        let from = history.partition_point(|entry| entry.at_ms < from_ms);
        history[from..].iter().take_while(|entry| entry.at_ms <= to_ms).any(|entry| warns(&entry.what))
    }
}
