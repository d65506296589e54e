#![allow(clippy::unwrap_used)]

use nezuko_shared::database::Database;
use nezuko_telegram::{BotId, ChatId, UpdateId};

use super::*;
use crate::{facts::Setting, store::SqlStore};

const BOT: BotId = BotId(42);
const GROUP: ChatId = ChatId(-1);
const CHANNEL: ChatId = ChatId(-2);
const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_700_000_000_000;

/// A group that requires a channel, of a bot that had its last update then.
async fn silent_since(received_ms: i64) -> Arc<dyn Store> {
    let database = Database::open("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    let store = Arc::new(SqlStore::new(database, BOT));
    let on = Setting { value: true, update_id: UpdateId(1), received_ms };
    let mut require = |_: &ChatView| ChatWrites { links: vec![(CHANNEL, on)], ..ChatWrites::default() };
    store.with_chat(GROUP, "", received_ms, &mut require).await.unwrap();
    store.note_received(received_ms).await.unwrap();
    store
}

fn watch(store: &Arc<dyn Store>) -> OutageWatch {
    OutageWatch::new(store.clone(), Metrics::new(BOT, "abc"))
}

/// The end of the silence that was noticed last, in hours after `NOW`.
async fn noticed(store: &Arc<dyn Store>) -> Option<i64> {
    let mut ends = Vec::new();
    for chat in [GROUP, CHANNEL] {
        ends.push(store.chat(chat).await.unwrap().chat.facts.missed_until_s);
    }
    assert_eq!(ends[0], ends[1]);
    let end_ms = ends[0] * 1000 + millis(KEPT) - millis(CATCHING_UP);
    (ends[0] != 0).then_some((end_ms - NOW) / HOUR)
}

#[tokio::test]
async fn a_silence_is_noticed_before_a_batch_and_within_it() {
    for (hours, silence) in [
        (vec![-1, 0, 23], None),
        (vec![25, 26], Some(25)),
        (vec![1, 26], Some(26)),
        (vec![49, 1, 24], Some(49)),
        (vec![26, 1, 25, 52], Some(52)),
    ] {
        let store = silent_since(NOW).await;
        let received_ms = hours.iter().map(|hour| NOW + hour * HOUR);
        watch(&store).before(received_ms, NOW + 100 * HOUR).await.unwrap();
        assert_eq!(noticed(&store).await, silence, "{hours:?}");
    }
}

#[tokio::test]
async fn what_another_worker_has_taken_in_is_no_silence() {
    let store = silent_since(NOW).await;
    let watch = watch(&store);
    store.note_received(NOW + 20 * HOUR).await.unwrap();
    // An entry that somebody left two days ago, beside a fresh one.
    watch.before([NOW - 48 * HOUR, NOW + 30 * HOUR].into_iter(), NOW + 30 * HOUR).await.unwrap();
    assert_eq!(noticed(&store).await, None);
}

#[tokio::test]
async fn a_clock_that_is_ahead_hides_no_silence() {
    let store = silent_since(NOW).await;
    let watch = watch(&store);
    watch.before([NOW + 90 * HOUR].into_iter(), NOW + HOUR).await.unwrap();
    assert_eq!(noticed(&store).await, None, "that nothing came for so long is not true");
    watch.before([NOW + 30 * HOUR].into_iter(), NOW + 30 * HOUR).await.unwrap();
    assert_eq!(noticed(&store).await, Some(30));
}

#[tokio::test]
async fn a_silence_that_goes_on_is_noticed_once_a_day_through_restarts() {
    let store = silent_since(NOW).await;
    let mut seen = Vec::new();
    let mut watching = watch(&store);
    for hour in 20..100 {
        if hour % 5 == 0 {
            watching = watch(&store);
        }
        watching.look(NOW + hour * HOUR).await.unwrap();
        seen.extend(noticed(&store).await.filter(|hour| seen.last() != Some(hour)));
    }
    // More than a day after the last update, then more than a day after it was noticed.
    assert_eq!(seen, [25, 50, 75]);
}

#[tokio::test]
async fn the_update_that_ends_a_silence_has_it_noticed_again() {
    let store = silent_since(NOW).await;
    let watch = watch(&store);
    watch.look(NOW + 30 * HOUR).await.unwrap();
    let end_ms = NOW + 35 * HOUR;
    watch.before([end_ms].into_iter(), end_ms).await.unwrap();
    assert_eq!(noticed(&store).await, Some(35));
}
