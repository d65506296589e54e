//! The demo: the real program over a day of several groups, with live progress, a report and a verdict.

use std::{
    io::{IsTerminal, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;

use crate::{
    drive::{PlayOptions, Program, Progress, Run, http},
    generate::{DayPlan, Scenario, day},
    simulator::{Counters, Options, Simulator},
    world::UserId,
};

/// What the demo can be told.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The program to show.
    pub nezuko: PathBuf,
    /// What the day is made from.
    pub seed: u64,
    /// How much happens.
    pub plan: DayPlan,
    /// How long the day takes.
    pub lasts: Duration,
}

const TOKEN: &str = "7000000001:demo-token-that-opens-nothing-anywhere";
const BOT: UserId = UserId(7_000_000_001);
const SECRET: &str = "demo-secret-0123456789";
/// The program makes its database first.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Longer than the program's own grace period.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// One in so many updates comes twice, as it does with Telegram.
const DUPLICATE_ONE_IN: u32 = 50;

/// Runs it; true if nothing was lost, wrong or done twice, and everything was exercised.
///
/// # Errors
/// Where the program cannot be started, does not become ready, or does not stop as it should. Its directory is kept then.
pub async fn demo(options: &DemoOptions) -> anyhow::Result<bool> {
    ensure!(options.nezuko.is_file(), "there is no program {}; build it first", options.nezuko.display());
    let dir = std::env::temp_dir().join(format!("nezuko-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let passed = show(options, &dir).await;
    if matches!(passed, Ok(true)) {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    } else {
        println!("kept for a look: {}", dir.display());
    }
    passed
}

async fn show(options: &DemoOptions, dir: &Path) -> anyhow::Result<bool> {
    let began = Instant::now();
    let scenario = day(options.seed, options.plan, Scenario::demo_bot(BOT));
    println!(
        "a day of {} chats and {} people, {} acts, in {:?} (seed {})",
        scenario.chats.len(),
        scenario.people.len(),
        scenario.acts.len(),
        options.lasts,
        options.seed
    );
    let settings = Options { duplicate_one_in: DUPLICATE_ONE_IN, seed: options.seed, ..Options::new(TOKEN) };
    let simulator = Simulator::start(scenario.world(now_ms()), settings).await?;
    let (port, ops_port) = (free_port()?, free_port()?);
    let database = format!("sqlite://{}", dir.join("nezuko.sqlite").display());
    let environment = [
        ("BOT_TOKEN", TOKEN.to_owned()),
        ("WEBHOOK_URL", format!("http://127.0.0.1:{port}")),
        ("WEBHOOK_SECRET", SECRET.to_owned()),
        ("PORT", port.to_string()),
        ("OPS_PORT", ops_port.to_string()),
        ("TELEGRAM_API_URL", simulator.api_url()),
        ("DATABASE_URL", database),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let mut program = Program::start(&options.nezuko, "nezuko", dir, environment)?;
    program.wait_until_ready(&format!("http://127.0.0.1:{ops_port}/ready"), READY_WITHIN).await?;
    println!("{} is ready after {:.1?}", options.nezuko.display(), began.elapsed());

    let metrics = Metrics::follow(format!("http://127.0.0.1:{ops_port}/metrics"));
    let mut screen = Screen::new(metrics);
    let play = PlayOptions { lasts: options.lasts, ..PlayOptions::default() };
    let mut run = Run::new(scenario, simulator, play);
    run.play(|progress| screen.show(&progress)).await;
    let came_to_rest = run.drain(|progress| screen.show(&progress)).await;
    screen.end();

    let verdict = run.verdict();
    let counters = run.simulator().counters();
    let calls = run.simulator().call_count();
    println!("{}", delivery_line(&counters, calls, began.elapsed()));
    println!("{verdict}");
    if !verdict.is_clean() {
        write_history(&run, &dir.join("history.jsonl"))?;
    }
    let status = program.stop(STOP_WITHIN).await?;
    run.stop().await;
    let unexercised = verdict.unexercised();
    if !unexercised.is_empty() {
        println!("not exercised: {}", unexercised.join(", "));
    }
    if !came_to_rest {
        println!("the bot never came to rest");
    }
    if !status.success() {
        println!("the program ended with {status} after SIGTERM");
    }
    Ok(verdict.is_clean() && unexercised.is_empty() && came_to_rest && status.success())
}

/// Everything that happened in the world, one JSON object a line, beside the program's own log.
fn write_history(run: &Run, path: &Path) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for entry in run.simulator().world(|world| world.history().to_vec()) {
        serde_json::to_writer(&mut out, &entry)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn delivery_line(counters: &Counters, calls: usize, took: Duration) -> String {
    let Counters { delivered, duplicates, retried, dropped, .. } = counters;
    format!(
        "\n{delivered} updates taken in ({duplicates} came twice, {retried} retried, {dropped} dropped), {calls} calls, {:.0} s",
        took.as_secs_f64()
    )
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the program's own metrics say, if it has a page of them.
#[derive(Clone, Debug, Default)]
struct Shown {
    decided: Option<f64>,
    /// Calls that the limiter let go, and those that it told to wait.
    granted: Option<f64>,
    denied: Option<f64>,
}

struct Metrics {
    shown: Arc<Mutex<Shown>>,
    stop: CancellationToken,
}

impl Metrics {
    fn follow(page: String) -> Self {
        let (shown, stop) = (Arc::new(Mutex::new(Shown::default())), CancellationToken::new());
        let (put, stopped) = (Arc::clone(&shown), stop.clone());
        tokio::spawn(async move {
            let Ok(uri) = page.parse() else { return };
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    _ = tick.tick() => {}
                }
                if let Ok((200, body)) = http::get(&uri).await {
                    let text = String::from_utf8_lossy(&body);
                    *put.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
                        decided: sum(&text, "nezuko_updates_total"),
                        granted: sum(&text, "nezuko_limiter_grants_total"),
                        denied: sum(&text, "nezuko_limiter_denials_total"),
                    };
                }
            }
        });
        Self { shown, stop }
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sum over all labels of a metric in the text format; nothing if it is not there.
fn sum(page: &str, metric: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        rest.starts_with(['{', ' ']).then(|| rest.split_whitespace().last()?.parse::<f64>().ok())?
    });
    samples.fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample))
}

/// Where progress is shown: one line that changes on a terminal, a plain line every two seconds elsewhere.
struct Screen {
    metrics: Metrics,
    is_terminal: bool,
    next_line: Instant,
}

impl Screen {
    fn new(metrics: Metrics) -> Self {
        Self { metrics, is_terminal: std::io::stdout().is_terminal(), next_line: Instant::now() }
    }

    fn show(&mut self, progress: &Progress) {
        if !self.is_terminal && Instant::now() < self.next_line {
            return;
        }
        self.next_line = Instant::now() + Duration::from_secs(2);
        let Progress { acted, acts, delivered, pending, calls, muted, freed, deleted } = progress;
        let shown = self.metrics.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = |name: &str, value: Option<f64>| value.map_or(String::new(), |value| format!(" · {name} {value:.0}"));
        let line = format!(
            "acts {acted}/{acts} · updates in {delivered} · waiting {pending}{} · calls {calls} · muted {muted} · freed {freed} · deleted {deleted}{}{}",
            own("decided", shown.decided),
            own("limiter let go", shown.granted),
            own("held up", shown.denied),
        );
        let mut out = std::io::stdout().lock();
        // Progress that cannot be written is no reason to stop.
        let _unseen = if self.is_terminal { write!(out, "\r\x1b[2K{line}") } else { writeln!(out, "{line}") };
        let _unseen = out.flush();
    }

    fn end(&self) {
        if self.is_terminal {
            println!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let page = "# TYPE bot_verifications counter\n\
                    bot_verifications_total{bot_id=\"1\",status=\"free\"} 3\n\
                    bot_verifications_total{bot_id=\"1\",status=\"restricted\"} 4\n\
                    bot_verifications_total_by_day 9\n\
                    plain 2\n";
        assert_eq!(sum(page, "bot_verifications_total"), Some(7.0));
        assert_eq!(sum(page, "plain"), Some(2.0));
        assert_eq!(sum(page, "bot_errors_total"), None);
    }
}
