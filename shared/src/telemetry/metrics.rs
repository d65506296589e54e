//! Every metric, with its name, meaning and labels: no metric is named anywhere else.
//!
//! All but the build's carry the label `bot_id`; no chat or person ever becomes a label. Names that begin with `bot_` or `db_` are those
//! of the earlier Nezuko, so that dashboards go on working; new ones have the form `nezuko_<what>_<unit>[_total]`.
//! (`prometheus-client` appends `_total` to counters by itself.)

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nezuko_telegram::BotId;
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder, text},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::{Metric, Registry},
};

use crate::{
    breaker::State,
    limiter::{Budget, Paused, Urgency},
    queue::Backlog,
};

/// A label with a fixed set of values.
trait Label {
    const VALUES: &'static [&'static str];
}

/// Makes a [`Label`]; `as_str` is the value of a variant.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }

        impl Label for $name {
            const VALUES: &'static [&'static str] = &[$($value),+];
        }
    };
}

label! {
    /// How the gateway answered a webhook request.
    WebhookOutcome {
        /// 200: the update is in the queue.
        Stored = "stored",
        /// 200: no update; set aside with a reason.
        Quarantined = "quarantined",
        /// 401: secret missing or wrong.
        Unauthorized = "unauthorized",
        /// 404: no such bot or path.
        Unknown = "unknown",
        /// 405: not a POST.
        Method = "method",
        /// 413: over the limit.
        TooLarge = "too_large",
        /// 503: not stored for certain, Telegram is to come again.
        Unavailable = "unavailable",
    }
}

label! {
    /// Why an update was not taken, so that Telegram is to come again.
    Doubt {
        /// The process is stopping.
        ShuttingDown = "shutting_down",
        /// More waits than workers can be expected to catch up with.
        BacklogFull = "backlog_full",
        /// What is left of the queue's memory is for those who empty it.
        MemoryShort = "memory_short",
        /// The queue refused, or did not answer in time: it may or may not have the update.
        QueueUnavailable = "queue_unavailable",
        /// The body did not arrive whole in time.
        BodyIncomplete = "body_incomplete",
    }
}

label! {
    /// What asking Telegram for updates came to.
    PollOutcome {
        /// Updates came and are in the queue.
        Updates = "updates",
        /// None came while it waited.
        Empty = "empty",
        /// Telegram delivers to a webhook or to another poller.
        Conflict = "conflict",
        /// Telegram or the queue did not answer as it should.
        Failed = "failed",
    }
}

label! {
    /// What registering the webhook came to.
    RegistrationOutcome {
        /// Telegram took it.
        Registered = "registered",
        /// Telegram refused it or did not answer.
        Failed = "failed",
    }
}

label! {
    /// How a worker ended an update.
    UpdateOutcome {
        /// The cache knew that its sender may write there; nothing to do.
        Acquitted = "acquitted",
        /// A handler took it in and its transaction committed.
        Handled = "handled",
        /// Nothing in it concerns Nezuko.
        Ignored = "ignored",
        /// A handler failed; it is tried again.
        Failed = "failed",
        /// Given up after repeated failures.
        DeadLettered = "dead_lettered",
    }
}

label! {
    /// What happened to a group's prompt.
    PromptAction {
        /// A new message.
        Sent = "sent",
        /// The number of people in it changed.
        Edited = "edited",
        /// Nobody waits any longer.
        Removed = "removed",
    }
}

label! {
    /// A server whose calls a breaker guards.
    Dependency {
        /// Queue, cache and limiter of a fleet.
        Redis = "redis",
        /// The store of a fleet.
        Postgres = "postgresql",
        /// The Bot API, for each bot by itself.
        Telegram = "telegram",
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The labels of a sample: the bot, and what the metric itself distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Of<L> {
    bot: BotId,
    labels: L,
}

impl<L: EncodeLabelSet> EncodeLabelSet for Of<L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("bot_id", self.bot.0).encode(encoder.encode_label())?;
        self.labels.encode(encoder)
    }
}

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Of<Labels<N>>, Counter>;
/// For labels that come as borrowed text; their number is small all the same.
type NamedCounters<const N: usize> = Family<Of<[(&'static str, String); N]>, Counter>;
type Gauges<const N: usize> = Family<Of<Labels<N>>, Gauge>;
type Histograms<const N: usize> = Family<Of<Labels<N>>, Histogram, Buckets>;

/// Upper bounds of a histogram's buckets in seconds.
#[derive(Clone, Copy)]
struct Buckets(&'static [f64]);

impl Buckets {
    /// One request or statement: 0.5 ms to 2.5 s. 10 ms, 50 ms and 100 ms are targets.
    const CALL: Self = Self(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]);
    /// What a person waits for: 50 ms to 5 min. 3 s is a target, 30 s the promise, 150 s Telegram's own limit.
    const WAIT: Self = Self(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 150.0, 300.0]);
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// The metrics of one bot among those of its process. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    all: Arc<Inner>,
    bot: BotId,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    start_time: Family<Of<Labels<0>>, Gauge<f64, AtomicU64>>,

    webhook_requests: Counters<1>,
    webhook_doubts: Counters<1>,
    webhook_duration: Histograms<0>,
    webhook_registrations: Counters<1>,
    webhook_pending: Gauges<0>,
    webhook_last_error: Gauges<0>,
    polls: Counters<1>,
    queue_unread: Gauges<0>,
    queue_pending: Gauges<0>,
    groups_lost: Counters<0>,

    updates: Counters<2>,
    duplicate_updates: Counters<0>,
    updates_reclaimed: Counters<0>,
    outages: Counters<0>,
    dead_letters: Counters<1>,
    intents_waiting: Gauges<1>,

    mutes: Counters<0>,
    releases: Counters<0>,
    messages_deleted: Counters<0>,
    prompts: Counters<1>,
    presses: Counters<1>,
    replies: Counters<0>,
    verifications: Counters<1>,
    join_to_mute: Histograms<0>,
    press_to_answer: Histograms<0>,

    api_calls: NamedCounters<1>,
    api_errors: NamedCounters<2>,
    limiter_grants: Counters<2>,
    limiter_denials: Counters<2>,
    limiter_late: Counters<1>,
    limiter_pauses: Counters<1>,
    rate_limit_delay: Histograms<0>,

    cache_hits: Counters<0>,
    cache_misses: Counters<0>,
    query_duration: Histograms<1>,
    redis_connected: Gauges<0>,
    db_connected: Gauges<0>,
    breaker_state: Gauges<1>,
    breaker_refusals: Counters<1>,
    clock_skew: Family<Of<Labels<0>>, Gauge<f64, AtomicU64>>,
}

/// Registers what it makes, so that no metric is made and forgotten.
struct Maker(Registry);

impl Maker {
    fn plain<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.given(name, help, M::default())
    }

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, buckets: Buckets) -> Histograms<N> {
        self.given(name, help, Histograms::new_with_constructor(buckets))
    }

    fn given<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}

impl Metrics {
    /// The metrics of `bot`, all at zero, with the start time set to now; those of other bots of the process by
    /// [`of`](Self::of). `revision` is that of the program's source.
    #[must_use]
    pub fn new(bot: BotId, revision: &'static str) -> Self {
        let mut make = Maker(Registry::default());
        let build = [("version", env!("CARGO_PKG_VERSION")), ("revision", revision)];
        make.0.register("nezuko_build", "What runs here", Info::new(build));
        let inner = Inner {
            start_time: make.plain("bot_start_time_seconds", "Unix time of the start"),
            webhook_requests: make.plain("nezuko_webhook_requests", "Webhook requests by answer"),
            webhook_doubts: make.plain("nezuko_webhook_unavailable", "Webhook requests answered 503, by reason"),
            webhook_duration: make.histogram(
                "nezuko_webhook_duration_seconds",
                "From the head of a webhook request to its answer",
                Buckets::CALL,
            ),
            webhook_registrations: make
                .plain("nezuko_webhook_registrations", "Registrations of the webhook, by outcome"),
            webhook_pending: make.plain("nezuko_webhook_pending_updates", "Updates that wait at Telegram"),
            webhook_last_error: make.plain(
                "nezuko_webhook_last_error_timestamp_seconds",
                "When Telegram last failed to deliver an update, Unix time; 0: not lately",
            ),
            polls: make.plain("nezuko_polls", "Requests for updates, by outcome"),
            queue_unread: make.plain("nezuko_queue_unread", "Queue entries that no worker has read"),
            queue_pending: make.plain("nezuko_queue_pending", "Queue entries read and not acknowledged"),
            groups_lost: make.plain(
                "nezuko_queue_groups_lost",
                "Times that the stream or its consumer group had vanished and was made again",
            ),

            updates: make.plain("nezuko_updates", "Updates that a worker ended, by kind and outcome"),
            duplicate_updates: make.plain("bot_duplicate_updates", "Updates seen before"),
            outages: make.plain("nezuko_outages", "Gaps between updates so long that Telegram may have dropped some"),
            updates_reclaimed: make.plain("nezuko_updates_reclaimed", "Entries taken over from silent workers"),
            dead_letters: make.plain("nezuko_dead_letters", "Updates given up, by reason"),
            intents_waiting: make
                .plain("nezuko_intents_waiting", "Intents that are due, those in a sender's hands among them, by kind"),

            mutes: make.plain("nezuko_mutes", "People muted"),
            releases: make.plain("nezuko_releases", "People freed"),
            messages_deleted: make.plain("nezuko_messages_deleted", "Messages deleted"),
            prompts: make.plain("nezuko_prompts", "What happened to prompts"),
            presses: make.plain("nezuko_presses", "Presses of the button, by outcome"),
            replies: make.plain("nezuko_replies", "Replies to commands"),
            verifications: make.plain("bot_verifications", "Decisions about people, by status"),
            join_to_mute: make.histogram(
                "nezuko_join_to_mute_seconds",
                "From a join (Telegram's date, whole seconds) to the mute",
                Buckets::WAIT,
            ),
            press_to_answer: make.histogram(
                "nezuko_press_to_answer_seconds",
                "From a press reaching the gateway to its answer",
                Buckets::WAIT,
            ),

            api_calls: make.plain("bot_api_calls", "Calls of the Bot API, by method"),
            api_errors: make.plain("bot_api_errors", "Failed calls of the Bot API, by method and kind of error"),
            limiter_grants: make.plain("nezuko_limiter_grants", "Calls that the limiter let go, by budget and urgency"),
            limiter_denials: make.plain("nezuko_limiter_denials", "Calls told to wait, by budget and urgency"),
            limiter_late: make.plain("nezuko_limiter_late_grants", "Grants that came too late to be used, by budget"),
            limiter_pauses: make.plain("nezuko_limiter_pauses", "Pauses that Telegram asked for, of a chat or the bot"),
            rate_limit_delay: make.histogram(
                "bot_rate_limit_delay_seconds",
                "How long calls waited for the limiter",
                Buckets::WAIT,
            ),

            cache_hits: make.plain("bot_cache_hits", "Senders that the cache knew to be free"),
            cache_misses: make.plain("bot_cache_misses", "Senders that the database had to decide"),
            query_duration: make.histogram(
                "db_query_duration_seconds",
                "Statements and transactions, by what they are for",
                Buckets::CALL,
            ),
            redis_connected: make.plain("bot_redis_connected", "1 where Redis answers"),
            db_connected: make.plain("bot_db_connected", "1 where the database answers"),
            breaker_state: make.plain(
                "nezuko_breaker_state",
                "0: calls are made, 1: they are refused, 2: one at a time goes as a probe",
            ),
            breaker_refusals: make.plain("nezuko_breaker_refusals", "Calls that a breaker refused"),
            clock_skew: make.plain(
                "nezuko_clock_skew_seconds",
                "By how much at least this machine's clock is ahead of Telegram's; negative: behind",
            ),
            registry: make.0,
        };
        Self { all: Arc::new(inner), bot }.of(bot)
    }

    /// The metrics of another bot of the same process, all at zero when they are asked for first: so a first event shows
    /// as a rise.
    #[must_use]
    pub fn of(&self, bot: BotId) -> Self {
        let metrics = Self { all: self.all.clone(), bot };
        let Inner { webhook_requests, prompts, limiter_grants, limiter_denials, limiter_late, limiter_pauses, .. } =
            &*metrics.all;
        metrics.at_zero::<WebhookOutcome>(webhook_requests, "outcome");
        metrics.at_zero::<Doubt>(&metrics.all.webhook_doubts, "reason");
        metrics.at_zero::<PromptAction>(prompts, "action");
        for budget in Budget::ALL {
            for urgency in [Urgency::Urgent, Urgency::Bulk] {
                for counters in [limiter_grants, limiter_denials] {
                    drop(counters.get_or_create(&metrics.of_limiter(budget, urgency)));
                }
            }
            drop(limiter_late.get_or_create(&metrics.label([("budget", budget.name())])));
        }
        for paused in [Paused::Chat, Paused::Bot] {
            drop(limiter_pauses.get_or_create(&metrics.label([("of", paused.name())])));
        }
        let Inner { duplicate_updates, updates_reclaimed, outages, mutes, releases, messages_deleted, .. } =
            &*metrics.all;
        let Inner { replies, cache_hits, cache_misses, groups_lost, .. } = &*metrics.all;
        for counter in [
            duplicate_updates,
            updates_reclaimed,
            outages,
            mutes,
            releases,
            messages_deleted,
            replies,
            cache_hits,
            cache_misses,
            groups_lost,
        ] {
            drop(counter.get_or_create(&metrics.label([])));
        }
        let Inner { queue_unread, queue_pending, redis_connected, db_connected, .. } = &*metrics.all;
        for gauge in [queue_unread, queue_pending, redis_connected, db_connected] {
            drop(gauge.get_or_create(&metrics.label([])));
        }
        let Inner { webhook_duration, join_to_mute, press_to_answer, rate_limit_delay, .. } = &*metrics.all;
        for histogram in [webhook_duration, join_to_mute, press_to_answer, rate_limit_delay] {
            drop(histogram.get_or_create(&metrics.label([])));
        }
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        metrics.all.start_time.get_or_create(&metrics.label([])).set(started);
        metrics
    }

    /// The bot that these are of; 0 for [`of_nobody`](Self::of_nobody).
    #[must_use]
    pub const fn bot(&self) -> BotId {
        self.bot
    }

    /// Where to count what belongs to no bot of this process, or to all: under `bot_id` 0.
    #[must_use]
    pub fn of_nobody(&self) -> Self {
        Self { all: self.all.clone(), bot: BotId(0) }
    }

    fn at_zero<L: Label>(&self, counters: &Counters<1>, label: &'static str) {
        for value in L::VALUES {
            drop(counters.get_or_create(&self.label([(label, value)])));
        }
    }

    const fn label<L>(&self, labels: L) -> Of<L> {
        Of { bot: self.bot, labels }
    }

    /// Everything that the process counts, of all its bots, in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.all.registry).expect("invariant: a String takes every write");
        page
    }

    /// A webhook request was answered `elapsed` after its head was read.
    pub fn webhook_answered(&self, outcome: WebhookOutcome, elapsed: Duration) {
        self.all.webhook_requests.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
        self.all.webhook_duration.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// A webhook request was answered 503.
    pub fn webhook_doubt(&self, doubt: Doubt) {
        self.all.webhook_doubts.get_or_create(&self.label([("reason", doubt.as_str())])).inc();
    }

    /// The webhook was to be registered.
    pub fn webhook_registration(&self, outcome: RegistrationOutcome) {
        self.all.webhook_registrations.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
    }

    /// What Telegram says of its deliveries: how many updates wait, and when it last failed (Unix seconds).
    pub fn set_webhook_state(&self, pending: u64, last_error: Option<i64>) {
        self.all.webhook_pending.get_or_create(&self.label([])).set(gauge_value(pending));
        self.all.webhook_last_error.get_or_create(&self.label([])).set(last_error.unwrap_or(0));
    }

    /// Telegram was asked for updates.
    pub fn poll(&self, outcome: PollOutcome) {
        self.all.polls.get_or_create(&self.label([("outcome", outcome.as_str())])).inc();
    }

    /// How much waits in the queue.
    pub fn set_backlog(&self, backlog: Backlog) {
        self.all.queue_unread.get_or_create(&self.label([])).set(gauge_value(backlog.unread));
        self.all.queue_pending.get_or_create(&self.label([])).set(gauge_value(backlog.pending));
    }

    /// The stream or its consumer group had vanished, with what it held, and was made again.
    pub fn group_lost(&self) {
        self.all.groups_lost.get_or_create(&self.label([])).inc();
    }

    /// A worker ended an update of this kind (`message`, `chat_member` …).
    pub fn update_ended(&self, kind: &'static str, outcome: UpdateOutcome) {
        self.all.updates.get_or_create(&self.label([("kind", kind), ("outcome", outcome.as_str())])).inc();
    }

    /// An update came that had been handled before.
    pub fn duplicate_update(&self) {
        self.all.duplicate_updates.get_or_create(&self.label([])).inc();
    }

    /// A gap between updates so long that Telegram may have dropped some.
    pub fn outage(&self) {
        self.all.outages.get_or_create(&self.label([])).inc();
    }

    /// So many entries were taken over from a silent worker.
    pub fn updates_reclaimed(&self, count: u64) {
        self.all.updates_reclaimed.get_or_create(&self.label([])).inc_by(count);
    }

    /// An update was given up.
    pub fn dead_letter(&self, reason: &'static str) {
        self.all.dead_letters.get_or_create(&self.label([("reason", reason)])).inc();
    }

    /// So many intents of this kind (`member`, `prompt`, `delete` …) wait.
    pub fn set_intents_waiting(&self, kind: &'static str, count: u64) {
        self.all.intents_waiting.get_or_create(&self.label([("kind", kind)])).set(gauge_value(count));
    }

    /// Telegram muted a person for us.
    pub fn mute(&self) {
        self.all.mutes.get_or_create(&self.label([])).inc();
    }

    /// Telegram freed a person for us.
    pub fn release(&self) {
        self.all.releases.get_or_create(&self.label([])).inc();
    }

    /// Telegram deleted so many messages for us.
    pub fn messages_deleted(&self, count: u64) {
        self.all.messages_deleted.get_or_create(&self.label([])).inc_by(count);
    }

    /// Something happened to a prompt.
    pub fn prompt(&self, action: PromptAction) {
        self.all.prompts.get_or_create(&self.label([("action", action.as_str())])).inc();
    }

    /// A press was answered this way.
    pub fn press(&self, outcome: &'static str) {
        self.all.presses.get_or_create(&self.label([("outcome", outcome)])).inc();
    }

    /// A reply to a command was sent.
    pub fn reply(&self) {
        self.all.replies.get_or_create(&self.label([])).inc();
    }

    /// A person was decided about.
    pub fn verification(&self, status: &'static str) {
        self.all.verifications.get_or_create(&self.label([("status", status)])).inc();
    }

    /// A mute took effect so long after the join that called for it.
    pub fn join_to_mute(&self, elapsed: Duration) {
        self.all.join_to_mute.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// A press was answered so long after the gateway had it.
    pub fn press_to_answer(&self, elapsed: Duration) {
        self.all.press_to_answer.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// The Bot API was called. `method` is the Bot API's name of it.
    pub fn api_call(&self, method: &str) {
        self.all.api_calls.get_or_create(&self.label([("method", method.to_owned())])).inc();
    }

    /// A call failed. `error_type` is one of a few classes, never Telegram's text.
    pub fn api_error(&self, method: &str, error_type: &str) {
        let labels = [("method", method.to_owned()), ("error_type", error_type.to_owned())];
        self.all.api_errors.get_or_create(&self.label(labels)).inc();
    }

    /// The limiter let a call go.
    pub fn limiter_grant(&self, budget: Budget, urgency: Urgency) {
        self.all.limiter_grants.get_or_create(&self.of_limiter(budget, urgency)).inc();
    }

    /// The limiter told a call to wait.
    pub fn limiter_denial(&self, budget: Budget, urgency: Urgency) {
        self.all.limiter_denials.get_or_create(&self.of_limiter(budget, urgency)).inc();
    }

    /// A grant came too late to be used.
    pub fn limiter_late(&self, budget: Budget) {
        self.all.limiter_late.get_or_create(&self.label([("budget", budget.name())])).inc();
    }

    /// Telegram asked for a pause.
    pub fn limiter_pause(&self, paused: Paused) {
        self.all.limiter_pauses.get_or_create(&self.label([("of", paused.name())])).inc();
    }

    const fn of_limiter(&self, budget: Budget, urgency: Urgency) -> Of<Labels<2>> {
        self.label([("budget", budget.name()), ("urgency", urgency.name())])
    }

    /// A call waited so long for the limiter.
    pub fn rate_limit_delay(&self, waited: Duration) {
        self.all.rate_limit_delay.get_or_create(&self.label([])).observe(waited.as_secs_f64());
    }

    /// The cache knew so many senders to be free.
    pub fn cache_hits(&self, count: u64) {
        self.all.cache_hits.get_or_create(&self.label([])).inc_by(count);
    }

    /// So many senders had to be decided in the database.
    pub fn cache_misses(&self, count: u64) {
        self.all.cache_misses.get_or_create(&self.label([])).inc_by(count);
    }

    /// A statement or transaction of this purpose took so long.
    pub fn query(&self, query_type: &'static str, elapsed: Duration) {
        self.all.query_duration.get_or_create(&self.label([("query_type", query_type)])).observe(elapsed.as_secs_f64());
    }

    /// Whether Redis answers.
    pub fn set_redis_connected(&self, connected: bool) {
        self.all.redis_connected.get_or_create(&self.label([])).set(i64::from(connected));
    }

    /// Whether the database answers.
    pub fn set_db_connected(&self, connected: bool) {
        self.all.db_connected.get_or_create(&self.label([])).set(i64::from(connected));
    }

    /// A breaker is in this state.
    pub fn breaker(&self, of: Dependency, state: State) {
        self.all.breaker_state.get_or_create(&self.label([("dependency", of.as_str())])).set(state as i64);
    }

    /// By how many seconds at least this machine's clock is ahead of Telegram's; negative: behind.
    pub fn set_clock_skew(&self, seconds: f64) {
        self.all.clock_skew.get_or_create(&self.label([])).set(seconds);
    }

    /// A breaker refused so many calls.
    pub fn breaker_refused(&self, of: Dependency, count: u64) {
        self.all.breaker_refusals.get_or_create(&self.label([("dependency", of.as_str())])).inc_by(count);
    }
}

fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched() -> String {
        let metrics = Metrics::new(BotId(42), "abc");
        let moment = Duration::from_millis(3);
        metrics.webhook_answered(WebhookOutcome::Stored, moment);
        metrics.webhook_doubt(Doubt::MemoryShort);
        metrics.set_backlog(Backlog { unread: 7, pending: u64::MAX });
        metrics.update_ended("message", UpdateOutcome::Acquitted);
        metrics.webhook_registration(RegistrationOutcome::Registered);
        metrics.set_webhook_state(12, Some(1_800_000_000));
        metrics.poll(PollOutcome::Empty);
        metrics.of(BotId(43)).mute();
        metrics.duplicate_update();
        metrics.updates_reclaimed(2);
        metrics.group_lost();
        metrics.outage();
        metrics.dead_letter("handler");
        metrics.set_intents_waiting("member", 5);
        metrics.mute();
        metrics.release();
        metrics.messages_deleted(100);
        metrics.prompt(PromptAction::Edited);
        metrics.press("freed");
        metrics.reply();
        metrics.verification("verified");
        metrics.join_to_mute(moment);
        metrics.press_to_answer(moment);
        metrics.api_call("sendMessage");
        metrics.api_error("sendMessage", "rate_limited");
        metrics.limiter_grant(Budget::Message, Urgency::Urgent);
        metrics.limiter_denial(Budget::Answer, Urgency::Bulk);
        metrics.limiter_late(Budget::Message);
        metrics.limiter_pause(Paused::Bot);
        metrics.rate_limit_delay(moment);
        metrics.cache_hits(3);
        metrics.cache_misses(4);
        metrics.query("batch", moment);
        metrics.set_redis_connected(true);
        metrics.set_db_connected(false);
        metrics.breaker(Dependency::Telegram, State::HalfOpen);
        metrics.of_nobody().set_clock_skew(-2.5);
        metrics.of_nobody().breaker_refused(Dependency::Redis, 3);
        metrics.clone().mute();
        metrics.encode()
    }

    /// The names are a promise to dashboards and alerts; whoever changes one has to change it here, too.
    #[test]
    fn every_metric_is_shown_under_its_promised_name() {
        let page = touched();
        for line in [
            r#"nezuko_webhook_requests_total{bot_id="42",outcome="stored"} 1"#,
            r#"nezuko_webhook_requests_total{bot_id="42",outcome="too_large"} 0"#,
            r#"nezuko_webhook_unavailable_total{bot_id="42",reason="memory_short"} 1"#,
            r#"nezuko_webhook_unavailable_total{bot_id="42",reason="backlog_full"} 0"#,
            r#"nezuko_webhook_duration_seconds_bucket{le="0.005",bot_id="42"} 1"#,
            r#"nezuko_webhook_duration_seconds_bucket{le="0.0025",bot_id="42"} 0"#,
            r#"nezuko_webhook_registrations_total{bot_id="42",outcome="registered"} 1"#,
            r#"nezuko_webhook_pending_updates{bot_id="42"} 12"#,
            r#"nezuko_webhook_last_error_timestamp_seconds{bot_id="42"} 1800000000"#,
            r#"nezuko_polls_total{bot_id="42",outcome="empty"} 1"#,
            r#"nezuko_queue_unread{bot_id="42"} 7"#,
            r#"nezuko_queue_pending{bot_id="42"} 9223372036854775807"#,
            r#"nezuko_updates_total{bot_id="42",kind="message",outcome="acquitted"} 1"#,
            r#"bot_duplicate_updates_total{bot_id="42"} 1"#,
            r#"nezuko_updates_reclaimed_total{bot_id="42"} 2"#,
            r#"nezuko_outages_total{bot_id="42"} 1"#,
            r#"nezuko_dead_letters_total{bot_id="42",reason="handler"} 1"#,
            r#"nezuko_intents_waiting{bot_id="42",kind="member"} 5"#,
            r#"nezuko_mutes_total{bot_id="42"} 2"#,
            r#"nezuko_mutes_total{bot_id="43"} 1"#,
            r#"nezuko_releases_total{bot_id="42"} 1"#,
            r#"nezuko_messages_deleted_total{bot_id="42"} 100"#,
            r#"nezuko_prompts_total{bot_id="42",action="edited"} 1"#,
            r#"nezuko_prompts_total{bot_id="42",action="sent"} 0"#,
            r#"nezuko_presses_total{bot_id="42",outcome="freed"} 1"#,
            r#"nezuko_replies_total{bot_id="42"} 1"#,
            r#"bot_verifications_total{bot_id="42",status="verified"} 1"#,
            r#"nezuko_join_to_mute_seconds_count{bot_id="42"} 1"#,
            r#"nezuko_press_to_answer_seconds_count{bot_id="42"} 1"#,
            r#"bot_api_calls_total{bot_id="42",method="sendMessage"} 1"#,
            r#"bot_api_errors_total{bot_id="42",method="sendMessage",error_type="rate_limited"} 1"#,
            r#"nezuko_limiter_grants_total{bot_id="42",budget="message",urgency="urgent"} 1"#,
            r#"nezuko_limiter_denials_total{bot_id="42",budget="answer",urgency="bulk"} 1"#,
            r#"nezuko_limiter_late_grants_total{bot_id="42",budget="message"} 1"#,
            r#"nezuko_limiter_pauses_total{bot_id="42",of="bot"} 1"#,
            r#"bot_rate_limit_delay_seconds_count{bot_id="42"} 1"#,
            r#"bot_cache_hits_total{bot_id="42"} 3"#,
            r#"bot_cache_misses_total{bot_id="42"} 4"#,
            r#"db_query_duration_seconds_count{bot_id="42",query_type="batch"} 1"#,
            r#"bot_redis_connected{bot_id="42"} 1"#,
            r#"bot_db_connected{bot_id="42"} 0"#,
            r#"nezuko_breaker_state{bot_id="42",dependency="telegram"} 2"#,
            r#"nezuko_breaker_refusals_total{bot_id="0",dependency="redis"} 3"#,
            r#"nezuko_clock_skew_seconds{bot_id="0"} -2.5"#,
            r#"nezuko_queue_groups_lost_total{bot_id="42"} 1"#,
            concat!(r#"nezuko_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#"",revision="abc"} 1"#),
        ] {
            assert!(page.lines().any(|shown| shown == line), "no line {line} in\n{page}");
        }
        let series = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(
            series("nezuko_limiter_grants_total{bot_id=\"42\""),
            10,
            "a budget is counted under one of the listed labels"
        );
        assert_eq!(series("nezuko_limiter_denials_total{bot_id=\"42\""), 10);
        assert_eq!(series("# TYPE nezuko_mutes counter"), 1, "each name is described once");
        assert!(page.contains(r#"bot_start_time_seconds{bot_id="42"} "#), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }

    /// `docs/metrics.md`, from what a process shows.
    fn page() -> String {
        let shown = touched();
        let mut page = String::from(
            "# Metrics\n\n\
             <!-- Made from shared/src/telemetry/metrics.rs by `make docs`; a test compares the two. -->\n\n\
             In the OpenMetrics format at `/metrics` of the operations port. All but the build's carry `bot_id` (0 for\n\
             requests for no bot that runs there, and for what all bots share); no chat or person is ever a label. Histograms\n\
             are in seconds.\n\n\
             | name | kind | further labels | meaning |\n|---|---|---|---|\n",
        );
        for help in shown.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, meaning) = help.split_once(' ').unwrap_or((help, ""));
            let kind = shown.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap_or_default();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let series = shown.lines().find(|line| line.starts_with(name) && line.contains('{')).unwrap_or_default();
            let labels =
                series.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
            let labels: Vec<_> = labels
                .split(',')
                .filter_map(|label| label.split_once('=').map(|(name, _)| name))
                .filter(|label| !matches!(*label, "bot_id" | "le"))
                .map(|label| format!("`{label}`"))
                .collect();
            let (labels, meaning) = (labels.join(" "), meaning.trim_end_matches('.'));
            page += &format!("| `{name}{suffix}` | {kind} | {labels} | {meaning} |\n");
        }
        page
    }

    #[test]
    fn documents_match_the_metrics() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        if std::env::var_os("REWRITE_DOCS").is_some() {
            assert!(std::fs::write(path, page()).is_ok(), "{path} cannot be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page(), "docs/metrics.md is out of date: run `make docs`");
    }
}
