//! Presses of the standing prompt (E69, E73, E44).

use loadtest::world::{Act, Member, Permissions};
use serde_json::json;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town},
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
