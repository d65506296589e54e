//! Messages of every kind and from everybody: who may not write does not stand, whoever else wrote stays.

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, ChatId, ChatSpec, Content, Happened, Member, Pressed, Rights, UserId},
};
use serde_json::{Value, json};

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

/// Ann and Bob were in the group before anything was protected: nothing is known of them.
fn with_both(spec: &mut ChatSpec) {
    if spec.id == GROUP {
        spec.members.extend([(ANN, Member::Member), (BOB, Member::Member)]);
    }
}

fn post(town: &Town, user: UserId, content: Content) {
    town.act(Act::Write { user, chat: GROUP, content, thread: None });
}

fn edit(town: &Town, user: UserId) {
    town.act(Act::Edit { user, chat: GROUP, message: None, text: "buy this".to_owned() });
}

/// How many messages in the name of a chat stand in the group.
fn standing_as(town: &Town, sender: ChatId) -> usize {
    town.telegram.world(|world| {
        let messages = world.chat(GROUP).into_iter().flat_map(|chat| chat.messages());
        messages.filter(|message| message.sender_chat == Some(sender)).count()
    })
}

async fn protect(town: &Town) {
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
}

pub(crate) async fn e56_e57_e59_e8_an_album_and_whatever_else_is_posted_costs_a_deletion_each_and_one_mute_and_one_prompt()
 {
    let town = Town::founded(with_both).await;
    protect(&town).await;
    for content in [
        Content::AlbumPhoto("1".to_owned()),
        Content::AlbumPhoto("1".to_owned()),
        Content::AlbumPhoto("1".to_owned()),
        Content::ViaBot("a gif".to_owned()),
        Content::Sticker("👋".to_owned()),
        Content::Photo("buy this".to_owned()),
    ] {
        post(&town, ANN, content);
    }
    eventually("all of it is gone", async || town.standing(GROUP, ANN) == 0).await;
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    eventually("she is told why", async || town.prompts() == 1).await;
    town.has_heard().await;
    assert_eq!((town.calls("restrictChatMember", GROUP).len(), town.prompts_ever()), (1, 1));
    town.end().await;
}

pub(crate) async fn e58_edits_are_looked_at_where_the_group_wants_it_and_never_those_of_bots() {
    let town = Town::founded(with_both).await;
    town.say(ANN, GROUP, "hello");
    post(&town, BOB, Content::ViaBot("a game".to_owned()));
    protect(&town).await;
    edit(&town, ANN);
    town.has_heard().await;
    assert!(town.calls("restrictChatMember", GROUP).is_empty() && town.standing(GROUP, ANN) == 1);

    town.set(&[("check_edits", json!(true))]).await;
    edit(&town, BOB);
    edit(&town, ANN);
    eventually("what Ann made of it is gone", async || town.standing(GROUP, ANN) == 0).await;
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.has_heard().await;
    assert_eq!((town.member(GROUP, BOB), town.standing(GROUP, BOB)), (Member::Member, 1), "a bot did it");
    town.end().await;
}

pub(crate) async fn e1_e2_e4_e5_foreign_channels_are_silenced_and_the_groups_own_never() {
    const MASKED: UserId = one_of_many(24);
    let town = Town::founded(|spec| {
        match spec.id {
            GROUP => spec.linked = Some(NEWS),
            NEWS => spec.linked = Some(GROUP),
            _ => return,
        }
        spec.members.push((MASKED, Member::Administrator(Rights { is_anonymous: true, ..Rights::FULL })));
    })
    .await;
    protect(&town).await;
    let speak = |sender| {
        let content = Content::Text("buy this".to_owned());
        town.act(Act::WriteAs { user: OWNER, chat: GROUP, sender, content });
    };
    let stands = |sender| standing_as(&town, sender) > 0;
    // Its channel, what Telegram forwards from there, and an administrator in the group's own name.
    let own_speak = async || {
        speak(NEWS);
        town.act(Act::Write { user: OWNER, chat: NEWS, content: Content::Text("news".to_owned()), thread: None });
        town.act(Act::Write { user: MASKED, chat: GROUP, content: Content::Text("order!".to_owned()), thread: None });
        town.has_heard().await;
        let undecided = "intents WHERE done_ms IS NULL AND kind = 'sender_chat'";
        eventually("all of it is judged", async || town.rows(undecided).await == 0).await;
    };
    let own_stand = || [standing_as(&town, NEWS), town.standing(GROUP, UserId::TELEGRAM), standing_as(&town, GROUP)];
    speak(TALKS);
    eventually("the foreign channel's message is gone", async || !stands(TALKS)).await;
    assert!(!town.telegram.world(|world| world.is_sender_banned(GROUP, TALKS)), "not by default");
    town.says(GROUP, "Messages in the name of channels are deleted here. Please write as yourself.").await;

    own_speak().await;
    town.set(&[("sender_chats", json!("allow"))]).await;
    speak(TALKS);
    town.has_heard().await;
    assert!(stands(TALKS), "the group allows it");
    town.set(&[("sender_chats", json!("ban"))]).await;
    speak(TALKS);
    let is_banned = |sender| town.telegram.world(|world| world.is_sender_banned(GROUP, sender));
    let banned = async || is_banned(TALKS);
    eventually("the foreign channel is banned", banned).await;
    own_speak().await;
    town.say(OWNER, GROUP, &format!("/allow {TALKS}"));
    eventually("it is let write again", async || !banned().await).await;
    speak(TALKS);
    town.has_heard().await;
    assert!(stands(TALKS), "it is allowed");
    town.say(OWNER, GROUP, &format!("/disallow {TALKS}"));
    town.says(GROUP, "Talks is treated like everybody else again").await;
    speak(TALKS);
    eventually("it is banned once more", banned).await;
    let about_people = ["restrictChatMember", "banChatMember"].map(|method| town.calls(method, GROUP).len());
    assert_eq!(about_people, [0, 0], "nobody is behind a channel");
    assert_eq!(own_stand(), [4, 2, 2], "what Telegram forwards is in the channel's name, too");
    assert_eq!([NEWS, GROUP].map(is_banned), [false; 2]);
    // Of three messages within the hour; the hour may have struck meanwhile.
    let hint =
        |what: &Happened| matches!(what, Happened::Sent { text, .. } if text.starts_with("Messages in the name"));
    let told = town.telegram.world(|world| world.history().iter().filter(|entry| hint(&entry.what)).count());
    assert!((1..=2).contains(&told), "told {told} times");
    town.end().await;
}

pub(crate) async fn e28_who_cannot_be_found_out_is_silenced_where_the_group_says_so_and_never_muted() {
    let town = Town::founded(with_both).await;
    protect(&town).await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: one_of_many(0), chat });
    }
    town.has_heard().await;
    town.act(Act::Demote { admin: OWNER, chat: NEWS, user: town.bot });
    // E35, E43: the administrators hear of it, once.
    town.says(GROUP, "in @news I need to be an administrator").await;
    town.say(ANN, GROUP, "hello");
    eventually("it was asked", async || !town.calls("getChatMember", NEWS).is_empty()).await;
    town.has_heard().await;
    assert_eq!(town.standing(GROUP, ANN), 1, "unknown never punishes");

    town.set(&[("on_unknown", json!("hold"))]).await;
    town.say(BOB, GROUP, "hello");
    eventually("Bob's message is gone", async || town.standing(GROUP, BOB) == 0).await;
    // Who was in when that could last be known is taken at it.
    town.say(one_of_many(0), GROUP, "hello");
    town.has_heard().await;
    assert_eq!(town.standing(GROUP, one_of_many(0)), 1);
    assert_eq!((town.member(GROUP, BOB), town.prompts_ever()), (Member::Member, 0), "silenced, not muted");
    assert_eq!(town.said(GROUP, "I cannot do all of my work"), 1);
    town.end().await;
}

pub(crate) async fn e63_prompts_go_where_people_write_and_to_the_groups_topic_else_unless_it_is_gone() {
    let town = Town::founded(|spec| {
        with_both(spec);
        spec.is_forum = spec.id == GROUP;
        spec.members.retain(|(user, _)| *user != BOB);
    })
    .await;
    protect(&town).await;
    town.set(&[("prompt_topic", json!(7))]).await;
    town.act(Act::Write { user: ANN, chat: GROUP, content: Content::Text("hello".to_owned()), thread: Some(5) });
    town.act(Act::Join { user: BOB, chat: GROUP });
    let prompted = |topic| town.prompt(topic).is_some();
    eventually("both are told, each in a topic", async || prompted(Some(5)) && prompted(Some(7))).await;
    assert!(!prompted(None));

    town.act(Act::DeleteTopic { admin: OWNER, chat: GROUP, thread: 7 });
    town.act(Act::Join { user: one_of_many(0), chat: GROUP });
    let both = |text: String| text.contains("Bob") && text.contains("Comer 0");
    eventually("the general topic serves", async || town.prompt(None).is_some_and(both)).await;
    assert!(prompted(Some(5)));
    town.end().await;
}

/// A message of Ann's in the group, told as Telegram tells it.
fn from_ann(town: &Town, number: i64, extra: &Value) -> Value {
    let mut message = json!({"message_id": number, "date": town.telegram.now_ms() / 1000, "text": "buy this",
        "chat": {"id": GROUP, "type": "supergroup", "title": "Group"},
        "from": {"id": ANN, "is_bot": false, "first_name": "Ann"}});
    for (name, value) in extra.as_object().unwrap() {
        message[name] = value.clone();
    }
    message
}

pub(crate) async fn e60_e61_e65_e66_notes_and_what_is_none_of_the_groups_life_or_long_ago_cost_nothing_and_a_quotation_does()
 {
    let town = Town::founded(with_both).await;
    protect(&town).await;
    town.has_heard().await;
    let before = town.deeds(GROUP);
    let let_be = [
        json!({"pinned_message": {}}),
        json!({"new_chat_title": "Group"}),
        json!({"new_chat_photo": []}),
        json!({"video_chat_started": {}}),
        json!({"forum_topic_created": {}}),
        json!({"boost_added": {}}),
        json!({"chat_owner_left": {}}),
        json!({"poll_option_added": {}}),
        json!({"suggested_post_paid": {}}),
        json!({"is_from_offline": true}),
        json!({"business_connection_id": "1"}),
        json!({"guest_query_id": "1"}),
    ];
    for (number, extra) in (900_000_300..).zip(&let_be) {
        town.told(json!({"update_id": number, "message": from_ann(&town, number, extra)})).await;
    }
    let business = from_ann(&town, 900_000_330, &json!({}));
    town.told(json!({"update_id": 900_000_330, "business_message": business})).await;
    town.has_heard().await;
    assert_eq!((town.deeds(GROUP), town.lookups(ANN)), (before, 0));

    let long_ago = json!({"date": town.telegram.now_ms() / 1000 - 1_200});
    town.told(json!({"update_id": 900_000_340, "message": from_ann(&town, 900_000_340, &long_ago)})).await;
    eventually("that she is there is a fact", async || town.lookups(ANN) > 0).await;
    town.has_heard().await;
    let deletions = || town.deeds(GROUP).iter().filter(|call| call.starts_with("deletemessage")).count();
    assert_eq!(deletions(), 0, "the message stands");
    let quotes = json!({"external_reply": {}, "quote": {"text": "buy that"}});
    town.told(json!({"update_id": 900_000_350, "message": from_ann(&town, 900_000_350, &quotes)})).await;
    eventually("a quotation goes like any message", async || deletions() == 1).await;
    town.end().await;
}

pub(crate) async fn e64_what_is_for_another_bot_is_no_command_and_of_who_may_not_write_every_command_is_a_message() {
    let town = Town::protected("@news").await;
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: NEWS });
        town.act(Act::Join { user, chat: GROUP });
    }
    town.has_heard().await;
    let before = town.deeds(GROUP);
    for order in ["/unprotect@other_bot", "/status@other_bot", "/nothing_that_we_know"] {
        town.say(OWNER, GROUP, order);
        town.say(BOB, GROUP, order);
    }
    town.has_heard().await;
    assert_eq!(town.deeds(GROUP), before, "neither obeyed, answered nor removed");
    town.say(OWNER, GROUP, "/status@NEZUKO_test_bot");
    town.says(GROUP, "This group is protected").await;
    town.say(BOB, GROUP, "/unprotect");
    town.says(GROUP, "Only administrators of this group").await;

    // It is known that she may not write, and she is not muted yet.
    let (method, kind) = (Some("restrictChatMember"), FaultKind::Page(502));
    town.telegram.inject(Fault { method, chat: Some(GROUP), every: 1, times: 5, kind });
    let (before, seen) = (town.said(GROUP, "Only administrators"), town.deeds(GROUP).len());
    town.act(Act::Leave { user: ANN, chat: NEWS });
    eventually("she is to be muted", async || !town.calls("restrictChatMember", GROUP).is_empty()).await;
    // What is of the second in which she left may be from before it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for order in ["/unprotect", "/help", "/status@other_bot"] {
        post(&town, ANN, Content::Text(order.to_owned()));
    }
    eventually("they are gone", async || town.standing(GROUP, ANN) == 0).await;
    town.is_muted(ANN).await;
    eventually("she is told why", async || town.prompts() == 1).await;
    town.has_heard().await;
    let deeds = town.deeds(GROUP).split_off(seen);
    let sent = deeds.iter().filter(|call| *call == "sendmessage").count();
    assert_eq!((sent, town.said(GROUP, "Only administrators")), (1, before), "the prompt, and no answer: {deeds:?}");
    assert!(deeds.iter().filter(|call| call.starts_with("restrict")).eq([&format!("restrictchatmember {ANN}")]));
    town.end().await;
}

pub(crate) async fn e92_what_is_told_again_and_again_is_done_once() {
    let town = Town::founded(with_both).await;
    protect(&town).await;
    let before = town.deeds(GROUP).len();
    let again_and_again = async |act: Act| {
        let now_ms = town.telegram.now_ms();
        let updates = town.telegram.world(|world| {
            world.act(now_ms, act).unwrap();
            world.take_updates()
        });
        for update in updates {
            let update: Value = serde_json::from_str(&update.body).unwrap();
            for _ in 0..2 {
                town.told(update.clone()).await;
            }
            // Once more when it has been taken in and acknowledged.
            town.has_heard().await;
            town.told(update).await;
        }
        town.has_heard().await;
    };
    let write =
        |user, text: &str| Act::Write { user, chat: GROUP, content: Content::Text(text.to_owned()), thread: None };
    again_and_again(write(ANN, "hello")).await;
    town.is_muted(ANN).await;
    eventually("she is asked to join", async || town.prompts() == 1).await;
    again_and_again(write(OWNER, "/stats")).await;
    let message = town.telegram.world(|world| world.button_messages(GROUP).next_back().unwrap().id);
    let button = Pressed::Labelled("I have joined".to_owned());
    again_and_again(Act::PressButton { user: ANN, chat: GROUP, message, button }).await;
    let answers =
        || town.telegram.calls().iter().filter(|call| call.method.eq_ignore_ascii_case("answerCallbackQuery")).count();
    eventually("she is answered", async || answers() > 0).await;
    town.has_heard().await;
    let mut deeds = town.deeds(GROUP).split_off(before);
    deeds.sort();
    let restricts = format!("restrictchatmember {ANN}");
    assert_eq!(
        (deeds, answers()),
        (["deletemessages", &restricts, "sendmessage", "sendmessage"].map(str::to_owned).into(), 1)
    );
    town.end().await;
}

/// How few they are hangs on how quickly they come, so that all of them come while it is not known who she is: by one program
/// only.
#[tokio::test(flavor = "multi_thread")]
async fn e55_what_is_to_go_goes_in_few_calls() {
    const MANY: usize = 120;
    let town = Town::founded(with_both).await;
    protect(&town).await;
    let before = town.deeds(GROUP).len();
    let kind = FaultKind::Delay(Duration::from_secs(12));
    town.telegram.inject(Fault { method: Some("getChatMember"), chat: Some(NEWS), every: 1, times: 1, kind });
    for nth in 0..MANY {
        town.say(ANN, GROUP, &format!("advert {nth}"));
    }
    eventually("all of it is gone", async || town.standing(GROUP, ANN) == 0).await;
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.has_heard().await;
    let deeds = town.deeds(GROUP).split_off(before);
    let deletions = deeds.iter().filter(|call| call.starts_with("deletemessage")).count();
    assert!((MANY.div_ceil(100)..=12).contains(&deletions), "{deletions} calls for {MANY} messages: {deeds:?}");
    assert!(town.telegram.calls().iter().all(|call| call.status == 200), "a batch was refused");
    town.end().await;
}
