//! Lines for log chats in the database.

use nezuko_telegram::{ChatId, UserId};
use sqlx::{Row, any::AnyRow};

use super::SqlStore;
use crate::store::{LogLine, StoreError, Untold};

impl SqlStore {
    pub(super) async fn read_untold(&self, group: ChatId, since_ms: i64, most: i64) -> Result<Untold, StoreError> {
        let lines = sqlx::query(
            "SELECT line, chat_id, user_id, name, at_ms, outcome FROM verifications
             WHERE bot_id = $1 AND chat_id = $2 AND at_ms >= $3 AND line <> 0 AND told_ms = 0 ORDER BY at_ms, line LIMIT $4",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(since_ms)
        .bind(most);
        let told = sqlx::query(
            "SELECT coalesce(max(told_ms), 0) FROM verifications WHERE bot_id = $1 AND chat_id = $2 AND told_ms > 0",
        )
        .bind(self.bot.0)
        .bind(group.0);
        let (lines, told) = self
            .database
            .of(self.bot, async |rows| {
                Ok::<_, sqlx::Error>((lines.fetch_all(&mut *rows).await?, told.fetch_one(rows).await?))
            })
            .await?;
        let lines = lines.iter().map(line).collect::<Result<_, StoreError>>()?;
        Ok(Untold { lines, told_ms: told.try_get(0)? })
    }

    pub(super) async fn mark_told(&self, lines: &[i64], now_ms: i64) -> Result<(), StoreError> {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        let mark = self.database.transaction(self.bot, async |tx| {
            for line in lines {
                sqlx::query(
                    "UPDATE verifications SET told_ms = $3, name = '' WHERE bot_id = $1 AND line = $2 AND line <> 0",
                )
                .bind(self.bot.0)
                .bind(line)
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            Ok(())
        });
        mark.await
    }

    pub(super) async fn read_line(&self, number: i64) -> Result<Option<LogLine>, StoreError> {
        let query = sqlx::query(
            "SELECT line, chat_id, user_id, name, at_ms, outcome FROM verifications
             WHERE bot_id = $1 AND line = $2 AND line <> 0",
        )
        .bind(self.bot.0)
        .bind(number);
        let row = self.database.of(self.bot, async |rows| query.fetch_optional(rows).await).await?;
        row.as_ref().map(line).transpose()
    }
}

fn line(row: &AnyRow) -> Result<LogLine, StoreError> {
    Ok(LogLine {
        line: row.try_get(0)?,
        group: ChatId(row.try_get(1)?),
        user: Some(UserId(row.try_get(2)?)).filter(|user| user.0 != 0),
        name: row.try_get(3)?,
        at_ms: row.try_get(4)?,
        outcome: row.try_get(5)?,
    })
}
