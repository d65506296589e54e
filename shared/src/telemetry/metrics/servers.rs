//! The servers beside a process, and what goes wrong with them.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{
    Buckets, Counters, FLEET, Gauges, Histograms, Maker, Metrics, Seconds, WORKER, gauge_value,
    labels::{CacheOperation, Connections, Dependency, Exporter, Trouble},
};
use crate::breaker::State;

#[derive(Debug)]
pub(super) struct Servers {
    cache_hits: Counters<0>,
    cache_misses: Counters<0>,
    query_duration: Histograms<1>,
    redis_connected: Gauges<0>,
    db_connected: Gauges<0>,
    db_connections: Gauges<1>,
    breaker_state: Gauges<1>,
    breaker_refusals: Counters<1>,
    clock_skew: Seconds<0>,
    telemetry_dropped: Counters<1>,
    cache_duration: Histograms<1>,
    errors: Counters<1>,
}

impl Servers {
    pub(super) fn new(make: &mut Maker) -> Self {
        Self {
            cache_hits: make.plain(WORKER, "bot_cache_hits", "Senders that the cache knew to be free"),
            cache_misses: make.plain(WORKER, "bot_cache_misses", "Senders that the database had to decide"),
            query_duration: make.histogram(
                WORKER,
                "db_query_duration_seconds",
                "Statements and transactions, by what they are for",
                Buckets::CALL,
            ),
            redis_connected: make.plain(FLEET, "bot_redis_connected", "1 where Redis answers"),
            db_connected: make.plain(WORKER, "bot_db_connected", "1 where the database answers"),
            db_connections: make.plain(
                WORKER,
                "nezuko_db_connections",
                "Connections of the process to the database, by state",
            ),
            breaker_state: make.plain(
                FLEET,
                "nezuko_breaker_state",
                "0: calls are made, 1: they are refused, 2: one at a time goes as a probe",
            ),
            breaker_refusals: make.plain(FLEET, "nezuko_breaker_refusals", "Calls that a breaker refused"),
            clock_skew: make.plain(
                FLEET,
                "nezuko_clock_skew_seconds",
                "By how much at least this machine's clock is ahead of Telegram's; negative: behind",
            ),
            telemetry_dropped: make.plain(
                FLEET,
                "nezuko_telemetry_dropped",
                "Spans and reports of errors that could not be sent, by what sends them",
            ),
            cache_duration: make.histogram(
                WORKER,
                "bot_cache_operation_seconds",
                "What the cache was asked for",
                Buckets::CALL,
            ),
            errors: make.plain(WORKER, "bot_errors", "Everything that went wrong, by where"),
        }
    }

    /// Has what has known labels begin at zero, so that a first event shows as a rise.
    pub(super) fn begin(&self, metrics: &Metrics) {
        // What says whether a server answers is left out where a process does not use it.
        metrics.at_zero::<Trouble>(&self.errors, "error_type");
        for counter in [&self.cache_hits, &self.cache_misses] {
            drop(counter.get_or_create(&metrics.label([])));
        }
    }
}

impl Metrics {
    /// The cache knew so many senders to be free.
    pub fn cache_hits(&self, count: u64) {
        self.all.servers.cache_hits.get_or_create(&self.label([])).inc_by(count);
    }

    /// So many senders had to be decided in the database.
    pub fn cache_misses(&self, count: u64) {
        self.all.servers.cache_misses.get_or_create(&self.label([])).inc_by(count);
    }

    /// A statement or transaction of this purpose took so long.
    pub fn query(&self, query_type: &'static str, elapsed: Duration) {
        self.all
            .servers
            .query_duration
            .get_or_create(&self.label([("query_type", query_type)]))
            .observe(elapsed.as_secs_f64());
    }

    /// Whether Redis answers.
    pub fn set_redis_connected(&self, connected: bool) {
        self.all.servers.redis_connected.get_or_create(&self.label([])).set(i64::from(connected));
    }

    /// Whether the database answers.
    pub fn set_db_connected(&self, connected: bool) {
        self.all.servers.db_connected.get_or_create(&self.label([])).set(i64::from(connected));
    }

    /// So many connections to the database are counted as this.
    pub fn set_db_connections(&self, of: Connections, count: u32) {
        let labels = self.label([("state", of.as_str())]);
        self.all.servers.db_connections.get_or_create(&labels).set(gauge_value(count.into()));
    }

    /// A breaker is in this state.
    pub fn breaker(&self, of: Dependency, state: State) {
        self.all.servers.breaker_state.get_or_create(&self.label([("dependency", of.as_str())])).set(state as i64);
    }

    /// By how many seconds at least this machine's clock is ahead of Telegram's; negative: behind.
    pub fn set_clock_skew(&self, seconds: f64) {
        self.all.servers.clock_skew.get_or_create(&self.label([])).set(seconds);
    }

    /// A breaker refused so many calls.
    pub fn breaker_refused(&self, of: Dependency, count: u64) {
        self.all.servers.breaker_refusals.get_or_create(&self.label([("dependency", of.as_str())])).inc_by(count);
    }

    /// Counts what `exporter` drops, of all bots.
    #[must_use]
    pub fn telemetry_dropped(&self, exporter: Exporter) -> Counter {
        let nobody = self.of_nobody();
        nobody.all.servers.telemetry_dropped.get_or_create(&nobody.label([("exporter", exporter.as_str())])).clone()
    }

    /// The cache took so long for this.
    pub fn cache(&self, operation: CacheOperation, elapsed: Duration) {
        let labels = self.label([("operation", operation.as_str())]);
        self.all.servers.cache_duration.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }

    /// Something went wrong.
    pub fn error(&self, what: Trouble) {
        self.all.servers.errors.get_or_create(&self.label([("error_type", what.as_str())])).inc();
    }
}
