//! The fleet: two gateways and three workers over a real Redis and a real PostgreSQL, while some of them die or go.
#![allow(clippy::unwrap_used)]

mod support;

use std::{process::Stdio, time::Duration};

use loadtest::{
    drive::{PlayOptions, Progress, Run},
    generate::DayPlan,
    oracle::Tolerance,
    world::UserId,
};
use support::{
    Directory, Running, Settings, eventually, fresh_bot,
    play::{AFTER_A_DEATH, Day, SHORT, assert_clean, assert_clean_but_for_a_death, play},
    servers::{Servers, Stream, with_servers},
    settings,
};
use tokio::{
    process::Command,
    sync::{Mutex, watch},
};

/// One fleet at a time: two would be too slow for each other's deadlines on two cores.
static TURN: Mutex<()> = Mutex::const_new(());

/// Two gateways and some workers.
struct Fleet {
    dir: Directory,
    settings: Settings,
    stream: Stream,
    gateways: Vec<Running>,
    workers: Vec<(String, Running)>,
}

impl Fleet {
    async fn start(servers: Servers, run: &Run, bot: UserId) -> Self {
        let dir = Directory::new();
        let mut settings = settings(bot, &run.simulator().api_url(), &servers.database_url);
        settings.extend([("REDIS_URL", servers.redis_url), ("RECLAIM_IDLE_MS", "2000".to_owned())]);
        let mut fleet = Self { dir, settings, stream: servers.stream, gateways: Vec::new(), workers: Vec::new() };
        for name in ["gateway-1", "gateway-2"] {
            fleet.gateways.push(Running::start("nezuko-gateway", name, &fleet.dir, &fleet.settings).await);
        }
        for name in ["worker-1", "worker-2", "worker-3"] {
            fleet.start_worker(name).await;
        }
        let webhooks: Vec<String> = fleet.gateways.iter().map(Running::webhook).collect();
        let webhooks: Vec<&str> = webhooks.iter().map(String::as_str).collect();
        run.simulator().deliver_to(&webhooks, Some(support::SECRET));
        fleet
    }

    async fn start_worker(&mut self, name: &str) {
        let mut settings = self.settings.clone();
        settings.push(("WORKER_NAME", name.to_owned()));
        let worker = Running::start("nezuko-worker", name, &self.dir, &settings).await;
        self.workers.push((name.to_owned(), worker));
    }

    /// Kills a worker that has entries in hand; returns those that it left unacknowledged.
    async fn kill_a_busy_worker(&mut self) -> Vec<String> {
        let (name, worker) = self.workers.remove(0);
        let mut left = Vec::new();
        worker
            .kill_when("entries are pending", async || {
                // A round trip first: what it had sent to the last moment has been carried out then.
                self.stream.unfinished().await;
                left = self.stream.pending_of(&name).await;
                !left.is_empty()
            })
            .await;
        println!("{name} was killed with {} entries pending: {left:?}", left.len());
        left
    }

    async fn reclaimed(&self) -> u64 {
        let mut reclaimed = 0;
        for (_, worker) in &self.workers {
            reclaimed += worker.metric("nezuko_updates_reclaimed_total").await;
        }
        reclaimed
    }

    /// Everything has been finished, nothing given up, and everybody ends well.
    async fn end(self) {
        eventually("the stream is empty", async || self.stream.unfinished().await == 0).await;
        assert_eq!(self.stream.dead_letters().await, 0);
        assert_eq!(self.stream.quarantined().await, 0);
        for program in self.gateways.into_iter().chain(self.workers.into_iter().map(|(_, worker)| worker)) {
            program.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_every_entry_of_a_killed_worker_and_nothing_is_lost() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let options = PlayOptions { lasts: Duration::from_secs(16), drain: AFTER_A_DEATH, ..SHORT };
        let mut run = Day::new(bot, 21, DayPlan::BUSY, options).begin(bot).await;
        let mut fleet = Fleet::start(servers, &run, bot).await;

        let (tell, mut told) = watch::channel(Progress::default());
        let killing = async {
            told.wait_for(|progress| progress.acted * 2 > progress.acts).await.unwrap();
            let left = fleet.kill_a_busy_worker().await;
            let stream = fleet.stream.clone();
            // The dead acknowledge nothing: who ended an entry is another.
            for id in &left {
                eventually("an entry of the dead is finished", async || !stream.holds(id).await).await;
            }
            assert!(fleet.reclaimed().await >= left.len() as u64, "{} of {}", fleet.reclaimed().await, left.len());
            fleet
        };
        let (verdict, fleet) =
            tokio::join!(play(&mut run, |progress| tell.send_modify(|seen| *seen = progress)), killing);
        let counters = run.simulator().counters();
        assert!(counters.delivered >= 1_500, "{counters:?}");
        assert_clean_but_for_a_death(&verdict);
        fleet.end().await;
        run.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_goes_and_comes_back_in_mid_stream_and_nothing_is_lost() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let options = PlayOptions { drain: Duration::from_secs(45), ..SHORT };
        let mut run = Day::new(bot, 22, DayPlan::QUICK, options).begin(bot).await;
        let mut fleet = Fleet::start(servers, &run, bot).await;

        let (tell, mut told) = watch::channel(Progress::default());
        let restarting = async {
            told.wait_for(|progress| progress.acted * 3 > progress.acts).await.unwrap();
            for gateway in &fleet.gateways {
                assert!(gateway.metric("nezuko_webhook_requests_total").await > 0, "both gateways get updates");
            }
            let gateway = fleet.gateways.remove(0);
            let ports = (gateway.port, gateway.ops_port);
            gateway.stop().await;
            told.wait_for(|progress| progress.acted * 2 > progress.acts).await.unwrap();
            let again =
                Running::start_on(ports, "nezuko-gateway", "gateway-1-again", &fleet.dir, &fleet.settings).await;
            fleet.gateways.push(again);
            fleet
        };
        let (verdict, fleet) =
            tokio::join!(play(&mut run, |progress| tell.send_modify(|seen| *seen = progress)), restarting);
        assert_clean(&verdict);
        fleet.end().await;
        run.stop().await;
    })
    .await;
}

/// Telegram may leave out the events about the bot's own acts: then lookups confirm them, some seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn without_echoes_all_ends_right_by_lookups() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let options = PlayOptions {
            drain: Duration::from_secs(90),
            tolerance: Tolerance { settle_ms: 20_000, ..SHORT.tolerance },
            ..SHORT
        };
        let plan = DayPlan { stories: 18, raiders: 10, ..DayPlan::QUICK };
        let day = Day { echo_own_acts: false, ..Day::new(bot, 23, plan, options) };
        let mut run = day.begin(bot).await;
        let fleet = Fleet::start(servers, &run, bot).await;
        let verdict = play(&mut run, |_| ()).await;
        assert_clean(&verdict);
        fleet.end().await;
        run.stop().await;
    })
    .await;
}

/// Two bots, and a worker that dies and one that is restarted on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_of_a_fleet_shows_two_bots_and_leaves_nothing() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let dir = Directory::new();
        let demo = Command::new(support::program("nezuko-loadtest"))
            .args(["demo", "--distributed", "--quick", "--seconds", "12"])
            .env_clear()
            .envs([("REDIS_URL", &servers.redis_url), ("DATABASE_URL", &servers.database_url)])
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = demo.await.unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        println!("{report}");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let clean = report.lines().filter(|line| line.starts_with("lost=0 wrong=0 ")).count();
        assert_eq!(clean, 2, "a verdict for each bot");
        assert!(report.contains("worker-1 is killed") && report.contains("worker-2 is restarted"));
        let taken_over =
            report.lines().find_map(|line| line.strip_prefix("entries of the killed worker that others took over: "));
        assert!(taken_over.unwrap().parse::<u64>().unwrap() > 0, "the killed worker held nothing");
        for bot in [7_000_000_001, 7_000_000_002].map(UserId) {
            let stream = servers.stream.of(bot);
            assert_eq!((stream.unfinished().await, stream.dead_letters().await), (0, 0), "every update was ended");
            stream.forget_bot().await;
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a directory is left");
    })
    .await;
}
