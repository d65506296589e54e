//! Intents in the database: made, settled, prolonged and given back.

use std::collections::BTreeSet;

use nezuko_shared::{database::Dialect, telemetry::trace};
use nezuko_telegram::ChatId;
use sqlx::AnyConnection;

use super::SqlStore;
use crate::{
    intent::{Intent, Lane, Put, Settlement, is_state_key},
    store::{Settle, StoreError},
};

/// What the links of an intent take up: a `traceparent` each, and a blank.
const LINKS: i64 = (trace::MAX_LINKS * (55 + 1)) as i64;

impl SqlStore {
    pub(super) async fn put_one(&self, tx: &mut AnyConnection, put: &Put, trace_id: &str) -> Result<(), StoreError> {
        // A state intent is made again, due at the earlier of both times and as urgent as either; an effect, or its tombstone, stays as it is.
        let statement = if put.intent.is_state() {
            "INSERT INTO intents (bot_id, key, lane, kind, user_id, payload, generation, not_before_ms, attempts, claim,
                claimed_by, claimed_until_ms, trace_id, chat_id, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 0, 0, '', 0, $8, $9, $10)
             ON CONFLICT (bot_id, key) DO UPDATE SET generation = intents.generation + 1, trace_id = excluded.trace_id,
                trace_links = CASE WHEN intents.traceparent IN ('', excluded.traceparent) OR excluded.traceparent = ''
                    THEN intents.trace_links
                    ELSE substr(intents.traceparent || ' ' || intents.trace_links, 1, CAST($11 AS INTEGER)) END,
                traceparent = CASE WHEN excluded.traceparent = '' THEN intents.traceparent ELSE excluded.traceparent END,
                payload = excluded.payload, lane = CASE WHEN intents.lane < excluded.lane THEN intents.lane ELSE excluded.lane END,
                not_before_ms = CASE WHEN intents.not_before_ms < excluded.not_before_ms
                    THEN intents.not_before_ms ELSE excluded.not_before_ms END"
        } else {
            "INSERT INTO intents (bot_id, key, lane, kind, user_id, payload, generation, not_before_ms, attempts, claim,
                claimed_by, claimed_until_ms, trace_id, chat_id, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 0, 0, '', 0, $8, $9, $10) ON CONFLICT DO NOTHING"
        };
        let lane = put.intent.lane(put.urgency);
        let is_long_work = matches!(put.intent, Intent::Release(_));
        let is_followed = lane.is_awaited() && !is_long_work && !trace::is_long_after(put.not_before_ms);
        let statement = sqlx::query(statement)
            .bind(self.bot.0)
            .bind(put.intent.key())
            .bind(lane as i64)
            .bind(put.intent.kind())
            .bind(put.intent.person().map_or(0, |user| user.0))
            .bind(serde_json::to_string(&put.intent)?)
            .bind(put.not_before_ms)
            .bind(trace_id)
            .bind(put.intent.chat().map_or(0, |chat| chat.0))
            .bind(trace::traceparent().filter(|_| is_followed).unwrap_or_default());
        let statement = if put.intent.is_state() { statement.bind(LINKS) } else { statement };
        statement.execute(tx).await?;
        Ok(())
    }

    /// Returns whether the claim was still held.
    pub(super) async fn settle_one(
        &self,
        tx: &mut AnyConnection,
        settle: &Settle,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let (bot, key) = (self.bot.0, settle.key.as_str());
        let ended = match &settle.settlement {
            Settlement::Done => {
                // What was wanted when it was claimed is done; a newer generation stays. Effects have one generation
                // and leave a tombstone, state intents leave nothing.
                let state = is_state_key(key);
                let statement = if state {
                    "DELETE FROM intents WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND $5 > 0"
                } else {
                    "UPDATE intents SET done_ms = $5, payload = '', claimed_until_ms = 0
                     WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND done_ms IS NULL"
                };
                sqlx::query(statement)
                    .bind(bot)
                    .bind(key)
                    .bind(settle.claim)
                    .bind(settle.generation)
                    .bind(now_ms)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected()
            }
            Settlement::Continue(rest) => sqlx::query(
                "UPDATE intents SET payload = $5, chat_id = $6, claimed_by = '', claimed_until_ms = 0
                 WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND done_ms IS NULL",
            )
            .bind(bot)
            .bind(key)
            .bind(settle.claim)
            .bind(settle.generation)
            .bind(serde_json::to_string(rest)?)
            .bind(rest.chat().map_or(0, |chat| chat.0))
            .execute(&mut *tx)
            .await?
            .rows_affected(),
            Settlement::Wait { not_before_ms } | Settlement::Retry { not_before_ms } => sqlx::query(
                "UPDATE intents SET attempts = attempts + $6, claimed_by = '', claimed_until_ms = 0, not_before_ms = $5,
                    traceparent = CASE WHEN $7 = 1 THEN '' ELSE traceparent END
                 WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND done_ms IS NULL",
            )
            .bind(bot)
            .bind(key)
            .bind(settle.claim)
            .bind(settle.generation)
            .bind(*not_before_ms)
            .bind(i64::from(matches!(settle.settlement, Settlement::Retry { .. })))
            .bind(i64::from(trace::is_long_after(*not_before_ms)))
            .execute(&mut *tx)
            .await?
            .rows_affected(),
        };
        if ended > 0 {
            if let Some(audit) = settle.audit.as_ref().filter(|_| settle.settlement == Settlement::Done) {
                self.write_audit(tx, audit, now_ms).await?;
            }
            return Ok(true);
        }
        let freed = sqlx::query(
            "UPDATE intents SET claimed_by = '', claimed_until_ms = 0
             WHERE bot_id = $1 AND key = $2 AND claim = $3 AND done_ms IS NULL",
        )
        .bind(bot)
        .bind(key)
        .bind(settle.claim)
        .execute(tx)
        .await?;
        Ok(freed.rows_affected() > 0)
    }

    pub(super) async fn settle_once(
        &self,
        settle: &[Settle],
        put: &[Put],
        trace_id: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut ordered: Vec<&Settle> = settle.iter().collect();
        ordered.sort_by_key(|settle| &settle.key);
        let both = self.database.transaction(self.bot, async |tx| {
            for settle in ordered {
                self.settle_one(tx, settle, now_ms).await?;
            }
            for put in in_order(put) {
                self.put_one(tx, put, trace_id).await?;
            }
            Ok(())
        });
        both.await
    }

    pub(super) async fn postpone_once(
        &self,
        lane: Lane,
        chat: ChatId,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<(), StoreError> {
        // Locked in the order of their keys, as everywhere; what somebody is at work on has its own end.
        let statement = match self.database.dialect {
            Dialect::Postgres => {
                "UPDATE intents SET not_before_ms = $5 WHERE bot_id = $1 AND key = ANY (ARRAY(
                    SELECT key FROM intents WHERE bot_id = $1 AND chat_id = $2 AND chat_id <> 0 AND lane = $3
                        AND done_ms IS NULL AND not_before_ms < $5 AND claimed_until_ms < $4
                    ORDER BY key FOR UPDATE SKIP LOCKED))"
            }
            Dialect::Sqlite => {
                "UPDATE intents SET not_before_ms = $5 WHERE bot_id = $1 AND chat_id = $2 AND lane = $3
                    AND done_ms IS NULL AND not_before_ms < $5 AND claimed_until_ms < $4"
            }
        };
        let query = sqlx::query(statement).bind(self.bot.0).bind(chat.0).bind(lane as i64).bind(now_ms).bind(until_ms);
        Ok(self.database.of(self.bot, async |rows| query.execute(rows).await.map(drop)).await?)
    }

    /// Gives these claims of `holder` (`None`: all) a later end; 0 gives them back.
    pub(super) async fn end_claims_once(
        &self,
        holder: &str,
        claims: Option<&BTreeSet<i64>>,
        until_ms: i64,
    ) -> Result<(), StoreError> {
        let numbers = |claims: &BTreeSet<i64>| claims.iter().map(|claim| format!("{claim},")).collect::<String>();
        let claims = claims.map_or_else(String::new, |claims| format!(",{}", numbers(claims)));
        // Locked in the order of their keys, as everywhere.
        let statement = match self.database.dialect {
            Dialect::Postgres => {
                "UPDATE intents SET claimed_by = CASE WHEN $3 > 0 THEN claimed_by ELSE '' END,
                    claimed_until_ms = CASE WHEN $3 > 0 AND claimed_until_ms > $3 THEN claimed_until_ms ELSE $3 END
                 WHERE bot_id = $1 AND key = ANY (ARRAY(
                    SELECT key FROM intents WHERE bot_id = $1 AND claimed_by = $2 AND claimed_by <> ''
                        AND ($4 = '' OR $4 LIKE '%,' || CAST(claim AS TEXT) || ',%')
                        AND claimed_until_ms > 0 AND done_ms IS NULL ORDER BY key FOR UPDATE))"
            }
            Dialect::Sqlite => {
                "UPDATE intents SET claimed_by = CASE WHEN $3 > 0 THEN claimed_by ELSE '' END,
                    claimed_until_ms = CASE WHEN $3 > 0 AND claimed_until_ms > $3 THEN claimed_until_ms ELSE $3 END
                 WHERE bot_id = $1 AND claimed_by = $2 AND ($4 = '' OR $4 LIKE '%,' || CAST(claim AS TEXT) || ',%')
                    AND claimed_until_ms > 0 AND done_ms IS NULL"
            }
        };
        let query = sqlx::query(statement).bind(self.bot.0).bind(holder).bind(until_ms).bind(claims);
        Ok(self.database.of(self.bot, async |rows| query.execute(rows).await.map(drop)).await?)
    }
}

/// Intents in the order in which every transaction writes them, so that two of them seldom wait for each other.
pub(super) fn in_order(put: &[Put]) -> Vec<&Put> {
    let mut ordered: Vec<&Put> = put.iter().collect();
    ordered.sort_by_cached_key(|put| put.intent.key());
    ordered
}
