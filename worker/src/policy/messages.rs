//! What is to be done about messages.

use nezuko_telegram::{ChatId, UserId};

use super::{Membership, Rule, grace_ends_ms, is_untouchable, trusted};
use crate::{
    facts::{ChatFacts, Member},
    planted::{self, Bug},
    settings::{OnUnknown, SenderChats},
};

/// What reaches us later than this is punished no more: its group has gone on (E66). Seconds.
const STALE_S: i64 = 600;

/// What is to be done about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfMessage {
    /// Its writer was free to write it.
    Keep,
    /// Its writer was to be restricted already when writing it, or cannot be known in a group that lets only those write who
    /// are.
    Delete,
    /// Not to be known yet.
    Hold,
}

/// Whether something from `date` (Unix seconds) is taken in so late that nothing is done to anybody for it (E66).
#[must_use]
pub const fn is_stale(date: i64, now_ms: i64) -> bool {
    date + STALE_S < now_ms / 1000
}

/// Decides about a message that `user` wrote at `date` (Unix seconds), whether or not they are still in the group. What
/// only came after the message does not make it wrong. With it, in which chats to look the person up where it is not to
/// be known yet.
#[must_use]
pub fn of_message(
    rule: &Rule<'_>,
    user: UserId,
    member: Option<&Member>,
    date: i64,
    now_ms: i64,
) -> (OfMessage, Vec<(ChatId, i64)>) {
    let keep = (OfMessage::Keep, Vec::new());
    let exempt = is_untouchable(rule.bot, rule.group, user)
        || member.is_some_and(|m| m.is_bot || m.allowed_by_admin() || m.is_allowed());
    if exempt || !rule.facts.is_protected() || !rule.facts.can_restrict() || !rule.facts.can_delete() {
        return keep;
    }
    let mut ask = Vec::new();
    let (mut unverified, mut hopeless) = (false, false);
    for channel in rule.channels {
        match channel.membership(rule, now_ms, &mut ask) {
            Membership::Out(Some(left)) => {
                let allowed_until = grace_ends_ms(rule, left).map_or(left.order.date, |end_ms| end_ms / 1000);
                unverified |= allowed_until < date || !left.was_in;
            }
            Membership::Out(None) => unverified = true,
            Membership::Unknown => {
                let in_vain = channel.member.is_some_and(|member| member.cannot_be_found_out(now_ms));
                // Who was in when that could last be known is taken at it.
                let was_in = channel.member.is_some_and(|member| member.was_in(now_ms));
                hopeless |= (channel.facts.is_closed() || in_vain) && !was_in;
            }
            Membership::In => {}
        }
    }
    let Some(seen) = member.and_then(|member| member.standing(rule.facts.watched(), now_ms)) else {
        ask.push((rule.group, now_ms));
        return (OfMessage::Hold, ask);
    };
    if seen.standing.is_admin() && !planted::has(Bug::MuteAdmins) {
        return keep;
    }
    match trusted(rule, member) {
        Some(true) => return keep,
        None => return (OfMessage::Hold, Vec::new()),
        Some(false) => {}
    }
    // E28: who cannot be found out is never muted, but may have nothing to say here.
    let silenced = hopeless && rule.facts.settings.on_unknown() == OnUnknown::Hold;
    let unknown = ask.iter().any(|(_, at_ms)| *at_ms <= now_ms);
    match (unverified || silenced, unknown) {
        (true, _) => (OfMessage::Delete, Vec::new()),
        (false, true) => (OfMessage::Hold, ask),
        (false, false) => keep,
    }
}

/// What is to be done about a message in the name of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfSenderChat {
    /// It may stand.
    Keep,
    /// It goes.
    Delete,
    /// It goes, and the chat may not write here any more.
    Ban,
    /// What the group is linked to has to be looked up first.
    LookUp,
}

/// Decides about a message that was written in the name of `sender`: the group itself stands for its anonymous
/// administrators (E2), and its channel speaks in its own comments (E4). Membership of another cannot be checked (E5).
#[must_use]
pub fn of_sender_chat(group: ChatId, facts: &ChatFacts, sender: ChatId, now_ms: i64) -> OfSenderChat {
    let then = match facts.settings.sender_chats() {
        SenderChats::Allow => return OfSenderChat::Keep,
        SenderChats::Ban if facts.can_restrict() => OfSenderChat::Ban,
        SenderChats::Ban | SenderChats::Delete => OfSenderChat::Delete,
    };
    if sender == group || facts.is_sender_allowed(sender) || !facts.is_protected() || !facts.can_delete() {
        return OfSenderChat::Keep;
    }
    match facts.is_linked(sender, now_ms) {
        Some(true) => OfSenderChat::Keep,
        Some(false) => then,
        None => OfSenderChat::LookUp,
    }
}

/// Whether notes about joins and leaves are deleted here (E13).
#[must_use]
pub fn is_cleaned(facts: &ChatFacts) -> bool {
    facts.settings.clean_service() && facts.is_protected() && facts.can_delete() && !facts.is_dry()
}
