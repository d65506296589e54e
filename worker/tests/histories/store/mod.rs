//! The store in memory: locks and READ COMMITTED as PostgreSQL has them. Each statement sees what was committed when it
//! began, each lock is a step of its own, and between any two steps the scheduler may let somebody else go on or end the
//! worker. A transaction may fail before its commit, or after it with nobody told.

mod locks;
mod records;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, MessageId, UpdateId, UserId};
use nezuko_worker::{
    facts::ChatFacts,
    intent::{Claim, Lane, Put, Settlement},
    planted::{self, Bug},
    reconcile::Person,
    store::{
        Allowance, ButtonRow, Chat, ChatStep, ChatView, Happened, LogLine, PersonStep, PersonView, Prompt, PromptView,
        Scope, Settle, StatesOfIntents, Store, StoreError, Untold,
    },
};

use self::{
    locks::{Held, Key, Locks, Mode},
    tables::Tables,
};
use crate::{coverage::count, scheduler::step};

/// What goes wrong with transactions.
#[derive(Debug, Default)]
struct Troubles {
    /// How many there were.
    transactions: usize,
    /// Which of them fail, and whether after the commit, in order.
    fail: VecDeque<(usize, bool)>,
    /// Updates that fail for their own sake, and how often yet.
    poison: BTreeMap<UpdateId, u32>,
}

/// The store of one bot in memory.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStore {
    bot: BotId,
    tables: Arc<Mutex<Tables>>,
    locks: Locks,
    troubles: Arc<Mutex<Troubles>>,
}

fn away() -> StoreError {
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}

impl MemoryStore {
    /// An empty store in which nothing goes wrong.
    pub(crate) fn new(bot: BotId) -> Self {
        Self { bot, tables: Arc::default(), locks: Locks::default(), troubles: Arc::default() }
    }

    /// From now on these transactions fail, in order, and whether after their commit.
    pub(crate) fn meet(&self, fail: impl IntoIterator<Item = (usize, bool)>) {
        *self.troubles() = Troubles { fail: fail.into_iter().collect(), ..Troubles::default() };
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a transaction; whether it fails, and then whether after its commit.
    fn fails(&self) -> Option<bool> {
        let mut troubles = self.troubles();
        let nth = troubles.transactions;
        troubles.transactions += 1;
        let (_, committed) = troubles.fail.pop_front_if(|(of, _)| *of == nth)?;
        count("fault", "transaction", if committed { "outcome unknown" } else { "failed" });
        Some(committed)
    }

    /// A transaction of one statement.
    async fn statement<T>(&self, run: impl FnOnce(&mut Tables) -> T) -> Result<T, StoreError> {
        step().await;
        let fails = self.fails();
        if fails == Some(false) {
            return Err(away());
        }
        let result = run(&mut self.tables());
        step().await;
        if fails.is_some() { Err(away()) } else { Ok(result) }
    }

    /// Locks chats one after the other, sorted.
    async fn lock_chats(&self, chats: BTreeSet<ChatId>, mode: Mode) -> Vec<Held> {
        let mut held = Vec::with_capacity(chats.len());
        for chat in chats {
            held.push(self.locks.take(Key::Chat(chat), mode).await);
        }
        held
    }

    pub(crate) fn no_more_faults(&self) {
        self.troubles().fail.clear();
    }

    /// How many transactions there were.
    pub(crate) fn transactions(&self) -> usize {
        self.troubles().transactions
    }

    /// Has the handler fail at this update so often.
    pub(crate) fn poison(&self, update: UpdateId, times: u32) {
        self.troubles().poison.insert(update, times);
    }

    /// Whether the handler fails at this update now.
    fn is_poisoned(&self, update: Option<UpdateId>) -> bool {
        let mut troubles = self.troubles();
        let Some(left) = update.and_then(|update| troubles.poison.get_mut(&update)).filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// Everything in words, for a violation's report.
    pub(crate) fn describe(&self) -> String {
        self.tables().describe()
    }

    /// What is known about a chat.
    pub(crate) fn known(&self, chat: ChatId) -> ChatView {
        self.tables().view(chat)
    }

    /// The lanes in which something is due.
    pub(crate) fn due_lanes(&self, now_ms: i64) -> Vec<Lane> {
        self.tables().due_lanes(now_ms).collect()
    }

    /// When the next intent is due that nobody has claimed, Unix milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.tables().next_due_ms()
    }

    /// Prolongs claims of a holder that is alive.
    pub(crate) fn keep_claims(&self, holder: &str, claims: &BTreeSet<i64>, until_ms: i64) {
        self.tables().end_claims(holder, Some(claims), until_ms);
    }

    /// Kinds of what is left to do.
    pub(crate) fn open(&self) -> BTreeMap<String, i64> {
        self.tables().open_intents(i64::MAX)
    }

    /// Counts what is decided, in a part of the transactions.
    fn count_decisions(&self, scope: &Scope<'_>, view: &PersonView) {
        if view.rev % 8 == 0 {
            let person = Person::new(self.bot, scope.user, scope.now_ms, view);
            let verdicts = view.required.keys().filter_map(|group| person.verdict(*group));
            verdicts.for_each(|verdict| count("decision", "a person is", word(&verdict.decision)));
        }
    }
}

const fn word(decision: &nezuko_worker::policy::Decision) -> &'static str {
    use nezuko_worker::policy::{Decision, Reason};
    match decision {
        Decision::Free => "free",
        Decision::Restricted { .. } => "restricted",
        Decision::Unknown => "unknown",
        Decision::HandsOff(Reason::Exempt) => "exempt",
        Decision::HandsOff(Reason::Suspended) => "left alone: rule suspended",
        Decision::HandsOff(Reason::Absent) => "absent",
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn bot(&self) -> BotId {
        self.bot
    }

    async fn with_person(&self, scope: &Scope<'_>, change: PersonStep<'_>) -> Result<(), StoreError> {
        step().await;
        let fails = self.fails();
        let before_the_lock = planted::has(Bug::LockWithRead).then(|| self.tables().clone());
        let person = self.locks.take(Key::Person(scope.user), Mode::Exclusive).await;
        let around = self.tables().around(scope.chat);
        let chats =
            if planted::has(Bug::ChatsNotLocked) { Vec::new() } else { self.lock_chats(around, Mode::Shared).await };
        step().await;
        let (rev, seen_before) = self.tables().begin_person(scope);
        let view = match before_the_lock {
            None => self.tables().read_person(scope, rev, seen_before),
            Some(tables) => tables.read_person(scope, rev, seen_before),
        };
        self.count_decisions(scope, &view);
        let writes = change(&view);
        step().await;
        if self.is_poisoned(scope.update) {
            let unreadable = serde_json::from_str::<i64>("poison").expect_err("invariant: not a number");
            return Err(StoreError::Corrupt(unreadable));
        }
        if fails == Some(false) {
            return Err(away());
        }
        self.tables().write_person(scope, &writes);
        drop((person, chats));
        step().await;
        if fails.is_some() { Err(away()) } else { Ok(()) }
    }

    async fn with_chat(
        &self,
        chat: ChatId,
        trace_id: &str,
        _now_ms: i64,
        change: ChatStep<'_>,
    ) -> Result<i64, StoreError> {
        step().await;
        let fails = self.fails();
        let _chat = self.locks.take(Key::Chat(chat), Mode::Exclusive).await;
        step().await;
        let view = self.tables().view(chat);
        let writes = change(&view);
        step().await;
        if fails == Some(false) {
            return Err(away());
        }
        let version = self.tables().write_chat(chat, &view, writes, trace_id);
        if fails.is_some() { Err(away()) } else { Ok(version) }
    }

    async fn migrate(&self, old: ChatId, new: ChatId, trace_id: &str, now_ms: i64) -> Result<Chat, StoreError> {
        step().await;
        let fails = self.fails();
        let _chats = loop {
            let chats = self.tables().migrating(old, new);
            let held = self.lock_chats(chats.clone(), Mode::Exclusive).await;
            step().await;
            // A group may have come to require it before that group was locked.
            if self.tables().migrating(old, new).is_subset(&chats) {
                break held;
            }
        };
        if fails == Some(false) {
            return Err(away());
        }
        let chat = self.tables().migrate(self.bot, old, new, trace_id, now_ms);
        if fails.is_some() { Err(away()) } else { Ok(chat) }
    }

    async fn chat(&self, chat: ChatId) -> Result<ChatView, StoreError> {
        self.statement(|tables| tables.view(chat)).await
    }

    async fn put(&self, put: &[Put], trace_id: &str) -> Result<(), StoreError> {
        self.statement(|tables| put.iter().for_each(|put| tables.put(put, trace_id))).await
    }

    async fn claim(
        &self,
        lane: Lane,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
        max: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        self.statement(|tables| tables.claim(lane, holder, now_ms, until_ms, max)).await
    }

    async fn postpone(&self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) -> Result<(), StoreError> {
        self.statement(|tables| tables.postpone(lane, chat, now_ms, until_ms)).await
    }

    async fn renew(&self, holder: &str, claims: &BTreeSet<i64>, until_ms: i64) -> Result<(), StoreError> {
        self.statement(|tables| tables.end_claims(holder, Some(claims), until_ms)).await
    }

    async fn hold(&self, claim: &Claim, until_ms: i64) -> Result<bool, StoreError> {
        self.statement(|tables| tables.hold(claim, until_ms)).await
    }

    async fn release(&self, holder: &str) -> Result<(), StoreError> {
        self.statement(|tables| tables.end_claims(holder, None, 0)).await
    }

    async fn settle(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError> {
        let run = |tables: &mut Tables| {
            settle.iter().for_each(|settle| tables.settle(settle, now_ms));
            put.iter().for_each(|put| tables.put(put, trace_id));
        };
        self.statement(run).await
    }

    async fn prompt(&self, group: ChatId, topic: Option<i64>) -> Result<(Option<Prompt>, bool), StoreError> {
        self.statement(|tables| tables.prompt(group, topic)).await
    }

    async fn channels(&self, group: ChatId) -> Result<Vec<(ChatId, ChatFacts)>, StoreError> {
        self.statement(|tables| tables.channels(group)).await
    }

    async fn prompt_view(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError> {
        self.statement(|tables| tables.prompt_view(group, topic, names)).await
    }

    async fn save_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError> {
        self.statement(|tables| tables.save_prompt((group, topic), prompt, claim, settlement)).await
    }

    async fn recognise_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError> {
        self.statement(|tables| tables.recognise_prompt(group, message, now_ms)).await
    }

    async fn began_to_wait(&self, group: ChatId, since_ms: i64) -> Result<i64, StoreError> {
        self.statement(|tables| tables.began_to_wait(group, since_ms)).await
    }

    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError> {
        self.statement(|tables| tables.waiting_in(group)).await
    }

    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError> {
        self.statement(|tables| tables.people_of(chat, after, max)).await
    }

    async fn prompted_topics(&self, group: ChatId) -> Result<Vec<Option<i64>>, StoreError> {
        self.statement(|tables| tables.prompted_topics(group)).await
    }

    async fn chats_of_rules(&self) -> Result<Vec<ChatId>, StoreError> {
        self.statement(|tables| tables.chats_of_rules()).await
    }

    async fn unswept_groups(&self) -> Result<Vec<ChatId>, StoreError> {
        self.statement(|tables| tables.unswept_groups()).await
    }

    async fn newest_received_ms(&self) -> Result<Option<i64>, StoreError> {
        self.statement(|tables| tables.received_ms()).await
    }

    async fn note_received(&self, received_ms: i64) -> Result<(), StoreError> {
        self.statement(|tables| tables.note_received(received_ms)).await
    }

    async fn add_buttons(&self, rows: &[ButtonRow]) -> Result<(), StoreError> {
        self.statement(|tables| tables.records.add_buttons(rows)).await
    }

    async fn button(&self, id: i64, now_ms: i64) -> Result<Option<ButtonRow>, StoreError> {
        self.statement(|tables| tables.records.button(id, now_ms)).await
    }

    async fn use_button(&self, id: i64, put: &[Put], trace_id: &str, now_ms: i64) -> Result<bool, StoreError> {
        self.statement(|tables| tables.use_button(id, put, trace_id, now_ms)).await
    }

    async fn draw(&self, user: UserId, of: Allowance, now_ms: i64, window_ms: i64) -> Result<i64, StoreError> {
        self.statement(|tables| tables.records.draw(user, of, now_ms, window_ms)).await
    }

    async fn happened(&self, group: ChatId, since_ms: i64) -> Result<Happened, StoreError> {
        self.statement(|tables| tables.records.happened(group, since_ms)).await
    }

    async fn untold(&self, group: ChatId, since_ms: i64, most: i64) -> Result<Untold, StoreError> {
        self.statement(|tables| tables.records.untold(group, since_ms, most)).await
    }

    async fn told(&self, lines: &[i64], now_ms: i64) -> Result<(), StoreError> {
        self.statement(|tables| tables.records.told(lines, now_ms)).await
    }

    async fn line(&self, line: i64) -> Result<Option<LogLine>, StoreError> {
        self.statement(|tables| tables.records.line(line)).await
    }

    async fn count_people(&self, chat: ChatId) -> Result<i64, StoreError> {
        self.statement(|tables| tables.count_people(chat)).await
    }

    async fn open_intents(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.statement(|tables| tables.open_intents(due_ms).into_iter().collect()).await
    }

    async fn oldest_due(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.statement(|tables| tables.oldest_due(due_ms).into_iter().collect()).await
    }

    async fn states_of_intents(&self, now_ms: i64) -> Result<StatesOfIntents, StoreError> {
        self.statement(|tables| tables.states_of_intents(now_ms)).await
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        self.statement(|tables| tables.purge(now_ms)).await
    }
}
