//! The Bot API as a process calls it: whatever it calls for one bot goes through one breaker.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use axum::http::Uri;
use nezuko_telegram::{BotId, CallError, Client, HttpTransport, RawResponse, Transport, TransportError, Unsuitable};

use crate::{
    breaker::{Breaker, Dependency, Outcome, Policy, State, Unavailable},
    clock_skew::ClockSkew,
    config::{Secret, Settings},
    telemetry::{
        metrics::Metrics,
        trace::{KeyValue, Span, SpanKind},
    },
};

/// Makes the clients of a process.
#[derive(Debug)]
pub struct BotApi {
    url: String,
    bots: BTreeMap<BotId, (Secret, Breaker)>,
    skew: ClockSkew,
    metrics: OnceLock<Metrics>,
}

impl BotApi {
    /// For the bots of `settings`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let breaker = || Breaker::new(Dependency::Telegram, Policy::TELEGRAM);
        let bots = settings.bots.iter().map(|bot| (bot.id, (bot.token.clone(), breaker())));
        let (url, metrics) = (settings.telegram_api_url.clone(), OnceLock::new());
        Self { url, bots: bots.collect(), skew: ClockSkew::default(), metrics }
    }

    /// By how many seconds at least this machine's clock is ahead of Telegram's; negative: behind. `None` before the first
    /// answer.
    #[must_use]
    pub fn clock_skew(&self) -> Option<f64> {
        self.skew.seconds()
    }

    /// Shows the breakers, how far the clock is off, and the calls of clients that are made from now on, among the metrics of
    /// the process.
    pub fn show_in(&self, metrics: &Metrics) {
        let metrics = self.metrics.get_or_init(|| metrics.clone());
        self.skew.show_in(metrics.of_nobody());
        for (bot, (_, breaker)) in &self.bots {
            breaker.show_in(metrics.of(*bot));
        }
    }

    /// The Bot API as `bot` calls it, each call within `timeout`.
    ///
    /// # Errors
    /// [`Unsuitable`] where no HTTP client can be built.
    ///
    /// # Panics
    /// Where the settings have no such bot.
    pub fn client(&self, bot: BotId, timeout: Duration) -> Result<Client, Unsuitable> {
        let (token, breaker) = self.bots.get(&bot).expect("invariant: who asks has the bot from the settings");
        let http = HttpTransport::new(&self.url, token.expose(), timeout)?;
        Ok(Client::new(Arc::new(Guarded {
            http,
            breaker: breaker.clone(),
            skew: self.skew.clone(),
            timeout,
            metrics: self.metrics.get().map(|metrics| metrics.of(bot)),
            server: server_of(&self.url),
        })))
    }
}

struct Guarded {
    http: HttpTransport,
    breaker: Breaker,
    skew: ClockSkew,
    timeout: Duration,
    metrics: Option<Metrics>,
    /// Host and port, for traces: the address of a call holds the token.
    server: (String, i64),
}

impl Guarded {
    fn span(&self, method: &str) -> Span {
        Span::part(SpanKind::Client, || {
            let (host, port) = self.server.clone();
            let about = vec![
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("server.address", host),
                KeyValue::new("server.port", port),
            ];
            (method.to_owned().into(), about)
        })
    }

    /// Counts a call that was made.
    fn count(&self, method: &str, elapsed: Duration, answer: Result<&RawResponse, TransportError>) {
        let Some(metrics) = &self.metrics else { return };
        metrics.api_call(method, elapsed);
        if let Err(error) = answer.map_err(CallError::Transport).and_then(RawResponse::check) {
            metrics.api_error(method, error.class().label());
        }
    }
}

/// Host and port of the Bot API's address.
fn server_of(url: &str) -> (String, i64) {
    let uri: Uri = url.parse().unwrap_or_default();
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(usual).into())
}

#[async_trait]
impl Transport for Guarded {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        let exchange = async {
            let asked = SystemTime::now();
            let (response, date) = self.http.post_dated(method, body).await?;
            if let Some(date) = date {
                self.skew.note(asked, SystemTime::now(), date);
            }
            Ok(response)
        };
        let span = self.span(method);
        let began = Instant::now();
        let answer = match span.clone().around(self.breaker.call(self.timeout, exchange, judge)).await {
            Err(Unavailable::Refused(_)) => Err(TransportError::NotSent),
            made => {
                let answer = made.unwrap_or(Err(TransportError::OutcomeUnknown));
                self.count(method, began.elapsed(), answer.as_ref().map_err(|error| *error));
                answer
            }
        };
        match &answer {
            Ok(response) => {
                span.note("http.response.status_code", i64::from(response.status));
                if response.status >= 400 {
                    span.fail("refused");
                }
            }
            Err(TransportError::NotSent) => span.fail("not sent"),
            Err(TransportError::OutcomeUnknown) => span.fail("no answer"),
        }
        answer
    }

    fn is_held_back(&self) -> bool {
        self.breaker.state() != State::Closed
    }

    async fn ready(&self) {
        self.breaker.ready().await;
    }

    async fn back(&self) {
        self.breaker.closed().await;
    }
}

/// What an answer says about Telegram's health. One below 500 that is no success, a 429 among them, is about the call; and
/// a proxy that is asked for too much gives it as well.
fn judge(answer: &Result<RawResponse, TransportError>) -> Outcome {
    match answer.as_ref().map(|response| response.status) {
        Ok(200..=299) => Outcome::Success,
        Ok(500..) | Err(_) => Outcome::Failure,
        Ok(_) => Outcome::Neutral,
    }
}
