//! What stands in for Telegram when Nezuko is tested, and what judges how Nezuko did.
//!
//! - [`world`]: a pure, deterministic model of Telegram: chats, people, who may what, the Bot API's answers, the updates.
//! - [`simulator`]: HTTP around the world: the Bot API and the webhook's delivery.
//! - [`generate`]: seeded scenarios of people's acts, and plain streams of updates.
//! - [`drive`]: plays a scenario against running programs.
//! - [`oracle`]: compares the world with what docs/product.md promises.
//! - [`replay`]: posts a stream of updates to a webhook, without a world behind it.
//! - [`fixtures`]: sends collected updates through the program `nezuko`.
//! - [`demo`]: all of it around the real programs, one process or a fleet.
//!
//! Nothing here uses Nezuko's own crates: a mistake in shared decoding must not be made twice and cancel out.

pub mod demo;
pub mod drive;
pub mod fixtures;
pub mod generate;
pub mod oracle;
pub mod replay;
pub mod simulator;
pub mod world;
