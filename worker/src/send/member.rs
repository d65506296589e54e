//! Muting and releasing.

use std::time::Duration;

use frankenstein::methods::BanChatMemberParams;
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, ChatId, ErrorClass, Limits, Permissions, Standing, UserId};
use serde::Serialize;

use super::Sender;
use crate::{
    facts::{Act, CONFIRM_AFTER_MS, Call, LOOKUP_CACHE_MS, Lookup},
    intent::{Claim, Intent, Put, Settlement},
    planted::{self, Bug},
    policy::{Decision, SHORTEST_S},
    store::{LedgerEntry, Settle, StoreError, Verification},
};

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

impl Sender {
    pub(super) async fn member(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Restriction, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let Some((act, limits)) = self.decide_act(claim, group, user).await? else { return Ok(()) };
        let result = self.restrict(group, user, limits).await;
        if let Some(ErrorClass::Migrated(new)) = result.as_ref().err().map(CallError::class) {
            return self.follow(claim, group, new).await;
        }
        self.settle_act(claim, group, user, (act, limits), result).await
    }

    /// Decides again, and writes down that a call goes out before it does. `None`: nothing is to be done any more, and
    /// the claim is settled.
    async fn decide_act(
        &self,
        claim: &Claim,
        group: ChatId,
        user: UserId,
    ) -> Result<Option<(Act, Limits)>, StoreError> {
        let now_ms = self.now_ms();
        let mut decided = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                let verdict = person.verdict(group);
                let plan = verdict.as_ref().map(|verdict| person.plan(group, &verdict.decision));
                let act = plan.and_then(|plan| plan.act);
                decided = None;
                let Some(act) = act else {
                    person.writes.settle = Some(Settle::of(claim, Settlement::Done));
                    return person.finish(group);
                };
                let mark = person.mark(group);
                let member = person.member(group);
                let lasting = member.mute_until.filter(|until| *until > now_ms / 1000 + RENEW_BEFORE_S);
                let until = lasting.unwrap_or_else(|| mark.until(now_ms));
                member.call = Some(Call::new(act, now_ms, member.call));
                let limits = match act {
                    Act::Mute => Limits::Restricted { until, left: Permissions::NONE },
                    Act::Release => Limits::Free,
                    Act::Restore => member.theirs.map_or(Limits::Free, |theirs| not_for_ever(theirs.limits, now_ms)),
                };
                if act == Act::Restore {
                    member.restored = Some(limits);
                }
                if act == Act::Mute {
                    member.mute_until = Some(until);
                    let missing = match verdict.map(|verdict| verdict.decision) {
                        Some(Decision::Restricted { missing }) => missing,
                        _ => Vec::new(),
                    };
                    person.writes.ledger.push(LedgerEntry { group, imposed: Some((until, missing)) });
                }
                decided = Some((act, limits));
                let open = person.open();
                let mut outcome = person.finish_unchanged(group);
                outcome.writes.keep_claimed(claim, open);
                outcome
            })
            .await?;
        Ok(decided)
    }

    async fn restrict(&self, group: ChatId, user: UserId, limits: Limits) -> Result<(), CallError> {
        let _: bool = match limits {
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
        (act, limits): (Act, Limits),
        result: Result<(), CallError>,
    ) -> Result<(), StoreError> {
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
        let mut came_s = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                // Whatever is not certain to have had no effect stays an open call, until an event or a lookup shows.
                let open = matches!(class, None | Some(ErrorClass::Ambiguous | ErrorClass::AlreadyDone));
                let member = person.member(group);
                came_s = member.event.filter(|event| !event.was_in).map(|event| event.order.date);
                if let Some(call) = member.call.as_mut().filter(|call| call.act == act) {
                    call.answered = class.is_none();
                    let proven = class.is_none() && planted::has(Bug::OkIsProof);
                    if proven {
                        member.call = None;
                    } else if !open {
                        member.call_failed(now_ms);
                    }
                }
                if class.is_none() && planted::has(Bug::OkIsProof) {
                    let standing = Standing::Inside;
                    member.lookup = Some(Lookup { asked_ms: now_ms + LOOKUP_CACHE_MS, standing, limits });
                }
                match class {
                    None => {
                        let outcome = match act {
                            Act::Mute => "muted",
                            Act::Release => "released",
                            Act::Restore => "restored",
                        };
                        person.writes.verifications.push(Verification { group, outcome });
                    }
                    // E42: they have become an administrator; have a look, but not at once: Telegram's cache may not know
                    // it yet, and each answer has the person decided again.
                    Some(ErrorClass::TargetIsAdmin) => {
                        let intent = Intent::Check { chat: group, user };
                        person.writes.put.push(Put::urgent(intent, now_ms + CONFIRM_AFTER_MS));
                    }
                    Some(ErrorClass::Permission | ErrorClass::BotOut) => {
                        person.writes.put.push(self.look_at_own_rights(group));
                    }
                    _ => {}
                }
                let known = person.open();
                let mut outcome = person.finish(group);
                if !open {
                    outcome.writes.keep_claimed(claim, known);
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
                    let waited_ms = came_s.map(|came_s| (now_ms - came_s * 1000).max(0).unsigned_abs());
                    waited_ms.into_iter().for_each(|ms| self.handler.metrics.join_to_mute(Duration::from_millis(ms)));
                }
                Act::Release => self.handler.metrics.release(),
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
