//! Redis servers of the bench's own, and what they have used.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nezuko_ports::free_port;
use redis::aio::MultiplexedConnection;

const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A server that keeps nothing on disk. It is killed when this is dropped.
pub(crate) struct RedisServer {
    child: Child,
    dir: PathBuf,
    port: u16,
}

/// What a server has done since it started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Scripts that were run, each of which is a question to the limiter.
    pub(crate) asks: u64,
    /// The time in them.
    pub(crate) in_scripts: Duration,
}

impl RedisServer {
    pub(crate) fn is_installed() -> bool {
        Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok()
    }

    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_on(free_port(), dir, &[]).await
    }

    pub(crate) async fn start_replica_of(primary: &Self, dir: &Path) -> Self {
        Self::start_on(free_port(), dir, &["--replicaof", "127.0.0.1", &primary.port.to_string()]).await
    }

    async fn start_on(port: u16, dir: &Path, more: &[&str]) -> Self {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--repl-diskless-sync-delay", "0"])
            .args(more)
            .current_dir(dir)
            .stdout(File::create(dir.join(format!("redis-{port}.log"))).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, dir: dir.to_owned(), port };
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(server.address()).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen on {port}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    /// Dies in an instant, and begins anew with nothing.
    pub(crate) async fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (port, dir) = (self.port, self.dir.clone());
        *self = Self::start_on(port, &dir, &[]).await;
    }

    /// Becomes a primary.
    pub(crate) async fn promote(&self) {
        let mut connection = self.connect().await;
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async::<()>(&mut connection).await.unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    async fn connect(&self) -> MultiplexedConnection {
        connect(self.address()).await
    }

    pub(crate) async fn figures(&self) -> Figures {
        let info: String = redis::cmd("INFO").arg("all").query_async(&mut self.connect().await).await.unwrap();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let seconds = |name: &str| field(name).and_then(|text| text.parse::<f64>().ok()).unwrap();
        let scripts = field("cmdstat_evalsha:").unwrap_or_default();
        let of_scripts = |name: &str| {
            scripts.split(',').find_map(|pair| pair.strip_prefix(name)).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Figures {
            cpu: Duration::from_secs_f64(seconds("used_cpu_sys:") + seconds("used_cpu_user:")),
            asks: of_scripts("calls="),
            in_scripts: Duration::from_micros(of_scripts("usec=")),
        }
    }
}

impl Figures {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            asks: self.asks - before.asks,
            in_scripts: self.in_scripts - before.in_scripts,
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to be done then.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn connect(address: SocketAddr) -> MultiplexedConnection {
    let client = redis::Client::open(url(address)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}

/// The median round trip to the server at `address`.
pub(crate) async fn round_trip(address: SocketAddr) -> Duration {
    const PINGS: usize = 21;
    let mut connection = connect(address).await;
    let mut took = Vec::new();
    for _ in 0..PINGS {
        let asked = Instant::now();
        redis::cmd("PING").query_async::<()>(&mut connection).await.unwrap();
        took.push(asked.elapsed());
    }
    took.sort();
    took[PINGS / 2]
}
