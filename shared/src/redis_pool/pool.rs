//! Connections for one task at a time, kept for the next.

use std::{io, sync::Arc, time::Duration};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use deadpool_redis::{Runtime, Timeouts};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};

use super::{
    CONNECT_TIMEOUT, RESPONSE_TIMEOUT,
    address::{Address, connection_config},
    connection::{Connection, leaves_in_doubt},
};

/// Size of the pool, as the earlier Nezuko had it.
const POOL_SIZE: usize = 20;

pub(super) type Pool = managed::Pool<Manager, Pooled>;

/// One that connects to nothing yet. To be called inside a Tokio runtime.
pub(super) fn new(address: Arc<Address>) -> Pool {
    let connecting = Some(CONNECT_TIMEOUT + Duration::from_millis(100)); // Its own timeout says more.
    let server = match &*address {
        Address::Server(client) => {
            let info = client.get_connection_info().clone();
            let manager = deadpool_redis::Manager::new_with_config(info, connection_config(RESPONSE_TIMEOUT));
            Some(manager.expect("invariant: a client was made of it"))
        }
        Address::Sentinel { .. } | Address::Cluster(_) => None,
    };
    Pool::builder(Manager { address, server })
        .max_size(POOL_SIZE)
        .timeouts(Timeouts { wait: Some(RESPONSE_TIMEOUT), create: connecting, recycle: Some(CONNECT_TIMEOUT) })
        .runtime(Runtime::Tokio1)
        .build()
        .expect("invariant: a runtime is given, the only thing that building a pool with timeouts can lack")
}

/// A connection that works, from the pool or made anew.
pub(super) async fn take(pool: &Pool) -> RedisResult<Pooled> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => error,
        other => io::Error::new(io::ErrorKind::TimedOut, other.to_string()).into(),
    })
}

/// `deadpool-redis` looks after connections to one server. What it has for Sentinels takes no timeouts, and what it has for
/// clusters sends again what may have taken effect: those connections are made here.
#[derive(Debug)]
pub(super) struct Manager {
    address: Arc<Address>,
    server: Option<deadpool_redis::Manager>,
}

/// A connection and whether its last error left it in doubt.
pub(super) struct Kept {
    connection: Connection,
    in_doubt: bool,
}

impl managed::Manager for Manager {
    type Type = Kept;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Kept> {
        let connection = match &self.server {
            Some(server) => server.create().await?.into(),
            None => self.address.connect(RESPONSE_TIMEOUT).await?,
        };
        Ok(Kept { connection, in_doubt: false })
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &Metrics) -> RecycleResult<RedisError> {
        if kept.in_doubt {
            return Err(RecycleError::message("its last error left it in doubt"));
        }
        match (&self.server, kept.connection.one_server()) {
            (Some(server), Some(connection)) => server.recycle(connection, metrics).await,
            (None, Some(connection)) => Ok(redis::cmd("PING").exec_async(connection).await?),
            // The cluster client looks after its nodes itself.
            (_, None) => Ok(()),
        }
    }
}

/// A connection from the pool, to which it goes back when this is dropped.
pub(super) struct Pooled(Object<Manager>);

impl From<Object<Manager>> for Pooled {
    fn from(object: Object<Manager>) -> Self {
        Self(object)
    }
}

impl Kept {
    /// An answer can be an error of the server as well.
    fn note<'a>(&mut self, answer: Result<impl IntoIterator<Item = &'a Value>, &RedisError>) {
        self.in_doubt |= match answer {
            Ok(values) => values.into_iter().any(|value| match value {
                Value::ServerError(error) => leaves_in_doubt(&error.clone().into()),
                _ => false,
            }),
            Err(error) => leaves_in_doubt(error),
        };
    }
}

impl ConnectionLike for Pooled {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = self.0.connection.req_packed_command(command).await;
            self.0.note(answer.as_ref().map(std::iter::once));
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let answers = self.0.connection.req_packed_commands(pipeline, offset, count).await;
            self.0.note(answers.as_ref());
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.0.connection.get_db()
    }
}
