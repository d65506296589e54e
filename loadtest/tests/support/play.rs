//! Days that are played against the programs, and how they are judged.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadtest::{
    drive::{PlayOptions, Progress, Run},
    generate::{DayPlan, Scenario, day},
    oracle::{Tolerance, Verdict},
    simulator::{Options, Simulator},
    world::UserId,
};

use super::token;

/// One in so many updates comes twice, as it does with Telegram.
const DUPLICATE_ONE_IN: u32 = 50;

/// How long a short day takes.
pub(crate) const SHORT: PlayOptions = PlayOptions {
    lasts: Duration::from_secs(12),
    patience: Duration::from_secs(4),
    quiet: Duration::from_secs(3),
    drain: Duration::from_secs(30),
    // On a machine that does other things an update may wait some seconds in the queue while older facts are acted on.
    tolerance: Tolerance { settle_ms: 10_000, crossing_ms: 8_000, timers_ms: 10_000 },
};

/// How long may be waited for what is missing after a death: a prompt that was on its way when its sender died is taken for
/// lost after a minute.
pub(crate) const AFTER_A_DEATH: Duration = Duration::from_secs(75);

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// How a run is set up.
pub(crate) struct Day {
    pub(crate) seed: u64,
    pub(crate) plan: DayPlan,
    pub(crate) options: PlayOptions,
    pub(crate) simulator: Options,
    pub(crate) echo_own_acts: bool,
}

impl Day {
    pub(crate) fn new(bot: UserId, seed: u64, plan: DayPlan, options: PlayOptions) -> Self {
        let simulator = Options { duplicate_one_in: DUPLICATE_ONE_IN, seed, ..Options::new(&token(bot)) };
        Self { seed, plan, options, simulator, echo_own_acts: true }
    }

    /// A Telegram in which this day can be played.
    pub(crate) async fn begin(self, bot: UserId) -> Run {
        let scenario = day(self.seed, self.plan, Scenario::demo_bot(bot));
        let mut world = scenario.world(now_ms());
        world.switches.echo_own_acts = self.echo_own_acts;
        let simulator = Simulator::start(world, self.simulator).await.unwrap();
        Run::new(scenario, simulator, self.options)
    }
}

/// Plays to the end; the verdict when the bot has come to rest.
pub(crate) async fn play(run: &mut Run, told: impl FnMut(Progress)) -> Verdict {
    run.play(told).await;
    assert!(run.drain(|_| ()).await, "the bot never came to rest\n{}", run.verdict());
    run.verdict()
}

/// Nothing was lost, wrong or done twice, and all that a day holds was there.
pub(crate) fn assert_clean(verdict: &Verdict) {
    assert_clean_but_for_a_death(verdict);
    assert_eq!(verdict.twice, 0, "{verdict}");
}

/// The same, where a program has died: nobody can know whether it had sent what it was sending, so that a message may come
/// twice (E96).
pub(crate) fn assert_clean_but_for_a_death(verdict: &Verdict) {
    println!("{verdict}");
    assert_eq!((verdict.lost, verdict.wrong), (0, 0), "{verdict}");
    assert!(verdict.unexercised().is_empty(), "not exercised: {:?}\n{verdict}", verdict.unexercised());
}
