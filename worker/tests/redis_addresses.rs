//! What operators type where Redis stands behind Sentinels or is a cluster, with the documented rights of a worker.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nezuko_shared::conformance::redis_servers::RedisServers;
use tokio::process::Command;

/// Runs the program; neither database nor Telegram are there.
async fn asked(servers: &RedisServers, arguments: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"))
        .args(arguments)
        .env_clear()
        .envs([
            ("BOT_TOKEN", "42:token-that-opens-nothing"),
            ("REDIS_URL", servers.worker.as_str()),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/unused"),
            ("TELEGRAM_API_URL", "http://127.0.0.1:1"),
        ])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), program).await.expect("it ends by itself").unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let password = servers.worker.split([':', '@']).nth(2).unwrap();
    assert!(!text.contains(password), "a secret is told: {text}");
    text
}

#[tokio::test]
async fn the_doctor_looks_at_the_master_that_the_sentinels_name() {
    let Some(servers) = RedisServers::behind_sentinels().await else { return };
    let text = asked(&servers, &["doctor"]).await;
    assert!(text.contains("ok      Redis: version ") && text.contains("ok      Redis eviction: noeviction"), "{text}");
    assert!(!text.contains("BROKEN  Redis"), "{text}");
    assert_eq!(asked(&servers, &["dlq", "list"]).await, "none\n");
}

#[tokio::test]
async fn the_doctor_looks_at_every_primary_of_a_cluster() {
    let Some(servers) = RedisServers::cluster().await else { return };
    let evicting = redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg("allkeys-lru").to_owned();
    let (primaries, replicas) = servers.nodes.split_at(servers.nodes.len() / 2);
    servers.tell::<()>(primaries[1], &evicting).await.unwrap();
    let text = asked(&servers, &["doctor"]).await;
    for (i, port) in primaries.iter().enumerate() {
        assert!(text.contains(&format!("ok      Redis 127.0.0.1:{port}: version ")), "{text}");
        let evicts = text.contains(&format!("BROKEN  Redis 127.0.0.1:{port} eviction: maxmemory-policy is"));
        assert_eq!(evicts, i == 1, "{text}");
    }
    assert!(!replicas.iter().any(|port| text.contains(&format!(":{port}"))), "{text}");
    assert_eq!(asked(&servers, &["dlq", "list"]).await, "none\n");
}
