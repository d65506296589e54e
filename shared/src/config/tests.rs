//! What the configuration accepts, refuses and never shows.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, time::Duration};

use super::*;

const TOKEN: &str = "4200000001:AAH-secret_part_of_the_token_0123456";

fn read(extra: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    read_as(Role::Alone, extra)
}

fn read_as(role: Role, extra: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    let mut vars = HashMap::from([("BOT_TOKEN", TOKEN), ("WEBHOOK_SECRET", "current-secret")]);
    vars.extend(extra.iter().copied());
    Settings::from_vars(role, |name| vars.get(name).map(|value| (*value).to_owned()))
}

fn wrong_names(extra: &[(&str, &str)]) -> Vec<String> {
    read(extra).unwrap_err().0.into_iter().map(|error| error.name).collect()
}

#[test]
fn a_token_is_enough() {
    let settings = Settings::from_vars(Role::Alone, |name| (name == "BOT_TOKEN").then(|| TOKEN.to_owned())).unwrap();
    let [bot] = &settings.bots[..] else { panic!("{settings:?}") };
    assert_eq!(bot.id, BotId(4_200_000_001));
    assert_eq!(bot.token.expose(), TOKEN);
    assert!(bot.webhook_secret.is_none() && bot.webhook_secret_previous.is_none());
    assert_eq!((settings.webhook_url.as_ref(), settings.polling_fallback), (None, false));
    assert_eq!(settings.environment, "production");
    assert!(
        matches!(&settings.profile, Profile::Embedded { database } if database.expose() == "sqlite://nezuko.sqlite")
    );
    assert_eq!((settings.port, settings.ops_port), (8443, 9090));
    assert_eq!(settings.telegram_api_url, "https://api.telegram.org");
    assert_eq!(settings.log_format, LogFormat::Json);
    assert!(settings.traces.is_none() && settings.sentry_dsn.is_none());
    assert_eq!(settings.shutdown_grace, Duration::from_secs(25));
    assert_eq!(settings.reclaim_idle, Duration::from_secs(30));
    assert_eq!(settings.max_backlog, 100_000);
    assert_eq!(settings.limiter_jitter, Duration::from_millis(150));
    assert_eq!(settings.retention_days, 90);
    assert!(settings.worker_name.ends_with(&format!("-{}", std::process::id())), "{}", settings.worker_name);
    assert!(is_name(&settings.worker_name, 128));
}

#[test]
fn everything_wrong_is_named_at_once_with_what_to_do() {
    let vars = HashMap::from([
        ("BOT_TOKEN", "12:short"),
        ("WEBHOOK_URL", "bot.example.org"),
        ("WEBHOOK_SECRET", "with spaces"),
        ("WEBHOOK_SECRET_PREVIOUS", "ümlaut"),
        ("POLLING_FALLBACK", "perhaps"),
        ("ENVIRONMENT", "a b"),
        ("DATABASE_URL", "mysql://secret-host/db"),
        ("REDIS_URL", "http://secret-redis"),
        ("BIND", "localhost"),
        ("PORT", "65536"),
        ("OPS_PORT", "-1"),
        ("TELEGRAM_API_URL", "ftp://api.telegram.org"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "inof"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("SENTRY_DSN", "https://secret-key@sentry.example.org"),
        ("SHUTDOWN_GRACE_SECONDS", "0"),
        ("RECLAIM_IDLE_MS", "soon"),
        ("MAX_BACKLOG", "0"),
        ("REDIS_WAIT_REPLICAS", "10"),
        ("LIMITER_JITTER_MS", "5001"),
        ("RETENTION_DAYS", "0"),
        ("WORKER_NAME", "a/b"),
    ]);
    let given = |name: &str| vars.get(name).map(|value| (*value).to_owned());
    let errors = Settings::from_vars(Role::Worker, given).unwrap_err();
    let named: Vec<_> = errors.0.iter().map(|error| error.name.as_str()).collect();
    let all: Vec<_> = table::ALL.iter().map(|setting| setting.name).filter(|name| *name != "BOTS_FILE").collect();
    assert_eq!(named, all, "each setting once, in the order of the table");

    let text = errors.to_string();
    assert_eq!(text.lines().count(), all.len());
    assert!(text.contains("PORT: must be a port from 0 to 65535, not \"65536\""), "{text}");
    for secret in ["short", "with spaces", "ümlaut", "secret-host", "secret-redis", "secret-key"] {
        assert!(!text.contains(secret), "{secret} is shown in {text}");
    }
}

#[test]
fn missing_ones_are_named_with_their_file_form() {
    let text = Settings::from_vars(Role::Alone, |_| None).unwrap_err().to_string();
    assert!(text.contains("BOT_TOKEN: is missing; set it (or BOT_TOKEN_FILE) to"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn tokens_need_a_positive_id_and_twenty_characters() {
    for token in [
        "",
        ":AAAAAAAAAAAAAAAAAAAA",
        "0:AAAAAAAAAAAAAAAAAAAA",
        "+7:AAAAAAAAAAAAAAAAAAAA",
        "7:AAAAAAAAAAAAAAAAAAA",
        "7:AAAAAAAAAAAAAAAAAA A",
        "99999999999999999999:AAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(bots::bot_id(token), None, "{token}");
    }
    assert_eq!(bots::bot_id("7:AAAAAAAAAAAAAAAAAAA_"), Some(BotId(7)));
}

#[test]
fn webhook_secrets_are_what_telegram_allows() {
    assert!(bots::is_webhook_secret(&"a".repeat(256)));
    assert!(!bots::is_webhook_secret(&"a".repeat(257)));
    assert!(!bots::is_webhook_secret("a+b"));
}

#[test]
fn whoever_takes_updates_by_webhook_needs_the_secret() {
    let missing = |role, extra: &[(&str, &str)]| {
        let extra = [extra, &[("WEBHOOK_SECRET", "")]].concat();
        read_as(role, &extra).err().map(|errors| errors.0.into_iter().map(|error| error.name).collect::<Vec<_>>())
    };
    let redis = ("REDIS_URL", "redis://h");
    assert_eq!(missing(Role::Alone, &[]), None);
    assert_eq!(missing(Role::Alone, &[("WEBHOOK_URL", "https://h")]), Some(vec!["WEBHOOK_SECRET".to_owned()]));
    assert_eq!(missing(Role::Gateway, &[redis]), Some(vec!["WEBHOOK_SECRET".to_owned()]));
    assert_eq!(missing(Role::Worker, &[redis, ("DATABASE_URL", "postgres://u@db/n")]), None);
}

#[test]
fn replicas_are_waited_for_unless_redis_is_a_cluster() {
    let waits = |redis, replicas| {
        read_as(Role::Gateway, &[("REDIS_URL", redis), ("REDIS_WAIT_REPLICAS", replicas)])
            .map(|settings| settings.wait_replicas.map(NonZeroU8::get))
    };
    assert_eq!(waits("redis://h", "0").unwrap(), None);
    assert_eq!(waits("redis+sentinel://h:26379/name", "2").unwrap(), Some(2));
    assert_eq!(waits("redis+cluster://h:7000", "0").unwrap(), None);
    let refused = waits("redis+cluster://h:7000", "1").unwrap_err().to_string();
    assert!(refused.starts_with("REDIS_WAIT_REPLICAS: must be 0 with a cluster"), "{refused}");
}

#[test]
fn a_fleet_needs_redis_and_its_workers_postgresql() {
    let redis = ("REDIS_URL", "redis://127.0.0.1:6379/1");
    let gateway = read_as(Role::Gateway, &[redis]).unwrap();
    assert!(gateway.profile.database().is_none(), "what it does not need it does not have");
    let worker = read_as(Role::Worker, &[redis, ("DATABASE_URL", "postgres://u:p@db/nezuko")]).unwrap();
    assert_eq!(worker.profile.database().unwrap().expose(), "postgres://u:p@db/nezuko");

    let problem = |role, extra: &[(&str, &str)]| {
        let errors = read_as(role, extra).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{errors}");
        errors.to_string()
    };
    assert!(problem(Role::Worker, &[redis]).starts_with("DATABASE_URL: is missing"));
    for role in [Role::Worker, Role::Gateway] {
        let text = problem(role, &[redis, ("DATABASE_URL", "sqlite://x")]);
        assert!(text.starts_with("DATABASE_URL: must be a PostgreSQL address"), "{text}");
    }
    assert!(problem(Role::Alone, &[redis]).contains("start nezuko-gateway and nezuko-worker"));
    for url in ["redis+sentinel://u:p@h:26379,h2:26379/master", "rediss+cluster://:p@h:6379,h2:6379"] {
        assert_eq!(read_as(Role::Gateway, &[("REDIS_URL", url)]).unwrap().profile.redis().unwrap().expose(), url);
    }
    let text = problem(Role::Gateway, &[("REDIS_URL", "redis+sentinel://u:hunter2@h:26379")]);
    assert!(text.starts_with("REDIS_URL: must be redis://") && !text.contains("hunter2"), "{text}");
    assert!(text.contains("redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/MASTER"), "{text}");

    let alone = read(&[("DATABASE_URL", "postgresql+asyncpg://u@db/nezuko")]).unwrap();
    assert_eq!(alone.profile.database().unwrap().expose(), "postgresql://u@db/nezuko");
}

#[test]
fn a_program_of_the_fleet_names_everything_that_is_missing() {
    let text = Settings::from_vars(Role::Gateway, |_| None).unwrap_err().to_string();
    let named: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(named, ["BOT_TOKEN", "WEBHOOK_SECRET", "REDIS_URL"], "{text}");
}

#[test]
fn a_webhook_is_where_telegram_can_reach_it() {
    let url = |url, api| read(&[("WEBHOOK_URL", url), ("TELEGRAM_API_URL", api)]).map(|settings| settings.webhook_url);
    let public = "https://api.telegram.org";
    assert_eq!(url("https://bot.example.org/", public).unwrap().unwrap(), "https://bot.example.org");
    assert_eq!(url("https://bot.example.org:8443/a", public).unwrap().unwrap(), "https://bot.example.org:8443/a");
    for wrong in ["http://bot.example.org", "https://bot.example.org:8080", "bot.example.org"] {
        assert!(url(wrong, public).is_err(), "{wrong}");
    }
    // A Bot API server of one's own takes any.
    assert!(url("http://gateway:8080", "http://bot-api:8081").is_ok());
}

/// A file with this text, gone with the value.
struct File(std::path::PathBuf);

impl File {
    fn with(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nezuko-config-{:016x}", rand::random::<u64>()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn read_bots(text: &str) -> Result<Settings, ConfigErrors> {
    let file = File::with(text);
    read_as(
        Role::Gateway,
        &[("BOT_TOKEN", ""), ("WEBHOOK_SECRET", ""), ("REDIS_URL", "redis://h"), ("BOTS_FILE", file.path())],
    )
}

#[test]
fn a_file_names_several_bots() {
    let settings = read_bots(
        r#"[{"token": "1:aaaaaaaaaaaaaaaaaaaaaaaa", "webhook_secret": "first"},
            {"token": "2:bbbbbbbbbbbbbbbbbbbbbbbb", "webhook_secret": "second", "webhook_secret_previous": "before"}]"#,
    )
    .unwrap();
    assert_eq!(settings.bot_ids(), [1, 2]);
    assert_eq!(settings.bots[1].webhook_secret.as_ref().unwrap().expose(), "second");
    assert_eq!(settings.bots[1].webhook_secret_previous.as_ref().unwrap().expose(), "before");
}

#[test]
fn a_wrong_file_of_bots_is_told_as_a_whole_and_without_its_secrets() {
    for (text, problems) in [
        ("[", &["line 1, column 1"][..]),
        ("[]", &["names no bot"]),
        (r#"[{"token": "1:hush-hush-hush-hush-hush", "secret": "hush"}]"#, &["line 1"]),
        (r#"[{"token": 5}]"#, &["line 1"]),
        (
            r#"[{"token": "hush"}, {"token": "1:hush-hush-hush-hush-hush"},
                {"token": "1:hush-hush-hush-hush-hush", "webhook_secret": "hush!"}]"#,
            &["bot 1 in ", "bot 2 in ", "bot 3 in ", "bot 3 in "],
        ),
    ] {
        let errors = read_bots(text).unwrap_err();
        assert_eq!(errors.0.len(), problems.len(), "{errors}");
        for (error, problem) in errors.0.iter().zip(problems) {
            assert!(error.name == "BOTS_FILE" && error.problem.contains(problem), "{errors}");
        }
        assert!(!errors.to_string().contains("hush"), "{errors}");
    }
    let file = File::with("[]");
    let both = read_as(Role::Gateway, &[("REDIS_URL", "redis://h"), ("BOTS_FILE", file.path())]).unwrap_err();
    let named: Vec<_> = both.0.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(named, ["BOT_TOKEN", "BOTS_FILE", "WEBHOOK_SECRET"], "{both}");
    assert_eq!(wrong_names(&[("BOT_TOKEN", ""), ("WEBHOOK_SECRET", ""), ("BOTS_FILE", "/nonexistent")]), ["BOTS_FILE"]);
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let settings = read(&[("REDIS_URL", ""), ("PORT", ""), ("WEBHOOK_SECRET_PREVIOUS", "")]).unwrap();
    assert!(matches!(settings.profile, Profile::Embedded { .. }));
    assert_eq!(settings.port, 8443);
    assert!(settings.bots[0].webhook_secret_previous.is_none());
}

#[test]
fn ports_must_differ_unless_both_are_free_ones() {
    assert_eq!(wrong_names(&[("PORT", "9090")]), ["OPS_PORT"]);
    assert!(read(&[("PORT", "0"), ("OPS_PORT", "0")]).is_ok());
}

#[test]
fn a_secret_comes_from_a_file_as_well() {
    let (file, empty) = (File::with("from-a-file\r\n"), File::with("\n"));
    let (file, empty) = (file.path(), empty.path());

    let settings = read(&[("WEBHOOK_SECRET_PREVIOUS_FILE", file)]).unwrap();
    assert_eq!(settings.bots[0].webhook_secret_previous.as_ref().unwrap().expose(), "from-a-file");
    assert_eq!(wrong_names(&[("WEBHOOK_SECRET_FILE", file)]), ["WEBHOOK_SECRET_FILE"], "given twice");
    assert_eq!(wrong_names(&[("WEBHOOK_SECRET_PREVIOUS_FILE", empty)]), ["WEBHOOK_SECRET_PREVIOUS_FILE"]);
    assert_eq!(wrong_names(&[("REDIS_URL_FILE", "/nonexistent")]), ["REDIS_URL_FILE"]);
    assert!(read(&[("PORT_FILE", file)]).is_ok(), "only secrets have a file form");
}

#[test]
fn secrets_are_never_printed() {
    let settings = read_as(
        Role::Worker,
        &[
            ("WEBHOOK_SECRET_PREVIOUS", "previous-secret"),
            ("REDIS_URL", "redis://:redis-password@h"),
            ("DATABASE_URL", "postgres://u:database-password@h/d"),
        ],
    )
    .unwrap();
    let printed = format!("{settings:?} {settings:#?} {}", settings.bots[0].token);
    for secret in ["secret_part", "current-secret", "previous-secret", "redis-password", "database-password"] {
        assert!(!printed.contains(secret), "{secret} is shown");
    }
}

#[test]
fn the_bot_api_address_loses_its_slash() {
    let base = |url| read(&[("TELEGRAM_API_URL", url)]).map(|settings| settings.telegram_api_url);
    assert_eq!(base("http://127.0.0.1:8081/").unwrap(), "http://127.0.0.1:8081");
    for url in ["api.telegram.org", "https://", "https://h/?a=b"] {
        assert!(base(url).is_err(), "{url}");
    }
}

#[test]
fn one_in_a_hundred_traces_goes_to_the_collector_that_is_named() {
    let with = |share: Option<&'static str>| {
        let settings = Settings::from_vars(Role::Alone, |name| match name {
            "BOT_TOKEN" => Some(TOKEN.to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4318/".to_owned()),
            "OTEL_TRACES_SAMPLER_ARG" => share.map(str::to_owned),
            _ => None,
        });
        settings.unwrap().traces.unwrap()
    };
    assert_eq!(with(None), TraceSettings { endpoint: "http://collector:4318".to_owned(), share: 0.01 });
    assert_eq!(with(Some("1")).share, 1.0);
}
