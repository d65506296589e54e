//! Connections to Redis: to one server, to the master that Sentinels name, or to a cluster.
//!
//! Nothing here connects before it is used, and every connection is made again after it broke: a program may start
//! before Redis is there and lives through its restarts and failovers. Nothing is retried that may have taken effect,
//! since only the caller knows whether that is safe.
//!
//! - [`Link`]: one multiplexed connection with a response timeout of its own. Commands of many tasks share it and its
//!   writes coalesce; a blocking read needs one for itself.
//! - [`Redis::pooled`]: a pool that tests a connection to a server at every checkout, which doubles the round trips. For
//!   limiter, cache and operations, never per webhook or for blocking reads.

pub(crate) mod address;
mod connection;
mod link;
mod pool;

use std::{fmt, sync::Arc, time::Duration};

use redis::{FromRedisValue, RedisError, Value};

use address::Address;
pub use address::RedisUrlError;
pub use connection::Connection;
pub use link::Link;
pub use pool::Pooled;

/// How long making a connection may take: asking Sentinels or a cluster's nodes and the first commands included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a command may take that does not block. The client's own default of 500 ms gives up on replies whose
/// effect the server has carried out already.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Redis, wherever `REDIS_URL` says that it is; cheap to clone.
#[derive(Clone)]
pub struct Redis {
    address: Arc<Address>,
    pool: pool::Pool,
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
        Ok(Self { pool: pool::new(Arc::clone(&address)), address })
    }

    /// A connection for many tasks, each of whose commands may take `response_timeout`.
    #[must_use]
    pub fn link(&self, response_timeout: Duration) -> Link {
        Link::new(Arc::clone(&self.address), response_timeout)
    }

    /// A connection from the pool.
    ///
    /// # Errors
    /// The reason as text, without password, where none can be had in time.
    pub async fn pooled(&self) -> Result<Pooled, RedisUnavailable> {
        Ok(self.pool.get().await?)
    }

    /// Whether Redis answers now; of a cluster, whether all primaries do.
    ///
    /// # Errors
    /// Why not, as text without password.
    pub async fn ping(&self) -> Result<(), RedisUnavailable> {
        Ok(redis::cmd("PING").query_async(&mut self.pooled().await?).await?)
    }

    /// What `INFO` tells of each primary of a cluster, by its address, or of the server, without one.
    ///
    /// # Errors
    /// Why it cannot be had, as text without password.
    pub async fn info(&self) -> Result<Vec<(Option<String>, String)>, RedisUnavailable> {
        let answer: Value = redis::cmd("INFO").query_async(&mut self.pooled().await?).await?;
        let Value::Map(nodes) = answer else { return Ok(vec![(None, text(answer)?)]) };
        nodes.into_iter().map(|(node, info)| Ok((Some(text(node)?), text(info)?))).collect()
    }
}

fn text(value: Value) -> Result<String, RedisError> {
    Ok(String::from_redis_value(value)?)
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
