//! `doctor`: everything that a deployment needs, looked at from where the workers run.

use std::time::{Duration, Instant};

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    bot_api::BotApi,
    config::{BotSettings, Settings},
    database::{Database, DatabaseError, Dialect},
    redis_pool::Redis,
};
use nezuko_telegram::{CallError, Client, ErrorClass, UPDATE_KINDS};
use serde::Deserialize;
use sqlx::Row;

const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// The oldest servers that Nezuko is tested with.
const OLDEST_POSTGRES: i64 = 150_000;
const OLDEST_REDIS: u64 = 7;

/// What was found, as it is printed.
#[derive(Default)]
struct Findings {
    broken: usize,
    doubtful: usize,
}

impl Findings {
    fn good(&self, what: &str, detail: impl AsRef<str>) {
        println!("ok      {what}: {}", detail.as_ref());
    }

    fn doubtful(&mut self, what: &str, detail: impl AsRef<str>) {
        self.doubtful += 1;
        println!("warning {what}: {}", detail.as_ref());
    }

    fn broken(&mut self, what: &str, detail: impl AsRef<str>) {
        self.broken += 1;
        println!("BROKEN  {what}: {}", detail.as_ref());
    }
}

/// Looks at all of it, one line each; true where nothing is broken.
pub(super) async fn examine(settings: &Settings) -> anyhow::Result<bool> {
    let mut findings = Findings::default();
    findings.good("settings", format!("bots {:?}, environment {}", settings.bot_ids(), settings.environment));
    if let Some(url) = settings.profile.database() {
        let database = Database::open(url.expose()).await?;
        match database.dialect {
            Dialect::Postgres => {
                if let Err(error) = postgres(&database, &mut findings).await {
                    findings.broken("PostgreSQL", format!("{error}; see that it runs and DATABASE_URL leads to it"));
                }
            }
            Dialect::Sqlite => match database.pending_migrations().await {
                Ok(pending) => findings.good("SQLite", format!("{pending} migrations due, applied at the start")),
                Err(error) => findings.broken("SQLite", error.to_string()),
            },
        }
    }
    if let Some(url) = settings.profile.redis() {
        let redis = Redis::new(url.expose())?;
        if let Err(error) = examine_redis(&redis, &mut findings).await {
            findings.broken("Redis", format!("{error}; see that it runs and REDIS_URL leads to it"));
        }
    }
    let api = BotApi::new(settings);
    for bot in &settings.bots {
        telegram(settings, bot, &api.client(bot.id, CALL_TIMEOUT)?, &mut findings).await;
    }
    let Findings { broken, doubtful } = findings;
    println!("broken: {broken}, warnings: {doubtful}");
    Ok(broken == 0)
}

async fn postgres(database: &Database, findings: &mut Findings) -> anyhow::Result<()> {
    let start = Instant::now();
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), r.rolname::text,
                r.rolsuper OR r.rolbypassrls
         FROM pg_roles r WHERE r.rolname = current_user",
    );
    let row = database.of_nobody(async |rows| row.fetch_one(rows).await).await.map_err(DatabaseError::from)?;
    let (number, version): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let (role, sees_all): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
    if number < OLDEST_POSTGRES {
        findings.broken("PostgreSQL", format!("version {version} is too old: 15 or newer is needed"));
    } else {
        findings.good("PostgreSQL", format!("version {version}, answers in {:.1?}", start.elapsed()));
    }
    if sees_all {
        findings.doubtful(
            "PostgreSQL role",
            format!(
                "{role} passes by row-level security; let the workers run as a role without SUPERUSER and BYPASSRLS \
                 (docs/database.md)"
            ),
        );
    } else {
        findings.good("PostgreSQL role", format!("{role} is bound by row-level security"));
    }
    match database.pending_migrations().await? {
        0 => findings.good("schema", "up to date"),
        due => findings.broken("schema", format!("{due} migrations are due: run `nezuko-worker migrate` as its owner")),
    }
    Ok(())
}

async fn examine_redis(redis: &Redis, findings: &mut Findings) -> anyhow::Result<()> {
    let start = Instant::now();
    let servers = redis.info().await?;
    let took = start.elapsed();
    for (node, info) in servers {
        let redis = node.map_or_else(|| "Redis".to_owned(), |node| format!("Redis {node}"));
        examine_server(&redis, &info, took, findings);
    }
    Ok(())
}

fn examine_server(redis: &str, info: &str, took: Duration, findings: &mut Findings) {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned()
    };
    // Valkey tells the version of Redis that it stands in for as well.
    let version = field("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok()).unwrap_or_default();
    if major < OLDEST_REDIS {
        findings.broken(redis, format!("version {version} is too old: 7 or newer is needed"));
    } else {
        findings.good(redis, format!("version {version}, answers in {took:.1?}"));
    }
    if field("role") == "slave" {
        findings.broken(&format!("{redis} role"), "REDIS_URL leads to a replica; let it lead to the primary");
    }
    let what = format!("{redis} eviction");
    match field("maxmemory_policy").as_str() {
        "noeviction" => findings.good(&what, "noeviction"),
        policy => findings
            .broken(&what, format!("maxmemory-policy is {policy:?}: updates could vanish; set it to noeviction")),
    }
    let what = format!("{redis} persistence");
    if field("aof_enabled") == "1" {
        findings.good(&what, "append-only file");
    } else {
        findings.doubtful(
            &what,
            "no append-only file: updates that were acknowledged to Telegram are gone after a crash; set appendonly yes",
        );
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
