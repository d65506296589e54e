//! Registers the webhook with Telegram where something else is found there, and keeps an eye on the deliveries.
//!
//! `getWebhookInfo` tells all but the secret. That Telegram has an old one shows in what it sends: the previous secret, or
//! one that was answered 401, as it then says itself. A stranger's wrong secret only makes us ask.

use std::{pin::pin, sync::Arc, time::Duration};

use nezuko_shared::{
    bot_api::BotApi,
    config::{BotSettings, Secret, Settings},
    keys,
    redis_pool::Redis,
    telemetry::metrics::RegistrationOutcome,
};
use nezuko_telegram::{CallError, Client, ErrorClass, UPDATE_KINDS, Unsuitable, WEBHOOK_CONNECTIONS, WebhookInfo};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::bot::Bot;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the registration is looked at.
const BEAT: Duration = Duration::from_mins(10);
/// How long one gateway's turn at registering lasts.
const TURN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long the previous secret is seen before Telegram is told the current one: until then other gateways are being given it
/// as well, or requests come that were under way when one of them told it.
const SPREADING: Duration = Duration::from_mins(1);
/// How soon a refused secret makes us ask again; strangers can cause no more than that.
const AFTER_A_LOOK: Duration = Duration::from_secs(30);

/// Sees to the webhook of one bot.
pub(crate) struct Registrar {
    bot: Arc<Bot>,
    api: Client,
    /// What is to be registered; `None`: the operator does it.
    wanted: Option<Wanted>,
    /// Where several gateways leave a mark when it is their turn to register; `None`: there is only one.
    turns: Option<Redis>,
}

struct Wanted {
    url: String,
    secret: Secret,
}

/// What looking at the registration came to.
enum Found {
    AsWanted,
    /// By us, just now.
    Registered,
    /// Another gateway is at it.
    NotOurTurn,
}

impl Registrar {
    pub(crate) fn new(
        settings: &Settings,
        of_bot: &BotSettings,
        telegram: &BotApi,
        bot: Arc<Bot>,
        turns: Option<Redis>,
    ) -> Result<Self, Unsuitable> {
        let wanted = settings.webhook_url.as_ref().zip(of_bot.webhook_secret.clone());
        let wanted = wanted.map(|(url, secret)| Wanted { url: format!("{url}/webhook/{}", bot.id), secret });
        Ok(Self { bot, api: telegram.client(of_bot.id, CALL_TIMEOUT)?, wanted, turns })
    }

    /// Looks after the registration for ever.
    pub(crate) async fn keep(&self) {
        loop {
            self.keep_unless_refused().await;
            sleep(LONGEST_PAUSE).await;
        }
    }

    /// Looks after it until Telegram refuses it.
    pub(crate) async fn keep_unless_refused(&self) {
        let mut old_secret = false;
        let mut pause = FIRST_PAUSE;
        let mut previous_in_use = pin!(seen_again_after(SPREADING, &self.bot.previous_secret_seen));
        loop {
            let found = self.look(old_secret).await;
            if found.is_ok() {
                // Who has the turn tells Telegram the secret as well.
                old_secret = false;
                pause = FIRST_PAUSE;
            }
            let wait = match &found {
                // So that gateways that were started together do not ask together for ever.
                Ok(Found::AsWanted | Found::Registered) => BEAT.mul_f64(rand::random_range(0.85..1.15)),
                Ok(Found::NotOurTurn) => TURN,
                Err(error) => {
                    if self.explain(error) {
                        return;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    if let ErrorClass::RetryAfter(wait) = error.class() { wait.max(pause) } else { pause }
                }
            };
            let at_rest = self.wanted.is_some() && matches!(found, Ok(Found::AsWanted | Found::Registered));
            // Where we have just registered and secrets are refused all the same, doing it again soon would not help.
            let may_help = self.wanted.is_some() && matches!(found, Ok(Found::AsWanted));
            tokio::select! {
                () = sleep(wait) => {}
                () = self.secret_refused(), if may_help => {}
                () = previous_in_use.as_mut(), if at_rest => {
                    old_secret = true;
                    previous_in_use.set(seen_again_after(SPREADING, &self.bot.previous_secret_seen));
                }
            }
        }
    }

    /// Returns when a secret has been refused and Telegram, if it was Telegram's, knows of it.
    async fn secret_refused(&self) {
        sleep(AFTER_A_LOOK).await;
        self.bot.wrong_secret_seen.notified().await;
        sleep(FIRST_PAUSE).await;
    }

    /// Looks at the registration and puts it right.
    async fn look(&self, old_secret: bool) -> Result<Found, CallError> {
        self.api.ready().await;
        let info = self.api.webhook_info().await?;
        self.report(&info);
        let Some(wanted) = &self.wanted else { return Ok(Found::AsWanted) };
        if why(&info, &wanted.url, old_secret).is_none() {
            return Ok(Found::AsWanted);
        }
        if !self.is_our_turn().await {
            return Ok(Found::NotOurTurn);
        }
        // Another gateway may have been at it in between.
        let info = self.api.webhook_info().await?;
        let Some(reason) = why(&info, &wanted.url, old_secret) else { return Ok(Found::AsWanted) };
        self.api.set_webhook(&wanted.url, wanted.secret.expose()).await?;
        self.bot.metrics.webhook_registration(RegistrationOutcome::Registered);
        tracing::info!(bot_id = self.bot.id.0, reason, pending = info.pending_update_count, "webhook registered");
        Ok(Found::Registered)
    }

    fn report(&self, info: &WebhookInfo) {
        let (bot_id, pending) = (self.bot.id.0, info.pending_update_count);
        self.bot.metrics.set_webhook_state(pending, info.last_error_date);
        if let Some(error) = &info.last_error_message {
            let at = info.last_error_date;
            tracing::warn!(bot_id, pending, error, at, "Telegram could not deliver some updates; it will try again");
        }
        match &self.wanted {
            None if info.url.is_empty() => tracing::warn!(
                bot_id,
                "Telegram has no webhook for this bot, so no updates come: give WEBHOOK_URL, or register it by setWebhook"
            ),
            None => {
                let (host, kinds) = (host(&info.url), info.allowed_updates.as_deref());
                if !delivers_all(kinds) {
                    tracing::warn!(
                        bot_id,
                        host,
                        ?kinds,
                        "the webhook does not bring all kinds of updates: register it with allowed_updates {UPDATE_KINDS:?}"
                    );
                }
                tracing::info!(bot_id, host, pending, "Telegram delivers to this webhook");
            }
            Some(wanted) if !info.url.is_empty() && info.url != wanted.url => {
                tracing::warn!(bot_id, host = host(&info.url), "Telegram delivers this bot's updates somewhere else");
            }
            Some(_) => {}
        }
    }

    /// True where it is of no use to go on.
    fn explain(&self, error: &CallError) -> bool {
        let bot_id = self.bot.id.0;
        match error.class() {
            ErrorClass::Retry | ErrorClass::Ambiguous | ErrorClass::RetryAfter(_) => {
                tracing::warn!(bot_id, %error, "Telegram was not asked about the webhook, trying again");
                return false;
            }
            ErrorClass::Token => tracing::error!(
                bot_id,
                %error,
                "Telegram does not know this token: get the right one from BotFather; trying again"
            ),
            _ => tracing::error!(
                bot_id,
                %error,
                "Telegram refused the webhook: correct WEBHOOK_URL, which it must reach by https with a certificate that it \
                 trusts; trying again"
            ),
        }
        self.bot.metrics.webhook_registration(RegistrationOutcome::Failed);
        true
    }

    /// Whether this gateway is the one that registers for the next half minute. Without Redis there is no telling, and no
    /// update could be stored either.
    async fn is_our_turn(&self) -> bool {
        let Some(redis) = &self.turns else { return true };
        let mut mark = redis::cmd("SET");
        mark.arg(keys::registration(self.bot.id)).arg(1).arg("NX").arg("PX").arg(TURN.as_millis() as u64);
        match redis.query::<Option<String>>(&mark).await {
            Ok(taken) => taken.is_some(),
            Err(error) => {
                tracing::warn!(bot_id = self.bot.id.0, %error, "webhook not registered without Redis, trying again");
                false
            }
        }
    }
}

/// Returns when something is seen that was seen a while ago, too. Given up, it forgets what it saw.
async fn seen_again_after(span: Duration, sight: &Notify) {
    sight.notified().await;
    let first = Instant::now();
    while first.elapsed() < span {
        sight.notified().await;
    }
}

/// Why the webhook is to be registered; `None` where all is as it should be.
fn why(info: &WebhookInfo, url: &str, old_secret: bool) -> Option<&'static str> {
    let unauthorized = info.last_error_message.as_ref().is_some_and(|error| error.contains("401"));
    if info.url.is_empty() {
        Some("there was none")
    } else if info.url != url {
        Some("it led somewhere else")
    } else if !delivers_all(info.allowed_updates.as_deref()) {
        Some("it did not bring the right kinds of updates")
    } else if info.max_connections != Some(WEBHOOK_CONNECTIONS) {
        Some("it had another number of connections")
    } else if old_secret || unauthorized {
        Some("it had another secret")
    } else {
        None
    }
}

fn delivers_all(kinds: Option<&[String]>) -> bool {
    kinds.is_some_and(|kinds| {
        kinds.len() == UPDATE_KINDS.len() && UPDATE_KINDS.iter().all(|kind| kinds.iter().any(|other| other == kind))
    })
}

/// A path may be somebody's secret.
fn host(url: &str) -> String {
    url.parse::<hyper::Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_only_for_a_moment_is_no_proof() {
        let sight = Notify::new();
        let mut proof = pin!(seen_again_after(SPREADING, &sight));
        for seconds in [0, 1, 30, 28] {
            advance(Duration::from_secs(seconds)).await;
            sight.notify_one();
            assert!(timeout(Duration::from_millis(1), proof.as_mut()).await.is_err(), "seen for less than a minute");
        }
        assert!(timeout(Duration::from_hours(1), proof.as_mut()).await.is_err(), "not seen any more");
        sight.notify_one();
        assert!(timeout(Duration::from_millis(1), proof).await.is_ok(), "seen again");
    }

    const URL: &str = "https://bot.example.org/webhook/42";

    fn as_wanted() -> WebhookInfo {
        WebhookInfo {
            url: URL.to_owned(),
            max_connections: Some(WEBHOOK_CONNECTIONS),
            allowed_updates: Some(UPDATE_KINDS.iter().rev().map(|kind| (*kind).to_owned()).collect()),
            ..WebhookInfo::default()
        }
    }

    #[test]
    fn only_what_differs_is_registered_again() {
        assert_eq!(why(&as_wanted(), URL, false), None);
        let busy = WebhookInfo {
            pending_update_count: 900,
            last_error_date: Some(1),
            last_error_message: Some("Wrong response from the webhook: 503 Service Unavailable".to_owned()),
            ..as_wanted()
        };
        assert_eq!(why(&busy, URL, false), None, "registering would heal nothing");
        for differing in [
            WebhookInfo::default(),
            WebhookInfo { url: "https://elsewhere.example.org/webhook/42".to_owned(), ..as_wanted() },
            WebhookInfo { allowed_updates: None, ..as_wanted() },
            WebhookInfo { allowed_updates: Some(vec!["message".to_owned()]), ..as_wanted() },
            WebhookInfo { max_connections: Some(40), ..as_wanted() },
            WebhookInfo {
                last_error_message: Some("Wrong response from the webhook: 401 Unauthorized".to_owned()),
                ..as_wanted()
            },
        ] {
            assert!(why(&differing, URL, false).is_some(), "{differing:?}");
        }
        assert!(why(&as_wanted(), URL, true).is_some(), "the previous secret is still in use");
    }

    #[test]
    fn a_foreign_address_is_named_without_its_path() {
        assert_eq!(host("https://elsewhere.example.org:8443/secret/path"), "elsewhere.example.org");
        assert_eq!(host(""), "");
    }
}
