//! The verification log, and what of it the log chats of groups are told.

use std::collections::BTreeMap;

use nezuko_telegram::{ChatId, UserId};

use super::{Chat, PersonView, PersonWrites};
use crate::intent::{Intent, Put};

/// What checks come to that somebody asked for: whoever asked is told, and nothing was done to anybody.
const CHECKS: [&str; 8] =
    ["verified", "already_free", "missing", "by_admin", "unknown", "in_progress", "request_granted", "request_left"];

/// An entry of the verification log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Where.
    pub group: ChatId,
    /// What came of it: `muted`, `released`, `restored`, `verified`, `missing`, `unknown`.
    pub outcome: &'static str,
}

/// How the entries of one group are told in its log chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The number of the first entry's line; the next entries count on.
    pub first: i64,
    /// What the person is called.
    pub name: String,
}

/// A line for a log chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its number.
    pub line: i64,
    /// Where it happened.
    pub group: ChatId,
    /// To whom; `None`: to somebody who asked to be forgotten.
    pub user: Option<UserId>,
    /// What they are called; empty once the line is told.
    pub name: String,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// What.
    pub outcome: String,
}

/// What a group's log chat is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// When it was last told something, Unix milliseconds; 0: never.
    pub told_ms: i64,
}

impl PersonWrites {
    /// Has the log chats told what was done, in the same transaction, where groups have one. `first` is a number that
    /// nobody else draws.
    pub(crate) fn tell_logs(&mut self, view: &PersonView, first: i64, now_ms: i64) {
        let has_log = |chat: &Chat| chat.facts.log_chat().is_some();
        let is_told = |group: &ChatId| view.chats.get(group).is_some_and(has_log);
        let acts = self.verifications.iter().filter(|entry| entry.is_act()).map(|entry| entry.group);
        let mut logs = BTreeMap::new();
        for group in acts.filter(is_told) {
            // Of somebody who is free it is kept no longer.
            let known = [&self.members, &view.members].into_iter().filter_map(|members| members.get(&group));
            let names = known.map(|member| &member.name).chain([&self.name]);
            let name = names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
            logs.insert(group, Lines { first, name });
        }
        self.put.extend(logs.keys().map(|group| Put::bulk(Intent::Log { group: *group }, now_ms)));
        self.lines = logs;
    }

    /// The entries of the verification log, each with the number of its line and the name in it; 0: it is no line.
    pub fn entries(&self) -> impl Iterator<Item = (Verification, i64, &str)> {
        self.verifications.iter().zip(0..).map(|(entry, nth)| {
            let lines = self.lines.get(&entry.group).filter(|_| entry.is_act());
            lines.map_or((*entry, 0, ""), |lines| (*entry, lines.first + nth, lines.name.as_str()))
        })
    }
}

impl Verification {
    /// A message was deleted, which is written down only where a log chat is told.
    pub const DELETED: &'static str = "deleted";

    /// Whether something was done, or would have been.
    fn is_act(&self) -> bool {
        !CHECKS.contains(&self.outcome)
    }
}
