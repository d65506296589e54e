//! Compares a world after a run with what docs/product.md promises.
//!
//! Written from docs/product.md and docs/edge-cases.md, not from the bot: nothing here may use the bot's crates
//! (`tests/independence.rs` sees to it), so that both are not wrong in the same way.
//!
//! The bot needs time, and Telegram gives no order between a person's messages and their channels. So an act of the bot is
//! wrong only if nothing during the time that it could have known ([`Tolerance`]) asked for it, and a consequence is
//! missing only if it was due all that time.

mod commands;
mod due;
mod messages;
mod people;
mod prompts;
mod raids;
mod record;
mod removals;
mod requests;
mod terms;
mod told;
mod verdict;
mod words;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

pub use self::verdict::{Count, Finding, Kind, Severity, Verdict};
use self::{
    commands::Replies,
    due::{Due, Segment},
    record::Record,
};
use crate::world::{ChatId, UserId, World};

/// How late the bot may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// From when the bot was told of a change to its consequence, ms. Tests that stop programs for a while need more.
    pub settle_ms: i64,
    /// How long things may cross, ms: an administrator's act and the bot's (Telegram has no compare-and-set), or a message
    /// and what its author did in a channel before it (nothing orders the updates of two chats, and a worker that dies holds
    /// its own back until others take them over).
    pub crossing_ms: i64,
    /// How late may come what is due at a time of its own, such as the end of somebody's patience, ms. Where the clock leaps,
    /// that is at the next leap, and what follows from it at the next but one.
    pub timers_ms: i64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { settle_ms: 10_000, crossing_ms: 3_000, timers_ms: 10_000 }
    }
}

/// What the webhook's delivery has to add to a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Updates given up.
    pub dropped: u64,
    /// Answers with a `method`.
    pub methods_in_answers: u64,
}

/// Judges a run that has come to rest at `end_ms`.
#[must_use]
pub fn judge(world: &World, end_ms: i64, delivery: Delivery, tolerance: Tolerance) -> Verdict {
    let mut record = Record::of(world, end_ms, tolerance);
    let replies = commands::replies(&record);
    (record.rules, record.words) = terms::follow(&record, &replies, tolerance.settle_ms);
    let mut judge = Judge {
        record: &record,
        replies: &replies,
        tolerance,
        messages_of: messages::by_author(&record),
        segments: RefCell::default(),
        verdict: Verdict::default(),
    };
    judge.judge_people();
    judge.judge_removals();
    judge.judge_requests();
    judge.judge_messages();
    judge.judge_rarer_messages();
    judge.judge_logs();
    judge.judge_raids();
    judge.judge_quotas();
    judge.judge_languages();
    judge.judge_prompts();
    judge.judge_presses();
    judge.judge_commands();
    for _ in 0..delivery.dropped {
        judge.verdict.find(Kind::UpdateDropped, "an update was given up before it was taken in".to_owned());
    }
    for _ in 0..delivery.methods_in_answers {
        judge.verdict.find(Kind::MethodInAnswer, "a webhook answer would have been executed".to_owned());
    }
    judge.verdict
}

type Segments = BTreeMap<(ChatId, UserId), Rc<Vec<Segment>>>;

struct Judge<'r, 'w> {
    record: &'r Record<'w>,
    replies: &'r Replies,
    tolerance: Tolerance,
    /// What each person wrote in each group that the bot was told of: indexes into the record.
    messages_of: BTreeMap<(ChatId, UserId), Vec<usize>>,
    /// Made when first asked for.
    segments: RefCell<Segments>,
    verdict: Verdict,
}

impl Judge<'_, '_> {
    fn segments(&self, group: ChatId, user: UserId) -> Rc<Vec<Segment>> {
        let mut all = self.segments.borrow_mut();
        let made = || Rc::new(due::segments(self.record, group, user));
        Rc::clone(all.entry((group, user)).or_insert_with(made))
    }

    /// Until when the consequence of something must have come.
    fn settled(&self, at_ms: i64) -> i64 {
        at_ms + self.tolerance.settle_ms + self.record.late_ms(at_ms)
    }

    /// Since when something may have been the reason for what the bot did.
    fn reasons_from(&self, at_ms: i64) -> i64 {
        at_ms - self.tolerance.settle_ms - self.record.late_ms(at_ms)
    }

    /// Since when something may have crossed with what happened at a time.
    fn crossing_from(&self, at_ms: i64) -> i64 {
        at_ms - self.tolerance.crossing_ms - self.record.late_ms(at_ms)
    }

    /// What was due to somebody at any time between two moments.
    fn dues_during(&self, group: ChatId, user: UserId, from_ms: i64, to_ms: i64) -> Vec<Due> {
        due::during(&self.segments(group, user), from_ms, to_ms).iter().map(|segment| segment.due).collect()
    }

    /// Whether some channel that the person lacks, or lacked lately, was known to the bot.
    fn could_know(&self, group: ChatId, user: UserId, from_ms: i64, at_ms: i64) -> bool {
        let lacked = |channel: ChatId| {
            let out = |at| !self.record.member_at(channel, user, at).is_in();
            let standing = self.record.standing(channel, user);
            out(from_ms) || standing.iter().any(|s| (from_ms..=at_ms).contains(&s.at_ms) && !s.member.is_in())
        };
        let mut required = self.record.required_during(group, from_ms, at_ms).into_iter();
        required.any(|channel| lacked(channel) && self.record.is_known(channel, user, at_ms))
    }

    /// Whether the bot tried to learn about the channels that the person lacks, and never could.
    fn is_unknowable(&self, group: ChatId, user: UserId, at_ms: i64) -> bool {
        let lacks = |channel: &ChatId| !self.record.member_at(*channel, user, at_ms).is_in();
        let mut lacking = self.record.required_during(group, at_ms, at_ms).into_iter().filter(lacks).peekable();
        lacking.peek().is_some() && lacking.all(|channel| self.record.is_unknowable(channel, user))
    }

    fn count(&mut self, of: &'static str, bot: usize, at_least: usize, at_most: usize) {
        self.verdict.counts.push(Count { of, bot, at_least, at_most });
    }
}
