//! Seeded bugs that the tests must catch: compiled in only with the feature `planted-bugs`, which nothing but the tests
//! turns on. Programs under test choose one by `NEZUKO_PLANTED_BUG`, tests in the same process by `plant`. Without the
//! feature every question here is answered `false` at compile time.

use crate::policy::{Decision, Verdict};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// One seeded bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        #[cfg(feature = "planted-bugs")]
        impl Bug {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$bug),)*
                    _ => None,
                }
            }
        }
    };
}

bugs! {
    /// One update in 1,000 is acknowledged and forgotten.
    DropUpdates = "drop-updates",
    /// One update in 1,000 ends the process.
    DieOfUpdates = "die-of-updates",
    /// An edited message ends its handler, with all that is in it.
    PanicOfEdits = "panic-of-edits",
    /// Updates are acknowledged before their transaction.
    AckBeforeCommit = "ack-before-commit",
    /// Who is unknown is muted.
    MuteUnknown = "mute-unknown",
    /// Leaving a channel changes nothing.
    IgnoreChannelLeave = "ignore-channel-leave",
    /// Joining a channel changes nothing.
    IgnoreChannelJoin = "ignore-channel-join",
    /// The event that arrives last wins, not the newest.
    OlderEventWins = "older-event-wins",
    /// A press frees the person who waits longest, not the presser.
    PresserIgnored = "presser-ignored",
    /// Administrators are muted like everybody else.
    MuteAdmins = "mute-admins",
    /// Mutes by admins are taken for ours.
    LedgerIgnored = "ledger-ignored",
    /// Each prompt is sent twice.
    PromptTwice = "prompt-twice",
    /// `/unprotect` frees nobody.
    UnprotectLeavesMutes = "unprotect-leaves-mutes",
    /// Events and lookups share one register: whichever is younger wins.
    OneRegister = "one-register",
    /// Who leaves or comes back becomes the author of their limits.
    AuthorInPresence = "author-in-presence",
    /// Our own echo is taken in, but nobody is decided again.
    NothingAtEcho = "nothing-at-echo",
    /// A result ends whatever generation there is.
    ResultEndsNewer = "result-ends-newer",
    /// Effects leave no tombstone.
    NoTombstones = "no-tombstones",
    /// A claim never runs out.
    ClaimForEver = "claim-for-ever",
    /// Facts from before the bot watched the chat count.
    WatchedSinceIgnored = "watched-since-ignored",
    /// Telegram's `ok` is taken for proof.
    OkIsProof = "ok-is-proof",
    /// A setting that arrives last wins, not the newest.
    SettingByArrival = "setting-by-arrival",
    /// A press is answered from what was known before it.
    PressNotFresh = "press-not-fresh",
    /// Whom an admin has freed is muted again.
    AdminsLeaveIgnored = "admins-leave-ignored",
    /// What we have crossed is not put back.
    CrossingIgnored = "crossing-ignored",
    /// What we have put back counts as an admin's, whatever they did in the same moment.
    RestoredIsTheirs = "restored-is-theirs",
    /// Facts are read as they were before the person's lock was waited for.
    LockWithRead = "lock-with-read",
    /// A person's transaction locks the person and none of the chats that it reads.
    ChatsNotLocked = "chats-not-locked",
    /// How often an entry was delivered counts as how often it failed.
    DeliveriesAreAttempts = "deliveries-are-attempts",
    /// A dead letter is added before its entry is acknowledged, by two commands.
    DeadLetterFirst = "dead-letter-first",
    /// What the cache is told last it keeps, not what is newest.
    CacheByArrival = "cache-by-arrival",
    /// What is sent once is sent by whoever has claimed it, however long ago.
    StaleClaimSends = "stale-claim-sends",
    /// Who waits for too long is removed before the time is over.
    RemovesTooSoon = "removes-too-soon",
    /// Who waits for too long is removed without having been looked up just before.
    RemovesUnsure = "removes-unsure",
    /// Who waits for too long is removed although nobody has warned them.
    RemovesUnwarned = "removes-unwarned",
    /// Who has left a channel may write for no longer than anybody else.
    GraceIgnored = "grace-ignored",
    /// A dry run is none.
    DryRunActs = "dry-run-acts",
    /// The length of a ban is taken for something else than seconds, and Telegram takes its end for "never".
    BanForEver = "ban-for-ever",
}

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::{cell::Cell, sync::OnceLock};

    use super::Bug;

    thread_local! {
        static HERE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug into this thread (`None`: into nothing).
    pub fn plant(bug: Option<Bug>) {
        HERE.set(bug);
    }

    pub(super) fn planted() -> Option<Bug> {
        static OF_PROCESS: OnceLock<Option<Bug>> = OnceLock::new();
        let of_process = || OF_PROCESS.get_or_init(|| Bug::named(&std::env::var("NEZUKO_PLANTED_BUG").ok()?));
        HERE.get().or_else(|| *of_process())
    }
}

#[cfg(feature = "planted-bugs")]
pub use chosen::plant;

/// Whether this bug is planted.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn has(bug: Bug) -> bool {
    chosen::planted() == Some(bug)
}

/// Whether this bug is planted: never.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn has(_: Bug) -> bool {
    false
}

/// The verdict, spoiled where a bug about deciding is planted.
#[must_use]
pub fn verdict(verdict: Verdict) -> Verdict {
    match verdict.decision {
        Decision::Unknown if has(Bug::MuteUnknown) => {
            Verdict { decision: Decision::Restricted { missing: Vec::new() }, ask: verdict.ask }
        }
        _ => verdict,
    }
}
