//! A worker that starts while PostgreSQL is away tells so, and waits.
#![allow(clippy::unwrap_used)]

use std::{process::Stdio, time::Duration};

use loadtest::drive::page;
use nezuko_ports::free_port;
use tokio::{process::Command, time::timeout};

#[tokio::test]
async fn a_worker_that_waits_for_postgresql_lives_is_not_ready_and_shows_why() {
    let ops_port = free_port();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"))
        .env_clear()
        .envs([
            ("BOT_TOKEN", "42:token-that-opens-nothing"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/unused"),
            ("TELEGRAM_API_URL", "http://127.0.0.1:1"),
            ("BIND", "127.0.0.1"),
            ("OPS_PORT", &ops_port.to_string()),
        ])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ask = async |path| page(&format!("http://127.0.0.1:{ops_port}/{path}")).await;
    let status = async |path| ask(path).await.map(|(status, _)| status).unwrap_or_default();
    let open = "nezuko_breaker_state{bot_id=\"0\",dependency=\"postgresql\"} 1";
    let shows = async |line: &str| ask("metrics").await.is_ok_and(|(_, page)| page.lines().any(|shown| shown == line));
    let opened = async {
        while !shows(open).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), opened).await.expect("the breaker is shown to be open");
    assert!(shows("bot_db_connected{bot_id=\"42\"} 0").await);
    assert_eq!((status("live").await, status("ready").await), (200, 503));
    assert!(worker.try_wait().unwrap().is_none(), "it waits");
}
