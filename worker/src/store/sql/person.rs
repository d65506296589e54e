//! A person's transaction: the locks, one read of everything about them, the writes.

use std::collections::BTreeSet;

use nezuko_shared::database::Dialect;
use nezuko_telegram::{ChatId, MessageId, UserId};
use sqlx::{AnyConnection, Row};

use super::{SqlStore, intents::in_order};
use crate::{
    facts::Member,
    store::{Chat, Held, PersonStep, PersonView, PersonWrites, Scope, StoreError},
};

/// Everything about a person ($3) seen from a chat ($2) in one round trip: 0 links of the chat and of the groups that
/// require it, 1 those groups and all channels that they require, 2 the person in each chat, 3 undecided messages, 4 open
/// intents.
const READ_PERSON: &str = "
    WITH groups AS (
        SELECT CAST($2 AS BIGINT) AS id UNION SELECT group_id FROM links WHERE bot_id = $1 AND channel_id = $2 AND enabled = 1
    ), required AS (
        SELECT group_id, channel_id FROM links
        WHERE bot_id = $1 AND enabled = 1 AND group_id IN (SELECT id FROM groups)
    ), around AS (
        SELECT id FROM groups UNION SELECT channel_id FROM required
    )
    SELECT CAST(0 AS BIGINT) AS part, group_id AS id, channel_id AS number, '' AS text FROM required
    UNION ALL SELECT 1, chat_id, version, facts FROM chats WHERE bot_id = $1 AND chat_id IN (SELECT id FROM around)
    UNION ALL SELECT 2, chat_id, waiting, facts FROM members WHERE bot_id = $1 AND user_id = $3
    UNION ALL SELECT 3, chat_id, message_id, CAST(date AS TEXT) FROM held_messages WHERE bot_id = $1 AND user_id = $3
    UNION ALL SELECT 4, CAST(0 AS BIGINT), 0, key FROM intents
        WHERE bot_id = $1 AND user_id = $3 AND user_id <> 0 AND done_ms IS NULL";

/// What else is kept about a person. What has happened stays counted, without whom it happened to; who has brought the bot into
/// a group that it is in stays, or nobody would have a quota.
const FORGOTTEN: [&str; 7] = [
    "UPDATE verifications SET user_id = 0, name = '' WHERE bot_id = $1 AND user_id = $2",
    "UPDATE audit SET actor_id = 0 WHERE bot_id = $1 AND actor_id = $2",
    "UPDATE audit SET subject_id = 0 WHERE bot_id = $1 AND subject_id = $2",
    "UPDATE group_owners SET owner_id = 0 WHERE bot_id = $1 AND owner_id = $2 AND present = 0",
    "DELETE FROM ledger WHERE bot_id = $1 AND user_id = $2 AND lifted_ms IS NOT NULL",
    "DELETE FROM held_messages WHERE bot_id = $1 AND user_id = $2",
    "DELETE FROM buttons WHERE bot_id = $1 AND user_id = $2",
];

impl SqlStore {
    pub(super) async fn person_once(&self, scope: &Scope<'_>, step: &mut PersonStep<'_>) -> Result<(), StoreError> {
        let transaction = self.database.transaction(self.bot, async |tx| {
            let rev = self.lock_person(tx, scope.user).await?;
            self.lock_chats_around(tx, scope.chat).await?;
            let view = self.read_person(tx, scope, rev).await?;
            let writes = step(&view);
            self.write_person(tx, scope, &writes).await
        });
        transaction.await
    }

    pub(super) async fn lock_person(&self, tx: &mut AnyConnection, user: UserId) -> Result<i64, StoreError> {
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
            "SELECT group_id, channel_id FROM links WHERE bot_id = $1 AND enabled = 1 AND group_id IN
                (SELECT CAST($2 AS BIGINT)
                UNION SELECT group_id FROM links WHERE bot_id = $1 AND channel_id = $2 AND enabled = 1)",
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

    pub(super) async fn write_member(
        &self,
        tx: &mut AnyConnection,
        chat: ChatId,
        user: UserId,
        member: &Member,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO members (bot_id, chat_id, user_id, waiting, topic, facts, changed_ms, seen_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $8, $7) ON CONFLICT (bot_id, user_id, chat_id) DO UPDATE SET
                changed_ms = CASE WHEN members.waiting = excluded.waiting THEN members.changed_ms ELSE excluded.changed_ms END,
                waiting = excluded.waiting, topic = excluded.topic, facts = excluded.facts,
                seen_ms = excluded.seen_ms",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(user.0)
        .bind(i64::from(member.waiting))
        .bind(member.topic.unwrap_or_default())
        .bind(serde_json::to_string(member)?)
        .bind(now_ms)
        .bind(member.counts_from_ms(now_ms))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// The row in `people` stays, a number without a fact: the cache orders what it is told by it.
    async fn forget(&self, tx: &mut AnyConnection, user: UserId, chats: &[ChatId]) -> Result<(), StoreError> {
        for chat in chats {
            sqlx::query("DELETE FROM members WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3")
                .bind(self.bot.0)
                .bind(user.0)
                .bind(chat.0)
                .execute(&mut *tx)
                .await?;
        }
        for statement in FORGOTTEN {
            sqlx::query(statement).bind(self.bot.0).bind(user.0).execute(&mut *tx).await?;
        }
        Ok(())
    }

    async fn write_person(
        &self,
        tx: &mut AnyConnection,
        scope: &Scope<'_>,
        writes: &PersonWrites,
    ) -> Result<(), StoreError> {
        let (bot, user) = (self.bot.0, scope.user.0);
        if let Some(chats) = &writes.forget {
            self.forget(tx, scope.user, chats).await?;
        }
        for (chat, member) in &writes.members {
            self.write_member(tx, *chat, scope.user, member, scope.now_ms).await?;
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
        for (entry, line, name) in writes.entries() {
            sqlx::query(
                "INSERT INTO verifications (bot_id, chat_id, user_id, at_ms, outcome, trace_id, line, name)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(bot)
            .bind(entry.group.0)
            .bind(user)
            .bind(scope.now_ms)
            .bind(entry.outcome)
            .bind(scope.trace_id)
            .bind(line)
            .bind(name)
            .execute(&mut *tx)
            .await?;
        }
        Ok(())
    }
}
