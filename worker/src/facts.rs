//! Facts: what Telegram told us, kept as last-writer-wins registers.
//!
//! Applying a fact twice, late or out of order changes nothing, because every register keeps the newest by an order that
//! comes from Telegram (`date`, then `update_id`) or, for lookups, from the time of asking. Events and lookups are two
//! registers, each ordered only within its kind; reading merges them.

use nezuko_shared::clock_skew::TOLERANCE;
use nezuko_telegram::{BotId, Chat, ChatId, ChatMember, ChatMemberUpdated, Limits, Rights, Standing, UpdateId, UserId};
use serde::{Deserialize, Serialize};

use crate::planted::{self, Bug};

/// Telegram answers lookups from a cache; within this time an event is believed rather than a lookup.
pub const LOOKUP_CACHE_MS: i64 = 60_000;
/// Where a chat's events do not reach us, a membership that was looked up is good for so long.
const UNWATCHED_MEMBER_MS: i64 = 600_000;
/// Where a chat's events do not reach us, a missing membership that was looked up is good for so long.
const UNWATCHED_STRANGER_MS: i64 = 60_000;
/// Clocks of ours and Telegram's differ by this at most before a lookup is taken to contradict an event.
const CLOCK_SKEW_MS: i64 = TOLERANCE.as_millis() as i64;

/// The order of events about one thing: Telegram's date (Unix seconds), then the update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventOrder {
    /// Unix seconds.
    pub date: i64,
    /// Orders what happened within one second.
    pub update_id: UpdateId,
}

impl EventOrder {
    const fn ms(self) -> i64 {
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
    /// Put back what somebody else had imposed, and our mute crossed.
    Restore,
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
    /// The last time they were seen to be out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_out: Option<EventOrder>,
    /// Their newest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoke: Option<EventOrder>,
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
    /// The forum topic in which they are to be prompted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<i64>,
    /// Whether it is a bot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_bot: bool,
    /// Whether they are named in the group's prompt.
    #[serde(skip)]
    pub waiting: bool,
    /// What to call them there, as they wrote it; kept only while they wait.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Since when a chat's events reach us (Unix seconds); `None` where they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched(pub Option<i64>);

/// Somebody's standing as merged from event and lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where they stand.
    pub standing: Standing,
    /// The event that says so; `None` where a lookup does.
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
    /// Takes in a `chat_member` event. `mark` knows our mutes.
    pub fn apply_event(&mut self, bot: BotId, update_id: UpdateId, event: &ChatMemberUpdated, mark: Mark) {
        let Some(standing) = event.new_chat_member.standing else { return };
        let order = EventOrder { date: event.date, update_id };
        let (old, limits) = (&event.old_chat_member, event.new_chat_member.limits);
        let was_in = old.standing.is_some_and(Standing::is_in);
        newest(&mut self.event, Event { order, was_in, standing, limits }, |e| e.order);
        if !standing.is_in() {
            self.last_out = self.last_out.max(Some(order));
        }
        let by_us = event.from.id == bot.user();
        let by_themselves = event.from.id == event.new_chat_member.user.id;
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
            let lifted_ours = limits == Limits::Free && mark.is_on(old.limits) && !standing.is_admin();
            newest(&mut self.theirs, Theirs { order, limits, lifted_ours }, |t| t.order);
        }
    }

    /// Takes in an answer of `getChatMember` that was asked for at `asked_ms`.
    pub fn apply_lookup(&mut self, asked_ms: i64, answer: &ChatMember, mark: Mark) {
        let Some(standing) = answer.standing else { return };
        newest(&mut self.lookup, Lookup { asked_ms, standing, limits: answer.limits }, |l| l.asked_ms);
        let Some(call) = self.call else { return };
        let shows_effect = mark.is_on(answer.limits) == (call.act == Act::Mute);
        // Our until_date cannot be seen before our mute landed; the absence of a mute may come from Telegram's cache. But
        // the call stays open until the lookup is believed over the newest event, or nobody would ask again.
        let proves = call.act == Act::Mute && asked_ms >= call.at_ms && mark.is_on(self.limits(mark, asked_ms).limits);
        // Where Telegram said ok and the mute is gone, an admin has lifted it more likely than Telegram has not acted, and
        // their event is on its way: only a call of unknown outcome is disproved so soon.
        let may_be_lifted = call.act == Act::Mute && call.answered;
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

    /// An echo of ours ends the call that it answers.
    fn confirm(&mut self, shown_ms: i64, limits: Limits, mark: Mark) {
        let shows_effect = |call: Call| mark.is_on(limits) == (call.act == Act::Mute);
        if self.call.is_some_and(|call| shown_ms >= call.at_ms && shows_effect(call)) {
            self.call = None;
        }
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
                Some(Seen { standing: lookup.standing, event: None, ask_again_ms: None })
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
        let event_ms = self.event.map_or(i64::MIN / 2, |event| event.order.ms());
        let released = |change: Change| change.by_us && change.limits == Limits::Free;
        let was_released = self.change.is_some_and(|c| released(c) && self.event.is_some_and(|e| e.order == c.order));
        let muted_since = self.call.is_some_and(|call| call.act == Act::Mute && call.at_ms > event_ms);
        let by_lookup = |lookup: Lookup| {
            // A lookup that shows our mute is younger than an event from before that mute went out. After a release of ours
            // it may show the mute from before it.
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
        let imposed = self.theirs.is_some_and(|theirs| theirs.limits.restricts_at(now_ms / 1000));
        // A call that was held up for long may have put back for ever what was to end soon (E47): its echo says that it is ours.
        let echoed = self.change.is_some_and(|change| change.by_us && change.limits == limits);
        let put_back = echoed || self.restored == Some(limits);
        let left_over = put_back && !imposed && !planted::has(Bug::RestoredIsTheirs);
        Now { limits, ours: mark.is_on(limits) || left_over }
    }

    /// Whether an admin has lifted our mute and they have not left since.
    #[must_use]
    pub fn allowed_by_admin(&self) -> bool {
        let allowed = |theirs: Theirs| theirs.lifted_ours && self.last_out < Some(theirs.order);
        self.theirs.is_some_and(allowed) && !planted::has(Bug::AdminsLeaveIgnored)
    }

    /// Whether they wrote after the last time that they were seen to be out (somebody can write in the comments of a
    /// channel without being in its group, E11).
    #[must_use]
    pub fn writes_from_outside(&self) -> bool {
        self.spoke.is_some() && self.spoke > self.last_out
    }
}

/// A call of unknown outcome, of a sender that died say, may be half a minute on its way and hidden by Telegram's cache for
/// a minute.
const LANDS_WITHIN_MS: i64 = 30_000 + LOOKUP_CACHE_MS;

/// Without an echo for so long, a lookup asks what came of a call.
pub const CONFIRM_AFTER_MS: i64 = 5_000;

fn agree(a: Standing, b: Standing) -> bool {
    a.is_in() == b.is_in() && a.is_admin() == b.is_admin()
}

fn newest<T: Copy, O: Ord>(register: &mut Option<T>, candidate: T, order: impl Fn(&T) -> O) {
    if register.as_ref().is_none_or(|held| order(held) < order(&candidate) || planted::has(Bug::OlderEventWins)) {
        *register = Some(candidate);
    }
}

/// How our mutes are told from others': their `until_date` lies in one residue class that belongs to the bot, the chat and
/// the person. It needs no table, so that even a mute whose echo was lost, or that a restored backup does not know, is
/// recognised; another's `until_date` falls into the class once in 65,521 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(i64);

impl Mark {
    const MODULUS: i64 = 65_521;
    /// Telegram takes anything over 366 days for "for ever"; our mutes end between 300 and 365 days from now.
    const SHORTEST_S: i64 = 300 * 86_400;
    const SPREAD: i64 = 64 * 86_400 / Self::MODULUS;

    /// The mark of our mutes of `user` in `chat`.
    #[must_use]
    pub fn of(bot: BotId, chat: ChatId, user: UserId) -> Self {
        let mixed = [bot.0, chat.0, user.0].into_iter().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, part| {
            let hash = (hash ^ part.cast_unsigned()).wrapping_mul(0xff51_afd7_ed55_8ccd);
            hash ^ (hash >> 32)
        });
        Self((mixed % Self::MODULUS.cast_unsigned()).cast_signed())
    }

    /// An `until_date` for a new mute at `now_ms`.
    #[must_use]
    pub fn until(self, now_ms: i64) -> i64 {
        let earliest = now_ms / 1000 + Self::SHORTEST_S;
        let spread = (now_ms / 1000 % Self::SPREAD) * Self::MODULUS;
        let base = (earliest + spread) / Self::MODULUS * Self::MODULUS + self.0;
        if base < earliest { base + Self::MODULUS } else { base }
    }

    /// Whether `limits` are a mute of ours.
    #[must_use]
    pub fn is_on(self, limits: Limits) -> bool {
        matches!(limits, Limits::Restricted { until, .. } if until > 0 && until % Self::MODULUS == self.0)
    }
}

/// A register of a value that people set: ordered by update id, since Telegram numbers what one bot is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// The update that set it.
    pub update_id: UpdateId,
    /// When that update first arrived, Unix milliseconds.
    pub received_ms: i64,
}

/// Ids restart at random after a quiet week or a move to another Bot API server; a lower id that arrived this much later
/// than a higher one is newer.
const ID_RESTART_MS: i64 = 24 * 3_600_000;

impl<T> Setting<T> {
    /// Whether this was set after `other`.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        if self.update_id > other.update_id {
            other.received_ms <= self.received_ms + ID_RESTART_MS
        } else {
            self.received_ms > other.received_ms + ID_RESTART_MS
        }
    }
}

/// Sets `register` unless it holds a newer value; returns whether it was set.
pub fn set<T>(register: &mut Option<Setting<T>>, setting: Setting<T>) -> bool {
    let by_arrival = planted::has(Bug::SettingByArrival);
    let newer = by_arrival || register.as_ref().is_none_or(|held| setting.is_newer_than(held));
    if newer {
        *register = Some(setting);
    }
    newer
}

/// What is known about the bot's own place in a chat, and what the chat is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatFacts {
    /// Telegram's word for the kind of chat; empty where it is not known.
    pub kind: String,
    /// As its owners wrote it.
    pub title: String,
    /// Without the `@`; empty where there is none.
    pub username: String,
    /// How to get in where there is no username.
    pub invite_link: String,
    /// The newest event about the bot itself.
    pub own_event: Option<(EventOrder, Standing, Rights)>,
    /// The last event by which the bot became an administrator.
    pub became_admin: Option<EventOrder>,
    /// The newest lookup of the bot itself, by the time of asking (Unix milliseconds).
    pub own_lookup: Option<(i64, Standing, Rights)>,
    /// The first of the unbroken row of lookups that found the bot to be an administrator (Unix milliseconds).
    pub found_admin_ms: Option<i64>,
    /// Events from before this (Unix seconds) may have been dropped, because the bot could not be reached for too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed_until_s: i64,
    /// Whether the rule is enforced in this group.
    pub protected: Option<Setting<bool>>,
    /// The supergroup that this basic group has become: what is still told of it belongs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgraded_to: Option<ChatId>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
const fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

impl ChatFacts {
    /// Takes in what the chat is called.
    pub fn describe(&mut self, chat: &Chat) {
        chat.kind.as_str().clone_into(&mut self.kind);
        self.title = chat.title.clone().unwrap_or_default();
        self.username = chat.username.clone().unwrap_or_default();
        if let Some(link) = &chat.invite_link {
            self.invite_link.clone_from(link);
        }
    }

    /// Takes in a `my_chat_member` event.
    pub fn apply_own_event(&mut self, update_id: UpdateId, event: &ChatMemberUpdated) {
        let Some(standing) = event.new_chat_member.standing else { return };
        let order = EventOrder { date: event.date, update_id };
        newest(&mut self.own_event, (order, standing, event.new_chat_member.rights), |e| e.0);
        let was_admin = event.old_chat_member.standing.is_some_and(Standing::is_admin);
        if standing.is_admin() && !was_admin {
            self.became_admin = self.became_admin.max(Some(order));
        }
    }

    /// Takes in an answer of `getChatMember` about the bot itself.
    pub fn apply_own_lookup(&mut self, asked_ms: i64, answer: &ChatMember) {
        let Some(standing) = answer.standing else { return };
        if self.own_lookup.is_some_and(|(held_ms, ..)| held_ms >= asked_ms) {
            return;
        }
        self.own_lookup = Some((asked_ms, standing, answer.rights));
        self.found_admin_ms = standing.is_admin().then(|| self.found_admin_ms.unwrap_or(asked_ms));
    }

    /// When to look at our own place again, because a lookup contradicts an event within the time that Telegram may have
    /// answered it from its cache (Unix milliseconds).
    #[must_use]
    pub fn own_again_ms(&self) -> Option<i64> {
        let ((order, standing, rights), lookup) = self.own_event.zip(self.own_lookup)?;
        let contradicts = (lookup.1, lookup.2) != (standing, rights);
        let may_be_cached = (order.ms()..=order.ms() + LOOKUP_CACHE_MS).contains(&lookup.0);
        (contradicts && may_be_cached).then_some(order.ms() + LOOKUP_CACHE_MS + 1_000)
    }

    /// Where the bot stands and what it may do, if known: the event, unless a lookup was asked more than 60 s after it.
    #[must_use]
    pub fn own(&self) -> Option<(Standing, Rights)> {
        match (self.own_event, self.own_lookup) {
            (Some((order, standing, rights)), lookup) if lookup.is_none_or(|l| order.ms() + LOOKUP_CACHE_MS >= l.0) => {
                Some((standing, rights))
            }
            (_, Some((_, standing, rights))) => Some((standing, rights)),
            (Some((_, standing, rights)), None) => Some((standing, rights)),
            (None, None) => None,
        }
    }

    /// Since when the chat's events reach us without a gap: since the bot last became its administrator, or since the last
    /// outage.
    #[must_use]
    pub fn watched(&self) -> Watched {
        if !self.own().is_some_and(|(standing, _)| standing.is_admin()) {
            return Watched(None);
        }
        let by_event = self.own_event.filter(|(_, standing, _)| standing.is_admin());
        let became = by_event.map(|(order, ..)| self.became_admin.unwrap_or(order).date);
        let since = became.or_else(|| self.found_admin_ms.map(|ms| ms / 1000));
        Watched(since.map(|since| since.max(self.missed_until_s)))
    }

    /// Whether the rule is to be enforced in this group.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected.as_ref().is_some_and(|setting| setting.value)
    }

    /// Whether the bot has what it needs to restrict members here.
    #[must_use]
    pub fn can_restrict(&self) -> bool {
        self.own().is_some_and(|(_, rights)| rights.can_restrict_members)
    }
}

#[cfg(test)]
mod tests;
