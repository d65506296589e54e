//! The operations port: what an orchestrator, a monitor and a person with `curl` want to know of a process.
//!
//! `/live` says that the process runs, `/ready` whether it wants traffic, `/health` in which state its parts are,
//! `/metrics` everything countable, `/version` what it is, `/log-level` what it logs (`PUT` changes it) and, of a worker,
//! `/scaling` how much waits for all workers.

mod scaling;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub use scaling::Scaling;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Program, logs, metrics::Metrics};

/// The longest filter for log lines, in bytes.
const LONGEST_FILTER: usize = 4096;

/// The named parts of a process and whether each of them works. Cheap to clone; starts without parts, hence ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Part>>>);

/// One part, as its owner holds it.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    needed: bool,
    works: Arc<AtomicBool>,
}

impl Part {
    /// Says whether the part works now.
    pub fn set(&self, works: bool) {
        self.works.store(works, Ordering::Relaxed);
    }

    fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }
}

impl Readiness {
    /// A part without which the process wants no traffic. It does not work until it says so.
    pub fn needed(&self, name: &'static str) -> Part {
        self.add(name, true)
    }

    /// A part that `/health` reports but that does not decide readiness: where every process of a fleet depends on
    /// the same server, taking them all out of service when it fails would only hide the clear answer that they give.
    pub fn reported(&self, name: &'static str) -> Part {
        self.add(name, false)
    }

    /// Whether all needed parts work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts().iter().all(|part| !part.needed || part.works())
    }

    fn add(&self, name: &'static str, needed: bool) -> Part {
        let part = Part { name, needed, works: Arc::default() };
        self.parts().push(part.clone());
        part
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the operations port tells.
#[derive(Clone, Debug)]
pub struct Ops {
    /// For `/version`.
    pub program: Program,
    /// For `/ready` and `/health`.
    pub readiness: Readiness,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/scaling`; `None` where the process takes nothing from a queue that others share.
    pub scaling: Option<Scaling>,
}

impl Ops {
    fn router(self) -> Router {
        let scaling = self.scaling.clone();
        let router = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/health", get(health))
            .route("/metrics", get(metrics))
            .route("/version", get(version))
            .route("/log-level", get(log_level).put(set_log_level).layer(DefaultBodyLimit::max(LONGEST_FILTER)))
            .with_state(self);
        match scaling {
            Some(scaling) => router.route("/scaling", get(async move || scaling.answer().await)),
            None => router,
        }
    }

    /// Answers on `listener` until `stop`. Stop it after everything else, so that a draining process can be watched.
    ///
    /// # Errors
    /// Where the listener fails for good.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        // Monitors hold their connections open; waiting for them to go would keep the process from ending.
        let answering = axum::serve(listener, self.router());
        tokio::select! {
            ended = answering => ended,
            () = stop.cancelled() => Ok(()),
        }
    }
}

async fn ready(State(ops): State<Ops>) -> Response {
    if ops.readiness.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

async fn health(State(ops): State<Ops>) -> Response {
    let ready = ops.readiness.is_ready();
    let parts: serde_json::Map<_, _> =
        ops.readiness.parts().iter().map(|part| (part.name.to_owned(), part.works().into())).collect();
    let whole = parts.values().all(|works| *works == true);
    let status = match (ready, whole) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "not ready",
    };
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "status": status, "parts": parts, "version": env!("CARGO_PKG_VERSION") });
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// In OpenMetrics for whoever takes it, as Prometheus does, else in Prometheus' text format, which everybody can read.
async fn metrics(State(ops): State<Ops>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT);
    let takes = |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.contains("application/openmetrics-text"));
    let (format, page) = if accepted.iter().any(takes) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", ops.metrics.encode())
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", ops.metrics.encode_plain())
    };
    ([(header::CONTENT_TYPE, format)], page).into_response()
}

async fn version(State(ops): State<Ops>) -> Response {
    let Program { name, revision, .. } = ops.program;
    let body = serde_json::json!({ "program": name, "version": env!("CARGO_PKG_VERSION"), "revision": revision });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn log_level() -> String {
    logs::level().unwrap_or_default() + "\n"
}

async fn set_log_level(filter: String) -> Response {
    if logs::set_level(filter.trim()) {
        log_level().await.into_response()
    } else {
        (StatusCode::BAD_REQUEST, format!("must be {}\n", logs::FORM)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use nezuko_telegram::BotId;

    use super::*;
    use crate::config::Role;

    #[tokio::test]
    async fn only_needed_parts_decide_readiness_and_all_of_them_health() {
        let readiness = Readiness::default();
        let (needed, reported) = (readiness.needed("webhook"), readiness.reported("queue"));
        let program = Program { name: "test", role: Role::Alone, revision: "abc" };
        let ops = Ops { program, readiness, metrics: Metrics::new(BotId(42), "abc"), scaling: None };
        let (ok, unavailable) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        for (needed_works, reported_works, code, status) in [
            (false, false, unavailable, "not ready"),
            (false, true, unavailable, "not ready"),
            (true, false, ok, "degraded"),
            (true, true, ok, "ok"),
        ] {
            needed.set(needed_works);
            reported.set(reported_works);
            assert_eq!(ready(State(ops.clone())).await.status(), code);
            let health = health(State(ops.clone())).await;
            assert_eq!(health.status(), code);
            let body = axum::body::to_bytes(health.into_body(), 1000).await.unwrap_or_default();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(body.contains(&format!("\"status\":\"{status}\"")), "{body}");
            let parts = format!("\"parts\":{{\"queue\":{reported_works},\"webhook\":{needed_works}}}");
            assert!(body.contains(&parts), "{body}");
        }
    }
}
