//! The limiter that all workers share, on Redis. The rules are in `lua/grant.lua`; here are the clocks.

use std::{
    sync::{LazyLock, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId};
use redis::{RedisError, Script};
use tokio::time::Instant;

use super::{Budget, Limiter, LimiterError, LimiterSettings, MESSAGES_PER_MINUTE_IN_A_GROUP, Paused, Permit, Urgency};
use crate::{
    keys,
    redis_pool::{Link, Redis},
};

static GRANT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/grant.lua")));
static PAUSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/pause.lua")));

/// Bounds of the time for which a grant is good.
const VALID_FOR: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(200);

/// What a grant's validity leaves to its holder after the slowest round trip of late.
const TIME_TO_WRITE: Duration = Duration::from_millis(10);

/// An answer later than this would bring a grant that has run out.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How far Redis' clock may run ahead of ours between two questions, beside 0.1 % of drift.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(50);

impl From<RedisError> for LimiterError {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// One bot's limiter; any number of processes may have one for the same bot.
#[derive(Debug)]
pub struct RedisLimiter {
    link: Link,
    bot: BotId,
    settings: LimiterSettings,
    clock: Mutex<Clock>,
}

/// What a grant is asked for.
#[derive(Clone, Copy)]
struct Asked {
    budget: Budget,
    urgency: Urgency,
    chat: Option<ChatId>,
}

/// The script's answer.
struct Answer {
    granted: bool,
    wait: Duration,
    chat_bound: bool,
    redis_now: Duration,
}

impl RedisLimiter {
    /// All processes of a bot should have the same settings.
    #[must_use]
    pub fn new(redis: &Redis, bot: BotId, settings: LimiterSettings) -> Self {
        Self { link: redis.link(RESPONSE_TIMEOUT), bot, settings, clock: Mutex::new(Clock::default()) }
    }

    async fn run(&self, asked: Asked, valid_for: Duration, jumped: bool) -> Result<Answer, LimiterError> {
        let Asked { budget, urgency, chat } = asked;
        let strict = budget == Budget::Message;
        let margin = if strict { valid_for + self.settings.jitter } else { Duration::ZERO };
        let in_a_minute = if chat.is_some_and(super::is_group) { MESSAGES_PER_MINUTE_IN_A_GROUP } else { 0 };
        let mut script = GRANT.key(keys::limiter(self.bot, budget.name()));
        script.key(keys::limiter_grants(self.bot, budget.name())).key(keys::limiter_pause(self.bot, None));
        if let Some(chat) = chat {
            script.key(keys::limiter_pause(self.bot, Some(chat)));
            if strict {
                script.key(keys::limiter_chat(self.bot, chat));
            }
        }
        script.arg(budget.per_second()).arg(micros(margin)).arg(u8::from(strict)).arg(in_a_minute);
        script.arg(micros(self.settings.failover_silence)).arg(u8::from(jumped));
        script.arg(u8::from(urgency == Urgency::Bulk));
        let (granted, wait, chat_bound, now): (bool, u64, bool, u64) = self.link.invoke("grant", &script).await?;
        Ok(Answer { granted, wait: Duration::from_micros(wait), chat_bound, redis_now: Duration::from_micros(now) })
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.clock.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn ask(&self, budget: Budget, urgency: Urgency, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        let what = Asked { budget, urgency, chat };
        let strict = budget == Budget::Message;
        let (valid_for, answer) = loop {
            let (valid_for, jumped) = {
                let clock = self.clock();
                (clock.valid_for(), strict && clock.jumped)
            };
            let asked = Instant::now();
            let answer = self.run(what, valid_for, jumped).await?;
            let mut clock = self.clock();
            if jumped {
                clock.jumped = false;
            }
            clock.observe(asked, Instant::now(), answer.redis_now);
            if !(strict && clock.jumped) {
                break (valid_for, answer);
            }
            tracing::warn!(bot_id = self.bot.0, "the clock of Redis jumped forward: no messages for a moment");
        };
        Ok(match answer {
            Answer { granted: true, .. } => Permit::Granted { valid_for },
            Answer { wait, chat_bound, .. } => Permit::Denied { retry_in: wait, chat_bound },
        })
    }

    async fn pause(&self, budget: Budget, chat: Option<ChatId>, for_: Duration) -> Result<Paused, LimiterError> {
        let mut script = PAUSE.key(keys::limiter(self.bot, budget.name()));
        script.key(keys::limiter_pause(self.bot, None)).key(keys::limiter_flooded(self.bot));
        if let Some(chat) = chat {
            script.key(keys::limiter_pause(self.bot, Some(chat)));
        }
        script.arg(u64::try_from(for_.as_millis()).unwrap_or(u64::MAX).max(1));
        script.arg(chat.map_or(String::new(), |chat| chat.to_string()));
        script.arg(if budget == Budget::Message { 0 } else { budget.per_second() });
        Ok(if self.link.invoke("pause", &script).await? { Paused::Bot } else { Paused::Chat })
    }
}

/// What this process knows about the way to Redis and about Redis' clock.
#[derive(Debug, Default)]
struct Clock {
    /// The slowest round trip of late; a faster one lowers it by a twentieth.
    slowest: Duration,
    /// Redis' time in the newest answer, and when that was asked for.
    last: Option<(Duration, Instant)>,
    /// Whether Redis' clock has jumped forward and no question for messages has said so yet.
    jumped: bool,
}

impl Clock {
    /// δ: how long a grant is good, counted from the question.
    fn valid_for(&self) -> Duration {
        (self.slowest * 2 + TIME_TO_WRITE).clamp(*VALID_FOR.start(), *VALID_FOR.end())
    }

    /// Takes in an answer. Redis' clock has jumped if it has gone further than time has passed here since the last
    /// question: this much is certain, however long either message was on its way.
    fn observe(&mut self, asked: Instant, answered: Instant, redis_now: Duration) {
        self.slowest = (answered - asked).max(self.slowest * 19 / 20);
        let jumped = self.last.is_some_and(|(last_now, last_asked)| {
            let passed = answered - last_asked;
            redis_now.saturating_sub(last_now) > passed + passed / 1000 + CLOCK_TOLERANCE
        });
        if jumped || self.last.is_none_or(|(_, last_asked)| last_asked < asked) {
            self.last = Some((redis_now, asked));
        }
        self.jumped |= jumped;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::mem::take;

    use super::*;
    use crate::conformance::{databases::server, some_bot};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_grant_is_good_for_longer_where_the_way_is_slow_and_recovers() {
        let (mut clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.valid_for(), 20 * MS);
        clock.observe(start, start + 40 * MS, Duration::ZERO);
        assert_eq!(clock.valid_for(), 90 * MS);
        clock.observe(start, start + 900 * MS, Duration::ZERO);
        assert_eq!(clock.valid_for(), 200 * MS);
        for _ in 0..200 {
            clock.observe(start, start + MS, Duration::ZERO);
        }
        assert_eq!(clock.valid_for(), 20 * MS);
    }

    #[test]
    fn only_a_clock_that_outruns_ours_has_jumped() {
        let (mut clock, start, epoch) = (Clock::default(), Instant::now(), Duration::from_secs(1_700_000_000));
        let mut has_jumped = |asked, answered, redis_now| {
            clock.observe(start + asked * MS, start + answered * MS, epoch + redis_now * MS);
            take(&mut clock.jumped)
        };
        assert!(!has_jumped(0, 1, 0));
        // A second later, slowly answered: Redis may have looked at its clock at any moment of that.
        assert!(!has_jumped(1000, 1900, 1900));
        // A minute of silence with some drift.
        assert!(!has_jumped(61_000, 61_001, 61_050));
        // Put back: the script notices that by the newest grant.
        assert!(!has_jumped(62_000, 62_001, 50_000));
        // Put forward by a second.
        assert!(has_jumped(63_000, 63_001, 52_000));
        assert!(!has_jumped(64_000, 64_001, 53_000));
    }

    #[tokio::test]
    async fn a_jump_that_another_question_noticed_silences_messages_once() {
        let Some(url) = server("REDIS_URL") else { return };
        let limiter = RedisLimiter::new(&Redis::new(&url).unwrap(), some_bot(), LimiterSettings::default());
        let ask = async |budget| limiter.ask(budget, Urgency::Urgent, None).await.unwrap();
        while let Permit::Denied { retry_in, .. } = ask(Budget::Message).await {
            tokio::time::sleep(retry_in).await;
        }
        limiter.clock().last = Some((Duration::ZERO, Instant::now()));
        assert!(matches!(ask(Budget::Lookup).await, Permit::Granted { .. }));
        let Permit::Denied { retry_in, .. } = ask(Budget::Message).await else { panic!("granted after a jump") };
        assert!(retry_in > Duration::from_secs(1), "{retry_in:?}");
        while let Permit::Denied { retry_in: again, .. } = ask(Budget::Message).await {
            assert!(again <= retry_in, "silenced twice: {again:?}");
            tokio::time::sleep(again).await;
        }
    }
}
