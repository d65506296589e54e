//! Dead letters of a process that stands alone: a table beside the queue's.

use async_trait::async_trait;
use nezuko_telegram::BotId;
use sqlx::{Row, any::AnyRow};

use super::{DeadLetter, DeadLetters};
use crate::{database::Database, queue::QueueError};

/// The dead letters of a bot in the database.
#[derive(Debug)]
pub struct SqlDeadLetters {
    database: Database,
    bot: BotId,
}

impl SqlDeadLetters {
    /// Those of `bot`.
    #[must_use]
    pub const fn new(database: Database, bot: BotId) -> Self {
        Self { database, bot }
    }
}

fn letter(row: &AnyRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        id: row.try_get::<i64, _>("id")?.to_string(),
        died_ms: row.try_get("died_ms")?,
        reason: row.try_get("reason")?,
        update_id: Some(row.try_get("update_id")?),
        received_ms: Some(row.try_get("received_ms")?),
        traceparent: Some(row.try_get("traceparent")?),
        payload: row.try_get::<Vec<u8>, _>("payload")?.into(),
    })
}

const LETTERS: &str = "SELECT id, died_ms, reason, update_id, received_ms, traceparent, payload FROM dead_letters
                       WHERE bot_id = $1 AND id >= $2 AND id <= $3 ORDER BY id LIMIT $4";

const FORGET: &str = "DELETE FROM dead_letters WHERE bot_id = $1 AND id = $2";

impl SqlDeadLetters {
    async fn range(&self, from: i64, to: i64, max: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let letters = sqlx::query(LETTERS).bind(self.bot.0).bind(from).bind(to).bind(max);
        let letters = self.database.of(self.bot, async |rows| letters.fetch_all(rows).await).await?;
        Ok(letters.iter().map(letter).collect::<Result<_, _>>()?)
    }
}

/// No row has a negative id.
fn number(id: &str) -> i64 {
    id.parse().unwrap_or(-1)
}

#[async_trait]
impl DeadLetters for SqlDeadLetters {
    async fn list(&self, max: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.range(0, i64::MAX, max).await
    }

    async fn show(&self, id: &str) -> Result<Option<DeadLetter>, QueueError> {
        Ok(self.range(number(id), number(id), 1).await?.pop())
    }

    async fn replay(&self, id: &str) -> Result<bool, QueueError> {
        let put_back = sqlx::query(
            "INSERT INTO queue (bot_id, update_id, routing_key, received_ms, traceparent, payload)
             SELECT bot_id, update_id, routing_key, received_ms, traceparent, payload FROM dead_letters
             WHERE bot_id = $1 AND id = $2",
        );
        let put_back = put_back.bind(self.bot.0).bind(number(id));
        let forget = sqlx::query(FORGET).bind(self.bot.0).bind(number(id));
        let replay = self.database.transaction(self.bot, async |transaction| {
            let put_back = put_back.execute(&mut *transaction).await?;
            forget.execute(transaction).await?;
            Ok::<_, sqlx::Error>(put_back.rows_affected() > 0)
        });
        Ok(replay.await?)
    }

    async fn drop_one(&self, id: &str) -> Result<bool, QueueError> {
        let forget = sqlx::query(FORGET).bind(self.bot.0).bind(number(id));
        let forgotten = self.database.of(self.bot, async |rows| forget.execute(rows).await).await?;
        Ok(forgotten.rows_affected() > 0)
    }
}
