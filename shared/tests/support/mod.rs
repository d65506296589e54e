//! Servers and databases for the tests of the adapters.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its part")]

use std::{env, fs, path::PathBuf};

use nezuko_shared::database::Database;
use sqlx::AssertSqlSafe;

/// The server's URL, or `None`, said aloud, where there is no such server. Under `CI=true` there must be one.
pub(crate) fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "{variable} is not set: run the tests by .ci/with-servers");
        println!("SKIPPED: {variable} is not set; run the tests by .ci/with-servers");
    }
    url
}

/// A migrated SQLite database in a file of its own, removed when this is dropped.
pub(crate) struct SqliteFile {
    pub(crate) database: Database,
    path: PathBuf,
}

impl SqliteFile {
    pub(crate) async fn new() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{:016x}.sqlite", rand::random::<u64>()));
        let database = Database::open(&format!("sqlite:{}", path.display())).await.unwrap();
        database.migrate().await.unwrap();
        Self { database, path }
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            fs::remove_file(file).ok();
        }
    }
}

/// Runs a test with a migrated PostgreSQL database of its own, dropped afterwards also when the test fails.
pub(crate) async fn with_postgres<F: Future<Output = anyhow::Result<()>>>(test: impl FnOnce(Database) -> F) {
    let Some(url) = server("DATABASE_URL") else { return };
    let (server, _) = url.rsplit_once('/').unwrap();
    let name = format!("nezuko_test_{:016x}", rand::random::<u64>());
    let admin = Database::open(&url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin.pool).await.unwrap();
    let database = Database::open(&format!("{server}/{name}")).await.unwrap();
    database.migrate().await.unwrap();
    let outcome = test(database.clone()).await;
    database.pool.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&admin.pool).await.unwrap();
    outcome.unwrap();
}
