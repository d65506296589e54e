//! `nezuko`: gateway and worker in one process, with nothing beside it but a database file.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use futures_util::future::join_all;
use nezuko_gateway::Gateway;
use nezuko_revision::{REVISION, VERSION};
use nezuko_shared::{
    bot_api::BotApi,
    cache::memory::MemoryCache,
    config::{Role, Settings},
    database::Database,
    examine,
    limiter::{LimiterSettings, memory::MemoryLimiter},
    ops::{Ops, Readiness},
    program,
    queue::sql::SqlQueue,
    shutdown,
    telemetry::{Program, metrics::Metrics},
};
use nezuko_worker::{
    buttons::ButtonKey,
    operate::Operation,
    run::{CALL_TIMEOUT, Worker, bring_up_to_date},
    store::SqlStore,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Guards Telegram groups: who writes in a group must have joined its channels.
///
/// One process with nothing beside it but a database file. BOT_TOKEN alone makes it work: it asks Telegram for updates, or
/// takes them by webhook where WEBHOOK_URL is given. Without a command it works until SIGTERM, which finishes what is in
/// hand, and tells of itself on OPS_PORT (/live /ready /health /metrics /version /log-level).
#[derive(Parser)]
#[command(name = "nezuko", version = VERSION, after_long_help = program::settings_help())]
struct Cli {
    #[command(subcommand)]
    operation: Option<Operation>,
}

const PROGRAM: Program = Program { name: "nezuko", role: Role::Alone, revision: REVISION };

fn main() -> ExitCode {
    if let Some(operation) = Cli::parse().operation {
        return operation.run(Role::Alone);
    }
    program::start(PROGRAM, || Settings::from_env(Role::Alone), run)
}

#[tokio::main]
async fn run(settings: &Settings, metrics: Metrics) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot listen to signals")?;
    let readiness = Readiness::default();
    // Where updates are asked for, nobody needs a door.
    let webhook_port = match settings.webhook_url {
        Some(_) => Some(TcpListener::bind((settings.bind, settings.port)).await.context("cannot bind PORT")?),
        None => None,
    };
    let ops_port = TcpListener::bind((settings.bind, settings.ops_port)).await.context("cannot bind OPS_PORT")?;

    let ops_address = ops_port.local_addr()?;
    // The operations port outlives the rest, so that a draining process can be watched.
    let ops = Ops { program: PROGRAM, readiness: readiness.clone(), metrics: metrics.clone(), scaling: None };
    let watched = tokio::spawn(ops.serve(ops_port, CancellationToken::new()));
    let started = readiness.needed("database schema");

    let database = settings.profile.database().expect("invariant: who stands alone has a database");
    let database = Database::open(database.expose()).await?;
    if !bring_up_to_date(&database, &shutdown).await? {
        return Ok(());
    }
    started.set(true);
    let looked_at = database.clone();
    tokio::spawn(examine::keep_looking(async move || examine::postgres(&looked_at).await));
    let queue = SqlQueue::new(database.clone());
    let producer = Arc::new(queue.clone());
    let telegram = BotApi::new(settings);
    database.show_in(&metrics);
    telegram.show_in(&metrics);
    let gateway = Gateway::new(settings, &telegram, producer, &metrics, &readiness, None, shutdown.clone())?;
    let limits = LimiterSettings { jitter: settings.limiter_jitter, ..LimiterSettings::default() };
    let database_works = readiness.reported("database");
    let mut workers = Vec::new();
    for bot in &settings.bots {
        workers.push(Worker {
            store: Arc::new(SqlStore::new(database.clone(), bot.id).keeping_records_for(settings.retention_days)),
            consumer: Arc::new(queue.consumer(bot.id, &settings.worker_name)),
            cache: Arc::new(MemoryCache::default()),
            limiter: Arc::new(MemoryLimiter::new(limits)),
            api: telegram.client(bot.id, CALL_TIMEOUT)?,
            buttons: ButtonKey::of_token(bot.id, bot.token.expose()),
            metrics: metrics.of(bot.id),
            name: settings.worker_name.clone(),
            reclaim_idle: settings.reclaim_idle,
            grace: settings.shutdown_grace,
            database_works: database_works.clone(),
            queue_gauge: Metrics::set_db_connected,
        });
    }
    tracing::info!(
        bots = ?settings.bot_ids(),
        webhook = webhook_port.as_ref().map(TcpListener::local_addr).transpose()?.map(tracing::field::display),
        ops = %ops_address,
        version = env!("CARGO_PKG_VERSION"),
        revision = REVISION,
        "nezuko is listening"
    );
    let working = join_all(workers.into_iter().map(|worker| worker.run(shutdown.clone())));
    tokio::join!(gateway.serve(webhook_port), working);
    watched.abort();
    Ok(())
}
