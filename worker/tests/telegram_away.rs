//! A worker while Telegram is away: intents wait for a probe, unharmed, and go on at once when it gets through.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use nezuko_shared::{
    bot_api::BotApi,
    cache::memory::MemoryCache,
    config::{Role, Settings},
    conformance::{
        bot_api_server::{BotApiServer, Manner},
        databases::SqliteFile,
    },
    database::Database,
    limiter::{LimiterSettings, memory::MemoryLimiter},
    ops::Readiness,
    queue::sql::SqlQueue,
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, ChatId, MessageId};
use nezuko_worker::{
    buttons::ButtonKey,
    intent::{Intent, Put},
    run::Worker,
    store::{SqlStore, Store},
};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

const BOT: BotId = BotId(42);
const CHATS: i64 = 30;

/// Open intents, the tries that they have used up together, and how long the last of them has to wait.
async fn look(database: &Database) -> (i64, i64, Duration) {
    let query = sqlx::query(
        "SELECT count(*), coalesce(sum(attempts), 0), coalesce(max(not_before_ms), 0) FROM intents
         WHERE bot_id = $1 AND done_ms IS NULL",
    );
    let query = query.bind(BOT.0);
    let row = database.of(BOT, async |rows| query.fetch_one(rows).await).await.unwrap();
    let wait = row.get::<i64, _>(2) - now_ms();
    (row.get(0), row.get(1), Duration::from_millis(wait.max(0).unsigned_abs()))
}

/// The last claim of each intent.
async fn claims(database: &Database) -> BTreeMap<String, i64> {
    let query = sqlx::query("SELECT key, claim FROM intents WHERE bot_id = $1").bind(BOT.0);
    let rows = database.of(BOT, async |rows| query.fetch_all(rows).await).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sample of Telegram's breaker under this name.
fn shown(metrics: &Metrics, name: &str) -> u64 {
    let sample = format!("{name}{{bot_id=\"42\",dependency=\"telegram\"}} ");
    metrics.encode().lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).expect("a sample")
}

fn is_open(metrics: &Metrics) -> bool {
    shown(metrics, "nezuko_breaker_state") == 1
}

#[tokio::test]
async fn one_call_at_a_time_sees_whether_telegram_is_back_and_then_all_goes_on() {
    let (telegram, file) = (BotApiServer::start(Manner::Page(502)).await, SqliteFile::new().await);
    let settings = Settings::from_vars(Role::Alone, |name| match name {
        "BOT_TOKEN" => Some("42:abcdefghijklmnopqrstuvwxyz".to_owned()),
        "TELEGRAM_API_URL" => Some(telegram.url()),
        _ => None,
    });
    let (api, metrics) = (BotApi::new(&settings.unwrap()), Metrics::new(BOT, "abc"));
    api.show_in(&metrics);
    let store = Arc::new(SqlStore::new(file.database.clone(), BOT));
    let put = |of_chat: i64| {
        let delete = |chat: i64| {
            let intent = Intent::Delete { chat: ChatId(-chat), message: MessageId(of_chat) };
            Put::urgent(intent, now_ms())
        };
        (1..=CHATS).map(delete).collect::<Vec<_>>()
    };
    store.put(&put(1), "trace").await.unwrap();
    let stop = CancellationToken::new();
    let worker = Worker {
        store: store.clone(),
        consumer: Arc::new(SqlQueue::new(file.database.clone()).consumer(BOT, "one")),
        cache: Arc::new(MemoryCache::default()),
        limiter: Arc::new(MemoryLimiter::new(LimiterSettings::default())),
        api: api.client(BOT, Duration::from_secs(5)).unwrap(),
        buttons: ButtonKey::of_token(BOT, "a token"),
        metrics: metrics.clone(),
        name: "one".to_owned(),
        reclaim_idle: Duration::from_secs(30),
        grace: Duration::from_secs(5),
        database_works: Readiness::default().reported("database"),
        queue_gauge: Metrics::set_db_connected,
    };
    let working = tokio::spawn(worker.run(stop.clone()));

    until("the breaker opens", async || is_open(&metrics).then_some(())).await;
    let opened = Instant::now();
    // What was under way then ends.
    let settled = opened + Duration::from_millis(300);
    let probes = || telegram.calls().iter().map(|(at, _)| *at).filter(|at| *at > settled).collect::<Vec<_>>();
    // What comes while Telegram is away waits as well.
    store.put(&put(2), "trace").await.unwrap();
    let probed =
        async |times| until("probes", async || (probes().len() >= times && is_open(&metrics)).then_some(())).await;
    probed(1).await;
    let before = claims(&file.database).await;
    probed(2).await;
    let again = claims(&file.database).await.into_iter().filter(|(key, claim)| before.get(key) != Some(claim)).count();
    assert!(again <= 2, "{again} claims for one probe");
    let probed = probes();
    assert!(probed.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(450)), "{opened:?} {probed:?}");
    let (open, attempts, wait) = look(&file.database).await;
    assert_eq!(open, 2 * CHATS, "nothing is given up");
    assert!(attempts <= 4, "{attempts} tries are used up: not only those before it opened");
    let refused = shown(&metrics, "nezuko_breaker_refusals_total");
    assert!(refused <= 8, "{refused} calls were refused: not only those that were under way");
    assert!(wait < Duration::from_secs(2), "the last is due in {wait:?}");

    telegram.set(Manner::Works);
    until("all is done", async || (look(&file.database).await.0 == 0).then_some(())).await;
    let calls = telegram.calls();
    let (back, _) = calls.iter().find(|(_, manner)| *manner == Manner::Works).unwrap();
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert!(!is_open(&metrics));

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), working).await.expect("it stops").unwrap();
}
