//! A person's messages: those that are to go, and those that wait until more is known.

use nezuko_telegram::{ChatId, MessageId};

use super::Person;
use crate::{
    facts::{EventOrder, Member},
    intent::{Intent, Put},
    policy::{self, OfMessage, Rule},
    store::{Held, Verification},
};

impl Person<'_> {
    /// What is to be done about a message that the person wrote in `group` at `date`, and where to look them up for it.
    #[must_use]
    pub fn of_message(&self, group: ChatId, date: i64) -> (OfMessage, Vec<(ChatId, i64)>) {
        let judge =
            |rule: &Rule<'_>, member: Option<&Member>| policy::of_message(rule, self.user, member, date, self.now_ms);
        self.with_rule(group, judge).unwrap_or((OfMessage::Keep, Vec::new()))
    }

    /// Takes in that the person wrote a message at `written`, or edited it then, and has it deleted or held where it is to be;
    /// returns what was decided. What is taken in too late stays, and nobody is muted for it who writes from outside (E66);
    /// everything stays in a dry run.
    pub fn judge_message(&mut self, group: ChatId, message: MessageId, written: EventOrder) -> OfMessage {
        let date = written.date;
        if policy::is_stale(date, self.now_ms) {
            self.member(group).apply_late_message(written);
            return OfMessage::Keep;
        }
        self.member(group).apply_message(written);
        let (what, _) = self.of_message(group, date);
        match what {
            OfMessage::Delete => self.delete(group, message, !self.view.seen_before),
            OfMessage::Hold => self.writes.hold = Some(Held { group, message, date }),
            OfMessage::Keep => {}
        }
        if self.is_dry(group) { OfMessage::Keep } else { what }
    }

    /// Has a message deleted, and tells the log chat, where there is one, if that `is_news`.
    fn delete(&mut self, group: ChatId, message: MessageId, is_news: bool) {
        let is_dry = self.is_dry(group);
        let is_told = is_dry || self.view.chats.get(&group).is_some_and(|chat| chat.facts.log_chat().is_some());
        let outcome = if is_dry { "would_delete" } else { Verification::DELETED };
        self.writes.verifications.extend((is_told && is_news).then_some(Verification { group, outcome }));
        if !is_dry {
            let intent = Intent::Delete { chat: group, message };
            self.writes.put.push(Put { intent, not_before_ms: self.now_ms, urgency: self.urgency });
        }
    }

    /// Decides the messages that were held, and says where to look the person up for those that stay held.
    pub(super) fn decide_held(&mut self, group: ChatId) -> Vec<(ChatId, i64)> {
        let view = self.view;
        let mut asks = Vec::new();
        for held in view.held.iter().filter(|held| held.group == group) {
            let (what, ask) = self.of_message(group, held.date);
            match what {
                OfMessage::Hold => asks.extend(ask),
                OfMessage::Keep => self.writes.unhold.push((group, held.message)),
                OfMessage::Delete => {
                    self.writes.unhold.push((group, held.message));
                    if !policy::is_stale(held.date, self.now_ms) {
                        self.delete(group, held.message, true);
                    }
                }
            }
        }
        if let Some(held) = self.writes.hold.filter(|held| held.group == group) {
            asks.extend(self.of_message(group, held.date).1);
        }
        asks
    }
}
