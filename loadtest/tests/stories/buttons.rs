//! Presses of the standing prompt (E69, E73, E44).

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, Happened, Member, Message, MessageId, Permissions, Pressed, Rights, UserId, World},
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

pub(crate) async fn e69_a_press_that_telegram_has_forgotten_is_answered_once_in_vain_and_counts_all_the_same() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("she is asked to join", async || town.prompts() == 1).await;
    let (message, data) = town.telegram.world(|world| {
        let prompt = world.button_messages(GROUP).next_back().unwrap();
        (prompt.id, prompt.callback_data().unwrap().to_owned())
    });
    let looked_up = town.lookups(ANN);
    let from = json!({"id": ANN, "is_bot": false, "first_name": "Ann"});
    let chat = json!({"id": GROUP, "type": "supergroup", "title": "Group"});
    town.told(json!({"update_id": 900_000_400, "callback_query": {"id": "17", "from": from, "chat_instance": "1",
        "message": {"message_id": message, "date": 0, "chat": chat}, "data": data}}))
        .await;
    let answers = || {
        let mut calls = town.telegram.calls();
        calls.retain(|call| call.method.eq_ignore_ascii_case("answerCallbackQuery"));
        calls.iter().map(|call| call.status).collect::<Vec<_>>()
    };
    eventually("it is answered", async || answers() == [400]).await;
    assert!(town.lookups(ANN) > looked_up, "she was looked up for it");
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @news");
    assert_eq!(answers(), [400, 200], "it is not tried again");
    town.end().await;
}

pub(crate) async fn e69_a_press_is_answered_within_seconds_though_lookups_take_much_longer() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    eventually("she is asked to join", async || town.prompts() == 1).await;
    let kind = FaultKind::Delay(Duration::from_secs(30));
    town.telegram.inject(Fault { method: Some("getChatMember"), chat: Some(NEWS), every: 1, times: 1_000, kind });
    let looked_up = town.lookups_in(NEWS, ANN);
    let answer = timeout(Duration::from_secs(10), town.press(ANN, "I have joined")).await;
    // What was known before she pressed is not what she asks for.
    assert_eq!(
        answer.expect("she waits for Telegram"),
        "This cannot be checked right now. Please try again in a minute."
    );
    assert!(town.lookups_in(NEWS, ANN) > looked_up, "it was asked");
    assert!(town.member(GROUP, ANN).is_muted(), "unknown frees nobody");
    town.end().await;
}

/// What the earlier Nezuko did: any mute was lifted by a press.
pub(crate) async fn e44_a_press_lifts_no_mute_that_an_administrator_has_imposed() {
    let town = Town::protected("@news").await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: BOB, chat });
    }
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann is asked to join", async || town.prompts() == 1).await;
    town.act(Act::AdminMute { admin: OWNER, chat: GROUP, user: BOB, for_s: 0 });
    let imposed = Member::Restricted { is_member: true, until: 0, permissions: Permissions::NONE };
    town.has_heard().await;
    let before = town.calls("restrictChatMember", GROUP).len();
    let refused = "An administrator of this group has restricted you; only they can lift that.";
    assert_eq!(town.press(BOB, "I have joined").await, refused);
    for chat in [NEWS, GROUP] {
        town.act(Act::Leave { user: BOB, chat });
        town.act(Act::Join { user: BOB, chat });
    }
    assert_eq!(town.press(BOB, "I have joined").await, refused);
    town.has_heard().await;
    assert_eq!((town.member(GROUP, BOB), town.calls("restrictChatMember", GROUP).len()), (imposed, before));
    town.end().await;
}

pub(crate) async fn e67_a_prompt_acts_for_who_presses_and_what_is_for_one_person_does_nothing_for_others() {
    const ASKER: UserId = one_of_many(0);
    let town = Town::founded(|spec| spec.open_to_outsiders = spec.id == GROUP).await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    town.say(OWNER, GROUP, "/settings log_chat @talks");
    town.says(GROUP, "log_chat is now: ").await;
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
        town.is_muted(user).await;
    }
    let both = |text: String| text.contains("Ann") && text.contains("Bob");
    eventually("both are named", async || town.prompt(None).is_some_and(both)).await;
    // Ann has joined, and Telegram has not told: whoever looks finds that out.
    town.act_untold(Act::Join { user: ANN, chat: NEWS });
    town.has_heard().await;
    let asked = town.lookups_in(NEWS, ANN);
    assert_eq!(town.press(BOB, "I have joined").await, "You have not joined yet: @news");
    town.has_heard().await;
    assert_eq!(town.lookups_in(NEWS, ANN), asked, "he presses for himself");
    assert!(town.member(GROUP, ANN).is_muted() && town.member(GROUP, BOB).is_muted());
    town.press(ANN, "I have joined").await;
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    assert!(town.member(GROUP, BOB).is_muted(), "she pressed for herself");

    // A request to be let in: what stands on the button of one does nothing in the chat of another.
    town.act(Act::AskToJoin { user: ASKER, chat: GROUP });
    town.says(ASKER.private_chat(), "You asked").await;
    let data = town.telegram.world(|world| {
        let asked = world.button_messages(ASKER.private_chat()).next_back().unwrap();
        asked.callback_data().unwrap().to_owned()
    });
    assert!(data.len() <= 64);
    town.act_untold(Act::Join { user: ASKER, chat: NEWS });
    town.say(BOB, BOB.private_chat(), "/start");
    town.says(BOB.private_chat(), "channels").await;
    let answers = || {
        let answered = |what: &Happened| match what {
            Happened::Answered { text, .. } => Some(text.clone()),
            _ => None,
        };
        let all = |world: &mut World| world.history().iter().filter_map(|entry| answered(&entry.what)).collect();
        town.telegram.world(all)
    };
    let before: Vec<String> = answers();
    for chat in [BOB.private_chat(), GROUP] {
        let (message, button) = (MessageId(1), Pressed::Forged(data.clone()));
        town.act(Act::PressButton { user: BOB, chat, message, button });
    }
    eventually("both are answered", async || answers().len() == before.len() + 2).await;
    town.has_heard().await;
    assert_eq!(answers().split_off(before.len()), ["This button does nothing any more."; 2]);
    assert!(town.telegram.world(|world| world.waits_to_be_let_in(GROUP, ASKER)), "nothing is done for the asker");
    assert!(town.calls("approveChatJoinRequest", GROUP).is_empty() && town.lookups_in(NEWS, ASKER) <= 1);
    town.press_in(ASKER.private_chat(), ASKER, "I have joined").await;
    eventually("the asker is in", async || town.member(GROUP, ASKER) == Member::Member).await;

    // A link of one's own: for nobody else it checks anybody.
    let outside = one_of_many(1);
    town.say(outside, GROUP, "/verify");
    let mut payload = String::new();
    eventually("they are given a link", async || {
        let of = |message: &Message| {
            message.links().find_map(|link| Some(link.split_once("?start=")?.1.to_owned())).unwrap_or_default()
        };
        let found = |world: &mut World| {
            let chat = world.chat(GROUP).unwrap();
            chat.messages().map(of).find(|payload| !payload.is_empty()).unwrap_or_default()
        };
        payload = town.telegram.world(found);
        !payload.is_empty()
    })
    .await;
    town.has_heard().await;
    let asked = town.lookups(outside);
    town.say(BOB, BOB.private_chat(), &format!("/start {payload}"));
    town.says(BOB.private_chat(), "This link is not for you").await;
    assert_eq!(town.lookups(outside), asked);
    town.say(outside, outside.private_chat(), &format!("/start {payload}"));
    town.says(outside.private_chat(), "You have not joined yet: @news").await;

    // What a button was made for has its time.
    town.say(OWNER, GROUP, "/settings");
    town.says(GROUP, "Settings of Group").await;
    assert!(town.change_rows("UPDATE buttons SET expires_ms = 1").await > 0);
    assert_eq!(town.press(OWNER, "Look at edits: no").await, "This button does nothing any more.");
    town.say(OWNER, GROUP, "/settings check_edits");
    town.says(GROUP, "check_edits: no").await;

    // The log: who sees it and does not run the group changes nothing there.
    town.act(Act::Join { user: BOB, chat: TALKS });
    town.says(TALKS, "Bob: muted").await;
    let refused = "Only administrators of this group";
    for label in ["Free", "Exempt", "Ban"] {
        let answer = town.press_in(TALKS, BOB, label).await;
        assert!(answer.starts_with(refused), "{label}: {answer}");
    }
    town.has_heard().await;
    assert!(town.member(GROUP, BOB).is_muted());
    assert_eq!([ANN, ASKER].map(|user| town.member(GROUP, user)), [Member::Member; 2]);
    town.end().await;
}

pub(crate) async fn e73_whom_the_bot_has_never_seen_in_the_group_is_told_by_a_press_how_they_stand_there() {
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.members.extend([(ANN, Member::Member), (BOB, Member::Administrator(Rights::FULL))]);
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    town.act(Act::Join { user: one_of_many(0), chat: GROUP });
    eventually("somebody is asked to join", async || town.prompts() == 1).await;
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @news");
    assert_eq!(town.press(BOB, "I have joined").await, "You can already write here.");
    town.is_muted(ANN).await;
    town.end().await;
}
