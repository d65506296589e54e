//! Errors and panics to Sentry, without a word about people.
//!
//! A report says what failed, where in the code, and the trace by which the log lines are found that say the rest. Fields
//! that name a chat or a person are left out; of errors that others have worded, whatever could be a name, an id, a text or
//! a secret is. The literal message of a log line holds none of them.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::{self, Write as _},
    panic::{self, PanicHookInfo},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::http::header::RETRY_AFTER;
use prometheus_client::metrics::counter::Counter;
use sentry::{
    Client, ClientOptions, Envelope, Level, Transport, TransportFactory, TransportOptions,
    protocol::{Event, Exception},
    types::Dsn,
};
use tracing::{
    Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    Program,
    outbox::{Outbox, Size},
    trace,
};
use crate::config::{Secret, Settings};

/// The target of log lines about panics.
pub(super) const PANICS: &str = "nezuko_shared::panics";
/// More errors than this at once say nothing new.
const SIZE: Size = Size { queue: 64, batch: 1, gather: Duration::ZERO };
const DELIVERY: Duration = Duration::from_secs(5);
/// Without a word of Sentry about how long it wants to be left alone.
const LEAVE_ALONE: Duration = Duration::from_secs(60);
/// The longest text that is sent.
const LONGEST: usize = 300;

/// Fields whose values the code chooses, and numbers that name no person.
const HARMLESS: [&str; 12] = [
    "attempts",
    "bot_id",
    "class",
    "dependency",
    "kind",
    "lane",
    "method",
    "task",
    "trace_id",
    "tries",
    "update_id",
    "what",
];
/// Fields that hold what others have worded.
const WORDED: [&str; 4] = ["detail", "error", "failed", "reason"];

/// Sends reports. Clones are one.
#[derive(Clone)]
pub(super) struct Reporter {
    client: Arc<Client>,
    outbox: Arc<Outbox<Envelope>>,
    program: &'static str,
    /// Where the process has one only.
    bot: Option<i64>,
}

struct ToOutbox(Arc<Outbox<Envelope>>);

impl Transport for ToOutbox {
    fn send_envelope(&self, envelope: Envelope) {
        self.0.put(envelope);
    }
}

impl TransportFactory for ToOutbox {
    fn create_transport_with_options(&self, _: TransportOptions) -> Arc<dyn Transport> {
        Arc::new(Self(self.0.clone()))
    }
}

impl Reporter {
    /// Reports to the project of `dsn`. To be called outside of a Tokio runtime.
    ///
    /// # Errors
    /// Where no HTTP client or no thread can be had.
    pub(super) fn start(settings: &Settings, dsn: &Secret, program: Program, dropped: Counter) -> anyhow::Result<Self> {
        let dsn: Dsn = dsn.expose().parse().expect("invariant: the settings hold an address that Sentry gave");
        let outbox = Arc::new(Outbox::start("errors", SIZE, dropped, deliver_to(&dsn)?)?);
        let mut options = ClientOptions::new()
            .default_integrations(false)
            .release(program.revision)
            .environment(settings.environment.clone())
            .server_name(settings.worker_name.clone())
            .transport(ToOutbox(outbox.clone()));
        options.dsn = Some(dsn);
        let bot = if let [bot] = settings.bots.as_slice() { Some(bot.id.0) } else { None };
        let reporter = Self { client: Arc::new(Client::with_options(options)), outbox, program: program.name, bot };
        Ok(reporter)
    }

    /// Where reports wait.
    pub(super) fn outbox(&self) -> Arc<Outbox<Envelope>> {
        self.outbox.clone()
    }

    fn send(&self, mut event: Event<'static>) {
        event.level = Level::Error;
        event.tags.insert("program".to_owned(), self.program.to_owned());
        if let Some(bot) = self.bot {
            event.tags.entry("bot_id".to_owned()).or_insert_with(|| bot.to_string());
        }
        self.client.capture_event(event, None);
    }
}

/// Log lines of the level `error` become reports.
impl<S: Subscriber> Layer<S> for Reporter {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let of = event.metadata();
        if *of.level() != tracing::Level::ERROR || of.target() == PANICS {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let place = |file| format!("{file}:{}", of.line().unwrap_or_default());
        self.send(Event {
            logger: Some(of.target().to_owned()),
            culprit: of.file().map(place),
            message: Some(fields.message),
            tags: fields.tags.into_iter().collect(),
            extra: fields.worded.into_iter().map(|(name, text)| (name, text.into())).collect(),
            ..Event::default()
        });
    }
}

/// Of a log line's fields, what may be sent.
#[derive(Default)]
struct Fields {
    message: String,
    tags: Vec<(String, String)>,
    worded: Vec<(String, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let (name, value) = (field.name(), format!("{value:?}"));
        if name == "message" {
            self.message = value;
        } else if HARMLESS.contains(&name) {
            self.tags.push((name.to_owned(), value));
        } else if WORDED.contains(&name) {
            self.worded.push((name.to_owned(), impersonal(&value)));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Has panics logged like any other error, and reported where there is a reporter. The text of a panic may be made from
/// anything: quoted names, texts and numbers are left out of it.
pub(super) fn tell_panics(reporter: Option<Reporter>) {
    panic::set_hook(Box::new(move |info| {
        reporter.iter().for_each(|reporter| reporter.send(of_panic(info)));
        let said = info.payload_as_str().map(impersonal).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(target: PANICS, place = place(info), said, backtrace, trace_id = trace::id(), "panicked");
    }));
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(String::new, |at| format!("{}:{}:{}", at.file(), at.line(), at.column()))
}

/// A panic says where it happened. What it says beside that may be made from anything, but for what the code swears by.
fn of_panic(info: &PanicHookInfo<'_>) -> Event<'static> {
    let sworn = info.payload_as_str().filter(|text| text.starts_with("invariant: "));
    let text = sworn.map(|text| text.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": "));
    let place = place(info);
    let exception = Exception {
        ty: format!("panic at {place}"),
        value: Some(text.unwrap_or_else(|| "the log line of the panic says why".to_owned())),
        ..Exception::default()
    };
    Event { culprit: Some(place), exception: vec![exception].into(), ..Event::default() }
}

/// `text` without what is quoted in it, and without words that hold a long number, an address, another script or a secret.
fn impersonal(text: &str) -> String {
    let unquoted = ['"', '`'].into_iter().fold(text.replace(" '", " \"").replace("' ", "\" "), |text, quote| {
        let outside = |(nth, part): (usize, &str)| if nth % 2 == 0 { part.to_owned() } else { "…".to_owned() };
        text.split(quote).enumerate().map(outside).collect()
    });
    let mut kept = String::new();
    for word in unquoted.split_whitespace() {
        let digits = word.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default();
        let is_ascii = word.split('…').all(str::is_ascii);
        let harmless = digits < 5 && word.len() <= 40 && is_ascii && !word.contains('@');
        let word = if harmless { word } else { "…" };
        if kept.len() + word.len() > LONGEST {
            break;
        }
        let space = if kept.is_empty() { "" } else { " " };
        write!(kept, "{space}{word}").expect("invariant: a String takes all");
    }
    kept
}

/// What posts one envelope. Sentry is left alone for as long as it asks for.
fn deliver_to(dsn: &Dsn) -> anyhow::Result<impl FnMut(Vec<Envelope>) -> bool + Send + 'static> {
    let http = reqwest::blocking::Client::builder()
        .timeout(DELIVERY)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("no HTTP client for Sentry can be built")?;
    let (url, auth) = (dsn.envelope_api_url(), dsn.to_auth(Some("nezuko")).to_string());
    let mut left_alone_until = None;
    Ok(move |envelopes: Vec<Envelope>| {
        if left_alone_until.is_some_and(|until| until > Instant::now()) {
            return false;
        }
        let mut body = Vec::new();
        let written = envelopes.iter().all(|envelope| envelope.to_writer(&mut body).is_ok());
        let request = http.post(url.clone()).header("X-Sentry-Auth", &auth).body(body);
        let Some(answer) = written.then(|| request.send().ok()).flatten() else { return false };
        if answer.status().as_u16() == 429 {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            left_alone_until = Some(Instant::now() + seconds.map_or(LEAVE_ALONE, Duration::from_secs));
        }
        answer.status().is_success()
    })
}

#[cfg(test)]
mod tests {
    use super::impersonal;

    #[test]
    fn of_what_others_have_worded_nothing_is_kept_that_could_be_about_somebody() {
        for (worded, kept) in [
            ("connection refused (os error 111)", "connection refused (os error 111)"),
            ("Bad Request: can't parse entities", "Bad Request: can't parse entities"),
            (r#"invalid type: string "Anna Schmidt", expected i64"#, "invalid type: string …, expected i64"),
            ("byte index 1 is not a char boundary of `Зоя Ivanova`", "byte index 1 is not a char boundary of …"),
            ("unknown person 'Anna Schmidt' in chat -1001234567890", "unknown person … in chat …"),
            ("a text that ends \"in the middle", "a text that ends …"),
            ("https://api.telegram.org/bot12345678:AAHsecret/sendMessage failed", "… failed"),
            ("postgres://somebody:secret@host/name is away", "… is away"),
            ("ask @anna or Зоя", "ask … or …"),
            ("supercalifragilisticexpialidocious-and-more-of-it", "…"),
        ] {
            assert_eq!(impersonal(worded), kept);
        }
        assert!(impersonal(&"word ".repeat(1_000)).len() <= super::LONGEST);
    }
}
