//! How much PostgreSQL reads for one person while there is much to do for others in many groups: a plan that it has kept from
//! a quiet time must not go through everything that is open, or through all groups of the bot.

use nezuko_shared::{
    conformance::{databases::with_postgres, some_bot},
    database::Database,
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, Setting},
    intent::{Intent, Lane, Put, Settlement},
    store::{ChatWrites, PersonWrites, Scope, Settle, SqlStore, Store},
};
use sqlx::Row;

const NOW: i64 = 1_700_000_000_000;
const GROUP: ChatId = ChatId(-1_001);
/// How many wait in a raid.
const OTHERS: i64 = 3_000;
/// How many other groups the bot protects, each with a channel of its own.
const OTHER_GROUPS: i64 = 300;
const PEOPLE: i64 = 100;
/// What is read for one person: their row, their groups and channels, their open intents, and a claim and its end.
const ENTRIES: i64 = 20;

#[tokio::test]
async fn what_concerns_others_is_not_read_for_each_person() {
    with_postgres(|database| async move {
        let store = SqlStore::new(database.clone(), some_bot());
        requires(&store, GROUP, ChatId(-2_001)).await;
        // Longer than PostgreSQL tries other plans before it keeps one.
        for user in 0..20 {
            comes(&store, UserId(1 + user)).await;
        }
        let others: Vec<Put> = (0..OTHERS).map(|nth| mute(UserId(1_000 + nth), NOW + 60_000)).collect();
        store.put(&others, "").await.unwrap();
        for nth in 0..OTHER_GROUPS {
            requires(&store, ChatId(-10_000 - nth), ChatId(-20_000 - nth)).await;
        }
        // As PostgreSQL's autovacuum does by itself, which counts on groups being added slowly, unlike work.
        let analyze = async |rows: &mut sqlx::AnyConnection| {
            sqlx::query("SET ROLE NONE").execute(&mut *rows).await?;
            sqlx::query("ANALYZE links, chats").execute(&mut *rows).await?;
            sqlx::query("RESET ROLE").execute(rows).await
        };
        database.of(store.bot(), analyze).await.unwrap();
        let before = entries_read(&database, store.bot()).await;
        for user in 0..PEOPLE {
            comes(&store, UserId(100_000 + user)).await;
        }
        let read = entries_read(&database, store.bot()).await - before;
        assert!(read > PEOPLE, "what is read is counted: {read}");
        assert!(read < PEOPLE * ENTRIES, "{} for each person", read / PEOPLE);
        Ok(())
    })
    .await;
}

fn mute(user: UserId, not_before_ms: i64) -> Put {
    Put::urgent(Intent::Member { group: GROUP, user }, not_before_ms)
}

async fn requires(store: &SqlStore, group: ChatId, channel: ChatId) {
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: 1 };
    for chat in [group, channel] {
        let links = if chat == group { vec![(channel, on)] } else { Vec::new() };
        let writes = ChatWrites { facts: Some(ChatFacts::default()), links, put: Vec::new() };
        store.with_chat(chat, "", NOW, &mut |_| writes.clone()).await.unwrap();
    }
}

/// Somebody comes, and is dealt with.
async fn comes(store: &SqlStore, user: UserId) {
    let scope = Scope { user, chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let put = PersonWrites { put: vec![mute(user, NOW)], ..PersonWrites::default() };
    store.with_person(&scope, &mut |_| put.clone()).await.unwrap();
    let claims = store.claim(Lane::Restrictions, "worker", NOW, NOW + 60_000, 10).await.unwrap();
    assert_eq!(claims.len(), 1);
    store.renew("worker", &[claims[0].claim].into(), NOW + 70_000).await.unwrap();
    store.postpone(Lane::Restrictions, ChatId(-1_002), NOW, NOW + 1).await.unwrap();
    let settle = PersonWrites { settle: Some(Settle::of(&claims[0], Settlement::Done)), ..PersonWrites::default() };
    store
        .with_person(&scope, &mut |view| {
            assert_eq!(view.open.len(), 1);
            settle.clone()
        })
        .await
        .unwrap();
}

/// How many entries of indexes, and rows without an index, were read so far of what grows with groups and with work.
async fn entries_read(database: &Database, bot: BotId) -> i64 {
    let flush = async |rows: &mut sqlx::AnyConnection| {
        sqlx::query("SELECT CAST(pg_stat_force_next_flush() AS TEXT)").execute(rows).await
    };
    database.of(bot, flush).await.unwrap();
    let read = async |rows: &mut sqlx::AnyConnection| {
        let read = "WITH tables AS (SELECT unnest(ARRAY['intents', 'links', 'chats']) AS relname)
            SELECT CAST((SELECT sum(seq_tup_read) FROM pg_stat_user_tables JOIN tables USING (relname))
                + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes JOIN tables USING (relname)) AS BIGINT)";
        sqlx::query(read).fetch_one(rows).await
    };
    database.of(bot, read).await.unwrap().try_get(0).unwrap()
}
