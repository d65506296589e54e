//! `POST /webhook/{bot_id}`: from the head of a request to its answer.
//!
//! Telegram sends the updates of one chat or person one at a time and waits for a 2xx, so whatever is authenticated and
//! small enough is answered 200 as soon as the queue has it, or 503 where that is not certain. A 4xx would block that
//! chat for 24 h.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, Response, Uri},
    routing::any,
};
use nezuko_shared::telemetry::{
    metrics::{Doubt, Metrics, WebhookOutcome},
    trace::{Entry, KeyValue, Span, SpanKind},
};
use nezuko_telegram::{BotId, UpdateId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    answer::{self, Answer},
    body::{self, BodyError},
    bot::Bot,
    intake::Taken,
    refusals::{Refusal, RefusalLog},
    secret::Accepted,
};

/// Telegram gives a request 60 s; a body of 1 MiB needs far less.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The route of a bot that is the only one.
const UNNAMED: &str = "/webhook";
/// The route of any bot.
const NAMED: &str = "/webhook/{bot}";
/// In the log, a bot that does not run here.
const NOBODY: BotId = BotId(0);

/// What every request needs.
pub(crate) struct Webhook {
    /// By the text in the path.
    bots: HashMap<String, Arc<Bot>>,
    /// Where there is one only, it needs no name.
    only: Option<Arc<Bot>>,
    /// Cancelled: nothing new is taken in.
    shutdown: CancellationToken,
    strays: Metrics,
    stray_log: RefusalLog,
}

/// What a log line and a trace say beside the answer.
#[derive(Default)]
struct About {
    reason: String,
    trace_id: Option<String>,
    update_id: Option<UpdateId>,
    span: Span,
}

impl Webhook {
    pub(crate) fn new(bots: &[Arc<Bot>], metrics: &Metrics, shutdown: CancellationToken) -> Self {
        let only = if let [bot] = bots { Some(bot.clone()) } else { None };
        Self {
            bots: bots.iter().map(|bot| (bot.id.to_string(), bot.clone())).collect(),
            only,
            shutdown,
            strays: metrics.of_nobody(),
            stray_log: RefusalLog::default(),
        }
    }

    /// The routes. A bot that does not run here is unknown whatever is asked of it.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new().route(UNNAMED, any(unnamed)).route(NAMED, any(named)).fallback(unknown).with_state(self)
    }

    /// Takes one request for `bot` from its head to its answer.
    pub(crate) async fn receive(&self, bot: Option<&Bot>, request: Request) -> Response<Body> {
        let start = Instant::now();
        let mut about = About::default();
        let Some(bot) = bot else {
            about.reason = "unknown bot or path".into();
            return finish(NOBODY, &self.strays, &self.stray_log, Answer::Unknown, start, &about);
        };
        let answer = self.take_in(bot, request, start, &mut about).await;
        finish(bot.id, &bot.metrics, &bot.refusals, answer, start, &about)
    }

    async fn take_in(&self, bot: &Bot, request: Request, start: Instant, about: &mut About) -> Answer {
        if request.method() != Method::POST {
            about.reason = "not a POST".into();
            return Answer::Method;
        }
        match bot.secrets.accept(request.headers()) {
            Some(Accepted::Current) => {}
            Some(Accepted::Previous) => bot.previous_secret_seen.notify_one(),
            None => {
                bot.wrong_secret_seen.notify_one();
                about.reason = "secret missing or wrong".into();
                return Answer::Unauthorized;
            }
        }
        // Not before the secret was right: nobody else says what is recorded.
        let entry = enter(bot.id, request.uri(), request.headers(), start);
        about.span = entry.span.clone();
        let body = request.into_body();
        if body::announces_too_much(&body) {
            about.reason = "announced as too large".into();
            return Answer::TooLarge;
        }
        if self.shutdown.is_cancelled() {
            return doubtful(Doubt::ShuttingDown, about);
        }
        if let Some(doubt) = bot.admission.doubt() {
            return doubtful(doubt, about);
        }
        match timeout(BODY_TIMEOUT, body::read(body)).await {
            Ok(Ok(payload)) => store(bot, payload, &entry, about).await,
            Ok(Err(BodyError::TooLarge)) => {
                about.reason = "too large".into();
                Answer::TooLarge
            }
            Ok(Err(BodyError::BrokenOff)) | Err(_) => doubtful(Doubt::BodyIncomplete, about),
        }
    }
}

/// The trace of a request, which goes on with that of the proxy in front if it has one.
fn enter(bot: BotId, uri: &Uri, headers: &HeaderMap, start: Instant) -> Entry {
    let incoming = headers.get("traceparent").and_then(|value| value.to_str().ok());
    Entry::new(SpanKind::Server, incoming, start, || {
        let route = if uri.path() == UNNAMED { UNNAMED } else { NAMED };
        // That of whoever asked the proxy, where the proxy says it.
        let is_https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let about = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", uri.path().to_owned()),
            KeyValue::new("url.scheme", if is_https { "https" } else { "http" }),
            KeyValue::new("nezuko.bot_id", bot.0),
        ];
        (format!("POST {route}").into(), about)
    })
}

async fn store(bot: &Bot, payload: bytes::Bytes, entry: &Entry, about: &mut About) -> Answer {
    match bot.intake.take(payload, entry).await {
        Ok(Taken::Stored(_)) => Answer::Stored,
        Ok(Taken::Quarantined(reason)) => {
            about.reason = reason.into();
            Answer::Quarantined
        }
        Err(not_taken) => {
            about.reason = not_taken.error.to_string();
            about.trace_id = not_taken.trace_id;
            about.update_id = not_taken.update_id;
            Answer::Unavailable(Doubt::QueueUnavailable)
        }
    }
}

fn finish(
    bot: BotId,
    metrics: &Metrics,
    refusals: &RefusalLog,
    answer: Answer,
    start: Instant,
    about: &About,
) -> Response<Body> {
    let outcome = answer.outcome();
    metrics.webhook_answered(outcome, start.elapsed());
    if let Answer::Unavailable(doubt) = answer {
        metrics.webhook_doubt(doubt);
    }
    if outcome != WebhookOutcome::Stored {
        let About { reason, trace_id, update_id, .. } = about;
        refusals.write(Refusal { bot, outcome, reason, trace_id: trace_id.as_deref(), update_id: *update_id });
    }
    let response = answer.response();
    about.span.note("http.response.status_code", i64::from(response.status().as_u16()));
    if let Answer::Unavailable(doubt) = answer {
        about.span.fail(doubt.as_str());
    }
    response
}

async fn unnamed(State(webhook): State<Arc<Webhook>>, request: Request) -> Response<Body> {
    webhook.receive(webhook.only.as_deref(), request).await
}

async fn named(State(webhook): State<Arc<Webhook>>, Path(bot): Path<String>, request: Request) -> Response<Body> {
    webhook.receive(webhook.bots.get(&bot).map(|bot| &**bot), request).await
}

async fn unknown(State(webhook): State<Arc<Webhook>>, request: Request) -> Response<Body> {
    webhook.receive(None, request).await
}

fn doubtful(doubt: Doubt, about: &mut About) -> Answer {
    about.reason = answer::reason(doubt).into();
    Answer::Unavailable(doubt)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
