//! A week of groups, each with other settings and another fate: everything that a group can have is in one of them.

use rand::Rng;

use super::{
    Scenario,
    day::{Day, DayPlan, Group, HOUR, MINUTE},
    stories::Stories,
};
use crate::world::{Act, ChatId, ChatKind, ChatSpec, Content, Person, Rights};

/// How much happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekPlan {
    /// Groups; with 20 of them everything is there.
    pub groups: usize,
    /// Days; at least 2.
    pub days: i64,
    /// Stories of single people in each group.
    pub stories: usize,
    /// Verified members of each group who talk.
    pub talkers: usize,
    /// Messages of each.
    pub messages: usize,
}

impl Default for WeekPlan {
    fn default() -> Self {
        Self { groups: 20, days: 7, stories: 36, talkers: 6, messages: 8 }
    }
}

impl WeekPlan {
    /// Two days of all groups with the least in them.
    pub const SHORT: Self = Self { groups: 20, days: 2, stories: 18, talkers: 5, messages: 2 };

    /// How long it lasts, ms of the scenario.
    #[must_use]
    pub const fn lasts_ms(&self) -> i64 {
        self.days * DAY
    }
}

const DAY: i64 = 24 * HOUR;
/// When the owners change settings: all groups are protected, and nobody else has acted.
const SET: i64 = 3 * HOUR;
/// Before the end all timers run out in peace.
const PEACE: i64 = 24 * HOUR;

/// What is set in which group. None of the times is a number of whole hours: nothing is due just when the next hour begins.
const SETTINGS: [&[&str]; 20] = [
    &["timeout_action kick", "timeout_s 45000", "language de"],
    &["check_edits yes", "prompt_topic 42"],
    &["grace_s 12600"],
    &["raid_threshold 8", "language de"],
    &["sender_chats ban"],
    &["timeout_action ban", "timeout_s 12600", "ban_s 45000", "warn_first off", "pending_counts yes"],
    &["dry_run on"],
    &[],
    &["pending_counts yes"],
    &["sender_chats allow", "clean_service yes"],
    &["on_unknown hold", "clean_commands no"],
    &["prompt_text Hello {names}! Join {channels} to write in {group}"],
    &["timeout_action ban", "timeout_s 16200", "ban_s 45000"],
    &["raid_threshold 0"],
    &["raid_threshold 100"],
    &["join_requests no"],
    &["clean_service on"],
    &["timeout_action kick", "timeout_s 23400", "grace_s 12600"],
    &["timeout_action ban", "timeout_s 12600", "ban_s 61"],
    &["trust_added no"],
];

/// Groups of this index have this fate.
const EXPORTED: usize = 0;
const OVER_QUOTA: [usize; 2] = [2, 10];
const IMPORTED: usize = 4;
const PENDING: usize = 5;
const RAIDED: usize = 3;
const DRY: usize = 6;
const UNDONE: usize = 7;
const ASKED_FOR: usize = 8;
const PRIVATE: usize = 11;
const UPGRADED: usize = 12;
const DISARMED: usize = 13;
const BY_PANEL: usize = 14;
const ANONYMOUS: usize = 15;
const ALLOWING: usize = 16;
const LOGGED: usize = 17;
const RAIDED_BY_WORD: usize = 18;

/// A week from a seed: the same seed and plan give the same week.
#[must_use]
pub fn week(seed: u64, plan: WeekPlan, bot: Person) -> Scenario {
    let mut day = Day::new(seed, bot);
    day.busy = 5 * HOUR..plan.lasts_ms() - PEACE;
    let mut groups = day.found(plan.groups.clamp(5, SETTINGS.len()));
    for group in &mut groups {
        group.unprotected_at = group.unprotected_at.map(|_| plan.lasts_ms() - PEACE + 4 * HOUR);
    }
    make_different(&mut day, &groups);
    day.open(&groups);
    let talks = DayPlan { talkers: plan.talkers, messages: plan.messages, ..DayPlan::QUICK };
    for (index, group) in groups.iter().enumerate() {
        day.talk(group, talks);
        day.run_by_admins(group, index);
        let mut stories = Stories { day: &mut day, group };
        stories.set(SET, SETTINGS[index]);
        stories.tell(plan.stories);
        stories.tell_rarer();
        stories.tell_of_names_and_questions();
        stories.meet_fate(index);
    }
    bring_settings(&mut day, &groups[EXPORTED], &groups[IMPORTED]);
    let mut week = day.end();
    for person in &mut week.people {
        // A log chat names people, and the oracle must know whom.
        person.first_name = format!("{} {}", person.id, person.first_name);
    }
    week
}

/// Groups and channels of another kind than usual.
fn make_different(day: &mut Day, groups: &[Group]) {
    for (index, group) in groups.iter().enumerate() {
        match index {
            1 => day.spec(group.id).is_forum = true,
            // Its only channel is found by no name.
            PRIVATE => day.spec(group.channels[0]).username = None,
            UPGRADED => {
                let before = ChatId(-700_000_000 - group.id.0.unsigned_abs().rem_euclid(1_000_000) as i64);
                let spec = day.spec(group.id);
                (spec.id, spec.kind) = (before, ChatKind::Group);
                day.upgraded.insert(group.id, before);
                day.at(50 * MINUTE, Act::Upgrade { admin: group.owner, chat: before, to: group.id });
            }
            _ => {}
        }
    }
}

/// What one group has set another takes over.
fn bring_settings(day: &mut Day, exported: &Group, imported: &Group) {
    day.say(SET + HOUR, exported.owner, exported.id, "/export");
    let bring = Act::BringSettings { user: imported.owner, from: exported.id, to: imported.id };
    day.at(SET + HOUR + 5 * MINUTE, bring);
}

impl Stories<'_> {
    /// People change their names, come back after days, and ask what the bot knows; administrators ask how things stand.
    fn tell_of_names_and_questions(&mut self) {
        let (user, at) = self.newcomer();
        let first_name = format!("{user} renamed");
        self.day.at(at + HOUR, Act::CallOneself { user, first_name });
        let joined = self.join_channels(at + 2 * HOUR, user);
        self.write(joined + 2 * HOUR, user);
        self.leave(joined + 4 * HOUR, user, self.group.id);
        self.join(joined + 9 * HOUR, user, self.group.id);
        self.write(joined + 11 * HOUR, user);

        let (user, at) = self.resident();
        self.seat_in_channels(user);
        self.write(at, user);
        self.day.say(at + HOUR, user, user.private_chat(), "/verify");
        self.day.say(at + 2 * HOUR, user, user.private_chat(), "/forget_me");
        self.write(at + 4 * HOUR, user);

        // Written before anybody was looked at, and edited since (E58).
        let (user, _) = self.resident();
        self.write(57 * MINUTE, user);
        let at = self.day.busy.start + self.day.random.random_range(0..10 * HOUR);
        self.day.at(at, Act::Edit { user, chat: self.group.id, message: None, text: "now an advert".to_owned() });

        for question in ["/channels", "/stats", "/export", "/recheck", "/settings", "/help"] {
            let at = self.day.moment();
            self.day.say(at, self.group.owner, self.group.id, question);
        }
    }

    fn meet_fate(&mut self, index: usize) {
        match index {
            RAIDED => {
                for _ in 0..2 {
                    self.crowd(15);
                }
            }
            RAIDED_BY_WORD => {
                let at = self.crowd(6);
                self.day.say(at - MINUTE, self.group.owner, self.group.id, "/raid on 30");
                self.day.say(at + HOUR, self.group.owner, self.group.id, "/raid off");
            }
            DRY => {
                let half = (self.day.busy.start + self.day.busy.end) / 2;
                self.set(half, &["dry_run off"]);
            }
            UNDONE => {
                let log = self.has_a_log();
                self.undone(log);
            }
            LOGGED => {
                self.has_a_log();
            }
            PENDING => self.pending(),
            ASKED_FOR => {
                self.asked_for();
                self.pending();
            }
            index if OVER_QUOTA.contains(&index) => self.over_quota(),
            DISARMED => self.disarmed(),
            BY_PANEL => self.set_by_panel(),
            ANONYMOUS => self.set_anonymously(),
            ALLOWING => self.allowing(),
            _ => {}
        }
    }

    /// Many come at once; returns when.
    fn crowd(&mut self, count: usize) -> i64 {
        let at = self.day.moment() / HOUR * HOUR + 10 * MINUTE;
        for nth in (0..).take(count) {
            let user = self.day.somebody();
            self.join(at + nth, user, self.group.id);
            if nth % 3 == 0 {
                self.join_channels(at + 2 * HOUR, user);
            }
        }
        at
    }

    /// The group tells a channel of its owner what is done.
    fn has_a_log(&mut self) -> ChatId {
        let id = ChatId(-1_004_000_000_000 - self.group.id.0.unsigned_abs().rem_euclid(1_000_000_000) as i64);
        let log = self.day.chat(ChatSpec::new(id, ChatKind::Channel, "What was done"), self.group.owner);
        self.set(SET + 30 * MINUTE, &[&format!("log_chat {log}")]);
        log
    }

    /// What was done is undone by buttons in the log chat.
    fn undone(&mut self, log: ChatId) {
        for (nth, label) in [". Free", ". Exempt", ". Ban", ". Free", ". Ban"].into_iter().enumerate() {
            let (user, at) = self.newcomer();
            self.day.at(at + HOUR, Act::PressLabelled { user: self.group.owner, chat: log, label: label.to_owned() });
            self.write(at + 3 * HOUR, user);
            if nth % 2 == 0 {
                self.leave(at + 5 * HOUR, user, self.group.id);
                self.join(at + 7 * HOUR, user, self.group.id);
                self.write(at + 9 * HOUR, user);
            }
        }
    }

    /// Some who ask to be let in are in the channels, some join later, some never; an administrator answers some.
    fn asked_for(&mut self) {
        let chat = self.group.id;
        for nth in 0..16 {
            let (user, at) = (self.day.somebody(), self.day.moment());
            match nth % 4 {
                0 => self.seat_in_channels(user),
                1 => {
                    self.join_channels(at + 3 * HOUR, user);
                }
                2 => self.day.at(
                    at + 4 * HOUR,
                    Act::AnswerRequest { admin: self.group.owner, chat, user, granted: nth % 8 == 2 },
                ),
                _ => {}
            }
            self.day.at(at, Act::AskToJoin { user, chat });
            self.write(at + 6 * HOUR, user);
        }
    }

    /// Who asks to be let into the channel may write at once; some are let in, some are not, some wait on.
    fn pending(&mut self) {
        let (admin, chat) = (self.group.owner, self.group.channels[0]);
        for nth in 0..6 {
            let (user, at) = self.newcomer();
            self.day.at(at + HOUR, Act::AskToJoin { user, chat });
            self.write(at + 3 * HOUR, user);
            if nth % 3 < 2 {
                self.day.at(at + 6 * HOUR, Act::AnswerRequest { admin, chat, user, granted: nth % 3 == 0 });
            }
            self.write(at + 9 * HOUR, user);
        }
    }

    /// For some hours the operator lets the owner have no group protected.
    fn over_quota(&mut self) {
        let (start, part) = (self.day.busy.start, (self.day.busy.end - self.day.busy.start) / 4);
        let owner = self.group.owner.to_string();
        let quota = |more: &[&str]| {
            let order = [&["groups", "quota", "--owner", &owner], more].concat();
            Act::Operate { order: order.into_iter().map(str::to_owned).collect() }
        };
        self.day.at(start + part, quota(&["0"]));
        self.day.at(start + 2 * part, quota(&[]));
        for later in [HOUR, 2 * HOUR] {
            let comer = self.day.somebody();
            self.join(start + part + later, comer, self.group.id);
            self.write(start + part + later + HOUR / 2, comer);
        }
    }

    /// The bot's rights are taken and given back, in the group and, long after, in its channel.
    fn disarmed(&mut self) {
        let (admin, user) = (self.group.owner, self.day.scenario.bot.id);
        let (start, part) = (self.day.busy.start, (self.day.busy.end - self.day.busy.start) / 6);
        let lost = [(self.group.id, start + part), (self.group.channels[0], start + 4 * part)];
        let armed = Rights { can_promote_members: false, can_change_info: false, ..Rights::FULL };
        for (chat, at) in lost {
            if chat == self.group.id {
                let rights = Rights { can_restrict_members: false, ..armed };
                self.day.at(at, Act::Promote { admin, chat, user, rights });
            } else {
                self.day.at(at, Act::Demote { admin, chat, user });
            }
            self.day.at(at + part, Act::Promote { admin, chat, user, rights: armed });
            for later in [HOUR, 3 * HOUR, 7 * HOUR] {
                let comer = self.day.somebody();
                self.join(at + later, comer, self.group.id);
                self.write(at + later + 2 * HOUR, comer);
            }
        }
    }

    /// The owner changes switches by pressing on the panel, twice one and once another.
    fn set_by_panel(&mut self) {
        let (user, chat) = (self.group.owner, self.group.id);
        for (at, label) in
            [(SET + HOUR, "Delete notes about joins"), (SET + HOUR, "Dry run"), (SET + 8 * HOUR, "Dry run")]
        {
            self.day.say(at, user, chat, "/settings");
            self.day.at(at + 5 * MINUTE, Act::PressLabelled { user, chat, label: label.to_owned() });
        }
    }

    /// An administrator who writes in the group's name changes a setting, and proves themselves by a press.
    fn set_anonymously(&mut self) {
        let (user, chat) = (self.group.admins[2], self.group.id);
        self.day.say(SET + HOUR, user, chat, "/settings grace_s 12600");
        self.day
            .at(SET + HOUR + 5 * MINUTE, Act::PressLabelled { user, chat, label: "I am an administrator".to_owned() });
    }

    /// Some may write without having joined, one of them not for long.
    fn allowing(&mut self) {
        for nth in 0..4 {
            let (user, at) = if nth % 2 == 0 { self.newcomer() } else { self.resident() };
            self.day.say(at + HOUR, self.group.admins[0], self.group.id, &format!("/allow {user}"));
            self.write(at + 2 * HOUR, user);
            self.leave(at + 4 * HOUR, user, self.group.id);
            self.join(at + 5 * HOUR, user, self.group.id);
            self.write(at + 6 * HOUR, user);
            if nth == 3 {
                self.day.say(at + 8 * HOUR, self.group.admins[0], self.group.id, &format!("/disallow {user}"));
                self.write(at + 10 * HOUR, user);
            }
        }
        let (user, channel) = self.day.foreign_channel();
        let at = self.day.moment();
        let name = format!("elsewhere_{user}");
        self.day.spec(channel).username = Some(name.clone());
        self.day.say(at, self.group.admins[0], self.group.id, &format!("/allow @{name}"));
        let content = Content::Text("News from elsewhere".to_owned());
        self.day.at(at + 3 * HOUR, Act::WriteAs { user, chat: self.group.id, sender: channel, content });
    }
}

impl Day {
    fn spec(&mut self, chat: ChatId) -> &mut ChatSpec {
        self.scenario.chats.iter_mut().find(|spec| spec.id == chat).expect("invariant: the chat was founded")
    }
}
