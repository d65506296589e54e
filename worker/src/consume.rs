//! Reading updates from the queue and having them taken in.
//!
//! An update is acknowledged after its transaction has committed, never before. A database that is away counts against
//! no update: reading pauses, and what is in hand is tried again until it is back. What fails for its own sake is given
//! up to the dead letters after a few tries.
//!
//! What fails by itself cannot hang: a handler awaits nothing but operations of the store and the cache, each of which has
//! a limit. What kills the process, or spins in it until somebody kills it, is delivered again; then it is taken in alone.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use nezuko_shared::{
    queue::{Consumer, Delivery, EntryId},
    telemetry::{
        metrics::{CacheOperation, Trouble, UpdateOutcome},
        trace::{KeyValue, Span, SpanKind},
    },
};
use nezuko_telegram::{ChatId, Update, UpdateKind, UserId, parse_update};
use rand::seq::SliceRandom;
use tokio::sync::{RwLock, RwLockWriteGuard, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    attempts::{Attempts, is_given_up_unseen},
    essential::essential,
    handle::{Handler, Receipt},
    outage::OutageWatch,
    planted::{self, Bug},
    store::StoreError,
};

/// Entries read at once; with fewer, the round trips cost more than the work.
const BATCH: usize = 64;
/// How long one read waits for an entry.
const READ_WAIT: Duration = Duration::from_secs(2);
/// People whose updates are taken in at once.
const CONCURRENCY: usize = 32;
/// No more is read while so many entries are in hand.
const IN_HAND: usize = 512;
/// Between two tries while the store or the queue is away.
const AWAY: Duration = Duration::from_millis(500);
/// For so long nothing is read after the store was away.
const PAUSE_MS: i64 = 1_000;
/// Failures that follow each other sooner are of one absence, which is told once. An operation of the store takes 5 s.
const ONE_ABSENCE_MS: i64 = 10_000;
/// At least so often is looked for entries that others left: what a worker gives back at its end is free at once.
const RECLAIM_EVERY: Duration = Duration::from_secs(1);
/// At its third delivery an update is suspect: two processes died, or were given up, with it in hand. The second one is
/// ordinary, since whoever dies leaves hundreds that had no part in it.
const SUSPECT: u32 = 3;

/// Why an update failed whose handler panicked.
const PANIC: &str = "panic";

/// A suspect waits no longer for what is under way than this, nor than a third of the time after which others take it.
const ALONE_WITHIN: Duration = Duration::from_secs(10);

/// Of this process, whatever the bot: shared by all that is being taken in, exclusive while a suspect is.
static BESIDE_EACH_OTHER: RwLock<()> = RwLock::const_new(());

/// What is taken in beside an update.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    /// Other updates of this process.
    Others,
    /// Nothing.
    Alone,
}

/// Reads one bot's queue.
#[derive(Clone)]
pub struct Reader {
    /// Where updates come from.
    pub consumer: Arc<dyn Consumer>,
    /// Who takes them in.
    pub handler: Handler,
    /// After so long without a sign of life, another worker's entries are taken over.
    pub reclaim_idle: Duration,
    /// Asked before updates are taken in.
    pub outage: Arc<OutageWatch>,
    in_hand: Arc<Mutex<HashSet<EntryId>>>,
    acknowledge: mpsc::Sender<EntryId>,
    slots: Arc<Semaphore>,
    /// Unix milliseconds until which nothing is read, because the store is away.
    paused_until: Arc<AtomicI64>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Reader {
    /// Starts reading; ends at `stop`, with `tracker` telling when everything in hand is taken in and acknowledged.
    pub fn run(
        consumer: Arc<dyn Consumer>,
        handler: Handler,
        outage: Arc<OutageWatch>,
        reclaim_idle: Duration,
        stop: &CancellationToken,
        tracker: &TaskTracker,
    ) {
        let (acknowledge, acknowledged) = mpsc::channel(IN_HAND);
        let reader = Self {
            consumer,
            handler,
            reclaim_idle,
            outage,
            in_hand: Arc::default(),
            acknowledge,
            slots: Arc::new(Semaphore::new(CONCURRENCY)),
            paused_until: Arc::default(),
            tracker: tracker.clone(),
            stop: stop.clone(),
        };
        let acknowledging = acknowledge_all(reader.consumer.clone(), reader.in_hand.clone(), acknowledged);
        tracker.spawn(essential("acknowledging", acknowledging));
        let alive = keep_alive(reader.consumer.clone(), reader.in_hand.clone(), reclaim_idle, stop.clone());
        tokio::spawn(essential("keeping entries alive", alive));
        tracker.spawn(essential("reclaiming", reader.clone().reclaim()));
        tracker.spawn(essential("reading", reader.read()));
    }

    async fn read(self) {
        let mut away = false;
        while !self.stop.is_cancelled() {
            if self.is_full_or_paused() {
                self.wait(Duration::from_millis(20)).await;
                continue;
            }
            let batch = tokio::select! {
                batch = self.consumer.read(BATCH, READ_WAIT) => batch,
                () = self.stop.cancelled() => return,
            };
            match batch {
                Ok(batch) => {
                    away = false;
                    if !batch.is_empty() {
                        self.handler.metrics.batch(batch.len());
                    }
                    self.take_in(batch).await;
                }
                Err(error) => {
                    self.handler.metrics.error(Trouble::Queue);
                    if !away {
                        tracing::warn!(%error, "nothing can be read, trying again until it can");
                    }
                    away = true;
                    self.wait(AWAY).await;
                }
            }
        }
    }

    /// Takes over what silent workers have left.
    async fn reclaim(self) {
        while !self.stop.is_cancelled() {
            self.wait(RECLAIM_EVERY.min(self.reclaim_idle / 3)).await;
            while !self.stop.is_cancelled() && !self.is_full_or_paused() {
                match self.consumer.reclaim(self.reclaim_idle, BATCH).await {
                    Ok(batch) if batch.is_empty() => break,
                    Ok(batch) => {
                        tracing::info!(entries = batch.len(), "taking over the entries of a silent worker");
                        self.handler.metrics.updates_reclaimed(batch.len() as u64);
                        self.take_in(batch).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "nothing can be reclaimed, trying again");
                        break;
                    }
                }
            }
        }
    }

    fn in_hand(&self) -> std::sync::MutexGuard<'_, HashSet<EntryId>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full_or_paused(&self) -> bool {
        self.in_hand().len() >= IN_HAND || self.paused_until.load(Ordering::Relaxed) > (self.handler.clock)()
    }

    async fn wait(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn take_in(&self, batch: Vec<Delivery>) {
        let fresh: Vec<Delivery> = {
            let mut in_hand = self.in_hand();
            batch.into_iter().filter(|delivery| in_hand.insert(delivery.id.clone())).collect()
        };
        if !self.no_gap_before(&fresh).await {
            return;
        }
        let (mut suspects, others): (Vec<_>, Vec<_>) =
            fresh.into_iter().partition(|delivery| delivery.deliveries >= SUSPECT);
        // In the order of the queue everything behind a killer would come back with it for ever.
        suspects.shuffle(&mut rand::rng());
        self.take_in_together(others).await;
        for (nth, suspect) in suspects.iter().enumerate() {
            // While one waits, so does everybody else: the others do not wait for as long again.
            let Some(alone) = self.alone().await else { return self.leave(&suspects[nth..]) };
            self.take_in_alone(suspect.clone()).await;
            drop(alone);
        }
    }

    /// Waits until nothing else is taken in by this process; `None` where that takes long, since an update of another bot
    /// may be held up by a store that is away, or at the end.
    async fn alone(&self) -> Option<RwLockWriteGuard<'static, ()>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            alone = BESIDE_EACH_OTHER.write() => Some(alone),
            () = tokio::time::sleep(ALONE_WITHIN.min(self.reclaim_idle / 3)) => {
                tracing::warn!("what may have ended other processes cannot be taken in alone now, it is left for later");
                None
            }
        }
    }

    /// They stay pending, and go to another worker or come back when nobody has touched them for a while.
    fn leave<'a>(&self, deliveries: impl IntoIterator<Item = &'a Delivery>) {
        let mut in_hand = self.in_hand();
        for delivery in deliveries {
            in_hand.remove(&delivery.id);
        }
    }

    /// Ends what the cache knows to be harmless at once, and has the rest taken in, one person's updates one after the
    /// other (not that the order mattered, but they would wait for each other's locks).
    async fn take_in_together(&self, batch: Vec<Delivery>) {
        // One for all: who asked again while a suspect waits would wait for it, and it for them.
        let beside = Arc::new(BESIDE_EACH_OTHER.read().await);
        let decoded: Vec<_> = batch.into_iter().filter_map(|delivery| self.decode(delivery)).collect();
        let spans: Vec<Span> =
            decoded.iter().map(|(delivery, update)| self.span(delivery, kind(&update.kind))).collect();
        // One question for all, of which the first trace that is recorded tells.
        let of_first = spans.iter().find(|span| span.is_recorded()).cloned().unwrap_or_default();
        let acquitted = of_first.around(self.acquitted(&decoded)).await;
        let mut by_person: BTreeMap<i64, Vec<(Delivery, Update, Span)>> = BTreeMap::new();
        for (((delivery, update), span), acquitted) in decoded.into_iter().zip(spans).zip(acquitted) {
            if acquitted || (planted::has(Bug::DropUpdates) && update.id.0 % 1000 == 7) {
                span.note("nezuko.outcome", UpdateOutcome::Acquitted.as_str());
                self.handler.metrics.update_ended("message", UpdateOutcome::Acquitted);
                self.end(delivery.id).await;
            } else {
                by_person.entry(delivery.envelope.routing_key).or_default().push((delivery, update, span));
            }
        }
        for (_, updates) in by_person {
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
            let (reader, beside) = (self.clone(), beside.clone());
            self.tracker.spawn(async move {
                for (delivery, update, span) in updates {
                    reader.take_in_one(delivery, update, span, Company::Others).await;
                }
                drop((slot, beside));
            });
        }
    }

    /// Takes in what those who had it before may have died of: no other update dies with it, and the log has its name
    /// before it is touched.
    async fn take_in_alone(&self, suspect: Delivery) {
        let Delivery { id, envelope, deliveries } = &suspect;
        let (update_id, trace_id) = (envelope.update_id.0, envelope.trace_id().to_owned());
        tracing::warn!(
            update_id,
            trace_id,
            deliveries,
            entry = id.0,
            "delivered again and again, an update is taken in alone; if this is the last line of a process, it died of it"
        );
        if let Some((delivery, update)) = self.decode(suspect) {
            tracing::warn!(
                update_id,
                trace_id,
                kind = kind(&update.kind),
                "the update that is taken in alone is decoded"
            );
            let span = self.span(&delivery, kind(&update.kind));
            self.take_in_one(delivery, update, span, Company::Alone).await;
        }
    }

    /// What is no update goes to the dead letters.
    fn decode(&self, delivery: Delivery) -> Option<(Delivery, Update)> {
        match parse_update(&delivery.envelope.payload) {
            Ok(_) if is_given_up_unseen(delivery.deliveries) => {
                self.give_up(delivery, "handler_failed", "unseen");
                None
            }
            Ok(update) => Some((delivery, update)),
            Err(error) => {
                self.give_up(delivery, "undecodable", &error.to_string());
                None
            }
        }
    }

    /// Has an outage before these dealt with, trying until the store does it; `false`: the end came first, and they stay
    /// pending.
    async fn no_gap_before(&self, batch: &[Delivery]) -> bool {
        let now_ms = (self.handler.clock)();
        let received_ms = || batch.iter().map(|delivery| delivery.envelope.received_ms);
        while let Err(error) = self.outage.before(received_ms(), now_ms).await {
            self.store_is_away(&error);
            if self.stop.is_cancelled() {
                self.leave(batch);
                return false;
            }
            self.wait(AWAY).await;
        }
        true
    }

    /// Reading pauses for a while.
    fn store_is_away(&self, error: &StoreError) {
        let now_ms = (self.handler.clock)();
        self.handler.metrics.error(Trouble::Database);
        if self.paused_until.swap(now_ms + PAUSE_MS, Ordering::Relaxed) < now_ms - ONE_ABSENCE_MS {
            tracing::warn!(%error, "store away, reading pauses until it is back");
        }
    }

    /// Which of these are ordinary messages of people who are known to be free to write: one round trip for all.
    async fn acquitted(&self, updates: &[(Delivery, Update)]) -> Vec<bool> {
        let senders: Vec<Option<(ChatId, UserId)>> =
            updates.iter().map(|(_, update)| ordinary_sender(update)).collect();
        let pairs: Vec<(ChatId, UserId)> = senders.iter().copied().flatten().collect();
        if pairs.is_empty() {
            return vec![false; updates.len()];
        }
        let asked = Instant::now();
        let known = self.handler.cache.acquitted(self.handler.bot, &pairs).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cache away, asking the database");
            self.handler.metrics.error(Trouble::Cache);
            vec![false; pairs.len()]
        });
        self.handler.metrics.cache(CacheOperation::Acquitted, asked.elapsed());
        let hits = known.iter().filter(|known| **known).count() as u64;
        (0..hits).for_each(|_| self.handler.metrics.verification_latency(asked.elapsed()));
        self.handler.metrics.cache_hits(hits);
        self.handler.metrics.cache_misses(pairs.len() as u64 - hits);
        let mut known = known.into_iter();
        senders.into_iter().map(|sender| sender.is_some() && known.next().unwrap_or(false)).collect()
    }

    async fn take_in_one(&self, delivery: Delivery, update: Update, span: Span, company: Company) {
        if planted::has(Bug::AckBeforeCommit) {
            self.end(delivery.id.clone()).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if planted::has(Bug::DieOfUpdates) && update.id.0 % 1000 == 7 {
            std::process::abort();
        }
        let kind = kind(&update.kind);
        let mut attempts = Attempts::default();
        loop {
            // In a task of its own, so that a panic ends this update and nothing else.
            let (handler, envelope, of_task) = (self.handler.clone(), delivery.envelope.clone(), update.clone());
            let attempt = tokio::spawn(span.clone().around(async move {
                let receipt = Receipt {
                    update_id: envelope.update_id,
                    received_ms: envelope.received_ms,
                    trace_id: envelope.trace_id(),
                };
                if planted::has(Bug::PanicOfEdits) && matches!(of_task.kind, UpdateKind::EditedMessage(_)) {
                    panic!("an edit by somebody: {:?}", of_task.kind);
                }
                handler.handle(&of_task, &receipt).await
            }));
            let reason = match attempt.await {
                Ok(Ok(concerned)) => {
                    let outcome = if concerned { UpdateOutcome::Handled } else { UpdateOutcome::Ignored };
                    self.handler.metrics.update_ended(kind, outcome);
                    span.note("nezuko.outcome", outcome.as_str());
                    return match company {
                        Company::Others => self.end(delivery.id).await,
                        Company::Alone => self.end_now(delivery.id).await,
                    };
                }
                Ok(Err(error)) if error.is_about_content() => error.to_string(),
                Ok(Err(error)) => {
                    self.store_is_away(&error);
                    // Whoever has it alone would have everybody wait for the store.
                    if company == Company::Alone || self.stop.is_cancelled() {
                        return self.leave([&delivery]);
                    }
                    self.wait(AWAY).await;
                    continue;
                }
                Err(_) => PANIC.to_owned(),
            };
            let pause = attempts.failed();
            let tries = attempts.count();
            self.handler.metrics.update_ended(kind, UpdateOutcome::Failed);
            self.handler.metrics.error(if reason == PANIC { Trouble::Panic } else { Trouble::Update });
            span.fail("update failed");
            let (bot_id, trace_id) = (self.handler.bot.0, delivery.envelope.trace_id());
            tracing::error!(reason, tries, kind, bot_id, trace_id, "update failed");
            let Some(pause) = pause else { return self.give_up(delivery, "handler_failed", &reason) };
            self.wait(pause).await;
        }
    }

    /// Taking in one update, as part of the trace that came with it.
    fn span(&self, delivery: &Delivery, kind: &'static str) -> Span {
        let Delivery { id, envelope, deliveries } = delivery;
        Span::following(&envelope.traceparent, [], SpanKind::Consumer, || {
            let about = vec![
                KeyValue::new("messaging.system", "nezuko"),
                KeyValue::new("messaging.destination.name", "updates"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.message.id", id.0.clone()),
                KeyValue::new("messaging.message.body.size", envelope.payload.len() as i64),
                KeyValue::new("nezuko.bot_id", envelope.bot.0),
                KeyValue::new("nezuko.update_id", envelope.update_id.0),
                KeyValue::new("nezuko.update.kind", kind),
                KeyValue::new("nezuko.deliveries", i64::from(*deliveries)),
            ];
            ("process updates".into(), about)
        })
    }

    /// Has the entry acknowledged.
    async fn end(&self, id: EntryId) {
        // The receiver lives until all senders are gone, so that this cannot fail.
        drop(self.acknowledge.send(id).await);
    }

    /// Acknowledges the entry at once: the next suspect may be the one of which this process dies.
    async fn end_now(&self, id: EntryId) {
        match self.consumer.ack(std::slice::from_ref(&id)).await {
            Ok(()) => drop(self.in_hand().remove(&id)),
            Err(_) => self.end(id).await,
        }
    }

    /// Moves an update to the dead letters, trying until the queue takes it.
    fn give_up(&self, delivery: Delivery, reason: &'static str, detail: &str) {
        let reader = self.clone();
        let text = format!("{reason}: {detail}");
        self.tracker.spawn(async move {
            while let Err(error) = reader.consumer.dead_letter(&delivery, &text).await {
                tracing::warn!(%error, "dead letter not stored, trying again");
                reader.wait(AWAY).await;
                if reader.stop.is_cancelled() {
                    return;
                }
            }
            reader.handler.metrics.dead_letter(reason);
            reader.handler.metrics.update_ended("any", UpdateOutcome::DeadLettered);
            let (bot_id, trace_id) = (reader.handler.bot.0, delivery.envelope.trace_id());
            tracing::error!(reason, bot_id, trace_id, "update moved to the dead letters");
            reader.in_hand().remove(&delivery.id);
        });
    }
}

/// Tells the queue that what is in hand is still being worked on, also while the process drains.
async fn keep_alive(
    consumer: Arc<dyn Consumer>,
    in_hand: Arc<Mutex<HashSet<EntryId>>>,
    reclaim_idle: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::time::sleep(reclaim_idle / 3).await;
        let ids: Vec<EntryId> = in_hand.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if ids.is_empty() {
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        if let Err(error) = consumer.keep_alive(&ids).await {
            tracing::warn!(%error, "entries not kept alive");
        }
    }
}

/// Acknowledges in batches until every reader is gone, trying each batch until the queue takes it.
async fn acknowledge_all(
    consumer: Arc<dyn Consumer>,
    in_hand: Arc<Mutex<HashSet<EntryId>>>,
    mut ended: mpsc::Receiver<EntryId>,
) {
    let mut batch = Vec::new();
    while ended.recv_many(&mut batch, 4 * BATCH).await > 0 {
        let mut tries = 0;
        while let Err(error) = consumer.ack(&batch).await {
            if tries == 0 {
                tracing::warn!(%error, entries = batch.len(), "not acknowledged, trying again for half a minute");
            }
            tries += 1;
            // Given up at last, an entry that stays pending is delivered again, which does no harm.
            if tries > 60 {
                break;
            }
            tokio::time::sleep(AWAY).await;
        }
        let mut in_hand = in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        for id in batch.drain(..) {
            in_hand.remove(&id);
        }
    }
}

/// Who wrote an ordinary message in a group: nothing but the sender's right to write matters about it.
#[must_use]
pub fn ordinary_sender(update: &Update) -> Option<(ChatId, UserId)> {
    let UpdateKind::Message(message) = &update.kind else { return None };
    let is_command = message.text.as_deref().is_some_and(|text| text.starts_with('/'));
    let from = message.from.as_ref()?;
    let is_ordinary = message.chat.kind.is_group() && message.sender_chat.is_none() && !message.is_service;
    (is_ordinary && !is_command).then_some((message.chat.id, from.id))
}

const fn kind(kind: &UpdateKind) -> &'static str {
    match kind {
        UpdateKind::Message(_) => "message",
        UpdateKind::EditedMessage(_) => "edited_message",
        UpdateKind::JoinRequest(_) => "chat_join_request",
        UpdateKind::CallbackQuery(_) => "callback_query",
        UpdateKind::ChatMember(_) => "chat_member",
        UpdateKind::MyChatMember(_) => "my_chat_member",
        UpdateKind::Other => "other",
    }
}
