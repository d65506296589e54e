//! The oracle catches bugs that are planted into the real program, each for what it does wrong, and accepts the same days
//! without them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use loadtest::{
    drive::{PlayOptions, Progress, Run},
    generate::{DayPlan, Scenario, Timed, day},
    oracle::{Kind, Tolerance, Verdict},
    simulator::{Fault, FaultKind, Options, Simulator},
    world::{Act, ChatKind, ChatSpec, Member, UserId},
};
use support::{
    Directory, Running, eventually, fresh_bot,
    play::{AFTER_A_DEATH, assert_clean, assert_clean_but_for_a_death, now_ms},
    settings, token,
};
use tokio::sync::watch;

/// Little of everything.
const PLAN: DayPlan = DayPlan { groups: 5, talkers: 8, messages: 2, stories: 36, raiders: 10 };
/// So many updates in a row contain one of every thousand numbers, whatever else comes between.
const PRESSES: usize = 1_100;

/// By the scenario's clock, ms.
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// When all groups are protected and nobody else has acted yet.
const OPENED: i64 = 2 * HOUR;

/// How a day differs from the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    /// Not at all.
    None,
    /// Many people press, for every update to matter.
    ManyPresses,
    /// Many people press, and the program is killed in the middle of it and started again.
    Killed,
    /// Telegram does not tell who is in one of the channels but by events.
    SilentChannel,
    /// People leave their channel and come back, and every second update comes again after younger ones.
    LateCopies,
}

/// The verdict on the program `nezuko` after such a day.
async fn verdict(bug: Option<&str>, twist: Twist) -> Verdict {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let mut scenario = day(31, PLAN, Scenario::demo_bot(bot));
    let is_long = matches!(twist, Twist::ManyPresses | Twist::Killed);
    if is_long {
        press_often(&mut scenario);
    }
    if twist == Twist::LateCopies {
        go_and_come_back(&mut scenario);
    }
    let telegram = Options {
        duplicate_one_in: 50,
        late_copy_one_in: if twist == Twist::LateCopies { 2 } else { 0 },
        seed: 31,
        ..Options::new(&token(bot))
    };
    let simulator = Simulator::start(scenario.world(now_ms()), telegram).await.unwrap();
    let mut settings = settings(bot, &simulator.api_url(), &dir.sqlite_url());
    settings.push(("RECLAIM_IDLE_MS", "2000".to_owned()));
    settings.extend(bug.map(|bug| ("NEZUKO_PLANTED_BUG", bug.to_owned())));
    let first = Running::start("nezuko", "first", &dir, &settings).await;
    if twist == Twist::SilentChannel {
        silence_a_channel(&mut scenario, &simulator).await;
    }
    let mut run = Run::new(scenario, simulator, options(is_long, bug.is_some()));

    let (tell, mut told) = watch::channel(Progress::default());
    let killing = async {
        if twist != Twist::Killed {
            return first;
        }
        told.wait_for(|progress| progress.acted * 2 > progress.acts).await.unwrap();
        let ports = (first.port, first.ops_port);
        first.kill().await;
        Running::start_on(ports, "nezuko", "second", &dir, &settings).await
    };
    let playing = async {
        run.play(|progress| tell.send_modify(|seen| *seen = progress)).await;
        run.drain(|_| ()).await
    };
    let (came_to_rest, program) = tokio::join!(playing, killing);
    assert!(came_to_rest || bug.is_some(), "the bot never came to rest\n{}", run.verdict());
    let verdict = run.verdict();
    program.stop().await;
    run.stop().await;
    verdict
}

fn options(is_long: bool, is_spoiled: bool) -> PlayOptions {
    PlayOptions {
        lasts: Duration::from_secs(if is_long { 24 } else { 12 }),
        patience: Duration::from_secs(3),
        // What a bug has left undone for good is not worth waiting for.
        quiet: Duration::from_secs(if is_spoiled { 2 } else { 3 }),
        drain: if is_spoiled { Duration::from_secs(3) } else { AFTER_A_DEATH },
        tolerance: Tolerance { settle_ms: 5_000, crossing_ms: 3_000, ..Tolerance::default() },
    }
}

/// Plays the opening, in which the groups are protected; from then on nobody is told who is in the channel of the raided
/// group but by events.
async fn silence_a_channel(scenario: &mut Scenario, simulator: &Simulator) {
    let rest = scenario.acts.split_off(scenario.acts.partition_point(|timed| timed.at_ms < OPENED));
    for timed in std::mem::replace(&mut scenario.acts, rest) {
        simulator.act(timed.act).unwrap();
    }
    let group = raided(scenario).clone();
    eventually("the group is protected", async || {
        simulator.world(|world| world.chat(group.id).unwrap().messages().any(|message| message.from == world.bot().id))
    })
    .await;
    let (method, kind) = (Some("getChatMember"), FaultKind::Restart);
    simulator.inject(Fault { method, chat: group.linked, every: 1, times: u32::MAX, kind });
}

fn raided(scenario: &Scenario) -> &ChatSpec {
    scenario.chats.iter().filter(|chat| chat.kind == ChatKind::Supergroup).nth(3).unwrap()
}

/// When everybody else has acted, members of the raided group press its button, one after the other.
fn press_often(scenario: &mut Scenario) {
    let begin = scenario.acts.last().unwrap().at_ms + HOUR;
    let group = raided(scenario);
    let members: Vec<UserId> = plain_members(group).collect();
    let chat = group.id;
    for nth in 0..PRESSES {
        let at_ms = begin + 7 * HOUR * i64::try_from(nth).unwrap() / i64::try_from(PRESSES).unwrap();
        let user = members[nth % members.len()];
        scenario.acts.push(Timed { at_ms, act: Act::Press { user, chat, message: None } });
    }
}

/// Everybody who is in a group and in its channel from the beginning leaves the channel once and soon comes back.
fn go_and_come_back(scenario: &mut Scenario) {
    let mut at_ms = 12 * HOUR;
    for channel in scenario.chats.iter().filter(|chat| chat.kind == ChatKind::Channel) {
        let group = scenario.chats.iter().find(|chat| Some(chat.id) == channel.linked).unwrap();
        for user in plain_members(channel).filter(|user| plain_members(group).any(|member| member == *user)) {
            at_ms += 2 * MINUTE;
            scenario.acts.push(Timed { at_ms, act: Act::Leave { user, chat: channel.id } });
            scenario.acts.push(Timed { at_ms: at_ms + 30 * MINUTE, act: Act::Join { user, chat: channel.id } });
        }
    }
    scenario.acts.sort_by_key(|timed| timed.at_ms);
}

fn plain_members(chat: &ChatSpec) -> impl Iterator<Item = UserId> {
    chat.members.iter().filter(|(_, member)| *member == Member::Member).map(|(user, _)| *user)
}

async fn accepted(twist: Twist) {
    let verdict = verdict(None, twist).await;
    println!("no bug, {twist:?}:");
    if twist == Twist::Killed { assert_clean_but_for_a_death(&verdict) } else { assert_clean(&verdict) }
}

/// The bug shows in all of these ways.
async fn caught(bug: &str, twist: Twist, shows: &[Kind]) {
    let verdict = verdict(Some(bug), twist).await;
    let found = verdict.by_kind();
    for (kind, count) in &found {
        println!("{bug}: {kind:?} × {count}");
    }
    assert!(!verdict.is_clean(), "{bug} is not caught; was the program built by `make test`?\n{verdict}");
    for kind in shows {
        assert!(found.contains_key(kind), "{bug} without {kind:?}\n{verdict}");
    }
}

macro_rules! days {
    ($($name:ident: $twist:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            accepted(Twist::$twist).await;
        }
    )* };
}

macro_rules! bugs {
    ($($name:ident: $bug:literal on $twist:ident shows $($kind:ident)+,)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            caught($bug, Twist::$twist, &[$(Kind::$kind),+]).await;
        }
    )* };
}

days! {
    a_usual_day_is_clean: None,
    a_day_of_many_presses_with_a_death_in_it_is_clean: Killed,
    a_day_with_a_silent_channel_is_clean: SilentChannel,
    a_day_with_late_copies_is_clean: LateCopies,
}

bugs! {
    dropped_updates_are_caught: "drop-updates" on ManyPresses shows PressUnanswered,
    acknowledging_before_the_commit_is_caught: "ack-before-commit" on Killed shows PressUnanswered,
    muting_the_unknown_is_caught: "mute-unknown" on SilentChannel shows PunishedOnUnknown,
    ignored_leaving_is_caught: "ignore-channel-leave" on None shows NotMuted,
    ignored_joining_is_caught: "ignore-channel-join" on None shows StillMuted,
    an_older_event_that_wins_is_caught: "older-event-wins" on LateCopies shows StillMuted,
    an_ignored_presser_is_caught: "presser-ignored" on ManyPresses shows PressToldWrong,
    muted_administrators_are_caught: "mute-admins" on None shows ExemptRestricted,
    an_ignored_ledger_is_caught: "ledger-ignored" on None shows AdminsRestrictionGone,
    prompts_sent_twice_are_caught: "prompt-twice" on None shows PromptTwice,
    mutes_left_by_unprotect_are_caught: "unprotect-leaves-mutes" on None shows StillMuted,
}
