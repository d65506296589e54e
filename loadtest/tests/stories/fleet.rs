//! One fleet, a gateway and two workers around Redis and PostgreSQL, that guards the towns of many stories at once: each town
//! has a bot of its own, and bots share nothing.

use std::{cell::RefCell, fs, pin::Pin, rc::Rc, time::Duration};

use loadtest::{
    simulator::{Options, Simulator},
    world::{UserId, World},
};
use serde_json::json;
use tokio::{sync::Barrier, task::LocalSet, time::timeout};

use crate::support::{
    Directory, Running, SECRET, Settings, eventually, fresh_bot,
    servers::{Servers, Stream, with_servers},
    settings, token,
};

/// Within which every story has founded its town, and the programs run.
const BEGUN_WITHIN: Duration = Duration::from_secs(120);

tokio::task_local! {
    static AT_HAND: Rc<Fleet>;
}

/// What guards the town of the story that is being told, if that is no program of its own.
pub(crate) fn at_hand() -> Option<Rc<Fleet>> {
    AT_HAND.try_with(Rc::clone).ok()
}

/// A story with its name.
pub(crate) type Story = (&'static str, Pin<Box<dyn Future<Output = ()>>>);

/// Tells all these stories at once; the names of those that ended otherwise than they should.
pub(crate) async fn tell(stories: Vec<Story>) -> Vec<&'static str> {
    let mut failed = Vec::new();
    with_servers(fresh_bot(), async |servers| {
        let fleet = Rc::new(Fleet::of(servers, stories.len()).await);
        let told = LocalSet::new();
        let telling: Vec<_> = stories
            .into_iter()
            .map(|(name, story)| (name, told.spawn_local(AT_HAND.scope(Rc::clone(&fleet), story))))
            .collect();
        let all = async {
            fleet.begin().await;
            for (name, story) in telling {
                failed.extend(story.await.is_err().then_some(name));
            }
        };
        told.run_until(all).await;
        if !failed.is_empty() {
            fleet.dir.tell();
        }
        Rc::into_inner(fleet).expect("every story has ended").end().await;
    })
    .await;
    failed
}

/// See above.
pub(crate) struct Fleet {
    dir: Directory,
    servers: Servers,
    /// Where all bots call Telegram.
    telegram: Simulator,
    bots: RefCell<Vec<UserId>>,
    founded: Barrier,
    guarded: Barrier,
    gateway: RefCell<Option<Running>>,
    workers: RefCell<Vec<Running>>,
}

impl Fleet {
    /// One for so many stories, which waits for their towns.
    async fn of(servers: Servers, stories: usize) -> Self {
        let bot = fresh_bot();
        let world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        Self {
            dir: Directory::new(),
            servers,
            telegram: Simulator::start(world, Options::new(&token(bot))).await.unwrap(),
            bots: RefCell::default(),
            founded: Barrier::new(stories + 1),
            guarded: Barrier::new(stories + 1),
            gateway: RefCell::default(),
            workers: RefCell::default(),
        }
    }

    /// Starts the programs when every town is founded.
    async fn begin(&self) {
        timeout(BEGUN_WITHIN, self.founded.wait()).await.expect("every story founds one town");
        let bots: Vec<_> =
            self.bots.borrow().iter().map(|bot| json!({"token": token(*bot), "webhook_secret": SECRET})).collect();
        fs::write(self.dir.path().join("bots.json"), serde_json::to_vec(&bots).unwrap()).unwrap();
        let settings = self.settings();
        let gateway = Running::start("nezuko-gateway", "gateway", &self.dir, &settings).await;
        self.gateway.replace(Some(gateway));
        for name in ["worker-1", "worker-2"] {
            let settings = [&settings[..], &[("WORKER_NAME", name.to_owned())]].concat();
            let worker = Running::start("nezuko-worker", name, &self.dir, &settings).await;
            self.workers.borrow_mut().push(worker);
        }
        self.guarded.wait().await;
    }

    /// Guards a town by this bot of its own; Telegram as it is there.
    pub(crate) async fn guard(&self, bot: UserId, world: World, options: &Options) -> Simulator {
        let telegram = self.telegram.beside(world, options);
        self.bots.borrow_mut().push(bot);
        self.founded.wait().await;
        timeout(BEGUN_WITHIN, self.guarded.wait()).await.expect("the programs run");
        telegram.deliver_to(&[&format!("{}/{bot}", self.webhook())], Some(SECRET));
        telegram
    }

    /// What its programs are told.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = settings(UserId(0), &self.telegram.api_url(), &self.servers.database_url);
        settings.retain(|(name, _)| !["BOT_TOKEN", "WEBHOOK_SECRET"].contains(name));
        let bots = self.dir.path().join("bots.json").display().to_string();
        settings.extend([("BOTS_FILE", bots), ("REDIS_URL", self.servers.redis_url.clone())]);
        settings
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.servers.database_url
    }

    pub(crate) fn webhook(&self) -> String {
        self.gateway.borrow().as_ref().expect("it runs").webhook()
    }

    pub(crate) fn stream(&self, bot: UserId) -> Stream {
        self.servers.stream.of(bot)
    }

    /// Everything that the bot was told is finished, and nothing given up.
    pub(crate) async fn has_finished(&self, bot: UserId) {
        let stream = self.stream(bot);
        eventually("the stream is empty", async || stream.unfinished().await == 0).await;
        assert_eq!((stream.dead_letters().await, stream.quarantined().await), (0, 0));
    }

    /// Every program ends well.
    async fn end(self) {
        for program in self.gateway.into_inner().into_iter().chain(self.workers.into_inner()) {
            program.stop().await;
        }
        for bot in self.bots.into_inner() {
            self.servers.stream.of(bot).forget_bot().await;
        }
    }
}
