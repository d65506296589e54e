//! A PostgreSQL server of a test's own, to be ended and started again as the test likes.

use std::{
    env, fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use nezuko_ports::free_port;

/// Its superuser, and that one's password.
const USER: &str = "nezuko";
/// That of the user whom the server is made with.
pub const PASSWORD: &str = "password-of-the-owner";

/// A running server, gone with its directory when this is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    dir: PathBuf,
    port: u16,
    options: String,
}

impl PostgresServer {
    /// Starts one with further `options` (`-c name=value …`), whose `pg_hba.conf` is `access`. `files` writes what it is to
    /// find in the directory above its data. `None`, said aloud, where PostgreSQL is not installed.
    ///
    /// # Panics
    /// Where it does not start, and where it is not installed under `CI=true`.
    #[must_use]
    pub fn start(options: &str, access: &str, files: impl FnOnce(&Path)) -> Option<Self> {
        if program("initdb").is_none() {
            assert!(env::var("CI").as_deref() != Ok("true"), "PostgreSQL is not installed");
            println!("SKIPPED: PostgreSQL is not installed");
            return None;
        }
        let dir = env::temp_dir().join(format!("nezuko-postgres-{:016x}", rand::random::<u64>()));
        let port = free_port();
        let options = format!("-p {port} -h 127.0.0.1 -c unix_socket_directories= -c fsync=off {options}");
        let server = Self { dir, port, options };
        let inside = server.inside();
        fs::create_dir_all(&inside).expect("a directory");
        files(&inside);
        fs::write(inside.join("password"), PASSWORD).expect("a file");
        if let Some((user, group)) = unprivileged() {
            for file in fs::read_dir(&inside).expect("the directory").flatten() {
                chown(file.path(), Some(user), Some(group)).expect("a file of the server's");
            }
            chown(&inside, Some(user), Some(group)).expect("a directory of the server's");
        }
        server.run("initdb", &["--no-sync", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "-D", "data"]);
        fs::write(inside.join("data/pg_hba.conf"), access).expect("a file");
        server.start_again();
        Some(server)
    }

    /// The directory above its data.
    #[must_use]
    pub fn inside(&self) -> PathBuf {
        self.dir.join("server")
    }

    /// The address of its first database for the superuser, by this host name.
    #[must_use]
    pub fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{USER}:{PASSWORD}@{host}:{}/postgres", self.port)
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Panics
    /// Where it does not.
    pub fn start_again(&self) {
        self.run("pg_ctl", &["-D", "data", "-l", "log", "-o", &self.options, "-w", "-s", "start"]);
    }

    /// Ends it: `immediate` as a crash does, `fast` with a word to everybody who is connected.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["-D", "data", "-m", mode, "-w", "-s", "stop"]);
    }

    /// Runs one of PostgreSQL's programs, as the user that it wants.
    fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(program(name).expect("a program of PostgreSQL"));
        command.current_dir(self.inside()).args(arguments);
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        // A server keeps the files that it is started with, so that waiting for the end of a pipe would never end.
        let said = fs::File::create(self.dir.join("said")).expect("a file");
        let errors = said.try_clone().expect("the same file");
        let ended = command.stdout(said).stderr(errors).status().expect("a program of PostgreSQL");
        let said = || fs::read_to_string(self.dir.join("said")).unwrap_or_default();
        assert!(ended.success(), "{name}: {}\n{}", said(), self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.inside().join("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        if self.inside().join("data/postmaster.pid").exists() {
            self.stop("immediate");
        }
        fs::remove_dir_all(&self.dir).ok();
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
        let output = Command::new("id").args(arguments).output().expect("the program id");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("root needs a user postgres")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
