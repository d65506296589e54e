//! One history: people act, workers work and die, and in the end everything comes to rest and is judged.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use loadtest::world::{Act, Rights, UserId};
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
    generate::{Trouble, plan},
    judge::{Ending, judge},
    plan::{BEGIN_MS, Delivery, Fault, OWNER, Place, Plan, Turn},
    telegram::Telegram,
};

/// Bots are numbered from here, one for each history, since they share a database.
const FIRST_BOT: i64 = 7_000_000_001;
/// After so long a history that has not come to rest never will.
const PATIENCE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(5);
/// After an act a worker ends where it stands, as a probability.
const KILL: f64 = 0.2;
/// What goes wrong besides.
const TROUBLE: Trouble =
    Trouble { call: 0.2, duplicate: 0.8, dull: 0.3, rights: 0.2, settings: 0.2, upgrade: 0.2, ..Trouble::NONE };
/// Until after the second look at a call that was never echoed, and after timed restrictions of an hour.
const REST_MS: i64 = 3 * 3_600_000;

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
    /// Calls of the Bot API.
    pub(crate) calls: usize,
}

struct History {
    rng: StdRng,
    plan: Plan,
    telegram: Telegram,
    store: Arc<SqlStore>,
    database: Database,
    bot: UserId,
    fleet: Fleet,
    ticker: JoinHandle<()>,
    shape: Shape,
    /// Updates so far.
    updates: usize,
    /// When the clock jumped far or a worker died, so that whatever waited then was held up.
    held_up: Vec<i64>,
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
    let calls = history.telegram.calls();
    let stopped = history.fleet.stop().await;
    // Where the store has failed, that is why nothing came to rest.
    let ended = stopped.and_then(|taken_in| outcome.map(|()| taken_in));
    let (taken_in, taken_in_twice) = ended.map_err(|error| anyhow::anyhow!("seed {seed}: {error:#}\n{story}"))?;
    Ok(Shape { taken_in, taken_in_twice, calls, ..history.shape })
}

impl History {
    async fn begin(seed: u64, database: &Database) -> Result<Self> {
        let bot = UserId(FIRST_BOT + seed.cast_signed());
        let plan = plan(seed, TROUBLE);
        let telegram = Telegram::new(plan.world(bot), BEGIN_MS, &plan.faults);
        let store = Arc::new(SqlStore::new(database.clone(), BotId(bot.0)));
        protect(&store, &plan).await?;
        let fleet = Fleet::start(store.clone(), telegram.clone());
        let ticker = tokio::spawn(let_time_pass(telegram.clone()));
        let mut history = Self {
            rng: StdRng::seed_from_u64(plan.schedule),
            plan,
            telegram,
            store,
            database: database.clone(),
            bot,
            fleet,
            ticker,
            shape: Shape::default(),
            updates: 0,
            held_up: Vec::new(),
        };
        history.regain_rights();
        history.fleet.receive(|| 1);
        // What the bot was told about itself is old news when the history begins.
        history.until_idle().await?;
        history.telegram.advance(2_000);
        Ok(history)
    }

    /// The bot is an administrator everywhere.
    fn regain_rights(&self) {
        for place in self.plan.places() {
            let chat = self.telegram.with(|world, _| self.plan.now(place, world));
            self.act(Act::Promote { admin: OWNER, chat, user: self.bot, rights: Rights::FULL });
        }
    }

    /// Some acts are not possible just then; that is part of the history.
    fn act(&self, act: Act) {
        let _possible = self.telegram.with(|world, now_ms| world.act(now_ms, act)).is_ok();
    }

    async fn go_on(&mut self) -> Result<()> {
        for turn in self.plan.turns.clone() {
            self.turn(turn).await;
        }
        self.come_to_rest().await?;
        let chat = self.store.chat(Chat(Plan::chat(Place::Group).0)).await?.chat;
        let judged = self.telegram.with(|world, now_ms| {
            let (plan, protected) = (&self.plan, chat.facts.is_protected());
            // Workers die, and what they were told with them.
            judge(&Ending { plan, world, now_ms, protected, loses_answers: true, held_up: &self.held_up })
        });
        judged.map_err(anyhow::Error::msg)
    }

    async fn turn(&mut self, turn: Turn) {
        let act = self.telegram.with(|world, _| self.plan.act(turn.doing, world));
        act.into_iter().for_each(|act| self.act(act));
        self.receive();
        if self.rng.random_bool(KILL) {
            // In the middle of what the act has led to, wherever that is.
            sleep(Duration::from_micros(self.rng.random_range(0..15_000))).await;
            self.receive();
            self.held_up.push(self.telegram.now_ms());
            self.shape.in_hand_when_killed += self.fleet.kill_one(&mut self.rng).await;
            self.shape.killed += 1;
        }
        if turn.pause_ms >= 10_000 {
            self.held_up.push(self.telegram.now_ms());
        }
        self.telegram.advance(turn.pause_ms);
        self.fleet.wake();
        sleep(Duration::from_millis(*[0, 0, 5, 30].choose(&mut self.rng).unwrap())).await;
    }

    fn receive(&mut self) {
        let (plan, updates) = (&self.plan, &mut self.updates);
        self.fleet.receive(|| {
            let twice = Fault::Update { nth: *updates, delivery: Delivery::Twice };
            *updates += 1;
            if plan.faults.contains(&twice) { 2 } else { 1 }
        });
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
        if let Some(place) = self.plan.basic {
            self.act(Act::Upgrade { admin: OWNER, chat: self.plan.founded(place), to: Plan::chat(place) });
        }
        // Where the bot had lost its rights, they return.
        self.regain_rights();
        self.receive();
        let end_ms = self.telegram.now_ms() + REST_MS;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.until_idle().await?;
            let now_ms = self.telegram.now_ms();
            match self.next_due_ms().await? {
                Some(due_ms) if due_ms <= now_ms => {}
                Some(due_ms) if due_ms < end_ms => self.telegram.advance((due_ms - now_ms).clamp(1, 30_000)),
                _ if self.telegram.lands_ms().is_some() => self.telegram.advance(1_000),
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

    /// The plan, and what happened, in order.
    fn story(&self) -> String {
        let entries = self.telegram.with(|world, _| {
            let line = |at_ms: i64, what: &dyn std::fmt::Debug| format!("{:>8} {what:?}", at_ms - BEGIN_MS);
            world.history().iter().map(|entry| line(entry.at_ms, &entry.what)).collect::<Vec<_>>()
        });
        format!("{}\n{}", self.plan, entries.join("\n"))
    }
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

/// The group's rule, as `/protect` leaves it.
async fn protect(store: &SqlStore, plan: &Plan) -> Result<()> {
    let set = Setting { value: true, update_id: UpdateId(1), received_ms: BEGIN_MS };
    let chat = |place| Chat(plan.founded(place).0);
    let links: Vec<_> = (0..plan.required.len()).map(|index| (chat(Place::Required(index)), set)).collect();
    store
        .with_chat(chat(Place::Group), "", BEGIN_MS, &mut |view| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(set);
            facts.settings.change(set.update_id, set.received_ms, |settings| plan.terms.set(settings));
            ChatWrites { facts: Some(facts), links: links.clone(), put: Vec::new() }
        })
        .await?;
    Ok(())
}
