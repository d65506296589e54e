//! The algorithms that such limiters usually are, each as it is found in the books, beside Nezuko's own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use nezuko_shared::{
    limiter::{Budget, Limiter, LimiterError, LimiterSettings, Paused, Permit, Urgency, redis::RedisLimiter},
    redis_pool::{Link, RESPONSE_TIMEOUT, Redis},
};
use nezuko_telegram::ChatId;
use redis::Script;
use serde::{Deserialize, Serialize};

use super::BOT;

/// How a limiter decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    /// Nezuko's own.
    Nezuko,
    /// A counter for each second of the clock.
    FixedWindow,
    /// The generic cell rate algorithm: one call in 1/30 s, of which 30 may be saved up.
    Gcra,
    /// The moments of the last calls: 30 in the second before now.
    SlidingLog,
}

/// All return the µs to wait, 0 where the call may go.
const FIXED_WINDOW: &str = "
    local time = redis.call('TIME')
    local key = KEYS[1] .. time[1]
    local calls = redis.call('INCR', key)
    redis.call('EXPIRE', key, 2)
    return calls <= 30 and 0 or 1000000 - tonumber(time[2])";

const GCRA: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local interval = 1000000 / 30
    local due = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
    local wait = due - 29 * interval - now
    if wait > 0 then return math.ceil(wait) end
    redis.call('SET', KEYS[1], string.format('%.0f', due + interval), 'PX', 2000)
    return 0";

const SLIDING_LOG: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - 1000000))
    if redis.call('ZCARD', KEYS[1]) < 30 then
        redis.call('ZADD', KEYS[1], string.format('%.0f', now), string.format('%.0f', now))
        redis.call('PEXPIRE', KEYS[1], 2000)
        return 0
    end
    return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] + 1000000 - now";

/// What none of them knows: a grant is good for as long as the call takes.
const FOR_EVER: Duration = Duration::from_secs(60);

impl Algorithm {
    /// A limiter on `redis`; `jitter` is of account to Nezuko's own.
    pub(crate) fn limiter(self, redis: &Redis, jitter: Duration) -> Arc<dyn Limiter> {
        let source = match self {
            Self::Nezuko => {
                let settings = LimiterSettings { jitter, ..LimiterSettings::default() };
                return Arc::new(RedisLimiter::new(redis, BOT, settings));
            }
            Self::FixedWindow => FIXED_WINDOW,
            Self::Gcra => GCRA,
            Self::SlidingLog => SLIDING_LOG,
        };
        Arc::new(Usual { link: redis.link(RESPONSE_TIMEOUT), script: Script::new(source) })
    }
}

struct Usual {
    link: Link,
    script: Script,
}

#[async_trait]
impl Limiter for Usual {
    async fn ask(&self, _: Budget, _: Urgency, _: Option<ChatId>) -> Result<Permit, LimiterError> {
        let asked = self.script.key("usual:");
        let wait: u64 = self.link.invoke("usual", &asked).await?;
        Ok(match wait {
            0 => Permit::Granted { valid_for: FOR_EVER },
            wait => Permit::Denied { retry_in: Duration::from_micros(wait), chat_bound: false },
        })
    }

    async fn pause(&self, _: Budget, _: Option<ChatId>, _: Duration) -> Result<Paused, LimiterError> {
        Ok(Paused::Chat) // Nobody here pauses.
    }
}
