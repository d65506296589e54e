//! Facts: what Telegram told us, kept as last-writer-wins registers.
//!
//! Applying a fact twice, late or out of order changes nothing, because every register keeps the newest by an order that
//! comes from Telegram (`date`, then `update_id`) or, for lookups, from the time of asking. Events and lookups are two
//! registers, each ordered only within its kind; reading merges them.

mod call;
mod chat;
mod mark;
mod reading;
mod setting;

use nezuko_shared::clock_skew::TOLERANCE;
use nezuko_telegram::{BotId, ChatId, ChatMember, ChatMemberUpdated, Limits, Standing, UpdateId, UserId};
use serde::{Deserialize, Serialize};

pub use self::{
    call::{Act, CONFIRM_AFTER_MS, Call},
    chat::{ChatFacts, Linked, OwnLink, Raid, Refusal, Right},
    mark::Mark,
    reading::{Now, Seen, Watched},
    setting::{Setting, set},
};
use crate::planted::{self, Bug};

/// Telegram answers lookups from a cache; within this time an event is believed rather than a lookup.
pub const LOOKUP_CACHE_MS: i64 = 60_000;
/// Clocks of ours and Telegram's differ by this at most before a lookup is taken to contradict an event.
pub(crate) const CLOCK_SKEW_MS: i64 = TOLERANCE.as_millis() as i64;

/// The order of events about one thing: Telegram's date (Unix seconds), then the update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventOrder {
    /// Unix seconds.
    pub date: i64,
    /// Orders what happened within one second.
    pub update_id: UpdateId,
}

impl EventOrder {
    pub(crate) const fn ms(self) -> i64 {
        self.date * 1000
    }
}

/// The newest event about somebody's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub order: EventOrder,
    /// Whether they were in before it.
    pub was_in: bool,
    /// Where they stood after it.
    pub standing: Standing,
    /// What limited them after it.
    pub limits: Limits,
}

/// The newest answer of `getChatMember`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// When we asked, Unix milliseconds.
    pub asked_ms: i64,
    /// Where they stood.
    pub standing: Standing,
    /// What limited them.
    pub limits: Limits,
}

/// The last change of somebody's limits, by anyone but themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub order: EventOrder,
    /// What limited them after it.
    pub limits: Limits,
    /// Whether we did it.
    pub by_us: bool,
}

/// The last change of somebody's limits by one who is neither us nor they themselves (a promotion is such a change).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theirs {
    /// When.
    pub order: EventOrder,
    /// What limited them after it.
    pub limits: Limits,
    /// Whether it lifted a mute of ours: the person is then allowed until they leave.
    pub lifted_ours: bool,
}

/// A ban of ours: it is known again by its end, which nobody else chooses to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Unix seconds.
    pub until: i64,
    /// Whether it is to be lifted as soon as it stands: it was only to remove them (E49).
    #[serde(default)]
    pub kick: bool,
}

/// That somebody came in because another let them in without being asked (E15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// When.
    pub order: EventOrder,
    /// Who did it.
    pub by: UserId,
    /// Whether that was an administrator; `None` until it is found out.
    #[serde(default)]
    pub by_admin: Option<bool>,
}

/// How long somebody waits, or waited last, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Since when.
    pub since_ms: i64,
    /// Until when, where it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// When they were warned of what comes of waiting for too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_ms: Option<i64>,
}

/// A request to be let into a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// When.
    pub order: EventOrder,
    /// Where a message reaches them.
    pub reach: ChatId,
    /// Whether they have been told what to do.
    #[serde(default)]
    pub told: bool,
    /// Whether it was granted, or is gone.
    #[serde(default)]
    pub answered: bool,
}

/// Everything known about one person in one chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// The newest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The newest lookup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// The last time they were seen to be out, but for our own mutes of who was out before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_out: Option<EventOrder>,
    /// Their newest message that was heard of in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoke: Option<EventOrder>,
    /// Their newest message that was heard of too late (E66).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoke_late: Option<EventOrder>,
    /// The last change of their limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The last change of their limits that was not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theirs: Option<Theirs>,
    /// Our call that nothing has confirmed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The `until_date` of our mute, the same for as long as the mute is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<i64>,
    /// What we last put back of theirs, for as long as they are limited: where an admin had lifted it in the same moment, it
    /// is ours to lift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Limits>,
    /// Our ban, for as long as it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<Ban>,
    /// Who let them in the last time that it was not they themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<Added>,
    /// How long they have waited, or waited last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// When it was last asked in vain where they stand, and asking again at once would not help (Unix milliseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_ms: Option<i64>,
    /// When the press reached us that shows them to be free, or is being looked into, until they are (Unix milliseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressed_ms: Option<i64>,
    /// In a dry run: what would have been done last, for as long as it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<Act>,
    /// Their newest request to be let in. Telegram lists none, so that it is lost with this (E26).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The forum topic in which they are to be prompted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<i64>,
    /// Whether an administrator lets them write without having joined (E107).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Setting<bool>>,
    /// Whether it is a bot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_bot: bool,
    /// Whether they are named in the group's prompt.
    #[serde(skip)]
    pub waiting: bool,
    /// What to call them there, as they wrote it; kept only while they wait or a mute of ours stands.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Member {
    /// Takes in a `chat_member` event. `mark` knows our mutes.
    pub fn apply_event(&mut self, bot: BotId, update_id: UpdateId, event: &ChatMemberUpdated, mark: Mark) {
        let Some(standing) = event.new_chat_member.standing else { return };
        let order = EventOrder { date: event.date, update_id };
        let (old, limits) = (&event.old_chat_member, event.new_chat_member.limits);
        let was_in = old.standing.is_some_and(Standing::is_in);
        let is_news = self.event.is_none_or(|known| known.order < order);
        if is_news && !was_in && standing.is_in() {
            // Who has waited outside, for having written from there, begins anew.
            self.wait = self.wait.filter(|wait| wait.until_ms.is_some());
        }
        newest(&mut self.event, Event { order, was_in, standing, limits }, |e| e.order);
        let by_us = event.from.id == bot.user();
        // E11: that we have muted somebody who writes from outside does not make them somebody who is out and silent.
        let muted_outside = by_us && !was_in && standing == Standing::Outside && limits != Limits::Free;
        if !standing.is_in() && !muted_outside {
            self.last_out = self.last_out.max(Some(order));
        }
        let by_themselves = event.from.id == event.new_chat_member.user.id;
        // E17: who was let in had asked. E87: who comes as an administrator is one for as long as they are.
        let comes_in = !was_in && standing == Standing::Inside && !event.via_join_request;
        if comes_in && !by_themselves && !by_us {
            // Nobody else acts in the group's name.
            let by_admin = (event.from.id == UserId::GROUP_ANONYMOUS_BOT).then_some(true);
            newest(&mut self.added, Added { order, by: event.from.id, by_admin }, |added| added.order);
        }
        let promoted = old.standing.is_some_and(Standing::is_admin) != standing.is_admin();
        // Leaving and coming back write presence only: they change nobody's limits.
        let by_others = !by_themselves || planted::has(Bug::AuthorInPresence);
        if !by_others || (!by_themselves && old.limits == limits && !promoted) {
            return;
        }
        newest(&mut self.change, Change { order, limits, by_us }, |c| c.order);
        if by_us {
            self.confirm(order.ms() + 999, limits, mark);
        } else {
            // E87: whoever is promoted and demoted again is subject to the rule like everybody else.
            let lifted_ours = limits.leave_a_voice() && mark.is_on(old.limits) && !standing.is_admin();
            if mark.is_on(limits) && mark.is_on(old.limits) {
                // What else they change of a mute of ours leaves it ours.
                return;
            }
            let limits = match limits {
                // Who had a voice within it and has none any more is silenced by them; only the end is as we had set it.
                Limits::Restricted { until, left } if mark.is_on(limits) => {
                    Limits::Restricted { until: until + 1, left }
                }
                limits => limits,
            };
            newest(&mut self.theirs, Theirs { order, limits, lifted_ours }, |t| t.order);
        }
    }

    /// Takes in an answer of `getChatMember` that was asked for at `asked_ms`.
    pub fn apply_lookup(&mut self, asked_ms: i64, answer: &ChatMember, mark: Mark) {
        let Some(standing) = answer.standing else { return };
        newest(&mut self.lookup, Lookup { asked_ms, standing, limits: answer.limits }, |l| l.asked_ms);
        if standing == Standing::Banned {
            // Where no event tells that they were removed: what they wrote before that they did not write from outside.
            let date = (asked_ms - LOOKUP_CACHE_MS) / 1000;
            self.last_out = self.last_out.max(Some(EventOrder { date, update_id: UpdateId(0) }));
        }
        self.look_into_call(asked_ms, answer.limits, mark);
    }

    /// Whether a lookup was asked for at `since_ms` or later.
    #[must_use]
    pub fn was_asked_since(&self, since_ms: i64) -> bool {
        self.lookup.is_some_and(|lookup| lookup.asked_ms >= since_ms)
    }

    /// When the newest of what is known was so (Unix milliseconds).
    #[must_use]
    pub fn known_ms(&self) -> i64 {
        let event_ms = self.event.map_or(0, |event| event.order.ms());
        event_ms.max(self.lookup.map_or(0, |lookup| lookup.asked_ms))
    }

    /// Takes in that they wrote a message.
    pub fn apply_message(&mut self, order: EventOrder) {
        self.spoke = self.spoke.max(Some(order));
    }

    /// Takes in that they wrote a message that was heard of too late.
    pub fn apply_late_message(&mut self, order: EventOrder) {
        self.spoke_late = self.spoke_late.max(Some(order));
    }

    /// Takes in that they ask to be let in, and that a message reaches them at `reach`.
    pub fn apply_request(&mut self, order: EventOrder, reach: ChatId) {
        newest(&mut self.request, Request { order, reach, told: false, answered: false }, |request| request.order);
    }

    /// The request that waits for an answer: nobody has given one, as far as is known, and they have neither come in nor
    /// been banned since.
    #[must_use]
    pub fn open_request(&self) -> Option<Request> {
        let settles = |standing: Standing| standing.is_in() || standing == Standing::Banned;
        let request = self.request.filter(|request| !request.answered)?;
        let by_event = self.event.is_some_and(|event| event.order >= request.order && settles(event.standing));
        let by_lookup =
            self.lookup.is_some_and(|l| l.asked_ms > request.order.ms() + CLOCK_SKEW_MS && settles(l.standing));
        (!by_event && !by_lookup).then_some(request)
    }

    /// When the prompt is to be looked at for what changes about them now (Unix milliseconds): at once, unless they began to
    /// wait again shortly after they had ceased to, so that it does not come and go with somebody who does (E34).
    #[must_use]
    pub fn shown_ms(&self, now_ms: i64, before: Option<Wait>) -> i64 {
        let ended_ms = before.and_then(|wait| wait.until_ms).filter(|_| self.waiting);
        ended_ms.map_or(now_ms, |ended_ms| now_ms.max(ended_ms + FLAP_MS))
    }

    /// Whether an administrator added them, and they have not left since (E15); `None`: that is to be found out.
    #[must_use]
    pub fn added_by_admin(&self) -> Option<bool> {
        self.added.filter(|added| self.last_out < Some(added.order)).map_or(Some(false), |added| added.by_admin)
    }

    /// Takes in whether who added them at `order` is an administrator.
    pub fn found_adder(&mut self, order: EventOrder, by_admin: bool) {
        if let Some(added) = self.added.as_mut().filter(|added| added.order == order) {
            added.by_admin = Some(by_admin);
        }
    }

    /// Takes in that a lookup that was asked for at `asked_ms` cannot be had.
    pub fn lookup_failed(&mut self, asked_ms: i64) {
        self.failed_ms = self.failed_ms.max(Some(asked_ms));
    }

    /// Whether it was asked in vain where they stand, not long ago, and nobody has been told since.
    #[must_use]
    pub fn cannot_be_found_out(&self, now_ms: i64) -> bool {
        let newer = |failed_ms: i64| !self.was_asked_since(failed_ms) && now_ms < failed_ms + FAILED_FOR_MS;
        self.failed_ms.is_some_and(newer)
    }

    /// From when on they count as one who has come lately, if they begin or cease to wait now: who has only been judged anew
    /// is part of no crowd (E98). Unix milliseconds.
    #[must_use]
    pub fn counts_from_ms(&self, now_ms: i64) -> i64 {
        let came = self.event.filter(|event| !event.was_in && event.standing.is_in()).map(|event| event.order);
        let lately = came.max(self.spoke).is_some_and(|order| now_ms < order.ms() + LATELY_MS);
        if lately { now_ms } else { now_ms - LATELY_MS }
    }

    /// Takes in whether they wait, as of now; `warned`: whether they are to be warned that it cannot go on for ever.
    /// Returns whether the warning is new.
    pub fn waits(&mut self, waiting: bool, warned: bool, now_ms: i64) -> bool {
        self.waiting = waiting;
        let current = self.wait.filter(|wait| wait.until_ms.is_none());
        let was_warned = current.is_some_and(|wait| wait.warned_ms.is_some());
        self.wait = match (waiting, current) {
            (true, current) => {
                let wait = current.unwrap_or(Wait { since_ms: now_ms, until_ms: None, warned_ms: None });
                let warned_ms = warned.then(|| wait.warned_ms.unwrap_or(now_ms));
                Some(Wait { warned_ms, ..wait })
            }
            (false, Some(wait)) => Some(Wait { until_ms: Some(now_ms), warned_ms: None, ..wait }),
            (false, None) => self.wait.filter(|wait| wait.until_ms.is_some_and(|until_ms| now_ms < until_ms + FLAP_MS)),
        };
        waiting && warned != was_warned
    }

    /// Whether an admin has lifted our mute and they have not left since.
    #[must_use]
    pub fn allowed_by_admin(&self) -> bool {
        let allowed = |theirs: Theirs| theirs.lifted_ours && self.last_out < Some(theirs.order);
        self.theirs.is_some_and(allowed) && !planted::has(Bug::AdminsLeaveIgnored)
    }

    /// Whether an administrator lets them write by having freed or added them themselves, which no word to us ends.
    #[must_use]
    pub fn is_let_write_by_admin(&self) -> bool {
        self.allowed_by_admin() || self.added_by_admin() == Some(true)
    }

    /// Takes in that an administrator frees somebody from our mute by a word to us, as if they had done it themselves. What
    /// another had imposed before it, and it covers, stays (E45).
    pub fn free_by_word(&mut self, order: EventOrder, now_ms: i64) {
        let covered = self.theirs.map(|theirs| theirs.limits);
        let covered = covered.filter(|limits| limits.restricts_at(now_ms / 1000) && limits.leave_a_voice());
        let limits = covered.unwrap_or(Limits::Free);
        newest(&mut self.theirs, Theirs { order, limits, lifted_ours: true }, |theirs| theirs.order);
    }

    /// The same for a ban for good, which is theirs to lift.
    pub fn ban_by_word(&mut self, order: EventOrder) {
        let limits = Limits::Banned { until: 0 };
        newest(&mut self.theirs, Theirs { order, limits, lifted_ours: false }, |theirs| theirs.order);
    }

    /// Whether an administrator lets them write without having joined (E107).
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed.as_ref().is_some_and(|allowed| allowed.value)
    }

    /// What somebody else has imposed on them at `now_ms`. What has our mark is not theirs, whatever an earlier version took it
    /// for.
    #[must_use]
    pub fn imposed(&self, mark: Mark, now_ms: i64) -> Option<Theirs> {
        self.theirs.filter(|theirs| theirs.limits.restricts_at(now_ms / 1000) && !mark.is_on(theirs.limits))
    }

    /// Whether what is known is needed for as long as it is so: to lift our mute, to leave alone what others have imposed or
    /// lifted, to keep an exception.
    #[must_use]
    pub fn protects(&self, mark: Mark, now_ms: i64) -> bool {
        let ours = self.limits(mark, now_ms).ours || self.mute_until.is_some() || self.call.is_some();
        let theirs = self.theirs.is_some_and(|theirs| theirs.limits.restricts_at(now_ms / 1000));
        let excepted = self.is_allowed() || self.is_let_write_by_admin();
        ours || theirs || self.waiting || self.restored.is_some() || self.ban.is_some() || excepted
    }

    /// Whether they wrote after the last time that they were seen to be out (somebody can write in the comments of a
    /// channel without being in its group, E11).
    #[must_use]
    pub fn writes_from_outside(&self) -> bool {
        self.spoke > self.last_out
    }

    /// Whether they wrote after that, however late that was heard of: where nothing else is known of them, they may be there.
    #[must_use]
    pub fn may_be_there(&self) -> bool {
        self.spoke.max(self.spoke_late) > self.last_out
    }
}

/// The time in which those are counted who have come and begun to wait.
pub const LATELY_MS: i64 = 60_000;
/// Who begins to wait again so shortly after they had ceased to brings no new prompt.
const FLAP_MS: i64 = 60_000;
/// For so long a lookup that could not be had speaks for the next one: as long as the longest back-off.
const FAILED_FOR_MS: i64 = 3_600_000;

fn newest<T: Copy, O: Ord>(register: &mut Option<T>, candidate: T, order: impl Fn(&T) -> O) {
    if register.as_ref().is_none_or(|held| order(held) < order(&candidate) || planted::has(Bug::OlderEventWins)) {
        *register = Some(candidate);
    }
}

#[cfg(test)]
mod tests;
