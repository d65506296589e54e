//! One bot as its gateway knows it.

use std::sync::Arc;

use nezuko_shared::{
    config::{BotSettings, Settings},
    queue::Producer,
    telemetry::metrics::Metrics,
};
use nezuko_telegram::BotId;
use tokio::sync::Notify;

use crate::{admission::Admission, intake::Intake, refusals::RefusalLog, secret::WebhookSecrets};

/// What taking in a bot's updates needs.
pub(crate) struct Bot {
    pub(crate) id: BotId,
    pub(crate) secrets: WebhookSecrets,
    pub(crate) admission: Admission,
    pub(crate) intake: Intake,
    pub(crate) metrics: Metrics,
    pub(crate) refusals: RefusalLog,
    /// Told when Telegram sends the previous secret: it has not been told the current one.
    pub(crate) previous_secret_seen: Notify,
    /// Told when a request is refused for its secret.
    pub(crate) wrong_secret_seen: Notify,
}

impl Bot {
    pub(crate) fn new(settings: &Settings, bot: &BotSettings, producer: Arc<dyn Producer>, metrics: &Metrics) -> Self {
        Self {
            id: bot.id,
            secrets: WebhookSecrets::new(bot),
            admission: Admission::new(settings.max_backlog),
            intake: Intake::new(bot.id, producer),
            metrics: metrics.of(bot.id),
            refusals: RefusalLog::default(),
            previous_secret_seen: Notify::new(),
            wrong_secret_seen: Notify::new(),
        }
    }
}
