//! One connection that many tasks share.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation};
use tokio::time::Instant;

use super::{
    address::Address,
    connection::{Connection, judge, leaves_in_doubt},
    traced,
};
use crate::breaker::{Breaker, State};

/// One multiplexed connection, made at first use and made again after an error that leaves it in doubt. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<LinkState>);

struct LinkState {
    address: Arc<Address>,
    breaker: Breaker,
    response_timeout: Duration,
    /// For a call as a whole, connecting included.
    limit: Duration,
    current: Mutex<Current>,
    /// Held by the one task that connects; the others wait for what it gets.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Rises with every connection, so that an error ends only the connection that it came from.
    generation: u64,
    /// The last failure to connect, for those who waited for that attempt.
    failed: Option<(Instant, RedisError)>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("response_timeout", &self.0.response_timeout).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(address: Arc<Address>, breaker: Breaker, response_timeout: Duration, limit: Duration) -> Self {
        Self(Arc::new(LinkState {
            address,
            breaker,
            response_timeout,
            limit,
            current: Mutex::new(Current::default()),
            connecting: tokio::sync::Mutex::new(()),
        }))
    }

    /// Sends one command. Cancellation: it may have taken effect.
    ///
    /// # Errors
    /// [`RedisError`]; but for a server's own answer, and for a refusal of the breaker, it is unknown whether the command
    /// took effect.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        self.query_within(self.0.limit, command).await
    }

    /// The same with a limit of its own, for commands that block.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_within<T: FromRedisValue>(&self, limit: Duration, command: &Cmd) -> RedisResult<T> {
        let call = self.guarded(limit, async |connection| command.query_async(connection).await);
        traced::within(traced::command(command), call).await
    }

    /// Runs a script, which has this name in traces. Cancellation: it may have taken effect.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn invoke<T: FromRedisValue>(&self, name: &'static str, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let call = self.guarded(self.0.limit, async |connection| script.invoke_async(connection).await);
        traced::within(traced::script(name), call).await
    }

    /// Sends commands together. Cancellation: they may have taken effect.
    ///
    /// # Errors
    /// As [`query`](Self::query), also where one of the commands was refused.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        self.guarded(self.0.limit, async |connection| pipeline.query_async(connection).await).await
    }

    /// Whether Redis is taken to be there. While it is not, a question should not be one that blocks: it may be the one by
    /// which everybody else waits to hear that Redis is back.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.breaker.state() == State::Closed
    }

    /// Runs `work` with the connection, connecting first where there is none. Nothing is retried.
    async fn guarded<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let mut used = None;
        let call = async {
            let (mut connection, generation) = self.connection().await?;
            used = Some(generation);
            work(&mut connection).await
        };
        let answer = self.0.breaker.call(limit, call, judge).await.unwrap_or_else(|none| Err(none.into()));
        if let (Err(error), Some(generation)) = (&answer, used)
            && leaves_in_doubt(error)
        {
            let mut current = self.current();
            if current.generation == generation {
                current.connection = None;
            }
        }
        answer
    }

    /// Closes the connection once no command uses it any more. The next command makes another.
    pub fn close(&self) {
        self.current().connection = None;
    }

    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        if let Some(found) = self.established() {
            return Ok(found);
        }
        let asked = Instant::now();
        let _turn = self.0.connecting.lock().await;
        if let Some(found) = self.established() {
            return Ok(found);
        }
        // An attempt that began while this task waited has failed: its answer is this task's answer too. Else a
        // thousand waiting webhooks would each wait for a timeout of their own, one after the other.
        if let Some((at, error)) = &self.current().failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let outcome = self.0.address.connect(self.0.response_timeout).await;
        let mut current = self.current();
        match outcome {
            Ok(connection) => {
                current.generation += 1;
                current.connection = Some(connection.clone());
                current.failed = None;
                Ok((connection, current.generation))
            }
            Err(error) => {
                current.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn established(&self) -> Option<(Connection, u64)> {
        let current = self.current();
        current.connection.clone().map(|connection| (connection, current.generation))
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.0.current.lock().expect("invariant: nothing panics while it holds this lock")
    }
}
