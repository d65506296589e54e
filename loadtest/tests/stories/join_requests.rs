//! Requests to be let into a protected group (E17, E23–E27).

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, ChatKind, ChatSpec, Member, Person, Rights, UserId, World},
};
use serde_json::json;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town},
};

async fn is_in(town: &Town) {
    eventually("Ann is in", async || town.member(GROUP, ANN) == Member::Member).await;
}

pub(crate) async fn who_asks_is_told_what_to_join_and_let_in_when_they_have() {
    let town = Town::protected("@news @talks").await;
    town.act(Act::Join { user: ANN, chat: TALKS });
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    // She has never spoken to the bot (E23).
    town.says(ANN.private_chat(), "You asked to join Group. Please join @news first").await;
    assert!(town.calls("approveChatJoinRequest", GROUP).is_empty());

    town.act(Act::Join { user: ANN, chat: NEWS });
    is_in(&town).await;
    // E17: whom we have let in is not challenged.
    town.say(ANN, GROUP, "hello");
    town.has_heard().await;
    assert!(town.calls("restrictChatMember", GROUP).is_empty());
    assert_eq!(town.said(ANN.private_chat(), "You asked"), 1);
    town.end().await;
}

pub(crate) async fn who_asks_may_press_or_ask_again_in_private_and_is_told_what_is_missing() {
    let town = Town::protected("@news @talks").await;
    let alone = ANN.private_chat();
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    assert_eq!(town.press_in(alone, ANN, "I have joined").await, "You have not joined yet: @talks, @news");
    town.has_heard().await;
    town.act(Act::Join { user: ANN, chat: TALKS });
    assert_eq!(town.press_in(alone, ANN, "I have joined").await, "You have not joined yet: @news");
    town.say(ANN, alone, "/verify");
    town.says(alone, "Group: You have not joined yet: @news").await;

    // She may not be let in by the bot any more.
    let rights = Rights { can_invite_users: false, ..Rights::FULL };
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights });
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.has_heard().await;
    let left = "Whether you are let in is for the administrators to decide.";
    assert_eq!(town.press_in(alone, ANN, "I have joined").await, left);
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL });
    is_in(&town).await;
    assert_eq!(town.press_in(alone, ANN, "I have joined").await, "You can already write here.");
    town.say(ANN, alone, "/verify");
    town.says(alone, "You are waiting in no group that I know of.").await;
    assert_eq!(town.calls("approveChatJoinRequest", GROUP).len(), 1);
    town.end().await;
}

pub(crate) async fn e80_a_group_is_called_what_it_is_called_now() {
    let town = Town::protected("@news").await;
    town.act(Act::Rename { admin: OWNER, chat: GROUP, title: "Tea & <talk>".to_owned(), username: None });
    town.has_heard().await;
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    town.says(ANN.private_chat(), "You asked to join Tea & <talk>. Please join @news first").await;
    town.end().await;
}

pub(crate) async fn who_is_in_the_channels_is_let_in_at_once_though_telegram_fails_at_first() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    let method = Some("approveChatJoinRequest");
    town.telegram.inject(Fault { method, chat: Some(GROUP), every: 1, times: 2, kind: FaultKind::AnswerLost });
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    is_in(&town).await;
    town.has_heard().await;
    assert_eq!(town.said(ANN.private_chat(), ""), 0, "she needs no message");
    town.end().await;
}

pub(crate) async fn without_the_right_or_the_rule_requests_are_left_to_the_administrators() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "No longer protected").await;
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    town.act(Act::AskToJoin { user: BOB, chat: GROUP });
    town.has_heard().await;
    // It comes into force, and what was asked before is answered.
    town.say(OWNER, GROUP, "/protect @news");
    is_in(&town).await;
    town.says(BOB.private_chat(), "Please join @news").await;

    let rights = Rights { can_invite_users: false, ..Rights::FULL };
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights });
    town.act(Act::Join { user: BOB, chat: NEWS });
    town.has_heard().await;
    assert!(town.telegram.world(|world| world.waits_to_be_let_in(GROUP, BOB)));
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL });
    eventually("Bob is in", async || town.member(GROUP, BOB) == Member::Member).await;
    town.end().await;
}

pub(crate) async fn an_administrator_may_be_quicker_and_who_shuts_the_bot_out_is_left_to_them() {
    let town = Town::protected("@news").await;
    town.say(BOB, BOB.private_chat(), "/start");
    town.says(BOB.private_chat(), "channels").await;
    town.act(Act::Block { user: BOB });
    town.act(Act::AskToJoin { user: BOB, chat: GROUP });
    eventually("Bob cannot be told", async || {
        town.calls("sendMessage", BOB.private_chat()).iter().any(|call| call.status == 403)
    })
    .await;
    town.act(Act::AskToJoin { user: ANN, chat: GROUP });
    town.says(ANN.private_chat(), "You asked").await;
    town.act(Act::AnswerRequest { admin: OWNER, chat: GROUP, user: ANN, granted: true });
    // She is in without having joined the channel, and E15 does not apply: she was let in, not added.
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    assert!(town.calls("approveChatJoinRequest", GROUP).is_empty());
    assert!(town.telegram.world(|world| world.waits_to_be_let_in(GROUP, BOB)), "E24");
    town.end().await;
}

pub(crate) async fn e25_a_request_that_somebody_else_has_answered_is_over_whatever_telegram_says_of_it() {
    let town = Town::protected("@news").await;
    let statuses = || town.calls("approveChatJoinRequest", GROUP).iter().map(|call| call.status).collect::<Vec<_>>();
    for (user, granted) in [(ANN, true), (BOB, false)] {
        town.act(Act::Join { user, chat: NEWS });
        town.has_heard().await;
        let before = statuses().len();
        // An administrator is quicker than the second try, and Telegram does not tell of it.
        let (method, kind) = (Some("approveChatJoinRequest"), FaultKind::Page(502));
        town.telegram.inject(Fault { method, chat: Some(GROUP), every: 1, times: 1, kind });
        town.act(Act::AskToJoin { user, chat: GROUP });
        eventually("it is tried", async || statuses().len() > before).await;
        town.act_untold(Act::AnswerRequest { admin: OWNER, chat: GROUP, user, granted });
        eventually("it is tried again", async || statuses().len() > before + 1).await;
        town.has_heard().await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(statuses().split_off(before), [502, 400], "what is over is tried again");
        assert_eq!(town.logged(user, "admitted").await, 0, "it was not the bot");
    }
    // USER_ALREADY_PARTICIPANT: she is in, and nothing else is to be done.
    town.say(ANN, GROUP, "hello");
    town.has_heard().await;
    assert_eq!((town.member(GROUP, ANN), town.standing(GROUP, ANN)), (Member::Member, 1));
    // HIDE_REQUESTER_MISSING: he is out, and his next request is another one.
    assert_eq!(town.member(GROUP, BOB), Member::Left);
    town.act(Act::AskToJoin { user: BOB, chat: GROUP });
    eventually("Bob is in", async || town.member(GROUP, BOB) == Member::Member).await;
    eventually("it was the bot", async || town.logged(BOB, "admitted").await == 1).await;
    assert_eq!(town.said(BOB.private_chat(), ""), 0, "he needs no message");
    assert!(town.calls("declineChatJoinRequest", GROUP).is_empty());
    town.end().await;
}

#[test]
fn telegram_answers_about_requests_in_its_own_words() {
    const BOT: UserId = UserId(7_000_000_001);
    let mut world = World::new(World::bot_account(BOT, "nezuko_test_bot"));
    world.add_person(Person::named(ANN, "Ann"));
    let mut spec = ChatSpec::new(GROUP, ChatKind::Supergroup, "Group");
    spec.members = vec![(OWNER, Member::Creator { is_anonymous: false })];
    world.add_person(Person::named(OWNER, "Olga"));
    world.add_chat(0, spec);
    let promote = |rights| Act::Promote { admin: OWNER, chat: GROUP, user: BOT, rights };
    world.act(0, promote(Rights { can_invite_users: false, ..Rights::FULL })).unwrap();
    world.act(0, Act::AskToJoin { user: ANN, chat: GROUP }).unwrap();
    assert!(world.act(0, Act::AskToJoin { user: ANN, chat: GROUP }).is_err(), "she has asked");
    let approve = |world: &mut World, now_ms| {
        let answer = world.call(now_ms, "approveChatJoinRequest", &json!({"chat_id": GROUP, "user_id": ANN}));
        (answer.status, answer.body["description"].as_str().unwrap_or_default().to_owned())
    };
    let rights = "Bad Request: not enough rights to manage chat join requests in the chat".to_owned();
    assert_eq!(approve(&mut world, 0), (400, rights));
    let write =
        |world: &mut World, now_ms| world.call(now_ms, "sendMessage", &json!({"chat_id": ANN, "text": "hello"})).status;
    assert_eq!(write(&mut world, 0), 403, "the bot was not told of her");

    world.act(0, promote(Rights::FULL)).unwrap();
    world.act(0, Act::AnswerRequest { admin: OWNER, chat: GROUP, user: ANN, granted: false }).unwrap();
    assert_eq!(approve(&mut world, 0), (400, "Bad Request: HIDE_REQUESTER_MISSING".to_owned()));
    world.act(0, Act::AskToJoin { user: ANN, chat: GROUP }).unwrap();
    assert_eq!((write(&mut world, 299_999), write(&mut world, 300_000)), (200, 403), "for five minutes");
    world.take_updates();
    assert_eq!(approve(&mut world, 300_001).0, 200);
    let updates = world.take_updates();
    assert!(
        updates.iter().any(|update| update.kind == "chat_member" && update.body.contains("\"via_join_request\":true"))
    );
    assert_eq!(approve(&mut world, 300_002), (400, "Bad Request: USER_ALREADY_PARTICIPANT".to_owned()));
}
