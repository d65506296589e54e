//! The webhook's only authentication: the secret that Telegram sends with every update (E95).

use axum::http::HeaderMap;
use nezuko_shared::config::{BotSettings, Secret};
use subtle::ConstantTimeEq;

const HEADER: &str = "x-telegram-bot-api-secret-token";

/// The current secret and the one before it: while a change spreads, Telegram sends both.
pub(crate) struct WebhookSecrets {
    current: Option<Secret>,
    previous: Option<Secret>,
}

/// Which secret a request came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    Current,
    /// Telegram has not been told the current one.
    Previous,
}

impl WebhookSecrets {
    pub(crate) fn new(bot: &BotSettings) -> Self {
        Self { current: bot.webhook_secret.clone(), previous: bot.webhook_secret_previous.clone() }
    }

    /// Compares with both in a time that tells nothing about where a wrong one differs. Without any secret nothing is
    /// accepted.
    pub(crate) fn accept(&self, headers: &HeaderMap) -> Option<Accepted> {
        let given = headers.get(HEADER)?.as_bytes();
        let equals = |secret: &Option<Secret>| {
            secret.as_ref().is_some_and(|secret| secret.expose().as_bytes().ct_eq(given).into())
        };
        match (equals(&self.current), equals(&self.previous)) {
            (true, _) => Some(Accepted::Current),
            (false, true) => Some(Accepted::Previous),
            (false, false) => None,
        }
    }
}
