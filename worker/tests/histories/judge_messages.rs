//! Messages of those who were not to write: what is known before a message is read counts, whatever a cache says.

use std::collections::BTreeMap;

use loadtest::world::{self, World};
use nezuko_telegram::{ChatId, Standing, UpdateKind, UserId};

use crate::{
    judge::Ending,
    plan::{Doing, PEOPLE, Place, Plan, Who},
    queue::{Entry, Queue},
};

/// Telegram's dates are whole seconds: what is two apart is certain to have been in this order.
const APART_S: i64 = 2;

/// Whoever is muted is not acquitted by the cache either, if nobody was kept from telling it.
pub(crate) fn acquittals(ending: &Ending<'_>, acquits: impl Fn(world::UserId) -> bool) -> Result<(), String> {
    match ending.plan.people().find(|user| ending.is_muted_by_us(*user) && acquits(*user)) {
        Some(user) => Err(format!("{user} is muted, and the cache acquits them")),
        None => Ok(()),
    }
}

/// No message stands whose writer had left a required chat for good, if that was taken in before the message was read.
/// A cache that had forgotten everything in between may have been told last what was decided first.
pub(crate) fn judge(plan: &Plan, world: &World, queue: &Queue, forgotten: &[u64]) -> Result<(), String> {
    if plan.changes_rule() {
        return Ok(());
    }
    for who in 0..plan.people {
        let exempts = |doing| matches!(doing, Doing::IsPromoted(of) | Doing::IsUnmuted(of) if of == who);
        if !plan.has(exempts) {
            queue.with(|entries| judge_writer(plan, world, entries, forgotten, who))?;
        }
    }
    Ok(())
}

fn judge_writer(plan: &Plan, world: &World, entries: &[Entry], forgotten: &[u64], who: Who) -> Result<(), String> {
    let user = UserId(PEOPLE[who].0.0);
    let group = Plan::chat(Place::Group);
    for entry in entries {
        let UpdateKind::Message(message) = &entry.update.kind else { continue };
        let is_theirs = message.from.as_ref().is_some_and(|from| from.id == user);
        // Who has left may write for a while, where the group has said so.
        let date = message.date - plan.terms.grace_s;
        if !is_theirs || !has_left((entries, forgotten), user, ChatId(group.0), entry, date) {
            continue;
        }
        let stands =
            world.chat(group).is_some_and(|chat| chat.messages().any(|standing| standing.id.0 == message.message_id.0));
        if stands {
            return Err(format!("message {} stands, and {user} had left a channel before", message.message_id));
        }
    }
    Ok(())
}

/// Whether the last that is ever told of this person in some required chat is that they left it, well before the message
/// was written, and was taken in before that was read.
fn has_left((entries, forgotten): (&[Entry], &[u64]), user: UserId, group: ChatId, of: &Entry, date: i64) -> bool {
    let read = entries.iter().filter(|entry| entry.update.id == of.update.id).filter_map(|entry| entry.read_at).min();
    let mut last: BTreeMap<ChatId, (&Entry, i64, bool)> = BTreeMap::new();
    for entry in entries {
        let UpdateKind::ChatMember(event) = &entry.update.kind else { continue };
        if event.new_chat_member.user.id != user || event.chat.id == group {
            continue;
        }
        let is_in = event.new_chat_member.standing.is_some_and(Standing::is_in);
        let known = last.entry(event.chat.id).or_insert((entry, event.date, is_in));
        if entry.update.id > known.0.update.id {
            *known = (entry, event.date, is_in);
        }
    }
    let was_told = |event: &Entry| {
        let copies = entries.iter().filter(|entry| entry.update.id == event.update.id);
        let mut times = copies.filter_map(|copy| Some((copy.read_at?, copy.ended_at?, read?)));
        let is_kept = |from: u64, to: u64| !forgotten.iter().any(|at| (from..to).contains(at));
        times.any(|(told, ended, read)| ended < read && is_kept(told, read))
    };
    last.values().any(|(event, left, is_in)| !is_in && left + APART_S <= date && was_told(event))
}
