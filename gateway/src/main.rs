//! `nezuko-gateway`: takes bots' updates from Telegram into Redis.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use nezuko_revision::{REVISION, VERSION};
use nezuko_shared::{
    config::{Role, Settings},
    program,
    queue::redis::RedisProducer,
    redis_pool::Redis,
    shutdown,
    telemetry::{Program, metrics::Metrics},
};

/// Takes Telegram bots' updates by webhook and stores them in Redis, where nezuko-worker takes them.
///
/// Any number of gateways may run beside each other. Each answers Telegram's POST /webhook/<bot id> on PORT when, and only
/// when, Redis has the update, and tells of itself on OPS_PORT (/live /ready /health /metrics /version /log-level). TLS ends
/// in front of it. SIGTERM finishes what is in hand.
#[derive(Parser)]
#[command(name = "nezuko-gateway", version = VERSION, after_long_help = program::settings_help())]
struct Cli {}

const PROGRAM: Program = Program { name: "nezuko-gateway", role: Role::Gateway, revision: REVISION };

fn main() -> ExitCode {
    let Cli {} = Cli::parse();
    program::start(PROGRAM, || Settings::from_env(Role::Gateway), serve)
}

/// On one thread: what is received together is then written to Redis together, which saves a third of the processor time. More
/// cores are used by more gateways.
#[tokio::main(flavor = "current_thread")]
async fn serve(settings: &Settings, metrics: Metrics) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot listen to signals")?;
    let redis = settings.profile.redis().expect("invariant: the fleet's settings have Redis");
    let redis = Redis::new(redis.expose())?;
    let producer = match settings.wait_replicas {
        Some(replicas) => RedisProducer::waiting_for(&redis, replicas),
        None => RedisProducer::new(&redis),
    };
    redis.show_in(&metrics);
    nezuko_gateway::run(settings, Arc::new(producer), metrics, Some(&redis), PROGRAM, shutdown).await
}
