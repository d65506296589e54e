//! Buttons and allowances in the database, and what is counted of a group.

use nezuko_telegram::{ChatId, UserId};
use sqlx::Row;

use super::{SqlStore, intents::in_order};
use crate::{
    intent::Put,
    store::{Allowance, ButtonRow, Happened, StoreError},
};

impl SqlStore {
    pub(super) async fn insert_buttons(&self, rows: &[ButtonRow]) -> Result<(), StoreError> {
        let insert = self.database.transaction(self.bot, async |tx| {
            for row in rows {
                sqlx::query(
                    "INSERT INTO buttons (bot_id, id, chat_id, user_id, payload, expires_ms, used_ms)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(self.bot.0)
                .bind(row.id)
                .bind(row.chat.0)
                .bind(row.user.map_or(0, |user| user.0))
                .bind(serde_json::to_string(&row.payload)?)
                .bind(row.expires_ms)
                .bind(row.used_ms)
                .execute(&mut *tx)
                .await?;
            }
            Ok(())
        });
        insert.await
    }

    pub(super) async fn read_button(&self, id: i64, now_ms: i64) -> Result<Option<ButtonRow>, StoreError> {
        let query = sqlx::query(
            "SELECT chat_id, user_id, payload, expires_ms, used_ms FROM buttons
             WHERE bot_id = $1 AND id = $2 AND expires_ms > $3",
        )
        .bind(self.bot.0)
        .bind(id)
        .bind(now_ms);
        let Some(row) = self.database.of(self.bot, async |rows| query.fetch_optional(rows).await).await? else {
            return Ok(None);
        };
        Ok(Some(ButtonRow {
            id,
            chat: ChatId(row.try_get(0)?),
            user: Some(UserId(row.try_get(1)?)).filter(|user| user.0 != 0),
            payload: serde_json::from_str(row.try_get(2)?)?,
            expires_ms: row.try_get(3)?,
            used_ms: row.try_get(4)?,
        }))
    }

    pub(super) async fn use_button_once(
        &self,
        id: i64,
        put: &[Put],
        trace_id: &str,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let both = self.database.transaction(self.bot, async |tx| {
            let used = sqlx::query(
                "UPDATE buttons SET used_ms = $3 WHERE bot_id = $1 AND id = $2 AND used_ms = 0 AND expires_ms > $3",
            )
            .bind(self.bot.0)
            .bind(id)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            let is_first = used.rows_affected() > 0;
            for put in in_order(put).into_iter().filter(|_| is_first) {
                self.put_one(tx, put, trace_id).await?;
            }
            Ok(is_first)
        });
        both.await
    }

    pub(super) async fn draw_one(
        &self,
        user: UserId,
        of: Allowance,
        now_ms: i64,
        window_ms: i64,
    ) -> Result<i64, StoreError> {
        let draw = sqlx::query(
            "INSERT INTO allowances (bot_id, user_id, kind, began_ms, drawn) VALUES ($1, $2, $3, $4, 1)
             ON CONFLICT (bot_id, user_id, kind) DO UPDATE SET
                drawn = CASE WHEN allowances.began_ms <= $5 THEN 1 ELSE allowances.drawn + 1 END,
                began_ms = CASE WHEN allowances.began_ms <= $5 THEN excluded.began_ms ELSE allowances.began_ms END
             RETURNING drawn",
        )
        .bind(self.bot.0)
        .bind(user.0)
        .bind(of as i64)
        .bind(now_ms)
        .bind(now_ms - window_ms);
        Ok(self.database.of(self.bot, async |rows| draw.fetch_one(rows).await).await?.try_get(0)?)
    }

    pub(super) async fn read_happened(&self, group: ChatId, since_ms: i64) -> Result<Happened, StoreError> {
        let muted = sqlx::query("SELECT count(*) FROM ledger WHERE bot_id = $1 AND chat_id = $2 AND lifted_ms IS NULL")
            .bind(self.bot.0)
            .bind(group.0);
        let outcomes = sqlx::query(
            "SELECT outcome, count(*) FROM verifications WHERE bot_id = $1 AND chat_id = $2 AND at_ms >= $3
             GROUP BY outcome",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(since_ms);
        let (muted, outcomes) = self
            .database
            .of(self.bot, async |rows| {
                Ok::<_, sqlx::Error>((muted.fetch_one(&mut *rows).await?, outcomes.fetch_all(rows).await?))
            })
            .await?;
        let outcomes = outcomes.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(Happened { muted: muted.try_get(0)?, outcomes: outcomes.collect::<Result<_, StoreError>>()? })
    }
}
