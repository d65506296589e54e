//! Which runs there are, and what each has to show.

use std::time::Duration;

use super::{fleet::Setting, trouble::Trouble, usual::Algorithm};

/// J unless an operator sets another.
const DEFAULT_J: Duration = Duration::from_millis(150);
/// The longest that calls are held up on their way where they are.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// A run under its name.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) setting: Setting,
    pub(crate) promises: Vec<Promise>,
}

/// What a run has to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Promise {
    /// Never more than 30 grants are used in any second.
    UsedWithinLimit,
    /// In some second they are: what watches is not blind.
    UsedBeyondLimit,
    /// Never more than 30 calls arrive in any second.
    ArrivedWithinLimit,
    /// Each call beyond that is matched to a stop inside of a send.
    ExcessIsExplained,
    /// At least so many grants are used a second, where the rate counts.
    Rate(f64),
    /// No sender uses more than three times what another does.
    Fair,
}

/// All of them, each measured for so long.
pub(crate) fn all(lasts: Duration) -> Vec<Run> {
    use Promise::{ArrivedWithinLimit, ExcessIsExplained, Fair, Rate, UsedWithinLimit};
    let usual = Setting {
        senders: 8,
        lasts,
        algorithm: Algorithm::Nezuko,
        jitter: DEFAULT_J,
        round_trip: Duration::ZERO,
        on_the_way: Duration::ZERO,
        trouble: Trouble::None,
    };
    let over = |ms| Setting { round_trip: Duration::from_millis(ms), ..usual };
    let by = |algorithm| Setting { algorithm, on_the_way: ON_THE_WAY, ..usual };
    let troubled = |trouble| Setting { trouble, on_the_way: ON_THE_WAY, ..usual };
    let run = |name, setting, promises: &[Promise]| Run { name, setting, promises: promises.to_vec() };
    vec![
        run("undisturbed, J = 0", Setting { jitter: Duration::ZERO, ..usual }, &[UsedWithinLimit, Rate(28.8), Fair]),
        run(
            "stops up to 150 ms, Redis restarted and replaced",
            troubled(Trouble::StopsAndAnotherRedis),
            &[ArrivedWithinLimit, Rate(25.0)],
        ),
        run("stops of 500 ms", troubled(Trouble::LongStops), &[ExcessIsExplained]),
        run("Redis 1 ms away", over(1), &[ArrivedWithinLimit, Rate(24.0), Fair]),
        run("Redis 25 ms away", over(25), &[ArrivedWithinLimit, Rate(24.0), Fair]),
        run("Redis 100 ms away", over(100), &[ArrivedWithinLimit, Rate(20.0), Fair]),
        run("fixed window", by(Algorithm::FixedWindow), &[]),
        run("GCRA, burst of 30", by(Algorithm::Gcra), &[]),
        run("plain sliding log", by(Algorithm::SlidingLog), &[]),
    ]
}

/// What the tests can afford.
pub(crate) fn short() -> Vec<Run> {
    let setting = Setting {
        senders: 3,
        lasts: Duration::from_secs(2),
        algorithm: Algorithm::Nezuko,
        jitter: Duration::ZERO,
        round_trip: Duration::ZERO,
        on_the_way: Duration::ZERO,
        trouble: Trouble::None,
    };
    let held_up = Setting { jitter: DEFAULT_J, on_the_way: ON_THE_WAY, ..setting };
    let gcra = Setting { algorithm: Algorithm::Gcra, ..setting };
    vec![
        Run { name: "limiter, J = 0", setting, promises: vec![Promise::UsedWithinLimit] },
        Run {
            name: "limiter, calls held up on their way",
            setting: held_up,
            promises: vec![Promise::ArrivedWithinLimit],
        },
        Run { name: "limiter by GCRA", setting: gcra, promises: vec![Promise::UsedBeyondLimit] },
    ]
}
