//! What the databases keep for people to read, and nothing decides by: the ledger and the verification log.

use nezuko_shared::{
    conformance::{
        databases::{SqliteFile, with_postgres},
        some_bot,
    },
    database::Database,
};
use nezuko_telegram::{ChatId, MessageId, UpdateId, UserId};
use nezuko_worker::{
    admission::Arrival,
    facts::{EventOrder, Member, Setting},
    intent::{Intent, Lane, Put, Settlement},
    store::{
        Audit, ChatView, ChatWrites, LedgerEntry, PersonWrites, Record, Scope, Settle, SqlStore, Store, Verification,
    },
};
use sqlx::Row;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;
const GROUP: ChatId = ChatId(-1_001);
const USER: UserId = UserId(5);

#[tokio::test]
async fn records_are_kept_on_postgresql() {
    with_postgres(|database| async move {
        all(&database).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn records_are_kept_on_sqlite() {
    all(&SqliteFile::new().await.database).await;
}

async fn all(database: &Database) {
    the_ledger_says_which_mutes_are_ours(database).await;
    the_verification_log_is_kept_for_ninety_days(database).await;
    records_follow_a_group_that_becomes_a_supergroup(database).await;
    the_audit_trail_is_written_with_the_settlement_and_read_with_the_log(database).await;
    people_in_chats_of_no_rule_are_forgotten_but_for_exceptions_and_whom_we_have_muted(database).await;
    people_in_a_group_that_the_bot_has_long_been_out_of_are_forgotten(database).await;
}

async fn write(store: &SqlStore, now_ms: i64, writes: PersonWrites) {
    let scope = Scope { user: USER, chat: GROUP, update: None, trace_id: "trace", now_ms };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
}

async fn the_ledger_says_which_mutes_are_ours(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    let imposed = |until: i64, missing: &[i64]| Some((until, missing.iter().map(|chat| ChatId(*chat)).collect()));
    let entry =
        |imposed| PersonWrites { ledger: vec![LedgerEntry { group: GROUP, imposed }], ..PersonWrites::default() };
    let mut told = Vec::new();
    for (now_ms, entry) in
        [(NOW, entry(imposed(70, &[-1, -2]))), (NOW + 1, entry(None)), (NOW + 2, entry(imposed(80, &[-2])))]
    {
        write(&store, now_ms, entry).await;
        let mute = sqlx::query("SELECT until_date, missing, imposed_ms, lifted_ms FROM ledger WHERE bot_id = $1")
            .bind(store.bot().0);
        let row = database.of(store.bot(), async |rows| mute.fetch_one(rows).await).await.unwrap();
        let (until, imposed): (i64, i64) = (row.get(0), row.get(2));
        told.push((until, row.get::<String, _>(1), imposed, row.get::<Option<i64>, _>(3)));
    }
    let expected = [
        (70, "-1,-2".to_owned(), NOW, None),
        (70, "-1,-2".to_owned(), NOW, Some(NOW + 1)),
        (80, "-2".to_owned(), NOW + 2, None),
    ];
    assert_eq!(told, expected);
}

async fn the_verification_log_is_kept_for_ninety_days(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    let verification = |outcome| PersonWrites {
        verifications: vec![Verification { group: GROUP, outcome }],
        ..PersonWrites::default()
    };
    write(&store, NOW, verification("muted")).await;
    write(&store, NOW + 1, verification("released")).await;
    let logged = async || {
        let log = sqlx::query(
            "SELECT outcome, chat_id, user_id, at_ms, trace_id FROM verifications WHERE bot_id = $1 ORDER BY at_ms",
        )
        .bind(store.bot().0);
        let rows = database.of(store.bot(), async |rows| log.fetch_all(rows).await).await.unwrap();
        rows.iter()
            .map(|row| (row.get(0), ChatId(row.get(1)), UserId(row.get(2)), row.get(3), row.get(4)))
            .collect::<Vec<(String, ChatId, UserId, i64, String)>>()
    };
    let entry = |outcome: &str, at_ms| (outcome.to_owned(), GROUP, USER, at_ms, "trace".to_owned());
    store.purge(NOW + 90 * DAY).await.unwrap();
    assert_eq!(logged().await, [entry("muted", NOW), entry("released", NOW + 1)]);
    store.purge(NOW + 90 * DAY + 1).await.unwrap();
    assert_eq!(logged().await, [entry("released", NOW + 1)]);
}

async fn people_in_chats_of_no_rule_are_forgotten_but_for_exceptions_and_whom_we_have_muted(database: &Database) {
    const CHANNEL: ChatId = ChatId(-1_011);
    let store = SqlStore::new(database.clone(), some_bot());
    let rule = async |value: bool| {
        let set = Setting { value, update_id: UpdateId(1 + i64::from(!value)), received_ms: NOW };
        let mut require = |_: &ChatView| ChatWrites { links: vec![(CHANNEL, set)], ..ChatWrites::default() };
        store.with_chat(GROUP, "", NOW, &mut require).await.unwrap();
    };
    rule(true).await;
    for (user, allowed, is_muted) in [(1, false, false), (2, true, false), (3, false, true)] {
        let allowed = allowed.then_some(Setting { value: true, update_id: UpdateId(1), received_ms: NOW });
        for chat in [GROUP, ChatId(-1_002)] {
            let member = Member { allowed, is_bot: true, ..Member::default() };
            let imposed = LedgerEntry { group: chat, imposed: Some((0, Vec::new())) };
            let ledger = is_muted.then_some(imposed).into_iter().collect();
            let writes =
                PersonWrites { members: vec![(chat, member)].into_iter().collect(), ledger, ..PersonWrites::default() };
            let scope = Scope { user: UserId(user), chat, update: None, trace_id: "trace", now_ms: NOW };
            store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
        }
    }
    let counts = async || [store.count_people(GROUP).await.unwrap(), store.count_people(ChatId(-1_002)).await.unwrap()];
    store.purge(NOW + 2 * DAY).await.unwrap();
    assert_eq!(counts().await, [3, 3]);
    store.purge(NOW + 2 * DAY + 1).await.unwrap();
    assert_eq!(counts().await, [3, 2]);
    rule(false).await;
    store.purge(NOW + 2 * DAY + 1).await.unwrap();
    assert_eq!(counts().await, [2, 2], "the rule is over");
}

async fn people_in_a_group_that_the_bot_has_long_been_out_of_are_forgotten(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
    let mut require = |_: &ChatView| ChatWrites { links: vec![(ChatId(-1_011), on)], ..ChatWrites::default() };
    store.with_chat(GROUP, "", NOW, &mut require).await.unwrap();
    let member = Member { is_bot: true, ..Member::default() };
    let known = || PersonWrites { members: [(GROUP, member.clone())].into(), ..PersonWrites::default() };
    let people = async || store.count_people(GROUP).await.unwrap();
    let at_once = |nth| EventOrder { date: NOW / 1000, update_id: UpdateId(nth) };
    let gone_ms = NOW + 90 * DAY;
    for (nth, is_there, heard_ms, left) in [(1, true, NOW, 1), (2, false, NOW, 0), (3, false, NOW + 1, 1)] {
        store.admit(GROUP, &Arrival { order: at_once(nth), by: Some(UserId(5)), is_in: is_there }).await.unwrap();
        write(&store, heard_ms, known()).await;
        store.purge(gone_ms).await.unwrap();
        assert_eq!(people().await, 1, "not yet");
        store.purge(gone_ms + 1).await.unwrap();
        assert_eq!(people().await, left, "the bot is there: {is_there}, heard of {} ms later", heard_ms - NOW);
    }
}

async fn records_follow_a_group_that_becomes_a_supergroup(database: &Database) {
    const OLD: ChatId = ChatId(-41);
    let store = SqlStore::new(database.clone(), some_bot());
    let imposed = |group, until| LedgerEntry { group, imposed: Some((until, Vec::new())) };
    let writes = |user: i64, ledger: Vec<LedgerEntry>| {
        let verifications = vec![Verification { group: OLD, outcome: "muted" }];
        (UserId(user), PersonWrites { ledger, verifications, ..PersonWrites::default() })
    };
    let everybody = [
        writes(5, vec![imposed(OLD, 70)]),
        writes(6, vec![imposed(OLD, 70), imposed(GROUP, 80)]),
        writes(7, vec![imposed(OLD, 70), LedgerEntry { group: OLD, imposed: None }]),
    ];
    for (user, writes) in everybody {
        let scope = Scope { user, chat: OLD, update: None, trace_id: "trace", now_ms: NOW };
        store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    }
    for _ in 0..2 {
        store.migrate(OLD, GROUP, "trace", NOW + 9).await.unwrap();
    }
    let mutes =
        sqlx::query("SELECT chat_id, user_id, until_date, lifted_ms FROM ledger WHERE bot_id = $1 ORDER BY user_id")
            .bind(store.bot().0);
    let rows = database.of(store.bot(), async |rows| mutes.fetch_all(rows).await).await.unwrap();
    let ledger: Vec<(i64, i64, i64, Option<i64>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(ledger, [(GROUP.0, 5, 70, Some(NOW + 9)), (GROUP.0, 6, 80, None), (GROUP.0, 7, 70, Some(NOW))]);
    let logged = sqlx::query("SELECT count(*) FROM verifications WHERE bot_id = $1 AND chat_id = $2 AND at_ms = $3")
        .bind(store.bot().0)
        .bind(GROUP.0)
        .bind(NOW);
    let logged = database.of(store.bot(), async |rows| logged.fetch_one(rows).await).await.unwrap();
    assert_eq!(logged.get::<i64, _>(0), 3);
}

async fn the_audit_trail_is_written_with_the_settlement_and_read_with_the_log(database: &Database) {
    const ADMIN: UserId = UserId(9);
    let store = SqlStore::new(database.clone(), some_bot()).keeping_records_for(10);
    let audit = |detail: &str| Audit {
        chat: GROUP,
        actor: ADMIN,
        subject: 0,
        action: "/protect".to_owned(),
        detail: detail.to_owned(),
        trace_id: "a trace".to_owned(),
    };
    let put = [1, 2].map(|message| Put::urgent(Intent::Delete { chat: GROUP, message: MessageId(message) }, NOW));
    store.put(&put, "trace").await.unwrap();
    let claims = store.claim(Lane::Deletions, "me", NOW, NOW + 1, 10).await.unwrap();
    let settle = |nth: usize, settlement| Settle::of(&claims[nth], settlement).audited(audit("@news"));
    // Not before it is done; and once, though it is said twice.
    let later = settle(0, Settlement::Retry { not_before_ms: NOW });
    store.settle(&[later], &[], "trace", NOW).await.unwrap();
    for _ in 0..2 {
        store.settle(&[settle(1, Settlement::Done)], &[], "trace", NOW + 1).await.unwrap();
    }
    let verifications = vec![Verification { group: GROUP, outcome: "muted" }];
    write(&store, NOW + 2, PersonWrites { verifications, ..PersonWrites::default() }).await;
    let line = |at_ms, actor, subject, action: &str, detail: &str, trace_id: &str| Record {
        at_ms,
        actor,
        subject,
        action: action.to_owned(),
        detail: detail.to_owned(),
        trace_id: trace_id.to_owned(),
    };
    let protect = line(NOW + 1, Some(ADMIN), None, "/protect", "@news", "a trace");
    let muted = line(NOW + 2, None, Some(USER.0), "muted", "", "trace");
    let read = async |user, since_ms, max| store.records(GROUP, user, since_ms, max).await.unwrap();
    assert_eq!(read(None, NOW, 10).await, [protect.clone(), muted.clone()]);
    assert_eq!(read(None, NOW, 1).await, std::slice::from_ref(&muted), "the newest ones");
    assert_eq!(read(Some(ADMIN), NOW, 10).await, [protect]);
    assert_eq!(read(Some(USER), NOW, 10).await, std::slice::from_ref(&muted));
    assert_eq!(read(None, NOW + 3, 10).await, []);
    assert_eq!(store.records(ChatId(-7), None, NOW, 10).await.unwrap(), []);
    store.purge(NOW + 10 * DAY + 2).await.unwrap();
    assert_eq!(read(None, NOW, 10).await, [muted]);
    store.purge(NOW + 10 * DAY + 3).await.unwrap();
    assert_eq!(read(None, NOW, 10).await, []);
}
