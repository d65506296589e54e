//! `POST /webhook/{bot_id}`: from the head of a request to its answer.
//!
//! Telegram sends the updates of one chat or person one at a time and waits for a 2xx, so whatever is authenticated and
//! small enough is answered 200 as soon as the queue has it, or 503 where that is not certain. A 4xx would block that
//! chat for 24 h.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response},
    routing::any,
};
use nezuko_shared::{
    config::Settings,
    envelope::Envelope,
    queue::{Producer, QueueError},
    telemetry::{metrics::Metrics, trace::Traceparent},
};
use nezuko_telegram::{BotId, UpdateId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    answer::{Answer, Doubt},
    body::{self, BodyError},
    peek::{NotAnUpdate, Peek, peek},
    refusals::{Refusal, RefusalLog},
    secret::WebhookSecrets,
};

/// Telegram gives a request 60 s; a body of 1 MiB needs far less.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than a stall of Redis that goes by, far shorter than Telegram's 60 s.
const PUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What every request needs.
pub(crate) struct Webhook {
    pub(crate) bot: BotId,
    pub(crate) secrets: WebhookSecrets,
    pub(crate) admission: Admission,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) metrics: Metrics,
    /// Cancelled: nothing new is taken in.
    pub(crate) shutdown: CancellationToken,
    pub(crate) refusals: RefusalLog,
}

/// What a log line says beside the answer.
#[derive(Default)]
struct About {
    reason: String,
    trace_id: Option<String>,
    update_id: Option<UpdateId>,
}

impl Webhook {
    pub(crate) fn new(
        settings: &Settings,
        producer: Arc<dyn Producer>,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            bot: settings.bot.id,
            secrets: WebhookSecrets::new(&settings.bot),
            admission: Admission::new(settings.max_backlog),
            producer,
            metrics,
            shutdown,
            refusals: RefusalLog::default(),
        }
    }

    /// The routes. A bot that does not run here has none, so that it is unknown whatever is asked of it.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/webhook", any(known))
            .route(&format!("/webhook/{}", self.bot), any(known))
            .fallback(unknown)
            .with_state(self)
    }

    /// Takes one request from its head to its answer.
    pub(crate) async fn receive(&self, request: Request) -> Response<Body> {
        let start = Instant::now();
        let mut about = About::default();
        let answer = self.take_in(request, &mut about).await;
        self.finish(answer, start, &about)
    }

    fn finish(&self, answer: Answer, start: Instant, about: &About) -> Response<Body> {
        let outcome = answer.outcome();
        self.metrics.webhook_answered(outcome, start.elapsed());
        if answer != Answer::Stored {
            self.refusals.write(Refusal {
                bot: self.bot,
                outcome,
                reason: &about.reason,
                trace_id: about.trace_id.as_deref(),
                update_id: about.update_id,
            });
        }
        answer.response()
    }

    async fn take_in(&self, request: Request, about: &mut About) -> Answer {
        if request.method() != Method::POST {
            about.reason = "not a POST".into();
            return Answer::Method;
        }
        if !self.secrets.accept(request.headers()) {
            about.reason = "secret missing or wrong".into();
            return Answer::Unauthorized;
        }
        let body = request.into_body();
        if body::announces_too_much(&body) {
            about.reason = "announced as too large".into();
            return Answer::TooLarge;
        }
        if self.shutdown.is_cancelled() {
            return doubtful(Doubt::ShuttingDown, about);
        }
        if self.admission.is_full() {
            return doubtful(Doubt::BacklogFull, about);
        }
        match timeout(BODY_TIMEOUT, body::read(body)).await {
            Ok(Ok(payload)) => self.store(payload, about).await,
            Ok(Err(BodyError::TooLarge)) => {
                about.reason = "too large".into();
                Answer::TooLarge
            }
            Ok(Err(BodyError::BrokenOff)) | Err(_) => doubtful(Doubt::BodyIncomplete, about),
        }
    }

    async fn store(&self, payload: bytes::Bytes, about: &mut About) -> Answer {
        let Peek { update_id, routing_key } = match peek(&payload) {
            Ok(peek) => peek,
            Err(not_an_update) => return self.quarantine(&payload, not_an_update, about).await,
        };
        let envelope = Envelope {
            bot: self.bot,
            update_id,
            routing_key,
            received_ms: unix_ms(),
            traceparent: Traceparent::fresh(),
            payload,
        };
        match in_time(self.producer.push(&envelope)).await {
            Ok(()) => {
                tracing::debug!(bot_id = self.bot.0, update_id = update_id.0, trace_id = envelope.trace_id(), "stored");
                Answer::Stored
            }
            Err(error) => {
                about.reason = error.to_string();
                about.trace_id = Some(envelope.trace_id().to_owned());
                about.update_id = Some(update_id);
                Answer::Unavailable(Doubt::QueueUnavailable)
            }
        }
    }

    async fn quarantine(&self, payload: &[u8], not_an_update: NotAnUpdate, about: &mut About) -> Answer {
        let reason = not_an_update.reason();
        match in_time(self.producer.quarantine(self.bot, payload, reason)).await {
            Ok(()) => {
                about.reason = reason.into();
                Answer::Quarantined
            }
            Err(error) => {
                about.reason = error.to_string();
                Answer::Unavailable(Doubt::QueueUnavailable)
            }
        }
    }
}

async fn known(State(webhook): State<Arc<Webhook>>, request: Request) -> Response<Body> {
    webhook.receive(request).await
}

async fn unknown(State(webhook): State<Arc<Webhook>>) -> Response<Body> {
    let about = About { reason: "unknown bot or path".into(), ..About::default() };
    webhook.finish(Answer::Unknown, Instant::now(), &about)
}

fn doubtful(doubt: Doubt, about: &mut About) -> Answer {
    about.reason = doubt.reason().into();
    Answer::Unavailable(doubt)
}

/// A push that is given up may still have taken effect; the update then comes again as a duplicate, which is harmless.
async fn in_time(storing: impl Future<Output = Result<(), QueueError>>) -> Result<(), QueueError> {
    match timeout(PUSH_TIMEOUT, storing).await {
        Ok(stored) => stored,
        Err(_) => Err(QueueError::Unavailable("no answer in time".into())),
    }
}

fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
