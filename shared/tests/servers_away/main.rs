//! Servers that die, hang and come back: whoever calls them hears so at once, and goes on soon after.
#![allow(clippy::unwrap_used)]

mod door;

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use door::{Door, Way};
use futures_util::future::join_all;
use nezuko_shared::{
    conformance::{
        databases::{Postgres, Role, server},
        redis_servers::RedisServers,
        some_bot,
    },
    database::Database,
    envelope::Envelope,
    queue::{Consumer, Producer, redis::RedisConsumer, redis::RedisProducer},
    redis_pool::Redis,
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, UpdateId};

/// A refusal is a matter of microseconds; the rest is for a machine that is busy with other things.
const AT_ONCE: Duration = Duration::from_millis(100);
/// The longest back-off, and what a probe takes.
const SOON: Duration = Duration::from_millis(2000 + 1500);
/// How long a webhook may have to wait for its answer.
const WEBHOOK: Duration = Duration::from_secs(2);

fn envelope(bot: BotId) -> Envelope {
    let (update_id, traceparent) = (UpdateId(1), String::new());
    Envelope { bot, update_id, routing_key: 1, received_ms: 1, traceparent, payload: "{}".into() }
}

/// Calls until a refusal comes, which comes at once. No call takes longer than `limit`.
async fn until_refused<T, E: Display>(limit: Duration, call: impl AsyncFn() -> Result<T, E>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let began = Instant::now();
        let refused = match call().await {
            Ok(_) => panic!("it answers"),
            Err(error) => error.to_string().contains("its circuit breaker refuses calls"),
        };
        let took = began.elapsed();
        assert!(took < if refused { AT_ONCE } else { limit }, "{took:?}");
        if refused {
            return;
        }
        assert!(Instant::now() < deadline, "never refused");
    }
}

/// Calls until it works again; returns how long that took.
async fn until_it_works<T, E: Display>(call: impl AsyncFn() -> Result<T, E>) -> Duration {
    let began = Instant::now();
    while let Err(error) = call().await {
        assert!(began.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// Whether the breaker's gauge shows this.
fn shows(metrics: &Metrics, dependency: &str, state: u8) -> bool {
    let line = format!("nezuko_breaker_state{{bot_id=\"0\",dependency=\"{dependency}\"}} {state}");
    metrics.encode().lines().any(|shown| shown == line)
}

#[tokio::test]
async fn redis_dies_and_comes_back() {
    let Some(url) = server("REDIS_URL") else { return };
    let address = url.strip_prefix("redis://").unwrap().trim_end_matches('/').to_owned();
    let door = Door::before(address).await;
    let redis = Redis::new(&format!("redis://{}", door.address)).unwrap();
    let (bot, metrics) = (some_bot(), Metrics::new(BotId(42), "abc"));
    redis.show_in(&metrics);
    let (producer, consumer) = (RedisProducer::new(&redis), RedisConsumer::new(&redis, bot, "one"));
    producer.push(&envelope(bot)).await.unwrap();
    assert_eq!(consumer.read(10, Duration::from_secs(1)).await.unwrap().len(), 1);
    redis.ping().await.unwrap();
    assert!(shows(&metrics, "redis", 0));

    door.set(Way::Shut);
    until_refused(WEBHOOK, async || producer.push(&envelope(bot)).await).await;
    assert!(shows(&metrics, "redis", 1));
    // One breaker stands before all that goes to Redis.
    until_refused(AT_ONCE, async || consumer.backlog().await).await;
    until_refused(AT_ONCE, async || redis.ping().await).await;

    door.set(Way::Open);
    let took = until_it_works(async || producer.push(&envelope(bot)).await).await;
    assert!(took < SOON, "{took:?}");
    assert!(shows(&metrics, "redis", 0));
    until_it_works(async || redis.ping().await).await;
    until_it_works(async || consumer.leave().await).await;
}

#[tokio::test]
async fn redis_hangs_and_goes_on() {
    let Some(servers) = RedisServers::alone().await else { return };
    let bot = some_bot();
    let (gateway, worker) = (Redis::new(&servers.gateway).unwrap(), Redis::new(&servers.worker).unwrap());
    let (producer, consumer) = (RedisProducer::new(&gateway), RedisConsumer::new(&worker, bot, "one"));
    producer.push(&envelope(bot)).await.unwrap();
    let read = consumer.read(10, Duration::from_secs(1)).await.unwrap();
    worker.ping().await.unwrap();

    servers.signal(servers.nodes[0], "STOP");
    let pushing = async || {
        let began = Instant::now();
        let pushed = producer.push(&envelope(bot)).await;
        (pushed.is_ok(), began.elapsed())
    };
    for (stored, took) in join_all((0..100).map(|_| pushing())).await {
        assert!(!stored && took < WEBHOOK, "{stored} {took:?}");
    }
    until_refused(AT_ONCE, async || producer.push(&envelope(bot)).await).await;
    // The worker's own breaker, by its shorter commands; a blocked read ends as well.
    let ids: Vec<_> = read.into_iter().map(|delivery| delivery.id).collect();
    let reading = async {
        let began = Instant::now();
        consumer.read(10, Duration::from_secs(2)).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    };
    let acknowledging = until_refused(Duration::from_secs(4), async || consumer.ack(&ids).await);
    tokio::join!(reading, acknowledging);

    servers.signal(servers.nodes[0], "CONT");
    for took in [
        until_it_works(async || producer.push(&envelope(bot)).await).await,
        until_it_works(async || consumer.ack(&ids).await).await,
        until_it_works(async || worker.ping().await).await,
    ] {
        assert!(took < SOON, "{took:?}");
    }
    let again = until_it_works(async || consumer.read(100, Duration::ZERO).await).await;
    assert!(again < SOON, "{again:?}");
}

/// Runs a test on a PostgreSQL behind a door, with the address behind it.
async fn behind_a_door(test: impl AsyncFnOnce(&Database, &mut Door, &str)) {
    let Some(url) = server("DATABASE_URL") else { return };
    let postgres = Postgres::create(url).await.unwrap();
    let url = postgres.url(Role::Runtime);
    let host = url.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let mut door = Door::before(host.clone()).await;
    let database = Database::open(&url.replacen(&host, &door.address.to_string(), 1)).await.unwrap();
    test(&database, &mut door, &host).await;
    drop((door, database));
    postgres.remove().await.unwrap();
}

async fn look(database: &Database) -> sqlx::Result<()> {
    database.of(BotId(42), async |rows| sqlx::query("SELECT 1").execute(rows).await.map(drop)).await
}

#[tokio::test]
async fn postgresql_dies_and_comes_back() {
    behind_a_door(async |database, door, _| {
        let metrics = Metrics::new(BotId(42), "abc");
        database.show_in(&metrics);
        join_all((0..20).map(|_| look(database))).await.into_iter().collect::<sqlx::Result<()>>().unwrap();

        door.set(Way::Shut);
        until_refused(Duration::from_secs(4), async || look(database).await).await;
        assert!(shows(&metrics, "postgresql", 1));

        door.set(Way::Open);
        let took = until_it_works(async || look(database).await).await;
        assert!(took < SOON, "{took:?}");
        assert!(shows(&metrics, "postgresql", 0));
    })
    .await;
}

#[tokio::test]
async fn postgresql_hangs_and_goes_on() {
    behind_a_door(async |database, door, host| {
        join_all((0..20).map(|_| look(database))).await.into_iter().collect::<sqlx::Result<()>>().unwrap();

        for vanished in [false, true] {
            door.set(Way::Held);
            let began = Instant::now();
            assert!(join_all((0..30).map(|_| look(database))).await.iter().all(Result::is_err));
            assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
            until_refused(Duration::from_secs(6), async || look(database).await).await;

            if vanished {
                // None of the connections that there were will ever answer.
                door.open_for_new_ones(host.to_owned()).await;
            } else {
                door.set(Way::Open);
            }
            let took = until_it_works(async || look(database).await).await;
            assert!(took < SOON + Duration::from_secs(4), "{took:?}");
            let together = join_all((0..40).map(|_| look(database))).await;
            together.into_iter().collect::<sqlx::Result<()>>().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_statement_is_not_wrong_with_postgresql() {
    behind_a_door(async |database, _, _| {
        for _ in 0..20 {
            for statement in ["SELECT 1 / 0", "SELECT nothing", "INSERT INTO people VALUES (1, 1, 1), (1, 1, 1)"] {
                let refused = database.of(BotId(1), async |rows| sqlx::query(statement).execute(rows).await).await;
                assert!(refused.unwrap_err().as_database_error().is_some(), "{statement}");
            }
        }
        look(database).await.unwrap();
    })
    .await;
}
