//! The operations port: what is logged changes while the programs run, how much waits is one number, and every metric of the
//! documentation is shown, and no other.

use std::collections::BTreeSet;

use loadtest::drive::page;
use serde_json::Value;

use crate::{
    TURN,
    support::{Directory, Running, eventually, fresh_bot, servers::with_servers, settings},
    town::Town,
};

async fn ask(program: &Running, path: &str) -> (u16, String) {
    page(&format!("http://127.0.0.1:{}{path}", program.ops_port)).await.unwrap()
}

async fn log_by(program: &Running, filter: &str) -> (u16, String) {
    let address = format!("http://127.0.0.1:{}/log-level", program.ops_port);
    let answer = reqwest::Client::new().put(address).body(filter.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The lines of a program's log as objects.
fn lines(town: &Town, program: &str) -> Vec<Value> {
    let (_, log) = town.dir.logs().into_iter().find(|(name, _)| name.ends_with(&format!("{program}.log"))).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn trace_of(lines: &[Value], message: &str) -> Option<String> {
    let line = lines.iter().rev().find(|line| line["message"] == message)?;
    Some(line["trace_id"].as_str().unwrap_or_else(|| panic!("no trace_id in {line}")).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_changes_while_the_programs_run() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let town = Town::begin(servers, bot, &[]).await;
        assert_eq!(ask(&town.gateway, "/log-level").await, (200, "info\n".to_owned()));
        assert!(trace_of(&lines(&town, "gateway"), "stored").is_none());
        for slip in ["inof", "", "nezuko_worker"] {
            let (status, answer) = log_by(&town.gateway, slip).await;
            assert!(status == 400 && answer.starts_with("must be error, warn, info"), "{slip}: {status} {answer}");
        }
        assert_eq!(ask(&town.gateway, "/log-level").await.1, "info\n", "a slip changes nothing");
        let too_long = log_by(&town.gateway, &"a=info,".repeat(1_000)).await;
        assert_eq!(too_long.0, 413, "{}", too_long.1);

        let (status, filter) = log_by(&town.gateway, "nezuko_gateway=debug,warn\n").await;
        assert_eq!(status, 200);
        assert!(filter.contains("nezuko_gateway=debug") && filter.contains("warn"), "{filter}");
        town.ann_is_muted().await;
        let stored = async || trace_of(&lines(&town, "gateway"), "stored").is_some();
        eventually("the gateway logs what it stores", stored).await;
        // The correlation id leads from the gateway's line to the worker's.
        eventually("the mute is logged", async || trace_of(&lines(&town, "worker"), "restriction changed").is_some())
            .await;
        let muted = trace_of(&lines(&town, "worker"), "restriction changed").unwrap();
        assert!(lines(&town, "gateway").iter().any(|line| line["message"] == "stored" && line["trace_id"] == *muted));
        // So it does to what is far away from whoever knows it.
        assert_eq!(log_by(&town.worker, "nezuko_worker=debug").await.0, 200);
        town.telegram_fails_once().await;
        assert!(trace_of(&lines(&town, "worker"), "call failed").is_some());
        for program in ["gateway", "worker"] {
            for line in lines(&town, program) {
                let Some(trace_id) = line.get("trace_id") else { continue };
                let is_one =
                    trace_id.as_str().is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
                assert!(is_one, "{line}");
            }
        }
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_waits_is_one_number_of_the_worker() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let town = Town::begin(servers, bot, &[]).await;
        let scaling = async || serde_json::from_str::<Value>(&ask(&town.worker, "/scaling").await.1).unwrap();
        let nothing = serde_json::json!({"backlog": 0, "unread": 0, "pending": 0, "oldest_seconds": 0.0});
        eventually("nothing waits", async || scaling().await == nothing).await;
        assert_eq!(ask(&town.gateway, "/scaling").await.0, 404, "a gateway is not scaled by it");
        // Taken out of the worker's hands, an entry stays pending with somebody who never comes back.
        let entry = town.servers.stream.push_to_nobody().await;
        let waiting = scaling().await;
        assert_eq!(waiting["backlog"].as_u64().unwrap(), waiting["pending"].as_u64().unwrap(), "{waiting}");
        assert!(waiting["backlog"] == 1 && waiting["oldest_seconds"].as_f64().unwrap() >= 0.0, "{waiting}");
        town.servers.stream.take_out(&entry).await;
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}

/// Of the lines of a metrics page, the names that documentation gives the metrics: those of samples, without what a histogram
/// adds.
fn shown(page: &str) -> BTreeSet<String> {
    let histograms: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")).collect();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    let of_histogram = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        base.filter(|base| histograms.contains(base)).map(str::to_owned)
    };
    names.map(|name| of_histogram(name).unwrap_or_else(|| name.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_shown_and_no_other() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let documented: BTreeSet<String> =
        documented.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect();
    assert!(documented.len() > 50, "{documented:?}");
    with_servers(bot, async move |servers| {
        let nobody = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned())];
        let town = Town::begin(servers, bot, &nobody).await;
        town.ann_is_muted().await;
        town.ann_presses().await;
        town.telegram_fails_once().await;
        let (mut missing, mut undocumented) = (documented.clone(), BTreeSet::new());
        eventually("every metric is shown", async || {
            for program in [&town.gateway, &town.worker] {
                let shown = shown(&ask(program, "/metrics").await.1);
                undocumented.extend(shown.difference(&documented).cloned());
                missing = missing.difference(&shown).cloned().collect();
            }
            println!("not shown yet: {missing:?}");
            missing.is_empty()
        })
        .await;
        assert!(undocumented.is_empty(), "{undocumented:?}");
        // Whether a server answers is left out of programs that do not use it.
        assert!(!ask(&town.gateway, "/metrics").await.1.contains("bot_db_connected{"));
        assert!(ask(&town.worker, "/metrics").await.1.contains(&format!("bot_redis_connected{{bot_id=\"{bot}\"}} 1")));
        let (dir, alone) = (Directory::new(), fresh_bot());
        let settings = settings(alone, &town.telegram.api_url(), &dir.sqlite_url());
        let alone = Running::start("nezuko", "nezuko", &dir, &settings).await;
        assert!(!ask(&alone, "/metrics").await.1.contains("bot_redis_connected{"));
        alone.stop().await;
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}
