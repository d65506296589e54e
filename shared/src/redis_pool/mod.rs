//! Connections to Redis: to one server, to the master that Sentinels name, or to a cluster.
//!
//! Nothing here connects before it is used, and every connection is made again after it broke: a program may start
//! before Redis is there and lives through its restarts and failovers. Nothing is retried that may have taken effect,
//! since only the caller knows whether that is safe.
//!
//! - [`Link`]: one multiplexed connection with a response timeout of its own. Commands of many tasks share it and its
//!   writes coalesce; a blocking read needs one for itself.
//! - [`Redis::query`]: a pool that tests a connection to a server at every checkout, which doubles the round trips. For
//!   cache and operations, never per webhook or for blocking reads.
//!
//! Connections are not handed out: every command goes through the breaker of the process, and is a span of its own where
//! what is being done is recorded.

pub(crate) mod address;
mod connection;
mod link;
mod pool;
pub(crate) mod traced;

use std::{fmt, io, sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation, Value};

use address::Address;
pub use address::RedisUrlError;
use connection::judge;
pub use link::Link;
use pool::Pooled;

use crate::{
    breaker::{Breaker, Dependency, Policy, Unavailable},
    telemetry::metrics::Metrics,
};

/// How long making a connection may take: asking Sentinels or a cluster's nodes and the first commands included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a command may take that does not block. The client's own default of 500 ms gives up on replies whose
/// effect the server has carried out already.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a command over the pool may take as a whole: a free connection, one made anew, the answer.
const POOLED_LIMIT: Duration = Duration::from_secs(3);

/// Redis, wherever `REDIS_URL` says that it is; cheap to clone.
#[derive(Clone)]
pub struct Redis {
    address: Arc<Address>,
    pool: pool::Pool,
    breaker: Breaker,
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
        let address = Arc::new(Address::parse(url)?);
        let breaker = Breaker::new(Dependency::Redis, Policy::SERVER);
        Ok(Self { pool: pool::new(Arc::clone(&address)), address, breaker })
    }

    /// Shows the breaker among the metrics of the process.
    pub fn show_in(&self, metrics: &Metrics) {
        self.breaker.show_in(metrics.of_nobody());
    }

    /// Whether what is asked about one key may be another server's than what is asked about another.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(*self.address, Address::Cluster(_))
    }

    /// A connection for many tasks, each of whose commands may take `response_timeout` once there is a connection.
    #[must_use]
    pub fn link(&self, response_timeout: Duration) -> Link {
        let limit = CONNECT_TIMEOUT + response_timeout;
        Link::new(Arc::clone(&self.address), self.breaker.clone(), response_timeout, limit)
    }

    /// A connection for many tasks, each of whose commands may take `limit` with connecting and all.
    #[must_use]
    pub fn link_within(&self, limit: Duration) -> Link {
        Link::new(Arc::clone(&self.address), self.breaker.clone(), limit, limit)
    }

    /// Sends one command over a connection from the pool. Cancellation: it may have taken effect.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let call = self.guarded(async |connection| command.query_async(connection).await);
        traced::within(traced::command(command), Box::pin(call)).await
    }

    /// Runs a script, which has this name in traces, over a connection from the pool. Cancellation: it may have taken effect.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub async fn invoke<T: FromRedisValue>(&self, name: &'static str, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let call = self.guarded(async |connection| script.invoke_async(connection).await);
        traced::within(traced::script(name), Box::pin(call)).await
    }

    async fn guarded<T>(&self, work: impl AsyncFnOnce(&mut Pooled) -> RedisResult<T>) -> RedisResult<T> {
        let call = async { work(&mut pool::take(&self.pool).await?).await };
        let answer = self.breaker.call(POOLED_LIMIT, call, judge).await.unwrap_or_else(|none| Err(none.into()));
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            // Those that wait in the pool lead to the same server.
            self.pool.retain(|_, _| false);
        }
        answer
    }

    /// Whether Redis answers now; of a cluster, whether all primaries do.
    ///
    /// # Errors
    /// Why not, as text without password.
    pub async fn ping(&self) -> RedisResult<()> {
        self.query(&redis::cmd("PING")).await
    }

    /// What `INFO` tells of each primary of a cluster, by its address, or of the server, without one.
    ///
    /// # Errors
    /// Why it cannot be had, as text without password.
    pub async fn info(&self) -> RedisResult<Vec<(Option<String>, String)>> {
        let answer: Value = self.query(&redis::cmd("INFO")).await?;
        let Value::Map(nodes) = answer else { return Ok(vec![(None, text(answer)?)]) };
        nodes.into_iter().map(|(node, info)| Ok((Some(text(node)?), text(info)?))).collect()
    }
}

fn text(value: Value) -> Result<String, RedisError> {
    Ok(String::from_redis_value(value)?)
}

impl From<Unavailable> for RedisError {
    fn from(unavailable: Unavailable) -> Self {
        io::Error::from(unavailable).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    #[tokio::test]
    async fn neither_errors_nor_debug_texts_hold_a_password() {
        // Port 1: nobody listens there.
        for (url, malformed) in [
            ("redis://:hunter2@127.0.0.1:1/0", "redis://:hunter2@:::/x"),
            ("rediss://u:hunter2@127.0.0.1:1", "http://:hunter2@127.0.0.1:1"),
            (
                "redis+sentinel://u:hunter2@127.0.0.1:1,127.0.0.1:1/name/3?sentinel_username=s&sentinel_password=hunter2",
                "redis+sentinel://u:hunter2@127.0.0.1:1?sentinel_password=hunter2",
            ),
            ("rediss+cluster://u:hunter2@127.0.0.1:1,127.0.0.1:1", "redis+cluster://u:hunter2@127.0.0.1/hunter2"),
        ] {
            let redis = Redis::new(url).unwrap();
            let link = redis.link(RESPONSE_TIMEOUT);
            let refused = link.query::<()>(&redis::cmd("PING")).await.unwrap_err();
            let pool_refused = redis.ping().await.unwrap_err();
            let malformed = Redis::new(malformed).unwrap_err();
            for text in [
                format!("{refused} {refused:?}"),
                format!("{pool_refused} {pool_refused:?}"),
                format!("{malformed} {malformed:?}"),
                format!("{redis:?} {link:?} {:?}", redis.address),
            ] {
                assert!(!text.contains("hunter2"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn waiting_tasks_share_one_failure_to_connect() {
        // A server that accepts and says nothing: each attempt takes the whole connection timeout.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for url in [
            format!("redis://{address}"),
            format!("redis+sentinel://{address}/name"),
            format!("redis+cluster://{address}"),
        ] {
            let link = Redis::new(&url).unwrap().link(RESPONSE_TIMEOUT);
            let started = Instant::now();
            let commands = (0..20).map(|_| async { link.query::<()>(&redis::cmd("PING")).await.unwrap_err() });
            futures_util::future::join_all(commands).await;
            assert!(started.elapsed() < CONNECT_TIMEOUT * 3, "{url}: {:?}", started.elapsed());
        }
    }
}
