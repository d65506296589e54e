//! Databases for tests: each test has its own, which goes with the test.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::database::Database;

/// Makes the two roles and gives them what they need in a database.
const ROLES: &str = include_str!("../../../migrations/roles.sql");
/// Roles belong to the whole server: tests that run at once take turns.
const ROLES_LOCK: &str = "SELECT pg_advisory_xact_lock(7203518204)";

/// The URL in `variable`, or `None`, said aloud, where there is no such server.
///
/// # Panics
/// Where there is none under `CI=true`, where there must be one.
#[must_use]
pub fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "{variable} is not set: run the tests by .ci/with-servers");
        println!("SKIPPED: {variable} is not set; run the tests by .ci/with-servers");
    }
    url
}

/// A PostgreSQL database of a test's own, as an administrator sets it up.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    server_url: String,
    url: String,
}

/// As whom to come to it.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Who `DATABASE_URL` says: a superuser.
    Administrator,
    /// Who owns the tables.
    Owner,
    /// Who the programs run as.
    Runtime,
}

impl Postgres {
    /// Makes a new one on the server of `server_url`, whose user must be a superuser, and has its owner migrate it.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub async fn create(server_url: String) -> Result<Self> {
        let postgres = Self::create_empty(server_url).await?;
        let owner = postgres.open(Role::Owner).await?;
        owner.migrate().await?;
        owner.pool().close().await;
        Ok(postgres)
    }

    /// Makes a new one with nothing in it.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub async fn create_empty(server_url: String) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let (server, _) = server_url.rsplit_once('/').context("the URL names a database")?;
        let name = format!("nezuko_test_{:016x}", rand::random::<u64>());
        let url = format!("{server}/{name}");
        let postgres = Self { name, server_url, url };
        let mut admin = AnyConnection::connect(&postgres.server_url).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {}", postgres.name))).execute(&mut admin).await?;
        let mut turn = admin.begin().await?;
        sqlx::query(ROLES_LOCK).execute(&mut *turn).await?;
        let mut inside = AnyConnection::connect(&postgres.url).await?;
        sqlx::raw_sql(ROLES).execute(&mut inside).await?;
        turn.rollback().await?;
        inside.close().await?;
        Ok(postgres)
    }

    /// Its address for `role`.
    #[must_use]
    pub fn url(&self, role: Role) -> String {
        match role {
            Role::Administrator => self.url.clone(),
            Role::Owner => format!("{}?options[role]=nezuko_owner", self.url),
            Role::Runtime => format!("{}?options[role]=nezuko_runtime", self.url),
        }
    }

    /// A pool for `role`.
    ///
    /// # Errors
    /// Where the address is none.
    pub async fn open(&self, role: Role) -> Result<Database> {
        Ok(Database::open(&self.url(role)).await?)
    }

    /// Removes it, whoever is still connected.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub async fn remove(self) -> Result<()> {
        let mut admin = AnyConnection::connect(&self.server_url).await?;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut admin).await?;
        Ok(())
    }
}

/// Runs a test with a PostgreSQL database of its own, as the role that the programs run as; it is gone afterwards also when
/// the test fails. Skipped where there is no server.
///
/// # Panics
/// Where the test fails.
pub async fn with_postgres<F: Future<Output = Result<()>>>(test: impl FnOnce(Database) -> F) {
    let Some(url) = server("DATABASE_URL") else { return };
    let work = async {
        let postgres = Postgres::create(url).await?;
        let database = postgres.open(Role::Runtime).await?;
        let outcome = test(database.clone()).await;
        database.pool().close().await;
        postgres.remove().await?;
        outcome
    };
    if let Err(error) = work.await {
        panic!("{error:?}");
    }
}

/// A migrated SQLite database in a file of its own, removed when this is dropped.
#[derive(Debug)]
pub struct SqliteFile {
    /// The database.
    pub database: Database,
    path: PathBuf,
}

impl SqliteFile {
    /// Makes a new one in the directory for temporary files.
    ///
    /// # Panics
    /// Where that is not possible.
    pub async fn new() -> Self {
        let path = env::temp_dir().join(format!("nezuko-{:016x}.sqlite", rand::random::<u64>()));
        let url = format!("sqlite:{}", path.display());
        let database = Database::open(&url).await.expect("a temporary file");
        database.migrate().await.expect("migrations");
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
