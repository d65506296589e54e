//! Configuration: environment variables, read once, checked as a whole, secrets never shown.

mod bots;
pub(crate) mod database_url;
mod reader;
mod secret;
pub mod table;

use std::{net::IpAddr, num::NonZeroU8, time::Duration};

use axum::http::Uri;
use nezuko_telegram::BotId;

use reader::Reader;
pub use reader::{ConfigError, ConfigErrors};
pub use secret::Secret;
use table::Setting;

use crate::{
    redis_pool::address::{self, Address},
    telemetry::logs,
};

/// Which program asks. They share the settings' names and meanings, but need different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `nezuko`: one process with nothing beside it but a database.
    Alone,
    /// `nezuko-gateway`: takes updates into Redis.
    Gateway,
    /// `nezuko-worker`: takes them from there and decides on PostgreSQL.
    Worker,
}

/// Everything that the programs can be told from outside, valid as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bots, at least one, each once.
    pub bots: Vec<BotSettings>,
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
    /// The address under which Telegram reaches the webhook port, without a slash at its end. `None`: the process that
    /// stands alone asks Telegram for updates; a gateway leaves the registration to its operator.
    pub webhook_url: Option<String>,
    /// Whether the process that stands alone asks for updates where Telegram refuses its webhook.
    pub polling_fallback: bool,
    /// Base address of the Bot API server, without a slash at its end.
    pub telegram_api_url: String,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Filter for log lines in the form of [`logs::FORM`].
    pub log_level: String,
    /// Where recorded traces go; `None`: no trace is recorded.
    pub traces: Option<TraceSettings>,
    /// The project at Sentry that is told of errors; `None`: nobody is.
    pub sentry_dsn: Option<Secret>,
    /// How long a stopping process finishes what it has in hand.
    pub shutdown_grace: Duration,
    /// How long a silent consumer's entries stay its own.
    pub reclaim_idle: Duration,
    /// Entries of a bot (unread and pending) beyond which the gateway answers 503.
    pub max_backlog: u64,
    /// Replicas of Redis that must have an update before the gateway answers 200; `None`: the master alone.
    pub wait_replicas: Option<NonZeroU8>,
    /// What the limiter allows for delays between here and Telegram.
    pub limiter_jitter: Duration,
    /// How many days the records are kept of what was done.
    pub retention_days: i64,
    /// The process' name in the consumer groups, in traces and in reports.
    pub worker_name: String,
}

/// One bot.
#[derive(Clone, Debug)]
pub struct BotSettings {
    /// The number before the colon of its token.
    pub id: BotId,
    /// For calling the Bot API.
    pub token: Secret,
    /// What Telegram must send with every update. Whoever takes updates by webhook has it.
    pub webhook_secret: Option<Secret>,
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
    /// Redis: a gateway of a fleet.
    Gateway {
        /// Redis address.
        redis: Secret,
    },
    /// Redis and PostgreSQL: a worker of a fleet.
    Worker {
        /// PostgreSQL address.
        database: Secret,
        /// Redis address.
        redis: Secret,
    },
}

impl Profile {
    /// The database's address, which all but a gateway have.
    #[must_use]
    pub fn database(&self) -> Option<&Secret> {
        match self {
            Self::Embedded { database } | Self::Worker { database, .. } => Some(database),
            Self::Gateway { .. } => None,
        }
    }

    /// The address of Redis, which a fleet has.
    #[must_use]
    pub fn redis(&self) -> Option<&Secret> {
        match self {
            Self::Embedded { .. } => None,
            Self::Gateway { redis } | Self::Worker { redis, .. } => Some(redis),
        }
    }
}

/// Where recorded traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Base address of a collector that takes OTLP over HTTP, without a slash at its end.
    pub endpoint: String,
    /// The share of the traces that begin here and are recorded, 0 to 1.
    pub share: f64,
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
    pub fn from_env(role: Role) -> Result<Self, ConfigErrors> {
        Self::from_vars(role, environment)
    }

    /// Reads the address of `role`'s database alone, for who migrates and needs nothing else.
    ///
    /// # Errors
    /// [`ConfigErrors`] with what is wrong.
    pub fn database_from_env(role: Role) -> Result<Secret, ConfigErrors> {
        let mut reader = Reader::new(environment);
        let address = database(&mut reader, role);
        reader.finish()?;
        Ok(address.expect("invariant: an address that could not be read left an error"))
    }

    /// Reads the variables that `var` knows.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn from_vars(role: Role, var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(var);
        let settings = read(&mut reader, role);
        reader.finish()?;
        Ok(settings.expect("invariant: a setting that could not be read left an error"))
    }

    /// The ids of the bots.
    #[must_use]
    pub fn bot_ids(&self) -> Vec<i64> {
        self.bots.iter().map(|bot| bot.id.0).collect()
    }
}

/// What is not Unicode stays wrong instead of vanishing.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads every setting before it gives up on any, so that the reader has heard of all that is wrong.
fn read(reader: &mut Reader<impl Fn(&str) -> Option<String>>, role: Role) -> Option<Settings> {
    let telegram_api_url =
        reader.take(&table::TELEGRAM_API_URL, "an address such as https://api.telegram.org", http_base);
    let public = telegram_api_url.as_deref() == Some("https://api.telegram.org");
    let wanted = if public {
        "an https address with port 443, 80, 88 or 8443, as Telegram demands, such as https://bot.example.org"
    } else {
        "an address such as https://bot.example.org"
    };
    let webhook_url = reader
        .take(&table::WEBHOOK_URL, wanted, |value| http_base(value).filter(|url| !public || telegram_reaches(url)));
    let takes_webhooks = match role {
        Role::Alone => reader.is_given(&table::WEBHOOK_URL),
        Role::Gateway => true,
        Role::Worker => false,
    };
    let polling_fallback = reader.take(&table::POLLING_FALLBACK, "true or false", |value| value.parse().ok());
    let bots = bots::read(reader, takes_webhooks);
    let environment = reader.take(&table::ENVIRONMENT, "1 to 64 of A-Z a-z 0-9 . _ -", |value| {
        is_name(value, 64).then(|| value.to_owned())
    });
    let profile = profile(reader, role);
    let bind = reader.take(&table::BIND, "an IP address such as 0.0.0.0 or 127.0.0.1", |value| value.parse().ok());
    let port = reader.take(&table::PORT, "a port from 0 to 65535", |value| value.parse().ok());
    let ops_port = reader.take(&table::OPS_PORT, "a port from 0 to 65535", |value| value.parse().ok());
    if let (Some(port), Some(ops_port)) = (port, ops_port)
        && port == ops_port
        && port != 0
    {
        reader.wrong(table::OPS_PORT.name, format!("must differ from {}, which is {port} too", table::PORT.name));
    }
    let log_format = reader.take(&table::LOG_FORMAT, "json or text", |value| match value {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    });
    let log_level =
        reader.take(&table::LOG_LEVEL, logs::FORM, |value| logs::filter(value).is_some().then(|| value.to_owned()));
    let collector =
        reader.take(&table::OTEL_EXPORTER_OTLP_ENDPOINT, "an address such as http://collector:4318", http_base);
    let share = reader.take(&table::OTEL_TRACES_SAMPLER_ARG, "a number from 0 to 1", |value| {
        value.parse().ok().filter(|share| (0.0..=1.0).contains(share))
    });
    let sentry_dsn = reader.secret(&table::SENTRY_DSN, "the DSN that Sentry shows for the project", |value| {
        value.parse::<sentry::types::Dsn>().is_ok()
    });
    let shutdown_grace = reader.number(&table::SHUTDOWN_GRACE_SECONDS, 1..=600);
    let reclaim_idle = reader.number(&table::RECLAIM_IDLE_MS, 100..=3_600_000);
    let max_backlog = reader.number(&table::MAX_BACKLOG, 1..=u64::MAX);
    let wait_replicas = wait_replicas(reader, profile.as_ref());
    let limiter_jitter = reader.number(&table::LIMITER_JITTER_MS, 0..=5_000);
    let retention_days = reader.number(&table::RETENTION_DAYS, 1..=3_650);
    let worker_name = reader.take(&table::WORKER_NAME, "1 to 128 of A-Z a-z 0-9 . _ -", |value| {
        is_name(value, 128).then(|| value.to_owned())
    });

    Some(Settings {
        bots: bots?,
        environment: environment?,
        profile: profile?,
        bind: bind?,
        port: port?,
        ops_port: ops_port?,
        webhook_url,
        polling_fallback: polling_fallback?,
        telegram_api_url: telegram_api_url?,
        log_format: log_format?,
        log_level: log_level?,
        traces: collector.zip(share).map(|(endpoint, share)| TraceSettings { endpoint, share }),
        sentry_dsn,
        shutdown_grace: Duration::from_secs(shutdown_grace?),
        reclaim_idle: Duration::from_millis(reclaim_idle?),
        max_backlog: max_backlog?,
        wait_replicas: wait_replicas?,
        limiter_jitter: Duration::from_millis(limiter_jitter?),
        retention_days: retention_days?.cast_signed(),
        worker_name: worker_name.unwrap_or_else(host_and_process),
    })
}

fn profile(reader: &mut Reader<impl Fn(&str) -> Option<String>>, role: Role) -> Option<Profile> {
    let redis_url = match role {
        Role::Alone => table::REDIS_URL,
        Role::Gateway | Role::Worker => Setting { default: table::Default::Required, ..table::REDIS_URL },
    };
    let redis = reader.secret(&redis_url, address::FORMS, |value| Address::parse(value).is_ok());
    if role == Role::Alone && redis.is_some() {
        reader.wrong(
            table::REDIS_URL.name,
            "is for a fleet: start nezuko-gateway and nezuko-worker, or unset it to run nezuko alone",
        );
    }
    let database = database(reader, role);
    Some(match role {
        Role::Alone => Profile::Embedded { database: database? },
        Role::Gateway => Profile::Gateway { redis: redis? },
        Role::Worker => Profile::Worker { database: database?, redis: redis? },
    })
}

fn wait_replicas(
    reader: &mut Reader<impl Fn(&str) -> Option<String>>,
    profile: Option<&Profile>,
) -> Option<Option<NonZeroU8>> {
    let replicas = reader.number(&table::REDIS_WAIT_REPLICAS, 0..=9)?;
    let replicas = NonZeroU8::new(u8::try_from(replicas).ok()?);
    let is_cluster = |redis: &Secret| matches!(Address::parse(redis.expose()), Ok(Address::Cluster(_)));
    if replicas.is_some() && profile.and_then(Profile::redis).is_some_and(is_cluster) {
        reader.wrong(
            table::REDIS_WAIT_REPLICAS.name,
            "must be 0 with a cluster: what is waited for there is that of one node; set min-replicas-to-write on its nodes",
        );
    }
    Some(replicas)
}

fn database(reader: &mut Reader<impl Fn(&str) -> Option<String>>, role: Role) -> Option<Secret> {
    let database_url = match role {
        Role::Alone => table::DATABASE_URL,
        // A gateway needs none; one that is given anyway is read like the workers' own.
        Role::Gateway => Setting { default: table::Default::Otherwise(""), ..table::DATABASE_URL },
        Role::Worker => Setting { default: table::Default::Required, ..table::DATABASE_URL },
    };
    let database = reader.take(&database_url, "sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME", |value| {
        database_url::understood(value).map(Secret::new)
    });
    if let (Role::Gateway | Role::Worker, Some(database)) = (role, &database)
        && !database_url::is_postgres(database.expose())
    {
        reader.wrong(
            table::DATABASE_URL.name,
            "must be a PostgreSQL address (postgres://…): a fleet around Redis cannot share a SQLite file; the program \
             nezuko runs alone on SQLite, without REDIS_URL",
        );
    }
    database
}

/// What the public Bot API server accepts as a webhook (core.telegram.org/bots/api#setwebhook).
fn telegram_reaches(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    uri.scheme_str() == Some("https") && matches!(uri.port_u16(), None | Some(443 | 80 | 88 | 8443))
}

fn is_url_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn is_name(value: &str, longest: usize) -> bool {
    (1..=longest).contains(&value.len()) && value.bytes().all(|b| is_url_safe(b) || b == b'.')
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
