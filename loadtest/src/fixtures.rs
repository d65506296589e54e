//! Collected updates through the real program: every one is to be taken in, whatever kind it is of.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    drive::{alone::Alone, directory::in_directory, http},
    replay::{ReplayOptions, replay},
    simulator::{Options, Simulator},
    world::{UserId, World},
};

const TOKEN: &str = "7000000001:fixture-token-that-opens-nothing";
const BOT: UserId = UserId(7_000_000_001);
const FIRST_ID: i64 = 500_000_001;
/// How long the program may take for the next update, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines of the file.
    pub lines: u64,
    /// Updates of a kind that the program acts on.
    pub decoded: u64,
    /// Updates of other kinds.
    pub unknown: u64,
    /// Bodies set aside by the gateway as no update.
    pub quarantine: u64,
    /// Updates given up by the worker.
    pub dead_letters: u64,
    /// Panics in the program's log.
    pub panics: u64,
}

impl Taken {
    /// Whether every line was taken in.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.decoded + self.unknown == self.lines && self.quarantine + self.dead_letters + self.panics == 0
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, decoded, unknown, quarantine, dead_letters, panics } = self;
        write!(
            f,
            "lines={lines} decoded={decoded} unknown={unknown} quarantine={quarantine} dead_letters={dead_letters} \
             panics={panics}"
        )
    }
}

/// Sends the lines of `file`, each with an `update_id` of its own, through the program in `programs` and prints what became
/// of them; true where every one was taken in. Where not, the directory with the program's log is kept and named.
///
/// # Errors
/// Where the file cannot be read or a line is no JSON object, or the program does not run.
pub async fn fixtures(file: &Path, programs: &Path) -> anyhow::Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    for (nth, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let object = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
        if !object {
            bail!("line {nth} of {} is no JSON object", file.display());
        }
    }
    in_directory("fixtures", async |dir| {
        let taken = send(lines, programs, dir).await?;
        println!("{taken}");
        Ok(taken.is_whole())
    })
    .await
}

async fn send(lines: Vec<String>, programs: &Path, dir: &Path) -> anyhow::Result<Taken> {
    let world = World::new(World::bot_account(BOT, "nezuko_fixture_bot"));
    let simulator = Simulator::start(world, Options::new(TOKEN)).await?;
    let Alone { program, webhook, secret, metrics, .. } = Alone::start(programs, dir, TOKEN, &simulator, &[]).await?;
    let mut taken = Taken { lines: lines.len() as u64, ..Taken::default() };
    let options = ReplayOptions {
        url: webhook.parse()?,
        secret: Some(secret.to_owned()),
        rate: None,
        connections: 4,
        fresh_ids_from: Some(FIRST_ID),
    };
    let report = replay(lines, &options).await;
    println!("{report}");
    let mut deadline = Instant::now() + PATIENCE;
    while taken.ended() < taken.lines && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (_, page) = http::page(&metrics).await?;
        let before = taken.ended();
        taken.count(&page);
        if taken.ended() > before {
            deadline = Instant::now() + PATIENCE;
        }
    }
    let log = program.log().to_owned();
    program.stop(PATIENCE).await?;
    taken.panics = fs::read_to_string(log)?.lines().filter(|line| line.contains("panicked")).count() as u64;
    simulator.stop().await;
    Ok(taken)
}

impl Taken {
    const fn ended(&self) -> u64 {
        self.decoded + self.unknown + self.quarantine + self.dead_letters
    }

    fn count(&mut self, page: &str) {
        let mut counted = Self { lines: self.lines, ..Self::default() };
        for line in page.lines() {
            let has = |label: &str| line.contains(label);
            let count = line.split_whitespace().last().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            if line.starts_with("nezuko_updates_total{")
                && !has("outcome=\"failed\"")
                && !has("outcome=\"dead_lettered\"")
            {
                *if has("kind=\"other\"") { &mut counted.unknown } else { &mut counted.decoded } += count;
            } else if line.starts_with("nezuko_webhook_requests_total{") && has("outcome=\"quarantined\"") {
                counted.quarantine += count;
            } else if line.starts_with("nezuko_dead_letters_total{") {
                counted.dead_letters += count;
            }
        }
        *self = counted;
    }
}
