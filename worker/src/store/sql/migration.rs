//! A basic group becomes a supergroup: everything under its old id goes over to the new one in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, UpdateId, UserId};
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{SqlStore, chat::read_chat, intents::in_order};
use crate::{
    facts::{Member, Setting},
    intent::{Intent, Lane, Put},
    store::{Chat, StoreError},
    upgrade::{self, Links},
};

/// What has gone over by then, or ends with the old group.
const FORGOTTEN: [&str; 4] = [
    "DELETE FROM links WHERE bot_id = $1 AND (group_id = $2 OR channel_id = $2)",
    "DELETE FROM members WHERE bot_id = $1 AND chat_id = $2",
    "DELETE FROM held_messages WHERE bot_id = $1 AND chat_id = $2",
    "DELETE FROM prompts WHERE bot_id = $1 AND chat_id = $2",
];

impl SqlStore {
    pub(super) async fn migrate_once(
        &self,
        old: ChatId,
        new: ChatId,
        trace_id: &str,
        now_ms: i64,
    ) -> Result<Chat, StoreError> {
        loop {
            let transaction = self.database.transaction(self.bot, async |tx| {
                let links = self.read_links(tx, old, new).await?;
                let locked = groups_of(&links, old, new);
                self.lock_chats(tx, &locked).await?;
                let links = self.read_links(tx, old, new).await?;
                if !groups_of(&links, old, new).is_subset(&locked) {
                    // A group has come to require it before that group was locked.
                    return Ok(None);
                }
                let moved = self.move_facts(tx, old, new, &links, now_ms).await?;
                self.move_records(tx, old, new, now_ms).await?;
                self.move_intents(tx, old, new, now_ms).await?;
                let view = self.read_chat_view(tx, new).await?;
                if moved {
                    for put in in_order(&view.migrated(self.bot, new, now_ms)) {
                        self.put_one(tx, put, trace_id).await?;
                    }
                }
                Ok::<_, StoreError>(Some(view.chat))
            });
            if let Some(chat) = transaction.await? {
                return Ok(chat);
            }
        }
    }

    async fn read_links(&self, tx: &mut AnyConnection, old: ChatId, new: ChatId) -> Result<Links, StoreError> {
        let rows = sqlx::query(
            "SELECT group_id, channel_id, enabled, set_by_update, set_ms FROM links
             WHERE bot_id = $1 AND (group_id IN ($2, $3) OR channel_id IN ($2, $3))",
        )
        .bind(self.bot.0)
        .bind(old.0)
        .bind(new.0)
        .fetch_all(tx)
        .await?;
        let link = |row: &AnyRow| {
            let value = row.try_get::<i64, _>(2)? == 1;
            let setting = Setting { value, update_id: UpdateId(row.try_get(3)?), received_ms: row.try_get(4)? };
            Ok(((ChatId(row.try_get(0)?), ChatId(row.try_get(1)?)), setting))
        };
        rows.iter().map(link).collect()
    }

    /// Returns whether anything went over that decisions depend on.
    async fn move_facts(
        &self,
        tx: &mut AnyConnection,
        old: ChatId,
        new: ChatId,
        links: &Links,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let people = self.move_members(tx, old, new, now_ms).await?;
        let mut known = self.read_both(tx, old, new).await?;
        let mut changed: BTreeSet<ChatId> = BTreeSet::new();
        for ((group, channel), link) in &upgrade::links(links, old, new) {
            if links.get(&(*group, *channel)) != Some(link) {
                self.write_link(tx, *group, *channel, link).await?;
                changed.insert(*group);
            }
        }
        let was = known.remove(&old).unwrap_or_default();
        let is = known.remove(&new).unwrap_or_default();
        let facts = upgrade::chat(&was.facts, &is.facts);
        if was.facts != upgrade::forwarding(new) {
            self.write_facts(tx, old, was.version + 1, &upgrade::forwarding(new)).await?;
        }
        let enforced = changed.remove(&new);
        let described = facts != is.facts;
        if described || enforced {
            // What a cache has of the new id is of an earlier version.
            self.write_facts(tx, new, is.version + 1, &facts).await?;
        }
        for group in &changed {
            sqlx::query("UPDATE chats SET version = version + 1 WHERE bot_id = $1 AND chat_id = $2")
                .bind(self.bot.0)
                .bind(group.0)
                .execute(&mut *tx)
                .await?;
        }
        for statement in FORGOTTEN {
            sqlx::query(statement).bind(self.bot.0).bind(old.0).execute(&mut *tx).await?;
        }
        Ok(people || described || enforced || !changed.is_empty())
    }

    async fn read_both(
        &self,
        tx: &mut AnyConnection,
        old: ChatId,
        new: ChatId,
    ) -> Result<BTreeMap<ChatId, Chat>, StoreError> {
        let rows = sqlx::query("SELECT version, facts, chat_id FROM chats WHERE bot_id = $1 AND chat_id IN ($2, $3)")
            .bind(self.bot.0)
            .bind(old.0)
            .bind(new.0)
            .fetch_all(tx)
            .await?;
        rows.iter().map(|row| Ok((ChatId(row.try_get(2)?), read_chat(row, 0)?))).collect()
    }

    /// A basic group has 200 members at most. Returns whether there was anybody.
    async fn move_members(
        &self,
        tx: &mut AnyConnection,
        old: ChatId,
        new: ChatId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, chat_id, waiting, facts FROM members WHERE bot_id = $1 AND chat_id IN ($2, $3)
                AND user_id IN (SELECT user_id FROM members WHERE bot_id = $1 AND chat_id = $2)",
        )
        .bind(self.bot.0)
        .bind(old.0)
        .bind(new.0)
        .fetch_all(&mut *tx)
        .await?;
        let mut known: BTreeMap<(ChatId, UserId), Member> = BTreeMap::new();
        for row in rows {
            let mut member: Member = serde_json::from_str(row.try_get(3)?)?;
            member.waiting = row.try_get::<i64, _>(2)? == 1;
            known.insert((ChatId(row.try_get(1)?), UserId(row.try_get(0)?)), member);
        }
        let people: Vec<UserId> = known.keys().filter(|(chat, _)| *chat == old).map(|(_, user)| *user).collect();
        for user in &people {
            let was = known.remove(&(old, *user)).unwrap_or_default();
            let member = upgrade::member(was, known.remove(&(new, *user)));
            self.write_member(tx, new, *user, &member, now_ms).await?;
        }
        Ok(!people.is_empty())
    }

    /// What people read. A mute of the old group has ended with it, and one of the new group is the younger.
    async fn move_records(
        &self,
        tx: &mut AnyConnection,
        old: ChatId,
        new: ChatId,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM ledger WHERE bot_id = $1 AND chat_id = $2
                AND user_id IN (SELECT user_id FROM ledger WHERE bot_id = $1 AND chat_id = $3)",
            "UPDATE verifications SET chat_id = $3 WHERE bot_id = $1 AND chat_id = $2",
            "UPDATE audit SET chat_id = $3 WHERE bot_id = $1 AND chat_id = $2",
            // The bot's arrival under the new id may be written just now: these rows are not the chat's own.
            "INSERT INTO group_owners (bot_id, chat_id, owner_id, present, at_ms, update_id)
                SELECT bot_id, CAST($3 AS BIGINT), owner_id, present, at_ms, update_id FROM group_owners
                WHERE bot_id = $1 AND chat_id = $2 ON CONFLICT DO NOTHING",
            "INSERT INTO operator_rules (bot_id, kind, subject, value, set_ms)
                SELECT bot_id, kind, CAST($3 AS BIGINT), value, set_ms FROM operator_rules
                WHERE bot_id = $1 AND kind = 'group' AND subject = $2 ON CONFLICT DO NOTHING",
        ] {
            sqlx::query(statement).bind(self.bot.0).bind(old.0).bind(new.0).execute(&mut *tx).await?;
        }
        for statement in [
            "DELETE FROM group_owners WHERE bot_id = $1 AND chat_id = $2",
            "DELETE FROM operator_rules WHERE bot_id = $1 AND kind = 'group' AND subject = $2",
        ] {
            sqlx::query(statement).bind(self.bot.0).bind(old.0).execute(&mut *tx).await?;
        }
        sqlx::query(
            "UPDATE ledger SET chat_id = $3, lifted_ms = coalesce(lifted_ms, $4) WHERE bot_id = $1 AND chat_id = $2",
        )
        .bind(self.bot.0)
        .bind(old.0)
        .bind(new.0)
        .bind(now_ms)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// What waits under the old id and is nobody's is made again under the new one, due at once. (0: answers, and what a
    /// version before that column had written.)
    async fn move_intents(
        &self,
        tx: &mut AnyConnection,
        old: ChatId,
        new: ChatId,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let open = sqlx::query(
            "SELECT key, payload, lane, trace_id FROM intents
             WHERE bot_id = $1 AND chat_id = $2 AND chat_id <> 0 AND done_ms IS NULL AND claimed_until_ms < $3
             UNION ALL SELECT key, payload, lane, trace_id FROM intents
             WHERE bot_id = $1 AND chat_id = 0 AND lane >= 0 AND done_ms IS NULL AND claimed_until_ms < $3 ORDER BY key",
        )
        .bind(self.bot.0)
        .bind(old.0)
        .bind(now_ms)
        .fetch_all(&mut *tx)
        .await?;
        for row in open {
            let Ok(intent) = serde_json::from_str::<Intent>(row.try_get(1)?) else { continue };
            if !upgrade::is_about(&intent, old) {
                continue;
            }
            let moved = upgrade::intent(intent, new);
            let statement = if moved.is_some() {
                "DELETE FROM intents WHERE bot_id = $1 AND key = $2 AND done_ms IS NULL AND claimed_until_ms < $3"
            } else {
                "UPDATE intents SET done_ms = $3, payload = '' WHERE bot_id = $1 AND key = $2 AND done_ms IS NULL
                    AND claimed_until_ms < $3"
            };
            let key: &str = row.try_get(0)?;
            let taken = sqlx::query(statement).bind(self.bot.0).bind(key).bind(now_ms).execute(&mut *tx).await?;
            // Somebody may have claimed it meanwhile.
            if let Some(intent) = moved.filter(|_| taken.rows_affected() > 0) {
                let is_bulk = row.try_get::<i64, _>(2)? == Lane::Bulk as i64;
                let urgency = if is_bulk { Urgency::Bulk } else { Urgency::Urgent };
                self.put_one(tx, &Put { intent, not_before_ms: now_ms, urgency }, row.try_get(3)?).await?;
            }
        }
        Ok(())
    }
}

/// The groups of these links, and both ids: what changes.
fn groups_of(links: &Links, old: ChatId, new: ChatId) -> BTreeSet<ChatId> {
    links.keys().map(|(group, _)| *group).chain([old, new]).collect()
}
