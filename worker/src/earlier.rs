//! Taking over what the earlier Nezuko knew: which of its rows mean something here, and what they become. Pure.
//!
//! Its rows become registers that are as old as the rows. They give way to everything that was set here by an update, and
//! among themselves the newer one stays, so that an import can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{BotId, ChatId, ChatKind, UpdateId, UserId};

use crate::{
    facts::{ChatFacts, Setting},
    intent::{Intent, Put},
    store::{ChatView, ChatWrites},
};

/// What is set by no update of this bot; updates count from 1.
const IMPORTED: UpdateId = UpdateId(0);
/// Supergroups and channels have ids below this.
const SUPERGROUPS_BELOW: i64 = -1_000_000_000_000;

/// A row of `protected_groups`. Times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `group_id`.
    pub id: i64,
    /// `owner_id`.
    pub owner: i64,
    /// `title`.
    pub title: String,
    /// `enabled`.
    pub enabled: bool,
    /// `params`, JSON.
    pub params: String,
    /// `created_at`.
    pub created_ms: i64,
    /// `updated_at`.
    pub changed_ms: i64,
    /// Whose it is, where the database has several bots and says so.
    pub bot: Option<i64>,
}

/// A row of `enforced_channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// `channel_id`.
    pub id: i64,
    /// `title`.
    pub title: String,
    /// `username`.
    pub username: String,
    /// `invite_link`.
    pub invite_link: String,
    /// Whose it is, where the database has several bots and says so.
    pub bot: Option<i64>,
}

/// A row of `group_channel_links`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// `group_id`.
    pub group: i64,
    /// `channel_id`.
    pub channel: i64,
    /// `is_required`, true in databases without this column.
    pub required: bool,
    /// `created_at`, Unix milliseconds.
    pub created_ms: i64,
}

/// What was read of the earlier database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// `user_id` of `owners`.
    pub owners: Vec<i64>,
    /// `protected_groups`.
    pub groups: Vec<Group>,
    /// `enforced_channels`.
    pub channels: Vec<Channel>,
    /// `group_channel_links`.
    pub links: Vec<Link>,
    /// How many rows `verification_log` has.
    pub verifications: i64,
}

/// A row, or a part of one, that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The kind of row.
    pub kind: Kind,
    /// Which.
    pub which: String,
    /// Why.
    pub why: String,
}

/// What rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Groups.
    Group,
    /// Channels.
    Channel,
    /// Which group requires which channel.
    Link,
    /// Owners of groups.
    Owner,
    /// Settings of groups.
    Settings,
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Group, Self::Channel, Self::Link, Self::Owner, Self::Settings];

    /// What they are called together.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Group => "groups",
            Self::Channel => "channels",
            Self::Link => "links",
            Self::Owner => "owners",
            Self::Settings => "settings",
        }
    }
}

/// What means something here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The groups, each with the channels that it requires and since when (Unix milliseconds).
    pub groups: Vec<(Group, Vec<(ChatId, i64)>)>,
    /// The channels, each once.
    pub channels: Vec<Channel>,
    /// The owner of each group, and since when (Unix milliseconds).
    pub owners: Vec<(ChatId, UserId, i64)>,
    /// What does not.
    pub skipped: Vec<Skipped>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Taken,
    /// It had been written before.
    AsBefore,
    /// What is known here is newer.
    NewerHere,
}

impl Rows {
    /// Which of the rows mean something to `bot`. Rows that claim to be of the future are of `now_ms` (Unix milliseconds).
    #[must_use]
    pub fn plan(self, bot: BotId, now_ms: i64) -> Plan {
        let mut plan = Plan::default();
        for channel in self.channels {
            match refused(channel.id, channel.bot, bot) {
                Some(why) => plan.skip(Kind::Channel, channel.id, why),
                None => plan.channels.push(channel),
            }
        }
        let mut groups = BTreeMap::new();
        for mut group in self.groups {
            group.changed_ms = group.changed_ms.min(now_ms);
            group.created_ms = group.created_ms.min(now_ms);
            match refused(group.id, group.bot, bot) {
                Some(why) => plan.skip(Kind::Group, group.id, why),
                None => drop(groups.insert(ChatId(group.id), (group, Vec::new()))),
            }
        }
        let channels: BTreeSet<i64> = plan.channels.iter().map(|channel| channel.id).collect();
        for link in self.links {
            let which = format!("{} → {}", link.group, link.channel);
            let group = groups.get_mut(&ChatId(link.group));
            let why = match &group {
                None => Some("its group is not taken over"),
                Some(_) if !channels.contains(&link.channel) => Some("its channel is not taken over"),
                Some(_) if link.group == link.channel => Some("a group cannot require itself"),
                Some(_) if !link.required => Some("it was not required there"),
                Some(_) => None,
            };
            match (group, why) {
                (Some((_, required)), None) => required.push((ChatId(link.channel), link.created_ms.min(now_ms))),
                (_, why) => plan.skip(Kind::Link, which, why.unwrap_or_default()),
            }
        }
        plan.take_groups(groups);
        let owning: BTreeSet<UserId> = plan.owners.iter().map(|(_, owner, _)| *owner).collect();
        for owner in self.owners.into_iter().filter(|owner| !owning.contains(&UserId(*owner))) {
            plan.skip(Kind::Owner, owner, "owns no group that is taken over");
        }
        plan
    }
}

impl Plan {
    fn skip(&mut self, kind: Kind, which: impl ToString, why: &str) {
        self.skipped.push(Skipped { kind, which: which.to_string(), why: why.to_owned() });
    }

    fn take_groups(&mut self, groups: BTreeMap<ChatId, (Group, Vec<(ChatId, i64)>)>) {
        for (id, (mut group, required)) in groups {
            for name in settings_of(&group.params) {
                let why = format!("no version of the earlier bot acted on {name}: set it by /settings");
                self.skip(Kind::Settings, id, &why);
            }
            if group.enabled && required.is_empty() {
                group.enabled = false;
                self.skip(Kind::Group, id, "taken over without protection: it requires no channel, so use /protect");
            }
            if group.owner > 0 {
                self.owners.push((id, UserId(group.owner), group.created_ms));
            }
            self.groups.push((group, required));
        }
    }
}

/// Why the chat of a row is none for `bot`.
fn refused(id: i64, of: Option<i64>, bot: BotId) -> Option<&'static str> {
    if of.is_some_and(|of| of != bot.0) {
        Some("it belongs to another bot")
    } else if id >= 0 {
        Some("its id is that of no group or channel")
    } else if id >= SUPERGROUPS_BELOW {
        Some("it is no supergroup: make it one, then use /protect")
    } else {
        None
    }
}

/// The names of what is set in `params`.
fn settings_of(params: &str) -> Vec<String> {
    match serde_json::from_str(params) {
        Ok(serde_json::Value::Object(named)) => named.into_iter().map(|(name, _)| name).collect(),
        Ok(serde_json::Value::Null) => Vec::new(),
        _ if params.is_empty() => Vec::new(),
        _ => vec!["what cannot be read".to_owned()],
    }
}

/// What a register becomes by an imported value: what an update set here stays.
fn outcome(held: Option<&Setting<bool>>, imported: Setting<bool>) -> Outcome {
    match held {
        None => Outcome::Taken,
        Some(held) if held.update_id != IMPORTED => Outcome::NewerHere,
        Some(held) if *held == imported => Outcome::AsBefore,
        Some(held) if held.received_ms < imported.received_ms => Outcome::Taken,
        Some(_) => Outcome::NewerHere,
    }
}

/// What to write about `group` where that is known what `view` says; what becomes of its row, and of each of its links.
#[must_use]
pub fn of_group(
    view: &ChatView,
    (group, required): &(Group, Vec<(ChatId, i64)>),
    bot: BotId,
    now_ms: i64,
) -> (ChatWrites, Outcome, Vec<Outcome>) {
    let imported = |value, received_ms| Setting { value, update_id: IMPORTED, received_ms };
    let id = ChatId(group.id);
    let mut facts = view.chat.facts.clone();
    describe(&mut facts, ChatKind::Supergroup, &group.title, "", "");
    let protected = imported(group.enabled, group.changed_ms);
    let of_row = outcome(facts.protected.as_ref(), protected);
    if of_row == Outcome::Taken {
        facts.protected = Some(protected);
    }
    let mut writes = ChatWrites::default();
    let mut of_links = Vec::new();
    for (channel, created_ms) in required {
        let link = imported(true, *created_ms);
        let of_link = outcome(view.links.get(channel), link);
        if of_link == Outcome::Taken {
            writes.links.push((*channel, link));
        }
        of_links.push(of_link);
    }
    writes.facts = (facts != view.chat.facts).then_some(facts);
    if writes.facts.is_some() || !writes.links.is_empty() {
        writes.put = vec![look(id, bot, now_ms), bulk(Intent::Redecide { chat: id, after: UserId(0) }, now_ms)];
        writes.put.extend(writes.links.iter().map(|(channel, _)| bulk(Intent::Link { chat: *channel }, now_ms)));
    }
    (writes, of_row, of_links)
}

/// What to write about `channel` where that is known what `view` says, and what becomes of its row: what Telegram has told
/// here is newer.
#[must_use]
pub fn of_channel(view: &ChatView, channel: &Channel, bot: BotId, now_ms: i64) -> (ChatWrites, Outcome) {
    let id = ChatId(channel.id);
    let mut facts = view.chat.facts.clone();
    let was_told = facts.own_event.is_some() || facts.own_lookup.is_some();
    let named = ChatFacts {
        title: channel.title.clone(),
        username: channel.username.trim_start_matches('@').to_owned(),
        invite_link: channel.invite_link.clone(),
        ..facts.clone()
    };
    if named == facts {
        return (ChatWrites::default(), Outcome::AsBefore);
    }
    if was_told || !facts.kind.is_empty() {
        return (ChatWrites::default(), Outcome::NewerHere);
    }
    describe(&mut facts, ChatKind::Channel, &named.title, &named.username, &named.invite_link);
    let put = vec![look(id, bot, now_ms)];
    (ChatWrites { facts: Some(facts), put, ..ChatWrites::default() }, Outcome::Taken)
}

/// Says what a chat of which nothing is known is called.
fn describe(facts: &mut ChatFacts, kind: ChatKind, title: &str, username: &str, invite_link: &str) {
    if facts.kind.is_empty() {
        kind.as_str().clone_into(&mut facts.kind);
        title.clone_into(&mut facts.title);
        username.clone_into(&mut facts.username);
        invite_link.clone_into(&mut facts.invite_link);
    }
}

/// Our own place in a chat is what everything else waits for.
fn look(chat: ChatId, bot: BotId, now_ms: i64) -> Put {
    bulk(Intent::Check { chat, user: bot.user() }, now_ms)
}

const fn bulk(intent: Intent, not_before_ms: i64) -> Put {
    Put { intent, not_before_ms, urgency: Urgency::Bulk }
}

#[cfg(test)]
mod tests;
