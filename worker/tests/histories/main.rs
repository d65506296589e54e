//! Generated histories: whatever is shuffled, duplicated, interleaved over workers, crashed and lost, the world ends as it
//! must. docs/simulation.md tells what is modelled and how to search for longer.

#![allow(clippy::unwrap_used, missing_docs)]

mod coverage;
mod generate;
mod history;
mod judge;
mod judge_messages;
mod judge_terms;
mod plan;
mod ports;
mod queue;
#[cfg(feature = "planted-bugs")]
mod rules;

mod scheduler;
mod search;
mod shrink;
mod store;
mod telegram;
mod worker;

use std::{ops::Range, time::Duration};

use generate::Trouble;
use search::{Search, describe};

/// The most of everything that goes wrong.
const MOST: Trouble = Trouble {
    call: 0.3,
    duplicate: 0.4,
    late: 0.2,
    panic: 0.01,
    death: 0.01,
    stall: 0.006,
    forget: 0.01,
    transaction: 0.03,
    acknowledgement: 0.2,
    haste: 0.1,
    dull: 0.5,
    rights: 0.2,
    settings: 0.2,
    admins: 0.3,
    poison: 0.1,
    upgrade: 0.3,
    ..Trouble::NONE
};

/// What may go wrong in the history of `seed`: in every other one some of everything. In the rest Telegram and the machines do
/// their duty, and much is changed without a pause.
/// In some the group removes who waits for too long, or lets who leaves write for a while.
const fn trouble(seed: u64) -> Trouble {
    const QUICK: Trouble = Trouble { patience: 0.0, ..Trouble::NONE };
    match seed % 16 {
        1 | 9 => Trouble { settings: 0.3, ..QUICK },
        3 | 11 => Trouble { rights: 0.5, ..QUICK },
        5 | 13 => Trouble { settings: 0.3, rights: 0.2, upgrade: 0.5, ..QUICK },
        7 => Trouble { settings: 0.5, ..Trouble::NONE },
        15 => Trouble { terms: 1.0, patience: 0.5, ..Trouble::NONE },
        _ => Trouble { terms: 0.4, ..MOST },
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// How many histories are searched where nobody asks for more: the same ones on every machine.
const ENOUGH: u64 = 3_000;

/// The one seed that is asked for; that and all after it, as many as there is time for; or the first ones.
fn seeds() -> Range<u64> {
    match (number("NEZUKO_HISTORY_SEED"), number("NEZUKO_HISTORY_SECONDS")) {
        (Some(seed), None) => seed..seed + 1,
        (seed, Some(_)) => seed.unwrap_or(0)..u64::MAX,
        (None, None) => 0..ENOUGH,
    }
}

#[test]
fn whatever_happens_the_world_ends_as_it_must() {
    let seconds = number("NEZUKO_HISTORY_SECONDS").unwrap_or(20);
    let search = Search { seeds: seeds(), trouble, time: Duration::from_secs(seconds) };
    let found = search.go();
    let rate = found.histories as f64 / found.took.as_secs_f64();
    println!(
        "{} histories from seed {}, {rate:.0} a second; exercised:\n{}",
        found.histories, search.seeds.start, found.coverage
    );
    if let Some(wrong) = &found.wrong {
        panic!("{}", describe(wrong));
    }
}
