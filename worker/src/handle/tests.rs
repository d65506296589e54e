//! What becomes of messages as they are taken in.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use nezuko_telegram::{Limits, RawResponse, Transport, TransportError, parse_update};
use serde_json::{Value, json};

use super::*;
use crate::{
    facts::{Lookup, Setting, set},
    intent::{Claim, Lane},
    send::tests::{NOW, database, sender},
    settings::GroupSettings,
    store::ChatView,
};

const GROUP: ChatId = ChatId(-1_001_000_000_001);
const NEWS: ChatId = ChatId(-1_001_000_000_011);
const ANN: i64 = 11;
const BOT: i64 = 7_000_000_001;
const S: i64 = NOW / 1000;

/// Nothing here calls anybody.
struct NoTelegram;

#[async_trait]
impl Transport for NoTelegram {
    async fn post(&self, method: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        panic!("{method} was called");
    }
}

async fn take_in(handler: &Handler, kind: &str, content: Value) {
    static NEXT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(100);
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let update = parse_update(json!({"update_id": id, kind: content}).to_string().as_bytes()).unwrap();
    let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
    handler.handle(&update, &receipt).await.unwrap();
}

fn chat(id: ChatId) -> Value {
    json!({"id": id.0, "type": if id == GROUP { "supergroup" } else { "channel" }, "title": "Chat"})
}

fn user(id: i64) -> Value {
    json!({"id": id, "is_bot": id == BOT, "first_name": "Ann"})
}

/// Somebody's status is another since `ago_s`.
async fn becomes(handler: &Handler, place: ChatId, id: i64, status: &str, ago_s: i64) {
    let old = if status == "left" { "member" } else { "left" };
    let member = |status: &str| {
        let may = id == BOT;
        json!({"user": user(id), "status": status, "can_restrict_members": may, "can_delete_messages": may})
    };
    let event = json!({"chat": chat(place), "from": user(id), "date": S - ago_s,
        "old_chat_member": member(old), "new_chat_member": member(status)});
    take_in(handler, if id == BOT { "my_chat_member" } else { "chat_member" }, event).await;
}

/// A group that requires a channel, which Ann has left an hour ago.
async fn guarded(edit: impl Fn(&mut GroupSettings) + Sync) -> Handler {
    let handler = sender(&database().await, Arc::new(NoTelegram)).handler;
    for place in [GROUP, NEWS] {
        becomes(&handler, place, BOT, "administrator", 90_000).await;
    }
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
    let mut protect = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        set(&mut facts.protected, on);
        facts.settings.change(UpdateId(2), NOW, &edit);
        ChatWrites { facts: Some(facts), links: vec![(NEWS, on)], put: Vec::new() }
    };
    handler.store.with_chat(GROUP, "", NOW, &mut protect).await.unwrap();
    becomes(&handler, GROUP, ANN, "member", 7_200).await;
    becomes(&handler, NEWS, ANN, "left", 3_600).await;
    handler
}

/// How many of each kind there are to do.
async fn to_do(handler: &Handler) -> BTreeMap<String, i64> {
    handler.store.open_intents(i64::MAX).await.unwrap().into_iter().collect()
}

async fn count(handler: &Handler, kind: &str) -> i64 {
    to_do(handler).await.get(kind).copied().unwrap_or_default()
}

fn message(id: i64, extra: Value) -> Value {
    let mut message = json!({"message_id": id, "date": S - 1, "chat": chat(GROUP), "from": user(ANN)});
    message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    message
}

#[tokio::test]
async fn e8_e56_e59_whatever_kind_of_message_it_is_it_goes() {
    let handler = guarded(|_| ()).await;
    let kinds = [
        json!({"text": "hello"}),
        json!({"photo": [], "media_group_id": "1"}),
        json!({"photo": [], "media_group_id": "1"}),
        json!({"text": "a gif", "via_bot": user(BOT)}),
        json!({"poll": {}}),
        json!({"story": {}, "forward_origin": {"type": "hidden_user"}}),
        json!({"checklist": {}}),
        json!({"something_new": {}}),
        json!({"text": "quoting", "external_reply": {}, "quote": {"text": "buy this"}}),
    ];
    let many = kinds.len() as i64;
    for (nth, extra) in (1..).zip(kinds) {
        take_in(&handler, "message", message(nth, extra)).await;
    }
    let to_do = to_do(&handler).await;
    assert_eq!((to_do["delete"], to_do["member"], to_do["prompt"]), (many, 1, 1), "E57: {to_do:?}");
}

#[tokio::test]
async fn of_deletions_the_log_chat_is_told_and_where_there_is_none_nothing_is_written_down() {
    for (log_chat, told) in [(None, 0), (Some(ChatId(-1_001_000_000_099)), 3)] {
        let handler = guarded(|settings| settings.log_chat = log_chat).await;
        for id in 1..=3 {
            take_in(&handler, "message", message(id, json!({"text": "hello"}))).await;
        }
        let lines = handler.store.untold(GROUP, 0, 15).await.unwrap().lines;
        let lines: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.outcome.as_str())).collect();
        assert_eq!(lines, vec![("Ann", "deleted"); told]);
        let entries = handler.store.happened(GROUP, 0).await.unwrap().outcomes;
        assert_eq!(entries.get("deleted").copied().unwrap_or_default(), told as i64);
    }
}

#[tokio::test]
async fn e61_e65_notes_and_what_is_none_of_the_groups_life_are_let_be() {
    let handler = guarded(|_| ()).await;
    let before = to_do(&handler).await;
    for (nth, extra) in (1..).zip([
        json!({"pinned_message": {}}),
        json!({"new_chat_title": "Chat"}),
        json!({"forum_topic_created": {}}),
        json!({"boost_added": {}}),
        json!({"chat_owner_left": {}}),
        json!({"community_chat_joined": {}}),
        json!({"new_chat_members": [user(ANN), user(12)]}),
        json!({"left_chat_member": user(ANN)}),
        json!({"text": "hello", "is_from_offline": true}),
        json!({"text": "hello", "business_connection_id": "1"}),
        json!({"text": "hello", "guest_query_id": "1"}),
    ]) {
        take_in(&handler, "message", message(nth, extra)).await;
        assert_eq!(to_do(&handler).await, before, "{nth}");
    }
    take_in(&handler, "business_message", message(50, json!({"text": "hello"}))).await;
    assert_eq!(to_do(&handler).await, before);
}

#[tokio::test]
async fn e13_e16_notes_about_joins_and_leaves_go_where_the_group_wants_it() {
    let handler = guarded(|settings| settings.clean_service = true).await;
    for (nth, extra) in (1..).zip([
        json!({"new_chat_members": [user(ANN), user(12)]}),
        json!({"left_chat_member": user(ANN)}),
        json!({"pinned_message": {}}),
    ]) {
        take_in(&handler, "message", message(nth, extra)).await;
    }
    assert_eq!(count(&handler, "delete").await, 2);
}

#[tokio::test]
async fn e66_for_what_is_heard_of_too_late_nobody_is_punished() {
    let handler = guarded(|settings| settings.clean_service = true).await;
    for (nth, ago_s, deletions) in [(1, 601, 0), (2, 599, 1)] {
        for (half, extra) in [(0, json!({"text": "hello"})), (1, json!({"left_chat_member": user(12)}))] {
            let mut late = message(nth * 2 + half, extra);
            late["date"] = json!(S - ago_s);
            take_in(&handler, "message", late).await;
        }
        assert_eq!(count(&handler, "delete").await, deletions * 2, "{ago_s} s late");
    }
}

#[tokio::test]
async fn e66_who_wrote_from_outside_long_ago_is_not_muted_for_it_and_who_did_just_now_is() {
    let handler = guarded(|settings| settings.check_edits = true).await;
    becomes(&handler, GROUP, ANN, "left", 7_100).await;
    for (ago_s, acts) in [(3_600, 0), (601, 0), (599, 1)] {
        let mut comment = message(ago_s, json!({"text": "hello", "edit_date": S - ago_s}));
        comment["date"] = json!(S - ago_s);
        let kinds: &[&str] = if acts == 0 { &["message", "edited_message"] } else { &["message"] };
        for kind in kinds {
            take_in(&handler, kind, comment.clone()).await;
        }
        let named = handler.store.prompt_view(GROUP, None, 10).await.unwrap().count;
        assert_eq!((count(&handler, "member").await, named), (acts, acts), "{ago_s} s ago");
    }
}

#[tokio::test]
async fn e66_of_whom_nothing_is_known_is_looked_up_for_what_they_wrote_long_ago() {
    let handler = guarded(|_| ()).await;
    let before = count(&handler, "check").await;
    let mut late = message(1, json!({"text": "hello"}));
    (late["from"], late["date"]) = (user(12), json!(S - 3_600));
    take_in(&handler, "message", late).await;
    let asked = count(&handler, "check").await - before;
    assert_eq!((asked, count(&handler, "delete").await), (2, 0), "in the channel and the group");
}

#[tokio::test]
async fn e66_what_was_held_for_too_long_stays_when_it_turns_out_that_its_writer_was_to_be_muted() {
    let handler = guarded(|_| ()).await;
    const BOB: i64 = 12;
    let mut held = message(1, json!({"text": "hello"}));
    held["from"] = user(BOB);
    for (number, ago_s) in [(1, 599), (2, 300)] {
        held["message_id"] = json!(number);
        held["date"] = json!(S - ago_s);
        take_in(&handler, "message", held.clone()).await;
    }
    assert_eq!(count(&handler, "delete").await, 0, "nobody knows Bob");
    let is_out = |mut person: Person<'_>| {
        for place in [GROUP, NEWS] {
            let standing = if place == GROUP { Standing::Inside } else { Standing::Outside };
            let lookup = Lookup { asked_ms: NOW, standing, limits: Limits::Free };
            person.member(place).lookup = Some(lookup);
        }
        person.finish(GROUP)
    };
    let mut later = handler.clone();
    later.clock = Arc::new(|| NOW + 60_000);
    later.with_person(UserId(BOB), GROUP, None, "", is_out).await.unwrap();
    assert_eq!(count(&handler, "delete").await, 1, "the younger one");
}

#[tokio::test]
async fn what_is_passed_on_or_stands_below_a_photo_is_no_command_and_what_answers_a_note_answers_nobody() {
    let handler = guarded(|_| ()).await;
    let at_home = |extra: Value| {
        let mut message = message(1, extra);
        message["from"] = user(OWNER);
        message
    };
    const OWNER: i64 = 9;
    becomes(&handler, GROUP, OWNER, "administrator", 7_200).await;
    for other in [json!({"text": "/status", "forward_origin": {"type": "hidden_user"}}), json!({"caption": "/status"})]
    {
        take_in(&handler, "message", at_home(other.clone())).await;
        assert_eq!(count(&handler, "command").await, 0, "{other}");
    }
    let created =
        json!({"message_id": 3, "date": S, "chat": chat(GROUP), "from": user(ANN), "forum_topic_created": {}});
    let answers =
        json!({"text": "/allow", "is_topic_message": true, "message_thread_id": 3, "reply_to_message": created});
    take_in(&handler, "message", at_home(answers)).await;
    let claims = handler.store.claim(Lane::Commands, "me", NOW, NOW + 1, 9).await.unwrap();
    let [Claim { intent: Intent::Command(command), .. }] = claims.as_slice() else { panic!("{claims:?}") };
    assert_eq!(command.reply_to, None, "nobody has written that");
}

#[tokio::test]
async fn e58_edits_are_judged_by_when_they_were_made_and_never_those_of_bots() {
    let edit = |id: i64, ago_s: i64, extra: Value| {
        let mut edited = message(id, json!({"text": "buy this", "edit_date": S - ago_s}));
        edited["date"] = json!(S - 80_000);
        edited.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        edited
    };
    let indifferent = guarded(|_| ()).await;
    take_in(&indifferent, "edited_message", edit(1, 5, json!({}))).await;
    assert_eq!(count(&indifferent, "delete").await, 0, "not by default");

    let handler = guarded(|settings| settings.check_edits = true).await;
    for (extra, ago_s, deletions) in [
        (json!({"via_bot": user(BOT)}), 5, 0),
        (json!({"from": user(BOT)}), 5, 0),
        (json!({}), 700, 0),
        (json!({}), 5, 1),
    ] {
        take_in(&handler, "edited_message", edit(2, ago_s, extra.clone())).await;
        assert_eq!(count(&handler, "delete").await, deletions, "{extra} {ago_s} s ago");
    }
    take_in(&handler, "edited_message", edit(3, 5, json!({"text": "/help"}))).await;
    assert_eq!(count(&handler, "command").await, 0, "what was a message then is no command now");
}

#[tokio::test]
async fn e1_e2_e4_e5_what_is_sent_in_the_name_of_a_chat_is_nobodys_and_decided_by_the_chat() {
    let handler = guarded(|_| ()).await;
    let as_chat = |id: i64, sender: ChatId, from: i64, extra: Value| {
        let mut said = message(id, json!({"text": "hello", "sender_chat": chat(sender), "from": user(from)}));
        said.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        said
    };
    let (masked, anonymous) = (UserId::CHANNEL_BOT.0, UserId::GROUP_ANONYMOUS_BOT.0);
    take_in(&handler, "message", as_chat(1, GROUP, anonymous, json!({}))).await;
    assert_eq!(count(&handler, "sender_chat").await, 0, "E2");
    take_in(&handler, "message", as_chat(2, NEWS, masked, json!({}))).await;
    assert_eq!(count(&handler, "sender_chat").await, 1, "nobody knows yet whose channel it is");
    let forward = as_chat(3, NEWS, UserId::TELEGRAM.0, json!({"is_automatic_forward": true}));
    take_in(&handler, "message", forward).await;
    take_in(&handler, "message", as_chat(4, NEWS, masked, json!({}))).await;
    assert_eq!(count(&handler, "sender_chat").await, 1, "E1, E4: the group's own channel has shown itself");
    take_in(&handler, "message", as_chat(5, ChatId(-1_001_000_000_077), masked, json!({}))).await;
    assert_eq!((count(&handler, "sender_chat").await, count(&handler, "delete").await), (2, 0), "E5");
}

#[tokio::test]
async fn who_leaves_the_channel_is_named_by_the_group_that_has_forgotten_the_name() {
    let handler = guarded(|_| ()).await;
    let named = async || handler.store.prompt_view(GROUP, None, 10).await.unwrap().waiting;
    becomes(&handler, NEWS, ANN, "member", 3_000).await;
    assert_eq!(named().await, []);
    becomes(&handler, NEWS, ANN, "left", 2_000).await;
    assert_eq!(named().await, [(UserId(ANN), "Ann".to_owned())]);
}
