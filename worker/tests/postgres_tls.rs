//! A PostgreSQL that takes encrypted connections only.
#![allow(clippy::unwrap_used)]

mod certificates;

use std::process::{Command, Output};

use nezuko_shared::conformance::postgres_server::{PASSWORD, PostgresServer};

/// One that takes encrypted connections only, and can or cannot have any.
fn server(tls: bool) -> Option<PostgresServer> {
    let tls = if tls { "-c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key" } else { "" };
    PostgresServer::start(tls, "hostssl all all 127.0.0.1/32 scram-sha-256\n", certificates::write)
}

/// What `nezuko-worker migrate` comes to with this address: exit code, and all that it says.
fn migrated(server: &PostgresServer, scheme: &str, host: &str, query: &str) -> (i32, String) {
    asked(server, "migrate", scheme, host, query)
}

fn asked(server: &PostgresServer, order: &str, scheme: &str, host: &str, query: &str) -> (i32, String) {
    let url = format!("{}{query}", server.url(scheme, host));
    let mut program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"));
    program.arg(order).env_clear().envs([
        ("DATABASE_URL", url.as_str()),
        ("BOT_TOKEN", "42:token-that-opens-nothing"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("TELEGRAM_API_URL", "http://127.0.0.1:1"),
    ]);
    let Output { status, stdout, stderr } = program.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert!(!text.contains(PASSWORD), "a secret is told: {text}");
    (status.code().unwrap(), text)
}

#[test]
fn an_address_says_whether_the_server_is_checked_and_a_refusal_what_to_do() {
    let Some(server) = server(true) else { return };
    let by = |mode: &str, authority: &str| {
        let file = server.inside().join(authority);
        format!("?{mode}&sslrootcert={}", file.display())
    };
    let checked = by("sslmode=verify-full", "ca.pem");
    for (scheme, host, query) in [
        ("postgres", "localhost", &*checked),
        ("postgresql+asyncpg", "localhost", &by("ssl=verify-full", "ca.pem")),
        // The name is not looked at.
        ("postgres", "127.0.0.1", &by("sslmode=verify-ca", "ca.pem")),
        // Nothing is looked at.
        ("postgres", "127.0.0.1", &by("sslmode=require", "other.pem")),
        ("postgresql+asyncpg", "127.0.0.1", "?ssl=require"),
        ("postgres", "127.0.0.1", ""),
    ] {
        let (code, text) = migrated(&server, scheme, host, query);
        assert!(code == 0 && text.ends_with("the schema is up to date\n"), "{scheme} {host} {query}: {text}");
    }

    let (authority, name) = ("sslrootcert=FILE", "a host name that is in the certificate");
    for (scheme, host, query, problem, advice) in [
        ("postgres", "localhost", &*by("sslmode=verify-full", "other.pem"), "invalid peer certificate", authority),
        ("postgres", "localhost", &by("sslmode=verify-ca", "other.pem"), "invalid peer certificate", authority),
        ("postgresql+asyncpg", "localhost", &by("ssl=verify-full", "other.pem"), "invalid peer certificate", authority),
        // Authorities that all the world trusts are known, ours is not.
        ("postgres", "localhost", "?sslmode=verify-full", "invalid peer certificate", authority),
        ("postgres", "127.0.0.1", &checked, "not valid for name", name),
        ("postgres", "localhost", &by("sslmode=verify-full", "none.pem"), "No such file", "the file of sslrootcert"),
        ("postgres", "localhost", "?sslmode=disable", "no encryption", "sslmode=verify-full"),
        ("postgres", "localhost", "?sslmode=allow", "no encryption", "sslmode=verify-full"),
        ("postgresql+asyncpg", "localhost", "?ssl=disable", "no encryption", "sslmode=verify-full"),
    ] {
        let (code, text) = migrated(&server, scheme, host, query);
        let told = text.starts_with("database: ") && text.contains(problem) && text.contains(advice);
        assert!(code == 1 && told, "{scheme} {host} {query}: {text}");
    }
    let (_, text) = asked(&server, "doctor", "postgres", "127.0.0.1", &checked);
    let told = |line: &str| line.starts_with("BROKEN  PostgreSQL: database: ") && line.contains(name);
    assert!(text.lines().any(told), "{text}");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let Some(server) = server(false) else { return };
    for mode in ["require", "verify-ca", "verify-full"] {
        let (code, text) = migrated(&server, "postgres", "localhost", &format!("?sslmode={mode}"));
        let told = text.contains("does not support TLS") && text.contains("ssl = on");
        assert!(code == 1 && told, "{mode}: {text}");
    }
}
