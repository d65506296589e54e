//! The real programs as children of a test, and what they need: a directory, ports, settings.
//!
//! Nothing outlives a test, also when it fails: children are killed and directories removed when they are dropped.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its part")]

pub(crate) mod fleet;
pub(crate) mod play;
pub(crate) mod receiver;
pub(crate) mod servers;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use loadtest::{
    drive::{Program, page},
    world::UserId,
};
use nezuko_ports::free_port;

/// What Telegram sends with every update.
pub(crate) const SECRET: &str = "end-to-end-secret";
/// A program makes its database first, on a machine that does other things, too.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the programs' own grace period.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(40);

/// One of the workspace's programs. Cargo builds those of other packages only when it is told to, as `.ci/test` does.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "there is no {}: run `make test`, which builds the programs first", path.display());
    path
}

/// The directory with the programs of another release (`make upgrade-check`).
const OLD_PROGRAMS: &str = "NEZUKO_OLD_PROGRAMS";

/// Whether a test begins with the programs of another release.
pub(crate) fn is_upgrade() -> bool {
    env::var_os(OLD_PROGRAMS).is_some()
}

/// The program that is there when a test begins: of another release where there are such.
pub(crate) fn first_program(name: &str) -> PathBuf {
    env::var_os(OLD_PROGRAMS).map_or_else(|| program(name), |directory| PathBuf::from(directory).join(name))
}

/// A bot that nobody else has, so that tests meet neither each other nor those of an earlier run.
pub(crate) fn fresh_bot() -> UserId {
    UserId(rand::random_range(1_000_000_000..1_000_000_000_000))
}

pub(crate) fn token(bot: UserId) -> String {
    format!("{bot}:end-to-end-token-that-opens-nothing")
}

/// A directory for databases and logs. When the test fails, the last warnings of the logs are printed before it goes.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The setting for a database of its own.
    pub(crate) fn sqlite_url(&self) -> String {
        format!("sqlite://{}", self.0.join("nezuko.sqlite").display())
    }

    /// Everything that the programs have said, each log with its name.
    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap_or_default())).collect()
    }

    /// Prints the last warnings of the logs.
    pub(crate) fn tell(&self) {
        const LINES: usize = 10;
        for (name, log) in self.logs() {
            let telling: Vec<&str> = log.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect();
            println!("the end of {name}:\n{}", telling[telling.len().saturating_sub(LINES)..].join("\n"));
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What a program is told by its environment.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// The settings that all programs share.
pub(crate) fn settings(bot: UserId, telegram: &str, database: &str) -> Settings {
    vec![
        ("BOT_TOKEN", token(bot)),
        ("WEBHOOK_SECRET", SECRET.to_owned()),
        ("BIND", "127.0.0.1".to_owned()),
        ("TELEGRAM_API_URL", telegram.to_owned()),
        ("DATABASE_URL", database.to_owned()),
    ]
}

/// A program that runs and is ready.
pub(crate) struct Running {
    program: Program,
    /// Where updates go, if it is one that takes them.
    pub(crate) port: u16,
    pub(crate) ops_port: u16,
}

impl Running {
    /// Starts it on free ports; its log is `name.log`.
    pub(crate) async fn start(executable: &str, name: &str, dir: &Directory, settings: &Settings) -> Self {
        Self::start_on((free_port(), free_port()), executable, name, dir, settings).await
    }

    /// The same with the program that is there at the beginning.
    pub(crate) async fn start_first(executable: &str, name: &str, dir: &Directory, settings: &Settings) -> Self {
        let ports = (free_port(), free_port());
        Self::start_program(ports, first_program(executable), name, dir, settings.clone()).await
    }

    /// Starts it on these ports, as one does that takes the place of another.
    pub(crate) async fn start_on(
        (port, ops_port): (u16, u16),
        executable: &str,
        name: &str,
        dir: &Directory,
        settings: &Settings,
    ) -> Self {
        let mut settings = settings.clone();
        if executable == "nezuko" && settings.iter().all(|(name, _)| *name != "WEBHOOK_URL") {
            // It registers this itself.
            settings.push(("WEBHOOK_URL", format!("http://127.0.0.1:{port}")));
        }
        Self::start_program((port, ops_port), program(executable), name, dir, settings).await
    }

    async fn start_program(
        (port, ops_port): (u16, u16),
        program: PathBuf,
        name: &str,
        dir: &Directory,
        mut settings: Settings,
    ) -> Self {
        settings.extend([("PORT", port.to_string()), ("OPS_PORT", ops_port.to_string())]);
        let mut program = Program::start(&program, name, dir.path(), settings).unwrap();
        program.wait_until_ready(&format!("http://127.0.0.1:{ops_port}/ready"), READY_WITHIN).await.unwrap();
        Self { program, port, ops_port }
    }

    pub(crate) fn webhook(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.port)
    }

    /// SIGTERM; it must end well and in time.
    pub(crate) async fn stop(self) {
        let log = self.program.log().to_owned();
        let status = self.program.stop(STOP_WITHIN).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", log.display());
    }

    /// SIGTERM, and no waiting.
    pub(crate) fn terminate(&self) {
        self.program.terminate().unwrap();
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(self, within: Duration) -> Option<i32> {
        self.program.ended(within).await.unwrap().code()
    }

    /// The answer of its page `/ready`.
    pub(crate) async fn ready(&self) -> u16 {
        page(&format!("http://127.0.0.1:{}/ready", self.ops_port)).await.unwrap().0
    }

    /// SIGKILL.
    pub(crate) async fn kill(self) {
        self.program.kill().await.unwrap();
    }

    /// Holds it still until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&self) {
        self.program.freeze().unwrap();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.program.thaw().unwrap();
    }

    /// SIGKILL in the middle of its work: when it has been stopped at a moment at which `is_busy` says so.
    pub(crate) async fn kill_when(self, what: &str, mut is_busy: impl AsyncFnMut() -> bool) {
        eventually(what, async || {
            self.program.freeze().unwrap();
            let hit = is_busy().await;
            if !hit {
                self.program.thaw().unwrap();
            }
            hit
        })
        .await;
        self.kill().await;
    }

    /// A page of the operations port.
    pub(crate) async fn page(&self, path: &str) -> String {
        let (status, text) = page(&format!("http://127.0.0.1:{}/{path}", self.ops_port)).await.unwrap();
        assert_eq!(status, 200);
        text
    }

    /// The processor time that it has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.program.cpu_time()
    }

    /// Memory of its own, bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.program.anonymous_memory().unwrap()
    }

    /// A metric, summed over its labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.page("metrics").await;
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.split_whitespace().last()?.parse::<u64>().ok())?
        });
        samples.sum()
    }
}

/// Polls until `check` holds.
pub(crate) async fn eventually(what: &str, check: impl AsyncFnMut() -> bool) {
    eventually_within(Duration::from_secs(60), what, check).await;
}

/// The same, for what takes its time.
pub(crate) async fn eventually_within(limit: Duration, what: &str, mut check: impl AsyncFnMut() -> bool) {
    let polling = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, polling).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}
