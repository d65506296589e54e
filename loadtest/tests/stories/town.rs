//! A Telegram with one group and two channels, a bot that administers all of them, and the program.

use std::rc::Rc;

use loadtest::{
    simulator::{CallSeen, Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Happened, Member, Person, Pressed, Rights, UserId, World},
};

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::{
    fleet::{self, Fleet},
    support::{Directory, Running, SECRET, Settings, eventually, fresh_bot, play::now_ms, settings, token},
};

pub(crate) const OWNER: UserId = UserId(10);
pub(crate) const ANN: UserId = UserId(11);
pub(crate) const BOB: UserId = UserId(12);
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
/// `@news`.
pub(crate) const NEWS: ChatId = ChatId(-1_001_000_000_011);
/// `@talks`.
pub(crate) const TALKS: ChatId = ChatId(-1_001_000_000_012);

/// How many others there are.
pub(crate) const CROWD: i64 = 25;

pub(crate) const fn one_of_many(nth: i64) -> UserId {
    UserId(100 + nth)
}

/// What guards the group.
enum Programs {
    /// The program `nezuko`, with a database of its own.
    Alone(Box<Running>),
    /// Gateway and workers, which guard the towns of other stories, too.
    Fleet(Rc<Fleet>),
}

/// See above. Everybody is in nothing but the owner.
pub(crate) struct Town {
    pub(crate) telegram: Simulator,
    pub(crate) bot: UserId,
    programs: Option<Programs>,
    settings: Settings,
    dir: Directory,
}

impl Town {
    pub(crate) async fn new() -> Self {
        Self::founded(|_| ()).await
    }

    /// The same, with chats that `change` has made different.
    pub(crate) async fn founded(change: impl Fn(&mut ChatSpec)) -> Self {
        Self::founded_in(false, change).await
    }

    /// The same, where Telegram lets no more messages through than it says it does.
    pub(crate) async fn under_flood_rules() -> Self {
        Self::founded_in(true, |_| ()).await
    }

    async fn founded_in(flood_rules: bool, change: impl Fn(&mut ChatSpec)) -> Self {
        let (dir, bot) = (Directory::new(), fresh_bot());
        let world = Self::world(bot, change);
        let options = Options { flood_rules, ..Options::new(&token(bot)) };
        if let Some(fleet) = fleet::at_hand() {
            let telegram = fleet.guard(bot, world, &options).await;
            let settings = fleet.settings();
            let programs = Some(Programs::Fleet(fleet));
            return Self { telegram, bot, programs, settings, dir }.greeted().await;
        }
        let telegram = Simulator::start(world, options).await.unwrap();
        let settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
        let program = Running::start("nezuko", "nezuko", &dir, &settings).await;
        Self { telegram, bot, programs: Some(Programs::Alone(Box::new(program))), settings, dir }.greeted().await
    }

    /// The same when the bot has said that it is there, so that this is no answer to what follows.
    async fn greeted(self) -> Self {
        self.says(GROUP, "/protect @channel").await;
        self
    }

    fn world(bot: UserId, change: impl Fn(&mut ChatSpec)) -> World {
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        for (user, name) in [(OWNER, "Olga"), (ANN, "Ann"), (BOB, "Bob")] {
            world.add_person(Person::named(user, name));
        }
        (0..CROWD).for_each(|nth| world.add_person(Person::named(one_of_many(nth), &format!("Comer {nth}"))));
        let chats = [
            (GROUP, ChatKind::Supergroup, "Group", None),
            (NEWS, ChatKind::Channel, "News", Some("news")),
            (TALKS, ChatKind::Channel, "Talks", Some("talks")),
        ];
        for (chat, kind, title, username) in chats {
            let mut spec = ChatSpec::new(chat, kind, title);
            spec.username = username.map(str::to_owned);
            change(&mut spec);
            found(&mut world, now_ms(), spec);
        }
        world
    }

    /// There has been another chat since `at_ms` (Unix ms), of the owner's and with the bot.
    pub(crate) fn found(&self, at_ms: i64, spec: ChatSpec) {
        self.telegram.world(|world| found(world, at_ms, spec));
    }

    /// The same, and who writes in the group must be in these channels.
    pub(crate) async fn protected(channels: &str) -> Self {
        let town = Self::new().await;
        town.say(OWNER, GROUP, &format!("/protect {channels}"));
        town.says(GROUP, "Protected: ").await;
        town
    }

    /// What the bot has called about a chat so far, in order and in lower case, with whom it was about. Lookups are left out.
    pub(crate) fn deeds(&self, chat: ChatId) -> Vec<String> {
        self.telegram.world(|world| {
            let called = world.history().iter().filter_map(|entry| match &entry.what {
                Happened::Called { method, chat: Some(about), user, .. } if *about == chat => {
                    Some(user.map_or_else(|| method.clone(), |user| format!("{method} {user}")))
                }
                _ => None,
            });
            called.filter(|call| !call.starts_with("get")).collect()
        })
    }

    /// How often the bot has looked somebody up in a chat.
    pub(crate) fn lookups_in(&self, chat: ChatId, user: UserId) -> usize {
        let looked = |what: &Happened| match what {
            Happened::LookedUp { chat: place, user: of, .. } => (*place, *of) == (chat, user),
            _ => false,
        };
        self.telegram.world(|world| world.history().iter().filter(|entry| looked(&entry.what)).count())
    }

    /// How often the bot has looked somebody up, anywhere.
    pub(crate) fn lookups(&self, user: UserId) -> usize {
        let looked = |what: &Happened| matches!(what, Happened::LookedUp { user: of, .. } if *of == user);
        self.telegram.world(|world| world.history().iter().filter(|entry| looked(&entry.what)).count())
    }

    /// Somebody presses a button of the newest message that has one in the group; what they are answered.
    pub(crate) async fn press(&self, user: UserId, label: &str) -> String {
        self.press_in(GROUP, user, label).await
    }

    /// The same in another chat.
    pub(crate) async fn press_in(&self, chat: ChatId, user: UserId, label: &str) -> String {
        let answers = || {
            let answered = |what: &Happened| match what {
                Happened::Answered { text, .. } => Some(text.clone()),
                _ => None,
            };
            self.telegram.world(|world| world.history().iter().filter_map(|entry| answered(&entry.what)).collect())
        };
        let before: Vec<String> = answers();
        let mut message = None;
        eventually("a button stands", async || {
            message = self.telegram.world(|world| world.button_messages(chat).next_back().map(|message| message.id));
            message.is_some()
        })
        .await;
        let message = message.unwrap();
        self.act(Act::PressButton { user, chat, message, button: Pressed::Labelled(label.to_owned()) });
        let mut after = before.clone();
        eventually("a press is answered", async || {
            after = answers();
            after.len() > before.len()
        })
        .await;
        after.swap_remove(before.len())
    }

    /// The town's rows.
    async fn database(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let Some(Programs::Fleet(fleet)) = &self.programs else {
            let mut database = AnyConnection::connect(&self.dir.sqlite_url()).await.unwrap();
            sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut database).await.unwrap();
            return database;
        };
        let mut database = AnyConnection::connect(fleet.database_url()).await.unwrap();
        let as_bot = format!("SET nezuko.bot_id = '{}'", self.bot);
        sqlx::query(AssertSqlSafe(as_bot)).execute(&mut database).await.unwrap();
        database
    }

    /// Has the group's settings be these, from now on.
    pub(crate) async fn set(&self, settings: &[(&str, Value)]) {
        let mut database = self.database().await;
        for (name, value) in settings {
            let setting = json!({"value": value, "update_id": 1, "received_ms": now_ms()});
            let facts = match &self.programs {
                Some(Programs::Fleet(_)) => {
                    format!(
                        "(facts::jsonb || jsonb_build_object('settings', coalesce(facts::jsonb -> 'settings', '{{}}') || jsonb_build_object('{name}', $2::jsonb)))::text"
                    )
                }
                _ => format!("json_set(facts, '$.settings.{name}', json($2))"),
            };
            let set = sqlx::query(AssertSqlSafe(format!(
                "UPDATE chats SET version = version + 1, facts = {facts} WHERE chat_id = $1"
            )));
            let set = set.bind(GROUP.0).bind(setting.to_string()).execute(&mut database).await.unwrap();
            assert_eq!(set.rows_affected(), 1, "{name}");
        }
        database.close().await.unwrap();
    }

    /// Has the group's prompts be that much older, when the program is done with them.
    pub(crate) async fn ages_prompts(&self, by: std::time::Duration) {
        let soon_ms = self.telegram.now_ms() + 60_000;
        let open = format!("intents WHERE kind = 'prompt' AND done_ms IS NULL AND not_before_ms < {soon_ms}");
        eventually("prompts are at rest", async || self.rows(&open).await == 0).await;
        let mut database = self.database().await;
        let aged =
            sqlx::query("UPDATE prompts SET sent_ms = sent_ms - $2, changed_ms = changed_ms - $2 WHERE chat_id = $1");
        let aged = aged.bind(GROUP.0).bind(by.as_millis() as i64).execute(&mut database).await.unwrap();
        assert!(aged.rows_affected() > 0);
        database.close().await.unwrap();
    }

    /// How often the verification log says this of somebody in the group.
    pub(crate) async fn logged(&self, user: UserId, outcome: &str) -> i64 {
        let mut database = self.database().await;
        let count = sqlx::query_scalar("SELECT count(*) FROM verifications WHERE user_id = $1 AND outcome = $2");
        let count = count.bind(user.0).bind(outcome).fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        count
    }

    /// How many of the town's rows there are, such as of `ledger WHERE lifted_ms IS NULL`.
    pub(crate) async fn rows(&self, of: &str) -> i64 {
        let mut database = self.database().await;
        let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {of}")));
        let count = count.fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        count
    }

    /// Changes the town's rows, as time does; how many are changed.
    pub(crate) async fn change_rows(&self, how: &str) -> u64 {
        let mut database = self.database().await;
        let changed = sqlx::query(AssertSqlSafe(how.to_owned())).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        changed.rows_affected()
    }

    /// Everything that the town's own program has said.
    pub(crate) fn logs(&self) -> String {
        self.dir.logs().into_iter().map(|(_, log)| log).collect()
    }

    /// The prompt that stands in a topic of the group.
    pub(crate) fn prompt(&self, topic: Option<i64>) -> Option<String> {
        let text = |world: &mut World| {
            world.button_messages(GROUP).rfind(|prompt| prompt.thread == topic).map(|prompt| prompt.text.clone())
        };
        self.telegram.world(text)
    }

    /// How many prompts stand in the group.
    pub(crate) fn prompts(&self) -> usize {
        self.telegram.world(|world| world.button_messages(GROUP).count())
    }

    /// How many prompts were ever sent to the group.
    pub(crate) fn prompts_ever(&self) -> usize {
        let is_prompt = |what: &Happened| matches!(what, Happened::Sent { chat: GROUP, has_button: true, .. });
        self.telegram.world(|world| world.history().iter().filter(|entry| is_prompt(&entry.what)).count())
    }

    /// How many messages of somebody stand in a chat.
    pub(crate) fn standing(&self, chat: ChatId, user: UserId) -> usize {
        self.telegram.world(|world| {
            let messages = world.chat(chat).into_iter().flat_map(|chat| chat.messages());
            messages.filter(|message| message.from == user).count()
        })
    }

    pub(crate) fn act(&self, act: Act) {
        self.telegram.act(act).unwrap();
    }

    /// The same, of which Telegram tells the bot nothing.
    pub(crate) fn act_untold(&self, act: Act) {
        let now_ms = self.telegram.now_ms();
        self.telegram.world(|world| {
            world.act(now_ms, act).unwrap();
            world.take_updates();
        });
    }

    pub(crate) fn say(&self, user: UserId, chat: ChatId, text: &str) {
        self.act(Act::Write { user, chat, content: Content::Text(text.to_owned()), thread: None });
    }

    /// How often the bot says something with this in it.
    pub(crate) fn said(&self, chat: ChatId, text: &str) -> usize {
        self.telegram.world(|world| {
            let messages = world.chat(chat).into_iter().flat_map(|chat| chat.messages());
            messages.filter(|message| message.from == self.bot && message.text.contains(text)).count()
        })
    }

    pub(crate) async fn says(&self, chat: ChatId, text: &str) {
        eventually(&format!("{text:?} in {chat}"), async || self.said(chat, text) > 0).await;
    }

    pub(crate) fn member(&self, chat: ChatId, user: UserId) -> Member {
        let now_ms = self.telegram.now_ms();
        self.telegram.world(|world| world.member(chat, user, now_ms))
    }

    /// Waits until they are muted in the group.
    pub(crate) async fn is_muted(&self, user: UserId) {
        eventually(&format!("{user} is muted"), async || self.member(GROUP, user).is_muted()).await;
    }

    /// The calls of a method about `user` in `chat`.
    pub(crate) fn calls(&self, method: &str, chat: ChatId) -> Vec<CallSeen> {
        let mut calls = self.telegram.calls();
        calls.retain(|call| call.method.eq_ignore_ascii_case(method) && call.chat == Some(chat));
        calls
    }

    /// Tells the program an update that no act here brings about, as Telegram would.
    pub(crate) async fn told(&self, update: Value) {
        let webhook = match &self.programs {
            Some(Programs::Alone(program)) => program.webhook(),
            Some(Programs::Fleet(fleet)) => fleet.webhook(),
            None => panic!("nobody to tell"),
        };
        let webhook = format!("{webhook}/{}", self.bot);
        let told = reqwest::Client::new().post(webhook).header("X-Telegram-Bot-Api-Secret-Token", SECRET);
        let answer = told.header("Content-Type", "application/json").body(update.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{update}");
    }

    /// Asks the bot something, so that whatever was told to it before has been taken in when this returns.
    pub(crate) async fn has_heard(&self) {
        if let Some(Programs::Fleet(fleet)) = &self.programs {
            // Another worker may be at what came before, while one answers.
            let stream = fleet.stream(self.bot);
            eventually("all is taken in", async || self.telegram.pending() == 0 && stream.unfinished().await == 0)
                .await;
        }
        let before = self.said(OWNER.private_chat(), "");
        self.say(OWNER, OWNER.private_chat(), "/help");
        eventually("an answer", async || self.said(OWNER.private_chat(), "") > before).await;
    }

    /// What the program says to an order of its operator.
    pub(crate) async fn operate(&self, order: &[&str]) -> String {
        let executable = match &self.programs {
            Some(Programs::Fleet(_)) => crate::support::program("nezuko-worker"),
            _ => crate::support::program("nezuko"),
        };
        let (given, bot) = (self.settings.iter().cloned(), format!("--bot={}", self.bot));
        let mut run = tokio::process::Command::new(executable);
        let run = run.arg("operate").args(order).arg(bot).env_clear().envs(given).output();
        let output = run.await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{order:?}: {text}");
        text
    }

    /// A page of the program's operations port.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let Some(Programs::Alone(program)) = &self.programs else { panic!("no program of its own") };
        loadtest::drive::page(&format!("http://127.0.0.1:{}{path}", program.ops_port)).await.unwrap()
    }

    /// The same without the program.
    pub(crate) async fn stopped(mut self) -> Self {
        match self.programs.take() {
            Some(Programs::Alone(program)) => program.stop().await,
            Some(Programs::Fleet(fleet)) => fleet.has_finished(self.bot).await,
            None => {}
        }
        assert_eq!(self.telegram.counters().methods_in_bodies, 0, "E94: Telegram would have obeyed an answer");
        self
    }

    /// The same after the program was away, while something happened.
    pub(crate) async fn restarted(self, meanwhile: impl AsyncFnOnce(&Self)) -> Self {
        let mut town = self.stopped().await;
        meanwhile(&town).await;
        let program = Running::start("nezuko", "nezuko-again", &town.dir, &town.settings).await;
        town.programs = Some(Programs::Alone(Box::new(program)));
        town
    }

    pub(crate) async fn end(self) {
        drop(self.stopped().await);
    }
}

/// The owner runs the chat, and the bot administers it.
fn found(world: &mut World, at_ms: i64, mut spec: ChatSpec) {
    let (chat, user) = (spec.id, world.bot().id);
    spec.members.insert(0, (OWNER, Member::Creator { is_anonymous: false }));
    world.add_chat(at_ms, spec);
    world.act(at_ms, Act::Promote { admin: OWNER, chat, user, rights: Rights::FULL }).unwrap();
}
