//! The gateway: takes updates from Telegram and answers when, and only when, the queue has them.
//!
//! `connections` accepts, `webhook` leads a request through the checks (`secret`, `body`, `admission`), `peek` finds number
//! and person, `intake` stores, `answer` says so. `registration` sees to it that Telegram knows the webhook; without one
//! `polling` asks for updates. The gateway keeps no state: Telegram is the spool.

mod admission;
mod answer;
mod body;
mod bot;
mod connections;
mod intake;
mod peek;
mod polling;
mod refusals;
mod registration;
mod secret;
mod webhook;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "../tests/support/memory_queue.rs"]
mod memory_queue;

use std::{io, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future::join_all;
use nezuko_shared::{
    bot_api::BotApi,
    config::{Profile, Settings},
    examine,
    ops::{Ops, Part, Readiness},
    queue::Producer,
    redis_pool::Redis,
    telemetry::{Program, metrics::Metrics},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{admission::Watchers, bot::Bot, polling::Poller, registration::Registrar, webhook::Webhook};

/// How the updates of one bot come here.
enum Source {
    Webhook(Registrar),
    /// The webhook, and asking where Telegram refuses it.
    WebhookOrPolling(Registrar, Poller),
    Polling(Poller),
}

/// The way of all bots' updates from Telegram into the queue.
pub struct Gateway {
    bots: Vec<Arc<Bot>>,
    sources: Vec<Source>,
    webhook: Arc<Webhook>,
    shutdown: CancellationToken,
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
    /// Where there are several gateways they take turns at registering, in Redis by `turns`; `shutdown` is the moment from which nothing new is taken in.
    ///
    /// # Errors
    /// Where no HTTP client can be built.
    pub fn new(
        settings: &Settings,
        telegram: &BotApi,
        producer: Arc<dyn Producer>,
        metrics: &Metrics,
        readiness: &Readiness,
        turns: Option<&Redis>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let queue_gauge = match settings.profile {
            Profile::Embedded { .. } => Metrics::set_db_connected,
            Profile::Gateway { .. } | Profile::Worker { .. } => Metrics::set_redis_connected,
        };
        let (mut bots, mut sources) = (Vec::new(), Vec::new());
        for of_bot in &settings.bots {
            let bot = Arc::new(Bot::new(settings, of_bot, producer.clone(), metrics));
            let registrar = || Registrar::new(settings, of_bot, telegram, bot.clone(), turns.cloned());
            let poller = || Poller::new(telegram, bot.clone());
            let alone = matches!(settings.profile, Profile::Embedded { .. });
            sources.push(match (alone, &settings.webhook_url) {
                (true, None) => Source::Polling(poller()?),
                (true, Some(_)) if settings.polling_fallback => Source::WebhookOrPolling(registrar()?, poller()?),
                _ => Source::Webhook(registrar()?),
            });
            bots.push(bot);
        }
        Ok(Self {
            webhook: Arc::new(Webhook::new(&bots, metrics, shutdown.clone())),
            bots,
            sources,
            shutdown,
            queue_gauge,
            grace: settings.shutdown_grace,
            accepting: readiness.needed("webhook"),
            queue: readiness.reported("queue"),
        })
    }

    /// Brings updates in until the shutdown, through `listener` if there is one; returns when what was in hand is finished
    /// or the grace period is over. Dropping it closes every connection at once.
    pub async fn serve(self, listener: Option<TcpListener>) {
        let Self { bots, sources, webhook, shutdown, grace, accepting, queue, queue_gauge } = self;
        let leaving = async {
            shutdown.cancelled().await;
            accepting.set(false);
            std::future::pending::<()>().await;
        };
        accepting.set(true);
        let serving = async {
            match listener {
                Some(listener) => connections::serve(listener, webhook.router(), shutdown.clone(), grace).await,
                None => shutdown.cancelled().await,
            }
        };
        let watching = join_all(bots.iter().map(|bot| {
            let tell = Watchers { metrics: &bot.metrics, gauge: queue_gauge, health: &queue };
            bot.admission.watch(bot.id, &bot.intake, tell)
        }));
        // Given up at the shutdown: what Telegram has not been told is stored comes again.
        let bringing = async {
            tokio::select! {
                _ = join_all(sources.iter().map(Source::bring)) => {}
                () = shutdown.cancelled() => {}
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            _ = watching => {}
            () = bringing => {}
            () = leaving => {}
        }
    }
}

impl Source {
    /// Sees to it that updates come, for ever.
    async fn bring(&self) {
        match self {
            Self::Webhook(registrar) => registrar.keep().await,
            Self::WebhookOrPolling(registrar, poller) => {
                registrar.keep_unless_refused().await;
                tracing::error!(
                    "TELEGRAM REFUSED THE WEBHOOK, so updates are asked for instead (POLLING_FALLBACK); \
                     correct WEBHOOK_URL and start again"
                );
                poller.run().await;
            }
            Self::Polling(poller) => poller.run().await,
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
    turns: Option<&Redis>,
    program: Program,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let readiness = Readiness::default();
    let bind = async |port, name| {
        let bound: io::Result<TcpListener> = TcpListener::bind((settings.bind, port)).await;
        bound.with_context(|| format!("cannot bind {name} ({port})"))
    };
    let webhook_port = bind(settings.port, "PORT").await?;
    let ops_port = bind(settings.ops_port, "OPS_PORT").await?;
    tracing::info!(
        bots = ?settings.bot_ids(),
        environment = settings.environment,
        webhook = %webhook_port.local_addr()?,
        ops = %ops_port.local_addr()?,
        version = env!("CARGO_PKG_VERSION"),
        revision = program.revision,
        "gateway is listening"
    );

    let telegram = BotApi::new(settings);
    telegram.show_in(&metrics);
    let gateway = Gateway::new(settings, &telegram, producer, &metrics, &readiness, turns, shutdown)?;
    let ops = Ops { program, readiness, metrics, scaling: None };
    let replicas = settings.wait_replicas;
    let examining = async {
        match turns {
            Some(redis) => examine::keep_looking(async || examine::redis(redis, replicas).await).await,
            None => std::future::pending().await,
        }
    };
    // The operations port outlives the webhook, so that a draining process can be watched.
    tokio::select! {
        () = gateway.serve(Some(webhook_port)) => {}
        failed = ops.serve(ops_port, CancellationToken::new()) => failed?,
        () = examining => {}
    }
    tracing::info!("gateway has stopped");
    Ok(())
}
