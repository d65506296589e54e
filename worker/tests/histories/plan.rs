//! A history as an explicit plan: who and what there is, who does what and how long the workers go on after it, what goes
//! wrong, and the seed of the schedule. A plan gives the same history every time, and a part of it is a plan, too.

use std::fmt;

use loadtest::world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, Switches, UserId, World};
use nezuko_worker::settings::{GroupSettings, TimeoutAction};

pub(crate) const OWNER: UserId = UserId(10);
/// The people of a history, and what they are called.
pub(crate) const PEOPLE: [(UserId, &str); 2] = [(UserId(11), "Ann"), (UserId(12), "Bob")];
/// The group's id, and those of the chats that it requires, as they are in the end.
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const REQUIRED: [ChatId; 2] = [ChatId(-1_001_000_000_011), ChatId(-1_001_000_000_012)];
/// The id that a chat has while it is a basic group.
const BASIC: ChatId = ChatId(-4_001);
/// An even second of 2023.
pub(crate) const BEGIN_MS: i64 = 1_700_000_000_000;

/// A chat, whatever its id is just then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The protected group.
    Group,
    /// One of the chats that it requires.
    Required(usize),
}

/// Somebody, by their place among the people.
pub(crate) type Who = usize;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Joins(Who, Place),
    Leaves(Who, Place),
    Writes(Who),
    Presses(Who),
    /// For so many seconds; 0: for ever.
    IsMuted(Who, i64),
    IsUnmuted(Who),
    IsBanned(Who),
    IsUnbanned(Who),
    IsPromoted(Who),
    IsDemoted(Who),
    BotLosesRights(Place),
    BotRegainsRights(Place),
    AsksForHelp,
    Protects,
    Unprotects,
    /// The chat that is a basic group becomes a supergroup.
    Upgrades,
    /// A command arrives that the handler fails at so often.
    Poison(u32),
}

/// Somebody does something, and the workers go on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) doing: Doing,
    /// Steps of the workers after it.
    pub(crate) steps: u32,
    /// Then so much time passes at once, in which nobody does anything.
    pub(crate) pause_ms: i64,
}

/// How one call of the Bot API goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    NotSent,
    ServerError,
    AnswerLost,
    /// Telegram says ok and does nothing.
    Ignored,
    /// The caller gives up, and Telegram acts only then.
    Late {
        in_ms: i64,
    },
    /// Telegram takes its time.
    Slow {
        for_ms: i64,
    },
    /// A 429.
    Flood {
        retry_after_s: u64,
    },
}

impl Fate {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::NotSent => "not sent",
            Self::ServerError => "server error",
            Self::AnswerLost => "answer lost",
            Self::Ignored => "ignored",
            Self::Late { .. } => "lands late",
            Self::Slow { .. } => "slow",
            Self::Flood { .. } => "429",
        }
    }
}

/// How one update is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Twice,
    Late { by_ms: i64 },
}

/// What befalls workers at one of their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Whichever task is next panics.
    Panic,
    /// A worker ends with everything that it has in hand, and another starts in its place.
    Dies(usize),
    /// A worker stands still for a while, as in a long pause of its machine, and then goes on.
    Stalls(usize, i64),
    /// The cache forgets everything.
    CacheForgets,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Call {
        nth: usize,
        fate: Fate,
    },
    Update {
        nth: usize,
        delivery: Delivery,
    },
    Step {
        nth: usize,
        accident: Accident,
    },
    /// A transaction of the store fails, after it was committed or instead.
    Transaction {
        nth: usize,
        committed: bool,
    },
    /// An acknowledgement or a dead letter fails, after the queue took it or instead.
    Queue {
        nth: usize,
        taken: bool,
    },
}

/// How somebody is removed who waits for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    /// What is too long, seconds.
    pub(crate) after_s: i64,
    /// For how long they are banned, seconds; `None`: they may come back at once.
    pub(crate) ban_s: Option<i64>,
    /// Whether they are warned first.
    pub(crate) warns: bool,
}

/// What the group has set, where that is not as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// `None`: whoever waits stays.
    pub(crate) removal: Option<Removal>,
    /// For how long somebody may write who has left a required chat, seconds.
    pub(crate) grace_s: i64,
}

impl Terms {
    /// As they are set in the group.
    pub(crate) fn set(self, settings: &mut GroupSettings) {
        settings.grace_s = self.grace_s;
        let Some(Removal { after_s, ban_s, warns }) = self.removal else { return };
        settings.timeout_action = if ban_s.is_some() { TimeoutAction::Ban } else { TimeoutAction::Kick };
        settings.ban_s = ban_s.unwrap_or(settings.ban_s);
        (settings.timeout_s, settings.warn_first) = (after_s, warns);
    }
}

/// A history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// What it was generated from.
    pub(crate) seed: u64,
    pub(crate) people: usize,
    /// Of each required chat: who is in it at the beginning.
    pub(crate) required: Vec<[bool; 2]>,
    /// Of each worker: by how many milliseconds its clock is off.
    pub(crate) workers: Vec<i64>,
    /// Whether the bot is told of its own acts.
    pub(crate) echoes: bool,
    pub(crate) stale_lookups_ms: i64,
    /// The chat that begins as a basic group.
    pub(crate) basic: Option<Place>,
    pub(crate) terms: Terms,
    pub(crate) turns: Vec<Turn>,
    pub(crate) faults: Vec<Fault>,
    /// The seed of the schedule.
    pub(crate) schedule: u64,
}

impl Plan {
    /// Whether any turn does something like this.
    pub(crate) fn has(&self, like: impl Fn(Doing) -> bool) -> bool {
        self.turns.iter().any(|turn| like(turn.doing))
    }

    /// Whether the bot's rights, the group's settings or ids change on the way.
    pub(crate) fn changes_rule(&self) -> bool {
        let of_rule = |doing| {
            matches!(doing, Doing::BotLosesRights(_) | Doing::BotRegainsRights(_) | Doing::Protects | Doing::Unprotects)
        };
        self.basic.is_some() || self.has(of_rule)
    }

    /// All chats.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        (0..self.required.len()).map(Place::Required).chain([Place::Group])
    }

    /// The people that there are.
    pub(crate) fn people(&self) -> impl Iterator<Item = UserId> {
        PEOPLE.into_iter().take(self.people).map(|(user, _)| user)
    }

    /// Which chat it is in the end.
    pub(crate) fn chat(place: Place) -> ChatId {
        match place {
            Place::Group => GROUP,
            Place::Required(index) => REQUIRED[index],
        }
    }

    /// Which chat it is at the beginning.
    pub(crate) fn founded(&self, place: Place) -> ChatId {
        if self.basic == Some(place) { BASIC } else { Self::chat(place) }
    }

    /// Which chat it is now.
    pub(crate) fn now(&self, place: Place, world: &World) -> ChatId {
        let chat = Self::chat(place);
        if world.chat(chat).is_some() { chat } else { self.founded(place) }
    }

    /// Whether `chat` is or was this one.
    pub(crate) fn is(&self, place: Place, chat: ChatId) -> bool {
        chat == Self::chat(place) || chat == self.founded(place)
    }

    /// The world as it is at the beginning, before the bot is anywhere.
    pub(crate) fn world(&self, bot: UserId) -> World {
        let mut world = World::new(World::bot_account(bot, "nezuko_bot"));
        world.switches =
            Switches { echo_own_acts: self.echoes, stale_lookups_ms: self.stale_lookups_ms, ..Switches::default() };
        world.add_person(Person::named(OWNER, "Olga"));
        for (user, name) in PEOPLE.into_iter().take(self.people) {
            world.add_person(Person::named(user, name));
        }
        for place in self.places() {
            let (kind, title) = match place {
                _ if self.basic == Some(place) => (ChatKind::Group, "Small"),
                Place::Group => (ChatKind::Supergroup, "Group"),
                Place::Required(_) => (ChatKind::Channel, "Channel"),
            };
            let mut chat = ChatSpec::new(self.founded(place), kind, title);
            chat.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
            if let Place::Required(index) = place {
                chat.username = (self.basic != Some(place)).then(|| format!("channel{index}"));
                let people = self.people().zip(self.required[index]);
                chat.members.extend(people.filter(|(_, is_in)| *is_in).map(|(user, _)| (user, Member::Member)));
            }
            world.add_chat(BEGIN_MS - 10_000, chat);
        }
        world
    }

    /// What `doing` is in this world now; `None`: nobody can be muted or banned in a basic group (E41).
    pub(crate) fn act(&self, doing: Doing, world: &World) -> Option<Act> {
        let (admin, bot) = (OWNER, world.bot().id);
        let chat = self.now(Place::Group, world);
        let person = |who: Who| PEOPLE[who].0;
        let write = |user: UserId, text: String| Act::Write { user, chat, content: Content::Text(text), thread: None };
        Some(match doing {
            Doing::IsMuted(..) | Doing::IsUnmuted(_) | Doing::IsBanned(_) | Doing::IsUnbanned(_) if chat == BASIC => {
                return None;
            }
            Doing::Joins(who, place) => Act::Join { user: person(who), chat: self.now(place, world) },
            Doing::Leaves(who, place) => Act::Leave { user: person(who), chat: self.now(place, world) },
            Doing::Writes(who) => write(person(who), "hello".to_owned()),
            Doing::Presses(who) => Act::Press { user: person(who), chat, message: None },
            Doing::IsMuted(who, for_s) => Act::AdminMute { admin, chat, user: person(who), for_s },
            Doing::IsUnmuted(who) => Act::AdminUnmute { admin, chat, user: person(who) },
            Doing::IsBanned(who) => Act::AdminBan { admin, chat, user: person(who) },
            Doing::IsUnbanned(who) => Act::AdminUnban { admin, chat, user: person(who) },
            Doing::IsPromoted(who) => Act::Promote { admin, chat, user: person(who), rights: Rights::FULL },
            Doing::IsDemoted(who) => Act::Demote { admin, chat, user: person(who) },
            Doing::BotLosesRights(place) => Act::Demote { admin, chat: self.now(place, world), user: bot },
            Doing::BotRegainsRights(place) => {
                Act::Promote { admin, chat: self.now(place, world), user: bot, rights: Rights::FULL }
            }
            Doing::AsksForHelp => write(admin, "/help".to_owned()),
            Doing::Protects => {
                let required = (0..self.required.len()).map(|index| self.now(Place::Required(index), world));
                write(admin, required.fold("/protect".to_owned(), |text, chat| format!("{text} {chat}")))
            }
            Doing::Unprotects => write(admin, "/unprotect".to_owned()),
            Doing::Upgrades => {
                let place = self.basic.unwrap_or(Place::Group);
                Act::Upgrade { admin, chat: self.founded(place), to: Self::chat(place) }
            }
            Doing::Poison(_) => write(admin, "/start".to_owned()),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => f.write_str("the group"),
            Self::Required(index) => write!(f, "channel {index}"),
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |who: &Who| PEOPLE[*who].1;
        match self {
            Self::Joins(who, place) => write!(f, "{} joins {place}", name(who)),
            Self::Leaves(who, place) => write!(f, "{} leaves {place}", name(who)),
            Self::Writes(who) => write!(f, "{} writes in the group", name(who)),
            Self::Presses(who) => write!(f, "{} presses the button", name(who)),
            Self::IsMuted(who, 0) => write!(f, "the owner mutes {} for ever", name(who)),
            Self::IsMuted(who, for_s) => write!(f, "the owner mutes {} for {for_s} s", name(who)),
            Self::IsUnmuted(who) => write!(f, "the owner unmutes {}", name(who)),
            Self::IsBanned(who) => write!(f, "the owner bans {}", name(who)),
            Self::IsUnbanned(who) => write!(f, "the owner unbans {}", name(who)),
            Self::IsPromoted(who) => write!(f, "{} becomes an administrator of the group", name(who)),
            Self::IsDemoted(who) => write!(f, "{} is an administrator no longer", name(who)),
            Self::BotLosesRights(place) => write!(f, "the bot loses its rights in {place}"),
            Self::BotRegainsRights(place) => write!(f, "the bot regains its rights in {place}"),
            Self::AsksForHelp => f.write_str("the owner writes /help"),
            Self::Protects => f.write_str("the owner writes /protect"),
            Self::Unprotects => f.write_str("the owner writes /unprotect"),
            Self::Upgrades => f.write_str("the basic group becomes a supergroup"),
            Self::Poison(times) => write!(f, "an update arrives that fails {times} times"),
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.doing)?;
        if self.steps > 0 {
            write!(f, "; {} steps", self.steps)?;
        }
        if self.pause_ms > 0 {
            write!(f, "; {} ms pass", self.pause_ms)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Call { nth, fate } => {
                write!(f, "call {nth} ")?;
                match fate {
                    Fate::NotSent => f.write_str("is never sent"),
                    Fate::ServerError => f.write_str("meets a 502"),
                    Fate::AnswerLost => f.write_str("is carried out and its answer lost"),
                    Fate::Ignored => f.write_str("is answered ok and not carried out"),
                    Fate::Late { in_ms } => write!(f, "is given up and lands {in_ms} ms later"),
                    Fate::Slow { for_ms } => write!(f, "takes {for_ms} ms"),
                    Fate::Flood { retry_after_s } => write!(f, "meets a 429 with {retry_after_s} s"),
                }
            }
            Self::Update { nth, delivery: Delivery::Twice } => write!(f, "update {nth} comes twice"),
            Self::Update { nth, delivery: Delivery::Late { by_ms } } => write!(f, "update {nth} comes {by_ms} ms late"),
            Self::Step { nth, accident } => {
                write!(f, "at step {nth} ")?;
                match accident {
                    Accident::Panic => f.write_str("a task panics"),
                    Accident::Dies(worker) => write!(f, "worker {worker} dies"),
                    Accident::Stalls(worker, for_ms) => write!(f, "worker {worker} stands still for {for_ms} ms"),
                    Accident::CacheForgets => f.write_str("the cache forgets everything"),
                }
            }
            Self::Transaction { nth, committed: true } => write!(f, "transaction {nth} is committed and seems to fail"),
            Self::Transaction { nth, committed: false } => write!(f, "transaction {nth} fails"),
            Self::Queue { nth, taken: true } => write!(f, "acknowledgement {nth} is taken and seems to fail"),
            Self::Queue { nth, taken: false } => write!(f, "acknowledgement {nth} fails"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |is_in: &[bool; 2]| {
            let there = PEOPLE.iter().take(self.people).zip(is_in).filter(|(_, is_in)| **is_in);
            let names: Vec<&str> = there.map(|((_, name), _)| *name).collect();
            if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") }
        };
        for (index, is_in) in self.required.iter().enumerate() {
            writeln!(f, "in channel {index} at the beginning: {}", names(is_in))?;
        }
        if let Some(place) = self.basic {
            writeln!(f, "a basic group at first: {place}")?;
        }
        writeln!(f, "workers, and by how many ms their clocks are off: {:?}", self.workers)?;
        if !self.echoes {
            writeln!(f, "the bot is not told of its own acts")?;
        }
        if self.stale_lookups_ms > 0 {
            writeln!(f, "lookups are up to {} ms old", self.stale_lookups_ms)?;
        }
        if let Some(Removal { after_s, ban_s, warns }) = self.terms.removal {
            let warned = if warns { "warned and " } else { "" };
            match ban_s {
                Some(ban_s) => writeln!(f, "who waits for {after_s} s is {warned}banned for {ban_s} s")?,
                None => writeln!(f, "who waits for {after_s} s is {warned}removed")?,
            }
        }
        if self.terms.grace_s > 0 {
            writeln!(f, "who leaves may write for {} s", self.terms.grace_s)?;
        }
        for (index, turn) in self.turns.iter().enumerate() {
            writeln!(f, "{:>3}. {turn}", index + 1)?;
        }
        for fault in &self.faults {
            writeln!(f, "   ! {fault}")?;
        }
        write!(f, "schedule {}", self.schedule)
    }
}
