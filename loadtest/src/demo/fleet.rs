//! Two gateways and three workers around Redis and PostgreSQL with two bots, while one worker dies with entries in hand and
//! another is restarted.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use nezuko_ports::free_port;
use tokio::sync::watch;

use super::{
    DUPLICATE_ONE_IN, DemoOptions, READY_WITHIN, STOP_WITHIN, Servers, now_ms,
    report::{Outcome, memory, tell},
    screen::{Screen, sum},
};
use crate::{
    drive::{PlayOptions, Program, Progress, Run, alone::executable, http},
    generate::{Scenario, day},
    oracle::Tolerance,
    simulator::{Options, Simulator},
    world::UserId,
};

const BOTS: [UserId; 2] = [UserId(7_000_000_001), UserId(7_000_000_002)];
const SECRET: &str = "demo-secret-0123456789";
const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
/// How long the entries of a dead worker stay its own: short, so that a short day shows the others take them.
const RECLAIM_IDLE_MS: u32 = 2_000;
/// So many updates reach the fleet while a worker stands still that some of them are surely handed to it.
const MISSED: u64 = 60;

fn token(bot: UserId) -> String {
    format!("{bot}:demo-token-that-opens-nothing-anywhere")
}

/// A program of the fleet.
struct Member {
    name: &'static str,
    port: u16,
    ops_port: u16,
    program: Program,
}

/// How the programs are started.
struct Fleet<'a> {
    options: &'a DemoOptions,
    dir: &'a Path,
    environment: Vec<(&'static str, String)>,
}

impl Fleet<'_> {
    async fn start(&self, program: &str, name: &'static str) -> anyhow::Result<Member> {
        self.start_on((free_port(), free_port()), program, name).await
    }

    /// Starts it on these ports, as one does that takes the place of another.
    async fn start_on(
        &self,
        (port, ops_port): (u16, u16),
        program: &str,
        name: &'static str,
    ) -> anyhow::Result<Member> {
        let path = executable(&self.options.programs, program)?;
        let own = [("PORT", port.to_string()), ("OPS_PORT", ops_port.to_string()), ("WORKER_NAME", name.to_owned())];
        let environment = self.environment.iter().cloned().chain(own);
        let mut program = Program::start(&path, name, self.dir, environment)?;
        program.wait_until_ready(&format!("http://127.0.0.1:{ops_port}/ready"), READY_WITHIN).await?;
        Ok(Member { name, port, ops_port, program })
    }
}

impl Member {
    fn page(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.ops_port)
    }

    /// How many entries it has taken over from silent workers.
    async fn reclaimed(&self) -> anyhow::Result<f64> {
        let (_, page) = http::page(&self.page()).await?;
        Ok(sum(&page, "nezuko_updates_reclaimed_total").unwrap_or(0.0))
    }

    async fn stop(self) -> anyhow::Result<()> {
        let status = self.program.stop(STOP_WITHIN).await?;
        ensure!(status.success(), "{} ended with {status} after SIGTERM", self.name);
        Ok(())
    }
}

pub(super) async fn show(options: &DemoOptions, servers: &Servers, dir: &Path) -> anyhow::Result<bool> {
    let (mut runs, api_url) = days(options).await?;
    let bots: Vec<_> =
        BOTS.iter().map(|bot| serde_json::json!({ "token": token(*bot), "webhook_secret": SECRET })).collect();
    let bots_file = dir.join("bots.json");
    std::fs::write(&bots_file, serde_json::to_vec(&bots)?).context("cannot write the file of bots")?;
    let fleet = Fleet {
        options,
        dir,
        environment: vec![
            ("BOTS_FILE", bots_file.display().to_string()),
            ("BIND", "127.0.0.1".to_owned()),
            ("TELEGRAM_API_URL", api_url),
            ("REDIS_URL", servers.redis_url.clone()),
            ("DATABASE_URL", servers.database_url.clone()),
            ("RECLAIM_IDLE_MS", RECLAIM_IDLE_MS.to_string()),
        ],
    };
    let began = Instant::now();
    let (mut gateways, mut workers) = (Vec::new(), Vec::new());
    for name in GATEWAYS {
        gateways.push(fleet.start("nezuko-gateway", name).await?);
    }
    for name in WORKERS {
        workers.push(fleet.start("nezuko-worker", name).await?);
    }
    println!("{} gateways and {} workers are ready after {:.1?}", gateways.len(), workers.len(), began.elapsed());
    let idle: Vec<_> = gateways.iter().chain(&workers).map(|member| (member.name, memory(&member.program))).collect();
    for (run, bot) in runs.iter().zip(BOTS) {
        let webhooks: Vec<_> =
            gateways.iter().map(|gateway| format!("http://127.0.0.1:{}/webhook/{bot}", gateway.port)).collect();
        run.simulator().deliver_to(&webhooks.iter().map(String::as_str).collect::<Vec<_>>(), Some(SECRET));
    }

    let screen = Screen::new(gateways.iter().chain(&workers).map(Member::page).collect());
    let screen = Arc::new(Mutex::new((screen, [Progress::default(); 2])));
    let (tell_progress, mut told) = watch::channel(Progress::default());
    let show_progress = |place: usize, progress: Progress| {
        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
        screen.1[place] = progress;
        let both = screen.1[0] + screen.1[1];
        screen.0.show(&both);
        tell_progress.send_replace(both);
    };
    let trouble = async {
        let before = told.wait_for(|both| both.acted * 5 > both.acts * 2).await?.delivered;
        let victim = workers.remove(0);
        // Redis goes on handing entries to who stands still.
        victim.program.freeze()?;
        told.wait_for(|both| both.delivered >= before + MISSED).await?;
        println!("\n{} is killed with entries in hand", victim.name);
        victim.program.kill().await?;
        told.wait_for(|both| both.acted * 5 > both.acts * 3).await?;
        let restarted = workers.remove(0);
        let (name, ports) = (restarted.name, (restarted.port, restarted.ops_port));
        println!("\n{name} is restarted");
        let reclaimed = restarted.reclaimed().await?;
        restarted.stop().await?;
        workers.push(fleet.start_on(ports, "nezuko-worker", name).await?);
        anyhow::Ok((workers, reclaimed))
    };
    let [one, other] = &mut runs;
    let (troubled, one_rests, other_rests) =
        tokio::join!(trouble, to_the_end(one, |p| show_progress(0, p)), to_the_end(other, |p| show_progress(1, p)));
    let (workers, mut reclaimed) = troubled?;
    screen.lock().unwrap_or_else(PoisonError::into_inner).0.end();

    let mut passed = true;
    for ((run, bot), came_to_rest) in runs.iter().zip(BOTS).zip([one_rests, other_rests]) {
        println!("\nbot {bot}");
        let outcome = Outcome { came_to_rest, may_be_twice: true };
        passed &= tell(run, &outcome, began.elapsed(), &dir.join(format!("history-{bot}.jsonl")))?;
    }
    for worker in &workers {
        reclaimed += worker.reclaimed().await?;
    }
    println!("\nentries of the killed worker that others took over: {reclaimed}");
    passed &= reclaimed > 0.0;
    println!(
        "anonymous memory idle: {}",
        idle.iter().map(|(name, size)| format!("{name} {size}")).collect::<Vec<_>>().join(", ")
    );
    let at_the_end =
        gateways.iter().chain(&workers).map(|member| format!("{} {}", member.name, memory(&member.program)));
    println!("anonymous memory at the end: {}", at_the_end.collect::<Vec<_>>().join(", "));
    for member in gateways.into_iter().chain(workers) {
        member.stop().await?;
    }
    let [one, other] = runs;
    other.stop().await;
    one.stop().await;
    Ok(passed)
}

/// A day of its own for each bot, at one address of the Bot API.
async fn days(options: &DemoOptions) -> anyhow::Result<([Run; 2], String)> {
    let scenarios = [0, 1].map(|nth| day(options.seed + nth as u64, options.plan, Scenario::demo_bot(BOTS[nth])));
    for (scenario, bot) in scenarios.iter().zip(BOTS) {
        println!(
            "bot {bot}: a day of {} chats and {} people, {} acts, in {:?}",
            scenario.chats.len(),
            scenario.people.len(),
            scenario.acts.len(),
            options.lasts
        );
    }
    let settings = BOTS.map(|bot| Options { duplicate_one_in: DUPLICATE_ONE_IN, ..Options::new(&token(bot)) });
    let [one, other] = scenarios;
    let first = Simulator::start(one.world(now_ms()), settings[0].clone()).await?;
    let second = first.beside(other.world(now_ms()), &settings[1]);
    let api_url = first.api_url();
    // A prompt that was on its way when its worker died is taken for lost after a minute.
    // What the killed worker held is acted upon only when others have taken it over.
    let tolerance = Tolerance { crossing_ms: 8_000, ..Tolerance::default() };
    let play =
        PlayOptions { lasts: options.lasts, drain: Duration::from_secs(75), tolerance, ..PlayOptions::default() };
    Ok(([Run::new(one, first, play), Run::new(other, second, play)], api_url))
}

/// Plays a day; whether the bot came to rest.
async fn to_the_end(run: &mut Run, told: impl Fn(Progress)) -> bool {
    run.play(&told).await;
    run.drain(&told).await
}
