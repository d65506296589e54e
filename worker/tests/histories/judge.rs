//! What must hold of the world when a history has come to rest, told from the world's own record.

use loadtest::world::{ChatId, Happened, Member, UserId, World};

use crate::history::{CHANNELS, GROUP, History, OWNER, PEOPLE};

/// Every change of somebody's standing of which the bot was told.
pub(crate) fn events(world: &World) -> Vec<(i64, (ChatId, UserId))> {
    let told = world.history().iter().filter_map(|entry| match entry.what {
        Happened::Changed { chat, user, told: true, .. } => Some((entry.at_ms, (chat, user))),
        _ => None,
    });
    told.collect()
}

/// Every lookup.
pub(crate) fn lookups(world: &World) -> Vec<(i64, (ChatId, UserId))> {
    let asked = world.history().iter().filter_map(|entry| match entry.what {
        Happened::LookedUp { chat, user, .. } => Some((entry.at_ms, (chat, user))),
        _ => None,
    });
    asked.collect()
}

/// Whether an admin has lifted the bot's mute of this person, and they have not left since.
fn is_allowed(world: &World, user: UserId) -> bool {
    let mut allowed = false;
    let mut muted_by_bot = false;
    for entry in world.history() {
        let Happened::Changed { chat, user: whose, by, old, new, .. } = &entry.what else { continue };
        if *chat != GROUP || *whose != user {
            continue;
        }
        let by_bot = *by == world.bot().id;
        if !by_bot && by != whose && (old.is_muted() != new.is_muted() || old.is_admin() != new.is_admin()) {
            allowed = muted_by_bot && old.is_muted() && !new.is_muted() && !new.is_admin();
        }
        if by != whose {
            muted_by_bot = by_bot && new.is_muted();
        }
        if !new.is_in() {
            allowed = false;
        }
    }
    allowed
}

impl History {
    pub(crate) fn judge(&self) -> Result<(), String> {
        self.telegram.with(|world, now_ms| {
            for user in PEOPLE {
                judge_person(world, now_ms, user, self.channels)?;
                judge_imposed(world, now_ms, user)?;
                judge_mutes(world, user, self.channels)?;
            }
            judge_presses(world, &self.jumps)?;
            // A sender that was stopped for long has lost its claim, and another one may have replied.
            judge_commands(world, self.loses_answers() || !self.jumps.is_empty())?;
            let waiting = PEOPLE.iter().any(|user| is_muted_by_us(world, now_ms, *user) && is_in(world, now_ms, *user));
            let prompts = world.button_messages(GROUP).count();
            match (waiting, prompts) {
                (true, 0) => Err("somebody waits and no prompt stands".to_owned()),
                // A prompt whose answer was lost stands until somebody presses it.
                (false, 1..) if !self.loses_answers() => Err(format!("nobody waits and {prompts} prompts stand")),
                _ => Ok(()),
            }
        })
    }
}

/// Muted for not having joined, and not because the bot put back what an admin had imposed: those last for ever or for an
/// hour at most here, the bot's own for the better part of a year.
fn is_muted_by_us(world: &World, now_ms: i64, user: UserId) -> bool {
    let lasts_long = match world.member(GROUP, user, now_ms) {
        Member::Restricted { until, .. } => until > now_ms / 1000 + 7_200,
        _ => false,
    };
    lasts_long && world.is_muted_by_bot(GROUP, user, now_ms)
}

fn is_in(world: &World, now_ms: i64, user: UserId) -> bool {
    world.member(GROUP, user, now_ms).is_in()
}

fn judge_person(world: &World, now_ms: i64, user: UserId, channels: usize) -> Result<(), String> {
    let member = world.member(GROUP, user, now_ms);
    let muted = is_muted_by_us(world, now_ms, user);
    let joined = CHANNELS.iter().take(channels).all(|channel| world.member(*channel, user, now_ms).is_in());
    let free = member.is_admin() || joined || is_allowed(world, user);
    let by_others = member.is_muted() && !muted;
    match (free, muted) {
        (true, true) => Err(format!("{user} is muted and should be free: {member:?}")),
        (false, false) if member.is_in() && !by_others => {
            Err(format!("{user} is free and should be muted: {member:?}"))
        }
        _ => Ok(()),
    }
}

/// Nobody is muted who has been in every channel all along.
fn judge_mutes(world: &World, user: UserId, channels: usize) -> Result<(), String> {
    let mut lacked = CHANNELS.iter().take(channels).any(|channel| {
        let founded = |what: &Happened| matches!(what, Happened::Founded { chat, user: of, .. } if chat == channel && *of == user);
        !world.history().iter().any(|entry| founded(&entry.what))
    });
    for entry in world.history() {
        let Happened::Changed { chat, user: whose, by, new, .. } = entry.what else { continue };
        if whose != user {
            continue;
        }
        lacked |= chat != GROUP && !new.is_in();
        let lasts_long = matches!(new, Member::Restricted { until, .. } if until > entry.at_ms / 1000 + 7_200);
        if chat == GROUP && by == world.bot().id && lasts_long && !lacked {
            return Err(format!("{user} was muted without ever having left a channel"));
        }
    }
    Ok(())
}

/// Every press is answered, if there was time to do it before Telegram forgot it.
fn judge_presses(world: &World, jumps: &[i64]) -> Result<(), String> {
    for entry in world.history() {
        let Happened::Pressed { query, .. } = entry.what else { continue };
        let answered = |what: &Happened| matches!(what, Happened::Answered { query: of, .. } if *of == query);
        let was_late = jumps.iter().any(|jump| (entry.at_ms..entry.at_ms + 150_000).contains(jump));
        if !was_late && !world.history().iter().any(|entry| answered(&entry.what)) {
            return Err(format!("press {query} was never answered"));
        }
    }
    Ok(())
}

/// Every command is answered; once, unless an answer got lost or a sender its claim.
fn judge_commands(world: &World, may_repeat: bool) -> Result<(), String> {
    for entry in world.history() {
        let Happened::Sent { message: asked, ref text, author, .. } = entry.what else { continue };
        if text != "/help" || author != OWNER {
            continue;
        }
        let is_reply = |what: &Happened| matches!(what, Happened::Sent { reply_to: Some(to), .. } if *to == asked);
        let replies = world.history().iter().filter(|entry| is_reply(&entry.what)).count();
        if replies == 0 || (replies > 1 && !may_repeat) {
            return Err(format!("a command was answered {replies} times"));
        }
    }
    Ok(())
}

/// What an admin has imposed stands, unless it has expired or an admin has lifted it. (That ours crosses theirs for a
/// moment cannot be helped: Telegram has no compare-and-set.)
fn judge_imposed(world: &World, now_ms: i64, user: UserId) -> Result<(), String> {
    let by_others = |what: &Happened| match *what {
        Happened::Changed { chat, user: whose, by, new, .. } if chat == GROUP && whose == user => {
            (by != user && by != world.bot().id).then_some(new)
        }
        _ => None,
    };
    let imposed = world.history().iter().rev().find_map(|entry| by_others(&entry.what));
    let stands = match imposed {
        Some(Member::Restricted { until, .. } | Member::Kicked { until }) => until == 0 || until > now_ms / 1000,
        _ => false,
    };
    let member = world.member(GROUP, user, now_ms);
    if stands && !member.is_muted() && !matches!(member, Member::Kicked { .. }) {
        return Err(format!("what was imposed on {user} does not stand: {imposed:?}"));
    }
    Ok(())
}
