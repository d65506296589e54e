//! A queue in memory that works, fails or hangs as a test wants.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use nezuko_shared::{
    envelope::Envelope,
    queue::{Backlog, Producer, QueueError},
};
use nezuko_telegram::BotId;
use tokio::sync::Barrier;

/// How the queue behaves.
#[derive(Clone, Default)]
pub(crate) enum Mode {
    #[default]
    Works,
    Fails,
    /// Never answers.
    Hangs,
    /// Answers when as many pushes as the barrier counts are there.
    Waits(Arc<Barrier>),
}

#[derive(Default)]
pub(crate) struct MemoryQueue {
    pub(crate) stored: Mutex<Vec<Envelope>>,
    pub(crate) quarantined: Mutex<Vec<(Bytes, String)>>,
    pub(crate) mode: Mutex<Mode>,
    pub(crate) backlog: Mutex<Backlog>,
}

impl MemoryQueue {
    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    async fn behave(&self) -> Result<(), QueueError> {
        let mode = self.mode.lock().unwrap().clone();
        match mode {
            Mode::Works => Ok(()),
            Mode::Fails => Err(QueueError::Unavailable("told to fail".into())),
            Mode::Hangs => std::future::pending().await,
            Mode::Waits(barrier) => {
                barrier.wait().await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Producer for MemoryQueue {
    async fn push(&self, envelope: &Envelope) -> Result<(), QueueError> {
        self.behave().await?;
        self.stored.lock().unwrap().push(envelope.clone());
        Ok(())
    }

    async fn quarantine(&self, _: BotId, body: &[u8], reason: &str) -> Result<(), QueueError> {
        self.behave().await?;
        self.quarantined.lock().unwrap().push((Bytes::copy_from_slice(body), reason.into()));
        Ok(())
    }

    async fn backlog(&self, _: BotId) -> Result<Backlog, QueueError> {
        let answer = *self.backlog.lock().unwrap();
        // A backlog is asked for in the background; it must not take a place at the barrier.
        if let Mode::Waits(_) = *self.mode.lock().unwrap() {
            return Ok(answer);
        }
        self.behave().await?;
        Ok(answer)
    }
}
