//! A program under test as a child process.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::http;

/// A running child. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `path` in the directory `dir` with nothing in its environment but `environment`; what it prints goes to
    /// `dir/name.log`.
    ///
    /// # Errors
    /// Where the program cannot be started or the log cannot be made.
    pub fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        path: &Path,
        name: &str,
        dir: &Path,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> anyhow::Result<Self> {
        // Relative to where we are, not to where it will be.
        let path = std::path::absolute(path)?;
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(&path)
            .env_clear()
            .envs(environment)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        Ok(Self { child, log })
    }

    /// What it prints goes here.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The processor time that its living threads have taken (`schedstat` of proc(5)); zero where it has gone.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let tasks = self.child.id().and_then(|id| std::fs::read_dir(format!("/proc/{id}/task")).ok());
        let on_cpu = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.into_iter().flatten().filter_map(on_cpu).sum())
    }

    /// Its anonymous resident memory in bytes (`RssAnon` of proc(5)); `None` where it has gone.
    #[must_use]
    pub fn anonymous_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }

    /// Waits until the page `ready` (such as `http://127.0.0.1:8080/ready`) answers 200.
    ///
    /// # Errors
    /// Where the program ends first, or the time is over.
    pub async fn wait_until_ready(&mut self, ready: &str, within: Duration) -> anyhow::Result<()> {
        let uri = ready.parse()?;
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the program ended before it was ready ({status}); its log is {}", self.log.display());
            }
            if matches!(http::get(&uri).await, Ok((200, _))) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{ready} was not 200 within {within:?}; the log is {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// Where it has ended already, or does not end in time.
    pub async fn stop(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the program had ended by itself ({status}); its log is {}", self.log.display());
        }
        self.terminate()?;
        self.ended(within).await
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Errors
    /// Where it has ended already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub async fn ended(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the program did not stop within {within:?}; its log is {}", self.log.display()),
        }
    }

    /// Makes it stand still in the middle of whatever it does (SIGSTOP).
    ///
    /// # Errors
    /// Where it has ended.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// Where it has ended.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it at once (SIGKILL) and waits.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
