//! W3C trace context, and the spans of the traces that are recorded.
//!
//! The trace id is the correlation id, recorded or not: the gateway makes it, the stream's entry and the intents carry it, and every
//! log line about the update has it as `trace_id`. One trace in so many is recorded; which, is decided where it begins, and
//! its `traceparent` says so to everybody after. Where it does not, a [`Span`] is nothing and costs nothing.

use std::{
    borrow::Cow,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::Either;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId, Value,
    context::FutureExt,
    trace::{Link, SpanBuilder, SpanContext, Status, TraceContextExt, TraceState, Tracer},
};
pub use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sdk::trace::SdkTracer;

/// How many earlier traces an intent remembers that later ones have folded into.
pub const MAX_LINKS: usize = 8;
/// What waits for longer than this is no longer of the trace in which it was asked for.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What a span is called, and what is known about it. Made only for what is recorded.
pub type About = (Cow<'static, str>, Vec<KeyValue>);

/// Of this process; without one nothing is recorded.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Who records, and how much.
pub(super) struct Recorder {
    pub(super) tracer: SdkTracer,
    /// The share of traces that begin here and are recorded, 0 to 1.
    pub(super) share: f64,
}

impl Recorder {
    /// Has this process record. The first one stays.
    pub(super) fn install(self) {
        drop(RECORDER.set(self));
    }

    fn builder(&self, kind: SpanKind, (name, attributes): About) -> SpanBuilder {
        self.tracer.span_builder(name).with_kind(kind).with_attributes(attributes)
    }

    fn span(&self, builder: SpanBuilder, parent: &Context) -> Span {
        Span(Some(parent.with_span(self.tracer.build_with_context(builder, parent))))
    }
}

/// An update's trace where it enters the fleet.
pub struct Entry {
    /// For the envelope.
    pub traceparent: String,
    /// The work of taking it in.
    pub span: Span,
}

impl Entry {
    /// Goes on with the trace of `incoming`, a `traceparent` as a trusted caller gave it, or begins one. `began` is when the
    /// work did.
    #[must_use]
    pub fn new(kind: SpanKind, incoming: Option<&str>, began: Instant, about: impl FnOnce() -> About) -> Self {
        let incoming = incoming.and_then(parse);
        if let Some(recorder) = RECORDER.get() {
            let recorded = match &incoming {
                Some(parent) => parent.is_sampled(),
                None => rand::random::<f64>() < recorder.share,
            };
            if recorded {
                let parent = incoming.map_or_else(Context::new, |it| Context::new().with_remote_span_context(it));
                let builder = recorder.builder(kind, about()).with_start_time(SystemTime::now() - began.elapsed());
                let span = recorder.span(builder, &parent);
                let traceparent = span.traceparent().unwrap_or_else(unrecorded);
                return Self { traceparent, span };
            }
        }
        Self { traceparent: incoming.as_ref().map_or_else(unrecorded, format), span: Span::default() }
    }
}

/// The start of a trace that nobody records: random, not sampled.
fn unrecorded() -> String {
    // The standard forbids ids of all zeros.
    let trace_id = rand::random::<u128>().max(1);
    let span_id = rand::random::<u64>().max(1);
    format!("00-{trace_id:032x}-{span_id:016x}-00")
}

/// Some work in a recorded trace, until it is dropped; or nothing, where the trace is not recorded.
#[derive(Clone, Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// Work that follows from `parent`, the `traceparent` that came with it, and from those of `links`.
    #[must_use]
    pub fn following<'a>(
        parent: &str,
        links: impl IntoIterator<Item = &'a str>,
        kind: SpanKind,
        about: impl FnOnce() -> About,
    ) -> Self {
        // Looked at before anything is parsed: most are not.
        let is_sampled = parent.bytes().last().is_some_and(|flags| matches!(flags, b'1' | b'3'));
        let Some(recorder) = RECORDER.get().filter(|_| is_sampled) else { return Self::default() };
        let Some(parent) = parse(parent) else { return Self::default() };
        let parent = Context::new().with_remote_span_context(parent);
        let links = links.into_iter().filter_map(parse).map(|it| Link::new(it, Vec::new(), 0)).collect();
        recorder.span(recorder.builder(kind, about()).with_links(links), &parent)
    }

    /// A part of the work that is being done, where that is recorded.
    #[must_use]
    pub fn part(kind: SpanKind, about: impl FnOnce() -> About) -> Self {
        let Some(recorder) = RECORDER.get() else { return Self::default() };
        let Some(whole) = Context::map_current(|it| it.has_active_span().then(|| it.clone())) else {
            return Self::default();
        };
        recorder.span(recorder.builder(kind, about()), &whole)
    }

    /// Whether this is part of a trace that is recorded.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Does `work` in this span, which ends with it, however it ends. Tasks that it starts are not part of it.
    pub fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        match self.0 {
            Some(context) => Either::Left(work.with_context(context)),
            None => Either::Right(work),
        }
    }

    /// Notes something about the work.
    pub fn note(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// The work failed, for this reason: one of few, never a text from outside.
    pub fn fail(&self, reason: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", reason));
            context.span().set_status(Status::error(""));
        }
    }

    /// What carries the trace on to whatever follows from this work; `None` where it is not recorded.
    fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|context| format(context.span().span_context()))
    }
}

tokio::task_local! {
    static CORRELATION: String;
}

/// Does `work` as part of the trace with this id, for the log lines of whoever is not told it: see [`id`].
pub fn correlated<F: Future>(trace_id: String, work: F) -> impl Future<Output = F::Output> {
    CORRELATION.scope(trace_id, work)
}

/// The correlation id of the work that is being done, where that is [`correlated`].
#[must_use]
pub fn id() -> Option<String> {
    CORRELATION.try_with(Clone::clone).ok()
}

/// What carries the trace of the work that is being done on to what follows from it; `None` where it is not recorded.
#[must_use]
pub fn traceparent() -> Option<String> {
    RECORDER.get()?;
    Context::map_current(|it| it.has_active_span().then(|| format(it.span().span_context())))
}

/// Whether what is to be done at this time (Unix milliseconds) is too far away to belong to the trace that asked for it.
#[must_use]
pub fn is_long_after(at_ms: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u128::try_from(at_ms).unwrap_or_default() > (now + LONGEST_WAIT).as_millis()
}

/// <https://www.w3.org/TR/trace-context/>, of which versions to come are read as this one.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = traceparent.split('-');
    let mut part = |length| parts.next().filter(|part| part.len() == length && is_hex(part));
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

fn format(of: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", of.trace_id(), of.span_id(), u8::from(of.is_sampled()))
}

#[cfg(any(test, feature = "conformance"))]
pub mod recorded {
    //! Records into memory, for tests. All tests of a process share what is recorded: each looks for its own traces.

    use std::sync::LazyLock;

    use opentelemetry::trace::TracerProvider;
    pub use opentelemetry_sdk::trace::SpanData;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::Recorder;

    static RECORDED: LazyLock<(SdkTracerProvider, InMemorySpanExporter)> = LazyLock::new(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Recorder { tracer: provider.tracer("test"), share: 0.0 }.install();
        (provider, exporter)
    });

    /// From now on traces that come in as sampled are recorded, and none that begin here.
    pub fn begin() {
        LazyLock::force(&RECORDED);
    }

    /// A `traceparent` of a trace that is no other test's, sampled.
    #[must_use]
    pub fn sampled() -> String {
        begin();
        let unrecorded = super::unrecorded();
        format!("{}01", &unrecorded[..unrecorded.len() - 2])
    }

    /// The spans of the trace of `traceparent` that have ended, in the order in which they did.
    ///
    /// # Panics
    /// Where a span could not be recorded.
    #[must_use]
    pub fn spans(traceparent: &str) -> Vec<SpanData> {
        let trace = super::parse(traceparent).expect("invariant: a test asks for a trace").trace_id();
        let all = RECORDED.1.get_finished_spans().expect("invariant: memory takes all spans");
        all.into_iter().filter(|span| span.span_context.trace_id() == trace).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn entry(incoming: Option<&str>) -> Entry {
        Entry::new(SpanKind::Server, incoming, Instant::now(), || ("entry".into(), Vec::new()))
    }

    fn parts(traceparent: &str) -> (TraceId, SpanId, bool) {
        let parsed = parse(traceparent).unwrap();
        (parsed.trace_id(), parsed.span_id(), parsed.is_sampled())
    }

    #[test]
    fn what_is_no_traceparent_is_not_read_as_one() {
        assert_eq!(format(&parse(SAMPLED).unwrap()), SAMPLED);
        assert_eq!(format(&parse(NOT_SAMPLED).unwrap()), NOT_SAMPLED);
        let newer = format!("01{}-more", &SAMPLED[2..]);
        assert_eq!(format(&parse(&newer).unwrap()), SAMPLED, "of a version to come the known part counts");
        let more = format!("{SAMPLED}-more");
        let (upper, zero) = (SAMPLED.to_uppercase(), SAMPLED.replace("b7ad6b7169203331", "0000000000000000"));
        for wrong in
            ["", "-", "00", &SAMPLED[1..], &SAMPLED[..54], &more, &upper, &zero, &SAMPLED.replacen("00", "ff", 1)]
        {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_trace_that_begins_here_has_the_standard_form_and_is_not_seen_twice() {
        recorded::begin();
        let (first, second) = (entry(None), entry(Some("no traceparent")));
        let ((trace, _, sampled), (other, ..)) = (parts(&first.traceparent), parts(&second.traceparent));
        assert!(!sampled && trace != other, "{}", first.traceparent);
        assert!(first.span.0.is_none(), "nobody records it");
    }

    #[test]
    fn a_trace_that_its_caller_does_not_record_is_carried_on_and_not_recorded() {
        recorded::begin();
        let entry = entry(Some(NOT_SAMPLED));
        assert_eq!(entry.traceparent, NOT_SAMPLED);
        let following = Span::following(&entry.traceparent, [], SpanKind::Consumer, || panic!("needless"));
        assert!(entry.span.0.is_none() && following.0.is_none());
    }

    #[tokio::test]
    async fn from_the_caller_to_the_last_part_there_is_one_tree() {
        let caller = recorded::sampled();
        let entry = entry(Some(&caller));
        entry.span.note("answer", 200);
        drop(entry.span);
        let following =
            Span::following(&entry.traceparent, [], SpanKind::Consumer, || ("following".into(), Vec::new()));
        let carried = following.around(async {
            tokio::task::yield_now().await;
            let part = Span::part(SpanKind::Client, || ("part".into(), vec![KeyValue::new("of", "it")]));
            part.fail("refused");
            part.around(async { traceparent().unwrap() }).await
        });
        let carried = carried.await;
        assert_eq!(traceparent(), None, "outside of the work there is no trace");

        let spans = recorded::spans(&caller);
        let [entered, part, followed] = spans.as_slice() else { panic!("{spans:?}") };
        let id = |span: &recorded::SpanData| span.span_context.span_id();
        assert_eq!((entered.parent_span_id, parts(&caller).0), (parts(&caller).1, entered.span_context.trace_id()));
        assert_eq!((followed.parent_span_id, part.parent_span_id), (id(entered), id(followed)));
        assert_eq!(parts(&carried), (parts(&caller).0, id(part), true));
        assert_eq!((entered.span_kind.clone(), followed.span_kind.clone()), (SpanKind::Server, SpanKind::Consumer));
        assert_eq!(entered.attributes, [KeyValue::new("answer", 200)]);
        assert_eq!(part.attributes, [KeyValue::new("of", "it"), KeyValue::new("error.type", "refused")]);
        assert!(matches!(part.status, Status::Error { .. }));
    }

    #[test]
    fn what_has_folded_into_one_work_is_linked() {
        let [parent, earlier] = [recorded::sampled(), recorded::sampled()];
        let links = [&*earlier, "nonsense"];
        drop(Span::following(&parent, links, SpanKind::Internal, || ("following".into(), Vec::new())));
        let spans = recorded::spans(&parent);
        let links: Vec<_> = spans[0].links.iter().map(|link| format(&link.span_context)).collect();
        assert_eq!(links, [earlier]);
    }

    #[test]
    fn what_lies_far_ahead_belongs_to_no_trace() {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!(!is_long_after(0) && !is_long_after(now_ms + 60_000));
        assert!(is_long_after(now_ms + 3_600_000));
    }
}
