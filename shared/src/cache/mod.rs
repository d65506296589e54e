//! The cache in front of the database. It may acquit, never convict: it only ever says "this person may write here".
//!
//! An acquittal belongs to one version of the group's settings and carries the `order` of the facts that it was made from
//! (the person's revision in the database). It is written after the commit and never replaces a newer one; a newer
//! revocation stays as a mark, so that a late acquittal finds it.

pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, UserId};

/// The cache cannot be used now; the caller goes to the database.
#[derive(Debug, thiserror::Error)]
#[error("cache unavailable: {0}")]
pub struct CacheError(pub String);

/// What the database decided about a person in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The group.
    pub group: ChatId,
    /// The person.
    pub user: UserId,
    /// The person's revision that this was decided from; rises with every change.
    pub order: i64,
    /// The settings' version of the group that this was decided from.
    pub settings_version: i64,
    /// Whether the person may write there.
    pub acquitted: bool,
}

/// What the database knows about a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatVersion {
    /// The chat.
    pub chat: ChatId,
    /// Version of its settings; rises with every change, so that older acquittals no longer fit.
    pub settings_version: i64,
    /// Whether anything is enforced there. In a chat that is not protected everybody may write.
    pub protected: bool,
}

/// The port.
#[async_trait]
pub trait Cache: Send + Sync {
    /// For each pair whether the person is known to be free to write there: the chat is known not to be protected, or
    /// an acquittal of the chat's present settings version is known. One round trip for all pairs. Same length and
    /// order as `pairs`.
    ///
    /// # Errors
    /// [`CacheError`]: nobody is known.
    async fn acquitted(&self, bot: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError>;

    /// Remembers verdicts for `ttl` (±15 % jitter), except where one with a higher `order` is known, or with the same
    /// order and a higher settings version. Of two that are equal in both a revocation stays.
    /// A revocation (`acquitted == false`) is remembered as long, as a mark against late acquittals.
    ///
    /// # Errors
    /// [`CacheError`]: the update must not be acknowledged before this was tried again and succeeded, or the cache's
    /// lifetime bounds the harm.
    async fn remember(&self, bot: BotId, verdicts: &[Verdict], ttl: Duration) -> Result<(), CacheError>;

    /// Remembers a chat's version for `ttl` (±15 %), except where a higher one is known.
    ///
    /// # Errors
    /// [`CacheError`] as for [`remember`](Self::remember).
    async fn remember_chat(&self, bot: BotId, version: ChatVersion, ttl: Duration) -> Result<(), CacheError>;
}

/// `ttl` ± 15 %, so that what was remembered together does not expire together (E101).
fn jittered(ttl: Duration) -> Duration {
    ttl.mul_f64(rand::random_range(0.85..=1.15))
}
