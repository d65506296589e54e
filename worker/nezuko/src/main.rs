//! `nezuko`: gateway and worker in one process, with nothing beside it but a database file.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use nezuko_gateway::Gateway;
use nezuko_shared::{
    cache::memory::MemoryCache,
    config::{ConfigError, ConfigErrors, Profile, Settings},
    database::Database,
    limiter::{LimiterSettings, memory::MemoryLimiter},
    ops::{Ops, Readiness},
    program,
    queue::sql::SqlQueue,
    shutdown,
    telemetry::metrics::Metrics,
};
use nezuko_worker::{
    run::{Worker, bring_up_to_date, telegram},
    store::SqlStore,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    program::start(settings, run)
}

fn settings() -> Result<Settings, ConfigErrors> {
    let settings = Settings::from_env()?;
    match settings.profile {
        Profile::Embedded { .. } => Ok(settings),
        Profile::Distributed { .. } => Err(ConfigErrors(vec![ConfigError {
            name: "REDIS_URL".to_owned(),
            problem: "is for the fleet: start nezuko-gateway and nezuko-worker, or unset it to run nezuko alone"
                .to_owned(),
        }])),
    }
}

#[tokio::main]
async fn run(settings: &Settings) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot listen to signals")?;
    let bot = settings.bot.id;
    let metrics = Metrics::new(bot);
    let readiness = Readiness::default();
    let webhook_port = TcpListener::bind((settings.bind, settings.port)).await.context("cannot bind PORT")?;
    let ops_port = TcpListener::bind((settings.bind, settings.ops_port)).await.context("cannot bind OPS_PORT")?;

    let ops_address = ops_port.local_addr()?;
    // The operations port outlives the rest, so that a draining process can be watched.
    let ops = Ops { program: "nezuko", readiness: readiness.clone(), metrics: metrics.clone() };
    let watched = tokio::spawn(ops.serve(ops_port, CancellationToken::new()));
    let started = readiness.needed("database schema");

    let database = Database::open(settings.profile.database().expose()).await?;
    if !bring_up_to_date(&database, &shutdown).await? {
        return Ok(());
    }
    started.set(true);
    let queue = SqlQueue::new(database.clone());
    let gateway = Gateway::new(settings, Arc::new(queue.clone()), metrics.clone(), &readiness, shutdown.clone());
    let limits = LimiterSettings { jitter: settings.limiter_jitter, ..LimiterSettings::default() };
    let worker = Worker {
        store: Arc::new(SqlStore::new(database, bot)),
        consumer: Arc::new(queue.consumer(bot, &settings.worker_name)),
        cache: Arc::new(MemoryCache::default()),
        limiter: Arc::new(MemoryLimiter::new(limits)),
        api: telegram(settings)?,
        metrics: metrics.clone(),
        name: settings.worker_name.clone(),
        reclaim_idle: settings.reclaim_idle,
        grace: settings.shutdown_grace,
        database_works: readiness.reported("database"),
    };
    tracing::info!(
        bot_id = bot.0,
        webhook = %webhook_port.local_addr()?,
        ops = %ops_address,
        version = env!("CARGO_PKG_VERSION"),
        "nezuko is listening"
    );
    tokio::join!(gateway.serve(webhook_port), worker.run(shutdown));
    watched.abort();
    Ok(())
}
