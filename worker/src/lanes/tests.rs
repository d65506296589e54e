#![allow(clippy::unwrap_used)]

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use async_trait::async_trait;
use nezuko_shared::{limiter::Urgency, telemetry::trace::recorded};
use nezuko_telegram::{ChatId, MessageId, RawResponse, Transport, TransportError, UpdateId, UserId};
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
    let reply = Reply {
        update_id: UpdateId(1),
        chat: GROUP,
        topic: None,
        message: MessageId(1),
        html: String::new(),
        keyboard: Vec::new(),
        stands_ms: None,
        until_ms: None,
        then: None,
    };
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

fn deletion(traceparent: &str, trace_links: &str) -> Claim {
    Claim {
        intent: Intent::Delete { chat: GROUP, message: MessageId(1) },
        urgency: Urgency::Urgent,
        generation: 1,
        claim: 1,
        attempts: 0,
        trace_id: String::new(),
        traceparent: traceparent.to_owned(),
        trace_links: trace_links.to_owned(),
    }
}

#[tokio::test]
async fn a_batch_is_of_the_first_recorded_trace_and_linked_to_the_others() {
    let [first, second, third] = [recorded::sampled(), recorded::sampled(), recorded::sampled()];
    let many: Vec<String> = (0..2 * MAX_LINKS).map(|_| recorded::sampled()).collect();
    let batch = [deletion("", ""), deletion(&first, &third), deletion(&second, ""), deletion(&first, &many.join(" "))];
    drop(span(&batch));
    let spans = recorded::spans(&first);
    let [carried_out] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(carried_out.name, "carry out delete");
    let linked = |traceparent: &str| {
        carried_out.links.iter().any(|link| traceparent.contains(&link.span_context.trace_id().to_string()))
    };
    assert!(linked(&second) && linked(&third) && linked(&many[0]) && !linked(&first));
    assert_eq!(carried_out.links.len(), MAX_LINKS);
    assert!(recorded::spans(&second).is_empty());
}

#[tokio::test]
async fn long_work_is_of_no_trace() {
    let asked = recorded::sampled();
    let chat = GROUP;
    for (intent, urgency) in
        [(Intent::Redecide { chat, after: UserId(0) }, Urgency::Urgent), (Intent::Link { chat }, Urgency::Bulk)]
    {
        drop(span(&[Claim { intent, urgency, ..deletion(&asked, "") }]));
    }
    assert!(recorded::spans(&asked).is_empty());
}
