//! How a person's registers are read: event and lookup merged into where they stand and what limits them.

use nezuko_telegram::{Limits, Standing};

use super::{Act, CLOCK_SKEW_MS, Change, Event, LOOKUP_CACHE_MS, Lookup, Mark, Member};
use crate::planted::{self, Bug};

/// Where a chat's events do not reach us, a membership that was looked up is good for so long.
const UNWATCHED_MEMBER_MS: i64 = 600_000;

/// Where a chat's events do not reach us, a missing membership that was looked up is good for so long.
const UNWATCHED_STRANGER_MS: i64 = 60_000;

/// Since when a chat's events reach us (Unix seconds); `None` where they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched(pub Option<i64>);

/// Somebody's standing as merged from event and lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where they stand.
    pub standing: Standing,
    /// The event that says so; `None` where a lookup alone does.
    pub event: Option<Event>,
    /// When to look again, because the lookup may have come from Telegram's cache (Unix milliseconds).
    pub ask_again_ms: Option<i64>,
}

/// Somebody's limits as merged from event and lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What limits them; [`Limits::Free`] where it has expired.
    pub limits: Limits,
    /// Whether it is ours to lift: an event or a lookup has shown it to be our mute, or what we have put back although nobody
    /// imposes it any more (an admin's act and ours crossed).
    pub ours: bool,
}

impl Member {
    /// Where they stand at `now_ms`, if that is known.
    ///
    /// The event wins unless the lookup was asked more than 60 s after it.
    #[must_use]
    pub fn standing(&self, watched: Watched, now_ms: i64) -> Option<Seen> {
        let since = if planted::has(Bug::WatchedSinceIgnored) { watched.0.map(|_| 0) } else { watched.0 };
        let cache_ms = if planted::has(Bug::OneRegister) { 0 } else { LOOKUP_CACHE_MS };
        let Some(since) = since else {
            let lookup = self.lookup?;
            let good_for = if lookup.standing.is_in() { UNWATCHED_MEMBER_MS } else { UNWATCHED_STRANGER_MS };
            // Spread, or many that were looked up together would be looked up together again.
            let percent = 85 + lookup.asked_ms.rem_euclid(31);
            let fresh = now_ms < lookup.asked_ms + good_for / 100 * percent;
            return fresh.then_some(Seen { standing: lookup.standing, event: None, ask_again_ms: None });
        };
        // An event of that very second may be from before it, and another have followed that nobody told us of.
        let event = self.event.filter(|event| event.order.date > since);
        let lookup = self.lookup.filter(|lookup| lookup.asked_ms >= since * 1000);
        match (event, lookup) {
            (None, None) => None,
            (None, Some(lookup)) => {
                let settled = since * 1000 + LOOKUP_CACHE_MS;
                let ask_again_ms = (lookup.asked_ms <= settled).then_some(settled + 1_000);
                Some(Seen { standing: lookup.standing, event: None, ask_again_ms })
            }
            (Some(event), Some(lookup)) if lookup.asked_ms > event.order.ms() + cache_ms => {
                // Where the lookup shows what the event told, that is how they came to stand there.
                let event = Some(event).filter(|event| event.standing == lookup.standing);
                Some(Seen { standing: lookup.standing, event, ask_again_ms: None })
            }
            (Some(event), lookup) => {
                let contradicted = lookup.is_some_and(|lookup| {
                    lookup.asked_ms > event.order.ms() + CLOCK_SKEW_MS && !agree(lookup.standing, event.standing)
                });
                let ask_again_ms = contradicted.then_some(event.order.ms() + LOOKUP_CACHE_MS + 1_000);
                Some(Seen { standing: event.standing, event: Some(event), ask_again_ms })
            }
        }
    }

    /// Whether they were in when they were last heard of, also if that was before the chat's events reached us.
    #[must_use]
    pub fn was_in(&self, now_ms: i64) -> bool {
        self.standing(Watched(Some(0)), now_ms).is_some_and(|seen| seen.standing.is_in())
    }

    /// What limits them at `now_ms`; free where nothing is known.
    #[must_use]
    pub fn limits(&self, mark: Mark, now_ms: i64) -> Now {
        let event_ms = self.event.map_or(0, |event| event.order.ms());
        let released = |change: Change| change.limits == Limits::Free;
        let was_released = self.change.is_some_and(|c| released(c) && self.event.is_some_and(|e| e.order == c.order));
        let muted_since = self.call.is_some_and(|call| call.act == Act::Mute && call.at_ms > event_ms);
        let by_lookup = |lookup: Lookup| {
            // A lookup that shows our mute is younger than an event from before that mute went out. After a release, also one
            // by an administrator, it may show the mute from before it.
            let shows_later_mute = mark.is_on(lookup.limits)
                && lookup.asked_ms > event_ms + CLOCK_SKEW_MS
                && (!was_released || muted_since);
            lookup.asked_ms > event_ms + LOOKUP_CACHE_MS || shows_later_mute
        };
        let limits = match (self.event, self.lookup) {
            (_, Some(lookup)) if by_lookup(lookup) => lookup.limits,
            (Some(event), _) => event.limits,
            (None, Some(lookup)) => lookup.limits,
            (None, None) => Limits::Free,
        };
        if !limits.restricts_at(now_ms / 1000) {
            return Now { limits: Limits::Free, ours: false };
        }
        let imposed = self.imposed(mark, now_ms).is_some();
        // A call that was held up for long may have put back for ever what was to end soon (E47): its echo says that it is ours.
        let echoed = self.change.is_some_and(|change| change.by_us && change.limits == limits);
        let put_back = (echoed || self.restored == Some(limits)) && !planted::has(Bug::RestoredIsTheirs);
        let left_over = (put_back || self.is_our_ban(limits)) && !imposed;
        Now { limits, ours: mark.is_on(limits) || left_over }
    }
}

fn agree(a: Standing, b: Standing) -> bool {
    a.is_in() == b.is_in() && a.is_admin() == b.is_admin()
}
