//! A master that dies at full speed: which of the updates that were said to be stored its replica does not have.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    num::NonZeroU8,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nezuko_shared::{
    conformance::{
        redis_servers::{RedisServers, eventually},
        some_bot,
    },
    envelope::Envelope,
    queue::{
        Consumer, Producer,
        redis::{RedisConsumer, RedisProducer},
    },
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, UpdateId};

/// Pushes in flight at one time.
const IN_FLIGHT: usize = 64;
/// The master dies after so many.
const ENOUGH: usize = 2_000;

/// How many masters die; `NEZUKO_FAILOVERS=20` lets more of them.
fn failovers() -> u32 {
    std::env::var("NEZUKO_FAILOVERS").map_or(4, |count| count.parse().expect("NEZUKO_FAILOVERS is a number"))
}

/// Pushes one update after the other until one fails; those that were stored.
async fn push(producer: RedisProducer, bot: BotId, next: Arc<AtomicI64>, stored: Arc<Mutex<BTreeSet<i64>>>) {
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let (traceparent, payload) = (String::new(), "{}".into());
        let envelope = Envelope { bot, update_id: UpdateId(id), routing_key: 1, received_ms: 1, traceparent, payload };
        if producer.push(&envelope).await.is_err() {
            return;
        }
        stored.lock().unwrap().insert(id);
    }
}

async fn read_all(redis: &Redis, bot: BotId) -> BTreeSet<i64> {
    let consumer = RedisConsumer::new(redis, bot, "one");
    let mut read = BTreeSet::new();
    loop {
        let batch = consumer.read(1_000, Duration::ZERO).await.unwrap();
        if batch.is_empty() {
            return read;
        }
        read.extend(batch.iter().map(|delivery| delivery.envelope.update_id.0));
    }
}

/// How many were said to be stored, and how many of them the new master does not have.
async fn failover(replicas: Option<NonZeroU8>) -> Option<(usize, usize)> {
    let servers = RedisServers::with_a_replica().await?;
    let bot = some_bot();
    let redis = Redis::new(&servers.gateway).unwrap();
    let producer = match replicas {
        Some(replicas) => RedisProducer::waiting_for(&redis, replicas),
        None => RedisProducer::new(&redis),
    };
    let (next, stored) = (Arc::new(AtomicI64::new(1)), Arc::new(Mutex::new(BTreeSet::new())));
    let pushing: Vec<_> = (0..IN_FLIGHT)
        .map(|_| tokio::spawn(push(producer.clone(), bot, Arc::clone(&next), Arc::clone(&stored))))
        .collect();
    eventually("enough are stored", async || (stored.lock().unwrap().len() >= ENOUGH).then_some(())).await;
    servers.signal(servers.nodes[0], "KILL");
    for pushes in pushing {
        pushes.await.unwrap();
    }
    let promoted = servers.promote_the_replica().await;
    let there = read_all(&Redis::new(&promoted).unwrap(), bot).await;
    let stored = stored.lock().unwrap();
    Some((stored.len(), stored.difference(&there).count()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_was_waited_for_no_failover_loses() {
    for (replicas, loses) in [(None, true), (NonZeroU8::new(1), false)] {
        let (mut stored, mut lost) = (0, 0);
        for _ in 0..failovers() {
            let Some((of_this, lost_by_it)) = failover(replicas).await else { return };
            stored += of_this;
            lost += lost_by_it;
        }
        let waited_for = replicas.map_or(0, NonZeroU8::get);
        println!("waiting for {waited_for} replicas, {} failovers: {stored} stored, {lost} lost", failovers());
        assert!(loses || lost == 0, "{lost} lost");
    }
}
