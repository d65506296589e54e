//! What is known about a chat: the bot's own place in it, what it is called, what its administrators set.

use std::collections::{BTreeMap, BTreeSet};

use nezuko_telegram::{Chat, ChatId, ChatKind, ChatMember, ChatMemberUpdated, Rights, Standing, UpdateId};
use serde::{Deserialize, Serialize};

use super::{EventOrder, LOOKUP_CACHE_MS, Setting, Watched, newest, set};
use crate::settings::SettingRegisters;

/// What was looked up about the channel of a group is good for so long where nothing else tells.
const LINKED_MS: i64 = 600_000;
/// A topic that is gone is tried again after so long: it may only have been closed.
const TOPIC_GONE_MS: i64 = 24 * 3_600_000;

/// The channel that a group's comments belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// When that was so (Unix milliseconds).
    pub asked_ms: i64,
    /// Which; `None`: the group has none.
    pub chat: Option<ChatId>,
}

/// An invite link of our own into a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLink {
    /// When it was made, or last seen to lead in (Unix milliseconds).
    pub asked_ms: i64,
    /// Its address.
    pub url: String,
}

/// So many come at once that they are not named one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raid {
    /// Since when (Unix milliseconds).
    pub since_ms: i64,
    /// Until when it is taken to last (Unix milliseconds).
    pub until_ms: i64,
}

/// What the bot needs in a chat (E77).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To mute and ban members.
    Restrict,
    /// To delete messages.
    Delete,
    /// To let in who asks for it.
    Invite,
    /// To be an administrator, so that it is told who joins.
    Administer,
}

/// Why a group is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The operator has blocked it: the bot leaves.
    Blocked,
    /// Only allowed groups are served, and it is none: the bot leaves.
    NotAllowed,
    /// Its owner has more groups than they may: it is not protected.
    OverQuota,
}

/// What is known about the bot's own place in a chat, and what the chat is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatFacts {
    /// Telegram's word for the kind of chat; empty where it is not known.
    pub kind: String,
    /// As its owners wrote it.
    pub title: String,
    /// Without the `@`; empty where there is none.
    pub username: String,
    /// How to get in where there is no username.
    pub invite_link: String,
    /// Our own way in, where there is no username (E37).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<OwnLink>,
    /// The newest event about the bot itself.
    pub own_event: Option<(EventOrder, Standing, Rights)>,
    /// The last event by which the bot became an administrator.
    pub became_admin: Option<EventOrder>,
    /// The newest lookup of the bot itself, by the time of asking (Unix milliseconds).
    pub own_lookup: Option<(i64, Standing, Rights)>,
    /// The first of the unbroken row of lookups that found the bot to be an administrator (Unix milliseconds).
    pub found_admin_ms: Option<i64>,
    /// Events from before this (Unix seconds) may have been dropped, because the bot could not be reached for too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed_until_s: i64,
    /// Whether the rule is enforced in this group.
    pub protected: Option<Setting<bool>>,
    /// What its administrators set.
    #[serde(skip_serializing_if = "SettingRegisters::is_empty")]
    pub settings: SettingRegisters,
    /// Why the operator does not have the group served, if so: nothing is enforced in it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The log chat that let the bot write no longer; a setting of a log chat ends that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_refused: Option<ChatId>,
    /// Chats in whose name may be written here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub allowed_senders: BTreeMap<ChatId, Setting<bool>>,
    /// The channel that its comments belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked: Option<Linked>,
    /// The topics in which nothing can be said, each with when that showed (Unix milliseconds).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gone_topics: BTreeMap<i64, i64>,
    /// Whether somebody has ever asked to be let in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_asked: bool,
    /// The newest raid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raid: Option<Raid>,
    /// Of the rights that the bot lacks: those of which the administrators were told.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<Right>,
    /// The supergroup that this basic group has become: what is still told of it belongs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgraded_to: Option<ChatId>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
const fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

impl ChatFacts {
    /// Whether people are decided about by these facts as by others: what differs is at most what the chat is called, how to
    /// get in, what its prompts and notices depend on, or when something was looked at.
    #[must_use]
    pub fn decides_like(&self, others: &Self) -> bool {
        let decides = |facts: &Self| {
            let rest = Self {
                title: String::new(),
                username: String::new(),
                invite_link: String::new(),
                link: None,
                own_event: None,
                became_admin: None,
                own_lookup: None,
                found_admin_ms: None,
                missed_until_s: 0,
                log_refused: None,
                linked: None,
                gone_topics: BTreeMap::new(),
                is_asked: false,
                raid: None,
                told: BTreeSet::new(),
                ..facts.clone()
            };
            (facts.own(), facts.watched(), facts.linked.map(|linked| linked.chat), rest)
        };
        decides(self) == decides(others)
    }

    /// Takes in what the chat is called.
    pub fn describe(&mut self, chat: &Chat) {
        chat.kind.as_str().clone_into(&mut self.kind);
        self.title = chat.title.clone().unwrap_or_default();
        self.username = chat.username.clone().unwrap_or_default();
        if let Some(link) = &chat.invite_link {
            self.invite_link.clone_from(link);
        }
    }

    /// Takes in what was seen of our own invite link.
    pub fn apply_link(&mut self, link: Option<OwnLink>) {
        if link.as_ref().map(|link| link.asked_ms) > self.link.as_ref().map(|link| link.asked_ms) {
            self.link = link;
        }
    }

    /// Where people get in; empty where nobody knows.
    #[must_use]
    pub fn address(&self) -> String {
        if self.username.is_empty() {
            self.link.as_ref().map_or_else(|| self.invite_link.clone(), |link| link.url.clone())
        } else {
            format!("https://t.me/{}", self.username)
        }
    }

    /// Takes in a `my_chat_member` event.
    pub fn apply_own_event(&mut self, update_id: UpdateId, event: &ChatMemberUpdated) {
        let Some(standing) = event.new_chat_member.standing else { return };
        let order = EventOrder { date: event.date, update_id };
        newest(&mut self.own_event, (order, standing, event.new_chat_member.rights), |e| e.0);
        let was_admin = event.old_chat_member.standing.is_some_and(Standing::is_admin);
        if standing.is_admin() && !was_admin {
            self.became_admin = self.became_admin.max(Some(order));
        }
    }

    /// Takes in an answer of `getChatMember` about the bot itself.
    pub fn apply_own_lookup(&mut self, asked_ms: i64, answer: &ChatMember) {
        let Some(standing) = answer.standing else { return };
        if self.own_lookup.is_some_and(|(held_ms, ..)| held_ms >= asked_ms) {
            return;
        }
        self.own_lookup = Some((asked_ms, standing, answer.rights));
        self.found_admin_ms = standing.is_admin().then(|| self.found_admin_ms.unwrap_or(asked_ms));
    }

    /// When to look at our own place again, because a lookup contradicts an event within the time that Telegram may have
    /// answered it from its cache (Unix milliseconds).
    #[must_use]
    pub fn own_again_ms(&self) -> Option<i64> {
        let ((order, standing, rights), lookup) = self.own_event.zip(self.own_lookup)?;
        let contradicts = (lookup.1, lookup.2) != (standing, rights);
        let may_be_cached = (order.ms()..=order.ms() + LOOKUP_CACHE_MS).contains(&lookup.0);
        (contradicts && may_be_cached).then_some(order.ms() + LOOKUP_CACHE_MS + 1_000)
    }

    /// Where the bot stands and what it may do, if known: the event, unless a lookup was asked more than 60 s after it.
    #[must_use]
    pub fn own(&self) -> Option<(Standing, Rights)> {
        match (self.own_event, self.own_lookup) {
            (Some((order, standing, rights)), lookup) if lookup.is_none_or(|l| order.ms() + LOOKUP_CACHE_MS >= l.0) => {
                Some((standing, rights))
            }
            (_, Some((_, standing, rights))) => Some((standing, rights)),
            (Some((_, standing, rights)), None) => Some((standing, rights)),
            (None, None) => None,
        }
    }

    /// Since when the chat's events reach us without a gap: since the bot last became its administrator, or since the last
    /// outage.
    #[must_use]
    pub fn watched(&self) -> Watched {
        if !self.own().is_some_and(|(standing, _)| standing.is_admin()) {
            return Watched(None);
        }
        let by_event = self.own_event.filter(|(_, standing, _)| standing.is_admin());
        let became = by_event.map(|(order, ..)| self.became_admin.unwrap_or(order).date);
        let since = became.or_else(|| self.found_admin_ms.map(|ms| ms / 1000));
        Watched(since.map(|since| since.max(self.missed_until_s)))
    }

    /// Whether nobody can be looked up here: the bot is known to be out, or in a channel no administrator. What comes next is
    /// told when it is let in again (E35).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let is_group = [ChatKind::Group, ChatKind::Supergroup].iter().any(|kind| kind.as_str() == self.kind);
        let closed = |standing: Standing| if is_group { !standing.is_in() } else { !standing.is_admin() };
        self.own().is_some_and(|(standing, _)| closed(standing))
    }

    /// Takes in whether may be written in the name of `sender`, unless something newer is known; returns whether it was taken.
    pub fn allow_sender(&mut self, sender: ChatId, allowed: Setting<bool>) -> bool {
        let mut register = self.allowed_senders.get(&sender).copied();
        let is_newer = set(&mut register, allowed);
        self.allowed_senders.extend(register.map(|register| (sender, register)));
        is_newer
    }

    /// Whether an administrator lets people write in the name of `sender`.
    #[must_use]
    pub fn is_sender_allowed(&self, sender: ChatId) -> bool {
        self.allowed_senders.get(&sender).is_some_and(|allowed| allowed.value)
    }

    /// Where is told what is done here, as long as that chat takes it.
    #[must_use]
    pub fn log_chat(&self) -> Option<ChatId> {
        self.settings.log_chat().filter(|chat| self.log_refused != Some(*chat))
    }

    /// Whether the rule is to be enforced in this group.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected.as_ref().is_some_and(|setting| setting.value) && self.refused.is_none()
    }

    /// Whether nothing is done here but to write down what would be. Where nothing is enforced any more, whom we have muted
    /// is freed all the same (E53).
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.settings.dry_run() && self.is_protected()
    }

    /// Whether edited messages are judged here (E58).
    #[must_use]
    pub fn looks_at_edits(&self) -> bool {
        self.settings.check_edits() && self.is_protected()
    }

    /// Whether the bot may answer requests to be let in (E23).
    #[must_use]
    pub fn can_admit(&self) -> bool {
        self.own().is_some_and(|(_, rights)| rights.can_invite_users)
    }

    /// Whether the bot may delete messages here.
    #[must_use]
    pub fn can_delete(&self) -> bool {
        self.own().is_some_and(|(_, rights)| rights.can_delete_messages)
    }

    /// Takes in what the channel of this group's comments was at `asked_ms` (Unix milliseconds).
    pub fn apply_linked(&mut self, asked_ms: i64, chat: Option<ChatId>) {
        newest(&mut self.linked, Linked { asked_ms, chat }, |linked| linked.asked_ms);
    }

    /// Whether `chat` is the channel that this group's comments belong to (E4); `None`: that is to be looked up.
    #[must_use]
    pub fn is_linked(&self, chat: ChatId, now_ms: i64) -> Option<bool> {
        let linked = self.linked?;
        let is_it = linked.chat == Some(chat);
        (is_it || now_ms < linked.asked_ms + LINKED_MS).then_some(is_it)
    }

    /// Takes in that nothing can be said in `topic` any more.
    pub fn topic_gone(&mut self, topic: i64, now_ms: i64) {
        self.gone_topics.retain(|_, at_ms| now_ms < *at_ms + TOPIC_GONE_MS);
        self.gone_topics.insert(topic, now_ms);
    }

    /// Where the prompt stands that is meant for `topic`: in the general one where that is gone (E63).
    #[must_use]
    pub fn topic(&self, topic: Option<i64>, now_ms: i64) -> Option<i64> {
        let is_gone = |topic: &i64| self.gone_topics.get(topic).is_some_and(|at_ms| now_ms < *at_ms + TOPIC_GONE_MS);
        topic.filter(|topic| !is_gone(topic))
    }

    /// Whether the bot is known to be out of here.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.own().is_some_and(|(standing, _)| !standing.is_in())
    }

    /// Whether the bot has what it needs to restrict members here.
    #[must_use]
    pub fn can_restrict(&self) -> bool {
        self.own().is_some_and(|(_, rights)| rights.can_restrict_members)
    }
}
