//! The way of telemetry out of the process: a bounded queue and a thread that delivers from it.
//!
//! Whoever has something to send never waits: what finds the queue full, and what cannot be delivered, is dropped and
//! counted. So a collector that is away or hangs costs a counter and nothing else.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;

/// How much is kept and sent at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Items that wait at most.
    pub(super) queue: usize,
    /// Items that are delivered together at most.
    pub(super) batch: usize,
    /// How long the first of a batch waits for others.
    pub(super) gather: Duration,
}

/// Where items go. They are delivered until it is closed.
pub(super) struct Outbox<T> {
    /// `None` once it is closed.
    way: RwLock<Option<SyncSender<T>>>,
    /// Disconnected when everything is delivered.
    end: Mutex<Receiver<()>>,
    dropped: Counter,
}

impl<T> fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts the thread `name`, which hands batches to `deliver`. Where that returns `false` the batch is lost.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        name: &'static str,
        size: Size,
        dropped: Counter,
        mut deliver: impl FnMut(Vec<T>) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let (way, items) = sync_channel(size.queue);
        let (working, end) = sync_channel::<()>(0);
        let lost = dropped.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut fails = false;
            while let Some(batch) = gather(&items, size) {
                let count = batch.len() as u64;
                let delivered = deliver(batch);
                if !delivered {
                    lost.inc_by(count);
                }
                if fails == delivered {
                    fails = !delivered;
                    tell(name, delivered);
                }
            }
            drop(working);
        })?;
        Ok(Self { way: RwLock::new(Some(way)), end: Mutex::new(end), dropped })
    }

    /// Has `item` delivered, or drops it. Never waits.
    pub(super) fn put(&self, item: T) {
        let way = self.way.read().unwrap_or_else(PoisonError::into_inner);
        if way.as_ref().is_none_or(|way| way.try_send(item).is_err()) {
            self.dropped.inc();
        }
    }

    /// Takes nothing more in. What is there is still delivered, at once.
    pub(super) fn close(&self) {
        drop(self.way.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// After [`close`](Self::close), waits until everything is delivered or given up, or `until`. Returns which of them.
    pub(super) fn wait(&self, until: Instant) -> bool {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_duration_since(Instant::now());
        end.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

/// The next batch; `None` when the outbox is closed and empty.
fn gather<T>(items: &Receiver<T>, size: Size) -> Option<Vec<T>> {
    let mut batch = vec![items.recv().ok()?];
    let until = Instant::now() + size.gather;
    while batch.len() < size.batch {
        match items.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(item) => batch.push(item),
            Err(_) => break,
        }
    }
    Some(batch)
}

/// Once when it begins to fail, and once when it works again.
fn tell(name: &str, delivered: bool) {
    if delivered {
        tracing::info!(exporter = name, "telemetry is delivered again");
    } else {
        tracing::warn!(exporter = name, "telemetry cannot be delivered, it is dropped and counted until it can");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn outbox(size: Size, deliver: impl FnMut(Vec<u32>) -> bool + Send + 'static) -> (Outbox<u32>, Counter) {
        let dropped = Counter::default();
        (Outbox::start("test", size, dropped.clone(), deliver).unwrap(), dropped)
    }

    #[test]
    fn everything_is_delivered_in_batches_also_at_the_end() {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let seen = delivered.clone();
        let size = Size { queue: 100, batch: 4, gather: Duration::from_secs(3600) };
        let (outbox, dropped) = outbox(size, move |batch| {
            seen.lock().unwrap().push(batch);
            true
        });
        (0..10).for_each(|item| outbox.put(item));
        outbox.close();
        assert!(outbox.wait(Instant::now() + SOON), "the last batch waits for no others");
        assert_eq!(*delivered.lock().unwrap(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(dropped.get(), 0);
        outbox.put(10);
        assert_eq!(dropped.get(), 1, "after the end nothing is taken in");
    }

    #[test]
    fn what_finds_no_room_or_no_taker_is_counted_and_nobody_waits_for_it() {
        let (go_on, held_up) = sync_channel::<()>(0);
        let size = Size { queue: 3, batch: 1, gather: Duration::ZERO };
        let (outbox, dropped) = outbox(size, move |_| held_up.recv().is_ok());
        let began = Instant::now();
        (0..1_000).for_each(|item| outbox.put(item));
        assert!(began.elapsed() < SOON);
        assert!((996..=997).contains(&dropped.get()), "three wait and one may be on its way: {}", dropped.get());

        outbox.close();
        assert!(!outbox.wait(Instant::now() + Duration::from_millis(50)), "it hangs, and is not waited for");
        let found_no_room = dropped.get();
        drop(go_on);
        assert!(outbox.wait(Instant::now() + SOON));
        assert_eq!(dropped.get(), 1_000, "what could not be delivered counts as well ({found_no_room} before)");
    }
}
