//! Taking updates in: webhook, long polling, queue, and how workers end what they read.

use std::time::Duration;

use super::{
    ALONE, Buckets, Counters, FLEET, GATEWAY, Gauges, Histograms, Maker, Metrics, Seconds, WORKER, gauge_value,
    labels::{Doubt, PollOutcome, RegistrationOutcome, UpdateOutcome, WebhookOutcome},
};
use crate::queue::Backlog;

#[derive(Debug)]
pub(super) struct Intake {
    webhook_requests: Counters<1>,
    webhook_doubts: Counters<1>,
    webhook_duration: Histograms<0>,
    webhook_registrations: Counters<1>,
    webhook_pending: Gauges<0>,
    webhook_last_error: Gauges<0>,
    polls: Counters<1>,
    queue_unread: Gauges<0>,
    queue_pending: Gauges<0>,
    stream_oldest_age: Seconds<0>,
    batch_entries: Histograms<0>,
    groups_lost: Counters<0>,
    updates: Counters<2>,
    duplicate_updates: Counters<0>,
    updates_reclaimed: Counters<0>,
    outages: Counters<0>,
    dead_letters: Counters<1>,
}

impl Intake {
    pub(super) fn new(make: &mut Maker) -> Self {
        Self {
            webhook_requests: make.plain(GATEWAY, "nezuko_webhook_requests", "Webhook requests by answer"),
            webhook_doubts: make.plain(
                GATEWAY,
                "nezuko_webhook_unavailable",
                "Webhook requests answered 503, by reason",
            ),
            webhook_duration: make.histogram(
                GATEWAY,
                "nezuko_webhook_duration_seconds",
                "From the head of a webhook request to its answer",
                Buckets::CALL,
            ),
            webhook_registrations: make.plain(
                GATEWAY,
                "nezuko_webhook_registrations",
                "Registrations of the webhook, by outcome",
            ),
            webhook_pending: make.plain(GATEWAY, "nezuko_webhook_pending_updates", "Updates that wait at Telegram"),
            webhook_last_error: make.plain(
                GATEWAY,
                "nezuko_webhook_last_error_timestamp_seconds",
                "When Telegram last failed to deliver an update, Unix time; 0: not lately",
            ),
            polls: make.plain(ALONE, "nezuko_polls", "Requests for updates, by outcome"),
            queue_unread: make.plain(FLEET, "nezuko_queue_unread", "Queue entries that no worker has read"),
            queue_pending: make.plain(FLEET, "nezuko_queue_pending", "Queue entries read and not acknowledged"),
            stream_oldest_age: make.plain(
                WORKER,
                "nezuko_stream_oldest_age_seconds",
                "For how long the oldest queue entry has waited that is not acknowledged; 0: there is none",
            ),
            batch_entries: make.histogram(
                WORKER,
                "nezuko_batch_entries",
                "Queue entries that a worker got by one read, where it got any",
                Buckets::COUNT,
            ),
            groups_lost: make.plain(
                WORKER,
                "nezuko_queue_groups_lost",
                "Times that the stream or its consumer group had vanished and was made again",
            ),
            updates: make.plain(WORKER, "nezuko_updates", "Updates that a worker ended, by kind and outcome"),
            duplicate_updates: make.plain(WORKER, "bot_duplicate_updates", "Updates seen before"),
            updates_reclaimed: make.plain(WORKER, "nezuko_updates_reclaimed", "Entries taken over from silent workers"),
            outages: make.plain(
                WORKER,
                "nezuko_outages",
                "Gaps between updates so long that Telegram may have dropped some",
            ),
            dead_letters: make.plain(WORKER, "nezuko_dead_letters", "Updates given up, by reason"),
        }
    }

    /// Has what has known labels begin at zero, so that a first event shows as a rise.
    pub(super) fn begin(&self, metrics: &Metrics) {
        metrics.at_zero::<WebhookOutcome>(&self.webhook_requests, "outcome");
        metrics.at_zero::<Doubt>(&self.webhook_doubts, "reason");
        metrics.at_zero::<RegistrationOutcome>(&self.webhook_registrations, "outcome");
        metrics.at_zero::<PollOutcome>(&self.polls, "outcome");
        let Self { groups_lost, duplicate_updates, updates_reclaimed, outages, .. } = self;
        for counter in [groups_lost, duplicate_updates, updates_reclaimed, outages] {
            drop(counter.get_or_create(&metrics.label([])));
        }
        for reason in ["handler_failed", "undecodable", "unreadable_entry"] {
            drop(self.dead_letters.get_or_create(&metrics.label([("reason", reason)])));
        }
        for gauge in [&self.queue_unread, &self.queue_pending] {
            drop(gauge.get_or_create(&metrics.label([])));
        }
        drop(self.stream_oldest_age.get_or_create(&metrics.label([])));
        for histogram in [&self.webhook_duration, &self.batch_entries] {
            drop(histogram.get_or_create(&metrics.label([])));
        }
    }
}

impl Metrics {
    /// A webhook request was answered `elapsed` after its head was read.
    pub fn webhook_answered(&self, outcome: WebhookOutcome, elapsed: Duration) {
        self.all.intake.webhook_requests.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
        self.all.intake.webhook_duration.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// A webhook request was answered 503.
    pub fn webhook_doubt(&self, doubt: Doubt) {
        self.all.intake.webhook_doubts.get_or_create(&self.label([("reason", doubt.as_str())])).inc();
    }

    /// The webhook was to be registered.
    pub fn webhook_registration(&self, outcome: RegistrationOutcome) {
        self.all.intake.webhook_registrations.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
    }

    /// What Telegram says of its deliveries: how many updates wait, and when it last failed (Unix seconds).
    pub fn set_webhook_state(&self, pending: u64, last_error: Option<i64>) {
        self.all.intake.webhook_pending.get_or_create(&self.label([])).set(gauge_value(pending));
        self.all.intake.webhook_last_error.get_or_create(&self.label([])).set(last_error.unwrap_or(0));
    }

    /// Telegram was asked for updates.
    pub fn poll(&self, outcome: PollOutcome) {
        self.all.intake.polls.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
    }

    /// How much waits in the queue.
    pub fn set_backlog(&self, backlog: Backlog) {
        self.all.intake.queue_unread.get_or_create(&self.label([])).set(gauge_value(backlog.unread));
        self.all.intake.queue_pending.get_or_create(&self.label([])).set(gauge_value(backlog.pending));
    }

    /// The oldest entry that is not acknowledged has waited for so long.
    pub fn set_stream_oldest_age(&self, age: Duration) {
        self.all.intake.stream_oldest_age.get_or_create(&self.label([])).set(age.as_secs_f64());
    }

    /// One read brought so many entries.
    pub fn batch(&self, entries: usize) {
        self.all.intake.batch_entries.get_or_create(&self.label([])).observe(entries as f64);
    }

    /// The stream or its consumer group had vanished, with what it held, and was made again.
    pub fn group_lost(&self) {
        self.all.intake.groups_lost.get_or_create(&self.label([])).inc();
    }

    /// A worker ended an update of this kind (`message`, `chat_member` …).
    pub fn update_ended(&self, kind: &'static str, outcome: UpdateOutcome) {
        self.all.intake.updates.get_or_create(&self.label([("kind", kind), ("outcome", outcome.as_str())])).inc();
    }

    /// An update came that had been handled before.
    pub fn duplicate_update(&self) {
        self.all.intake.duplicate_updates.get_or_create(&self.label([])).inc();
    }

    /// A gap between updates so long that Telegram may have dropped some.
    pub fn outage(&self) {
        self.all.intake.outages.get_or_create(&self.label([])).inc();
    }

    /// So many entries were taken over from a silent worker.
    pub fn updates_reclaimed(&self, count: u64) {
        self.all.intake.updates_reclaimed.get_or_create(&self.label([])).inc_by(count);
    }

    /// An update was given up.
    pub fn dead_letter(&self, reason: &'static str) {
        self.all.intake.dead_letters.get_or_create(&self.label([("reason", reason)])).inc();
    }
}
