//! Erasing what is stored about a person or a chat (E106), on both databases.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::{
    conformance::{
        databases::{SqliteFile, with_postgres},
        some_bot,
    },
    database::{Database, Dialect},
};
use nezuko_telegram::{ChatId, Limits, MessageId, Permissions, Standing, UpdateId, UserId};
use nezuko_worker::{
    admission::Arrival,
    facts::{Event, EventOrder, Mark, Member, Setting},
    intent::{Intent, Put, Settlement},
    store::{
        Allowance, Audit, ButtonRow, ChatView, ChatWrites, Held, LedgerEntry, OperatorRule, Payload, PersonWrites,
        Prompt, Scope, Settle, SqlStore, Store, Verification,
    },
};
use sqlx::{AssertSqlSafe, Row};

const NOW: i64 = 1_700_000_000_000;
const ANN: UserId = UserId(50_005);
const BOB: UserId = UserId(60_006);
const GROUP: ChatId = ChatId(-1_001);
const OTHER: ChatId = ChatId(-1_002);
const CHANNEL: ChatId = ChatId(-1_011);

#[tokio::test]
async fn erasing_leaves_nothing_on_postgresql() {
    with_postgres(|database| async move {
        all(&database).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn erasing_leaves_nothing_on_sqlite() {
    all(&SqliteFile::new().await.database).await;
}

async fn all(database: &Database) {
    e106_a_person_is_erased_but_for_what_restrictions_hang_on(database).await;
    e106_a_chat_is_erased(database).await;
}

/// Every row of every table in which somebody or some chat may be named, of this bot.
async fn rows(database: &Database, store: &SqlStore) -> BTreeMap<String, Vec<String>> {
    let tables = match database.dialect {
        Dialect::Postgres => {
            "SELECT DISTINCT CAST(table_name AS TEXT) FROM information_schema.columns
             WHERE table_schema = 'public' AND column_name = 'bot_id'"
        }
        Dialect::Sqlite => {
            "SELECT m.name FROM sqlite_master m WHERE m.type = 'table'
                AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) WHERE name = 'bot_id')"
        }
    };
    let as_text = |table: &str, columns: &[String]| {
        let columns = columns.iter().map(|column| format!("coalesce(CAST({column} AS TEXT), '-')"));
        let columns = columns.collect::<Vec<_>>().join(" || ' ' || ");
        format!("SELECT {columns} FROM {table} WHERE bot_id = {} ORDER BY 1", store.bot())
    };
    let mut found = BTreeMap::new();
    let read = database.of(store.bot(), async |connection| {
        for table in sqlx::query(tables).fetch_all(&mut *connection).await? {
            let table: String = table.try_get(0)?;
            let columns = match database.dialect {
                Dialect::Postgres => format!(
                    "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                     WHERE table_schema = 'public' AND table_name = '{table}' AND column_name <> 'bot_id'
                        AND data_type <> 'bytea'"
                ),
                Dialect::Sqlite => format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'bot_id'"),
            };
            let columns = sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut *connection).await?;
            let columns: Vec<String> = columns.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            let rows = sqlx::query(AssertSqlSafe(as_text(&table, &columns))).fetch_all(&mut *connection).await?;
            let rows = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            found.insert(table, rows);
        }
        Ok::<_, sqlx::Error>(())
    });
    read.await.unwrap();
    found
}

/// Where an id stands.
fn naming(rows: &BTreeMap<String, Vec<String>>, id: i64) -> BTreeSet<String> {
    let names =
        |row: &String| row.split(|c: char| !(c.is_ascii_digit() || c == '-')).any(|part| part == id.to_string());
    rows.iter().filter(|(_, rows)| rows.iter().any(names)).map(|(table, _)| table.clone()).collect()
}

async fn write(store: &SqlStore, user: UserId, chat: ChatId, writes: PersonWrites) {
    let scope = Scope { user, chat, update: Some(UpdateId(user.0 - chat.0)), trace_id: "trace", now_ms: NOW };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
}

/// Somebody of whom everything is stored; muted by us in `muted_in`.
async fn live(store: &SqlStore, user: UserId, muted_in: ChatId) {
    for group in [GROUP, OTHER] {
        let until = Mark::of(store.bot(), group, user).until(NOW);
        let limits =
            if group == muted_in { Limits::Restricted { until, left: Permissions::NONE } } else { Limits::Free };
        let order = EventOrder { date: NOW / 1000, update_id: UpdateId(1) };
        let event = Some(Event { order, was_in: false, standing: Standing::Inside, limits });
        let member = Member { event, name: "Somebody".to_owned(), ..Member::default() };
        let writes = PersonWrites {
            members: BTreeMap::from([(group, member)]),
            put: vec![Put::urgent(Intent::Check { chat: group, user }, NOW)],
            hold: Some(Held { group, message: MessageId(3), date: NOW / 1000 }),
            ledger: vec![LedgerEntry { group, imposed: (group == muted_in).then(|| (until, vec![CHANNEL])) }],
            verifications: vec![Verification { group, outcome: "muted" }],
            ..PersonWrites::default()
        };
        write(store, user, group, writes).await;
    }
    let order = EventOrder { date: NOW / 1000, update_id: UpdateId(2) };
    store.admit(ChatId(-2_000 - user.0), &Arrival { order, by: Some(user), is_in: true }).await.unwrap();
    store.lay_down(OperatorRule::Quota(Some(user), Some(3)), NOW).await.unwrap();
    store.draw(user, Allowance::Presses, NOW, 1_000).await.unwrap();
    let (chat, expires_ms) = (GROUP, NOW + 1_000);
    let button = ButtonRow { id: user.0, chat, user: Some(user), payload: Payload::Panel, expires_ms, used_ms: 0 };
    store.add_buttons(&[button]).await.unwrap();
    let audit = Audit {
        chat: GROUP,
        actor: user,
        subject: user.0,
        action: "/allow".to_owned(),
        detail: String::new(),
        trace_id: "trace".to_owned(),
    };
    let put = Put::urgent(Intent::Delete { chat: OTHER, message: MessageId(user.0 * 1_000) }, NOW);
    store.put(&[put], "trace").await.unwrap();
    let claims = store.claim(nezuko_worker::intent::Lane::Deletions, "me", NOW, NOW + 1, 1).await.unwrap();
    let settle = [Settle::of(&claims[0], Settlement::Done).audited(audit)];
    store.settle(&settle, &[], "trace", NOW).await.unwrap();
}

async fn e106_a_person_is_erased_but_for_what_restrictions_hang_on(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    live(&store, ANN, GROUP).await;
    live(&store, BOB, GROUP).await;
    let before = rows(database, &store).await;
    let everywhere = [
        "allowances",
        "audit",
        "buttons",
        "group_owners",
        "held_messages",
        "intents",
        "ledger",
        "members",
        "operator_rules",
        "people",
        "verifications",
    ];
    assert_eq!(naming(&before, ANN.0), BTreeSet::from(everywhere.map(str::to_owned)));

    let counted = store.erase_person(ANN, &BTreeSet::new(), false, true, NOW).await.unwrap();
    // But for the lock's own number.
    let mut after = rows(database, &store).await;
    after.insert("people".to_owned(), before["people"].clone());
    assert_eq!(after, before, "a dry run has changed something");
    assert_eq!(store.protecting_chats(ANN, NOW).await.unwrap(), [(GROUP, true)]);

    let erased = store.erase_person(ANN, &BTreeSet::new(), false, false, NOW).await.unwrap();
    assert_eq!(erased, counted);
    assert_eq!(erased.kept, [GROUP]);
    let of = |table: &str| erased.rows[table];
    assert_eq!((of("members"), of("held_messages"), of("intents"), of("verifications")), (1, 1, 1, 2));
    assert_eq!((of("audit"), of("group_owners")), (3, 1));
    let after = rows(database, &store).await;
    assert_eq!((of("buttons"), of("allowances")), (1, 1));
    let kept = ["held_messages", "intents", "ledger", "members", "operator_rules", "people"].map(str::to_owned);
    assert_eq!(naming(&after, ANN.0), BTreeSet::from(kept));
    assert_eq!(naming(&after, BOB.0), naming(&before, BOB.0), "others stay");
    let seen = after["verifications"].len();
    assert_eq!(seen, before["verifications"].len(), "what has happened stays counted");

    // Freed there.
    let freed = BTreeSet::from([GROUP]);
    let erased = store.erase_person(ANN, &freed, true, false, NOW).await.unwrap();
    assert_eq!(erased.kept, []);
    assert_eq!(
        naming(&rows(database, &store).await, ANN.0),
        BTreeSet::from(["people".to_owned()]),
        "a number, no fact"
    );
}

async fn e106_a_chat_is_erased(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    live(&store, ANN, GROUP).await;
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
    for group in [GROUP, OTHER] {
        let mut require = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(on);
            ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: Vec::new() }
        };
        store.with_chat(group, "", NOW, &mut require).await.unwrap();
    }
    store.put(&[Put::urgent(Intent::Prompt { group: GROUP, topic: None }, NOW)], "").await.unwrap();
    let claim = store.claim(nezuko_worker::intent::Lane::Messages, "me", NOW, NOW + 1, 1).await.unwrap().remove(0);
    let stands = Prompt { message: 7, shown: "text".to_owned(), changed_ms: NOW, ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claim, None).await.unwrap());
    let order = EventOrder { date: NOW / 1000, update_id: UpdateId(2) };
    store.admit(GROUP, &Arrival { order, by: Some(BOB), is_in: true }).await.unwrap();
    store.lay_down(OperatorRule::Listed(GROUP, Some(true)), NOW).await.unwrap();
    assert_eq!(store.mutes_in(GROUP).await.unwrap(), 1);

    let before = rows(database, &store).await;
    let counted = store.erase_chat(GROUP, true, NOW).await.unwrap();
    assert_eq!(rows(database, &store).await, before, "a dry run has changed something");
    let erased = store.erase_chat(GROUP, false, NOW).await.unwrap();
    assert_eq!(erased, counted);
    assert!(erased.rows.iter().all(|(_, rows)| *rows > 0), "{erased:?}");
    let after = rows(database, &store).await;
    assert_eq!(naming(&after, GROUP.0), BTreeSet::from(["operator_rules".to_owned()]), "what the operator laid down");

    let version = store.chat(OTHER).await.unwrap().chat.version;
    store.erase_chat(CHANNEL, false, NOW).await.unwrap();
    let other = store.chat(OTHER).await.unwrap();
    assert!(other.links.is_empty() && other.chat.version > version, "it is decided again without the channel");
    let jobs = store.claim(nezuko_worker::intent::Lane::Jobs, "me", NOW, NOW + 1, 10).await.unwrap();
    assert!(jobs.iter().any(|claim| claim.intent == Intent::Redecide { chat: OTHER, after: UserId(0) }));
}
