//! Dead letters in Redis: a stream beside the stream of updates.

use std::{collections::HashMap, sync::LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use nezuko_telegram::BotId;
use redis::{Cmd, Script};

use super::{DeadLetter, DeadLetters};
use crate::{keys, queue::QueueError, redis_pool::Redis};

static REPLAY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/replay.lua")));

/// The dead letters of a bot of a fleet.
#[derive(Debug)]
pub struct RedisDeadLetters {
    redis: Redis,
    bot: BotId,
}

type Entries = Vec<(String, HashMap<String, Bytes>)>;

impl RedisDeadLetters {
    /// Those of `bot`.
    #[must_use]
    pub const fn new(redis: Redis, bot: BotId) -> Self {
        Self { redis, bot }
    }

    async fn range(&self, from: &str, to: &str, max: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(keys::dead_letters(self.bot)).arg(from).arg(to).arg("COUNT").arg(max);
        let entries: Entries = self.redis.query(&range).await?;
        Ok(entries.into_iter().map(|(id, fields)| letter(id, &fields)).collect())
    }
}

fn letter(id: String, fields: &HashMap<String, Bytes>) -> DeadLetter {
    let text = |name: &str| fields.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    DeadLetter {
        id,
        died_ms: number("died").unwrap_or_default(),
        reason: text("reason").unwrap_or_default(),
        update_id: number("update"),
        received_ms: number("received"),
        traceparent: text("trace"),
        payload: fields.get("payload").cloned().unwrap_or_default(),
    }
}

/// What can be the id of a stream's entry. Redis answers others with an error that helps nobody.
fn is_entry_id(id: &str) -> bool {
    let is_number = |part: &str| part.parse::<u64>().is_ok();
    id.split_once('-').is_some_and(|(ms, sequence)| is_number(ms) && is_number(sequence))
}

#[async_trait]
impl DeadLetters for RedisDeadLetters {
    async fn list(&self, max: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.range("-", "+", max).await
    }

    async fn show(&self, id: &str) -> Result<Option<DeadLetter>, QueueError> {
        if is_entry_id(id) { Ok(self.range(id, id, 1).await?.pop()) } else { Ok(None) }
    }

    async fn replay(&self, id: &str) -> Result<bool, QueueError> {
        if !is_entry_id(id) {
            return Ok(false);
        }
        let mut script = REPLAY.key(keys::dead_letters(self.bot));
        script.key(keys::updates(self.bot)).arg(id);
        Ok(self.redis.invoke("replay", &script).await?)
    }

    async fn drop_one(&self, id: &str) -> Result<bool, QueueError> {
        if !is_entry_id(id) {
            return Ok(false);
        }
        let dropped: u64 = self.redis.query(&Cmd::xdel(keys::dead_letters(self.bot), &[id])).await?;
        Ok(dropped > 0)
    }
}
