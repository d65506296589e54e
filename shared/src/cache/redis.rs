//! The cache on Redis: a string a person and chat, a string a chat.
//!
//! "Never replaces a newer one" is decided in a script, so that two workers cannot cross. Scripts compare numbers as
//! doubles: orders and versions are exact up to 2^53.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, UserId};
use redis::{RedisError, Script};

use super::{Cache, CacheError, ChatVersion, Verdict, jittered};
use crate::{keys, redis_pool::Redis};

static REMEMBER_MEMBERS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/remember_members.lua")));
static REMEMBER_CHAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/remember_chat.lua")));

impl From<RedisError> for CacheError {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// The cache that all workers share.
#[derive(Clone, Debug)]
pub struct RedisCache {
    redis: Redis,
}

impl RedisCache {
    /// Takes its connections from the pool.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn acquitted(&self, bot: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let chats: Vec<ChatId> = pairs.iter().map(|(chat, _)| *chat).collect::<BTreeSet<_>>().into_iter().collect();
        let mut lookup = redis::cmd("MGET");
        for chat in &chats {
            lookup.arg(keys::cached_chat(bot, *chat));
        }
        for (chat, user) in pairs {
            lookup.arg(keys::cached_member(bot, *chat, *user));
        }
        let found: Vec<Option<String>> = self.redis.query(&lookup).await?;
        let (of_chats, of_members) = found.split_at(chats.len());
        let versions: BTreeMap<ChatId, Option<(i64, bool)>> =
            chats.iter().zip(of_chats).map(|(chat, value)| (*chat, value.as_deref().and_then(parse_chat))).collect();
        let is_acquitted = |(chat, member): (&ChatId, &Option<String>)| match versions[chat] {
            None => false,
            Some((_, false)) => true,
            Some((version, true)) => member.as_deref().and_then(parse_member) == Some((version, true)),
        };
        Ok(pairs.iter().map(|(chat, _)| chat).zip(of_members).map(is_acquitted).collect())
    }

    async fn remember(&self, bot: BotId, verdicts: &[Verdict], ttl: Duration) -> Result<(), CacheError> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let mut script = REMEMBER_MEMBERS.prepare_invoke();
        for verdict in verdicts {
            script.key(keys::cached_member(bot, verdict.group, verdict.user));
            script.arg(verdict.order).arg(verdict.settings_version).arg(u8::from(verdict.acquitted));
            script.arg(millis(jittered(ttl)));
        }
        Ok(self.redis.invoke("remember_members", &script).await?)
    }

    async fn remember_chat(&self, bot: BotId, version: ChatVersion, ttl: Duration) -> Result<(), CacheError> {
        let mut script = REMEMBER_CHAT.key(keys::cached_chat(bot, version.chat));
        script.arg(version.settings_version).arg(u8::from(version.protected)).arg(millis(jittered(ttl)));
        Ok(self.redis.invoke("remember_chat", &script).await?)
    }
}

/// `<settings version>:<protected>`
fn parse_chat(value: &str) -> Option<(i64, bool)> {
    let (version, protected) = value.split_once(':')?;
    Some((version.parse().ok()?, protected == "1"))
}

/// Settings version and acquittal of `<order>:<settings version>:<acquitted>`.
fn parse_member(value: &str) -> Option<(i64, bool)> {
    let (_order, rest) = value.split_once(':')?;
    let (version, acquitted) = rest.split_once(':')?;
    Some((version.parse().ok()?, acquitted == "1"))
}

/// At least one, since Redis takes no time to live of 0.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
