//! Erasing what is stored about a person or a chat (E106).

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, UserId};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{SqlStore, intents::in_order};
use crate::{
    facts::{Mark, Member},
    intent::{Intent, Put},
    store::StoreError,
};

/// What is erased about a person in one chat. The row in `people` stays, a number without a fact: the cache orders what it
/// is told by it.
const OF_PERSON_IN_CHAT: [(&str, &str); 4] = [
    ("members", "DELETE FROM members WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3"),
    ("ledger", "DELETE FROM ledger WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3"),
    ("held_messages", "DELETE FROM held_messages WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3"),
    ("intents", "DELETE FROM intents WHERE bot_id = $1 AND user_id = $2 AND chat_id = $3"),
];
/// What has happened stays counted, without whom it happened to; groups stay, without who brought the bot in.
const OF_PERSON: [(&str, &str); 6] = [
    ("verifications", "UPDATE verifications SET user_id = 0, name = '' WHERE bot_id = $1 AND user_id = $2"),
    ("audit", "UPDATE audit SET actor_id = 0 WHERE bot_id = $1 AND actor_id = $2"),
    ("audit", "UPDATE audit SET subject_id = 0 WHERE bot_id = $1 AND subject_id = $2"),
    ("group_owners", "UPDATE group_owners SET owner_id = 0 WHERE bot_id = $1 AND owner_id = $2"),
    ("buttons", "DELETE FROM buttons WHERE bot_id = $1 AND user_id = $2"),
    ("allowances", "DELETE FROM allowances WHERE bot_id = $1 AND user_id = $2"),
];
/// What the operator has laid down about a person is erased only with everything else.
const QUOTA_OF_PERSON: (&str, &str) = (
    "operator_rules",
    "DELETE FROM operator_rules WHERE bot_id = $1 AND kind = 'quota' AND subject = $2 AND subject <> 0",
);
/// What is erased about a chat. What the operator has laid down about it stays.
const OF_CHAT: [(&str, &str); 11] = [
    ("members", "DELETE FROM members WHERE bot_id = $1 AND chat_id = $2"),
    ("ledger", "DELETE FROM ledger WHERE bot_id = $1 AND chat_id = $2"),
    ("held_messages", "DELETE FROM held_messages WHERE bot_id = $1 AND chat_id = $2"),
    ("intents", "DELETE FROM intents WHERE bot_id = $1 AND chat_id = $2"),
    ("prompts", "DELETE FROM prompts WHERE bot_id = $1 AND chat_id = $2"),
    ("verifications", "DELETE FROM verifications WHERE bot_id = $1 AND chat_id = $2"),
    ("audit", "DELETE FROM audit WHERE bot_id = $1 AND (chat_id = $2 OR subject_id = $2)"),
    ("group_owners", "DELETE FROM group_owners WHERE bot_id = $1 AND chat_id = $2"),
    ("buttons", "DELETE FROM buttons WHERE bot_id = $1 AND chat_id = $2"),
    ("links", "DELETE FROM links WHERE bot_id = $1 AND (group_id = $2 OR channel_id = $2)"),
    ("chats", "DELETE FROM chats WHERE bot_id = $1 AND chat_id = $2"),
];

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many rows of each table.
    pub rows: BTreeMap<&'static str, u64>,
    /// In which chats a person's rows stay, because they are what a restriction hangs on.
    pub kept: Vec<ChatId>,
}

/// What hangs on what is stored about a person in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hangs {
    /// A restriction that is, or may be, of ours.
    OnOurs,
    /// One that others have imposed, or an exception.
    OnOthers,
}

/// How an attempt ends that is undone.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error("it was to be counted only")]
    Dry(Erased),
    #[error(transparent)]
    Failed(#[from] StoreError),
}

impl From<sqlx::Error> for Undone {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Undone {
    /// What was counted, where that was all.
    fn counted(result: Result<Erased, Self>) -> Result<Erased, StoreError> {
        match result {
            Ok(erased) | Err(Self::Dry(erased)) => Ok(erased),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

impl SqlStore {
    /// Erases what is stored about a person, but for what a restriction hangs on in other chats than those of `freed`.
    /// Or only counts it, where `dry_run`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was erased.
    pub async fn erase_person(
        &self,
        user: UserId,
        freed: &BTreeSet<ChatId>,
        all: bool,
        dry_run: bool,
        now_ms: i64,
    ) -> Result<Erased, StoreError> {
        let erase = self.database.transaction(self.bot, async |tx| {
            self.lock_person(tx, user).await?;
            let rows = OF_PERSON_IN_CHAT.iter().map(|(table, _)| (*table, 0)).collect();
            let mut erased = Erased { rows, kept: Vec::new() };
            let named_in =
                sqlx::query("SELECT chat_id, topic FROM members WHERE bot_id = $1 AND user_id = $2 AND waiting = 1")
                    .bind(self.bot.0)
                    .bind(user.0)
                    .fetch_all(&mut *tx)
                    .await?;
            for (chat, hangs) in self.chats_of(tx, user, now_ms).await? {
                if hangs.is_some() && !freed.contains(&chat) {
                    erased.kept.push(chat);
                    continue;
                }
                for (table, statement) in OF_PERSON_IN_CHAT {
                    let query = sqlx::query(statement).bind(self.bot.0).bind(user.0).bind(chat.0);
                    *erased.rows.entry(table).or_default() += query.execute(&mut *tx).await?.rows_affected();
                }
            }
            // Who is known no longer is named no longer.
            for row in named_in {
                let (group, topic): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                let prompt = Intent::Prompt { group: ChatId(group), topic: (topic != 0).then_some(topic) };
                self.put_one(tx, &Put::urgent(prompt, now_ms), "operator").await?;
            }
            for (table, statement) in OF_PERSON.into_iter().chain(all.then_some(QUOTA_OF_PERSON)) {
                let query = sqlx::query(statement).bind(self.bot.0).bind(user.0);
                *erased.rows.entry(table).or_default() += query.execute(&mut *tx).await?.rows_affected();
            }
            if dry_run { Err(Undone::Dry(erased)) } else { Ok(erased) }
        });
        Undone::counted(erase.await)
    }

    /// The chats in which something is stored about a person, and whether a restriction hangs on it.
    async fn chats_of(
        &self,
        tx: &mut AnyConnection,
        user: UserId,
        now_ms: i64,
    ) -> Result<BTreeMap<ChatId, Option<Hangs>>, StoreError> {
        let mut chats = BTreeMap::new();
        for (table, _) in OF_PERSON_IN_CHAT {
            let statement = format!("SELECT DISTINCT chat_id FROM {table} WHERE bot_id = $1 AND user_id = $2");
            let query = sqlx::query(AssertSqlSafe(statement)).bind(self.bot.0).bind(user.0);
            for row in query.fetch_all(&mut *tx).await? {
                chats.insert(ChatId(row.try_get(0)?), None);
            }
        }
        let members = sqlx::query("SELECT chat_id, waiting, facts FROM members WHERE bot_id = $1 AND user_id = $2")
            .bind(self.bot.0)
            .bind(user.0)
            .fetch_all(&mut *tx)
            .await?;
        for row in members {
            let mut member: Member = serde_json::from_str(row.try_get(2)?)?;
            member.waiting = row.try_get::<i64, _>(1)? == 1;
            let chat = ChatId(row.try_get(0)?);
            let mark = Mark::of(self.bot, chat, user);
            let ours = member.limits(mark, now_ms).ours || member.call.is_some();
            let hangs = if ours { Hangs::OnOurs } else { Hangs::OnOthers };
            chats.insert(chat, member.protects(mark, now_ms).then_some(hangs));
        }
        Ok(chats)
    }

    /// Where restrictions hang on what is stored about a person, each with whether one is, or may be, of ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn protecting_chats(&self, user: UserId, now_ms: i64) -> Result<Vec<(ChatId, bool)>, StoreError> {
        let chats = self.database.of(self.bot, async |rows| self.chats_of(rows, user, now_ms).await).await?;
        Ok(chats.into_iter().filter_map(|(chat, hangs)| Some((chat, hangs? == Hangs::OnOurs))).collect())
    }

    /// How many people are muted by us in a chat now, as the ledger says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mutes_in(&self, chat: ChatId) -> Result<i64, StoreError> {
        let count = sqlx::query("SELECT count(*) FROM ledger WHERE bot_id = $1 AND chat_id = $2 AND lifted_ms IS NULL")
            .bind(self.bot.0)
            .bind(chat.0);
        Ok(self.database.of(self.bot, async |rows| count.fetch_one(rows).await).await?.try_get(0)?)
    }

    /// Erases what is stored about a group or channel, or only counts it. Groups that required it decide everybody again.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was erased.
    pub async fn erase_chat(&self, chat: ChatId, dry_run: bool, now_ms: i64) -> Result<Erased, StoreError> {
        let erase = self.database.transaction(self.bot, async |tx| {
            // Sorted, as everywhere; a group that comes to require it meanwhile is found again under the locks.
            let mut locked = BTreeSet::from([chat]);
            locked.extend(self.read_chat_view(tx, chat).await?.required_by);
            self.lock_chats(tx, &locked).await?;
            let mut erased = Erased::default();
            for group in self.read_chat_view(tx, chat).await?.required_by {
                sqlx::query("UPDATE chats SET version = version + 1 WHERE bot_id = $1 AND chat_id = $2")
                    .bind(self.bot.0)
                    .bind(group.0)
                    .execute(&mut *tx)
                    .await?;
                let redecide = Intent::Redecide { chat: group, after: UserId(0) };
                let put = [Put { intent: redecide, not_before_ms: now_ms, urgency: Urgency::Bulk }];
                for put in in_order(&put) {
                    self.put_one(tx, put, "operator").await?;
                }
            }
            for (table, statement) in OF_CHAT {
                let query = sqlx::query(statement).bind(self.bot.0).bind(chat.0);
                *erased.rows.entry(table).or_default() += query.execute(&mut *tx).await?.rows_affected();
            }
            if dry_run { Err(Undone::Dry(erased)) } else { Ok(erased) }
        });
        Undone::counted(erase.await)
    }
}
