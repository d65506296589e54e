//! Registers and how they are read, as sentences.

#![allow(clippy::unwrap_used)]

mod any_order;
mod authors;
mod calls;
mod chats;
mod enforcement;
mod limits;
mod marks;
mod presence;
mod settings;

use nezuko_telegram::{Chat, Permissions, Rights, User};
use proptest::prelude::*;

use super::*;

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const ANN: UserId = UserId(11);
const ADMIN: UserId = UserId(10);
/// Unix seconds.
const T: i64 = 1_700_000_000;
const MS: i64 = T * 1000;
const ALWAYS: Watched = Watched(Some(T - 86_400));
const UNWATCHED: Watched = Watched(None);

fn mark() -> Mark {
    Mark::of(BOT, GROUP, ANN)
}

/// Our mute.
fn ours() -> Limits {
    Limits::Restricted { until: mark().until(MS), left: Permissions::NONE }
}

/// A mute by somebody else.
const fn theirs(until: i64) -> Limits {
    Limits::Restricted { until, left: Permissions::NONE }
}

fn user(id: UserId) -> User {
    User {
        id,
        is_bot: id == BOT.user(),
        first_name: "Ann".to_owned(),
        last_name: None,
        username: None,
        language_code: None,
    }
}

fn place(id: UserId, (standing, limits): (Standing, Limits)) -> ChatMember {
    ChatMember { user: user(id), standing: Some(standing), limits, rights: Rights::default() }
}

const FREE: (Standing, Limits) = (Standing::Inside, Limits::Free);
const LEFT: (Standing, Limits) = (Standing::Outside, Limits::Free);
const PROMOTED: (Standing, Limits) = (Standing::Admin, Limits::Free);

fn muted(limits: Limits) -> (Standing, Limits) {
    (Standing::Inside, limits)
}

fn supergroup() -> Chat {
    serde_json::from_value(serde_json::json!({"id": GROUP, "type": "supergroup"})).expect("a chat")
}

/// Somebody's standing changed.
fn change(by: UserId, date: i64, old: (Standing, Limits), new: (Standing, Limits)) -> ChatMemberUpdated {
    let chat = supergroup();
    ChatMemberUpdated {
        chat,
        from: user(by),
        date,
        old_chat_member: place(ANN, old),
        new_chat_member: place(ANN, new),
        via_join_request: false,
        invite_link: None,
    }
}

/// Who takes in these events, numbered from 1.
fn after(events: &[ChatMemberUpdated]) -> Member {
    let mut member = Member::default();
    for (event, id) in events.iter().zip(1..) {
        member.apply_event(BOT, UpdateId(id), event, mark());
    }
    member
}

fn look(member: &mut Member, asked_ms: i64, seen: (Standing, Limits)) {
    member.apply_lookup(asked_ms, &place(ANN, seen), mark());
}

fn order(date: i64, update_id: i64) -> EventOrder {
    EventOrder { date, update_id: UpdateId(update_id) }
}
