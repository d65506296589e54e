//! What becomes of claims whose calls or stores fail.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nezuko_shared::{
    cache::memory::MemoryCache,
    database::Database,
    limiter::{LimiterSettings, memory::MemoryLimiter},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, ChatId, Client, MessageId, RawResponse, Transport, TransportError, UpdateId};
use tokio::time::timeout;

use super::Sender;
use crate::{
    handle::Handler,
    intent::{Claim, Intent, Lane, Put, Reply},
    store::SqlStore,
};

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const NOW: i64 = 1_700_000_000_000;
const DEADLINE: Duration = Duration::from_secs(20);

/// Answers every call so, and has the store fail from then on where it is told to.
struct Telegram {
    status: u16,
    body: &'static str,
    calls: AtomicUsize,
    breaks: Option<Database>,
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, _: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(database) = &self.breaks {
            sqlx::query("ALTER TABLE intents RENAME TO away").execute(&database.pool).await.unwrap();
        }
        Ok(RawResponse { status: self.status, retry_after: None, body: self.body.into() })
    }
}

async fn database() -> Database {
    let database = Database::open("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    database
}

fn sender(database: &Database, telegram: &Arc<Telegram>) -> Sender {
    let handler = Handler {
        store: Arc::new(SqlStore::new(database.clone(), BOT)),
        cache: Arc::new(MemoryCache::default()),
        bot: BOT,
        username: Arc::new(OnceLock::new()),
        metrics: Metrics::new(BOT, "abc"),
        clock: Arc::new(|| NOW),
        wake: Arc::default(),
    };
    let limiter = Arc::new(MemoryLimiter::new(LimiterSettings::default()));
    Sender::new(handler, Client::new(telegram.clone()), limiter, "me".to_owned())
}

async fn claim(sender: &Sender, lane: Lane, intents: Vec<Intent>) -> Vec<Claim> {
    let put: Vec<Put> = intents.into_iter().map(|intent| Put::urgent(intent, NOW)).collect();
    sender.handler.store.put(&put, "").await.unwrap();
    sender.claim(lane, 10).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_reply_is_sent_once_though_the_store_fails_just_after() {
    let database = database().await;
    let (status, body) = (200, r#"{"ok":true,"result":{"message_id":7}}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: Some(database.clone()) });
    let sender = sender(&database, &telegram);
    let reply =
        Reply { update_id: UpdateId(1), chat: GROUP, topic: None, message: MessageId(5), html: "hi".to_owned() };
    let claims = claim(&sender, Lane::Messages, vec![Intent::Reply(reply)]).await;
    let working = sender.clone();
    let mut work = tokio::spawn(async move { working.carry_out(&claims).await });
    let given_up = timeout(Duration::from_secs(3), &mut work).await;
    assert!(given_up.is_err(), "given up, and sent again later: {given_up:?}");
    sqlx::query("ALTER TABLE away RENAME TO intents").execute(&database.pool).await.unwrap();
    timeout(DEADLINE, work).await.unwrap().unwrap().unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1);
    assert_eq!(sender.handler.store.open_intents().await.unwrap(), []);
}

#[tokio::test]
async fn a_message_that_has_become_too_old_to_be_deleted_takes_no_younger_one_along() {
    let database = database().await;
    let (status, body) = (400, r#"{"ok":false,"error_code":400,"description":"Bad Request: not enough rights"}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, &telegram);
    let deletions = (1..=3).map(|message| Intent::Delete { chat: GROUP, message: MessageId(message) }).collect();
    let mut claims = claim(&sender, Lane::Deletions, deletions).await;
    claims[0].attempts = 48;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1);
    let open = sender.handler.store.open_intents().await.unwrap();
    assert!(open.contains(&("delete".to_owned(), 2)), "{open:?}");
}
