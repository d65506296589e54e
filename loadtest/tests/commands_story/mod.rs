//! A story with the real program: two groups and two channels of one owner, the bot an administrator everywhere.

#![allow(dead_code, reason = "each test program uses its part")]

use loadtest::{
    simulator::{Options, Simulator},
    world::{
        Act, ChatId, ChatKind, ChatSpec, Content, Happened, Member, MessageId, Person, Pressed, Rights, UserId, World,
    },
};

use crate::support::{Directory, Running, eventually, fresh_bot, play::now_ms, settings, token};

pub(crate) const OWNER: UserId = UserId(10);
pub(crate) const ANN: UserId = UserId(11);
pub(crate) const BOB: UserId = UserId(12);
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
pub(crate) const OTHER: ChatId = ChatId(-1_001_000_000_002);
pub(crate) const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
pub(crate) const SECOND: ChatId = ChatId(-1_001_000_000_012);

/// Two groups and two channels of one owner, the bot an administrator everywhere, and its program.
pub(crate) struct Story {
    pub(crate) telegram: Simulator,
    pub(crate) program: Running,
    pub(crate) dir: Directory,
}

impl Story {
    pub(crate) async fn begin() -> Self {
        let (dir, bot) = (Directory::new(), fresh_bot());
        let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
        world.add_person(Person::named(OWNER, "Olga"));
        world.add_person(Person { language_code: Some("de-AT".to_owned()), ..Person::named(ANN, "Ann") });
        world.add_person(Person::named(BOB, "Bob"));
        let now_ms = now_ms();
        for (chat, kind, username) in [
            (GROUP, ChatKind::Supergroup, None),
            (OTHER, ChatKind::Supergroup, None),
            (CHANNEL, ChatKind::Channel, Some("channel")),
            (SECOND, ChatKind::Channel, Some("second")),
        ] {
            let mut spec = ChatSpec::new(chat, kind, "Chat");
            spec.username = username.map(str::to_owned);
            spec.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
            spec.open_to_outsiders = chat == GROUP;
            world.add_chat(now_ms, spec);
            world.act(now_ms, Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL }).unwrap();
        }
        let telegram = Simulator::start(world, Options::new(&token(bot))).await.unwrap();
        let settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
        let program = Running::start("nezuko", "nezuko", &dir, &settings).await;
        Self { telegram, program, dir }
    }

    /// One in which the group requires the channel, and Ann waits.
    pub(crate) async fn with_ann_waiting() -> Self {
        let story = Self::begin().await;
        story.owner("/protect @channel", "Protected: ").await;
        story.act(Act::Join { user: ANN, chat: GROUP });
        story.is_muted(ANN, true).await;
        story.says(GROUP, "please join @channel").await;
        story
    }

    pub(crate) async fn end(self) {
        let refused = self.refused_calls();
        assert_eq!(refused, Vec::<String>::new(), "Telegram refused calls");
        self.program.stop().await;
    }

    /// What Telegram refused, but for what is gone already.
    pub(crate) fn refused_calls(&self) -> Vec<String> {
        let refused = |what: &Happened| match what {
            Happened::Called { method, error: Some(error), .. } if !error.contains("not found") => {
                Some(format!("{method}: {error}"))
            }
            _ => None,
        };
        self.telegram.world(|world| world.history().iter().filter_map(|entry| refused(&entry.what)).collect())
    }

    pub(crate) fn act(&self, act: Act) {
        self.telegram.act(act).unwrap();
    }

    pub(crate) fn write(&self, user: UserId, chat: ChatId, text: &str) {
        self.act(Act::Write { user, chat, content: Content::Text(text.to_owned()), thread: None });
    }

    pub(crate) fn reply(&self, user: UserId, to: MessageId, text: &str) {
        self.act(Act::Reply { user, chat: GROUP, to, content: Content::Text(text.to_owned()) });
    }

    /// The newest standing message of the bot with this in it.
    pub(crate) fn said(&self, chat: ChatId, text: &str) -> Option<MessageId> {
        self.telegram.world(|world| {
            let bot = world.bot().id;
            let mut messages = world.chat(chat)?.messages();
            messages.rfind(|message| message.from == bot && message.text.contains(text)).map(|message| message.id)
        })
    }

    pub(crate) async fn says(&self, chat: ChatId, text: &str) -> MessageId {
        eventually(&format!("{text:?} in {chat}"), async || self.said(chat, text).is_some()).await;
        self.said(chat, text).unwrap()
    }

    /// The owner gives a command in the group, and is told something with this in it in reply.
    pub(crate) async fn owner(&self, command: &str, answer: &str) -> MessageId {
        let before = self.replies();
        self.write(OWNER, GROUP, command);
        let replied = || self.replies().into_iter().filter(|reply| !before.contains(reply));
        eventually(&format!("{command} answered"), async || replied().next().is_some()).await;
        let (id, text) = replied().next().unwrap();
        assert!(text.contains(answer), "{command} is answered: {text}");
        id
    }

    /// Replies of the bot in the group, whether they still stand or not.
    pub(crate) fn replies(&self) -> Vec<(MessageId, String)> {
        self.telegram.world(|world| {
            let bot = world.bot().id;
            let replies = world.history().iter().filter_map(|entry| match &entry.what {
                Happened::Sent { chat: GROUP, message, author, reply_to: Some(_), text, .. } if *author == bot => {
                    Some((*message, text.clone()))
                }
                _ => None,
            });
            replies.collect()
        })
    }

    /// Presses a button, and is answered by something with this in it.
    pub(crate) async fn press(&self, user: UserId, message: MessageId, button: Pressed, answer: &str) {
        let before = self.answers().len();
        self.act(Act::PressButton { user, chat: GROUP, message, button });
        eventually("a press is answered", async || self.answers().len() > before).await;
        let answers = self.answers();
        assert!(answers[before].contains(answer), "{:?} instead of {answer:?}", answers[before]);
    }

    pub(crate) fn answers(&self) -> Vec<String> {
        let answered = |what: &Happened| match what {
            Happened::Answered { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.telegram.world(|world| world.history().iter().filter_map(|entry| answered(&entry.what)).collect())
    }

    pub(crate) async fn is_muted(&self, user: UserId, muted: bool) {
        eventually(&format!("{user} muted: {muted}"), async || {
            let now_ms = self.telegram.now_ms();
            self.telegram.world(|world| world.is_muted_by_bot(GROUP, user, now_ms)) == muted
        })
        .await;
    }

    pub(crate) fn text_of(&self, chat: ChatId, id: MessageId) -> String {
        self.telegram.world(|world| {
            let mut messages = world.chat(chat).unwrap().messages();
            messages.find(|message| message.id == id).map(|message| message.text.clone()).unwrap_or_default()
        })
    }

    pub(crate) fn links_of(&self, chat: ChatId, id: MessageId) -> Vec<String> {
        self.telegram.world(|world| {
            let mut messages = world.chat(chat).unwrap().messages();
            let message = messages.find(|message| message.id == id).unwrap();
            message.links().map(str::to_owned).collect()
        })
    }

    pub(crate) fn lookups_of(&self, user: UserId) -> usize {
        let looked = |what: &Happened| matches!(what, Happened::LookedUp { user: of, .. } if *of == user);
        self.telegram.world(|world| world.history().iter().filter(|entry| looked(&entry.what)).count())
    }

    /// The newest message of somebody in the group.
    pub(crate) fn newest_of(&self, user: UserId) -> MessageId {
        self.telegram.world(|world| {
            let mut messages = world.chat(GROUP).unwrap().messages();
            messages.rfind(|message| message.from == user).unwrap().id
        })
    }
}
