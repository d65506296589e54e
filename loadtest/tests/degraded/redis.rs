//! Redis away.

use nezuko_shared::conformance::redis_servers::RedisServers;

use crate::{
    support::{eventually, fresh_bot, servers::with_servers},
    town::{Servers, Town},
};

/// A server of the test's own that has written down what it has said to have.
const DURABLE: [&str; 2] = ["--appendonly", "yes"];

/// Runs a test with a fleet around this Redis.
async fn around(redis: &str, test: impl AsyncFnOnce(&mut Town)) {
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let (redis, database) = (redis.to_owned(), servers.database_url);
        let mut town = Town::new(bot, Servers { redis, database, wait_replicas: false }).await;
        test(&mut town).await;
        town.ends().await;
    })
    .await;
}

async fn set(servers: &RedisServers, name: &str, value: &str) {
    let command = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).to_owned();
    servers.tell::<()>(servers.nodes[0], &command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_and_started_again() {
    let Some(mut servers) = RedisServers::alone_with(&DURABLE).await else { return };
    let (url, port) = (servers.administrator.clone(), servers.nodes[0]);
    around(&url, async |town| {
        let servers = std::sync::Mutex::new(&mut servers);
        town.outlives(
            "Redis killed",
            async || servers.lock().unwrap().signal(port, "KILL"),
            async |town| town.refuses(),
            async || servers.lock().unwrap().start_again(port, &[]),
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_hangs_and_goes_on() {
    let Some(servers) = RedisServers::alone_with(&DURABLE).await else { return };
    let port = servers.nodes[0];
    around(&servers.administrator, async |town| {
        town.outlives(
            "Redis hanging",
            async || servers.signal(port, "STOP"),
            async |town| town.refuses(),
            async || servers.signal(port, "CONT"),
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_takes_its_time_to_load() {
    let Some(mut servers) = RedisServers::alone_with(&DURABLE).await else { return };
    let (url, port) = (servers.administrator.clone(), servers.nodes[0]);
    // So much that each millisecond for an entry makes seconds.
    let fill = "for i = 1, 4000 do redis.call('SET', 'other:' .. i, i) end".to_owned();
    servers.tell::<()>(port, redis::cmd("EVAL").arg(fill).arg(0)).await.unwrap();
    around(&url, async |town| {
        let servers = std::sync::Mutex::new(&mut servers);
        let starts_slowly = || {
            let mut servers = servers.lock().unwrap();
            servers.signal(port, "KILL");
            servers.start_again(port, &["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]);
        };
        town.outlives("Redis loading", async || starts_slowly(), async |town| town.refuses(), async || ()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_full_and_has_room_again() {
    let Some(servers) = RedisServers::alone_with(&DURABLE).await else { return };
    around(&servers.administrator, async |town| {
        town.outlives(
            "Redis full",
            async || set(&servers, "maxmemory", "1").await,
            async |town| town.refuses(),
            async || set(&servers, "maxmemory", "0").await,
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_emptied() {
    let Some(servers) = RedisServers::alone_with(&DURABLE).await else { return };
    around(&servers.administrator, async |town| {
        // What waited then is gone; here nothing did.
        let emptied = redis::cmd("FLUSHALL");
        town.outlives(
            "Redis emptied",
            async || servers.tell::<()>(servers.nodes[0], &emptied).await.unwrap(),
            async |_| true,
            async || (),
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_fails_over_and_loses_nothing_that_replicas_were_waited_for() {
    let Some(servers) = RedisServers::behind_sentinels().await else { return };
    let bot = fresh_bot();
    with_servers(bot, async |others| {
        let (redis, database) = (servers.administrator.clone(), others.database_url);
        let mut town = Town::new(bot, Servers { redis, database, wait_replicas: true }).await;
        let sentinel = servers.sentinels[0];
        let master = async || servers.watched(sentinel).await.and_then(|known| known.get("port").cloned());
        let first = master().await;
        town.outlives(
            "Redis failing over",
            async || servers.signal(servers.nodes[0], "KILL"),
            async |town| town.refuses(),
            async || {
                eventually("another master", async || {
                    let now = master().await;
                    now.is_some() && now != first
                })
                .await;
            },
        )
        .await;
        town.ends().await;
    })
    .await;
}
