//! What the configuration accepts, refuses and never shows.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, time::Duration};

use super::*;

const TOKEN: &str = "4200000001:AAH-secret_part_of_the_token_0123456";

fn read(extra: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    let mut vars = HashMap::from([("BOT_TOKEN", TOKEN), ("WEBHOOK_SECRET", "current-secret")]);
    vars.extend(extra.iter().copied());
    Settings::from_vars(|name| vars.get(name).map(|value| (*value).to_owned()))
}

fn wrong_names(extra: &[(&str, &str)]) -> Vec<String> {
    read(extra).unwrap_err().0.into_iter().map(|error| error.name).collect()
}

#[test]
fn token_and_secret_are_enough() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.bot.id, BotId(4_200_000_001));
    assert_eq!(settings.bot.token.expose(), TOKEN);
    assert!(settings.bot.webhook_secret_previous.is_none());
    assert_eq!(settings.environment, "production");
    assert!(
        matches!(&settings.profile, Profile::Embedded { database } if database.expose() == "sqlite://nezuko.sqlite")
    );
    assert_eq!((settings.port, settings.ops_port), (8443, 9090));
    assert_eq!(settings.telegram_api_url, "https://api.telegram.org");
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.shutdown_grace, Duration::from_secs(25));
    assert_eq!(settings.reclaim_idle, Duration::from_secs(30));
    assert_eq!(settings.max_backlog, 100_000);
    assert_eq!(settings.limiter_jitter, Duration::from_millis(150));
    assert!(settings.worker_name.ends_with(&format!("-{}", std::process::id())), "{}", settings.worker_name);
    assert!(is_name(&settings.worker_name, 128));
}

#[test]
fn everything_wrong_is_named_at_once_with_what_to_do() {
    let vars = HashMap::from([
        ("BOT_TOKEN", "12:short"),
        ("WEBHOOK_SECRET", "with spaces"),
        ("WEBHOOK_SECRET_PREVIOUS", "ümlaut"),
        ("ENVIRONMENT", "a b"),
        ("DATABASE_URL", "mysql://secret-host/db"),
        ("REDIS_URL", "http://secret-redis"),
        ("BIND", "localhost"),
        ("PORT", "65536"),
        ("OPS_PORT", "-1"),
        ("TELEGRAM_API_URL", "ftp://api.telegram.org"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "a=b=c"),
        ("SHUTDOWN_GRACE_SECONDS", "0"),
        ("RECLAIM_IDLE_MS", "soon"),
        ("MAX_BACKLOG", "0"),
        ("LIMITER_JITTER_MS", "5001"),
        ("WORKER_NAME", "a/b"),
    ]);
    let errors = Settings::from_vars(|name| vars.get(name).map(|value| (*value).to_owned())).unwrap_err();
    let named: Vec<_> = errors.0.iter().map(|error| error.name.as_str()).collect();
    let all: Vec<_> = table::ALL.iter().map(|setting| setting.name).collect();
    assert_eq!(named, all, "each setting once, in the order of the table");

    let text = errors.to_string();
    assert_eq!(text.lines().count(), all.len());
    assert!(text.contains("PORT: must be a port from 0 to 65535, not \"65536\""), "{text}");
    for secret in ["short", "with spaces", "ümlaut", "secret-host", "secret-redis"] {
        assert!(!text.contains(secret), "{secret} is shown in {text}");
    }
}

#[test]
fn missing_ones_are_named_with_their_file_form() {
    let text = Settings::from_vars(|_| None).unwrap_err().to_string();
    assert!(text.contains("BOT_TOKEN: is missing; set it (or BOT_TOKEN_FILE) to"), "{text}");
    assert!(text.contains("WEBHOOK_SECRET: is missing"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
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
        assert_eq!(bot_id(token), None, "{token}");
    }
    assert_eq!(bot_id("7:AAAAAAAAAAAAAAAAAAA_"), Some(BotId(7)));
}

#[test]
fn webhook_secrets_are_what_telegram_allows() {
    assert!(is_webhook_secret(&"a".repeat(256)));
    assert!(!is_webhook_secret(&"a".repeat(257)));
    assert!(!is_webhook_secret("a+b"));
}

#[test]
fn redis_makes_a_fleet_and_needs_postgresql() {
    let fleet =
        read(&[("REDIS_URL", "redis://127.0.0.1:6379/1"), ("DATABASE_URL", "postgres://u:p@db/nezuko")]).unwrap();
    assert!(matches!(fleet.profile, Profile::Distributed { .. }));
    assert_eq!(fleet.profile.database().expose(), "postgres://u:p@db/nezuko");

    for extra in [&[("REDIS_URL", "redis://h")][..], &[("REDIS_URL", "redis://h"), ("DATABASE_URL", "sqlite://x")]] {
        let errors = read(extra).unwrap_err();
        assert_eq!(errors.0.len(), 1);
        assert_eq!(errors.0[0].name, "DATABASE_URL");
        assert!(errors.0[0].problem.contains("because REDIS_URL is given"), "{errors}");
    }

    let alone = read(&[("DATABASE_URL", "postgresql://u@db/nezuko")]).unwrap();
    assert!(matches!(alone.profile, Profile::Embedded { .. }), "PostgreSQL without Redis stays one process");
}

#[test]
fn a_program_of_the_fleet_names_a_missing_redis_beside_the_rest() {
    let text = Settings::fleet_from_vars(|_| None).unwrap_err().to_string();
    let named: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(named, ["BOT_TOKEN", "WEBHOOK_SECRET", "REDIS_URL"], "{text}");
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let settings = read(&[("REDIS_URL", ""), ("PORT", ""), ("WEBHOOK_SECRET_PREVIOUS", "")]).unwrap();
    assert!(matches!(settings.profile, Profile::Embedded { .. }));
    assert_eq!(settings.port, 8443);
    assert!(settings.bot.webhook_secret_previous.is_none());
}

#[test]
fn ports_must_differ_unless_both_are_free_ones() {
    assert_eq!(wrong_names(&[("PORT", "9090")]), ["OPS_PORT"]);
    assert!(read(&[("PORT", "0"), ("OPS_PORT", "0")]).is_ok());
}

#[test]
fn a_secret_comes_from_a_file_as_well() {
    let dir = std::env::temp_dir().join(format!("nezuko-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("previous");
    std::fs::write(&file, "from-a-file\r\n").unwrap();
    let empty = dir.join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let (file, empty) = (file.to_str().unwrap(), empty.to_str().unwrap());

    let settings = read(&[("WEBHOOK_SECRET_PREVIOUS_FILE", file)]).unwrap();
    assert_eq!(settings.bot.webhook_secret_previous.unwrap().expose(), "from-a-file");
    assert_eq!(wrong_names(&[("WEBHOOK_SECRET_FILE", file)]), ["WEBHOOK_SECRET_FILE"], "given twice");
    assert_eq!(wrong_names(&[("WEBHOOK_SECRET_PREVIOUS_FILE", empty)]), ["WEBHOOK_SECRET_PREVIOUS_FILE"]);
    assert_eq!(wrong_names(&[("REDIS_URL_FILE", "/nonexistent")]), ["REDIS_URL_FILE"]);
    assert!(read(&[("PORT_FILE", file)]).is_ok(), "only secrets have a file form");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn secrets_are_never_printed() {
    let settings = read(&[
        ("WEBHOOK_SECRET_PREVIOUS", "previous-secret"),
        ("REDIS_URL", "redis://:redis-password@h"),
        ("DATABASE_URL", "postgres://u:database-password@h/d"),
    ])
    .unwrap();
    let printed = format!("{settings:?} {settings:#?} {}", settings.bot.token);
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
