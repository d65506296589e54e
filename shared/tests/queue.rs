//! The queue's suite against its adapters, and against adapters that are wrong.

#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use async_trait::async_trait;
use futures_util::future::join_all;
use nezuko_shared::{
    conformance::databases::{SqliteFile, server, with_postgres},
    conformance::{must_fail, queue::QueueUnderTest, queue::suite, redis_servers::RedisServers, some_bot},
    database::Database,
    envelope::Envelope,
    keys,
    queue::{
        Backlog, Consumer, Delivery, EntryId, Producer, QueueError,
        redis::{RedisConsumer, RedisProducer},
        sql::SqlQueue,
    },
    redis_pool::{RESPONSE_TIMEOUT, Redis},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, UpdateId};
use sqlx::Row;

/// The fields of a stream entry.
type Fields = Vec<(String, Vec<u8>)>;

struct OnRedis {
    /// As the gateways, the workers and who looks at the queue from outside come to it.
    gateway: Redis,
    worker: Redis,
    redis: Redis,
    bot: BotId,
}

impl OnRedis {
    fn new(redis: &Redis) -> Self {
        let [gateway, worker, redis] = [redis; 3].map(Redis::clone);
        Self { gateway, worker, redis, bot: some_bot() }
    }

    fn on(servers: &RedisServers) -> Self {
        let [gateway, worker, redis] =
            [&servers.gateway, &servers.worker, &servers.administrator].map(|url| Redis::new(url).unwrap());
        Self { gateway, worker, redis, bot: some_bot() }
    }

    async fn all<const N: usize>(&self, key: String, wanted: [&str; N]) -> Result<Vec<[Vec<u8>; N]>> {
        let command = redis::cmd("XRANGE").arg(key).arg("-").arg("+").to_owned();
        let entries: Vec<(String, Fields)> = self.redis.link(RESPONSE_TIMEOUT).query(&command).await?;
        let of = |fields: &[(String, Vec<u8>)], name: &str| {
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Ok(entries.iter().map(|(_, fields)| wanted.map(|name| of(fields, name))).collect())
    }
}

#[async_trait]
impl QueueUnderTest for OnRedis {
    fn bot(&self) -> BotId {
        self.bot
    }

    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(RedisProducer::new(&self.gateway))
    }

    fn consumer(&self, name: &str) -> Arc<dyn Consumer> {
        Arc::new(RedisConsumer::new(&self.worker, self.bot, name))
    }

    async fn dead_letters(&self) -> Result<Vec<(UpdateId, String)>> {
        let letters = self.all(keys::dead_letters(self.bot), ["update", "reason"]).await?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(letters
            .into_iter()
            .map(|[update, reason]| (UpdateId(text(update).parse().unwrap()), text(reason)))
            .collect())
    }

    async fn quarantined(&self) -> Result<Vec<(Vec<u8>, String)>> {
        let bodies = self.all(keys::quarantine(self.bot), ["payload", "reason"]).await?;
        Ok(bodies.into_iter().map(|[payload, reason]| (payload, String::from_utf8(reason).unwrap())).collect())
    }
}

struct OnSql {
    queue: SqlQueue,
    database: Database,
    bot: BotId,
}

impl OnSql {
    fn new(database: &Database) -> Self {
        Self { queue: SqlQueue::new(database.clone()), database: database.clone(), bot: some_bot() }
    }
}

#[async_trait]
impl QueueUnderTest for OnSql {
    fn bot(&self) -> BotId {
        self.bot
    }

    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(self.queue.clone())
    }

    fn consumer(&self, name: &str) -> Arc<dyn Consumer> {
        Arc::new(self.queue.consumer(self.bot, name))
    }

    async fn dead_letters(&self) -> Result<Vec<(UpdateId, String)>> {
        let letters = sqlx::query("SELECT update_id, reason FROM dead_letters WHERE bot_id = $1").bind(self.bot.0);
        let rows = self.database.of(self.bot, async |rows| letters.fetch_all(rows).await).await?;
        Ok(rows.iter().map(|row| (UpdateId(row.get(0)), row.get(1))).collect())
    }

    async fn quarantined(&self) -> Result<Vec<(Vec<u8>, String)>> {
        let set_aside = sqlx::query("SELECT payload, reason FROM quarantine WHERE bot_id = $1").bind(self.bot.0);
        let rows = self.database.of(self.bot, async |rows| set_aside.fetch_all(rows).await).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

#[tokio::test]
async fn the_queue_on_redis_passes() {
    let Some(url) = server("REDIS_URL") else { return };
    let redis = Redis::new(&url).unwrap();
    suite(&|| Box::new(OnRedis::new(&redis))).await.unwrap();
}

#[tokio::test]
async fn the_queue_passes_wherever_redis_is_with_the_documented_rights() {
    for servers in RedisServers::of_each_kind().await {
        let (gateway, outcome) = (&servers.gateway, suite(&|| Box::new(OnRedis::on(&servers))).await);
        assert!(outcome.is_ok(), "{gateway}: {:#}", outcome.unwrap_err());
    }
}

#[tokio::test]
async fn the_queue_on_sqlite_passes() {
    let file = SqliteFile::new().await;
    suite(&|| Box::new(OnSql::new(&file.database))).await.unwrap();
}

#[tokio::test]
async fn the_queue_on_postgres_passes() {
    with_postgres(|database| async move { suite(&|| Box::new(OnSql::new(&database))).await }).await;
}

/// One way of being wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    AcknowledgesOnRead,
    LosesWhatItReclaims,
    ReclaimsFromTheLiving,
    ReclaimsNothingBehindTheLiving,
    KeepsNothingAlive,
    TakesEntriesBack,
    BuriesTwice,
    BuriesWithoutEnding,
    ForgetsOnLeaving,
    KeepsOnLeaving,
    DropsAPush,
    PushesTwice,
    ReadsTooMuch,
    SpinsOnEmpty,
    CountsPendingAsUnread,
    ForgetsTheOldest,
    QuarantinesIntoTheQueue,
    MixesBots,
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 18] = [
    (Fault::AcknowledgesOnRead, "an_entry_is_pending_until_acknowledged"),
    (Fault::LosesWhatItReclaims, "the_entries_of_a_dead_consumer_are_reclaimed_whole"),
    (Fault::ReclaimsFromTheLiving, "fresh_entries_are_not_reclaimed"),
    (Fault::ReclaimsNothingBehindTheLiving, "reclaiming_passes_by_those_at_work"),
    (Fault::KeepsNothingAlive, "entries_kept_alive_are_not_reclaimed"),
    (Fault::TakesEntriesBack, "a_former_owner_does_not_take_an_entry_back"),
    (Fault::BuriesTwice, "a_dead_letter_is_written_once_and_ends_the_entry"),
    (Fault::BuriesWithoutEnding, "a_dead_letter_is_written_once_and_ends_the_entry"),
    (Fault::ForgetsOnLeaving, "a_leaving_consumer_gives_its_entries_back_at_once"),
    (Fault::KeepsOnLeaving, "a_leaving_consumer_gives_its_entries_back_at_once"),
    (Fault::DropsAPush, "every_push_is_read_once_by_competing_consumers"),
    (Fault::PushesTwice, "every_push_is_read_once_by_competing_consumers"),
    (Fault::ReadsTooMuch, "a_read_takes_no_more_than_asked_for"),
    (Fault::SpinsOnEmpty, "an_empty_read_waits_and_ends"),
    (Fault::CountsPendingAsUnread, "an_entry_is_pending_until_acknowledged"),
    (Fault::ForgetsTheOldest, "an_entry_is_pending_until_acknowledged"),
    (Fault::QuarantinesIntoTheQueue, "quarantined_bodies_are_kept_and_delivered_to_nobody"),
    // It takes from the queues of the other checks, which run at the same time, so that any of them may notice first.
    (Fault::MixesBots, ""),
];

/// A right queue made wrong.
struct Faulty {
    inner: OnSql,
    fault: Fault,
}

struct FaultyEnd<T> {
    inner: T,
    fault: Fault,
    queue: SqlQueue,
    database: Database,
    bot: BotId,
    name: String,
}

impl Faulty {
    fn end<T>(&self, inner: T, name: &str) -> FaultyEnd<T> {
        let OnSql { queue, database, .. } = &self.inner;
        let (queue, database) = (queue.clone(), database.clone());
        FaultyEnd { inner, fault: self.fault, queue, database, bot: self.inner.bot, name: name.to_owned() }
    }
}

#[async_trait]
impl QueueUnderTest for Faulty {
    fn bot(&self) -> BotId {
        self.inner.bot
    }

    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(self.end(self.inner.producer(), ""))
    }

    fn consumer(&self, name: &str) -> Arc<dyn Consumer> {
        Arc::new(self.end(self.inner.consumer(name), name))
    }

    async fn dead_letters(&self) -> Result<Vec<(UpdateId, String)>> {
        self.inner.dead_letters().await
    }

    async fn quarantined(&self) -> Result<Vec<(Vec<u8>, String)>> {
        self.inner.quarantined().await
    }
}

#[async_trait]
impl Producer for FaultyEnd<Arc<dyn Producer>> {
    async fn push(&self, envelope: &Envelope) -> Result<(), QueueError> {
        match self.fault {
            Fault::DropsAPush if envelope.update_id.0 % 100 == 77 => Ok(()),
            Fault::PushesTwice if envelope.update_id.0 % 100 == 77 => {
                self.inner.push(envelope).await?;
                self.inner.push(envelope).await
            }
            _ => self.inner.push(envelope).await,
        }
    }

    async fn quarantine(&self, bot: BotId, body: &[u8], reason: &str) -> Result<(), QueueError> {
        if matches!(self.fault, Fault::QuarantinesIntoTheQueue) {
            let payload = body.to_vec().into();
            let (update_id, traceparent) = (UpdateId(0), String::new());
            self.push(&Envelope { bot, update_id, routing_key: 0, received_ms: 0, traceparent, payload }).await?;
        }
        self.inner.quarantine(bot, body, reason).await
    }

    async fn backlog(&self, bot: BotId) -> Result<Backlog, QueueError> {
        let backlog = self.inner.backlog(bot).await?;
        Ok(match self.fault {
            Fault::CountsPendingAsUnread => Backlog { unread: backlog.unread + backlog.pending, ..backlog },
            _ => backlog,
        })
    }
}

#[async_trait]
impl Consumer for FaultyEnd<Arc<dyn Consumer>> {
    async fn oldest_ms(&self) -> Result<Option<i64>, QueueError> {
        Ok(self.inner.oldest_ms().await?.filter(|_| !matches!(self.fault, Fault::ForgetsTheOldest)))
    }

    async fn read(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let max = if matches!(self.fault, Fault::ReadsTooMuch) { max + 1 } else { max };
        let wait = if matches!(self.fault, Fault::SpinsOnEmpty) { Duration::ZERO } else { wait };
        if matches!(self.fault, Fault::MixesBots) {
            sqlx::query("UPDATE queue SET bot_id = $1 WHERE consumer IS NULL")
                .bind(self.bot.0)
                .execute(self.database.pool())
                .await?;
        }
        let read = self.inner.read(max, wait).await?;
        if matches!(self.fault, Fault::AcknowledgesOnRead) {
            self.inner.ack(&ids(&read)).await?;
        }
        Ok(read)
    }

    async fn ack(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        self.inner.ack(ids).await
    }

    async fn keep_alive(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        match self.fault {
            Fault::KeepsNothingAlive => Ok(()),
            Fault::TakesEntriesBack => {
                sqlx::query("UPDATE queue SET consumer = $1 WHERE bot_id = $2")
                    .bind(self.name.as_str())
                    .bind(self.bot.0)
                    .execute(self.database.pool())
                    .await?;
                self.inner.keep_alive(ids).await
            }
            _ => self.inner.keep_alive(ids).await,
        }
    }

    async fn reclaim(&self, min_idle: Duration, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let min_idle = if matches!(self.fault, Fault::ReclaimsFromTheLiving) { Duration::ZERO } else { min_idle };
        if matches!(self.fault, Fault::ReclaimsNothingBehindTheLiving) {
            // It gives up after ten times as many entries as it was asked for.
            let living = sqlx::query("SELECT count(*) FROM queue WHERE bot_id = $1 AND touched_ms > 0");
            let living: i64 = living.bind(self.bot.0).fetch_one(self.database.pool()).await?.get(0);
            if living > 10 * max as i64 {
                return Ok(Vec::new());
            }
        }
        let reclaimed = self.inner.reclaim(min_idle, max).await?;
        if matches!(self.fault, Fault::LosesWhatItReclaims) {
            self.inner.ack(&ids(&reclaimed)).await?;
            return Ok(Vec::new());
        }
        Ok(reclaimed)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<bool, QueueError> {
        let buried = self.inner.dead_letter(delivery, reason).await?;
        match self.fault {
            Fault::BuriesTwice => Ok(true),
            Fault::BuriesWithoutEnding => {
                self.queue.push(&delivery.envelope).await?;
                Ok(buried)
            }
            _ => Ok(buried),
        }
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.inner.backlog().await
    }

    async fn leave(&self) -> Result<(), QueueError> {
        match self.fault {
            Fault::KeepsOnLeaving => Ok(()),
            Fault::ForgetsOnLeaving => {
                let held = self.inner.reclaim(Duration::ZERO, usize::MAX).await?;
                self.inner.ack(&ids(&held)).await
            }
            _ => self.inner.leave().await,
        }
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<EntryId> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

#[tokio::test]
async fn the_suite_notices_each_fault() {
    let outcomes = FAULTS.map(|(fault, check)| async move {
        let file = SqliteFile::new().await;
        let make = || -> Box<dyn QueueUnderTest> { Box::new(Faulty { inner: OnSql::new(&file.database), fault }) };
        (must_fail(&format!("{fault:?}"), suite(&make)).await, check)
    });
    for (noticed, check) in join_all(outcomes).await {
        let noticed = noticed.unwrap();
        println!("{noticed}");
        assert!(noticed.contains(check), "not noticed by {check}: {noticed}");
    }
}

fn an_envelope(bot: BotId) -> Envelope {
    let (traceparent, payload) = (String::new(), "{}".into());
    Envelope { bot, update_id: UpdateId(1), routing_key: 1, received_ms: 1, traceparent, payload }
}

#[tokio::test]
async fn a_foreign_entry_of_the_stream_becomes_a_dead_letter_and_holds_up_nothing() {
    let Some(url) = server("REDIS_URL") else { return };
    let queue = OnRedis::new(&Redis::new(&url).unwrap());
    let link = queue.redis.link(RESPONSE_TIMEOUT);
    let foreign = redis::cmd("XADD").arg(keys::updates(queue.bot)).arg("*").arg("hello").arg("world").to_owned();
    link.query::<String>(&foreign).await.unwrap();
    let consumer = queue.consumer("a");
    assert!(consumer.read(10, Duration::from_millis(10)).await.unwrap().is_empty());
    assert_eq!(consumer.backlog().await.unwrap(), Backlog::default());
    let letters = queue.all(keys::dead_letters(queue.bot), ["reason", "hello"]).await.unwrap();
    assert_eq!(letters, [[b"unreadable_entry: unknown format".to_vec(), b"world".to_vec()]]);
}

#[tokio::test]
async fn a_lost_consumer_group_is_made_again_and_its_entries_are_delivered_anew() {
    let Some(url) = server("REDIS_URL") else { return };
    let queue = OnRedis::new(&Redis::new(&url).unwrap());
    let envelope = an_envelope(queue.bot);
    queue.producer().push(&envelope).await.unwrap();
    let metrics = Metrics::new(queue.bot, "abc");
    let lost = |times| format!("nezuko_queue_groups_lost_total{{bot_id=\"{}\"}} {times}\n", queue.bot);
    let consumer = RedisConsumer::new(&queue.redis, queue.bot, "a").counted_in(metrics.clone());
    assert_eq!(consumer.read(1, Duration::ZERO).await.unwrap().len(), 1);
    assert!(metrics.encode().contains(&lost(0)));
    let destroy = redis::cmd("XGROUP").arg("DESTROY").arg(keys::updates(queue.bot)).arg(keys::WORKERS).to_owned();
    queue.redis.link(RESPONSE_TIMEOUT).query::<i64>(&destroy).await.unwrap();
    assert_eq!(consumer.backlog().await.unwrap(), Backlog { unread: 1, pending: 0 });
    assert!(consumer.reclaim(Duration::ZERO, 1).await.unwrap().is_empty());
    let again = consumer.read(1, Duration::ZERO).await.unwrap();
    assert_eq!(again[0].envelope, envelope);
    assert!(metrics.encode().contains(&lost(1)));
}

#[tokio::test]
async fn a_read_that_was_given_up_takes_nothing_after_its_consumer_left() {
    let Some(url) = server("REDIS_URL") else { return };
    // A database of its own tells its connections from those of other tests.
    let host = url.trim_start_matches("redis://").split('/').next().unwrap();
    let queue = OnRedis::new(&Redis::new(&format!("redis://{host}/7")).unwrap());
    let consumer = Arc::new(RedisConsumer::new(&queue.redis, queue.bot, "leaving"));
    assert!(consumer.read(1, Duration::ZERO).await.unwrap().is_empty());
    let link = queue.redis.link(RESPONSE_TIMEOUT);
    let reading = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.read(1, Duration::from_secs(5)).await }
    });
    // Until it is blocked at the server, which the flag `b` shows.
    let clients = redis::cmd("CLIENT").arg("LIST").to_owned();
    let is_ours = |line: &str| [" db=7 ", " flags=b ", " cmd=xreadgroup "].iter().all(|part| line.contains(part));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !link.query::<String>(&clients).await.unwrap().lines().any(is_ours) {
        assert!(Instant::now() < deadline, "the read never arrives");
    }
    reading.abort();
    assert!(reading.await.is_err());
    consumer.leave().await.unwrap();
    queue.producer().push(&an_envelope(queue.bot)).await.unwrap();
    assert_eq!(queue.consumer("next").read(1, Duration::from_secs(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_push_fails_while_redis_is_away_and_succeeds_once_it_is_there() {
    let Some(url) = server("REDIS_URL") else { return };
    // A door that can be shut stands before the server.
    let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = door.local_addr().unwrap();
    drop(door);
    let queue = OnRedis::new(&Redis::new(&format!("redis://{address}")).unwrap());
    let producer = queue.producer();
    assert!(producer.quarantine(queue.bot, b"1", "first").await.is_err());

    let door = tokio::net::TcpListener::bind(address).await.unwrap();
    let server = url.strip_prefix("redis://").unwrap().trim_end_matches('/').to_owned();
    let opened = tokio::spawn(async move {
        let (mut client, _) = door.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    });
    producer.quarantine(queue.bot, b"2", "second").await.unwrap();
    opened.abort();
    assert!(opened.await.is_err());
    assert!(producer.quarantine(queue.bot, b"3", "third").await.is_err());
}

#[tokio::test]
async fn one_bot_asks_for_the_memory_of_the_server_that_all_share() {
    let Some(servers) = RedisServers::alone_with(&["--maxmemory", "64mb"]).await else { return };
    let producer = RedisProducer::new(&Redis::new(&servers.gateway).unwrap());
    for memory in join_all((0..20).map(|_| producer.memory(some_bot()))).await {
        assert_eq!(memory.unwrap().unwrap().limit, 64 << 20);
    }
    let stats: String = servers.tell(servers.nodes[0], redis::cmd("INFO").arg("commandstats")).await.unwrap();
    let asked =
        stats.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls=")?.split(',').next()?.parse().ok());
    assert!(asked.is_some_and(|times: u64| times <= 3), "{stats}");
}
