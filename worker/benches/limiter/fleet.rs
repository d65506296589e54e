//! One run: Redis, Telegram, the ways to them, senders, and what befalls them.

use std::{
    env, fs,
    net::SocketAddr,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use loadtest::{
    drive::{Delays, Program, SlowLink},
    simulator::{FloodRule, Options, Simulator},
    world::{ChatKind, ChatSpec, Member, Person, UserId, World},
};

use super::{
    BOT, ORDERS, TOKEN,
    outcome::{Cost, Logs, Outcome},
    redis_server::{self, RedisServer},
    sender::{Orders, Stall, Told, unix_us},
    trouble::{self, LONG, Replaceable, Trouble},
    usual::Algorithm,
};

/// People that one sender writes to: so many that nobody gets two messages in two seconds.
const PEOPLE: i64 = 300;
const FIRST_PERSON: i64 = 1_000_000;
/// From the first call until it is measured, so that what is measured is going steadily.
const SETTLES: Duration = Duration::from_secs(2);
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// All senders at once, in some send.
const STALL: Stall = Stall { every: Duration::from_secs(10), lasts: LONG };

/// How a run is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) senders: usize,
    /// How long it is measured.
    pub(crate) lasts: Duration,
    pub(crate) algorithm: Algorithm,
    /// J of Nezuko's own limiter.
    pub(crate) jitter: Duration,
    /// Of the way to Redis; zero: a direct one.
    pub(crate) round_trip: Duration,
    /// The longest that a call is held up on its way to Telegram; zero: a direct one.
    pub(crate) on_the_way: Duration,
    pub(crate) trouble: Trouble,
}

/// Carries a run out.
pub(crate) async fn run(setting: &Setting) -> Outcome {
    let dir = env::temp_dir().join(format!("nezuko-bench-{:016x}", rand::random::<u64>()));
    fs::create_dir_all(&dir).unwrap();
    let mut primary = RedisServer::start(&dir).await;
    let replica = match setting.trouble {
        Trouble::StopsAndAnotherRedis => Some(RedisServer::start_replica_of(&primary, &dir).await),
        Trouble::None | Trouble::LongStops => None,
    };
    let to_redis = if setting.round_trip.is_zero() && replica.is_none() {
        None
    } else {
        Some(SlowLink::start(primary.address(), Delays::round_trip(setting.round_trip), 1).await.unwrap())
    };
    let options = Options { flood_rules: true, ..Options::new(TOKEN) };
    let simulator = Simulator::start(world(setting.senders), options).await.unwrap();
    let telegram: SocketAddr = simulator.api_url().trim_start_matches("http://").parse().unwrap();
    let to_telegram = SlowLink::start(telegram, Delays::jitter(setting.on_the_way), 2).await.unwrap();

    let redis_address = to_redis.as_ref().map_or(primary.address(), SlowLink::address);
    let api_address = if setting.on_the_way.is_zero() { telegram } else { to_telegram.address() };
    let senders = start_senders(setting, &dir, redis_address, api_address);
    let deadline = Instant::now() + STARTS_WITHIN;
    while simulator.call_count() == 0 {
        assert!(Instant::now() < deadline, "nothing is sent; the logs are in {}", dir.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let round_trip = redis_server::round_trip(redis_address).await;
    tokio::time::sleep(SETTLES).await;

    let cpu_of_senders = || senders.iter().map(Program::cpu_time).sum::<Duration>();
    let (cpu_before, redis_before) = (cpu_of_senders(), primary.figures().await);
    let (start, start_us) = (tokio::time::Instant::now(), unix_us());
    let stops = match (setting.trouble, &to_redis, &replica) {
        (Trouble::LongStops, ..) => trouble::long_stops(&senders, start, setting.lasts).await,
        (_, Some(link), Some(replica)) => {
            let redis = Replaceable { link, primary: &mut primary, replica };
            trouble::stops_and_another_redis(&senders, redis, start, setting.lasts).await
        }
        _ => Vec::new(),
    };
    tokio::time::sleep_until(start + setting.lasts).await;
    let end_us = unix_us();
    let cost = Cost {
        redis: if replica.is_none() { Some(primary.figures().await.since(&redis_before)) } else { None },
        senders: cpu_of_senders() - cpu_before,
        round_trip,
    };

    let mut told = Vec::new();
    for sender in senders {
        let log = sender.log().to_owned();
        sender.stop(STOPS_WITHIN).await.unwrap();
        told.push(Told::read(&fs::read_to_string(log).unwrap()));
    }
    let after_start = |time: Duration| start_us + i64::try_from(time.as_micros()).unwrap();
    let counted = setting.trouble.stretches_that_count(setting.lasts);
    let logs = Logs {
        told,
        seen: simulator.calls(),
        stops,
        measured_us: start_us..end_us,
        counted_us: counted.into_iter().map(|Range { start, end }| after_start(start)..after_start(end)).collect(),
    };
    let refused = simulator.flood_refusals().get(&FloodRule::AllChats).copied().unwrap_or(0);
    simulator.stop().await;
    fs::remove_dir_all(&dir).unwrap();
    Outcome::of(logs, refused, cost)
}

fn people(sender: usize) -> Range<i64> {
    let first = FIRST_PERSON + PEOPLE * i64::try_from(sender).unwrap();
    first..first + PEOPLE
}

/// People who have opened a chat with the bot.
fn world(senders: usize) -> World {
    let bot = UserId(BOT.0);
    let mut world = World::new(World::bot_account(bot, "nezuko_bot"));
    for person in (0..senders).flat_map(people).map(UserId) {
        world.add_person(Person::named(person, "Somebody"));
        let mut chat = ChatSpec::new(person.private_chat(), ChatKind::Private, "Somebody");
        chat.members = vec![(person, Member::Member), (bot, Member::Member)];
        world.add_chat(0, chat);
    }
    world
}

fn start_senders(setting: &Setting, dir: &Path, redis: SocketAddr, api: SocketAddr) -> Vec<Program> {
    let program = env::current_exe().unwrap();
    let start = |sender| {
        let orders = Orders {
            redis_url: redis_server::url(redis),
            api_url: format!("http://{api}"),
            algorithm: setting.algorithm,
            jitter: setting.jitter,
            people: people(sender),
            stall: (setting.trouble == Trouble::LongStops).then_some(STALL),
        };
        let environment = [(ORDERS, serde_json::to_string(&orders).unwrap())];
        Program::start(&program, &format!("sender-{sender}"), dir, environment).unwrap()
    };
    (0..setting.senders).map(start).collect()
}
