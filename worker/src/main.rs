//! `nezuko-worker`: takes updates from Redis, decides on PostgreSQL, acts at Telegram.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use futures_util::future::join_all;
use nezuko_revision::{REVISION, VERSION};
use nezuko_shared::{
    bot_api::BotApi,
    cache::redis::RedisCache,
    config::{Role, Settings},
    database::Database,
    examine,
    limiter::{LimiterSettings, redis::RedisLimiter},
    ops::{Ops, Readiness},
    program,
    queue::redis::RedisConsumer,
    redis_pool::Redis,
    shutdown,
    telemetry::metrics::Metrics,
};
use nezuko_worker::{
    operate::Operation,
    run::{CALL_TIMEOUT, Worker, bring_up_to_date},
    store::SqlStore,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Takes updates from Redis, decides about them on PostgreSQL, and acts at Telegram.
///
/// Any number of workers may run beside each other; together they keep Telegram's limits. Without a command it works until
/// SIGTERM, which finishes what is in hand, and tells of itself on OPS_PORT (/live /ready /health /metrics /version).
#[derive(Parser)]
#[command(name = "nezuko-worker", version = VERSION, after_long_help = program::settings_help())]
struct Cli {
    #[command(subcommand)]
    operation: Option<Operation>,
}

fn main() -> ExitCode {
    if let Some(operation) = Cli::parse().operation {
        return operation.run(Role::Worker);
    }
    program::start(|| Settings::from_env(Role::Worker), work)
}

#[tokio::main]
async fn work(settings: &Settings) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("cannot listen to signals")?;
    let metrics = Metrics::new(settings.bots[0].id, REVISION);
    let readiness = Readiness::default();
    let ready = readiness.needed("worker");
    let ops_port = TcpListener::bind((settings.bind, settings.ops_port)).await.context("cannot bind OPS_PORT")?;
    let ops_address = ops_port.local_addr()?;
    let ops =
        Ops { program: "nezuko-worker", revision: REVISION, readiness: readiness.clone(), metrics: metrics.clone() };
    // The operations port outlives the work, so that a draining process can be watched.
    let watched = tokio::spawn(ops.serve(ops_port, CancellationToken::new()));

    tracing::info!(
        bots = ?settings.bot_ids(),
        ops = %ops_address,
        version = env!("CARGO_PKG_VERSION"),
        revision = REVISION,
        "worker is listening on its operations port"
    );
    let database = settings.profile.database().expect("invariant: a worker's settings have a database");
    let database = Database::open(database.expose()).await?;
    if !bring_up_to_date(&database, &stop).await? {
        return Ok(());
    }
    let redis = settings.profile.redis().expect("invariant: the fleet's settings have Redis");
    let redis = Redis::new(redis.expose())?;
    let telegram = BotApi::new(settings);
    database.show_in(&metrics);
    redis.show_in(&metrics);
    telegram.show_in(&metrics);
    let limits = LimiterSettings { jitter: settings.limiter_jitter, ..LimiterSettings::default() };
    let database_works = readiness.reported("database");
    let mut workers = Vec::new();
    for bot in &settings.bots {
        let consumer = RedisConsumer::new(&redis, bot.id, &settings.worker_name);
        workers.push(Worker {
            store: Arc::new(SqlStore::new(database.clone(), bot.id)),
            consumer: Arc::new(consumer.counted_in(metrics.of(bot.id))),
            cache: Arc::new(RedisCache::new(redis.clone())),
            limiter: Arc::new(RedisLimiter::new(&redis, bot.id, limits)),
            api: telegram.client(bot.id, CALL_TIMEOUT)?,
            metrics: metrics.of(bot.id),
            name: settings.worker_name.clone(),
            reclaim_idle: settings.reclaim_idle,
            grace: settings.shutdown_grace,
            database_works: database_works.clone(),
        });
    }
    let (looked_at, of_database) = (redis.clone(), database.clone());
    tokio::spawn(examine::keep_looking(async move || examine::redis(&looked_at).await));
    tokio::spawn(examine::keep_looking(async move || examine::postgres(&of_database).await));
    ready.set(true);
    let unready = stop.clone();
    tokio::spawn(async move {
        unready.cancelled().await;
        ready.set(false);
    });
    join_all(workers.into_iter().map(|worker| worker.run(stop.clone()))).await;
    watched.abort();
    Ok(())
}
