//! The Bot API client: `frankenstein`'s trait over a transport of our own.
//!
//! Why not `frankenstein`'s own client: it loses the status and `Retry-After` of answers that are not JSON, cannot read a
//! `retry_after` over 65,535 seconds, waits 500 s by default and prints the token in `Debug`.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use frankenstein::AsyncTelegramApi;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{error::CallError, ids::ChatId};

/// What came back for a call, before anybody looked into it.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header in seconds.
    pub retry_after: Option<u64>,
    /// The body, JSON where it comes from the Bot API itself, HTML where a proxy answered.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection was never made, so that Telegram cannot have acted.
    #[error("no connection to the Bot API")]
    NotSent,
    /// The request may have been read; whether Telegram acted is unknown.
    #[error("no answer from the Bot API")]
    OutcomeUnknown,
}

/// One way of getting a call to Telegram: HTTP in production, the simulated world in tests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts `body` (JSON) to `method`. Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    /// [`TransportError`] where no answer came back.
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError>;

    /// Whether calls are held back now, because Telegram is away: they fail at once with [`TransportError::NotSent`], but
    /// for one now and then. A transport that does not look after that makes every call.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Waits until a call would be made, as one of many or to see whether Telegram is back. Cancellation safe.
    async fn ready(&self) {}

    /// Waits until calls are not held back. Cancellation safe.
    async fn back(&self) {}
}

/// Calls the Bot API over HTTP(S).
pub struct HttpTransport {
    http: reqwest::Client,
    base: String,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpTransport(<token hidden>)")
    }
}

/// What is wrong with a client's settings.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built")]
pub struct Unsuitable;

impl HttpTransport {
    /// `api_url` is the server's base (`https://api.telegram.org`); `timeout` bounds one call as a whole. Telegram absorbs
    /// flood waits of up to 8 s inside a call, so that anything under 15 s takes slow answers for lost ones.
    ///
    /// # Errors
    /// [`Unsuitable`] where no TLS back end can be set up.
    pub fn new(api_url: &str, token: &str, timeout: Duration) -> Result<Self, Unsuitable> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| Unsuitable)?;
        Ok(Self { http, base: format!("{}/bot{token}", api_url.trim_end_matches('/')) })
    }
}

impl HttpTransport {
    /// As [`Transport::post`], with the time at which the server made its answer by its own clock, in whole seconds, where
    /// it tells that.
    ///
    /// # Errors
    /// As [`Transport::post`].
    pub async fn post_dated(
        &self,
        method: &str,
        body: Vec<u8>,
    ) -> Result<(RawResponse, Option<SystemTime>), TransportError> {
        let request =
            self.http.post(format!("{}/{method}", self.base)).header("content-type", "application/json").body(body);
        let response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                TransportError::NotSent
            } else {
                TransportError::OutcomeUnknown
            }
        })?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header("retry-after").and_then(|value| value.parse().ok());
        let date = header("date").and_then(|value| httpdate::parse_http_date(value).ok());
        let body = response.bytes().await.map_err(|_| TransportError::OutcomeUnknown)?.to_vec();
        Ok((RawResponse { status, retry_after, body }, date))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.post_dated(method, body).await.map(|(response, _)| response)
    }
}

/// The Bot API of one bot. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client over `transport`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    /// As [`Transport::is_held_back`].
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.transport.is_held_back()
    }

    /// As [`Transport::ready`].
    pub async fn ready(&self) {
        self.transport.ready().await;
    }

    /// As [`Transport::back`].
    pub async fn back(&self) {
        self.transport.back().await;
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    ok: bool,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error_code: Option<u16>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<ChatId>,
}

impl RawResponse {
    /// Whether it is the answer to a call that succeeded.
    ///
    /// # Errors
    /// [`CallError`]: what it says instead.
    pub fn check(&self) -> Result<(), CallError> {
        let undecodable = CallError::Undecodable { status: self.status, retry_after: self.retry_after };
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&self.body) else {
            return Err(undecodable);
        };
        if envelope.ok {
            return envelope.result.map(drop).ok_or(undecodable);
        }
        let parameters = envelope.parameters.unwrap_or_default();
        Err(CallError::Api {
            code: envelope.error_code.unwrap_or(self.status),
            description: envelope.description.unwrap_or_default(),
            retry_after: parameters.retry_after.or(self.retry_after),
            migrate_to: parameters.migrate_to_chat_id,
        })
    }
}

#[async_trait]
impl AsyncTelegramApi for Client {
    type Error = CallError;

    async fn request<Params, Output>(&self, method: &str, params: Option<Params>) -> Result<Output, Self::Error>
    where
        Params: Serialize + fmt::Debug + Send,
        Output: DeserializeOwned,
    {
        let body = match &params {
            Some(params) => serde_json::to_vec(params).map_err(|_| CallError::Unencodable)?,
            None => b"{}".to_vec(),
        };
        drop(params);
        let response = self.transport.post(method, body).await.map_err(CallError::Transport)?;
        response.check()?;
        serde_json::from_slice(&response.body)
            .map_err(|_| CallError::Undecodable { status: response.status, retry_after: None })
    }

    async fn request_with_form_data<Params, Output>(
        &self,
        _method: &str,
        _params: Params,
        _files: Vec<(&str, PathBuf)>,
    ) -> Result<Output, Self::Error>
    where
        Params: Serialize + fmt::Debug + Send,
        Output: DeserializeOwned,
    {
        Err(CallError::Unencodable)
    }
}
