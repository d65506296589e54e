//! A change of the webhook's secret: gateways behind one address are replaced while people go on writing.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use loadtest::{
    simulator::{CallSeen, Options, Simulator},
    world::{Act, Content, Person, UserId, World},
};
use nezuko_ports::free_port;
use support::{
    Directory, Running, Settings, eventually, eventually_within, fresh_bot,
    servers::{Servers, with_servers},
    settings, token,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const FIRST: &str = "the-first-secret";
const SECOND: &str = "the-second-secret";
const PEOPLE: usize = 100;
const AT_A_TIME: usize = 5;
/// Longer than Telegram is left with the old secret, and than it waits after a number of refusals.
const PATIENCE: Duration = Duration::from_secs(150);

/// What stands before the gateways: each connection goes to the next of them.
struct Balancer {
    port: u16,
    gateways: Arc<Mutex<Vec<u16>>>,
    passing: JoinHandle<()>,
}

impl Balancer {
    async fn start() -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let gateways = Arc::<Mutex<Vec<u16>>>::default();
        let passing = tokio::spawn(pass_on(listener, gateways.clone()));
        Self { port, gateways, passing }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass_on(listener: TcpListener, gateways: Arc<Mutex<Vec<u16>>>) {
    for turn in 0.. {
        let (mut from, _) = listener.accept().await.unwrap();
        let gateways = gateways.lock().unwrap().clone();
        let gateway = gateways[turn % gateways.len()];
        tokio::spawn(async move {
            let mut to = TcpStream::connect(("127.0.0.1", gateway)).await.unwrap();
            // An end that breaks off is an end, too.
            copy_bidirectional(&mut from, &mut to).await.ok();
        });
    }
}

const fn person(number: usize) -> UserId {
    UserId(5_000_000_000 + number as i64)
}

/// Telegram, and people who ask the bot something.
struct Town {
    telegram: Simulator,
    /// How many questions each person has asked.
    asked: Vec<AtomicUsize>,
}

impl Town {
    async fn new(bot: UserId) -> Self {
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        for number in 0..PEOPLE {
            world.add_person(Person::named(person(number), "Ann"));
        }
        let telegram = Simulator::start(world, Options::new(&token(bot))).await.unwrap();
        Self { telegram, asked: (0..PEOPLE).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// Some at a time ask, so that Telegram needs several connections, until `story` is over.
    async fn ask_during(&self, story: impl Future<Output = ()>) {
        let asking = async {
            let mut pace = tokio::time::interval(Duration::from_secs(1));
            for first in (0..PEOPLE).step_by(AT_A_TIME).cycle() {
                pace.tick().await;
                for number in first..first + AT_A_TIME {
                    let (user, content) = (person(number), Content::Text("/help".to_owned()));
                    self.telegram.act(Act::Write { user, chat: user.private_chat(), content, thread: None }).unwrap();
                    self.asked[number].fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        tokio::select! {
            () = asking => unreachable!("people ask for ever"),
            () = story => {}
        }
    }

    fn secret(&self) -> Option<String> {
        self.telegram.world(|world| world.webhook().secret_token.clone())
    }

    async fn is_told(&self, secret: &str) {
        let told = async || self.secret().as_deref() == Some(secret);
        eventually_within(PATIENCE, &format!("Telegram is told {secret}"), told).await;
    }

    fn refused(&self) -> u64 {
        self.telegram.counters().refused.get(&401).copied().unwrap_or_default()
    }

    fn calls(&self, method: &str) -> Vec<CallSeen> {
        let mut calls = self.telegram.calls();
        calls.retain(|call| call.method.eq_ignore_ascii_case(method) && call.status == 200);
        calls
    }

    /// Every question has one answer.
    async fn is_answered(&self) {
        eventually_within(PATIENCE, "every question has its answer", async || {
            let mut unanswered: Vec<usize> = self.asked.iter().map(|asked| asked.load(Ordering::Relaxed)).collect();
            for answer in self.calls("sendMessage") {
                let asker = (0..PEOPLE).find(|number| answer.chat == Some(person(*number).private_chat())).unwrap();
                unanswered[asker] = unanswered[asker].checked_sub(1).expect("nobody is answered twice");
            }
            unanswered.iter().all(|left| *left == 0)
        })
        .await;
        assert_eq!((self.telegram.pending(), self.telegram.counters().dropped), (0, 0));
    }
}

/// A worker, and gateways that change.
struct Fleet {
    dir: Directory,
    settings: Settings,
    balancer: Balancer,
    gateways: Vec<Running>,
    worker: Running,
}

impl Fleet {
    async fn start(bot: UserId, town: &Town, servers: &Servers) -> Self {
        let (dir, balancer) = (Directory::new(), Balancer::start().await);
        let mut settings = settings(bot, &town.telegram.api_url(), &servers.database_url);
        settings.retain(|(name, _)| *name != "WEBHOOK_SECRET");
        settings.push(("REDIS_URL", servers.redis_url.clone()));
        settings.push(("WEBHOOK_URL", format!("http://127.0.0.1:{}", balancer.port)));
        let worker = Running::start("nezuko-worker", "worker", &dir, &settings).await;
        let mut fleet = Self { dir, settings, balancer, gateways: Vec::new(), worker };
        fleet.replace_gateways(&[("WEBHOOK_SECRET", FIRST)]).await;
        town.is_told(FIRST).await;
        fleet
    }

    /// Two new ones take the place of those that run.
    async fn replace_gateways(&mut self, secrets: &[(&'static str, &str)]) {
        let mut settings = self.settings.clone();
        settings.extend(secrets.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut new = Vec::new();
        for _ in 0..2 {
            let name = format!("gateway-{:08x}", rand::random::<u32>());
            new.push(Running::start("nezuko-gateway", &name, &self.dir, &settings).await);
        }
        *self.balancer.gateways.lock().unwrap() = new.iter().map(|gateway| gateway.port).collect();
        for old in std::mem::replace(&mut self.gateways, new) {
            old.stop().await;
        }
    }

    /// Updates come to all the gateways that run now.
    async fn requests(&self) -> u64 {
        let mut requests = 0;
        for gateway in &self.gateways {
            requests += gateway.metric("nezuko_webhook_requests_total").await;
        }
        requests
    }

    async fn updates_come(&self) {
        // Through whichever of them: where one connection is enough for Telegram, all go to one.
        let before = self.requests().await;
        eventually_within(PATIENCE, "updates come", async || self.requests().await > before + 20).await;
    }

    async fn stop(self) {
        for program in self.gateways.into_iter().chain([self.worker]) {
            program.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_without_a_refusal_where_the_previous_one_is_known() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let town = Town::new(bot).await;
        let mut fleet = Fleet::start(bot, &town, &servers).await;
        town.ask_during(async {
            fleet.updates_come().await;
            fleet.replace_gateways(&[("WEBHOOK_SECRET", SECOND), ("WEBHOOK_SECRET_PREVIOUS", FIRST)]).await;
            fleet.updates_come().await;
            assert_eq!(town.secret().as_deref(), Some(FIRST), "other gateways may not know the second one yet");
            town.is_told(SECOND).await;
            fleet.updates_come().await;
            fleet.replace_gateways(&[("WEBHOOK_SECRET", SECOND)]).await;
            fleet.updates_come().await;
        })
        .await;
        town.is_answered().await;
        assert_eq!(town.refused(), 0);
        assert_eq!(town.calls("setWebhook").len(), 2, "once for each secret");
        fleet.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_changed_at_one_stroke_and_registered_when_telegram_tells_of_refusals() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let town = Town::new(bot).await;
        let mut fleet = Fleet::start(bot, &town, &servers).await;
        town.ask_during(async {
            fleet.updates_come().await;
            fleet.replace_gateways(&[("WEBHOOK_SECRET", SECOND)]).await;
            eventually("updates are refused", async || town.refused() > 0).await;
            assert_eq!(town.secret().as_deref(), Some(FIRST));
            town.is_told(SECOND).await;
            fleet.updates_come().await;
        })
        .await;
        town.is_answered().await;
        fleet.stop().await;
    })
    .await;
}
