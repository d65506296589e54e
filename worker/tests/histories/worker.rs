//! A worker: reads entries and has them taken in, claims intents and has them carried out, by the rules of the real tasks.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use nezuko_shared::telemetry::metrics::Metrics;
use nezuko_telegram::{BotId, Client};
use nezuko_worker::{
    attempts::{Attempts, is_given_up_unseen},
    buttons::ButtonKey,
    consume::ordinary_sender,
    handle::{Handler, Receipt},
    intent::Lane,
    planted::{self, Bug},
    send::{CLAIM, Sender},
};

use crate::{
    coverage::count,
    ports::{PausingLimiter, SharedCache},
    queue::{Delivered, Queue},
    scheduler::{or_panic, sleep_until},
    store::MemoryStore,
    telegram::Telegram,
};

/// Between two tries while the store or the queue is away, ms.
const QUEUE_AWAY_MS: i64 = 500;
const STORE_AWAY_MS: i64 = 1_000;

/// What all workers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) bot: BotId,
    pub(crate) telegram: Telegram,
    pub(crate) store: MemoryStore,
    pub(crate) queue: Queue,
    pub(crate) cache: SharedCache,
    pub(crate) limiter: PausingLimiter,
}

/// A worker that runs.
#[derive(Clone)]
pub(crate) struct Worker {
    shared: Shared,
    sender: Sender,
    /// Its name in the consumer group; never used again after it died.
    pub(crate) consumer: usize,
    /// By how much its clock is off.
    pub(crate) skew_ms: i64,
    /// Entries that it has.
    entries: Arc<Mutex<BTreeSet<usize>>>,
    /// Claims that it works on.
    claims: Arc<Mutex<BTreeSet<i64>>>,
    /// It stands still until then, Unix milliseconds.
    pub(crate) stalled_until_ms: i64,
}

fn metrics(bot: BotId) -> Metrics {
    thread_local! {
        static METRICS: OnceLock<Metrics> = const { OnceLock::new() };
    }
    METRICS.with(|metrics| metrics.get_or_init(|| Metrics::new(bot, "abc")).clone())
}

impl Worker {
    /// A worker under a new name.
    pub(crate) fn start(shared: &Shared, consumer: usize, skew_ms: i64) -> Self {
        let clock_of = shared.telegram.clone();
        let handler = Handler {
            store: Arc::new(shared.store.clone()),
            cache: Arc::new(shared.cache.clone()),
            bot: shared.bot,
            username: Arc::new(OnceLock::new()),
            buttons: ButtonKey::of_token(shared.bot, "a token"),
            metrics: metrics(shared.bot),
            clock: Arc::new(move || clock_of.now_ms() + skew_ms),
            wake: Arc::default(),
        };
        let api = Client::new(Arc::new(shared.telegram.clone()));
        let sender = Sender::new(handler, api, Arc::new(shared.limiter.clone()), format!("worker-{consumer}"));
        let (entries, claims) = (Arc::default(), Arc::default());
        Self { shared: shared.clone(), sender, consumer, skew_ms, entries, claims, stalled_until_ms: 0 }
    }

    pub(crate) fn handler(&self) -> &Handler {
        &self.sender.handler
    }

    /// Takes note of an entry in its hands. False: it has it already.
    pub(crate) fn takes(&self, entry: usize) -> bool {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(entry)
    }

    fn lets_go(&self, entry: usize) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry);
    }

    fn claims(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, ms: i64) {
        let telegram = &self.shared.telegram;
        sleep_until(telegram.now_ms() + ms, || telegram.now_ms()).await;
    }

    /// Says that it is alive: nobody takes its entries, or what it has claimed.
    pub(crate) fn keep_alive(&self) {
        let now_ms = self.shared.telegram.now_ms();
        self.shared.queue.keep_alive(self.consumer, now_ms);
        let until_ms = now_ms + self.skew_ms + CLAIM.as_millis() as i64;
        self.shared.store.keep_claims(&self.sender.holder, &self.claims(), until_ms);
    }

    /// Takes in an entry, and ends it.
    pub(crate) async fn take_in(self, delivered: Delivered) {
        let Delivered { entry, update, received_ms, deliveries } = delivered;
        if is_given_up_unseen(deliveries) {
            return self.give_up(entry).await;
        }
        if let Some(pair) = ordinary_sender(&update)
            && self.handler().cache.acquitted(self.shared.bot, &[pair]).await.is_ok_and(|known| known == [true])
        {
            self.shared.queue.taken_in(entry);
            return self.acknowledge(entry).await;
        }
        if planted::has(Bug::AckBeforeCommit) {
            self.acknowledge(entry).await;
        }
        let receipt = Receipt { update_id: update.id, received_ms, trace_id: "" };
        let mut attempts = Attempts::default();
        loop {
            match or_panic(self.handler().handle(&update, &receipt)).await {
                Some(Ok(_)) => {
                    self.shared.queue.taken_in(entry);
                    return self.acknowledge(entry).await;
                }
                Some(Err(error)) if !error.is_about_content() => {
                    self.sleep(QUEUE_AWAY_MS).await;
                    continue;
                }
                Some(Err(_)) => {}
                None => count("fault", "panic", "of a handler"),
            }
            self.shared.queue.failed(entry);
            let Some(pause) = attempts.failed() else { return self.give_up(entry).await };
            self.sleep(pause.as_millis() as i64).await;
        }
    }

    async fn acknowledge(&self, entry: usize) {
        while self.shared.queue.acknowledge(entry).await.is_err() {
            self.sleep(QUEUE_AWAY_MS).await;
        }
        self.lets_go(entry);
    }

    async fn give_up(&self, entry: usize) {
        while self.shared.queue.dead_letter(entry).await.is_err() {
            self.sleep(QUEUE_AWAY_MS).await;
        }
        self.lets_go(entry);
    }

    /// Claims something of a lane, and carries it out.
    pub(crate) async fn send(self, lane: Lane) {
        let max = if lane == Lane::Deletions { 4 } else { 2 };
        let Ok(batches) = self.sender.claim(lane, max).await else { return self.sleep(STORE_AWAY_MS).await };
        let claims: Vec<i64> = batches.iter().flatten().map(|claim| claim.claim).collect();
        self.claims().extend(&claims);
        for batch in batches {
            match or_panic(self.sender.carry_out(&batch)).await {
                Some(Ok(())) => continue,
                Some(Err(_)) => {}
                None => count("fault", "panic", "of a sender"),
            }
            while self.sender.give_back(&batch).await.is_err() {
                self.sleep(STORE_AWAY_MS).await;
            }
        }
        self.claims().retain(|claim| !claims.contains(claim));
    }
}
