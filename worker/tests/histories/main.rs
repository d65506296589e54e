//! Generated histories: whatever is shuffled, duplicated, interleaved over workers, crashed and lost, the world ends as it
//! must.

#![allow(clippy::unwrap_used, missing_docs)]

#[cfg(feature = "planted-bugs")]
mod cases;
mod history;
mod judge;
mod memory_store;
#[cfg(feature = "planted-bugs")]
mod rules;
mod scheduler;
mod telegram;

use history::{Faults, Shape, Violation, run};
use loadtest::world::Switches;

const FAULTS: Faults = Faults { call_fails: 0.1, duplicate: 0.2, crash: 0.02 };

fn all(seeds: std::ops::Range<u64>, switches: Switches, faults: Faults) -> Result<Vec<Shape>, Box<Violation>> {
    // Timers are made, and never fire: the scheduler turns the clock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _context = runtime.enter();
    seeds.map(|seed| run(seed, switches, faults)).collect()
}

fn report(violation: &Violation) -> String {
    format!("seed {}: {}\n{}", violation.seed, violation.text, violation.history.join("\n"))
}

/// How many histories the main test searches; `NEZUKO_HISTORIES=100000` searches for longer.
fn histories() -> u64 {
    std::env::var("NEZUKO_HISTORIES").map_or(1_000, |count| count.parse().expect("NEZUKO_HISTORIES is a number"))
}

#[test]
fn whatever_happens_the_world_ends_as_it_must() {
    let shapes =
        all(0..histories(), Switches::default(), FAULTS).unwrap_or_else(|violation| panic!("{}", report(&violation)));
    let racing = shapes.iter().filter(|shape| shape.same_second || shape.lookup_raced).count();
    assert!(racing * 10 >= shapes.len() * 3, "only {racing} of {} histories race", shapes.len());
    assert!(shapes.iter().map(|shape| shape.crashes).sum::<usize>() > shapes.len() / 2);
    assert!(shapes.iter().map(|shape| shape.taken_in).sum::<usize>() > shapes.len() * 5);
}

#[test]
fn without_echoes_of_our_own_acts_it_ends_the_same() {
    let switches = Switches { echo_own_acts: false, ..Switches::default() };
    let shapes = all(0..300, switches, FAULTS).unwrap_or_else(|violation| panic!("{}", report(&violation)));
    assert_eq!(shapes.len(), 300);
}

#[test]
fn without_faults_no_prompt_is_left_over() {
    let orderly = Faults { duplicate: 0.2, ..Faults::default() };
    let shapes =
        all(5_000..5_300, Switches::default(), orderly).unwrap_or_else(|violation| panic!("{}", report(&violation)));
    assert!(shapes.iter().all(|shape| shape.crashes == 0));
}
