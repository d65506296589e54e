//! Ways into a group, and what was imposed on somebody before (E12–E22, E44–E46, E50, E52, E87).

use loadtest::world::{Act, Content, Member, Permissions, Rights, UserId};
use serde_json::json;

use crate::{
    support::{eventually, play::now_ms},
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town, one_of_many},
};

pub(crate) async fn e13_e15_e16_whom_administrators_add_is_trusted_and_whom_others_add_is_not() {
    let town = Town::founded(|spec| spec.announces_joins = spec.id == GROUP).await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    town.set(&[("clean_service", json!(true))]).await;
    town.act(Act::Add { by: OWNER, chat: GROUP, users: vec![ANN, BOB] });
    town.has_heard().await;
    town.say(BOB, GROUP, "hello");
    let added = [0, 1].map(one_of_many);
    town.act(Act::Add { by: BOB, chat: GROUP, users: added.to_vec() });
    for user in added {
        town.is_muted(user).await;
    }
    let named = |text: String| ["Comer 0", "Comer 1"].iter().all(|name| text.contains(name)) && !text.contains("Bob");
    eventually("each is named, and not who has added them", async || town.prompt(None).is_some_and(named)).await;
    eventually("no note stands", async || town.standing(GROUP, BOB) == 1 && town.standing(GROUP, OWNER) == 1).await;
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 2, "Ann and Bob may write");

    town.act(Act::Leave { user: ANN, chat: GROUP });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    town.set(&[("trust_added", json!(false))]).await;
    town.act(Act::Add { by: OWNER, chat: GROUP, users: vec![one_of_many(2)] });
    town.is_muted(one_of_many(2)).await;
    town.end().await;
}

pub(crate) async fn e45_what_an_administrator_had_taken_is_covered_by_our_mute_and_stands_after_it() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.act(Act::Join { user: ANN, chat: GROUP });
    let text_only =
        Act::AdminRestrict { admin: OWNER, chat: GROUP, user: ANN, permissions: Permissions::TEXT, for_s: 3_600 };
    town.act(text_only);
    let imposed = town.member(GROUP, ANN);
    town.act(Act::Leave { user: ANN, chat: NEWS });
    town.is_muted(ANN).await;
    eventually("she is told why", async || town.prompts() == 1).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("she may write text again", async || town.member(GROUP, ANN) == imposed).await;
    town.has_heard().await;
    assert_eq!(town.member(GROUP, ANN), imposed, "E44: the rest is not ours to lift");
    town.end().await;
}

pub(crate) async fn e44_who_is_given_a_voice_within_our_mute_has_it_until_they_leave_and_anything_else_leaves_it_ours()
{
    let town = Town::protected("@news").await;
    let amend = |user, permissions| town.act(Act::AdminAmend { admin: OWNER, chat: GROUP, user, permissions });
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
        town.is_muted(user).await;
    }
    amend(ANN, Permissions::TEXT);
    // To invite others says nothing.
    amend(BOB, serde_json::from_value(json!(1 << 11)).unwrap());
    let amended = [ANN, BOB].map(|user| town.member(GROUP, user));
    town.has_heard().await;
    eventually("Ann does not wait any more", async || town.prompt(None).is_some_and(|text| !text.contains("Ann")))
        .await;
    assert_eq!([ANN, BOB].map(|user| town.member(GROUP, user)), amended);
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 2, "neither is put back over and over");
    town.act(Act::Join { user: BOB, chat: NEWS });
    eventually("Bob is free", async || town.member(GROUP, BOB) == Member::Member).await;
    town.act(Act::Leave { user: ANN, chat: GROUP });
    town.act(Act::Join { user: ANN, chat: GROUP });
    let says_nothing = |member| matches!(member, Member::Restricted { permissions: Permissions::NONE, .. });
    eventually("she is muted anew", async || says_nothing(town.member(GROUP, ANN))).await;
    town.end().await;
}

pub(crate) async fn e48_who_was_left_pictures_but_no_text_has_that_again_and_no_more() {
    let town = Town::protected("@news").await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: ANN, chat });
    }
    // Photos and stickers: sent as broad flags, either would give text back as well.
    let permissions: Permissions = serde_json::from_value(json!(1 << 3 | 1 << 8)).unwrap();
    town.act(Act::AdminRestrict { admin: OWNER, chat: GROUP, user: ANN, permissions, for_s: 3_600 });
    let imposed = town.member(GROUP, ANN);
    assert!(imposed.is_muted(), "no text");
    town.act(Act::Leave { user: ANN, chat: NEWS });
    let is_mute = |member| matches!(member, Member::Restricted { permissions: Permissions::NONE, .. });
    eventually("nothing is left to her", async || is_mute(town.member(GROUP, ANN))).await;
    eventually("she is told why", async || town.prompts() == 1).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("she has something again", async || !is_mute(town.member(GROUP, ANN))).await;
    town.has_heard().await;
    assert_eq!(town.member(GROUP, ANN), imposed, "each permission by itself");
    town.end().await;
}

pub(crate) async fn e45_what_an_administrator_had_taken_for_a_time_that_is_over_is_lifted() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    // They restrict her otherwise, which leaves her as mute as before, for some seconds.
    town.act(Act::AdminMute { admin: OWNER, chat: GROUP, user: ANN, for_s: 3 });
    let over_ms = now_ms() + 4_000;
    eventually("it is over, and ours follows", async || now_ms() > over_ms && town.member(GROUP, ANN).is_muted()).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    town.end().await;
}

pub(crate) async fn e46_e50_who_is_freed_may_do_no_more_than_everybody() {
    let town = Town::protected("@news").await;
    let permissions = Permissions::NONE;
    town.act(Act::SetPermissions { admin: OWNER, chat: GROUP, permissions });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann is an exception no more", async || town.member(GROUP, ANN) == Member::Member).await;
    let content = Content::Text("at night".to_owned());
    assert!(town.telegram.act(Act::Write { user: ANN, chat: GROUP, content, thread: None }).is_err());
    town.end().await;
}

pub(crate) async fn e50_at_night_nobody_counts_as_muted_for_it_and_in_the_morning_all_may_what_they_might() {
    let town = Town::protected("@news").await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: BOB, chat });
    }
    town.has_heard().await;
    let before = town.deeds(GROUP);
    let writes = |user: UserId| {
        let content = Content::Text("hello".to_owned());
        town.telegram.act(Act::Write { user, chat: GROUP, content, thread: None }).is_ok()
    };
    town.act(Act::SetPermissions { admin: OWNER, chat: GROUP, permissions: Permissions::NONE });
    assert!(!writes(BOB), "it is night");
    // He is looked up, and cannot write: that is no mute, ours or anybody's, and he waits for nothing.
    town.say(BOB, BOB.private_chat(), "/verify");
    eventually("he is answered", async || town.said(BOB.private_chat(), "") == 1).await;
    town.has_heard().await;
    assert_eq!((town.deeds(GROUP), town.logged(BOB, "muted").await), (before, 0));
    // What is imposed at night is ours, and lifted at night it leaves him what everybody has.
    town.act(Act::Leave { user: BOB, chat: NEWS });
    town.is_muted(BOB).await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    eventually("Bob is no exception", async || town.member(GROUP, BOB) == Member::Member).await;
    assert!(!writes(BOB), "it is night still");
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;

    town.act(Act::SetPermissions { admin: OWNER, chat: GROUP, permissions: Permissions::ALL });
    town.has_heard().await;
    assert!(writes(BOB) && !writes(ANN), "the morning frees nobody who has to join");
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    assert!(writes(ANN));
    town.end().await;
}

pub(crate) async fn e12_e52_a_mute_outlasts_leaving_and_is_lifted_also_outside() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    town.has_heard().await;
    let before = town.deeds(GROUP).len();
    // Out and in again, still muted: nothing is to be done, and that she waits is known again.
    town.act(Act::Leave { user: ANN, chat: GROUP });
    eventually("nobody waits", async || town.prompts() == 0).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.has_heard().await;
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @news");
    town.act(Act::Leave { user: ANN, chat: GROUP });
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("she is freed outside", async || town.member(GROUP, ANN) == Member::Left).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.has_heard().await;
    assert_eq!(town.member(GROUP, ANN), Member::Member);
    let restricted = town.deeds(GROUP).split_off(before);
    assert_eq!(restricted.iter().filter(|call| call.starts_with("restrict")).count(), 1, "{restricted:?}");
    town.end().await;
}

pub(crate) async fn e19_e87_who_becomes_an_administrator_waits_no_more_and_is_bound_again_when_it_is_over() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
    }
    town.is_muted(ANN).await;
    eventually("she waits", async || town.prompts() == 1).await;
    for user in [ANN, BOB] {
        town.act(Act::Promote { admin: OWNER, chat: GROUP, user, rights: Rights::default() });
    }
    eventually("nobody waits", async || town.prompts() == 0).await;
    let before = town.deeds(GROUP).len();
    for user in [ANN, BOB] {
        town.say(user, GROUP, "hello");
    }
    town.has_heard().await;
    assert_eq!(town.deeds(GROUP).split_off(before), [""; 0], "a promotion is no join");
    for user in [ANN, BOB] {
        town.act(Act::Demote { admin: OWNER, chat: GROUP, user });
    }
    town.is_muted(ANN).await;
    town.has_heard().await;
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 2, "Ann, when she came and now");
    assert_eq!((town.standing(GROUP, ANN), town.member(GROUP, BOB)), (1, Member::Member));
    town.end().await;
}

pub(crate) async fn e21_e22_joins_and_messages_in_any_order_and_joins_that_flicker_end_the_same() {
    const EARLY: UserId = one_of_many(0);
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.members.push((EARLY, Member::Member));
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    // The message is told before the join that came first.
    let joined_s = town.telegram.now_ms() / 1000;
    town.say(EARLY, GROUP, "hello");
    town.is_muted(EARLY).await;
    let early = json!({"id": EARLY, "is_bot": false, "first_name": "Comer 0"});
    town.told(json!({"update_id": 200_000_000, "chat_member": {"from": early, "date": joined_s,
        "chat": {"id": GROUP, "type": "supergroup", "title": "Group"},
        "old_chat_member": {"status": "left", "user": early},
        "new_chat_member": {"status": "member", "user": early}}}))
        .await;
    town.has_heard().await;
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 1, "it changes nothing");

    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
        town.act(Act::Leave { user, chat: GROUP });
    }
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    let waits = |text: String| text.contains("Ann") && text.contains("Comer 0") && !text.contains("Bob");
    eventually("who is there is named", async || town.prompt(None).is_some_and(waits)).await;
    town.has_heard().await;
    assert_eq!((town.prompts_ever(), town.standing(GROUP, EARLY)), (1, 0));
    town.end().await;
}
