//! What the databases keep of recorded traces: an intent follows the newest one that asked for it and is linked to those
//! before. The store of the generated histories keeps nothing of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nezuko_shared::{
    conformance::{
        databases::{SqliteFile, with_postgres},
        some_bot,
    },
    database::Database,
    limiter::Urgency,
    telemetry::trace::{MAX_LINKS, Span, SpanKind, recorded},
};
use nezuko_telegram::{ChatId, MessageId, UserId};
use nezuko_worker::{
    intent::{Claim, Intent, Lane, Put, Settlement},
    store::{Settle, SqlStore, Store},
};

const NOW: i64 = 1_700_000_000_000;
const GROUP: ChatId = ChatId(-1_001);
const ANN: UserId = UserId(5);
const BOB: UserId = UserId(6);

#[tokio::test]
async fn traces_go_through_postgresql() {
    with_postgres(|database| async move {
        all(&database).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn traces_go_through_sqlite() {
    all(&SqliteFile::new().await.database).await;
}

async fn all(database: &Database) {
    an_intent_follows_its_newest_trace_and_is_linked_to_those_before(database).await;
    what_nobody_waits_for_belongs_to_no_trace(database).await;
}

const fn mute(user: UserId) -> Intent {
    Intent::Member { group: GROUP, user }
}

async fn put(store: &SqlStore, put: Put) {
    store.put(&[put], "").await.unwrap();
}

/// The same in the trace of `traceparent`, as a worker does that takes an update in.
async fn put_within(store: &SqlStore, traceparent: &str, one: Put) {
    let span = Span::following(traceparent, [], SpanKind::Consumer, || ("process updates".into(), Vec::new()));
    span.around(put(store, one)).await;
}

async fn claim(store: &SqlStore, lane: Lane, now_ms: i64) -> Claim {
    let mut claims = store.claim(lane, "me", now_ms, now_ms + 1_000, 2).await.unwrap();
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

/// The trace that a `traceparent` is of.
fn trace(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

async fn an_intent_follows_its_newest_trace_and_is_linked_to_those_before(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    let asked: Vec<String> = (0..MAX_LINKS + 3).map(|_| recorded::sampled()).collect();
    for one in &asked {
        put_within(&store, one, Put::urgent(mute(ANN), NOW)).await;
    }
    put(&store, Put::urgent(mute(ANN), NOW)).await;
    let claimed = claim(&store, Lane::Restrictions, NOW).await;

    let (newest, before) = asked.split_last().unwrap();
    assert_eq!(trace(&claimed.traceparent), trace(newest), "one that is not recorded takes nobody's place");
    let parent = recorded::spans(newest).into_iter().find(|span| span.name == "transaction").unwrap();
    assert!(claimed.traceparent.contains(&parent.span_context.span_id().to_string()), "{}", claimed.traceparent);
    let links: Vec<&str> = claimed.trace_links.split_whitespace().map(trace).collect();
    let last: Vec<&str> = before.iter().rev().take(MAX_LINKS).map(|one| trace(one)).collect();
    assert_eq!(links, last, "newest first, so many at most");

    // An effect is of the first, since it is done once.
    let delete = || Put::urgent(Intent::Delete { chat: GROUP, message: MessageId(1) }, NOW);
    put_within(&store, &asked[0], delete()).await;
    put_within(&store, &asked[1], delete()).await;
    let claimed = claim(&store, Lane::Deletions, NOW).await;
    assert_eq!((trace(&claimed.traceparent), claimed.trace_links.as_str()), (trace(&asked[0]), ""));
}

async fn what_nobody_waits_for_belongs_to_no_trace(database: &Database) {
    let store = SqlStore::new(database.clone(), some_bot());
    let asked = recorded::sampled();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let hour_ms = Duration::from_hours(1).as_millis() as i64;
    let (later_ms, soon_ms) = (now_ms + hour_ms, now_ms + 1_000);

    put_within(&store, &asked, Put::bulk(mute(ANN), NOW)).await;
    let bulk = claim(&store, Lane::Bulk, NOW).await;
    assert_eq!((bulk.urgency, bulk.traceparent.as_str()), (Urgency::Bulk, ""));
    store.settle(&[Settle::of(&bulk, Settlement::Done)], &[], "", NOW).await.unwrap();

    put_within(&store, &asked, Put::urgent(mute(ANN), later_ms)).await;
    let timer = claim(&store, Lane::Restrictions, later_ms).await;
    assert_eq!(timer.traceparent, "", "a timer");
    store.settle(&[Settle::of(&timer, Settlement::Done)], &[], "", later_ms).await.unwrap();

    put_within(&store, &asked, Put::urgent(mute(BOB), NOW)).await;
    for (not_before_ms, is_followed) in [(soon_ms, true), (later_ms, false)] {
        let waits = claim(&store, Lane::Restrictions, soon_ms).await;
        let settle = Settle::of(&waits, Settlement::Retry { not_before_ms });
        store.settle(&[settle], &[], "", soon_ms).await.unwrap();
        let again = claim(&store, Lane::Restrictions, not_before_ms).await;
        assert_eq!(!again.traceparent.is_empty(), is_followed, "tried again at {not_before_ms}");
        store.release("me").await.unwrap();
    }
}
