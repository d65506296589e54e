//! A plan comes to pass: people act, workers go on step by step and have accidents, and in the end everything comes to rest
//! and the world is compared with what must be.

use std::collections::VecDeque;

use nezuko_telegram::{BotId, ChatId as Chat, UpdateId, UserId as Person, parse_update};
use nezuko_worker::{
    facts::Setting,
    handle::Receipt,
    intent::Lane,
    store::{ChatView, ChatWrites, Store},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::runtime::Runtime;

use loadtest::world::{Act, Rights, UserId};

use crate::{
    coverage::count,
    judge::{self, Ending},
    judge_messages,
    plan::{Accident, BEGIN_MS, Delivery, Doing, Fault, OWNER, Place, Plan, Terms, Turn},
    ports::{PausingLimiter, SharedCache},
    queue::Queue,
    scheduler::{Tasks, run_alone},
    store::MemoryStore,
    telegram::Telegram,
    worker::{Shared, Worker},
};

const BOT: UserId = UserId(7_000_000_001);
/// A history that takes more steps than this never ends.
const STEPS: usize = 15_000;
/// Workers say that they are alive as often: three times before a claim runs out.
const KEEP_ALIVE_MS: i64 = 3_000;
/// A step in which nobody can do anything counts as so many, and takes so long.
const IDLE: u32 = 10;
const IDLE_MS: i64 = 50;
/// In shorter pauses everybody stands still where they are; in longer ones workers go on.
const FROZEN_MS: i64 = 3_000;
/// A wrong state stands no longer than this once the fleet has nothing to do: not until a lookup asks what came of a call.
const PROMPTLY_MS: i64 = 4_000;
/// The same where workers died, stood still or had no store.
const HELD_UP_MS: i64 = 30_000;
/// Until after the second look at a call that was never echoed, and after timed restrictions of an hour.
const REST_MS: i64 = 3 * 3_600_000;

/// How much of each kind there was, so that a plan can be rid of faults that never came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) calls: usize,
    pub(crate) updates: usize,
    pub(crate) steps: usize,
    pub(crate) transactions: usize,
    pub(crate) endings: usize,
}

/// How a history ended wrong.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// What is wrong.
    pub(crate) text: String,
    /// What happened, in order.
    pub(crate) story: Vec<String>,
    pub(crate) extent: Extent,
}

struct History<'a> {
    plan: &'a Plan,
    runtime: &'a Runtime,
    rng: SmallRng,
    shared: Shared,
    workers: Vec<Worker>,
    /// How many workers there ever were.
    started: usize,
    tasks: Tasks,
    steps: usize,
    accidents: VecDeque<(usize, Accident)>,
    updates: usize,
    deliveries: VecDeque<(usize, Delivery)>,
    /// How often the command of this turn fails.
    poison: Option<u32>,
    poisoned: Vec<UpdateId>,
    kept_alive_ms: i64,
    /// When workers died or stood still, so that what they had in hand was held up.
    held_up: Vec<i64>,
    /// When the cache forgot everything, in the order of what happened to entries.
    forgotten: Vec<u64>,
}

/// Runs a plan. The clock of `runtime` is paused, and this thread is in its context.
///
/// # Errors
/// [`Violation`] where the world ends other than it must, or does not come to rest.
pub(crate) fn run(plan: &Plan, runtime: &Runtime) -> Result<Extent, Box<Violation>> {
    let mut history = History::new(plan, runtime);
    let outcome = history.come_to_pass();
    let extent = history.extent();
    outcome.map(|()| extent).map_err(|text| Box::new(Violation { text, story: history.story(), extent }))
}

/// Within how much time everybody must be as they must once the fleet has nothing to do, if Telegram did what it was asked
/// and told so.
fn promptly_ms(plan: &Plan) -> Option<i64> {
    let ends_meanwhile = |doing| matches!(doing, Doing::IsMuted(_, 1..=60));
    let calls_fail = plan.faults.iter().any(|fault| matches!(fault, Fault::Call { .. }));
    // An echo that seems older than its call is not taken for its echo, and a lookup has to tell.
    let skewed = plan.workers.iter().any(|skew_ms| *skew_ms != 0);
    // A time of grace may end, and a removal be under way, at any moment.
    let has_timers = plan.terms != Terms::default();
    if !plan.echoes || skewed || plan.has(ends_meanwhile) || plan.changes_rule() || calls_fail || has_timers {
        return None;
    }
    let held_up = |fault: &Fault| matches!(fault, Fault::Step { .. } | Fault::Transaction { .. });
    Some(if plan.faults.iter().any(held_up) { HELD_UP_MS } else { PROMPTLY_MS })
}

fn is_awake(workers: &[Worker], consumer: usize, now_ms: i64) -> bool {
    workers.iter().any(|worker| worker.consumer == consumer && worker.stalled_until_ms <= now_ms)
}

/// Whether an answer may never have reached the one who asked for it, or two have done one thing.
fn loses_answers(plan: &Plan) -> bool {
    plan.faults.iter().any(|fault| match fault {
        Fault::Call { .. } | Fault::Transaction { .. } => true,
        Fault::Step { accident, .. } => *accident != Accident::CacheForgets,
        Fault::Update { .. } | Fault::Queue { .. } => false,
    })
}

impl<'a> History<'a> {
    fn new(plan: &'a Plan, runtime: &'a Runtime) -> Self {
        let bot = BotId(BOT.0);
        let telegram = Telegram::new(plan.world(BOT), BEGIN_MS, &plan.faults);
        let shared = Shared {
            bot,
            store: MemoryStore::new(bot),
            queue: Queue::new(&plan.faults),
            cache: SharedCache::default(),
            limiter: PausingLimiter::new(telegram.clone()),
            telegram,
        };
        let accidents = plan.faults.iter().filter_map(|fault| match fault {
            Fault::Step { nth, accident } => Some((*nth, *accident)),
            _ => None,
        });
        let mut accidents: Vec<_> = accidents.collect();
        accidents.sort_by_key(|(nth, _)| *nth);
        let deliveries = plan.faults.iter().filter_map(|fault| match fault {
            Fault::Update { nth, delivery } => Some((*nth, *delivery)),
            _ => None,
        });
        let mut deliveries: Vec<_> = deliveries.collect();
        deliveries.sort_by_key(|(nth, _)| *nth);
        let workers: Vec<Worker> =
            plan.workers.iter().enumerate().map(|(name, skew_ms)| Worker::start(&shared, name, *skew_ms)).collect();
        let mut history = Self {
            plan,
            runtime,
            rng: SmallRng::seed_from_u64(plan.schedule),
            shared,
            started: workers.len(),
            workers,
            tasks: Tasks::new(plan.schedule),
            steps: 0,
            accidents: accidents.into(),
            updates: 0,
            deliveries: deliveries.into(),
            poison: None,
            poisoned: Vec::new(),
            kept_alive_ms: BEGIN_MS,
            held_up: Vec::new(),
            forgotten: Vec::new(),
        };
        history.protect();
        history
    }

    /// The bot is an administrator everywhere and has been told so, and the group is protected.
    fn protect(&mut self) {
        for place in self.plan.places() {
            self.regain_rights(place);
        }
        for update in self.shared.telegram.with(|world, _| world.take_updates()) {
            let update = parse_update(update.body.as_bytes()).expect("invariant: the world's updates are sound");
            let receipt = Receipt { update_id: update.id, received_ms: BEGIN_MS, trace_id: "" };
            run_alone(self.workers[0].handler().handle(&update, &receipt)).expect("invariant: no faults yet");
        }
        let set = Setting { value: true, update_id: UpdateId(1), received_ms: BEGIN_MS };
        let chat = |place| Chat(self.plan.founded(place).0);
        let links: Vec<_> = (0..self.plan.required.len()).map(|index| (chat(Place::Required(index)), set)).collect();
        let mut protect = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(set);
            facts.settings.change(set.update_id, set.received_ms, |settings| self.plan.terms.set(settings));
            ChatWrites { facts: Some(facts), links: links.clone(), put: Vec::new() }
        };
        let protected = self.shared.store.with_chat(chat(Place::Group), "", BEGIN_MS, &mut protect);
        run_alone(protected).expect("invariant: no faults yet");
        self.shared.telegram.advance(2_000);
        let failing = self.plan.faults.iter().filter_map(|fault| match fault {
            Fault::Transaction { nth, committed } => Some((*nth, *committed)),
            _ => None,
        });
        self.shared.store.meet(failing);
    }

    fn regain_rights(&self, place: Place) {
        let chat = self.shared.telegram.with(|world, _| self.plan.now(place, world));
        let act = Act::Promote { admin: OWNER, chat, user: BOT, rights: Rights::FULL };
        // It may have them.
        let _had = self.shared.telegram.with(|world, now_ms| world.act(now_ms, act)).is_err();
    }

    fn come_to_pass(&mut self) -> Result<(), String> {
        for turn in &self.plan.turns {
            self.turn(turn);
        }
        self.come_to_rest()?;
        self.shared.queue.judge()?;
        let is_poison = |update: &nezuko_telegram::Update| self.poisoned.contains(&update.id);
        if self.shared.queue.gave_up(is_poison) {
            count("history", "void", "an update was given up");
            return Ok(());
        }
        self.judge(judge::judge)?;
        self.shared
            .telegram
            .with(|world, _| judge_messages::judge(self.plan, world, &self.shared.queue, &self.forgotten))
    }

    fn turn(&mut self, turn: &Turn) {
        let act = self.shared.telegram.with(|world, _| self.plan.act(turn.doing, world));
        if let Doing::Poison(times) = turn.doing {
            self.poison = Some(times);
        }
        let act = act.map(|act| self.shared.telegram.with(|world, now_ms| world.act(now_ms, act)));
        count("act", turn.doing.word(), if act.is_some_and(|done| done.is_ok()) { "done" } else { "not possible" });
        self.receive();
        self.poison = None;
        let mut steps = turn.steps;
        while steps > 0 {
            let went_on = self.go_on();
            if !went_on {
                self.advance(IDLE_MS);
            }
            steps = steps.saturating_sub(if went_on { 1 } else { IDLE });
        }
        let until_ms = self.shared.telegram.now_ms() + turn.pause_ms;
        while self.shared.telegram.now_ms() < until_ms {
            let frozen = turn.pause_ms <= FROZEN_MS;
            if frozen || !self.go_on() {
                let next_ms = if frozen { self.shared.telegram.lands_ms() } else { self.next_ms() };
                let next_ms = next_ms.unwrap_or(until_ms).min(until_ms);
                self.advance(next_ms - self.shared.telegram.now_ms());
            }
        }
    }

    /// When anything can be done next, Unix milliseconds.
    fn next_ms(&self) -> Option<i64> {
        let now_ms = self.shared.telegram.now_ms();
        let stalls = self.workers.iter().map(|worker| worker.stalled_until_ms).filter(|until_ms| *until_ms > now_ms);
        let awake = self.workers.iter().filter(|worker| worker.stalled_until_ms <= now_ms);
        // Something is due by the clock that is furthest ahead.
        let of_workers = awake.map(|worker| worker.skew_ms).max().map(|ahead_ms| {
            let tasks_ms = self.tasks.ready_ms(|consumer| is_awake(&self.workers, consumer, now_ms));
            let due_ms = self.shared.store.next_due_ms().map(|due_ms| due_ms - ahead_ms);
            [self.shared.queue.next_ms(), tasks_ms, due_ms]
        });
        let next_ms = of_workers.into_iter().flatten().chain([self.shared.telegram.lands_ms()]);
        // Something may be due by another clock than that of the worker that could do it.
        next_ms.flatten().chain(stalls).min().map(|next_ms| next_ms.max(now_ms + 20))
    }

    /// The queue takes in what Telegram has sent.
    fn receive(&mut self) {
        let sent = self.shared.telegram.with(|world, _| world.take_updates());
        if sent.is_empty() {
            return;
        }
        let now_ms = self.shared.telegram.now_ms();
        for update in sent {
            let nth = self.updates;
            self.updates += 1;
            let (mut copies, mut visible_ms) = (1, now_ms);
            while let Some((_, delivery)) = self.deliveries.pop_front_if(|(of, _)| *of <= nth) {
                match delivery {
                    Delivery::Twice => {
                        count("fault", "update", "twice");
                        copies = 2;
                    }
                    Delivery::Late { by_ms } => {
                        count("fault", "update", "late");
                        visible_ms = now_ms + by_ms;
                    }
                }
            }
            if let Some(times) = self.poison {
                self.shared.store.poison(UpdateId(update.update_id), times);
                self.poisoned.push(UpdateId(update.update_id));
            }
            self.shared.queue.push(&update, now_ms, visible_ms, copies);
        }
    }

    /// Time passes.
    fn advance(&mut self, ms: i64) {
        self.shared.telegram.advance(ms);
        if self.tasks.need_clock() || self.shared.limiter.has_paused() {
            self.runtime.block_on(tokio::time::advance(std::time::Duration::from_millis(ms.unsigned_abs())));
        }
        self.receive();
        let now_ms = self.shared.telegram.now_ms();
        if now_ms >= self.kept_alive_ms + KEEP_ALIVE_MS {
            self.kept_alive_ms = now_ms;
            let awake = self.workers.iter().filter(|worker| worker.stalled_until_ms <= now_ms);
            awake.for_each(Worker::keep_alive);
        }
    }

    /// One step of one of the workers. Returns whether anybody could do anything.
    fn go_on(&mut self) -> bool {
        let nth = self.steps;
        self.steps += 1;
        let mut panics = false;
        while let Some((_, accident)) = self.accidents.pop_front_if(|(of, _)| *of <= nth) {
            panics |= self.befall(accident);
        }
        let went_on = match self.rng.random_range(0..10) {
            0..=2 => self.start_taking_in() || self.start_sending() || self.poll(panics),
            3..=4 => self.start_sending() || self.start_taking_in() || self.poll(panics),
            _ => self.poll(panics) || self.start_taking_in() || self.start_sending(),
        };
        if self.rng.random_ratio(1, 5) {
            let ms = self.rng.random_range(1..50);
            self.advance(ms);
        }
        went_on
    }

    /// Returns whether the next task panics.
    fn befall(&mut self, accident: Accident) -> bool {
        match accident {
            Accident::Panic => return true,
            Accident::Dies(worker) => {
                count("fault", "step", "a worker dies");
                self.held_up.push(self.shared.telegram.now_ms());
                self.tasks.kill(self.workers[worker].consumer);
                let skew_ms = self.workers[worker].skew_ms;
                self.workers[worker] = Worker::start(&self.shared, self.started, skew_ms);
                self.started += 1;
            }
            Accident::Stalls(worker, for_ms) => {
                count("fault", "step", "a worker stands still");
                self.held_up.push(self.shared.telegram.now_ms());
                self.workers[worker].stalled_until_ms = self.shared.telegram.now_ms() + for_ms;
            }
            Accident::CacheForgets => {
                count("fault", "step", "the cache forgets");
                self.shared.cache.forget();
                self.forgotten.push(self.shared.queue.happened());
            }
        }
        false
    }

    /// A worker that does not stand still.
    fn somebody(&mut self) -> Option<usize> {
        let now_ms = self.shared.telegram.now_ms();
        let first = self.rng.random_range(0..self.workers.len());
        let from_first = (first..self.workers.len()).chain(0..first);
        from_first.into_iter().find(|index| self.workers[*index].stalled_until_ms <= now_ms)
    }

    fn start_taking_in(&mut self) -> bool {
        let now_ms = self.shared.telegram.now_ms();
        let entries = self.shared.queue.to_be_had(now_ms);
        let Some(entry) = entries.choose(&mut self.rng).copied() else { return false };
        let Some(index) = self.somebody() else { return false };
        let worker = &self.workers[index];
        let delivered = self.shared.queue.deliver(entry, worker.consumer, now_ms);
        // What it has in hand it does not take up again.
        if worker.takes(entry) {
            self.tasks.start(worker.consumer, false, worker.clone().take_in(delivered));
        }
        true
    }

    fn start_sending(&mut self) -> bool {
        let now_ms = self.shared.telegram.now_ms();
        let Some(index) = self.somebody() else { return false };
        let worker = &self.workers[index];
        let lanes = self.shared.store.due_lanes(now_ms + worker.skew_ms);
        let Some(lane) = lanes.choose(&mut self.rng).copied() else { return false };
        self.tasks.start(worker.consumer, lane == Lane::Answers, worker.clone().send(lane));
        true
    }

    fn poll(&mut self, panics: bool) -> bool {
        let now_ms = self.shared.telegram.now_ms();
        let workers = &self.workers;
        let polled = self.tasks.poll_one(now_ms, panics, |consumer| is_awake(workers, consumer, now_ms));
        if polled {
            self.receive();
        }
        polled
    }

    /// No more acts, faults or accidents: everything that is due is done.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.shared.telegram.no_more_faults();
        self.shared.store.no_more_faults();
        self.shared.queue.no_more_faults();
        self.accidents.clear();
        self.deliveries.clear();
        if let Some(place) = self.plan.basic {
            let act = Act::Upgrade { admin: OWNER, chat: self.plan.founded(place), to: Plan::chat(place) };
            // It may have happened.
            let _happened = self.shared.telegram.with(|world, now_ms| world.act(now_ms, act)).is_err();
        }
        // Where the bot had lost its rights, they return.
        for place in self.plan.places() {
            self.regain_rights(place);
        }
        self.receive();
        let end_ms = self.shared.telegram.now_ms() + REST_MS;
        let mut drained_ms = None;
        let mut promptly_ms = promptly_ms(self.plan);
        while self.steps < STEPS {
            if self.go_on() {
                continue;
            }
            let now_ms = self.shared.telegram.now_ms();
            let all_awake = self.workers.iter().all(|worker| worker.stalled_until_ms <= now_ms);
            if all_awake && self.shared.queue.next_ms().is_none() && self.tasks.count() == 0 {
                drained_ms.get_or_insert(now_ms);
            }
            let next_ms = self.next_ms().unwrap_or(end_ms);
            let is_late = |ms: &mut i64| drained_ms.is_some_and(|drained_ms| next_ms > drained_ms + *ms);
            if let Some(ms) = promptly_ms.take_if(is_late) {
                let (cache, bot) = (&self.shared.cache, self.shared.bot);
                let acquits = |user: UserId| cache.acquits(bot, Chat(Plan::chat(Place::Group).0), Person(user.0));
                let judge = |ending: &Ending<'_>| match ms {
                    PROMPTLY_MS => judge::people(ending).and_then(|()| judge_messages::acquittals(ending, acquits)),
                    _ => judge::people(ending),
                };
                self.judge(judge).map_err(|text| format!("{ms} ms after all was quiet {text}"))?;
            }
            if next_ms >= end_ms {
                // What was put back may end a little later than what an admin had imposed.
                self.advance(end_ms - now_ms);
                return Ok(());
            }
            self.advance(next_ms - now_ms);
        }
        Err(format!("does not come to rest, open: {:?}", self.shared.store.open()))
    }

    fn judge(&self, judge: impl FnOnce(&Ending<'_>) -> Result<(), String>) -> Result<(), String> {
        let chat = self.shared.store.known(Chat(Plan::chat(Place::Group).0)).chat;
        self.shared.telegram.with(|world, now_ms| {
            let protected = chat.facts.is_protected();
            judge(&Ending {
                plan: self.plan,
                world,
                now_ms,
                protected,
                loses_answers: loses_answers(self.plan),
                held_up: &self.held_up,
            })
        })
    }

    fn extent(&self) -> Extent {
        Extent {
            calls: self.shared.telegram.calls(),
            updates: self.updates,
            steps: self.steps,
            transactions: self.shared.store.transactions(),
            endings: self.shared.queue.endings(),
        }
    }

    fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = self.shared.telegram.with(|world, _| {
            let line = |at_ms: i64, what: &dyn std::fmt::Debug| format!("{:>8} {what:?}", at_ms - BEGIN_MS);
            world.history().iter().map(|entry| line(entry.at_ms, &entry.what)).collect()
        });
        story.push(self.shared.store.describe());
        story
    }
}
