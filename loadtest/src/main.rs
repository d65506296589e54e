//! `nezuko-loadtest`: a Telegram to test against, scenarios to play in it, and a judge.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use loadtest::{
    demo::{self, DemoOptions, Servers, WeekOptions},
    drive::{PlayOptions, Run},
    fixtures::fixtures,
    generate::{DayPlan, Scenario, WeekPlan, day, stream, varied_day, week},
    replay::{ReplayOptions, replay},
    simulator::{Options, Simulator},
    world::{Act, UserId},
};

/// A Telegram to test Nezuko against.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the Bot API and delivers updates; reads acts from standard input, one JSON object a line.
    Simulate(Telegram),
    /// Writes a scenario, or a plain stream of updates, as JSON lines.
    Generate(Generate),
    /// Posts a stream of updates to a webhook.
    Replay(Replay),
    /// Plays a scenario against running programs and judges them. Exit code 1: something was lost, wrong or done twice.
    Verify(Verify),
    /// Shows the programs at work over a day of several groups, and judges them.
    Demo(Demo),
    /// Plays a week of 20 groups with all that they can have, in minutes, and judges the programs. They must have been built
    /// with the feature `planted-bugs`, which lets their clock be put ahead.
    Week(Week),
    /// Sends updates from a file through the program `nezuko`. Exit code 1: it did not take in every one.
    Fixtures(Fixtures),
}

#[derive(Args)]
struct Telegram {
    /// Where the Bot API listens: the programs' TELEGRAM_API_URL.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The bot's token; its id stands before the colon.
    #[arg(long)]
    token: String,
    /// A webhook, plain HTTP with its path; several are taken in turn. Without any, setWebhook says it.
    #[arg(long)]
    gateway: Vec<String>,
    /// The webhook's secret.
    #[arg(long)]
    secret: Option<String>,
    /// A scenario from `generate`; without it a day is made from the seed.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// What a day is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One in so many updates comes twice; 0: none.
    #[arg(long, default_value_t = 0)]
    duplicate_one_in: u32,
    /// Sends the bot no `chat_member` about its own acts.
    #[arg(long)]
    no_echoes: bool,
}

#[derive(Args)]
struct Generate {
    /// What it is made from: the same seed gives the same lines.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The bot's id.
    #[arg(long, default_value_t = 7_000_000_001)]
    bot: i64,
    /// A day in groups with other settings than usual, and with what is rarer.
    #[arg(long, conflicts_with = "updates")]
    varied: bool,
    /// A week of 20 groups with all that they can have, for `week`.
    #[arg(long, conflicts_with_all = ["updates", "varied"])]
    week: bool,
    /// So many plain updates for `replay` instead of a scenario for `verify`.
    #[arg(long)]
    updates: Option<usize>,
    /// Where to; standard output without.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Replay {
    /// Updates, one JSON object a line.
    #[arg(long)]
    file: PathBuf,
    /// The webhook, plain HTTP.
    #[arg(long)]
    url: hyper::Uri,
    /// The webhook's secret.
    #[arg(long)]
    secret: Option<String>,
    /// Updates a second; as fast as it goes without.
    #[arg(long)]
    rate: Option<f64>,
    /// Connections at once.
    #[arg(long, default_value_t = 40)]
    connections: usize,
    /// Numbers the updates anew from here.
    #[arg(long)]
    fresh_ids_from: Option<i64>,
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    telegram: Telegram,
    /// How many seconds the scenario takes.
    #[arg(long, default_value_t = 36)]
    seconds: u64,
}

#[derive(Args)]
struct Demo {
    /// Where the programs are; beside this one without.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// What the day is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seconds the day takes.
    #[arg(long, default_value_t = 36)]
    seconds: u64,
    /// A day with less in it.
    #[arg(long)]
    quick: bool,
    /// A fleet with two bots instead of one process, over the servers of REDIS_URL and DATABASE_URL, which are filled.
    #[arg(long)]
    distributed: bool,
}

#[derive(Args)]
struct Week {
    /// Where the programs are; beside this one without.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// What the week is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many minutes pass from one leap of the clock to the next.
    #[arg(long, default_value_t = 180)]
    step: u64,
    /// Two days with less in them.
    #[arg(long)]
    quick: bool,
    /// A gateway and two workers instead of one process, over the servers of REDIS_URL and DATABASE_URL, which are filled.
    #[arg(long)]
    distributed: bool,
}

#[derive(Args)]
struct Fixtures {
    /// Updates, one JSON object a line.
    #[arg(long)]
    file: PathBuf,
    /// Where the program `nezuko` is; beside this one without.
    #[arg(long)]
    programs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let passed = match Cli::parse().command {
        Command::Simulate(options) => simulate(options).await.map(|()| true),
        Command::Generate(options) => generate(options).map(|()| true),
        Command::Replay(options) => replay_file(options).await.map(|()| true),
        Command::Verify(options) => verify(options).await,
        Command::Demo(options) => show(options).await,
        Command::Week(options) => show_week(options).await,
        Command::Fixtures(Fixtures { file, programs }) => fixtures(&file, &programs_in(programs)?).await,
    }?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The directory of the programs, by default this one's own.
fn programs_in(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let beside = || Ok(std::env::current_exe()?.parent().context("a program lies in a directory")?.to_owned());
    given.map_or_else(beside, Ok)
}

async fn show(options: Demo) -> anyhow::Result<bool> {
    let plan = match (options.quick, options.distributed) {
        (true, _) => DayPlan::QUICK,
        (false, true) => DayPlan::BUSY,
        (false, false) => DayPlan::default(),
    };
    let demo = DemoOptions {
        programs: programs_in(options.programs)?,
        seed: options.seed,
        plan,
        lasts: Duration::from_secs(options.seconds),
    };
    if !options.distributed {
        return demo::alone(&demo).await;
    }
    demo::fleet(&demo, &servers()?).await
}

/// The servers that the environment names.
fn servers() -> anyhow::Result<Servers> {
    let url = |name: &str| {
        let url = std::env::var(name).ok().filter(|url| !url.is_empty());
        url.with_context(|| format!("{name} is not set; `make` starts the servers that are needed"))
    };
    Ok(Servers { redis_url: url("REDIS_URL")?, database_url: url("DATABASE_URL")? })
}

async fn show_week(options: Week) -> anyhow::Result<bool> {
    let plan = if options.quick { WeekPlan::SHORT } else { WeekPlan::default() };
    let week = WeekOptions {
        programs: programs_in(options.programs)?,
        seed: options.seed,
        plan,
        step: Duration::from_secs(60 * options.step),
    };
    let servers = if options.distributed { Some(servers()?) } else { None };
    demo::week(&week, servers.as_ref()).await
}

impl Telegram {
    fn scenario(&self) -> anyhow::Result<Scenario> {
        if let Some(path) = &self.scenario {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            return Scenario::read_from(BufReader::new(file));
        }
        let id = self.token.split(':').next().unwrap_or_default();
        let id = id.parse().context("a token begins with the bot's id and a colon")?;
        Ok(day(self.seed, DayPlan::default(), Scenario::demo_bot(UserId(id))))
    }

    async fn start(&self, scenario: &Scenario) -> anyhow::Result<Simulator> {
        let options = Options {
            listen: self.listen,
            duplicate_one_in: self.duplicate_one_in,
            seed: self.seed,
            ..Options::new(&self.token)
        };
        let mut world = scenario.world(now_ms());
        world.switches.echo_own_acts = !self.no_echoes;
        let simulator = Simulator::start(world, options).await?;
        let gateways: Vec<&str> = self.gateway.iter().map(String::as_str).collect();
        simulator.deliver_to(&gateways, self.secret.as_deref());
        eprintln!("TELEGRAM_API_URL={}", simulator.api_url());
        Ok(simulator)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn simulate(options: Telegram) -> anyhow::Result<()> {
    let simulator = options.start(&options.scenario()?).await?;
    let (send, mut lines) = tokio::sync::mpsc::channel(16);
    // Reading blocks; it ends with standard input.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    loop {
        let line = tokio::select! {
            stopped = tokio::signal::ctrl_c() => { stopped?; break }
            Some(line) = lines.recv() => line,
        };
        match serde_json::from_str::<Act>(&line) {
            Ok(act) => println!("{:?}", simulator.act(act)),
            Err(error) => println!("no act: {error}"),
        }
    }
    println!("{}", serde_json::to_string(&simulator.counters())?);
    simulator.stop().await;
    Ok(())
}

fn generate(options: Generate) -> anyhow::Result<()> {
    let mut out: Box<dyn Write> = match &options.out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = BufWriter::new(&mut out);
    let bot = Scenario::demo_bot(UserId(options.bot));
    match options.updates {
        Some(count) => {
            for update in stream(options.seed, count, &bot, now_ms()) {
                writeln!(out, "{}", update.body)?;
            }
        }
        None => {
            let scenario = match (options.week, options.varied) {
                (true, _) => week(options.seed, WeekPlan::default(), bot),
                (false, true) => varied_day(options.seed, DayPlan::default(), bot),
                (false, false) => day(options.seed, DayPlan::default(), bot),
            };
            scenario.write_to(&mut out)?;
        }
    }
    Ok(out.flush()?)
}

async fn replay_file(options: Replay) -> anyhow::Result<()> {
    let file = File::open(&options.file).with_context(|| format!("cannot read {}", options.file.display()))?;
    let lines = BufReader::new(file).lines().collect::<Result<Vec<_>, _>>()?;
    let Replay { url, secret, rate, connections, fresh_ids_from, .. } = options;
    let report = replay(lines, &ReplayOptions { url, secret, rate, connections, fresh_ids_from }).await;
    println!("{report}");
    Ok(())
}

async fn verify(options: Verify) -> anyhow::Result<bool> {
    let scenario = options.telegram.scenario()?;
    let simulator = options.telegram.start(&scenario).await?;
    let play = PlayOptions { lasts: Duration::from_secs(options.seconds), ..PlayOptions::default() };
    let mut run = Run::new(scenario, simulator, play);
    run.play(|_| ()).await;
    let came_to_rest = run.drain(|_| ()).await;
    let verdict = run.verdict();
    println!("{}", serde_json::to_string(&run.simulator().counters())?);
    println!("{verdict}");
    if !came_to_rest {
        println!("the bot never came to rest");
    }
    run.stop().await;
    Ok(came_to_rest && verdict.is_clean() && verdict.unexercised().is_empty())
}
