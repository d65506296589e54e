//! The limiter as a fleet uses it: processes with an endless backlog ask it over a real Redis and call a simulated Telegram
//! through Nezuko's own client, while processes are stopped, calls delayed and Redis replaced. The simulator's log of
//! arrivals decides. Run by `make bench-limiter`; a short version runs with the tests.
#![allow(missing_docs, clippy::unwrap_used)]

mod cost;
mod fleet;
mod outcome;
mod redis_server;
mod report;
mod runs;
mod sender;
mod trouble;
mod usual;

use std::{env, process::ExitCode, time::Duration};

use nezuko_telegram::BotId;

use self::{redis_server::RedisServer, report::Report, runs::Run};

/// What a sender is told, in its environment; who has this is a sender.
const ORDERS: &str = "NEZUKO_BENCH_SENDER";
const BOT: BotId = BotId(7_000_000_005);
const TOKEN: &str = "7000000005:bench-token-that-opens-nothing";

fn main() -> ExitCode {
    if let Ok(orders) = env::var(ORDERS) {
        // One thread, so that a sender that stands still does so as a whole.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sender::send(serde_json::from_str(&orders).unwrap()));
        return ExitCode::SUCCESS;
    }
    let wanted = Wanted::of(env::args().skip(1));
    let mut runs = if wanted.in_full { runs::all(wanted.lasts) } else { runs::short() };
    runs.retain(|run| wanted.names.is_empty() || wanted.names.iter().any(|name| run.name.contains(name.as_str())));
    if runs.is_empty() {
        return ExitCode::SUCCESS;
    }
    if !RedisServer::is_installed() {
        println!("SKIPPED: redis-server is not installed");
        let is_needed = wanted.in_full || env::var("CI").as_deref() == Ok("true");
        return if is_needed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let holds = runtime.block_on(carry_out(&runs, wanted.in_full));
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `--seconds N`, and parts of the names of runs; what else cargo says is of no account.
struct Wanted {
    in_full: bool,
    lasts: Duration,
    names: Vec<String>,
}

impl Wanted {
    fn of(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self { in_full: false, lasts: Duration::from_secs(60), names: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // `cargo test` says nothing of the kind.
                "--bench" => wanted.in_full = true,
                "--seconds" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    wanted.lasts = Duration::from_secs(seconds.expect("--seconds wants a whole number"));
                }
                name if !name.starts_with('-') => wanted.names.push(name.to_owned()),
                _ => {}
            }
        }
        wanted
    }
}

async fn carry_out(runs: &[Run], in_full: bool) -> bool {
    let mut report = Report::begin();
    for run in runs {
        report.add(run, &fleet::run(&run.setting).await);
    }
    if in_full {
        cost::measure().await;
    }
    report.end()
}
