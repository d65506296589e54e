//! A group that belongs to a channel, and a fleet of one gateway and one worker that guards it.

use loadtest::{
    simulator::{Fault, FaultKind, Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, UserId, World},
};

use nezuko_ports::free_port;

use crate::support::{Directory, Running, eventually, play::now_ms, servers::Servers, settings, token};

pub(crate) const OWNER: UserId = UserId(7_000_000_010);
pub(crate) const ANN: UserId = UserId(7_000_000_011);
/// A name that no program has by chance.
pub(crate) const ANNS_NAME: &str = "Annegretchen Quastenflosser";
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
pub(crate) const NEWS: ChatId = ChatId(-1_001_000_000_011);

/// See above.
pub(crate) struct Town {
    pub(crate) telegram: Simulator,
    pub(crate) gateway: Running,
    pub(crate) worker: Running,
    pub(crate) servers: Servers,
    pub(crate) dir: Directory,
}

impl Town {
    /// The group is protected already. `more` are further settings of both programs.
    pub(crate) async fn begin(servers: Servers, bot: UserId, more: &[(&'static str, String)]) -> Self {
        let dir = Directory::new();
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        for (user, name) in [(OWNER, "Olga"), (ANN, ANNS_NAME)] {
            world.add_person(Person::named(user, name));
        }
        let now_ms = now_ms();
        for (chat, kind, title) in [(GROUP, ChatKind::Supergroup, "Group"), (NEWS, ChatKind::Channel, "News")] {
            let mut spec = ChatSpec::new(chat, kind, title);
            spec.username = (chat == NEWS).then(|| "news".to_owned());
            spec.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
            world.add_chat(now_ms, spec);
            world.act(now_ms, Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL }).unwrap();
        }
        let telegram = Simulator::start(world, Options::new(&token(bot))).await.unwrap();
        let mut settings = settings(bot, &telegram.api_url(), &servers.database_url);
        settings.push(("REDIS_URL", servers.redis_url.clone()));
        settings.extend(more.iter().cloned());
        let (port, ops_port) = (free_port(), free_port());
        let mut of_gateway = settings.clone();
        // It registers this itself.
        of_gateway.push(("WEBHOOK_URL", format!("http://127.0.0.1:{port}")));
        let gateway = Running::start_on((port, ops_port), "nezuko-gateway", "gateway", &dir, &of_gateway).await;
        let worker = Running::start("nezuko-worker", "worker", &dir, &settings).await;
        let town = Self { telegram, gateway, worker, servers, dir };
        town.say(OWNER, "/protect @news");
        let protected = async || town.calls("sendMessage") > 0;
        eventually("the group is protected", protected).await;
        town
    }

    pub(crate) fn act(&self, act: Act) {
        self.telegram.act(act).unwrap();
    }

    /// Ann comes in without being in the channel, and is muted.
    pub(crate) async fn ann_is_muted(&self) {
        self.act(Act::Join { user: ANN, chat: GROUP });
        eventually("Ann is muted", async || self.calls("restrictChatMember") > 0).await;
    }

    /// Ann says by the button of the prompt that she has joined.
    pub(crate) async fn ann_presses(&self) {
        let pressed = async || self.telegram.act(Act::Press { user: ANN, chat: GROUP, message: None }).is_ok();
        eventually("there is a button", pressed).await;
        eventually("she is answered", async || self.calls("answerCallbackQuery") > 0).await;
    }

    /// Telegram is ill for one call: the next thing to do is tried again.
    pub(crate) async fn telegram_fails_once(&self) {
        let method = Some("sendMessage");
        self.telegram.inject(Fault { method, chat: None, every: 1, times: 1, kind: FaultKind::Restart });
        let before = self.calls("sendMessage");
        self.say(OWNER, "/status");
        eventually("it is tried again", async || self.calls("sendMessage") > before + 1).await;
    }

    /// Telegram asks for a pause when Ann is to be muted; before it is over she has written something.
    pub(crate) async fn ann_writes_before_she_is_muted(&self) {
        let kind = FaultKind::Flood { retry_after: 5 };
        self.telegram.inject(Fault { method: Some("restrictChatMember"), chat: None, every: 1, times: 1, kind });
        self.ann_is_muted().await;
        self.say(ANN, "Is anybody there?");
        eventually("Ann is muted", async || self.calls("restrictChatMember") > 1).await;
    }

    pub(crate) fn say(&self, user: UserId, text: &str) {
        let content = Content::Text(text.to_owned());
        self.act(Act::Write { user, chat: GROUP, content, thread: None });
    }

    fn calls(&self, method: &str) -> usize {
        self.telegram.calls().iter().filter(|call| call.method == method).count()
    }
}
