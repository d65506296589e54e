//! The webhook as the Bot API server drives it: keep-alive HTTP/1.1 connections, opened on demand.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Uri,
    client::conn::http1::{Builder, SendRequest},
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{Shared, Target};
use crate::world::Emitted;

/// Without a full answer in this time the server closes the connection; idle ones live as long.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// The server's flood control for new connections: this many …
const OPEN_AT_ONCE: usize = 10;
/// … in this time.
const OPEN_WITHIN: Duration = Duration::from_millis(500);
/// After this long without a 2xx it opens a connection only if it has none …
const TROUBLE_AFTER: Duration = Duration::from_secs(10);
/// … and at most one in this time.
const TROUBLED_OPEN_WITHIN: Duration = Duration::from_secs(2);

/// A connection to one gateway.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    uri: Uri,
    used: Instant,
}

/// What became of one request.
pub(super) enum Outcome {
    /// A whole answer.
    Answered {
        status: u16,
        retry_after_s: Option<i64>,
        /// The body would have been executed as an API call (E94).
        calls_a_method: bool,
    },
    /// No connection, or it broke.
    HungUp,
    /// No full answer in time.
    TimedOut,
}

impl Outcome {
    /// What `getWebhookInfo` says of it, if it is a failure.
    pub(super) fn error(&self) -> Option<String> {
        match self {
            Self::Answered { status: 200..300, .. } => None,
            Self::Answered { status, .. } => {
                let reason = hyper::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
                Some(format!("Wrong response from the webhook: {status} {}", reason.unwrap_or_default()))
            }
            Self::HungUp => Some("Connection refused".to_owned()),
            Self::TimedOut => Some("Read timeout expired".to_owned()),
        }
    }
}

struct Finished {
    update: Emitted,
    outcome: Outcome,
    connection: Option<Connection>,
}

/// Delivers until it is stopped.
pub(super) async fn deliver(shared: Arc<Shared>, max_connections: usize, stop: CancellationToken) {
    let (finished, mut finishing) = mpsc::channel(max_connections.max(1));
    let mut connections =
        Connections { max: max_connections, open: 0, idle: Vec::new(), opener: Opener::new(Instant::now()) };
    loop {
        let wait = start_what_may_start(&shared, &mut connections, &finished);
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
            Some(done) = finishing.recv() => {
                connections.came_back(done.connection);
                if shared.settle(&done.update, &done.outcome) {
                    connections.opener.succeeded(Instant::now());
                }
            }
        }
    }
}

/// Starts as many requests as may go; returns how long to wait for the next one.
fn start_what_may_start(
    shared: &Arc<Shared>,
    connections: &mut Connections,
    finished: &mpsc::Sender<Finished>,
) -> Duration {
    const IDLE: Duration = Duration::from_secs(1);
    let Some(target) = shared.target() else { return IDLE };
    loop {
        let now = shared.clock.now_ms();
        match shared.next_delivery_at() {
            None => return IDLE,
            Some(at) if at > now => return Duration::from_millis((at - now).unsigned_abs()).min(IDLE),
            Some(_) => {}
        }
        let connection = match connections.get(&target) {
            Ok(connection) => connection,
            Err(wait) => return wait,
        };
        let Some(update) = shared.take_delivery(now) else {
            connections.came_back(connection);
            return IDLE;
        };
        let (target, finished, shared) = (Arc::clone(&target), finished.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            let done = send(&shared, &target, connection, update).await;
            // The receiver is only gone when delivery has been stopped.
            let _stopped = finished.send(done).await;
        });
    }
}

struct Connections {
    max: usize,
    open: usize,
    idle: Vec<Connection>,
    opener: Opener,
}

impl Connections {
    /// An idle connection, or the permission to open one (`Ok(None)`), or how long to wait.
    fn get(&mut self, target: &Target) -> Result<Option<Connection>, Duration> {
        while let Some(idle) = self.idle.pop() {
            let alive = !idle.sender.is_closed() && idle.used.elapsed() < CONNECTION_LIFE;
            if alive && target.urls.contains(&idle.uri) {
                return Ok(Some(idle));
            }
            self.open -= 1;
        }
        if self.open >= self.max {
            return Err(Duration::from_secs(1)); // one comes back first
        }
        self.opener.may_open(self.open, Instant::now())?;
        self.open += 1;
        Ok(None)
    }

    fn came_back(&mut self, connection: Option<Connection>) {
        match connection {
            Some(connection) => self.idle.push(Connection { used: Instant::now(), ..connection }),
            None => self.open -= 1,
        }
    }
}

/// Flood control for new connections.
struct Opener {
    opened: VecDeque<Instant>,
    last_success: Instant,
}

impl Opener {
    fn new(now: Instant) -> Self {
        Self { opened: VecDeque::new(), last_success: now }
    }

    fn succeeded(&mut self, now: Instant) {
        self.last_success = now;
    }

    /// Whether one more may be opened beside `open`, or how long to wait.
    fn may_open(&mut self, open: usize, now: Instant) -> Result<(), Duration> {
        let troubled = now - self.last_success > TROUBLE_AFTER && !self.opened.is_empty();
        let (at_once, within) = if troubled { (1, TROUBLED_OPEN_WITHIN) } else { (OPEN_AT_ONCE, OPEN_WITHIN) };
        if troubled && open > 0 {
            return Err(TROUBLED_OPEN_WITHIN);
        }
        while self.opened.len() >= at_once {
            let oldest = now - self.opened[0];
            if oldest < within {
                return Err(within - oldest);
            }
            self.opened.pop_front();
        }
        self.opened.push_back(now);
        Ok(())
    }
}

async fn send(shared: &Shared, target: &Target, connection: Option<Connection>, update: Emitted) -> Finished {
    let exchange = async {
        let mut connection = match connection {
            Some(connection) => connection,
            None => connect(shared, target).await?,
        };
        let request = request(&connection.uri, target, &update);
        let response = connection.sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let retry_after_s = header(RETRY_AFTER).and_then(|v| v.parse().ok());
        let is_json = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        let closes = header(CONNECTION).is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let calls_a_method = (200..300).contains(&status) && is_json && names_a_method(&body);
        let keep = (!closes && connection.sender.ready().await.is_ok()).then_some(connection);
        Some((Outcome::Answered { status, retry_after_s, calls_a_method }, keep))
    };
    let (outcome, connection) = match tokio::time::timeout(CONNECTION_LIFE, exchange).await {
        Ok(Some(answered)) => answered,
        Ok(None) => (Outcome::HungUp, None),
        Err(_) => (Outcome::TimedOut, None),
    };
    Finished { update, outcome, connection }
}

/// Connects to the next gateway in turn, or to the first that answers after it, as a load balancer would.
async fn connect(shared: &Shared, target: &Target) -> Option<Connection> {
    let first = target.next();
    for turn in 0..target.urls.len() {
        let uri = &target.urls[(first + turn) % target.urls.len()];
        let address = format!("{}:{}", uri.host()?, uri.port_u16().unwrap_or(80));
        let Ok(stream) = TcpStream::connect(address).await else { continue };
        // Latency matters and requests are small; failing to say so only costs time.
        let _unsupported = stream.set_nodelay(true);
        let handshake = Builder::new().title_case_headers(true).handshake(TokioIo::new(stream)).await;
        let Ok((sender, connection)) = handshake else { continue };
        // Its end shows in the sender.
        tokio::spawn(async move { drop(connection.await) });
        shared.count(|counters| counters.connections += 1);
        return Some(Connection { sender, uri: uri.clone(), used: Instant::now() });
    }
    None
}

/// The headers and their order are the server's, and there are no others.
fn request(uri: &Uri, target: &Target, update: &Emitted) -> Request<Full<Bytes>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("localhost", |authority| authority.as_str());
    let mut request = Request::post(path).header(HOST, host);
    if let Some(secret) = &target.secret {
        request = request.header("x-telegram-bot-api-secret-token", secret);
    }
    request
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, update.body.len())
        .header(CONNECTION, "keep-alive")
        .header(ACCEPT_ENCODING, "gzip, deflate")
        .body(Full::new(Bytes::from(update.body.clone())))
        .expect("invariant: the target was checked when it was set")
}

fn names_a_method(body: &[u8]) -> bool {
    let body: Result<serde_json::Value, _> = serde_json::from_slice(body);
    body.is_ok_and(|body| body.get("method").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_opened_ten_in_half_a_second_and_after_trouble_one_in_two_seconds() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut opener = Opener::new(start);
        for open in 0..10 {
            assert_eq!(opener.may_open(open, start), Ok(()));
        }
        assert_eq!(opener.may_open(10, at(100)), Err(Duration::from_millis(400)));
        assert_eq!(opener.may_open(10, at(500)), Ok(()));

        assert_eq!(opener.may_open(0, at(10_001)), Ok(()));
        assert_eq!(opener.may_open(1, at(12_100)), Err(TROUBLED_OPEN_WITHIN), "one is enough to try with");
        assert_eq!(opener.may_open(0, at(11_001)), Err(Duration::from_secs(1)));
        assert_eq!(opener.may_open(0, at(12_001)), Ok(()));
        opener.succeeded(at(12_002));
        assert_eq!(opener.may_open(1, at(12_003)), Ok(()));
    }
}
