//! SIGTERM to the real programs while a server of theirs hangs: they end in time, and what they leave is free at once.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../shared/tests/servers_away/door.rs"]
mod door;
mod support;

use std::time::{Duration, Instant};

use door::{Door, Way};
use loadtest::{
    simulator::{Options, Simulator},
    world::{Act, Content, Person, UserId, World},
};
use support::{
    Directory, Running, SECRET, Settings, eventually, fresh_bot,
    servers::{Servers, Stream, count_rows, with_servers},
    settings, token,
};

const PEOPLE: usize = 40;
/// Of the programs, for what is in hand.
const GRACE: Duration = Duration::from_secs(2);
/// What giving back claims and entries may take after it, each 2 s, and one for a busy machine.
const A_LITTLE: Duration = Duration::from_secs(5);
/// Nobody takes over what a silent worker holds before a test is over.
const IDLE_MS: &str = "600000";

const fn person(number: usize) -> UserId {
    UserId(5_000_000_000 + number as i64)
}

/// `HOST:PORT` of a server's address.
fn host(url: &str) -> &str {
    let authority = url.split("://").nth(1).unwrap().split('/').next().unwrap();
    authority.rsplit('@').next().unwrap()
}

/// A gateway and a worker with a door before each of their servers.
struct Scene {
    dir: Directory,
    telegram: Simulator,
    /// Of who comes when the doors are held.
    direct: Settings,
    stream: Stream,
    /// As who sees the rows of every bot.
    administrator: String,
    to_redis: Door,
    to_postgres: Door,
    to_telegram: Door,
    gateway: Running,
    worker: Running,
}

impl Scene {
    async fn start(bot: UserId, servers: Servers) -> Self {
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        for number in 0..PEOPLE {
            world.add_person(Person::named(person(number), "Ann"));
        }
        let telegram = Simulator::start(world, Options::new(&token(bot))).await.unwrap();
        let api_url = telegram.api_url();
        let before = async |url: &str| {
            let door = Door::before(host(url).to_owned()).await;
            let through = url.replacen(host(url), &door.address.to_string(), 1);
            (door, through)
        };
        let (to_redis, redis) = before(&servers.redis_url).await;
        let (to_postgres, postgres) = before(&servers.database_url).await;
        let (to_telegram, api) = before(&api_url).await;
        let all = |api: &str, postgres: &str, redis: &str| {
            let mut settings = settings(bot, api, postgres);
            settings.extend([
                ("REDIS_URL", redis.to_owned()),
                ("RECLAIM_IDLE_MS", IDLE_MS.to_owned()),
                ("SHUTDOWN_GRACE_SECONDS", GRACE.as_secs().to_string()),
            ]);
            settings
        };
        let (dir, through) = (Directory::new(), all(&api, &postgres, &redis));
        let gateway = Running::start("nezuko-gateway", "gateway", &dir, &through).await;
        let worker = start_worker("worker-1", &dir, &through).await;
        telegram.deliver_to(&[&gateway.webhook()], Some(SECRET));
        let scene = Self {
            dir,
            telegram,
            direct: all(&api_url, &servers.database_url, &servers.redis_url),
            stream: servers.stream,
            administrator: servers.database_url.split('?').next().unwrap().to_owned(),
            to_redis,
            to_postgres,
            to_telegram,
            gateway,
            worker,
        };
        scene.everybody_asks();
        eventually("an answer", async || scene.answers() > 0).await;
        scene
    }

    /// Something to take in and something to call for each.
    fn everybody_asks(&self) {
        for user in (0..PEOPLE).map(person) {
            let content = Content::Text("/help".to_owned());
            self.telegram.act(Act::Write { user, chat: user.private_chat(), content, thread: None }).unwrap();
        }
    }

    fn answers(&self) -> usize {
        self.telegram.calls().iter().filter(|call| call.method.eq_ignore_ascii_case("sendMessage")).count()
    }
}

/// How many intents the first worker has claimed.
async fn claimed(administrator: &str) -> i64 {
    let held = "intents WHERE claimed_by LIKE 'worker-1-%' AND claimed_until_ms > 0 AND done_ms IS NULL";
    count_rows(administrator, held).await
}

async fn start_worker(name: &str, dir: &Directory, settings: &Settings) -> Running {
    let mut settings = settings.clone();
    settings.push(("WORKER_NAME", name.to_owned()));
    Running::start("nezuko-worker", name, dir, &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_end_within_the_grace_period_while_a_server_hangs() {
    for hanging in ["Redis", "PostgreSQL", "Telegram"] {
        let bot = fresh_bot();
        with_servers(bot, async move |servers| {
            let scene = Scene::start(bot, servers).await;
            let door = match hanging {
                "Redis" => &scene.to_redis,
                "PostgreSQL" => &scene.to_postgres,
                _ => &scene.to_telegram,
            };
            door.set(Way::Held);
            scene.everybody_asks();
            let began = Instant::now();
            scene.gateway.terminate();
            scene.worker.terminate();
            let (gateway, worker) =
                tokio::join!(scene.gateway.ended(GRACE + A_LITTLE), scene.worker.ended(GRACE + A_LITTLE));
            println!("while {hanging} hangs they end after {:.1?}", began.elapsed());
            assert_eq!((gateway, worker), (Some(0), Some(0)), "{hanging}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_a_worker_could_not_finish_are_free_at_once() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let scene = Scene::start(bot, servers).await;
        scene.to_postgres.set(Way::Held);
        scene.everybody_asks();
        eventually("entries are in hand", async || !scene.stream.pending_of("worker-1").await.is_empty()).await;
        scene.worker.terminate();
        eventually("it says that it is not ready", async || scene.worker.ready().await == 503).await;
        let Scene { worker, stream, direct, dir, gateway, .. } = scene;
        assert_eq!(worker.ended(GRACE + A_LITTLE).await, Some(0));
        assert_eq!(stream.pending_of("worker-1").await, [""; 0]);
        assert!(stream.unfinished().await > 0, "nothing was left to finish");

        let next = start_worker("worker-2", &dir, &direct).await;
        eventually("another one finishes them", async || stream.unfinished().await == 0).await;
        assert!(next.metric("nezuko_updates_reclaimed_total").await > 0, "it took over nothing");
        next.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_a_worker_could_not_finish_are_free_at_once() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let scene = Scene::start(bot, servers).await;
        scene.to_telegram.set(Way::Held);
        scene.everybody_asks();
        eventually("intents are claimed", async || claimed(&scene.administrator).await > 0).await;
        scene.worker.terminate();
        assert_eq!(scene.worker.ended(GRACE + A_LITTLE).await, Some(0));
        assert_eq!(claimed(&scene.administrator).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_worker_at_once() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let scene = Scene::start(bot, servers).await;
        scene.to_telegram.set(Way::Held);
        scene.everybody_asks();
        eventually("calls are under way", async || claimed(&scene.administrator).await > 0).await;
        let began = Instant::now();
        scene.worker.terminate();
        eventually("the first signal has been heard", async || scene.worker.ready().await == 503).await;
        scene.worker.terminate();
        assert_eq!(scene.worker.ended(GRACE).await, Some(128 + 15));
        assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
    })
    .await;
}
