//! Dead letters over both queues: what an operator sees and does.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use nezuko_shared::{
    conformance::databases::{SqliteFile, server, with_postgres},
    conformance::{redis_servers::RedisServers, some_bot},
    database::Database,
    envelope::Envelope,
    keys,
    queue::{
        Consumer, Producer,
        dead_letters::{DeadLetters, redis::RedisDeadLetters, sql::SqlDeadLetters},
        redis::{RedisConsumer, RedisProducer},
        sql::SqlQueue,
    },
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, UpdateId};

fn envelope(bot: BotId, update_id: i64) -> Envelope {
    Envelope {
        bot,
        update_id: UpdateId(update_id),
        routing_key: 5,
        received_ms: 1_700_000_000_000 + update_id,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        payload: Bytes::from(format!("{{\"update_id\":{update_id}}}")),
    }
}

/// Three updates die; one is replayed, one dropped, one stays.
async fn operate(producer: &dyn Producer, consumer: &dyn Consumer, dead: &dyn DeadLetters, bot: BotId) {
    assert!(dead.list(10).await.unwrap().is_empty());
    for id in 1..=3 {
        producer.push(&envelope(bot, id)).await.unwrap();
    }
    for delivery in consumer.read(10, Duration::from_secs(1)).await.unwrap() {
        assert!(consumer.dead_letter(&delivery, "handler failed 5 times").await.unwrap());
    }
    let letters = dead.list(10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.update_id).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!(dead.list(2).await.unwrap(), letters[..2]);
    let [first, second, third] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((first.reason.as_str(), first.received_ms), ("handler failed 5 times", Some(1_700_000_000_001)));
    assert_eq!(first.payload, "{\"update_id\":1}");
    assert!(first.died_ms > 1_700_000_000_000 && first.traceparent.as_ref().unwrap().starts_with("00-0af7"));
    assert_eq!(dead.show(&second.id).await.unwrap().as_ref(), Some(second));

    assert!(dead.replay(&first.id).await.unwrap());
    assert!(dead.drop_one(&second.id).await.unwrap());
    for gone in [&first.id, &second.id, "no-id", "9-9", "", "7"] {
        assert_eq!(dead.show(gone).await.unwrap(), None, "{gone}");
        assert!(!dead.replay(gone).await.unwrap(), "{gone}");
        assert!(!dead.drop_one(gone).await.unwrap(), "{gone}");
    }
    assert_eq!(dead.list(10).await.unwrap(), std::slice::from_ref(third));
    let again = consumer.read(10, Duration::from_secs(1)).await.unwrap();
    let again: Vec<_> = again.into_iter().map(|delivery| delivery.envelope).collect();
    assert_eq!(again, [envelope(bot, 1)], "as it was first received");
}

#[tokio::test]
async fn an_operator_looks_replays_and_drops_in_redis() {
    let Some(url) = server("REDIS_URL") else { return };
    let (redis, bot) = (Redis::new(&url).unwrap(), some_bot());
    let consumer = RedisConsumer::new(&redis, bot, "one");
    operate(&RedisProducer::new(&redis), &consumer, &RedisDeadLetters::new(redis.clone(), bot), bot).await;
    let keys = [keys::updates(bot), keys::dead_letters(bot)];
    redis.query::<()>(redis::cmd("DEL").arg(&keys)).await.unwrap();
}

#[tokio::test]
async fn an_operator_looks_replays_and_drops_wherever_redis_is_with_the_documented_rights() {
    for servers in RedisServers::of_each_kind().await {
        let [gateway, worker] = [&servers.gateway, &servers.worker].map(|url| Redis::new(url).unwrap());
        let (bot, producer) = (some_bot(), RedisProducer::new(&gateway));
        let consumer = RedisConsumer::new(&worker, bot, "one");
        operate(&producer, &consumer, &RedisDeadLetters::new(worker.clone(), bot), bot).await;
    }
}

async fn in_database(database: Database) {
    let (queue, bot) = (SqlQueue::new(database.clone()), some_bot());
    operate(&queue, &queue.consumer(bot, "one"), &SqlDeadLetters::new(database, bot), bot).await;
}

#[tokio::test]
async fn an_operator_looks_replays_and_drops_in_sqlite() {
    let file = SqliteFile::new().await;
    in_database(file.database.clone()).await;
}

#[tokio::test]
async fn an_operator_looks_replays_and_drops_in_postgresql() {
    with_postgres(async |database| {
        in_database(database).await;
        Ok(())
    })
    .await;
}
