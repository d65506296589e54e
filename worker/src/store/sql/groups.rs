//! Who brought the bot into which group, and what the operator has laid down about groups.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::database::Dialect;
use nezuko_telegram::{ChatId, UserId};
use sqlx::{AnyConnection, Row};

use super::{SqlStore, chat::read_chat};
use crate::{
    admission::{Arrival, Refusal, Rules, apply},
    store::{Audit, Chat, Store, StoreError},
};

/// A rule of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorRule {
    /// A group is allowed (`true`), blocked, or neither.
    Listed(ChatId, Option<bool>),
    /// How many groups an owner may have (`None`: everybody of whom nothing else is said); `None`: no quota.
    Quota(Option<UserId>, Option<i64>),
    /// Whether only allowed groups are served.
    Closed(bool),
}

impl OperatorRule {
    /// Kind, subject and value of its row; no value: there is none.
    fn row(self) -> (&'static str, i64, Option<i64>) {
        match self {
            Self::Listed(group, allowed) => ("group", group.0, allowed.map(i64::from)),
            Self::Quota(owner, most) => ("quota", owner.map_or(0, |owner| owner.0), most),
            Self::Closed(closed) => ("closed", 0, closed.then_some(1)),
        }
    }
}

/// A group that the bot knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGroup {
    /// Which.
    pub id: ChatId,
    /// What is known about it.
    pub chat: Chat,
    /// Who brought the bot in.
    pub owner: Option<UserId>,
}

impl SqlStore {
    /// Notes that somebody brought the bot into a group at `at_ms` (Unix milliseconds), unless more is known. Returns
    /// whether it was news.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn note_owner(&self, group: ChatId, owner: UserId, at_ms: i64) -> Result<bool, StoreError> {
        let note = sqlx::query(
            "INSERT INTO group_owners (bot_id, chat_id, owner_id, present, at_ms, update_id) VALUES ($1, $2, $3, 1, $4, 0)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(owner.0)
        .bind(at_ms);
        let noted = self.database.of(self.bot, async |rows| note.execute(rows).await).await?;
        Ok(noted.rows_affected() > 0)
    }

    /// Who brought the bot into a group, as far as that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owner(&self, group: ChatId) -> Result<Option<UserId>, StoreError> {
        self.database.of(self.bot, async |rows| self.read_owner(rows, group).await).await
    }

    async fn read_owner(&self, rows: &mut AnyConnection, group: ChatId) -> Result<Option<UserId>, StoreError> {
        let row = sqlx::query("SELECT owner_id FROM group_owners WHERE bot_id = $1 AND chat_id = $2")
            .bind(self.bot.0)
            .bind(group.0)
            .fetch_optional(rows)
            .await?;
        let owner = row.map(|row| row.try_get(0)).transpose()?;
        Ok(owner.map(UserId).filter(|owner| owner.0 != 0))
    }

    /// What the operator has laid down.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn operator_rules(&self) -> Result<Rules, StoreError> {
        self.database.of(self.bot, async |rows| self.read_rules(rows).await).await
    }

    async fn read_rules(&self, rows: &mut AnyConnection) -> Result<Rules, StoreError> {
        let found = sqlx::query("SELECT kind, subject, value FROM operator_rules WHERE bot_id = $1")
            .bind(self.bot.0)
            .fetch_all(rows)
            .await?;
        let mut rules = Rules::default();
        for row in found {
            let (subject, value): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            match row.try_get(0)? {
                "group" => drop(rules.listed.insert(ChatId(subject), value == 1)),
                "quota" if subject == 0 => rules.quota = Some(value),
                "quota" => drop(rules.quotas.insert(UserId(subject), value)),
                _ => rules.closed = value == 1,
            }
        }
        Ok(rules)
    }

    /// Lays down `rule` and has every group that it concerns decided again by whoever works. Returns what has changed for
    /// which group.
    ///
    /// # Errors
    /// [`StoreError`]: some groups may not be decided again yet; doing it once more does so.
    pub async fn lay_down(
        &self,
        rule: OperatorRule,
        now_ms: i64,
    ) -> Result<Vec<(ChatId, Option<Refusal>)>, StoreError> {
        let (kind, subject, value) = rule.row();
        let write = match value {
            None => sqlx::query("DELETE FROM operator_rules WHERE bot_id = $1 AND kind = $2 AND subject = $3")
                .bind(self.bot.0)
                .bind(kind)
                .bind(subject),
            Some(value) => sqlx::query(
                "INSERT INTO operator_rules (bot_id, kind, subject, value, set_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (bot_id, kind, subject) DO UPDATE SET value = excluded.value, set_ms = excluded.set_ms",
            )
            .bind(self.bot.0)
            .bind(kind)
            .bind(subject)
            .bind(value)
            .bind(now_ms),
        };
        let audit = Audit {
            chat: ChatId(if kind == "group" { subject } else { 0 }),
            actor: UserId(0),
            subject,
            action: format!("operator: {kind}"),
            detail: value.map_or_else(|| "none".to_owned(), |value| value.to_string()),
            trace_id: "operator".to_owned(),
        };
        let both = self.database.transaction(self.bot, async |tx| {
            write.execute(&mut *tx).await?;
            self.write_audit(tx, &audit, now_ms).await
        });
        both.await?;
        let mut changed = Vec::new();
        for (group, refusal) in self.judge_all().await? {
            let mut is_news = false;
            let mut step = |view: &crate::store::ChatView| {
                is_news = view.chat.facts.refused != refusal;
                apply(view, group, refusal, false, now_ms)
            };
            self.with_chat(group, "operator", now_ms, &mut step).await?;
            changed.extend(is_news.then_some((group, refusal)));
        }
        Ok(changed)
    }

    async fn judge_all(&self) -> Result<Vec<(ChatId, Option<Refusal>)>, StoreError> {
        let rules = self.operator_rules().await?;
        let mut of_owners: BTreeMap<Option<UserId>, Vec<ChatId>> = BTreeMap::new();
        for group in self.known_groups().await? {
            of_owners.entry(group.owner).or_default().push(group.id);
        }
        Ok(of_owners.into_iter().flat_map(|(owner, groups)| rules.judge(owner, &groups)).collect())
    }

    /// The groups that the bot knows and is in, as far as it is known, in the order in which it came into them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known_groups(&self) -> Result<Vec<KnownGroup>, StoreError> {
        let statement = sqlx::query(
            "SELECT c.version, c.facts, c.chat_id, coalesce(o.owner_id, 0) FROM chats c
             LEFT JOIN group_owners o ON o.bot_id = c.bot_id AND o.chat_id = c.chat_id
             WHERE c.bot_id = $1 AND coalesce(o.present, 1) = 1
             ORDER BY coalesce(o.at_ms, 0), coalesce(o.update_id, 0), c.chat_id",
        )
        .bind(self.bot.0);
        let rows = self.database.of_at_length(self.bot, async |rows| statement.fetch_all(rows).await).await?;
        let mut groups = Vec::new();
        for row in rows {
            let chat = read_chat(&row, 0)?;
            if matches!(chat.facts.kind.as_str(), "group" | "supergroup") {
                let owner = Some(UserId(row.try_get(3)?)).filter(|owner| owner.0 != 0);
                groups.push(KnownGroup { id: ChatId(row.try_get(2)?), chat, owner });
            }
        }
        Ok(groups)
    }

    pub(super) async fn admit_once(
        &self,
        group: ChatId,
        arrival: &Arrival,
    ) -> Result<Vec<(ChatId, Option<Refusal>)>, StoreError> {
        let judged = self.database.transaction(self.bot, async |tx| {
            // Two groups of one owner that are joined at once are counted one after the other. A person's private chat has
            // their id, and its lock is nobody else's meanwhile.
            let owners: BTreeSet<UserId> = self.read_owner(tx, group).await?.into_iter().chain(arrival.by).collect();
            self.lock_chats(tx, &owners.iter().map(|owner| owner.private_chat()).collect()).await?;
            self.write_arrival(tx, group, arrival).await?;
            let rules = self.read_rules(tx).await?;
            let mut judged = BTreeMap::new();
            for owner in &owners {
                judged.extend(rules.judge(Some(*owner), &self.present_groups(tx, *owner).await?));
            }
            if self.present_groups(tx, UserId(0)).await?.contains(&group) {
                judged.extend(rules.judge(None, &[group]));
            }
            Ok(judged.into_iter().collect())
        });
        judged.await
    }

    /// What happened before what is known changes nothing.
    async fn write_arrival(&self, tx: &mut AnyConnection, group: ChatId, arrival: &Arrival) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO group_owners (bot_id, chat_id, owner_id, present, at_ms, update_id) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (bot_id, chat_id) DO UPDATE SET present = excluded.present, at_ms = excluded.at_ms,
                owner_id = CASE WHEN excluded.owner_id = 0 THEN group_owners.owner_id ELSE excluded.owner_id END,
                update_id = excluded.update_id
             WHERE (group_owners.at_ms, group_owners.update_id) < (excluded.at_ms, excluded.update_id)",
        )
        .bind(self.bot.0)
        .bind(group.0)
        .bind(arrival.by.map_or(0, |owner| owner.0))
        .bind(i64::from(arrival.is_in))
        .bind(arrival.order.date * 1000)
        .bind(arrival.order.update_id.0)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn present_groups(&self, tx: &mut AnyConnection, owner: UserId) -> Result<Vec<ChatId>, StoreError> {
        let groups = sqlx::query(
            "SELECT chat_id FROM group_owners WHERE bot_id = $1 AND owner_id = $2 AND present = 1
             ORDER BY at_ms, update_id, chat_id",
        )
        .bind(self.bot.0)
        .bind(owner.0)
        .fetch_all(tx)
        .await?;
        groups.iter().map(|row| Ok(ChatId(row.try_get(0)?))).collect()
    }

    pub(super) async fn count_active_groups(&self) -> Result<(i64, i64), StoreError> {
        // `refused` is left out where there is none. What the bot may do is read as in `ChatFacts::own`.
        let statement = match self.database.dialect {
            Dialect::Postgres => {
                "SELECT count(*), count(*) FILTER (WHERE CASE
                        WHEN (c.facts::json #>> '{own_event,0,date}')::bigint * 1000 + 60000
                            >= coalesce((c.facts::json #>> '{own_lookup,0}')::bigint, 0)
                        THEN c.facts::json #>> '{own_event,2,can_restrict_members}'
                        ELSE c.facts::json #>> '{own_lookup,2,can_restrict_members}' END IS DISTINCT FROM 'true')
                 FROM chats c WHERE c.bot_id = $1 AND c.facts::json -> 'protected' ->> 'value' = 'true'
                    AND c.facts::json -> 'refused' IS NULL AND EXISTS
                    (SELECT 1 FROM links l WHERE l.bot_id = $1 AND l.group_id = c.chat_id AND l.enabled = 1)"
            }
            Dialect::Sqlite => {
                "SELECT count(*), count(*) FILTER (WHERE CASE
                        WHEN json_extract(c.facts, '$.own_event[0].date') * 1000 + 60000
                            >= coalesce(json_extract(c.facts, '$.own_lookup[0]'), 0)
                        THEN json_extract(c.facts, '$.own_event[2].can_restrict_members')
                        ELSE json_extract(c.facts, '$.own_lookup[2].can_restrict_members') END IS NOT 1)
                 FROM chats c WHERE c.bot_id = $1 AND json_extract(c.facts, '$.protected.value') = 1
                    AND json_extract(c.facts, '$.refused') IS NULL AND EXISTS
                    (SELECT 1 FROM links l WHERE l.bot_id = $1 AND l.group_id = c.chat_id AND l.enabled = 1)"
            }
        };
        let count = sqlx::query(statement).bind(self.bot.0);
        let row = self.database.of(self.bot, async |rows| count.fetch_one(rows).await).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}
