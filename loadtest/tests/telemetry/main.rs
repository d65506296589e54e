//! What a fleet tells about itself: traces, reports of errors, what it logs, how much waits.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod operations;
mod town;
mod traces;

use tokio::sync::Mutex;

/// One fleet at a time: two would be too slow for each other's deadlines on two cores.
static TURN: Mutex<()> = Mutex::const_new(());
