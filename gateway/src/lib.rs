//! The gateway: takes updates from Telegram and answers when, and only when, the queue has them.
//!
//! `connections` accepts, `webhook` leads a request through the checks (`secret`, `body`, `admission`), `peek` finds number
//! and person, the queue's producer stores, `answer` says so. The gateway keeps no state: Telegram is the spool.

mod admission;
mod answer;
mod body;
mod connections;
mod peek;
mod refusals;
mod secret;
mod webhook;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "../tests/support/memory_queue.rs"]
mod memory_queue;

use std::{io, sync::Arc, time::Duration};

use nezuko_shared::{
    config::{Profile, Settings},
    ops::{Ops, Part, Readiness},
    queue::Producer,
    telemetry::metrics::Metrics,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{admission::Watchers, webhook::Webhook};

/// One bot's webhook.
pub struct Gateway {
    webhook: Arc<Webhook>,
    grace: Duration,
    accepting: Part,
    queue: Part,
    queue_gauge: fn(&Metrics, bool),
}

impl Gateway {
    /// Stores what it takes in through `producer`. `readiness` gets two parts: `webhook`, without which the process
    /// wants no traffic, and `queue`, which is only reported: while the queue is away every gateway answers 503 with
    /// `Retry-After`, which Telegram understands better than a closed door.
    ///
    /// `shutdown` is the moment from which nothing new is taken in.
    #[must_use]
    pub fn new(
        settings: &Settings,
        producer: Arc<dyn Producer>,
        metrics: Metrics,
        readiness: &Readiness,
        shutdown: CancellationToken,
    ) -> Self {
        let queue_gauge = match settings.profile {
            Profile::Embedded { .. } => Metrics::set_db_connected,
            Profile::Distributed { .. } => Metrics::set_redis_connected,
        };
        Self {
            queue_gauge,
            webhook: Arc::new(Webhook::new(settings, producer, metrics, shutdown)),
            grace: settings.shutdown_grace,
            accepting: readiness.needed("webhook"),
            queue: readiness.reported("queue"),
        }
    }

    /// Answers on `listener` until the shutdown; returns when what was in hand is finished or the grace period is over.
    /// Dropping it closes every connection at once.
    pub async fn serve(self, listener: TcpListener) {
        let Self { webhook, grace, accepting, queue, queue_gauge } = self;
        let shutdown = webhook.shutdown.clone();
        let leaving = async {
            shutdown.cancelled().await;
            accepting.set(false);
            std::future::pending::<()>().await;
        };
        accepting.set(true);
        let router = Arc::clone(&webhook).router();
        let tell = Watchers { metrics: &webhook.metrics, gauge: queue_gauge, health: &queue };
        let watching = webhook.admission.watch(webhook.bot, &*webhook.producer, tell);
        tokio::select! {
            () = connections::serve(listener, router, shutdown.clone(), grace) => {}
            () = watching => {}
            () = leaving => {}
        }
    }
}

/// The whole program but its queue: binds both ports, serves, drains.
///
/// # Errors
/// Where a port cannot be bound.
pub async fn run(
    settings: &Settings,
    producer: Arc<dyn Producer>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let readiness = Readiness::default();
    let webhook_port = TcpListener::bind((settings.bind, settings.port)).await?;
    let ops_port = TcpListener::bind((settings.bind, settings.ops_port)).await?;
    tracing::info!(
        bot_id = settings.bot.id.0,
        environment = settings.environment,
        webhook = %webhook_port.local_addr()?,
        ops = %ops_port.local_addr()?,
        version = env!("CARGO_PKG_VERSION"),
        "gateway is listening"
    );

    let gateway = Gateway::new(settings, producer, metrics.clone(), &readiness, shutdown);
    let ops = Ops { program: "nezuko-gateway", readiness, metrics };
    // The operations port outlives the webhook, so that a draining process can be watched.
    tokio::select! {
        () = gateway.serve(webhook_port) => {}
        failed = ops.serve(ops_port, CancellationToken::new()) => failed?,
    }
    tracing::info!("gateway has stopped");
    Ok(())
}
