//! The answers, each made in one place.
//!
//! Telegram takes any 2xx for "delivered" and anything else for "send it again"; it obeys `Retry-After` to the second
//! and executes a 200 body that names a method (E94), hence the empty one. Errors are RFC 9457 problem documents, for
//! the people who look into why their requests fail.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use nezuko_shared::telemetry::metrics::{Doubt, WebhookOutcome};

/// Why an update is not taken now, for whoever asks: it names nothing of the inside.
pub(crate) const fn reason(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::ShuttingDown => "shutting down",
        Doubt::BacklogFull => "backlog full",
        Doubt::MemoryShort => "queue nearly full",
        Doubt::QueueUnavailable => "queue unavailable",
        Doubt::BodyIncomplete => "body incomplete",
    }
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    Quarantined,
    Unauthorized,
    Unknown,
    Method,
    TooLarge,
    Unavailable(Doubt),
}

impl Answer {
    pub(crate) const fn outcome(self) -> WebhookOutcome {
        match self {
            Self::Stored => WebhookOutcome::Stored,
            Self::Quarantined => WebhookOutcome::Quarantined,
            Self::Unauthorized => WebhookOutcome::Unauthorized,
            Self::Unknown => WebhookOutcome::Unknown,
            Self::Method => WebhookOutcome::Method,
            Self::TooLarge => WebhookOutcome::TooLarge,
            Self::Unavailable(_) => WebhookOutcome::Unavailable,
        }
    }

    pub(crate) fn response(self) -> Response<Body> {
        match self {
            // hyper adds `content-length: 0`.
            Self::Stored | Self::Quarantined => Response::new(Body::empty()),
            Self::Unauthorized => problem(
                StatusCode::UNAUTHORIZED,
                "the header X-Telegram-Bot-Api-Secret-Token is missing or wrong; set WEBHOOK_SECRET to what setWebhook was given",
            ),
            Self::Unknown => problem(
                StatusCode::NOT_FOUND,
                "updates are taken at /webhook/{bot_id} for the bots that run here, and at /webhook where there is only one",
            ),
            Self::Method => with(problem(StatusCode::METHOD_NOT_ALLOWED, "updates are POSTed"), header::ALLOW, "POST"),
            Self::TooLarge => problem(StatusCode::PAYLOAD_TOO_LARGE, "an update has at most 1 MiB"),
            Self::Unavailable(doubt) => {
                let seconds = ["1", "2", "3"][rand::random_range(0..3)];
                with(problem(StatusCode::SERVICE_UNAVAILABLE, reason(doubt)), header::RETRY_AFTER, seconds)
            }
        }
    }
}

fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    // Nothing in these texts needs escaping in JSON: they are all written in this file.
    let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{detail}"}}"#);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    with(response, header::CONTENT_TYPE, "application/problem+json")
}

fn with(mut response: Response<Body>, name: header::HeaderName, value: &'static str) -> Response<Body> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
