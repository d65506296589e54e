//! How long somebody is waited for, and what becomes of them then (E47, E49).

use nezuko_telegram::ChatId;

use super::{Decision, Plan};
use crate::{
    facts::{Act, ChatFacts, Mark, Member, Wait},
    planted::{self, Bug},
    settings::{SettingRegisters, TimeoutAction},
};

/// Being removed hurts more than a mute, and an event may have been lost: who is to be removed must have been looked up since.
/// Everything between that and the call takes less.
const SURELY_MS: i64 = 300_000;

/// Completes the plan for somebody who waits in the group and is muted by us: whether they are to be warned, when to look again, and
/// whether they have waited for too long. `known` tells what is known of them in a channel.
pub fn run_out<'m>(
    plan: &mut Plan,
    facts: &ChatFacts,
    decision: &Decision,
    member: &Member,
    mark: Mark,
    now_ms: i64,
    known: impl Fn(ChatId) -> Option<&'m Member>,
) {
    let Decision::Restricted { missing } = decision else { return };
    let settings = &facts.settings;
    let act = match settings.timeout_action() {
        TimeoutAction::Stay => return,
        TimeoutAction::Kick => Act::Kick,
        TimeoutAction::Ban => Act::Ban,
    };
    let is_there = member.standing(facts.watched(), now_ms).is_some_and(|seen| seen.standing.is_in());
    let muted = plan.waiting && plan.act.is_none() && mark.is_on(member.limits(mark, now_ms).limits);
    if !is_there || !muted {
        return;
    }
    // Who is muted already begins to wait now: who comes back, or whose group has just begun to act in earnest.
    let wait = member.wait.filter(|wait| wait.until_ms.is_none());
    let mut wait = wait.unwrap_or(Wait { since_ms: now_ms, until_ms: None, warned_ms: None });
    // So does who was in the channels and out again before we had taken it in.
    let left_ms = |channel: &ChatId| {
        let event = known(*channel)?.event.filter(|event| event.was_in && !event.standing.is_in())?;
        Some(event.order.ms())
    };
    plan.waits_since_ms = missing.iter().map(left_ms).min().flatten().filter(|lacked_ms| wait.since_ms < *lacked_ms);
    wait.since_ms = plan.waits_since_ms.unwrap_or(wait.since_ms);
    let (warn_ms, end_ms) = times(settings, wait, now_ms);
    plan.warned = warn_ms.is_some_and(|warn_ms| warn_ms <= now_ms);
    if now_ms < end_ms {
        let next_ms = warn_ms.filter(|warn_ms| now_ms < *warn_ms).unwrap_or(end_ms);
        plan.look_again_ms = Some(plan.look_again_ms.map_or(next_ms, |at_ms| at_ms.min(next_ms)));
        return;
    }
    // A call of ours whose outcome is open is seen to first.
    if member.open_call().is_some() {
        return;
    }
    let was_looked_up = |channel| known(channel).is_some_and(|member| member.was_asked_since(now_ms - SURELY_MS));
    let is_sure = |channel| was_looked_up(channel) || planted::has(Bug::RemovesUnsure);
    plan.make_sure = missing.iter().copied().filter(|channel| !is_sure(*channel)).collect();
    if plan.make_sure.is_empty() {
        plan.act = Some(act);
    }
}

/// When to warn, and when the time is over (Unix milliseconds). Nobody is removed who was not warned a quarter of the time
/// before, also where we could not for a while.
fn times(settings: &SettingRegisters, wait: Wait, now_ms: i64) -> (Option<i64>, i64) {
    let timeout_ms = settings.timeout_s() * if planted::has(Bug::RemovesTooSoon) { 500 } else { 1000 };
    let end_ms = wait.since_ms + timeout_ms;
    if !settings.warn_first() || planted::has(Bug::RemovesUnwarned) {
        return (None, end_ms);
    }
    let before_ms = settings.warned_before().as_millis() as i64;
    let warn_ms = end_ms - before_ms;
    let warned_ms = wait.warned_ms.unwrap_or_else(|| now_ms.max(warn_ms));
    (Some(warn_ms), end_ms.max(warned_ms + before_ms))
}
