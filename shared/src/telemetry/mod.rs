//! What the programs tell about themselves: log lines, metrics and the trace context that ties them to one update.

pub mod logs;
pub mod metrics;
pub mod trace;
