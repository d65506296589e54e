//! The suite of the limiter's port.
//!
//! What a limiter promises is about arrivals at Telegram, which it does not see. So the suite assumes the worst: each
//! call may arrive at any moment from the answer to its question until its grant has run out, and the jitter later.
//! Over one that keeps a minute's budget it takes half a minute of its clock.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use nezuko_telegram::ChatId;
use tokio::time::{Instant, sleep, sleep_until};

use super::all_held;
use crate::limiter::{Budget, Limiter, Paused, Permit, Urgency};

const SECOND: Duration = Duration::from_secs(1);

/// The longest that a grant may be good.
const LONGEST_GRANT: Duration = Duration::from_millis(200);

/// By how much an asker comes later than it might, as real ones do; so nobody wins by a paused clock's precision.
const LATENESS: Duration = Duration::from_millis(5);

/// How long a check waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

const ALICE: ChatId = ChatId(11);
const BOB: ChatId = ChatId(12);
const GROUP: ChatId = ChatId(-1_001);

/// The limiters of one bot: one for each process that could have it.
pub type Handles = Vec<Arc<dyn Limiter>>;

/// Runs every check, at the same time, each with a bot of its own from `open`. `jitter` is the J that it was given.
///
/// # Errors
/// All promises that do not hold.
pub async fn suite(open: &(dyn Fn() -> Handles + Sync), jitter: Duration) -> Result<()> {
    macro_rules! checks {
        ($($name:ident),* $(,)?) => {
            vec![$({
                let case = Case { handles: open(), jitter };
                let check: Pin<Box<dyn Future<Output = Result<()>>>> =
                    Box::pin(async move { $name(&case).await.context(stringify!($name)) });
                check
            }),*]
        };
    }
    let mut checks = checks![
        at_most_thirty_messages_arrive_in_any_second,
        most_of_what_is_allowed_is_granted,
        grants_are_spaced_while_others_wait,
        one_message_a_second_goes_to_a_chat,
        twenty_messages_a_minute_go_to_a_group,
        a_person_gets_more_than_twenty_messages_a_minute,
        a_chat_that_must_wait_takes_nothing_from_the_others,
        other_calls_have_budgets_of_their_own,
        a_hundred_other_calls_a_second_are_granted_and_hardly_more,
        a_paused_chat_waits_with_every_call_and_alone,
        a_pause_of_the_bot_stops_everything,
        a_shorter_pause_does_not_end_a_longer_one,
        two_chats_that_are_paused_at_once_pause_the_bot,
        a_flood_halves_its_budget_once,
        bulk_alone_has_nearly_all,
        bulk_leaves_room_for_who_comes_now_and_then,
        bulk_gives_way_and_does_not_starve,
        bulk_messages_give_way_and_do_not_starve,
    ];
    checks.push(Box::pin(async move {
        bots_are_apart(&Case { handles: open(), jitter }, &Case { handles: open(), jitter })
            .await
            .context("bots_are_apart")
    }));
    let failed: Vec<_> = join_all(checks).await.into_iter().filter_map(Result::err).collect();
    all_held(&failed)
}

struct Case {
    handles: Handles,
    jitter: Duration,
}

/// A grant, and when its call can arrive.
#[derive(Clone, Copy, Debug)]
struct Grant {
    first: Instant,
    last: Instant,
}

impl Case {
    fn limiter(&self) -> &dyn Limiter {
        &*self.handles[0]
    }

    async fn ask(&self, budget: Budget, chat: Option<ChatId>) -> Result<Permit> {
        Ok(self.limiter().ask(budget, Urgency::Urgent, chat).await?)
    }

    /// Asks until granted, as often as it is told to.
    async fn wait_for(&self, budget: Budget, chat: Option<ChatId>) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while let Permit::Denied { retry_in, .. } = self.ask(budget, chat).await? {
            ensure!(Instant::now() < deadline, "{budget:?} to {chat:?} is never granted");
            sleep(retry_in.clamp(Duration::from_millis(1), SECOND)).await;
        }
        Ok(())
    }

    /// Waits for the silence at the beginning to end.
    async fn begin(&self) -> Result<()> {
        self.wait_for(Budget::Message, None).await
    }

    /// How many calls are granted to `askers` tasks over all handles until `until`.
    async fn calls(&self, budget: Budget, urgency: Urgency, askers: usize, until: Instant) -> Result<f64> {
        let askers = (0..askers).map(|asker| async move {
            let limiter = &self.handles[asker % self.handles.len()];
            let mut granted = 0_u32;
            while Instant::now() < until {
                match limiter.ask(budget, urgency, None).await? {
                    Permit::Granted { .. } => {
                        granted += 1;
                        ensure!(granted <= 10_000, "{budget:?}: calls without end");
                    }
                    Permit::Denied { retry_in, chat_bound } => {
                        ensure!(!chat_bound, "there is no chat");
                        ensure!(!retry_in.is_zero() && retry_in <= 4 * SECOND, "told to wait for {retry_in:?}");
                        sleep(retry_in + LATENESS).await;
                    }
                }
            }
            Ok(granted)
        });
        Ok(try_join_all(askers).await?.into_iter().map(f64::from).sum())
    }

    /// Messages a second that can be had where every grant is good for as long as it may be.
    fn highest_rate(&self) -> f64 {
        30.0 / (SECOND + LONGEST_GRANT + self.jitter).as_secs_f64()
    }

    /// Messages for chats that are all different, asked for by `askers` tasks over all handles until `until`.
    async fn hammer(&self, askers: usize, until: Instant) -> Result<Vec<Grant>> {
        let askers = (0..askers).map(|asker| async move {
            let limiter = &self.handles[asker % self.handles.len()];
            let mut chat = i64::try_from(asker)? * 1_000_000 + 1_000;
            let mut grants = Vec::new();
            while Instant::now() < until {
                chat += 1;
                let asked = Instant::now();
                match limiter.ask(Budget::Message, Urgency::Urgent, Some(ChatId(chat))).await? {
                    Permit::Granted { valid_for } => {
                        ensure!(valid_for <= LONGEST_GRANT, "a grant is good for {valid_for:?}");
                        let (first, last) = (Instant::now(), asked + valid_for);
                        if first <= last {
                            grants.push(Grant { first, last: last + self.jitter });
                        }
                    }
                    Permit::Denied { retry_in, chat_bound } => {
                        ensure!(!chat_bound, "a chat that was never written to has to wait");
                        ensure!(retry_in <= 2 * SECOND, "told to wait for {retry_in:?}");
                        sleep(retry_in + LATENESS).await;
                    }
                }
            }
            Ok(grants)
        });
        let mut grants = try_join_all(askers).await?.concat();
        grants.sort_by_key(|grant| grant.first);
        Ok(grants)
    }
}

/// The most calls that can arrive within one second.
fn worst_second(grants: &[Grant]) -> usize {
    let in_second_from =
        |start: Instant| grants.iter().filter(|grant| grant.last >= start && grant.first <= start + SECOND).count();
    grants.iter().map(|grant| in_second_from(grant.last)).max().unwrap_or_default()
}

async fn at_most_thirty_messages_arrive_in_any_second(case: &Case) -> Result<()> {
    let grants = case.hammer(8, Instant::now() + 6 * SECOND).await?;
    let worst = worst_second(&grants);
    ensure!(worst <= 30, "{worst} messages can arrive in one second");
    Ok(())
}

async fn most_of_what_is_allowed_is_granted(case: &Case) -> Result<()> {
    case.begin().await?;
    let started = Instant::now();
    let grants = case.hammer(8, started + 5 * SECOND).await?;
    let rate = grants.len() as f64 / started.elapsed().as_secs_f64();
    let least = 0.6 * case.highest_rate(); // A busy machine wastes grants.
    ensure!(rate >= least, "{rate:.1} messages/s, {least:.1} at least were expected");
    Ok(())
}

async fn grants_are_spaced_while_others_wait(case: &Case) -> Result<()> {
    case.begin().await?;
    let grants = case.hammer(8, Instant::now() + 3 * SECOND).await?;
    let within = |span: Duration| {
        let from = |start: Instant| grants.iter().filter(|g| g.first >= start && g.first <= start + span).count();
        grants.iter().map(|grant| from(grant.first)).max().unwrap_or_default()
    };
    let burst = within(SECOND / 4);
    ensure!(burst <= 14, "{burst} messages in a quarter of a second");
    Ok(())
}

async fn one_message_a_second_goes_to_a_chat(case: &Case) -> Result<()> {
    case.begin().await?;
    for chat in [ALICE, GROUP] {
        case.wait_for(Budget::Message, Some(chat)).await?;
        let granted = Instant::now();
        let denied = case.ask(Budget::Message, Some(chat)).await?;
        let Permit::Denied { retry_in, chat_bound: true } = denied else {
            anyhow::bail!("the second message in a second: {denied:?}")
        };
        ensure!(retry_in <= 2 * SECOND, "told to wait for {retry_in:?}");
        case.wait_for(Budget::Message, Some(chat)).await?;
        let between = granted.elapsed();
        // The grant was made before its answer came.
        ensure!(between >= SECOND - LONGEST_GRANT, "granted again after {between:?}");
        ensure!(between <= 3 * SECOND, "granted again after {between:?} only");
    }
    Ok(())
}

/// How many messages one chat is granted in half a minute, and the last denial.
async fn half_a_minute(case: &Case, chat: ChatId) -> Result<(u32, Duration)> {
    let until = Instant::now() + 30 * SECOND;
    let mut granted = 0;
    loop {
        match case.ask(Budget::Message, Some(chat)).await? {
            Permit::Granted { .. } => {
                granted += 1;
                ensure!(granted <= 1000, "messages to one chat without end");
            }
            Permit::Denied { retry_in, .. } => {
                let next = Instant::now() + retry_in.max(Duration::from_millis(1));
                if next > until {
                    return Ok((granted, retry_in));
                }
                sleep_until(next).await;
            }
        }
    }
}

async fn twenty_messages_a_minute_go_to_a_group(case: &Case) -> Result<()> {
    let (granted, denied) = half_a_minute(case, GROUP).await?;
    ensure!(granted == 20, "{granted} messages went to a group in half a minute");
    ensure!(denied > 20 * SECOND && denied <= 62 * SECOND, "the next one after {denied:?}");
    Ok(())
}

async fn a_person_gets_more_than_twenty_messages_a_minute(case: &Case) -> Result<()> {
    let (granted, _) = half_a_minute(case, ALICE).await?;
    ensure!((21..=30).contains(&granted), "{granted} messages went to a person in half a minute");
    Ok(())
}

async fn a_chat_that_must_wait_takes_nothing_from_the_others(case: &Case) -> Result<()> {
    case.begin().await?;
    let started = Instant::now();
    let until = started + 4 * SECOND;
    // Four chats ask far more often than they may be written to; one task asks for all the others.
    let impatient = try_join_all((1..=4).map(|chat| async move {
        let mut denied = 0_u32;
        while Instant::now() < until {
            let answer = case.ask(Budget::Message, Some(ChatId(chat))).await?;
            denied += u32::from(matches!(answer, Permit::Denied { chat_bound: true, .. }));
            sleep(Duration::from_millis(2)).await;
        }
        anyhow::Ok(denied)
    }));
    let (denied, grants) = tokio::join!(impatient, case.hammer(1, until));
    let denied: u32 = denied?.into_iter().sum();
    ensure!(denied > 100, "the chats were denied only {denied} times, too few for this check to mean anything");
    let rate = grants?.len() as f64 / started.elapsed().as_secs_f64();
    let least = 0.4 * case.highest_rate();
    ensure!(rate >= least, "only {rate:.1} messages/s for the others, {least:.1} at least were expected");
    Ok(())
}

const OTHERS: [Budget; 4] = [Budget::Lookup, Budget::Deletion, Budget::Restriction, Budget::Answer];

async fn other_calls_have_budgets_of_their_own(case: &Case) -> Result<()> {
    case.begin().await?;
    case.hammer(8, Instant::now() + SECOND).await?;
    case.wait_for(Budget::Message, Some(ALICE)).await?;
    for budget in OTHERS {
        for _ in 0..20 {
            let answer = case.ask(budget, Some(ALICE)).await?;
            ensure!(matches!(answer, Permit::Granted { .. }), "{budget:?} waits for others: {answer:?}");
        }
    }
    Ok(())
}

async fn a_hundred_other_calls_a_second_are_granted_and_hardly_more(case: &Case) -> Result<()> {
    for outcome in join_all(OTHERS.map(|budget| async move {
        let started = Instant::now();
        let mut granted = 0_u32;
        while started.elapsed() < 3 * SECOND {
            match case.ask(budget, None).await? {
                Permit::Granted { .. } => {
                    granted += 1;
                    ensure!(granted <= 1000, "{budget:?}: calls without end");
                }
                Permit::Denied { retry_in, chat_bound } => {
                    ensure!(!chat_bound, "there is no chat");
                    sleep(retry_in.clamp(Duration::from_millis(1), SECOND)).await;
                }
            }
        }
        let most = 100.0 * (started.elapsed().as_secs_f64() + 1.0);
        ensure!((100.0..=most).contains(&f64::from(granted)), "{budget:?}: {granted} calls in about 3 s");
        Ok(())
    }))
    .await
    {
        outcome?;
    }
    Ok(())
}

async fn a_paused_chat_waits_with_every_call_and_alone(case: &Case) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(2500);
    case.begin().await?;
    let paused = Instant::now();
    case.limiter().pause(Budget::Message, Some(ALICE), PAUSE).await?;
    for limiter in &case.handles {
        for budget in [Budget::Message].into_iter().chain(OTHERS) {
            let answer = limiter.ask(budget, Urgency::Urgent, Some(ALICE)).await?;
            let Permit::Denied { retry_in, chat_bound: true } = answer else {
                anyhow::bail!("{budget:?} to a paused chat: {answer:?}")
            };
            ensure!(retry_in <= PAUSE && retry_in > PAUSE / 10, "told to wait for {retry_in:?}");
        }
    }
    case.wait_for(Budget::Message, Some(BOB)).await?;
    let answer = case.ask(Budget::Lookup, None).await?;
    ensure!(matches!(answer, Permit::Granted { .. }), "others wait for a paused chat: {answer:?}");
    ensure!(paused.elapsed() < PAUSE, "others waited for a paused chat");
    case.wait_for(Budget::Message, Some(ALICE)).await?;
    let after = paused.elapsed();
    ensure!(after >= PAUSE.mul_f32(0.95), "a message in the pause, after {after:?}");
    ensure!(after <= PAUSE * 3, "the pause did not end: {after:?}");
    Ok(())
}

async fn a_pause_of_the_bot_stops_everything(case: &Case) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(2);
    case.begin().await?;
    let paused = Instant::now();
    case.limiter().pause(Budget::Message, None, PAUSE).await?;
    for limiter in &case.handles {
        for budget in [Budget::Message].into_iter().chain(OTHERS) {
            for chat in [None, Some(ALICE)] {
                let answer = limiter.ask(budget, Urgency::Urgent, chat).await?;
                let denied = matches!(answer, Permit::Denied { chat_bound: false, .. });
                ensure!(denied, "{budget:?} to {chat:?} while the bot is paused: {answer:?}");
            }
        }
    }
    case.wait_for(Budget::Answer, None).await?;
    let after = paused.elapsed();
    ensure!(after >= PAUSE.mul_f32(0.95), "a call in the pause, after {after:?}");
    ensure!(after <= PAUSE * 3, "the pause did not end: {after:?}");
    Ok(())
}

async fn a_shorter_pause_does_not_end_a_longer_one(case: &Case) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(2);
    for chat in [Some(ALICE), None] {
        let paused = Instant::now();
        case.limiter().pause(Budget::Message, chat, PAUSE).await?;
        case.limiter().pause(Budget::Message, chat, PAUSE / 10).await?;
        case.wait_for(Budget::Lookup, chat).await?;
        let after = paused.elapsed();
        ensure!(after >= PAUSE.mul_f32(0.95), "{chat:?}: the pause of {PAUSE:?} ended after {after:?}");
        case.limiter().pause(Budget::Message, chat, PAUSE / 10).await?;
        case.limiter().pause(Budget::Message, chat, PAUSE).await?;
        let answer = case.ask(Budget::Lookup, chat).await?;
        let prolonged = matches!(answer, Permit::Denied { retry_in, .. } if retry_in > PAUSE / 2);
        ensure!(prolonged, "{chat:?}: a longer pause did not prolong a shorter one: {answer:?}");
        // The chat's pause must not be taken for the bot's.
        case.wait_for(Budget::Lookup, chat).await?;
    }
    Ok(())
}

async fn two_chats_that_are_paused_at_once_pause_the_bot(case: &Case) -> Result<()> {
    const LONG: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_secs(2);
    let pause = |chat, for_| case.limiter().pause(Budget::Message, Some(chat), for_);
    ensure!(pause(ALICE, SHORT).await? == Paused::Chat, "one chat has paused the bot");
    sleep(SECOND + SECOND / 2).await;
    ensure!(pause(BOB, LONG).await? == Paused::Chat, "two chats, one after the other, have paused the bot");
    ensure!(pause(BOB, LONG).await? == Paused::Chat, "one chat, twice, has paused the bot");
    let paused = Instant::now();
    ensure!(pause(GROUP, SHORT).await? == Paused::Bot, "two chats at once have not paused the bot");
    case.wait_for(Budget::Answer, None).await?;
    let after = paused.elapsed();
    ensure!(after >= SHORT.mul_f32(0.95), "a call in the pause, after {after:?}");
    ensure!(after <= LONG, "the bot is paused for the longer of both");
    let answer = case.ask(Budget::Answer, Some(BOB)).await?;
    ensure!(matches!(answer, Permit::Denied { chat_bound: true, .. }), "the longer pause is forgotten: {answer:?}");
    Ok(())
}

async fn a_flood_halves_its_budget_once(case: &Case) -> Result<()> {
    const MOMENT: Duration = Duration::from_millis(20);
    // Two calls that were on their way together.
    for _ in 0..2 {
        case.limiter().pause(Budget::Lookup, Some(ALICE), MOMENT).await?;
    }
    case.limiter().pause(Budget::Message, Some(ALICE), MOMENT).await?;
    let until = Instant::now() + 3 * SECOND;
    let calls = |budget| case.calls(budget, Urgency::Urgent, 2, until);
    let (halved, whole) = tokio::join!(calls(Budget::Lookup), calls(Budget::Restriction));
    let (halved, whole) = (halved?, whole?);
    ensure!((100.0..=210.0).contains(&halved), "{halved} calls in 3 s of 50 a second");
    ensure!(whole >= 220.0, "{whole} calls in 3 s of 100 a second, which no 429 met");
    let rate = case.hammer(4, Instant::now() + 4 * SECOND).await?.len() as f64 / 4.0;
    ensure!(rate >= 0.6 * case.highest_rate(), "{rate:.1} messages/s: a 429 has halved them");
    // A second one, later.
    case.limiter().pause(Budget::Lookup, Some(ALICE), MOMENT).await?;
    let quartered = case.calls(Budget::Lookup, Urgency::Urgent, 2, Instant::now() + 3 * SECOND).await?;
    ensure!((50.0..=110.0).contains(&quartered), "{quartered} calls in 3 s of 25 a second");
    Ok(())
}

async fn bulk_alone_has_nearly_all(case: &Case) -> Result<()> {
    let calls = case.calls(Budget::Lookup, Urgency::Bulk, 6, Instant::now() + 3 * SECOND).await?;
    ensure!((150.0..=400.0).contains(&calls), "{calls} calls in 3 s of 100 a second");
    Ok(())
}

async fn bulk_leaves_room_for_who_comes_now_and_then(case: &Case) -> Result<()> {
    let until = Instant::now() + 4 * SECOND;
    let now_and_then = async {
        let (mut asked, mut at_once) = (0, 0);
        sleep(SECOND + SECOND / 2).await;
        while Instant::now() < until {
            asked += 1;
            at_once += u32::from(matches!(case.ask(Budget::Lookup, None).await?, Permit::Granted { .. }));
            sleep(SECOND / 5).await;
        }
        anyhow::Ok((asked, at_once))
    };
    let (bulk, others) = tokio::join!(case.calls(Budget::Lookup, Urgency::Bulk, 6, until), now_and_then);
    let (bulk, (asked, at_once)) = (bulk?, others?);
    ensure!(bulk >= 180.0, "bulk gave way too far: {bulk} calls in 4 s");
    ensure!(asked >= 8 && at_once + 2 >= asked, "{at_once} of {asked} urgent calls were let go at once");
    Ok(())
}

async fn bulk_gives_way_and_does_not_starve(case: &Case) -> Result<()> {
    // Bulk has all of it when many urgent calls come.
    let begun = Instant::now();
    let (until, from) = (begun + 6 * SECOND, begun + 3 * SECOND);
    let urgent = async {
        sleep_until(begun + SECOND).await;
        case.calls(Budget::Lookup, Urgency::Urgent, 6, from).await?;
        case.calls(Budget::Lookup, Urgency::Urgent, 6, until).await
    };
    let bulk = async {
        case.calls(Budget::Lookup, Urgency::Bulk, 3, from).await?;
        case.calls(Budget::Lookup, Urgency::Bulk, 3, until).await
    };
    let (urgent, bulk) = tokio::join!(urgent, bulk);
    let (urgent, bulk) = (urgent?, bulk?);
    ensure!(urgent >= 180.0, "{urgent} urgent calls in 3 s of 100 a second");
    ensure!((15.0..=70.0).contains(&bulk), "{bulk} calls of bulk in 3 s, whose part is 30");
    Ok(())
}

async fn bulk_messages_give_way_and_do_not_starve(case: &Case) -> Result<()> {
    case.begin().await?;
    let until = Instant::now() + 6 * SECOND;
    let of = |urgency| case.calls(Budget::Message, urgency, 3, until);
    let (urgent, bulk) = tokio::join!(of(Urgency::Urgent), of(Urgency::Bulk));
    let (urgent, bulk) = (urgent?, bulk?);
    let all = 6.0 * case.highest_rate();
    ensure!(urgent >= 0.45 * all, "{urgent} urgent messages of {all:.0}");
    ensure!((0.04 * all..=0.35 * all).contains(&bulk), "{bulk} bulk messages of {all:.0}");
    Ok(())
}

async fn bots_are_apart(one: &Case, other: &Case) -> Result<()> {
    try_join_all([one.begin(), other.begin()]).await?;
    one.limiter().pause(Budget::Message, None, 30 * SECOND).await?;
    other.wait_for(Budget::Message, Some(ALICE)).await?;
    let answer = one.ask(Budget::Lookup, None).await?;
    ensure!(matches!(answer, Permit::Denied { .. }), "the paused bot goes on: {answer:?}");
    Ok(())
}
