//! Two days of the first groups of a generated week: they end well, and bugs that are planted into what takes hours show in
//! them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use loadtest::{
    demo::WeekOptions,
    drive::{Operator, Run},
    generate::{Scenario, WeekPlan, week},
    oracle::{Kind, Verdict},
    simulator::{Options, Simulator},
};
use support::{Directory, Running, fresh_bot, play::now_ms, settings, token};

/// The first groups, of which one removes, one bans, one gives grace, one is raided, one runs dry, one takes over what another has
/// set and one is over its owner's quota for a while.
const FEW: WeekPlan = WeekPlan { groups: 7, ..WeekPlan::SHORT };

async fn verdict(bug: Option<&str>) -> Verdict {
    let (plan, step) = (FEW, Duration::from_hours(6));
    let (dir, bot) = (Directory::new(), fresh_bot());
    let scenario = week(41, plan, Scenario::demo_bot(bot));
    let telegram = Options { duplicate_one_in: 50, seed: 41, ..Options::new(&token(bot)) };
    let simulator = Simulator::start(scenario.world(now_ms()), telegram).await.unwrap();
    let options = WeekOptions { programs: dir.path().to_owned(), seed: 41, plan, step };
    let hours = options.hours(dir.path());
    hours.begin().unwrap();
    let mut settings = settings(bot, &simulator.api_url(), &dir.sqlite_url());
    settings.push(("NEZUKO_CLOCK_AHEAD", hours.clock.display().to_string()));
    settings.extend(bug.map(|bug| ("NEZUKO_PLANTED_BUG", bug.to_owned())));
    let program = Running::start("nezuko", "nezuko", &dir, &settings).await;
    let mut play = options.play();
    if bug.is_some() {
        // What a bug has left undone for good is not worth waiting for.
        play.drain = Duration::from_secs(3);
    }
    let mut run = Run::new(scenario, simulator, play);
    run.set_operator(Operator { program: support::program("nezuko"), environment: settings });
    run.play_hours(&hours, |_| ()).await.unwrap();
    run.drain(|_| ()).await;
    let verdict = run.verdict();
    program.stop().await;
    run.stop().await;
    verdict
}

async fn caught(bug: &str, shows: Kind) {
    let verdict = verdict(Some(bug)).await;
    assert!(verdict.by_kind().contains_key(&shows), "{bug} without {shows:?}\n{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_days_in_which_hours_matter_end_well() {
    let verdict = verdict(None).await;
    assert!(verdict.is_clean(), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_acts_is_caught() {
    caught("dry-run-acts", Kind::ActedInDryRun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_too_soon_is_caught() {
    caught("removes-too-soon", Kind::RemovedTooSoon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_for_ever_is_caught() {
    caught("ban-for-ever", Kind::RemovedForWrongTime).await;
}
