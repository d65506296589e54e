//! The policy: what is to hold for a person in a group, decided from facts alone, without I/O or clock of its own.

mod messages;
mod patience;
mod raid;

use nezuko_telegram::{BotId, ChatId, Limits, Standing, UserId};

pub use self::{
    messages::{OfMessage, OfSenderChat, is_cleaned, is_stale, of_message, of_sender_chat},
    patience::run_out,
    raid::{raid, raid_counted_since_ms},
};
use crate::{
    facts::{Act, Change, ChatFacts, Event, Mark, Member},
    planted::{self, Bug},
};

/// For so long a request that a channel leaves open counts as having joined it.
const PENDING_MS: i64 = 7 * 24 * 3_600_000;

/// A group with the channels that it requires.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The bot.
    pub bot: BotId,
    /// The group.
    pub group: ChatId,
    /// What is known about the group.
    pub facts: &'a ChatFacts,
    /// The channels whose members may write.
    pub channels: &'a [Required<'a>],
}

/// A channel that a group requires.
#[derive(Clone, Copy, Debug)]
pub struct Required<'a> {
    /// The channel.
    pub chat: ChatId,
    /// What is known about it.
    pub facts: &'a ChatFacts,
    /// What is known about the person there.
    pub member: Option<&'a Member>,
}

/// Why nothing is done about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An administrator, a bot, Telegram itself.
    Exempt,
    /// The bot lacks its rights in the group.
    Suspended,
    /// Not in the group and silent.
    Absent,
}

/// What is to hold for a person in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// May write; a mute of ours is to be lifted.
    Free,
    /// May not write before having joined these channels.
    Restricted {
        /// The channels that the person is known not to be in.
        missing: Vec<ChatId>,
    },
    /// Not to be known yet. Unknown never punishes (E28).
    Unknown,
    /// None of our business.
    HandsOff(Reason),
}

/// A decision, and when it has to be thought over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is to hold.
    pub decision: Decision,
    /// In which chats to look the person up, and when (Unix milliseconds).
    pub ask: Vec<(ChatId, i64)>,
}

/// Whether somebody is in a channel.
enum Membership {
    In,
    /// Out; since this event, where an event says so.
    Out(Option<Event>),
    Unknown,
}

impl Required<'_> {
    fn membership(&self, rule: &Rule<'_>, now_ms: i64, ask: &mut Vec<(ChatId, i64)>) -> Membership {
        // E27: a private channel may let in by request only. Of one that is turned down nobody tells us.
        let pends_until_ms =
            self.member.and_then(Member::open_request).map(|asked| asked.order.date * 1000 + PENDING_MS);
        if let Some(until_ms) = pends_until_ms.filter(|until_ms| now_ms < *until_ms)
            && rule.facts.settings.pending_counts()
        {
            ask.push((self.chat, until_ms));
            return Membership::In;
        }
        let seen = self.member.and_then(|member| member.standing(self.facts.watched(), now_ms));
        let Some(seen) = seen else {
            // Where nobody can be looked up, each message would cost a lookup in vain.
            ask.extend((!self.facts.is_closed()).then_some((self.chat, now_ms)));
            return Membership::Unknown;
        };
        if let Some(at_ms) = seen.ask_again_ms {
            ask.push((self.chat, at_ms));
        }
        if seen.standing.is_in() { Membership::In } else { Membership::Out(seen.event) }
    }

    /// The same, for somebody who is in the group: who has left the channel may stay for a while (E34), after which they are
    /// looked up.
    fn membership_with_grace(&self, rule: &Rule<'_>, now_ms: i64, ask: &mut Vec<(ChatId, i64)>) -> Membership {
        let membership = self.membership(rule, now_ms, ask);
        let Membership::Out(Some(left)) = membership else { return membership };
        let end_ms = grace_ends_ms(rule, left).filter(|end_ms| now_ms < *end_ms);
        let Some(end_ms) = end_ms else { return membership };
        ask.push((self.chat, end_ms));
        Membership::In
    }
}

/// Until when somebody may write who has left a channel so (Unix milliseconds); whom others removed has no grace. Where there
/// is none for anybody, a clock that is behind Telegram's must not make some.
fn grace_ends_ms(rule: &Rule<'_>, left: Event) -> Option<i64> {
    let leaver = left.was_in && left.standing == Standing::Outside && !planted::has(Bug::GraceIgnored);
    let grace_s = Some(rule.facts.settings.grace_s()).filter(|grace_s| leaver && *grace_s > 0);
    grace_s.map(|grace_s| (left.order.date + grace_s) * 1000)
}

/// Whom nothing is ever done to, whatever the facts (E1, E2, E5, E10).
fn is_untouchable(bot: BotId, group: ChatId, user: UserId) -> bool {
    user == bot.user()
        || user.0 == group.0
        || [UserId::TELEGRAM, UserId::GROUP_ANONYMOUS_BOT, UserId::CHANNEL_BOT].contains(&user)
}

/// Whether they have the group's trust because an administrator has added them (E15); `None`: who has is to be found out.
#[must_use]
pub fn trusted(rule: &Rule<'_>, member: Option<&Member>) -> Option<bool> {
    if rule.facts.settings.trust_added() { member.map_or(Some(false), Member::added_by_admin) } else { Some(false) }
}

/// Decides what is to hold for `user`, of whom `member` is known in the group.
#[must_use]
pub fn decide(rule: &Rule<'_>, user: UserId, member: Option<&Member>, now_ms: i64) -> Verdict {
    let verdict = |decision| Verdict { decision, ask: Vec::new() };
    if is_untouchable(rule.bot, rule.group, user) || member.is_some_and(|member| member.is_bot) {
        return verdict(Decision::HandsOff(Reason::Exempt));
    }
    // E76: from outside nobody can be freed, and whoever brings the bot back has everybody decided again.
    if rule.facts.is_left() {
        return verdict(Decision::HandsOff(Reason::Suspended));
    }
    if !rule.facts.is_protected() {
        // Whom we have muted is freed when we may free somebody again.
        let waits = member.is_some_and(|member| member.mute_until.is_some()) && !rule.facts.can_restrict();
        let leave_them = waits || planted::has(Bug::UnprotectLeavesMutes);
        return verdict(if leave_them { Decision::HandsOff(Reason::Suspended) } else { Decision::Free });
    }
    if !rule.facts.can_restrict() {
        return verdict(Decision::HandsOff(Reason::Suspended));
    }
    let seen = member.and_then(|member| member.standing(rule.facts.watched(), now_ms));
    if seen.is_some_and(|seen| seen.standing.is_admin()) && !planted::has(Bug::MuteAdmins) {
        return verdict(Decision::HandsOff(Reason::Exempt));
    }
    if member.is_some_and(|member| member.allowed_by_admin() || member.is_allowed()) {
        return verdict(Decision::Free);
    }
    match trusted(rule, member) {
        Some(true) => return verdict(Decision::Free),
        None => return verdict(Decision::Unknown),
        Some(false) => {}
    }

    let mut ask = Vec::new();
    let mut missing = Vec::new();
    let mut unknown = false;
    for channel in rule.channels {
        match channel.membership_with_grace(rule, now_ms, &mut ask) {
            Membership::In => {}
            Membership::Out(_) => missing.push(channel.chat),
            Membership::Unknown => unknown = true,
        }
    }
    let speaks = member.is_some_and(Member::writes_from_outside);
    let present = seen.map(|seen| seen.standing.is_in() || (seen.standing == Standing::Outside && speaks));
    match seen {
        // Somebody of whom nothing is known here may be an administrator, or muted by one.
        None => ask.push((rule.group, now_ms)),
        Some(seen) => ask.extend(seen.ask_again_ms.map(|at_ms| (rule.group, at_ms))),
    }
    let missing_is_empty = missing.is_empty();
    let decision = match (missing_is_empty, present) {
        (true, _) if !unknown => Decision::Free,
        (_, Some(false)) => Decision::HandsOff(Reason::Absent),
        (false, Some(true)) => Decision::Restricted { missing },
        _ => Decision::Unknown,
    };
    // Whom we have muted is to be freed wherever they are (E52), so that their channels stay of interest.
    let muted = member.is_some_and(|member| member.mute_until.is_some());
    // Who came in before the bot began to watch is probably still there, and nothing else would tell.
    let came = member.is_some_and(|member| member.was_in(now_ms));
    let wrote = member.is_some_and(Member::may_be_there);
    let concerned = match decision {
        Decision::Unknown => present == Some(true) || came || wrote || muted || !missing_is_empty,
        _ => present == Some(true) || came || muted,
    };
    if !concerned {
        ask.clear();
    }
    Verdict { decision, ask }
}

/// What is to be done about a request to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRequest {
    /// Grant it.
    Admit,
    /// Tell them what to join first.
    Greet,
    /// Leave it to the administrators for now. A request is never granted on what is not known (E24).
    Leave,
}

/// What is to be done about the open request of `member`, and where to look them up for it.
#[must_use]
pub fn of_request(rule: &Rule<'_>, member: &Member, now_ms: i64) -> (OfRequest, Vec<(ChatId, i64)>) {
    let answers = rule.facts.is_protected() && rule.facts.settings.join_requests() && rule.facts.can_admit();
    if !answers || rule.channels.is_empty() || member.open_request().is_none() {
        return (OfRequest::Leave, Vec::new());
    }
    if member.is_allowed() {
        return (OfRequest::Admit, Vec::new());
    }
    let mut ask = Vec::new();
    let found: Vec<_> = rule.channels.iter().map(|channel| channel.membership(rule, now_ms, &mut ask)).collect();
    let what = if found.iter().any(|membership| matches!(membership, Membership::Out(_))) {
        OfRequest::Greet
    } else if found.iter().any(|membership| matches!(membership, Membership::Unknown)) {
        OfRequest::Leave
    } else {
        OfRequest::Admit
    };
    (what, ask)
}

/// What is to be done about a person's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to call for, now.
    pub act: Option<Act>,
    /// When to look the person up in the group, to see what came of a call (Unix milliseconds).
    pub confirm_at_ms: Option<i64>,
    /// When a restriction by somebody else ends and the decision counts again (Unix milliseconds).
    pub look_again_ms: Option<i64>,
    /// Whether the person waits for having joined.
    pub waiting: bool,
    /// Whether they are to be warned that they have waited for nearly too long.
    pub warned: bool,
    /// Since when they wait, if later than was known (Unix milliseconds).
    pub waits_since_ms: Option<i64>,
    /// Where to make sure of what is known before anything is done that hurts more than a mute.
    pub make_sure: Vec<ChatId>,
}

impl Plan {
    /// What of it is done in a dry run: nothing is done to anybody anew. Whom we had muted before (`ours`) is not forgotten:
    /// they wait on, and are freed as ever.
    #[must_use]
    pub fn in_dry_run(self, ours: bool) -> Self {
        if self.act.is_some_and(Act::undoes) {
            return self;
        }
        let Self { confirm_at_ms, look_again_ms, waiting, .. } = self;
        let waiting = waiting && ours;
        Self { confirm_at_ms, look_again_ms: look_again_ms.filter(|_| waiting), waiting, ..Self::default() }
    }
}

/// Compares what is wanted with what is.
#[must_use]
pub fn plan(decision: &Decision, member: &Member, mark: Mark, now_ms: i64) -> Plan {
    let mut plan = Plan { confirm_at_ms: member.confirm_at_ms(), ..Plan::default() };
    let now = member.limits(mark, now_ms);
    let called = member.open_call().map(|call| call.act);
    // E44: what somebody else imposed is theirs to lift.
    let ledger_ignored = planted::has(Bug::LedgerIgnored);
    let imposed = member.imposed(mark, now_ms);
    if let Some(theirs) = imposed.filter(|_| !ledger_ignored) {
        plan.look_again_ms = ends_ms(theirs.limits);
        // E45: our mute covers what leaves them a voice, and theirs is put back after it.
        if matches!(decision, Decision::Restricted { .. }) && theirs.limits.leave_a_voice() {
            plan.waiting = true;
            let covered = mark.is_on(now.limits) && called != Some(Act::Restore);
            plan.act = (!covered && called != Some(Act::Mute)).then_some(Act::Mute);
            return plan;
        }
        // An admin's act and ours can cross: theirs is put back, whether ours muted, released or put an earlier one back.
        let replaced = |c: Change| {
            let stands = is_put_back(c.limits, theirs.limits, c.order.date);
            c.by_us && c.order > theirs.order && (now.limits == Limits::Free || (now.limits == c.limits && !stands))
        };
        let crossed = now.ours || member.change.is_some_and(replaced);
        let open = called == Some(Act::Restore) || planted::has(Bug::CrossingIgnored);
        plan.act = (crossed && !open).then_some(Act::Restore);
        return plan;
    }
    if matches!(now.limits, Limits::Banned { .. }) || !now.ours {
        plan.look_again_ms = ends_ms(now.limits);
    }
    if let Limits::Banned { until } = now.limits {
        // E49: whom we have banned may come back when they need not wait any more; whom we have only removed, and whom a ban
        // that we have put back keeps out although nobody imposes it any more, at once.
        let lasts = member.ban.is_some_and(|ban| !ban.kick && ban.until == until);
        let suspended = *decision == Decision::HandsOff(Reason::Suspended);
        let ends = now.ours && (*decision == Decision::Free || !(lasts || suspended));
        plan.act = (ends && called != Some(Act::Release)).then_some(Act::Release);
        return plan;
    }
    let limited = now.limits != Limits::Free;
    let left_over = now.ours && !mark.is_on(now.limits);
    match decision {
        Decision::Restricted { .. } => {
            plan.waiting = !limited || now.ours;
            let muted = limited && !left_over && !matches!(called, Some(Act::Release | Act::Restore));
            if !muted && called != Some(Act::Mute) {
                plan.act = Some(Act::Mute);
            }
        }
        Decision::Free => {
            let ours = now.ours || (ledger_ignored && limited);
            if ours && called != Some(Act::Release) {
                plan.act = Some(Act::Release);
            }
        }
        // Who waited goes on waiting while it cannot be known whether they still have to.
        Decision::Unknown => plan.waiting = member.waiting && now.ours,
        Decision::HandsOff(_) => {}
    }
    plan
}

/// Limits that end sooner than this would end never (E47), so that they are put back for so long, in seconds.
pub(crate) const SHORTEST_S: i64 = 60;

/// Whether `limits`, which we set at `date` (Unix seconds), are what somebody else had imposed.
fn is_put_back(limits: Limits, theirs: Limits, date: i64) -> bool {
    // Clocks differ by a little.
    let same_end =
        |end: i64, theirs: i64| end == theirs || (theirs < date + SHORTEST_S + 5 && theirs <= end && theirs > 0);
    match (limits, theirs) {
        (Limits::Restricted { until, left }, Limits::Restricted { until: theirs, left: left_by_them }) => {
            left == left_by_them && same_end(until, theirs)
        }
        (Limits::Banned { until }, Limits::Banned { until: theirs }) => same_end(until, theirs),
        _ => false,
    }
}

/// When limits end by themselves and the person is to be looked at again (Unix milliseconds).
fn ends_ms(limits: Limits) -> Option<i64> {
    match limits {
        Limits::Restricted { until, .. } | Limits::Banned { until } if until > 0 => Some((until + 1) * 1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
