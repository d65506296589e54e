//! A PostgreSQL that takes encrypted connections only.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Command, Output},
};

const PASSWORD: &str = "password-of-the-owner";

/// A PostgreSQL server of its own, gone with its directory when this is dropped.
struct Server {
    dir: PathBuf,
    port: u16,
}

impl Server {
    /// `None`, said aloud, where PostgreSQL is not installed. Under `CI=true` it must be.
    fn start(tls: bool) -> Option<Self> {
        if program("initdb").is_none() {
            assert!(env::var("CI").as_deref() != Ok("true"), "PostgreSQL is not installed");
            println!("SKIPPED: PostgreSQL is not installed");
            return None;
        }
        let dir = env::temp_dir().join(format!("nezuko-tls-{:016x}", rand::random::<u64>()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { port, dir };
        let inside = server.dir.join("server");
        fs::create_dir_all(&inside).unwrap();
        certificates::write(&inside);
        fs::write(inside.join("password"), PASSWORD).unwrap();
        if let Some((user, group)) = unprivileged() {
            chown(&inside, Some(user), Some(group)).unwrap();
            for file in fs::read_dir(&inside).unwrap() {
                chown(file.unwrap().path(), Some(user), Some(group)).unwrap();
            }
        }
        server.run("initdb", &["--no-sync", "-U", "nezuko", "-A", "scram-sha-256", "--pwfile=password", "-D", "data"]);
        let access = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(server.dir.join("server/data/pg_hba.conf"), access).unwrap();
        let tls = if tls { "-c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key" } else { "" };
        let options = format!("-p {port} -h 127.0.0.1 -c unix_socket_directories= -c fsync=off {tls}");
        server.run("pg_ctl", &["-D", "data", "-l", "log", "-o", &options, "-w", "-s", "start"]);
        Some(server)
    }

    /// Runs one of PostgreSQL's programs, as the user that it wants.
    fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(program(name).unwrap());
        command.current_dir(self.dir.join("server")).args(arguments);
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        // A server keeps the files that it is started with, so that waiting for the end of a pipe would never end.
        let said = fs::File::create(self.dir.join("said")).unwrap();
        let ended = command.stdout(said.try_clone().unwrap()).stderr(said).status().unwrap();
        let said = || fs::read_to_string(self.dir.join("said")).unwrap();
        assert!(ended.success(), "{name}: {}\n{}", said(), self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("server/log")).unwrap_or_default()
    }

    /// What `nezuko-worker migrate` comes to with this address: exit code, and all that it says.
    fn migrated(&self, scheme: &str, host: &str, query: &str) -> (i32, String) {
        self.asked("migrate", scheme, host, query)
    }

    fn asked(&self, order: &str, scheme: &str, host: &str, query: &str) -> (i32, String) {
        let url = format!("{scheme}://nezuko:{PASSWORD}@{host}:{}/postgres{query}", self.port);
        let mut program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"));
        program.arg(order).env_clear().envs([
            ("DATABASE_URL", url.as_str()),
            ("BOT_TOKEN", "42:token-that-opens-nothing"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("TELEGRAM_API_URL", "http://127.0.0.1:1"),
        ]);
        let Output { status, stdout, stderr } = program.output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(!text.contains(PASSWORD), "a secret is told: {text}");
        (status.code().unwrap(), text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        if self.dir.join("server/data/postmaster.pid").exists() {
            self.run("pg_ctl", &["-D", "data", "-m", "immediate", "-w", "-s", "stop"]);
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// One of PostgreSQL's server programs, which Debian keeps out of `PATH`; of its newest version there.
fn program(name: &str) -> Option<PathBuf> {
    let in_path = env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    in_path.or_else(|| Some(versions.max_by_key(version)?.join("bin").join(name)).filter(|file| file.is_file()))
}

/// PostgreSQL does not run as root: root has it run as the user that its package made.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().expect("root needs a user postgres")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

#[test]
fn an_address_says_whether_the_server_is_checked_and_a_refusal_what_to_do() {
    let Some(server) = Server::start(true) else { return };
    let by = |mode: &str, authority: &str| {
        let file = server.dir.join("server").join(authority);
        format!("?{mode}&sslrootcert={}", file.display())
    };
    let checked = by("sslmode=verify-full", "ca.pem");
    for (scheme, host, query) in [
        ("postgres", "localhost", &*checked),
        ("postgresql+asyncpg", "localhost", &by("ssl=verify-full", "ca.pem")),
        // The name is not looked at.
        ("postgres", "127.0.0.1", &by("sslmode=verify-ca", "ca.pem")),
        // Nothing is looked at.
        ("postgres", "127.0.0.1", &by("sslmode=require", "other.pem")),
        ("postgresql+asyncpg", "127.0.0.1", "?ssl=require"),
        ("postgres", "127.0.0.1", ""),
    ] {
        let (code, text) = server.migrated(scheme, host, query);
        assert!(code == 0 && text.ends_with("the schema is up to date\n"), "{scheme} {host} {query}: {text}");
    }

    let (authority, name) = ("sslrootcert=FILE", "a host name that is in the certificate");
    for (scheme, host, query, problem, advice) in [
        ("postgres", "localhost", &*by("sslmode=verify-full", "other.pem"), "invalid peer certificate", authority),
        ("postgres", "localhost", &by("sslmode=verify-ca", "other.pem"), "invalid peer certificate", authority),
        ("postgresql+asyncpg", "localhost", &by("ssl=verify-full", "other.pem"), "invalid peer certificate", authority),
        // Authorities that all the world trusts are known, ours is not.
        ("postgres", "localhost", "?sslmode=verify-full", "invalid peer certificate", authority),
        ("postgres", "127.0.0.1", &checked, "not valid for name", name),
        ("postgres", "localhost", &by("sslmode=verify-full", "none.pem"), "No such file", "the file of sslrootcert"),
        ("postgres", "localhost", "?sslmode=disable", "no encryption", "sslmode=verify-full"),
        ("postgres", "localhost", "?sslmode=allow", "no encryption", "sslmode=verify-full"),
        ("postgresql+asyncpg", "localhost", "?ssl=disable", "no encryption", "sslmode=verify-full"),
    ] {
        let (code, text) = server.migrated(scheme, host, query);
        let told = text.starts_with("database: ") && text.contains(problem) && text.contains(advice);
        assert!(code == 1 && told, "{scheme} {host} {query}: {text}");
    }
    let (_, text) = server.asked("doctor", "postgres", "127.0.0.1", &checked);
    let told = |line: &str| line.starts_with("BROKEN  PostgreSQL: database: ") && line.contains(name);
    assert!(text.lines().any(told), "{text}");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let Some(server) = Server::start(false) else { return };
    for mode in ["require", "verify-ca", "verify-full"] {
        let (code, text) = server.migrated("postgres", "localhost", &format!("?sslmode={mode}"));
        let told = text.contains("does not support TLS") && text.contains("ssl = on");
        assert!(code == 1 && told, "{mode}: {text}");
    }
}
