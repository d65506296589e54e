//! Configuration: environment variables, read once, checked as a whole, secrets never shown.

mod reader;
mod secret;
pub mod table;

use std::{net::IpAddr, str::FromStr, time::Duration};

use axum::http::Uri;
use nezuko_telegram::BotId;

use reader::Reader;
pub use reader::{ConfigError, ConfigErrors};
pub use secret::Secret;
use table::Setting;

/// Everything that the programs can be told from outside, valid as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot.
    pub bot: BotSettings,
    /// Name of this installation, for logs and reports.
    pub environment: String,
    /// What stands beside the process.
    pub profile: Profile,
    /// Address of both ports.
    pub bind: IpAddr,
    /// Webhook port; 0 takes a free one.
    pub port: u16,
    /// Operations port; 0 takes a free one.
    pub ops_port: u16,
    /// Base address of the Bot API server, without a slash at its end.
    pub telegram_api_url: String,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Filter for log lines, valid for `tracing_subscriber::EnvFilter`.
    pub log_level: String,
    /// How long a stopping process finishes what it has in hand.
    pub shutdown_grace: Duration,
    /// How long a silent consumer's entries stay its own.
    pub reclaim_idle: Duration,
    /// Entries (unread and pending) beyond which the gateway answers 503.
    pub max_backlog: u64,
    /// What the limiter allows for delays between here and Telegram.
    pub limiter_jitter: Duration,
    /// The worker's name in the consumer group.
    pub worker_name: String,
}

/// One bot.
#[derive(Clone, Debug)]
pub struct BotSettings {
    /// The number before the colon of its token.
    pub id: BotId,
    /// For calling the Bot API.
    pub token: Secret,
    /// What Telegram must send with every update.
    pub webhook_secret: Secret,
    /// What it may still send after a change of the secret.
    pub webhook_secret_previous: Option<Secret>,
}

/// What the process runs beside.
#[derive(Clone, Debug)]
pub enum Profile {
    /// Nothing: queue, cache and limiter in the process and its database.
    Embedded {
        /// SQLite or PostgreSQL address.
        database: Secret,
    },
    /// A fleet around Redis and PostgreSQL.
    Distributed {
        /// PostgreSQL address.
        database: Secret,
        /// Redis address.
        redis: Secret,
    },
}

impl Profile {
    /// The database's address, which either profile has.
    #[must_use]
    pub fn database(&self) -> &Secret {
        match self {
            Self::Embedded { database } | Self::Distributed { database, .. } => database,
        }
    }

    /// The address of Redis, which a fleet has.
    #[must_use]
    pub fn redis(&self) -> Option<&Secret> {
        match self {
            Self::Embedded { .. } => None,
            Self::Distributed { redis, .. } => Some(redis),
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Settings {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::from_vars(environment)
    }

    /// Reads the environment of a process of the fleet, which cannot do without Redis.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn fleet_from_env() -> Result<Self, ConfigErrors> {
        Self::fleet_from_vars(environment)
    }

    /// Reads the variables that `var` knows.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::read_whole(var, &table::REDIS_URL)
    }

    /// As [`fleet_from_env`](Self::fleet_from_env), from the variables that `var` knows.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn fleet_from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::read_whole(var, &Setting { default: table::Default::Required, ..table::REDIS_URL })
    }

    fn read_whole(var: impl Fn(&str) -> Option<String>, redis_url: &Setting) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(var);
        let settings = read(&mut reader, redis_url);
        reader.finish()?;
        Ok(settings.expect("invariant: a setting that could not be read left an error"))
    }
}

/// What is not Unicode stays wrong instead of vanishing.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads every setting before it gives up on any, so that the reader has heard of all that is wrong.
fn read(reader: &mut Reader<impl Fn(&str) -> Option<String>>, redis_url: &Setting) -> Option<Settings> {
    let token = reader.take(
        &table::BOT_TOKEN,
        "the token from BotFather, <digits>:<at least 20 of A-Z a-z 0-9 _ ->",
        |value| bot_id(value).map(|id| (id, Secret::new(value))),
    );
    let secret_form = "1 to 256 of A-Z a-z 0-9 _ - (for example from `openssl rand -hex 32`)";
    let webhook_secret = reader.secret(&table::WEBHOOK_SECRET, secret_form, is_webhook_secret);
    let webhook_secret_previous = reader.secret(&table::WEBHOOK_SECRET_PREVIOUS, secret_form, is_webhook_secret);
    let environment = reader.take(&table::ENVIRONMENT, "1 to 64 of A-Z a-z 0-9 . _ -", |value| {
        is_name(value, 64).then(|| value.to_owned())
    });
    let profile = profile(reader, redis_url);
    let bind = reader.take(&table::BIND, "an IP address such as 0.0.0.0 or 127.0.0.1", |value| value.parse().ok());
    let port = reader.take(&table::PORT, "a port from 0 to 65535", |value| value.parse().ok());
    let ops_port = reader.take(&table::OPS_PORT, "a port from 0 to 65535", |value| value.parse().ok());
    if let (Some(port), Some(ops_port)) = (port, ops_port)
        && port == ops_port
        && port != 0
    {
        reader.wrong(table::OPS_PORT.name, format!("must differ from {}, which is {port} too", table::PORT.name));
    }
    let telegram_api_url =
        reader.take(&table::TELEGRAM_API_URL, "an address such as https://api.telegram.org", http_base);
    let log_format = reader.take(&table::LOG_FORMAT, "json or text", |value| match value {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    });
    let log_level = reader.take(&table::LOG_LEVEL, "error, warn, info, debug, trace or filters by module", |value| {
        tracing_subscriber::EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
    });
    let shutdown_grace = reader.number(&table::SHUTDOWN_GRACE_SECONDS, 1..=600);
    let reclaim_idle = reader.number(&table::RECLAIM_IDLE_MS, 100..=3_600_000);
    let max_backlog = reader.number(&table::MAX_BACKLOG, 1..=u64::MAX);
    let limiter_jitter = reader.number(&table::LIMITER_JITTER_MS, 0..=5_000);
    let worker_name = reader.take(&table::WORKER_NAME, "1 to 128 of A-Z a-z 0-9 . _ -", |value| {
        is_name(value, 128).then(|| value.to_owned())
    });

    let (id, token) = token?;
    Some(Settings {
        bot: BotSettings { id, token, webhook_secret: webhook_secret?, webhook_secret_previous },
        environment: environment?,
        profile: profile?,
        bind: bind?,
        port: port?,
        ops_port: ops_port?,
        telegram_api_url: telegram_api_url?,
        log_format: log_format?,
        log_level: log_level?,
        shutdown_grace: Duration::from_secs(shutdown_grace?),
        reclaim_idle: Duration::from_millis(reclaim_idle?),
        max_backlog: max_backlog?,
        limiter_jitter: Duration::from_millis(limiter_jitter?),
        worker_name: worker_name.unwrap_or_else(host_and_process),
    })
}

fn profile(reader: &mut Reader<impl Fn(&str) -> Option<String>>, redis_url: &Setting) -> Option<Profile> {
    let database =
        reader.secret(&table::DATABASE_URL, "sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME", |value| {
            is_postgres(value) || is_sqlite(value)
        });
    let redis = reader
        .secret(redis_url, "redis://[USER:PASSWORD@]HOST[:PORT][/DB]", |value| redis::Client::open(value).is_ok());
    let database = database?;
    let Some(redis) = redis else { return Some(Profile::Embedded { database }) };
    if !is_postgres(database.expose()) {
        reader.wrong(
            table::DATABASE_URL.name,
            format!(
                "must be a PostgreSQL address (postgres://…), because {} is given: a fleet cannot share a SQLite file; \
                 without {} the embedded profile runs on SQLite",
                table::REDIS_URL.name,
                table::REDIS_URL.name
            ),
        );
        return None;
    }
    Some(Profile::Distributed { database, redis })
}

fn bot_id(token: &str) -> Option<BotId> {
    let (id, key) = token.split_once(':')?;
    let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    let id = id.parse().ok().filter(|id| digits && *id > 0)?;
    (key.len() >= 20 && key.bytes().all(is_url_safe)).then_some(BotId(id))
}

fn is_webhook_secret(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(is_url_safe)
}

fn is_url_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn is_name(value: &str, longest: usize) -> bool {
    (1..=longest).contains(&value.len()) && value.bytes().all(|b| is_url_safe(b) || b == b'.')
}

fn is_postgres(url: &str) -> bool {
    let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    scheme && sqlx::postgres::PgConnectOptions::from_str(url).is_ok()
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:") && sqlx::sqlite::SqliteConnectOptions::from_str(url).is_ok()
}

fn http_base(value: &str) -> Option<String> {
    let uri = value.parse::<Uri>().ok()?;
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    (http && host && uri.query().is_none()).then(|| value.trim_end_matches('/').to_owned())
}

/// Unique among the workers of one installation: hosts differ, and so do processes on a host.
fn host_and_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| is_name(c.encode_utf8(&mut [0; 4]), 4)).take(100).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests;
