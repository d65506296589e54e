//! The demos: the real programs over a day of several groups, with live progress, a report and a verdict.

mod alone;
mod fleet;
mod report;
mod screen;
mod week;

use std::{path::PathBuf, time::Duration};

pub use self::week::WeekOptions;
use crate::{drive::directory::in_directory, generate::DayPlan};

/// What a demo can be told.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where the programs are.
    pub programs: PathBuf,
    /// What the day is made from.
    pub seed: u64,
    /// How much happens.
    pub plan: DayPlan,
    /// How long the day takes.
    pub lasts: Duration,
}

/// The servers of a fleet.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Redis address.
    pub redis_url: String,
    /// PostgreSQL address of a database that may be filled.
    pub database_url: String,
}

/// A program makes its database first.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Longer than the programs' own grace period.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// One in so many updates comes twice, as it does with Telegram.
const DUPLICATE_ONE_IN: u32 = 50;

/// Shows `nezuko`, one process with nothing beside it; true if nothing was lost, wrong or done twice, and everything was
/// exercised.
///
/// # Errors
/// Where the program cannot be started, does not become ready, or does not stop as it should. Its directory is kept then.
pub async fn alone(options: &DemoOptions) -> anyhow::Result<bool> {
    in_directory("demo", async |dir| alone::show(options, dir).await).await
}

/// Shows a fleet with two bots, of which a worker is killed and another is restarted on the way; true if nothing was lost or
/// wrong, and everything was exercised.
///
/// # Errors
/// As with [`alone()`].
pub async fn fleet(options: &DemoOptions, servers: &Servers) -> anyhow::Result<bool> {
    in_directory("demo", async |dir| fleet::show(options, servers, dir).await).await
}

/// Plays a week of groups against `nezuko`, or against a gateway and two workers over `servers`; true if nothing was lost,
/// wrong or done twice, and everything was exercised.
///
/// # Errors
/// As with [`alone()`].
pub async fn week(options: &WeekOptions, servers: Option<&Servers>) -> anyhow::Result<bool> {
    in_directory("week", async |dir| week::show(options, servers, dir).await).await
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
