//! `doctor`: everything that a deployment needs, looked at from where the workers run.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    bot_api::BotApi,
    clock_skew,
    config::{BotSettings, Settings},
    database::{Database, Dialect},
    examine::{self, Finding, Grade},
    redis_pool::Redis,
};
use nezuko_telegram::{CallError, Client, ErrorClass, UPDATE_KINDS};
use serde::Deserialize;

const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// What was found, as it is printed.
#[derive(Default)]
struct Findings {
    broken: usize,
    doubtful: usize,
}

impl Findings {
    fn tell(&mut self, finding: &Finding) {
        let Finding { what, grade, detail } = finding;
        let label = match grade {
            Grade::Good => "ok     ",
            Grade::Doubtful => "warning",
            Grade::Broken => "BROKEN ",
        };
        self.broken += usize::from(*grade == Grade::Broken);
        self.doubtful += usize::from(*grade == Grade::Doubtful);
        println!("{label} {what}: {detail}");
    }

    fn good(&mut self, what: &str, detail: impl Into<String>) {
        self.tell(&Finding::good(what, detail));
    }

    fn doubtful(&mut self, what: &str, detail: impl Into<String>) {
        self.tell(&Finding::doubtful(what, detail));
    }

    fn broken(&mut self, what: &str, detail: impl Into<String>) {
        self.tell(&Finding::broken(what, detail));
    }

    /// What a look at a server found and how long that took, or that it failed and what to do then. Returns whether it
    /// answered.
    async fn of_server<E: Display>(
        &mut self,
        server: &str,
        setting: &str,
        look: impl Future<Output = Result<Vec<Finding>, E>>,
    ) -> bool {
        let start = Instant::now();
        let found = look.await;
        let took = start.elapsed();
        match &found {
            Ok(findings) => {
                self.good(server, format!("answers in {took:.1?}"));
                findings.iter().for_each(|finding| self.tell(finding));
            }
            Err(error) => self.broken(server, format!("{error}; see that it runs and {setting} leads to it")),
        }
        found.is_ok()
    }
}

/// Looks at all of it, one line each; true where nothing is broken.
pub(super) async fn examine(settings: &Settings) -> anyhow::Result<bool> {
    let mut findings = Findings::default();
    findings.good("settings", format!("bots {:?}, environment {}", settings.bot_ids(), settings.environment));
    if let Some(url) = settings.profile.database() {
        let database = Database::open(url.expose()).await?;
        let answers = match database.dialect {
            Dialect::Postgres => findings.of_server("PostgreSQL", "DATABASE_URL", examine::postgres(&database)).await,
            Dialect::Sqlite => true,
        };
        if answers {
            schema(&database, &mut findings).await;
        }
    }
    if let Some(url) = settings.profile.redis() {
        let redis = Redis::new(url.expose())?;
        findings.of_server("Redis", "REDIS_URL", examine::redis(&redis, settings.wait_replicas)).await;
    }
    let api = BotApi::new(settings);
    for bot in &settings.bots {
        telegram(settings, bot, &api.client(bot.id, CALL_TIMEOUT)?, &mut findings).await;
    }
    if let Some(seconds) = api.clock_skew() {
        clock(seconds, &mut findings);
    }
    let Findings { broken, doubtful } = findings;
    println!("broken: {broken}, warnings: {doubtful}");
    Ok(broken == 0)
}

async fn schema(database: &Database, findings: &mut Findings) {
    match (database.dialect, database.pending_migrations().await) {
        (Dialect::Postgres, Ok(0)) => findings.good("schema", "up to date"),
        (Dialect::Postgres, Ok(due)) => {
            findings.broken("schema", format!("{due} migrations are due: run `nezuko-worker migrate` as its owner"));
        }
        (Dialect::Sqlite, Ok(due)) => findings.good("SQLite", format!("{due} migrations due, applied at the start")),
        (_, Err(error)) => findings.broken("schema", error.to_string()),
    }
}

fn clock(seconds: f64, findings: &mut Findings) {
    let tolerance = clock_skew::TOLERANCE.as_secs_f64();
    if seconds.abs() > tolerance {
        let detail = format!(
            "this machine's is {:.1} s {} Telegram's, at most {tolerance} s are put up with: let it be set by NTP",
            seconds.abs(),
            if seconds > 0.0 { "ahead of" } else { "behind" }
        );
        findings.doubtful("clock", detail);
    } else {
        findings.good("clock", "this machine's agrees with Telegram's");
    }
}

/// What `getMe` tells, as far as it matters here.
#[derive(Deserialize)]
struct Me {
    #[serde(default)]
    username: String,
    #[serde(default)]
    can_join_groups: bool,
}

async fn telegram(settings: &Settings, bot: &BotSettings, api: &Client, findings: &mut Findings) {
    let what = format!("Telegram, bot {}", bot.id);
    let start = Instant::now();
    let me: Result<MethodResponse<Me>, CallError> = api.request("getMe", None::<()>).await;
    let info = match me {
        Ok(me) => {
            let Me { username, can_join_groups } = me.result;
            findings.good(&what, format!("@{username}, answers in {:.1?}", start.elapsed()));
            if !can_join_groups {
                findings.broken(&what, "may not be added to groups: allow it at BotFather by /setjoingroups");
            }
            api.webhook_info().await
        }
        Err(error) => Err(error),
    };
    let info = match info {
        Ok(info) => info,
        Err(error) if error.class() == ErrorClass::Token => {
            findings.broken(&what, "the token is not known: get the right one from BotFather");
            return;
        }
        Err(error) => {
            findings.broken(&what, format!("{error}; see that {} can be reached", settings.telegram_api_url));
            return;
        }
    };
    let what = format!("updates, bot {}", bot.id);
    let pending = info.pending_update_count;
    let wanted = settings.webhook_url.as_ref().map(|url| format!("{url}/webhook/{}", bot.id));
    match (info.url.is_empty(), wanted) {
        (true, _) if settings.profile.redis().is_none() && settings.webhook_url.is_none() => {
            findings.good(&what, format!("are asked for, {pending} wait"));
        }
        (true, _) => findings.broken(&what, "no webhook is registered: start a gateway with WEBHOOK_URL"),
        (false, None) if settings.profile.redis().is_none() => findings.broken(
            &what,
            "a webhook is registered, so none can be asked for: give WEBHOOK_URL, or call deleteWebhook",
        ),
        (false, Some(wanted)) if wanted != info.url => {
            findings
                .doubtful(&what, "the registered webhook is not WEBHOOK_URL's; the next gateway that starts takes it");
        }
        (false, _) => findings.good(&what, format!("come by the webhook, {pending} wait at Telegram")),
    }
    let kinds = info.allowed_updates.unwrap_or_default();
    let missing: Vec<_> = UPDATE_KINDS.iter().filter(|kind| !kinds.iter().any(|other| other == *kind)).collect();
    if !info.url.is_empty() && !missing.is_empty() {
        findings
            .broken(&what, format!("the webhook does not bring {missing:?}: register it with them in allowed_updates"));
    }
    if let Some(error) = info.last_error_message {
        findings.doubtful(&what, format!("the last failed delivery (Unix second {:?}): {error}", info.last_error_date));
    }
}
