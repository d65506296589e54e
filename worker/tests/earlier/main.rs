//! Taking over databases of the earlier Nezuko: each kind of source into each kind of target.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use nezuko_shared::{
    conformance::databases::{Postgres, Role, SqliteFile, server},
    database::Database,
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId};
use nezuko_worker::{
    facts::{Setting, set},
    intent::{Intent, Lane},
    operate::import_earlier::import,
    store::{Chat, ChatView, ChatWrites, SqlStore, Store},
};
use sqlx::Executor;

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const OFF: ChatId = ChatId(-1_001_000_000_002);
const ALONE: ChatId = ChatId(-1_001_000_000_003);
const NEWS: ChatId = ChatId(-1_001_000_000_011);
const HIDDEN: ChatId = ChatId(-1_001_000_000_012);
/// 2026-01-02 10:00 and 2026-01-03 10:00, UTC.
const CREATED: i64 = 1_767_348_000_000;
const CHANGED: i64 = 1_767_434_400_000;
const NOW: i64 = 1_800_000_000_000;

/// A SQLite file of the earlier Nezuko's, gone with this.
struct EarlierFile(PathBuf);

impl EarlierFile {
    async fn new(schema: &str) -> Self {
        let path = env::temp_dir().join(format!("earlier-{:016x}.db", rand::random::<u64>()));
        let database = Database::open(&format!("sqlite:{}", path.display())).await.unwrap();
        for statement in schema.split(";\n") {
            database.pool().execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
        }
        // As SQLAlchemy leaves it.
        database.pool().execute("PRAGMA journal_mode = DELETE").await.unwrap();
        database.pool().close().await;
        Self(path)
    }

    fn url(&self) -> String {
        format!("sqlite+aiosqlite:///{}", self.0.display())
    }
}

impl Drop for EarlierFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// What stands in the first columns of the table's line.
fn line(report: &str, kind: &str) -> Vec<usize> {
    let line = report.lines().find(|line| line.starts_with(&format!("{kind} "))).unwrap();
    line.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect()
}

/// Everything that an import may change.
async fn known(store: &SqlStore) -> Vec<(Chat, BTreeMap<ChatId, Setting<bool>>)> {
    let mut views = Vec::new();
    for chat in [GROUP, OFF, ALONE, NEWS, HIDDEN] {
        let view = store.chat(chat).await.unwrap();
        views.push((view.chat, view.links));
    }
    views
}

/// The same for every source: it is taken over once, what was set here since stays, and a dry run changes nothing.
async fn is_taken_over(database: &Database, url: &str) {
    let store = SqlStore::new(database.clone(), BOT);
    let dry = import(&store, url, NOW, true).await.unwrap();
    assert!(dry.contains("would take") && dry.ends_with("nothing was changed\n"), "{dry}");
    assert!(known(&store).await.iter().all(|(chat, _)| chat.facts.kind.is_empty()), "a dry run has changed something");
    assert_eq!(store.open_intents(i64::MAX).await.unwrap(), []);
    assert_eq!(store.owner(GROUP).await.unwrap(), None);

    let report = import(&store, url, NOW, false).await.unwrap();
    assert_eq!(line(&report, "groups")[..3], line(&dry, "groups")[..3], "{report}");
    assert_eq!(line(&report, "groups"), [3, 0, 0, 2], "{report}");
    assert_eq!(line(&report, "channels")[1..3], [0, 0], "{report}");
    assert_eq!(line(&report, "links"), [3, 0, 0, 1], "{report}");
    assert_eq!(line(&report, "owners"), [3, 0, 0, 1], "{report}");
    assert_eq!(line(&report, "settings"), [0, 0, 0, 1], "{report}");
    for told in [
        "groups -1001000000003: taken over without protection: it requires no channel, so use /protect",
        "settings -1001000000003: no version of the earlier bot acted on button_text: set it by /settings",
        "owners 52: owns no group that is taken over",
        "verification log: 1 rows stay where they are",
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }

    let group = store.chat(GROUP).await.unwrap();
    let imported = |value, received_ms| Setting { value, update_id: UpdateId(0), received_ms };
    assert_eq!(group.chat.facts.protected, Some(imported(true, CHANGED)));
    assert_eq!(group.chat.facts.title, "Müller's");
    let links: Vec<_> = group.links.into_iter().collect();
    assert_eq!(links, [(HIDDEN, imported(true, CREATED + 1_000)), (NEWS, imported(true, CREATED))]);
    assert!(!store.chat(OFF).await.unwrap().chat.facts.is_protected());
    assert!(!store.chat(ALONE).await.unwrap().chat.facts.is_protected());
    let hidden = store.chat(HIDDEN).await.unwrap().chat.facts;
    assert_eq!((hidden.title.as_str(), hidden.invite_link.as_str()), ("Hidden", "https://t.me/+abc"));
    assert_eq!(store.owner(GROUP).await.unwrap(), Some(UserId(51)));
    // Everything else waits for what Telegram says about our place there.
    let looks = store.claim(Lane::Bulk, "me", NOW, NOW + 1, 100).await.unwrap();
    let looked: Vec<_> = looks.iter().map(|claim| claim.intent.clone()).collect();
    for chat in [GROUP, NEWS, HIDDEN] {
        assert!(looked.contains(&Intent::Check { chat, user: BOT.user() }), "{looked:?}");
    }

    let before = known(&store).await;
    let again = import(&store, url, NOW + 1, false).await.unwrap();
    assert_eq!(line(&again, "groups"), [0, 3, 0, 2], "{again}");
    assert_eq!(line(&again, "links"), [0, 3, 0, 1], "{again}");
    assert_eq!(line(&again, "owners"), [0, 3, 0, 1], "{again}");
    assert_eq!(known(&store).await, before);

    // /unprotect, of a low update id, as after a restart of Telegram's numbers.
    let off = Setting { value: false, update_id: UpdateId(5), received_ms: CREATED };
    let mut unprotect = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        assert!(set(&mut facts.protected, Setting { received_ms: NOW, ..off }));
        ChatWrites { facts: Some(facts), links: vec![(NEWS, off)], put: Vec::new() }
    };
    store.with_chat(GROUP, "test", NOW, &mut unprotect).await.unwrap();
    let before = known(&store).await;
    let last = import(&store, url, NOW + 2, false).await.unwrap();
    assert_eq!(line(&last, "groups"), [0, 2, 1, 2], "{last}");
    assert_eq!(line(&last, "links"), [0, 2, 1, 1], "{last}");
    assert_eq!(known(&store).await, before, "what was set here since wins");
}

/// Into SQLite and, where there is a server, PostgreSQL as the role that the programs run as.
async fn into_both(url: &str) {
    let file = SqliteFile::new().await;
    is_taken_over(&file.database, url).await;
    let Some(server) = server("DATABASE_URL") else { return };
    let postgres = Postgres::create(server).await.unwrap();
    let database = postgres.open(Role::Runtime).await.unwrap();
    is_taken_over(&database, url).await;
    database.pool().close().await;
    postgres.remove().await.unwrap();
}

#[tokio::test]
async fn a_sqlite_database_of_the_earlier_nezuko_is_taken_over() {
    let earlier = EarlierFile::new(include_str!("sqlite.sql")).await;
    let before = fs::read(&earlier.0).unwrap();
    into_both(&earlier.url()).await;
    assert!(fs::read(&earlier.0).unwrap() == before, "the earlier file is changed");
}

#[tokio::test]
async fn a_postgresql_database_of_the_earlier_nezuko_is_taken_over() {
    let Some(url) = server("DATABASE_URL") else { return };
    let earlier = Postgres::create_empty(url).await.unwrap();
    let database = earlier.open(Role::Administrator).await.unwrap();
    sqlx::raw_sql(include_str!("postgres.sql")).execute(database.pool()).await.unwrap();
    into_both(&earlier.url(Role::Administrator).replace("postgres://", "postgresql+asyncpg://")).await;
    database.pool().close().await;
    earlier.remove().await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_of_the_earlier_nezuko_is_said_to_be_none() {
    let file = SqliteFile::new().await;
    let store = SqlStore::new(file.database.clone(), BOT);
    let without = |table: &str| {
        let schema = include_str!("sqlite.sql");
        let begin = schema.find(&format!("CREATE TABLE {table} ")).unwrap();
        let end = schema.find("INSERT").unwrap();
        schema[..begin].to_owned()
            + &schema[begin..end].split_once(";\n").unwrap().1.replace("    channel_id BIGINT NOT NULL,\n", "")
    };
    let no_owners = EarlierFile::new(&without("owners")).await;
    let other = EarlierFile::new("CREATE TABLE owners (id INTEGER)").await;
    for (url, wrong) in [
        ("mysql://db/nezuko".to_owned(), "the address is not understood: it must begin with postgres://"),
        ("sqlite:///no/such/file.db".to_owned(), "the earlier database cannot be read"),
        ("postgres://nobody@127.0.0.1:1/none".to_owned(), "the earlier database cannot be read"),
        (no_owners.url(), "this is no database of the earlier Nezuko: it has no table owners"),
        (other.url(), "this is no database of the earlier Nezuko: its table owners has no column user_id"),
    ] {
        let error = format!("{:#}", import(&store, &url, NOW, false).await.unwrap_err());
        assert!(error.contains(wrong), "{url}: {error}");
    }
}
