//! The store on SQLite or PostgreSQL.
//!
//! Locks: a person's row in `people` is updated first and so held exclusively to the end; chats are held by advisory
//! locks, shared for reading and exclusive for changing, sorted, and always after the person. Each lock is a statement of
//! its own, because under READ COMMITTED a statement sees what was committed before *it* began, not before it got the
//! lock. On SQLite `BEGIN IMMEDIATE` is the one lock.

use std::collections::BTreeSet;

use async_trait::async_trait;
use nezuko_shared::database::{Database, Dialect};
use nezuko_telegram::{BotId, ChatId, MessageId, UpdateId, UserId};
use sqlx::{Any, AnyConnection, Row, Transaction, any::AnyRow};

use super::{
    Chat, ChatStep, ChatView, ChatWrites, Held, PersonStep, PersonView, PersonWrites, Prompt, PromptView, Scope,
    Settle, Store, StoreError,
};
use crate::{
    facts::{ChatFacts, Member, Setting},
    intent::{Claim, Intent, Lane, Put, Settlement},
};

/// Tombstones and processed updates outlive Telegram's own 24 h of redelivery by as much again.
const TOMBSTONE_MS: i64 = 48 * 3_600_000;
const HELD_MS: i64 = 24 * 3_600_000;
/// A prompt whose sending has not ended after this is on its way no longer.
const SENDING_MS: i64 = 60_000;
const VERIFICATION_MS: i64 = 90 * 24 * 3_600_000;

/// Everything about a person ($3) seen from a chat ($2) in one round trip: 0 links of the chat and of the groups that
/// require it, 1 those groups and all channels that they require, 2 the person in each chat, 3 undecided messages, 4 open
/// intents.
const READ_PERSON: &str = "
    WITH groups AS (
        SELECT CAST($2 AS BIGINT) AS id UNION SELECT group_id FROM links WHERE bot_id = $1 AND channel_id = $2 AND enabled = 1
    ), required AS (
        SELECT group_id, channel_id FROM links
        WHERE bot_id = $1 AND enabled = 1 AND group_id IN (SELECT id FROM groups)
    )
    SELECT CAST(0 AS BIGINT) AS part, group_id AS id, channel_id AS number, '' AS text FROM required
    UNION ALL SELECT 1, chat_id, version, facts FROM chats WHERE bot_id = $1
        AND (chat_id IN (SELECT id FROM groups) OR chat_id IN (SELECT channel_id FROM required))
    UNION ALL SELECT 2, chat_id, waiting, facts FROM members WHERE bot_id = $1 AND user_id = $3
    UNION ALL SELECT 3, chat_id, message_id, CAST(date AS TEXT) FROM held_messages WHERE bot_id = $1 AND user_id = $3
    UNION ALL SELECT 4, CAST(0 AS BIGINT), 0, key FROM intents WHERE bot_id = $1 AND user_id = $3 AND done_ms IS NULL";

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

    async fn person_once(&self, scope: &Scope<'_>, step: &mut PersonStep<'_>) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let rev = self.lock_person(&mut tx, scope.user).await?;
        self.lock_chats_around(&mut tx, scope.chat).await?;
        let view = self.read_person(&mut tx, scope, rev).await?;
        let writes = step(&view);
        self.write_person(&mut tx, scope, &writes).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn lock_person(&self, tx: &mut AnyConnection, user: UserId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO people (bot_id, user_id, rev) VALUES ($1, $2, 1)
             ON CONFLICT (bot_id, user_id) DO UPDATE SET rev = people.rev + 1 RETURNING rev",
        )
        .bind(self.bot.0)
        .bind(user.0)
        .fetch_one(tx)
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Takes the chat, the groups that require it and all channels that those groups require, shared. (A group that is
    /// linked meanwhile decides everybody again when it is.)
    async fn lock_chats_around(&self, tx: &mut AnyConnection, chat: ChatId) -> Result<(), StoreError> {
        if self.database.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let mut chats = BTreeSet::from([chat]);
        let rows = sqlx::query(
            "SELECT group_id, channel_id FROM links WHERE bot_id = $1 AND enabled = 1 AND (group_id = $2 OR group_id IN
                (SELECT group_id FROM links WHERE bot_id = $1 AND channel_id = $2 AND enabled = 1))",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .fetch_all(&mut *tx)
        .await?;
        for row in rows {
            chats.extend([ChatId(row.try_get(0)?), ChatId(row.try_get(1)?)]);
        }
        let keys: Vec<String> = chats.into_iter().map(|chat| self.lock_key(chat).to_string()).collect();
        sqlx::query("SELECT pg_advisory_xact_lock_shared(k::bigint) FROM string_to_table($1, ',') AS k")
            .bind(keys.join(","))
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Bots and chats share one space of locks; two that meet in one key only wait for each other.
    fn lock_key(&self, chat: ChatId) -> i64 {
        chat.0 ^ self.bot.0.rotate_left(32)
    }

    async fn read_person(&self, tx: &mut AnyConnection, scope: &Scope<'_>, rev: i64) -> Result<PersonView, StoreError> {
        let (bot, user, chat) = (self.bot.0, scope.user.0, scope.chat.0);
        let mut view = PersonView { rev, ..PersonView::default() };
        if let Some(update) = scope.update {
            let inserted = sqlx::query(
                "INSERT INTO processed_updates (bot_id, update_id, at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(bot)
            .bind(update.0)
            .bind(scope.now_ms)
            .execute(&mut *tx)
            .await?;
            view.seen_before = inserted.rows_affected() == 0;
        }
        let rows = sqlx::query(READ_PERSON).bind(bot).bind(chat).bind(user).fetch_all(&mut *tx).await?;
        for row in rows {
            let (id, number, text): (i64, i64, &str) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            match row.try_get::<i64, _>(0)? {
                0 => view.required.entry(ChatId(id)).or_default().push(ChatId(number)),
                1 => {
                    let chat = Chat { version: number, facts: serde_json::from_str(text)? };
                    view.chats.insert(ChatId(id), chat);
                }
                2 => {
                    let mut member: Member = serde_json::from_str(text)?;
                    member.waiting = number == 1;
                    view.members.insert(ChatId(id), member);
                }
                3 => {
                    let held =
                        Held { group: ChatId(id), message: MessageId(number), date: serde_json::from_str(text)? };
                    view.held.push(held);
                }
                _ => drop(view.open.insert(text.to_owned())),
            }
        }
        Ok(view)
    }

    async fn write_person(
        &self,
        tx: &mut AnyConnection,
        scope: &Scope<'_>,
        writes: &PersonWrites,
    ) -> Result<(), StoreError> {
        let (bot, user) = (self.bot.0, scope.user.0);
        for (chat, member) in &writes.members {
            sqlx::query(
                "INSERT INTO members (bot_id, chat_id, user_id, waiting, topic, facts, changed_ms, seen_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (bot_id, user_id, chat_id) DO UPDATE SET
                    changed_ms = CASE WHEN members.waiting = excluded.waiting THEN members.changed_ms ELSE excluded.changed_ms END,
                    waiting = excluded.waiting, topic = excluded.topic, facts = excluded.facts,
                    seen_ms = excluded.seen_ms",
            )
            .bind(bot)
            .bind(chat.0)
            .bind(user)
            .bind(i64::from(member.waiting))
            .bind(member.topic.unwrap_or_default())
            .bind(serde_json::to_string(member)?)
            .bind(scope.now_ms)
            .execute(&mut *tx)
            .await?;
        }
        if let Some(settle) = &writes.settle {
            self.settle_one(tx, settle, scope.now_ms).await?;
        }
        for key in BTreeSet::from_iter(&writes.end) {
            sqlx::query("DELETE FROM intents WHERE bot_id = $1 AND key = $2 AND done_ms IS NULL")
                .bind(bot)
                .bind(key)
                .execute(&mut *tx)
                .await?;
        }
        for put in in_order(&writes.put) {
            self.put_one(tx, put, scope.trace_id).await?;
        }
        if let Some(held) = &writes.hold {
            sqlx::query(
                "INSERT INTO held_messages (bot_id, chat_id, user_id, message_id, date) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT DO NOTHING",
            )
            .bind(bot)
            .bind(held.group.0)
            .bind(user)
            .bind(held.message.0)
            .bind(held.date)
            .execute(&mut *tx)
            .await?;
        }
        for (group, message) in &writes.unhold {
            sqlx::query(
                "DELETE FROM held_messages WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3 AND message_id = $4",
            )
            .bind(bot)
            .bind(user)
            .bind(group.0)
            .bind(message.0)
            .execute(&mut *tx)
            .await?;
        }
        for entry in &writes.ledger {
            if let Some((until, missing)) = &entry.imposed {
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                sqlx::query(
                    "INSERT INTO ledger (bot_id, chat_id, user_id, until_date, missing, imposed_ms)
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (bot_id, chat_id, user_id) DO UPDATE SET
                        until_date = excluded.until_date, missing = excluded.missing,
                        imposed_ms = excluded.imposed_ms, lifted_ms = NULL",
                )
                .bind(bot)
                .bind(entry.group.0)
                .bind(user)
                .bind(*until)
                .bind(missing.join(","))
                .bind(scope.now_ms)
                .execute(&mut *tx)
                .await?;
            } else {
                sqlx::query("UPDATE ledger SET lifted_ms = $4 WHERE bot_id = $1 AND chat_id = $2 AND user_id = $3")
                    .bind(bot)
                    .bind(entry.group.0)
                    .bind(user)
                    .bind(scope.now_ms)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        for verification in &writes.verifications {
            sqlx::query(
                "INSERT INTO verifications (bot_id, chat_id, user_id, at_ms, outcome, trace_id)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(bot)
            .bind(verification.group.0)
            .bind(user)
            .bind(scope.now_ms)
            .bind(verification.outcome)
            .bind(scope.trace_id)
            .execute(&mut *tx)
            .await?;
        }
        Ok(())
    }

    async fn put_one(&self, tx: &mut AnyConnection, put: &Put, trace_id: &str) -> Result<(), StoreError> {
        // A state intent is made again, due at the earlier of both times; an effect, or its tombstone, stays as it is.
        let statement = if put.intent.is_state() {
            "INSERT INTO intents (bot_id, key, lane, kind, user_id, payload, generation, not_before_ms, attempts, claim,
                claimed_by, claimed_until_ms, trace_id) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 0, 0, '', 0, $8)
             ON CONFLICT (bot_id, key) DO UPDATE SET generation = intents.generation + 1, trace_id = excluded.trace_id,
                payload = excluded.payload, not_before_ms = CASE WHEN intents.not_before_ms < excluded.not_before_ms
                    THEN intents.not_before_ms ELSE excluded.not_before_ms END"
        } else {
            "INSERT INTO intents (bot_id, key, lane, kind, user_id, payload, generation, not_before_ms, attempts, claim,
                claimed_by, claimed_until_ms, trace_id) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 0, 0, '', 0, $8)
             ON CONFLICT DO NOTHING"
        };
        let user = match &put.intent {
            Intent::Member { user, .. } | Intent::Check { user, .. } => user.0,
            _ => 0,
        };
        sqlx::query(statement)
            .bind(self.bot.0)
            .bind(put.intent.key())
            .bind(put.intent.lane() as i64)
            .bind(put.intent.kind())
            .bind(user)
            .bind(serde_json::to_string(&put.intent)?)
            .bind(put.not_before_ms)
            .bind(trace_id)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Returns whether the claim was still held.
    async fn settle_one(&self, tx: &mut AnyConnection, settle: &Settle, now_ms: i64) -> Result<bool, StoreError> {
        let (bot, key) = (self.bot.0, settle.key.as_str());
        let ended = match &settle.settlement {
            Settlement::Done => {
                // What was wanted when it was claimed is done; a newer generation stays. Effects have one generation
                // and leave a tombstone, state intents leave nothing.
                let state = ["member:", "check:", "prompt:", "redecide:"].iter().any(|kind| key.starts_with(kind));
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
                "UPDATE intents SET payload = $5, claimed_by = '', claimed_until_ms = 0
                 WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND done_ms IS NULL",
            )
            .bind(bot)
            .bind(key)
            .bind(settle.claim)
            .bind(settle.generation)
            .bind(serde_json::to_string(rest)?)
            .execute(&mut *tx)
            .await?
            .rows_affected(),
            Settlement::Wait { not_before_ms } | Settlement::Retry { not_before_ms } => sqlx::query(
                "UPDATE intents SET attempts = attempts + $6, claimed_by = '', claimed_until_ms = 0, not_before_ms = $5
                 WHERE bot_id = $1 AND key = $2 AND claim = $3 AND generation = $4 AND done_ms IS NULL",
            )
            .bind(bot)
            .bind(key)
            .bind(settle.claim)
            .bind(settle.generation)
            .bind(*not_before_ms)
            .bind(i64::from(matches!(settle.settlement, Settlement::Retry { .. })))
            .execute(&mut *tx)
            .await?
            .rows_affected(),
        };
        if ended > 0 {
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

    async fn read_chat_view(&self, tx: &mut AnyConnection, chat: ChatId) -> Result<ChatView, StoreError> {
        let row = sqlx::query("SELECT version, facts FROM chats WHERE bot_id = $1 AND chat_id = $2")
            .bind(self.bot.0)
            .bind(chat.0)
            .fetch_optional(&mut *tx)
            .await?;
        let mut view = ChatView {
            chat: row.map(|row| read_chat(&row, 0)).transpose()?.unwrap_or_default(),
            ..ChatView::default()
        };
        let links = sqlx::query(
            "SELECT group_id, channel_id, enabled, set_by_update, set_ms FROM links
             WHERE bot_id = $1 AND (group_id = $2 OR channel_id = $2) ORDER BY group_id, channel_id",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .fetch_all(tx)
        .await?;
        for row in links {
            let (group, channel) = (ChatId(row.try_get(0)?), ChatId(row.try_get(1)?));
            let value = row.try_get::<i64, _>(2)? == 1;
            if group == chat {
                let (update_id, received_ms) = (UpdateId(row.try_get(3)?), row.try_get(4)?);
                view.links.insert(channel, Setting { value, update_id, received_ms });
            } else if value {
                view.required_by.push(group);
            }
        }
        Ok(view)
    }

    async fn write_chat(
        &self,
        tx: &mut AnyConnection,
        chat: ChatId,
        view: &ChatView,
        writes: &ChatWrites,
        trace_id: &str,
    ) -> Result<i64, StoreError> {
        let mut version = view.chat.version;
        if writes.facts.is_some() || !writes.links.is_empty() {
            version += 1;
            let facts = writes.facts.as_ref().unwrap_or(&view.chat.facts);
            sqlx::query(
                "INSERT INTO chats (bot_id, chat_id, version, facts) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (bot_id, chat_id) DO UPDATE SET version = excluded.version, facts = excluded.facts",
            )
            .bind(self.bot.0)
            .bind(chat.0)
            .bind(version)
            .bind(serde_json::to_string(facts)?)
            .execute(&mut *tx)
            .await?;
        }
        for (channel, setting) in &writes.links {
            sqlx::query(
                "INSERT INTO links (bot_id, group_id, channel_id, enabled, set_by_update, set_ms)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (bot_id, group_id, channel_id) DO UPDATE SET
                    enabled = excluded.enabled, set_by_update = excluded.set_by_update, set_ms = excluded.set_ms",
            )
            .bind(self.bot.0)
            .bind(chat.0)
            .bind(channel.0)
            .bind(i64::from(setting.value))
            .bind(setting.update_id.0)
            .bind(setting.received_ms)
            .execute(&mut *tx)
            .await?;
        }
        for put in in_order(&writes.put) {
            self.put_one(tx, put, trace_id).await?;
        }
        Ok(version)
    }

    async fn chat_once(&self, chat: ChatId, trace_id: &str, step: &mut ChatStep<'_>) -> Result<i64, StoreError> {
        let mut tx = self.database.begin().await?;
        self.lock_chat(&mut tx, chat).await?;
        let view = self.read_chat_view(&mut tx, chat).await?;
        let writes = step(&view);
        let version = self.write_chat(&mut tx, chat, &view, &writes, trace_id).await?;
        tx.commit().await?;
        Ok(version)
    }

    async fn settle_once(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        let mut ordered: Vec<&Settle> = settle.iter().collect();
        ordered.sort_by_key(|settle| &settle.key);
        for settle in ordered {
            self.settle_one(&mut tx, settle, now_ms).await?;
        }
        for put in in_order(put) {
            self.put_one(&mut tx, put, trace_id).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Gives all claims of `holder` another end; 0 gives them back.
    async fn end_claims_once(&self, holder: &str, until_ms: i64) -> Result<(), StoreError> {
        // Locked in the order of their keys, as everywhere.
        let statement = match self.database.dialect {
            Dialect::Postgres => {
                "UPDATE intents SET claimed_until_ms = $3, claimed_by = CASE WHEN $3 > 0 THEN claimed_by ELSE '' END
                 WHERE bot_id = $1 AND key IN (SELECT key FROM intents WHERE bot_id = $1 AND claimed_by = $2
                    AND claimed_until_ms > 0 AND done_ms IS NULL ORDER BY key FOR UPDATE)"
            }
            Dialect::Sqlite => {
                "UPDATE intents SET claimed_until_ms = $3, claimed_by = CASE WHEN $3 > 0 THEN claimed_by ELSE '' END
                 WHERE bot_id = $1 AND claimed_by = $2 AND claimed_until_ms > 0 AND done_ms IS NULL"
            }
        };
        sqlx::query(statement).bind(self.bot.0).bind(holder).bind(until_ms).execute(&self.database.pool).await?;
        Ok(())
    }

    async fn lock_chat(&self, tx: &mut Transaction<'static, Any>, chat: ChatId) -> Result<(), StoreError> {
        if self.database.dialect == Dialect::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.lock_key(chat)).execute(&mut **tx).await?;
        }
        Ok(())
    }
}

fn read_chat(row: &AnyRow, at: usize) -> Result<Chat, StoreError> {
    let facts: ChatFacts = serde_json::from_str(row.try_get(at + 1)?)?;
    Ok(Chat { facts, version: row.try_get(at)? })
}

/// PostgreSQL ends one of two transactions that wait for each other; the other goes on, and this one is run again.
fn is_deadlock(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(sqlx::Error::Database(e)) if e.code().is_some_and(|c| c == "40P01" || c == "40001"))
}

/// Intents in the order in which every transaction writes them, so that two of them seldom wait for each other.
fn in_order(put: &[Put]) -> Vec<&Put> {
    let mut ordered: Vec<&Put> = put.iter().collect();
    ordered.sort_by_cached_key(|put| put.intent.key());
    ordered
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

    async fn chat(&self, chat: ChatId) -> Result<ChatView, StoreError> {
        let mut connection = self.database.pool.acquire().await?;
        self.read_chat_view(&mut connection, chat).await
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
                "UPDATE intents SET claimed_by = $3, claimed_until_ms = $5, claim = $6 WHERE bot_id = $1 AND key IN
                    (SELECT key FROM intents WHERE bot_id = $1 AND lane = $2 AND done_ms IS NULL AND not_before_ms <= $4
                        AND claimed_until_ms < $4 ORDER BY not_before_ms LIMIT $7 FOR UPDATE SKIP LOCKED)
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
        let rows = sqlx::query(statement)
            .bind(self.bot.0)
            .bind(lane as i64)
            .bind(holder)
            .bind(now_ms)
            .bind(until_ms)
            .bind(claim)
            .bind(max)
            .fetch_all(&self.database.pool)
            .await?;
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows {
            let Ok(intent) = serde_json::from_str(row.try_get(0)?) else {
                // Of a newer version, say: a worker of that version takes it up when this claim has run out.
                tracing::error!("an intent that this version cannot read is left to others");
                continue;
            };
            claims.push(Claim {
                intent,
                generation: row.try_get(1)?,
                claim,
                attempts: row.try_get(2)?,
                trace_id: row.try_get(3)?,
            });
        }
        Ok(claims)
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
        let mut connection = self.database.pool.acquire().await?;
        let prompt = sqlx::query(
            "SELECT message_id, shown, sending_ms, changed_ms FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND topic = $3",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .fetch_optional(&mut *connection)
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
        .fetch_all(&mut *connection)
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
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
        let channels = sqlx::query(
            "SELECT l.channel_id, c.version, c.facts FROM links l JOIN chats c ON c.bot_id = l.bot_id AND c.chat_id = l.channel_id
             WHERE l.bot_id = $1 AND l.group_id = $2 AND l.enabled = 1 ORDER BY l.channel_id",
        )
        .bind(bot)
        .bind(chat)
        .fetch_all(&mut *connection)
        .await?;
        for row in channels {
            view.channels.push((ChatId(row.try_get(0)?), read_chat(&row, 1)?.facts));
        }
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
        let mut tx = self.database.begin().await?;
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

    async fn is_stray_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError> {
        let known = sqlx::query(
            "SELECT count(*) FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND (message_id = $3 OR sending_ms > $4)",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(message.0)
        .bind(now_ms - SENDING_MS)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(known.try_get::<i64, _>(0)? == 0)
    }

    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError> {
        let waiting = sqlx::query("SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2 AND waiting = 1")
            .bind(self.bot.0)
            .bind(group.0)
            .fetch_one(&self.database.pool)
            .await?;
        Ok(waiting.try_get(0)?)
    }

    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id FROM members WHERE bot_id = $1 AND chat_id = $2 AND user_id > $3 ORDER BY user_id LIMIT $4",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(after.0)
        .bind(max)
        .fetch_all(&self.database.pool)
        .await?;
        rows.iter().map(|row| Ok(UserId(row.try_get(0)?))).collect()
    }

    async fn open_intents(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows =
            sqlx::query("SELECT kind, count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL GROUP BY kind")
                .bind(self.bot.0)
                .fetch_all(&self.database.pool)
                .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
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
            sqlx::query(statement).bind(self.bot.0).bind(before).execute(&self.database.pool).await?;
        }
        Ok(())
    }
}
