//! What must hold of the world when a history has come to rest, told from the world's own record.

use loadtest::world::{Entry, Happened, Member, UserId, World};

use crate::plan::{Delivery, Fault, OWNER, Place, Plan};

/// Telegram forgets a press after so long.
const PRESS_MS: i64 = 150_000;
/// What is this far apart happened in this order by everybody's clock.
const APART_MS: i64 = 2_100;
/// Of what lasts longer than admins' restrictions here do it is known that the bot imposed it, seconds.
const OF_BOT_S: i64 = 7_200;

/// A world that has come to rest.
pub(crate) struct Ending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) world: &'a World,
    pub(crate) now_ms: i64,
    /// Whether the group's rule is enforced, as far as is stored.
    pub(crate) protected: bool,
    /// Whether an answer may never have reached the one who asked for it, or two have done one thing.
    pub(crate) loses_answers: bool,
    /// When workers died or stood still, so that what they had in hand was held up.
    pub(crate) held_up: &'a [i64],
}

/// Everything that must hold.
pub(crate) fn judge(ending: &Ending<'_>) -> Result<(), String> {
    people(ending)?;
    for user in ending.plan.people() {
        ending.mutes(user)?;
        ending.terms(user)?;
    }
    ending.nobody_waits()?;
    ending.settings()?;
    ending.presses()?;
    ending.answers()?;
    ending.help()?;
    ending.prompts()
}

/// Whoever must be free is, whoever must be muted is, and what others have imposed stands.
pub(crate) fn people(ending: &Ending<'_>) -> Result<(), String> {
    for user in ending.plan.people().filter(|user| ending.can_be_known(*user)) {
        ending.person(user)?;
        ending.imposed(user)?;
    }
    Ok(())
}

/// A change of somebody's standing in the group.
pub(crate) struct Change {
    pub(crate) at_ms: i64,
    pub(crate) by: UserId,
    pub(crate) old: Member,
    pub(crate) new: Member,
    /// Whether the bot was told.
    pub(crate) told: bool,
}

/// Whether the bot imposed this for not having joined, and did not put back what an admin had imposed: those mutes last
/// for ever or for an hour at most here, the bot's own for the better part of a year.
pub(crate) fn is_of_bot(member: Member, now_ms: i64) -> bool {
    matches!(member, Member::Restricted { until, .. } if member.is_muted() && until > now_ms / 1000 + OF_BOT_S)
}

/// What limits somebody, and until when.
const fn limits(member: Member) -> Option<(bool, i64)> {
    match member {
        Member::Restricted { until, .. } => Some((false, until)),
        Member::Kicked { until } => Some((true, until)),
        _ => None,
    }
}

impl Ending<'_> {
    pub(crate) fn history(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.world.history().iter()
    }

    fn member(&self, user: UserId) -> Member {
        self.world.member(Plan::chat(Place::Group), user, self.now_ms)
    }

    /// The changes of this person in the group.
    pub(crate) fn changes(&self, user: UserId) -> impl DoubleEndedIterator<Item = Change> {
        self.history().filter_map(move |entry| match entry.what {
            Happened::Changed { chat, user: whose, by, old, new, told }
                if whose == user && self.plan.is(Place::Group, chat) =>
            {
                Some(Change { at_ms: entry.at_ms, by, old, new, told })
            }
            _ => None,
        })
    }

    /// Whether something that others did to this person in the group was not told to the bot. It may not even know that
    /// they are there.
    pub(crate) fn acted_unseen(&self, user: UserId) -> bool {
        self.changes(user).any(|change| change.by != self.world.bot().id && !change.told)
    }

    /// Whether an admin has lifted the bot's mute of this person, and they have not left since.
    fn is_allowed(&self, user: UserId) -> bool {
        let (mut allowed, mut muted_by_bot) = (false, false);
        for Change { at_ms, by, old, new, .. } in self.changes(user) {
            let by_bot = by == self.world.bot().id;
            // Who imposes anything after having lifted the bot's mute has taken that back.
            if !by_bot && by != user && (limits(old) != limits(new) || old.is_admin() != new.is_admin()) {
                allowed = muted_by_bot && old.is_muted() && !new.is_muted() && !new.is_admin();
            }
            if by != user {
                muted_by_bot = by_bot && is_of_bot(new, at_ms);
            }
            allowed &= new.is_in();
        }
        allowed
    }

    /// What an admin has imposed on this person and nobody has lifted since, nor has it expired.
    fn stands(&self, user: UserId) -> Option<Member> {
        let bot = self.world.bot().id;
        let by_others = self.changes(user).rev().find(|change| change.by != user && change.by != bot)?;
        let ends = match by_others.new {
            Member::Restricted { until, .. } | Member::Kicked { until } => until,
            _ => return None,
        };
        (ends == 0 || ends > self.now_ms / 1000).then_some(by_others.new)
    }

    /// Whether the bot has muted this person, or put back what an admin had lifted in the same moment.
    pub(crate) fn is_muted_by_us(&self, user: UserId) -> bool {
        self.world.is_muted_by_bot(Plan::chat(Place::Group), user, self.now_ms)
            && (is_of_bot(self.member(user), self.now_ms) || self.stands(user).is_none())
    }

    /// Whether the bot has banned this person although nobody imposes it: it had put that back.
    fn is_banned_by_us(&self, user: UserId) -> bool {
        let last = self.changes(user).rev().find(|change| change.by != user);
        let by_us = last.is_some_and(|change| change.by == self.world.bot().id);
        by_us && matches!(self.member(user), Member::Kicked { .. }) && self.stands(user).is_none()
    }

    /// Whether the bot can know what is to hold for this person: it was told what others did to them, and where it has
    /// crossed that, the echo has told it so.
    pub(crate) fn can_be_known(&self, user: UserId) -> bool {
        let bot = self.world.bot().id;
        let others_acted = self.changes(user).any(|change| change.by != user && change.by != bot);
        let bot_acted_last =
            self.changes(user).rev().find(|change| change.by != user).is_some_and(|last| last.by == bot);
        !self.acted_unseen(user) && (self.plan.echoes || !(others_acted && bot_acted_last))
    }

    fn person(&self, user: UserId) -> Result<(), String> {
        let member = self.member(user);
        let muted = self.is_muted_by_us(user);
        let mut required = 0..self.plan.required.len();
        let joined = required.all(|index| self.is_good_for(user, index, self.now_ms));
        let free = member.is_admin() || joined || !self.protected || self.is_allowed(user);
        let by_others = member.is_muted() && !muted;
        match (free, muted) {
            _ if self.is_banned_by_us(user) && !self.is_out_for_a_while(member, free) => {
                Err(format!("{user} is banned, and nobody imposes it"))
            }
            (true, true) => Err(format!("{user} is muted and should be free: {member:?}")),
            (false, false) if member.is_in() && !by_others => {
                Err(format!("{user} is free and should be muted: {member:?}"))
            }
            _ => Ok(()),
        }
    }

    /// What an admin has imposed stands, unless it has expired or an admin has lifted it. (That ours crosses theirs for a
    /// moment cannot be helped: Telegram has no compare-and-set.)
    fn imposed(&self, user: UserId) -> Result<(), String> {
        let imposed = self.stands(user);
        let member = self.member(user);
        if imposed.is_some() && !member.is_muted() && !matches!(member, Member::Kicked { .. }) {
            return Err(format!("what was imposed on {user} does not stand: {imposed:?}"));
        }
        Ok(())
    }

    /// Nobody was ever muted who has been in every required chat all along.
    fn mutes(&self, user: UserId) -> Result<(), String> {
        let (plan, bot) = (self.plan, self.world.bot().id);
        let was_in = |index: usize| {
            let place = plan.founded(Place::Required(index));
            let founded = |what: &Happened| matches!(what, Happened::Founded { chat, user: of, .. } if *chat == place && *of == user);
            self.history().any(|entry| founded(&entry.what))
        };
        let mut lacked = !(0..plan.required.len()).all(was_in);
        for entry in self.history() {
            let Happened::Changed { chat, user: whose, by, new, .. } = entry.what else { continue };
            if whose != user {
                continue;
            }
            let in_group = plan.is(Place::Group, chat);
            lacked |= !in_group && !new.is_in();
            if in_group && by == bot && is_of_bot(new, entry.at_ms) && !lacked {
                return Err(format!("{user} was muted without ever having left a required chat"));
            }
        }
        Ok(())
    }

    /// What the bot replied to each of the owner's messages that begin like this.
    fn commands<'a>(&'a self, begin: &'a str) -> impl DoubleEndedIterator<Item = (&'a str, Vec<&'a str>)> {
        self.history().filter_map(move |entry| {
            let Happened::Sent { message: asked, ref text, author: OWNER, chat, .. } = entry.what else { return None };
            let reply = move |entry: &'a Entry| match &entry.what {
                Happened::Sent { reply_to: Some(to), text, chat: there, .. } if *to == asked && *there == chat => {
                    Some(text.as_str())
                }
                _ => None,
            };
            text.starts_with(begin).then(|| (text.as_str(), self.history().filter_map(reply).collect()))
        })
    }

    /// Every call for help is answered; once, unless an answer got lost or a sender its claim.
    fn help(&self) -> Result<(), String> {
        // What was asked in a basic group is answered in the supergroup, without naming the question.
        if self.plan.basic == Some(Place::Group) {
            return Ok(());
        }
        // A sender that stood still for long has lost its claim, and another one may have replied.
        let may_repeat = self.loses_answers;
        for (_, replies) in self.commands("/help") {
            if replies.is_empty() || (replies.len() > 1 && !may_repeat) {
                return Err(format!("a command was answered {} times", replies.len()));
            }
        }
        Ok(())
    }

    /// The last command that is known to have been carried out counts.
    fn settings(&self) -> Result<(), String> {
        for (asked, replies) in self.commands("/").rev() {
            let settles = asked.starts_with("/protect") || asked.starts_with("/unprotect");
            if !settles {
                continue;
            }
            let said = |word: &str| replies.iter().any(|reply| reply.starts_with(word));
            let protected = if said("Protected:") {
                true
            } else if said("No longer protected") {
                false
            } else if replies.is_empty() || self.loses_answers {
                // Nobody knows what came of it.
                return Ok(());
            } else {
                continue;
            };
            if protected != self.protected {
                return Err(format!("{asked} was carried out, and protected: {}", self.protected));
            }
            return Ok(());
        }
        if self.protected { Ok(()) } else { Err("nobody has ended the protection".to_owned()) }
    }

    /// Every press is answered, if there was time to do it before Telegram forgot it.
    fn presses(&self) -> Result<(), String> {
        for entry in self.history() {
            let Happened::Pressed { query, .. } = entry.what else { continue };
            let answered = |what: &Happened| matches!(what, Happened::Answered { query: of, .. } if *of == query);
            let was_late = self.held_up.iter().any(|at_ms| (entry.at_ms..entry.at_ms + PRESS_MS).contains(at_ms));
            let may_be_late = |fault: &Fault| matches!(fault, Fault::Update { delivery: Delivery::Late { .. }, .. });
            if !was_late
                && !self.plan.faults.iter().any(may_be_late)
                && !self.history().any(|entry| answered(&entry.what))
            {
                return Err(format!("press {query} was never answered"));
            }
        }
        Ok(())
    }

    /// Whether this person had been in every required chat for a while at `at_ms`, and never left one.
    fn had_joined(&self, user: UserId, at_ms: i64) -> bool {
        let in_since = |index: usize| {
            let chat = Plan::chat(Place::Required(index));
            self.history().find_map(|entry| match entry.what {
                Happened::Founded { chat: of, user: whose, .. } if (of, whose) == (chat, user) => Some(entry.at_ms),
                Happened::Changed { chat: of, user: whose, .. } if (of, whose) == (chat, user) => Some(entry.at_ms),
                _ => None,
            })
        };
        let left = |entry: &Entry| match entry.what {
            Happened::Changed { chat, user: whose, new, .. } => {
                whose == user && !self.plan.is(Place::Group, chat) && !new.is_in()
            }
            _ => false,
        };
        let mut required = 0..self.plan.required.len();
        required.all(|index| in_since(index).is_some_and(|since_ms| since_ms + APART_MS <= at_ms))
            && !self.history().any(left)
    }

    /// Whoever presses after having joined is never told to join, whether or not the bot has been told of it.
    fn answers(&self) -> Result<(), String> {
        let calls_fail = self.plan.faults.iter().any(|fault| matches!(fault, Fault::Call { .. }));
        if calls_fail || self.plan.stale_lookups_ms > 0 || self.plan.changes_rule() {
            return Ok(());
        }
        for entry in self.history() {
            let Happened::Pressed { query, user, .. } = entry.what else { continue };
            let told_to_join = |what: &Happened| match what {
                Happened::Answered { query: of, text } => *of == query && text.starts_with("You have not joined"),
                _ => false,
            };
            if self.had_joined(user, entry.at_ms) && self.history().any(|entry| told_to_join(&entry.what)) {
                return Err(format!("press {query} was answered with what was known before it"));
            }
        }
        Ok(())
    }

    fn prompts(&self) -> Result<(), String> {
        let group = Plan::chat(Place::Group);
        let muted = || self.plan.people().filter(|user| self.is_muted_by_us(*user));
        let waiting = muted().any(|user| self.member(user).is_in() && !self.acted_unseen(user));
        let nobody = !muted().any(|user| self.member(user).is_in() || self.acted_unseen(user));
        match self.world.button_messages(group).count() {
            0 if waiting => Err("somebody waits and no prompt stands".to_owned()),
            // A prompt whose answer was lost stands until somebody presses it.
            prompts @ 1.. if nobody && !self.loses_answers => Err(format!("nobody waits and {prompts} prompts stand")),
            _ => Ok(()),
        }
    }
}
