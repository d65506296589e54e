//! Every metric, with its name, meaning and labels: no metric is named outside of this directory.
//!
//! All but the build's carry the label `bot_id`; no chat or person ever becomes a label. Names that begin with `bot_` or `db_` are those
//! of the earlier Nezuko, so that dashboards go on working; new ones have the form `nezuko_<what>_<unit>[_total]`.
//! (`prometheus-client` appends `_total` to counters by itself.)

mod calls;
mod deeds;
mod intake;
mod labels;
mod plain;
mod servers;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{SystemTime, UNIX_EPOCH},
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

pub use self::{
    calls::AsksForLeave,
    labels::{
        CacheOperation, Connections, Dependency, Doubt, Exporter, IntentState, JoinRequestAction, PollOutcome,
        PromptAction, RegistrationOutcome, Removal, Trouble, UpdateOutcome, WebhookOutcome,
    },
};
use self::{calls::Calls, deeds::Deeds, intake::Intake, labels::Label, servers::Servers};
use crate::{config::Role, telemetry::Program};

/// Who counts something: the programs that show it. The one-process program does all that the others do.
type Who = &'static [Role];
const GATEWAY: Who = &[Role::Gateway, Role::Alone];
const WORKER: Who = &[Role::Worker, Role::Alone];
const FLEET: Who = &[Role::Gateway, Role::Worker, Role::Alone];
const ALONE: Who = &[Role::Alone];

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
type NamedHistograms<const N: usize> = Family<Of<[(&'static str, String); N]>, Histogram, Buckets>;
type Gauges<const N: usize> = Family<Of<Labels<N>>, Gauge>;
type Seconds<const N: usize> = Family<Of<Labels<N>>, Gauge<f64, AtomicU64>>;
type Histograms<const N: usize> = Family<Of<Labels<N>>, Histogram, Buckets>;

/// Upper bounds of a histogram's buckets, in seconds unless something else is said.
#[derive(Clone, Copy)]
struct Buckets(&'static [f64]);

impl Buckets {
    /// One request or statement: 0.5 ms to 2.5 s. 10 ms, 50 ms and 100 ms are targets.
    const CALL: Self = Self(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]);
    /// What a person waits for: 50 ms to 5 min. 3 s is a target, 30 s the promise, 150 s Telegram's own limit.
    const WAIT: Self = Self(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 150.0, 300.0]);
    /// A call over the Internet: 10 ms to 1 min, the longest that long polling takes.
    const REMOTE: Self = Self(&[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
    /// How many are read at once.
    const COUNT: Self = Self(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
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
    start_time: Seconds<0>,
    intake: Intake,
    deeds: Deeds,
    calls: Calls,
    servers: Servers,
}

/// Registers what it makes where this program counts it, so that no metric is made and forgotten, and none is shown that
/// stays at zero for ever.
struct Maker {
    registry: Registry,
    role: Role,
}

impl Maker {
    fn plain<M: Metric + Clone + Default>(&mut self, who: Who, name: &str, help: &str) -> M {
        self.given(who, name, help, M::default())
    }

    fn histogram<L>(&mut self, who: Who, name: &str, help: &str, buckets: Buckets) -> Family<Of<L>, Histogram, Buckets>
    where
        Family<Of<L>, Histogram, Buckets>: Metric + Clone,
        Of<L>: Clone + std::hash::Hash + Eq,
    {
        self.given(who, name, help, Family::new_with_constructor(buckets))
    }

    fn given<M: Metric + Clone>(&mut self, who: Who, name: &str, help: &str, metric: M) -> M {
        if who.contains(&self.role) {
            self.registry.register(name, help, metric.clone());
        }
        metric
    }
}

impl Metrics {
    /// The metrics of `bot` in a process that does all, as [`of_program`](Self::of_program).
    #[must_use]
    pub fn new(bot: BotId, revision: &'static str) -> Self {
        Self::of_program(Program { name: "nezuko", role: Role::Alone, revision }, bot)
    }

    /// The metrics of `bot`, all at zero, with the start time set to now; those of other bots of the process by
    /// [`of`](Self::of). Shown is what `program` can count.
    #[must_use]
    pub fn of_program(program: Program, bot: BotId) -> Self {
        let mut make = Maker { registry: Registry::default(), role: program.role };
        let build = [("version", env!("CARGO_PKG_VERSION")), ("revision", program.revision)];
        make.registry.register("nezuko_build", "What runs here", Info::new(build));
        let inner = Inner {
            start_time: make.plain(FLEET, "bot_start_time_seconds", "Unix time of the start"),
            intake: Intake::new(&mut make),
            deeds: Deeds::new(&mut make),
            calls: Calls::new(&mut make),
            servers: Servers::new(&mut make),
            registry: make.registry,
        };
        Self { all: Arc::new(inner), bot }.of(bot)
    }

    /// The metrics of another bot of the same process, all at zero when they are asked for first: so a first event shows
    /// as a rise.
    #[must_use]
    pub fn of(&self, bot: BotId) -> Self {
        let metrics = Self { all: self.all.clone(), bot };
        let Inner { intake, deeds, calls, servers, start_time, .. } = &*metrics.all;
        intake.begin(&metrics);
        deeds.begin(&metrics);
        calls.begin(&metrics);
        servers.begin(&metrics);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        start_time.get_or_create(&metrics.label([])).set(started);
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

    /// The same in the text format of Prometheus.
    #[must_use]
    pub fn encode_plain(&self) -> String {
        plain::plain(&self.encode())
    }
}

fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
