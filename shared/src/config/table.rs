//! Every setting with its default and meaning: the only place where a name or a default is written. The reader takes
//! the defaults from here, `docs/configuration.md` is made from it, and a test compares the two.

/// What happens when a setting is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It must be given.
    Required,
    /// This value is used.
    Value(&'static str),
    /// There is no value; the text says what happens then.
    Otherwise(&'static str),
}

/// One environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What holds without it.
    pub default: Default,
    /// Secrets can also be given as a file, by `NAME_FILE`.
    pub secret: bool,
    /// What it does, with its unit and range.
    pub meaning: &'static str,
}

const fn secret(name: &'static str, default: Default, meaning: &'static str) -> Setting {
    Setting { name, default, secret: true, meaning }
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: Default::Value(default), secret: false, meaning }
}

/// `otherwise`: what happens where it is not given.
const fn optional(name: &'static str, otherwise: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: Default::Otherwise(otherwise), secret: false, meaning }
}

pub(super) const BOT_TOKEN: Setting = secret(
    "BOT_TOKEN",
    Default::Required,
    "The bot's token from BotFather. The number before the colon is the bot's id.",
);
pub(super) const BOTS_FILE: Setting = optional(
    "BOTS_FILE",
    "the one bot of `BOT_TOKEN`",
    "Instead of `BOT_TOKEN`, a file with several bots: `[{\"token\":\"…\",\"webhook_secret\":\"…\"}]`, and `webhook_secret_previous` after a change. Each has a queue, a limiter, rows and the webhook path `/webhook/<bot id>` of its own.",
);
pub(super) const WEBHOOK_URL: Setting = optional(
    "WEBHOOK_URL",
    "`nezuko` asks Telegram for updates (long polling); a gateway leaves the registration to you",
    "The public address that leads to the webhook port; `/webhook/<bot id>` under it is registered with Telegram, and again where something else is found there.",
);
pub(super) const POLLING_FALLBACK: Setting = plain(
    "POLLING_FALLBACK",
    "false",
    "Whether `nezuko` asks for updates where Telegram refuses its webhook: `true` or `false`.",
);
pub(super) const WEBHOOK_SECRET: Setting = secret(
    "WEBHOOK_SECRET",
    Default::Otherwise("an error where updates come by webhook"),
    "What Telegram sends in `X-Telegram-Bot-Api-Secret-Token`: 1–256 of `A-Z a-z 0-9 _ -`.",
);
pub(super) const WEBHOOK_SECRET_PREVIOUS: Setting = secret(
    "WEBHOOK_SECRET_PREVIOUS",
    Default::Otherwise("only the current one is accepted"),
    "The secret before the last change, accepted beside the current one while Telegram still sends it.",
);
pub(super) const ENVIRONMENT: Setting =
    plain("ENVIRONMENT", "production", "Name of this installation, in logs and reports: 1–64 of `A-Z a-z 0-9 . _ -`.");
pub(super) const DATABASE_URL: Setting = secret(
    "DATABASE_URL",
    Default::Value("sqlite://nezuko.sqlite"),
    "`sqlite://FILE` or `postgres://USER:PASSWORD@HOST/NAME[?sslmode=verify-full&sslrootcert=FILE]`. Workers of a fleet must be given PostgreSQL; gateways need none.",
);
pub(super) const REDIS_URL: Setting = secret(
    "REDIS_URL",
    Default::Otherwise("`nezuko` runs alone; an error in a fleet"),
    "Where a fleet has its queue, cache and limiter: `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `redis+sentinel://[USER:PASSWORD@]HOST:PORT[,…]/MASTER[/DB]` or `redis+cluster://[USER:PASSWORD@]HOST:PORT[,…]`. With TLS `rediss` instead of `redis`: the server's certificate is checked against the system's authorities, or those in the file `SSL_CERT_FILE`. See docs/redis.md.",
);
pub(super) const BIND: Setting = plain("BIND", "0.0.0.0", "The address that both ports listen on.");
pub(super) const PORT: Setting =
    plain("PORT", "8443", "Webhook port, plain HTTP/1.1; TLS ends in front of it. `0` takes a free one and logs it.");
pub(super) const OPS_PORT: Setting = plain(
    "OPS_PORT",
    "9090",
    "Operations port: `/live` `/ready` `/health` `/metrics` `/version` `/log-level`, of a worker `/scaling`. Not for the public. `0` takes a free one and logs it.",
);
pub(super) const TELEGRAM_API_URL: Setting =
    plain("TELEGRAM_API_URL", "https://api.telegram.org", "Base address of the Bot API server, `http` or `https`.");
pub(super) const LOG_FORMAT: Setting = plain("LOG_FORMAT", "json", "`json` (one object a line) or `text`.");
pub(super) const LOG_LEVEL: Setting = plain(
    "LOG_LEVEL",
    "info",
    "`error`, `warn`, `info`, `debug`, `trace`, `off`, or filters by module such as `info,nezuko_gateway=debug`. `PUT /log-level` \
     of the operations port changes it while the process runs.",
);
pub(super) const OTEL_EXPORTER_OTLP_ENDPOINT: Setting = optional(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "no trace is recorded",
    "Base address of a collector that takes traces by OTLP over HTTP at `/v1/traces`, such as `http://collector:4318`. See docs/observability.md.",
);
pub(super) const OTEL_TRACES_SAMPLER_ARG: Setting = plain(
    "OTEL_TRACES_SAMPLER_ARG",
    "0.01",
    "The share of traces that are recorded, 0–1. One that comes in with a `traceparent` is recorded if its caller does.",
);
pub(super) const SENTRY_DSN: Setting = secret(
    "SENTRY_DSN",
    Default::Otherwise("errors are logged only"),
    "The project at Sentry that is told of errors and panics, without a word about people.",
);
pub(super) const SHUTDOWN_GRACE_SECONDS: Setting = plain(
    "SHUTDOWN_GRACE_SECONDS",
    "25",
    "How long a stopping process finishes what it has in hand, 1–600. Keep it under the orchestrator's own limit.",
);
pub(super) const RECLAIM_IDLE_MS: Setting = plain(
    "RECLAIM_IDLE_MS",
    "30000",
    "How long the entries of a silent worker stay its own before others take them, 100–3600000.",
);
pub(super) const MAX_BACKLOG: Setting = plain(
    "MAX_BACKLOG",
    "100000",
    "Entries waiting or in work beyond which new updates are answered 503, so that Telegram keeps them; at least 1.",
);
pub(super) const REDIS_WAIT_REPLICAS: Setting = plain(
    "REDIS_WAIT_REPLICAS",
    "0",
    "How many replicas of Redis must have an update before it is answered 200, 0–9; not with a cluster. With that of all replicas, \
     or of those that may be promoted, a failover loses none.",
);
pub(super) const LIMITER_JITTER_MS: Setting = plain(
    "LIMITER_JITTER_MS",
    "150",
    "What the message limiter allows for delays between here and Telegram, 0–5000: 150 gives 25.8 messages/s, 0 gives 29.",
);
pub(super) const RETENTION_DAYS: Setting = plain(
    "RETENTION_DAYS",
    "90",
    "How long the verification log, the audit trail and lifted restrictions are kept, 1–3650.",
);
pub(super) const WORKER_NAME: Setting = optional(
    "WORKER_NAME",
    "host name and process id",
    "The worker's name in the consumer group, unique among running workers: 1–128 of `A-Z a-z 0-9 . _ -`.",
);

/// All of them, in the order of the documentation.
pub const ALL: [Setting; 25] = [
    BOT_TOKEN,
    BOTS_FILE,
    WEBHOOK_URL,
    WEBHOOK_SECRET,
    WEBHOOK_SECRET_PREVIOUS,
    POLLING_FALLBACK,
    ENVIRONMENT,
    DATABASE_URL,
    REDIS_URL,
    BIND,
    PORT,
    OPS_PORT,
    TELEGRAM_API_URL,
    LOG_FORMAT,
    LOG_LEVEL,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_TRACES_SAMPLER_ARG,
    SENTRY_DSN,
    SHUTDOWN_GRACE_SECONDS,
    RECLAIM_IDLE_MS,
    MAX_BACKLOG,
    REDIS_WAIT_REPLICAS,
    LIMITER_JITTER_MS,
    RETENTION_DAYS,
    WORKER_NAME,
];

#[cfg(test)]
mod documents {
    //! The documents that are made from the table.
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write as _;

    use super::{ALL, Default, Setting};

    fn configuration_page() -> String {
        let mut page = String::from(
            "# Configuration\n\n\
             <!-- Made from shared/src/config/table.rs by `make docs`; a test compares the two. -->\n\n\
             Environment variables, read once at the start and checked as a whole: every wrong or missing one is named at once,\n\
             and the program ends with exit code 64. An empty value counts as not given. A secret (marked *file*) may instead\n\
             be put into a file whose path is given as `NAME_FILE`; a line break at its end is ignored.\n\n\
             | name | default | meaning |\n|---|---|---|\n",
        );
        for Setting { name, default, secret, meaning } in ALL {
            let mark = if secret { " *file*" } else { "" };
            let default = match default {
                Default::Required => "required".to_owned(),
                Default::Value(value) => format!("`{value}`"),
                Default::Otherwise(text) => format!("not given: {text}"),
            };
            writeln!(page, "| `{name}`{mark} | {default} | {meaning} |").unwrap();
        }
        page
    }

    fn env_example() -> String {
        let mut page = String::from(
            "# Copy to .env, fill in what is required, uncomment what should differ from its default.\n\
             # Made from shared/src/config/table.rs by `make docs`; see docs/configuration.md.\n",
        );
        for Setting { name, default, meaning, .. } in ALL {
            let (mark, value) = match default {
                Default::Required => ("", ""),
                Default::Value(value) => ("# ", value),
                Default::Otherwise(_) => ("# ", ""),
            };
            write!(page, "\n# {meaning}\n{mark}{name}={value}\n").unwrap();
        }
        page
    }

    #[test]
    fn documents_match_the_table() {
        for (file, wanted) in [("docs/configuration.md", configuration_page()), (".env.example", env_example())] {
            let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("REWRITE_DOCS").is_some() {
                std::fs::write(&path, &wanted).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap();
            assert!(found == wanted, "{file} is out of date: run `make docs`");
        }
    }
}
