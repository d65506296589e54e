//! What `REDIS_URL` can say: one server, a master that Sentinels know, or a cluster; and how each is connected to.

use std::{fmt, io, time::Duration};

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisFuture,
    RedisResult, TlsMode,
    cluster::ClusterClient,
    parse_redis_url,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};
use tokio::time::timeout;

use super::{CONNECT_TIMEOUT, connection::Connection};

/// How long connecting to one node of a cluster may take. They are connected to in two rounds, first those of the
/// address and then all; a node that vanished without a word must leave time for the others.
const CLUSTER_NODE_TIMEOUT: Duration = Duration::from_millis(400);

/// Commands that may wait for the connection's writer; the gateway has hundreds in flight. The cluster client keeps a
/// queue of its own.
const WRITE_QUEUE: usize = 1024;

/// The forms of an address, to stand behind "must be".
pub(crate) const FORMS: &str = "redis://[USER:PASSWORD@]HOST[:PORT][/DB], \
    redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/MASTER[/DB][?sentinel_username=…&sentinel_password=…] or \
    redis+cluster://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…], with TLS rediss instead of redis";

/// `REDIS_URL` is not usable. The text does not repeat it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL must be {FORMS}")]
pub struct RedisUrlError;

/// Where Redis is. It holds passwords and shows none.
pub(crate) enum Address {
    /// One server, or whatever stands before it.
    Server(Client),
    /// The master of now, as any one of the Sentinels names it.
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String, node: SentinelNodeConnectionInfo },
    /// Some nodes of a cluster, which name the others.
    Cluster(Vec<ConnectionInfo>),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Address {
    /// Takes the URL apart; connects to nothing.
    pub(crate) fn parse(url: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisUrlError)?;
        match scheme.split_once('+') {
            Some((scheme @ ("redis" | "rediss"), "sentinel")) => behind_sentinels(scheme, rest),
            Some((scheme @ ("redis" | "rediss"), "cluster")) => in_a_cluster(scheme, rest),
            _ => Client::open(url).ok().map(Self::Server),
        }
        .ok_or(RedisUrlError)
    }

    /// Makes a connection whose commands may each take `response_timeout`.
    pub(super) fn connect(&self, response_timeout: Duration) -> RedisFuture<'_, Connection> {
        let too_late = || RedisError::from(io::Error::new(io::ErrorKind::TimedOut, "no connection within a second"));
        Box::pin(async move {
            let connecting = timeout(CONNECT_TIMEOUT, self.connect_to_nodes(response_timeout));
            connecting.await.unwrap_or_else(|_| Err(too_late()))
        })
    }

    async fn connect_to_nodes(&self, response_timeout: Duration) -> RedisResult<Connection> {
        let server = match self {
            Self::Server(client) => client.clone(),
            Self::Sentinel { sentinels, master, node } => {
                // All are asked at once, so that one which is gone holds up nothing. The client asks the server that
                // they name whether it is a master.
                let asked = sentinels.iter().map(|sentinel| {
                    Box::pin(async move {
                        Sentinel::build(vec![sentinel.clone()])?.async_master_for(master, Some(node)).await
                    })
                });
                select_ok(asked).await?.0
            }
            Self::Cluster(nodes) => {
                // Without its retries: they send again what may have taken effect, after a broken connection, after a
                // timeout, and everything in flight where the slots cannot be asked for.
                let client = ClusterClient::builder(nodes.iter().cloned())
                    .retries(0)
                    .connection_timeout(CLUSTER_NODE_TIMEOUT)
                    .response_timeout(response_timeout)
                    .build()?;
                return Ok(client.get_async_connection().await?.into());
            }
        };
        Ok(server.get_multiplexed_async_connection_with_config(&connection_config(response_timeout)).await?.into())
    }
}

/// How one server is connected to.
pub(super) fn connection_config(response_timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout))
        .set_pipeline_buffer_size(WRITE_QUEUE)
}

/// `[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/MASTER[/DB][?…]`
fn behind_sentinels(scheme: &str, rest: &str) -> Option<Address> {
    let (authority, rest) = rest.split_once('/')?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (master, db) = path.split_once('/').unwrap_or((path, "0"));
    // The names that Sentinel takes.
    let is_name = !master.is_empty() && master.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    let nodes = nodes(scheme, authority)?;
    let of_master = nodes[0].redis_settings().clone().set_db(db.parse::<u16>().ok()?.into());
    let of_sentinels = sentinel_login(query)?;
    let node = SentinelNodeConnectionInfo::default().set_redis_connection_info(of_master);
    is_name.then(|| Address::Sentinel {
        sentinels: nodes.into_iter().map(|node| node.set_redis_settings(of_sentinels.clone())).collect(),
        master: master.to_owned(),
        node: if scheme == "rediss" { node.set_tls_mode(TlsMode::Secure) } else { node },
    })
}

/// `[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]`; a cluster has no other database than 0.
fn in_a_cluster(scheme: &str, authority: &str) -> Option<Address> {
    nodes(scheme, authority.strip_suffix('/').unwrap_or(authority)).map(Address::Cluster)
}

/// `[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]`, each as an address of its own with the same login.
fn nodes(scheme: &str, authority: &str) -> Option<Vec<ConnectionInfo>> {
    let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
    let node = |host: &str| {
        let (_, port) = host.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        format!("{scheme}://{login}@{host}").into_connection_info().ok()
    };
    hosts.split(',').map(node).collect()
}

/// `sentinel_username=…&sentinel_password=…`, percent-encoded.
fn sentinel_login(query: &str) -> Option<RedisConnectionInfo> {
    let url = parse_redis_url(&format!("redis://sentinel?{query}")).filter(|url| url.fragment().is_none())?;
    url.query_pairs().try_fold(RedisConnectionInfo::default(), |login, (name, value)| match &*name {
        "sentinel_username" => Some(login.set_username(value)),
        "sentinel_password" => Some(login.set_password(value)),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    fn login(node: &ConnectionInfo) -> (Option<&str>, Option<&str>) {
        (node.redis_settings().username(), node.redis_settings().password())
    }

    #[test]
    fn every_node_has_the_login_and_logins_are_percent_encoded() {
        let url = "redis+cluster://us%40er:p%2Fw%3A@h1:7000,[2001:db8::1]:7001,10.0.0.1:7002/";
        let Address::Cluster(nodes) = Address::parse(url).unwrap() else { panic!("no cluster") };
        for (node, (host, port)) in nodes.iter().zip([("h1", 7000), ("2001:db8::1", 7001), ("10.0.0.1", 7002)]) {
            assert_eq!(*node.addr(), ConnectionAddr::Tcp(host.to_owned(), port));
            assert_eq!(login(node), (Some("us@er"), Some("p/w:")));
        }
        assert_eq!(nodes.len(), 3);
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let sentinels = |url| match Address::parse(url).unwrap() {
            Address::Sentinel { sentinels, master, .. } => (sentinels, master),
            other => panic!("{other:?}"),
        };
        let (found, master) =
            sentinels("rediss+sentinel://u:p@h1:26379,h2:26380/my-master.1/3?sentinel_password=s%26t");
        assert_eq!((found.len(), master.as_str()), (2, "my-master.1"));
        assert!(
            matches!(found[1].addr(), ConnectionAddr::TcpTls { host, port: 26380, insecure: false, .. } if host == "h2")
        );
        assert_eq!((login(&found[0]), found[0].redis_settings().db()), ((None, Some("s&t")), 0));
        let (found, _) = sentinels("redis+sentinel://:p@h1:1/m?sentinel_username=u%20v&sentinel_password=w");
        assert_eq!(login(&found[0]), (Some("u v"), Some("w")));
        let (found, _) = sentinels("redis+sentinel://u:p@h1:1/m");
        assert_eq!(login(&found[0]), (None, None));
    }

    #[test]
    fn what_is_not_quite_an_address_is_none() {
        for right in ["redis://h", "rediss://u:p@h:1/2", "redis://[::1]:6379", "rediss+cluster://h:1,h:2"] {
            assert!(Address::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "h:6379",
            "http://h:6379",
            "redis://",
            "redis://h/x",
            "redis://h:70000",
            "redis+sentinel://h:1",
            "redis+sentinel://h:1/",
            "redis+sentinel://h/m",
            "redis+sentinel://h:1,/m",
            "redis+sentinel://:1/m",
            "redis+sentinel://h:1/m/x",
            "redis+sentinel://h:1/m/-1",
            "redis+sentinel://h:1/m/0/",
            "redis+sentinel://h:1/m n",
            "redis+sentinel://h:1/m?password=p",
            "redis+sentinel://h:1/m?sentinel_password=p#insecure",
            "rediss+sentinel://h:1/m#insecure",
            "redis+sentinel://u:a/b@h:1/m",
            "redis+cluster://",
            "redis+cluster://h",
            "redis+cluster://h:1,",
            "redis+cluster://h:1/1",
            "redis+cluster://h:1?a=b",
            "rediss+cluster://h:1#insecure",
            "redis+sentinels://h:1/m",
            "valkey+cluster://h:1",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
