//! Nothing calls Redis, PostgreSQL or Telegram but where a breaker stands before it.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

/// Ways to a server, and the sources that may use them, by the beginning of their path.
struct Way {
    to: &'static str,
    by: &'static [&'static str],
    allowed: &'static [&'static str],
}

const WAYS: [Way; 4] = [
    Way {
        to: "Redis",
        by: &["query_async", "exec_async", "invoke_async", "load_async", "Client::open", "ClusterClient", "deadpool"],
        // Connections stay in there.
        allowed: &["shared/src/redis_pool/"],
    },
    Way {
        to: "a connection to PostgreSQL",
        by: &["AnyPool", "PgPool", "PoolConnection", "AnyConnection::connect", "PgConnection", ".pool()"],
        allowed: &["shared/src/database.rs"],
    },
    Way {
        to: "PostgreSQL",
        by: &[".execute(", ".fetch(", ".fetch_one(", ".fetch_all(", ".fetch_optional(", "raw_sql"],
        // They get their connections by `Database::of` and its like.
        allowed: &[
            "shared/src/database.rs",
            "shared/src/queue/sql.rs",
            "shared/src/queue/dead_letters/sql.rs",
            "worker/src/store/sql/",
            "shared/src/examine.rs",
        ],
    },
    Way {
        to: "Telegram",
        by: &["reqwest", "HttpTransport", ".post(", "hyper_util::client", "hyper::client"],
        // The client itself, and what stands before it. Reports go to Sentry, by a thread that nobody waits for.
        allowed: &[
            "shared/telegram/src/client.rs",
            "shared/telegram/src/lib.rs",
            "shared/src/bot_api.rs",
            "shared/src/telemetry/reports.rs",
        ],
    },
];

/// What the programs are made of.
const SOURCES: [&str; 5] = ["gateway/src", "shared/src", "shared/telegram/src", "worker/src", "worker/nezuko/src"];
/// Whether a source is for tests only.
fn is_of_tests(path: &str) -> bool {
    path.starts_with("shared/src/conformance/") || path.ends_with("/tests.rs")
}

fn sources(root: &Path, dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The calls in a source that pass by the guards.
fn unguarded(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for Way { to, by, allowed } in &WAYS {
        if allowed.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        let calls = |line: &str| !line.trim_start().starts_with("//") && by.iter().any(|way| line.contains(way));
        let lines = source.lines().enumerate().filter(|(_, line)| calls(line));
        found.extend(lines.map(|(at, line)| format!("{path}:{} to {to}: {}", at + 1, line.trim())));
    }
    found
}

#[test]
fn every_call_passes_a_breaker() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    for dir in SOURCES {
        sources(root, &root.join(dir), &mut all);
    }
    for Way { by, allowed, .. } in &WAYS {
        for guarded in *allowed {
            let uses = |(path, source): &(String, String)| {
                path.starts_with(guarded) && by.iter().any(|way| source.contains(way))
            };
            assert!(all.iter().any(uses), "{guarded} needs no leave");
        }
    }
    let found: Vec<_> =
        all.iter().filter(|(path, _)| !is_of_tests(path)).flat_map(|(path, source)| unguarded(path, source)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_call_past_the_breakers_would_be_found() {
    for (path, line) in [
        ("gateway/src/intake.rs", "redis::cmd(\"PING\").query_async(&mut connection).await"),
        ("shared/src/queue/redis.rs", "    script.invoke_async(&mut connection).await"),
        ("shared/src/limiter/redis.rs", "let client = redis::Client::open(url)?;"),
        ("worker/src/run.rs", "sqlx::query(\"SELECT 1\").fetch_one(rows).await"),
        ("worker/src/store/sql/chat.rs", "let one = sqlx::AnyConnection::connect(url).await?;"),
        ("worker/src/store/sql/mod.rs", "let pool = AnyPoolOptions::new().connect(url);"),
        ("worker/src/send/mod.rs", "reqwest::Client::new()"),
        ("gateway/src/registration.rs", "let http = HttpTransport::new(url, token, timeout)?;"),
    ] {
        assert_eq!(unguarded(path, line).len(), 1, "{path}: {line}");
    }
    for (path, line) in [
        ("shared/src/redis_pool/link.rs", "command.query_async(connection).await"),
        ("worker/src/store/sql/chat.rs", ".execute(tx)"),
        ("gateway/src/lib.rs", "// no query_async here"),
    ] {
        assert_eq!(unguarded(path, line), Vec::<String>::new());
    }
}
