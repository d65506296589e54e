//! A week of groups with all that they can have, in minutes: the clock of Telegram and of the programs leaps over what is
//! quiet. The programs must have been built with the feature `planted-bugs`, or their clock stays behind.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use nezuko_ports::free_port;

use super::{
    DUPLICATE_ONE_IN, READY_WITHIN, STOP_WITHIN, Servers, now_ms,
    report::{Outcome, tell},
    screen::Screen,
};
use crate::{
    drive::{Hours, Operator, PlayOptions, Program, Run, alone::Alone, alone::executable},
    generate::{Scenario, WeekPlan, week},
    oracle::Tolerance,
    simulator::{Options, Simulator},
    world::UserId,
};

const TOKEN: &str = "7000000001:demo-token-that-opens-nothing-anywhere";
const BOT: UserId = UserId(7_000_000_001);
const SECRET: &str = "demo-secret-0123456789";
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];

/// What a week can be told.
#[derive(Clone, Debug)]
pub struct WeekOptions {
    /// Where the programs are.
    pub programs: PathBuf,
    /// What the week is made from.
    pub seed: u64,
    /// How much happens.
    pub plan: WeekPlan,
    /// How much time passes from one leap to the next.
    pub step: Duration,
}

impl WeekOptions {
    /// How the hours go with programs whose clock is told by a file in `dir`.
    #[must_use]
    pub fn hours(&self, dir: &Path) -> Hours {
        let step_ms = u32::try_from(self.step.as_millis()).unwrap_or(u32::MAX).max(1);
        Hours { step_ms, lasts_ms: self.plan.lasts_ms(), clock: dir.join("clock") }
    }

    /// How such a week is played and judged.
    #[must_use]
    pub fn play(&self) -> PlayOptions {
        let step_ms = i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX / 4);
        PlayOptions {
            patience: Duration::from_millis(800),
            drain: Duration::from_secs(75),
            tolerance: Tolerance { settle_ms: 25_000, crossing_ms: 8_000, timers_ms: 2 * step_ms + 600_000 },
            ..PlayOptions::default()
        }
    }
}

/// The programs of one week.
struct Programs {
    all: Vec<Program>,
    metrics: Vec<String>,
    operator: Option<Operator>,
}

pub(super) async fn show(options: &WeekOptions, servers: Option<&Servers>, dir: &Path) -> anyhow::Result<bool> {
    let scenario = week(options.seed, options.plan, Scenario::demo_bot(BOT));
    println!(
        "{} days of {} chats and {} people, {} acts (seed {})",
        options.plan.days,
        scenario.chats.len(),
        scenario.people.len(),
        scenario.acts.len(),
        options.seed
    );
    let settings = Options { duplicate_one_in: DUPLICATE_ONE_IN, seed: options.seed, ..Options::new(TOKEN) };
    let simulator = Simulator::start(scenario.world(now_ms()), settings).await?;
    let hours = options.hours(dir);
    hours.begin()?;
    let began = Instant::now();
    let clock = vec![("NEZUKO_CLOCK_AHEAD", hours.clock.display().to_string())];
    let programs = match servers {
        None => {
            let Alone { program, metrics, operator, .. } =
                Alone::start(&options.programs, dir, TOKEN, &simulator, &clock).await?;
            Programs { all: vec![program], metrics: vec![metrics], operator: Some(operator) }
        }
        Some(servers) => fleet(options, servers, &simulator, clock, dir).await?,
    };
    let mut screen = Screen::new(programs.metrics);
    let mut run = Run::new(scenario, simulator, options.play());
    programs.operator.into_iter().for_each(|operator| run.set_operator(operator));
    run.play_hours(&hours, |progress| screen.show(&progress)).await?;
    let came_to_rest = run.drain(|progress| screen.show(&progress)).await;
    screen.end();
    println!("{} acts were given up: what they were about never came", run.given_up());
    let outcome = Outcome { came_to_rest, may_be_twice: false };
    let passed = tell(&run, &outcome, began.elapsed(), &dir.join("history.jsonl"))?;
    for program in programs.all {
        let status = program.stop(STOP_WITHIN).await?;
        ensure!(status.success(), "a program ended with {status} after SIGTERM");
    }
    run.stop().await;
    Ok(passed)
}

/// A gateway and two workers.
async fn fleet(
    options: &WeekOptions,
    servers: &Servers,
    telegram: &Simulator,
    clock: Vec<(&'static str, String)>,
    dir: &Path,
) -> anyhow::Result<Programs> {
    let mut programs = Programs { all: Vec::new(), metrics: Vec::new(), operator: None };
    for name in ["gateway"].into_iter().chain(WORKERS) {
        let executable =
            executable(&options.programs, if name == "gateway" { "nezuko-gateway" } else { "nezuko-worker" })?;
        let (port, ops_port) = (free_port(), free_port());
        let own = [
            ("BOT_TOKEN", TOKEN.to_owned()),
            ("WEBHOOK_SECRET", SECRET.to_owned()),
            ("BIND", "127.0.0.1".to_owned()),
            ("TELEGRAM_API_URL", telegram.api_url()),
            ("REDIS_URL", servers.redis_url.clone()),
            ("DATABASE_URL", servers.database_url.clone()),
            ("WORKER_NAME", name.to_owned()),
            ("PORT", port.to_string()),
            ("OPS_PORT", ops_port.to_string()),
        ];
        let environment: Vec<_> = clock.iter().cloned().chain(own).collect();
        let mut program = Program::start(&executable, name, dir, environment.iter().cloned())?;
        let address = format!("http://127.0.0.1:{ops_port}");
        program.wait_until_ready(&format!("{address}/ready"), READY_WITHIN).await?;
        if name == "gateway" {
            telegram.deliver_to(&[&format!("http://127.0.0.1:{port}/webhook/{BOT}")], Some(SECRET));
        }
        programs.operator = Some(Operator { program: executable, environment });
        programs.all.push(program);
        programs.metrics.push(format!("{address}/metrics"));
    }
    Ok(programs)
}
