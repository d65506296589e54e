//! Seeded bugs that the oracle must catch: compiled in only with the feature `planted-bugs`, which nothing but the tests
//! turns on, and chosen there by `NEZUKO_PLANTED_BUG`. Without the feature every function here is the identity.

use crate::policy::{Decision, Verdict};

/// One seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// One update in 1,000 is acknowledged and forgotten.
    DropUpdates,
    /// Updates are acknowledged before their transaction, and the process dies now and then in between.
    AckBeforeCommit,
    /// Who is unknown is muted.
    MuteUnknown,
    /// Leaving a channel changes nothing.
    IgnoreChannelLeave,
    /// Joining a channel changes nothing.
    IgnoreChannelJoin,
    /// The event that arrives last wins, not the newest.
    OlderEventWins,
    /// A press frees the person who waits longest, not the presser.
    PresserIgnored,
    /// Administrators are muted like everybody else.
    MuteAdmins,
    /// Mutes by admins are taken for ours.
    LedgerIgnored,
    /// Each prompt is sent twice.
    PromptTwice,
    /// `/unprotect` frees nobody.
    UnprotectLeavesMutes,
}

#[cfg(feature = "planted-bugs")]
fn planted() -> Option<Bug> {
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
    *PLANTED.get_or_init(|| {
        Some(match std::env::var("NEZUKO_PLANTED_BUG").ok()?.as_str() {
            "drop-updates" => Bug::DropUpdates,
            "ack-before-commit" => Bug::AckBeforeCommit,
            "mute-unknown" => Bug::MuteUnknown,
            "ignore-channel-leave" => Bug::IgnoreChannelLeave,
            "ignore-channel-join" => Bug::IgnoreChannelJoin,
            "older-event-wins" => Bug::OlderEventWins,
            "presser-ignored" => Bug::PresserIgnored,
            "mute-admins" => Bug::MuteAdmins,
            "ledger-ignored" => Bug::LedgerIgnored,
            "prompt-twice" => Bug::PromptTwice,
            "unprotect-leaves-mutes" => Bug::UnprotectLeavesMutes,
            _ => return None,
        })
    })
}

#[cfg(not(feature = "planted-bugs"))]
const fn planted() -> Option<Bug> {
    None
}

/// Whether this bug is planted.
#[must_use]
pub fn has(bug: Bug) -> bool {
    planted() == Some(bug)
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
