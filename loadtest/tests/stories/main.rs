//! What people live through, told as stories with the real program.
#![allow(clippy::unwrap_used)]

mod answers;
mod buttons;
mod channels;
mod coming_in;
mod edge_cases;
mod fleet;
mod full_flow;
mod join_requests;
mod limits;
mod messages;
mod not_again;
mod odd;
mod operators;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod town;
mod varied;
mod waiting;
mod who_sends;
