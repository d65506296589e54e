//! A connection to one server or to the nodes of a cluster.

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::SingleNodeRoutingInfo,
};

use crate::breaker::Outcome;

/// Many tasks may use clones of one.
///
/// Nothing is sent twice but what the answer says had no effect: in a cluster, MOVED (the client then asks for the slots
/// before it sends anything else) and ASK (a slot is under way to another node).
#[derive(Clone)]
pub(super) struct Connection(Nodes);

#[derive(Clone)]
enum Nodes {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl From<MultiplexedConnection> for Connection {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(Nodes::One(connection))
    }
}

impl From<ClusterConnection> for Connection {
    fn from(connection: ClusterConnection) -> Self {
        Self(Nodes::Cluster(connection))
    }
}

impl Connection {
    /// The connection itself where it is to one server.
    pub(super) fn one_server(&mut self) -> Option<&mut MultiplexedConnection> {
        match &mut self.0 {
            Nodes::One(connection) => Some(connection),
            Nodes::Cluster(_) => None,
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.0 {
            Nodes::One(connection) => connection.req_packed_command(command),
            Nodes::Cluster(connection) => Box::pin(to_its_node(connection, command)),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.0 {
            Nodes::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Nodes::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.0 {
            Nodes::One(connection) => connection.get_db(),
            Nodes::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Sends a command, and once more where it met a node that has its slot no longer.
async fn to_its_node(connection: &mut ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    let answer = connection.req_packed_command(command).await;
    match &answer {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
            connection.req_packed_command(command).await
        }
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
            let Some((host, port)) = named_node(error) else { return answer };
            let mut asking = redis::pipe();
            asking.cmd("ASKING").add_command(command.clone());
            let there = SingleNodeRoutingInfo::ByAddress { host, port };
            // The second answer alone.
            let answers = connection.route_pipeline(asking, 1, 1, there).await?;
            Ok(answers.into_iter().next().unwrap_or(Value::Nil))
        }
        _ => answer,
    }
}

/// The node that MOVED or ASK names.
fn named_node(error: &RedisError) -> Option<(String, u16)> {
    let (address, _slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// What an answer, or the lack of one, says about Redis' health. An error that the server itself answers shows it at work,
/// but for those by which it says that it cannot.
pub(super) fn judge<T>(answer: &RedisResult<T>) -> Outcome {
    let Err(error) = answer else { return Outcome::Success };
    let at_work = !says(error, &["LOADING", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "NOREPLICAS"]);
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension if at_work => Outcome::Success,
        // It answered, and we made nothing of it or asked nothing.
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::Client => {
            Outcome::Neutral
        }
        _ => Outcome::Failure,
    }
}

/// Whether the connection should be replaced. After a timeout too: a server that vanished without a word is noticed by
/// nothing else; and where a server became a replica or was cut off from its replicas, only a new connection finds the
/// new primary.
pub(super) fn leaves_in_doubt(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || says(error, &["READONLY", "MASTERDOWN", "NOREPLICAS"])
}

/// Whether the server answered with one of these codes, to any of the commands where several were sent together.
fn says(error: &RedisError, codes: &[&str]) -> bool {
    let answers = error.clone().into_server_errors();
    answers.is_some_and(|answers| answers.iter().any(|(_, answer)| codes.contains(&answer.code())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_a_working_primary_keep_its_connection_and_speak_for_it() {
        let answer = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap().extract_error();
        use Outcome::{Failure, Success};
        for (text, replaced, outcome) in [
            ("READONLY You can't write against a read only replica.", true, Failure),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true, Failure),
            ("NOREPLICAS Not enough good replicas to write.", true, Failure),
            ("BUSYGROUP Consumer Group name already exists", false, Success),
            ("OOM command not allowed when used memory > 'maxmemory'.", false, Success),
            ("ERR Error running script", false, Success),
            ("NOSCRIPT No matching script.", false, Success),
            ("LOADING Redis is loading the dataset in memory", false, Failure),
            ("MOVED 1 10.0.0.1:6379", false, Success),
            ("CLUSTERDOWN The cluster is down", false, Failure),
        ] {
            let answer = answer(text);
            assert_eq!(judge(&answer), outcome, "{text}");
            assert_eq!(leaves_in_doubt(&answer.unwrap_err()), replaced, "{text}");
        }
        let [stored, refused] = ["$3\r\n1-1\r\n", "-NOREPLICAS Not enough good replicas to write.\r\n"];
        let answers = [stored, refused].map(|text| redis::parse_redis_value(text.as_bytes()).unwrap());
        let together: RedisResult<Vec<Value>> = Value::Array(answers.to_vec()).extract_error().map(|value| vec![value]);
        assert!(leaves_in_doubt(together.as_ref().unwrap_err()), "one of several");
        assert_eq!(judge(&together), Failure);
        let cut_off = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(judge::<()>(&Err(cut_off)), Failure);
        let not_a_number = redis::from_redis_value::<i64>(Value::SimpleString("one".to_owned()));
        assert_eq!(judge(&not_a_number.map_err(RedisError::from)), Outcome::Neutral);
        assert_eq!(judge(&Ok(())), Success);
    }

    #[test]
    fn the_named_node_is_understood() {
        let named = |text: &str| {
            let answer = redis::parse_redis_value(format!("-ASK 1 {text}\r\n").as_bytes()).unwrap();
            named_node(&answer.extract_error().unwrap_err())
        };
        assert_eq!(named("10.0.0.1:6379"), Some(("10.0.0.1".to_owned(), 6379)));
        assert_eq!(named("2001:db8::1:6379"), Some(("2001:db8::1".to_owned(), 6379)));
        assert_eq!(named("nowhere"), None);
    }
}
