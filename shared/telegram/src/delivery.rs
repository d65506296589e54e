//! How updates reach a bot: by the webhook that Telegram knows, or by asking.

use std::time::Duration;

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{client::Client, error::CallError, ids::UpdateId};

/// The kinds of updates that Nezuko acts on. They are always named to Telegram, whose default leaves `chat_member` out.
pub const UPDATE_KINDS: [&str; 6] =
    ["callback_query", "chat_join_request", "chat_member", "edited_message", "message", "my_chat_member"];

/// Connections that Telegram may open to the webhook: its own maximum, since each brings one update at a time.
pub const WEBHOOK_CONNECTIONS: u32 = 100;

/// What Telegram knows of a bot's webhook (`getWebhookInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// Where updates go; empty without a webhook.
    pub url: String,
    /// How many wait.
    pub pending_update_count: u64,
    /// When a delivery last failed, Unix seconds. Registering forgets it.
    pub last_error_date: Option<i64>,
    /// How it failed.
    pub last_error_message: Option<String>,
    /// Connections at once.
    pub max_connections: Option<u32>,
    /// The kinds that are delivered; `None`: Telegram's default.
    pub allowed_updates: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct SetWebhook<'a> {
    url: &'a str,
    secret_token: &'a str,
    max_connections: u32,
    allowed_updates: [&'a str; UPDATE_KINDS.len()],
}

#[derive(Debug, Serialize)]
struct GetUpdates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<UpdateId>,
    timeout: u64,
    allowed_updates: [&'a str; UPDATE_KINDS.len()],
}

impl Client {
    /// What Telegram knows of the webhook.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn webhook_info(&self) -> Result<WebhookInfo, CallError> {
        let answer: MethodResponse<WebhookInfo> = self.request("getWebhookInfo", None::<()>).await?;
        Ok(answer.result)
    }

    /// Has updates of [`UPDATE_KINDS`] delivered to `url` with `secret`. Those that wait stay.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn set_webhook(&self, url: &str, secret: &str) -> Result<(), CallError> {
        let webhook = SetWebhook {
            url,
            secret_token: secret,
            max_connections: WEBHOOK_CONNECTIONS,
            allowed_updates: UPDATE_KINDS,
        };
        let _done: MethodResponse<bool> = self.request("setWebhook", Some(webhook)).await?;
        Ok(())
    }

    /// Up to 100 updates as they are, oldest first, waiting up to `wait` (whole seconds, at most 50) for the first.
    /// `offset` confirms all before it; without one, they come from the oldest that is not confirmed. Dropping the future
    /// confirms nothing more.
    ///
    /// # Errors
    /// Those of the call; a conflict where a webhook is set or somebody else asks.
    pub async fn updates(&self, offset: Option<UpdateId>, wait: Duration) -> Result<Vec<Box<RawValue>>, CallError> {
        let asked = GetUpdates { offset, timeout: wait.as_secs(), allowed_updates: UPDATE_KINDS };
        let answer: MethodResponse<Vec<Box<RawValue>>> = self.request("getUpdates", Some(asked)).await?;
        Ok(answer.result)
    }
}
