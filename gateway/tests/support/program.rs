//! Starts the real `nezuko-gateway` and a door to Redis that a test can shut.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::client::{PATIENCE, SECRET};

/// Where the tests' Redis is. `None`, with a word, where there is none; that is a failure where everything must be there.
pub(crate) fn redis_url() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "REDIS_URL is not set; run through .ci/with-servers");
        println!("SKIPPED: {}: REDIS_URL is not set", std::thread::current().name().unwrap_or("a test"));
    }
    url
}

/// The program, stopped when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) webhook: SocketAddr,
    pub(crate) ops: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts it on free ports and waits until it listens.
    pub(crate) async fn start(bot: i64, redis_url: &str) -> Self {
        let mut child = command()
            .env("BOT_TOKEN", format!("{bot}:abcdefghijklmnopqrstuvwxyz"))
            .env("WEBHOOK_SECRET", SECRET)
            .env("REDIS_URL", redis_url)
            .env("TELEGRAM_API_URL", "http://127.0.0.1:1")
            .envs([("BIND", "127.0.0.1"), ("PORT", "0"), ("OPS_PORT", "0")])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.lock().unwrap().push(line.clone());
                let line: serde_json::Value = serde_json::from_str(&line).expect("each log line is JSON");
                let address = |name: &str| line[name].as_str().and_then(|address| address.parse().ok());
                if let (Some(webhook), Some(ops)) = (address("webhook"), address("ops")) {
                    return (webhook, ops);
                }
            }
            panic!("the gateway ended without a word about where it listens");
        };
        let (webhook, ops) = timeout(PATIENCE, listening).await.expect("the gateway starts in time");
        // A log line that nobody reads would stop the program once the pipe is full.
        let rest = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                rest.lock().unwrap().push(line);
            }
        });
        Self { child, webhook, ops, log }
    }

    /// How many lines of its log hold this.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// Sends SIGTERM. By the shell, whose `kill` is always there.
    pub(crate) async fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("the gateway ends in time").unwrap().code()
    }
}

/// The program with nothing in its environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nezuko-gateway"));
    command.env_clear().kill_on_drop(true);
    command
}

/// Polls until `check` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let polling = async {
        while !check().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, polling).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Passes connections on to Redis while it is open; shut, it ends them and refuses new ones, as a stopped server does.
pub(crate) struct Door {
    target: Arc<str>,
    address: SocketAddr,
    open: Option<AbortHandle>,
}

impl Door {
    /// `redis_url` is `redis://host:port[/db]`, or with a user before an `@`.
    pub(crate) async fn open_to(redis_url: &str) -> (Self, String) {
        let authority = redis_url.trim_start_matches("redis://").split('/').next().unwrap();
        let host = authority.rsplit('@').next().unwrap();
        let target = if host.contains(':') { host.to_owned() } else { format!("{host}:6379") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let through = redis_url.replacen(host, &address.to_string(), 1);
        let mut door = Self { target: target.into(), address, open: None };
        door.pass_on(listener);
        (door, through)
    }

    pub(crate) fn shut(&mut self) {
        self.open.take().expect("an open door").abort();
    }

    pub(crate) async fn open_again(&mut self) {
        self.pass_on(TcpListener::bind(self.address).await.unwrap());
    }

    fn pass_on(&mut self, listener: TcpListener) {
        let target = Arc::clone(&self.target);
        let passing = tokio::spawn(async move {
            // Ends its connections when it is aborted.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let target = Arc::clone(&target);
                connections.spawn(async move {
                    let mut to = TcpStream::connect(&*target).await?;
                    copy_bidirectional(&mut from, &mut to).await
                });
            }
        });
        self.open = Some(passing.abort_handle());
    }
}
