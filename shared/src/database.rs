//! The database, SQLite or PostgreSQL, behind one driver.
//!
//! On PostgreSQL row-level security shows a transaction the rows of the bot that it named at its beginning, and nothing
//! without one; the name is local to the transaction, so that no pooled connection carries it on.
//!
//! Statements are written once, in the common part of both dialects (`$1` placeholders, `BIGINT` and `TEXT` columns,
//! `ON CONFLICT … DO UPDATE`); [`Dialect`] picks where they must differ: locks and claims.

use std::{
    error::Error,
    io,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nezuko_telegram::BotId;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, SqlSafeStr,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    pool::PoolConnection,
};

use crate::{
    breaker::{Breaker, Dependency, Outcome, Policy, Unavailable},
    config::database_url,
    telemetry::{
        metrics::{Connections, Metrics},
        trace::{KeyValue, Span, SpanKind},
    },
};

/// How long an operation on PostgreSQL may take as a whole, waiting for a connection included.
const LIMIT: Duration = Duration::from_secs(5);
/// How long of that it may wait for a connection.
const CONNECTION_LIMIT: Duration = Duration::from_secs(3);
/// How long an operation may take that is known to take long.
const LONG_LIMIT: Duration = Duration::from_mins(1);

/// How often the connections are counted for the metrics.
const COUNT_CONNECTIONS: Duration = Duration::from_secs(2);

/// What a connection to PostgreSQL is told first. A statement ends at the server before its operation is given up here, so
/// that none goes on for nobody: none of ours takes long, but for one that waits for a lock that nobody gives up. And a
/// process that hangs within a transaction holds its locks no longer than others wait for them. Plans are kept, also from when
/// a table was next to empty: whatever an index leads to is read by it even then.
const POSTGRES_SESSION: &str = "SET statement_timeout = '4s'; SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off; SET jit = off";
/// What a connection is told that changes the schema: an index takes as long as its table is large, but whoever waits for a
/// table has all others wait for it, too, so it waits for less time than their statements may take, again and again.
const POSTGRES_MIGRATOR: &str = "SET statement_timeout = 0; SET lock_timeout = '2s'";
const MIGRATE_AGAIN: Duration = Duration::from_secs(1);
/// Codes of PostgreSQL.
const LOCK_NOT_AVAILABLE: &str = "55P03";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// What a connection is told that only reads a database of somebody else's.
const POSTGRES_READER: &str = "SET statement_timeout = '60s'; SET default_transaction_read_only = on";
/// The same for an operation that is known to take long.
const LONG_STATEMENTS: &str = "; SET LOCAL statement_timeout = '50s'";

/// Connections to one database.
///
/// They are lent for one operation each, a transaction or a few statements; on PostgreSQL it goes through the breaker of
/// the process.
#[derive(Clone, Debug)]
pub struct Database {
    /// 20 connections to PostgreSQL; exactly one to SQLite, which has one writer anyway.
    pool: AnyPool,
    /// Which language it speaks.
    pub dialect: Dialect,
    /// SQLite is in the process: it is never away.
    guard: Option<Guard>,
}

/// What stands before PostgreSQL.
#[derive(Clone, Debug)]
struct Guard {
    breaker: Breaker,
    last_failure: LastFailure,
}

type LastFailure = Arc<Mutex<Option<Instant>>>;

/// The two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 or newer.
    Postgres,
    /// SQLite 3.35 or newer (`RETURNING`).
    Sqlite,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is not understood; it is not repeated, since it may hold a password.
    #[error("DATABASE_URL is not understood: it must begin with postgres://, postgresql:// or sqlite:")]
    Url,
    /// The server said no, or was not there.
    #[error("database: {error}{advice}", error = .0, advice = advice(.0))]
    Sql(#[from] sqlx::Error),
    /// A migration did not go through.
    #[error("migration: {0}")]
    Migrate(#[from] MigrateError),
    /// Migrations are due that this role may not apply.
    #[error(
        "{0} migrations are due and this role may not change the schema: run `nezuko-worker migrate` with the DATABASE_URL \
         of the role that owns it"
    )]
    NotOwner(usize),
}

impl DatabaseError {
    /// Whether the database is only not there yet, or not any more.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        let (Self::Sql(error) | Self::Migrate(MigrateError::Execute(error))) = self else { return false };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => true,
            // 57P03: starting up; 53300: too many connections.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P03" || code == "53300"),
            _ => false,
        }
    }
}

/// What to do, where the error itself leaves it open.
fn advice(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            ": in DATABASE_URL, name by sslrootcert=FILE the authority that signed the server's certificate, and the server by \
             a host name that is in the certificate"
        }
        sqlx::Error::Io(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            ": see that what DATABASE_URL names is there and can be read: the file of sslrootcert, or the server's socket"
        }
        sqlx::Error::Tls(_) => {
            ": let the server have a certificate (ssl = on), and DATABASE_URL name the file of its authority by sslrootcert=FILE"
        }
        // 28000 is also a role that may not log in.
        sqlx::Error::Database(error)
            if error.code().as_deref() == Some("28000") && error.message().contains("no encryption") =>
        {
            ": where the server takes encrypted connections only, ask for them in DATABASE_URL by \
             sslmode=verify-full&sslrootcert=FILE"
        }
        _ => "",
    }
}

macro_rules! migrations {
    ($($version:literal $name:literal),*) => {
        vec![$(Migration::new(
            $version,
            $name.into(),
            MigrationType::Simple,
            include_str!(concat!("../../migrations/", $name, ".sql")).into_sql_str(),
            false,
        )),*]
    };
}

impl Database {
    /// A pool for `url`. A connection that turns out to be dead fails the one who took it, who tries again; asking each
    /// before it is used would double the round trips.
    ///
    ///  PostgreSQL is not connected to yet, so that it may come up later than this process.
    ///
    /// # Errors
    /// [`DatabaseError::Url`], or [`DatabaseError::Sql`] where the SQLite file cannot be opened.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = AnyConnectOptions::from_str(url).map_err(|_| DatabaseError::Url)?;
            let last_failure = LastFailure::default();
            let failed = last_failure.clone();
            let pool = AnyPoolOptions::new()
                .max_connections(20)
                .test_before_acquire(false)
                .acquire_timeout(CONNECTION_LIMIT)
                .before_acquire(move |_, about| {
                    // One that was there when another failed leads to nobody either, or would be waited for in vain.
                    let since = locked(&failed).map(|failed| failed.elapsed());
                    Box::pin(async move { Ok(since.is_none_or(|since| about.age < since)) })
                })
                .after_connect(|connection, _| {
                    Box::pin(async move { connection.execute(POSTGRES_SESSION).await.map(drop) })
                })
                .connect_lazy_with(options);
            let guard = Guard { breaker: Breaker::new(Dependency::Postgres, Policy::SERVER), last_failure };
            return Ok(Self { pool, dialect: Dialect::Postgres, guard: Some(guard) });
        }
        let path = url.strip_prefix("sqlite:").ok_or(DatabaseError::Url)?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let options = AnyConnectOptions::from_str(&format!("sqlite:{path}{separator}mode=rwc"))
            .map_err(|_| DatabaseError::Url)?;
        let pool = AnyPoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(30))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // WAL lets a commit cost one sync; the default `synchronous = FULL` keeps it there through a power cut.
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { pool, dialect: Dialect::Sqlite, guard: None })
    }

    /// A database of somebody else's, of which nothing is changed: neither a row nor, where it is a file, the file.
    ///
    /// # Errors
    /// [`DatabaseError::Url`], also for addresses in the form of SQLAlchemy that are none; [`DatabaseError::Sql`] where the
    /// database is not there.
    pub async fn open_to_read(url: &str) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        let url = database_url::understood(url).ok_or(DatabaseError::Url)?;
        let pool = AnyPoolOptions::new().max_connections(1).acquire_timeout(CONNECTION_LIMIT);
        let Some(path) = url.strip_prefix("sqlite:") else {
            let options = AnyConnectOptions::from_str(&url).map_err(|_| DatabaseError::Url)?;
            let pool = pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(POSTGRES_READER).await.map(drop) })
            });
            return Ok(Self { pool: pool.connect_with(options).await?, dialect: Dialect::Postgres, guard: None });
        };
        let path = path.split('?').next().unwrap_or_default();
        let options = AnyConnectOptions::from_str(&format!("sqlite:{path}?mode=ro")).map_err(|_| DatabaseError::Url)?;
        Ok(Self { pool: pool.connect_with(options).await?, dialect: Dialect::Sqlite, guard: None })
    }

    /// Shows the breaker, where there is one, and the connections among the metrics of the process. To be called inside a
    /// Tokio runtime.
    pub fn show_in(&self, metrics: &Metrics) {
        if let Some(Guard { breaker, .. }) = &self.guard {
            breaker.show_in(metrics.of_nobody());
        }
        let (pool, metrics) = (self.pool.clone(), metrics.of_nobody());
        metrics.set_db_connections(Connections::Max, pool.options().get_max_connections());
        tokio::spawn(async move {
            while !pool.is_closed() {
                let (open, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(u32::MAX));
                metrics.set_db_connections(Connections::Idle, idle);
                metrics.set_db_connections(Connections::InUse, open.saturating_sub(idle));
                tokio::time::sleep(COUNT_CONNECTIONS).await;
            }
        });
    }

    /// Runs `work` in a transaction on the rows of `bot`: READ COMMITTED on PostgreSQL, `BEGIN IMMEDIATE` on SQLite, in one
    /// round trip. What it wrote lasts where it returns `Ok`, and is undone where it fails or is dropped.
    ///
    /// # Errors
    /// Those of `work`, and [`sqlx::Error`] where no connection can be had, the breaker refuses, the time is over, or the
    /// commit gets no answer; it is then unknown whether what was written lasts.
    pub async fn transaction<T, E: Failed>(
        &self,
        bot: BotId,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = match self.dialect {
            Dialect::Postgres => begin(bot, ""),
            Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
        };
        self.lend("transaction", LIMIT, Some(begin), work).await
    }

    /// Runs statements on the rows of `bot` that need no transaction for their own sake.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub async fn of<T, E: Failed>(
        &self,
        bot: BotId,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = (self.dialect == Dialect::Postgres).then(|| begin(bot, ""));
        self.lend("statements", LIMIT, begin, work).await
    }

    /// The same for statements that are known to take long, up to a minute.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub async fn of_at_length<T, E: Failed>(
        &self,
        bot: BotId,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = (self.dialect == Dialect::Postgres).then(|| begin(bot, LONG_STATEMENTS));
        self.lend("statements", LONG_LIMIT, begin, work).await
    }

    /// Runs statements that concern no bot.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub async fn of_nobody<T, E: Failed>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.lend("statements", LIMIT, None, work).await
    }

    async fn lend<T, E: Failed>(
        &self,
        what: &'static str,
        limit: Duration,
        begin: Option<String>,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let span = Span::part(SpanKind::Client, || {
            let system = match self.dialect {
                Dialect::Postgres => "postgresql",
                Dialect::Sqlite => "sqlite",
            };
            (what.into(), vec![KeyValue::new("db.system.name", system), KeyValue::new("db.operation.name", what)])
        });
        let outcome = span.clone().around(self.lend_within(limit, begin, work)).await;
        if outcome.is_err() {
            span.fail("database");
        }
        outcome
    }

    async fn lend_within<T, E: Failed>(
        &self,
        limit: Duration,
        begin: Option<String>,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let operation = async {
            let mut lent = Lent { connection: Some(self.pool.acquire().await?), dialect: self.dialect };
            let outcome = lent.run(begin, work).await;
            lent.give_back();
            outcome
        };
        let Some(Guard { breaker, last_failure }) = &self.guard else { return operation.await };
        let fail = || *locked(last_failure) = Some(Instant::now());
        let judge = |answer: &Result<T, E>| {
            let error = answer.as_ref().err().map(|error| sql_error(error));
            if error.flatten().is_some_and(is_cut_off) {
                fail();
            }
            match error {
                None => Outcome::Success,
                Some(error) => error.map_or(Outcome::Neutral, judge_error),
            }
        };
        breaker.call(limit, operation, judge).await.unwrap_or_else(|none| {
            if matches!(none, Unavailable::TooLate(_)) {
                fail();
            }
            Err(sqlx::Error::from(none).into())
        })
    }

    /// The pool itself, of which nothing is guarded.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The same over another pool.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub fn over(&self, pool: AnyPool) -> Self {
        Self { pool, ..self.clone() }
    }

    /// The steps that lead to the schema of this version.
    fn migrations(&self) -> Vec<Migration> {
        match self.dialect {
            Dialect::Postgres => {
                migrations!(1 "both/0001_state", 2 "postgres/0002_queue", 3 "postgres/0003_row_level_security",
                    4 "both/0004_chats_of_intents", 5 "both/0005_outages", 6 "postgres/0006_row_level_security_of_bots", 7 "both/0007_records_by_chat",
                    9 "postgres/0009_buttons", 11 "both/0011_log_lines", 12 "both/0012_operators",
                    13 "postgres/0013_row_level_security_of_operators", 16 "both/0016_traces_of_intents",
                    17 "both/0017_whom_prompts_warn", 18 "postgres/0018_indexes_of_intents", 19 "both/0019_when_prompts_were_sent",
                    20 "both/0020_audit_by_person")
            }
            Dialect::Sqlite => {
                migrations!(1 "both/0001_state", 2 "sqlite/0002_queue", 4 "both/0004_chats_of_intents",
                    5 "both/0005_outages", 7 "both/0007_records_by_chat", 9 "sqlite/0009_buttons",
                    11 "both/0011_log_lines", 12 "both/0012_operators", 16 "both/0016_traces_of_intents",
                    17 "both/0017_whom_prompts_warn", 19 "both/0019_when_prompts_were_sent",
                    20 "both/0020_audit_by_person")
            }
        }
    }

    /// How many steps are due. Steps that a newer version has applied are no matter.
    ///
    /// # Errors
    /// [`DatabaseError::Sql`] where the database cannot be asked; [`DatabaseError::Migrate`] where a step was applied in
    /// another form.
    pub async fn pending_migrations(&self) -> Result<usize, DatabaseError> {
        let applied =
            sqlx::query_as::<_, (i64, Vec<u8>)>("SELECT version, checksum FROM _sqlx_migrations WHERE success");
        let applied = match self.of_nobody(async |rows| applied.fetch_all(rows).await).await {
            Ok(applied) => applied,
            // No such table: nothing was ever applied.
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "1")) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut pending = 0;
        for migration in self.migrations() {
            match applied.iter().find(|(version, _)| *version == migration.version) {
                None => pending += 1,
                Some((_, checksum)) if *checksum != *migration.checksum => {
                    return Err(MigrateError::VersionMismatch(migration.version).into());
                }
                Some(_) => {}
            }
        }
        Ok(pending)
    }

    /// Brings the schema up to date. Several processes may do so at once; where nothing is due, no right to change the
    /// schema is needed.
    ///
    /// # Errors
    /// [`DatabaseError`]; what was applied before the failing migration stays.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        let pending = self.pending_migrations().await?;
        if pending == 0 {
            return Ok(());
        }
        // Never given back: on PostgreSQL it is closed, and with it go the migrator's lock, however this ends, and the setting.
        let mut lent = Lent { connection: Some(self.pool.acquire().await?), dialect: self.dialect };
        let connection: &mut AnyConnection =
            lent.connection.as_mut().expect("invariant: it is lent until it is given back");
        if self.dialect == Dialect::Postgres {
            connection.execute(POSTGRES_MIGRATOR).await?;
        }
        let mut migrator = Migrator::with_migrations(self.migrations());
        migrator.set_ignore_missing(true);
        loop {
            match migrator.run(&mut *connection).await {
                Err(error) if has_code(&error, LOCK_NOT_AVAILABLE) => {
                    tracing::info!(
                        "others use what is to be changed, or another process changes the schema, trying again"
                    );
                    tokio::time::sleep(MIGRATE_AGAIN).await;
                }
                Err(error) if has_code(&error, INSUFFICIENT_PRIVILEGE) => return Err(DatabaseError::NotOwner(pending)),
                migrated => return Ok(migrated?),
            }
        }
    }
}

fn has_code(error: &MigrateError, code: &str) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    error.as_database_error().is_some_and(|refused| refused.code().as_deref() == Some(code))
}

fn locked(last_failure: &LastFailure) -> MutexGuard<'_, Option<Instant>> {
    last_failure.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `BEGIN` with the name of the bot, and what else holds for this transaction.
fn begin(bot: BotId, settings: &str) -> String {
    format!("BEGIN; SET LOCAL nezuko.bot_id = '{}'{settings}", bot.0)
}

/// A connection that is lent. One to PostgreSQL that does not come to [`give_back`](Self::give_back), in the middle of a
/// statement, is closed: in the pool it would wait for an answer that may never come, and its place with it.
struct Lent {
    connection: Option<PoolConnection<Any>>,
    dialect: Dialect,
}

impl Lent {
    async fn run<T, E: Failed>(
        &mut self,
        begin: Option<String>,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.connection.as_mut().expect("invariant: it is lent until it is given back");
        let Some(begin) = begin else { return work(connection).await };
        let mut transaction = connection.begin_with(AssertSqlSafe(begin)).await?;
        match work(&mut transaction).await {
            Ok(done) => {
                transaction.commit().await?;
                Ok(done)
            }
            Err(error) => {
                // Without an answer to it, the connection is of no use either, which the pool will find.
                transaction.rollback().await.ok();
                Err(error)
            }
        }
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.dialect == Dialect::Postgres
            && let Some(connection) = self.connection.take()
        {
            drop(connection.detach());
        }
    }
}

/// An error of what was done with a connection; the database's own is among its sources.
pub trait Failed: Error + From<sqlx::Error> + 'static {}

impl<E: Error + From<sqlx::Error> + 'static> Failed for E {}

impl From<Unavailable> for sqlx::Error {
    fn from(unavailable: Unavailable) -> Self {
        Self::Io(unavailable.into())
    }
}

/// What the database said, where an operation failed for that.
fn sql_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<sqlx::Error>() {
            Some(error) => return Some(error),
            None => next = error.source(),
        }
    }
    None
}

/// Whether other connections that are there lead nowhere either. Not so where there are too many of them, or a statement
/// waited for too long.
fn is_cut_off(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P0"))
        }
        _ => false,
    }
}

/// What an operation's failure says about PostgreSQL's health.
fn judge_error(error: &sqlx::Error) -> Outcome {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => {
            Outcome::Failure
        }
        // 08: the connection broke; 53300: too many of them; 57P0: shut down, crashed, starting up; 57014: the statement
        // took too long.
        sqlx::Error::Database(error) => {
            let away =
                |code: &str| code.starts_with("08") || code.starts_with("57P0") || matches!(code, "53300" | "57014");
            if error.code().is_some_and(|code| away(&code)) { Outcome::Failure } else { Outcome::Success }
        }
        _ => Outcome::Neutral,
    }
}
