//! What seldom happens and is told to the bot all the same: nobody is muted wrongly for it, and nothing is tried for ever.

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, ChatId, ChatKind, Content, Member, Person, Rights, UserId},
};
use serde_json::json;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town, one_of_many},
};

pub(crate) async fn e6_e20_what_is_from_nobody_or_about_a_channel_is_taken_in_and_changes_nothing() {
    let town = Town::protected("@news").await;
    let before = town.telegram.calls().len();
    let chat = json!({"id": GROUP, "type": "supergroup", "title": "Group"});
    let channel = json!({"id": 136_817_688, "is_bot": true, "first_name": "Channel", "username": "Channel_Bot"});
    let date = town.telegram.now_ms() / 1000;
    town.told(json!({"update_id": 900_000_001, "message":
        {"message_id": 900_001, "date": date, "chat": chat, "text": "from nobody"}}))
        .await;
    town.told(json!({"update_id": 900_000_002, "chat_member": {"chat": chat, "from": channel, "date": date,
        "old_chat_member": {"status": "left", "user": channel},
        "new_chat_member": {"status": "member", "user": channel}}}))
        .await;
    town.has_heard().await;
    let about_group = town.telegram.calls().split_off(before).into_iter().filter(|call| call.chat == Some(GROUP));
    assert_eq!(about_group.map(|call| call.method).collect::<Vec<_>>(), [""; 0]);
    town.end().await;
}

pub(crate) async fn e9_an_account_without_a_name_is_muted_and_freed_like_any_other() {
    let town = Town::protected("@news").await;
    let nameless = UserId(77);
    town.telegram.world(|world| world.add_person(Person::named(nameless, "")));
    town.act(Act::Join { user: nameless, chat: GROUP });
    eventually("they are muted", async || town.member(GROUP, nameless).is_muted()).await;
    eventually("the prompt has a word for them", async || {
        town.prompt(None).is_some_and(|text| text.contains("someone"))
    })
    .await;
    town.act(Act::Join { user: nameless, chat: NEWS });
    eventually("they are freed", async || !town.member(GROUP, nameless).is_muted()).await;
    town.end().await;
}

pub(crate) async fn e18_e38_whatever_brings_people_in_or_takes_them_out_counts() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.act(Act::Join { user: ANN, chat: GROUP });
    // Telegram tells the link that somebody came by.
    let (date, chat) = (town.telegram.now_ms() / 1000, json!({"id": GROUP, "type": "supergroup", "title": "Group"}));
    let bob = json!({"id": BOB, "is_bot": false, "first_name": "Bob"});
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.told(json!({"update_id": 900_000_003, "chat_member": {"chat": chat, "from": bob, "date": date,
        "via_chat_folder_invite_link": true,
        "invite_link": {"invite_link": "https://t.me/+folder", "creator": bob, "creates_join_request": false,
            "is_primary": false, "is_revoked": false},
        "old_chat_member": {"status": "left", "user": bob}, "new_chat_member": {"status": "member", "user": bob}}}))
        .await;
    eventually("Bob is muted", async || town.member(GROUP, BOB).is_muted()).await;
    assert!(!town.member(GROUP, ANN).is_muted());
    // What she has paid for is over: Telegram has her leave.
    town.act(Act::Leave { user: ANN, chat: NEWS });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

pub(crate) async fn e41_a_basic_group_is_told_to_become_a_supergroup() {
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.kind = ChatKind::Group;
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Make this group a supergroup first").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.has_heard().await;
    assert!(town.calls("restrictChatMember", GROUP).is_empty());
    town.end().await;
}

pub(crate) async fn e54_e81_what_another_has_deleted_is_gone_and_the_writer_is_muted() {
    let town = Town::protected("@news").await;
    // Slow enough for another bot to be quicker.
    let slow = FaultKind::Page(502);
    town.telegram.inject(Fault { method: Some("deleteMessage"), chat: Some(GROUP), every: 1, times: 1, kind: slow });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.say(ANN, GROUP, "an advert");
    let message = town.telegram.world(|world| {
        let mut messages = world.chat(GROUP).unwrap().messages();
        messages.rfind(|message| message.from == ANN).map(|message| message.id)
    });
    // Where the bot was quicker after all, there is nothing left to delete.
    town.telegram.act(Act::DeleteMessage { admin: OWNER, chat: GROUP, message }).ok();
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.has_heard().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tried = town.calls("deleteMessage", GROUP).len() + town.calls("deleteMessages", GROUP).len();
    assert!((1..=3).contains(&tried), "tried {tried} times");
    assert_eq!(town.standing(GROUP, ANN), 0);
    town.end().await;
}

pub(crate) async fn e80_who_has_set_the_group_up_may_go_and_titles_follow() {
    let town = Town::new().await;
    for chat in [GROUP, NEWS] {
        town.act(Act::Promote { admin: OWNER, chat, user: BOB, rights: Rights::FULL });
    }
    town.say(BOB, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    for chat in [GROUP, NEWS] {
        town.act(Act::Leave { user: BOB, chat });
    }
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "Tidings".to_owned(), username: Some("news".to_owned()) });
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.say(OWNER, GROUP, "/status");
    town.says(GROUP, "This group is protected").await;
    town.end().await;
}

pub(crate) async fn e83_who_was_an_administrator_a_moment_ago_is_none() {
    let town = Town::protected("@news").await;
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: BOB, rights: Rights::FULL });
    town.say(BOB, GROUP, "/status");
    eventually("Bob is answered", async || !town.calls("getChatMember", GROUP).is_empty()).await;
    town.act(Act::Demote { admin: OWNER, chat: GROUP, user: BOB });
    town.act(Act::Write { user: BOB, chat: GROUP, content: Content::Text("/unprotect".to_owned()), thread: None });
    town.says(GROUP, "Only administrators of this group").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("the rule goes on", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

/// Telegram refuses so many calls about a chat in these words.
fn refuse(town: &Town, method: &'static str, chat: ChatId, times: u32, words: &'static str) {
    let kind = FaultKind::Refused(words);
    town.telegram.inject(Fault { method: Some(method), chat: Some(chat), every: 1, times, kind });
}

pub(crate) async fn e31_whom_telegram_does_not_know_has_not_joined_where_the_bot_administrates_and_is_unknown_elsewhere()
 {
    const NOBODY: UserId = UserId(555);
    let town = Town::protected("@news").await;
    for (nth, words) in (0..).zip(["user not found", "PARTICIPANT_ID_INVALID", "USER_ID_INVALID"]) {
        let user = one_of_many(nth);
        // They are in the channel, and have been before the bot.
        town.telegram.world(|world| {
            world.act(0, Act::Join { user, chat: NEWS }).unwrap();
            world.take_updates();
        });
        refuse(&town, "getChatMember", NEWS, 1, words);
        town.act(Act::Join { user, chat: GROUP });
        town.is_muted(user).await;
        eventually("they are asked to join", async || town.prompts() == 1).await;
        // It is not believed for long: whoever presses is looked up anew.
        town.press(user, "I have joined").await;
        eventually("they are free", async || town.member(GROUP, user) == Member::Member).await;
        eventually("nobody waits", async || town.prompts() == 0).await;
    }
    // Whom Telegram does not know at all it cannot mute either: what they wrote goes, and they are not asked for without end.
    let stranger = |number: i64| {
        let (date, chat) =
            (town.telegram.now_ms() / 1000, json!({"id": GROUP, "type": "supergroup", "title": "Group"}));
        let from = json!({"id": NOBODY, "is_bot": false, "first_name": "Nobody"});
        json!({"update_id": number, "message":
            {"message_id": number, "date": date, "chat": chat, "from": from, "text": "an advert"}})
    };
    let deletions = || town.calls("deleteMessage", GROUP).len() + town.calls("deleteMessages", GROUP).len();
    let (before, known) = (deletions(), town.calls("getChatMember", NEWS).len());
    for nth in 0..2 {
        town.told(stranger(900_000_004 + nth)).await;
        eventually("the message is to go", async || deletions() > before + nth as usize).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = town.calls("getChatMember", NEWS).len() - known;
    assert!((1..=4).contains(&asked), "asked {asked} times");

    town.act(Act::Demote { admin: OWNER, chat: NEWS, user: town.bot });
    town.says(GROUP, "in @news I need to be an administrator").await;
    let (before, known) = (deletions(), town.calls("getChatMember", NEWS).len());
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.say(BOB, GROUP, "hello");
    town.has_heard().await;
    assert_eq!((town.standing(GROUP, BOB), town.member(GROUP, BOB)), (1, Member::Member), "unknown never punishes");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = town.calls("getChatMember", NEWS).len() - known;
    assert!(deletions() == before && asked <= 2, "asked {asked} times");
    town.end().await;
}

pub(crate) async fn e51_what_a_group_does_not_let_be_sent_is_not_tried_for_ever() {
    let town = Town::protected("@news").await;
    let sent = || town.calls("sendMessage", GROUP).len();
    for (nth, words) in
        (0..).zip(["TOPIC_CLOSED", "message thread not found", "CHAT_WRITE_FORBIDDEN", "CHAT_RESTRICTED"])
    {
        let (user, before) = (one_of_many(nth), sent());
        refuse(&town, "sendMessage", GROUP, 1_000, words);
        town.act(Act::Join { user, chat: GROUP });
        town.say(OWNER, GROUP, "/status");
        town.is_muted(user).await;
        eventually("prompt and answer are tried", async || sent() >= before + 2).await;
        town.has_heard().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let tried = sent() - before;
        assert!(tried <= 6, "{words}: tried {tried} times");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(sent() - before, tried, "{words}: it is tried again and again");
        town.telegram.mend();
        // The rule goes on, and who may write is not held back.
        town.act(Act::Join { user, chat: NEWS });
        eventually("they are free", async || town.member(GROUP, user) == Member::Member).await;
    }
    assert_eq!(town.said(GROUP, "This group is protected"), 0, "answers that were refused do not come later");
    town.end().await;
}

pub(crate) async fn e101_what_many_messages_ask_for_at_once_is_looked_up_once() {
    let town = Town::protected("@news").await;
    let slow = FaultKind::Delay(Duration::from_millis(700));
    town.telegram.inject(Fault { method: Some("getChatMember"), chat: Some(NEWS), every: 1, times: 10, kind: slow });
    let before = town.calls("getChatMember", NEWS).len();
    town.act(Act::Join { user: ANN, chat: GROUP });
    for nth in 0..8 {
        // Until she is muted.
        let content = Content::Text(format!("message {nth}"));
        town.telegram.act(Act::Write { user: ANN, chat: GROUP, content, thread: None }).ok();
    }
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted() && town.standing(GROUP, ANN) == 0).await;
    let asked = town.calls("getChatMember", NEWS).len() - before;
    assert!((1..=2).contains(&asked), "asked {asked} times");
    town.end().await;
}
