//! Crowds: many strangers at once, and few who come while a long work is under way. Their clock is real time.

use rand::Rng;

use super::{
    Scenario,
    day::{Day, channel_name},
};
use crate::world::{Act, ChatId, ChatKind, ChatSpec, Person, UserId};

/// Strangers who come into several groups at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaidPlan {
    /// Into how many groups.
    pub groups: usize,
    /// How many.
    pub raiders: usize,
    /// In how long, ms.
    pub lasts_ms: i64,
}

/// Newcomers of one group while everybody of another is looked up and muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogPlan {
    /// People of the group with the long work.
    pub members: usize,
    /// Who come into the other one, half of them before the work begins.
    pub newcomers: usize,
    /// How long the newcomers keep coming and pressing while the work is under way, ms.
    pub lasts_ms: i64,
}

/// A group that asks for more than it may be told, and others with an ordinary question now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoudPlan {
    /// Questions of the loud group, all within its first seconds.
    pub questions: usize,
    /// How many other groups there are.
    pub others: usize,
    /// How many questions each of these asks.
    pub asks: usize,
    /// In how long, ms; at least 3 s for each question, so that a group does not wait for itself.
    pub lasts_ms: i64,
}

/// Until the groups are protected.
const SET_UP_MS: i64 = 4_000;
/// Longer than a group's messages have to be apart.
const IN_PEACE_MS: i64 = 2_000;
/// How many enter chats in a second while a crowd assembles.
const ASSEMBLE_PER_SECOND: i64 = 300;

/// A raid from a seed.
#[must_use]
pub fn raid(seed: u64, plan: RaidPlan, bot: Person) -> Scenario {
    let mut day = Day::new(seed, bot);
    let groups: Vec<ChatId> = (0..plan.groups).map(|index| protected(&mut day, index).0).collect();
    for nth in 0..plan.raiders {
        let user = day.somebody();
        let chat = groups[nth % groups.len()];
        let at = SET_UP_MS + day.random.random_range(0..plan.lasts_ms);
        day.at(at, Act::Join { user, chat });
    }
    day.end()
}

/// A long work and those who come meanwhile, from a seed; and when the work begins, ms since the beginning.
#[must_use]
pub fn backlog(seed: u64, plan: BacklogPlan, bot: Person) -> (Scenario, i64) {
    let mut day = Day::new(seed, bot);
    let (big, owner, channel) = protected(&mut day, 0);
    let (small, _, required) = protected(&mut day, 1);
    let second = day.chat(channel_spec(2), owner);
    let mut now = SET_UP_MS;
    let members: Vec<UserId> = (0..plan.members).map(|_| day.somebody()).collect();
    for chat in [channel, big] {
        for user in &members {
            day.at(now, Act::Join { user: *user, chat });
            now += 1_000 / ASSEMBLE_PER_SECOND;
        }
        now += SET_UP_MS;
    }
    // Those who press are muted and named before.
    let (pressers, comers): (Vec<_>, Vec<_>) =
        (0..plan.newcomers).map(|nth| (nth % 2 == 0, day.somebody())).partition(|(is, _)| *is);
    for (_, user) in &pressers {
        day.at(now, Act::Join { user: *user, chat: small });
        now += 30;
    }
    now += 2 * SET_UP_MS;
    let begins = now;
    day.say(begins, owner, big, &format!("/protect @{}", channel_name(second)));
    let apart = plan.lasts_ms / i64::try_from(comers.len().max(1)).unwrap_or(1);
    now += 1_000;
    for ((_, comer), (_, presser)) in comers.iter().zip(&pressers) {
        day.at(now, Act::Join { user: *comer, chat: small });
        // Who has not joined is answered after a second look only.
        day.at(now + apart / 4, Act::Join { user: *presser, chat: required });
        day.at(now + apart / 2, Act::Press { user: *presser, chat: small, message: None });
        now += apart;
    }
    (day.end(), begins)
}

/// A loud group beside others, from a seed; and which it is. Every question is a `/help`.
#[must_use]
pub fn loud(seed: u64, plan: LoudPlan, bot: Person) -> (Scenario, ChatId) {
    let mut day = Day::new(seed, bot);
    let (loud, owner, _) = protected(&mut day, 0);
    let mut now = SET_UP_MS;
    for _ in 0..plan.questions {
        day.say(now, owner, loud, "/help");
        now += 1_000 / ASSEMBLE_PER_SECOND;
    }
    let apart = plan.lasts_ms / number(plan.asks);
    for index in 1..=plan.others {
        let (group, owner, _) = protected(&mut day, index);
        for nth in 0..plan.asks {
            let at = now + number(nth) * apart + day.random.random_range(0..apart - IN_PEACE_MS);
            day.say(at, owner, group, "/help");
        }
    }
    (day.end(), loud)
}

/// A group that requires a channel of its own; its owner, and the channel.
fn protected(day: &mut Day, index: usize) -> (ChatId, UserId, ChatId) {
    let owner = day.somebody();
    let channel = day.chat(channel_spec(index), owner);
    let group = ChatId(-1_001_500_000_000 - number(index));
    let group = day.chat(ChatSpec::new(group, ChatKind::Supergroup, &format!("Group {index}")), owner);
    day.say(1_000, owner, group, &format!("/protect @{}", channel_name(channel)));
    (group, owner, channel)
}

fn channel_spec(index: usize) -> ChatSpec {
    let id = ChatId(-1_002_500_000_000 - number(index));
    let mut spec = ChatSpec::new(id, ChatKind::Channel, &format!("News {index}"));
    spec.username = Some(channel_name(id));
    spec
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(0)
}
