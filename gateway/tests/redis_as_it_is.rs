//! The real program over a Redis that is nearly full, or not set up as it should be.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each test program uses its part")]
#[path = "support/client.rs"]
mod client;
#[path = "support/program.rs"]
mod program;

use std::time::Duration;

use client::{Answer, ask, telegram_post};
use nezuko_shared::{
    conformance::{
        redis_servers::{Grant, RedisServers},
        some_bot,
    },
    queue::{Consumer, redis::RedisConsumer},
    redis_pool::Redis,
};
use nezuko_telegram::BotId;
use program::{Program, eventually};

const MEMORY: usize = 64 << 20;

async fn configure(servers: &RedisServers, setting: &str, value: impl redis::ToRedisArgs) {
    servers.tell::<()>(servers.nodes[0], redis::cmd("CONFIG").arg("SET").arg(setting).arg(value)).await.unwrap();
}

/// Something else takes up nearly all of the memory.
async fn fill(servers: &RedisServers) {
    configure(servers, "maxmemory", MEMORY).await;
    for part in 0..12 {
        let mut set = redis::cmd("SETRANGE");
        servers
            .tell::<u64>(servers.nodes[0], set.arg(format!("filler{part}")).arg(5_000_000 - 1).arg("x"))
            .await
            .unwrap();
    }
}

async fn make_room(servers: &RedisServers) {
    let fillers: Vec<String> = (0..12).map(|part| format!("filler{part}")).collect();
    servers.tell::<u64>(servers.nodes[0], redis::cmd("DEL").arg(fillers)).await.unwrap();
}

async fn post(gateway: &Program, update: i64) -> Answer {
    ask(gateway.webhook, telegram_post("/webhook", &format!("{{\"update_id\":{update}}}"))).await.unwrap()
}

async fn shows(gateway: &Program, sample: &str) -> bool {
    let page = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned();
    ask(gateway.ops, page).await.unwrap().body.lines().any(|line| line == sample)
}

#[tokio::test]
async fn before_redis_is_full_updates_are_refused_and_workers_go_on() {
    let Some(servers) = RedisServers::alone().await else { return };
    let bot = some_bot();
    let gateway = Program::start(bot.0, &servers.gateway).await;
    assert_eq!(post(&gateway, 1).await.status, 200);

    fill(&servers).await;
    eventually("updates are refused", async || post(&gateway, 2).await.status == 503).await;
    let answer = post(&gateway, 3).await;
    assert!(answer.is_doubt() && answer.body.contains("queue nearly full"), "{answer:?}");
    assert_eq!(gateway.said("Redis is nearly full"), 1);
    assert!(!shows(&gateway, &unavailable(bot, 0)).await, "the refusals are counted");

    // Workers still can do all that they do, also what Redis refuses where it is full.
    let worker = RedisConsumer::new(&Redis::new(&servers.worker).unwrap(), bot, "test");
    let mut read = worker.read(100, Duration::from_secs(1)).await.unwrap();
    assert_eq!(read.remove(0).envelope.update_id.0, 1);
    let ids: Vec<_> = read.into_iter().map(|delivery| delivery.id).collect();
    worker.ack(&ids).await.unwrap();

    make_room(&servers).await;
    eventually("updates are taken in again", async || post(&gateway, 4).await.status == 200).await;
    assert_eq!(gateway.said("Redis has room again"), 1);
}

fn unavailable(bot: BotId, times: u64) -> String {
    format!("nezuko_webhook_unavailable_total{{bot_id=\"{bot}\",reason=\"memory_short\"}} {times}")
}

#[tokio::test]
async fn without_the_right_to_look_nothing_is_held_back_and_the_log_says_so_once() {
    let Some(servers) = RedisServers::alone().await else { return };
    let bot = some_bot();
    let less = Grant { user: "nezuko-gateway".to_owned(), rules: vec!["-info".to_owned()] };
    servers.tell::<()>(servers.nodes[0], &less.command()).await.unwrap();
    fill(&servers).await;
    let gateway = Program::start(bot.0, &servers.gateway).await;
    for update in 1..=3 {
        assert_eq!(post(&gateway, update).await.status, 200);
        // So it has asked since.
        let counted = format!("nezuko_queue_unread{{bot_id=\"{bot}\"}} {update}");
        eventually("the backlog is counted", async || shows(&gateway, &counted).await).await;
    }
    eventually("it says so", async || gateway.said("this user has no right to INFO") == 1).await;
}

#[tokio::test]
async fn settings_by_which_updates_are_lost_are_named_in_the_log() {
    let Some(servers) = RedisServers::alone().await else { return };
    configure(&servers, "maxmemory-policy", "allkeys-lru").await;
    configure(&servers, "appendonly", "no").await;
    let gateway = Program::start(some_bot().0, &servers.gateway).await;
    for told in [r#"maxmemory-policy is \"allkeys-lru\": updates could vanish"#, "no append-only file"] {
        eventually(told, async || gateway.said(told) == 1).await;
    }
}
