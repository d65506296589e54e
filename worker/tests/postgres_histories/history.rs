//! One history: people act, workers work and die, and in the end everything comes to rest and is judged.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use loadtest::world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, Switches, UserId, World};
use nezuko_shared::database::Database;
use nezuko_telegram::{BotId, ChatId as Chat, UpdateId};
use nezuko_worker::{
    facts::Setting,
    store::{ChatWrites, SqlStore, Store},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::Row;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    fleet::{Fleet, open_intents},
    judge,
    telegram::Telegram,
};

/// Bots are numbered from here, one for each history, since they share a database.
const FIRST_BOT: i64 = 7_000_000_001;
pub(crate) const OWNER: UserId = UserId(10);
/// The people of a history.
pub(crate) const PEOPLE: [UserId; 2] = [UserId(11), UserId(12)];
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
pub(crate) const CHANNELS: [ChatId; 2] = [ChatId(-1_001_000_000_011), ChatId(-1_001_000_000_012)];
/// An even second of 2023.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// After so long a history that has not come to rest never will.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(5);

/// How often things go wrong, each a probability.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A call of the Bot API fails, loses its answer or lands late.
    pub(crate) call_fails: f64,
    /// An update is delivered twice.
    duplicate: f64,
    /// After an act, a worker ends where it stands.
    kill: f64,
}

const FAULTS: Faults = Faults { call_fails: 0.1, duplicate: 0.2, kill: 0.2 };

/// What a history was like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// Workers that were ended where they stood.
    pub(crate) killed: usize,
    /// Updates that they had in hand then.
    pub(crate) in_hand_when_killed: usize,
    /// Updates that were taken in.
    pub(crate) taken_in: usize,
    /// Updates that were taken in although they had been before.
    pub(crate) taken_in_twice: usize,
}

pub(crate) struct History {
    rng: StdRng,
    pub(crate) telegram: Telegram,
    store: Arc<SqlStore>,
    database: Database,
    bot: UserId,
    fleet: Fleet,
    ticker: JoinHandle<()>,
    shape: Shape,
    pub(crate) channels: usize,
    /// When the clock jumped far, so that whatever waited then had no chance of being in time.
    pub(crate) jumps: Vec<i64>,
}

/// Runs the history of `seed`.
///
/// # Errors
/// Where the world ends other than it must, or does not come to rest.
pub(crate) async fn run(seed: u64, database: &Database) -> Result<Shape> {
    let mut history = History::begin(seed, database).await?;
    let outcome = history.go_on().await;
    let story = history.story();
    history.ticker.abort();
    let stopped = history.fleet.stop().await;
    let ended = outcome.and(stopped);
    let (taken_in, taken_in_twice) = ended.map_err(|error| anyhow::anyhow!("seed {seed}: {error:#}\n{story}"))?;
    Ok(Shape { taken_in, taken_in_twice, ..history.shape })
}

impl History {
    async fn begin(seed: u64, database: &Database) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let bot = UserId(FIRST_BOT + seed.cast_signed());
        let channels = rng.random_range(1..=2);
        let world = found(bot, channels, &mut rng);
        let telegram = Telegram::new(world, BEGIN_MS, rng.random(), judgeable(FAULTS));
        let store = Arc::new(SqlStore::new(database.clone(), BotId(bot.0)));
        protect(&store, channels).await?;
        let fleet = Fleet::start(store.clone(), telegram.clone());
        let ticker = tokio::spawn(let_time_pass(telegram.clone()));
        let (shape, jumps, database) = (Shape::default(), Vec::new(), database.clone());
        let mut history = Self { rng, telegram, store, database, bot, fleet, ticker, shape, channels, jumps };
        for chat in CHANNELS.into_iter().take(channels).chain([GROUP]) {
            history.do_act(Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL });
        }
        // What the bot was told about itself is old news when the history begins.
        history.until_idle().await?;
        history.telegram.advance(2_000);
        Ok(history)
    }

    /// Whether a call's answer may never have reached the one who called.
    pub(crate) fn loses_answers(&self) -> bool {
        FAULTS.call_fails > 0.0 || FAULTS.kill > 0.0
    }

    async fn go_on(&mut self) -> Result<()> {
        for _ in 0..self.rng.random_range(6..20) {
            self.act();
            if self.rng.random_bool(FAULTS.kill) {
                // In the middle of what the act has led to, wherever that is.
                sleep(Duration::from_micros(self.rng.random_range(0..15_000))).await;
                self.fleet.receive(|| 1);
                self.shape.in_hand_when_killed += self.fleet.kill_one(&mut self.rng).await;
                self.shape.killed += 1;
            }
            let jump = *[0, 0, 0, 0, 0, 300, 3_000, 20_000, 70_000].choose(&mut self.rng).unwrap();
            if jump >= 20_000 {
                self.jumps.push(self.telegram.now_ms());
            }
            self.telegram.advance(jump);
            self.fleet.wake();
            sleep(Duration::from_millis(*[0, 0, 5, 30].choose(&mut self.rng).unwrap())).await;
        }
        self.come_to_rest().await?;
        self.judge().map_err(anyhow::Error::msg)
    }

    /// Somebody does something.
    fn act(&mut self) {
        let user = *PEOPLE.choose(&mut self.rng).unwrap();
        let channel = CHANNELS[self.rng.random_range(0..self.channels)];
        let (admin, bot) = (OWNER, self.bot);
        let write =
            |user, text: &str| Act::Write { user, chat: GROUP, content: Content::Text(text.to_owned()), thread: None };
        let act = match self.rng.random_range(0..23) {
            0..=3 => Act::Join { user, chat: GROUP },
            4 => Act::Leave { user, chat: GROUP },
            5..=7 => Act::Join { user, chat: channel },
            8..=9 => Act::Leave { user, chat: channel },
            10..=12 => write(user, "hello"),
            13..=14 => Act::Press { user, chat: GROUP, message: None },
            15 => Act::AdminMute { admin, chat: GROUP, user, for_s: *[0, 60, 3600].choose(&mut self.rng).unwrap() },
            16 => Act::AdminUnmute { admin, chat: GROUP, user },
            17 => Act::AdminBan { admin, chat: GROUP, user },
            18 => Act::AdminUnban { admin, chat: GROUP, user },
            19 => Act::Demote { admin, chat: channel, user: bot },
            20 => Act::Promote { admin, chat: channel, user: bot, rights: Rights::FULL },
            21 => write(OWNER, "/help"),
            _ if self.rng.random_bool(0.5) => Act::Promote { admin, chat: GROUP, user, rights: Rights::FULL },
            _ => Act::Demote { admin, chat: GROUP, user },
        };
        self.do_act(act);
    }

    fn do_act(&mut self, act: Act) {
        // Some acts are not possible just then; that is part of the history.
        let _possible = self.telegram.with(|world, now_ms| world.act(now_ms, act)).is_ok();
        self.receive();
    }

    fn receive(&mut self) {
        let rng = &mut self.rng;
        self.fleet.receive(|| if rng.random_bool(FAULTS.duplicate) { 2 } else { 1 });
    }

    async fn until_idle(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.fleet.is_idle() {
            if Instant::now() > deadline {
                bail!("never idle, open: {:?}", open_intents(&self.store).await);
            }
            sleep(TICK).await;
            self.receive();
        }
        Ok(())
    }

    /// No more acts, faults or deaths: everything that is due is done.
    async fn come_to_rest(&mut self) -> Result<()> {
        self.telegram.no_more_faults();
        // Where the bot had lost its rights, they return.
        for chat in CHANNELS.into_iter().take(self.channels) {
            self.do_act(Act::Promote { admin: OWNER, chat, user: self.bot, rights: Rights::FULL });
        }
        // Until after the second look at a call that was never echoed, and after timed restrictions of an hour.
        let end_ms = self.telegram.now_ms() + 3 * 3_600_000;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.until_idle().await?;
            let now_ms = self.telegram.now_ms();
            match self.next_due_ms().await? {
                Some(due_ms) if due_ms <= now_ms => {}
                Some(due_ms) if due_ms < end_ms => self.telegram.advance((due_ms - now_ms).clamp(1, 30_000)),
                _ if !self.telegram.is_quiet() => self.telegram.advance(1_000),
                // What was on its way when this was asked has put its intents by now.
                _ if self.fleet.is_idle() => return Ok(()),
                _ => {}
            }
            if Instant::now() > deadline {
                bail!("does not come to rest, open: {:?}", open_intents(&self.store).await);
            }
            self.fleet.wake();
            sleep(TICK).await;
            self.receive();
        }
    }

    /// When the next intent is due that nobody has claimed, Unix milliseconds.
    async fn next_due_ms(&self) -> Result<Option<i64>> {
        let next = sqlx::query(
            "SELECT min(greatest(not_before_ms, claimed_until_ms + 1)) FROM intents WHERE bot_id = $1 AND done_ms IS NULL",
        )
        .bind(self.bot.0);
        let next = self.database.of(self.store.bot(), async |rows| next.fetch_one(rows).await).await?;
        Ok(next.try_get(0)?)
    }

    /// What happened, in order.
    fn story(&self) -> String {
        let entries = self.telegram.with(|world, _| {
            let line = |at_ms: i64, what: &dyn std::fmt::Debug| format!("{:>7} {what:?}", at_ms - BEGIN_MS);
            world.history().iter().map(|entry| line(entry.at_ms, &entry.what)).collect::<Vec<_>>()
        });
        let (events, lookups) =
            self.telegram.with(|world, _| (judge::events(world).len(), judge::lookups(world).len()));
        format!("{}\n{events} events, {lookups} lookups", entries.join("\n"))
    }
}

/// The part of the faults that the modelled Telegram makes.
const fn judgeable(faults: Faults) -> Faults {
    Faults { duplicate: 0.0, kill: 0.0, ..faults }
}

/// Time passes as it does.
async fn let_time_pass(telegram: Telegram) {
    let mut last = Instant::now();
    loop {
        sleep(TICK).await;
        let passed = last.elapsed().as_millis() as i64;
        last += Duration::from_millis(passed.unsigned_abs());
        telegram.advance(passed);
    }
}

fn found(bot: UserId, channels: usize, rng: &mut StdRng) -> World {
    let mut world = World::new(World::bot_account(bot, "nezuko_bot"));
    let stale_lookups_ms = if rng.random_bool(0.3) { rng.random_range(1_000..55_000) } else { 0 };
    world.switches = Switches { stale_lookups_ms, ..Switches::default() };
    for (user, name) in [OWNER, PEOPLE[0], PEOPLE[1]].into_iter().zip(["Olga", "Ann", "Bob"]) {
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
    world
}

/// The group's rule, as `/protect` leaves it.
async fn protect(store: &SqlStore, channels: usize) -> Result<()> {
    let set = Setting { value: true, update_id: UpdateId(1), received_ms: BEGIN_MS };
    let links: Vec<_> = CHANNELS.into_iter().take(channels).map(|chat| (Chat(chat.0), set)).collect();
    store
        .with_chat(Chat(GROUP.0), "", BEGIN_MS, &mut |view| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(set);
            ChatWrites { facts: Some(facts), links: links.clone(), put: Vec::new() }
        })
        .await?;
    Ok(())
}
