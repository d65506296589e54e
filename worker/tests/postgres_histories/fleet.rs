//! Three workers of one bot: tasks that take updates in and carry intents out, and that can be ended at any point.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use loadtest::world::Emitted;
use nezuko_shared::{
    cache::{Cache, memory::MemoryCache},
    limiter::{Budget, Limiter, LimiterError, Paused, Permit, Urgency},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{ChatId, Client, Update, UpdateId, parse_update};
use nezuko_worker::{
    buttons::ButtonKey,
    consume::ordinary_sender,
    handle::{Handler, Receipt},
    intent::Lane,
    send::{CLAIM, Sender},
    store::{SqlStore, Store, StoreError},
};
use rand::{Rng, rngs::StdRng, seq::IteratorRandom};
use tokio::task::JoinSet;

use crate::telegram::Telegram;

pub(crate) const WORKERS: usize = 3;
/// Tasks of one worker that take updates in.
const READERS: usize = 3;
/// Without being woken, a task looks again after so long.
const POLL: Duration = Duration::from_millis(100);

struct NoLimit;

#[async_trait]
impl Limiter for NoLimit {
    async fn ask(&self, _: Budget, _: Urgency, _: Option<ChatId>) -> Result<Permit, LimiterError> {
        Ok(Permit::Granted { valid_for: Duration::from_hours(1) })
    }

    async fn pause(&self, _: Budget, _: Option<ChatId>, _: Duration) -> Result<Paused, LimiterError> {
        Ok(Paused::Chat)
    }
}

/// An update that is not acknowledged as often as it was sent.
struct Queued {
    update: Emitted,
    received_ms: i64,
    copies: u32,
    /// The worker that has it.
    holder: Option<usize>,
}

/// What Telegram has sent, and who has it. Like a consumer group: what nobody acknowledges comes back.
#[derive(Default)]
struct Queue {
    entries: Vec<Queued>,
    taken_in: usize,
    taken_in_twice: usize,
    /// Errors of the store: there is nothing wrong with it, so there must be none.
    troubles: Vec<String>,
}

/// A worker that runs.
struct Worker {
    sender: Sender,
    tasks: JoinSet<()>,
}

/// The workers of one bot, with what they share.
pub(crate) struct Fleet {
    store: Arc<SqlStore>,
    telegram: Telegram,
    cache: Arc<dyn Cache>,
    queue: Arc<Mutex<Queue>>,
    /// Tasks that are at work on a claim or an update.
    at_work: Arc<AtomicUsize>,
    workers: Vec<Worker>,
    started: usize,
}

fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a task as at work until it is dropped, as it is also when its task is ended.
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fleet {
    /// Starts the workers.
    pub(crate) fn start(store: Arc<SqlStore>, telegram: Telegram) -> Self {
        let mut fleet = Self {
            store,
            telegram,
            cache: Arc::new(MemoryCache::default()),
            queue: Arc::default(),
            at_work: Arc::default(),
            workers: Vec::new(),
            started: 0,
        };
        for place in 0..WORKERS {
            let worker = fleet.worker(place);
            fleet.workers.push(worker);
        }
        fleet
    }

    fn worker(&mut self, place: usize) -> Worker {
        self.started += 1;
        let bot = self.store.bot();
        let telegram = self.telegram.clone();
        let handler = Handler {
            store: self.store.clone(),
            cache: self.cache.clone(),
            bot,
            username: Arc::new(OnceLock::new()),
            buttons: ButtonKey::of_token(bot, "a token"),
            metrics: Metrics::new(bot, "abc"),
            clock: Arc::new(move || telegram.now_ms()),
            wake: Arc::default(),
        };
        let api = Client::new(Arc::new(self.telegram.clone()));
        let sender = Sender::new(handler, api, Arc::new(NoLimit), format!("worker-{}", self.started));
        let mut tasks = JoinSet::new();
        for _ in 0..READERS {
            tasks.spawn(read(self.queue.clone(), sender.handler.clone(), place, self.at_work.clone()));
        }
        let claims = Claims::default();
        for lane in Lane::ALL {
            tasks.spawn(send(self.queue.clone(), sender.clone(), lane, claims.clone(), self.at_work.clone()));
        }
        tasks.spawn(keep_claims(self.queue.clone(), sender.clone(), claims));
        Worker { sender, tasks }
    }

    /// Puts what Telegram has sent into the queue.
    pub(crate) fn receive(&self, mut copies: impl FnMut() -> u32) {
        let mut queue = locked(&self.queue);
        let received_ms = self.telegram.now_ms();
        for update in self.telegram.with(|world, _| world.take_updates()) {
            queue.entries.push(Queued { update, received_ms, copies: copies(), holder: None });
        }
    }

    /// Ends one worker where it stands, and starts another in its place. Its claims are given back, or it takes until they
    /// have run out that somebody notices. Returns how many updates it had in hand.
    pub(crate) async fn kill_one(&mut self, rng: &mut StdRng) -> usize {
        let place = rng.random_range(0..WORKERS);
        let next = self.worker(place);
        let mut killed = std::mem::replace(&mut self.workers[place], next);
        killed.tasks.shutdown().await;
        let mut in_hand = 0;
        for entry in locked(&self.queue).entries.iter_mut().filter(|entry| entry.holder == Some(place)) {
            entry.holder = None;
            in_hand += 1;
        }
        if rng.random_bool(0.5) {
            self.store.release(&killed.sender.holder).await.unwrap();
        } else {
            self.telegram.advance(CLAIM.as_millis() as i64 + 1);
        }
        in_hand
    }

    /// Whether every update is taken in and nobody is at work.
    pub(crate) fn is_idle(&self) -> bool {
        let waits = locked(&self.queue).entries.iter().any(|entry| entry.copies > 0);
        !waits && self.at_work.load(Ordering::SeqCst) == 0
    }

    /// Wakes everybody, because the clock was turned.
    pub(crate) fn wake(&self) {
        self.workers.iter().for_each(|worker| worker.sender.handler.wake.all());
    }

    /// Ends all workers; returns how many updates were taken in, and how many of them again.
    ///
    /// # Errors
    /// Where the store has failed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<(usize, usize)> {
        for worker in &mut self.workers {
            worker.tasks.shutdown().await;
        }
        let queue = locked(&self.queue);
        anyhow::ensure!(queue.troubles.is_empty(), "the store has failed: {}", queue.troubles.join("; "));
        Ok((queue.taken_in, queue.taken_in_twice))
    }
}

/// Takes an entry that nobody has, in no order.
fn take(queue: &Mutex<Queue>, place: usize) -> Option<(usize, Emitted, i64)> {
    let mut queue = locked(queue);
    let free = queue.entries.iter_mut().enumerate().filter(|(_, entry)| entry.copies > 0 && entry.holder.is_none());
    let (index, entry) = free.choose(&mut rand::rng())?;
    entry.holder = Some(place);
    Some((index, entry.update.clone(), entry.received_ms))
}

fn acknowledge(queue: &Mutex<Queue>, index: usize, place: usize) {
    let mut queue = locked(queue);
    let Some(entry) = queue.entries.get_mut(index).filter(|entry| entry.holder == Some(place)) else { return };
    entry.holder = None;
    entry.copies -= 1;
    let again = entry.copies > 0;
    queue.taken_in += 1;
    queue.taken_in_twice += usize::from(again);
}

/// What the store gave, or `None` where it failed, which is remembered.
fn given<T>(queue: &Mutex<Queue>, result: Result<T, StoreError>) -> Option<T> {
    result.map_err(|error| locked(queue).troubles.push(error.to_string())).ok()
}

async fn read(queue: Arc<Mutex<Queue>>, handler: Handler, place: usize, at_work: Arc<AtomicUsize>) {
    loop {
        let busy = AtWork::begin(&at_work);
        let Some((index, update, received_ms)) = take(&queue, place) else {
            drop(busy);
            tokio::time::sleep(POLL).await;
            continue;
        };
        let decoded = parse_update(update.body.as_bytes()).expect("invariant: the world's updates are sound");
        let receipt = Receipt { update_id: UpdateId(update.update_id), received_ms, trace_id: "" };
        if is_acquitted(&handler, &decoded).await || given(&queue, handler.handle(&decoded, &receipt).await).is_some() {
            acknowledge(&queue, index, place);
        }
    }
}

/// Whether the cache knows the writer of an ordinary message to be free.
async fn is_acquitted(handler: &Handler, update: &Update) -> bool {
    let Some(pair) = ordinary_sender(update) else { return false };
    handler.cache.acquitted(handler.bot, &[pair]).await.unwrap() == [true]
}

/// The numbers of the claims that a worker has in hand.
type Claims = Arc<Mutex<BTreeSet<i64>>>;

async fn send(queue: Arc<Mutex<Queue>>, sender: Sender, lane: Lane, claims: Claims, at_work: Arc<AtomicUsize>) {
    let in_hand = || claims.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let batches = given(&queue, sender.claim(lane, 4).await).unwrap_or_default();
        let Some(number) = batches.iter().flatten().map(|claim| claim.claim).next() else {
            let rung = sender.handler.wake.rung(lane);
            // Nobody rang: time may have passed.
            tokio::time::timeout(POLL, rung).await.ok();
            continue;
        };
        let _busy = AtWork::begin(&at_work);
        in_hand().insert(number);
        for batch in batches {
            given(&queue, sender.carry_out(&batch).await);
        }
        in_hand().remove(&number);
    }
}

async fn keep_claims(queue: Arc<Mutex<Queue>>, sender: Sender, claims: Claims) {
    loop {
        tokio::time::sleep(CLAIM / 3).await;
        let until_ms = (sender.handler.clock)() + CLAIM.as_millis() as i64;
        let numbers = claims.lock().unwrap_or_else(PoisonError::into_inner).clone();
        given(&queue, sender.handler.store.renew(&sender.holder, &numbers, until_ms).await);
    }
}

/// The keys of what is left to do, for a report.
pub(crate) async fn open_intents(store: &SqlStore) -> BTreeSet<String> {
    store.open_intents(i64::MAX).await.unwrap().into_iter().map(|(kind, count)| format!("{count} {kind}")).collect()
}
