//! Commands that are answered only when replicas have carried them out, too.
//!
//! `WAIT` is about all that its connection has written before, and holds up whatever comes after it. So what is to be stored
//! at one time shares a connection of its own, one pipeline and one `WAIT`.

use std::{num::NonZeroU8, time::Duration};

use redis::Cmd;
use tokio::sync::{mpsc, oneshot};

use super::QueueError;
use crate::redis_pool::{Link, traced};

/// How many commands share one pipeline at most.
const BATCH: usize = 256;

/// How many commands may wait for the next pipeline; more wait in their callers.
const WAITING: usize = 1024;

/// How long the replicas are waited for. A healthy one answers within its round trip.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes to a master and its replicas. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub(super) struct Replicated(mpsc::Sender<Write>);

#[derive(Debug)]
struct Write {
    command: Cmd,
    written: oneshot::Sender<Result<(), String>>,
}

impl Replicated {
    /// Starts the task that writes; it ends with the last clone. `link` must be nobody else's. To be called inside a Tokio
    /// runtime.
    pub(super) fn new(link: Link, replicas: NonZeroU8) -> Self {
        let (writes, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write(link, replicas, waiting));
        Self(writes)
    }

    /// Returns when the master and that many replicas have carried `command` out. Cancellation: it may take effect.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: it may have taken effect, on the master alone or everywhere.
    pub(super) async fn write(&self, command: Cmd) -> Result<(), QueueError> {
        let gone = |_| QueueError::Unavailable("the writer of the queue has ended".to_owned());
        let (written, outcome) = oneshot::channel();
        let span = traced::command(&command);
        self.0.send(Write { command, written }).await.map_err(|_| gone(()))?;
        let outcome = outcome.await.map_err(|_| gone(()))?;
        if outcome.is_err() {
            span.fail("not replicated");
        }
        outcome.map_err(QueueError::Unavailable)
    }
}

async fn write(link: Link, replicas: NonZeroU8, mut waiting: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        // What its caller has given up is brought again.
        batch.retain(|write| !write.written.is_closed());
        if batch.is_empty() {
            continue;
        }
        let mut pipeline = redis::pipe();
        for write in &batch {
            pipeline.add_command(write.command.clone()).ignore();
        }
        pipeline.cmd("WAIT").arg(replicas.get()).arg(PATIENCE.as_millis() as u64);
        // One command that is refused fails all: those that were stored are brought again, which does no harm.
        let outcome = match link.pipeline::<(u64,)>(&pipeline).await {
            Ok((reached,)) if reached >= u64::from(replicas.get()) => Ok(()),
            Ok((reached,)) => {
                // It may be a master no longer: only a new connection finds the one that is.
                link.close();
                Err(format!("stored, but {reached} replicas of {replicas} have it"))
            }
            Err(error) => Err(error.to_string()),
        };
        for write in batch.drain(..) {
            // A caller that went away has nobody to tell.
            write.written.send(outcome.clone()).ok();
        }
    }
}
