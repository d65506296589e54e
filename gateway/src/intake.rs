//! From bytes that Telegram sent to the queue: what is an update is stored, what is none is set aside.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use nezuko_shared::{
    clock::unix_ms,
    envelope::Envelope,
    queue::{Backlog, Memory, Producer, QueueError},
    telemetry::trace,
};
use nezuko_telegram::{BotId, UpdateId};
use tokio::time::timeout;

use crate::peek::{Peek, peek};

/// Longer than a stall of Redis that goes by, far shorter than Telegram's 60 s.
pub(crate) const PUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The way of one bot's updates into the queue.
pub(crate) struct Intake {
    bot: BotId,
    producer: Arc<dyn Producer>,
}

/// The queue has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Stored(UpdateId),
    /// It is no update, for this reason.
    Quarantined(&'static str),
}

/// Whether the queue has it is not certain.
#[derive(Debug)]
pub(crate) struct NotTaken {
    pub(crate) error: QueueError,
    /// Where the bytes are an update.
    pub(crate) trace_id: Option<String>,
    pub(crate) update_id: Option<UpdateId>,
}

impl Intake {
    pub(crate) const fn new(bot: BotId, producer: Arc<dyn Producer>) -> Self {
        Self { bot, producer }
    }

    /// Stores an update, or sets aside what is none. What follows from the update is of the trace of `entry`.
    pub(crate) async fn take(&self, payload: Bytes, entry: &trace::Entry) -> Result<Taken, NotTaken> {
        let Peek { update_id, routing_key } = match peek(&payload) {
            Ok(peek) => peek,
            Err(not_an_update) => {
                let reason = not_an_update.reason();
                return match in_time(self.producer.quarantine(self.bot, &payload, reason)).await {
                    Ok(()) => Ok(Taken::Quarantined(reason)),
                    Err(error) => Err(NotTaken { error, trace_id: None, update_id: None }),
                };
            }
        };
        entry.span.note("nezuko.update_id", update_id.0);
        let envelope = Envelope {
            bot: self.bot,
            update_id,
            routing_key,
            received_ms: unix_ms(),
            traceparent: entry.traceparent.clone(),
            payload,
        };
        match entry.span.clone().around(in_time(self.producer.push(&envelope))).await {
            Ok(()) => {
                tracing::debug!(bot_id = self.bot.0, update_id = update_id.0, trace_id = envelope.trace_id(), "stored");
                Ok(Taken::Stored(update_id))
            }
            Err(error) => {
                let trace_id = Some(envelope.trace_id().to_owned());
                Err(NotTaken { error, trace_id, update_id: Some(update_id) })
            }
        }
    }

    /// How much the queue holds of this bot.
    pub(crate) async fn backlog(&self) -> Result<Backlog, QueueError> {
        in_time(self.producer.backlog(self.bot)).await
    }

    /// How full the queue's memory is, where that can be said.
    pub(crate) async fn memory(&self) -> Result<Option<Memory>, QueueError> {
        in_time(self.producer.memory(self.bot)).await
    }
}

/// A push that is given up may still have taken effect; the update then comes again as a duplicate, which is harmless.
async fn in_time<T>(work: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    timeout(PUSH_TIMEOUT, work).await.unwrap_or_else(|_| Err(QueueError::Unavailable("no answer in time".into())))
}
