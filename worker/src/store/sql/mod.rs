//! The store on SQLite or PostgreSQL.
//!
//! Locks: a person's row in `people` is updated first and so held exclusively to the end; chats are held by advisory
//! locks, shared for reading and exclusive for changing, sorted, and always after the person. Each lock is a statement of
//! its own, because under READ COMMITTED a statement sees what was committed before *it* began, not before it got the
//! lock. On SQLite `BEGIN IMMEDIATE` is the one lock.

mod chat;
mod intents;
mod migration;
mod person;

use async_trait::async_trait;
use nezuko_shared::database::{Database, Dialect};
use nezuko_telegram::{BotId, ChatId, MessageId, UserId};
use sqlx::{Row, any::AnyRow};

use self::chat::read_chat;
use super::{Chat, ChatStep, ChatView, PersonStep, Prompt, PromptView, Scope, Settle, Store, StoreError};
use crate::{
    facts::Member,
    intent::{Claim, Lane, Put, Settlement},
};

/// Tombstones and processed updates outlive Telegram's own 24 h of redelivery by as much again.
const TOMBSTONE_MS: i64 = 48 * 3_600_000;
const HELD_MS: i64 = 24 * 3_600_000;
/// A prompt whose sending has not ended after this is on its way no longer.
const SENDING_MS: i64 = 60_000;
const VERIFICATION_MS: i64 = 90 * 24 * 3_600_000;

/// The rows of one bot.
#[derive(Clone, Debug)]
pub struct SqlStore {
    database: Database,
    bot: BotId,
}

impl SqlStore {
    /// The rows of `bot` in a database whose schema is up to date.
    #[must_use]
    pub const fn new(database: Database, bot: BotId) -> Self {
        Self { database, bot }
    }

    /// Bots and chats share one space of locks; two that meet in one key only wait for each other.
    fn lock_key(&self, chat: ChatId) -> i64 {
        chat.0 ^ self.bot.0.rotate_left(32)
    }
}

/// PostgreSQL ends one of two transactions that wait for each other; the other goes on, and this one is run again.
fn is_deadlock(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(sqlx::Error::Database(e)) if e.code().is_some_and(|c| c == "40P01" || c == "40001"))
}

/// Returns what the transaction comes to, run again for as long as it is ended for a deadlock. (What it ends, settles and
/// puts is in order each, not together.)
macro_rules! run_to_the_end {
    ($transaction:expr) => {
        loop {
            match $transaction.await {
                Err(error) if is_deadlock(&error) => {}
                result => return result,
            }
        }
    };
}

#[async_trait]
impl Store for SqlStore {
    fn bot(&self) -> BotId {
        self.bot
    }

    async fn with_person(&self, scope: &Scope<'_>, mut step: PersonStep<'_>) -> Result<(), StoreError> {
        run_to_the_end!(self.person_once(scope, &mut step))
    }

    async fn with_chat(
        &self,
        chat: ChatId,
        trace_id: &str,
        _now_ms: i64,
        mut step: ChatStep<'_>,
    ) -> Result<i64, StoreError> {
        run_to_the_end!(self.chat_once(chat, trace_id, &mut step))
    }

    async fn migrate(&self, old: ChatId, new: ChatId, trace_id: &str, now_ms: i64) -> Result<Chat, StoreError> {
        run_to_the_end!(self.migrate_once(old, new, trace_id, now_ms))
    }

    async fn chat(&self, chat: ChatId) -> Result<ChatView, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let view = self.read_chat_view(rows.connection(), chat).await?;
        rows.end().await?;
        Ok(view)
    }

    async fn put(&self, put: &[Put], trace_id: &str) -> Result<(), StoreError> {
        run_to_the_end!(self.settle_once(&[], put, trace_id, 0))
    }

    async fn claim(
        &self,
        lane: Lane,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
        max: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let statement = match self.database.dialect {
            Dialect::Postgres => {
                // Picked in a part of its own: as a subquery of UPDATE it could run more than once and exceed its LIMIT.
                "WITH due AS MATERIALIZED
                    (SELECT key FROM intents WHERE bot_id = $1 AND lane = $2 AND done_ms IS NULL AND not_before_ms <= $4
                        AND claimed_until_ms < $4 ORDER BY not_before_ms LIMIT $7 FOR UPDATE SKIP LOCKED)
                 UPDATE intents SET claimed_by = $3, claimed_until_ms = $5, claim = $6
                 WHERE bot_id = $1 AND key IN (SELECT key FROM due)
                 RETURNING payload, generation, attempts, trace_id"
            }
            Dialect::Sqlite => {
                "UPDATE intents SET claimed_by = $3, claimed_until_ms = $5, claim = $6 WHERE bot_id = $1 AND key IN
                    (SELECT key FROM intents WHERE bot_id = $1 AND lane = $2 AND done_ms IS NULL AND not_before_ms <= $4
                        AND claimed_until_ms < $4 ORDER BY not_before_ms LIMIT $7)
                 RETURNING payload, generation, attempts, trace_id"
            }
        };
        // A number that no other claim has: a row may be deleted and made anew while its claimer is still at work.
        let claim = i64::from(rand::random::<u32>()) << 31 | i64::from(rand::random::<u32>() >> 1);
        let mut rows = self.database.of(self.bot).await?;
        let claimed = sqlx::query(statement)
            .bind(self.bot.0)
            .bind(lane as i64)
            .bind(holder)
            .bind(now_ms)
            .bind(until_ms)
            .bind(claim)
            .bind(max)
            .fetch_all(rows.connection())
            .await?;
        rows.end().await?;
        let mut claims = Vec::with_capacity(claimed.len());
        for row in claimed {
            let Ok(intent) = serde_json::from_str(row.try_get(0)?) else {
                // Of a newer version, say: a worker of that version takes it up when this claim has run out.
                tracing::error!("an intent that this version cannot read is left to others");
                continue;
            };
            claims.push(Claim {
                intent,
                urgency: lane.urgency(),
                generation: row.try_get(1)?,
                claim,
                attempts: row.try_get(2)?,
                trace_id: row.try_get(3)?,
            });
        }
        Ok(claims)
    }

    async fn postpone(&self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.postpone_once(lane, chat, now_ms, until_ms))
    }

    async fn renew(&self, holder: &str, until_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.end_claims_once(holder, until_ms))
    }

    async fn release(&self, holder: &str) -> Result<(), StoreError> {
        run_to_the_end!(self.end_claims_once(holder, 0))
    }

    async fn settle(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.settle_once(settle, put, trace_id, now_ms))
    }

    async fn prompt(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError> {
        let (bot, chat, topic) = (self.bot.0, group.0, topic.unwrap_or_default());
        let mut rows = self.database.of(self.bot).await?;
        let prompt = sqlx::query(
            "SELECT message_id, shown, sending_ms, changed_ms FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND topic = $3",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .fetch_optional(rows.connection())
        .await?;
        let mut view = PromptView::default();
        if let Some(row) = prompt {
            view.prompt = Some(Prompt {
                message: row.try_get(0)?,
                shown: row.try_get(1)?,
                sending_ms: row.try_get(2)?,
                changed_ms: row.try_get(3)?,
            });
        }
        let waiting = sqlx::query(
            "SELECT user_id, facts FROM members WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1
             ORDER BY changed_ms, user_id LIMIT $4",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .bind(names)
        .fetch_all(rows.connection())
        .await?;
        for row in waiting {
            let member: Member = serde_json::from_str(row.try_get(1)?)?;
            view.waiting.push((UserId(row.try_get(0)?), member.name));
        }
        view.count = sqlx::query(
            "SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .fetch_one(rows.connection())
        .await?
        .try_get(0)?;
        let channels = sqlx::query(
            "SELECT l.channel_id, c.version, c.facts FROM links l JOIN chats c ON c.bot_id = l.bot_id AND c.chat_id = l.channel_id
             WHERE l.bot_id = $1 AND l.group_id = $2 AND l.enabled = 1 ORDER BY l.channel_id",
        )
        .bind(bot)
        .bind(chat)
        .fetch_all(rows.connection())
        .await?;
        for row in channels {
            view.channels.push((ChatId(row.try_get(0)?), read_chat(&row, 1)?.facts));
        }
        rows.end().await?;
        Ok(view)
    }

    async fn save_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError> {
        let (bot, chat, topic) = (self.bot.0, group.0, topic.unwrap_or_default());
        let mut tx = self.database.begin(self.bot).await?;
        let held = sqlx::query("UPDATE intents SET attempts = attempts WHERE bot_id = $1 AND key = $2 AND claim = $3")
            .bind(bot)
            .bind(claim.intent.key())
            .bind(claim.claim)
            .execute(&mut *tx)
            .await?
            .rows_affected()
            > 0;
        if !held {
            return Ok(false);
        }
        if let Some(prompt) = prompt {
            sqlx::query(
                "INSERT INTO prompts (bot_id, chat_id, topic, message_id, shown, sending_ms, changed_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (bot_id, chat_id, topic) DO UPDATE SET
                    message_id = excluded.message_id, shown = excluded.shown,
                    sending_ms = excluded.sending_ms, changed_ms = excluded.changed_ms",
            )
            .bind(bot)
            .bind(chat)
            .bind(topic)
            .bind(prompt.message)
            .bind(&prompt.shown)
            .bind(prompt.sending_ms)
            .bind(prompt.changed_ms)
            .execute(&mut *tx)
            .await?;
        } else {
            sqlx::query("DELETE FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND topic = $3")
                .bind(bot)
                .bind(chat)
                .bind(topic)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(settlement) = settlement {
            self.settle_one(&mut tx, &Settle::of(claim, settlement), 1).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn recognise_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        sqlx::query(
            "UPDATE prompts SET message_id = $3, shown = '', sending_ms = 0
             WHERE bot_id = $1 AND chat_id = $2 AND topic =
                    (SELECT min(topic) FROM prompts
                     WHERE bot_id = $1 AND chat_id = $2 AND message_id = 0 AND sending_ms > $4)
                AND NOT EXISTS (SELECT 1 FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND message_id = $3)",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(message.0)
        .bind(now_ms - SENDING_MS)
        .execute(rows.connection())
        .await?;
        let known = sqlx::query("SELECT count(*) FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND message_id = $3")
            .bind(self.bot.0)
            .bind(group.0)
            .bind(message.0)
            .fetch_one(rows.connection())
            .await?;
        rows.end().await?;
        Ok(known.try_get::<i64, _>(0)? > 0)
    }

    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let waiting = sqlx::query("SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2 AND waiting = 1")
            .bind(self.bot.0)
            .bind(group.0)
            .fetch_one(rows.connection())
            .await?;
        rows.end().await?;
        Ok(waiting.try_get(0)?)
    }

    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let people = sqlx::query(
            "SELECT user_id FROM members WHERE bot_id = $1 AND chat_id = $2 AND user_id > $3 ORDER BY user_id LIMIT $4",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(after.0)
        .bind(max)
        .fetch_all(rows.connection())
        .await?;
        rows.end().await?;
        people.iter().map(|row| Ok(UserId(row.try_get(0)?))).collect()
    }

    async fn prompted_topics(&self, group: ChatId) -> Result<Vec<Option<i64>>, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let topics = sqlx::query("SELECT topic FROM prompts WHERE bot_id = $1 AND chat_id = $2 ORDER BY topic")
            .bind(self.bot.0)
            .bind(group.0)
            .fetch_all(rows.connection())
            .await?;
        rows.end().await?;
        let topic = |row: &AnyRow| Ok(Some(row.try_get(0)?).filter(|topic| *topic != 0));
        topics.iter().map(topic).collect()
    }

    async fn chats_of_rules(&self) -> Result<Vec<ChatId>, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let chats = sqlx::query(
            "SELECT group_id FROM links WHERE bot_id = $1 AND enabled = 1
             UNION SELECT channel_id FROM links WHERE bot_id = $1 AND enabled = 1 ORDER BY 1",
        )
        .bind(self.bot.0)
        .fetch_all(rows.connection())
        .await?;
        rows.end().await?;
        chats.iter().map(|row| Ok(ChatId(row.try_get(0)?))).collect()
    }

    async fn newest_received_ms(&self) -> Result<Option<i64>, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let row = sqlx::query("SELECT received_ms FROM bots WHERE bot_id = $1")
            .bind(self.bot.0)
            .fetch_optional(rows.connection())
            .await?;
        rows.end().await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn note_received(&self, received_ms: i64) -> Result<(), StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        sqlx::query(
            "INSERT INTO bots (bot_id, received_ms) VALUES ($1, $2)
             ON CONFLICT (bot_id) DO UPDATE SET received_ms = excluded.received_ms
             WHERE bots.received_ms < excluded.received_ms",
        )
        .bind(self.bot.0)
        .bind(received_ms)
        .execute(rows.connection())
        .await?;
        rows.end().await?;
        Ok(())
    }

    async fn open_intents(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let mut rows = self.database.of(self.bot).await?;
        let open =
            sqlx::query("SELECT kind, count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL GROUP BY kind")
                .bind(self.bot.0)
                .fetch_all(rows.connection())
                .await?;
        rows.end().await?;
        open.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        let past = [
            ("DELETE FROM intents WHERE bot_id = $1 AND done_ms IS NOT NULL AND done_ms < $2", now_ms - TOMBSTONE_MS),
            ("DELETE FROM processed_updates WHERE bot_id = $1 AND at_ms < $2", now_ms - TOMBSTONE_MS),
            ("DELETE FROM held_messages WHERE bot_id = $1 AND date < $2", (now_ms - HELD_MS) / 1000),
            ("DELETE FROM verifications WHERE bot_id = $1 AND at_ms < $2", now_ms - VERIFICATION_MS),
            ("DELETE FROM ledger WHERE bot_id = $1 AND lifted_ms < $2", now_ms - VERIFICATION_MS),
            // People in chats that no rule concerns.
            (
                "DELETE FROM members WHERE bot_id = $1 AND seen_ms < $2 AND chat_id NOT IN
                    (SELECT group_id FROM links WHERE bot_id = $1 UNION SELECT channel_id FROM links WHERE bot_id = $1)",
                now_ms - TOMBSTONE_MS,
            ),
        ];
        for (statement, before) in past {
            // Each by itself, so that none holds its rows for longer than it takes.
            let mut rows = self.database.of(self.bot).await?;
            sqlx::query(statement).bind(self.bot.0).bind(before).execute(rows.connection()).await?;
            rows.end().await?;
        }
        Ok(())
    }
}
