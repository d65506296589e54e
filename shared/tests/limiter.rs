//! The limiter's suite against its adapters, and against adapters that are wrong.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use nezuko_shared::{
    conformance::databases::server,
    conformance::{
        limiter::{Handles, suite},
        must_fail,
        redis_servers::RedisServers,
        some_bot,
    },
    keys,
    limiter::{Budget, Limiter, LimiterError, LimiterSettings, Permit, memory::MemoryLimiter, redis::RedisLimiter},
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, ChatId};
use tokio::time::Instant;

fn jitter() -> Duration {
    LimiterSettings::default().jitter
}

#[tokio::test]
async fn the_limiter_on_redis_passes() {
    let Some(url) = server("REDIS_URL") else { return };
    suite(&|| handles(&url), jitter()).await.unwrap();
}

#[tokio::test]
async fn the_limiter_passes_wherever_redis_is_with_the_documented_rights() {
    let servers = RedisServers::of_each_kind().await;
    let suites = servers.iter().map(async |servers| suite(&|| handles(&servers.worker), jitter()).await.unwrap());
    join_all(suites).await;
}

/// Each handle is a process of its own: nothing is shared but the server.
fn handles(url: &str) -> Handles {
    let bot = some_bot();
    let handle = |_| -> Arc<dyn Limiter> { Arc::new(on_redis(url, bot)) };
    (0..3).map(handle).collect()
}

#[tokio::test(start_paused = true)]
async fn the_limiter_in_memory_passes() {
    let open = || -> Handles { vec![Arc::new(MemoryLimiter::new(LimiterSettings::default()))] };
    suite(&open, jitter()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_jitter_the_limiter_in_memory_is_faster_and_passes() {
    let settings = LimiterSettings { jitter: Duration::ZERO, ..LimiterSettings::default() };
    suite(&|| -> Handles { vec![Arc::new(MemoryLimiter::new(settings))] }, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn without_redis_nothing_is_granted() {
    let limiter = on_redis("redis://127.0.0.1:1", some_bot());
    assert!(limiter.ask(Budget::Message, None).await.is_err());
    assert!(limiter.pause(None, Duration::from_secs(1)).await.is_err());
}

fn on_redis(url: &str, bot: BotId) -> RedisLimiter {
    RedisLimiter::new(Redis::new(url).unwrap(), bot, LimiterSettings::default())
}

/// Asks for messages until one is granted; returns how long that took.
async fn granted_after(limiter: &dyn Limiter) -> Duration {
    let started = Instant::now();
    while let Permit::Denied { retry_in, .. } = limiter.ask(Budget::Message, None).await.unwrap() {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(retry_in).await;
    }
    started.elapsed()
}

async fn retry_in(limiter: &dyn Limiter) -> Duration {
    match limiter.ask(Budget::Message, None).await.unwrap() {
        Permit::Denied { retry_in, .. } => retry_in,
        granted => panic!("{granted:?}"),
    }
}

#[tokio::test]
async fn forgotten_grants_and_a_clock_put_back_bring_a_second_of_silence() {
    let Some(url) = server("REDIS_URL") else { return };
    let bot = some_bot();
    let limiter = on_redis(&url, bot);
    let silence = Duration::from_secs(1)..Duration::from_millis(1400);
    assert!(silence.contains(&granted_after(&limiter).await), "at the very first");

    let state = keys::limiter(bot);
    let in_an_hour = "9999999999999999";
    let losses = [
        redis::cmd("DEL").arg(&state).to_owned(),
        redis::cmd("DEL").arg(keys::limiter_grants(bot, "message")).to_owned(),
        redis::cmd("HSET").arg(&state).arg("seen").arg(in_an_hour).to_owned(),
    ];
    let redis = Redis::new(&url).unwrap().link(Duration::from_secs(2));
    for loss in losses {
        redis.query::<()>(&loss).await.unwrap();
        let wait = retry_in(&limiter).await;
        assert!(silence.contains(&wait), "{wait:?}");
        granted_after(&limiter).await;
    }
    assert!(granted_after(&limiter).await < Duration::from_millis(200), "nothing was lost this time");
}

#[tokio::test]
async fn another_primary_brings_the_silence_of_a_failover() {
    let Some(url) = server("REDIS_URL") else { return };
    let bot = some_bot();
    let limiter = on_redis(&url, bot);
    granted_after(&limiter).await;
    let promoted = redis::cmd("HSET").arg(keys::limiter(bot)).arg("replid").arg("another").to_owned();
    Redis::new(&url).unwrap().link(Duration::from_secs(2)).query::<()>(&promoted).await.unwrap();
    let wait = retry_in(&limiter).await;
    assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
    let wait = retry_in(&limiter).await;
    assert!(wait > Duration::from_secs(8), "the silence ended when it was asked for again: {wait:?}");
}

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    FixedWindow,
    LogWithoutMargin,
    TokenBucketWithBurst,
    TooSlow,
    Bursts,
    TakesTheGlobalGrantThoughTheChatIsDenied,
    IgnoresChats,
    IgnoresTheMinuteOfGroups,
    TakesPersonsForGroups,
    BlamesTheBotForTheChat,
    BlamesTheChatForTheBot,
    OneBudgetForAll,
    NoLimitForOtherCalls,
    IgnoresPauses,
    PausesMessagesOnly,
    PausesTheBotForAChat,
    AShorterPauseWins,
    PausesForEver,
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 18] = [
    (Fault::FixedWindow, "at_most_thirty_messages_arrive_in_any_second"),
    (Fault::LogWithoutMargin, "at_most_thirty_messages_arrive_in_any_second"),
    (Fault::TokenBucketWithBurst, "at_most_thirty_messages_arrive_in_any_second"),
    (Fault::TooSlow, "most_of_what_is_allowed_is_granted"),
    (Fault::Bursts, "grants_are_spaced_while_others_wait"),
    (Fault::TakesTheGlobalGrantThoughTheChatIsDenied, "a_chat_that_must_wait_takes_nothing_from_the_others"),
    (Fault::IgnoresChats, "one_message_a_second_goes_to_a_chat"),
    (Fault::IgnoresTheMinuteOfGroups, "twenty_messages_a_minute_go_to_a_group"),
    (Fault::TakesPersonsForGroups, "a_person_gets_more_than_twenty_messages_a_minute"),
    (Fault::BlamesTheBotForTheChat, "one_message_a_second_goes_to_a_chat"),
    (Fault::BlamesTheChatForTheBot, "a_pause_of_the_bot_stops_everything"),
    (Fault::OneBudgetForAll, "other_calls_have_budgets_of_their_own"),
    (Fault::NoLimitForOtherCalls, "a_hundred_other_calls_a_second_are_granted_and_hardly_more"),
    (Fault::IgnoresPauses, "a_paused_chat_waits_with_every_call_and_alone"),
    (Fault::PausesMessagesOnly, "a_paused_chat_waits_with_every_call_and_alone"),
    (Fault::PausesTheBotForAChat, "a_paused_chat_waits_with_every_call_and_alone"),
    (Fault::AShorterPauseWins, "a_shorter_pause_does_not_end_a_longer_one"),
    (Fault::PausesForEver, "a_pause_of_the_bot_stops_everything"),
];

/// The simplest limiter, right without a fault.
#[derive(Default)]
struct Naive {
    fault: Option<Fault>,
    state: Mutex<NaiveState>,
}

#[derive(Default)]
struct NaiveState {
    began: Option<Instant>,
    /// When calls were granted, oldest first.
    grants: HashMap<Budget, VecDeque<Instant>>,
    chats: HashMap<ChatId, VecDeque<Instant>>,
    pauses: HashMap<Option<ChatId>, Instant>,
}

const VALID_FOR: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

impl Naive {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// When the budget has room.
    fn free_at(&self, state: &NaiveState, budget: Budget, now: Instant) -> Option<Instant> {
        let log = state.grants.get(&budget)?;
        if budget != Budget::Message {
            return if self.has(Fault::NoLimitForOtherCalls) { None } else { nth_last(log, 100).map(|at| at + SECOND) };
        }
        let window = match self.fault {
            Some(Fault::LogWithoutMargin) => SECOND,
            Some(Fault::TooSlow) => 3 * SECOND,
            _ => SECOND + VALID_FOR + jitter(),
        };
        let began = state.began.unwrap();
        match self.fault {
            Some(Fault::FixedWindow) => {
                let this = (now - began).as_secs();
                let in_this = log.iter().filter(|at| (**at - began).as_secs() == this).count();
                (in_this >= 30).then(|| began + Duration::from_secs(this + 1))
            }
            Some(Fault::TokenBucketWithBurst) => {
                // 30 tokens at first and 25 more each second.
                let earned = 30.0 + 25.0 * (now - began).as_secs_f64();
                (log.len() as f64 >= earned).then(|| now + SECOND / 25)
            }
            Some(Fault::Bursts) => nth_last(log, 30).map(|at| at + window),
            _ => nth_last(log, 30).map(|at| at + window).max(nth_last(log, 1).map(|at| at + window / 30)),
        }
    }
}

fn nth_last(log: &VecDeque<Instant>, n: usize) -> Option<Instant> {
    // A moment later than the grant, since only what is later than the end of a window is outside of it.
    log.len().checked_sub(n).map(|index| log[index] + Duration::from_nanos(1))
}

#[async_trait]
impl Limiter for Naive {
    async fn ask(&self, budget: Budget, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap();
        state.began.get_or_insert(now);
        let counted = if self.has(Fault::OneBudgetForAll) { Budget::Message } else { budget };
        let paused = |key: Option<ChatId>| {
            let exempt = self.has(Fault::PausesMessagesOnly) && budget != Budget::Message;
            state.pauses.get(&key).copied().filter(|_| !exempt)
        };
        let log = chat.filter(|_| budget == Budget::Message).and_then(|chat| state.chats.get(&chat));
        let in_a_minute = match self.fault {
            Some(Fault::IgnoresTheMinuteOfGroups) => false,
            Some(Fault::TakesPersonsForGroups) => true,
            _ => chat.is_some_and(|chat| chat.0 < 0),
        };
        let after_last = log.and_then(|log| nth_last(log, 1)).map(|at| at + SECOND + VALID_FOR + jitter());
        let after_minute =
            log.and_then(|log| nth_last(log, 20)).filter(|_| in_a_minute).map(|at| at + 60 * SECOND + VALID_FOR);
        let chat_free = [chat.and_then(|chat| paused(Some(chat))), after_last, after_minute];
        let wait = |free: [Option<Instant>; 3]| {
            free.iter().flatten().map(|free| free.saturating_duration_since(now)).max().unwrap_or_default()
        };
        let bot_wait = wait([paused(None), self.free_at(&state, counted, now), None]);
        let chat_wait = if self.has(Fault::IgnoresChats) { Duration::ZERO } else { wait(chat_free) };
        if !bot_wait.is_zero() || !chat_wait.is_zero() {
            if bot_wait.is_zero() && self.has(Fault::TakesTheGlobalGrantThoughTheChatIsDenied) {
                state.grants.entry(counted).or_default().push_back(now);
            }
            let chat_bound = match self.fault {
                Some(Fault::BlamesTheBotForTheChat) => false,
                Some(Fault::BlamesTheChatForTheBot) => true,
                _ => !chat_wait.is_zero(),
            };
            return Ok(Permit::Denied { retry_in: bot_wait.max(chat_wait), chat_bound });
        }
        state.grants.entry(counted).or_default().push_back(now);
        if let Some(chat) = chat.filter(|_| budget == Budget::Message) {
            state.chats.entry(chat).or_default().push_back(now);
        }
        Ok(Permit::Granted { valid_for: VALID_FOR })
    }

    async fn pause(&self, chat: Option<ChatId>, for_: Duration) -> Result<(), LimiterError> {
        let mut state = self.state.lock().unwrap();
        let until = Instant::now() + if self.has(Fault::PausesForEver) { 1000 * for_ } else { for_ };
        let key = if self.has(Fault::PausesTheBotForAChat) { None } else { chat };
        let known = state.pauses.get(&key).copied();
        if !self.has(Fault::IgnoresPauses)
            && (self.has(Fault::AShorterPauseWins) || known.is_none_or(|known| known < until))
        {
            state.pauses.insert(key, until);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_notices_each_fault_and_nothing_else() {
    suite(&|| -> Handles { vec![Arc::new(Naive::default())] }, jitter()).await.unwrap();
    for (fault, check) in FAULTS {
        let open = || -> Handles { vec![Arc::new(Naive { fault: Some(fault), ..Naive::default() })] };
        let noticed = must_fail(&format!("{fault:?}"), suite(&open, jitter())).await.unwrap();
        println!("{noticed}");
        assert!(noticed.contains(check), "not noticed by {check}: {noticed}");
    }
}
