//! Prompts in the database: who is named in one, and which message it is.

use nezuko_telegram::{ChatId, MessageId, UserId};
use sqlx::{AnyConnection, Row};

use super::{SqlStore, chat::read_chat};
use crate::{
    facts::{ChatFacts, Member},
    intent::Claim,
    store::{Prompt, PromptView, StoreError},
};

/// A prompt whose sending has not ended after this is on its way no longer.
const SENDING_MS: i64 = 60_000;

impl SqlStore {
    pub(super) async fn read_prompt(
        &self,
        rows: &mut AnyConnection,
        group: ChatId,
        topic: Option<i64>,
    ) -> Result<(Option<Prompt>, bool), StoreError> {
        // Both in one statement; it is read for everybody who comes.
        let row = sqlx::query(
            "SELECT waiting, message_id, shown, sending_ms, sent_ms, changed_ms, warned FROM
                (SELECT count(*) AS waiting FROM
                    (SELECT 1 FROM members WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1 LIMIT 1) m) w
                LEFT JOIN prompts ON bot_id = $1 AND chat_id = $2 AND topic = $3",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(topic.unwrap_or_default())
        .fetch_one(rows)
        .await?;
        let prompt = match row.try_get::<Option<i64>, _>(1)? {
            Some(message) => Some(Prompt {
                message,
                shown: row.try_get(2)?,
                sending_ms: row.try_get(3)?,
                sent_ms: row.try_get(4)?,
                changed_ms: row.try_get(5)?,
                warned: read_warned(row.try_get(6)?),
            }),
            None => None,
        };
        Ok((prompt, row.try_get::<i64, _>(0)? > 0))
    }

    pub(super) async fn read_prompt_view(
        &self,
        rows: &mut AnyConnection,
        group: ChatId,
        topic: Option<i64>,
        names: i64,
    ) -> Result<PromptView, StoreError> {
        let (bot, chat, topic) = (self.bot.0, group.0, topic.unwrap_or_default());
        let mut view = PromptView::default();
        let waiting = sqlx::query(
            "SELECT user_id, facts FROM members WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1
             ORDER BY changed_ms, user_id LIMIT $4",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .bind(names)
        .fetch_all(&mut *rows)
        .await?;
        for row in waiting {
            let member: Member = serde_json::from_str(row.try_get(1)?)?;
            view.waiting.push((UserId(row.try_get(0)?), member.name));
        }
        let count = sqlx::query(
            "SELECT count(*), COALESCE(max(changed_ms), 0) FROM members
             WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .fetch_one(&mut *rows)
        .await?;
        (view.count, view.newest_ms) = (count.try_get(0)?, count.try_get(1)?);
        // What is null is not written, and in a name the quotes would be escaped.
        let warned = sqlx::query(
            r#"SELECT user_id, facts FROM members WHERE bot_id = $1 AND chat_id = $2 AND topic = $3 AND waiting = 1
                AND facts LIKE '%"warned_ms":%' ORDER BY user_id"#,
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .fetch_all(&mut *rows)
        .await?;
        for row in warned {
            let member: Member = serde_json::from_str(row.try_get(1)?)?;
            let user = UserId(row.try_get(0)?);
            view.warned.extend(member.wait.and_then(|wait| wait.warned_ms).map(|warned_ms| (user, warned_ms)));
        }
        view.newest_ms = view.warned.iter().map(|(_, warned_ms)| *warned_ms).fold(view.newest_ms, i64::max);
        view.channels = self.read_channels(rows, group).await?;
        Ok(view)
    }

    pub(super) async fn read_channels(
        &self,
        rows: &mut AnyConnection,
        group: ChatId,
    ) -> Result<Vec<(ChatId, ChatFacts)>, StoreError> {
        let channels = sqlx::query(
            "SELECT l.channel_id, c.version, c.facts FROM links l JOIN chats c ON c.bot_id = l.bot_id AND c.chat_id = l.channel_id
             WHERE l.bot_id = $1 AND l.group_id = $2 AND l.enabled = 1 ORDER BY l.channel_id",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .fetch_all(rows)
        .await?;
        channels.iter().map(|row| Ok((ChatId(row.try_get(0)?), read_chat(row, 1)?.facts))).collect()
    }

    /// Whether this claim is the intent's last; the intent is then locked.
    pub(super) async fn holds(&self, tx: &mut AnyConnection, claim: &Claim) -> Result<bool, StoreError> {
        let held = sqlx::query("UPDATE intents SET attempts = attempts WHERE bot_id = $1 AND key = $2 AND claim = $3")
            .bind(self.bot.0)
            .bind(claim.intent.key())
            .bind(claim.claim)
            .execute(tx)
            .await?;
        Ok(held.rows_affected() > 0)
    }

    pub(super) async fn write_prompt(
        &self,
        tx: &mut AnyConnection,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
    ) -> Result<(), StoreError> {
        let (bot, chat, topic) = (self.bot.0, group.0, topic.unwrap_or_default());
        let Some(prompt) = prompt else {
            sqlx::query("DELETE FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND topic = $3")
                .bind(bot)
                .bind(chat)
                .bind(topic)
                .execute(tx)
                .await?;
            return Ok(());
        };
        sqlx::query(
            "INSERT INTO prompts (bot_id, chat_id, topic, message_id, shown, sending_ms, sent_ms, changed_ms, warned)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (bot_id, chat_id, topic) DO UPDATE SET
                message_id = excluded.message_id, shown = excluded.shown,
                sending_ms = excluded.sending_ms, sent_ms = excluded.sent_ms, changed_ms = excluded.changed_ms, warned = excluded.warned",
        )
        .bind(bot)
        .bind(chat)
        .bind(topic)
        .bind(prompt.message)
        .bind(&prompt.shown)
        .bind(prompt.sending_ms)
        .bind(prompt.sent_ms)
        .bind(prompt.changed_ms)
        .bind(write_warned(&prompt.warned))
        .execute(tx)
        .await?;
        Ok(())
    }

    pub(super) async fn recognise(
        &self,
        rows: &mut AnyConnection,
        group: ChatId,
        message: MessageId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
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
        .execute(&mut *rows)
        .await?;
        let known = sqlx::query("SELECT count(*) FROM prompts WHERE bot_id = $1 AND chat_id = $2 AND message_id = $3")
            .bind(self.bot.0)
            .bind(group.0)
            .bind(message.0)
            .fetch_one(rows)
            .await?;
        Ok(known.try_get::<i64, _>(0)? > 0)
    }
}

fn write_warned(warned: &[(UserId, i64)]) -> String {
    warned.iter().map(|(user, warned_ms)| format!("{user}:{warned_ms}")).collect::<Vec<_>>().join(",")
}

fn read_warned(written: &str) -> Vec<(UserId, i64)> {
    let read = |entry: &str| {
        let (user, warned_ms) = entry.split_once(':')?;
        Some((UserId(user.parse().ok()?), warned_ms.parse().ok()?))
    };
    written.split(',').filter_map(read).collect()
}
