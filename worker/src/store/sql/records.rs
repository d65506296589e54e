//! What was done to whom, and who had it done: the verification log and the audit trail.

use nezuko_telegram::{ChatId, UserId};
use sqlx::{AnyConnection, Row};

use super::SqlStore;
use crate::store::{Audit, StoreError};

/// A line of the records of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Who had it done, if it was an administrator or operator rather than the rule.
    pub actor: Option<UserId>,
    /// Which person or chat it was about, if any.
    pub subject: Option<i64>,
    /// What was done.
    pub action: String,
    /// What more there is to say.
    pub detail: String,
    /// The correlation id.
    pub trace_id: String,
}

impl SqlStore {
    pub(super) async fn write_audit(
        &self,
        tx: &mut AnyConnection,
        audit: &Audit,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (bot_id, chat_id, actor_id, subject_id, at_ms, action, detail, trace_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.bot.0)
        .bind(audit.chat.0)
        .bind(audit.actor.0)
        .bind(audit.subject)
        .bind(now_ms)
        .bind(&audit.action)
        .bind(&audit.detail)
        .bind(&audit.trace_id)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// What was done in a chat since `since_ms` (Unix milliseconds), oldest first, of that at most the newest `max`; where a
    /// person is named, what was done to or by them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(
        &self,
        chat: ChatId,
        user: Option<UserId>,
        since_ms: i64,
        max: i64,
    ) -> Result<Vec<Record>, StoreError> {
        let statement = sqlx::query(
            "SELECT at_ms, CAST(0 AS BIGINT) AS actor_id, user_id AS subject_id, outcome AS action, '' AS detail, trace_id
             FROM verifications WHERE bot_id = $1 AND chat_id = $2 AND at_ms >= $3 AND ($4 = 0 OR user_id = $4)
             UNION ALL SELECT at_ms, actor_id, subject_id, action, detail, trace_id
             FROM audit WHERE bot_id = $1 AND chat_id = $2 AND at_ms >= $3 AND ($4 = 0 OR actor_id = $4 OR subject_id = $4)
             ORDER BY 1 DESC LIMIT $5",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(since_ms)
        .bind(user.map_or(0, |user| user.0))
        .bind(max);
        let rows = self.database.of_at_length(self.bot, async |rows| statement.fetch_all(rows).await).await?;
        let record = |row: &sqlx::any::AnyRow| {
            Ok(Record {
                at_ms: row.try_get(0)?,
                actor: Some(UserId(row.try_get(1)?)).filter(|actor| actor.0 != 0),
                subject: Some(row.try_get(2)?).filter(|subject| *subject != 0),
                action: row.try_get(3)?,
                detail: row.try_get(4)?,
                trace_id: row.try_get(5)?,
            })
        };
        rows.iter().rev().map(record).collect()
    }
}
