//! Whole runs: scenario, simulator, a bot over HTTP, and the oracle; and the programs that a run starts.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod fake_bot;

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use fake_bot::{Bug, FakeBot, http};
use loadtest::{
    drive::{PlayOptions, Program, Run},
    generate::{DayPlan, Scenario, day, stream},
    oracle::{Tolerance, Verdict},
    replay::{ReplayOptions, replay},
    simulator::{Options, Simulator},
    world::UserId,
};

const TOKEN: &str = "7000000001:x";
const BOT: UserId = UserId(7_000_000_001);

async fn run(bug: Bug) -> Verdict {
    let plan = DayPlan { groups: 5, talkers: 6, messages: 5, stories: 36, raiders: 40 };
    let scenario = day(7, plan, Scenario::demo_bot(BOT));
    let simulator =
        Simulator::start(scenario.world(0), Options { duplicate_one_in: 20, ..Options::new(TOKEN) }).await.unwrap();
    let address = http::serve(FakeBot::new(BOT.0, bug), &simulator.api_url(), TOKEN);
    simulator.deliver_to(&[&format!("http://{address}/webhook")], None);
    let options = PlayOptions {
        lasts: Duration::from_secs(8),
        patience: Duration::from_secs(2),
        quiet: Duration::from_millis(500),
        drain: Duration::from_secs(if bug == Bug::None { 10 } else { 1 }),
        tolerance: Tolerance { settle_ms: 1_500, crossing_ms: 500, ..Tolerance::default() },
    };
    let mut run = Run::new(scenario, simulator, options);
    let mut told = 0;
    run.play(|progress| {
        told += 1;
        assert!(progress.acted <= progress.acts);
    })
    .await;
    assert!(told > 4, "progress is told");
    assert!(run.drain(|_| ()).await, "the bot comes to rest");
    let verdict = run.verdict();
    assert_eq!(run.simulator().counters().dropped, 0);
    run.stop().await;
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_bot_behind_http_is_accepted() {
    let verdict = run(Bug::None).await;
    assert!(verdict.is_clean() && verdict.unexercised().is_empty(), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_behind_http_that_drops_updates_is_caught() {
    let verdict = run(Bug::DropsOneIn(20)).await;
    // Which ones are dropped depends on the order in which they come.
    assert!(verdict.lost > 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_replayed_over_several_connections_with_fresh_numbers() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<i64, String>::new()));
    let notes = std::sync::Arc::clone(&seen);
    let address = http::webhook(move |request| {
        let update: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let id = update["update_id"].as_i64().unwrap();
        assert!(notes.lock().unwrap().insert(id, request.body.clone()).is_none(), "{id} came twice");
        http::OK.to_owned()
    });
    let updates = stream(1, 6_000, &Scenario::demo_bot(BOT), 1_700_000_000_000);
    assert_eq!(updates.len(), 6_000, "as many as asked for, over several days");
    let kinds: std::collections::BTreeSet<_> = updates.iter().map(|update| update.kind).collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["callback_query", "channel_post", "chat_member", "message", "my_chat_member"]
    );
    assert!(updates.iter().all(|update| !update.body.contains('\n')), "one line each");
    let options = ReplayOptions {
        url: format!("http://{address}/webhook").parse().unwrap(),
        secret: None,
        rate: None,
        connections: 8,
        fresh_ids_from: Some(1),
    };
    let report = replay(updates.into_iter().map(|update| update.body), &options).await;
    assert_eq!(report.statuses, BTreeMap::from([(200, 6_000)]), "{report}");
    assert_eq!(seen.lock().unwrap().keys().copied().collect::<Vec<_>>(), (1..=6_000).collect::<Vec<_>>());
}

fn script(name: &str, text: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("nezuko-loadtest-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("program");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_program_has_a_clean_environment_and_stops_when_asked() {
    let path = script("clean", "#!/bin/sh\ntrap 'exit 7' TERM\n/usr/bin/env\nwhile :; do /bin/sleep 0.01; done\n");
    let dir = path.parent().unwrap();
    let program = Program::start(&path, "it", dir, [("ONLY", "this")]).unwrap();
    let log = program.log().to_owned();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !std::fs::read_to_string(&log).unwrap().contains("ONLY=this") {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(!std::fs::read_to_string(&log).unwrap().contains("CARGO"), "nothing of ours");
    let status = program.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_program_that_ends_before_it_is_ready_is_told_at_once() {
    let path = script("ends", "#!/bin/sh\nexit 64\n");
    let dir = path.parent().unwrap();
    let mut program = Program::start(&path, "it", dir, [("A", "b")]).unwrap();
    let error = program.wait_until_ready("http://127.0.0.1:1/ready", Duration::from_secs(30)).await.unwrap_err();
    assert!(error.to_string().contains("exit status: 64"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}
