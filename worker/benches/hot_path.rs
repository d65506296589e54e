//! The worker's common case: an ordinary message of somebody who is known to be free to write, decided for a whole batch by
//! one question to the cache and one acknowledgement. Processor time of the real program and of Redis for an update. Run by
//! `make bench`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use loadtest::drive::{Program, page};
use nezuko_shared::{
    cache::{Cache, ChatVersion, Verdict, redis::RedisCache},
    envelope::Envelope,
    keys,
    queue::{Producer, redis::RedisProducer},
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId};

const ROUNDS: usize = 5;
const UPDATES: i64 = 200_000;
const PEOPLE: i64 = 1_000;
const GROUP: ChatId = ChatId(-1_001_234_567_890);
const TTL: Duration = Duration::from_hours(1);
const BOT: BotId = BotId(7_000_000_004);

fn main() {
    // `cargo test` runs benches as well, to see that they are sound; this one takes minutes.
    if env::args().any(|argument| argument == "--bench") {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(measure());
    }
}

async fn measure() {
    let (Ok(redis_url), Ok(database_url)) = (env::var("REDIS_URL"), env::var("DATABASE_URL")) else {
        eprintln!("REDIS_URL or DATABASE_URL is not set; run this by `make bench`");
        std::process::exit(64);
    };
    let dir = env::temp_dir().join(format!("nezuko-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let redis = Redis::new(&redis_url).unwrap();
    acquit_all(&redis).await;
    let mut costs = Vec::new();
    for round in 1..=ROUNDS {
        fill(&redis).await;
        let (redis_before, began) = (redis_cpu(&redis).await, Instant::now());
        let (program, used) = work(&redis_url, &database_url, &dir).await;
        let took = began.elapsed();
        let per_update = |time: Duration| time.as_secs_f64() * 1e6 / UPDATES as f64;
        let (server, of_redis) = (per_update(used), per_update(redis_cpu(&redis).await - redis_before));
        let memory = program.anonymous_memory().unwrap_or(0) as f64 / 1e6;
        println!(
            "round {round}: {server:.2} µs, Redis {of_redis:.2} µs, {memory:.1} MB, {:.0}/s",
            UPDATES as f64 / took.as_secs_f64()
        );
        costs.push(server);
        program.kill().await.unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
    costs.sort_by(f64::total_cmp);
    let median = costs[ROUNDS / 2];
    println!(
        "\n{UPDATES} messages of {PEOPLE} people, median of {ROUNDS}: {median:.2} µs an update = {:.0} updates/s per core \
         (at least 60000)",
        1e6 / median
    );
}

async fn acquit_all(redis: &Redis) {
    let cache = RedisCache::new(redis.clone());
    let version = ChatVersion { chat: GROUP, settings_version: 1, protected: true };
    cache.remember_chat(BOT, version, TTL).await.unwrap();
    let verdicts: Vec<_> = (0..PEOPLE)
        .map(|user| Verdict {
            group: GROUP,
            user: UserId(5_000_000 + user),
            order: 1,
            settings_version: 1,
            acquitted: true,
        })
        .collect();
    cache.remember(BOT, &verdicts, TTL).await.unwrap();
}

async fn fill(redis: &Redis) {
    let producer = RedisProducer::new(redis);
    for first in (0..UPDATES).step_by(500) {
        let pushes = (first..first + 500).map(|id| {
            let user = 5_000_000 + id % PEOPLE;
            let payload = format!(
                r#"{{"update_id":{id},
"message":{{"message_id":{id},"from":{{"id":{user},"is_bot":false,"first_name":"Somebody","username":"somebody_{user}","language_code":"en"}},"chat":{{"id":{GROUP},"title":"A group with a name","username":"a_group_with_a_name","type":"supergroup"}},"date":1700000000,"text":"{}"}}}}"#,
                "x".repeat(60)
            );
            let producer = &producer;
            async move {
                let envelope = Envelope {
                    bot: BOT,
                    update_id: UpdateId(id),
                    routing_key: user,
                    received_ms: 1_700_000_000_000,
                    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
                    payload: Bytes::from(payload),
                };
                producer.push(&envelope).await.unwrap();
            }
        });
        futures_util::future::join_all(pushes).await;
    }
}

/// Has the program take in everything; it and the processor time that this took.
async fn work(redis_url: &str, database_url: &str, dir: &Path) -> (Program, Duration) {
    let ops_port = nezuko_ports::free_port();
    let settings = [
        ("BOT_TOKEN", format!("{BOT}:bench-token-that-opens-nothing")),
        ("REDIS_URL", redis_url.to_owned()),
        ("DATABASE_URL", database_url.to_owned()),
        ("TELEGRAM_API_URL", "http://127.0.0.1:1".to_owned()),
        ("BIND", "127.0.0.1".to_owned()),
        ("OPS_PORT", ops_port.to_string()),
        ("TOKIO_WORKER_THREADS", "1".to_owned()),
    ];
    let program = Program::start(Path::new(env!("CARGO_BIN_EXE_nezuko-worker")), "worker", dir, settings).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let metrics = format!("http://127.0.0.1:{ops_port}/metrics");
    let acquitted =
        format!("nezuko_updates_total{{bot_id=\"{BOT}\",kind=\"message\",outcome=\"acquitted\"}} {UPDATES}");
    loop {
        if page(&metrics).await.is_ok_and(|(_, text)| text.lines().any(|line| line == acquitted)) {
            let used = program.cpu_time();
            return (program, used);
        }
        assert!(Instant::now() < deadline, "the worker never took in {UPDATES} updates by the cache");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What Redis has used so far; and nothing is left in the stream of the round before.
async fn redis_cpu(redis: &Redis) -> Duration {
    let left: i64 = redis.query(redis::cmd("XLEN").arg(keys::updates(BOT))).await.unwrap();
    assert!(left == 0 || left == UPDATES, "{left} entries are left");
    let info: String = redis.query(redis::cmd("INFO").arg("cpu")).await.unwrap();
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.trim().parse::<f64>().ok()).unwrap()
    };
    Duration::from_secs_f64(field("used_cpu_sys:") + field("used_cpu_user:"))
}
