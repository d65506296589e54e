//! The worker: turns updates into facts, decides by a pure policy, and carries out what follows.
//!
//! The way of an update: `consume` reads it from the queue, `handle` takes it in as facts (`facts`) in one transaction of
//! the `store`, in which `reconcile` asks the `policy` what is to hold and writes `intent`s; `send` carries those out at
//! Telegram.

pub mod admission;
pub mod attempts;
pub mod buttons;
pub mod clock;
mod commands;
pub mod consume;
pub mod earlier;
mod essential;
pub mod facts;
pub mod handle;
pub mod intent;
mod lanes;
mod menus;
pub mod operate;
pub mod outage;
mod panel;
pub mod planted;
pub mod policy;
pub mod reconcile;
pub mod rights;
pub mod run;
pub mod send;
pub mod settings;
pub mod store;
mod texts;
pub mod upgrade;
pub mod wake;
