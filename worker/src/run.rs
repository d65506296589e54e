//! The worker as a whole: readers, senders and housekeeping, from start to a clean stop.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    cache::Cache,
    database::Database,
    limiter::Limiter,
    ops::Part,
    queue::Consumer,
    telemetry::metrics::{IntentState, Metrics},
};
use nezuko_telegram::{CallError, Client, User};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    buttons::ButtonKey,
    clock,
    consume::Reader,
    handle::Handler,
    lanes, menus,
    outage::OutageWatch,
    send::{Sender, seed_links, seed_sweeps},
    store::{StatesOfIntents, Store, StoreError},
};

/// Telegram absorbs flood waits of up to 8 s inside a call and advises clients to wait for half a minute.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What giving back claims and entries may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often it is looked whether Telegram must be asked something.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often the gauges are read.
const GAUGES: Duration = Duration::from_secs(10);
/// How often the groups are counted that have a rule in force.
const COUNT: Duration = Duration::from_mins(1);
/// How often what is past its time is removed, and groups and channels are looked for that nobody looks at.
const TIDY: Duration = Duration::from_hours(1);

/// Everything that a worker works with for one bot.
pub struct Worker {
    /// Facts and intents.
    pub store: Arc<dyn Store>,
    /// Where updates come from.
    pub consumer: Arc<dyn Consumer>,
    /// Who may write.
    pub cache: Arc<dyn Cache>,
    /// How much may be sent.
    pub limiter: Arc<dyn Limiter>,
    /// The Bot API.
    pub api: Client,
    /// Makes and reads what buttons carry.
    pub buttons: ButtonKey,
    /// What is counted.
    pub metrics: Metrics,
    /// The name of this worker; a random part is added for its claims.
    pub name: String,
    /// After so long without a sign of life, another worker's entries are taken over.
    pub reclaim_idle: Duration,
    /// How long the end may take.
    pub grace: Duration,
    /// Told whether the database answers.
    pub database_works: Part,
    /// The gauge of whatever the queue lives in.
    pub queue_gauge: fn(&Metrics, bool),
}

impl Worker {
    /// Works until `stop`, then finishes what is in hand within the grace period, gives back the rest and returns.
    pub async fn run(self, stop: CancellationToken) {
        let handler = Handler {
            bot: self.store.bot(),
            store: self.store.clone(),
            cache: self.cache,
            username: Arc::new(OnceLock::new()),
            buttons: self.buttons,
            metrics: self.metrics.clone(),
            clock: clock::system(),
            wake: Arc::default(),
        };
        let holder = format!("{}-{:08x}", self.name, rand::random::<u32>());
        let sender = Sender::new(handler.clone(), self.api.clone(), self.limiter, holder.clone());
        tracing::info!(holder, "worker starts");

        let outage = Arc::new(OutageWatch::new(self.store.clone(), self.metrics.clone()));
        while let Err(error) = outage.look((handler.clock)()).await {
            tracing::warn!(%error, "database does not answer, trying again before anything is decided");
            wait(&stop, Duration::from_secs(1)).await;
            if stop.is_cancelled() {
                return;
            }
        }
        let reading = TaskTracker::new();
        let sending = TaskTracker::new();
        Reader::run(self.consumer.clone(), handler.clone(), outage.clone(), self.reclaim_idle, &stop, &reading);
        lanes::run(&sender, &stop, &sending);
        tokio::spawn(ask_who_we_are(self.api, handler.clone(), stop.clone()));
        let beside = Beside { database_works: self.database_works, queue_gauge: self.queue_gauge };
        tokio::spawn(keep_house(self.consumer.clone(), handler, outage, beside, stop.clone()));

        stop.cancelled().await;
        reading.close();
        sending.close();
        let drained = async {
            reading.wait().await;
            sending.wait().await;
        };
        if tokio::time::timeout(self.grace, drained).await.is_err() {
            tracing::warn!("not everything was finished in time, others will take it over");
        }
        // Without the servers the end is no later: what is not given back runs out by itself.
        match tokio::time::timeout(FAREWELL, self.store.release(&holder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "claims not given back, they run out by themselves"),
            Err(_) => tracing::warn!("claims not given back in time, they run out by themselves"),
        }
        match tokio::time::timeout(FAREWELL, self.consumer.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "entries not given back, they are reclaimed after their idle time")
            }
            Err(_) => tracing::warn!("entries not given back in time, they are reclaimed after their idle time"),
        }
        tracing::info!(holder, "worker stopped");
    }
}

/// Brings the schema up to date, waiting for a database that is not there yet. Returns whether it was done before `stop`.
///
/// # Errors
/// Where waiting does not help: the schema is not one that this version knows, or a migration fails.
pub async fn bring_up_to_date(database: &Database, stop: &CancellationToken) -> anyhow::Result<bool> {
    while !stop.is_cancelled() {
        // A step that is given up in the middle is undone: each is one transaction.
        let migrated = tokio::select! {
            migrated = database.migrate() => migrated,
            () = stop.cancelled() => return Ok(false),
        };
        match migrated {
            Ok(()) => return Ok(true),
            Err(error) if error.is_absence() => {
                tracing::warn!(%error, "database not there, trying again; is DATABASE_URL right?");
            }
            Err(error) => return Err(error).context("the database's schema cannot be brought up to date"),
        }
        wait(stop, Duration::from_secs(1)).await;
    }
    Ok(false)
}

/// Asks Telegram for the bot's username, by which commands are addressed, and has it show them; later only whether Telegram
/// is back, where nothing else has been asked since it went away: its breaker stays open until a call gets through.
async fn ask_who_we_are(api: Client, handler: Handler, stop: CancellationToken) {
    let mut announced = false;
    while !stop.is_cancelled() {
        if !announced || api.is_held_back() {
            tokio::select! {
                () = api.ready() => {}
                () = stop.cancelled() => return,
            }
            if handler.username.get().is_none() || announced {
                let me: Result<MethodResponse<User>, CallError> = api.request("getMe", None::<()>).await;
                match me {
                    Ok(me) => drop(handler.username.set(me.result.username.unwrap_or_default())),
                    Err(error) => tracing::warn!(%error, "getMe failed, trying again"),
                }
            }
            if !announced && handler.username.get().is_some() {
                match menus::announce(&api).await {
                    Ok(()) => announced = true,
                    Err(error) => tracing::warn!(%error, "menus of commands not set, trying again"),
                }
            }
        }
        wait(&stop, ASK_AGAIN).await;
    }
}

/// Who is told whether the servers answer.
struct Beside {
    database_works: Part,
    queue_gauge: fn(&Metrics, bool),
}

/// Reads the gauges and removes what is past its time.
async fn keep_house(
    consumer: Arc<dyn Consumer>,
    handler: Handler,
    outage: Arc<OutageWatch>,
    beside: Beside,
    stop: CancellationToken,
) {
    let Beside { database_works, queue_gauge } = beside;
    let mut tidy_at_ms = (handler.clock)();
    let mut count_at_ms = tidy_at_ms;
    while !stop.is_cancelled() {
        let now_ms = (handler.clock)();
        let counted = count_intents(&handler, now_ms).await;
        database_works.set(counted.is_ok());
        handler.metrics.set_db_connected(counted.is_ok());
        if let Err(error) = counted {
            tracing::warn!(%error, "database does not answer");
        }
        if let Err(error) = async { outage.note().await.and(outage.look(now_ms).await) }.await {
            tracing::warn!(%error, "how far the updates have come is not known, trying again");
        }
        let backlog = consumer.backlog().await;
        queue_gauge(&handler.metrics, backlog.is_ok());
        if let Ok(backlog) = backlog {
            handler.metrics.set_backlog(backlog);
        }
        if let Ok(oldest_ms) = consumer.oldest_ms().await {
            handler.metrics.set_stream_oldest_age(since(oldest_ms.unwrap_or(now_ms), now_ms));
        }
        if now_ms >= count_at_ms
            && let Ok((active, suspended)) = handler.store.active_groups().await
        {
            handler.metrics.set_active_groups(active.unsigned_abs());
            handler.metrics.set_suspended_groups(suspended.unsigned_abs());
            count_at_ms = now_ms + COUNT.as_millis() as i64;
        }
        if now_ms >= tidy_at_ms {
            match async {
                seed_sweeps(&handler).await?;
                seed_links(&handler).await?;
                handler.store.purge(now_ms).await
            }
            .await
            {
                Ok(()) => tidy_at_ms = now_ms + TIDY.as_millis() as i64,
                Err(error) => tracing::warn!(%error, "not tidied up, trying again"),
            }
        }
        wait(&stop, GAUGES).await;
    }
}

/// Has the metrics say what is to be done, by kind and by state, and since when.
async fn count_intents(handler: &Handler, now_ms: i64) -> Result<(), StoreError> {
    let open = handler.store.open_intents(now_ms).await?;
    let oldest = handler.store.oldest_due(now_ms).await?;
    for kind in crate::intent::KINDS {
        let count = open.iter().find(|(of, _)| of == kind).map_or(0, |(_, count)| *count);
        let due_ms = oldest.iter().find(|(of, _)| of == kind).map_or(now_ms, |(_, due_ms)| *due_ms);
        handler.metrics.set_intents_waiting(kind, count.unsigned_abs());
        handler.metrics.set_intents_oldest_age(kind, since(due_ms, now_ms));
    }
    let StatesOfIntents { due, claimed, later } = handler.store.states_of_intents(now_ms).await?;
    for (state, count) in [(IntentState::Due, due), (IntentState::Claimed, claimed), (IntentState::Later, later)] {
        handler.metrics.set_intents_open(state, count.unsigned_abs());
    }
    Ok(())
}

/// How long ago `since_ms` was.
fn since(since_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis((now_ms - since_ms).max(0).unsigned_abs())
}

async fn wait(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use nezuko_telegram::{RawResponse, Transport, TransportError};

    use super::*;
    use crate::send::tests::{database, sender};

    /// Away until a call sees that it is back.
    #[derive(Default)]
    struct Telegram {
        away: AtomicBool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Transport for Telegram {
        async fn post(&self, method: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
            self.away.store(false, Ordering::Relaxed);
            let result = match method {
                "getMyCommands" => "[]",
                "setMyCommands" => "true",
                _ => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    r#"{"id":1,"is_bot":true,"first_name":"Bot","username":"bot"}"#
                }
            };
            let body = format!(r#"{{"ok":true,"result":{result}}}"#).into();
            Ok(RawResponse { status: 200, retry_after: None, body })
        }

        fn is_held_back(&self) -> bool {
            self.away.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_quiet_worker_sees_that_telegram_is_back() {
        let (telegram, database) = (Arc::new(Telegram::default()), database().await);
        let sender = sender(&database, telegram.clone());
        tokio::time::pause();
        let asking = ask_who_we_are(sender.api.clone(), sender.handler.clone(), CancellationToken::new());
        let mut asking = std::pin::pin!(asking);
        let mut later = async || {
            assert!(tokio::time::timeout(10 * ASK_AGAIN, asking.as_mut()).await.is_err(), "it goes on for ever");
            telegram.asked.load(Ordering::Relaxed)
        };
        assert_eq!(later().await, 1, "the name is asked for once");
        assert_eq!(sender.handler.username.get().unwrap(), "bot");
        telegram.away.store(true, Ordering::Relaxed);
        assert_eq!(later().await, 2);
        assert!(!telegram.is_held_back());
    }
}
