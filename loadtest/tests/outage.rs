//! Telegram has dropped what happened, because the bot could not be reached for over a day or for no reason at all: what was
//! known before must not be held against anybody.
#![allow(clippy::unwrap_used)]

mod support;

use loadtest::{
    simulator::{Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Happened, Member, Person, Rights, UserId, World},
};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use support::{
    Directory, Running, Settings, eventually, fresh_bot, play::now_ms, servers::count_rows, settings, token,
};

const OWNER: UserId = UserId(10);
const ANN: UserId = UserId(11);
const BOB: UserId = UserId(12);
const CARL: UserId = UserId(13);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
/// And some more, so that the next sweep is due.
const A_DAY_MS: i64 = 30 * 3_600_000;

async fn telegram(bot: UserId) -> Simulator {
    let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
    for (user, name) in [(OWNER, "Olga"), (ANN, "Ann"), (BOB, "Bob"), (CARL, "Carl")] {
        world.add_person(Person::named(user, name));
    }
    for (chat, kind) in [(GROUP, ChatKind::Supergroup), (CHANNEL, ChatKind::Channel)] {
        let mut spec = ChatSpec::new(chat, kind, "Chat");
        spec.username = (kind == ChatKind::Channel).then(|| "channel".to_owned());
        spec.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
        world.add_chat(now_ms(), spec);
        world.act(now_ms(), Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL }).unwrap();
    }
    Simulator::start(world, Options::new(&token(bot))).await.unwrap()
}

async fn is_muted(telegram: &Simulator, user: UserId, muted: bool) {
    eventually(&format!("{user} muted: {muted}"), async || {
        let now_ms = telegram.now_ms();
        telegram.world(|world| world.is_muted_by_bot(GROUP, user, now_ms)) == muted
    })
    .await;
}

/// Somebody does something of which the bot is never told.
fn unseen(telegram: &Simulator, act: Act) {
    let now_ms = telegram.now_ms();
    telegram.world(|world| {
        assert!(world.take_updates().is_empty());
        world.act(now_ms, act).unwrap();
        assert!(!world.take_updates().is_empty());
    });
}

fn was_ever_muted(telegram: &Simulator, user: UserId) -> bool {
    let mute = |what: &Happened| {
        let Happened::Changed { chat: GROUP, user: whose, new, .. } = what else { return false };
        *whose == user && new.is_muted()
    };
    telegram.world(|world| world.history().iter().any(|entry| mute(&entry.what)))
}

/// Everything that the bot knows becomes a day older, and so does what `older` says.
async fn a_day_passes(database: &str, older: &'static str) {
    sqlx::any::install_default_drivers();
    let mut database = AnyConnection::connect(database).await.unwrap();
    assert!(sqlx::query(older).bind(A_DAY_MS).execute(&mut database).await.unwrap().rows_affected() > 0);
    for table in ["members", "chats"] {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT rowid, facts FROM {table}")));
        for row in rows.fetch_all(&mut database).await.unwrap() {
            let mut facts: Value = serde_json::from_str(row.get(1)).unwrap();
            grow_older(&mut facts);
            sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET facts = $1 WHERE rowid = $2")))
                .bind(facts.to_string())
                .bind(row.get::<i64, _>(0))
                .execute(&mut database)
                .await
                .unwrap();
        }
    }
    database.close().await.unwrap();
}

/// Every time in these facts becomes a day earlier.
fn grow_older(facts: &mut Value) {
    match facts {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_i64() {
                    Some(date) if name == "date" => *value = (date - A_DAY_MS / 1_000).into(),
                    Some(ms) if name.ends_with("_ms") => *value = (ms - A_DAY_MS).into(),
                    _ => grow_older(value),
                }
            }
        }
        // Looked up at this time, the bot itself.
        Value::Array(items) => {
            for item in items {
                match item.as_i64() {
                    Some(ms) if ms > A_DAY_MS => *item = (ms - A_DAY_MS).into(),
                    _ => grow_older(item),
                }
            }
        }
        _ => {}
    }
}

/// Telegram has delivered everything, and the program has acted on it: nothing of it waits in the queue.
async fn all_is_taken_in(telegram: &Simulator, dir: &Directory) {
    let database = dir.sqlite_url();
    eventually("all is taken in", async || telegram.pending() == 0 && count_rows(&database, "queue").await == 0).await;
}

/// The program guards the group, and Ann has been muted in it.
async fn guarded(telegram: &Simulator, dir: &Directory, settings: &Settings) -> Running {
    let program = Running::start("nezuko", "nezuko", dir, settings).await;
    let protect = Content::Text("/protect @channel".to_owned());
    telegram.act(Act::Write { user: OWNER, chat: GROUP, content: protect, thread: None }).unwrap();
    eventually("the group is protected", async || {
        telegram.world(|world| world.chat(GROUP).unwrap().messages().any(|said| said.text.contains("Protected: ")))
    })
    .await;
    telegram.act(Act::Join { user: ANN, chat: GROUP }).unwrap();
    is_muted(telegram, ANN, true).await;
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_before_an_outage_is_held_against_nobody() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
    let program = guarded(&telegram, &dir, &settings).await;
    // Bob was in the channel and has left it; Carl is in.
    telegram.act(Act::Join { user: BOB, chat: CHANNEL }).unwrap();
    telegram.act(Act::Leave { user: BOB, chat: CHANNEL }).unwrap();
    telegram.act(Act::Join { user: CARL, chat: CHANNEL }).unwrap();
    telegram.act(Act::AskToJoin { user: BOB, chat: GROUP }).unwrap();
    all_is_taken_in(&telegram, &dir).await;
    program.stop().await;

    unseen(&telegram, Act::Join { user: ANN, chat: CHANNEL });
    unseen(&telegram, Act::Join { user: BOB, chat: CHANNEL });
    unseen(&telegram, Act::Leave { user: CARL, chat: CHANNEL });
    a_day_passes(&dir.sqlite_url(), "UPDATE bots SET received_ms = received_ms - $1").await;

    let program = Running::start("nezuko", "nezuko-again", &dir, &settings).await;
    is_muted(&telegram, ANN, true).await;
    telegram.act(Act::Join { user: BOB, chat: GROUP }).unwrap();
    telegram.act(Act::Join { user: CARL, chat: GROUP }).unwrap();
    is_muted(&telegram, CARL, true).await;
    // Nobody tells the bot about Ann: she is looked up because nothing from before is believed.
    is_muted(&telegram, ANN, false).await;
    eventually("Bob has been looked up", async || {
        let asked = |what: &Happened| matches!(what, Happened::LookedUp { chat: CHANNEL, user: BOB, .. });
        telegram.world(|world| world.history().iter().any(|entry| asked(&entry.what)))
    })
    .await;
    assert_eq!(program.metric("nezuko_outages_total").await, 1);
    // E26: of requests from that time nothing tells.
    let missed = "I heard nothing from Telegram for more than a day.";
    eventually("the administrators are told", async || {
        telegram.world(|world| {
            let said = world.chat(GROUP).unwrap().messages();
            said.filter(|said| said.text.starts_with(missed)).count() == 1
        })
    })
    .await;
    program.stop().await;
    assert!(!was_ever_muted(&telegram, BOB));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_kept_muted_is_looked_up_once_a_day() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
    let program = guarded(&telegram, &dir, &settings).await;
    all_is_taken_in(&telegram, &dir).await;
    program.stop().await;

    unseen(&telegram, Act::Join { user: ANN, chat: CHANNEL });
    a_day_passes(&dir.sqlite_url(), "UPDATE intents SET not_before_ms = not_before_ms - $1 WHERE kind = 'redecide'")
        .await;
    let program = Running::start("nezuko", "nezuko-again", &dir, &settings).await;
    is_muted(&telegram, ANN, false).await;
    assert_eq!(program.metric("nezuko_outages_total").await, 0);
    program.stop().await;
}
