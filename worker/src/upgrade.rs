//! A basic group that becomes a supergroup gets a new id (E79): how what is known and wanted under the old one reads under
//! the new one. Pure.
//!
//! Message ids of the old group mean nothing in the new one, and nobody can be restricted in a basic group, so that neither
//! prompts nor held messages nor mutes go over.

use std::collections::BTreeMap;

use nezuko_telegram::{ChatId, ChatKind, MessageId, UserId};

use crate::{
    facts::{ChatFacts, Member, Setting, set},
    intent::{Command, Greeting, Intent, Notice, Press, Reply, Work},
};

/// Links by group and channel.
pub type Links = BTreeMap<(ChatId, ChatId), Setting<bool>>;

/// What is known about the group. Our own place in it is not taken over: the old group's rights are not the new one's.
#[must_use]
pub fn chat(old: &ChatFacts, new: &ChatFacts) -> ChatFacts {
    let mut facts = new.clone();
    if let Some(protected) = old.protected {
        set(&mut facts.protected, protected);
    }
    let or_old = |field: &mut String, old: &String| {
        if field.is_empty() {
            field.clone_from(old);
        }
    };
    facts.settings.merge(old.settings.clone());
    for (sender, allowed) in &old.allowed_senders {
        facts.allow_sender(*sender, *allowed);
    }
    facts.refused = facts.refused.or(old.refused);
    or_old(&mut facts.kind, &ChatKind::Supergroup.as_str().to_owned());
    or_old(&mut facts.title, &old.title);
    or_old(&mut facts.invite_link, &old.invite_link);
    facts
}

/// What is left of the old group: its new id.
#[must_use]
pub fn forwarding(new: ChatId) -> ChatFacts {
    ChatFacts { upgraded_to: Some(new), ..ChatFacts::default() }
}

/// All links that name either id, with the new one for the old; of two that become one the newer stays.
#[must_use]
pub fn links(links: &Links, old: ChatId, new: ChatId) -> Links {
    let renamed = |chat: ChatId| if chat == old { new } else { chat };
    let mut moved = Links::new();
    for ((group, channel), link) in links {
        let key = (renamed(*group), renamed(*channel));
        // No chat requires itself.
        if key.0 != key.1 && moved.get(&key).is_none_or(|held| link.is_newer_than(held)) {
            moved.insert(key, *link);
        }
    }
    moved
}

/// What is known about a person in the group.
#[must_use]
pub fn member(old: Member, new: Option<Member>) -> Member {
    let new = new.unwrap_or_default();
    Member {
        event: newest(old.event, new.event, |event| event.order),
        lookup: newest(old.lookup, new.lookup, |lookup| lookup.asked_ms),
        last_out: old.last_out.max(new.last_out),
        spoke: old.spoke.max(new.spoke),
        spoke_late: old.spoke_late.max(new.spoke_late),
        change: newest(old.change, new.change, |change| change.order),
        theirs: newest(old.theirs, new.theirs, |theirs| theirs.order),
        allowed: newer(old.allowed, new.allowed),
        is_bot: old.is_bot || new.is_bot,
        name: if new.name.is_empty() { old.name } else { new.name },
        call: new.call,
        mute_until: new.mute_until,
        restored: new.restored,
        ban: new.ban,
        added: newest(old.added, new.added, |added| added.order),
        wait: new.wait,
        failed_ms: new.failed_ms,
        pressed_ms: new.pressed_ms,
        would: new.would,
        request: new.request,
        topic: new.topic,
        waiting: new.waiting,
    }
}

fn newest<T, O: Ord>(old: Option<T>, new: Option<T>, order: impl Fn(&T) -> O) -> Option<T> {
    old.into_iter().chain(new).max_by_key(order)
}

fn newer(old: Option<Setting<bool>>, mut new: Option<Setting<bool>>) -> Option<Setting<bool>> {
    if let Some(old) = old {
        set(&mut new, old);
    }
    new
}

/// Whether `intent` is about this chat, or was given in it.
#[must_use]
pub fn is_about(intent: &Intent, chat: ChatId) -> bool {
    match intent {
        Intent::Answer(press) => press.group == chat,
        Intent::Greet(greeting) => greeting.group == chat,
        _ => intent.chat() == Some(chat),
    }
}

/// What is wanted about the group; `None`: nothing any more. There are no topics in basic groups.
#[must_use]
pub fn intent(old: Intent, new: ChatId) -> Option<Intent> {
    let message = MessageId(0);
    Some(match old {
        Intent::Member { user, .. } => Intent::Member { group: new, user },
        Intent::Check { user, .. } => Intent::Check { chat: new, user },
        Intent::Admit { user, .. } => Intent::Admit { group: new, user },
        Intent::Adder { user, .. } => Intent::Adder { group: new, user },
        Intent::BanSender { sender, .. } => Intent::BanSender { group: new, sender },
        Intent::Notice(notice) => Intent::Notice(Notice { group: new, ..notice }),
        Intent::Greet(greeting) => Intent::Greet(Greeting { group: new, ..greeting }),
        Intent::Prompt { .. } => Intent::Prompt { group: new, topic: None },
        Intent::Redecide { .. } => Intent::Redecide { chat: new, after: UserId(0) },
        Intent::Recheck(work) => {
            Intent::Recheck(Work { chat: new, after: UserId(0), done: 0, failed: 0, message, ..work })
        }
        Intent::Release(work) => Intent::Release(Work { chat: new, message, ..work }),
        Intent::Log { .. } => Intent::Log { group: new },
        Intent::Link { .. } => Intent::Link { chat: new },
        Intent::Refuse { told, .. } => Intent::Refuse { group: new, told },
        Intent::Answer(press) => Intent::Answer(Press { group: new, message, ..press }),
        Intent::Command(command) => Intent::Command(Command { chat: new, topic: None, message, ..command }),
        // Its buttons were made for the old group; what was to begin with it is wanted still.
        Intent::Reply(reply) => {
            let then = reply.then.and_then(|then| intent(*then, new)).map(Box::new);
            Intent::Reply(Reply { chat: new, topic: None, message, keyboard: Vec::new(), then, ..reply })
        }
        Intent::Delete { .. } | Intent::SenderChat(_) | Intent::Panel { .. } => return None,
    })
}

#[cfg(test)]
mod tests;
