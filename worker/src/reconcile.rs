//! From facts to intents: decides a person in every group that the facts concern, compares what is wanted with what is,
//! and says what to write. Pure.

mod dry_run;
mod messages;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use nezuko_shared::cache::Verdict as CacheVerdict;
use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{BotId, ChatId, Limits, UserId};

use crate::{
    facts::{ChatFacts, Mark, Member, Request},
    intent::{Greeting, Intent, Put},
    planted::{self, Bug},
    policy::{self, Decision, OfRequest, Plan, Reason, Required, Rule},
    settings::SettingRegisters,
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
    /// What they are called, where that has just been told: for the groups that name them.
    pub name: String,
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
        Self {
            bot,
            user,
            now_ms,
            view,
            members,
            name: String::new(),
            urgency: Urgency::Urgent,
            writes: PersonWrites::default(),
        }
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

    /// What is to be done in `group`, compared with what is: in a dry run nothing but to take back what we have done.
    #[must_use]
    pub fn plan(&self, group: ChatId, decision: &Decision) -> Plan {
        let plan = self.plan_in_earnest(group, decision);
        if self.is_dry(group) && !planted::has(Bug::DryRunActs) {
            let ours = |member: &Member| member.limits(self.mark(group), self.now_ms).ours;
            plan.in_dry_run(self.members.get(&group).is_some_and(ours))
        } else {
            plan
        }
    }

    /// What would be done in `group` if it were no dry run.
    fn plan_in_earnest(&self, group: ChatId, decision: &Decision) -> Plan {
        let nobody = Member::default();
        let member = self.members.get(&group).unwrap_or(&nobody);
        let mark = self.mark(group);
        let mut plan = policy::plan(decision, member, mark, self.now_ms);
        if let Some(chat) = self.view.chats.get(&group) {
            policy::run_out(&mut plan, &chat.facts, decision, member, mark, self.now_ms, |channel| self.known(channel));
        }
        plan
    }

    /// What the administrators of `group` have set.
    #[must_use]
    pub fn settings(&self, group: ChatId) -> &SettingRegisters {
        static NOTHING: LazyLock<SettingRegisters> = LazyLock::new(SettingRegisters::default);
        self.view.chats.get(&group).map_or(&NOTHING, |chat| &chat.facts.settings)
    }

    /// Whether nothing is done in `group` but to write down what would be.
    #[must_use]
    pub fn is_dry(&self, group: ChatId) -> bool {
        self.view.chats.get(&group).is_some_and(|chat| chat.facts.is_dry())
    }

    /// Whether the person is known to be banned from a chat.
    #[must_use]
    pub fn is_banned_from(&self, chat: ChatId) -> bool {
        let limits = self.members.get(&chat).map(|member| member.limits(self.mark(chat), self.now_ms).limits);
        limits.is_some_and(|limits| matches!(limits, Limits::Banned { .. }))
    }

    /// Whether it is known where the person stands in a chat.
    #[must_use]
    pub fn is_seen_in(&self, chat: ChatId) -> bool {
        let watched = self.view.chats.get(&chat).map(|chat| chat.facts.watched());
        let member = self.members.get(&chat);
        watched.zip(member).is_some_and(|(watched, member)| member.standing(watched, self.now_ms).is_some())
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

    /// Whether the person is known to be out of one of the group's channels.
    #[must_use]
    pub fn is_known_out(&self, group: ChatId) -> bool {
        let is_out = |chat: &ChatId| {
            let facts = &self.view.chats.get(chat)?.facts;
            let seen = self.members.get(chat)?.standing(facts.watched(), self.now_ms)?;
            (!seen.standing.is_in()).then_some(())
        };
        self.view.required.get(&group).is_some_and(|channels| channels.iter().any(|chat| is_out(chat).is_some()))
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
        self.writes.name = self.name;
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
        self.note_what_would_be(group, &verdict.decision);
        let mut check = |chat: ChatId, at_ms: i64| {
            checks.entry(chat).and_modify(|earliest| *earliest = at_ms.min(*earliest)).or_insert(at_ms);
        };
        verdict.ask.iter().for_each(|(chat, at_ms)| check(*chat, *at_ms));
        self.old_knowledge(group).into_iter().for_each(|chat| check(chat, self.now_ms));
        if let Some(at_ms) = plan.confirm_at_ms {
            check(group, at_ms);
        }
        plan.make_sure.iter().for_each(|chat| check(*chat, self.now_ms));
        for (chat, at_ms) in self.decide_held(group) {
            check(chat, at_ms);
        }
        for (chat, at_ms) in self.decide_request(group) {
            check(chat, at_ms);
        }
        self.mark_member_intent(group, &plan);
        self.mark_adder_intent(group, &verdict.decision);
        let settings = self.view.chats.get(&group).map(|chat| &chat.facts);
        if let Some(member) = self.members.get_mut(&group) {
            let before = self.view.members.get(&group);
            let was = before.map(|member| (member.waiting, member.topic)).unwrap_or_default();
            let last = member.wait;
            let warned = member.waits(plan.waiting, plan.warned, self.now_ms);
            if let (Some(since_ms), Some(wait)) = (plan.waits_since_ms, &mut member.wait) {
                wait.since_ms = since_ms;
            }
            if let Some(facts) = settings {
                // E63: who has written nothing since they came is told where the group wants it.
                let topic = if member.writes_from_outside() { member.topic } else { facts.settings.prompt_topic() };
                member.topic = facts.topic(topic, self.now_ms);
            }
            // A call that is under way is told of when it is over.
            let is_over = plan.act.is_none() && member.call.is_none();
            let now = member.limits(Mark::of(self.bot, group, self.user), self.now_ms);
            if !plan.waiting && is_over && !now.ours && verdict.decision != Decision::Unknown {
                member.name.clear();
            } else if plan.waiting && !self.name.is_empty() {
                // E80: what they are called now.
                member.name.clone_from(&self.name);
            }
            if now.limits == Limits::Free && member.call.is_none() {
                member.restored = None;
            }
            let settled = is_over && !plan.waiting;
            if settled && !now.ours {
                member.ban = None;
                let was_ours = member.mute_until.take().is_some();
                self.writes.ledger.extend(was_ours.then_some(LedgerEntry { group, imposed: None }));
            }
            let is = (member.waiting, member.topic);
            // The prompt of the topic that they were named in, and of the one that they are named in now.
            let renamed = before.is_some_and(|before| before.waiting && before.name != member.name);
            let changed = was != is || warned || renamed;
            let stale = [was, is].into_iter().filter(|(waiting, _)| *waiting && changed).map(|(_, topic)| topic);
            let not_before_ms = member.shown_ms(self.now_ms, last);
            for topic in stale.collect::<BTreeSet<_>>() {
                let intent = Intent::Prompt { group, topic };
                self.writes.put.push(Put { intent, not_before_ms, urgency: self.urgency });
            }
            // The cache knows no end: whoever is free for a while only (E34) is judged by what is stored.
            let free = verdict.ask.is_empty()
                && matches!(verdict.decision, Decision::Free | Decision::HandsOff(Reason::Exempt | Reason::Suspended));
            verdicts.push(CacheVerdict {
                group,
                user: self.user,
                order: self.view.rev,
                settings_version: self.view.chats.get(&group).map_or(0, |chat| chat.version),
                acquitted: free,
            });
        }
    }

    /// What is to be done about their request to be let into `group`, and where to look them up for it.
    #[must_use]
    pub fn of_request(&self, group: ChatId) -> (OfRequest, Vec<(ChatId, i64)>) {
        let judge = |rule: &Rule<'_>, member: Option<&Member>| {
            member.map(|member| policy::of_request(rule, member, self.now_ms))
        };
        self.with_rule(group, judge).flatten().unwrap_or((OfRequest::Leave, Vec::new()))
    }

    /// The same, where they have a request that waits for an answer.
    #[must_use]
    pub fn of_open_request(&self, group: ChatId) -> Option<(OfRequest, Vec<(ChatId, i64)>)> {
        self.members.get(&group)?.open_request().map(|_| self.of_request(group))
    }

    /// The chats in which they wait: to write, or to be let in.
    #[must_use]
    pub fn waits_in(&self) -> Vec<ChatId> {
        let waits = |(_, member): &(&ChatId, &Member)| member.waiting || member.open_request().is_some();
        self.members.iter().filter(waits).map(|(chat, _)| *chat).collect()
    }

    /// What `group` is called, and its channels in which the person is not known to be.
    #[must_use]
    pub fn missing_in(&self, group: ChatId) -> (String, Vec<(ChatId, ChatFacts)>) {
        let facts = |chat: ChatId| self.view.chats.get(&chat).map(|chat| chat.facts.clone()).unwrap_or_default();
        let missing = self.not_known_in(group);
        (facts(group).title, missing.into_iter().map(|chat| (chat, facts(chat))).collect())
    }

    /// Whether anything is known about `chat`.
    #[must_use]
    pub fn knows(&self, chat: ChatId) -> bool {
        self.view.chats.contains_key(&chat)
    }

    /// The mark *find out who has added them* exists while the decision waits for that (E15).
    fn mark_adder_intent(&mut self, group: ChatId, decision: &Decision) {
        let unknown = |rule: &Rule<'_>, member: Option<&Member>| policy::trusted(rule, member).is_none();
        let waits = *decision == Decision::Unknown && self.with_rule(group, unknown) == Some(true);
        let intent = Intent::Adder { group, user: self.user };
        if waits {
            self.writes.put.push(Put { intent, not_before_ms: self.now_ms, urgency: self.urgency });
        } else if self.view.open.contains(&intent.key()) {
            self.writes.end.push(intent.key());
        }
    }

    /// Has a request answered, and says where to look the person up for it.
    fn decide_request(&mut self, group: ChatId) -> Vec<(ChatId, i64)> {
        let Some(request) = self.members.get(&group).and_then(|member| member.request) else { return Vec::new() };
        let (what, ask) = self.of_request(group);
        if self.is_dry(group) {
            self.note_request_that_would_be_answered(group, what);
            return ask;
        }
        let admit = Intent::Admit { group, user: self.user };
        if what == OfRequest::Admit {
            self.writes.put.push(Put { intent: admit, not_before_ms: self.now_ms, urgency: self.urgency });
        } else if self.view.open.contains(&admit.key()) {
            self.writes.end.push(admit.key());
        }
        if what == OfRequest::Greet && !request.told {
            let greeting = Greeting { group, user: self.user, date: request.order.date, reach: request.reach };
            self.writes.put.push(Put::urgent(Intent::Greet(greeting), self.now_ms));
            self.member(group).request = Some(Request { told: true, ..request });
        }
        ask
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
}
