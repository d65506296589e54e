//! Searches for a history that ends wrong: one seed after the other on every core, until there is one or the time is over.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    coverage::Coverage,
    generate::{Trouble, plan},
    history::{Violation, run},
    plan::Plan,
    shrink::{Wrong, shrink},
};

/// Runs that are made to find a shorter history.
const RUNS: usize = 3_000;

/// What to search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) seeds: Range<u64>,
    /// What may go wrong in the history of a seed.
    pub(crate) trouble: fn(u64) -> Trouble,
    pub(crate) time: Duration,
}

/// What was found.
pub(crate) struct Found {
    pub(crate) histories: u64,
    pub(crate) took: Duration,
    pub(crate) coverage: Coverage,
    /// The first history that ends wrong, as short as could be.
    pub(crate) wrong: Option<Wrong>,
}

/// Timers are made, and go off as the history's clock is turned.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("invariant: a runtime can be built")
}

/// Has `use_it` run plans on this thread.
pub(crate) fn with_runs<R>(use_it: impl FnOnce(&dyn Fn(&Plan) -> Option<Box<Violation>>) -> R) -> R {
    let runtime = runtime();
    let _context = runtime.enter();
    use_it(&|plan| run(plan, &runtime).err())
}

impl Search {
    /// Searches on every core.
    pub(crate) fn go(&self) -> Found {
        let began = Instant::now();
        let next = AtomicU64::new(self.seeds.start);
        let result: Mutex<(u64, Coverage, Option<Wrong>)> = Mutex::default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    let (histories, wrong) = self.search(&next, began);
                    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                    result.0 += histories;
                    result.1.add(Coverage::take());
                    let first = [result.2.take(), wrong].into_iter().flatten().min_by_key(|(plan, _)| plan.seed);
                    result.2 = first;
                });
            }
        });
        let (histories, coverage, wrong) = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        let took = began.elapsed();
        let wrong = wrong.map(|wrong| with_runs(|ends| shrink(wrong, RUNS, ends)));
        Found { histories, took, coverage, wrong }
    }

    /// Returns how many histories were run, and the one that ended wrong.
    fn search(&self, next: &AtomicU64, began: Instant) -> (u64, Option<Wrong>) {
        with_runs(|ends| {
            let mut histories = 0;
            while began.elapsed() < self.time {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    break;
                }
                histories += 1;
                let plan = plan(seed, (self.trouble)(seed));
                if let Some(violation) = ends(&plan) {
                    next.store(self.seeds.end, Ordering::Relaxed);
                    return (histories, Some((plan, violation)));
                }
            }
            (histories, None)
        })
    }
}

/// The plan in words, with what gives it again.
pub(crate) fn summary((plan, violation): &Wrong) -> String {
    let seed = plan.seed;
    format!("as short as could be, from NEZUKO_HISTORY_SEED={seed}:\n{plan}\nends wrong: {}", violation.text)
}

/// What happened, then the plan.
pub(crate) fn describe(wrong: &Wrong) -> String {
    format!("{}\n\na history that ends wrong, {}", wrong.1.story.join("\n"), summary(wrong))
}
