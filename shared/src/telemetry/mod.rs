//! What the programs tell about themselves: log lines, metrics, traces, reports of errors.
//!
//! Log lines and metrics are there for the taking. Traces and reports are sent by threads of their own, from queues that are
//! bounded: whoever is to receive them may be away or hang, and nobody waits for it.

pub mod logs;
pub mod metrics;
mod otlp;
mod outbox;
mod reports;
pub mod trace;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use opentelemetry_sdk::trace::SpanData;
use sentry::Envelope;

use self::{
    metrics::{Exporter, Metrics},
    outbox::Outbox,
    reports::Reporter,
};
use crate::config::{Role, Settings};

/// What delivering the last of it may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What runs in this process.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The program's name.
    pub name: &'static str,
    /// What it does.
    pub role: Role,
    /// The revision of its source.
    pub revision: &'static str,
}

/// What waits to be sent.
#[derive(Default)]
struct Outboxes {
    traces: Option<Arc<Outbox<SpanData>>>,
    reports: Option<Arc<Outbox<Envelope>>>,
}

static OUTBOXES: OnceLock<Outboxes> = OnceLock::new();

/// Starts log lines, and traces and reports where the settings want them. To be called once, before there is a Tokio
/// runtime, and [`end`] after it.
///
/// # Errors
/// Where what sends them cannot be started; there are log lines all the same.
///
/// # Panics
/// Where it was called before.
pub fn start(settings: &Settings, program: Program, metrics: &Metrics) -> anyhow::Result<()> {
    let dropped = |exporter| metrics.telemetry_dropped(exporter);
    let reporter = settings.sentry_dsn.as_ref();
    let reporter = reporter.map(|dsn| Reporter::start(settings, dsn, program, dropped(Exporter::Errors))).transpose();
    logs::init(settings, reporter.as_ref().ok().cloned().flatten());
    reports::tell_panics(reporter.as_ref().ok().cloned().flatten());
    let reports = reporter?.map(|reporter| reporter.outbox());
    let traces = settings.traces.as_ref();
    let traces = traces.map(|traces| otlp::start(settings, traces, program, dropped(Exporter::Traces))).transpose()?;
    drop(OUTBOXES.set(Outboxes { traces, reports }));
    Ok(())
}

/// Sends what waits, for two seconds at most, and nothing after it.
pub fn end() {
    let Some(Outboxes { traces, reports }) = OUTBOXES.get() else { return };
    let until = Instant::now() + FAREWELL;
    traces.iter().for_each(|traces| traces.close());
    reports.iter().for_each(|reports| reports.close());
    let traces_sent = traces.as_ref().is_none_or(|traces| traces.wait(until));
    let reports_sent = reports.as_ref().is_none_or(|reports| reports.wait(until));
    if !(traces_sent && reports_sent) {
        tracing::warn!(traces_sent, reports_sent, "not all telemetry could be delivered in time, the rest is lost");
    }
}
