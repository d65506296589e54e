//! The real program over a real Redis.
#![allow(clippy::unwrap_used)]

#[path = "support/client.rs"]
mod client;
#[path = "support/program.rs"]
mod program;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use client::{Connection, PATIENCE, SECRET, ask, telegram_post};
use nezuko_shared::{
    envelope::Envelope,
    keys,
    queue::{Consumer, redis::RedisConsumer},
    redis_pool::{RESPONSE_TIMEOUT, Redis},
};
use nezuko_telegram::BotId;
use program::{Door, Program, command, eventually, redis_url};
use tokio::time::timeout;

/// A bot of its own for each test, so that they meet neither each other nor those of an earlier run.
fn fresh_bot() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    i64::try_from(millis).unwrap() * 100 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the stream of `bot` holds, taken as a worker takes it.
async fn stored(redis_url: &str, bot: i64) -> Vec<Envelope> {
    let redis = Redis::new(redis_url).unwrap();
    let consumer = RedisConsumer::new(&redis, BotId(bot), "test");
    let deliveries = consumer.read(100, Duration::from_millis(1)).await.unwrap();
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id.clone()).collect();
    consumer.ack(&ids).await.unwrap();
    deliveries.into_iter().map(|delivery| delivery.envelope).collect()
}

#[tokio::test]
async fn every_setting_that_is_wrong_is_named_at_once_with_exit_code_64() {
    let output = command().envs([("BOT_TOKEN", "12:short-secret"), ("PORT", "x"), ("LOG_LEVEL", "a=b=c")]).output();
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    let named: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(named, ["BOT_TOKEN", "WEBHOOK_SECRET", "REDIS_URL", "PORT", "LOG_LEVEL"], "{text}");
    assert!(!text.contains("short-secret"), "{text}");
}

#[tokio::test]
async fn a_taken_port_ends_the_program_with_a_reason() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = command()
        .env("BOT_TOKEN", "42:abcdefghijklmnopqrstuvwxyz")
        .env("WEBHOOK_SECRET", SECRET)
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("BIND", "127.0.0.1")
        .env("PORT", taken.local_addr().unwrap().port().to_string())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot bind PORT"), "{text}");
}

#[tokio::test]
async fn an_update_is_in_redis_byte_for_byte_when_it_is_answered() {
    let Some(redis_url) = redis_url() else { return };
    let bot = fresh_bot();
    let gateway = Program::start(bot, &redis_url).await;
    // Odd spacing, an escape, a kind that nobody knows: all of it has to survive.
    let body =
        "{\"update_id\":77,\n\"kind_of_2031\" : {\"from\":{\"id\":5, \"name\":\"Zo\\u00eb \u{1f98a}\"}, \"n\":1.10}}\n";
    let answer = ask(gateway.webhook, telegram_post(&format!("/webhook/{bot}"), body)).await.unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));

    let entries = stored(&redis_url, bot).await;
    let [envelope] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(envelope.payload, body);
    assert_eq!((envelope.bot.0, envelope.update_id.0, envelope.routing_key), (bot, 77, 5));
    assert_eq!(envelope.trace_id().len(), 32);

    let answer = ask(gateway.webhook, telegram_post("/webhook", "<html>")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(stored(&redis_url, bot).await.is_empty(), "no update goes to the workers");
    let link = Redis::new(&redis_url).unwrap().link(RESPONSE_TIMEOUT);
    let set_aside: u64 = link.query(redis::cmd("XLEN").arg(keys::quarantine(BotId(bot)))).await.unwrap();
    assert_eq!(set_aside, 1);
}

#[tokio::test]
async fn the_operations_port_tells_the_truth() {
    let Some(redis_url) = redis_url() else { return };
    let bot = fresh_bot();
    let (mut door, through_door) = Door::open_to(&redis_url).await;
    let gateway = Program::start(bot, &through_door).await;
    let get = async |path: &str| {
        ask(gateway.ops, format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await.unwrap()
    };
    assert_eq!(get("/live").await.status, 200);
    eventually("the gateway is ready", async || get("/ready").await.status == 200).await;
    assert_eq!(get("/nothing").await.status, 404);
    let version: serde_json::Value = serde_json::from_str(&get("/version").await.body).unwrap();
    assert_eq!(
        (&version["program"], &version["version"]),
        (&"nezuko-gateway".into(), &env!("CARGO_PKG_VERSION").into())
    );
    let revision = version["revision"].as_str().unwrap();
    assert!(!revision.is_empty(), "{version}");
    eventually("the queue is reported to answer", async || {
        get("/health").await.body.contains(r#""parts":{"queue":true,"webhook":true},"status":"ok""#)
    })
    .await;

    ask(gateway.webhook, telegram_post("/webhook", "{\"update_id\":1}")).await.unwrap();
    let accepting = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let request = format!("GET /metrics HTTP/1.1\r\nHost: h\r\n{accepting}\r\nConnection: close\r\n\r\n");
    let open = ask(gateway.ops, request).await.unwrap();
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    let metrics = get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let build = format!("nezuko_build_info{{version=\"{}\",revision=\"{revision}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    assert!(metrics.body.contains(&build), "{}", metrics.body);
    let stored = format!("nezuko_webhook_requests_total{{bot_id=\"{bot}\",outcome=\"stored\"}} 1\n");
    assert!(metrics.body.contains(&stored), "{}", metrics.body);
    eventually("the backlog is counted", async || {
        get("/metrics").await.body.contains(&format!("nezuko_queue_unread{{bot_id=\"{bot}\"}} 1\n"))
    })
    .await;

    door.shut();
    eventually("the queue is reported away", async || {
        let health = get("/health").await;
        // Ready all the same: a clear 503 with Retry-After serves Telegram better than a closed door.
        health.status == 200 && health.body.contains(r#""queue":false"#) && health.body.contains("degraded")
    })
    .await;
    assert_eq!(get("/ready").await.status, 200);
}

#[tokio::test]
async fn while_redis_is_away_updates_are_refused_and_later_taken_again() {
    let Some(redis_url) = redis_url() else { return };
    let bot = fresh_bot();
    let (mut door, through_door) = Door::open_to(&redis_url).await;
    let gateway = Program::start(bot, &through_door).await;
    let post = async |id: u32| {
        ask(gateway.webhook, telegram_post("/webhook", &format!("{{\"update_id\":{id}}}"))).await.unwrap()
    };
    assert_eq!(post(1).await.status, 200);

    door.shut();
    for id in 2..5 {
        let answer = post(id).await;
        assert!(answer.is_doubt(), "{answer:?}");
    }

    door.open_again().await;
    eventually("updates are taken again", async || post(5).await.status == 200).await;
    let mut ids: Vec<_> = stored(&redis_url, bot).await.iter().map(|envelope| envelope.update_id.0).collect();
    ids.dedup();
    assert_eq!(ids, [1, 5], "what was refused is not there, what was answered 200 is");
}

#[tokio::test]
async fn sigterm_finishes_the_update_in_hand_and_exits_0() {
    let Some(redis_url) = redis_url() else { return };
    let bot = fresh_bot();
    let gateway = Program::start(bot, &redis_url).await;
    let mut busy = Connection::open(gateway.webhook).await.unwrap();
    let whole = telegram_post("/webhook", "{\"update_id\":3}").replace("Accept-Encoding", "Expect: 100-continue\r\nA");
    let (begun, rest) = whole.split_at(whole.len() - 5);
    busy.send(begun).await;
    assert_eq!(busy.answer().await.unwrap().status, 100, "the gateway reads the body");

    gateway.terminate().await;
    let webhook = gateway.webhook;
    eventually("new updates are refused", async || {
        ask(webhook, telegram_post("/webhook", "{\"update_id\":4}")).await.is_some_and(|answer| answer.is_doubt())
    })
    .await;
    busy.send(rest).await;
    assert_eq!(busy.answer().await.unwrap().status, 200);
    timeout(PATIENCE, busy.closed()).await.expect("the connection is closed after its last answer");
    assert_eq!(gateway.exit_code().await, Some(0));
    let ids: Vec<_> = stored(&redis_url, bot).await.iter().map(|envelope| envelope.update_id.0).collect();
    assert!(ids.contains(&3), "{ids:?}");
}

#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    // No Redis is needed: the update in hand never gets so far.
    let gateway = Program::start(fresh_bot(), "redis://127.0.0.1:1").await;
    let mut busy = Connection::open(gateway.webhook).await.unwrap();
    let head = telegram_post("/webhook", "").replace("Content-Length: 0", "Content-Length: 9\r\nExpect: 100-continue");
    busy.send(head).await;
    assert_eq!(busy.answer().await.unwrap().status, 100, "the gateway waits for the body");

    gateway.terminate().await;
    let webhook = gateway.webhook;
    eventually("the first signal has been heard", async || {
        let answer = ask(webhook, telegram_post("/webhook", "{}")).await;
        answer.is_some_and(|answer| answer.body.contains("shutting down"))
    })
    .await;
    gateway.terminate().await;
    assert_eq!(gateway.exit_code().await, Some(128 + 15));
}
