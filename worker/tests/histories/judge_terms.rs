//! Who is removed for waiting too long, and who may write for a while after leaving: what docs/product.md promises where the
//! group has set it.

use loadtest::world::{Happened, Member, UserId};

use crate::{
    judge::{Change, Ending, is_of_bot},
    plan::{BEGIN_MS, Delivery, Fate, Fault, PEOPLE, Place, Plan, Removal},
};

/// A machine's clock differs from Telegram's by less than a second, and Telegram's dates are whole ones.
const CLOCK_MS: i64 = 2_000;
/// A decision and the call that follows from it are no further apart where nothing goes wrong.
const CROSSING_MS: i64 = 10_000;
/// The same where something does: senders die, and calls land late.
const HELD_UP_MS: i64 = 120_000;
/// Whoever is removed was looked up within this.
const SURELY_MS: i64 = 300_000;
/// Who is only removed may come back after this at the latest, seconds; Telegram takes what is shorter than `SHORTEST_S` for
/// ever.
const KICK_S: i64 = 90;
const SHORTEST_S: i64 = 30;
/// A ban is no shorter, seconds.
const SHORTEST_BAN_S: i64 = 60;

impl Ending<'_> {
    /// Removals of this person, and mutes soon after they left a channel.
    pub(crate) fn terms(&self, user: UserId) -> Result<(), String> {
        self.removals(user)?;
        if self.plan.terms.grace_s > 0 { self.grace(user) } else { Ok(()) }
    }

    /// How far apart a decision and what comes of it may be.
    fn crossing_ms(&self) -> i64 {
        if self.plan.faults.is_empty() { CROSSING_MS } else { HELD_UP_MS }
    }

    fn has_late_updates(&self) -> bool {
        let late = |fault: &Fault| matches!(fault, Fault::Update { delivery: Delivery::Late { .. }, .. });
        self.plan.faults.iter().any(late)
    }

    /// Nobody is removed but who has waited for long enough and is not in every channel; and not for ever.
    fn removals(&self, user: UserId) -> Result<(), String> {
        let bot = self.world.bot().id;
        // With the right to see into a channel, and with its old id, the bot loses sight of who has just left.
        let blind = self.plan.terms.grace_s > 0 && self.plan.changes_rule();
        let (mut banned_by_admin, mut unseen) = (false, blind || self.has_late_updates());
        for change in self.changes(user) {
            banned_by_admin |= change.by != bot && matches!(change.new, Member::Kicked { .. });
            unseen |= !change.told && change.by != bot;
            if let Member::Kicked { until } = change.new
                && change.by == bot
                && !(banned_by_admin && until == 0)
                // Where nothing tells that they are out, they are removed again.
                && !matches!(change.old, Member::Kicked { .. })
            {
                self.removal(user, &change, until, unseen).map_err(|why| format!("{user} was removed {why}"))?;
            }
        }
        Ok(())
    }

    /// Since when and until when they were in the group and lacked a channel, as they last did before a time.
    fn waited(&self, user: UserId, before_ms: i64) -> Option<(i64, i64)> {
        let required = 0..self.plan.required.len();
        let in_channels = required.clone().flat_map(|index| self.places(user, index).map(|(at_ms, ..)| at_ms));
        let graces = required.clone().flat_map(|index| self.graces(user, index));
        let mut moments: Vec<i64> =
            self.changes(user).map(|change| change.at_ms).chain(in_channels).chain(graces).collect();
        moments.retain(|at_ms| *at_ms < before_ms);
        moments.sort_unstable();
        let (mut since_ms, mut waited) = (None, None);
        for at_ms in moments {
            let is_there = self.changes(user).take_while(|change| change.at_ms <= at_ms).last();
            let lacks = is_there.is_some_and(|change| change.new.is_in() && !change.new.is_admin())
                && !required.clone().all(|index| self.is_good_for(user, index, at_ms));
            match since_ms {
                Some(since) if !lacks => waited = Some((since, at_ms)),
                _ => {}
            }
            since_ms = lacks.then(|| since_ms.unwrap_or(at_ms));
        }
        since_ms.map(|since_ms| (since_ms, before_ms)).or(waited)
    }

    fn removal(&self, user: UserId, change: &Change, until: i64, unseen: bool) -> Result<(), String> {
        let Some(Removal { after_s, ban_s, warns }) = self.plan.terms.removal else {
            return Err("where nobody is to be".to_owned());
        };
        let (at_ms, crossing_ms) = (change.at_ms, self.crossing_ms());
        let lasts_s = until - at_ms / 1000;
        let most_s = ban_s.map_or(KICK_S, |ban_s| ban_s.max(SHORTEST_BAN_S));
        // One that lands late may be for ever; its echo tells that, and it is lifted.
        let lands_late = |fault: &Fault| {
            matches!(
                fault,
                Fault::Call { fate: Fate::Late { .. } | Fate::Slow { .. } | Fate::Flood { .. }, .. }
                    | Fault::Step { .. }
            )
        };
        let may_be_late = self.plan.faults.iter().any(lands_late);
        let least_s = if may_be_late { SHORTEST_S } else { most_s - crossing_ms / 1000 };
        let is_late = may_be_late && until == 0;
        if !is_late && !(least_s..=most_s + CLOCK_MS / 1000).contains(&lasts_s) {
            return Err(format!("for {lasts_s} s"));
        }
        // Of what was not told, or late, the bot cannot know that a wait was over.
        if !unseen {
            let Some((since_ms, until_ms)) = self.waited(user, at_ms) else { return Err("without waiting".to_owned()) };
            let waited_ms = until_ms - since_ms;
            if waited_ms + crossing_ms < after_s * 1000 {
                return Err(format!("after {waited_ms} ms"));
            }
            if until_ms + crossing_ms < at_ms {
                return Err("when they waited no longer".to_owned());
            }
        }
        if !(0..self.plan.required.len()).any(|index| self.was_found_out(user, index, at_ms)) {
            return Err("and was looked up in no channel that they were out of".to_owned());
        }
        if warns && !self.was_warned(user, at_ms) {
            return Err("and not warned before".to_owned());
        }
        Ok(())
    }

    /// Whether the bot asked about this channel just before, when they may have been out of it.
    fn was_found_out(&self, user: UserId, index: usize, at_ms: i64) -> bool {
        let place = Place::Required(index);
        let from_ms = at_ms - SURELY_MS - self.crossing_ms();
        let asked = self.history().find_map(|entry| match entry.what {
            Happened::LookedUp { chat, user: of, .. } if of == user && self.plan.is(place, chat) => {
                (from_ms..=at_ms).contains(&entry.at_ms).then_some(entry.at_ms)
            }
            _ => None,
        });
        asked.is_some_and(|asked_ms| self.was_out(user, index, asked_ms - self.plan.stale_lookups_ms, at_ms))
    }

    /// Whether they were out of this channel at any time between two.
    fn was_out(&self, user: UserId, index: usize, from_ms: i64, to_ms: i64) -> bool {
        let (mut out, mut ever) = (true, false);
        for (at_ms, _, is_in) in self.places(user, index) {
            if at_ms > to_ms {
                break;
            }
            ever |= out && at_ms > from_ms;
            out = !is_in;
        }
        ever || out
    }

    /// When they came into a required channel and left it, by whom, and whether they are in from then on.
    fn places(&self, user: UserId, index: usize) -> impl Iterator<Item = (i64, UserId, bool)> {
        let place = Place::Required(index);
        self.history().filter_map(move |entry| match entry.what {
            Happened::Founded { chat, user: of, member, .. } if of == user && self.plan.is(place, chat) => {
                Some((entry.at_ms, user, member.is_in()))
            }
            Happened::Changed { chat, user: of, by, new, .. } if of == user && self.plan.is(place, chat) => {
                Some((entry.at_ms, by, new.is_in()))
            }
            _ => None,
        })
    }

    /// Whether the prompt has said that they will be removed.
    fn was_warned(&self, user: UserId, before_ms: i64) -> bool {
        let name = PEOPLE.iter().find(|(of, _)| *of == user).map_or("", |(_, name)| name);
        // Of whom only lookups tell no name is known.
        let warns = |text: &str| text.contains("removed soon") && (text.contains(name) || text.contains("someone"));
        let mut history = self.history().take_while(|entry| entry.at_ms <= before_ms);
        history.any(|entry| match &entry.what {
            Happened::Sent { chat, text, .. } | Happened::Edited { chat, text, .. } => {
                self.plan.is(Place::Group, *chat) && warns(text)
            }
            _ => false,
        })
    }

    /// Until when they may write who left this channel by themselves, if they did so last.
    fn grace_ends_ms(&self, user: UserId, index: usize, now_ms: i64) -> Option<i64> {
        let mut was_in = false;
        let mut left = None;
        for (at_ms, by, is_in) in self.places(user, index).take_while(|(at_ms, ..)| *at_ms <= now_ms) {
            left = (was_in && !is_in && by == user).then_some(at_ms);
            was_in = is_in;
        }
        left.map(|left_ms| (left_ms / 1000 + self.plan.terms.grace_s) * 1000)
    }

    /// When their times of grace for this channel end.
    fn graces(&self, user: UserId, index: usize) -> impl Iterator<Item = i64> {
        self.places(user, index).filter_map(move |(at_ms, ..)| self.grace_ends_ms(user, index, at_ms))
    }

    /// Whether they may write at that time for being in this channel, or having left it only just.
    pub(crate) fn is_good_for(&self, user: UserId, index: usize, now_ms: i64) -> bool {
        !self.was_out(user, index, now_ms, now_ms)
            || (self.plan.terms.grace_s > 0
                && self.grace_ends_ms(user, index, now_ms).is_some_and(|end_ms| now_ms < end_ms))
    }

    /// Nobody is muted for a channel that they have only just left by themselves.
    fn grace(&self, user: UserId) -> Result<(), String> {
        // What the bot is told of too late, or not at all, it cannot grant.
        if self.plan.changes_rule() || self.has_late_updates() || self.acted_unseen(user) {
            return Ok(());
        }
        for change in self.changes(user) {
            let mutes = is_of_bot(change.new, change.at_ms) && !is_of_bot(change.old, change.at_ms);
            if change.by != self.world.bot().id || !mutes {
                continue;
            }
            let from_ms = change.at_ms - self.crossing_ms();
            let required = 0..self.plan.required.len();
            let moments = required.clone().flat_map(|index| self.places(user, index).map(|(at_ms, ..)| at_ms));
            let graces = required.clone().flat_map(|index| self.graces(user, index));
            let until_ms = change.at_ms + CLOCK_MS;
            let moments = moments.chain(graces).filter(|at_ms| (from_ms..=until_ms).contains(at_ms));
            let mut moments = moments.chain([from_ms, until_ms]);
            let good = |at_ms: i64| required.clone().all(|index| self.is_good_for(user, index, at_ms));
            if moments.all(good) {
                return Err(format!("{user} was muted at {} in their time of grace", change.at_ms - BEGIN_MS));
            }
        }
        Ok(())
    }

    /// Whether they are banned for a while for having waited too long, and still have to wait.
    pub(crate) fn is_out_for_a_while(&self, member: Member, free: bool) -> bool {
        let bans = self.plan.terms.removal.is_some_and(|removal| removal.ban_s.is_some());
        bans && !free && matches!(member, Member::Kicked { until } if until != 0)
    }

    /// In the end nobody waits who was to be removed.
    pub(crate) fn nobody_waits(&self) -> Result<(), String> {
        if self.plan.terms.removal.is_none() || !self.protected {
            return Ok(());
        }
        let waits = |user: &UserId| {
            let member = self.world.member(Plan::chat(Place::Group), *user, self.now_ms);
            self.is_muted_by_us(*user) && member.is_in() && self.can_be_known(*user)
        };
        match self.plan.people().find(waits) {
            Some(user) => Err(format!("{user} still waits, and was to be removed")),
            None => Ok(()),
        }
    }
}
