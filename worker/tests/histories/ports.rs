//! Cache and limiter as the workers share them, each operation a step of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use nezuko_shared::{
    cache::{Cache, CacheError, ChatVersion, Verdict, memory::MemoryCache},
    limiter::{Budget, Limiter, LimiterError, Paused, Permit, Urgency},
};
use nezuko_telegram::{BotId, ChatId, UserId};

use crate::{
    coverage::count,
    scheduler::{run_alone, step},
    telegram::Telegram,
};

/// The cache in memory, shared by all workers; it may forget everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCache(Arc<Mutex<Arc<MemoryCache>>>);

impl SharedCache {
    fn now(&self) -> Arc<MemoryCache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether somebody's messages are not looked at.
    pub(crate) fn acquits(&self, bot: BotId, chat: ChatId, user: UserId) -> bool {
        run_alone(self.now().acquitted(bot, &[(chat, user)])).is_ok_and(|known| known == [true])
    }

    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }
}

#[async_trait]
impl Cache for SharedCache {
    async fn acquitted(&self, bot: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError> {
        step().await;
        let known = self.now().acquitted(bot, pairs).await?;
        count("cache", if known == [true] { "acquits" } else { "does not acquit" }, "");
        Ok(known)
    }

    async fn remember(&self, bot: BotId, verdicts: &[Verdict], ttl: Duration) -> Result<(), CacheError> {
        step().await;
        self.now().remember(bot, verdicts, ttl).await
    }

    async fn remember_chat(&self, bot: BotId, version: ChatVersion, ttl: Duration) -> Result<(), CacheError> {
        step().await;
        self.now().remember_chat(bot, version, ttl).await
    }
}

/// A limiter that grants whatever Telegram has not asked to wait for.
#[derive(Clone, Debug)]
pub(crate) struct PausingLimiter {
    telegram: Telegram,
    /// Until when a chat (`None`: a call that goes to none) is left alone, Unix milliseconds.
    pauses: Arc<Mutex<BTreeMap<Option<ChatId>, i64>>>,
}

impl PausingLimiter {
    pub(crate) fn new(telegram: Telegram) -> Self {
        Self { telegram, pauses: Arc::default() }
    }

    /// Whether Telegram has ever asked for a pause, by whose end workers keep their own time.
    pub(crate) fn has_paused(&self) -> bool {
        !self.pauses.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

#[async_trait]
impl Limiter for PausingLimiter {
    async fn ask(&self, _: Budget, _: Urgency, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        step().await;
        let until_ms =
            self.pauses.lock().unwrap_or_else(PoisonError::into_inner).get(&chat).copied().unwrap_or_default();
        let wait_ms = until_ms - self.telegram.now_ms();
        if wait_ms > 0 {
            count("limiter", "denied", "");
            let retry_in = Duration::from_millis(wait_ms.unsigned_abs());
            return Ok(Permit::Denied { retry_in, chat_bound: chat.is_some() });
        }
        Ok(Permit::Granted { valid_for: Duration::from_hours(1) })
    }

    async fn pause(&self, _: Budget, chat: Option<ChatId>, for_: Duration) -> Result<Paused, LimiterError> {
        let until_ms = self.telegram.now_ms() + for_.as_millis() as i64;
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let paused_until = pauses.entry(chat).or_insert(until_ms);
        *paused_until = until_ms.max(*paused_until);
        Ok(Paused::Chat)
    }
}
