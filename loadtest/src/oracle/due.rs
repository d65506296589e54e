//! What docs/product.md promises a person in a group, moment by moment.

use std::collections::BTreeSet;

use super::{
    record::{Asked, Record, Stood, holds},
    terms::{Terms, Word},
};
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
    /// An administrator lifted the bot's mute, or added them (E15); until they leave.
    Allowed,
    /// An administrator's restriction stands, until then (Unix seconds, 0: for ever).
    Theirs { until: i64, banned: bool },
    /// The bot lacks the rights, so the rule sleeps.
    Suspended,
    /// Lacks a channel in a dry run: nothing is done to them, and whoever was muted before stays so.
    Dry,
    /// Lacks a channel.
    Restricted,
    /// Telegram's order or a command under way leaves both open, or docs/product.md does not say.
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
    /// They brought them in, which counts where the group wants that.
    added: bool,
    /// They lifted a restriction of their own: whether that allows a person, docs/product.md does not say.
    lifted_own: bool,
}

/// What is due to `user` in `group`, from the beginning to the end.
pub(super) fn segments(record: &Record<'_>, group: ChatId, user: UserId) -> Vec<Segment> {
    let mut moments = BTreeSet::from([i64::MIN]);
    let decided = decisions(record, group, user);
    for (at_ms, decided) in &decided {
        moments.insert(*at_ms);
        if let Some((until, _)) = decided.theirs.filter(|(until, _)| *until != 0) {
            moments.insert(until * 1000);
        }
    }
    moments.extend(record.standing(group, record.bot()).iter().map(|stood| stood.at_ms));
    for rule in record.rules.get(&group).into_iter().flatten() {
        moments.extend([rule.at_ms, rule.certain_ms]);
        for channel in &rule.terms.required {
            moments.extend(record.standing(*channel, user).iter().map(|stood| stood.at_ms));
            moments.extend(record.asked(*channel, user).map(|(at_ms, _)| at_ms));
            let left = left(record, *channel, user);
            moments.extend(left.flat_map(|at_ms| [at_ms + record.crossing_ms, at_ms + rule.terms.grace_ms()]));
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
fn decisions(record: &Record<'_>, group: ChatId, user: UserId) -> Vec<(i64, Decided)> {
    let mut now = Decided::default();
    let mut held_by_bot = false;
    let mut before = Member::Left;
    let mut decisions = Vec::new();
    let mut words = record.words.get(&(group, user)).into_iter().flatten().peekable();
    for Stood { at_ms, member, by } in record.standing(group, user).iter().copied() {
        while let Some((said_ms, word)) = words.next_if(|(said_ms, _)| *said_ms < at_ms) {
            now.say(*word, held_by_bot);
            decisions.push((*said_ms, now));
        }
        match by {
            Some(by) if by == record.bot() => held_by_bot = holds(member),
            Some(by) if by == user => {
                if !member.is_in() {
                    (now.allowed, now.added, now.lifted_own) = (false, false, false);
                }
            }
            _ => {
                // Nobody at the beginning, or an administrator.
                let held = holds(before.at(at_ms));
                now = match member {
                    Member::Restricted { until, .. } => Decided { theirs: Some((until, false)), ..Decided::default() },
                    Member::Kicked { until } => Decided { theirs: Some((until, true)), ..Decided::default() },
                    Member::Member if !before.is_in() && record.is_added(group, user, at_ms) => {
                        Decided { added: true, ..Decided::default() }
                    }
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
    for (said_ms, word) in words {
        now.say(*word, held_by_bot);
        decisions.push((*said_ms, now));
    }
    decisions
}

impl Decided {
    /// An administrator says a word to the bot.
    fn say(&mut self, word: Word, held_by_bot: bool) {
        match word {
            Word::Free if held_by_bot && self.theirs.is_none() => *self = Self { allowed: true, ..Self::default() },
            Word::Free => {}
            Word::Ban => *self = Self { theirs: Some((0, true)), ..Self::default() },
        }
    }
}

/// When somebody left a chat by themselves.
pub(super) fn left(record: &Record<'_>, chat: ChatId, user: UserId) -> impl Iterator<Item = i64> {
    let leaves = move |stood: &&Stood| stood.member == Member::Left && stood.by == Some(user);
    record.standing(chat, user).iter().filter(leaves).map(|stood| stood.at_ms)
}

/// Whether somebody is in a channel, or left it by themselves less than so long ago (E34).
fn is_as_if_in(record: &Record<'_>, channel: ChatId, user: UserId, at_ms: i64, grace_ms: i64) -> bool {
    let standing = record.standing(channel, user);
    let last = standing[..standing.partition_point(|stood| stood.at_ms <= at_ms)].last();
    let has_grace =
        |stood: &Stood| stood.member == Member::Left && stood.by == Some(user) && at_ms < stood.at_ms + grace_ms;
    last.is_some_and(|stood| stood.member.at(at_ms).is_in() || has_grace(stood))
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
    let due = due_under(record, group, user, at_ms, (&rule.terms, decided));
    if at_ms < rule.certain_ms {
        // The command is under way: either rule may be in force.
        let none = Terms::default();
        let before = before.map_or(&none, |before| &before.terms);
        let until_now = due_under(record, group, user, at_ms, (before, decided));
        if due != until_now && !(due.is_free() && until_now.is_free()) {
            return Due::Either;
        }
    }
    due
}

/// What is due to somebody whom nothing but these terms and an administrator's leave concern.
fn due_under(record: &Record<'_>, group: ChatId, user: UserId, at_ms: i64, (terms, decided): (&Terms, Decided)) -> Due {
    let required = &terms.required;
    if required.is_empty() {
        return Due::Unprotected;
    }
    let rights = record.member_at(group, record.bot(), at_ms).rights();
    if !rights.can_restrict_members || !rights.can_delete_messages {
        return Due::Suspended;
    }
    let grace_ms = terms.grace_ms();
    let asked = |channel: ChatId| {
        if terms.pending_counts() { record.asked_at(channel, user, at_ms) } else { Asked::Not }
    };
    let lacks = |channel: ChatId| !is_as_if_in(record, channel, user, at_ms, grace_ms) && asked(channel) != Asked::Asks;
    let missing = || required.iter().copied().filter(|channel| lacks(*channel));
    // The bot may look up that they are out before it is told that they have just left.
    let just_left = |channel: &ChatId| {
        let times = (at_ms - record.crossing_ms + 1)..=at_ms;
        !record.member_at(*channel, user, at_ms).is_in() && left(record, *channel, user).any(|at| times.contains(&at))
    };
    let blind = |channel: &ChatId| !record.member_at(*channel, record.bot(), at_ms).is_admin();
    match () {
        () if required.iter().all(blind) => Due::Suspended,
        () if missing().next().is_none() && required.iter().any(just_left) => Due::Either,
        () if missing().next().is_none() => Due::Free,
        () if decided.allowed || terms.allows(user.0) || (decided.added && terms.trusts_added()) => Due::Allowed,
        () if terms.is_dry() => Due::Dry,
        () if missing().all(|channel| asked(channel) == Asked::Declined) => Due::Either,
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
