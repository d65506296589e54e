//! What needs no socket: times, doubts, concurrency, and arbitrary bytes.

use std::convert::Infallible;

use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use http_body_util::BodyExt;
use nezuko_shared::{
    clock::unix_ms,
    config::{Role, Settings},
    queue::Backlog,
    telemetry::trace::recorded,
};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use tokio::sync::Barrier;

use super::*;
use crate::memory_queue::{MemoryQueue, Mode};

const UPDATE: &str = r#"{"update_id":9,"message":{"from":{"id":5},"chat":{"id":-100}}}"#;

fn settings() -> Settings {
    Settings::from_vars(Role::Alone, |name| match name {
        "BOT_TOKEN" => Some("42:abcdefghijklmnopqrstuvwxyz".into()),
        "WEBHOOK_SECRET" => Some("right".into()),
        "MAX_BACKLOG" => Some("10".into()),
        _ => None,
    })
    .unwrap()
}

/// The webhook of one bot without a socket.
struct Door {
    bot: Arc<Bot>,
    webhook: Webhook,
}

impl Door {
    async fn receive(&self, request: Request) -> Response<Body> {
        self.webhook.receive(Some(&self.bot), request).await
    }

    fn page(&self) -> String {
        self.bot.metrics.encode()
    }
}

fn webhook() -> (Door, Arc<MemoryQueue>) {
    let queue = Arc::new(MemoryQueue::default());
    let metrics = Metrics::new(BotId(42), "abc");
    let settings = settings();
    let bot = Arc::new(Bot::new(&settings, &settings.bots[0], queue.clone(), &metrics));
    let webhook = Webhook::new(std::slice::from_ref(&bot), &metrics, CancellationToken::new());
    (Door { bot, webhook }, queue)
}

fn post(body: impl Into<Body>) -> Request {
    let request = Request::post("/webhook").header("X-Telegram-Bot-Api-Secret-Token", "right");
    request.body(body.into()).unwrap()
}

fn chunks(chunks: impl IntoIterator<Item = Bytes>) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(chunks.into_iter().map(Ok).collect::<Vec<_>>())
}

fn retry_after(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::RETRY_AFTER)?.to_str().unwrap().parse().ok()
}

fn assert_doubt(response: &Response<Body>) {
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!((1..=3).contains(&retry_after(response).unwrap()), "{response:?}");
}

#[tokio::test]
async fn an_update_is_stored_as_it_came() {
    let (webhook, queue) = webhook();
    let response = webhook.receive(post(UPDATE)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty(), "a body could be executed (E94)");

    let stored = queue.stored.lock().unwrap();
    let [envelope] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(envelope.payload, UPDATE);
    assert_eq!((envelope.bot, envelope.update_id.0, envelope.routing_key), (BotId(42), 9, 5));
    assert_eq!(envelope.trace_id().len(), 32);
    assert!((unix_ms() - envelope.received_ms).abs() < 60_000);
}

/// A request by a proxy that records the trace which it began.
fn traced(request: Request, traceparent: &str) -> Request {
    let (mut head, body) = request.into_parts();
    head.headers.insert("traceparent", traceparent.parse().unwrap());
    head.headers.insert("x-forwarded-proto", "https".parse().unwrap());
    Request::from_parts(head, body)
}

#[tokio::test]
async fn the_trace_of_the_proxy_in_front_goes_on_in_the_envelope() {
    let (webhook, queue) = webhook();
    let proxy = recorded::sampled();
    webhook.receive(traced(post(UPDATE), &proxy)).await;
    let spans = recorded::spans(&proxy);
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    let noted = |key, value| span.attributes.contains(&KeyValue::new(key, value));
    assert!(noted("nezuko.bot_id", 42) && noted("nezuko.update_id", 9), "{span:?}");
    assert!(noted("http.response.status_code", 200), "{span:?}");
    for (key, value) in [("http.route", "/webhook"), ("url.path", "/webhook"), ("url.scheme", "https")] {
        assert!(span.attributes.contains(&KeyValue::new(key, value)), "{key} of {span:?}");
    }
    let of_span = format!("00-{}-{}-01", span.span_context.trace_id(), span.span_context.span_id());
    assert_eq!(queue.stored.lock().unwrap()[0].traceparent, of_span);
    assert!(
        proxy.contains(&span.parent_span_id.to_string()) && proxy.contains(&span.span_context.trace_id().to_string())
    );
}

#[tokio::test]
async fn nobody_without_the_secret_has_a_trace_recorded() {
    let (webhook, _queue) = webhook();
    let stranger = recorded::sampled();
    let request = Request::post("/webhook").body(Body::from(UPDATE)).unwrap();
    assert_eq!(webhook.receive(traced(request, &stranger)).await.status(), StatusCode::UNAUTHORIZED);
    assert!(recorded::spans(&stranger).is_empty());
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let (webhook, queue) = webhook();
    let pieces = UPDATE.as_bytes().chunks(7).map(Bytes::copy_from_slice);
    let response = webhook.receive(post(Body::from_stream(chunks(pieces)))).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(queue.stored.lock().unwrap()[0].payload, UPDATE);
}

#[tokio::test]
async fn what_is_no_update_is_set_aside_with_the_reason_and_answered_200() {
    let (webhook, queue) = webhook();
    let bodies = ["", "<html>", "{}", r#"{"update_id":-3}"#];
    for body in bodies {
        assert_eq!(webhook.receive(post(body)).await.status(), StatusCode::OK, "{body}");
    }
    let quarantined = queue.quarantined.lock().unwrap();
    let reasons: Vec<_> = quarantined.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["not JSON", "not JSON", "no update_id", "update_id is not a positive integer"]);
    assert!(quarantined.iter().map(|(body, _)| body).eq(&bodies), "the bytes are kept as they came");
    assert!(queue.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_mebibyte_is_taken_and_a_byte_more_is_not_however_it_comes() {
    let (webhook, queue) = webhook();
    let body = Bytes::from(vec![b' '; body::MAX_BYTES]);
    assert_eq!(webhook.receive(post(body.clone())).await.status(), StatusCode::OK);
    let halves = || [body.slice(..body::MAX_BYTES / 2), body.slice(body::MAX_BYTES / 2..)];
    let streamed = |pieces| post(Body::from_stream(chunks(pieces)));
    assert_eq!(webhook.receive(streamed(halves().to_vec())).await.status(), StatusCode::OK);

    let announced = post(vec![b' '; body::MAX_BYTES + 1]);
    assert_eq!(webhook.receive(announced).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let unannounced = streamed([halves().as_slice(), &[Bytes::from_static(b" ")]].concat());
    assert_eq!(webhook.receive(unannounced).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(queue.quarantined.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_announced_excess_is_refused_before_the_body_is_read() {
    let (webhook, _) = webhook();
    // A body that never comes: reading it would hang for the whole body timeout.
    let body = http_body_util::StreamBody::new(stream::pending::<Result<_, Infallible>>());
    let response = webhook.receive(post(Body::new(Announced(body)))).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

/// A body with the size hint that `Content-Length: 1048577` gives.
struct Announced<B>(B);

impl<B: axum::body::HttpBody<Data = Bytes, Error = Infallible> + Unpin> axum::body::HttpBody for Announced<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(body::MAX_BYTES as u64 + 1)
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up_after_ten_seconds() {
    let (webhook, queue) = webhook();
    let start = tokio::time::Instant::now();
    let begun = chunks([Bytes::from_static(b"{\"update_id\":")]).chain(stream::pending());
    assert_doubt(&webhook.receive(post(Body::from_stream(begun))).await);
    assert_eq!(start.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    assert!(queue.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_whole() {
    let (webhook, queue) = webhook();
    let broken = [Ok(Bytes::from(UPDATE)), Err(std::io::Error::other("connection lost"))];
    assert_doubt(&webhook.receive(post(Body::from_stream(stream::iter(broken)))).await);
    assert!(queue.stored.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_or_hangs_is_a_503_with_retry_after() {
    let (webhook, queue) = webhook();
    for mode in [Mode::Fails, Mode::Hangs] {
        queue.set_mode(mode);
        let start = tokio::time::Instant::now();
        assert_doubt(&webhook.receive(post(UPDATE)).await);
        assert_doubt(&webhook.receive(post("no update")).await);
        assert!(
            start.elapsed() <= crate::intake::PUSH_TIMEOUT * 2 + Duration::from_millis(10),
            "{:?}",
            start.elapsed()
        );
    }
    queue.set_mode(Mode::Works);
    assert_eq!(webhook.receive(post(UPDATE)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn after_the_shutdown_nothing_is_taken_in() {
    let (webhook, queue) = webhook();
    webhook.webhook.shutdown.cancel();
    assert_doubt(&webhook.receive(post(UPDATE)).await);
    assert!(queue.stored.lock().unwrap().is_empty());
}

/// Polls the watcher while it waits for the admission to change its mind.
async fn watch_until(webhook: &Door, health: &nezuko_shared::ops::Part, full: bool) {
    let tell =
        crate::admission::Watchers { metrics: &webhook.bot.metrics, gauge: Metrics::set_redis_connected, health };
    let changed = async {
        while webhook.bot.admission.doubt().is_some() != full {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = webhook.bot.admission.watch(webhook.bot.id, &webhook.bot.intake, tell) => {}
        changed = timeout(Duration::from_secs(60), changed) => changed.unwrap(),
    }
}

#[tokio::test]
async fn beyond_the_backlog_limit_updates_wait_at_telegram() {
    let (webhook, queue) = webhook();
    let health = nezuko_shared::ops::Readiness::default().reported("queue");

    *queue.backlog.lock().unwrap() = Backlog { unread: 6, pending: 5 };
    watch_until(&webhook, &health, true).await;
    assert_doubt(&webhook.receive(post(UPDATE)).await);
    assert!(webhook.page().contains(r#"nezuko_queue_unread{bot_id="42"} 6"#));

    *queue.backlog.lock().unwrap() = Backlog { unread: 5, pending: 5 };
    watch_until(&webhook, &health, false).await;
    assert_eq!(webhook.receive(post(UPDATE)).await.status(), StatusCode::OK);

    // A queue that cannot be asked does not keep the door shut: each push decides.
    *queue.backlog.lock().unwrap() = Backlog { unread: 11, pending: 0 };
    watch_until(&webhook, &health, true).await;
    assert!(webhook.page().contains(r#"bot_redis_connected{bot_id="42"} 1"#));
    queue.set_mode(Mode::Fails);
    watch_until(&webhook, &health, false).await;
    assert!(webhook.page().contains(r#"bot_redis_connected{bot_id="42"} 0"#));
}

#[tokio::test]
async fn a_thousand_updates_are_stored_side_by_side() {
    let (webhook, queue) = webhook();
    // Nobody is answered before all thousand are at the queue.
    queue.set_mode(Mode::Waits(Arc::new(Barrier::new(1000))));
    let responses = join_all((1..=1000).map(|id| webhook.receive(post(format!("{{\"update_id\":{id}}}"))))).await;
    assert!(responses.iter().all(|response| response.status() == StatusCode::OK));

    let mut ids: Vec<_> = queue.stored.lock().unwrap().iter().map(|envelope| envelope.update_id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=1000).collect::<Vec<_>>());
    let counted = r#"nezuko_webhook_requests_total{bot_id="42",outcome="stored"} 1000"#;
    assert!(webhook.page().contains(counted));
}

#[tokio::test]
async fn the_answers_are_counted_by_outcome() {
    let (webhook, queue) = webhook();
    webhook.receive(post(UPDATE)).await;
    webhook.receive(post("{}")).await;
    webhook.receive(Request::get("/webhook").body(Body::empty()).unwrap()).await;
    webhook.receive(Request::post("/webhook").body(Body::empty()).unwrap()).await;
    webhook.receive(post(vec![0; body::MAX_BYTES + 1])).await;
    queue.set_mode(Mode::Fails);
    webhook.receive(post(UPDATE)).await;
    webhook.webhook.receive(None, post(UPDATE)).await;
    let page = webhook.page();
    let of_bot =
        ["stored", "quarantined", "method", "unauthorized", "too_large", "unavailable"].map(|outcome| (42, outcome));
    for (bot, outcome) in of_bot.into_iter().chain([(0, "unknown")]) {
        let line = format!("nezuko_webhook_requests_total{{bot_id=\"{bot}\",outcome=\"{outcome}\"}} 1\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
}

/// Bytes of all sorts: noise, JSON, and updates with something wrong in the middle.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    let json = r#"[\[\]{}:,"a-z0-9.eE+\\ -]{0,60}"#.prop_map(String::into_bytes);
    let around = (noise.clone(), 0..UPDATE.len()).prop_map(|(noise, at)| {
        let (before, after) = UPDATE.as_bytes().split_at(at);
        [before, &noise, after].concat()
    });
    let one_changed = (any::<u8>(), 0..UPDATE.len()).prop_map(|(byte, at)| {
        let mut update = UPDATE.as_bytes().to_vec();
        update[at] = byte;
        update
    });
    let valued = json.clone().prop_map(|json| [b"{\"update_id\":1,\"message\":", &json[..], b"}"].concat());
    prop_oneof![noise, json, around, one_changed, valued]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn authenticated_bytes_are_always_kept_whatever_they_are(body in bytes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (webhook, queue) = webhook();
        let response = runtime.block_on(webhook.receive(post(body.clone())));
        prop_assert_eq!(response.status(), StatusCode::OK);
        let (stored, quarantined) = (queue.stored.lock().unwrap(), queue.quarantined.lock().unwrap());
        let kept: Vec<_> = stored.iter().map(|e| &e.payload).chain(quarantined.iter().map(|(body, _)| body)).collect();
        prop_assert_eq!(kept, [&body], "in one of the two, once, byte for byte");
        // The other way round: what serde_json reads as a whole with a good number is an update.
        let whole = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let number = whole.as_ref().and_then(|update| update.get("update_id")?.as_i64()).filter(|id| *id > 0);
        prop_assert_eq!(stored.first().map(|e| e.update_id.0), number);
    }
}
