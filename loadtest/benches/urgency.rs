//! How long people wait for the bot while it has much to do: real programs around real servers, a Telegram that answers
//! at once and keeps its flood rules, and its record of who came, pressed and was muted when.
//!
//! `.ci/with-servers cargo bench --package nezuko-loadtest --bench urgency`; the programs are taken from the same profile.

#![allow(clippy::unwrap_used, reason = "a bench ends where a test would")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use loadtest::{
    drive::{PlayOptions, Run},
    generate::{BacklogPlan, LoudPlan, RaidPlan, Scenario, backlog, loud, raid},
    oracle::Tolerance,
    simulator::{Options, Simulator},
    world::{Act, ChatId, Entry, Happened, Member, UserId},
};
use support::{
    Directory, Running, SECRET, fresh_bot,
    play::now_ms,
    servers::{Servers, with_servers},
    settings, token,
};

const RAID: RaidPlan = RaidPlan { groups: 10, raiders: 5_000, lasts_ms: 60_000 };
const BACKLOG: BacklogPlan = BacklogPlan { members: 2_500, newcomers: 200, lasts_ms: 15_000 };
const LOUD: LoudPlan = LoudPlan { questions: 400, others: 20, asks: 5, lasts_ms: 40_000 };

#[tokio::main]
async fn main() {
    let in_time = [the_raid().await, beside_a_long_work().await, beside_a_loud_group().await];
    assert!(in_time.into_iter().all(|held| held), "a promise does not hold");
}

/// Everybody is muted within 5 s, with a prompt a group that is edited rather than sent again.
async fn the_raid() -> bool {
    let mut holds = false;
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let scenario = raid(1, RAID, Scenario::demo_bot(bot));
        let (history, refused) = play(servers, bot, scenario, Duration::from_secs(20)).await;
        let mutes = waits(&history, bot).mutes;
        let messages = messages(&history);
        let most = |count: fn(&Messages) -> usize| messages.values().map(count).max().unwrap_or_default();
        println!("raid: {} joins into {} groups in {} s", RAID.raiders, RAID.groups, RAID.lasts_ms / 1_000);
        report("join to mute", &mutes);
        let (sent, edited) = (most(|of| of.sent), most(|of| of.edited));
        println!(
            "prompts: at most {sent} sent and {edited} times edited in one group; refused for flooding: {refused}"
        );
        holds = mutes.len() == RAID.raiders && mutes.last().is_some_and(|ms| *ms <= 5_000) && sent <= 3 && refused == 0;
    })
    .await;
    holds
}

/// Who comes and presses meanwhile waits no longer than if nothing else was to be done.
async fn beside_a_long_work() -> bool {
    let mut holds = false;
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let (scenario, begins_ms) = backlog(2, BACKLOG, Scenario::demo_bot(bot));
        let (history, refused) = play(servers, bot, scenario, Duration::from_secs(60)).await;
        let started_ms =
            history.iter().find(|entry| matches!(entry.what, Happened::Acted { .. })).map_or(0, |e| e.at_ms);
        let during: Vec<Entry> = history.into_iter().filter(|entry| entry.at_ms >= started_ms + begins_ms).collect();
        let until = during.first().map_or(0, |entry| entry.at_ms) + BACKLOG.lasts_ms;
        let lookups = during.iter().filter(|e| e.at_ms <= until && matches!(e.what, Happened::LookedUp { .. })).count();
        let lookups_per_second = lookups as f64 * 1e3 / BACKLOG.lasts_ms as f64;
        let Waits { mutes, answers } = waits(&during, bot);
        println!("\nbeside a long work: {} people of another group are looked up and muted", BACKLOG.members);
        println!("{lookups_per_second:.0} lookups/s in these {} s", BACKLOG.lasts_ms / 1_000);
        report("join to mute", &mutes);
        report("press to answer", &answers);
        println!("refused for flooding: {refused}");
        // Everybody, half of whom come and half of whom press, and beside a work that was really under way.
        let quick =
            |waits: &[i64]| waits.len() == BACKLOG.newcomers / 2 && percentile(waits, 50).is_some_and(|ms| ms <= 50);
        holds = quick(&mutes) && quick(&answers) && lookups_per_second >= 50.0 && refused == 0;
    })
    .await;
    holds
}

/// What one group has to wait for is no other's concern.
async fn beside_a_loud_group() -> bool {
    let mut holds = false;
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let (scenario, loud) = loud(3, LOUD, Scenario::demo_bot(bot));
        let (history, refused) = play(servers, bot, scenario, Duration::from_secs(1)).await;
        let (mut of_loud, mut of_others) = (Vec::new(), Vec::new());
        for (chat, waited) in replies(&history) {
            if chat == loud { of_loud.push(waited) } else { of_others.push(waited) }
        }
        of_others.sort_unstable();
        println!("\nbeside a group that asks {} questions at once, and is answered {}", LOUD.questions, of_loud.len());
        report("question to reply in the others", &of_others);
        println!("refused for flooding: {refused}");
        // There is nothing to wait for but the distance between two messages of the bot.
        holds = of_others.len() == LOUD.others * LOUD.asks
            && of_loud.len() < LOUD.questions
            && percentile(&of_others, 99).is_some_and(|ms| ms <= 500)
            && refused == 0;
    })
    .await;
    holds
}

/// In which chat a question was answered, and after how long, ms.
fn replies(history: &[Entry]) -> Vec<(ChatId, i64)> {
    let (mut asked, mut replies) = (HashMap::new(), Vec::new());
    for Entry { at_ms, what } in history {
        match what {
            Happened::Sent { chat, message, text, reply_to: None, .. } if text == "/help" => {
                asked.insert((*chat, *message), *at_ms);
            }
            Happened::Sent { chat, reply_to: Some(to), .. } => {
                replies.extend(asked.remove(&(*chat, *to)).map(|asked: i64| (*chat, at_ms - asked)));
            }
            _ => {}
        }
    }
    replies
}

/// Plays a scenario in real time to a gateway and two workers; what happened, and how many messages broke a flood rule.
async fn play(servers: Servers, bot: UserId, scenario: Scenario, drain: Duration) -> (Vec<Entry>, u64) {
    let options = Options { flood_rules: true, max_connections: 100, ..Options::new(&token(bot)) };
    let simulator = Simulator::start(scenario.world(now_ms()), options).await.unwrap();
    let lasts = Duration::from_millis(scenario.acts.last().unwrap().at_ms.unsigned_abs());
    let play = PlayOptions {
        lasts,
        patience: Duration::from_secs(5),
        quiet: Duration::from_secs(3),
        drain,
        tolerance: Tolerance::default(),
    };
    let mut run = Run::new(scenario, simulator, play);
    let dir = Directory::new();
    let mut settings = settings(bot, &run.simulator().api_url(), &servers.database_url);
    settings.push(("REDIS_URL", servers.redis_url));
    let gateway = Running::start("nezuko-gateway", "gateway", &dir, &settings).await;
    let mut workers = Vec::new();
    for name in ["worker-1", "worker-2"] {
        workers.push(Running::start("nezuko-worker", name, &dir, &settings).await);
    }
    run.simulator().deliver_to(&[&gateway.webhook()], Some(SECRET));
    run.play(|_| ()).await;
    run.drain(|_| ()).await;
    for program in [gateway].into_iter().chain(workers) {
        program.stop().await;
    }
    let refused = run.simulator().flood_refusals().values().sum();
    let history = run.simulator().world(|world| world.history().to_vec());
    run.stop().await;
    (history, refused)
}

/// How long people waited, ms, in order.
#[derive(Default)]
struct Waits {
    mutes: Vec<i64>,
    answers: Vec<i64>,
}

fn waits(history: &[Entry], bot: UserId) -> Waits {
    let (mut came, mut pressed, mut waits) = (HashMap::new(), HashMap::new(), Waits::default());
    for Entry { at_ms, what } in history {
        match what {
            Happened::Acted { act: Act::Join { user, chat }, refused: None } => {
                came.insert((*chat, *user), *at_ms);
            }
            Happened::Changed { chat, user, by, new: Member::Restricted { .. }, .. } if *by == bot => {
                waits.mutes.extend(came.remove(&(*chat, *user)).map(|came: i64| at_ms - came));
            }
            Happened::Pressed { query, .. } => {
                pressed.insert(*query, *at_ms);
            }
            Happened::Answered { query, .. } => {
                waits.answers.extend(pressed.remove(query).map(|pressed: i64| at_ms - pressed));
            }
            _ => {}
        }
    }
    waits.mutes.sort_unstable();
    waits.answers.sort_unstable();
    waits
}

/// The prompts of a group.
#[derive(Default)]
struct Messages {
    sent: usize,
    edited: usize,
}

fn messages(history: &[Entry]) -> BTreeMap<ChatId, Messages> {
    let mut of: BTreeMap<ChatId, Messages> = BTreeMap::new();
    for entry in history {
        match entry.what {
            Happened::Sent { chat, has_button: true, .. } => of.entry(chat).or_default().sent += 1,
            Happened::Edited { chat, .. } => of.entry(chat).or_default().edited += 1,
            _ => {}
        }
    }
    of
}

fn report(what: &str, waits: &[i64]) {
    let at = |percent| percentile(waits, percent).unwrap_or_default();
    let (count, longest) = (waits.len(), waits.last().copied().unwrap_or_default());
    println!("{what}: {count} times, p50 {} ms, p90 {} ms, p99 {} ms, longest {longest} ms", at(50), at(90), at(99));
}

fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}
