//! The operations port: what is logged changes while the programs run, how much waits is one number, and every metric of the
//! documentation is shown and counts something, and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use loadtest::{
    drive::page,
    simulator::{Fault, FaultKind},
    world::{Act, Rights, UserId},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    TURN,
    support::{
        Directory, Running, SECRET, eventually, eventually_within, fresh_bot, play::now_ms, servers::with_servers,
        settings,
    },
    town::{ANN, GROUP, NEWS, OWNER, Town},
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
pub(crate) fn lines(town: &Town, program: &str) -> Vec<Value> {
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

/// What is zero in this run, and why that is well.
const QUIET: [(&str, &str); 8] = [
    ("nezuko_webhook_pending_updates", "nothing waits at the simulated Telegram when the gateway looks, at its start"),
    ("nezuko_webhook_last_error_timestamp_seconds", "nor has it failed to deliver anything"),
    ("nezuko_outages_total", "a silence takes a day"),
    ("nezuko_removals_total", "who waits is removed after minutes at the least"),
    ("nezuko_press_to_free_seconds", "whoever joins the channel is freed by that, before they can press"),
    ("nezuko_limiter_late_grants_total", "Redis would have to stutter under all tests that share it"),
    ("bot_rate_limit_queue_size", "calls ask for leave for milliseconds"),
    ("nezuko_clock_skew_seconds", "the simulated Telegram has the clock of this machine"),
];

/// The metrics of the documentation, each with the programs of the fleet that show it.
fn documented() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`');
        Some((name.to_owned(), cells.nth(2)?.to_owned()))
    });
    let documented: BTreeMap<_, _> = rows.collect();
    assert!(documented.len() > 50, "{documented:?}");
    for (name, _) in QUIET {
        assert!(documented.contains_key(name), "there is no {name} to be quiet");
    }
    documented
}

/// What the pages of a fleet's programs have shown so far.
#[derive(Default)]
struct Seen {
    /// Metrics by the kind of program that showed them.
    shown: BTreeMap<&'static str, BTreeSet<String>>,
    /// Those of which a sample was not zero; of a histogram the count.
    counted: BTreeSet<String>,
}

impl Seen {
    async fn look(&mut self, kind: &'static str, program: &Running) {
        let page = ask(program, "/metrics").await.1;
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let histograms: BTreeSet<&str> = types.filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name).collect();
        let shown = self.shown.entry(kind).or_default();
        for sample in page.lines().filter(|line| !line.starts_with('#')) {
            let name = sample.split(['{', ' ']).next().unwrap();
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| Some((name.strip_suffix(part)?, *part)));
            let (name, part) = part.filter(|(name, _)| histograms.contains(name)).unwrap_or((name, ""));
            shown.insert(name.to_owned());
            let value: f64 = sample.split_whitespace().last().unwrap().parse().unwrap();
            if value != 0.0 && ["", "_count"].contains(&part) {
                self.counted.insert(name.to_owned());
            }
        }
    }

    /// Looks at gateway and worker until these are not zero or have not been.
    async fn until(&mut self, town: &Town, names: &[&str]) {
        eventually(&format!("{names:?} are seen"), async || {
            self.look("gateway", &town.gateway).await;
            self.look("worker", &town.worker).await;
            let missing: Vec<_> = names.iter().filter(|name| !self.counted.contains(**name)).collect();
            println!("not seen yet: {missing:?}");
            missing.is_empty()
        })
        .await;
    }
}

/// A request that Telegram begins and does not end.
async fn begin_a_request(gateway: &Running) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: nezuko\r\nX-Telegram-Bot-Api-Secret-Token: {SECRET}\r\nContent-Length: 10\r\n\r\n{{"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// What makes every metric count that can be had within a minute.
async fn everything_happens(town: &Town, bot: UserId, seen: &mut Seen) {
    let unended = begin_a_request(&town.gateway).await;
    town.servers.stream.push_to_nobody().await;
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    seen.until(town, &["nezuko_join_requests_total"]).await;
    town.ann_writes_before_she_is_muted().await;
    town.ann_presses().await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.telegram_fails_once().await;
    for _ in 0..4 {
        town.say(OWNER, "/status");
        town.say(OWNER, "Good morning");
    }
    let stranger = format!(
        r#"{{"update_id":97,"message":{{"message_id":9000,"date":{},"text":"Hello","chat":{{"id":{GROUP},"type":"supergroup","title":"Group"}},"from":{{"id":7000000012,"is_bot":false,"first_name":"Sid"}}}}}}"#,
        now_ms() / 1000
    );
    town.servers.stream.push(97, &stranger).await;
    town.servers.stream.push(97, &stranger).await;
    seen.until(town, &["bot_duplicate_updates_total", "nezuko_releases_total", "nezuko_updates_reclaimed_total"]).await;
    drop(unended);

    town.worker.freeze();
    // The first one is for the read that waits at Redis, whoever is asleep.
    town.say(OWNER, "Is anybody there?");
    town.say(OWNER, "Hello?");
    eventually("the gateway sees an update that nobody has read", async || {
        seen.look("gateway", &town.gateway).await;
        seen.counted.contains("nezuko_queue_unread")
    })
    .await;
    town.worker.thaw();

    // For longer than from one look at the intents to the next.
    let kind = FaultKind::Delay(Duration::from_secs(12));
    town.telegram.inject(Fault { method: Some("sendMessage"), chat: None, every: 1, times: 1, kind });
    town.say(OWNER, "/status");
    seen.until(town, &["nezuko_intents_waiting", "nezuko_intents_oldest_age_seconds", "nezuko_intents_open"]).await;

    town.telegram.inject(Fault { method: None, chat: None, every: 1, times: u32::MAX, kind: FaultKind::Restart });
    for _ in 0..12 {
        town.say(OWNER, "/status");
    }
    seen.until(town, &["nezuko_breaker_state", "nezuko_breaker_refusals_total"]).await;
    town.telegram.mend();

    let rights = Rights { can_restrict_members: false, ..Rights::FULL };
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: bot, rights });
    town.servers.stream.forget_bot().await;
    seen.until(town, &["nezuko_queue_groups_lost_total"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_shown_by_whom_it_is_of_and_counts_something() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    let documented = documented();
    with_servers(bot, async move |servers| {
        let mut seen = Seen::default();
        let settings_of_both = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
            // An entry that is taken over has been seen to wait before.
            ("RECLAIM_IDLE_MS", "11000".to_owned()),
        ];
        let town = Town::begin(servers, bot, &settings_of_both).await;
        everything_happens(&town, bot, &mut seen).await;

        // It asks for updates, and Telegram does not know its token.
        let (dir, unknown) = (Directory::new(), fresh_bot());
        let mut settings = settings(unknown, &town.telegram.api_url(), &dir.sqlite_url());
        settings.push(("WEBHOOK_URL", String::new()));
        let alone = Running::start("nezuko", "nezuko", &dir, &settings).await;
        let all: BTreeSet<String> = documented.keys().cloned().collect();
        eventually_within(2 * Duration::from_mins(1), "every metric is shown and counts something", async || {
            seen.look("gateway", &town.gateway).await;
            seen.look("worker", &town.worker).await;
            seen.look("nezuko", &alone).await;
            let missing: Vec<_> = all.difference(&seen.shown.values().flatten().cloned().collect()).cloned().collect();
            let is_quiet = |name: &str| QUIET.iter().any(|(quiet, _)| *quiet == name);
            let zero: Vec<_> = all.difference(&seen.counted).filter(|name| !is_quiet(name)).collect();
            println!("not shown yet: {missing:?}, still zero: {zero:?}");
            missing.is_empty() && zero.is_empty()
        })
        .await;
        for (kind, shown) in &seen.shown {
            let is_its = |name: &String| documented.get(name).is_some_and(|of| *kind == "nezuko" || of.contains(kind));
            let wrong: Vec<_> = shown.iter().filter(|name| !is_its(name)).collect();
            assert!(wrong.is_empty(), "{kind} shows {wrong:?}");
        }
        // Whether a server answers is left out of programs that do not use it.
        assert!(!seen.shown["nezuko"].contains("bot_redis_connected"));
        assert!(ask(&town.worker, "/metrics").await.1.contains(&format!("bot_redis_connected{{bot_id=\"{bot}\"}} 1")));
        alone.stop().await;
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}
