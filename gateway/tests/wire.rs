//! The answers as Telegram gets them, byte for byte, from a gateway on a real socket over a queue in memory.
#![allow(clippy::unwrap_used)]

#[path = "support/client.rs"]
mod client;
#[path = "support/memory_queue.rs"]
mod memory_queue;

use std::{net::SocketAddr, sync::Arc};

use client::{Answer, Connection, PATIENCE, SECRET, ask, telegram_post};
use memory_queue::{MemoryQueue, Mode};
use nezuko_gateway::Gateway;
use nezuko_shared::{
    bot_api::BotApi,
    config::{Role, Settings},
    ops::Readiness,
    telemetry::metrics::Metrics,
};
use tokio::{net::TcpListener, sync::Barrier, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

const UPDATE: &str = "{\"update_id\":9,\n\"message\":{\"from\":{\"id\":5},\"chat\":{\"id\":-100}}}";

struct Running {
    address: SocketAddr,
    queue: Arc<MemoryQueue>,
    readiness: Readiness,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(|_| None).await
    }

    async fn start_with(extra: impl Fn(&str) -> Option<String>) -> Self {
        let settings = Settings::from_vars(Role::Gateway, |name| match name {
            "BOT_TOKEN" if extra("BOTS_FILE").is_none() => Some("42:abcdefghijklmnopqrstuvwxyz".into()),
            "WEBHOOK_SECRET" if extra("BOTS_FILE").is_none() => Some(SECRET.into()),
            "REDIS_URL" => Some("redis://127.0.0.1:1".into()),
            "TELEGRAM_API_URL" => Some("http://127.0.0.1:1".into()),
            other => extra(other),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let queue = Arc::new(MemoryQueue::default());
        let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
        let metrics = Metrics::new(settings.bots[0].id, "abc");
        let telegram = BotApi::new(&settings);
        let gateway = Gateway::new(&settings, &telegram, queue.clone(), &metrics, &readiness, None, shutdown.clone());
        let gateway = gateway.unwrap();
        let serving = tokio::spawn(gateway.serve(Some(listener)));
        Self { address, queue, readiness, shutdown, serving }
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        ask(self.address, request).await.unwrap()
    }

    async fn stopped(self) {
        timeout(PATIENCE, self.serving).await.expect("the gateway stops in time").unwrap();
    }
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
}

#[tokio::test]
async fn a_stored_update_is_answered_200_with_nothing_in_it() {
    let gateway = Running::start().await;
    for path in ["/webhook/42", "/webhook"] {
        let answer = gateway.ask(telegram_post(path, UPDATE)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-length"), Some("0"), "{answer:?}");
        assert_eq!(answer.header("content-type"), None, "{answer:?}");
    }
    let stored = gateway.queue.stored.lock().unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|envelope| envelope.payload == UPDATE));
}

#[tokio::test]
async fn unknown_bots_and_paths_are_404_whatever_else_is_wrong() {
    let gateway = Running::start().await;
    for path in ["/webhook/43", "/webhook/042", "/webhook/42/", "/webhook/", "/", "/metrics", "/webhook/42/x"] {
        assert_problem(&gateway.ask(telegram_post(path, UPDATE)).await, 404);
    }
    assert_problem(&gateway.ask("GET /webhook/43 HTTP/1.1\r\nHost: h\r\n\r\n").await, 404);
    assert!(gateway.queue.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_of_several_bots_has_its_own_path_and_secret() {
    let file = std::env::temp_dir().join(format!("nezuko-bots-{:016x}", rand::random::<u64>()));
    let bots = r#"[{"token": "42:abcdefghijklmnopqrstuvwxyz", "webhook_secret": "right-secret"},
                   {"token": "43:abcdefghijklmnopqrstuvwxyz", "webhook_secret": "other-secret"}]"#;
    std::fs::write(&file, bots).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let gateway = Running::start_with(|name| (name == "BOTS_FILE").then(|| path.clone())).await;
    std::fs::remove_file(&file).unwrap();

    for (path, secret, status) in [
        ("/webhook/42", "right-secret", 200),
        ("/webhook/43", "other-secret", 200),
        ("/webhook/42", "other-secret", 401),
        ("/webhook/43", "right-secret", 401),
        ("/webhook/44", "right-secret", 404),
        ("/webhook", "right-secret", 404),
    ] {
        let answer = gateway.ask(telegram_post(path, UPDATE).replace(SECRET, secret)).await;
        assert_eq!(answer.status, status, "{path} with {secret}");
    }
    let stored = gateway.queue.stored.lock().unwrap();
    assert_eq!(stored.iter().map(|envelope| envelope.bot.0).collect::<Vec<_>>(), [42, 43]);
}

#[tokio::test]
async fn other_methods_are_405_before_the_secret_is_looked_at() {
    let gateway = Running::start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = gateway.ask(format!("{method} /webhook/42 HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        assert_problem(&answer, 405);
        assert_eq!(answer.header("allow"), Some("POST"));
    }
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_401_before_the_body_is_read() {
    let gateway = Running::start().await;
    let wrong = [
        "",
        "X-Telegram-Bot-Api-Secret-Token: \r\n",
        "X-Telegram-Bot-Api-Secret-Token: right-secreT\r\n",
        "X-Telegram-Bot-Api-Secret-Token: right-secret-and-more\r\n",
        "X-Telegram-Bot-Api-Secret-Token: right\r\n",
    ];
    for header in wrong {
        // The announced body never comes, and is over the limit, too: the answer must wait for neither.
        let head = format!("POST /webhook/42 HTTP/1.1\r\nHost: h\r\n{header}Content-Length: 2000000\r\n\r\n");
        assert_problem(&gateway.ask(head).await, 401);
    }
}

#[tokio::test]
async fn after_a_change_both_secrets_are_accepted() {
    let gateway =
        Running::start_with(|name| (name == "WEBHOOK_SECRET_PREVIOUS").then(|| "old-secret".to_owned())).await;
    for (secret, status) in [(SECRET, 200), ("old-secret", 200), ("older-secret", 401)] {
        let request = telegram_post("/webhook", UPDATE).replace(SECRET, secret);
        assert_eq!(gateway.ask(request).await.status, status, "{secret}");
    }
}

#[tokio::test]
async fn more_than_one_mebibyte_is_413_announced_or_not() {
    let gateway = Running::start().await;
    let announced = telegram_post("/webhook", "").replace("Content-Length: 0", "Content-Length: 1048577");
    assert_problem(&gateway.ask(announced).await, 413);

    let mut chunked = telegram_post("/webhook", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    for _ in 0..16 {
        chunked += &format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    }
    // Exactly the limit so far; the next byte is over it, and the end never comes.
    assert_problem(&gateway.ask(chunked + "1\r\nx\r\n").await, 413);
}

#[tokio::test]
async fn a_failing_queue_is_503_with_retry_after_on_a_connection_that_stays_open() {
    let gateway = Running::start().await;
    gateway.queue.set_mode(Mode::Fails);
    let mut connection = Connection::open(gateway.address).await.unwrap();
    connection.send(telegram_post("/webhook/42", UPDATE)).await;
    let answer = connection.answer().await.unwrap();
    assert!(answer.is_doubt(), "{answer:?}");
    assert_problem(&answer, 503);
    gateway.queue.set_mode(Mode::Works);
    connection.send(telegram_post("/webhook/42", UPDATE)).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_serves_many_updates() {
    let gateway = Running::start().await;
    let mut connection = Connection::open(gateway.address).await.unwrap();
    for _ in 0..50 {
        connection.send(telegram_post("/webhook/42", UPDATE)).await;
        assert_eq!(connection.answer().await.unwrap().status, 200);
        connection.send(telegram_post("/webhook/42", "no update")).await;
        assert_eq!(connection.answer().await.unwrap().status, 200, "not even a 4xx closes it");
    }
    assert_eq!(gateway.queue.stored.lock().unwrap().len(), 50);
}

/// Telegram closes after 60 s without a word and must be first: an update sent into a closing connection is lost for a
/// moment. And whoever sends nothing at all does not hold a connection for ever.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_telegrams_sixty_seconds_but_not_for_long() {
    let gateway = Running::start().await;
    let mut connection = Connection::open(gateway.address).await.unwrap();
    connection.send(telegram_post("/webhook/42", UPDATE)).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);

    let idle_since = tokio::time::Instant::now();
    timeout(PATIENCE * 10, connection.closed()).await.expect("an idle connection is closed at last");
    let seconds = idle_since.elapsed().as_secs();
    assert!((61..=90).contains(&seconds), "closed after {seconds} s");
}

#[tokio::test]
async fn a_stopping_gateway_finishes_what_is_in_hand_and_refuses_the_rest() {
    let gateway = Running::start().await;
    let mut idle = Connection::open(gateway.address).await.unwrap();
    idle.send(telegram_post("/webhook/42", UPDATE)).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    assert!(gateway.readiness.is_ready());

    // One update is at the queue, which answers when the test joins in.
    let barrier = Arc::new(Barrier::new(2));
    gateway.queue.set_mode(Mode::Waits(barrier.clone()));
    let mut busy = Connection::open(gateway.address).await.unwrap();
    busy.send(telegram_post("/webhook/42", UPDATE).replace("Accept-Encoding", "Expect: 100-continue\r\nA")).await;
    assert_eq!(busy.answer().await.unwrap().status, 100, "the request is in hand");

    gateway.shutdown.cancel();
    timeout(PATIENCE, idle.closed()).await.unwrap();
    let late = gateway.ask(telegram_post("/webhook/42", UPDATE)).await;
    assert!(late.is_doubt(), "{late:?}");
    assert!(!gateway.readiness.is_ready());

    timeout(PATIENCE, barrier.wait()).await.unwrap();
    let answer = busy.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(gateway.queue.stored.lock().unwrap().len(), 2);
    let address = gateway.address;
    gateway.stopped().await;
    assert!(Connection::open(address).await.is_err(), "nobody listens any longer");
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_no_longer_than_the_grace_period() {
    let gateway = Running::start_with(|name| (name == "SHUTDOWN_GRACE_SECONDS").then(|| "1".to_owned())).await;
    // Answers after two seconds at the earliest, which is longer than the grace period.
    gateway.queue.set_mode(Mode::Hangs);
    let mut busy = Connection::open(gateway.address).await.unwrap();
    busy.send(telegram_post("/webhook/42", UPDATE).replace("Accept-Encoding", "Expect: 100-continue\r\nA")).await;
    assert_eq!(busy.answer().await.unwrap().status, 100);
    let start = tokio::time::Instant::now();
    gateway.shutdown.cancel();
    gateway.stopped().await;
    assert!(start.elapsed().as_millis() < 1500, "{:?}", start.elapsed());
    timeout(PATIENCE, busy.closed()).await.unwrap();
}
