//! A basic group becomes a supergroup, with the real program: its settings and what waits follow it to the new id, whether
//! Telegram's notes tell it or a call meets it first.
#![allow(clippy::unwrap_used)]

mod support;

use loadtest::{
    simulator::{Fault, FaultKind, Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Happened, Member, Person, Rights, UserId, World},
};
use support::{Directory, Running, eventually, fresh_bot, play::now_ms, settings, token};

const OWNER: UserId = UserId(10);
const ANN: UserId = UserId(11);
const BASIC: ChatId = ChatId(-4_077);
const UPGRADED: ChatId = ChatId(-1_001_000_000_077);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);

/// A basic group, a supergroup and a channel of one owner, the bot an administrator everywhere.
async fn telegram(bot: UserId) -> Simulator {
    let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
    world.add_person(Person::named(OWNER, "Olga"));
    world.add_person(Person::named(ANN, "Ann"));
    let now_ms = now_ms();
    let chats = [(BASIC, ChatKind::Group), (GROUP, ChatKind::Supergroup), (CHANNEL, ChatKind::Channel)];
    for (chat, kind) in chats {
        let mut spec = ChatSpec::new(chat, kind, "Chat");
        spec.username = (kind == ChatKind::Channel).then(|| "channel".to_owned());
        spec.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
        world.add_chat(now_ms, spec);
        world.act(now_ms, Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL }).unwrap();
    }
    Simulator::start(world, Options::new(&token(bot))).await.unwrap()
}

fn say(telegram: &Simulator, chat: ChatId, text: &str) {
    let content = Content::Text(text.to_owned());
    telegram.act(Act::Write { user: OWNER, chat, content, thread: None }).unwrap();
}

/// How often the bot has said something with this in it.
fn said(telegram: &Simulator, chat: ChatId, text: &str) -> usize {
    telegram.world(|world| {
        let bot = world.bot().id;
        let messages = world.chat(chat).unwrap().messages();
        messages.filter(|message| message.from == bot && message.text.contains(text)).count()
    })
}

async fn says(telegram: &Simulator, chat: ChatId, text: &str) {
    eventually(&format!("{text:?} in {chat}"), async || said(telegram, chat, text) > 0).await;
}

async fn is_muted(telegram: &Simulator, chat: ChatId, muted: bool) {
    eventually(&format!("Ann muted in {chat}: {muted}"), async || {
        let now_ms = telegram.now_ms();
        telegram.world(|world| world.is_muted_by_bot(chat, ANN, now_ms)) == muted
    })
    .await;
}

async fn refused(telegram: &Simulator, method: &str, chat: ChatId, status: u16) {
    eventually(&format!("{method} in {chat} meets {status}"), async || {
        let calls = telegram.calls();
        calls
            .iter()
            .any(|call| call.method.eq_ignore_ascii_case(method) && call.chat == Some(chat) && call.status == status)
    })
    .await;
}

/// Messages there have to wait for so long.
fn hold_messages(telegram: &Simulator, chat: ChatId, retry_after: u64) {
    let kind = FaultKind::Flood { retry_after };
    telegram.inject(Fault { method: Some("sendMessage"), chat: Some(chat), every: 1, times: 1, kind });
}

fn upgrade() -> Act {
    Act::Upgrade { admin: OWNER, chat: BASIC, to: UPGRADED }
}

/// The group becomes a supergroup, and Telegram's word about it never comes.
fn upgrade_unseen(telegram: &Simulator) {
    let now_ms = telegram.now_ms();
    telegram.world(|world| {
        let before = world.take_updates();
        assert!(before.is_empty(), "{before:?}");
        world.act(now_ms, upgrade()).unwrap();
        assert_eq!(world.take_updates().len(), 3);
    });
}

/// The group is protected and Ann guarded in it.
async fn is_guarded(telegram: &Simulator, group: ChatId) {
    say(telegram, group, "/protect @channel");
    says(telegram, group, "Protected: ").await;
    telegram.act(Act::Join { user: ANN, chat: group }).unwrap();
    is_muted(telegram, group, true).await;
    telegram.act(Act::Join { user: ANN, chat: CHANNEL }).unwrap();
    is_muted(telegram, group, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_group_is_said_in_its_supergroup_and_that_is_guarded() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let program =
        Running::start("nezuko", "nezuko", &dir, &settings(bot, &telegram.api_url(), &dir.sqlite_url())).await;
    say(&telegram, BASIC, "/protect @channel");
    says(&telegram, BASIC, "Members can only be restricted in supergroups").await;
    hold_messages(&telegram, BASIC, 3_600);
    say(&telegram, BASIC, "/help");
    refused(&telegram, "sendMessage", BASIC, 429).await;

    telegram.act(upgrade()).unwrap();
    says(&telegram, UPGRADED, "/protect").await;
    is_guarded(&telegram, UPGRADED).await;
    assert!(telegram.calls().iter().all(|call| call.chat != Some(BASIC) || call.status != 400), "the notes told it");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_meets_the_upgrade_first_brings_everything_over() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let program =
        Running::start("nezuko", "nezuko", &dir, &settings(bot, &telegram.api_url(), &dir.sqlite_url())).await;
    hold_messages(&telegram, BASIC, 2);
    say(&telegram, BASIC, "/help");
    refused(&telegram, "sendMessage", BASIC, 429).await;
    upgrade_unseen(&telegram);

    says(&telegram, UPGRADED, "/protect").await;
    refused(&telegram, "sendMessage", BASIC, 400).await;
    is_guarded(&telegram, UPGRADED).await;
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_requires_a_group_follows_it_when_a_lookup_meets_the_upgrade() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let program =
        Running::start("nezuko", "nezuko", &dir, &settings(bot, &telegram.api_url(), &dir.sqlite_url())).await;
    say(&telegram, GROUP, &format!("/protect {BASIC}"));
    says(&telegram, GROUP, "Protected: ").await;
    eventually("all is delivered", async || telegram.pending() == 0).await;
    upgrade_unseen(&telegram);

    telegram.act(Act::Join { user: ANN, chat: GROUP }).unwrap();
    refused(&telegram, "getChatMember", BASIC, 400).await;
    is_muted(&telegram, GROUP, true).await;
    eventually("the bot has found its place there", async || {
        let own = |what: &Happened| matches!(what, Happened::LookedUp { chat: UPGRADED, user, .. } if *user == bot);
        telegram.world(|world| world.history().iter().any(|entry| own(&entry.what)))
    })
    .await;
    // What happens in that very second may be from before it.
    let found_ms = telegram.now_ms();
    eventually("a second later", async || telegram.now_ms() / 1000 > found_ms / 1000).await;
    telegram.act(Act::Join { user: ANN, chat: UPGRADED }).unwrap();
    is_muted(&telegram, GROUP, false).await;
    // Who asks by the old id is understood.
    say(&telegram, GROUP, "/unprotect");
    says(&telegram, GROUP, "No longer protected").await;
    say(&telegram, GROUP, &format!("/protect {BASIC}"));
    eventually("protected again", async || said(&telegram, GROUP, "Protected: ") == 2).await;
    program.stop().await;
}
