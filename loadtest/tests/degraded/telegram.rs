//! The Bot API away: facts go on being taken in, and what is to be done waits. (A pause that it asks for: `tests/floods.rs`.)

use std::time::Duration;

use loadtest::simulator::{Fault, FaultKind};

use crate::{
    support::{fresh_bot, servers::with_servers},
    town::{Servers, Town},
};

async fn with_town(test: impl AsyncFnOnce(&mut Town)) {
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let (redis, database) = (servers.redis_url, servers.database_url);
        let mut town = Town::new(bot, Servers { redis, database, wait_replicas: false }).await;
        test(&mut town).await;
        town.ends().await;
    })
    .await;
}

async fn is_noticed(town: &Town) -> bool {
    town.worker_shows(&format!("nezuko_breaker_state{{bot_id=\"{}\",dependency=\"telegram\"}} 1", town.bot)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_is_away_and_comes_back() {
    with_town(async |town| {
        let there = town.telegram.api_url().trim_start_matches("http://").parse().unwrap();
        let nowhere = "127.0.0.1:1".parse().unwrap();
        let way = town.way.clone();
        town.outlives("Telegram away", async || way.lead_to(nowhere), is_noticed, async || way.lead_to(there)).await;
    })
    .await;
}

/// Runs a test in which every call meets this fault.
async fn meets(what: &str, kind: FaultKind, noticed: impl AsyncFn(&Town) -> bool) {
    with_town(async |town| {
        let telegram = town.telegram.clone();
        let fault = Fault { method: None, chat: None, every: 1, times: u32::MAX, kind };
        town.outlives(what, async || telegram.inject(fault), noticed, async || telegram.mend()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_answers_with_a_page_of_its_proxy() {
    meets("Telegram answers 502 in HTML", FaultKind::Page(502), is_noticed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_is_slow() {
    meets("Telegram slow, 2 s a call", FaultKind::Delay(Duration::from_secs(2)), async |_| true).await;
}
