//! A seeded scheduler: it decides who goes on, so that a seed gives the same interleaving every time.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use rand::{Rng, rngs::StdRng};

/// Lets the scheduler decide who goes on; a task may end here for ever, as with `kill -9`.
pub(crate) async fn step() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

type Task = Pin<Box<dyn Future<Output = Done>>>;

/// What a task leaves behind when it has run to its end.
pub(crate) enum Done {
    /// The update with this index in the queue is taken in and may be acknowledged.
    TakenIn(usize),
    /// A sender has carried out what it had claimed.
    CarriedOut,
}

/// The tasks of all workers.
#[derive(Default)]
pub(crate) struct Tasks(Vec<Task>);

impl Tasks {
    pub(crate) fn start(&mut self, task: impl Future<Output = Done> + 'static) {
        self.0.push(Box::pin(task));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Ends one task where it stands.
    pub(crate) fn crash_one(&mut self, rng: &mut StdRng) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let victim = rng.random_range(0..self.0.len());
        drop(self.0.swap_remove(victim));
        true
    }

    /// Lets one task go on to its next step.
    pub(crate) fn poll_one(&mut self, rng: &mut StdRng) -> Option<Done> {
        if self.0.is_empty() {
            return None;
        }
        let next = rng.random_range(0..self.0.len());
        let mut context = Context::from_waker(Waker::noop());
        match self.0[next].as_mut().poll(&mut context) {
            Poll::Ready(done) => {
                drop(self.0.swap_remove(next));
                Some(done)
            }
            Poll::Pending => None,
        }
    }
}
