//! A chat's transaction.

use std::collections::BTreeSet;

use nezuko_shared::database::Dialect;
use nezuko_telegram::{ChatId, UpdateId};
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{SqlStore, intents::in_order};
use crate::{
    facts::{ChatFacts, Setting},
    store::{Chat, ChatStep, ChatView, ChatWrites, StoreError},
};

impl SqlStore {
    pub(super) async fn read_chat_view(&self, tx: &mut AnyConnection, chat: ChatId) -> Result<ChatView, StoreError> {
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
        let version = writes.version(&view.chat);
        if writes.facts.is_some() || !writes.links.is_empty() {
            let facts = writes.facts.as_ref().unwrap_or(&view.chat.facts);
            self.write_facts(tx, chat, version, facts).await?;
        }
        for (channel, setting) in &writes.links {
            self.write_link(tx, chat, *channel, setting).await?;
        }
        for put in in_order(&writes.put) {
            self.put_one(tx, put, trace_id).await?;
        }
        Ok(version)
    }

    pub(super) async fn write_facts(
        &self,
        tx: &mut AnyConnection,
        chat: ChatId,
        version: i64,
        facts: &ChatFacts,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO chats (bot_id, chat_id, version, facts) VALUES ($1, $2, $3, $4)
             ON CONFLICT (bot_id, chat_id) DO UPDATE SET version = excluded.version, facts = excluded.facts",
        )
        .bind(self.bot.0)
        .bind(chat.0)
        .bind(version)
        .bind(serde_json::to_string(facts)?)
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) async fn write_link(
        &self,
        tx: &mut AnyConnection,
        group: ChatId,
        channel: ChatId,
        setting: &Setting<bool>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO links (bot_id, group_id, channel_id, enabled, set_by_update, set_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (bot_id, group_id, channel_id) DO UPDATE SET
                enabled = excluded.enabled, set_by_update = excluded.set_by_update, set_ms = excluded.set_ms",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(channel.0)
        .bind(i64::from(setting.value))
        .bind(setting.update_id.0)
        .bind(setting.received_ms)
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) async fn chat_once(
        &self,
        chat: ChatId,
        trace_id: &str,
        step: &mut ChatStep<'_>,
    ) -> Result<i64, StoreError> {
        let transaction = self.database.transaction(self.bot, async |tx| {
            self.lock_chats(tx, &BTreeSet::from([chat])).await?;
            let view = self.read_chat_view(tx, chat).await?;
            let writes = step(&view);
            self.write_chat(tx, chat, &view, &writes, trace_id).await
        });
        transaction.await
    }

    /// Takes chats that are to be changed, one after the other.
    pub(super) async fn lock_chats(&self, tx: &mut AnyConnection, chats: &BTreeSet<ChatId>) -> Result<(), StoreError> {
        if self.database.dialect == Dialect::Postgres {
            for chat in chats {
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.lock_key(*chat)).execute(&mut *tx).await?;
            }
        }
        Ok(())
    }
}

pub(super) fn read_chat(row: &AnyRow, at: usize) -> Result<Chat, StoreError> {
    let facts: ChatFacts = serde_json::from_str(row.try_get(at + 1)?)?;
    Ok(Chat { facts, version: row.try_get(at)? })
}
