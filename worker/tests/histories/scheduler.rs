//! A seeded scheduler: it decides who goes on, so that a plan gives the same interleaving every time.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For its turn.
    Turn,
    /// For a lock to be released, after so many releases of any.
    Release(u64),
    /// For this time, Unix milliseconds.
    Until(i64),
    /// For something of Tokio's: a timer, or another task of its worker that holds a mutex.
    Tokio,
}

thread_local! {
    static WAITS: Cell<Waits> = const { Cell::new(Waits::Turn) };
    /// How many locks have been released.
    static RELEASES: Cell<u64> = const { Cell::new(0) };
    /// Whether whatever may panic is to do so now.
    static PANIC: Cell<bool> = const { Cell::new(false) };
}

async fn wait(for_: Waits) {
    let mut waited = false;
    poll_fn(|_| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        WAITS.set(for_);
        Poll::Pending
    })
    .await;
}

/// Lets the scheduler decide who goes on; a task may end here for ever, as with `kill -9`.
pub(crate) async fn step() {
    wait(Waits::Turn).await;
}

/// Goes on after a lock has been released.
pub(crate) async fn wait_for_release() {
    wait(Waits::Release(RELEASES.get())).await;
}

/// A lock has been released.
pub(crate) fn release() {
    RELEASES.set(RELEASES.get() + 1);
}

/// Goes on when it is `until_ms` by `now_ms`.
pub(crate) async fn sleep_until(until_ms: i64, now_ms: impl Fn() -> i64) {
    while now_ms() < until_ms {
        wait(Waits::Until(until_ms)).await;
    }
}

/// What `inner` comes to; `None` where it panics on the way.
pub(crate) async fn or_panic<T>(inner: impl Future<Output = T>) -> Option<T> {
    let mut inner = std::pin::pin!(inner);
    poll_fn(|context| if PANIC.take() { Poll::Ready(None) } else { inner.as_mut().poll(context).map(Some) }).await
}

/// Runs one task from beginning to end, with nobody beside it.
pub(crate) fn run_alone<T>(task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// How likely a step is to take its time, and how much at most in milliseconds: often and soon over, or seldom and for
/// long, so that much happens between two steps of one task.
const SLOW: [(f64, i64); 4] = [(0.0, 1), (0.3, 50), (0.1, 300), (0.05, 2_000)];

struct Task {
    worker: usize,
    /// Its last step takes until then, Unix milliseconds.
    slow_until_ms: i64,
    /// Whether it has a timer of Tokio's beside what it waits for.
    timed: bool,
    waits: Waits,
    /// When it last went on, Unix milliseconds.
    polled_ms: i64,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Task {
    /// When it can go on, Unix milliseconds. Nobody tells when a timer or a mutex is ready: that is tried as time passes.
    fn ready_ms(&self) -> i64 {
        let ready_ms = match self.waits {
            Waits::Turn => i64::MIN,
            Waits::Release(releases) if RELEASES.get() == releases => i64::MAX,
            Waits::Release(_) => i64::MIN,
            Waits::Until(ms) if !self.timed => ms,
            Waits::Until(_) | Waits::Tokio => self.polled_ms + 1,
        };
        ready_ms.max(self.slow_until_ms)
    }
}

/// The tasks of all workers.
pub(crate) struct Tasks {
    rng: SmallRng,
    /// One of [`SLOW`].
    slow: (f64, i64),
    all: Vec<Task>,
}

impl Tasks {
    /// No tasks yet; the schedule says how they will go on.
    pub(crate) fn new(schedule: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(schedule);
        let slow = *SLOW.choose(&mut rng).expect("invariant: not empty");
        Self { rng, slow, all: Vec::new() }
    }

    /// A task begins; `timed`: it has a timer of Tokio's.
    pub(crate) fn start(&mut self, worker: usize, timed: bool, future: impl Future<Output = ()> + 'static) {
        let future = Box::pin(future);
        self.all.push(Task { worker, slow_until_ms: i64::MIN, timed, waits: Waits::Turn, polled_ms: i64::MIN, future });
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Ends all tasks of a worker where they stand.
    pub(crate) fn kill(&mut self, worker: usize) {
        self.all.retain(|task| task.worker != worker);
    }

    /// Whether any task may be waiting for Tokio's clock.
    pub(crate) fn need_clock(&self) -> bool {
        self.all.iter().any(|task| task.timed || task.waits == Waits::Tokio)
    }

    /// When the first task of a worker that does not stand still can go on, Unix milliseconds.
    pub(crate) fn ready_ms(&self, is_awake: impl Fn(usize) -> bool) -> Option<i64> {
        self.all.iter().filter(|task| is_awake(task.worker)).map(Task::ready_ms).min()
    }

    /// Lets one task go on to its next step, or panic there. Returns whether there was one that could.
    pub(crate) fn poll_one(&mut self, now_ms: i64, panics: bool, is_awake: impl Fn(usize) -> bool) -> bool {
        let can = |task: &Task| task.ready_ms() <= now_ms && is_awake(task.worker);
        let able = self.all.iter().filter(|task| can(task)).count();
        if able == 0 {
            return false;
        }
        let chosen = self.rng.random_range(0..able);
        let next = (0..self.all.len()).filter(|index| can(&self.all[*index])).nth(chosen);
        let next = next.expect("invariant: there are so many");
        let task = &mut self.all[next];
        task.polled_ms = now_ms;
        WAITS.set(Waits::Tokio);
        PANIC.set(panics);
        let done = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        PANIC.set(false);
        task.waits = WAITS.get();
        let (likely, most_ms) = self.slow;
        if self.rng.random_bool(likely) {
            task.slow_until_ms = now_ms + self.rng.random_range(0..most_ms);
        }
        if done {
            drop(self.all.swap_remove(next));
        }
        true
    }
}
