//! Accepts connections and sees each of them to its end.
//!
//! At the end of the process connections that are idle are closed, requests in hand are finished, and as long as that
//! takes, new connections get a clear 503 instead of a refusal.

use std::{convert::Infallible, io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a connection may be without a whole request head. Telegram keeps idle connections for 60 s and must be the one
/// who closes them, or an update meets a closing connection.
const IDLE: Duration = Duration::from_secs(75);

/// Serves `router` on `listener` until `shutdown`, then finishes what is in hand within `grace`.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) {
    // Ends every connection when this function ends, however it does.
    let abandoned = CancellationToken::new();
    let _abandon = abandoned.clone().drop_guard();

    let in_service = Connections::new(&router, shutdown.clone(), abandoned.clone());
    tokio::select! {
        never = in_service.accept(&listener) => match never {},
        () = shutdown.cancelled() => {}
    }

    let late_end = CancellationToken::new();
    let late = Connections::new(&router, late_end.clone(), abandoned);
    let drained = timeout(grace, async {
        tokio::select! {
            never = late.accept(&listener) => match never {},
            () = in_service.ended() => {}
        }
        drop(listener);
        late_end.cancel();
        late.ended().await;
    });
    if drained.await.is_err() {
        tracing::warn!(grace_seconds = grace.as_secs(), "requests still unfinished at the end of the grace period");
    }
}

/// Connections with a common end.
struct Connections {
    http: http1::Builder,
    service: TowerToHyperService<Router>,
    tasks: TaskTracker,
    /// Finish what is in hand, then close.
    closing: CancellationToken,
    /// Close now.
    abandoned: CancellationToken,
}

impl Connections {
    fn new(router: &Router, closing: CancellationToken, abandoned: CancellationToken) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(IDLE);
        Self { http, service: TowerToHyperService::new(router.clone()), tasks: TaskTracker::new(), closing, abandoned }
    }

    /// Cancellation safe: a connection is accepted and its task started without an await between the two.
    async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.start(stream),
                Err(error) => recover(&error).await,
            }
        }
    }

    fn start(&self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection closed at once");
            return;
        }
        let connection = self.http.serve_connection(TokioIo::new(stream), self.service.clone());
        let (closing, abandoned) = (self.closing.clone(), self.abandoned.clone());
        self.tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        served = connection => served,
                        () = abandoned.cancelled() => Ok(()),
                    }
                }
                () = abandoned.cancelled() => Ok(()),
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        });
    }

    async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A connection that was gone before it was accepted is nothing; anything else (no file descriptors left) is no better
/// a moment later, so that waiting keeps the process from spinning.
async fn recover(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections");
        sleep(Duration::from_millis(200)).await;
    }
}
