//! Log lines: to standard error, JSON for machines or text for people.
//!
//! Messages are lower case without a full stop and read alone; ids are fields (`bot_id`, `update_id`, `trace_id`). No
//! token, secret or text of a message is ever logged.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Sends all further log lines of the process to standard error.
///
/// # Panics
/// Where the process has set up its log lines already.
pub fn init(settings: &Settings) {
    let filter = EnvFilter::new(&settings.log_level);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => lines.init(),
    }
}
