//! What a question costs where nothing else happens: as many as Redis can answer, of many callers of one process.

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nezuko_shared::{
    limiter::{Budget, Limiter, LimiterSettings, Urgency, redis::RedisLimiter},
    redis_pool::Redis,
};
use nezuko_telegram::ChatId;
use tokio::{task::JoinSet, time::Instant};

use super::{
    BOT,
    redis_server::{self, RedisServer},
};

const CALLERS: i64 = 64;
const LASTS: Duration = Duration::from_secs(5);

/// Asks and prints.
pub(crate) async fn measure() {
    let dir = env::temp_dir().join(format!("nezuko-bench-{:016x}", rand::random::<u64>()));
    fs::create_dir_all(&dir).unwrap();
    let server = RedisServer::start(&dir).await;
    let redis = Redis::new(&redis_server::url(server.address())).unwrap();
    let limiter = Arc::new(RedisLimiter::new(&redis, BOT, LimiterSettings::default()));
    let asks = Arc::new(AtomicU64::new(0));
    let (before, until) = (server.figures().await, Instant::now() + LASTS);
    let mut callers = JoinSet::new();
    for caller in 1..=CALLERS {
        let (limiter, asks) = (Arc::clone(&limiter), Arc::clone(&asks));
        callers.spawn(async move {
            while Instant::now() < until {
                limiter.ask(Budget::Message, Urgency::Urgent, Some(ChatId(caller))).await.unwrap();
                asks.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    callers.join_all().await;
    let (used, asks) = (server.figures().await.since(&before), asks.load(Ordering::Relaxed) as f64);
    let micros = used.cpu.as_secs_f64() * 1e6 / asks;
    println!(
        "\n{CALLERS} callers: {:.0} asks/s, {micros:.1} µs of Redis each = {:.0} asks/s per core of Redis",
        asks / LASTS.as_secs_f64(),
        1e6 / micros
    );
    drop(server);
    fs::remove_dir_all(&dir).unwrap();
}
