//! Generated histories over PostgreSQL with real concurrency: three workers as tasks of a multi-threaded runtime, ended
//! where they stand and started again, over the modelled Telegram. They end by the same rules as the histories in memory.
//!
//! A seed gives the same people, acts and faults, but not the same interleaving: that is the machine's.

#![allow(clippy::unwrap_used, missing_docs)]

mod fleet;
mod history;

#[path = "../histories/generate.rs"]
mod generate;

#[path = "../histories/judge.rs"]
mod judge;

#[path = "../histories/judge_terms.rs"]
mod judge_terms;

#[path = "../histories/plan.rs"]
mod plan;

#[path = "../histories/telegram.rs"]
mod telegram;

/// Where the histories in memory decide who goes on, here it is left to Tokio.
mod scheduler {
    use std::time::Duration;

    pub(crate) async fn step() {
        tokio::task::yield_now().await;
    }

    pub(crate) async fn sleep_until(until_ms: i64, now_ms: impl Fn() -> i64) {
        while now_ms() < until_ms {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Nothing is counted here.
mod coverage {
    pub(crate) const fn count(_: &'static str, _: &'static str, _: &'static str) {}
}

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use history::{Shape, run};
use nezuko_shared::conformance::databases::with_postgres;

/// `NEZUKO_POSTGRES_HISTORIES=1000` searches for longer.
fn histories() -> u64 {
    std::env::var("NEZUKO_POSTGRES_HISTORIES").map_or(120, |count| count.parse().expect("a number"))
}

/// How many run at once: most of the time each waits.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_postgresql_the_world_ends_as_it_must() {
    with_postgres(|database| async move {
        let next = Arc::new(AtomicU64::new(0));
        let runners: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (next, database) = (next.clone(), database.clone());
                tokio::spawn(async move {
                    let mut shapes = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= histories() {
                            return anyhow::Ok(shapes);
                        }
                        let shape = run(seed, &database).await;
                        if shape.is_err() {
                            next.store(histories(), Ordering::Relaxed);
                        }
                        shapes.push(shape?);
                    }
                })
            })
            .collect();
        let mut shapes: Vec<Shape> = Vec::new();
        let mut failed = Ok(());
        for runner in runners {
            match runner.await? {
                Ok(of_runner) => shapes.extend(of_runner),
                Err(error) => failed = Err(error),
            }
        }
        failed?;
        assert_eq!(shapes.len() as u64, histories());
        let sum = |of: fn(&Shape) -> usize| shapes.iter().map(of).sum::<usize>();
        assert!(sum(|shape| shape.killed) >= shapes.len() / 2, "only {} workers were killed", sum(|s| s.killed));
        assert!(sum(|shape| shape.taken_in) > shapes.len() * 5, "only {} updates", sum(|s| s.taken_in));
        assert!(sum(|shape| shape.taken_in_twice) > shapes.len(), "only {} repeated", sum(|s| s.taken_in_twice));
        assert!(sum(|shape| shape.calls) > shapes.len() * 3, "only {} calls", sum(|s| s.calls));
        assert!(sum(|shape| shape.in_hand_when_killed) > 0, "no worker had an update in hand when it was killed");
        Ok(())
    })
    .await;
}
