//! Progress while a demo runs: what the simulator sees, and what the programs say of themselves.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::drive::{Progress, http};

/// What a program's own metrics say, if it has a page of them.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    decided: Option<f64>,
    /// Calls that the limiter let go, and those that it told to wait.
    granted: Option<f64>,
    denied: Option<f64>,
}

impl Shown {
    fn on(page: &str) -> Self {
        Self {
            decided: sum(page, "nezuko_updates_total"),
            granted: sum(page, "nezuko_limiter_grants_total"),
            denied: sum(page, "nezuko_limiter_denials_total"),
        }
    }

    fn and(self, other: Self) -> Self {
        let both = |one: Option<f64>, other: Option<f64>| one.map_or(other, |one| Some(one + other.unwrap_or(0.0)));
        Self {
            decided: both(self.decided, other.decided),
            granted: both(self.granted, other.granted),
            denied: both(self.denied, other.denied),
        }
    }
}

/// Reads the metrics of some programs from time to time; of one that has died the last are kept.
struct Metrics {
    shown: Arc<Mutex<Vec<Shown>>>,
    stop: CancellationToken,
}

impl Metrics {
    fn follow(pages: Vec<String>) -> Self {
        let (shown, stop) = (Arc::new(Mutex::new(vec![Shown::default(); pages.len()])), CancellationToken::new());
        let (put, stopped) = (Arc::clone(&shown), stop.clone());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    _ = tick.tick() => {}
                }
                for (place, page) in pages.iter().enumerate() {
                    if let Ok((200, text)) = http::page(page).await {
                        put.lock().unwrap_or_else(PoisonError::into_inner)[place] = Shown::on(&text);
                    }
                }
            }
        });
        Self { shown, stop }
    }

    fn all(&self) -> Shown {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.iter().fold(Shown::default(), |sum, shown| sum.and(*shown))
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sum over all labels of a metric in the text format; nothing if it is not there.
pub(super) fn sum(page: &str, metric: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        rest.starts_with(['{', ' ']).then(|| rest.split_whitespace().last()?.parse::<f64>().ok())?
    });
    samples.fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample))
}

/// Where progress is shown: one line that changes on a terminal, a plain line every two seconds elsewhere.
pub(super) struct Screen {
    metrics: Metrics,
    is_terminal: bool,
    next_line: Instant,
}

impl Screen {
    /// Shows the metrics of these pages as well.
    pub(super) fn new(pages: Vec<String>) -> Self {
        Self {
            metrics: Metrics::follow(pages),
            is_terminal: std::io::stdout().is_terminal(),
            next_line: Instant::now(),
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        if !self.is_terminal && Instant::now() < self.next_line {
            return;
        }
        self.next_line = Instant::now() + Duration::from_secs(2);
        let Progress { acted, acts, delivered, pending, calls, muted, freed, deleted } = progress;
        let shown = self.metrics.all();
        let own = |name: &str, value: Option<f64>| value.map_or(String::new(), |value| format!(" · {name} {value:.0}"));
        let line = format!(
            "acts {acted}/{acts} · updates in {delivered} · waiting {pending}{} · calls {calls} · muted {muted} · freed {freed} · deleted {deleted}{}{}",
            own("decided", shown.decided),
            own("limiter let go", shown.granted),
            own("held up", shown.denied),
        );
        let mut out = std::io::stdout().lock();
        // Progress that cannot be written is no reason to stop.
        let _unseen = if self.is_terminal { write!(out, "\r\x1b[2K{line}") } else { writeln!(out, "{line}") };
        let _unseen = out.flush();
    }

    pub(super) fn end(&self) {
        if self.is_terminal {
            println!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let page = "# TYPE bot_verifications counter\n\
                    bot_verifications_total{bot_id=\"1\",status=\"free\"} 3\n\
                    bot_verifications_total{bot_id=\"1\",status=\"restricted\"} 4\n\
                    bot_verifications_total_by_day 9\n\
                    plain 2\n";
        assert_eq!(sum(page, "bot_verifications_total"), Some(7.0));
        assert_eq!(sum(page, "plain"), Some(2.0));
        assert_eq!(sum(page, "bot_errors_total"), None);
    }
}
