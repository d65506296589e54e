//! A master that dies, steps down or gives a slot away, while updates are pushed and read over the same connections.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use nezuko_shared::{
    cache::{Cache, CacheError, ChatVersion, redis::RedisCache},
    conformance::{
        redis_servers::{Grant, MASTER, RedisServers, eventually},
        some_bot,
    },
    envelope::Envelope,
    keys,
    queue::{
        Consumer, Producer, QueueError,
        redis::{RedisConsumer, RedisProducer},
    },
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, ChatId, UpdateId};
use redis::Cmd;

/// A bot's updates on their way, over connections that are made once.
struct Traffic {
    bot: BotId,
    producer: RedisProducer,
    consumer: RedisConsumer,
    cache: RedisCache,
    pushed: i64,
    stored: BTreeSet<i64>,
    read: BTreeSet<i64>,
}

impl Traffic {
    fn new(servers: &RedisServers, bot: BotId) -> Self {
        let (gateway, worker) = (Redis::new(&servers.gateway).unwrap(), Redis::new(&servers.worker).unwrap());
        let (producer, consumer) = (RedisProducer::new(&gateway), RedisConsumer::new(&worker, bot, "one"));
        let (cache, stored, read) = (RedisCache::new(worker), BTreeSet::new(), BTreeSet::new());
        Self { bot, producer, consumer, cache, pushed: 0, stored, read }
    }

    async fn push(&mut self) -> Result<(), QueueError> {
        self.pushed += 1;
        let (update_id, payload) = (UpdateId(self.pushed), "{}".into());
        let (bot, traceparent) = (self.bot, String::new());
        self.producer.push(&Envelope { bot, update_id, routing_key: 1, received_ms: 1, traceparent, payload }).await?;
        self.stored.insert(self.pushed);
        Ok(())
    }

    /// A connection from the pool.
    async fn remember(&self) -> Result<(), CacheError> {
        let version = ChatVersion { chat: ChatId(-1), settings_version: 1, protected: true };
        self.cache.remember_chat(self.bot, version, Duration::from_secs(60)).await
    }

    async fn until_it_goes_on(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = self.push().await {
            assert!(Instant::now() < deadline, "{error}");
        }
        while let Err(error) = self.remember().await {
            assert!(Instant::now() < deadline, "{error}");
        }
    }

    /// Until everything was read that was stored, and acknowledged.
    async fn read_all(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut in_hand = Vec::new();
        loop {
            let read = self.consumer.read(100, Duration::from_millis(100)).await.unwrap_or_default();
            self.read.extend(read.iter().map(|delivery| delivery.envelope.update_id.0));
            in_hand.extend(read.into_iter().map(|delivery| delivery.id));
            if self.consumer.ack(&in_hand).await.is_ok() {
                in_hand.clear();
            }
            if in_hand.is_empty() && self.stored.is_subset(&self.read) {
                return;
            }
            let lost: Vec<_> = self.stored.difference(&self.read).collect();
            assert!(Instant::now() < deadline, "lost: {lost:?}, in hand: {in_hand:?}");
        }
    }
}

fn cluster(words: &[&str]) -> Cmd {
    redis::cmd("CLUSTER").arg(words).to_owned()
}

#[tokio::test]
async fn behind_sentinels_a_master_steps_down_and_the_next_one_is_killed() {
    let Some(servers) = RedisServers::behind_sentinels().await else { return };
    let mut traffic = Traffic::new(&servers, some_bot());
    let master = async |servers: &RedisServers| {
        servers.watched(servers.sentinels[0]).await.and_then(|master| master.get("port")?.parse::<u16>().ok())
    };
    traffic.until_it_goes_on().await;
    traffic.read_all().await;

    let first = master(&servers).await.unwrap();
    for _ in 0..100 {
        traffic.push().await.unwrap();
    }
    servers.until_replicated(first, 2).await;
    let step_down = redis::cmd("SENTINEL").arg("FAILOVER").arg(MASTER).to_owned();
    servers.tell::<()>(servers.sentinels[0], &step_down).await.unwrap();
    let second = eventually("another master", async || master(&servers).await.filter(|port| *port != first)).await;
    // The first one takes itself for a master for ten seconds more, but has no replica any more.
    let began = Instant::now();
    traffic.until_it_goes_on().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    traffic.read_all().await;

    for sentinel in servers.sentinels.clone() {
        eventually("every Sentinel knows of it", async || {
            let known = servers.watched(sentinel).await?;
            (known["port"] == second.to_string() && known["flags"] == "master").then_some(())
        })
        .await;
    }
    for _ in 0..100 {
        traffic.push().await.unwrap();
    }
    servers.until_replicated(second, 1).await;
    servers.signal(second, "KILL");
    assert!(traffic.push().await.is_err(), "nothing is sent again that may have been stored");
    traffic.until_it_goes_on().await;
    traffic.read_all().await;
    assert_ne!(master(&servers).await, Some(second));
}

/// The ports of the servers with the bot's slot, its master first.
async fn nodes_of(servers: &RedisServers, bot: BotId, asked: u16) -> (u16, Vec<u16>) {
    let slot: u16 = servers.tell(asked, &cluster(&["KEYSLOT", &keys::updates(bot)])).await.unwrap();
    let ranges: Vec<redis::Value> = servers.tell(asked, &cluster(&["SLOTS"])).await.unwrap();
    for range in ranges {
        let redis::Value::Array(range) = range else { panic!("{range:?}") };
        let number = |value: &redis::Value| redis::from_redis_value_ref::<u16>(value).unwrap();
        if (number(&range[0])..=number(&range[1])).contains(&slot) {
            let port = |node: &redis::Value| match node {
                redis::Value::Array(node) => number(&node[1]),
                other => panic!("{other:?}"),
            };
            return (slot, range[2..].iter().map(port).collect());
        }
    }
    panic!("nobody has slot {slot}")
}

/// Two bots whose updates lie on different masters.
async fn bots_apart(servers: &RedisServers) -> [(BotId, u16); 2] {
    let first = some_bot();
    let (_, of_first) = nodes_of(servers, first, servers.nodes[0]).await;
    loop {
        let second = some_bot();
        let (_, of_second) = nodes_of(servers, second, servers.nodes[0]).await;
        if of_first[0] != of_second[0] {
            return [(first, of_first[0]), (second, of_second[0])];
        }
    }
}

/// Nobody answers for the master of a bot, while another bot's goes on.
async fn loses_a_master(signal: &str) {
    let Some(servers) = RedisServers::cluster().await else { return };
    let [(bot, master), (other, _)] = bots_apart(&servers).await;
    let mut traffic = Traffic::new(&servers, bot);
    let mut of_other = Traffic { bot: other, producer: traffic.producer.clone(), ..Traffic::new(&servers, other) };
    for _ in 0..100 {
        traffic.push().await.unwrap();
        of_other.push().await.unwrap();
    }
    traffic.remember().await.unwrap();
    traffic.read_all().await;
    traffic.push().await.unwrap();
    servers.until_replicated(master, 1).await;
    servers.signal(master, signal);

    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = traffic.push().await {
        assert!(Instant::now() < deadline, "{error}");
        of_other.push().await.unwrap();
    }
    assert!(of_other.pushed > 100, "the next master was there before anybody noticed that the first one was gone");
    traffic.until_it_goes_on().await;
    traffic.read_all().await;
    of_other.read_all().await;
}

#[tokio::test]
async fn in_a_cluster_a_master_is_killed_and_the_bots_of_others_do_not_notice() {
    loses_a_master("KILL").await;
}

#[tokio::test]
async fn in_a_cluster_a_master_hangs_and_the_bots_of_others_do_not_notice() {
    loses_a_master("STOP").await;
}

#[tokio::test]
async fn in_a_cluster_a_broken_connection_is_told_and_nothing_is_sent_again() {
    let Some(servers) = RedisServers::cluster().await else { return };
    let bot = some_bot();
    let (_, nodes) = nodes_of(&servers, bot, servers.nodes[0]).await;
    let consumer = Arc::new(Traffic::new(&servers, bot).consumer);
    assert!(consumer.read(1, Duration::ZERO).await.unwrap().is_empty());
    let reading = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.read(1, Duration::from_secs(5)).await }
    });
    let list = redis::cmd("CLIENT").arg("LIST").to_owned();
    eventually("the read is blocked", async || {
        servers.tell::<String>(nodes[0], &list).await.ok()?.contains(" cmd=xreadgroup ").then_some(())
    })
    .await;
    let kill = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").to_owned();
    assert!(servers.tell::<u64>(nodes[0], &kill).await.unwrap() > 0);
    assert!(reading.await.unwrap().is_err());
    assert!(consumer.read(1, Duration::ZERO).await.unwrap().is_empty(), "it is connected again");
}

#[tokio::test]
async fn in_a_cluster_a_slot_moves_and_nobody_notices() {
    let Some(servers) = RedisServers::cluster().await else { return };
    let [(bot, from), (_, to)] = bots_apart(&servers).await;
    let (slot, _) = nodes_of(&servers, bot, from).await;
    let slot = slot.to_string();
    let id = async |port: u16| servers.tell::<String>(port, &cluster(&["MYID"])).await.unwrap();
    let (from_id, to_id) = (id(from).await, id(to).await);
    let mut traffic = Traffic::new(&servers, bot);
    traffic.push().await.unwrap();
    traffic.read_all().await;
    traffic.push().await.unwrap();

    servers.tell::<()>(to, &cluster(&["SETSLOT", &slot, "IMPORTING", &from_id])).await.unwrap();
    servers.tell::<()>(from, &cluster(&["SETSLOT", &slot, "MIGRATING", &to_id])).await.unwrap();
    traffic.push().await.unwrap();
    servers.migrate(from, to, &keys::updates(bot)).await;
    traffic.push().await.unwrap(); // ASK
    traffic.read_all().await;

    // The right to follow it is one of its own.
    for user in ["nezuko-gateway", "nezuko-worker"] {
        let without = Grant { user: user.to_owned(), rules: vec!["-asking".to_owned()] };
        servers.tell::<()>(to, &without.command()).await.unwrap();
    }
    assert!(traffic.push().await.is_err() && traffic.consumer.backlog().await.is_err());

    for node in &servers.nodes {
        servers.tell::<()>(*node, &cluster(&["SETSLOT", &slot, "NODE", &to_id])).await.ok(); // Replicas refuse.
    }
    traffic.push().await.unwrap(); // MOVED
    traffic.read_all().await;
    assert_eq!(nodes_of(&servers, bot, from).await.1[0], to);
}
