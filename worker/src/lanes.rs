//! The lanes: tasks that claim due intents and have them carried out, each with a concurrency of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nezuko_shared::telemetry::{
    metrics::Trouble,
    trace::{self, KeyValue, MAX_LINKS, Span, SpanKind},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    essential::essential,
    intent::{Claim, Lane},
    send::{CLAIM, Sender},
};

/// Without being woken, lanes look for due intents this often.
const POLL: Duration = Duration::from_secs(1);
/// A lane waits so long after the store has failed it.
const STORE_AWAY: Duration = Duration::from_secs(1);

/// How many batches of a lane are carried out at once, and how many intents are claimed for each: deletions of one chat
/// go together, a hundred with one call.
const fn width(lane: Lane) -> (usize, i64) {
    match lane {
        Lane::Answers | Lane::Restrictions | Lane::Lookups => (16, 1),
        Lane::Deletions => (4, 100),
        Lane::Commands | Lane::Messages | Lane::Replies | Lane::Bulk => (4, 1),
        Lane::Jobs => (1, 1),
    }
}

/// Runs all lanes until `stop`; what is in hand then is carried out, which `tracker` tells.
pub(crate) fn run(sender: &Sender, stop: &CancellationToken, tracker: &TaskTracker) {
    let in_hand = InHand::default();
    let turns = Arc::new(Semaphore::new(1));
    for lane in Lane::ALL {
        let all = Lanes {
            sender: sender.clone(),
            stop: stop.clone(),
            tracker: tracker.clone(),
            in_hand: in_hand.clone(),
            turns: turns.clone(),
        };
        tracker.spawn(essential("a lane", all.run(lane)));
    }
    let (sender, stop) = (sender.clone(), stop.clone());
    tokio::spawn(essential("keeping claims", keep_claims(sender, stop, in_hand)));
}

/// What the lanes share.
struct Lanes {
    sender: Sender,
    stop: CancellationToken,
    tracker: TaskTracker,
    in_hand: InHand,
    /// The turn to see, with one intent, whether Telegram is back.
    turns: Arc<Semaphore>,
}

impl Lanes {
    async fn run(self, lane: Lane) {
        let (concurrency, claims_per_slot) = width(lane);
        let slots = Arc::new(Semaphore::new(concurrency));
        let mut store_away = false;
        while !self.stop.is_cancelled() {
            // Nothing is claimed that would only wait here, where no other worker can take it up.
            let Ok(free) = slots.acquire().await else { return };
            drop(free);
            let turn = tokio::select! {
                turn = self.turn(lane) => turn,
                () = self.stop.cancelled() => return,
            };
            let max = if turn.is_some() { 1 } else { claims_per_slot * slots.available_permits().max(1) as i64 };
            let batches = match self.sender.claim(lane, max).await {
                Ok(batches) => batches,
                Err(error) => {
                    self.sender.handler.metrics.error(Trouble::Database);
                    if !store_away {
                        tracing::warn!(?lane, %error, "no intents can be claimed, trying again until they can");
                    }
                    store_away = true;
                    wait(&self.stop, STORE_AWAY).await;
                    continue;
                }
            };
            store_away = false;
            if batches.is_empty() {
                drop(turn);
                tokio::select! {
                    () = self.sender.handler.wake.rung(lane) => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let turn = Arc::new(turn);
            let mut batches = batches.into_iter();
            while let Some(batch) = batches.next() {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let (sender, in_hand, turn) = (self.sender.clone(), self.in_hand.clone(), turn.clone());
                let gone = turn.is_none() && self.waits(lane);
                let rest: Option<Vec<Claim>> = gone.then(|| batches.by_ref().flatten().collect());
                let claims = batch.iter().chain(rest.iter().flatten()).map(|claim| claim.claim).collect();
                in_hand.add(&claims);
                self.tracker.spawn(async move {
                    match rest {
                        // Telegram has gone away since they were claimed.
                        Some(rest) => give_back(&sender, &[batch, rest].concat()).await,
                        None => carry_out(sender, batch).await,
                    }
                    in_hand.remove(&claims);
                    drop((slot, turn));
                });
            }
        }
    }

    /// Waits until intents of `lane` can be carried out. While Telegram is away one lane at a time gets a turn, when the
    /// breaker lets a call pass: whatever else were claimed would only come back. All go on at once when it is over.
    async fn turn(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        if !self.waits(lane) {
            return None;
        }
        let turn = async {
            let turn = self.turns.clone().acquire_owned().await.ok();
            self.sender.api.ready().await;
            turn.filter(|_| self.waits(lane))
        };
        tokio::select! {
            turn = turn => turn,
            // Whoever has the turn may be at work for long after their first call got through.
            () = self.sender.api.back() => None,
        }
    }

    /// Whether `lane` has to wait for Telegram now. Jobs call nobody.
    fn waits(&self, lane: Lane) -> bool {
        lane != Lane::Jobs && self.sender.api.is_held_back()
    }
}

/// The claims that this process works on, each as often as there are batches of it.
#[derive(Clone, Default)]
struct InHand(Arc<Mutex<BTreeMap<i64, usize>>>);

impl InHand {
    fn claims(&self) -> MutexGuard<'_, BTreeMap<i64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, batch: &BTreeSet<i64>) {
        let mut claims = self.claims();
        batch.iter().for_each(|claim| *claims.entry(*claim).or_default() += 1);
    }

    fn remove(&self, batch: &BTreeSet<i64>) {
        self.claims().retain(|claim, batches| {
            *batches -= usize::from(batch.contains(claim));
            *batches > 0
        });
    }
}

/// Carries a batch out. One that fails or panics is given back as soon as the store takes it: its claims are prolonged for
/// as long as this process has them in hand.
async fn carry_out(sender: Sender, batch: Vec<Claim>) {
    let (of_task, claims, span) = (sender.clone(), batch.clone(), span(&batch));
    let trace_id = batch.first().map(|claim| claim.trace_id.clone()).unwrap_or_default();
    let work = span.clone().around(async move { of_task.carry_out(&claims).await });
    let work = trace::correlated(trace_id.clone(), work);
    let failed = match tokio::spawn(work).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.to_string(),
    };
    span.fail("not settled");
    sender.handler.metrics.error(Trouble::Intent);
    tracing::error!(failed, bot_id = sender.handler.bot.0, trace_id, "an intent was not settled, giving it back");
    give_back(&sender, &batch).await;
}

/// Carrying out a batch is part of the newest trace behind its first intent, and linked to the others, some of them at most.
fn span(batch: &[Claim]) -> Span {
    let Some(first) = batch.iter().find(|claim| !claim.traceparent.is_empty()) else { return Span::default() };
    let lane = first.intent.lane(first.urgency);
    if !lane.is_awaited() {
        return Span::default();
    }
    let earlier = batch.iter().flat_map(|claim| claim.trace_links.split_whitespace());
    let beside = batch.iter().map(|claim| claim.traceparent.as_str()).filter(|other| *other != first.traceparent);
    let links = beside.chain(earlier).filter(|link| !link.is_empty()).take(MAX_LINKS);
    Span::following(&first.traceparent, links, SpanKind::Internal, || {
        let kind = first.intent.kind();
        let about = vec![
            KeyValue::new("nezuko.intent.kind", kind),
            KeyValue::new("nezuko.intent.attempts", first.attempts),
            KeyValue::new("nezuko.intents", batch.len() as i64),
        ];
        (format!("carry out {kind}").into(), about)
    })
}

async fn give_back(sender: &Sender, claims: &[Claim]) {
    while let Err(error) = sender.give_back(claims).await {
        tracing::warn!(%error, claims = claims.len(), "claims not given back, trying again");
        tokio::time::sleep(STORE_AWAY).await;
    }
}

/// Prolongs the claims that this process works on. It goes on while the process drains.
async fn keep_claims(sender: Sender, stop: CancellationToken, in_hand: InHand) {
    loop {
        tokio::time::sleep(CLAIM / 3).await;
        let claims: BTreeSet<i64> = in_hand.claims().keys().copied().collect();
        if claims.is_empty() {
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let until_ms = (sender.handler.clock)() + CLAIM.as_millis() as i64;
        if let Err(error) = sender.handler.store.renew(&sender.holder, &claims, until_ms).await {
            tracing::warn!(%error, "claims not prolonged");
        }
    }
}

async fn wait(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests;
