//! Generated histories: the real handlers, policy and senders over a store in memory and a modelled Telegram, with a
//! seeded scheduler that shuffles, duplicates, interleaves and crashes. At the end the world is compared with what must
//! be. A seed always gives the same history.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use nezuko_shared::{
    cache::{Cache, memory::MemoryCache},
    limiter::{Budget, Limiter, LimiterError, Paused, Permit, Urgency},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, ChatId as Chat, Client, UpdateId, UpdateKind, parse_update};
use nezuko_worker::{
    facts::Setting,
    handle::{Handler, Receipt},
    intent::Lane,
    planted::{self, Bug},
    send::Sender,
    store::{ChatWrites, Store},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use loadtest::world::{
    Act, ChatId, ChatKind, ChatSpec, Content, Emitted, Member, Person, Rights, Switches, UserId, World,
};

use crate::{
    judge,
    memory_store::MemoryStore,
    scheduler::{Done, Tasks, step},
    telegram::Telegram,
};

const BOT: UserId = UserId(7_000_000_001);
pub(crate) const OWNER: UserId = UserId(10);
/// The people of a history.
pub(crate) const PEOPLE: [UserId; 2] = [UserId(11), UserId(12)];
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
pub(crate) const CHANNELS: [ChatId; 2] = [ChatId(-1_001_000_000_011), ChatId(-1_001_000_000_012)];
const WORKERS: u64 = 3;
/// An even second of 2023.
const BEGIN_MS: i64 = 1_700_000_000_000;

/// How often things go wrong, each a probability.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A call of the Bot API fails, loses its answer or lands late.
    pub(crate) call_fails: f64,
    /// An update is delivered twice.
    pub(crate) duplicate: f64,
    /// At a step, a worker's task ends where it stands.
    pub(crate) crash: f64,
}

/// What a history was like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// Two events about one person in one chat fell into one second.
    pub(crate) same_second: bool,
    /// Somebody was looked up within the time that Telegram may answer from its cache after an event about them.
    pub(crate) lookup_raced: bool,
    /// Tasks that were ended where they stood.
    pub(crate) crashes: usize,
    /// Updates that were taken in.
    pub(crate) taken_in: usize,
}

/// How a history ended wrong.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// Gives this history again.
    pub(crate) seed: u64,
    /// What is wrong.
    pub(crate) text: String,
    /// What happened, in order.
    pub(crate) history: Vec<String>,
}

struct NoLimit;

#[async_trait]
impl Limiter for NoLimit {
    async fn ask(&self, _: Budget, _: Urgency, _: Option<Chat>) -> Result<Permit, LimiterError> {
        Ok(Permit::Granted { valid_for: std::time::Duration::from_hours(1) })
    }

    async fn pause(&self, _: Budget, _: Option<Chat>, _: std::time::Duration) -> Result<Paused, LimiterError> {
        Ok(Paused::Chat)
    }
}

/// An update in the queue.
struct Queued {
    update: Emitted,
    received_ms: i64,
    /// Copies that nobody has taken in yet.
    copies: u32,
}

pub(crate) struct History {
    rng: StdRng,
    pub(crate) telegram: Telegram,
    store: MemoryStore,
    senders: Vec<Sender>,
    queue: Vec<Queued>,
    tasks: Tasks,
    shape: Shape,
    pub(crate) channels: usize,
    faults: Faults,
    /// When the clock jumped, so that whatever waited then had no chance of being in time.
    pub(crate) jumps: Vec<i64>,
}

/// Runs the history of `seed`. To be called inside a Tokio runtime's context.
///
/// # Errors
/// [`Violation`] where the world ends other than it must, or does not come to rest.
pub(crate) fn run(seed: u64, switches: Switches, faults: Faults) -> Result<Shape, Box<Violation>> {
    let mut history = History::new(seed, switches, faults);
    let acts = history.rng.random_range(6..20);
    for _ in 0..acts {
        history.act();
        for _ in 0..history.rng.random_range(0..30) {
            history.go_on(true);
        }
        let pause = *[0, 0, 0, 0, 100, 300, 900, 3_000, 20_000, 70_000].choose(&mut history.rng).unwrap_or(&0);
        if pause >= 20_000 {
            history.jumps.push(history.telegram.now_ms());
        }
        history.telegram.advance(pause);
    }
    history.come_to_rest().map_err(|text| history.violation(seed, text))?;
    history.judge().map_err(|text| history.violation(seed, text))?;
    history.shape()
}

impl History {
    fn new(seed: u64, switches: Switches, faults: Faults) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let channels = rng.random_range(1..=2);
        let mut world = World::new(World::bot_account(BOT, "nezuko_bot"));
        world.switches = switches;
        if rng.random_bool(0.3) {
            world.switches.stale_lookups_ms = rng.random_range(1_000..55_000);
        }
        world.add_person(Person::named(OWNER, "Olga"));
        for (user, name) in PEOPLE.into_iter().zip(["Ann", "Bob"]) {
            world.add_person(Person::named(user, name));
        }
        let owner = (OWNER, Member::Creator { is_anonymous: false });
        let mut group = ChatSpec::new(GROUP, ChatKind::Supergroup, "Group");
        group.members = vec![owner];
        world.add_chat(BEGIN_MS - 10_000, group);
        for (index, chat) in CHANNELS.into_iter().take(channels).enumerate() {
            let mut channel = ChatSpec::new(chat, ChatKind::Channel, "Channel");
            channel.username = Some(format!("channel{index}"));
            channel.members = vec![owner];
            channel.members.extend(PEOPLE.iter().filter(|_| rng.random_bool(0.4)).map(|user| (*user, Member::Member)));
            world.add_chat(BEGIN_MS - 10_000, channel);
        }
        let bot = BotId(BOT.0);
        let telegram = Telegram::new(world, BEGIN_MS, rng.random(), faults);
        let store = MemoryStore::new(bot);
        let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
        let clock_of = telegram.clone();
        let handler = Handler {
            store: Arc::new(store.clone()),
            cache,
            bot,
            username: Arc::new(OnceLock::new()),
            metrics: Metrics::new(bot, "abc"),
            clock: Arc::new(move || clock_of.now_ms()),
            wake: Arc::default(),
        };
        let api = Client::new(Arc::new(telegram.clone()));
        let sender = |n: u64| Sender::new(handler.clone(), api.clone(), Arc::new(NoLimit), format!("worker-{n}"));
        let senders = (0..WORKERS).map(sender).collect();
        let tasks = Tasks::default();
        let mut history = Self {
            rng,
            telegram,
            store,
            senders,
            queue: Vec::new(),
            tasks,
            shape: Shape::default(),
            channels,
            faults,
            jumps: Vec::new(),
        };
        history.protect();
        history
    }

    /// The bot becomes an administrator everywhere, and the group is protected.
    fn protect(&mut self) {
        for chat in CHANNELS.into_iter().take(self.channels).chain([GROUP]) {
            self.do_act(Act::Promote { admin: OWNER, chat, user: BOT, rights: Rights::FULL });
        }
        self.telegram.advance(2_000);
        let set = Setting { value: true, update_id: UpdateId(1), received_ms: BEGIN_MS };
        let links: Vec<_> = CHANNELS.into_iter().take(self.channels).map(|chat| (Chat(chat.0), set)).collect();
        let mut protect = |view: &nezuko_worker::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(set);
            ChatWrites { facts: Some(facts), links: links.clone(), put: Vec::new() }
        };
        run_alone(self.store.with_chat(Chat(GROUP.0), "", BEGIN_MS, &mut protect)).expect("invariant: never fails");
        // What the bot was told about itself is old news when the history begins.
        while self.queue.iter().any(|queued| queued.copies > 0) || self.tasks.count() > 0 {
            self.go_on(false);
        }
    }

    /// Whether a call's answer may never have reached the one who called.
    pub(crate) fn loses_answers(&self) -> bool {
        self.faults.call_fails > 0.0 || self.faults.crash > 0.0
    }

    /// Somebody does something.
    fn act(&mut self) {
        let user = *PEOPLE.choose(&mut self.rng).unwrap_or(&PEOPLE[0]);
        let channel = CHANNELS[self.rng.random_range(0..self.channels)];
        let act = match self.rng.random_range(0..23) {
            0..=3 => Act::Join { user, chat: GROUP },
            4 => Act::Leave { user, chat: GROUP },
            5..=7 => Act::Join { user, chat: channel },
            8..=9 => Act::Leave { user, chat: channel },
            10..=12 => Act::Write { user, chat: GROUP, content: Content::Text("hello".to_owned()), thread: None },
            13..=14 => Act::Press { user, chat: GROUP, message: None },
            15 => Act::AdminMute {
                admin: OWNER,
                chat: GROUP,
                user,
                for_s: *[0, 60, 3600].choose(&mut self.rng).unwrap_or(&0),
            },
            16 => Act::AdminUnmute { admin: OWNER, chat: GROUP, user },
            17 => Act::AdminBan { admin: OWNER, chat: GROUP, user },
            18 => Act::AdminUnban { admin: OWNER, chat: GROUP, user },
            19 => Act::Demote { admin: OWNER, chat: channel, user: BOT },
            20 => Act::Promote { admin: OWNER, chat: channel, user: BOT, rights: Rights::FULL },
            21 => Act::Write { user: OWNER, chat: GROUP, content: Content::Text("/help".to_owned()), thread: None },
            _ if self.rng.random_bool(0.5) => Act::Promote { admin: OWNER, chat: GROUP, user, rights: Rights::FULL },
            _ => Act::Demote { admin: OWNER, chat: GROUP, user },
        };
        self.do_act(act);
    }

    fn do_act(&mut self, act: Act) {
        // Some acts are not possible just then; that is part of the history.
        let _possible = self.telegram.with(|world, now_ms| world.act(now_ms, act)).is_ok();
        self.receive();
    }

    /// The queue takes in what Telegram has sent.
    fn receive(&mut self) {
        let now_ms = self.telegram.now_ms();
        for update in self.telegram.with(|world, _| world.take_updates()) {
            let copies = if self.rng.random_bool(self.faults.duplicate) { 2 } else { 1 };
            self.queue.push(Queued { update, received_ms: now_ms, copies });
        }
    }

    /// One step of one of the workers.
    fn go_on(&mut self, may_crash: bool) {
        match self.rng.random_range(0..10) {
            0..=1 => self.start_taking_in(),
            2..=3 => self.start_sending(),
            _ if may_crash && self.rng.random_bool(self.faults.crash) => {
                self.shape.crashes += usize::from(self.tasks.crash_one(&mut self.rng));
            }
            _ => {
                if let Some(Done::TakenIn(index)) = self.tasks.poll_one(&mut self.rng) {
                    let queued = &mut self.queue[index];
                    queued.copies = queued.copies.saturating_sub(1);
                    self.shape.taken_in += 1;
                }
                self.receive();
            }
        }
        if self.rng.random_bool(0.2) {
            self.telegram.advance(self.rng.random_range(1..50));
            self.receive();
        }
    }

    /// Any update that is not acknowledged may be in several hands at once, as when a silent worker comes back.
    fn start_taking_in(&mut self) {
        let waiting: Vec<usize> = (0..self.queue.len()).filter(|index| self.queue[*index].copies > 0).collect();
        let Some(index) = waiting.choose(&mut self.rng).copied() else { return };
        if planted::has(Bug::AckBeforeCommit) {
            self.queue[index].copies = 0;
        }
        let queued = &self.queue[index];
        let (body, update_id, received_ms) = (queued.update.body.clone(), queued.update.update_id, queued.received_ms);
        let handler = self.senders[0].handler.clone();
        self.tasks.start(async move {
            let update = parse_update(body.as_bytes()).expect("invariant: the world's updates are sound");
            let receipt = Receipt { update_id: UpdateId(update_id), received_ms, trace_id: "" };
            if let UpdateKind::Message(message) = &update.kind
                && let Some(from) = &message.from
                && message.chat.kind.is_group()
                && !message.is_service
                && !message.text.as_deref().is_some_and(|text| text.starts_with('/'))
            {
                let pair = [(message.chat.id, from.id)];
                step().await;
                if handler.cache.acquitted(handler.bot, &pair).await.is_ok_and(|known| known == [true]) {
                    return Done::TakenIn(index);
                }
            }
            handler.handle(&update, &receipt).await.expect("invariant: the store in memory never fails");
            Done::TakenIn(index)
        });
    }

    fn start_sending(&mut self) {
        let sender = self.senders.choose(&mut self.rng).expect("invariant: there are workers").clone();
        let lane = *Lane::ALL.choose(&mut self.rng).expect("invariant: there are lanes");
        self.tasks.start(async move {
            let batches = sender.claim(lane, 4).await.expect("invariant: the store in memory never fails");
            for batch in batches {
                sender.carry_out(&batch).await.expect("invariant: the store in memory never fails");
            }
            Done::CarriedOut
        });
    }

    /// No more acts, faults or crashes: everything that is due is done.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.telegram.no_more_faults();
        // Where the bot had lost its rights, they return.
        for channel in CHANNELS.into_iter().take(self.channels) {
            self.do_act(Act::Promote { admin: OWNER, chat: channel, user: BOT, rights: Rights::FULL });
        }
        // Until after the second look at a call that was never echoed, and after timed restrictions of an hour.
        let end_ms = self.telegram.now_ms() + 3 * 3_600_000;
        for _ in 0..200_000 {
            self.receive();
            let waits = self.queue.iter().any(|queued| queued.copies > 0) || self.tasks.count() > 0;
            if waits {
                self.go_on(false);
                continue;
            }
            let now_ms = self.telegram.now_ms();
            match self.store.next_due_ms() {
                Some(due_ms) if due_ms <= now_ms => {
                    for _ in 0..4 {
                        self.start_sending();
                    }
                }
                Some(due_ms) if due_ms < end_ms => self.telegram.advance((due_ms - now_ms).clamp(1, 30_000)),
                _ if !self.telegram.is_quiet() => self.telegram.advance(1_000),
                _ => return Ok(()),
            }
        }
        let open: Vec<String> = self.open_intents();
        Err(format!("does not come to rest, open: {open:?}"))
    }

    fn open_intents(&self) -> Vec<String> {
        let open = run_alone(self.store.open_intents()).expect("invariant: the store in memory never fails");
        open.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect()
    }

    fn violation(&self, seed: u64, text: String) -> Box<Violation> {
        let history = self.telegram.with(|world, _| {
            world.history().iter().map(|entry| format!("{:>7} {:?}", entry.at_ms - BEGIN_MS, entry.what)).collect()
        });
        let mut history: Vec<String> = history;
        history.push(self.store.describe());
        Box::new(Violation { seed, text, history })
    }

    fn shape(mut self) -> Result<Shape, Box<Violation>> {
        let events: Vec<(i64, (ChatId, UserId))> = self.telegram.with(|world, _| judge::events(world));
        let lookups = self.telegram.with(|world, _| judge::lookups(world));
        let mut seconds = BTreeSet::new();
        self.shape.same_second = events.iter().any(|(at_ms, about)| !seconds.insert((at_ms / 1000, *about)));
        self.shape.lookup_raced = lookups
            .iter()
            .any(|(asked, about)| events.iter().any(|(at, of)| of == about && (asked - at).abs() < 60_000));
        Ok(self.shape)
    }
}

/// Runs one task from beginning to end, with nobody beside it.
pub(crate) fn run_alone<T>(task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return result;
        }
    }
}
