//! A group with a stream of newcomers: members of its channel, whom nobody may mute, and strangers, who must all be muted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loadtest::{
    drive::{Delays, SlowLink, page},
    simulator::{Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Happened, Member, Person, Rights, UserId, World},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::{Directory, Running, SECRET, eventually, play::now_ms, settings, token};

const OWNER: UserId = UserId(10);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
/// Who may come; those with even numbers are members of the channel.
const PEOPLE: std::ops::Range<i64> = 100..3_000;
/// A trouble lasts at least so long.
const LASTS: Duration = Duration::from_secs(3);
/// Between two newcomers.
const APART: Duration = Duration::from_millis(50);

/// Two at a time: more would be too slow for each other's deadlines on two cores.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A fleet around a Telegram.
pub(crate) struct Town {
    pub(crate) bot: UserId,
    pub(crate) telegram: Arc<Simulator>,
    /// The programs' way to the Bot API.
    pub(crate) way: Arc<SlowLink>,
    gateway: Running,
    worker: Running,
    next: i64,
    strangers: Vec<UserId>,
    _dir: Directory,
    _turn: SemaphorePermit<'static>,
}

/// What the programs are started with.
pub(crate) struct Servers {
    pub(crate) redis: String,
    pub(crate) database: String,
    pub(crate) wait_replicas: bool,
}

impl Town {
    /// A protected group in which newcomers are muted or left alone as they must.
    pub(crate) async fn new(bot: UserId, servers: Servers) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        world.add_person(Person::named(OWNER, "Olga"));
        let owner = (OWNER, Member::Creator { is_anonymous: false });
        let mut group = ChatSpec::new(GROUP, ChatKind::Supergroup, "Group");
        group.members = vec![owner];
        let mut channel = ChatSpec::new(CHANNEL, ChatKind::Channel, "Channel");
        channel.username = Some("channel".to_owned());
        channel.members = vec![owner];
        for id in PEOPLE {
            world.add_person(Person::named(UserId(id), "Somebody"));
            channel.members.extend((id % 2 == 0).then_some((UserId(id), Member::Member)));
        }
        for chat in [group, channel] {
            let id = chat.id;
            world.add_chat(now_ms(), chat);
            world.act(now_ms(), Act::Promote { admin: OWNER, chat: id, user: bot, rights: Rights::FULL }).unwrap();
        }
        let telegram = Arc::new(Simulator::start(world, Options::new(&token(bot))).await.unwrap());
        let dir = Directory::new();
        let address = telegram.api_url().trim_start_matches("http://").parse().unwrap();
        let way = Arc::new(SlowLink::start(address, Delays::round_trip(Duration::ZERO), 1).await.unwrap());
        let mut settings = settings(bot, &format!("http://{}", way.address()), &servers.database);
        settings.extend([("REDIS_URL", servers.redis), ("RECLAIM_IDLE_MS", "2000".to_owned())]);
        settings.extend(servers.wait_replicas.then(|| ("REDIS_WAIT_REPLICAS", "1".to_owned())));
        let gateway = Running::start("nezuko-gateway", "gateway", &dir, &settings).await;
        let worker = Running::start("nezuko-worker", "worker", &dir, &settings).await;
        telegram.deliver_to(&[&gateway.webhook()], Some(SECRET));
        let protect = Content::Text("/protect @channel".to_owned());
        telegram.act(Act::Write { user: OWNER, chat: GROUP, content: protect, thread: None }).unwrap();
        eventually("the group is protected", async || {
            telegram.world(|world| world.chat(GROUP).unwrap().messages().any(|said| said.text.contains("Protected: ")))
        })
        .await;
        let (next, strangers) = (PEOPLE.start, Vec::new());
        Self { bot, telegram, way, gateway, worker, next, strangers, _dir: dir, _turn: turn }
    }

    /// Two people come.
    fn newcomers(&mut self) {
        for _ in 0..2 {
            let user = UserId(self.next);
            self.next += 1;
            self.telegram.act(Act::Join { user, chat: GROUP }).unwrap();
            self.strangers.extend((user.0 % 2 == 1).then_some(user));
        }
    }

    fn all_strangers_are_muted(&self) -> bool {
        let now_ms = self.telegram.now_ms();
        let muted = |world: &mut World| self.strangers.iter().all(|user| world.is_muted_by_bot(GROUP, *user, now_ms));
        self.telegram.world(muted)
    }

    /// Whether the gateway refuses updates for now.
    pub(crate) fn refuses(&self) -> bool {
        self.telegram.counters().refused.contains_key(&503)
    }

    /// Whether the worker's metrics have this line.
    pub(crate) async fn worker_shows(&self, line: &str) -> bool {
        let address = format!("http://127.0.0.1:{}/metrics", self.worker.ops_port);
        page(&address).await.is_ok_and(|(_, text)| text.lines().any(|shown| shown == line))
    }

    /// Nobody starts a program again, or takes it out of service, for a server that all of them lack.
    async fn programs_live_and_are_ready(&self, what: &str) {
        for (name, program) in [("gateway", &self.gateway), ("worker", &self.worker)] {
            for path in ["live", "ready"] {
                let answer = page(&format!("http://127.0.0.1:{}/{path}", program.ops_port)).await;
                assert!(matches!(answer, Ok((200, _))), "{what}: /{path} of the {name}: {answer:?}");
            }
        }
    }

    /// Breaks something, lets people come while it is broken, mends it, and sees that all ends well.
    pub(crate) async fn outlives(
        &mut self,
        what: &str,
        breaks: impl AsyncFnOnce(),
        noticed: impl AsyncFn(&Self) -> bool,
        mends: impl AsyncFnOnce(),
    ) {
        self.newcomers();
        eventually("all is well before", async || self.all_strangers_are_muted()).await;
        let before = self.telegram.counters();
        let began = Instant::now();
        breaks().await;
        let mut noticed_after = None;
        while noticed_after.is_none() || began.elapsed() < LASTS {
            assert!(began.elapsed() < Duration::from_secs(40), "{what}: never noticed");
            self.newcomers();
            self.programs_live_and_are_ready(what).await;
            if noticed_after.is_none() && noticed(self).await {
                noticed_after = Some(began.elapsed());
            }
            tokio::time::sleep(APART).await;
        }
        let during = self.telegram.counters();
        let mended = Instant::now();
        mends().await;
        eventually(what, async || self.telegram.pending() == 0 && self.all_strangers_are_muted()).await;
        let recovered = mended.elapsed();
        // And whoever comes now waits no longer than usual.
        self.newcomers();
        eventually("all is well afterwards", async || self.all_strangers_are_muted()).await;

        let answers = self.telegram.counters();
        assert!(answers.refused.keys().all(|status| *status == 503), "{what}: {answers:?}");
        assert_eq!((answers.dropped, answers.hung_up, answers.timed_out), (0, 0, 0), "{what}: {answers:?}");
        assert_eq!(self.members_ever_muted(), 0, "{what}: a member of the channel was muted");
        println!(
            "{what}: noticed after {:.1} s; {} times 200 and {} times 503 while it lasted; all {} strangers muted {:.1} s \
             after it was mended",
            noticed_after.unwrap_or_default().as_secs_f64(),
            during.delivered - before.delivered,
            during.refused.values().sum::<u64>() - before.refused.values().sum::<u64>(),
            self.strangers.len(),
            recovered.as_secs_f64()
        );
    }

    fn members_ever_muted(&self) -> usize {
        let of_member = |what: &Happened| match what {
            Happened::Changed { chat: GROUP, user, new, .. } => user.0 % 2 == 0 && *user != OWNER && new.is_muted(),
            _ => false,
        };
        self.telegram.world(|world| world.history().iter().filter(|entry| of_member(&entry.what)).count())
    }

    /// Nothing was given up, and everybody ends well.
    pub(crate) async fn ends(self) {
        assert_eq!(self.worker.metric("nezuko_dead_letters_total").await, 0);
        self.gateway.stop().await;
        self.worker.stop().await;
    }
}
