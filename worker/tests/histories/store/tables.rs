//! What the store in memory holds, and what each statement does to it.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_telegram::{BotId, ChatId, MessageId, UpdateId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, Member, Setting},
    intent::{Claim, Intent, Lane, Put, Settlement},
    planted::{self, Bug},
    store::{
        Chat, ChatView, ChatWrites, Held, PersonView, PersonWrites, Prompt, PromptView, Scope, Settle, StatesOfIntents,
    },
    upgrade,
};

use super::records::Records;
use crate::coverage::count;

const TOMBSTONE_MS: i64 = 48 * 3_600_000;
pub(super) const HELD_MS: i64 = 24 * 3_600_000;
const SENDING_MS: i64 = 60_000;

#[derive(Clone, Debug)]
struct Row {
    intent: Intent,
    lane: Lane,
    generation: i64,
    not_before_ms: i64,
    attempts: i64,
    claim: i64,
    claimed_by: String,
    claimed_until_ms: i64,
    trace_id: String,
    done_ms: Option<i64>,
}

/// Everything that outlives a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    revisions: BTreeMap<UserId, i64>,
    /// Groups and channels.
    chats: BTreeMap<ChatId, Chat>,
    /// Group and channel.
    links: BTreeMap<(ChatId, ChatId), Setting<bool>>,
    /// People in chats.
    members: BTreeMap<(UserId, ChatId), Member>,
    /// When somebody last began or ceased to wait, Unix milliseconds.
    changed_ms: BTreeMap<(UserId, ChatId), i64>,
    held: BTreeMap<(UserId, ChatId, MessageId), i64>,
    prompts: BTreeMap<(ChatId, Option<i64>), Prompt>,
    intents: BTreeMap<String, Row>,
    processed: BTreeMap<UpdateId, i64>,
    received_ms: Option<i64>,
    pub(super) records: Records,
    claims: i64,
}

impl Tables {
    pub(super) fn required(&self, group: ChatId) -> Vec<ChatId> {
        let links = self.links.range((group, ChatId(i64::MIN))..=(group, ChatId(i64::MAX)));
        links.filter(|(_, link)| link.value).map(|((_, channel), _)| *channel).collect()
    }

    pub(super) fn required_by(&self, channel: ChatId) -> Vec<ChatId> {
        let links = self.links.iter().filter(|((_, of), link)| *of == channel && link.value);
        links.map(|((group, _), _)| *group).collect()
    }

    pub(super) fn read_person(&self, scope: &Scope<'_>, rev: i64, seen_before: bool) -> PersonView {
        let mut view = PersonView { rev, seen_before, ..PersonView::default() };
        let groups = self.required_by(scope.chat).into_iter().chain([scope.chat]);
        for group in groups {
            let required = self.required(group);
            let known = required.iter().chain([&group]).filter_map(|chat| Some((*chat, self.chats.get(chat)?.clone())));
            view.chats.extend(known);
            if !required.is_empty() {
                view.required.insert(group, required);
            }
        }
        let of_person = (scope.user, ChatId(i64::MIN))..=(scope.user, ChatId(i64::MAX));
        view.members = self.members.range(of_person).map(|((_, chat), member)| (*chat, member.clone())).collect();
        let held = self.held.iter().filter(|((user, ..), _)| *user == scope.user);
        view.held =
            held.map(|((_, group, message), date)| Held { group: *group, message: *message, date: *date }).collect();
        let open =
            self.intents.iter().filter(|(_, row)| row.done_ms.is_none() && row.intent.person() == Some(scope.user));
        view.open = open.map(|(key, _)| key.clone()).collect();
        view
    }

    pub(super) fn write_person(&mut self, scope: &Scope<'_>, writes: &PersonWrites) {
        *self.revisions.entry(scope.user).or_default() += 1;
        if let Some(update) = scope.update {
            self.processed.entry(update).or_insert(scope.now_ms);
        }
        self.records.write(scope, writes);
        if let Some(chats) = &writes.forget {
            self.forget(scope.user, chats);
        }
        for (chat, member) in &writes.members {
            // As through the database: what is not stored is not kept.
            let text = serde_json::to_string(member).expect("invariant: facts are plain data");
            let mut stored: Member = serde_json::from_str(&text).expect("invariant: facts read what they write");
            stored.waiting = member.waiting;
            let before = self.members.insert((scope.user, *chat), stored);
            if before.is_none_or(|before| before.waiting != member.waiting) {
                self.changed_ms.insert((scope.user, *chat), member.counts_from_ms(scope.now_ms));
            }
        }
        if let Some(settle) = &writes.settle {
            self.settle(settle, scope.now_ms);
        }
        for key in &writes.end {
            self.intents.retain(|of, row| of != key || row.done_ms.is_some());
        }
        writes.put.iter().for_each(|put| self.put(put, scope.trace_id));
        if let Some(held) = writes.hold {
            self.held.insert((scope.user, held.group, held.message), held.date);
        }
        for (group, message) in &writes.unhold {
            self.held.remove(&(scope.user, *group, *message));
        }
    }

    fn forget(&mut self, user: UserId, chats: &[ChatId]) {
        self.members.retain(|(of, chat), _| *of != user || !chats.contains(chat));
        self.held.retain(|(of, ..), _| *of != user);
        self.records.forget(user);
    }

    pub(super) fn use_button(&mut self, id: i64, put: &[Put], trace_id: &str, now_ms: i64) -> bool {
        if !self.records.use_button(id, now_ms) {
            return false;
        }
        put.iter().for_each(|put| self.put(put, trace_id));
        true
    }

    pub(super) fn count_people(&self, chat: ChatId) -> i64 {
        self.members.keys().filter(|(_, of)| *of == chat).count() as i64
    }

    pub(super) fn view(&self, chat: ChatId) -> ChatView {
        let links = self.links.iter().filter(|((group, _), _)| *group == chat);
        ChatView {
            chat: self.chats.get(&chat).cloned().unwrap_or_default(),
            links: links.map(|((_, channel), link)| (*channel, *link)).collect(),
            required_by: self.required_by(chat),
        }
    }

    /// Everything goes over from one id to the other.
    pub(super) fn migrate(&mut self, bot: BotId, old: ChatId, new: ChatId, trace_id: &str, now_ms: i64) -> Chat {
        let moved = self.move_facts(old, new, now_ms);
        self.move_intents(old, new, now_ms);
        let view = self.view(new);
        let put = if moved { view.migrated(bot, new, now_ms) } else { Vec::new() };
        put.iter().for_each(|put| self.put(put, trace_id));
        view.chat
    }

    /// The chats that a migration changes: both, and the groups that require either.
    pub(super) fn migrating(&self, old: ChatId, new: ChatId) -> BTreeSet<ChatId> {
        let links =
            self.links.keys().filter(|(group, channel)| [old, new].contains(group) || [old, new].contains(channel));
        links.map(|(group, _)| *group).chain([old, new]).collect()
    }

    /// The chats that a person's transaction reads: the chat, the groups that require it, and all that those require.
    pub(super) fn around(&self, chat: ChatId) -> BTreeSet<ChatId> {
        let groups: Vec<ChatId> = self.required_by(chat).into_iter().chain([chat]).collect();
        let required = groups.iter().flat_map(|group| self.required(*group)).collect::<Vec<_>>();
        groups.into_iter().chain(required).collect()
    }

    /// Returns whether anything went over that decisions depend on.
    fn move_facts(&mut self, old: ChatId, new: ChatId, now_ms: i64) -> bool {
        let (of_old, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.members).into_iter().partition(|((_, chat), _)| *chat == old);
        self.members = others;
        let people = !of_old.is_empty();
        for ((user, _), was) in of_old {
            let is = self.members.remove(&(user, new));
            self.changed_ms.remove(&(user, old));
            self.changed_ms.entry((user, new)).or_insert(now_ms);
            self.members.insert((user, new), upgrade::member(was, is));
        }
        let links = upgrade::links(&self.links, old, new);
        let changed: BTreeSet<ChatId> = links
            .iter()
            .filter(|(key, link)| self.links.get(key) != Some(link))
            .map(|((group, _), _)| *group)
            .collect();
        self.links = links;
        let is = self.chats.get(&new).cloned().unwrap_or_default();
        let was = self.chats.remove(&old).unwrap_or_default();
        let facts = upgrade::chat(&was.facts, &is.facts);
        let version = was.version + i64::from(was.facts != upgrade::forwarding(new));
        self.chats.insert(old, Chat { facts: upgrade::forwarding(new), version });
        let described = facts != is.facts;
        if described || changed.contains(&new) {
            self.chats.insert(new, Chat { facts, version: is.version + 1 });
        }
        for group in changed.iter().filter(|group| **group != new) {
            self.chats.get_mut(group).into_iter().for_each(|chat| chat.version += 1);
        }
        self.held.retain(|(_, chat, _), _| *chat != old);
        self.records.migrate(old, new);
        self.prompts.retain(|(chat, _), _| *chat != old);
        people || described || !changed.is_empty()
    }

    fn move_intents(&mut self, old: ChatId, new: ChatId, now_ms: i64) {
        let goes =
            |row: &Row| row.done_ms.is_none() && row.claimed_until_ms < now_ms && upgrade::is_about(&row.intent, old);
        let keys: Vec<String> = self.intents.iter().filter(|(_, row)| goes(row)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(row) = self.intents.remove(&key) else { continue };
            match upgrade::intent(row.intent.clone(), new) {
                Some(intent) => {
                    let put = Put { intent, not_before_ms: now_ms, urgency: row.lane.urgency() };
                    self.put(&put, &row.trace_id);
                }
                None => drop(self.intents.insert(key, Row { done_ms: Some(now_ms), ..row })),
            }
        }
    }

    pub(super) fn write_chat(&mut self, chat: ChatId, view: &ChatView, writes: ChatWrites, trace_id: &str) -> i64 {
        let version = writes.version(&view.chat);
        if writes.facts.is_some() || !writes.links.is_empty() {
            let facts = writes.facts.unwrap_or_else(|| view.chat.facts.clone());
            self.chats.insert(chat, Chat { facts, version });
        }
        self.links.extend(writes.links.iter().map(|(channel, link)| ((chat, *channel), *link)));
        writes.put.iter().for_each(|put| self.put(put, trace_id));
        version
    }

    /// Counts the person's transaction. Returns its number, and whether the update was taken in before.
    pub(super) fn begin_person(&self, scope: &Scope<'_>) -> (i64, bool) {
        let rev = self.revisions.get(&scope.user).copied().unwrap_or_default() + 1;
        (rev, scope.update.is_some_and(|update| self.processed.contains_key(&update)))
    }

    pub(super) fn put(&mut self, put: &Put, trace_id: &str) {
        if let Some(row) = self.intents.get_mut(&put.intent.key()) {
            if put.intent.is_state() {
                row.generation += 1;
                row.intent = put.intent.clone();
                // Bulk is the last of the lanes.
                row.lane = if row.lane == Lane::Bulk { put.intent.lane(put.urgency) } else { row.lane };
                row.not_before_ms = row.not_before_ms.min(put.not_before_ms);
                row.trace_id = trace_id.to_owned();
            }
            return;
        }
        let row = Row {
            intent: put.intent.clone(),
            lane: put.intent.lane(put.urgency),
            generation: 1,
            not_before_ms: put.not_before_ms,
            attempts: 0,
            claim: 0,
            claimed_by: String::new(),
            claimed_until_ms: 0,
            trace_id: trace_id.to_owned(),
            done_ms: None,
        };
        self.intents.insert(put.intent.key(), row);
    }

    pub(super) fn settle(&mut self, settle: &Settle, now_ms: i64) {
        let held = |row: &&mut Row| row.claim == settle.claim && row.done_ms.is_none();
        let Some(row) = self.intents.get_mut(&settle.key).filter(held) else { return };
        row.claimed_by.clear();
        row.claimed_until_ms = 0;
        if row.generation != settle.generation && !planted::has(Bug::ResultEndsNewer) {
            count("settled", row.intent.kind(), "a newer generation stays");
            return;
        }
        count("settled", row.intent.kind(), word(&settle.settlement));
        match &settle.settlement {
            Settlement::Done if row.intent.is_state() || planted::has(Bug::NoTombstones) => {
                drop(self.intents.remove(&settle.key))
            }
            Settlement::Done => row.done_ms = Some(now_ms),
            Settlement::Continue(rest) => row.intent = *rest.clone(),
            Settlement::Wait { not_before_ms } => row.not_before_ms = *not_before_ms,
            Settlement::Retry { not_before_ms } => {
                row.attempts += 1;
                row.not_before_ms = *not_before_ms;
            }
        }
    }

    pub(super) fn claim(&mut self, lane: Lane, holder: &str, now_ms: i64, until_ms: i64, max: i64) -> Vec<Claim> {
        self.claims += 1;
        let claim = self.claims;
        let is_due = |row: &&mut Row| row.lane == lane && row.is_due(now_ms);
        let mut due: Vec<&mut Row> = self.intents.values_mut().filter(is_due).collect();
        due.sort_by_key(|row| row.not_before_ms);
        let claims = due.into_iter().take(usize::try_from(max).unwrap_or_default()).map(|row| {
            row.claimed_by = holder.to_owned();
            row.claimed_until_ms = until_ms;
            row.claim = claim;
            let Row { intent, generation, attempts, trace_id, .. } = row.clone();
            let (traceparent, trace_links) = (String::new(), String::new());
            Claim { intent, urgency: lane.urgency(), generation, claim, attempts, trace_id, traceparent, trace_links }
        });
        claims.collect()
    }

    /// The lanes in which something is due.
    pub(super) fn due_lanes(&self, now_ms: i64) -> impl Iterator<Item = Lane> {
        self.intents.values().filter(move |row| row.is_due(now_ms)).map(|row| row.lane)
    }

    /// When the next intent is due that nobody has claimed, Unix milliseconds.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        let open = self.intents.values().filter(|row| row.done_ms.is_none());
        open.map(|row| row.not_before_ms.max(row.claimed_until_ms + 1)).min()
    }

    pub(super) fn postpone(&mut self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) {
        let is_free =
            |row: &&mut Row| row.lane == lane && row.intent.chat() == Some(chat) && row.claimed_until_ms < now_ms;
        for row in self.intents.values_mut().filter(is_free) {
            row.not_before_ms = row.not_before_ms.max(until_ms);
        }
    }

    /// Gives these claims of `holder` (`None`: all) another end; 0 gives them back.
    pub(super) fn hold(&mut self, claim: &Claim, until_ms: i64) -> bool {
        let is_held = |row: &&mut Row| row.claim == claim.claim && row.claimed_until_ms > 0 && row.done_ms.is_none();
        let held = self.intents.get_mut(&claim.intent.key()).filter(is_held);
        held.map(|row| row.claimed_until_ms = row.claimed_until_ms.max(until_ms)).is_some()
    }

    pub(super) fn end_claims(&mut self, holder: &str, claims: Option<&BTreeSet<i64>>, until_ms: i64) {
        let is_theirs = |row: &&mut Row| {
            row.claimed_by == holder && row.done_ms.is_none() && claims.is_none_or(|claims| claims.contains(&row.claim))
        };
        for row in self.intents.values_mut().filter(is_theirs) {
            if until_ms == 0 {
                row.claimed_until_ms = 0;
                row.claimed_by.clear();
            }
            row.claimed_until_ms = row.claimed_until_ms.max(until_ms);
        }
    }

    pub(super) fn prompt(&self, group: ChatId, topic: Option<i64>) -> (Option<Prompt>, bool) {
        (self.prompts.get(&(group, topic)).cloned(), self.waiting(group, topic).next().is_some())
    }

    fn waiting(&self, group: ChatId, topic: Option<i64>) -> impl Iterator<Item = (UserId, &Member)> {
        let waiting = self
            .members
            .iter()
            .filter(move |((_, chat), member)| *chat == group && member.waiting && member.topic == topic);
        waiting.map(|((user, _), member)| (*user, member))
    }

    pub(super) fn channels(&self, group: ChatId) -> Vec<(ChatId, ChatFacts)> {
        let facts = |chat| Some((chat, self.chats.get(&chat)?.facts.clone()));
        self.required(group).into_iter().filter_map(facts).collect()
    }

    pub(super) fn prompt_view(&self, group: ChatId, topic: Option<i64>, names: i64) -> PromptView {
        let mut waiting: Vec<(UserId, &Member)> = self.waiting(group, topic).collect();
        waiting.sort_by_key(|(user, _)| (self.changed_ms.get(&(*user, group)), *user));
        let named = &waiting[..waiting.len().min(usize::try_from(names).unwrap_or_default())];
        let name = |(user, member): &(UserId, &Member)| (*user, member.name.clone());
        let warned: Vec<_> =
            waiting.iter().filter_map(|(user, member)| Some((*user, member.wait?.warned_ms?))).collect();
        let began = waiting.iter().filter_map(|(user, _)| self.changed_ms.get(&(*user, group)).copied());
        PromptView {
            newest_ms: began.chain(warned.iter().map(|(_, warned_ms)| *warned_ms)).max().unwrap_or_default(),
            count: waiting.len() as i64,
            channels: self.channels(group),
            waiting: named.iter().map(name).collect(),
            warned,
        }
    }

    pub(super) fn save_prompt(
        &mut self,
        (group, topic): (ChatId, Option<i64>),
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> bool {
        let held = self.intents.get(&claim.intent.key()).is_some_and(|row| row.claim == claim.claim);
        if held {
            match prompt {
                Some(prompt) => drop(self.prompts.insert((group, topic), prompt.clone())),
                None => drop(self.prompts.remove(&(group, topic))),
            }
            settlement.into_iter().for_each(|settlement| self.settle(&Settle::of(claim, settlement), 1));
        }
        held
    }

    pub(super) fn recognise_prompt(&mut self, group: ChatId, message: MessageId, now_ms: i64) -> bool {
        let mut of_group: Vec<_> =
            self.prompts.iter_mut().filter(|((chat, _), _)| *chat == group).map(|(_, prompt)| prompt).collect();
        if of_group.iter().any(|prompt| prompt.message == message.0) {
            return true;
        }
        let is_on_its_way = |prompt: &Prompt| prompt.message == 0 && prompt.sending_ms > now_ms - SENDING_MS;
        let Some(on_its_way) = of_group.iter_mut().find(|prompt| is_on_its_way(prompt)) else { return false };
        **on_its_way =
            Prompt { message: message.0, shown: String::new(), sending_ms: 0, ..std::mem::take(*on_its_way) };
        true
    }

    pub(super) fn began_to_wait(&self, group: ChatId, since_ms: i64) -> i64 {
        let waiting = self.members.iter().filter(|((_, chat), member)| *chat == group && member.waiting);
        let began_ms = waiting.filter_map(|((user, _), _)| self.changed_ms.get(&(*user, group)));
        began_ms.filter(|began_ms| **began_ms > since_ms).count() as i64
    }

    pub(super) fn waiting_in(&self, group: ChatId) -> i64 {
        self.members.iter().filter(|((_, chat), member)| *chat == group && member.waiting).count() as i64
    }

    pub(super) fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Vec<UserId> {
        let people: BTreeSet<UserId> =
            self.members.keys().filter(|(_, of)| *of == chat).map(|(user, _)| *user).collect();
        people.into_iter().filter(|user| *user > after).take(usize::try_from(max).unwrap_or_default()).collect()
    }

    pub(super) fn prompted_topics(&self, group: ChatId) -> Vec<Option<i64>> {
        self.prompts.keys().filter(|(of, _)| *of == group).map(|(_, topic)| *topic).collect()
    }

    pub(super) fn chats_of_rules(&self) -> Vec<ChatId> {
        let enabled = self.links.iter().filter(|(_, link)| link.value);
        let chats: BTreeSet<ChatId> = enabled.flat_map(|((group, channel), _)| [*group, *channel]).collect();
        chats.into_iter().collect()
    }

    pub(super) const fn received_ms(&self) -> Option<i64> {
        self.received_ms
    }

    pub(super) fn note_received(&mut self, received_ms: i64) {
        self.received_ms = self.received_ms.max(Some(received_ms));
    }

    pub(super) fn unswept_groups(&self) -> Vec<ChatId> {
        let enabled = self.links.iter().filter(|(_, link)| link.value);
        let groups: BTreeSet<ChatId> = enabled.map(|((group, _), _)| *group).collect();
        let sweep = |group: &ChatId| self.intents.get(&Intent::Redecide { chat: *group, after: UserId(0) }.key());
        groups.into_iter().filter(|group| sweep(group).is_none()).collect()
    }

    pub(super) fn open_intents(&self, due_ms: i64) -> BTreeMap<String, i64> {
        let mut kinds = BTreeMap::new();
        for row in self.intents.values().filter(|row| row.done_ms.is_none() && row.not_before_ms <= due_ms) {
            *kinds.entry(row.intent.kind().to_owned()).or_default() += 1;
        }
        kinds
    }

    pub(super) fn oldest_due(&self, due_ms: i64) -> BTreeMap<String, i64> {
        let mut kinds = BTreeMap::new();
        for row in self.intents.values().filter(|row| row.done_ms.is_none() && row.not_before_ms <= due_ms) {
            let oldest = kinds.entry(row.intent.kind().to_owned()).or_insert(row.not_before_ms);
            *oldest = row.not_before_ms.min(*oldest);
        }
        kinds
    }

    pub(super) fn states_of_intents(&self, now_ms: i64) -> StatesOfIntents {
        let mut states = StatesOfIntents::default();
        for row in self.intents.values().filter(|row| row.done_ms.is_none()) {
            let of_state = match (row.claimed_until_ms >= now_ms, row.not_before_ms > now_ms) {
                (true, _) => &mut states.claimed,
                (false, true) => &mut states.later,
                (false, false) => &mut states.due,
            };
            *of_state += 1;
        }
        states
    }

    pub(super) fn purge(&mut self, now_ms: i64) {
        self.intents.retain(|_, row| row.done_ms.is_none_or(|done| done >= now_ms - TOMBSTONE_MS));
        self.processed.retain(|_, at_ms| *at_ms >= now_ms - TOMBSTONE_MS);
        self.held.retain(|_, date| *date >= (now_ms - HELD_MS) / 1000);
        self.records.purge(now_ms);
    }

    /// Everything in words, for a violation's report.
    pub(super) fn describe(&self) -> String {
        let members = self.members.iter().map(|((user, chat), member)| format!("{user} in {chat}: {member:?}"));
        let prompts = self.prompts.iter().map(|(of, prompt)| format!("{of:?}: {prompt:?}"));
        let intents = self.intents.iter().map(|(key, row)| format!("{key}: {row:?}"));
        members.chain(prompts).chain(intents).collect::<Vec<_>>().join("\n")
    }
}

impl Row {
    fn is_due(&self, now_ms: i64) -> bool {
        let for_ever = planted::has(Bug::ClaimForEver);
        let is_free = if for_ever { self.claimed_by.is_empty() } else { self.claimed_until_ms < now_ms };
        self.done_ms.is_none() && self.not_before_ms <= now_ms && is_free
    }
}

const fn word(settlement: &Settlement) -> &'static str {
    match settlement {
        Settlement::Done => "done",
        Settlement::Continue(_) => "goes on",
        Settlement::Wait { .. } => "waits",
        Settlement::Retry { .. } => "tried again",
    }
}
