//! What is recorded beside the facts: buttons, allowances, the ledger, the verification log.

use std::collections::BTreeMap;

use nezuko_telegram::{ChatId, UserId};
use nezuko_worker::store::{Allowance, ButtonRow, Happened, LogLine, PersonWrites, Scope, Untold};

use super::tables::HELD_MS;
use crate::coverage::count;

/// An entry of the verification log; its line is 0 where it is none.
#[derive(Clone, Debug)]
struct Entry {
    line: LogLine,
    told_ms: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    buttons: BTreeMap<i64, ButtonRow>,
    /// When each window began, and how often was drawn in it.
    allowances: BTreeMap<(UserId, Allowance), (i64, i64)>,
    /// Mutes of ours, and whether they are lifted.
    ledger: BTreeMap<(ChatId, UserId), bool>,
    verifications: Vec<Entry>,
}

impl Records {
    pub(super) fn write(&mut self, scope: &Scope<'_>, writes: &PersonWrites) {
        for (entry, line, name) in writes.entries() {
            count("person", "found to be", entry.outcome);
            let (name, outcome) = (name.to_owned(), entry.outcome.to_owned());
            let line = LogLine { line, group: entry.group, user: Some(scope.user), name, at_ms: scope.now_ms, outcome };
            self.verifications.push(Entry { line, told_ms: 0 });
        }
        for entry in &writes.ledger {
            if entry.imposed.is_some() {
                self.ledger.insert((entry.group, scope.user), false);
            } else {
                self.ledger.entry((entry.group, scope.user)).and_modify(|lifted| *lifted = true);
            }
        }
    }

    pub(super) fn forget(&mut self, user: UserId) {
        self.ledger.retain(|(_, of), lifted| *of != user || !*lifted);
        self.buttons.retain(|_, row| row.user != Some(user));
        for entry in self.verifications.iter_mut().filter(|entry| entry.line.user == Some(user)) {
            (entry.line.user, entry.line.name) = (None, String::new());
        }
    }

    pub(super) fn migrate(&mut self, old: ChatId, new: ChatId) {
        let of_old = (old, UserId(i64::MIN))..=(old, UserId(i64::MAX));
        for ((_, user), _) in self.ledger.extract_if(of_old, |_, _| true).collect::<Vec<_>>() {
            self.ledger.entry((new, user)).or_insert(true);
        }
        let entries = self.verifications.iter_mut().filter(|entry| entry.line.group == old);
        entries.for_each(|entry| entry.line.group = new);
    }

    pub(super) fn purge(&mut self, now_ms: i64) {
        self.buttons.retain(|_, row| row.expires_ms >= now_ms);
        self.allowances.retain(|_, (began_ms, _)| *began_ms >= now_ms - HELD_MS);
    }

    pub(super) fn add_buttons(&mut self, rows: &[ButtonRow]) {
        self.buttons.extend(rows.iter().map(|row| (row.id, row.clone())));
    }

    pub(super) fn button(&self, id: i64, now_ms: i64) -> Option<ButtonRow> {
        self.buttons.get(&id).filter(|row| row.expires_ms > now_ms).cloned()
    }

    /// Returns whether this was the first time.
    pub(super) fn use_button(&mut self, id: i64, now_ms: i64) -> bool {
        let unused = |row: &&mut ButtonRow| row.used_ms == 0 && row.expires_ms > now_ms;
        self.buttons.get_mut(&id).filter(unused).map(|row| row.used_ms = now_ms).is_some()
    }

    pub(super) fn draw(&mut self, user: UserId, of: Allowance, now_ms: i64, window_ms: i64) -> i64 {
        let (began_ms, drawn) = self.allowances.entry((user, of)).or_insert((now_ms, 0));
        if *began_ms <= now_ms - window_ms {
            (*began_ms, *drawn) = (now_ms, 0);
        }
        *drawn += 1;
        *drawn
    }

    pub(super) fn happened(&self, group: ChatId, since_ms: i64) -> Happened {
        let muted = self.ledger.iter().filter(|((chat, _), lifted)| *chat == group && !**lifted).count() as i64;
        let mut happened = Happened { muted, ..Happened::default() };
        for Entry { line, .. } in &self.verifications {
            if line.group == group && line.at_ms >= since_ms {
                *happened.outcomes.entry(line.outcome.clone()).or_default() += 1;
            }
        }
        happened
    }

    pub(super) fn untold(&self, group: ChatId, since_ms: i64, most: i64) -> Untold {
        let of_group = self.verifications.iter().filter(|entry| entry.line.line != 0 && entry.line.group == group);
        let told_ms = of_group.clone().map(|entry| entry.told_ms).max().unwrap_or_default();
        let untold = of_group.filter(|entry| entry.told_ms == 0 && entry.line.at_ms >= since_ms);
        let mut lines: Vec<LogLine> = untold.map(|entry| entry.line.clone()).collect();
        lines.sort_by_key(|line| (line.at_ms, line.line));
        lines.truncate(most.unsigned_abs() as usize);
        Untold { lines, told_ms }
    }

    pub(super) fn told(&mut self, lines: &[i64], now_ms: i64) {
        for entry in self.verifications.iter_mut().filter(|entry| lines.contains(&entry.line.line)) {
            entry.line.name.clear();
            entry.told_ms = now_ms;
        }
    }

    pub(super) fn line(&self, number: i64) -> Option<LogLine> {
        let mut lines = self.verifications.iter().map(|entry| &entry.line);
        lines.find(|line| line.line != 0 && line.line == number).cloned()
    }
}
