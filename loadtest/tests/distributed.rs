//! The fleet: two gateways and three workers over a real Redis and a real PostgreSQL, while some of them die or go.
#![allow(clippy::unwrap_used)]

mod support;

use std::{process::Stdio, time::Duration};

use loadtest::{
    drive::{PlayOptions, Progress},
    generate::DayPlan,
    oracle::Tolerance,
    world::UserId,
};
use support::{
    Directory, Running, eventually,
    fleet::Fleet,
    fresh_bot,
    play::{AFTER_A_DEATH, Day, SHORT, assert_clean, assert_clean_but_for_a_death, play},
    servers::with_servers,
};
use tokio::{
    process::Command,
    sync::{Mutex, watch},
};

/// One fleet at a time: two would be too slow for each other's deadlines on two cores.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn others_take_every_entry_of_a_killed_worker_and_nothing_is_lost() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let options = PlayOptions { lasts: Duration::from_secs(16), drain: AFTER_A_DEATH, ..SHORT };
        let mut run = Day::new(bot, 21, DayPlan::BUSY, options).begin(bot).await;
        let mut fleet = Fleet::start(servers, run.simulator(), bot).await;

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
        let mut fleet = Fleet::start(servers, run.simulator(), bot).await;

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
        let fleet = Fleet::start(servers, run.simulator(), bot).await;
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
