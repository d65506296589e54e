//! What a group's administrators have asked of the bot, by commands and by buttons, and from when on it holds.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Judge,
    commands::{self, Replies},
    record::{Press, Record, Rule, Said, Stood},
    verdict::Kind,
    words,
};
use crate::world::{Act, ChatId, ChatKind, Happened, Member, UserId};

/// How long somebody waits before they are removed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// They may come back at once.
    Kick,
    /// They may not for a while.
    Ban,
}

/// All of it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// The channels whose members may write.
    pub(super) required: BTreeSet<ChatId>,
    /// Who may write without having joined: people, and channels as senders.
    allowed: BTreeSet<i64>,
    /// Settings that differ from the usual, by name.
    settings: BTreeMap<String, String>,
    /// The channels that would be required if the group were within its owner's quota.
    withheld: Option<BTreeSet<ChatId>>,
}

impl Terms {
    fn word<'a>(&'a self, name: &str, usual: &'a str) -> &'a str {
        self.settings.get(name).map_or(usual, String::as_str)
    }

    fn number(&self, name: &str, usual: i64) -> i64 {
        self.settings.get(name).and_then(|number| number.parse().ok()).unwrap_or(usual)
    }

    fn switch(&self, name: &str, usual: bool) -> bool {
        self.settings.get(name).map_or(usual, |word| ["on", "yes", "true"].contains(&word.as_str()))
    }

    /// Whether an administrator lets this person write, or write in the name of this channel.
    pub(super) fn allows(&self, id: i64) -> bool {
        self.allowed.contains(&id)
    }

    /// For how long somebody may write who has left a channel, ms.
    pub(super) fn grace_ms(&self) -> i64 {
        self.number("grace_s", 0) * 1000
    }

    /// What becomes of who waits for too long.
    pub(super) fn removal(&self) -> Option<Removal> {
        match self.word("timeout_action", "stay") {
            "kick" => Some(Removal::Kick),
            "ban" => Some(Removal::Ban),
            _ => None,
        }
    }

    /// What is too long, ms.
    pub(super) fn timeout_ms(&self) -> i64 {
        self.number("timeout_s", 3_600) * 1000
    }

    /// How long a ban lasts, s.
    pub(super) fn ban_s(&self) -> i64 {
        self.number("ban_s", 86_400)
    }

    pub(super) fn warns(&self) -> bool {
        self.switch("warn_first", true)
    }

    pub(super) fn is_dry(&self) -> bool {
        self.switch("dry_run", false)
    }

    pub(super) fn cleans_notes(&self) -> bool {
        self.switch("clean_service", false)
    }

    pub(super) fn looks_at_edits(&self) -> bool {
        self.switch("check_edits", false)
    }

    pub(super) fn answers_requests(&self) -> bool {
        self.switch("join_requests", true) && !self.is_dry()
    }

    /// Whether who asks to be let into a channel counts as being in it (E27).
    pub(super) fn pending_counts(&self) -> bool {
        self.switch("pending_counts", false)
    }

    /// The code of the language in which the group is spoken to.
    pub(super) fn language(&self) -> &str {
        self.word("language", "en")
    }

    /// Whether the group is over its owner's quota.
    pub(super) const fn is_over_quota(&self) -> bool {
        self.withheld.is_some()
    }

    pub(super) fn trusts_added(&self) -> bool {
        self.switch("trust_added", true)
    }

    /// `allow`, `delete` or `ban`.
    pub(super) fn sender_chats(&self) -> &str {
        self.word("sender_chats", "delete")
    }

    /// How many newcomers within a minute are a raid, where the group has said so.
    pub(super) fn raid_threshold(&self) -> Option<usize> {
        self.settings.get("raid_threshold")?.parse().ok().filter(|threshold| *threshold > 0)
    }

    /// The channel that is told what is done.
    pub(super) fn log_chat(&self) -> Option<ChatId> {
        self.settings.get("log_chat").and_then(|id| id.parse().ok()).map(ChatId)
    }
}

/// What an administrator wants by a button in a log chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// As if they had lifted the bot's mute themselves.
    Free,
    /// As if they had banned them themselves.
    Ban,
}

/// When administrators said what about whom, in order.
pub(super) type Words = BTreeMap<(ChatId, UserId), Vec<(i64, Word)>>;

/// So long after it was done at most a log chat is told, if it need not wait.
const JUST_BEFORE_MS: i64 = 30_000;

/// Something that changes terms.
enum Order<'a> {
    Command(&'a Said, &'a str, Vec<&'a str>),
    Press(&'a Press),
    /// The operator lets an owner have no group protected (E105), or as many as they like again.
    Quota(ChatId, bool),
}

/// Switches of the panel by the beginning of their label.
const SWITCHES: [(&str, &str); 6] = [
    ("Delete notes about joins: ", "clean_service"),
    ("Delete commands: ", "clean_commands"),
    ("Answer join requests: ", "join_requests"),
    ("Trust whom admins add: ", "trust_added"),
    ("Look at edits: ", "check_edits"),
    ("Dry run: ", "dry_run"),
];

/// Follows everything that administrators say through the time.
pub(super) fn follow(record: &Record<'_>, replies: &Replies, settle_ms: i64) -> (BTreeMap<ChatId, Vec<Rule>>, Words) {
    // When it was said, and from when on it must have taken effect.
    let mut orders: Vec<(i64, i64, Order<'_>)> = Vec::new();
    for said in record.said.iter().filter(|said| said.told) {
        let Some((word, arguments)) = commands::parse(record, said) else { continue };
        let order = Order::Command(said, word, arguments);
        if said.sender_chat == Some(said.chat) {
            // E3: who writes in the group's name proves themselves first, by a button under the bot's answer.
            let proves = |press: &&Press| {
                let answers = record.said_at(press.chat, press.message).and_then(|answer| answer.reply_to);
                press.chat == said.chat
                    && answers == Some(said.id)
                    && may_restrict(record, press.chat, press.user, press.at_ms)
            };
            orders
                .extend(record.presses.iter().find(proves).map(|press| (press.at_ms, press.at_ms + settle_ms, order)));
        } else if said.sender_chat.is_none() && may_restrict(record, said.chat, said.author, said.at_ms) {
            let replied = replies.get(&(said.chat, said.id)).and_then(|at| at.first());
            orders.push((said.at_ms, replied.map_or(said.at_ms + settle_ms, |at| at + 1_000), order));
        }
    }
    orders.extend(record.presses.iter().map(|press| (press.at_ms, press.at_ms + settle_ms, Order::Press(press))));
    orders.extend(quotas(record).map(|(at_ms, group, none)| (at_ms, at_ms + settle_ms, Order::Quota(group, none))));
    orders.sort_by_key(|(at_ms, ..)| *at_ms);

    let mut rules: BTreeMap<ChatId, Vec<Rule>> = BTreeMap::new();
    let mut words = Words::new();
    for (at_ms, certain_ms, order) in orders {
        let now = |group: ChatId| {
            rules.get(&group).and_then(|rules| rules.last()).map(|rule| rule.terms.clone()).unwrap_or_default()
        };
        let (group, terms) = match order {
            Order::Quota(group, none) => {
                let mut terms = now(group);
                match none {
                    true => terms.withheld = Some(std::mem::take(&mut terms.required)),
                    false => terms.required.extend(terms.withheld.take().unwrap_or_default()),
                }
                (group, Some(terms))
            }
            Order::Command(said, word, arguments) => (said.chat, obey(record, said, word, &arguments, now(said.chat))),
            Order::Press(press) => {
                let told_there = |(_, rules): &(&ChatId, &Vec<Rule>)| {
                    rules.last().is_some_and(|rule| rule.terms.log_chat() == Some(press.chat))
                };
                match rules.iter().find(told_there).map(|(group, _)| *group) {
                    Some(group) => {
                        let Some((user, act)) = undone(record, press, group) else { continue };
                        let mut terms = now(group);
                        match act {
                            "Free" => words.entry((group, user)).or_default().push((at_ms, Word::Free)),
                            "Ban" => words.entry((group, user)).or_default().push((at_ms, Word::Ban)),
                            _ => drop(terms.allowed.insert(user.0)),
                        }
                        (group, Some(terms))
                    }
                    None => (press.chat, switched(record, press, now(press.chat))),
                }
            }
        };
        let before = now(group);
        if let Some(terms) = terms.filter(|terms| *terms != before) {
            rules.entry(group).or_default().push(Rule { at_ms, certain_ms, terms });
        }
    }
    (rules, words)
}

/// The terms after a command of somebody who may give it; `None`: it sets nothing.
fn obey(record: &Record<'_>, said: &Said, word: &str, arguments: &[&str], mut terms: Terms) -> Option<Terms> {
    let is_supergroup = record.world.chat(said.chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup);
    let rights = record.member_at(said.chat, record.bot(), said.at_ms).rights();
    if !is_supergroup {
        return None;
    }
    let named = || arguments.iter().filter_map(|argument| channel(record, argument));
    match (word, arguments) {
        ("protect", _) if terms.is_over_quota() => return None,
        ("protect", _) if rights.can_restrict_members => {
            terms.required.extend(named().filter(|channel| may_require(record, said, *channel)));
        }
        ("unprotect", _) => {
            let named: BTreeSet<ChatId> = named().collect();
            terms.required.retain(|channel| !arguments.is_empty() && !named.contains(channel));
        }
        ("allow", [id, ..]) => drop(terms.allowed.insert(channel(record, id)?.0)),
        ("disallow", [id, ..]) => drop(terms.allowed.remove(&channel(record, id)?.0)),
        ("import", [_, ..]) => terms.settings = imported(&arguments.join(" "))?,
        ("settings", [name, value, ..]) => drop(terms.settings.insert((*name).to_owned(), (*value).to_owned())),
        _ => return None,
    }
    Some(terms)
}

/// The settings that an export holds, all of them.
fn imported(text: &str) -> Option<BTreeMap<String, String>> {
    let exported: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::Bool(is) => Some(if *is { "on" } else { "off" }.to_owned()),
        serde_json::Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    };
    let settings = exported["settings"].as_object()?;
    Some(settings.iter().filter_map(|(name, value)| Some((name.clone(), word(value)?))).collect())
}

/// When the operator laid down, or lifted, that the owner of a group may have none protected.
fn quotas(record: &Record<'_>) -> impl Iterator<Item = (i64, ChatId, bool)> {
    record.world.history().iter().flat_map(move |entry| {
        let order = match &entry.what {
            Happened::Acted { act: Act::Operate { order }, refused: None } => order.as_slice(),
            _ => &[],
        };
        let words: Vec<&str> = order.iter().map(String::as_str).collect();
        let (owner, none) = match words[..] {
            ["groups", "quota", "--owner", owner, "0"] => (owner.parse().ok().map(UserId), true),
            ["groups", "quota", "--owner", owner] => (owner.parse().ok().map(UserId), false),
            _ => (None, false),
        };
        let owns = move |chat: ChatId| {
            owner.is_some_and(|owner| matches!(record.member_at(chat, owner, entry.at_ms), Member::Creator { .. }))
        };
        let groups = record.world.chats().filter(|chat| chat.spec.kind == ChatKind::Supergroup);
        groups.map(|chat| chat.spec.id).filter(move |chat| owns(*chat)).map(move |chat| (entry.at_ms, chat, none))
    })
}

impl Judge<'_, '_> {
    /// Administrators are told once when their group is over its owner's quota.
    pub(super) fn judge_quotas(&mut self) {
        let record = self.record;
        let mut is_any = false;
        let (mut told, mut due) = (0, 0);
        for (group, rules) in &record.rules {
            let mut begun =
                rules.windows(2).filter(|two| !two[0].terms.is_over_quota() && two[1].terms.is_over_quota());
            let begun: Vec<i64> = begun.by_ref().map(|two| two[1].at_ms).collect();
            let about_quota =
                |said: &&Said| said.chat == *group && said.author == record.bot() && words::tells_of_quota(&said.text);
            let notices = record.said.iter().filter(about_quota).filter(|said| said.reply_to.is_none()).count();
            is_any |= !begun.is_empty();
            (told, due) = (told + notices, due + begun.len());
            let text = || format!("{notices} times of {} in {group}", begun.len());
            match notices.cmp(&begun.len()) {
                Ordering::Less => self.verdict.find(Kind::QuotaNotTold, text()),
                Ordering::Greater => self.verdict.find(Kind::QuotaToldWrongly, text()),
                Ordering::Equal => {}
            }
        }
        if is_any {
            self.count("quotas", told, due, due);
        }
    }
}

/// The terms after a press on a switch of the panel.
fn switched(record: &Record<'_>, press: &Press, mut terms: Terms) -> Option<Terms> {
    let panel = record.said_at(press.chat, press.message)?;
    let command = record.said_at(press.chat, panel.reply_to?)?;
    if panel.author != record.bot() || !command.text.starts_with("/settings") {
        return None;
    }
    let label = press.label.as_ref()?;
    // A button says how it is and sets the other, also where it has become otherwise meanwhile.
    let (name, is) = SWITCHES.into_iter().find_map(|(what, name)| Some((name, label.strip_prefix(what)?)))?;
    if !may_restrict(record, press.chat, press.user, press.at_ms) {
        return None;
    }
    terms.settings.insert(name.to_owned(), if is == "no" { "on" } else { "off" }.to_owned());
    Some(terms)
}

/// About whom a button in the log chat of `group` is, and what it does.
fn undone<'p>(record: &Record<'_>, press: &'p Press, group: ChatId) -> Option<(UserId, &'p str)> {
    if !may_restrict(record, group, press.user, press.at_ms) {
        return None;
    }
    let (number, act) = press.label.as_ref()?.split_once(". ")?;
    let told = record.said_at(press.chat, press.message)?;
    let line = told.text.lines().find_map(|line| line.strip_prefix(number)?.strip_prefix(". "))?;
    let user = whom(line).or_else(|| unnamed(record, group, told))?;
    Some((user, act))
}

/// Whom a log chat calls somebody, not knowing their name: whose standing the bot changed just before, and nobody else's that
/// is not named there.
fn unnamed(record: &Record<'_>, group: ChatId, told: &Said) -> Option<UserId> {
    let here = (group, UserId(i64::MIN))..=(group, UserId(i64::MAX));
    let lately = told.at_ms - JUST_BEFORE_MS..=told.at_ms;
    let by_bot = |stood: &Stood| stood.by == Some(record.bot()) && lately.contains(&stood.at_ms);
    let changed = record.standings.range(here).filter(|(_, standing)| standing.iter().any(by_bot));
    let mut unnamed = changed.map(|((_, user), _)| *user).filter(|user| !told.text.contains(&user.to_string()));
    unnamed.next().filter(|_| unnamed.next().is_none())
}

/// Whom a line of a log chat names: names begin with the person's number where there is a log chat.
pub(super) fn whom(line: &str) -> Option<UserId> {
    line.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().map(UserId)
}

/// The chat, or the person, that an argument names.
fn channel(record: &Record<'_>, argument: &str) -> Option<ChatId> {
    match argument.strip_prefix('@') {
        Some(name) => record.world.chat_named(name).map(|chat| chat.spec.id),
        None => argument.parse().ok().map(ChatId),
    }
}

fn may_restrict(record: &Record<'_>, chat: ChatId, user: UserId, at_ms: i64) -> bool {
    record.member_at(chat, user, at_ms).rights().can_restrict_members
}

/// Who requires a channel runs it, and the bot sees who is in it (E40).
fn may_require(record: &Record<'_>, said: &Said, channel: ChatId) -> bool {
    let runs = |user| record.member_at(channel, user, said.at_ms).is_admin();
    channel != said.chat && runs(said.author) && runs(record.bot())
}
