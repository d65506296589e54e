//! Circuit breakers: a server that is away is left alone, and whoever wants something from it hears so at once.
//!
//! A process has one for Redis, one for PostgreSQL and one for each bot's Telegram. `failsafe` counts and keeps the state;
//! what it leaves open is settled here:
//!
//! - Half-open, it lets every call pass. Here one call at a time is the *probe* and all others are refused. A probe that
//!   is given up makes room for another.
//! - It knows success and failure. Here a call can also be neutral: an answer that says nothing about the server's health.
//! - It has no clock of its own for calls. Here the limit is part of the call, so that one which hangs is a failure.
//! - It counts whatever comes. Here what began before the breaker opened and ends afterwards changes nothing, also where it
//!   has closed again.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use failsafe::{
    Instrument, StateMachine,
    failure_policy::{ConsecutiveFailures, consecutive_failures},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

pub use crate::telemetry::metrics::Dependency;
use crate::telemetry::metrics::Metrics;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// After so many failures in a row.
    pub failures: u32,
    /// The first time for at most so long; each time that a probe fails, for twice as long.
    pub first: Duration,
    /// Never for longer than this.
    pub longest: Duration,
}

impl Policy {
    /// For servers beside us: asking costs nothing there, and updates wait for every moment of it.
    pub const SERVER: Self = Self { failures: 5, first: Duration::from_millis(250), longest: Duration::from_secs(2) };
    /// For the Bot API, at whose other end many bots try at once.
    pub const TELEGRAM: Self = Self { failures: 5, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
}

/// What a call says about the health of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Success,
    /// It is away, or answers that it cannot work.
    Failure,
    /// Nothing.
    Neutral,
}

/// Why a guarded call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It was not made.
    #[error("{0} is away, its circuit breaker refuses calls")]
    Refused(Dependency),
    /// It was made, and given up when its time was over: it may have taken effect.
    #[error("{0} gave no answer in time")]
    TooLate(Dependency),
}

impl From<Unavailable> for io::Error {
    fn from(unavailable: Unavailable) -> Self {
        let kind = match unavailable {
            Unavailable::Refused(_) => io::ErrorKind::NotConnected,
            Unavailable::TooLate(_) => io::ErrorKind::TimedOut,
        };
        Self::new(kind, unavailable)
    }
}

/// The state of a breaker; the number is what its gauge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Calls are made.
    Closed = 0,
    /// Calls are refused.
    Open = 1,
    /// One call at a time is made.
    HalfOpen = 2,
}

/// Guards the calls of one server. Cheap to clone; clones are one breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    machine: StateMachine<ConsecutiveFailures<BackOff>, Watch>,
    watch: Watch,
    /// Whether a call is the probe now.
    probing: AtomicBool,
    /// Held where what is done depends on the state that was looked at.
    step: Mutex<()>,
}

/// What is known of the state beside the machine, which tells it to nobody but its instrument.
#[derive(Clone)]
struct Watch(Arc<Watched>);

struct Watched {
    dependency: Dependency,
    state: AtomicU8,
    /// How often it has opened.
    openings: AtomicU64,
    /// When a probe is due, while the breaker is open.
    due: Mutex<Instant>,
    /// Told whenever the state changes or a probe ends.
    changed: Notify,
    metrics: OnceLock<Metrics>,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Breaker({}, {:?})", self.0.watch.0.dependency, self.state())
    }
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(dependency: Dependency, policy: Policy) -> Self {
        let watch = Watch(Arc::new(Watched {
            dependency,
            state: AtomicU8::new(State::Closed as u8),
            openings: AtomicU64::new(0),
            due: Mutex::new(Instant::now()),
            changed: Notify::new(),
            metrics: OnceLock::new(),
        }));
        let back_off = BackOff { next: policy.first, longest: policy.longest, watch: watch.clone() };
        let machine = StateMachine::new(consecutive_failures(policy.failures, back_off), watch.clone());
        Self(Arc::new(Inner { machine, watch, probing: AtomicBool::new(false), step: Mutex::new(()) }))
    }

    /// Shows state and refusals among `metrics` from now on. The first to say so decides.
    pub fn show_in(&self, metrics: Metrics) {
        let metrics = self.0.watch.0.metrics.get_or_init(|| metrics);
        metrics.breaker(self.0.watch.0.dependency, self.state());
        metrics.breaker_refused(self.0.watch.0.dependency, 0);
    }

    /// Makes a call: `work`, which may take `limit` as a whole, judged by `judge`. Where it was not made or not ended, the
    /// outer result says so.
    ///
    /// Cancellation: a call that is dropped says nothing about its server, and a dropped probe makes room for another.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub async fn call<T, E>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
        judge: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<Result<T, E>, Unavailable> {
        let permit = self.permit()?;
        match timeout(limit, work).await {
            Ok(answer) => {
                permit.end(judge(&answer));
                Ok(answer)
            }
            Err(_) => {
                permit.end(Outcome::Failure);
                Err(Unavailable::TooLate(self.0.watch.0.dependency))
            }
        }
    }

    /// The state now. It stays open beyond its time until somebody calls.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.watch.state()
    }

    /// Waits until a call would be made: as one of many, or as the next probe. Of several who wait, one will be the probe.
    /// Cancellation safe.
    pub async fn ready(&self) {
        let watched = &self.0.watch.0;
        loop {
            let mut changed = std::pin::pin!(watched.changed.notified());
            // Before looking: what changes between looking and waiting must wake this.
            changed.as_mut().enable();
            match self.state() {
                State::Closed => return,
                _ if self.0.probing.load(Ordering::SeqCst) => changed.await,
                State::HalfOpen => return,
                State::Open => {
                    let due = *watched.due.lock().unwrap_or_else(PoisonError::into_inner);
                    if due <= Instant::now() {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = changed => {}
                    }
                }
            }
        }
    }

    /// Waits until the breaker is closed. Cancellation safe.
    pub async fn closed(&self) {
        let watched = &self.0.watch.0;
        loop {
            let mut changed = std::pin::pin!(watched.changed.notified());
            changed.as_mut().enable();
            if self.state() == State::Closed {
                return;
            }
            changed.await;
        }
    }

    fn permit(&self) -> Result<Permit<'_>, Unavailable> {
        // In this order: where it opens in between, the call counts for nothing.
        let permit = self.0.permit(false);
        if self.state() == State::Closed { Ok(permit) } else { self.probe() }
    }

    /// Leave to make a call while the breaker is not closed: for one at a time.
    fn probe(&self) -> Result<Permit<'_>, Unavailable> {
        let inner = &*self.0;
        let _step = inner.step();
        if self.state() == State::Closed {
            return Ok(inner.permit(false));
        }
        let refused = Unavailable::Refused(inner.watch.0.dependency);
        if inner.probing.swap(true, Ordering::SeqCst) {
            inner.watch.on_call_rejected();
            return Err(refused);
        }
        let permit = inner.permit(true);
        if inner.machine.is_call_permitted() { Ok(permit) } else { Err(refused) }
    }
}

impl Inner {
    fn step(&self) -> MutexGuard<'_, ()> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(&self, is_probe: bool) -> Permit<'_> {
        Permit { inner: self, is_probe, openings: self.watch.openings() }
    }
}

/// Leave to make one call.
struct Permit<'a> {
    inner: &'a Inner,
    is_probe: bool,
    /// How often the breaker had opened when the call began.
    openings: u64,
}

impl Permit<'_> {
    fn end(self, outcome: Outcome) {
        let _step = self.inner.step();
        // What began before the breaker opened says nothing about the time since.
        if self.openings != self.inner.watch.openings() {
            return;
        }
        match outcome {
            Outcome::Success => self.inner.machine.on_success(),
            Outcome::Failure => self.inner.machine.on_error(),
            Outcome::Neutral => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.inner.probing.store(false, Ordering::SeqCst);
            self.inner.watch.0.changed.notify_waiters();
        }
    }
}

impl Watch {
    fn state(&self) -> State {
        match self.0.state.load(Ordering::SeqCst) {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        }
    }

    fn openings(&self) -> u64 {
        self.0.openings.load(Ordering::SeqCst)
    }

    fn change(&self, state: State) -> bool {
        let changed = self.0.state.swap(state as u8, Ordering::SeqCst) != state as u8;
        if changed {
            if let Some(metrics) = self.0.metrics.get() {
                metrics.breaker(self.0.dependency, state);
            }
            self.0.changed.notify_waiters();
        }
        changed
    }

    fn bot_id(&self) -> Option<i64> {
        self.0.metrics.get().map(|metrics| metrics.bot().0).filter(|bot| *bot != 0)
    }
}

impl Instrument for Watch {
    fn on_call_rejected(&self) {
        if let Some(metrics) = self.0.metrics.get() {
            metrics.breaker_refused(self.0.dependency, 1);
        }
    }

    fn on_open(&self) {
        let was_closed = self.state() == State::Closed;
        self.change(State::Open);
        // After that, so that nobody who still sees it closed begins a call of the time since.
        self.0.openings.fetch_add(1, Ordering::SeqCst);
        let (dependency, bot_id) = (self.0.dependency, self.bot_id());
        if was_closed {
            tracing::warn!(%dependency, bot_id, "breaker opens: calls are refused until one gets through");
        } else {
            tracing::debug!(%dependency, bot_id, "breaker stays open: a probe failed");
        }
    }

    fn on_half_open(&self) {
        self.change(State::HalfOpen);
        tracing::debug!(dependency = %self.0.dependency, bot_id = self.bot_id(), "breaker half-open: one call goes as a probe");
    }

    fn on_closed(&self) {
        // The machine also says so when it is made.
        if self.change(State::Closed) {
            tracing::info!(dependency = %self.0.dependency, bot_id = self.bot_id(), "breaker closes: calls are made again");
        }
    }
}

/// How long the breaker stays open each time: doubled, with jitter over the upper half. (The crate's own counts whole seconds.)
#[derive(Clone)]
struct BackOff {
    next: Duration,
    longest: Duration,
    watch: Watch,
}

impl Iterator for BackOff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.next.mul_f64(rand::random_range(0.5..1.0));
        self.next = (self.next * 2).min(self.longest);
        // The machine begins to count a moment later and then waits for more than the delay.
        let due = Instant::now() + delay + Duration::from_millis(2);
        *self.watch.0.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
        Some(delay)
    }
}

#[cfg(test)]
mod tests;
