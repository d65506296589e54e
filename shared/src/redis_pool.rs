//! Connections to Redis.
//!
//! Nothing here connects before it is used, and every connection is made again after it broke: a program may start
//! before Redis is there and lives through its restarts. Nothing is retried, since only the caller knows whether that
//! is safe.
//!
//! - [`Link`]: one multiplexed connection with a response timeout of its own. Commands of many tasks share it and its
//!   writes coalesce; a blocking read needs one for itself.
//! - [`Redis::pooled`]: a pool that tests a connection at every checkout, which doubles the round trips. For limiter,
//!   cache and operations, never per webhook or for blocking reads.

use std::{fmt, future::Future, sync::Arc, sync::Mutex, time::Duration};

use deadpool_redis::{Manager, Pool, PoolError, Runtime, Timeouts};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::time::Instant;

/// How long making a connection may take, its first commands included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a command may take that does not block. The client's own default of 500 ms gives up on replies whose
/// effect the server has carried out already.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Size of the pool, as the earlier Nezuko had it.
const POOL_SIZE: usize = 20;

/// Commands that may wait for the connection's writer; the gateway has hundreds in flight.
const WRITE_QUEUE: usize = 1024;

/// `REDIS_URL` is not usable. The text does not repeat it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL is not understood: it must look like redis://[user[:password]@]host[:port][/database]")]
pub struct RedisUrlError;

/// One Redis server; cheap to clone.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    pool: Pool,
}

impl fmt::Debug for Redis {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// Takes the URL apart; connects to nothing. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`RedisUrlError`] where the URL is not understood.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let client = Client::open(url).map_err(|_| RedisUrlError)?;
        let manager = Manager::new_with_config(url, connection_config(RESPONSE_TIMEOUT)).map_err(|_| RedisUrlError)?;
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .timeouts(Timeouts {
                wait: Some(RESPONSE_TIMEOUT),
                create: Some(CONNECT_TIMEOUT),
                recycle: Some(CONNECT_TIMEOUT),
            })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("invariant: a runtime is given, the only thing that building a pool with timeouts can lack");
        Ok(Self { client, pool })
    }

    /// A connection for many tasks, each of whose commands may take `response_timeout`.
    #[must_use]
    pub fn link(&self, response_timeout: Duration) -> Link {
        Link(Arc::new(LinkState {
            client: self.client.clone(),
            response_timeout,
            current: Mutex::new(Current::default()),
            connecting: tokio::sync::Mutex::new(()),
        }))
    }

    /// A tested connection from the pool.
    ///
    /// # Errors
    /// The reason as text, without password, where none can be had in time.
    pub async fn pooled(&self) -> Result<deadpool_redis::Connection, RedisUnavailable> {
        self.pool.get().await.map_err(RedisUnavailable::from)
    }

    /// Whether Redis answers now.
    ///
    /// # Errors
    /// Why not, as text without password.
    pub async fn ping(&self) -> Result<(), RedisUnavailable> {
        self.pooled().await.map(drop) // The pool has sent PING already.
    }
}

/// Redis cannot be used now; the text never holds a password.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisUnavailable(String);

impl From<RedisError> for RedisUnavailable {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

impl From<PoolError> for RedisUnavailable {
    fn from(error: PoolError) -> Self {
        Self(error.to_string())
    }
}

fn connection_config(response_timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout))
        .set_pipeline_buffer_size(WRITE_QUEUE)
}

/// One multiplexed connection, made at first use and made again after an error that leaves it in doubt. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<LinkState>);

struct LinkState {
    client: Client,
    response_timeout: Duration,
    current: Mutex<Current>,
    /// Held by the one task that connects; the others wait for what it gets.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
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
    /// Sends one command. Cancellation: it may have taken effect.
    ///
    /// # Errors
    /// [`RedisError`]; but for a server's own answer it is unknown whether the command took effect.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        self.with(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Runs `work` with the connection, connecting first where there is none. Nothing is retried.
    ///
    /// # Errors
    /// Those of connecting and of `work`.
    pub async fn with<T, F, W>(&self, work: W) -> RedisResult<T>
    where
        W: FnOnce(MultiplexedConnection) -> F,
        F: Future<Output = RedisResult<T>>,
    {
        let (connection, generation) = self.connection().await?;
        let result = work(connection).await;
        if let Err(error) = &result
            && leaves_in_doubt(error)
        {
            let mut current = self.current();
            if current.generation == generation {
                current.connection = None;
            }
        }
        result
    }

    /// Closes the connection once no command uses it any more. The next command makes another.
    pub fn close(&self) {
        self.current().connection = None;
    }

    async fn connection(&self) -> RedisResult<(MultiplexedConnection, u64)> {
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
        let config = connection_config(self.0.response_timeout);
        let outcome = self.0.client.get_multiplexed_async_connection_with_config(&config).await;
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

    fn established(&self) -> Option<(MultiplexedConnection, u64)> {
        let current = self.current();
        current.connection.clone().map(|connection| (connection, current.generation))
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.0.current.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

/// Whether the connection should be replaced. After a timeout too: a server that vanished without a word is noticed by
/// nothing else; and where a failover made the server a replica, only a new connection finds the new primary.
fn leaves_in_doubt(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.code() == Some("READONLY")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neither_errors_nor_debug_texts_hold_the_password() {
        let url = "redis://:hunter2@127.0.0.1:1/0"; // Port 1: nobody listens there.
        let redis = Redis::new(url).unwrap();
        let link = redis.link(RESPONSE_TIMEOUT);
        let refused = link.query::<()>(&redis::cmd("PING")).await.unwrap_err();
        let pool_refused = redis.ping().await.unwrap_err();
        let malformed = Redis::new("redis://:hunter2@:::/x").unwrap_err();
        for text in [
            format!("{refused} {refused:?}"),
            format!("{pool_refused} {pool_refused:?}"),
            format!("{malformed} {malformed:?}"),
            format!("{redis:?} {link:?}"),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn waiting_tasks_share_one_failure_to_connect() {
        // A server that accepts and says nothing: each attempt takes the whole connection timeout.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let redis = Redis::new(&format!("redis://{}", listener.local_addr().unwrap())).unwrap();
        let link = redis.link(RESPONSE_TIMEOUT);
        let started = Instant::now();
        let commands = (0..20).map(|_| async { link.query::<()>(&redis::cmd("PING")).await.unwrap_err() });
        futures_util::future::join_all(commands).await;
        assert!(started.elapsed() < CONNECT_TIMEOUT * 3, "{:?}", started.elapsed());
    }
}
