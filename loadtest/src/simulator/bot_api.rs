//! The Bot API over HTTP/1.1: `POST /bot{token}/{method}` with JSON.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Bots, Shared, faults::FaultKind, locked, polling};
use crate::world::Answer;

/// The connection breaks instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct Lost;

impl From<Infallible> for Lost {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Takes connections until it is stopped.
pub(super) async fn serve(listener: TcpListener, bots: Bots, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, peer)) = accepted {
            tokio::spawn(serve_connection(stream, peer.port(), Arc::clone(&bots), stop.clone()));
        }
    }
}

async fn serve_connection(stream: TcpStream, port: u16, bots: Bots, stop: CancellationToken) {
    let service = service_fn(move |request| answer(request, port, Arc::clone(&bots)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // An error here is a client that went away, or an answer that was lost on purpose.
        _ended = connection => {}
    }
}

async fn answer(request: Request<Incoming>, port: u16, bots: Bots) -> Result<Response<Full<Bytes>>, Lost> {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else { return Err(Lost) };
    let Some((token, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
        return Ok(refusal(404, "Not Found", None));
    };
    let Some(shared) = locked(&bots).get(token).cloned() else {
        let is_well_formed = token.split_once(':').is_some_and(|(id, _)| id.parse::<u64>().is_ok());
        let (status, description) = if is_well_formed { (401, "Unauthorized") } else { (404, "Not Found") };
        return Ok(refusal(status, description, None));
    };
    let arrived = shared.clock.now();
    let body = body.to_bytes();
    let params = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice::<Value>(&body) };
    let Ok(params) = params else {
        return Ok(refusal(400, "Bad Request: can't parse the parameters as JSON", None));
    };
    let seen = shared.calls.arrived(arrived, port, method, &params);
    match shared.meet_fault(method, &params) {
        Some(FaultKind::Page(status)) => {
            shared.calls.answered(seen, status);
            Ok(page(status))
        }
        Some(FaultKind::Restart) => {
            shared.calls.answered(seen, 500);
            Ok(refusal(500, "Internal Server Error: restart", None))
        }
        Some(FaultKind::Flood { retry_after }) => {
            shared.calls.answered(seen, 429);
            Ok(refusal(429, &format!("Too Many Requests: retry after {retry_after}"), Some(retry_after)))
        }
        Some(FaultKind::Refused(why)) => {
            shared.calls.answered(seen, 400);
            Ok(refusal(400, &format!("Bad Request: {why}"), None))
        }
        Some(FaultKind::AnswerLost) => {
            shared.call(method, &params);
            Err(Lost)
        }
        Some(FaultKind::Delay(delay)) => Ok(carried_out(&shared, seen, method, &params, delay).await),
        None => Ok(carried_out(&shared, seen, method, &params, Duration::ZERO).await),
    }
}

async fn carried_out(
    shared: &Shared,
    seen: usize,
    method: &str,
    params: &Value,
    delay: Duration,
) -> Response<Full<Bytes>> {
    let Answer { status, body } = if method.eq_ignore_ascii_case("getUpdates") {
        polling::get_updates(shared, params).await
    } else {
        shared.call(method, params)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.calls.answered(seen, status);
    let retry_after = body["parameters"]["retry_after"].as_u64();
    response(status, "application/json", body.to_string(), retry_after)
}

fn refusal(status: u16, description: &str, retry_after: Option<u64>) -> Response<Full<Bytes>> {
    let mut body = json!({"ok": false, "error_code": status, "description": description});
    if let Some(seconds) = retry_after {
        body["parameters"] = json!({"retry_after": seconds});
    }
    response(status, "application/json", body.to_string(), retry_after)
}

/// What the proxies before the Bot API answer.
fn page(status: u16) -> Response<Full<Bytes>> {
    let html = format!("<html>\r\n<head><title>{status}</title></head>\r\n<body>nginx/1.18.0</body>\r\n</html>\r\n");
    response(status, "text/html", html, None)
}

fn response(status: u16, kind: &str, body: String, retry_after: Option<u64>) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header("content-type", kind);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(Full::new(Bytes::from(body))).expect("invariant: a status, two plain headers and a body")
}
