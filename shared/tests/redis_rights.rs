//! The rights in `docs/redis.md`: everything that the programs do gets by with them, and not with one fewer.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    num::NonZeroU8,
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};
use nezuko_shared::{
    cache::{Cache, ChatVersion, Verdict, redis::RedisCache},
    conformance::{
        redis_servers::{Grant, RedisServers, eventually},
        some_bot,
    },
    envelope::Envelope,
    keys,
    limiter::{Budget, Limiter, LimiterSettings, Permit, Urgency, redis::RedisLimiter},
    queue::{
        Consumer, Producer,
        dead_letters::{DeadLetters, redis::RedisDeadLetters},
        redis::{RedisConsumer, RedisProducer},
    },
    redis_pool::{RESPONSE_TIMEOUT, Redis},
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId};

const SECOND: Duration = Duration::from_secs(1);

fn envelope(bot: BotId) -> Envelope {
    let (traceparent, payload) = (String::new(), "{}".into());
    Envelope { bot, update_id: UpdateId(1), routing_key: 1, received_ms: 1, traceparent, payload }
}

/// All that a gateway asks of Redis.
async fn work_as_gateway(redis: &Redis, bot: BotId) -> Result<()> {
    let producer = RedisProducer::new(redis);
    producer.push(&envelope(bot)).await?;
    producer.quarantine(bot, b"{}", "a reason").await?;
    producer.backlog(bot).await?;
    ensure!(producer.memory(bot).await?.is_some(), "the memory cannot be looked at");
    redis.info().await?;
    let nobody_else_has_it = RedisProducer::waiting_for(redis, NonZeroU8::MIN).push(&envelope(bot)).await;
    ensure!(nobody_else_has_it.is_err_and(|error| error.to_string().contains("0 replicas of 1")));
    // As it takes its turn at registering the webhook; twice, since a connection of the pool is tested when it is used again.
    for _ in 0..2 {
        let mut turn = redis::cmd("SET");
        turn.arg(keys::registration(bot)).arg(1).arg("NX").arg("PX").arg(1000);
        redis.query::<Option<String>>(&turn).await?;
    }
    Ok(())
}

/// All that a worker asks of Redis, and its operator: `dlq` and `doctor`.
async fn work_as_worker(redis: &Redis, bot: BotId) -> Result<()> {
    queue(redis, bot).await?;
    cache(&RedisCache::new(redis.clone()), bot).await?;
    limiter(redis, bot).await?;
    redis.info().await?;
    Ok(())
}

/// All that KEDA asks of Redis: whether it is there, and how long a bot's stream is.
async fn ask_as_keda(url: &str, bot: BotId) -> Result<()> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("PING").query_async::<()>(&mut connection).await?;
    redis::cmd("XLEN").arg(keys::updates(bot)).query_async::<u64>(&mut connection).await?;
    Ok(())
}

/// Three entries wait.
async fn queue(redis: &Redis, bot: BotId) -> Result<()> {
    let consumer = RedisConsumer::new(redis, bot, "one");
    let read = consumer.read(3, Duration::ZERO).await?;
    ensure!(read.len() == 3, "{read:?}");
    let ids: Vec<_> = read.iter().map(|delivery| delivery.id.clone()).collect();
    consumer.keep_alive(&ids).await?;
    consumer.backlog().await?;
    consumer.ack(&ids[..1]).await?;
    consumer.dead_letter(&read[1], "a reason").await?;
    consumer.leave().await?; // Gives the third one back.
    let consumer = RedisConsumer::new(redis, bot, "two");
    ensure!(consumer.reclaim(Duration::ZERO, 10).await?.len() == 1);

    let dead = RedisDeadLetters::new(redis.clone(), bot);
    let letters = dead.list(10).await?;
    dead.replay(&letters[0].id).await?;
    let again = consumer.read(1, Duration::ZERO).await?;
    consumer.dead_letter(&again[0], "a reason").await?;
    dead.drop_one(&dead.list(10).await?[0].id).await?;
    Ok(())
}

async fn cache(cache: &RedisCache, bot: BotId) -> Result<()> {
    let (chat, user) = (ChatId(-1), UserId(1));
    let verdict = Verdict { group: chat, user, order: 1, settings_version: 1, acquitted: true };
    cache.remember(bot, &[verdict], SECOND).await?;
    cache.remember_chat(bot, ChatVersion { chat, settings_version: 1, protected: true }, SECOND).await?;
    ensure!(cache.acquitted(bot, &[(chat, user)]).await? == [true]);
    Ok(())
}

async fn limiter(redis: &Redis, bot: BotId) -> Result<()> {
    let limiter = |bot| RedisLimiter::new(redis, bot, LimiterSettings::default());
    limiter(some_bot()).ask(Budget::Message, Urgency::Urgent, Some(ChatId(-1))).await?; // The first question of all.
    let limiter = limiter(bot);
    limiter.pause(Budget::Lookup, Some(ChatId(1)), SECOND).await?;
    limiter.ask(Budget::Lookup, Urgency::Urgent, None).await?;
    let chat = ChatId(-i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_micros())?);
    while let Permit::Denied { retry_in, .. } = limiter.ask(Budget::Message, Urgency::Urgent, Some(chat)).await? {
        tokio::time::sleep(retry_in).await;
    }
    Ok(())
}

/// What the server has refused since it was asked last.
async fn refused(servers: &RedisServers, node: u16) -> Vec<String> {
    let log: Vec<HashMap<String, redis::Value>> = servers.tell(node, redis::cmd("ACL").arg("LOG")).await.unwrap();
    servers.tell::<()>(node, redis::cmd("ACL").arg("LOG").arg("RESET")).await.unwrap();
    let object =
        |entry: &HashMap<String, redis::Value>| redis::from_redis_value_ref::<String>(&entry["object"]).unwrap();
    // The client tells its name and does without.
    log.iter().map(object).filter(|object| object != "client|setinfo").collect()
}

#[tokio::test]
async fn the_documented_rights_suffice_and_none_is_too_many() {
    let Some(servers) = RedisServers::alone().await else { return };
    let node = servers.nodes[0];
    let administrator = Redis::new(&servers.administrator).unwrap();
    servers.tell::<()>(node, redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1gb")).await.unwrap();
    let warm = some_bot(); // Its limiter's silence of the beginning is over soon.
    let work = async |user: &str| {
        servers.tell::<()>(node, redis::cmd("SCRIPT").arg("FLUSH")).await.unwrap();
        let emptied = redis::cmd("DEL").arg(keys::updates(warm)).arg(keys::dead_letters(warm)).to_owned();
        administrator.link(RESPONSE_TIMEOUT).query::<()>(&emptied).await.unwrap();
        let outcome = match user {
            "nezuko-gateway" => work_as_gateway(&Redis::new(&servers.gateway).unwrap(), some_bot()).await,
            "nezuko-worker" => {
                let producer = RedisProducer::new(&administrator);
                for _ in 0..3 {
                    producer.push(&envelope(warm)).await.unwrap();
                }
                work_as_worker(&Redis::new(&servers.worker).unwrap(), warm).await
            }
            "nezuko-keda" => ask_as_keda(&servers.keda, warm).await,
            other => panic!("who is {other}?"),
        };
        (outcome, refused(&servers, node).await)
    };
    for grant in Grant::documented("Users and rights") {
        let (outcome, refused) = work(&grant.user).await;
        outcome.unwrap();
        assert!(refused.is_empty(), "{}: {refused:?}", grant.user);
        for (i, rule) in grant.rules.iter().enumerate().filter(|(_, rule)| rule.starts_with(['+', '~', '%'])) {
            let mut fewer = grant.clone();
            fewer.rules.remove(i);
            servers.tell::<()>(node, &fewer.command()).await.unwrap();
            let (outcome, refused) = work(&grant.user).await;
            assert!(!refused.is_empty(), "{} does as well without {rule}", grant.user);
            // Without these the pool makes connections anew instead of using them again.
            let of_the_pool = ["+ping", "+unwatch"].contains(&rule.as_str());
            assert!(outcome.is_err() || of_the_pool, "{} goes on without {rule}", grant.user);
        }
        servers.tell::<()>(node, &grant.command()).await.unwrap();
    }
}

#[tokio::test]
async fn behind_sentinels_and_in_a_cluster_none_of_the_further_rights_is_too_many() {
    let (sentinels, cluster) = tokio::join!(RedisServers::behind_sentinels(), RedisServers::cluster());
    let (Some(sentinels), Some(cluster)) = (sentinels, cluster) else { return };
    for (servers, section) in [(sentinels, "Sentinel"), (cluster, "Cluster")] {
        for grant in Grant::documented(section) {
            let (nodes, url) = match grant.user.as_str() {
                "nezuko-sentinel" => (&servers.sentinels, &servers.worker),
                "nezuko-worker" => (&servers.nodes, &servers.worker),
                "nezuko-gateway" => (&servers.nodes, &servers.gateway),
                other => panic!("who is {other}?"),
            };
            let turned = async |sign: char, right: &str| {
                let rule = Grant { user: grant.user.clone(), rules: vec![format!("{sign}{right}")] };
                for node in nodes {
                    servers.tell::<()>(*node, &rule.command()).await.unwrap();
                }
            };
            let connects = async || Redis::new(url).unwrap().ping().await.is_ok();
            assert!(connects().await, "{url}");
            // That of following a slot that moves is shown where one moves.
            let rights =
                grant.rules.iter().filter_map(|rule| rule.strip_prefix('+')).filter(|right| *right != "asking");
            for right in rights {
                turned('-', right).await;
                assert!(!connects().await, "{} does as well without {right}", grant.user);
                turned('+', right).await;
                eventually("it connects again", async || connects().await.then_some(())).await;
            }
        }
    }
}
