//! What every adapter of a port must do, as suites that a test runs against it.
//!
//! A suite is right only if it also fails: `tests/` runs each one against adapters with one known fault each. The
//! suites use Tokio's clock, so that adapters in memory can be tested with time paused.

pub mod bot_api_server;
pub mod cache;
pub mod databases;
pub mod limiter;
pub mod postgres_server;
pub mod queue;
pub mod redis_servers;

use std::{future::Future, time::Duration};

use anyhow::{Error, Result, bail, ensure};
use nezuko_telegram::BotId;

/// A bot of its own for each check: ids keep tests apart that share a server.
#[must_use]
pub fn some_bot() -> BotId {
    BotId(rand::random_range(1..1 << 52))
}

/// The outcome of a suite in which these checks failed.
fn all_held(failed: &[Error]) -> Result<()> {
    let failed: Vec<String> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

/// Runs a suite that must fail; returns what it says about the fault.
///
/// # Errors
/// Where the suite passes.
pub async fn must_fail(fault: &str, suite: impl Future<Output = Result<()>>) -> Result<String> {
    match tokio::time::timeout(Duration::from_secs(120), suite).await {
        Ok(Ok(())) => bail!("the suite does not notice: {fault}"),
        Ok(Err(noticed)) => Ok(format!("{fault}: {noticed:#}")),
        Err(_) => Ok(format!("{fault}: never ends")),
    }
}
