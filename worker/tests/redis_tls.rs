//! A Redis that is reached by TLS, as a user with a password: alone, behind a Sentinel, as a cluster.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use nezuko_ports::free_port;

const PASSWORD: &str = "password-of-the-user";

/// Redis servers with nothing but TLS ports, gone with their directory when this is dropped.
struct Encrypted {
    servers: Vec<Child>,
    dir: PathBuf,
    scheme: &'static str,
    port: u16,
    path: &'static str,
}

/// What all of them are told. They name each other by the name for which they have a certificate.
const CERTIFICATES: &str = "port 0\nbind 127.0.0.1\nsave \"\"\ntls-cert-file server.pem\ntls-key-file server.key\n\
    tls-ca-cert-file ca.pem\ntls-auth-clients no\ntls-replication yes\n";

impl Encrypted {
    /// `None`, said aloud, where there is no Redis server. Under `CI=true` there must be one.
    fn new() -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            assert!(env::var("CI").as_deref() != Ok("true"), "redis-server is not installed");
            println!("SKIPPED: redis-server is not installed");
            return None;
        }
        let dir = env::temp_dir().join(format!("nezuko-tls-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&dir).unwrap();
        certificates::write(&dir);
        Some(Self { servers: Vec::new(), dir, scheme: "rediss", port: 0, path: "" })
    }

    fn alone() -> Option<Self> {
        let mut servers = Self::new()?;
        servers.start("server", &format!("user nezuko on >{PASSWORD} ~nezuko:* +@all\n"), &[]);
        Some(servers)
    }

    fn behind_a_sentinel() -> Option<Self> {
        let mut servers = Self::alone()?;
        let master = servers.port;
        let watched = format!(
            "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n\
             sentinel monitor the-master localhost {master} 1\n"
        );
        servers.start("sentinel", &watched, &["--sentinel"]);
        (servers.scheme, servers.path) = ("rediss+sentinel", "/the-master");
        Some(servers)
    }

    fn cluster() -> Option<Self> {
        let mut servers = Self::new()?;
        let bus = free_port();
        let all_slots = format!(
            "{} 127.0.0.1:0@{bus} myself,master - 0 0 1 connected 0-16383\nvars currentEpoch 1 lastVoteEpoch 0\n",
            "a".repeat(40)
        );
        fs::write(servers.dir.join("nodes.conf"), all_slots).unwrap();
        let settings = format!(
            "user nezuko on >{PASSWORD} ~nezuko:* +@all\ncluster-enabled yes\ntls-cluster yes\ncluster-port {bus}\n\
             cluster-announce-hostname localhost\ncluster-preferred-endpoint-type hostname\n"
        );
        servers.start("node", &settings, &[]);
        servers.scheme = "rediss+cluster";
        Some(servers)
    }

    fn start(&mut self, name: &str, settings: &str, arguments: &[&str]) {
        self.port = free_port();
        let file = self.dir.join(format!("{name}.conf"));
        fs::write(&file, format!("{CERTIFICATES}tls-port {}\n{settings}", self.port)).unwrap();
        let log = fs::File::create(self.dir.join(format!("{name}.log"))).unwrap();
        let mut server = Command::new("redis-server");
        server.current_dir(&self.dir).arg(file).args(arguments).stdout(log);
        self.servers.push(server.spawn().unwrap());
    }

    /// What an operator's question about dead letters comes to, once the server answers or its certificate is refused.
    fn asked(&self, host: &str, password: &str, authorities: Option<&Path>) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"));
            program.args(["dlq", "list"]).env_clear().envs([
                ("BOT_TOKEN", "42:token-that-opens-nothing"),
                ("REDIS_URL", &format!("{}://nezuko:{password}@{host}:{}{}", self.scheme, self.port, self.path)),
                ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/unused"),
            ]);
            program.envs(authorities.map(|file| ("SSL_CERT_FILE", file)));
            let output = program.output().unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!text.contains(password), "a secret is told: {text}");
            // A cluster takes its time after its start.
            let starting = ["Connection refused", "ClusterDown"].iter().any(|sign| text.contains(sign));
            if !starting || Instant::now() > deadline {
                return text;
            }
        }
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["server", "sentinel", "node"] {
                println!("{}", fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default());
            }
        }
        for server in &mut self.servers {
            server.kill().unwrap();
            server.wait().unwrap();
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn checks_certificates_and_names_the_user(redis: &Encrypted) {
    let (ca, other) = (redis.dir.join("ca.pem"), redis.dir.join("other.pem"));
    assert_eq!(redis.asked("localhost", PASSWORD, Some(&ca)), "none\n");

    for (host, password, authorities, problem) in [
        ("localhost", PASSWORD, Some(&other), "certificate"),
        ("localhost", PASSWORD, None, "certificate"),
        ("127.0.0.1", PASSWORD, Some(&ca), "certificate"),
        ("localhost", "wrong-password", Some(&ca), "authentication"),
    ] {
        let refused = redis.asked(host, password, authorities.map(PathBuf::as_path));
        let told = refused.starts_with("queue unavailable: ") && refused.to_lowercase().contains(problem);
        assert!(told, "{host} {authorities:?}: {refused}");
    }
}

#[test]
fn the_certificate_of_a_server_is_checked_and_the_user_named() {
    if let Some(redis) = Encrypted::alone() {
        checks_certificates_and_names_the_user(&redis);
    }
}

#[test]
fn the_certificates_of_a_sentinel_and_its_master_are_checked_and_the_user_named() {
    if let Some(redis) = Encrypted::behind_a_sentinel() {
        checks_certificates_and_names_the_user(&redis);
    }
}

#[test]
fn the_certificates_of_a_cluster_are_checked_and_the_user_named() {
    if let Some(redis) = Encrypted::cluster() {
        checks_certificates_and_names_the_user(&redis);
    }
}
