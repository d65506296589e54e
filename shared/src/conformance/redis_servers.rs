//! Redis servers of a test's own: one alone, a master behind Sentinels, a cluster. All have the users of
//! `docs/redis.md` with the rights that stand there, so that whatever runs as them shows that these suffice.

use std::{
    env, fs,
    future::Future,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use nezuko_ports::free_port;
use redis::{Client, Cmd, FromRedisValue, RedisResult, Value};

/// The administrator's password, and how it stands in an address.
const PASSWORD: (&str, &str) = ("a/b@c:d%e", "a%2Fb%40c%3Ad%25e");
/// The name of the master that the Sentinels watch.
pub const MASTER: &str = "nezuko-test.1";
const SENTINELS: usize = 3;
/// Replicas of their master.
const REPLICAS: usize = 2;
/// Masters of a cluster; each has a replica.
const MASTERS: usize = 3;
const SLOTS: usize = 16384;

/// One `ACL SETUSER` line.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Whose.
    pub user: String,
    /// Rules in their order.
    pub rules: Vec<String>,
}

impl Grant {
    /// The lines in the section `heading` of `docs/redis.md`.
    ///
    /// # Panics
    /// Where there are none.
    #[must_use]
    pub fn documented(heading: &str) -> Vec<Self> {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis.md")).expect("docs/redis.md");
        let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading));
        let grants = section.expect("the section").lines().filter_map(|line| {
            let mut words = line.strip_prefix("ACL SETUSER ")?.split(' ').map(str::to_owned);
            Some(Self { user: words.next()?, rules: words.collect() })
        });
        let grants: Vec<_> = grants.collect();
        assert!(!grants.is_empty(), "no ACL SETUSER under {heading}");
        grants
    }

    /// The command that sets it.
    #[must_use]
    pub fn command(&self) -> Cmd {
        redis::cmd("ACL").arg("SETUSER").arg(&self.user).arg(&self.rules).to_owned()
    }

    fn login(&self) -> String {
        let password = self.rules.iter().find_map(|rule| rule.strip_prefix('>')).expect("a password");
        format!("{}:{password}", self.user)
    }
}

#[derive(Debug)]
struct Process {
    port: u16,
    /// How it was started.
    command: Command,
    child: Child,
}

/// Running servers, gone with their directory when this is dropped.
#[derive(Debug)]
pub struct RedisServers {
    dir: PathBuf,
    processes: Vec<Process>,
    /// The ports of the servers that hold data, masters first.
    pub nodes: Vec<u16>,
    /// The ports of the Sentinels.
    pub sentinels: Vec<u16>,
    /// The address for a gateway.
    pub gateway: String,
    /// The address for a worker.
    pub worker: String,
    /// The address for KEDA.
    pub keda: String,
    /// The address for who may do everything.
    pub administrator: String,
}

/// Asks until there is an answer.
///
/// # Panics
/// Where there is none for half a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl RedisServers {
    /// One of each kind; none, said aloud, where there is no Redis server.
    ///
    /// # Panics
    /// Where they do not start, and where there is no Redis server under `CI=true`.
    pub async fn of_each_kind() -> Vec<Self> {
        let (alone, behind_sentinels, cluster) = tokio::join!(Self::alone(), Self::behind_sentinels(), Self::cluster());
        [alone, behind_sentinels, cluster].into_iter().flatten().collect()
    }

    /// One server.
    ///
    /// # Panics
    /// As [`of_each_kind`](Self::of_each_kind).
    pub async fn alone() -> Option<Self> {
        Self::alone_with(&[]).await
    }

    /// One server with further settings.
    ///
    /// # Panics
    /// As [`of_each_kind`](Self::of_each_kind).
    pub async fn alone_with(settings: &[&str]) -> Option<Self> {
        let mut servers = Self::none()?;
        servers.start_nodes(1, settings);
        servers.set_up(&[]).await;
        servers.address_all("redis", |login, nodes, _| format!("{login}@127.0.0.1:{}", nodes[0]));
        Some(servers)
    }

    /// A master and a replica, with nobody who watches them.
    ///
    /// # Panics
    /// As [`of_each_kind`](Self::of_each_kind).
    pub async fn with_a_replica() -> Option<Self> {
        let mut servers = Self::none()?;
        servers.start_nodes(2, &[]);
        servers.set_up(&[]).await;
        let (master, replica) = (servers.nodes[0], servers.nodes[1]);
        servers.order(replica, format!("REPLICAOF 127.0.0.1 {master}")).await;
        servers.until_replicated(master, 1).await;
        servers.address_all("redis", |login, nodes, _| format!("{login}@127.0.0.1:{}", nodes[0]));
        Some(servers)
    }

    /// The replica of [`with_a_replica`](Self::with_a_replica) becomes a master; its address, for who may do everything.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn promote_the_replica(&self) -> String {
        self.order(self.nodes[1], "REPLICAOF NO ONE".to_owned()).await;
        format!("redis://:{}@127.0.0.1:{}", PASSWORD.1, self.nodes[1])
    }

    /// A master that needs one of its two replicas, watched by three Sentinels that fail over after a third of a second.
    ///
    /// # Panics
    /// As [`of_each_kind`](Self::of_each_kind).
    pub async fn behind_sentinels() -> Option<Self> {
        let mut servers = Self::none()?;
        servers.start_nodes(1 + REPLICAS, &["--min-replicas-to-write", "1"]);
        let master = servers.nodes[0];
        servers.set_up(&Grant::documented("Sentinel")).await;
        for replica in &servers.nodes[1..] {
            servers.order(*replica, format!("REPLICAOF 127.0.0.1 {master}")).await;
        }
        servers.until_replicated(master, REPLICAS).await;
        for _ in 0..SENTINELS {
            servers.start_sentinel(master);
        }
        let login = Grant::documented("Sentinel").into_iter().find(|grant| grant.user == "nezuko-sentinel");
        let login = login.expect("the user for Sentinels");
        for sentinel in &servers.sentinels {
            servers.until_ready(*sentinel).await;
            servers.tell::<()>(*sentinel, &login.command()).await.expect("ACL SETUSER at a Sentinel");
        }
        for sentinel in &servers.sentinels {
            eventually("the Sentinels know each other and the replicas", async || {
                let known = servers.watched(*sentinel).await?;
                let number = |field: &str| known.get(field)?.parse::<usize>().ok();
                let flags = known.get("flags").map(String::as_str);
                let all = number("num-other-sentinels")? == SENTINELS - 1 && number("num-slaves")? == REPLICAS;
                (all && flags == Some("master")).then_some(())
            })
            .await;
        }
        let login = login.login();
        let (user, password) = login.split_once(':').expect("a login");
        servers.address_all("redis+sentinel", |login, _, sentinels| {
            let sentinels: Vec<_> = sentinels.iter().map(|port| format!("127.0.0.1:{port}")).collect();
            let sentinels = sentinels.join(",");
            // The first one is not there.
            format!("{login}@127.0.0.1:1,{sentinels}/{MASTER}?sentinel_username={user}&sentinel_password={password}")
        });
        Some(servers)
    }

    /// Three masters with a replica each, which fail over after a second.
    ///
    /// # Panics
    /// As [`of_each_kind`](Self::of_each_kind).
    pub async fn cluster() -> Option<Self> {
        let mut servers = Self::none()?;
        let settings =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];
        let buses = servers.start_nodes(2 * MASTERS, &settings);
        servers.set_up(&Grant::documented("Cluster")).await;
        let all = servers.nodes.clone();
        for (i, node) in all.iter().enumerate() {
            servers.order(*node, format!("CLUSTER SET-CONFIG-EPOCH {}", i + 1)).await;
            if i < MASTERS {
                let (from, to) = (SLOTS * i / MASTERS, SLOTS * (i + 1) / MASTERS - 1);
                servers.order(*node, format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await;
            }
        }
        for (node, bus) in all.iter().zip(buses) {
            servers.order(all[0], format!("CLUSTER MEET 127.0.0.1 {node} {bus}")).await;
        }
        let known = async |node: u16| {
            let known = servers.tell::<String>(node, redis::cmd("CLUSTER").arg("NODES")).await.ok()?;
            (known.lines().count() == all.len() && !known.contains("handshake")).then_some(known)
        };
        for node in &all {
            eventually("the nodes know each other", || known(*node)).await;
        }
        for (replica, master) in all[MASTERS..].iter().zip(&all) {
            let id: String = servers.tell(*master, redis::cmd("CLUSTER").arg("MYID")).await.expect("CLUSTER MYID");
            servers.order(*replica, format!("CLUSTER REPLICATE {id}")).await;
        }
        for node in &all {
            eventually("the cluster stands", async || {
                let state = servers.tell::<String>(*node, redis::cmd("CLUSTER").arg("INFO")).await.ok()?;
                let replicas = known(*node).await?.lines().filter(|line| line.contains("slave")).count();
                (state.contains("cluster_state:ok") && replicas == MASTERS).then_some(())
            })
            .await;
        }
        for master in &all[..MASTERS] {
            servers.until_replicated(*master, 1).await;
        }
        servers.address_all("redis+cluster", |login, nodes, _| {
            // The first one is not there.
            format!("{login}@127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}", nodes[0], nodes[1])
        });
        Some(servers)
    }

    fn none() -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            assert!(env::var("CI").as_deref() != Ok("true"), "redis-server is not installed");
            println!("SKIPPED: redis-server is not installed");
            return None;
        }
        let dir = env::temp_dir().join(format!("nezuko-redis-{:016x}", rand::random::<u64>()));
        let [gateway, worker, keda, administrator] = [const { String::new() }; 4];
        let (processes, nodes, sentinels) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { dir, processes, nodes, sentinels, gateway, worker, keda, administrator })
    }

    /// Returns the ports of the cluster's own connections.
    fn start_nodes(&mut self, count: usize, settings: &[&str]) -> Vec<u16> {
        let start = |_| {
            let (port, bus) = (free_port(), free_port());
            let mut server = Command::new("redis-server");
            server.args(["--port", &port.to_string(), "--cluster-port", &bus.to_string(), "--bind", "127.0.0.1"]);
            server.args(["--save", "", "--requirepass", PASSWORD.0, "--masterauth", PASSWORD.0]);
            server.args(["--repl-diskless-sync-delay", "0"]).args(settings);
            self.start(port, server);
            self.nodes.push(port);
            bus
        };
        (0..count).map(start).collect()
    }

    fn start_sentinel(&mut self, master: u16) {
        let port = free_port();
        let dir = self.dir.join(port.to_string());
        let (file, quorum, password) = (dir.join("sentinel.conf"), SENTINELS / 2 + 1, PASSWORD.0);
        fs::create_dir_all(&dir).expect("a directory");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nrequirepass \"{password}\"\nsentinel sentinel-pass \"{password}\"\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} {quorum}\nsentinel auth-pass {MASTER} \"{password}\"\n\
             sentinel down-after-milliseconds {MASTER} 300\nsentinel failover-timeout {MASTER} 1000\n"
        );
        fs::write(&file, settings).expect("a file");
        let mut sentinel = Command::new("redis-server");
        sentinel.arg(file).arg("--sentinel");
        self.start(port, sentinel);
        self.sentinels.push(port);
    }

    fn start(&mut self, port: u16, mut server: Command) {
        let dir = self.dir.join(port.to_string());
        fs::create_dir_all(&dir).expect("a directory");
        let log = fs::File::create(dir.join("log")).expect("a file");
        let child = server.current_dir(dir).stdout(log).spawn().expect("redis-server");
        self.processes.push(Process { port, command: server, child });
    }

    /// Starts a server again that was killed, with further settings; it may still be loading what it had written.
    ///
    /// # Panics
    /// Where there was none on this port, or it does not start.
    pub fn start_again(&mut self, port: u16, settings: &[&str]) {
        let server = self.processes.iter_mut().find(|process| process.port == port).expect("a server on this port");
        server.child.wait().expect("it was killed");
        server.child = server.command.args(settings).spawn().expect("redis-server");
    }

    /// Waits for the servers that hold data and makes the users, whose further rights are `more`.
    async fn set_up(&self, more: &[Grant]) {
        let grants = Grant::documented("Users and rights");
        let more = more.iter().filter(|more| grants.iter().any(|grant| grant.user == more.user));
        let commands: Vec<_> = grants.iter().chain(more).map(Grant::command).collect();
        for node in &self.nodes {
            self.until_ready(*node).await;
            for command in &commands {
                self.tell::<()>(*node, command).await.expect("ACL SETUSER");
            }
        }
    }

    fn address_all(&mut self, scheme: &str, address: impl Fn(&str, &[u16], &[u16]) -> String) {
        let address = |login: &str| format!("{scheme}://{}", address(login, &self.nodes, &self.sentinels));
        let grants = Grant::documented("Users and rights");
        let of = |user: &str| address(&grants.iter().find(|grant| grant.user == user).expect("the user").login());
        let administrator = address(&format!(":{}", PASSWORD.1));
        (self.gateway, self.worker, self.keda) = (of("nezuko-gateway"), of("nezuko-worker"), of("nezuko-keda"));
        self.administrator = administrator;
    }

    async fn until_ready(&self, port: u16) {
        eventually("a server starts", async || self.tell::<()>(port, &redis::cmd("PING")).await.ok()).await;
    }

    /// Waits until `replicas` of `master` have everything that was written until now.
    ///
    /// # Panics
    /// Where it never does.
    pub async fn until_replicated(&self, master: u16, replicas: usize) {
        eventually("the replicas have everything", async || {
            let info: String = self.tell(master, redis::cmd("INFO").arg("replication")).await.ok()?;
            let written = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"))?;
            let up_to_date = info.matches(&format!("state=online,offset={written},")).count();
            (up_to_date == replicas).then_some(())
        })
        .await;
    }

    /// Sends a command of words without spaces, which must succeed.
    async fn order(&self, port: u16, words: String) {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a word"));
        command.arg(words.collect::<Vec<_>>());
        self.tell::<()>(port, &command).await.expect("an order");
    }

    /// Sends a command to one server as its administrator.
    ///
    /// # Errors
    /// What the client says.
    pub async fn tell<T: FromRedisValue>(&self, port: u16, command: &Cmd) -> RedisResult<T> {
        let answer: Value = command.query_async(&mut self.connect(port).await?).await?;
        Ok(T::from_redis_value(answer)?)
    }

    async fn connect(&self, port: u16) -> RedisResult<redis::aio::MultiplexedConnection> {
        Client::open(format!("redis://:{}@127.0.0.1:{port}", PASSWORD.1))?.get_multiplexed_async_connection().await
    }

    /// What a Sentinel knows of the master.
    pub async fn watched(&self, sentinel: u16) -> Option<std::collections::HashMap<String, String>> {
        self.tell(sentinel, redis::cmd("SENTINEL").arg("MASTER").arg(MASTER)).await.ok()
    }

    /// Hands a key of a cluster from one node to another, as moving its slot does.
    ///
    /// # Panics
    /// Where it is not taken.
    pub async fn migrate(&self, from: u16, to: u16, key: &str) {
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(to).arg("").arg(0).arg(5000).arg("AUTH").arg(PASSWORD.0).arg("KEYS").arg(key);
        self.tell::<()>(from, &migrate).await.expect("MIGRATE");
    }

    /// Sends a signal to a server: `KILL` ends it at once, `STOP` lets it hang.
    ///
    /// # Panics
    /// Where there is none on this port.
    pub fn signal(&self, port: u16, signal: &str) {
        let server = self.processes.iter().find(|process| process.port == port).expect("a server on this port");
        let sent = Command::new("kill").args(["-s", signal, &server.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no {signal} was sent");
    }
}

impl Drop for RedisServers {
    fn drop(&mut self) {
        for Process { port, child, .. } in &mut self.processes {
            child.kill().and_then(|()| child.wait()).ok();
            if std::thread::panicking() {
                let log = fs::read_to_string(self.dir.join(port.to_string()).join("log")).unwrap_or_default();
                println!("--- server on port {port}\n{log}");
            }
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}
