//! The webhook's only authentication: the secret that Telegram sends with every update (E95).

use axum::http::HeaderMap;
use nezuko_shared::config::BotSettings;
use subtle::{Choice, ConstantTimeEq};

const HEADER: &str = "x-telegram-bot-api-secret-token";

/// The current secret and the one before it: while a change spreads, Telegram sends both.
pub(crate) struct WebhookSecrets {
    accepted: Vec<Vec<u8>>,
}

impl WebhookSecrets {
    pub(crate) fn new(bot: &BotSettings) -> Self {
        let accepted = [Some(&bot.webhook_secret), bot.webhook_secret_previous.as_ref()];
        Self { accepted: accepted.into_iter().flatten().map(|secret| secret.expose().into()).collect() }
    }

    /// Compares with every accepted secret in a time that tells nothing about where a wrong one differs.
    pub(crate) fn accept(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(HEADER) else { return false };
        let given = given.as_bytes();
        self.accepted.iter().fold(Choice::from(0), |found, secret| found | secret.as_slice().ct_eq(given)).into()
    }
}
