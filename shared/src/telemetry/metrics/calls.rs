//! Calls of the Bot API, and leave to make them.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use super::{
    Buckets, Counters, FLEET, Gauges, Histograms, Labels, Maker, Metrics, NamedCounters, NamedHistograms, Of, WORKER,
};
use crate::limiter::{Budget, Paused, Urgency};

#[derive(Debug)]
pub(super) struct Calls {
    api_calls: NamedCounters<1>,
    api_errors: NamedCounters<2>,
    api_call_duration: NamedHistograms<1>,
    limiter_grants: Counters<2>,
    limiter_denials: Counters<2>,
    limiter_late: Counters<1>,
    limiter_pauses: Counters<1>,
    rate_limit_delay: Histograms<2>,
    rate_limit_delays: Counters<0>,
    rate_limit_queue: Gauges<0>,
}

impl Calls {
    pub(super) fn new(make: &mut Maker) -> Self {
        Self {
            api_calls: make.plain(FLEET, "bot_api_calls", "Calls of the Bot API, by method"),
            api_errors: make.plain(FLEET, "bot_api_errors", "Failed calls of the Bot API, by method and kind of error"),
            api_call_duration: make.histogram(
                FLEET,
                "nezuko_api_call_duration_seconds",
                "From a call of the Bot API to its answer, or to where it was given up, by method",
                Buckets::REMOTE,
            ),
            limiter_grants: make.plain(
                WORKER,
                "nezuko_limiter_grants",
                "Calls that the limiter let go, by budget and urgency",
            ),
            limiter_denials: make.plain(WORKER, "nezuko_limiter_denials", "Calls told to wait, by budget and urgency"),
            limiter_late: make.plain(
                WORKER,
                "nezuko_limiter_late_grants",
                "Grants that came too late to be used, by budget",
            ),
            limiter_pauses: make.plain(
                WORKER,
                "nezuko_limiter_pauses",
                "Pauses that Telegram asked for, of a chat or the bot",
            ),
            rate_limit_delay: make.histogram(
                WORKER,
                "bot_rate_limit_delay_seconds",
                "How long calls waited for the limiter, by budget and urgency",
                Buckets::WAIT,
            ),
            rate_limit_delays: make.plain(WORKER, "bot_rate_limit_delays", "Calls that had to wait for the limiter"),
            rate_limit_queue: make.plain(
                WORKER,
                "bot_rate_limit_queue_size",
                "Calls that ask the limiter for leave or wait for it",
            ),
        }
    }

    /// Has what has known labels begin at zero, so that a first event shows as a rise.
    pub(super) fn begin(&self, metrics: &Metrics) {
        for budget in Budget::ALL {
            for urgency in [Urgency::Urgent, Urgency::Bulk] {
                for counters in [&self.limiter_grants, &self.limiter_denials] {
                    drop(counters.get_or_create(&metrics.of_limiter(budget, urgency)));
                }
                drop(self.rate_limit_delay.get_or_create(&metrics.of_limiter(budget, urgency)));
            }
            drop(self.limiter_late.get_or_create(&metrics.label([("budget", budget.name())])));
        }
        for paused in [Paused::Chat, Paused::Bot] {
            drop(self.limiter_pauses.get_or_create(&metrics.label([("of", paused.name())])));
        }
        drop(self.rate_limit_delays.get_or_create(&metrics.label([])));
        drop(self.rate_limit_queue.get_or_create(&metrics.label([])));
    }
}

impl Metrics {
    /// The Bot API was called, which took so long. `method` is the Bot API's name of it.
    pub fn api_call(&self, method: &str, elapsed: Duration) {
        let labels = self.label([("method", method.to_owned())]);
        self.all.calls.api_calls.get_or_create(&labels).inc();
        self.all.calls.api_call_duration.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }

    /// A call failed. `error_type` is one of a few classes, never Telegram's text.
    pub fn api_error(&self, method: &str, error_type: &str) {
        let labels = [("method", method.to_owned()), ("error_type", error_type.to_owned())];
        self.all.calls.api_errors.get_or_create(&self.label(labels)).inc();
    }

    /// The limiter let a call go.
    pub fn limiter_grant(&self, budget: Budget, urgency: Urgency) {
        self.all.calls.limiter_grants.get_or_create(&self.of_limiter(budget, urgency)).inc();
    }

    /// The limiter told a call to wait.
    pub fn limiter_denial(&self, budget: Budget, urgency: Urgency) {
        self.all.calls.limiter_denials.get_or_create(&self.of_limiter(budget, urgency)).inc();
    }

    /// A grant came too late to be used.
    pub fn limiter_late(&self, budget: Budget) {
        self.all.calls.limiter_late.get_or_create(&self.label([("budget", budget.name())])).inc();
    }

    /// Telegram asked for a pause.
    pub fn limiter_pause(&self, paused: Paused) {
        self.all.calls.limiter_pauses.get_or_create(&self.label([("of", paused.name())])).inc();
    }

    const fn of_limiter(&self, budget: Budget, urgency: Urgency) -> Of<Labels<2>> {
        self.label([("budget", budget.name()), ("urgency", urgency.name())])
    }

    /// A call waited so long for the limiter.
    pub fn rate_limit_delay(&self, budget: Budget, urgency: Urgency, waited: Duration) {
        let labels = self.of_limiter(budget, urgency);
        self.all.calls.rate_limit_delay.get_or_create(&labels).observe(waited.as_secs_f64());
    }

    /// A call had to wait for the limiter.
    pub fn rate_limit_delays(&self) {
        self.all.calls.rate_limit_delays.get_or_create(&self.label([])).inc();
    }

    /// A call asks for leave, until this is dropped.
    #[must_use]
    pub fn asking_for_leave(&self) -> AsksForLeave {
        let calls = self.all.calls.rate_limit_queue.get_or_create(&self.label([])).clone();
        calls.inc();
        AsksForLeave(calls)
    }
}

/// A call that asks for leave, as long as this is there.
#[derive(Debug)]
pub struct AsksForLeave(Gauge);

impl Drop for AsksForLeave {
    fn drop(&mut self) {
        self.0.dec();
    }
}
