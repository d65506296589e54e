//! A day of several protected groups, with a raid in it.

use std::{collections::BTreeMap, ops::Range};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Scenario, Timed, people, stories::Stories};
use crate::world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, UserId, World};

/// How much happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPlan {
    /// Groups; at least 5, so that each kind is there.
    pub groups: usize,
    /// Verified members per group who talk.
    pub talkers: usize,
    /// Messages per talker.
    pub messages: usize,
    /// Stories of newcomers, lurkers, leavers and so on per group.
    pub stories: usize,
    /// People who take part in the raid.
    pub raiders: usize,
}

impl Default for DayPlan {
    /// Some 4,000 updates.
    fn default() -> Self {
        Self { groups: 5, talkers: 30, messages: 12, stories: 90, raiders: 300 }
    }
}

impl DayPlan {
    /// Each kind of group and of story, in some 800 updates.
    pub const QUICK: Self = Self { groups: 5, talkers: 6, messages: 5, stories: 36, raiders: 40 };
    /// Some 2,000 updates.
    pub const BUSY: Self = Self { groups: 5, talkers: 20, messages: 10, stories: 54, raiders: 120 };
}

/// One minute of the scenario's clock.
pub(super) const MINUTE: i64 = 60_000;
/// One hour of the scenario's clock.
pub(super) const HOUR: i64 = 60 * MINUTE;

/// A protected group while the day is being made.
pub(super) struct Group {
    pub(super) id: ChatId,
    pub(super) channels: Vec<ChatId>,
    pub(super) owner: UserId,
    pub(super) admins: Vec<UserId>,
    /// When it is no longer protected, if ever.
    pub(super) unprotected_at: Option<i64>,
}

/// The right that `/protect` asks for, and those that go with it.
const BOT_RIGHTS: Rights = Rights { can_promote_members: false, can_change_info: false, ..Rights::FULL };

/// A day from a seed: the same seed and plan give the same day.
#[must_use]
pub fn day(seed: u64, plan: DayPlan, bot: Person) -> Scenario {
    make(seed, plan, bot, false)
}

/// The same, in groups with other settings than usual, and with what is rarer: people bring others in, ask to be let in and
/// edit, channels write, one group has topics.
#[must_use]
pub fn varied_day(seed: u64, plan: DayPlan, bot: Person) -> Scenario {
    make(seed, plan, bot, true)
}

fn make(seed: u64, plan: DayPlan, bot: Person, is_varied: bool) -> Scenario {
    let mut day = Day::new(seed, bot);
    let groups = day.found(plan.groups.max(5));
    if is_varied {
        day.scenario.chats.iter_mut().filter(|chat| chat.id == groups[1].id).for_each(|chat| chat.is_forum = true);
    }
    day.open(&groups);
    for (index, group) in groups.iter().enumerate() {
        day.talk(group, plan);
        Stories { day: &mut day, group }.tell(plan.stories);
        if is_varied {
            let mut stories = Stories { day: &mut day, group };
            stories.set_differently(index);
            stories.tell_rarer();
        }
        day.run_by_admins(group, index);
    }
    day.raid(&groups[3], plan.raiders);
    day.end()
}

/// A day in the making.
pub(super) struct Day {
    pub(super) random: StdRng,
    next_id: i64,
    pub(super) scenario: Scenario,
    /// When the groups are busy.
    pub(super) busy: Range<i64>,
    /// Supergroups that are basic groups at first, and their ids until then.
    pub(super) upgraded: BTreeMap<ChatId, ChatId>,
}

impl Day {
    pub(super) fn new(seed: u64, bot: Person) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            next_id: 5_000_000_000 + i64::try_from(seed % 1_000_000).unwrap_or(0) * 100_000,
            scenario: Scenario { bot, people: Vec::new(), chats: Vec::new(), acts: Vec::new() },
            busy: 3 * HOUR..20 * HOUR,
            upgraded: BTreeMap::new(),
        }
    }

    pub(super) fn end(mut self) -> Scenario {
        self.scenario.acts.sort_by_key(|timed| timed.at_ms);
        self.scenario
    }

    /// A chat from the beginning, in which the bot becomes an administrator at once.
    pub(super) fn chat(&mut self, spec: ChatSpec, owner: UserId) -> ChatId {
        let (chat, user) = (spec.id, self.scenario.bot.id);
        let members = vec![(owner, Member::Creator { is_anonymous: false })];
        self.scenario.chats.push(ChatSpec { members, ..spec });
        self.at(0, Act::Promote { admin: owner, chat, user, rights: BOT_RIGHTS });
        chat
    }

    /// A channel that the bot is not in, and who runs it.
    pub(super) fn foreign_channel(&mut self) -> (UserId, ChatId) {
        let owner = self.somebody();
        let channel = ChatId(-1_003_000_000_000 - owner.0 % 1_000_000_000);
        let mut spec = ChatSpec::new(channel, ChatKind::Channel, "Elsewhere");
        spec.members = vec![(owner, Member::Creator { is_anonymous: false })];
        self.scenario.chats.push(spec);
        (owner, channel)
    }

    pub(super) fn somebody(&mut self) -> UserId {
        self.next_id += 1;
        let person = people::person(self.next_id, &mut self.random);
        let id = person.id;
        self.scenario.people.push(person);
        id
    }

    pub(super) fn at(&mut self, at_ms: i64, act: Act) {
        self.scenario.acts.push(Timed { at_ms, act });
    }

    /// Somebody is in a chat from the beginning.
    pub(super) fn seat(&mut self, chat: ChatId, user: UserId, member: Member) {
        let chat = self.upgraded.get(&chat).copied().unwrap_or(chat);
        if let Some(spec) = self.scenario.chats.iter_mut().find(|spec| spec.id == chat) {
            spec.members.push((user, member));
        }
    }

    pub(super) fn write(&mut self, at_ms: i64, user: UserId, chat: ChatId) {
        let content = people::content(&mut self.random);
        self.at(at_ms, Act::Write { user, chat, content, thread: None });
    }

    pub(super) fn say(&mut self, at_ms: i64, user: UserId, chat: ChatId, text: &str) {
        let content = Content::Text(text.to_owned());
        self.at(at_ms, Act::Write { user, chat, content, thread: None });
    }

    /// A moment in which the groups are busy.
    pub(super) fn moment(&mut self) -> i64 {
        self.random.random_range(self.busy.clone())
    }

    /// Group `i` requires channel `i`; every fifth from the third on requires the channel before it, too; every fifth
    /// from the fifth on shares the channel of the first.
    pub(super) fn found(&mut self, count: usize) -> Vec<Group> {
        let number = |index: usize| i64::try_from(index).unwrap_or(0);
        let base = self.next_id % 1_000_000_000_000;
        let channel_id = |index| ChatId(-1_002_000_000_000 - base % 100_000_000 - number(index));
        let group_id = |index| ChatId(-1_001_000_000_000 - base % 100_000_000 - number(index));
        let mut groups = Vec::new();
        for index in 0..count {
            let (id, channel) = (group_id(index), channel_id(index));
            let owner = self.somebody();
            let mut spec = ChatSpec::new(channel, ChatKind::Channel, &format!("News <{index}> & more"));
            spec.username = Some(channel_name(channel));
            spec.linked = Some(id);
            spec.members = vec![(owner, Member::Creator { is_anonymous: false })];
            self.scenario.chats.push(spec);

            let mut spec = ChatSpec::new(id, ChatKind::Supergroup, &format!("Group {index}"));
            spec.linked = Some(channel);
            spec.open_to_outsiders = index % 5 == 0;
            spec.announces_joins = index % 5 != 3;
            spec.members = vec![(owner, Member::Creator { is_anonymous: false })];
            self.scenario.chats.push(spec);

            let channels = match index % 5 {
                2 => vec![channel_id(index - 1), channel],
                4 => vec![channel_id(index - 4)],
                _ => vec![channel],
            };
            let admins = (0..3).map(|_| self.somebody()).collect::<Vec<_>>();
            for (nth, admin) in admins.iter().enumerate() {
                let rights = Rights { is_anonymous: nth == 2, can_promote_members: false, ..Rights::FULL };
                self.seat(id, *admin, Member::Administrator(rights));
            }
            // Who protects the group runs its channels; the other administrators need not even be in them.
            for channel in channels.iter().filter(|required| **required != channel) {
                self.seat(*channel, owner, Member::Administrator(Rights::FULL));
            }
            let unprotected_at = (index % 5 == 4).then_some(18 * HOUR);
            groups.push(Group { id, channels, owner, admins, unprotected_at });
        }
        groups
    }

    /// The bot is let in everywhere, and the groups are protected.
    pub(super) fn open(&mut self, groups: &[Group]) {
        let bot = self.scenario.bot.id;
        let owners: Vec<(ChatId, UserId)> = self.scenario.chats.iter().map(|c| (c.id, c.members[0].0)).collect();
        for (nth, (chat, admin)) in (0..).zip(owners) {
            self.at(nth * MINUTE, Act::Promote { admin, chat, user: bot, rights: BOT_RIGHTS });
        }
        for (nth, group) in (0..).zip(groups) {
            let at = HOUR + nth * 3 * MINUTE;
            for (nth, channel) in (0..).zip(&group.channels) {
                let spec = self.scenario.chats.iter().find(|spec| spec.id == *channel);
                let name = spec.and_then(|spec| spec.username.as_ref()).map(|name| format!("@{name}"));
                let name = name.unwrap_or_else(|| channel.to_string());
                self.say(at + nth * MINUTE, group.owner, group.id, &format!("/protect {name}"));
            }
            if let Some(at) = group.unprotected_at {
                self.say(at, group.owner, group.id, "/unprotect");
            }
        }
        // Again is harmless, and it works after `/unprotect`.
        let first = &groups[0];
        let protect = format!("/protect @{}", channel_name(first.channels[0]));
        self.say(7 * HOUR, first.owner, first.id, &protect);
        let second = &groups[1];
        self.say(9 * HOUR, second.owner, second.id, "/unprotect");
        let protect = format!("/protect @{}", channel_name(second.channels[0]));
        self.say(11 * HOUR, second.owner, second.id, &protect);
    }

    /// Verified members talk, ask for help, write to the bot in private; the channel posts.
    pub(super) fn talk(&mut self, group: &Group, plan: DayPlan) {
        for nth in 0..plan.talkers {
            let user = self.somebody();
            self.seat(group.id, user, Member::Member);
            for channel in &group.channels {
                self.seat(*channel, user, Member::Member);
            }
            for _ in 0..plan.messages {
                let at = self.random.random_range(self.busy.start..self.busy.end + 3 * HOUR);
                self.write(at, user, group.id);
            }
            let at = self.moment();
            match nth {
                0 => self.say(at, user, group.id, "/help"),
                1 => self.say(at, user, group.id, &format!("/start@{}", bot_name(&self.scenario.bot))),
                2 => self.say(at, user, group.id, "/status@some_other_bot"),
                3 | 4 => self.say(at, user, user.private_chat(), "/start"),
                _ => {}
            }
        }
        for _ in 0..4 {
            let at = self.moment();
            self.write(at, group.owner, *group.channels.last().unwrap_or(&group.id));
        }
    }

    /// Administrators write, ask for the status, and restrict people; a bot comes along.
    pub(super) fn run_by_admins(&mut self, group: &Group, index: usize) {
        for nth in 0..3 {
            let admin = group.admins[nth];
            for _ in 0..5 {
                let at = self.moment();
                self.write(at, admin, group.id);
            }
        }
        let at = self.moment();
        self.say(at, group.admins[0], group.id, "/status");
        let helper = UserId(4_000_000_000 + self.next_id % 1_000_000_000);
        let name = format!("helper_{index}_bot");
        let bot = Person { username: Some(name), is_bot: true, ..Person::named(helper, "Helper") };
        self.scenario.people.push(bot);
        let at = self.moment();
        self.at(at, Act::Join { user: helper, chat: group.id });
        self.write(at + 20 * MINUTE, helper, group.id);
    }

    /// Hundreds come in a few minutes; many write at once, a few give up or do what is asked.
    fn raid(&mut self, group: &Group, raiders: usize) {
        let start = 13 * HOUR;
        for _ in 0..raiders {
            let user = self.somebody();
            let at = start + self.random.random_range(0..40 * MINUTE);
            self.at(at, Act::Join { user, chat: group.id });
            match self.random.random_range(0..10) {
                0..=3 => self.write(at, user, group.id),
                4 => self.at(at + 90 * MINUTE, Act::Leave { user, chat: group.id }),
                5 => self.at(at + 60 * MINUTE, Act::Press { user, chat: group.id, message: None }),
                6 => {
                    let at = at + self.random.random_range(HOUR..3 * HOUR);
                    self.at(at, Act::Join { user, chat: group.channels[0] });
                }
                _ => {}
            }
        }
    }
}

pub(super) fn channel_name(channel: ChatId) -> String {
    format!("news_{}", channel.0.unsigned_abs())
}

fn bot_name(bot: &Person) -> &str {
    bot.username.as_deref().unwrap_or("bot")
}

impl Scenario {
    /// The bot of the demo, with this id.
    #[must_use]
    pub fn demo_bot(id: UserId) -> Person {
        World::bot_account(id, "nezuko_demo_bot")
    }
}
