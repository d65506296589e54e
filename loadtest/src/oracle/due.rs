//! What PRODUCT.md promises a person in a group, moment by moment.

use std::collections::BTreeSet;

use super::record::{Record, Stood, holds};
use crate::world::{ChatId, Member, UserId};

/// What is due to somebody in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Never restricted: administrators, bots, Telegram's own accounts.
    Exempt,
    /// The group requires nothing.
    Unprotected,
    /// In every required channel.
    Free,
    /// An administrator lifted the bot's mute; until they leave.
    Allowed,
    /// An administrator's restriction stands, until then (Unix seconds, 0: for ever).
    Theirs { until: i64, banned: bool },
    /// The bot lacks the rights, so the rule sleeps.
    Suspended,
    /// Lacks a channel.
    Restricted,
    /// Telegram's order or a command under way leaves both open, or PRODUCT.md does not say.
    Either,
}

impl Due {
    /// Whether a restriction by the bot would be wrong.
    pub(super) const fn is_free(self) -> bool {
        matches!(self, Self::Exempt | Self::Unprotected | Self::Free | Self::Allowed)
    }
}

/// What is due from some time on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from_ms: i64,
    pub(super) due: Due,
}

/// What an administrator decided about a person, as far as it still counts.
#[derive(Clone, Copy, Debug, Default)]
struct Decided {
    theirs: Option<(i64, bool)>,
    allowed: bool,
    /// They lifted a restriction of their own: whether that allows a person, PRODUCT.md does not say.
    lifted_own: bool,
}

/// What is due to `user` in `group`, from the beginning to the end.
pub(super) fn segments(record: &Record<'_>, group: ChatId, user: UserId) -> Vec<Segment> {
    let mut moments = BTreeSet::from([i64::MIN]);
    let decided = decisions(record, record.standing(group, user), user);
    for (at_ms, decided) in &decided {
        moments.insert(*at_ms);
        if let Some((until, _)) = decided.theirs.filter(|(until, _)| *until != 0) {
            moments.insert(until * 1000);
        }
    }
    moments.extend(record.standing(group, record.bot()).iter().map(|stood| stood.at_ms));
    for rule in record.rules.get(&group).into_iter().flatten() {
        moments.extend([rule.at_ms, rule.certain_ms]);
        for channel in &rule.required {
            moments.extend(record.standing(*channel, user).iter().map(|stood| stood.at_ms));
            moments.extend(record.standing(*channel, record.bot()).iter().map(|stood| stood.at_ms));
        }
    }
    let mut segments: Vec<Segment> = Vec::new();
    for from_ms in moments {
        let upto = decided.partition_point(|(at_ms, _)| *at_ms <= from_ms);
        let decided = decided[..upto].last().map_or(Decided::default(), |(_, decided)| *decided);
        let due = due_at(record, group, user, from_ms, decided);
        if segments.last().is_none_or(|last| last.due != due) {
            segments.push(Segment { from_ms, due });
        }
    }
    segments
}

/// Every change of what administrators decided about a person.
fn decisions(record: &Record<'_>, standing: &[Stood], user: UserId) -> Vec<(i64, Decided)> {
    let mut now = Decided::default();
    let mut held_by_bot = false;
    let mut before = Member::Left;
    let mut decisions = Vec::new();
    for Stood { at_ms, member, by } in standing.iter().copied() {
        match by {
            Some(by) if by == record.bot() => held_by_bot = holds(member),
            Some(by) if by == user => {
                if !member.is_in() {
                    now.allowed = false;
                    now.lifted_own = false;
                }
            }
            _ => {
                // Nobody at the beginning, or an administrator.
                let held = holds(before.at(at_ms));
                now = match member {
                    Member::Restricted { until, .. } => Decided { theirs: Some((until, false)), ..Decided::default() },
                    Member::Kicked { until } => Decided { theirs: Some((until, true)), ..Decided::default() },
                    Member::Member if held && held_by_bot && now.theirs.is_none() => {
                        Decided { allowed: true, ..Decided::default() }
                    }
                    Member::Member if held => Decided { lifted_own: true, ..Decided::default() },
                    _ => Decided::default(),
                };
                held_by_bot = false;
            }
        }
        before = member;
        decisions.push((at_ms, now));
    }
    decisions
}

fn due_at(record: &Record<'_>, group: ChatId, user: UserId, at_ms: i64, decided: Decided) -> Due {
    let member = record.member_at(group, user, at_ms);
    if user.is_service() || member.is_admin() || record.world.person(user).is_some_and(|person| person.is_bot) {
        return Due::Exempt;
    }
    if let Some((until, banned)) = decided.theirs.filter(|(until, _)| *until == 0 || until * 1000 > at_ms) {
        return Due::Theirs { until, banned };
    }
    let Some((rule, before)) = record.required_at(group, at_ms) else { return Due::Unprotected };
    let due = due_under(record, group, user, at_ms, (&rule.required, decided));
    if at_ms < rule.certain_ms {
        // The command is under way: either rule may be in force.
        let none = BTreeSet::new();
        let before = before.map_or(&none, |before| &before.required);
        let until_now = due_under(record, group, user, at_ms, (before, decided));
        if due != until_now && !(due.is_free() && until_now.is_free()) {
            return Due::Either;
        }
    }
    due
}

/// What is due to somebody whom nothing but these required channels and an administrator's leave concern.
fn due_under(
    record: &Record<'_>,
    group: ChatId,
    user: UserId,
    at_ms: i64,
    (required, decided): (&BTreeSet<ChatId>, Decided),
) -> Due {
    if required.is_empty() {
        return Due::Unprotected;
    }
    let rights = record.member_at(group, record.bot(), at_ms).rights();
    if !rights.can_restrict_members || !rights.can_delete_messages {
        return Due::Suspended;
    }
    let missing = || required.iter().filter(|channel| !record.member_at(**channel, user, at_ms).is_in());
    let blind = |channel: &ChatId| !record.member_at(*channel, record.bot(), at_ms).is_admin();
    match () {
        () if required.iter().all(blind) => Due::Suspended,
        () if missing().next().is_none() => Due::Free,
        () if decided.allowed => Due::Allowed,
        () if decided.lifted_own || required.iter().any(blind) => Due::Either,
        () => Due::Restricted,
    }
}

/// What was due at `from_ms` and all that became due up to `to_ms`.
pub(super) fn during(segments: &[Segment], from_ms: i64, to_ms: i64) -> &[Segment] {
    let first = segments.partition_point(|segment| segment.from_ms <= from_ms).saturating_sub(1);
    let last = segments.partition_point(|segment| segment.from_ms <= to_ms);
    &segments[first..last.max(first)]
}
