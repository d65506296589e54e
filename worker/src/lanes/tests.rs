#![allow(clippy::unwrap_used)]

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use async_trait::async_trait;
use nezuko_telegram::{ChatId, MessageId, RawResponse, Transport, TransportError, UpdateId};
use tokio::sync::watch;

use super::*;
use crate::{
    intent::{Intent, Put, Reply},
    send::tests::{NOW, database, sender},
};

const GROUP: ChatId = ChatId(-1);

/// Away until the first call, which shows that it is back and gets no answer yet.
struct ComesBack {
    away: watch::Sender<bool>,
    calls: AtomicUsize,
}

#[async_trait]
impl Transport for ComesBack {
    async fn post(&self, _: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            self.away.send_replace(false);
            pending::<()>().await;
        }
        let body = r#"{"ok":true,"result":true}"#.into();
        Ok(RawResponse { status: 200, retry_after: None, body })
    }

    fn is_held_back(&self) -> bool {
        *self.away.borrow()
    }

    async fn back(&self) {
        drop(self.away.subscribe().wait_for(|away| !away).await);
    }
}

#[tokio::test]
async fn all_lanes_go_on_when_telegram_is_back_however_long_the_probes_intent_takes() {
    let database = database().await;
    let telegram = Arc::new(ComesBack { away: watch::Sender::new(true), calls: AtomicUsize::new(0) });
    let sender = sender(&database, telegram.clone());
    let delete = Intent::Delete { chat: GROUP, message: MessageId(1) };
    let reply = Reply { update_id: UpdateId(1), chat: GROUP, topic: None, message: MessageId(1), html: String::new() };
    let put = [delete, Intent::Reply(reply)].map(|intent| Put::urgent(intent, NOW));
    sender.handler.store.put(&put, "").await.unwrap();
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    run(&sender, &stop, &tracker);
    let deadline = Instant::now() + Duration::from_secs(20);
    while telegram.calls.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < deadline, "the other lane waits for the intent of the probe");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
}
