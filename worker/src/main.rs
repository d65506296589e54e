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
    ops::{Ops, Readiness, Scaling},
    program,
    queue::{Consumer, redis::RedisConsumer},
    redis_pool::Redis,
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

/// Takes updates from Redis, decides about them on PostgreSQL, and acts at Telegram.
///
/// Any number of workers may run beside each other; together they keep Telegram's limits. Without a command it works until
/// SIGTERM, which finishes what is in hand, and tells of itself on OPS_PORT (/live /ready /health /metrics /version
/// /log-level /scaling).
#[derive(Parser)]
#[command(name = "nezuko-worker", version = VERSION, after_long_help = program::settings_help())]
struct Cli {
    #[command(subcommand)]
    operation: Option<Operation>,
}

const PROGRAM: Program = Program { name: "nezuko-worker", role: Role::Worker, revision: REVISION };

fn main() -> ExitCode {
    if let Some(operation) = Cli::parse().operation {
        return operation.run(Role::Worker);
    }
    program::start(PROGRAM, || Settings::from_env(Role::Worker), work)
}

#[tokio::main]
async fn work(settings: &Settings, metrics: Metrics) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("cannot listen to signals")?;
    let readiness = Readiness::default();
    let ready = readiness.needed("worker");
    let ops_port = TcpListener::bind((settings.bind, settings.ops_port)).await.context("cannot bind OPS_PORT")?;
    let ops_address = ops_port.local_addr()?;
    let scaling = Scaling::default();
    let ops = Ops {
        program: PROGRAM,
        readiness: readiness.clone(),
        metrics: metrics.clone(),
        scaling: Some(scaling.clone()),
    };
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
    let redis = settings.profile.redis().expect("invariant: the fleet's settings have Redis");
    let redis = Redis::new(redis.expose())?;
    let telegram = BotApi::new(settings);
    database.show_in(&metrics);
    redis.show_in(&metrics);
    telegram.show_in(&metrics);
    // Shown before the database is waited for, or an alert about its absence would stay silent.
    settings.bots.iter().for_each(|bot| metrics.of(bot.id).set_db_connected(false));
    if !bring_up_to_date(&database, &stop).await? {
        return Ok(());
    }
    let limits = LimiterSettings { jitter: settings.limiter_jitter, ..LimiterSettings::default() };
    let database_works = readiness.reported("database");
    let (mut workers, mut queues) = (Vec::new(), Vec::<Arc<dyn Consumer>>::new());
    for bot in &settings.bots {
        let consumer = RedisConsumer::new(&redis, bot.id, &settings.worker_name).counted_in(metrics.of(bot.id));
        let consumer = Arc::new(consumer);
        queues.push(consumer.clone());
        workers.push(Worker {
            store: Arc::new(SqlStore::new(database.clone(), bot.id).keeping_records_for(settings.retention_days)),
            consumer,
            cache: Arc::new(RedisCache::new(redis.clone())),
            limiter: Arc::new(RedisLimiter::new(&redis, bot.id, limits)),
            api: telegram.client(bot.id, CALL_TIMEOUT)?,
            buttons: ButtonKey::of_token(bot.id, bot.token.expose()),
            metrics: metrics.of(bot.id),
            name: settings.worker_name.clone(),
            reclaim_idle: settings.reclaim_idle,
            grace: settings.shutdown_grace,
            database_works: database_works.clone(),
            queue_gauge: Metrics::set_redis_connected,
        });
    }
    scaling.of(queues);
    let (looked_at, of_database, replicas) = (redis.clone(), database.clone(), settings.wait_replicas);
    tokio::spawn(examine::keep_looking(async move || examine::redis(&looked_at, replicas).await));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, path::Path};

    use clap::CommandFactory;

    use super::Cli;

    /// What a document has people type after the program's name.
    fn commands(document: &str) -> impl Iterator<Item = &str> {
        let typed = document.split(['`', '\n']).filter(|part| !part.starts_with("ACL ") && !part.contains("cargo "));
        let ours =
            typed.filter_map(|part| part.rsplit_once("nezuko-worker ")).filter(|(before, _)| !before.ends_with('/'));
        ours.map(|(_, command)| command.split('#').next().unwrap_or_default())
    }

    fn unknown(command: &str) -> Option<&str> {
        let mut here = &Cli::command();
        for word in command.split_whitespace() {
            if let Some(name) = word.strip_prefix("--") {
                if !here.get_arguments().any(|argument| argument.get_long() == Some(name)) {
                    return Some(word);
                }
            } else if here.has_subcommands() {
                let Some(below) = here.find_subcommand(word) else { return Some(word) };
                here = below;
            }
        }
        None
    }

    #[test]
    fn documents_name_commands_that_there_are() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let documents = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let others = ["README.md", "helm/nezuko/templates/NOTES.txt"].map(|name| root.join(name));
        let mut found = 0;
        for path in documents.chain(others) {
            let document = fs::read_to_string(&path).unwrap();
            for command in commands(&document) {
                assert_eq!(unknown(command), None, "{}: nezuko-worker {command}", path.display());
                found += 1;
            }
        }
        assert!(found > 15, "only {found}");
        assert_eq!(unknown("dlq forget ID"), Some("forget"));
        assert_eq!(unknown("dlq list --everything"), Some("--everything"));
    }
}
