//! What the programs of Nezuko share: configuration, telemetry, the envelope of an update and the ports to the outside
//! (queue, cache, limiter) with their adapters. The store's port lives with the facts that it keeps, in the worker.

pub mod bot_api;
pub mod breaker;
pub mod cache;
pub mod clock;
pub mod clock_skew;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod database;
pub mod envelope;
pub mod examine;
pub mod keys;
pub mod limiter;
pub mod ops;
pub mod program;
pub mod queue;
pub mod redis_pool;
pub mod shutdown;
pub mod telemetry;
