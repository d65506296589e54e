//! PostgreSQL and Redis: a database that goes with its test, and what the stream of a bot holds.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    pin::pin,
    task::Poll,
};

use loadtest::world::UserId;
use redis::{aio::MultiplexedConnection, streams::StreamPendingCountReply};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tokio::process::Command;

use super::first_program;

/// The server's URL, or `None`, said aloud, where there is no such server. Under `CI=true` there must be one.
pub(crate) fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "{variable} is not set: run the tests by .ci/with-servers");
        println!("SKIPPED: {variable} is not set; run the tests by .ci/with-servers");
    }
    url
}

/// Runs a test with a PostgreSQL database and a Redis, where both are there. The database and all of the bot's keys go
/// afterwards, also when the test fails.
pub(crate) async fn with_servers(bot: UserId, test: impl AsyncFnOnce(Servers)) {
    let (Some(postgres), Some(redis)) = (server("DATABASE_URL"), server("REDIS_URL")) else { return };
    let (base, _) = postgres.rsplit_once('/').unwrap();
    let name = format!("nezuko_e2e_{:016x}", rand::random::<u64>());
    let mut admin = connect(&postgres).await;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    let url = format!("{base}/{name}");
    set_up(&mut admin, &url).await;
    let connection = redis::Client::open(redis.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let stream = Stream { connection, bot };
    let servers =
        Servers { redis_url: redis, database_url: runtime(&url), owner_url: owner(&url), stream: stream.clone() };
    let mut test = pin!(test(servers));
    let outcome = std::future::poll_fn(|context| {
        // A failed assertion comes back here, after the test's programs have been dropped.
        catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(context)))
            .map_or_else(|failed| Poll::Ready(Err(failed)), |poll| poll.map(Ok))
    })
    .await;
    stream.forget_bot().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut admin).await.unwrap();
    if let Err(failed) = outcome {
        resume_unwind(failed);
    }
}

/// As an administrator does it: the roles, and the schema by its owner, so that the programs run with no rights but on rows.
pub(crate) async fn set_up(admin: &mut AnyConnection, url: &str) {
    let roles = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/roles.sql")).unwrap();
    // Roles belong to the whole server: tests that run at once take turns.
    let mut turn = admin.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7203518204)").execute(&mut *turn).await.unwrap();
    let mut inside = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(roles)).execute(&mut inside).await.unwrap();
    turn.rollback().await.unwrap();
    migrate(&first_program("nezuko-worker"), &owner(url)).await;
}

/// Has `worker` make the schema, or bring it up to date.
pub(crate) async fn migrate(worker: &Path, owner_url: &str) {
    let migration = Command::new(worker).arg("migrate").env_clear().env("DATABASE_URL", owner_url).output();
    let migration = migration.await.unwrap();
    assert!(migration.status.success(), "{}", String::from_utf8_lossy(&migration.stderr));
}

/// Adds a column to each table, in a migration that no program knows.
pub(crate) async fn expand(owner_url: &str) {
    let mut owner = connect(owner_url).await;
    let tables =
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'";
    let tables = sqlx::query(tables).fetch_all(&mut owner).await.unwrap();
    assert!(!tables.is_empty());
    for table in tables {
        let table: String = table.get(0);
        let change = format!("ALTER TABLE {table} ADD COLUMN of_a_next_version BIGINT NOT NULL DEFAULT 0");
        sqlx::query(AssertSqlSafe(change)).execute(&mut owner).await.unwrap();
    }
    let noted = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (999999, 'a next version', TRUE, '', 0)";
    sqlx::query(noted).execute(&mut owner).await.unwrap();
    owner.close().await.unwrap();
}

/// The address for whoever changes the schema.
fn owner(url: &str) -> String {
    format!("{url}?options[role]=nezuko_owner")
}

/// The address for the programs.
pub(crate) fn runtime(url: &str) -> String {
    format!("{url}?options[role]=nezuko_runtime")
}

/// What a fleet needs.
pub(crate) struct Servers {
    pub(crate) redis_url: String,
    pub(crate) database_url: String,
    pub(crate) owner_url: String,
    pub(crate) stream: Stream,
}

pub(crate) async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

/// How many rows a table has.
pub(crate) async fn count_rows(database_url: &str, table: &str) -> i64 {
    let mut connection = connect(database_url).await;
    let query = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")));
    let count = query.fetch_one(&mut connection).await.unwrap().get(0);
    connection.close().await.unwrap();
    count
}

/// The stream of one bot, as an operator sees it.
#[derive(Clone)]
pub(crate) struct Stream {
    connection: MultiplexedConnection,
    bot: UserId,
}

impl Stream {
    const GROUP: &str = "workers";

    /// That of another bot on the same server.
    pub(crate) fn of(&self, bot: UserId) -> Self {
        Self { bot, ..self.clone() }
    }

    fn key(&self, rest: &str) -> String {
        format!("nezuko:{{{}.0}}:{rest}", self.bot)
    }

    /// The entries that `worker` has read and not acknowledged.
    pub(crate) async fn pending_of(&self, worker: &str) -> Vec<String> {
        let mut command = redis::cmd("XPENDING");
        command.arg(self.key("updates")).arg(Self::GROUP).arg("-").arg("+").arg(1000).arg(worker);
        let reply: StreamPendingCountReply = command.query_async(&mut self.connection.clone()).await.unwrap();
        reply.ids.into_iter().map(|entry| entry.id).collect()
    }

    /// Whether the entry is still in the stream.
    pub(crate) async fn holds(&self, id: &str) -> bool {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.key("updates")).arg(id).arg(id);
        let entries: Vec<redis::Value> = command.query_async(&mut self.connection.clone()).await.unwrap();
        !entries.is_empty()
    }

    /// The entries that nobody has finished.
    pub(crate) async fn entries(&self) -> Vec<String> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.key("updates")).arg("-").arg("+");
        let entries: Vec<(String, redis::Value)> = command.query_async(&mut self.connection.clone()).await.unwrap();
        entries.into_iter().map(|(id, _)| id).collect()
    }

    /// Puts an update in as a gateway does, whatever it holds.
    pub(crate) async fn push(&self, update_id: i64, payload: &str) {
        let (bot, now_ms) = (self.bot.0, super::play::now_ms());
        let mut command = redis::cmd("XADD");
        command.arg(self.key("updates")).arg("*").arg("v").arg(1).arg("bot").arg(bot).arg("update").arg(update_id);
        command.arg("key").arg(1).arg("received").arg(now_ms).arg("trace").arg("").arg("payload").arg(payload);
        let _: String = command.query_async(&mut self.connection.clone()).await.unwrap();
    }

    /// Puts an update in that no worker can read and that somebody has taken who never comes back; the entry's id.
    pub(crate) async fn push_to_nobody(&self) -> String {
        let (key, mut both) = (self.key("updates"), redis::pipe());
        both.atomic().cmd("XADD").arg(&key).arg("*").arg("v").arg(1).arg("bot").arg(self.bot.0).arg("update").arg(96);
        both.arg("key").arg(1).arg("received").arg(super::play::now_ms()).arg("trace").arg("");
        both.arg("payload").arg(r#"{"update_id":96,"message":7}"#);
        both.cmd("XREADGROUP").arg("GROUP").arg(Self::GROUP).arg("nobody").arg("COUNT").arg(1);
        both.arg("STREAMS").arg(&key).arg(">").ignore();
        let (id,): (String,) = both.query_async(&mut self.connection.clone()).await.unwrap();
        id
    }

    /// Takes an entry out by hand.
    pub(crate) async fn take_out(&self, id: &str) {
        let key = self.key("updates");
        let mut commands = redis::pipe();
        commands.cmd("XACK").arg(&key).arg(Self::GROUP).arg(id).ignore().cmd("XDEL").arg(&key).arg(id).ignore();
        let () = commands.query_async(&mut self.connection.clone()).await.unwrap();
    }

    /// How many updates nobody has finished, whether read or not.
    pub(crate) async fn unfinished(&self) -> u64 {
        self.length("updates").await
    }

    pub(crate) async fn dead_letters(&self) -> u64 {
        self.length("dead").await
    }

    pub(crate) async fn quarantined(&self) -> u64 {
        self.length("quarantine").await
    }

    async fn length(&self, of: &str) -> u64 {
        redis::cmd("XLEN").arg(self.key(of)).query_async(&mut self.connection.clone()).await.unwrap()
    }

    /// Removes all of the bot's keys.
    pub(crate) async fn forget_bot(&self) {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("KEYS");
        let keys: Vec<String> = command.arg(self.key("*")).query_async(&mut connection).await.unwrap();
        if !keys.is_empty() {
            let () = redis::cmd("DEL").arg(keys).query_async(&mut connection).await.unwrap();
        }
    }
}
