//! One trace leads from the webhook to the call at Telegram, through a real collector; and a collector that is away or
//! hangs costs a counter and nothing else.

use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use loadtest::drive::Program;
use nezuko_ports::free_port;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use tokio::{net::TcpStream, process::Command};

use crate::{
    TURN,
    support::{Directory, SECRET, eventually, fresh_bot, receiver::Receiver, servers::with_servers, token},
    town::{OWNER, Town},
};

/// What the programs may take to end beside what they finish: the last telemetry, and a machine that does other things.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

const COLLECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/collector");

/// The collector, which passes on what it takes in. `None`, said aloud, where none is to be had; not so under `CI=true`.
async fn collector(dir: &Directory, to: &Receiver) -> Option<(Program, String)> {
    let fetched = Command::new(COLLECTOR).output().await.unwrap();
    if !fetched.status.success() {
        let why = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        println!("SKIPPED: no OpenTelemetry collector: {why}");
        return None;
    }
    let (grpc, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let pid_file = dir.path().join("collector.pid").display().to_string();
    let settings = [
        ("PATH", std::env::var("PATH").unwrap()),
        ("CARGO_TARGET_DIR", std::env::var("CARGO_TARGET_DIR").unwrap_or_default()),
        ("ROTEL_PID_FILE", pid_file),
        ("ROTEL_OTLP_GRPC_ENDPOINT", grpc),
        ("ROTEL_OTLP_HTTP_ENDPOINT", http.clone()),
        ("ROTEL_EXPORTER", "otlp".to_owned()),
        ("ROTEL_OTLP_EXPORTER_ENDPOINT", to.address()),
        ("ROTEL_OTLP_EXPORTER_PROTOCOL", "http".to_owned()),
        ("ROTEL_BATCH_TIMEOUT", "100ms".to_owned()),
    ];
    let settings = settings.into_iter().filter(|(_, value)| !value.is_empty());
    let start = dir.path().join("start-collector");
    std::fs::write(&start, format!("#!/bin/sh\nexec {COLLECTOR} start\n")).unwrap();
    std::fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let program = Program::start(Path::new(&start), "collector", dir.path(), settings).unwrap();
    eventually("the collector listens", async || TcpStream::connect(&http).await.is_ok()).await;
    Some((program, format!("http://{http}")))
}

/// The spans that have come in, each with the name of its program, by id.
fn spans(receiver: &Receiver) -> BTreeMap<Vec<u8>, (String, Span)> {
    let requests = receiver.bodies().into_iter().map(|body| {
        // The collector compresses what it passes on, whatever it is told.
        let mut unpacked = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut unpacked).unwrap();
        ExportTraceServiceRequest::decode(&unpacked[..]).unwrap()
    });
    let mut spans = BTreeMap::new();
    for of_program in requests.flat_map(|request| request.resource_spans) {
        let attributes = of_program.resource.unwrap().attributes;
        let name = attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
        let program = format!("{:?}", name.value.unwrap());
        for span in of_program.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.insert(span.span_id.clone(), (program.clone(), span));
        }
    }
    spans
}

/// What a span says of itself under this key.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first span that is as wanted and everything above it, from the root on; `None` while a part of it is not there yet.
fn way_to(is_wanted: impl Fn(&Span) -> bool, spans: &BTreeMap<Vec<u8>, (String, Span)>) -> Option<Vec<(String, Span)>> {
    let mut way: Vec<(String, Span)> = vec![spans.values().find(|(_, span)| is_wanted(span))?.clone()];
    while let Some((_, span)) = way.last().filter(|(_, span)| !span.parent_span_id.is_empty()) {
        way.push(spans.get(&span.parent_span_id)?.clone());
    }
    way.reverse();
    Some(way)
}

/// A call by which somebody was muted.
fn is_mute(span: &Span) -> bool {
    span.name == "restrictChatMember" && attribute(span, "http.response.status_code").as_deref() == Some("200")
}

/// What came of the update that this trace is of, in the worker that took it in: its number and its kind.
fn update_of(trace_id: &[u8], spans: &BTreeMap<Vec<u8>, (String, Span)>) -> Option<(i64, String)> {
    let is_taking_in = |span: &&Span| span.trace_id == trace_id && span.name == "process updates";
    let span = spans.values().map(|(_, span)| span).find(is_taking_in)?;
    Some((attribute(span, "nezuko.update_id")?.parse().ok()?, attribute(span, "nezuko.update.kind")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_webhook_through_the_queue_to_the_call_at_telegram() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let (dir, receiver) = (Directory::new(), Receiver::start().await);
        let Some((collector, endpoint)) = collector(&dir, &receiver).await else { return };
        let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned())];
        let town = Town::begin(servers, bot, &all).await;
        town.ann_is_muted().await;
        let complete = async || way_to(is_mute, &spans(&receiver)).is_some();
        eventually("the whole trace is with the collector", complete).await;

        let way = way_to(is_mute, &spans(&receiver)).unwrap();
        let names: Vec<&str> = way.iter().map(|(_, span)| span.name.as_str()).collect();
        let kinds: Vec<SpanKind> = way.iter().map(|(_, span)| span.kind()).collect();
        assert_eq!((names[0], kinds[0]), ("POST /webhook/{bot}", SpanKind::Server));
        assert_eq!((names[1], kinds[1]), ("process updates", SpanKind::Consumer));
        assert_eq!((names[2], kinds[2]), ("transaction", SpanKind::Client));
        let last = names.len() - 1;
        assert_eq!((names[last - 1], kinds[last]), ("carry out member", SpanKind::Client), "{names:?}");
        assert!(way.iter().all(|(_, span)| span.trace_id == way[0].1.trace_id), "{names:?}");
        assert!(way[0].0.contains("nezuko-gateway") && way[1..].iter().all(|(of, _)| of.contains("nezuko-worker")));

        for (span, key, value) in [
            (&way[0].1, "http.request.method", "POST"),
            (&way[0].1, "http.response.status_code", "200"),
            (&way[0].1, "http.route", "/webhook/{bot}"),
            (&way[0].1, "url.path", &format!("/webhook/{bot}")),
            (&way[0].1, "url.scheme", "http"),
            (&way[1].1, "messaging.operation.type", "process"),
            (&way[1].1, "messaging.destination.name", "updates"),
            (&way[2].1, "db.system.name", "postgresql"),
            (&way[last].1, "http.request.method", "POST"),
            (&way[last].1, "http.response.status_code", "200"),
            (&way[last].1, "server.address", "127.0.0.1"),
        ] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} of {}: {span:?}", span.name);
        }
        assert_eq!(attribute(&way[last].1, "url.full"), None, "it holds the token");
        what_is_asked_of_redis_is_part_of_it(&way, &spans(&receiver));
        town.say(OWNER, "Good morning");
        let is_cache = |span: &Span| span.name == "MGET";
        let complete = async || way_to(is_cache, &spans(&receiver)).is_some();
        eventually("a question to the cache is with the collector", complete).await;
        let way_to_cache = way_to(is_cache, &spans(&receiver)).unwrap();
        assert_eq!(way_to_cache[way_to_cache.len() - 2].1.name, "process updates");

        assert_eq!(town.gateway.metric("nezuko_telemetry_dropped_total").await, 0);
        assert_eq!(town.worker.metric("nezuko_telemetry_dropped_total").await, 0);
        town.gateway.stop().await;
        town.worker.stop().await;
        collector.kill().await.unwrap();
        // What programs send as their last included, nobody learns a token or a secret.
        for (_, span) in spans(&receiver).into_values() {
            let text = format!("{span:?}");
            assert!(!text.contains(&token(bot)) && !text.contains(SECRET), "{text}");
        }
    })
    .await;
}

/// Storing the update, and asking for leave to call Telegram.
fn what_is_asked_of_redis_is_part_of_it(way: &[(String, Span)], spans: &BTreeMap<Vec<u8>, (String, Span)>) {
    for (whole, name, operation) in
        [("POST /webhook/{bot}", "XADD", "XADD"), ("carry out member", "EVALSHA grant", "EVALSHA")]
    {
        let (_, whole) = way.iter().find(|(_, span)| span.name == whole).unwrap();
        let is_part = |(_, span): &&(String, Span)| span.parent_span_id == whole.span_id && span.name == name;
        let (_, part) =
            spans.values().find(is_part).unwrap_or_else(|| panic!("no {name} in {}: {spans:#?}", whole.name));
        assert_eq!(part.kind(), SpanKind::Client);
        assert_eq!(attribute(part, "db.system.name").as_deref(), Some("redis"));
        assert_eq!(attribute(part, "db.operation.name").as_deref(), Some(operation));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_two_updates_led_to_is_of_the_newer_one_s_trace_and_linked_to_the_older_one_s() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let (dir, receiver) = (Directory::new(), Receiver::start().await);
        let Some((_collector, endpoint)) = collector(&dir, &receiver).await else { return };
        let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned())];
        let town = Town::begin(servers, bot, &all).await;
        town.ann_writes_before_she_is_muted().await;
        let linked = |spans: &BTreeMap<_, _>| {
            let way = way_to(is_mute, spans)?;
            let (_, carrying_out) = &way[way.len() - 2];
            let links: Option<Vec<_>> =
                carrying_out.links.iter().map(|link| update_of(&link.trace_id, spans)).collect();
            Some((carrying_out.name.clone(), update_of(&carrying_out.trace_id, spans)?, links?))
        };
        eventually("all traces are with the collector", async || linked(&spans(&receiver)).is_some()).await;

        let all = spans(&receiver);
        assert_eq!(all.values().filter(|(_, span)| is_mute(span)).count(), 1, "one call for both");
        let (carrying_out, (newest, kind), links) = linked(&all).unwrap();
        assert_eq!((carrying_out.as_str(), kind.as_str()), ("carry out member", "message"));
        assert!(links.iter().all(|(older, _)| *older < newest), "{newest}: {links:?}");
        assert!(links.iter().any(|(_, kind)| kind == "chat_member"), "her coming in is linked: {links:?}");
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}

/// A day without a collector: people are guarded as ever, what cannot be sent is counted, and the end comes in time.
async fn goes_on_without(endpoint: String) {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned())];
        let town = Town::begin(servers, bot, &all).await;
        town.ann_is_muted().await;
        eventually("what cannot be sent is counted", async || {
            town.gateway.metric("nezuko_telemetry_dropped_total").await > 0
                && town.worker.metric("nezuko_telemetry_dropped_total").await > 0
        })
        .await;
        let began = Instant::now();
        town.gateway.stop().await;
        town.worker.stop().await;
        assert!(began.elapsed() < 2 * ENDS_WITHIN, "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_a_counter() {
    let _turn = TURN.lock().await;
    goes_on_without(format!("http://127.0.0.1:{}", free_port())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_costs_a_counter() {
    let _turn = TURN.lock().await;
    let hanging = Receiver::hanging().await;
    goes_on_without(hanging.address()).await;
    assert!(!hanging.bodies().is_empty(), "it was asked");
}
