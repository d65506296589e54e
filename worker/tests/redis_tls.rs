//! A Redis that is reached by TLS, as a user with a password.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

const PASSWORD: &str = "password-of-the-user";

/// A Redis server with nothing but a TLS port, gone with its directory when this is dropped.
struct Encrypted {
    server: Child,
    dir: PathBuf,
    port: u16,
}

impl Encrypted {
    /// `None`, said aloud, where there is no Redis server. Under `CI=true` there must be one.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = env::temp_dir().join(format!("nezuko-tls-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&dir).unwrap();
        certificates::write(&dir);
        let server = Command::new("redis-server")
            .current_dir(&dir)
            .args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem"])
            .args(["--tls-auth-clients", "no"])
            .args(["--user", "nezuko", "on", &format!(">{PASSWORD}"), "~nezuko:*", "+@all"])
            .stdout(fs::File::create(dir.join("redis.log")).unwrap())
            .spawn();
        let Ok(server) = server else {
            fs::remove_dir_all(&dir).unwrap();
            assert!(env::var("CI").as_deref() != Ok("true"), "redis-server is not installed");
            println!("SKIPPED: redis-server is not installed");
            return None;
        };
        Some(Self { server, dir, port })
    }

    /// What an operator's question about dead letters comes to, once the server answers or its certificate is refused.
    fn asked(&self, host: &str, password: &str, authorities: Option<&Path>) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"));
            program.args(["dlq", "list"]).env_clear().envs([
                ("BOT_TOKEN", "42:token-that-opens-nothing"),
                ("REDIS_URL", &format!("rediss://nezuko:{password}@{host}:{}", self.port)),
                ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/unused"),
            ]);
            program.envs(authorities.map(|file| ("SSL_CERT_FILE", file)));
            let output = program.output().unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!text.contains(password), "a secret is told: {text}");
            if !text.contains("Connection refused") || Instant::now() > deadline {
                return text;
            }
        }
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(self.dir.join("redis.log")).unwrap());
        }
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

#[test]
fn the_certificate_is_checked_and_the_user_named() {
    let Some(redis) = Encrypted::start() else { return };
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
