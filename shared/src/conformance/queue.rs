//! The suite of the queue's port.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use nezuko_telegram::{BotId, UpdateId};
use tokio::time::{Instant, timeout};

use super::all_held;
use crate::{
    envelope::Envelope,
    queue::{Backlog, Consumer, Delivery, EntryId, Producer},
};

/// How long a check waits for what must come.
const DEADLINE: Duration = Duration::from_secs(10);

/// An idle time that no check lasts.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// One bot's empty queue, and a look behind the port.
#[async_trait]
pub trait QueueUnderTest: Send + Sync {
    /// Whose queue it is; no other one has the same.
    fn bot(&self) -> BotId;
    /// The gateway's side.
    fn producer(&self) -> Arc<dyn Producer>;
    /// The worker's side.
    fn consumer(&self, name: &str) -> Arc<dyn Consumer>;
    /// Update and reason of every dead letter.
    async fn dead_letters(&self) -> Result<Vec<(UpdateId, String)>>;
    /// Body and reason of everything in quarantine.
    async fn quarantined(&self) -> Result<Vec<(Vec<u8>, String)>>;
}

/// Runs every check, at the same time, each with a queue of its own from `make`.
///
/// # Errors
/// All promises that do not hold.
pub async fn suite(make: &(dyn Fn() -> Box<dyn QueueUnderTest> + Sync)) -> Result<()> {
    macro_rules! checks {
        ($($name:ident),* $(,)?) => {
            vec![$({
                let queue = make();
                let check: Pin<Box<dyn Future<Output = Result<()>>>> =
                    Box::pin(async move { $name(&*queue).await.context(stringify!($name)) });
                check
            }),*]
        };
    }
    let mut checks = checks![
        an_envelope_arrives_as_it_was_pushed,
        an_entry_is_pending_until_acknowledged,
        every_push_is_read_once_by_competing_consumers,
        a_read_takes_no_more_than_asked_for,
        an_empty_read_waits_and_ends,
        a_waiting_reader_is_woken_by_a_push,
        the_entries_of_a_dead_consumer_are_reclaimed_whole,
        fresh_entries_are_not_reclaimed,
        reclaiming_walks_through_all_entries,
        reclaiming_passes_by_those_at_work,
        entries_kept_alive_are_not_reclaimed,
        a_former_owner_does_not_take_an_entry_back,
        acknowledging_again_changes_nothing,
        a_dead_letter_is_written_once_and_ends_the_entry,
        an_ended_entry_is_no_dead_letter,
        a_leaving_consumer_gives_its_entries_back_at_once,
        quarantined_bodies_are_kept_and_delivered_to_nobody,
    ];
    let (one, other) = (make(), make());
    checks.push(Box::pin(async move { bots_are_apart(&*one, &*other).await.context("bots_are_apart") }));
    let failed: Vec<_> = join_all(checks).await.into_iter().filter_map(Result::err).collect();
    all_held(&failed)
}

fn envelope(bot: BotId, update: i64) -> Envelope {
    Envelope {
        bot,
        update_id: UpdateId(update),
        routing_key: -update,
        received_ms: 1_700_000_000_000 + update,
        traceparent: format!("00-{update:032x}-00f067aa0ba902b7-01"),
        payload: Bytes::from(format!("{{\"update_id\":{update},\n\"message\":{{}}}}")),
    }
}

async fn push(queue: &dyn QueueUnderTest, count: i64) -> Result<BTreeSet<UpdateId>> {
    let (producer, bot) = (queue.producer(), queue.bot());
    let pushes = (1..=count).map(|update| {
        let producer = Arc::clone(&producer);
        async move { producer.push(&envelope(bot, update)).await }
    });
    try_join_all(pushes).await?;
    Ok((1..=count).map(UpdateId).collect())
}

fn updates(deliveries: &[Delivery]) -> Vec<UpdateId> {
    deliveries.iter().map(|delivery| delivery.envelope.update_id).collect()
}

fn ids(deliveries: &[Delivery]) -> Vec<EntryId> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

/// Reads until `count` entries have come.
async fn read(consumer: &dyn Consumer, count: usize) -> Result<Vec<Delivery>> {
    let mut all = Vec::new();
    until("the entries to be read", async || {
        all.extend(consumer.read(count - all.len(), Duration::from_millis(50)).await?);
        ensure!(all.len() <= count, "more came than asked for");
        Ok((all.len() == count).then_some(()))
    })
    .await?;
    Ok(all)
}

/// Tries until there is an answer.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = attempt().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ensure_backlog(queue: &dyn QueueUnderTest, unread: u64, pending: u64) -> Result<()> {
    let expected = Backlog { unread, pending };
    let gateway = queue.producer().backlog(queue.bot()).await?;
    ensure!(gateway == expected, "the gateway sees {gateway:?} instead of {expected:?}");
    let worker = queue.consumer("observer").backlog().await?;
    ensure!(worker == expected, "the worker sees {worker:?} instead of {expected:?}");
    let oldest_ms = queue.consumer("observer").oldest_ms().await?;
    ensure!(oldest_ms.is_some() == (unread + pending > 0), "with {expected:?} the oldest is of {oldest_ms:?}");
    Ok(())
}

async fn an_envelope_arrives_as_it_was_pushed(queue: &dyn QueueUnderTest) -> Result<()> {
    let bytes: Vec<u8> = (0..=255).cycle().take(600_000).collect(); // More than Telegram's maximum, and no text.
    let pushed = [
        Envelope { routing_key: i64::MIN, payload: bytes.into(), ..envelope(queue.bot(), 1) },
        Envelope {
            routing_key: i64::MAX,
            traceparent: String::new(),
            payload: Bytes::new(),
            ..envelope(queue.bot(), 2)
        },
    ];
    for envelope in &pushed {
        queue.producer().push(envelope).await?;
    }
    let mut deliveries = read(&*queue.consumer("a"), 2).await?;
    deliveries.sort_by_key(|delivery| delivery.envelope.update_id);
    for (delivery, pushed) in deliveries.iter().zip(&pushed) {
        ensure!(delivery.envelope == *pushed, "update {} arrived changed", pushed.update_id);
        ensure!(delivery.deliveries == 1, "the first delivery is counted as {}", delivery.deliveries);
    }
    Ok(())
}

async fn an_entry_is_pending_until_acknowledged(queue: &dyn QueueUnderTest) -> Result<()> {
    ensure_backlog(queue, 0, 0).await?;
    push(queue, 3).await?;
    ensure_backlog(queue, 3, 0).await?;
    let consumer = queue.consumer("a");
    let deliveries = read(&*consumer, 2).await?;
    ensure_backlog(queue, 1, 2).await?;
    consumer.ack(&ids(&deliveries)).await?;
    ensure_backlog(queue, 1, 0).await
}

async fn every_push_is_read_once_by_competing_consumers(queue: &dyn QueueUnderTest) -> Result<()> {
    let pushed = push(queue, 300).await?;
    let consume = async |name: &str| -> Result<Vec<UpdateId>> {
        let consumer = queue.consumer(name);
        let mut seen = Vec::new();
        loop {
            let deliveries = consumer.read(16, Duration::from_millis(50)).await?;
            if deliveries.is_empty() {
                return Ok(seen);
            }
            seen.extend(updates(&deliveries));
            consumer.ack(&ids(&deliveries)).await?;
        }
    };
    let seen = try_join_all(["a", "b", "c"].map(consume)).await?.concat();
    ensure!(seen.len() == pushed.len(), "{} entries were read of {}", seen.len(), pushed.len());
    ensure!(seen.into_iter().collect::<BTreeSet<_>>() == pushed, "some were read twice and others never");
    ensure_backlog(queue, 0, 0).await
}

async fn a_read_takes_no_more_than_asked_for(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 5).await?;
    let read = queue.consumer("a").read(2, DEADLINE).await?;
    ensure!(read.len() == 2, "{} entries came though 5 were there and 2 were asked for", read.len());
    ensure_backlog(queue, 3, 2).await
}

async fn an_empty_read_waits_and_ends(queue: &dyn QueueUnderTest) -> Result<()> {
    let started = Instant::now();
    let read = timeout(DEADLINE, queue.consumer("a").read(10, Duration::from_secs(4))).await.context("no end")??;
    ensure!(read.is_empty(), "something was read from an empty queue");
    ensure!(started.elapsed() >= Duration::from_millis(3_900), "did not wait, so that its caller would spin");
    Ok(())
}

async fn a_waiting_reader_is_woken_by_a_push(queue: &dyn QueueUnderTest) -> Result<()> {
    let consumer = queue.consumer("a");
    // The group may be made first; then the reader waits.
    consumer.read(1, Duration::ZERO).await?;
    let started = Instant::now();
    let reading = consumer.read(1, DEADLINE);
    let pushing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        push(queue, 1).await
    };
    let (read, pushed) = tokio::join!(reading, pushing);
    pushed?;
    ensure!(read?.len() == 1, "the waiting reader got nothing");
    ensure!(started.elapsed() < Duration::from_secs(4), "woken after {:?}", started.elapsed());
    Ok(())
}

async fn the_entries_of_a_dead_consumer_are_reclaimed_whole(queue: &dyn QueueUnderTest) -> Result<()> {
    let pushed = push(queue, 4).await?;
    let first = read(&*queue.consumer("dead"), 4).await?;
    let heir = queue.consumer("heir");
    ensure!(heir.read(10, Duration::ZERO).await?.is_empty(), "pending entries were delivered as unread ones");
    let mut reclaimed = Vec::new();
    until("the entries of the dead", async || {
        reclaimed.extend(heir.reclaim(Duration::ZERO, 10).await?);
        Ok((reclaimed.len() >= 4).then_some(()))
    })
    .await?;
    ensure!(updates(&reclaimed).into_iter().collect::<BTreeSet<_>>() == pushed, "not all came back");
    for delivery in &reclaimed {
        let original = first.iter().find(|other| other.id == delivery.id).context("an id has changed")?;
        ensure!(delivery.envelope == original.envelope, "an envelope came back changed");
        ensure!(delivery.deliveries == 2, "the second delivery is counted as {}", delivery.deliveries);
    }
    ensure_backlog(queue, 0, 4).await?;
    heir.ack(&ids(&reclaimed)).await?;
    ensure_backlog(queue, 0, 0).await
}

async fn fresh_entries_are_not_reclaimed(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 1).await?;
    read(&*queue.consumer("alive"), 1).await?;
    ensure!(queue.consumer("other").reclaim(AN_HOUR, 10).await?.is_empty(), "taken from a living consumer");
    Ok(())
}

async fn reclaiming_walks_through_all_entries(queue: &dyn QueueUnderTest) -> Result<()> {
    let pushed = push(queue, 10).await?;
    read(&*queue.consumer("dead"), 10).await?;
    let heir = queue.consumer("heir");
    let mut seen = BTreeSet::new();
    until("reclaiming three by three to come to the end", async || {
        let reclaimed = heir.reclaim(Duration::from_millis(20), 3).await?;
        ensure!(reclaimed.len() <= 3, "{} entries though 3 were asked for", reclaimed.len());
        seen.extend(updates(&reclaimed));
        Ok((seen == pushed).then_some(()))
    })
    .await
}

async fn reclaiming_passes_by_those_at_work(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 60).await?;
    read(&*queue.consumer("at work"), 50).await?;
    let leaving = queue.consumer("leaving");
    let left = updates(&read(&*leaving, 1).await?);
    leaving.leave().await?;
    read(&*queue.consumer("at work, too"), 9).await?;
    let heir = queue.consumer("heir");
    ensure!(updates(&heir.reclaim(AN_HOUR, 1).await?) == left, "not found behind the entries of the living");
    ensure!(heir.reclaim(AN_HOUR, 1).await?.is_empty(), "there is no other");
    Ok(())
}

async fn entries_kept_alive_are_not_reclaimed(queue: &dyn QueueUnderTest) -> Result<()> {
    const IDLE: Duration = Duration::from_secs(1);
    push(queue, 2).await?;
    let (owner, other) = (queue.consumer("owner"), queue.consumer("other"));
    let held = ids(&read(&*owner, 2).await?);
    let started = Instant::now();
    while started.elapsed() < IDLE * 2 {
        owner.keep_alive(&held).await?;
        ensure!(other.reclaim(IDLE, 10).await?.is_empty(), "taken from its owner, who says that it is at work");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut taken = 0;
    until("the entries to be reclaimed once nobody keeps them alive", async || {
        taken += other.reclaim(IDLE, 10).await?.len();
        Ok((taken == 2).then_some(()))
    })
    .await
}

async fn a_former_owner_does_not_take_an_entry_back(queue: &dyn QueueUnderTest) -> Result<()> {
    const IDLE: Duration = Duration::from_secs(2);
    push(queue, 1).await?;
    let [former, owner, third] = ["former", "owner", "third"].map(|name| queue.consumer(name));
    let held = ids(&read(&*former, 1).await?);
    until("the second owner", async || Ok((owner.reclaim(Duration::ZERO, 1).await?.len() == 1).then_some(()))).await?;
    // The second owner dies. The first one, who is late, must not hide that.
    until("a third owner, though the first one says that it is at work", async || {
        former.keep_alive(&held).await?;
        Ok((third.reclaim(IDLE, 1).await?.len() == 1).then_some(()))
    })
    .await
}

async fn acknowledging_again_changes_nothing(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 2).await?;
    let consumer = queue.consumer("a");
    let first = ids(&read(&*consumer, 1).await?);
    consumer.ack(&first).await?;
    consumer.ack(&first).await?;
    consumer.ack(&[]).await?;
    consumer.keep_alive(&first).await?;
    ensure_backlog(queue, 1, 0).await
}

async fn a_dead_letter_is_written_once_and_ends_the_entry(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 2).await?;
    let consumers = ["a", "b", "c"].map(|name| queue.consumer(name));
    let delivery = &read(&*consumers[0], 1).await?[0];
    let buried = join_all(consumers.iter().map(|consumer| consumer.dead_letter(delivery, "handler failed"))).await;
    let buried = buried.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().filter(|buried| *buried).count();
    ensure!(buried == 1, "{buried} of three consumers were told that they had buried the entry");
    let expected = vec![(delivery.envelope.update_id, "handler failed".to_owned())];
    let letters = queue.dead_letters().await?;
    ensure!(letters == expected, "the dead letters are {letters:?} instead of {expected:?}");
    ensure_backlog(queue, 1, 0).await
}

async fn an_ended_entry_is_no_dead_letter(queue: &dyn QueueUnderTest) -> Result<()> {
    push(queue, 1).await?;
    let consumer = queue.consumer("a");
    let deliveries = read(&*consumer, 1).await?;
    consumer.ack(&ids(&deliveries)).await?;
    ensure!(!consumer.dead_letter(&deliveries[0], "late").await?, "an ended entry was buried");
    let letters = queue.dead_letters().await?;
    ensure!(letters.is_empty(), "an ended entry was buried: {letters:?}");
    Ok(())
}

async fn a_leaving_consumer_gives_its_entries_back_at_once(queue: &dyn QueueUnderTest) -> Result<()> {
    let pushed = push(queue, 5).await?;
    let (leaving, heir) = (queue.consumer("leaving"), queue.consumer("heir"));
    read(&*leaving, 5).await?;
    leaving.leave().await?;
    leaving.leave().await?;
    ensure_backlog(queue, 0, 5).await?;
    let mut reclaimed = Vec::new();
    until("what was given back", async || {
        reclaimed.extend(heir.reclaim(AN_HOUR, 10).await?);
        Ok((reclaimed.len() >= 5).then_some(()))
    })
    .await?;
    ensure!(updates(&reclaimed).into_iter().collect::<BTreeSet<_>>() == pushed, "not all came back");
    heir.ack(&ids(&reclaimed)).await?;
    ensure_backlog(queue, 0, 0).await
}

async fn quarantined_bodies_are_kept_and_delivered_to_nobody(queue: &dyn QueueUnderTest) -> Result<()> {
    queue.producer().quarantine(queue.bot(), b"\xff{", "not JSON").await?;
    let kept = queue.quarantined().await?;
    ensure!(kept == [(b"\xff{".to_vec(), "not JSON".to_owned())], "the quarantine holds {kept:?}");
    ensure!(queue.consumer("a").read(1, Duration::from_millis(20)).await?.is_empty(), "a body was delivered");
    ensure_backlog(queue, 0, 0).await
}

async fn bots_are_apart(one: &dyn QueueUnderTest, other: &dyn QueueUnderTest) -> Result<()> {
    push(one, 1).await?;
    let foreign = other.consumer("a");
    ensure!(foreign.read(10, Duration::from_millis(20)).await?.is_empty(), "another bot's update was read");
    let held = ids(&read(&*one.consumer("a"), 1).await?);
    ensure!(foreign.reclaim(Duration::ZERO, 10).await?.is_empty(), "another bot's update was reclaimed");
    ensure_backlog(other, 0, 0).await?;
    foreign.ack(&held).await?;
    ensure_backlog(one, 0, 1).await
}
