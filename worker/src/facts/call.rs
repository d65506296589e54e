//! Calls of ours about somebody's limits: `ok` is no proof, so each is kept until an event or a lookup has shown what came of
//! it.

use nezuko_telegram::Limits;
use serde::{Deserialize, Serialize};

use super::{LOOKUP_CACHE_MS, Mark, Member};

/// A call of unknown outcome, of a sender that died say, may be half a minute on its way and hidden by Telegram's cache for
/// a minute.
const LANDS_WITHIN_MS: i64 = 30_000 + LOOKUP_CACHE_MS;

/// Without an echo for so long, a lookup asks what came of a call.
pub const CONFIRM_AFTER_MS: i64 = 5_000;

/// A call of ours about somebody's limits, until an event or a lookup has shown what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// What we asked for.
    pub act: Act,
    /// When it went out at the earliest, Unix milliseconds.
    pub at_ms: i64,
    /// Whether Telegram said `ok`.
    pub answered: bool,
    /// Whether a lookup has shown what came of it: it stands in the way of no other then, and is kept only because
    /// something may still land late.
    #[serde(default)]
    pub shown: bool,
    /// Until when a call before this one, whose outcome nobody knew, may still land, or what was seen of this one may come
    /// from Telegram's cache (Unix milliseconds).
    #[serde(default)]
    pub earlier_until_ms: i64,
}

impl Call {
    /// A call that goes out now, after `earlier`.
    #[must_use]
    pub fn new(act: Act, at_ms: i64, earlier: Option<Self>) -> Self {
        let earlier_until_ms = earlier.map_or(0, Self::hidden_until_ms);
        Self { act, at_ms, answered: false, shown: false, earlier_until_ms }
    }

    /// Until when it cannot be told what came of this call or one before it, if nothing has shown it yet (Unix
    /// milliseconds).
    fn hidden_until_ms(self) -> i64 {
        let itself = if self.shown { 0 } else { self.at_ms + LOOKUP_CACHE_MS };
        itself.max(self.lands_until_ms())
    }

    /// Until when this call or one before it may land (Unix milliseconds).
    fn lands_until_ms(self) -> i64 {
        let itself = if self.answered { 0 } else { self.at_ms + LANDS_WITHIN_MS };
        itself.max(self.earlier_until_ms)
    }
}

/// What we do to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Take every right to write.
    Mute,
    /// Give all rights back.
    Release,
    /// Put back what somebody else had imposed, and our mute crossed or covered.
    Restore,
    /// Remove, so that they may come back at once.
    Kick,
    /// Ban for a while.
    Ban,
}

impl Act {
    /// Whether it takes back what we have done.
    #[must_use]
    pub const fn undoes(self) -> bool {
        matches!(self, Self::Release | Self::Restore)
    }
}

impl Member {
    /// Takes in what a lookup that was asked for at `asked_ms` shows of the call.
    pub(super) fn look_into_call(&mut self, asked_ms: i64, limits: Limits, mark: Mark) {
        let Some(call) = self.call else { return };
        let shows_effect = self.shows(call.act, limits, mark);
        // Our until_date cannot be seen before our mute landed; the absence of a mute may come from Telegram's cache. But
        // the call stays open until the lookup is believed over the newest event, or nobody would ask again.
        let proves = call.act == Act::Mute && asked_ms >= call.at_ms && mark.is_on(self.limits(mark, asked_ms).limits);
        // Where Telegram said ok and the limits are gone, an admin has lifted them more likely than Telegram has not acted,
        // and their event is on its way: only a call of unknown outcome is disproved so soon.
        let is_gone = call.act == Act::Mute || (call.act == Act::Restore && limits == Limits::Free);
        let may_be_lifted = is_gone && call.answered;
        let disproves = !shows_effect && !may_be_lifted && asked_ms >= call.at_ms + CONFIRM_AFTER_MS - 1_000;
        if call.shown || proves || disproves || asked_ms >= call.at_ms + LOOKUP_CACHE_MS {
            // What proves or disproves it may be older than the call: it is asked once more when that cannot be.
            let cached_until_ms = if proves || disproves { call.at_ms + LOOKUP_CACHE_MS } else { 0 };
            let call = Call { shown: true, earlier_until_ms: call.earlier_until_ms.max(cached_until_ms), ..call };
            self.call = Some(call).filter(|call| asked_ms < call.lands_until_ms());
        }
    }

    /// Takes in that the call that went out last has not been carried out, and never will be.
    pub fn call_failed(&mut self, now_ms: i64) {
        self.call = self.call.filter(|call| call.earlier_until_ms > now_ms);
        if let Some(call) = &mut self.call {
            (call.shown, call.answered) = (true, true);
        }
    }

    /// The call of which nothing has shown yet what came of it.
    #[must_use]
    pub fn open_call(&self) -> Option<Call> {
        self.call.filter(|call| !call.shown)
    }

    /// An echo of ours ends the call that it answers.
    pub(super) fn confirm(&mut self, shown_ms: i64, limits: Limits, mark: Mark) {
        if self.call.is_some_and(|call| shown_ms >= call.at_ms && self.shows(call.act, limits, mark)) {
            self.call = None;
        }
    }

    /// Whether `limits` are what comes of `act`.
    fn shows(&self, act: Act, limits: Limits, mark: Mark) -> bool {
        match act {
            Act::Mute => mark.is_on(limits),
            Act::Restore if limits == Limits::Free => matches!(self.restored, None | Some(Limits::Free)),
            Act::Release | Act::Restore => !mark.is_on(limits) && !self.is_our_ban(limits),
            Act::Kick | Act::Ban => self.is_our_ban(limits),
        }
    }

    pub(super) fn is_our_ban(&self, limits: Limits) -> bool {
        self.ban.is_some_and(|ban| limits == Limits::Banned { until: ban.until })
    }

    /// When the outstanding call is to be looked into, because no echo came (Unix milliseconds).
    #[must_use]
    pub fn confirm_at_ms(&self) -> Option<i64> {
        let call = self.call?;
        let asked = self.lookup.map_or(i64::MIN, |l| l.asked_ms);
        let first = call.at_ms + CONFIRM_AFTER_MS;
        if call.shown {
            return Some(call.lands_until_ms() + 1_000);
        }
        Some(if asked < first - 1_000 { first } else { call.at_ms + LOOKUP_CACHE_MS + 1_000 })
    }
}
