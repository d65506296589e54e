//! An update that ends every process that takes it in: all others are taken in, whoever watches over the workers starts
//! them again, and the log says which it is.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nezuko_ports::free_port;
use nezuko_shared::{
    envelope::Envelope,
    queue::{Producer, redis::RedisProducer},
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, UpdateId};
use support::{Directory, Settings, eventually_within, fresh_bot, program, servers::with_servers, settings};
use tokio::process::Command;

/// The planted bug dies of it.
const KILLER: i64 = 7;
const UPDATES: i64 = 40;
const LIMIT: Duration = Duration::from_secs(180);

/// Somebody writes in a group that is not protected.
fn message(bot: BotId, number: i64) -> Envelope {
    let payload = format!(
        r#"{{"update_id":{number},"message":{{"message_id":1,"date":1,"chat":{{"id":-{number},"type":"supergroup","title":"g"}},
            "from":{{"id":{number},"is_bot":false,"first_name":"Ann"}},"text":"hello"}}}}"#
    );
    let (update_id, received_ms) = (UpdateId(number), support::play::now_ms());
    let traceparent = format!("00-{number:032x}-{number:016x}-01");
    Envelope { bot, update_id, routing_key: number, received_ms, traceparent, payload: payload.into() }
}

/// Runs a worker, and runs it again whenever it has died.
async fn keep_running(name: &str, dir: &Directory, settings: &Settings, deaths: &AtomicUsize) {
    loop {
        let life = deaths.load(Ordering::Relaxed);
        let log = File::create(dir.path().join(format!("{name}-{life}.log"))).unwrap();
        let mut worker = Command::new(program("nezuko-worker"));
        worker.env_clear().envs(settings.iter().map(|(name, value)| (name, value))).env("WORKER_NAME", name);
        worker.env("OPS_PORT", free_port().to_string()).env("PORT", free_port().to_string());
        let mut running = worker.stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true).spawn().unwrap();
        running.wait().await.unwrap();
        deaths.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_ends_every_process_takes_no_other_along() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let (dir, deaths) = (Directory::new(), Arc::new(AtomicUsize::new(0)));
        let mut settings = settings(bot, "http://127.0.0.1:9", &servers.database_url);
        settings.extend([
            ("REDIS_URL", servers.redis_url.clone()),
            ("RECLAIM_IDLE_MS", "500".to_owned()),
            ("NEZUKO_PLANTED_BUG", "die-of-updates".to_owned()),
        ]);
        let redis = Redis::new(&servers.redis_url).unwrap();
        let producer = RedisProducer::new(&redis);
        for number in 1..=UPDATES {
            producer.push(&message(BotId(bot.0), number)).await.unwrap();
        }
        let stream = &servers.stream;
        let test = async {
            eventually_within(LIMIT, "all others are taken in", async || stream.unfinished().await == 1).await;
            let named = |log: &str| {
                let last = log.lines().last().unwrap_or_default();
                last.contains("taken in alone is decoded") && last.contains(&format!("\"update_id\":{KILLER}"))
            };
            let logs = dir.logs();
            assert!(logs.iter().any(|(_, log)| named(log)), "no log ends with its name");

            // As docs/failure.md says.
            let left = stream.entries().await;
            stream.take_out(&left[0]).await;
            producer.push(&message(BotId(bot.0), UPDATES + 1)).await.unwrap();
            eventually_within(LIMIT, "the next is taken in", async || stream.unfinished().await == 0).await;
            assert_eq!(stream.dead_letters().await, 0, "something was given up");
        };
        let worker = |name| keep_running(name, &dir, &settings, &deaths);
        tokio::select! {
            () = test => {}
            () = worker("one") => {}
            () = worker("two") => {}
            () = worker("three") => {}
        }
        println!("{} processes died of it", deaths.load(Ordering::Relaxed));
    })
    .await;
}
