//! How long it takes to decide about somebody, and how many are decided about in a minute: the real handlers over PostgreSQL
//! and Redis. Run by `make bench-product`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    env,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use nezuko_shared::{cache::redis::RedisCache, database::Database, redis_pool::Redis, telemetry::metrics::Metrics};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId, parse_update};
use nezuko_worker::{
    buttons::ButtonKey,
    facts::Setting,
    handle::{Handler, Receipt},
    store::{ChatView, ChatWrites, SqlStore},
};
use serde_json::{Value, json};

const ROUNDS: i64 = 5;
/// People in a round.
const PEOPLE: i64 = 2_000;
/// Updates that a worker takes in at once.
const AT_ONCE: usize = 16;
const GROUP: ChatId = ChatId(-1_001_234_567_890);
const CHANNEL: ChatId = ChatId(-1_001_234_567_891);

fn main() {
    // `cargo test` runs benches as well, to see that they are sound; this one takes a minute.
    if env::args().any(|argument| argument == "--bench") {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure());
    }
}

async fn measure() {
    let (Ok(redis_url), Ok(database_url)) = (env::var("REDIS_URL"), env::var("DATABASE_URL")) else {
        eprintln!("REDIS_URL or DATABASE_URL is not set; run this by `make bench-product`");
        std::process::exit(64);
    };
    let database = Database::open(&database_url).await.unwrap();
    database.migrate().await.unwrap();
    let mut medians = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        let bot = BotId(7_100_000_000 + i64::from(std::process::id()) * 10 + round);
        let redis = Redis::new(&redis_url).unwrap();
        let figures = Round::new(bot, &database, RedisCache::new(redis)).measure().await;
        println!(
            "round {round}: from the store p95 {:.2} ms, from the cache p95 {:.2} ms, {:.0} decisions a minute",
            figures[0], figures[1], figures[2]
        );
        medians.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    let [stored, cached, rate] = medians.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    println!(
        "\nmedian of {ROUNDS}: p95 {stored:.2} ms from the store (at most 100), {cached:.2} ms from the cache (at most 10), \
         {rate:.0} decisions a minute (at least 1000)"
    );
    assert!(stored <= 100.0 && cached <= 10.0 && rate >= 1_000.0, "a promise does not hold");
}

struct Round {
    bot: BotId,
    handler: Handler,
    next_update: i64,
}

impl Round {
    fn new(bot: BotId, database: &Database, cache: RedisCache) -> Self {
        let handler = Handler {
            store: Arc::new(SqlStore::new(database.clone(), bot)),
            cache: Arc::new(cache),
            bot,
            username: Arc::new(OnceLock::new()),
            buttons: ButtonKey::of_token(bot, "a token"),
            metrics: Metrics::new(bot, "bench"),
            clock: Arc::new(now_ms),
            wake: Arc::default(),
        };
        Self { bot, handler, next_update: 1 }
    }

    /// The 95th percentiles from store and cache in milliseconds, and decisions a minute.
    async fn measure(mut self) -> [f64; 3] {
        for chat in [GROUP, CHANNEL] {
            let update = self.change("my_chat_member", chat, self.bot.0, "left", "administrator");
            self.take_in(&update).await;
        }
        // What happens in the very second in which the bot begins to watch may be from before it.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let on = Setting { value: true, update_id: UpdateId(1), received_ms: now_ms() };
        let mut protect = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(on);
            ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: Vec::new() }
        };
        self.handler.store.with_chat(GROUP, "", now_ms(), &mut protect).await.unwrap();

        let people = || (1..=PEOPLE).map(|person| 5_000_000 + person);
        let joined: Vec<_> = people().map(|id| self.change("chat_member", CHANNEL, id, "left", "member")).collect();
        self.take_all_in(&joined).await;
        let came: Vec<_> = people().map(|id| self.change("chat_member", GROUP, id, "left", "member")).collect();
        let began = Instant::now();
        self.take_all_in(&came).await;
        let rate = PEOPLE as f64 * 60.0 / began.elapsed().as_secs_f64();

        let mut stored = Vec::new();
        for id in people() {
            let update = self.message(id);
            let began = Instant::now();
            self.take_in(&update).await;
            stored.push(began.elapsed());
        }
        let mut cached = Vec::new();
        for id in people() {
            let began = Instant::now();
            let known = self.handler.cache.acquitted(self.bot, &[(GROUP, UserId(id))]).await.unwrap();
            cached.push(began.elapsed());
            assert_eq!(known, [true], "who has joined is not acquitted");
        }
        [p95_ms(stored), p95_ms(cached), rate]
    }

    async fn take_in(&self, update: &Value) {
        let update = parse_update(update.to_string().as_bytes()).unwrap();
        let receipt = Receipt { update_id: update.id, received_ms: now_ms(), trace_id: "" };
        self.handler.handle(&update, &receipt).await.unwrap();
    }

    async fn take_all_in(&self, updates: &[Value]) {
        stream::iter(updates).for_each_concurrent(AT_ONCE, |update| self.take_in(update)).await;
    }

    fn number(&mut self) -> i64 {
        self.next_update += 1;
        self.next_update
    }

    fn change(&mut self, kind: &str, chat: ChatId, id: i64, old: &str, new: &str) -> Value {
        let user = json!({"id": id, "is_bot": id == self.bot.0, "first_name": "Somebody"});
        let member = |status: &str| json!({"user": user, "status": status, "can_restrict_members": true, "can_delete_messages": true});
        let of_chat = if chat == CHANNEL { "channel" } else { "supergroup" };
        json!({"update_id": self.number(), kind: {
            "chat": {"id": chat.0, "type": of_chat, "title": "Chat"}, "from": user, "date": now_ms() / 1000,
            "old_chat_member": member(old), "new_chat_member": member(new),
        }})
    }

    fn message(&mut self, id: i64) -> Value {
        let number = self.number();
        json!({"update_id": number, "message": {
            "message_id": number, "date": now_ms() / 1000, "text": "hello",
            "chat": {"id": GROUP.0, "type": "supergroup", "title": "Chat"},
            "from": {"id": id, "is_bot": false, "first_name": "Somebody"},
        }})
    }
}

fn p95_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() * 95 / 100].as_secs_f64() * 1e3
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
