//! `nezuko-gateway`: takes a bot's updates from Telegram into Redis.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use nezuko_shared::{
    config::Settings, program, queue::redis::RedisProducer, redis_pool::Redis, shutdown, telemetry::metrics::Metrics,
};

fn main() -> ExitCode {
    program::start(Settings::fleet_from_env, serve)
}

#[tokio::main]
async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot listen to signals")?;
    let redis = settings.profile.redis().expect("invariant: the fleet's settings have Redis");
    let producer = Arc::new(RedisProducer::new(&Redis::new(redis.expose())?));
    let metrics = Metrics::new(settings.bot.id);
    nezuko_gateway::run(settings, producer, metrics, shutdown).await.context("cannot bind PORT or OPS_PORT")
}
