//! The store on SQLite or PostgreSQL.
//!
//! Locks: a person's row in `people` is updated first and so held exclusively to the end; chats are held by advisory
//! locks, shared for reading and exclusive for changing, sorted, and always after the person. Each lock is a statement of
//! its own, because under READ COMMITTED a statement sees what was committed before *it* began, not before it got the
//! lock. On SQLite `BEGIN IMMEDIATE` is the one lock.

mod buttons;
mod chat;
mod earlier;
mod erase;
mod groups;
mod intents;
mod log;
mod migration;
mod person;
mod prompt;
mod records;

use std::collections::BTreeSet;

use async_trait::async_trait;
use nezuko_shared::database::{Database, Dialect};
use nezuko_telegram::{BotId, ChatId, MessageId, UserId};
use sqlx::{Row, any::AnyRow};

pub use self::{
    earlier::EarlierError,
    erase::Erased,
    groups::{KnownGroup, OperatorRule},
    records::Record,
};
use super::{
    Allowance, ButtonRow, Chat, ChatStep, ChatView, Happened, LogLine, PersonStep, Prompt, PromptView, Scope, Settle,
    StatesOfIntents, Store, StoreError, Untold,
};
use crate::{
    admission::{Arrival, Refusal},
    facts::ChatFacts,
    intent::{Claim, Lane, Put, Settlement},
};

/// Tombstones and processed updates outlive Telegram's own 24 h of redelivery by as much again.
const TOMBSTONE_MS: i64 = 48 * 3_600_000;
const HELD_MS: i64 = 24 * 3_600_000;
/// Days.
const RETENTION: i64 = 90;
const DAY_MS: i64 = 24 * 3_600_000;

/// The rows of one bot.
#[derive(Clone, Debug)]
pub struct SqlStore {
    database: Database,
    bot: BotId,
    retention_ms: i64,
}

impl SqlStore {
    /// The rows of `bot` in a database whose schema is up to date.
    #[must_use]
    pub const fn new(database: Database, bot: BotId) -> Self {
        Self { database, bot, retention_ms: RETENTION * DAY_MS }
    }

    /// The same, with records kept for another time than 90 days.
    #[must_use]
    pub fn keeping_records_for(self, days: i64) -> Self {
        Self { retention_ms: days * DAY_MS, ..self }
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

impl SqlStore {
    /// A number for each kind of the intents that are due by `due_ms`.
    async fn of_each_kind(&self, statement: &'static str, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let numbers = sqlx::query(statement).bind(self.bot.0).bind(due_ms);
        let numbers = self.database.of(self.bot, async |rows| numbers.fetch_all(rows).await).await?;
        numbers.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
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
        self.database.of(self.bot, async |rows| self.read_chat_view(rows, chat).await).await
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
                // Picked once, as an array: a subquery of UPDATE could run more than once and exceed its LIMIT.
                "UPDATE intents SET claimed_by = $3, claimed_until_ms = $5, claim = $6
                 WHERE bot_id = $1 AND key = ANY (ARRAY(
                    SELECT key FROM intents WHERE bot_id = $1 AND lane = $2 AND lane >= 0 AND done_ms IS NULL
                        AND not_before_ms <= $4 AND claimed_until_ms < $4
                    ORDER BY not_before_ms LIMIT $7 FOR UPDATE SKIP LOCKED))
                 RETURNING payload, generation, attempts, trace_id, traceparent, trace_links"
            }
            Dialect::Sqlite => {
                "UPDATE intents SET claimed_by = $3, claimed_until_ms = $5, claim = $6 WHERE bot_id = $1 AND key IN
                    (SELECT key FROM intents WHERE bot_id = $1 AND lane = $2 AND done_ms IS NULL AND not_before_ms <= $4
                        AND claimed_until_ms < $4 ORDER BY not_before_ms LIMIT $7)
                 RETURNING payload, generation, attempts, trace_id, traceparent, trace_links"
            }
        };
        // A number that no other claim has: a row may be deleted and made anew while its claimer is still at work.
        let claim = i64::from(rand::random::<u32>()) << 31 | i64::from(rand::random::<u32>() >> 1);
        let query = sqlx::query(statement)
            .bind(self.bot.0)
            .bind(lane as i64)
            .bind(holder)
            .bind(now_ms)
            .bind(until_ms)
            .bind(claim)
            .bind(max);
        let claimed = self.database.of(self.bot, async |rows| query.fetch_all(rows).await).await?;
        let mut claims = Vec::with_capacity(claimed.len());
        for row in claimed {
            let Ok(intent) = serde_json::from_str(row.try_get(0)?) else {
                // Of a newer version, say: a worker of that version takes it up when this claim has run out.
                tracing::error!(bot_id = self.bot.0, "an intent that this version cannot read is left to others");
                continue;
            };
            claims.push(Claim {
                intent,
                urgency: lane.urgency(),
                generation: row.try_get(1)?,
                claim,
                attempts: row.try_get(2)?,
                trace_id: row.try_get(3)?,
                traceparent: row.try_get(4)?,
                trace_links: row.try_get(5)?,
            });
        }
        Ok(claims)
    }

    async fn postpone(&self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.postpone_once(lane, chat, now_ms, until_ms))
    }

    async fn renew(&self, holder: &str, claims: &BTreeSet<i64>, until_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.end_claims_once(holder, Some(claims), until_ms))
    }

    async fn hold(&self, claim: &Claim, until_ms: i64) -> Result<bool, StoreError> {
        let hold = sqlx::query(
            "UPDATE intents SET claimed_until_ms = CASE WHEN claimed_until_ms < $4 THEN $4 ELSE claimed_until_ms END
             WHERE bot_id = $1 AND key = $2 AND claim = $3 AND claimed_until_ms > 0 AND done_ms IS NULL",
        )
        .bind(self.bot.0)
        .bind(claim.intent.key())
        .bind(claim.claim)
        .bind(until_ms);
        Ok(self.database.of(self.bot, async |rows| hold.execute(rows).await).await?.rows_affected() > 0)
    }

    async fn release(&self, holder: &str) -> Result<(), StoreError> {
        run_to_the_end!(self.end_claims_once(holder, None, 0))
    }

    async fn settle(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.settle_once(settle, put, trace_id, now_ms))
    }

    async fn prompt(&self, group: ChatId, topic: Option<i64>) -> Result<(Option<Prompt>, bool), StoreError> {
        self.database.of(self.bot, async |rows| self.read_prompt(rows, group, topic).await).await
    }

    async fn channels(&self, group: ChatId) -> Result<Vec<(ChatId, ChatFacts)>, StoreError> {
        self.database.of(self.bot, async |rows| self.read_channels(rows, group).await).await
    }

    async fn prompt_view(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError> {
        self.database.of(self.bot, async |rows| self.read_prompt_view(rows, group, topic, names).await).await
    }

    async fn save_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError> {
        let settle = settlement.map(|settlement| Settle::of(claim, settlement));
        let save = self.database.transaction(self.bot, async |tx| {
            let held = self.holds(tx, claim).await?;
            if held {
                self.write_prompt(tx, group, topic, prompt).await?;
                if let Some(settle) = &settle {
                    self.settle_one(tx, settle, 1).await?;
                }
            }
            Ok(held)
        });
        save.await
    }

    async fn recognise_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError> {
        self.database.of(self.bot, async |rows| self.recognise(rows, group, message, now_ms).await).await
    }

    async fn began_to_wait(&self, group: ChatId, since_ms: i64) -> Result<i64, StoreError> {
        let count = sqlx::query(
            "SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2 AND waiting = 1 AND changed_ms > $3",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(since_ms);
        let began = self.database.of(self.bot, async |rows| count.fetch_one(rows).await).await?;
        Ok(began.try_get(0)?)
    }

    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError> {
        let count = sqlx::query("SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2 AND waiting = 1")
            .bind(self.bot.0)
            .bind(group.0);
        let waiting = self.database.of(self.bot, async |rows| count.fetch_one(rows).await).await?;
        Ok(waiting.try_get(0)?)
    }

    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError> {
        let people = sqlx::query(
            "SELECT user_id FROM members WHERE bot_id = $1 AND chat_id = $2 AND user_id > $3 ORDER BY user_id LIMIT $4",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(after.0)
        .bind(max);
        let people = self.database.of(self.bot, async |rows| people.fetch_all(rows).await).await?;
        people.iter().map(|row| Ok(UserId(row.try_get(0)?))).collect()
    }

    async fn prompted_topics(&self, group: ChatId) -> Result<Vec<Option<i64>>, StoreError> {
        let topics = sqlx::query("SELECT topic FROM prompts WHERE bot_id = $1 AND chat_id = $2 ORDER BY topic")
            .bind(self.bot.0)
            .bind(group.0);
        let topics = self.database.of(self.bot, async |rows| topics.fetch_all(rows).await).await?;
        let topic = |row: &AnyRow| Ok(Some(row.try_get(0)?).filter(|topic| *topic != 0));
        topics.iter().map(topic).collect()
    }

    async fn chats_of_rules(&self) -> Result<Vec<ChatId>, StoreError> {
        let chats = sqlx::query(
            "SELECT group_id FROM links WHERE bot_id = $1 AND enabled = 1
             UNION SELECT channel_id FROM links WHERE bot_id = $1 AND enabled = 1 ORDER BY 1",
        )
        .bind(self.bot.0);
        let chats = self.database.of(self.bot, async |rows| chats.fetch_all(rows).await).await?;
        chats.iter().map(|row| Ok(ChatId(row.try_get(0)?))).collect()
    }

    async fn unswept_groups(&self) -> Result<Vec<ChatId>, StoreError> {
        let groups = sqlx::query(
            "SELECT DISTINCT group_id FROM links WHERE bot_id = $1 AND enabled = 1 AND NOT EXISTS
                (SELECT 1 FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND key = 'redecide:' || CAST(group_id AS TEXT))
             ORDER BY group_id",
        )
        .bind(self.bot.0);
        let groups = self.database.of(self.bot, async |rows| groups.fetch_all(rows).await).await?;
        groups.iter().map(|row| Ok(ChatId(row.try_get(0)?))).collect()
    }

    async fn newest_received_ms(&self) -> Result<Option<i64>, StoreError> {
        let newest = sqlx::query("SELECT received_ms FROM bots WHERE bot_id = $1").bind(self.bot.0);
        let row = self.database.of(self.bot, async |rows| newest.fetch_optional(rows).await).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn note_received(&self, received_ms: i64) -> Result<(), StoreError> {
        let note = sqlx::query(
            "INSERT INTO bots (bot_id, received_ms) VALUES ($1, $2)
             ON CONFLICT (bot_id) DO UPDATE SET received_ms = excluded.received_ms
             WHERE bots.received_ms < excluded.received_ms",
        )
        .bind(self.bot.0)
        .bind(received_ms);
        Ok(self.database.of(self.bot, async |rows| note.execute(rows).await.map(drop)).await?)
    }

    async fn add_buttons(&self, rows: &[ButtonRow]) -> Result<(), StoreError> {
        self.insert_buttons(rows).await
    }

    async fn button(&self, id: i64, now_ms: i64) -> Result<Option<ButtonRow>, StoreError> {
        self.read_button(id, now_ms).await
    }

    async fn use_button(&self, id: i64, put: &[Put], trace_id: &str, now_ms: i64) -> Result<bool, StoreError> {
        run_to_the_end!(self.use_button_once(id, put, trace_id, now_ms))
    }

    async fn draw(&self, user: UserId, of: Allowance, now_ms: i64, window_ms: i64) -> Result<i64, StoreError> {
        self.draw_one(user, of, now_ms, window_ms).await
    }

    async fn happened(&self, group: ChatId, since_ms: i64) -> Result<Happened, StoreError> {
        self.read_happened(group, since_ms).await
    }

    async fn untold(&self, group: ChatId, since_ms: i64, most: i64) -> Result<Untold, StoreError> {
        self.read_untold(group, since_ms, most).await
    }

    async fn told(&self, lines: &[i64], now_ms: i64) -> Result<(), StoreError> {
        run_to_the_end!(self.mark_told(lines, now_ms))
    }

    async fn line(&self, line: i64) -> Result<Option<LogLine>, StoreError> {
        self.read_line(line).await
    }

    async fn count_people(&self, chat: ChatId) -> Result<i64, StoreError> {
        let count = sqlx::query("SELECT count(*) FROM members WHERE bot_id = $1 AND chat_id = $2")
            .bind(self.bot.0)
            .bind(chat.0);
        Ok(self.database.of(self.bot, async |rows| count.fetch_one(rows).await).await?.try_get(0)?)
    }

    async fn admit(&self, group: ChatId, arrival: &Arrival) -> Result<Vec<(ChatId, Option<Refusal>)>, StoreError> {
        run_to_the_end!(self.admit_once(group, arrival))
    }

    async fn unseen_channels(&self) -> Result<Vec<ChatId>, StoreError> {
        let channels = sqlx::query(
            "SELECT DISTINCT channel_id FROM links WHERE bot_id = $1 AND enabled = 1 AND NOT EXISTS
                (SELECT 1 FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND key = 'link:' || CAST(channel_id AS TEXT))
             ORDER BY channel_id",
        )
        .bind(self.bot.0);
        let channels = self.database.of(self.bot, async |rows| channels.fetch_all(rows).await).await?;
        channels.iter().map(|row| Ok(ChatId(row.try_get(0)?))).collect()
    }

    async fn active_groups(&self) -> Result<(i64, i64), StoreError> {
        self.count_active_groups().await
    }

    async fn open_intents(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.of_each_kind(
            "SELECT kind, count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND lane >= 0
                AND not_before_ms <= $2 GROUP BY kind",
            due_ms,
        )
        .await
    }

    async fn oldest_due(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.of_each_kind(
            "SELECT kind, min(not_before_ms) FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND lane >= 0
                AND not_before_ms <= $2 GROUP BY kind",
            due_ms,
        )
        .await
    }

    async fn states_of_intents(&self, now_ms: i64) -> Result<StatesOfIntents, StoreError> {
        // What waits for its time may be many: it is counted in the index.
        let counts = sqlx::query(
            "SELECT
                (SELECT count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND lane >= 0 AND not_before_ms <= $2),
                (SELECT count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND claimed_by <> ''
                    AND claimed_until_ms >= $2),
                (SELECT count(*) FROM intents WHERE bot_id = $1 AND done_ms IS NULL AND lane >= 0 AND not_before_ms > $2)",
        )
        .bind(self.bot.0)
        .bind(now_ms);
        let row = self.database.of(self.bot, async |rows| counts.fetch_one(rows).await).await?;
        let (begun, claimed, later): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(StatesOfIntents { due: (begun - claimed).max(0), claimed, later })
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        // Those in chats that no rule concerns, and in groups that the bot was put out of, where nobody was heard of for as long as
        // records are kept (E76), but for whom we have muted there and who is an exception.
        let people = match self.database.dialect {
            Dialect::Postgres => {
                "DELETE FROM members m WHERE bot_id = $1 AND seen_ms < $2 AND (chat_id NOT IN
                    (SELECT group_id FROM links WHERE bot_id = $1 AND enabled = 1
                     UNION SELECT channel_id FROM links WHERE bot_id = $1 AND enabled = 1)
                    OR chat_id IN (SELECT chat_id FROM group_owners WHERE bot_id = $1 AND present = 0 AND at_ms < $3)
                        AND NOT EXISTS (SELECT 1 FROM members o WHERE o.bot_id = $1 AND o.chat_id = m.chat_id AND o.seen_ms >= $3))
                    AND facts::json -> 'allowed' ->> 'value' IS DISTINCT FROM 'true' AND NOT EXISTS
                    (SELECT 1 FROM ledger l WHERE l.bot_id = $1 AND l.chat_id = m.chat_id AND l.user_id = m.user_id
                        AND l.lifted_ms IS NULL)"
            }
            Dialect::Sqlite => {
                "DELETE FROM members AS m WHERE bot_id = $1 AND seen_ms < $2 AND (chat_id NOT IN
                    (SELECT group_id FROM links WHERE bot_id = $1 AND enabled = 1
                     UNION SELECT channel_id FROM links WHERE bot_id = $1 AND enabled = 1)
                    OR chat_id IN (SELECT chat_id FROM group_owners WHERE bot_id = $1 AND present = 0 AND at_ms < $3)
                        AND NOT EXISTS (SELECT 1 FROM members o WHERE o.bot_id = $1 AND o.chat_id = m.chat_id AND o.seen_ms >= $3))
                    AND json_extract(facts, '$.allowed.value') IS NOT 1 AND NOT EXISTS
                    (SELECT 1 FROM ledger l WHERE l.bot_id = $1 AND l.chat_id = m.chat_id AND l.user_id = m.user_id
                        AND l.lifted_ms IS NULL)"
            }
        };
        let kept_since_ms = now_ms - self.retention_ms;
        let people = sqlx::query(people).bind(self.bot.0).bind(now_ms - TOMBSTONE_MS).bind(kept_since_ms);
        self.database.of_at_length(self.bot, async |rows| people.execute(rows).await).await?;
        let past = [
            ("DELETE FROM intents WHERE bot_id = $1 AND done_ms IS NOT NULL AND done_ms < $2", now_ms - TOMBSTONE_MS),
            ("DELETE FROM processed_updates WHERE bot_id = $1 AND at_ms < $2", now_ms - TOMBSTONE_MS),
            ("DELETE FROM held_messages WHERE bot_id = $1 AND date < $2", (now_ms - HELD_MS) / 1000),
            ("DELETE FROM verifications WHERE bot_id = $1 AND at_ms < $2", kept_since_ms),
            ("DELETE FROM audit WHERE bot_id = $1 AND at_ms < $2", kept_since_ms),
            ("DELETE FROM ledger WHERE bot_id = $1 AND lifted_ms < $2", kept_since_ms),
            (
                "UPDATE group_owners SET owner_id = 0 WHERE bot_id = $1 AND present = 0 AND at_ms < $2 AND owner_id <> 0",
                kept_since_ms,
            ),
            (
                "DELETE FROM group_owners WHERE bot_id = $1 AND present = 0 AND at_ms < $2 AND NOT EXISTS
                    (SELECT 1 FROM members m WHERE m.bot_id = $1 AND m.chat_id = group_owners.chat_id)",
                kept_since_ms,
            ),
            ("DELETE FROM buttons WHERE bot_id = $1 AND expires_ms < $2", now_ms),
            ("DELETE FROM allowances WHERE bot_id = $1 AND began_ms < $2", now_ms - HELD_MS),
            (
                "UPDATE verifications SET name = '' WHERE bot_id = $1 AND at_ms < $2 AND line <> 0 AND name <> ''",
                now_ms - HELD_MS,
            ),
        ];
        for (statement, before) in past {
            // Each by itself, so that none holds its rows for longer than it takes.
            let delete = sqlx::query(statement).bind(self.bot.0).bind(before);
            self.database.of_at_length(self.bot, async |rows| delete.execute(rows).await).await?;
        }
        Ok(())
    }
}
