//! The queue in the database, for the one-process profile: a table whose rows have a consumer once they are read.
//!
//! Pushes that come at the same time share a transaction, since each commit of SQLite waits for the disk. A waiting
//! reader is woken in the process; against writers elsewhere it looks every second.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use nezuko_telegram::{BotId, UpdateId};
use sqlx::{Any, AssertSqlSafe, Row, any::AnyRow, query::Query};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{Backlog, Consumer, Delivery, EntryId, Producer, QueueError};
use crate::{
    database::{Database, Dialect},
    envelope::Envelope,
    keys::QUARANTINE_LENGTH,
};

/// How many pushes share one transaction at most.
const BATCH: usize = 256;

/// How many pushes may wait for the next transaction; more wait in their callers.
const WAITING_PUSHES: usize = 1024;

/// How long a reader sleeps at most before it looks again.
const POLL: Duration = Duration::from_secs(1);

/// How many ids one statement names; SQLite takes 32,766 parameters, PostgreSQL 65,535.
const STATEMENT_IDS: usize = 1000;

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The queue of all bots in one database. Cheap to clone; clones wake each other's readers.
#[derive(Clone, Debug)]
pub struct SqlQueue {
    database: Database,
    pushes: mpsc::Sender<Push>,
    pushed: Arc<Notify>,
}

#[derive(Debug)]
struct Push {
    envelope: Envelope,
    stored: oneshot::Sender<Result<(), String>>,
}

impl SqlQueue {
    /// Starts the task that writes pushes; it ends with the last clone. To be called inside a Tokio runtime, on a
    /// migrated database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let (pushes, waiting) = mpsc::channel(WAITING_PUSHES);
        let pushed = Arc::new(Notify::new());
        tokio::spawn(write_pushes(database.clone(), waiting, Arc::clone(&pushed)));
        Self { database, pushes, pushed }
    }

    /// A consumer of one bot's queue. `name` must be no other living consumer's.
    #[must_use]
    pub fn consumer(&self, bot: BotId, name: &str) -> SqlConsumer {
        SqlConsumer { queue: self.clone(), bot, name: name.to_owned() }
    }

    async fn backlog_of(&self, bot: BotId) -> Result<Backlog, QueueError> {
        let counts = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM queue WHERE bot_id = $1 AND consumer IS NULL),
                    (SELECT COUNT(*) FROM queue WHERE bot_id = $1 AND consumer IS NOT NULL)",
        )
        .bind(bot.0);
        let row = self.database.of(bot, async |rows| counts.fetch_one(rows).await).await?;
        let count = |column| row.try_get::<i64, _>(column).map(|count| count.unsigned_abs());
        Ok(Backlog { unread: count(0)?, pending: count(1)? })
    }
}

/// Writes what waits, all of a bot's in one transaction, for as long as anybody can push.
async fn write_pushes(database: Database, mut waiting: mpsc::Receiver<Push>, pushed: Arc<Notify>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        batch.sort_by_key(|push| push.envelope.bot);
        let mut outcomes = Vec::with_capacity(batch.len());
        for of_bot in batch.chunk_by(|one, next| one.envelope.bot == next.envelope.bot) {
            let outcome = insert(&database, of_bot).await.map_err(|error| error.to_string());
            outcomes.extend(std::iter::repeat_n(outcome, of_bot.len()));
        }
        pushed.notify_waiters();
        for (push, outcome) in batch.drain(..).zip(outcomes) {
            // A caller that went away has nobody to tell.
            push.stored.send(outcome).ok();
        }
    }
}

/// Inserts pushes of one bot by one statement.
async fn insert(database: &Database, of_bot: &[Push]) -> Result<(), sqlx::Error> {
    const COLUMNS: usize = 6;
    let rows: Vec<String> = (0..of_bot.len()).map(|row| placeholders(row * COLUMNS + 1, COLUMNS)).collect();
    let statement = format!(
        "INSERT INTO queue (bot_id, update_id, routing_key, received_ms, traceparent, payload) VALUES {}",
        rows.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for Push { envelope, .. } in of_bot {
        query = query
            .bind(envelope.bot.0)
            .bind(envelope.update_id.0)
            .bind(envelope.routing_key)
            .bind(envelope.received_ms)
            .bind(envelope.traceparent.as_str())
            .bind(envelope.payload.as_ref());
    }
    database.of(of_bot[0].envelope.bot, async |rows| query.execute(rows).await.map(drop)).await
}

#[async_trait]
impl Producer for SqlQueue {
    async fn push(&self, envelope: &Envelope) -> Result<(), QueueError> {
        let gone = |_| QueueError::Unavailable("the writer of the queue has ended".to_owned());
        let (stored, outcome) = oneshot::channel();
        let push = Push { envelope: envelope.clone(), stored };
        self.pushes.send(push).await.map_err(|_| gone(()))?;
        outcome.await.map_err(|_| gone(()))?.map_err(QueueError::Unavailable)
    }

    async fn quarantine(&self, bot: BotId, body: &[u8], reason: &str) -> Result<(), QueueError> {
        let set_aside =
            sqlx::query("INSERT INTO quarantine (bot_id, received_ms, reason, payload) VALUES ($1, $2, $3, $4)");
        let set_aside = set_aside.bind(bot.0).bind(unix_ms()).bind(reason).bind(body);
        let trim = sqlx::query(
            "DELETE FROM quarantine WHERE bot_id = $1 AND id <=
                (SELECT id FROM quarantine WHERE bot_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(bot.0)
        .bind(i64::from(QUARANTINE_LENGTH));
        let quarantine = self.database.transaction(bot, async |transaction| {
            set_aside.execute(&mut *transaction).await?;
            trim.execute(transaction).await.map(drop)
        });
        Ok(quarantine.await?)
    }

    async fn backlog(&self, bot: BotId) -> Result<Backlog, QueueError> {
        self.backlog_of(bot).await
    }
}

/// One consumer of one bot's queue.
#[derive(Clone, Debug)]
pub struct SqlConsumer {
    queue: SqlQueue,
    bot: BotId,
    name: String,
}

impl SqlConsumer {
    /// Takes the first `max` entries for which `condition` holds, in `order`, that no other consumer is taking now.
    async fn claim(
        &self,
        condition: &str,
        order: &str,
        idle_since: i64,
        max: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        let skip_locked = match self.queue.database.dialect {
            Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
            Dialect::Sqlite => "", // One writer at a time: nothing to skip.
        };
        // Picked in a part of its own: as a subquery of UPDATE it could run more than once and exceed its LIMIT.
        let statement = format!(
            "WITH picked AS (
                SELECT id FROM queue WHERE bot_id = $3 AND {condition} AND touched_ms <= $4
                ORDER BY {order} LIMIT $5 {skip_locked})
             UPDATE queue SET consumer = $1, touched_ms = $2, deliveries = deliveries + 1
             WHERE bot_id = $3 AND id IN (SELECT id FROM picked)
             RETURNING id, update_id, routing_key, received_ms, traceparent, payload, deliveries"
        );
        let query = sqlx::query(AssertSqlSafe(statement))
            .bind(self.name.as_str())
            .bind(unix_ms())
            .bind(self.bot.0)
            .bind(idle_since)
            .bind(i64::try_from(max).unwrap_or(i64::MAX));
        let claimed = self.queue.database.of(self.bot, async |rows| query.fetch_all(rows).await).await?;
        let mut claimed = claimed.iter().map(|row| self.delivery(row)).collect::<Result<Vec<_>, sqlx::Error>>()?;
        claimed.sort_unstable_by_key(|(id, _)| *id); // RETURNING promises no order.
        Ok(claimed.into_iter().map(|(_, delivery)| delivery).collect())
    }

    fn delivery(&self, row: &AnyRow) -> Result<(i64, Delivery), sqlx::Error> {
        let id: i64 = row.try_get(0)?;
        let envelope = Envelope {
            bot: self.bot,
            update_id: UpdateId(row.try_get(1)?),
            routing_key: row.try_get(2)?,
            received_ms: row.try_get(3)?,
            traceparent: row.try_get(4)?,
            payload: Bytes::from(row.try_get::<Vec<u8>, _>(5)?),
        };
        let deliveries = u32::try_from(row.try_get::<i64, _>(6)?).unwrap_or(u32::MAX);
        Ok((id, Delivery { id: EntryId(id.to_string()), envelope, deliveries }))
    }

    async fn claim_unread(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.claim("consumer IS NULL", "id", i64::MAX, max).await
    }

    /// Runs a statement on entries: `$1` is the bot, `$2` the owner where one is given, `{ids}` the entries.
    async fn on_entries(&self, statement: &str, owner: Option<&str>, ids: &[EntryId]) -> Result<(), QueueError> {
        for ids in ids.chunks(STATEMENT_IDS) {
            let first_id = if owner.is_some() { 3 } else { 2 };
            let statement = statement.replace("{ids}", &placeholders(first_id, ids.len()));
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(self.bot.0);
            if let Some(owner) = owner {
                query = query.bind(owner);
            }
            for id in ids {
                query = bind_id(query, id);
            }
            self.queue.database.of(self.bot, async |rows| query.execute(rows).await).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for SqlConsumer {
    async fn read(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            // Before looking: a push between looking and waiting must wake this reader.
            let pushed = self.queue.pushed.notified();
            tokio::pin!(pushed);
            pushed.as_mut().enable();
            let deliveries = self.claim_unread(max).await?;
            if !deliveries.is_empty() || Instant::now() >= deadline {
                return Ok(deliveries);
            }
            tokio::select! {
                () = pushed => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + POLL)) => {}
            }
        }
    }

    async fn ack(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        self.on_entries("DELETE FROM queue WHERE bot_id = $1 AND id IN {ids}", None, ids).await
    }

    async fn keep_alive(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        let statement = format!(
            "UPDATE queue SET touched_ms = {} WHERE bot_id = $1 AND consumer = $2 AND id IN {{ids}}",
            unix_ms()
        );
        self.on_entries(&statement, Some(&self.name), ids).await
    }

    async fn reclaim(&self, min_idle: Duration, max: usize) -> Result<Vec<Delivery>, QueueError> {
        // The longest untouched come first; taking one touches it, so each call goes on where the last one ended.
        let idle_since = unix_ms().saturating_sub(i64::try_from(min_idle.as_millis()).unwrap_or(i64::MAX));
        self.claim("consumer IS NOT NULL", "touched_ms, id", idle_since, max).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<bool, QueueError> {
        let Envelope { update_id, routing_key, received_ms, traceparent, payload, .. } = &delivery.envelope;
        let end = sqlx::query("DELETE FROM queue WHERE bot_id = $1 AND id = $2 AND consumer IS NOT NULL");
        let end = bind_id(end.bind(self.bot.0), &delivery.id);
        let bury = sqlx::query(
            "INSERT INTO dead_letters
                (bot_id, id, update_id, routing_key, received_ms, traceparent, payload, reason, died_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let bury = bind_id(bury.bind(self.bot.0), &delivery.id)
            .bind(update_id.0)
            .bind(*routing_key)
            .bind(*received_ms)
            .bind(traceparent.as_str())
            .bind(payload.as_ref())
            .bind(reason)
            .bind(unix_ms());
        let both = self.queue.database.transaction(self.bot, async |transaction| {
            let ended = end.execute(&mut *transaction).await?.rows_affected() > 0;
            if ended {
                bury.execute(transaction).await?;
            }
            Ok::<_, sqlx::Error>(ended)
        });
        Ok(both.await?)
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.queue.backlog_of(self.bot).await
    }

    async fn oldest_ms(&self) -> Result<Option<i64>, QueueError> {
        let oldest =
            sqlx::query("SELECT received_ms FROM queue WHERE bot_id = $1 ORDER BY id LIMIT 1").bind(self.bot.0);
        let row = self.queue.database.of(self.bot, async |rows| oldest.fetch_optional(rows).await).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn leave(&self) -> Result<(), QueueError> {
        let give_back = sqlx::query("UPDATE queue SET touched_ms = 0 WHERE bot_id = $1 AND consumer = $2")
            .bind(self.bot.0)
            .bind(self.name.as_str());
        Ok(self.queue.database.of(self.bot, async |rows| give_back.execute(rows).await.map(drop)).await?)
    }
}

/// `($first, …)` with `count` placeholders.
fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    format!("({})", names.join(", "))
}

type AnyQuery<'q> = Query<'q, Any, <Any as sqlx::Database>::Arguments>;

/// Binds an id; one that is no number is no entry's and becomes 0, which no row has.
fn bind_id<'q>(query: AnyQuery<'q>, id: &EntryId) -> AnyQuery<'q> {
    query.bind(id.0.parse::<i64>().unwrap_or_default())
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
