//! The world's history, sorted by what the oracle asks: who stood how at what time, which messages came and went,
//! which groups were protected when, and what the bot could know.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Tolerance,
    terms::{Terms, Words},
};
use crate::world::{Act, ChatId, Happened, Member, MessageId, UserId, World};

/// A standing from some time on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stood {
    pub(super) at_ms: i64,
    pub(super) member: Member,
    /// Who made it so; nobody at the beginning.
    pub(super) by: Option<UserId>,
}

/// A message that a person or the bot sent.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at_ms: i64,
    pub(super) chat: ChatId,
    pub(super) id: MessageId,
    pub(super) author: UserId,
    pub(super) from: UserId,
    pub(super) sender_chat: Option<ChatId>,
    pub(super) service: bool,
    pub(super) text: String,
    pub(super) reply_to: Option<MessageId>,
    pub(super) has_button: bool,
    pub(super) told: bool,
    pub(super) deleted: Option<(i64, UserId)>,
}

impl Said {
    pub(super) fn is_command(&self) -> bool {
        self.text.starts_with('/')
    }
}

/// Whether somebody asks to be let into a chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// No more, or never.
    #[default]
    Not,
    /// Nobody has answered.
    Asks,
    /// They did; Telegram tells no bot of it.
    Declined,
}

/// What the bot could learn about somebody in a chat.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// When it first could.
    since_ms: Option<i64>,
    /// Whether a lookup failed.
    failed: bool,
}

/// A press on a button of the bot.
#[derive(Clone, Debug)]
pub(super) struct Press {
    pub(super) at_ms: i64,
    pub(super) user: UserId,
    pub(super) chat: ChatId,
    pub(super) message: MessageId,
    pub(super) label: Option<String>,
}

/// A call of the bot that Telegram carried out.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) at_ms: i64,
    pub(super) method: String,
    pub(super) chat: ChatId,
    pub(super) user: Option<UserId>,
}

/// A change of what a group's administrators want.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// When it was said.
    pub(super) at_ms: i64,
    /// From when on it must have taken effect; before, either rule may be in force.
    pub(super) certain_ms: i64,
    /// All that they want from then on.
    pub(super) terms: Terms,
}

/// A history sorted for judging.
pub(super) struct Record<'w> {
    pub(super) world: &'w World,
    pub(super) end_ms: i64,
    /// How long things may cross.
    pub(super) crossing_ms: i64,
    pub(super) standings: BTreeMap<(ChatId, UserId), Vec<Stood>>,
    pub(super) said: Vec<Said>,
    pub(super) rules: BTreeMap<ChatId, Vec<Rule>>,
    pub(super) words: Words,
    pub(super) presses: Vec<Press>,
    pub(super) calls: Vec<Call>,
    /// What people edited, and when.
    pub(super) edits: Vec<(i64, ChatId, UserId)>,
    /// Where in `said` a message is.
    index: BTreeMap<(ChatId, MessageId), usize>,
    /// Who was brought in by an administrator, where and when.
    added: BTreeSet<(ChatId, UserId, i64)>,
    known: BTreeMap<(ChatId, UserId), Known>,
    /// When somebody asked to be let into a chat, and when that was declined or they asked no more.
    asked: BTreeMap<(ChatId, UserId), Vec<(i64, Asked)>>,
    /// By second: how late the latest update was that was under way, or had been within the time to settle.
    late: BTreeMap<i64, i64>,
}

impl<'w> Record<'w> {
    pub(super) fn of(world: &'w World, end_ms: i64, tolerance: Tolerance) -> Self {
        let mut record = Self {
            world,
            end_ms,
            crossing_ms: tolerance.crossing_ms,
            standings: BTreeMap::new(),
            said: Vec::new(),
            rules: BTreeMap::new(),
            words: Words::new(),
            presses: Vec::new(),
            calls: Vec::new(),
            edits: Vec::new(),
            index: BTreeMap::new(),
            added: BTreeSet::new(),
            known: BTreeMap::new(),
            asked: BTreeMap::new(),
            late: BTreeMap::new(),
        };
        for entry in world.history() {
            let at_ms = entry.at_ms;
            match &entry.what {
                Happened::Founded { chat, user, member } => {
                    record.stood(*chat, *user, Stood { at_ms, member: *member, by: None });
                }
                Happened::Changed { chat, user, by, new, told, .. } => {
                    record.stood(*chat, *user, Stood { at_ms, member: *new, by: Some(*by) });
                    if let Some(asked) = record.asked.get_mut(&(*chat, *user)) {
                        let settled = new.is_in() || matches!(new, Member::Kicked { .. });
                        asked.extend(settled.then_some((at_ms, Asked::Not)));
                    }
                    if *told {
                        record.known.entry((*chat, *user)).or_default().since_ms.get_or_insert(at_ms);
                    }
                }
                Happened::Delivered { emitted_ms } => {
                    let late_ms = at_ms - emitted_ms;
                    for second in emitted_ms / 1000..=(at_ms + tolerance.settle_ms) / 1000 {
                        let latest = record.late.entry(second).or_default();
                        *latest = late_ms.max(*latest);
                    }
                }
                Happened::LookedUp { chat, user, known } => {
                    let about = record.known.entry((*chat, *user)).or_default();
                    if *known {
                        about.since_ms.get_or_insert(at_ms);
                    } else {
                        about.failed = true;
                    }
                }
                Happened::Sent {
                    chat,
                    message,
                    author,
                    from,
                    sender_chat,
                    service,
                    text,
                    reply_to,
                    has_button,
                    told,
                    ..
                } => {
                    record.index.insert((*chat, *message), record.said.len());
                    record.said.push(Said {
                        at_ms,
                        chat: *chat,
                        id: *message,
                        author: *author,
                        from: *from,
                        sender_chat: *sender_chat,
                        service: *service,
                        text: text.clone(),
                        reply_to: *reply_to,
                        has_button: *has_button,
                        told: *told,
                        deleted: None,
                    });
                }
                Happened::Acted { act: Act::AskToJoin { user, chat }, refused: None } => {
                    record.asked.entry((*chat, *user)).or_default().push((at_ms, Asked::Asks));
                }
                Happened::Acted { act: Act::AnswerRequest { chat, user, granted: false, .. }, refused: None } => {
                    record.asked.entry((*chat, *user)).or_default().push((at_ms, Asked::Declined));
                }
                Happened::Acted { act: Act::Add { by, chat, users }, refused: None } => {
                    let admin = record.member_at(*chat, *by, at_ms).is_admin();
                    record.added.extend(users.iter().filter(|_| admin).map(|user| (*chat, *user, at_ms)));
                }
                Happened::Deleted { chat, message, by } => {
                    if let Some(at) = record.index.get(&(*chat, *message)) {
                        record.said[*at].deleted = Some((at_ms, *by));
                    }
                }
                Happened::Acted { act: Act::Edit { user, chat, .. }, refused: None } => {
                    record.edits.push((at_ms, *chat, *user));
                }
                Happened::Pressed { user, chat, message, label, .. } => {
                    let (user, chat, message, label) = (*user, *chat, *message, label.clone());
                    record.presses.push(Press { at_ms, user, chat, message, label });
                }
                Happened::Called { method, chat: Some(chat), user, error: None } => {
                    record.calls.push(Call { at_ms, method: method.to_ascii_lowercase(), chat: *chat, user: *user });
                }
                _ => {}
            }
        }
        record
    }

    /// A message.
    pub(super) fn said_at(&self, chat: ChatId, message: MessageId) -> Option<&Said> {
        self.index.get(&(chat, message)).map(|at| &self.said[*at])
    }

    /// What a group's administrators want at a time, if that is beyond doubt.
    pub(super) fn terms_at(&self, group: ChatId, at_ms: i64) -> Option<&Terms> {
        self.required_at(group, at_ms)
            .map(|(rule, _)| rule)
            .filter(|rule| rule.certain_ms <= at_ms)
            .map(|rule| &rule.terms)
    }

    /// Whether somebody asks to be let into a chat at a time.
    pub(super) fn asked_at(&self, chat: ChatId, user: UserId, at_ms: i64) -> Asked {
        let until = self.asked(chat, user).take_while(|(asked_ms, _)| *asked_ms <= at_ms);
        until.last().map_or(Asked::Not, |(_, asked)| asked)
    }

    /// Every change of it.
    pub(super) fn asked(&self, chat: ChatId, user: UserId) -> impl Iterator<Item = (i64, Asked)> {
        self.asked.get(&(chat, user)).into_iter().flatten().copied()
    }

    fn stood(&mut self, chat: ChatId, user: UserId, stood: Stood) {
        self.standings.entry((chat, user)).or_default().push(stood);
    }

    /// Whether an administrator brought somebody in just then.
    pub(super) fn is_added(&self, chat: ChatId, user: UserId, at_ms: i64) -> bool {
        self.added.contains(&(chat, user, at_ms))
    }

    pub(super) fn bot(&self) -> UserId {
        self.world.bot().id
    }

    /// How late updates were taken in around a time, ms. A slow bot is slow, not wrong.
    pub(super) fn late_ms(&self, at_ms: i64) -> i64 {
        self.late.get(&(at_ms / 1000)).copied().unwrap_or(0)
    }

    /// Every standing of somebody in a chat, oldest first.
    pub(super) fn standing(&self, chat: ChatId, user: UserId) -> &[Stood] {
        self.standings.get(&(chat, user)).map_or(&[], Vec::as_slice)
    }

    /// How somebody stood at a time.
    pub(super) fn member_at(&self, chat: ChatId, user: UserId, at_ms: i64) -> Member {
        let standing = self.standing(chat, user);
        let upto = standing.partition_point(|stood| stood.at_ms <= at_ms);
        standing[..upto].last().map_or(Member::Left, |stood| stood.member.at(at_ms))
    }

    /// Whether the bot restricted or banned somebody at a time: they were, and it was the last to change that.
    pub(super) fn held_by_bot_at(&self, chat: ChatId, user: UserId, at_ms: i64) -> bool {
        let standing = self.standing(chat, user);
        let upto = standing.partition_point(|stood| stood.at_ms <= at_ms);
        let author = standing[..upto].iter().rev().find(|stood| stood.by != Some(user)).and_then(|stood| stood.by);
        holds(self.member_at(chat, user, at_ms)) && author == Some(self.bot())
    }

    /// Whether the bot could know by then how somebody stands in a chat.
    pub(super) fn is_known(&self, chat: ChatId, user: UserId, at_ms: i64) -> bool {
        self.known.get(&(chat, user)).and_then(|known| known.since_ms).is_some_and(|since| since <= at_ms)
    }

    /// Whether the bot asked in vain and never learned it otherwise.
    pub(super) fn is_unknowable(&self, chat: ChatId, user: UserId) -> bool {
        self.known.get(&(chat, user)).is_some_and(|known| known.failed && known.since_ms.is_none())
    }

    /// The rule of a group at a time, and the one before it.
    pub(super) fn required_at(&self, group: ChatId, at_ms: i64) -> Option<(&Rule, Option<&Rule>)> {
        let rules = self.rules.get(&group)?;
        let (rule, before) = rules[..rules.partition_point(|rule| rule.at_ms <= at_ms)].split_last()?;
        Some((rule, before.last()))
    }

    /// The channels that a group required at any time between two moments.
    pub(super) fn required_during(&self, group: ChatId, from_ms: i64, to_ms: i64) -> BTreeSet<ChatId> {
        let rules = self.rules.get(&group).map_or(&[][..], Vec::as_slice);
        let first = rules.partition_point(|rule| rule.at_ms <= from_ms).saturating_sub(1);
        let last = rules.partition_point(|rule| rule.at_ms <= to_ms);
        rules[first..last.max(first)].iter().flat_map(|rule| rule.terms.required.iter().copied()).collect()
    }

    /// A person for a finding's text.
    pub(super) fn name(&self, user: UserId) -> String {
        self.world.person(user).map_or_else(|| user.to_string(), |person| format!("{user} ({})", person.first_name))
    }

    /// A time for a finding's text: seconds since the history began.
    pub(super) fn time(&self, at_ms: i64) -> String {
        let start = self.world.history().first().map_or(0, |entry| entry.at_ms);
        #[allow(clippy::cast_precision_loss)]
        let seconds = (at_ms - start) as f64 / 1000.0;
        format!("{seconds:.3} s")
    }
}

/// Whether this standing keeps somebody from writing.
pub(super) const fn holds(member: Member) -> bool {
    member.is_muted() || matches!(member, Member::Kicked { .. })
}
