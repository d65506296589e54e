//! Log lines: to standard error, JSON for machines or text for people.
//!
//! Messages are lower case without a full stop and read alone; ids are fields (`bot_id`, `update_id`, `trace_id`). No
//! token, secret or text of a message is ever logged. How much is logged can be changed while the process runs.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, LevelFilter},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use super::reports::{PANICS, Reporter};
use crate::config::{LogFormat, Settings};

/// What a filter looks like.
pub const FORM: &str = "error, warn, info, debug, trace, off, or filters by module such as info,nezuko_gateway=debug";

/// What decides which lines are written, and how it was put.
struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    directives: Mutex<String>,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

/// Sends all further log lines of the process to standard error, and errors to `reporter`, whichever lines are written.
///
/// # Panics
/// Where the process has set up its log lines already.
pub(super) fn init(settings: &Settings, reporter: Option<Reporter>) {
    let filter = filter(&settings.log_level).expect("invariant: the settings hold a filter that was read before");
    let (filter, handle) = reload::Layer::new(with_panics(filter));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let reporter = reporter.with_filter(LevelFilter::ERROR);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(reporter).init();
    drop(FILTER.set(Filter { handle, directives: Mutex::new(settings.log_level.clone()) }));
}

/// Nobody who wants to see less wants to miss why a program ended.
fn with_panics(filter: EnvFilter) -> EnvFilter {
    let directive: Directive = format!("{PANICS}=error").parse().expect("invariant: a module and a level");
    filter.add_directive(directive)
}

/// Reads a filter. Unlike `EnvFilter` it takes a lone word for a level and not for a module, of which nothing but a slip of
/// the pen can be meant.
#[must_use]
pub fn filter(directives: &str) -> Option<EnvFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_one = |directive: &str| match directive.rsplit_once('=') {
        Some((of, level)) => !of.is_empty() && LEVELS.contains(&level.to_ascii_lowercase().as_str()),
        None => LEVELS.contains(&directive.to_ascii_lowercase().as_str()),
    };
    directives.split(',').all(is_one).then(|| EnvFilter::try_new(directives).ok()).flatten()
}

/// What is logged now; `None` before anything is.
#[must_use]
pub fn level() -> Option<String> {
    FILTER.get().map(|filter| filter.directives.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Logs by another filter from now on, until the next change or the end of the process. Returns whether it did: not where
/// `directives` is none (see [`FORM`]).
pub fn set_level(directives: &str) -> bool {
    let (Some(new), Some(filter)) = (filter(directives), FILTER.get()) else { return false };
    let mut current = filter.directives.lock().unwrap_or_else(PoisonError::into_inner);
    // Said under the old filter and under the new one, whichever lets it through.
    tracing::warn!(from = *current, to = directives, "what is logged changes");
    let changed = filter.handle.reload(with_panics(new)).is_ok();
    if changed {
        directives.clone_into(&mut current);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_slip_of_the_pen_is_no_filter() {
        for right in ["info", "DEBUG", "off", "info,nezuko_worker=debug", "nezuko_worker::send=trace"] {
            assert!(filter(right).is_some(), "{right}");
        }
        for wrong in [
            "",
            "inof",
            "info,",
            "info debug",
            "warn, sqlx=info",
            "nezuko_worker",
            "nezuko_worker=loud",
            "=debug",
            "info;debug",
        ] {
            assert!(filter(wrong).is_none(), "{wrong}");
        }
    }
}
