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
    limiter::{
        Budget, Limiter, LimiterError, LimiterSettings, Paused, Permit, Urgency, memory::MemoryLimiter,
        redis::RedisLimiter,
    },
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
    assert!(limiter.ask(Budget::Message, Urgency::Urgent, None).await.is_err());
    assert!(limiter.pause(Budget::Message, None, Duration::from_secs(1)).await.is_err());
}

fn on_redis(url: &str, bot: BotId) -> RedisLimiter {
    RedisLimiter::new(&Redis::new(url).unwrap(), bot, LimiterSettings::default())
}

/// Asks for messages until one is granted; returns how long that took.
async fn granted_after(limiter: &dyn Limiter) -> Duration {
    let started = Instant::now();
    while let Permit::Denied { retry_in, .. } = limiter.ask(Budget::Message, Urgency::Urgent, None).await.unwrap() {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(retry_in).await;
    }
    started.elapsed()
}

async fn retry_in(limiter: &dyn Limiter) -> Duration {
    match limiter.ask(Budget::Message, Urgency::Urgent, None).await.unwrap() {
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

    let state = keys::limiter(bot, "message");
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
    let promoted = redis::cmd("HSET").arg(keys::limiter(bot, "message")).arg("replid").arg("another").to_owned();
    Redis::new(&url).unwrap().link(Duration::from_secs(2)).query::<()>(&promoted).await.unwrap();
    let wait = retry_in(&limiter).await;
    assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
    let wait = retry_in(&limiter).await;
    assert!(wait > Duration::from_secs(8), "the silence ended when it was asked for again: {wait:?}");
}

#[tokio::test]
async fn the_longest_jitter_that_can_be_set_keeps_all_limits() {
    let Some(url) = server("REDIS_URL") else { return };
    let settings = LimiterSettings { jitter: Duration::from_secs(5), ..LimiterSettings::default() };
    let limiter = RedisLimiter::new(&Redis::new(&url).unwrap(), some_bot(), settings);
    granted_after(&limiter).await;
    let began = Instant::now();
    for _ in 0..10 {
        granted_after(&limiter).await;
    }
    let took = began.elapsed(); // (1 s + 5 s + δ) / 30 for each.
    assert!(took < Duration::from_secs(5), "ten messages in {took:?}");
    let chat = Some(ChatId(-1));
    while let Permit::Denied { retry_in, chat_bound } =
        limiter.ask(Budget::Message, Urgency::Urgent, chat).await.unwrap()
    {
        assert!(!chat_bound, "the first message to the chat has to wait");
        tokio::time::sleep(retry_in).await;
    }
    granted_after(&limiter).await;
    let second = limiter.ask(Budget::Message, Urgency::Urgent, chat).await.unwrap();
    assert!(matches!(second, Permit::Denied { chat_bound: true, .. }), "a second message to one chat: {second:?}");
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
    TwoChatsAreTwoChats,
    TwoChatsPauseTheBotForTheLonger,
    IgnoresFloods,
    HalvesForEachFlood,
    HalvesMessages,
    HalvesEveryBudget,
    BulkGoesWithTheUrgent,
    HalfIsKeptFromBulk,
    BulkStarves,
    UrgentMessagesGoAfterBulk,
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 28] = [
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
    (Fault::TwoChatsAreTwoChats, "two_chats_that_are_paused_at_once_pause_the_bot"),
    (Fault::TwoChatsPauseTheBotForTheLonger, "two_chats_that_are_paused_at_once_pause_the_bot"),
    (Fault::IgnoresFloods, "a_flood_halves_its_budget_once"),
    (Fault::HalvesForEachFlood, "a_flood_halves_its_budget_once"),
    (Fault::HalvesMessages, "a_flood_halves_its_budget_once"),
    (Fault::HalvesEveryBudget, "a_flood_halves_its_budget_once"),
    (Fault::BulkGoesWithTheUrgent, "bulk_leaves_room_for_who_comes_now_and_then"),
    (Fault::HalfIsKeptFromBulk, "bulk_alone_has_nearly_all"),
    (Fault::BulkStarves, "bulk_gives_way_and_does_not_starve"),
    (Fault::UrgentMessagesGoAfterBulk, "bulk_messages_give_way_and_do_not_starve"),
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
    flooded: Option<(ChatId, Instant, Duration)>,
    /// By how much a budget is divided, and since when.
    divided: HashMap<Budget, (u32, Instant)>,
    /// When bulk was granted last.
    bulk: HashMap<Budget, Instant>,
    /// Until when somebody counts as waiting.
    waits: HashMap<(Budget, Urgency), Instant>,
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
            let calls = self.calls(state, budget) as usize;
            return if self.has(Fault::NoLimitForOtherCalls) {
                None
            } else {
                nth_last(log, calls).map(|at| at + SECOND)
            };
        }
        let window = match self.fault {
            Some(Fault::LogWithoutMargin) => SECOND,
            Some(Fault::TooSlow) => 3 * SECOND,
            _ => (SECOND + VALID_FOR + jitter()) * (30 / self.calls(state, budget)),
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

/// What bulk may have, and what it leaves.
impl Naive {
    fn calls(&self, state: &NaiveState, budget: Budget) -> u32 {
        let divided = state.divided.get(&budget).map_or(1, |(by, _)| *by);
        (if budget == Budget::Message { 30 } else { 100 }) / divided
    }

    /// Between two calls of which there are so many in a second.
    fn apart(budget: Budget, calls: f64) -> Duration {
        let window = if budget == Budget::Message { SECOND + VALID_FOR + jitter() } else { SECOND };
        window.div_f64(calls)
    }

    /// When a call may go as far as those of the other urgency are concerned.
    fn turn(&self, state: &mut NaiveState, budget: Budget, urgency: Urgency, now: Instant) -> Option<Instant> {
        if self.has(Fault::BulkGoesWithTheUrgent) {
            return None;
        }
        let calls = f64::from(self.calls(state, budget));
        let after = |share: f64| state.bulk.get(&budget).map_or(now, |last| *last + Self::apart(budget, calls * share));
        let waits = |of| state.waits.get(&(budget, of)).is_some_and(|until| *until > now);
        let backwards = self.has(Fault::UrgentMessagesGoAfterBulk) && budget == Budget::Message;
        if (urgency == Urgency::Bulk) != backwards {
            let starves = self.has(Fault::BulkStarves);
            let share_due = if starves { now + SECOND } else { after(0.1).min(now + SECOND / 10) };
            let pace = if self.has(Fault::HalfIsKeptFromBulk) { 0.5 } else { 0.9 };
            Some(after(pace)).max(waits(if backwards { Urgency::Bulk } else { Urgency::Urgent }).then_some(share_due))
        } else {
            let gives_way = waits(Urgency::Bulk) && after(0.1) <= now && !self.has(Fault::BulkStarves);
            (gives_way && !backwards).then(|| now + Self::apart(budget, calls))
        }
    }

    fn after(&self, state: &mut NaiveState, budget: Budget, urgency: Urgency, denied_for: Option<Duration>) {
        let now = Instant::now();
        match denied_for {
            Some(wait) => drop(state.waits.insert((budget, urgency), now + wait + SECOND / 10)),
            None => {
                state.waits.remove(&(budget, urgency));
                if urgency == Urgency::Bulk {
                    state.bulk.insert(budget, now);
                }
            }
        }
    }

    fn halve(&self, state: &mut NaiveState, budget: Budget) {
        let now = Instant::now();
        let budgets = match (self.fault, budget) {
            (Some(Fault::IgnoresFloods), _) => vec![],
            (Some(Fault::HalvesEveryBudget), Budget::Lookup) => vec![Budget::Lookup, Budget::Restriction],
            (Some(Fault::HalvesMessages), _) => vec![budget],
            (_, Budget::Message) => vec![],
            _ => vec![budget],
        };
        for budget in budgets {
            let (by, at) = state.divided.entry(budget).or_insert((1, now - 2 * SECOND));
            if now - *at > SECOND || self.has(Fault::HalvesForEachFlood) {
                (*by, *at) = (*by * 2, now);
            }
        }
    }
}

fn nth_last(log: &VecDeque<Instant>, n: usize) -> Option<Instant> {
    // A moment later than the grant, since only what is later than the end of a window is outside of it.
    log.len().checked_sub(n).map(|index| log[index] + Duration::from_nanos(1))
}

#[async_trait]
impl Limiter for Naive {
    async fn ask(&self, budget: Budget, urgency: Urgency, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        let now = Instant::now();
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        let turn = self.turn(state, budget, urgency, now);
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
        let bot_wait = wait([paused(None), self.free_at(state, counted, now), turn]);
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
            if chat_wait.is_zero() {
                self.after(state, budget, urgency, Some(bot_wait));
            }
            return Ok(Permit::Denied { retry_in: bot_wait.max(chat_wait), chat_bound });
        }
        self.after(state, budget, urgency, None);
        state.grants.entry(counted).or_default().push_back(now);
        if let Some(chat) = chat.filter(|_| budget == Budget::Message) {
            state.chats.entry(chat).or_default().push_back(now);
        }
        Ok(Permit::Granted { valid_for: VALID_FOR })
    }

    async fn pause(&self, budget: Budget, chat: Option<ChatId>, for_: Duration) -> Result<Paused, LimiterError> {
        let mut state = self.state.lock().unwrap();
        self.halve(&mut state, budget);
        let now = Instant::now();
        let mut paused = vec![(if self.has(Fault::PausesTheBotForAChat) { None } else { chat }, for_)];
        let of_another = state.flooded.filter(|(other, at, _)| Some(*other) != chat && now - *at < SECOND);
        if let Some(chat) = chat {
            if let Some((_, _, other)) = of_another.filter(|_| !self.has(Fault::TwoChatsAreTwoChats)) {
                let longer = self.has(Fault::TwoChatsPauseTheBotForTheLonger);
                paused.push((None, if longer { other.max(for_) } else { other.min(for_) }));
            }
            state.flooded = Some((chat, now, for_));
        }
        for (key, for_) in &paused {
            let until = now + if self.has(Fault::PausesForEver) { 1000 * *for_ } else { *for_ };
            let known = state.pauses.get(key).copied();
            if !self.has(Fault::IgnoresPauses)
                && (self.has(Fault::AShorterPauseWins) || known.is_none_or(|known| known < until))
            {
                state.pauses.insert(*key, until);
            }
        }
        Ok(if paused.iter().any(|(key, _)| key.is_none()) { Paused::Bot } else { Paused::Chat })
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
