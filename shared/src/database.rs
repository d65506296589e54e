//! The database, SQLite or PostgreSQL, behind one driver.
//!
//! On PostgreSQL row-level security shows a transaction the rows of the bot that it named at its beginning, and nothing
//! without one; the name is local to the transaction, so that no pooled connection carries it on.
//!
//! Statements are written once, in the common part of both dialects (`$1` placeholders, `BIGINT` and `TEXT` columns,
//! `ON CONFLICT … DO UPDATE`); [`Dialect`] picks where they must differ: locks and claims.

use std::{io, str::FromStr, time::Duration};

use nezuko_telegram::BotId;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Executor, SqlSafeStr, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    pool::PoolConnection,
};

/// Connections to one database.
#[derive(Clone, Debug)]
pub struct Database {
    /// The pool: 20 connections to PostgreSQL; exactly one to SQLite, which has one writer anyway.
    pub pool: sqlx::AnyPool,
    /// Which language it speaks.
    pub dialect: Dialect,
}

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
            let pool = AnyPoolOptions::new()
                .max_connections(20)
                .test_before_acquire(false)
                .acquire_timeout(Duration::from_secs(5))
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        // No statement of ours takes long; one that does waits for a lock that nobody gives up.
                        connection.execute("SET statement_timeout = '15s'").await?;
                        Ok(())
                    })
                })
                .connect_lazy_with(options);
            return Ok(Self { pool, dialect: Dialect::Postgres });
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
        Ok(Self { pool, dialect: Dialect::Sqlite })
    }

    /// Begins a transaction on the rows of `bot`: READ COMMITTED on PostgreSQL, `BEGIN IMMEDIATE` on SQLite. One round trip.
    /// Dropping it rolls it back.
    ///
    /// # Errors
    /// [`sqlx::Error`] where no connection can be had.
    pub async fn begin(&self, bot: BotId) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.dialect {
            Dialect::Postgres => {
                let begin = format!("BEGIN; SET LOCAL nezuko.bot_id = '{}'", bot.0);
                self.pool.begin_with(AssertSqlSafe(begin)).await
            }
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
        }
    }

    /// A connection for statements on the rows of `bot` that need no transaction for their own sake.
    ///
    /// # Errors
    /// [`sqlx::Error`] where no connection can be had.
    pub async fn of(&self, bot: BotId) -> Result<OfBot, sqlx::Error> {
        Ok(match self.dialect {
            Dialect::Postgres => OfBot::Transaction(self.begin(bot).await?),
            Dialect::Sqlite => OfBot::Connection(self.pool.acquire().await?),
        })
    }

    /// The steps that lead to the schema of this version.
    fn migrations(&self) -> Vec<Migration> {
        match self.dialect {
            Dialect::Postgres => {
                migrations!(1 "both/0001_state", 2 "postgres/0002_queue", 3 "postgres/0003_row_level_security",
                    4 "both/0004_chats_of_intents", 5 "both/0005_outages", 6 "postgres/0006_row_level_security_of_bots")
            }
            Dialect::Sqlite => {
                migrations!(1 "both/0001_state", 2 "sqlite/0002_queue", 4 "both/0004_chats_of_intents",
                    5 "both/0005_outages")
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
        let applied = match applied.fetch_all(&self.pool).await {
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
        let mut connection = self.pool.acquire().await?;
        let connection: &mut AnyConnection = &mut connection;
        let mut migrator = Migrator::with_migrations(self.migrations());
        migrator.set_ignore_missing(true);
        migrator.run(connection).await.map_err(|error| match error {
            MigrateError::Execute(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("42501") => {
                DatabaseError::NotOwner(pending)
            }
            error => error.into(),
        })
    }
}

/// A connection on which statements see the rows of one bot.
#[derive(Debug)]
pub enum OfBot {
    /// As long as this transaction lasts.
    Transaction(Transaction<'static, Any>),
    /// As any connection does: there is nobody but the bots of this process.
    Connection(PoolConnection<Any>),
}

impl OfBot {
    /// For running statements.
    pub fn connection(&mut self) -> &mut AnyConnection {
        match self {
            Self::Transaction(transaction) => transaction,
            Self::Connection(connection) => connection,
        }
    }

    /// Makes what was written last. Without it, it may be undone.
    ///
    /// # Errors
    /// [`sqlx::Error`]; it is then unknown whether it lasts.
    pub async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Transaction(transaction) => transaction.commit().await,
            Self::Connection(_) => Ok(()),
        }
    }
}
