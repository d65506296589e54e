//! Muting and releasing.

use std::time::Duration;

use frankenstein::methods::{BanChatMemberParams, UnbanChatMemberParams};
use nezuko_shared::{
    limiter::{Budget, Urgency},
    telemetry::metrics::Removal,
};
use nezuko_telegram::{CallError, ChatId, ErrorClass, Limits, Permissions, Standing, UserId};
use serde::Serialize;

use super::Sender;
use crate::{
    facts::{Act, Ban, CONFIRM_AFTER_MS, Call, EventOrder, LOOKUP_CACHE_MS, Lookup},
    intent::{Claim, Intent, Put, Settlement},
    planted::{self, Bug},
    policy::{Decision, SHORTEST_S},
    reconcile::Person,
    store::{LedgerEntry, Settle, StoreError, Verification},
};

/// Who is removed could come back after so long, if we did not live to let them.
const REMOVED_S: i64 = 90;
/// A ban that lasts longer than 366 days lasts for ever (E47).
const LONGEST_S: i64 = 365 * 86_400;

/// A mute that would end sooner than this is made anew with a later end.
const RENEW_BEFORE_S: i64 = 30 * 86_400;

/// Parameters of `restrictChatMember`; 0 as `until_date` means for ever.
#[derive(Debug, Serialize)]
struct RestrictChatMember {
    chat_id: ChatId,
    user_id: UserId,
    permissions: Permissions,
    use_independent_chat_permissions: bool,
    until_date: i64,
}

/// A call about somebody's limits that has been decided upon.
#[derive(Clone, Copy)]
struct Step {
    act: Act,
    /// What limits them now, and what is to.
    from: Limits,
    limits: Limits,
    /// Whether it lets somebody come back who was only removed, which is part of removing them.
    ends_kick: bool,
}

/// What has come of deciding again.
enum Decided {
    /// Nothing is to be done any more, and the claim is settled.
    Nothing,
    /// They are to be removed, if a prompt in this topic has warned them as they were to be at this time.
    Warned {
        topic: Option<i64>,
        at_ms: i64,
    },
    Step(Step),
}

/// Whether who is to be removed has been shown that they are warned, as far as they are to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Warning {
    Unchecked,
    Shown,
    NotShown,
}

impl Sender {
    pub(super) async fn member(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Restriction, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let decided = match self.decide_act(claim, group, user, Warning::Unchecked).await? {
            Decided::Warned { topic, at_ms } => {
                let is_shown = self.warns(group, topic, (user, at_ms)).await?;
                let warning = if is_shown { Warning::Shown } else { Warning::NotShown };
                self.decide_act(claim, group, user, warning).await?
            }
            decided => decided,
        };
        let Decided::Step(step) = decided else { return Ok(()) };
        let result = self.restrict(group, user, step.from, step.limits).await;
        if let Some(ErrorClass::Migrated(new)) = result.as_ref().err().map(CallError::class) {
            return self.follow(claim, group, new).await;
        }
        self.settle_act(claim, group, user, &step, result).await
    }

    /// Whether the prompt of a group and topic warns somebody who was to be at this time, or did before it was sent anew.
    async fn warns(&self, group: ChatId, topic: Option<i64>, warned: (UserId, i64)) -> Result<bool, StoreError> {
        let prompt = self.handler.store.prompt(group, topic).await?.0;
        Ok(prompt.is_some_and(|prompt| prompt.warned.contains(&warned)))
    }

    /// Decides again, and writes down that a call goes out before it does. Whom no prompt has shown that they are warned has
    /// as much time from now as they were to have.
    async fn decide_act(
        &self,
        claim: &Claim,
        group: ChatId,
        user: UserId,
        warning: Warning,
    ) -> Result<Decided, StoreError> {
        let now_ms = self.now_ms();
        let keep = |person: Person<'_>| {
            let open = person.open();
            let mut outcome = person.finish_unchanged(group);
            outcome.writes.keep_claimed(claim, open);
            outcome
        };
        let mut decided = Decided::Nothing;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                let verdict = person.verdict(group);
                let plan = verdict.as_ref().map(|verdict| person.plan(group, &verdict.decision));
                let act = plan.and_then(|plan| plan.act);
                decided = Decided::Nothing;
                let Some(act) = act else {
                    person.writes.settle = Some(Settle::of(claim, Settlement::Done));
                    return person.finish(group);
                };
                let mark = person.mark(group);
                let ban_s = person.settings(group).ban_s();
                let member = person.member(group);
                if let (Act::Kick | Act::Ban, Some(wait)) = (act, member.wait.as_mut())
                    && let Some(at_ms) = wait.warned_ms.filter(|_| warning != Warning::Shown)
                {
                    let topic = member.topic;
                    if warning == Warning::Unchecked {
                        decided = Decided::Warned { topic, at_ms };
                        return keep(person);
                    }
                    wait.warned_ms = Some(now_ms);
                    person.writes.put.push(Put::urgent(Intent::Prompt { group, topic }, now_ms));
                    person.writes.settle = Some(Settle::of(claim, Settlement::Done));
                    return person.finish(group);
                }
                let from = member.limits(mark, now_ms).limits;
                let ends_kick = act == Act::Release && member.ban.is_some_and(|ban| ban.kick);
                let lasting = member.mute_until.filter(|until| *until > now_ms / 1000 + RENEW_BEFORE_S);
                let until = lasting.unwrap_or_else(|| mark.until(now_ms));
                member.call = Some(Call::new(act, now_ms, member.call));
                let limits = match act {
                    Act::Mute => Limits::Restricted { until, left: Permissions::NONE },
                    Act::Release => Limits::Free,
                    Act::Restore => member.theirs.map_or(Limits::Free, |theirs| not_for_ever(theirs.limits, now_ms)),
                    Act::Kick => Limits::Banned { until: now_ms / 1000 + REMOVED_S },
                    Act::Ban if planted::has(Bug::BanForEver) => Limits::Banned { until: now_ms / 1000 + ban_s * 1000 },
                    Act::Ban => Limits::Banned { until: now_ms / 1000 + ban_s.clamp(SHORTEST_S, LONGEST_S) },
                };
                if let (Act::Kick | Act::Ban, Limits::Banned { until }) = (act, limits) {
                    member.ban = Some(Ban { until, kick: act == Act::Kick });
                }
                if act == Act::Restore {
                    member.restored = Some(limits);
                }
                if act == Act::Mute {
                    member.mute_until = Some(until);
                    member.pressed_ms = None;
                    let missing = match verdict.map(|verdict| verdict.decision) {
                        Some(Decision::Restricted { missing }) => missing,
                        _ => Vec::new(),
                    };
                    person.writes.ledger.push(LedgerEntry { group, imposed: Some((until, missing)) });
                }
                decided = Decided::Step(Step { act, from, limits, ends_kick });
                keep(person)
            })
            .await?;
        Ok(decided)
    }

    async fn restrict(&self, group: ChatId, user: UserId, from: Limits, limits: Limits) -> Result<(), CallError> {
        let _: bool = match limits {
            // E49: without the flag it would remove who is there.
            Limits::Free if matches!(from, Limits::Banned { .. }) => {
                let unban = UnbanChatMemberParams::builder().chat_id(group.0).user_id(user.0.cast_unsigned());
                self.call("unbanChatMember", &unban.only_if_banned(true).build()).await?
            }
            // Lifting for ever is what clears the entry among the group's exceptions (E46).
            Limits::Free => self.set_permissions(group, user, Permissions::ALL, 0).await?,
            Limits::Restricted { until, left } => self.set_permissions(group, user, left, until).await?,
            Limits::Banned { until } => {
                let ban = BanChatMemberParams::builder().chat_id(group.0).user_id(user.0.cast_unsigned());
                self.call("banChatMember", &ban.until_date(until.cast_unsigned()).build()).await?
            }
        };
        Ok(())
    }

    async fn set_permissions(
        &self,
        group: ChatId,
        user: UserId,
        permissions: Permissions,
        until_date: i64,
    ) -> Result<bool, CallError> {
        // E48: each permission by itself, or the media flags would imply text.
        let params = RestrictChatMember {
            chat_id: group,
            user_id: user,
            permissions,
            use_independent_chat_permissions: true,
            until_date,
        };
        self.call("restrictChatMember", &params).await
    }

    async fn settle_act(
        &self,
        claim: &Claim,
        group: ChatId,
        user: UserId,
        step: &Step,
        result: Result<(), CallError>,
    ) -> Result<(), StoreError> {
        let Step { act, limits, ends_kick, .. } = *step;
        let class = result.as_ref().err().map(CallError::class);
        if let Some(class) = class {
            self.obey(Budget::Restriction, Some(group), class).await;
        }
        let settlement = match class {
            None
            | Some(ErrorClass::Ambiguous | ErrorClass::AlreadyDone | ErrorClass::Target | ErrorClass::UserUnknown) => {
                Settlement::Done
            }
            Some(ErrorClass::RetryAfter(wait)) => self.wait_for(wait),
            Some(ErrorClass::Retry) => self.back_off(claim),
            Some(_) => self.back_off_slowly(claim),
        };
        let now_ms = self.now_ms();
        let mut due_since_s = None;
        let mut pressed_ms = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                // Whatever is not certain to have had no effect stays an open call, until an event or a lookup shows.
                let open = matches!(class, None | Some(ErrorClass::Ambiguous | ErrorClass::AlreadyDone));
                let member = person.member(group);
                let came = member.event.filter(|event| !event.was_in).map(|event| event.order);
                if let Some(call) = member.call.as_mut().filter(|call| call.act == act) {
                    call.answered = class.is_none();
                    let proven = class.is_none() && planted::has(Bug::OkIsProof);
                    if proven {
                        member.call = None;
                    } else if !open {
                        member.call_failed(now_ms);
                    }
                }
                // E9: there is nobody to be freed.
                if matches!(class, Some(ErrorClass::Target | ErrorClass::UserUnknown)) && act == Act::Release {
                    let was_ours = person.member(group).mute_until.take().is_some();
                    person.writes.ledger.extend(was_ours.then_some(LedgerEntry { group, imposed: None }));
                }
                let missing = person.not_known_in(group);
                let left = missing.iter().filter_map(|channel| person.known(*channel)?.last_out);
                // For what is found by going through everybody again nobody has waited, and grace is not waiting either.
                let is_awaited = claim.urgency == Urgency::Urgent;
                due_since_s = due_since(came, left, person.settings(group).grace_s()).filter(|_| is_awaited);
                let member = person.member(group);
                let is_freed = class.is_none() && act == Act::Release && !ends_kick;
                pressed_ms = if is_freed { member.pressed_ms.take() } else { None };
                if class.is_none() && planted::has(Bug::OkIsProof) {
                    let standing = Standing::Inside;
                    member.lookup = Some(Lookup { asked_ms: now_ms + LOOKUP_CACHE_MS, standing, limits });
                }
                if class.is_none() {
                    let outcome = match act {
                        Act::Mute => Some("muted"),
                        Act::Release => (!ends_kick).then_some("released"),
                        Act::Restore => Some("restored"),
                        Act::Kick => Some("kicked"),
                        Act::Ban => Some("banned"),
                    };
                    person.writes.verifications.extend(outcome.map(|outcome| Verification { group, outcome }));
                }
                // A refusal says nothing about the person, so that a lookup that backs off goes on doing so: refused as
                // well, it would ask for this call again, and the two of them would never rest.
                let known = person.open();
                let mut outcome = if open { person.finish(group) } else { person.finish_unchanged(group) };
                if !open {
                    outcome.writes.keep_claimed(claim, known);
                }
                match class {
                    // E42: they have become an administrator; have a look, but not at once: Telegram's cache may not know
                    // it yet, and each answer has the person decided again.
                    Some(ErrorClass::TargetIsAdmin) => {
                        let intent = Intent::Check { chat: group, user };
                        outcome.writes.put.push(Put::urgent(intent, now_ms + CONFIRM_AFTER_MS));
                    }
                    Some(ErrorClass::Permission | ErrorClass::BotOut) => {
                        outcome.writes.put.push(self.look_at_own_rights(group));
                    }
                    _ => {}
                }
                outcome.writes.settle = Some(Settle::of(claim, settlement.clone()));
                outcome
            })
            .await?;
        if let Err(error) = result {
            tracing::warn!(group = group.0, user = user.0, ?act, %error, trace_id = claim.trace_id, "restriction failed");
        } else {
            tracing::info!(group = group.0, user = user.0, ?act, trace_id = claim.trace_id, "restriction changed");
            match act {
                Act::Mute => {
                    self.handler.metrics.mute();
                    let waited_ms = due_since_s.map(|since_s| (now_ms - since_s * 1000).max(0).unsigned_abs());
                    waited_ms.into_iter().for_each(|ms| self.handler.metrics.join_to_mute(Duration::from_millis(ms)));
                }
                Act::Release => {
                    self.handler.metrics.release();
                    let waited_ms = pressed_ms.map(|pressed_ms| (now_ms - pressed_ms).max(0).unsigned_abs());
                    waited_ms.into_iter().for_each(|ms| self.handler.metrics.press_to_free(Duration::from_millis(ms)));
                }
                Act::Kick => self.handler.metrics.removal(Removal::Kicked),
                Act::Ban => self.handler.metrics.removal(Removal::Banned),
                Act::Restore => {}
            }
        }
        Ok(())
    }
}

/// The same limits, ending late enough for Telegram not to take the end for "for ever" (E47).
fn not_for_ever(limits: Limits, now_ms: i64) -> Limits {
    let at_least = |until: i64| if until == 0 { 0 } else { until.max(now_ms / 1000 + SHORTEST_S) };
    match limits {
        Limits::Free => Limits::Free,
        Limits::Restricted { until, left } => Limits::Restricted { until: at_least(until), left },
        Limits::Banned { until } => Limits::Banned { until: at_least(until) },
    }
}

/// Since when a mute was due, Unix seconds: since they came into the group or the grace was over with which they went out of a
/// channel that is missing, whichever was last. `None` where neither was told.
fn due_since(came: Option<EventOrder>, left: impl IntoIterator<Item = EventOrder>, grace_s: i64) -> Option<i64> {
    let left = left.into_iter().map(|order| order.date + grace_s);
    came.into_iter().map(|order| order.date).chain(left).max()
}

#[cfg(test)]
mod tests;
