//! A Bot API that answers every call as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// How calls are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `ok`, with the result `true`.
    Works,
    /// An error of the Bot API with this code.
    Refuses(u16),
    /// A proxy's page with this status.
    Page(u16),
    /// Not at all.
    Hangs,
}

#[derive(Debug)]
struct Seen {
    manner: Manner,
    calls: Vec<(Instant, Manner)>,
}

/// The server, gone when this is dropped.
#[derive(Debug)]
pub struct BotApiServer {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

impl BotApiServer {
    /// Starts one.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a port");
        let seen = Arc::new(Mutex::new(Seen { manner, calls: Vec::new() }));
        let router = Router::new().fallback(answer).with_state(seen.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { address, seen, serving }
    }

    /// For `TELEGRAM_API_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on calls are answered like this.
    pub fn set(&self, manner: Manner) {
        locked(&self.seen).manner = manner;
    }

    /// When calls came, and how each was answered.
    #[must_use]
    pub fn calls(&self) -> Vec<(Instant, Manner)> {
        locked(&self.seen).calls.clone()
    }
}

impl Drop for BotApiServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>) -> Response {
    let manner = {
        let mut seen = locked(&seen);
        let manner = seen.manner;
        seen.calls.push((Instant::now(), manner));
        manner
    };
    let json = |status, body: String| (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match manner {
        Manner::Works => json(StatusCode::OK, r#"{"ok":true,"result":true}"#.to_owned()),
        Manner::Refuses(code) => {
            let body =
                format!(r#"{{"ok":false,"error_code":{code},"description":"no","parameters":{{"retry_after":1}}}}"#);
            json(status(code), body)
        }
        Manner::Page(code) => (status(code), "<html><body>no</body></html>").into_response(),
        Manner::Hangs => std::future::pending().await,
    }
}
