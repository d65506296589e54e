//! A day of groups in which everything happens that may, each with other settings.

use loadtest::{
    drive::Run,
    generate::{DayPlan, Scenario, varied_day},
    simulator::{Options, Simulator},
};

use crate::support::{
    Directory, Running, fresh_bot,
    play::{SHORT, now_ms, play},
    settings, token,
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_in_groups_with_every_feature() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let scenario = varied_day(17, DayPlan::QUICK, Scenario::demo_bot(bot));
    let simulator = Simulator::start(scenario.world(now_ms()), Options::new(&token(bot))).await.unwrap();
    let mut run = Run::new(scenario, simulator, SHORT);
    let settings = settings(bot, &run.simulator().api_url(), &dir.sqlite_url());
    let program = Running::start("nezuko", "nezuko", &dir, &settings).await;
    let verdict = play(&mut run, |_| ()).await;
    println!("{verdict}");
    assert!(verdict.is_clean(), "{verdict}");
    // Nobody waits for too long in some seconds; a week shows that.
    assert_eq!(verdict.unexercised(), ["removals"], "{verdict}");
    program.stop().await;
    run.stop().await;
}
