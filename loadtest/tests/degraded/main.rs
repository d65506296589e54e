//! Every way in which a server can be away, there and back, with the real programs and servers: how soon it is noticed, what
//! Telegram hears meanwhile, how soon all is well again, and that nothing is lost and nobody punished wrongly.
#![allow(clippy::unwrap_used)]

mod postgres;
mod redis;
#[path = "../support/mod.rs"]
mod support;
mod telegram;
mod town;
