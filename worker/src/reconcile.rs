//! From facts to intents: decides a person in every group that the facts concern, compares what is wanted with what is,
//! and says what to write. Pure.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::cache::Verdict as CacheVerdict;
use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{BotId, ChatId, Limits, UserId};

use crate::{
    facts::{ChatFacts, Mark, Member},
    intent::{Intent, Put},
    planted,
    policy::{self, Decision, OfMessage, Plan, Reason, Required, Rule},
    store::{LedgerEntry, PersonView, PersonWrites},
};

/// What is known about somebody who is muted is made sure of after so long; less than a day, so that each daily sweep does.
const SURE_FOR_MS: i64 = 18 * 3_600_000;

/// A person in a transaction: what was read, what the facts have become, and what follows from them.
#[derive(Debug)]
pub struct Person<'a> {
    bot: BotId,
    user: UserId,
    now_ms: i64,
    view: &'a PersonView,
    members: BTreeMap<ChatId, Member>,
    /// Of the intents that are made: that of what the transaction comes from.
    pub urgency: Urgency,
    /// What to write; complete after [`Person::finish`].
    pub writes: PersonWrites,
}

/// What comes of a person's transaction.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to write.
    pub writes: PersonWrites,
    /// What the cache is to hold after the commit.
    pub verdicts: Vec<CacheVerdict>,
}

impl<'a> Person<'a> {
    /// Begins with what was read.
    #[must_use]
    pub fn new(bot: BotId, user: UserId, now_ms: i64, view: &'a PersonView) -> Self {
        let members = view.members.clone();
        Self { bot, user, now_ms, view, members, urgency: Urgency::Urgent, writes: PersonWrites::default() }
    }

    /// The person in a chat, to apply facts to.
    pub fn member(&mut self, chat: ChatId) -> &mut Member {
        self.members.entry(chat).or_default()
    }

    /// How our mutes of this person in `chat` are known.
    #[must_use]
    pub fn mark(&self, chat: ChatId) -> Mark {
        Mark::of(self.bot, chat, self.user)
    }

    /// The person in a chat, as the facts have become.
    #[must_use]
    pub fn known(&self, chat: ChatId) -> Option<&Member> {
        self.members.get(&chat)
    }

    /// Hands `judge` the rule of `group`, if the group is known.
    fn with_rule<R>(&self, group: ChatId, judge: impl FnOnce(&Rule<'_>, Option<&Member>) -> R) -> Option<R> {
        let unknown = ChatFacts::default();
        let facts = &self.view.chats.get(&group)?.facts;
        let channels: Vec<Required<'_>> = self.view.required.get(&group).map_or_else(Vec::new, |channels| {
            let required = |chat: &ChatId| Required {
                chat: *chat,
                facts: self.view.chats.get(chat).map_or(&unknown, |chat| &chat.facts),
                member: self.members.get(chat),
            };
            channels.iter().map(required).collect()
        });
        let rule = Rule { bot: self.bot, group, facts, channels: &channels };
        Some(judge(&rule, self.members.get(&group)))
    }

    /// Whether the rule is enforced in `group`.
    #[must_use]
    pub fn is_protected(&self, group: ChatId) -> bool {
        self.view.chats.get(&group).is_some_and(|chat| chat.facts.is_protected())
    }

    /// What is to hold in `group`; `None` where the group is not known.
    #[must_use]
    pub fn verdict(&self, group: ChatId) -> Option<policy::Verdict> {
        self.with_rule(group, |rule, member| planted::verdict(policy::decide(rule, self.user, member, self.now_ms)))
    }

    /// What is to be done in `group`, compared with what is.
    #[must_use]
    pub fn plan(&self, group: ChatId, decision: &Decision) -> Plan {
        let nobody = Member::default();
        let member = self.members.get(&group).unwrap_or(&nobody);
        policy::plan(decision, member, self.mark(group), self.now_ms)
    }

    /// What is to be done about a message that the person wrote in `group` at `date`, and where to look them up for it.
    #[must_use]
    pub fn of_message(&self, group: ChatId, date: i64) -> (OfMessage, Vec<(ChatId, i64)>) {
        let judge =
            |rule: &Rule<'_>, member: Option<&Member>| policy::of_message(rule, self.user, member, date, self.now_ms);
        self.with_rule(group, judge).unwrap_or((OfMessage::Keep, Vec::new()))
    }

    /// In which of the group's channels the person is not known to be.
    #[must_use]
    pub fn not_known_in(&self, group: ChatId) -> Vec<ChatId> {
        let channels = self.view.required.get(&group).map_or(&[][..], Vec::as_slice);
        let is_in = |chat: &ChatId| {
            let facts = &self.view.chats.get(chat)?.facts;
            let seen = self.members.get(chat)?.standing(facts.watched(), self.now_ms)?;
            seen.standing.is_in().then_some(())
        };
        channels.iter().filter(|chat| is_in(chat).is_none()).copied().collect()
    }

    /// Decides the person in every group that was read, and completes the writes. `scope` is the chat that the
    /// transaction is about.
    #[must_use]
    pub fn finish(mut self, scope: ChatId) -> Outcome {
        let mut groups: BTreeSet<ChatId> = self.view.required.keys().copied().collect();
        if self.view.chats.contains_key(&scope) && self.members.contains_key(&scope) {
            groups.insert(scope);
        }
        let mut checks: BTreeMap<ChatId, i64> = BTreeMap::new();
        let mut verdicts = Vec::new();
        for group in groups {
            self.decide_group(group, &mut checks, &mut verdicts);
        }
        self.end_idle_checks(&checks);
        for (chat, not_before_ms) in checks {
            let intent = Intent::Check { chat, user: self.user };
            // For what is to be made sure of later nobody waits: after a raid there are thousands of these.
            let urgency = if not_before_ms > self.now_ms { Urgency::Bulk } else { self.urgency };
            self.writes.put.push(Put { intent, not_before_ms, urgency });
        }
        self.writes.members = self
            .members
            .into_iter()
            .filter(|(chat, member)| self.view.members.get(chat) != Some(member) && *member != Member::default())
            .collect();
        Outcome { writes: self.writes, verdicts }
    }

    /// A call that has been confirmed need not be looked into: nothing is claimed, and nothing of a budget taken, for that.
    fn end_idle_checks(&mut self, checks: &BTreeMap<ChatId, i64>) {
        let was_called = self.view.members.iter().filter(|(_, member)| member.call.is_some()).map(|(chat, _)| *chat);
        let confirmed = was_called.filter(|chat| self.members.get(chat).is_some_and(|member| member.call.is_none()));
        for chat in confirmed.filter(|chat| !checks.contains_key(chat)) {
            let check = Intent::Check { chat, user: self.user };
            let is_put = self.writes.put.iter().any(|put| put.intent == check);
            if !is_put && self.view.open.contains(&check.key()) {
                self.writes.end.push(check.key());
            }
        }
    }

    /// Keys of the person's open state intents.
    #[must_use]
    pub const fn open(&self) -> &'a BTreeSet<String> {
        &self.view.open
    }

    /// Like [`Person::finish`], for a transaction that brings no new facts: intents that are open already keep their time,
    /// or two of one person would undo each other's back-off.
    #[must_use]
    pub fn finish_unchanged(self, scope: ChatId) -> Outcome {
        let open = &self.view.open;
        let mut outcome = self.finish(scope);
        outcome.writes.put.retain(|put| !open.contains(&put.intent.key()));
        outcome
    }

    /// Takes the facts in and decides nothing; only a planted bug does this.
    #[must_use]
    pub fn undecided(mut self) -> Outcome {
        self.writes.members = self.members;
        Outcome { writes: self.writes, verdicts: Vec::new() }
    }

    fn decide_group(&mut self, group: ChatId, checks: &mut BTreeMap<ChatId, i64>, verdicts: &mut Vec<CacheVerdict>) {
        let Some(verdict) = self.verdict(group) else { return };
        let plan = self.plan(group, &verdict.decision);
        let mut check = |chat: ChatId, at_ms: i64| {
            checks.entry(chat).and_modify(|earliest| *earliest = at_ms.min(*earliest)).or_insert(at_ms);
        };
        verdict.ask.iter().for_each(|(chat, at_ms)| check(*chat, *at_ms));
        self.old_knowledge(group).into_iter().for_each(|chat| check(chat, self.now_ms));
        if let Some(at_ms) = plan.confirm_at_ms {
            check(group, at_ms);
        }
        for (chat, at_ms) in self.decide_held(group) {
            check(chat, at_ms);
        }
        self.mark_member_intent(group, &plan);
        if let Some(member) = self.members.get_mut(&group) {
            let before = self.view.members.get(&group);
            let was = before.map(|member| (member.waiting, member.topic)).unwrap_or_default();
            member.waiting = plan.waiting;
            if !plan.waiting && plan.act.is_none() && verdict.decision != Decision::Unknown {
                member.name.clear();
            }
            let now = member.limits(Mark::of(self.bot, group, self.user), self.now_ms);
            if now.limits == Limits::Free && member.call.is_none() {
                member.restored = None;
            }
            let settled = plan.act.is_none() && member.call.is_none() && !plan.waiting;
            if settled && !now.ours {
                let was_ours = member.mute_until.take().is_some();
                self.writes.ledger.extend(was_ours.then_some(LedgerEntry { group, imposed: None }));
            }
            let is = (member.waiting, member.topic);
            // The prompt of the topic that they were named in, and of the one that they are named in now.
            let stale = [was, is].into_iter().filter(|(waiting, _)| *waiting && was != is).map(|(_, topic)| topic);
            for topic in stale.collect::<BTreeSet<_>>() {
                let intent = Intent::Prompt { group, topic };
                self.writes.put.push(Put { intent, not_before_ms: self.now_ms, urgency: self.urgency });
            }
            let free =
                matches!(verdict.decision, Decision::Free | Decision::HandsOff(Reason::Exempt | Reason::Suspended));
            verdicts.push(CacheVerdict {
                group,
                user: self.user,
                order: self.view.rev,
                settings_version: self.view.chats.get(&group).map_or(0, |chat| chat.version),
                acquitted: free,
            });
        }
    }

    /// Where to make sure of what is known about somebody whom we keep muted: an event may have been lost for good, and
    /// nobody else would free them.
    fn old_knowledge(&self, group: ChatId) -> Vec<ChatId> {
        let is_ours = |member: &Member| member.limits(self.mark(group), self.now_ms).ours;
        if !self.members.get(&group).is_some_and(is_ours) {
            return Vec::new();
        }
        let is_old = |chat: &ChatId| {
            let known = self.members.get(chat).map(Member::known_ms);
            known.is_some_and(|known_ms| known_ms > 0 && known_ms + SURE_FOR_MS <= self.now_ms)
        };
        let required = self.view.required.get(&group).map_or(&[][..], Vec::as_slice);
        required.iter().chain([&group]).copied().filter(is_old).collect()
    }

    /// The mark *look at this person* exists whenever something is to be done now or at a known time.
    fn mark_member_intent(&mut self, group: ChatId, plan: &Plan) {
        let intent = Intent::Member { group, user: self.user };
        let due = plan.act.map(|_| self.now_ms).or(plan.look_again_ms);
        match due {
            Some(not_before_ms) => self.writes.put.push(Put { intent, not_before_ms, urgency: self.urgency }),
            None if self.view.open.contains(&intent.key()) => self.writes.end.push(intent.key()),
            None => {}
        }
    }

    /// Decides the messages that were held, and says where to look the person up for those that stay held.
    fn decide_held(&mut self, group: ChatId) -> Vec<(ChatId, i64)> {
        let view = self.view;
        let mut asks = Vec::new();
        for held in view.held.iter().filter(|held| held.group == group) {
            let (what, ask) = self.of_message(group, held.date);
            match what {
                OfMessage::Hold => asks.extend(ask),
                OfMessage::Keep => self.writes.unhold.push((group, held.message)),
                OfMessage::Delete => {
                    self.writes.unhold.push((group, held.message));
                    let intent = Intent::Delete { chat: group, message: held.message };
                    self.writes.put.push(Put { intent, not_before_ms: self.now_ms, urgency: self.urgency });
                }
            }
        }
        if let Some(held) = self.writes.hold.filter(|held| held.group == group) {
            asks.extend(self.of_message(group, held.date).1);
        }
        asks
    }
}
