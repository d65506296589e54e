//! Posts a stream of updates to a webhook: a load tester's stream, without a world that reacts.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header::CONTENT_TYPE};
use tokio::time::{Instant, sleep_until};

use crate::drive::http::Connection;

/// How to post.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The webhook, plain HTTP.
    pub url: Uri,
    /// The secret that goes with each update.
    pub secret: Option<String>,
    /// Updates a second; as fast as it goes without.
    pub rate: Option<f64>,
    /// Connections at once.
    pub connections: usize,
    /// Gives the updates rising numbers from this one on, so that nothing takes them for repetitions.
    pub fresh_ids_from: Option<i64>,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub unanswered: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    /// How long each answer took, sorted.
    latencies: Vec<Duration>,
}

impl Report {
    /// How long this share (0…1) of the answers took at most; zero without any.
    #[must_use]
    pub fn latency(&self, share: f64) -> Duration {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = ((self.latencies.len() as f64 * share).ceil() as usize).max(1) - 1;
        self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        for (status, number) in other.statuses {
            *self.statuses.entry(status).or_default() += number;
        }
        self.unanswered += other.unanswered;
        self.latencies.extend(other.latencies);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        let rate = self.latencies.len() as f64 / self.took.as_secs_f64().max(f64::EPSILON);
        writeln!(f, "{} answers in {:.2?}, {rate:.0}/s", self.latencies.len(), self.took)?;
        for (status, number) in &self.statuses {
            writeln!(f, "  {status}: {number}")?;
        }
        if self.unanswered > 0 {
            writeln!(f, "  no answer: {}", self.unanswered)?;
        }
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| self.latency(share));
        write!(f, "latency p50 {p50:.2?}, p95 {p95:.2?}, p99 {p99:.2?}, max {max:.2?}")
    }
}

/// Posts each line (one update in JSON; empty lines are passed over) and waits for all answers.
pub async fn replay(lines: impl IntoIterator<Item = String>, options: &ReplayOptions) -> Report {
    let lines = lines.into_iter().filter(|line| !line.trim().is_empty());
    let updates: Arc<Vec<Bytes>> = Arc::new(match options.fresh_ids_from {
        Some(first) => (first..).zip(lines).map(|(id, line)| with_id(&line, id).into()).collect(),
        None => lines.map(Bytes::from).collect(),
    });
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let posting: Vec<_> = (0..options.connections.max(1))
        .map(|_| tokio::spawn(post(Arc::clone(&updates), Arc::clone(&next), options.clone(), start)))
        .collect();
    let mut report = Report::default();
    for task in posting {
        report.add(task.await.expect("invariant: posting does not panic and is not cancelled"));
    }
    report.took = start.elapsed();
    report.latencies.sort_unstable();
    report
}

/// One connection's share.
async fn post(updates: Arc<Vec<Bytes>>, next: Arc<AtomicUsize>, options: ReplayOptions, start: Instant) -> Report {
    let mut report = Report::default();
    let mut connection = None;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(update) = updates.get(index) else { return report };
        if let Some(rate) = options.rate {
            #[allow(clippy::cast_precision_loss)]
            sleep_until(start + Duration::from_secs_f64(index as f64 / rate)).await;
        }
        let asked = Instant::now();
        match exchange(&mut connection, update.clone(), &options).await {
            Ok(status) => {
                *report.statuses.entry(status).or_default() += 1;
                report.latencies.push(asked.elapsed());
            }
            Err(_) => {
                report.unanswered += 1;
                connection = None;
            }
        }
    }
}

async fn exchange(connection: &mut Option<Connection>, update: Bytes, options: &ReplayOptions) -> io::Result<u16> {
    let open = match connection.take() {
        Some(open) => open,
        None => Connection::open(&options.url).await?,
    };
    let mut request = Request::post(&options.url).header(CONTENT_TYPE, "application/json");
    if let Some(secret) = &options.secret {
        request = request.header("x-telegram-bot-api-secret-token", secret);
    }
    let request = request.body(Full::new(update)).map_err(io::Error::other)?;
    let (status, _) = connection.insert(open).exchange(request).await?;
    Ok(status)
}

/// The update with another number. A line without one is left as it is: it is there to be refused.
fn with_id(line: &str, id: i64) -> String {
    const FIELD: &str = "\"update_id\":";
    let Some(at) = line.find(FIELD) else { return line.to_owned() };
    let (before, rest) = line.split_at(at + FIELD.len());
    let rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{id}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_updates_own_number_changes() {
        assert_eq!(
            with_id(r#"{"update_id": 17,"message":{"text":"\"update_id\":5"}}"#, 3),
            r#"{"update_id":3,"message":{"text":"\"update_id\":5"}}"#
        );
        assert_eq!(with_id("no json", 3), "no json");
    }

    #[test]
    fn latencies_are_those_of_the_share_asked_for() {
        let report = Report { latencies: (1..=100).map(Duration::from_millis).collect(), ..Report::default() };
        assert_eq!(report.latency(0.5), Duration::from_millis(50));
        assert_eq!(report.latency(0.99), Duration::from_millis(99));
        assert_eq!(report.latency(1.0), Duration::from_millis(100));
        assert_eq!(Report::default().latency(0.5), Duration::ZERO);
    }
}
