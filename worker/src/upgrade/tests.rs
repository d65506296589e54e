use nezuko_telegram::{Limits, Standing, UpdateId};

use super::*;
use crate::{
    buttons::Button,
    facts::{Act, Call, Event, EventOrder, Lookup},
    intent::{Key, KeyDoes},
    settings::Language,
};

const OLD: ChatId = ChatId(-4_001);
const NEW: ChatId = ChatId(-1_001_000_000_001);
const OTHER: ChatId = ChatId(-1_001_000_000_002);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);

fn setting(value: bool, update: i64) -> Setting<bool> {
    Setting { value, update_id: UpdateId(update), received_ms: 0 }
}

#[test]
fn of_settings_under_both_ids_the_newer_one_stays() {
    for (old, new, stays) in [(7, 8, 8), (8, 7, 8)] {
        let was = ChatFacts { protected: Some(setting(false, old)), ..ChatFacts::default() };
        let is = ChatFacts { protected: Some(setting(true, new)), ..ChatFacts::default() };
        let protected = chat(&was, &is).protected.expect("a setting");
        assert_eq!(protected.update_id, UpdateId(stays));
    }
}

#[test]
fn our_own_place_in_the_old_group_is_not_our_place_in_the_new_one() {
    let order = EventOrder { date: 9, update_id: UpdateId(9) };
    let rights = nezuko_telegram::Rights { can_restrict_members: true, ..Default::default() };
    let was = ChatFacts {
        kind: "group".to_owned(),
        title: "Group".to_owned(),
        own_event: Some((order, Standing::Outside, rights)),
        became_admin: Some(order),
        own_lookup: Some((1, Standing::Admin, rights)),
        found_admin_ms: Some(1),
        ..ChatFacts::default()
    };
    let expected = ChatFacts { kind: "supergroup".to_owned(), title: "Group".to_owned(), ..ChatFacts::default() };
    assert_eq!(chat(&was, &ChatFacts::default()), expected);
    let is = ChatFacts { own_event: Some((order, Standing::Admin, rights)), title: "New".to_owned(), ..expected };
    assert_eq!(chat(&was, &is), is);
}

#[test]
fn links_are_renamed_on_both_sides_and_none_leads_to_itself() {
    let given = Links::from([
        ((OLD, CHANNEL), setting(true, 5)),
        ((NEW, CHANNEL), setting(false, 6)),
        ((OTHER, OLD), setting(true, 8)),
        ((OTHER, NEW), setting(false, 7)),
        ((OLD, NEW), setting(true, 9)),
    ]);
    let expected = Links::from([((NEW, CHANNEL), setting(false, 6)), ((OTHER, NEW), setting(true, 8))]);
    assert_eq!(links(&given, OLD, NEW), expected);
    assert_eq!(links(&expected, OLD, NEW), expected, "again is harmless");
}

#[test]
fn of_what_is_known_about_a_person_the_newer_stays_but_for_calls() {
    let order = |n| EventOrder { date: n, update_id: UpdateId(n) };
    let event = |n, standing| Event { order: order(n), was_in: false, standing, limits: Limits::Free };
    let lookup = |asked_ms| Lookup { asked_ms, standing: Standing::Inside, limits: Limits::Free };
    let was = Member {
        event: Some(event(1, Standing::Inside)),
        lookup: Some(lookup(7)),
        last_out: Some(order(3)),
        spoke: Some(order(1)),
        spoke_late: Some(order(1)),
        call: Some(Call::new(Act::Mute, 1, None)),
        mute_until: Some(5),
        name: "Ann".to_owned(),
        waiting: true,
        ..Member::default()
    };
    let is = Member {
        event: Some(event(2, Standing::Outside)),
        lookup: Some(lookup(6)),
        last_out: Some(order(2)),
        spoke: Some(order(2)),
        is_bot: true,
        ..Member::default()
    };
    let expected = Member {
        event: is.event,
        lookup: was.lookup,
        last_out: was.last_out,
        spoke: is.spoke,
        spoke_late: was.spoke_late,
        is_bot: true,
        name: "Ann".to_owned(),
        ..Member::default()
    };
    assert_eq!(member(was.clone(), Some(is)), expected);
    let alone = member(was.clone(), None);
    assert_eq!((alone.event, alone.lookup, alone.call, alone.mute_until), (was.event, was.lookup, None, None));
    assert!(!alone.waiting, "no prompt of the new group names them yet");
}

#[test]
fn every_intent_about_the_old_group_names_the_new_one_and_no_message_of_the_old() {
    let (user, message) = (UserId(11), MessageId(5));
    let press = Press {
        update_id: UpdateId(7),
        callback: "1".to_owned(),
        button: Some(Button::JOINED),
        group: OLD,
        user,
        language: Language::En,
        message,
        received_ms: 3,
    };
    let work = Work { after: user, done: 3, message, ..Work::begins(OLD, 4, 5) };
    let command = Command {
        update_id: UpdateId(7),
        name: "status".to_owned(),
        addressee: None,
        arguments: String::new(),
        chat: OLD,
        topic: None,
        message,
        user,
        language: Language::En,
        reply_to: None,
        received_ms: 3,
    };
    let key = Key { label: "of the old group".to_owned(), does: KeyDoes::Send("data".to_owned()) };
    let reply = Reply {
        update_id: UpdateId(7),
        chat: OLD,
        topic: None,
        message,
        html: "hi".to_owned(),
        keyboard: vec![vec![key]],
        stands_ms: Some(1),
        until_ms: None,
        then: Some(Box::new(Intent::Release(work))),
    };
    let all = [
        Intent::Member { group: OLD, user },
        Intent::Check { chat: OLD, user },
        Intent::Prompt { group: OLD, topic: None },
        Intent::Redecide { chat: OLD, after: user },
        Intent::Recheck(work),
        Intent::Release(work),
        Intent::Answer(press),
        Intent::Command(command),
        Intent::Reply(reply),
    ];
    for old in all {
        assert!(is_about(&old, OLD) && !is_about(&old, NEW), "{old:?}");
        let new = intent(old, NEW).expect("it goes over");
        assert!(is_about(&new, NEW) && !is_about(&new, OLD), "{new:?}");
        let of_old = match &new {
            Intent::Answer(press) => press.message,
            Intent::Command(command) => command.message,
            Intent::Reply(reply) => {
                assert!(reply.keyboard.is_empty(), "its buttons were made for the old group");
                let begins = reply.then.as_deref().expect("what begins with it");
                assert!(is_about(begins, NEW) && !is_about(begins, OLD));
                reply.message
            }
            Intent::Recheck(work) | Intent::Release(work) => work.message,
            Intent::Redecide { after, .. } => MessageId(after.0),
            _ => MessageId(0),
        };
        assert_eq!(of_old, MessageId(0), "{new:?}");
    }
    assert_eq!(intent(Intent::Delete { chat: OLD, message }, NEW), None);
}
