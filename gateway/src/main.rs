//! `nezuko-gateway`: takes bots' updates from Telegram into Redis.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use nezuko_gateway::Turn;
use nezuko_shared::{
    config::{Role, Settings},
    program,
    queue::redis::RedisProducer,
    redis_pool::Redis,
    shutdown,
    telemetry::metrics::Metrics,
};

fn main() -> ExitCode {
    program::start(|| Settings::from_env(Role::Gateway), serve)
}

#[tokio::main]
async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot listen to signals")?;
    let redis = settings.profile.redis().expect("invariant: the fleet's settings have Redis");
    let redis = Redis::new(redis.expose())?;
    let producer = Arc::new(RedisProducer::new(&redis));
    let metrics = Metrics::new(settings.bots[0].id);
    nezuko_gateway::run(settings, producer, metrics, &Turn::Shared(redis), shutdown).await
}
