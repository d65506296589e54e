//! Log channels are told of everything that is done in their group, once each.

use super::{Judge, verdict::Kind, words};
use crate::world::{ChatId, Member};

/// What is told of, when it is done to somebody.
const ACTS: [&str; 4] = ["restrictchatmember", "banchatmember", "unbanchatmember", "approvechatjoinrequest"];

impl Judge<'_, '_> {
    pub(super) fn judge_logs(&mut self) {
        let (mut told, mut due) = (0, 0);
        let mut is_any = false;
        for (group, rules) in &self.record.rules {
            let Some(log) = rules.last().and_then(|rule| rule.terms.log_chat()) else { continue };
            let since = rules.iter().rev().take_while(|rule| rule.terms.log_chat() == Some(log)).last();
            let Some(since_ms) = since.map(|rule| rule.certain_ms) else { continue };
            is_any = true;
            let lines = self.lines(*group, log, since_ms);
            let acts = self.acts(*group, since_ms);
            (told, due) = (told + lines, due + acts);
            let text = || format!("{lines} lines about {acts} acts in {group}");
            if lines < acts {
                self.verdict.find(Kind::LogIncomplete, text());
            }
            if lines > acts {
                self.verdict.find(Kind::LogWrong, text());
            }
        }
        if is_any {
            self.count("log lines", told, due, due);
        }
    }

    /// Lines of what was done to people, without their messages and what would have been done.
    fn lines(&self, group: ChatId, log: ChatId, since_ms: i64) -> usize {
        let title = self.record.world.chat(group).map(|chat| chat.spec.title.clone()).unwrap_or_default();
        let messages = self.record.said.iter().filter(|said| said.chat == log && said.at_ms >= since_ms);
        let messages =
            messages.filter(|said| said.author == self.record.bot() && said.text.lines().next() == Some(&title));
        let is_act = |line: &&str| !words::is_dry(line) && !words::tells_of_deletions(line);
        messages.flat_map(|said| said.text.lines().skip(1)).filter(is_act).count()
    }

    fn acts(&self, group: ChatId, since_ms: i64) -> usize {
        let calls = self.record.calls.iter().filter(|call| call.chat == group && call.at_ms >= since_ms);
        let acts = calls.filter(|call| ACTS.contains(&call.method.as_str()));
        // That who was removed may come back is part of removing them.
        let ends_kick = |call: &&super::record::Call| {
            let Some(user) = call.user.filter(|_| call.method == "unbanchatmember") else { return false };
            let before = self
                .record
                .standing(group, user)
                .iter()
                .rfind(|stood| stood.at_ms <= call.at_ms && stood.member != Member::Left);
            before.is_some_and(|stood| self.is_end_of_kick(stood.member, call.at_ms))
        };
        acts.filter(|call| !ends_kick(call)).count()
    }
}
