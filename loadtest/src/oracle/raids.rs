//! Raids: where a group has said how many newcomers are one, its administrators hear of each once (E98).

use super::{
    Judge,
    record::{Said, holds},
    verdict::Kind,
    words,
};
use crate::world::{ChatId, Member, UserId};

/// Those who begin to wait within this time are counted together.
const WINDOW_MS: i64 = 60_000;
/// Who begins to wait just then may be counted or not.
const MARGIN: usize = 2;
/// One raid is told of no more often than this.
const ONE_RAID_MS: i64 = 300_000;

impl Judge<'_, '_> {
    pub(super) fn judge_raids(&mut self) {
        for (group, rules) in &self.record.rules {
            let Some(most) = rules.last().and_then(|rule| rule.terms.raid_threshold()) else { continue };
            let Some(since_ms) = rules.iter().find(|rule| rule.terms.raid_threshold() == Some(most)) else { continue };
            let muted = self.muted_ms(*group);
            // Who came before the group had said so may be counted, but need not be.
            let began: Vec<i64> = muted.iter().copied().filter(|at| *at > since_ms.certain_ms).collect();
            let notices: Vec<i64> = self.notices(*group).map(|said| said.at_ms).collect();
            let in_window = |of: &[i64], from: i64, to: i64| of.iter().filter(|at| (from..=to).contains(*at)).count();
            let text = |what: &str, at: i64| format!("{what} in {group} at {}", self.record.time(at));
            let mut found = Vec::new();
            for (nth, at) in notices.iter().enumerate() {
                // Who is counted may be muted only later.
                if in_window(&muted, at - WINDOW_MS, self.settled(*at)) + MARGIN <= most {
                    found.push((Kind::RaidToldWrongly, text("no raid", *at)));
                }
                if nth > 0 && at - notices[nth - 1] < ONE_RAID_MS {
                    found.push((Kind::RaidToldWrongly, text("told twice of one raid", *at)));
                }
            }
            let mut told_ms = i64::MIN;
            for at in &began {
                let is_raid = in_window(&began, *at - WINDOW_MS, *at) > most + MARGIN && *at - ONE_RAID_MS > told_ms;
                if is_raid && self.settled(*at) < self.record.end_ms {
                    told_ms = *at;
                    if !notices.iter().any(|told| (at - ONE_RAID_MS..=self.settled(*at)).contains(told)) {
                        found.push((Kind::RaidNotTold, text("a raid", *at)));
                    }
                }
            }
            found.into_iter().for_each(|(kind, text)| self.verdict.find(kind, text));
        }
    }

    /// When the bot began to mute people of a group, in order.
    fn muted_ms(&self, group: ChatId) -> Vec<i64> {
        let here = (group, UserId(i64::MIN))..=(group, UserId(i64::MAX));
        let mut muted = Vec::new();
        for standing in self.record.standings.range(here).map(|(_, standing)| standing) {
            let mut before = Member::Left;
            for stood in standing {
                let begins = stood.member.is_muted() && !holds(before.at(stood.at_ms));
                muted.extend((begins && stood.by == Some(self.record.bot())).then_some(stood.at_ms));
                before = stood.member;
            }
        }
        muted.sort_unstable();
        muted
    }

    fn notices(&self, group: ChatId) -> impl Iterator<Item = &Said> {
        let is_notice = |said: &&Said| said.author == self.record.bot() && words::tells_of_raid(&said.text);
        self.record.said.iter().filter(move |said| said.chat == group).filter(is_notice)
    }
}
