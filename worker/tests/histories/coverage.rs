//! How often what was exercised: counted by each thread for itself and added up.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
};

use crate::plan::Doing;

type Key = (&'static str, &'static str, &'static str);

thread_local! {
    static COUNTS: RefCell<HashMap<Key, u64>> = RefCell::default();
}

/// Counts one of `kind`: what, and what came of it.
pub(crate) fn count(kind: &'static str, what: &'static str, of_it: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry((kind, what, of_it)).or_default() += 1);
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage(BTreeMap<Key, u64>);

impl Coverage {
    /// Takes what this thread has counted.
    pub(crate) fn take() -> Self {
        Self(COUNTS.take().into_iter().collect())
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (key, counted) in other.0 {
            *self.0.entry(key).or_default() += counted;
        }
    }
}

impl Doing {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Joins(..) => "joins",
            Self::Leaves(..) => "leaves",
            Self::Writes(_) => "writes",
            Self::Presses(_) => "presses",
            Self::IsMuted(..) => "is muted",
            Self::IsUnmuted(_) => "is unmuted",
            Self::IsBanned(_) => "is banned",
            Self::IsUnbanned(_) => "is unbanned",
            Self::IsPromoted(_) => "is promoted",
            Self::IsDemoted(_) => "is demoted",
            Self::BotLosesRights(_) => "the bot loses rights",
            Self::BotRegainsRights(_) => "the bot regains rights",
            Self::AsksForHelp => "/help",
            Self::Protects => "/protect",
            Self::Unprotects => "/unprotect",
            Self::Upgrades => "upgrades",
            Self::Poison(_) => "poison",
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((kind, what, of_it), counted) in &self.0 {
            if *kind != last {
                writeln!(f, "  {kind}")?;
                last = kind;
            }
            writeln!(f, "    {counted:>12} {what} {of_it}")?;
        }
        Ok(())
    }
}
