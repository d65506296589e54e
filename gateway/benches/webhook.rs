//! The gateway beside a bare axum handler and one that only adds to the stream, and with 1 % of its traces recorded beside
//! none, in one run: processor time of each server and of Redis for an update, at saturation over 64 connections. Run by
//! `make bench`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    env,
    hint::black_box,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use loadtest::drive::{Program, page};
use nezuko_shared::telemetry::metrics::{Metrics, WebhookOutcome};
use nezuko_telegram::BotId;
use redis::aio::MultiplexedConnection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ROUNDS: usize = 15;
/// What a gateway with metrics and 1 % of its traces may cost at most, where one without costs 1.
const TELEMETRY: f64 = 1.10;
const UPDATES: usize = 60_000;
const CONNECTIONS: usize = 64;
const SECRET: &str = "bench-secret-0123456789";
const BOT: i64 = 7_000_000_003;
const STREAM: &str = "nezuko:{7000000003.0}:updates";
const PORT: &str = "NEZUKO_BENCH_PORT";
const SERVERS: [(Server, &str); 4] = [
    (Server::Bare, "bare axum"),
    (Server::Adding, "axum + XADD"),
    (Server::Gateway, "nezuko-gateway"),
    (Server::Traced, "  with 1 % traces"),
];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Reads the body, looks at the secret, answers 200.
    Bare,
    /// Also adds to a stream, over one multiplexed connection.
    Adding,
    /// The program.
    Gateway,
    /// The program that records one trace in a hundred and sends it to a collector.
    Traced,
}

/// What an update costs, µs of processor time.
#[derive(Clone, Copy, Debug)]
struct Cost {
    server: f64,
    redis: f64,
    a_second: f64,
}

fn main() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match env::var(PORT) {
        Ok(port) => runtime().block_on(serve(port.parse().unwrap(), env::var("REDIS_URL").ok())),
        // `cargo test` runs benches as well, to see that they are sound; this one takes minutes.
        Err(_) if env::args().any(|argument| argument == "--bench") => runtime().block_on(measure()),
        Err(_) => {}
    }
}

fn secret_is_right(headers: &HeaderMap) -> bool {
    headers.get("x-telegram-bot-api-secret-token").is_some_and(|given| given == SECRET)
}

/// The servers to compare with.
async fn serve(port: u16, redis_url: Option<String>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let router = match redis_url {
        None => Router::new().route("/{*path}", post(bare)),
        Some(url) => {
            let client = redis::Client::open(url).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            Router::new().route("/{*path}", post(adding)).with_state(connection)
        }
    };
    axum::serve(listener, router.route("/ready", axum::routing::get(|| async { "ready" }))).await.unwrap();
}

async fn bare(headers: HeaderMap, body: Bytes) -> StatusCode {
    if secret_is_right(&headers) && !body.is_empty() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

async fn adding(State(mut redis): State<MultiplexedConnection>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !secret_is_right(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg("*").arg("payload").arg(&body[..]);
    match add.query_async::<String>(&mut redis).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn measure() {
    let Ok(redis_url) = env::var("REDIS_URL") else {
        eprintln!("REDIS_URL is not set; run this by `make bench`");
        std::process::exit(64);
    };
    let dir = env::temp_dir().join(format!("nezuko-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let client = redis::Client::open(redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let collector = collector().await;
    let mut costs = [const { Vec::new() }; SERVERS.len()];
    let mut memory = [0.0; SERVERS.len()];
    for round in 1..=ROUNDS {
        for (place, (server, _)) in SERVERS.into_iter().enumerate() {
            let (program, address) = start(server, &redis_url, &collector.address, &dir).await;
            drive(address, UPDATES / 10).await; // Caches, connections and branch predictors are warm then.
            redis::cmd("DEL").arg(STREAM).query_async::<()>(&mut redis).await.unwrap();
            let (before, redis_before, began) = (program.cpu_time(), redis_cpu(&mut redis).await, Instant::now());
            drive(address, UPDATES).await;
            let took = began.elapsed();
            let per_update = |time: Duration| time.as_secs_f64() * 1e6 / UPDATES as f64;
            let cost = Cost {
                server: per_update(program.cpu_time() - before),
                redis: per_update(redis_cpu(&mut redis).await.saturating_sub(redis_before)),
                a_second: UPDATES as f64 / took.as_secs_f64(),
            };
            if server != Server::Bare {
                let stored: usize = redis::cmd("XLEN").arg(STREAM).query_async(&mut redis).await.unwrap();
                assert_eq!(stored, UPDATES, "{server:?} stores every update");
            }
            redis::cmd("DEL").arg(STREAM).query_async::<()>(&mut redis).await.unwrap();
            println!(
                "round {round} {server:?}: {:.1} µs, Redis {:.1} µs, {:.0}/s",
                cost.server, cost.redis, cost.a_second
            );
            memory[place] = program.anonymous_memory().unwrap_or(0) as f64 / 1e6;
            costs[place].push(cost);
            program.kill().await.unwrap();
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(collector.batches.load(Ordering::Relaxed) > 0, "traces have been recorded");
    let median = |place: usize, of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs[place].iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!("\n{UPDATES} updates of {} bytes over {CONNECTIONS} connections, medians of {ROUNDS}", update(1).len());
    println!("{:<22}{:>10}{:>10}{:>10}{:>8}", "", "server µs", "Redis µs", "updates/s", "MB");
    for (place, (_, name)) in SERVERS.into_iter().enumerate() {
        println!(
            "{name:<22}{:>10.1}{:>10.1}{:>10.0}{:>8.1}",
            median(place, |cost| cost.server),
            median(place, |cost| cost.redis),
            median(place, |cost| cost.a_second),
            memory[place]
        );
    }
    let ratio = |of: usize, to: usize| median(of, |cost| cost.server) / median(to, |cost| cost.server);
    println!("gateway = {:.2} × bare axum (at most 2.0), {:.2} × axum + XADD (at most 1.4)", ratio(2, 0), ratio(2, 1));
    // Each round by itself: what else the machine does changes from one to the next.
    let counting = counting();
    let mut telemetry: Vec<f64> =
        costs[3].iter().zip(&costs[2]).map(|(all, counted)| all.server / (counted.server - counting)).collect();
    telemetry.sort_by(f64::total_cmp);
    let telemetry = telemetry[ROUNDS / 2];
    println!(
        "metrics take {counting:.2} µs of it; with metrics and 1 % traces {telemetry:.2} × with none (at most {TELEMETRY})"
    );
    assert!(telemetry <= TELEMETRY, "metrics and traces cost too much");
}

/// What a gateway records about an update that it stores, µs.
fn counting() -> f64 {
    const TIMES: u32 = 1_000_000;
    let metrics = Metrics::new(BotId(BOT), "");
    let began = Instant::now();
    for _ in 0..TIMES {
        metrics.webhook_answered(black_box(WebhookOutcome::Stored), black_box(Duration::from_micros(700)));
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// Takes traces in, in this process, whose processor time is not counted.
struct Collector {
    address: String,
    batches: Arc<AtomicUsize>,
}

async fn collector() -> Collector {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let batches = Arc::<AtomicUsize>::default();
    let counted = batches.clone();
    let take = post(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/traces", take)).await });
    Collector { address, batches }
}

async fn start(server: Server, redis_url: &str, collector: &str, dir: &Path) -> (Program, SocketAddr) {
    let (port, ops_port) = (nezuko_ports::free_port(), nezuko_ports::free_port());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let own = env::current_exe().unwrap();
    let mut settings = vec![(PORT, port.to_string())];
    let (path, ready) = match server {
        Server::Bare => (own.as_path(), format!("http://{address}/ready")),
        Server::Adding => {
            settings.push(("REDIS_URL", redis_url.to_owned()));
            (own.as_path(), format!("http://{address}/ready"))
        }
        Server::Gateway | Server::Traced => {
            settings = vec![
                ("BOT_TOKEN", format!("{BOT}:bench-token-that-opens-nothing")),
                ("WEBHOOK_SECRET", SECRET.to_owned()),
                ("REDIS_URL", redis_url.to_owned()),
                ("TELEGRAM_API_URL", "http://127.0.0.1:1".to_owned()),
                ("BIND", "127.0.0.1".to_owned()),
                ("PORT", port.to_string()),
                ("OPS_PORT", ops_port.to_string()),
                ("MAX_BACKLOG", u64::MAX.to_string()),
            ];
            if server == Server::Traced {
                settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.to_owned()));
                settings.push(("OTEL_TRACES_SAMPLER_ARG", "0.01".to_owned()));
            }
            (Path::new(env!("CARGO_BIN_EXE_nezuko-gateway")), format!("http://127.0.0.1:{ops_port}/ready"))
        }
    };
    let program = Program::start(path, "server", dir, settings).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !matches!(page(&ready).await, Ok((200, _))) {
        assert!(Instant::now() < deadline, "{server:?} is not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (program, address)
}

/// What Redis has used so far.
async fn redis_cpu(redis: &mut MultiplexedConnection) -> Duration {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(redis).await.unwrap();
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.trim().parse::<f64>().ok()).unwrap()
    };
    Duration::from_secs_f64(field("used_cpu_sys:") + field("used_cpu_user:"))
}

/// A message of usual length, 947 bytes.
fn update(id: usize) -> String {
    let text = "x".repeat(560);
    let head = format!("{{\"update_id\":{:09},\n\"message\":", 100_000_000 + id);
    let message = format!(
        r#"{{"message_id":123456,"from":{{"id":5000000{:03},"is_bot":false,"first_name":"Somebody","username":"somebody_{:03}","language_code":"en"}},"chat":{{"id":-1001234567890,"title":"A group with a name","username":"a_group_with_a_name","type":"supergroup"}},"date":1700000000,"text":"{text}"}}}}"#,
        id % 1000,
        id % 1000
    );
    let update = head + &message;
    let missing = 947_usize.saturating_sub(update.len());
    update.replacen("xxxx", &"x".repeat(missing + 4), 1)
}

/// Posts so many updates over all connections, each as soon as the one before is answered.
async fn drive(address: SocketAddr, updates: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let connections = (0..CONNECTIONS).map(|_| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut answer = vec![0; 1024];
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= updates {
                    return;
                }
                let body = update(id);
                let request = format!(
                    "POST /webhook/{BOT} HTTP/1.1\r\nHost: bot.example.org\r\n\
                     X-Telegram-Bot-Api-Secret-Token: {SECRET}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\nConnection: keep-alive\r\nAccept-Encoding: gzip, deflate\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut read = 0;
                while !answer[..read].ends_with(b"\r\n\r\n") {
                    read += stream.read(&mut answer[read..]).await.unwrap();
                }
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            }
        })
    });
    for connection in connections.collect::<Vec<_>>() {
        connection.await.unwrap();
    }
}
