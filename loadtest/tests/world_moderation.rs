//! What people do to a group beyond restricting each other, and channels that write in it, as the Bot API shows it.
#![allow(clippy::unwrap_used)]

use loadtest::world::{
    Act, ChatId, ChatKind, ChatSpec, Content, Member, Permissions, Person, QueueKey, Refused, Rights, UserId, World,
};
use serde_json::{Value, json};

const BOT: UserId = UserId(7_000_000_001);
const OWNER: UserId = UserId(10);
const ANN: UserId = UserId(11);
const BOB: UserId = UserId(12);
const GROUP: ChatId = ChatId(-1_001);
const CHANNEL: ChatId = ChatId(-1_002);
const NOW: i64 = 1_700_000_000_000;

/// A forum and a channel of Olga's, both with the bot as an administrator; Ann is in the forum.
fn world() -> World {
    let mut world = World::new(World::bot_account(BOT, "nezuko_bot"));
    for (user, name) in [(OWNER, "Olga"), (ANN, "Ann"), (BOB, "Bob")] {
        world.add_person(Person::named(user, name));
    }
    let owner = (OWNER, Member::Creator { is_anonymous: false });
    let mut group = ChatSpec::new(GROUP, ChatKind::Supergroup, "Group");
    (group.announces_joins, group.is_forum) = (true, true);
    group.members = vec![owner, (ANN, Member::Member)];
    let mut channel = ChatSpec::new(CHANNEL, ChatKind::Channel, "Channel");
    channel.members = vec![owner];
    world.add_chat(NOW, group);
    world.add_chat(NOW, channel);
    for chat in [GROUP, CHANNEL] {
        world.act(NOW, Act::Promote { admin: OWNER, chat, user: BOT, rights: Rights::FULL }).unwrap();
    }
    world.take_updates();
    world
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn updates(world: &mut World) -> Vec<(QueueKey, Value)> {
    let read = |update: loadtest::world::Emitted| (update.queue, serde_json::from_str(&update.body).unwrap());
    world.take_updates().into_iter().map(read).collect()
}

fn call(world: &mut World, method: &str, params: &Value) -> (u16, String) {
    let answer = world.call(NOW, method, params);
    (answer.status, answer.body["description"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn who_is_added_is_told_of_with_the_adder_as_author_and_one_note_names_all() {
    let mut world = world();
    world.act(NOW, Act::Add { by: ANN, chat: GROUP, users: vec![BOB, OWNER] }).unwrap();
    let updates = updates(&mut world);
    let (queue, change) = &updates[0];
    assert_eq!(*queue, QueueKey::Member(BOB));
    assert_eq!(change["chat_member"]["from"]["id"], json!(ANN));
    assert_eq!(change["chat_member"]["new_chat_member"]["user"]["id"], json!(BOB));
    let note = &updates[1].1["message"];
    assert_eq!((&note["from"]["id"], &note["new_chat_members"][0]["id"]), (&json!(ANN), &json!(BOB)));
    assert_eq!((updates.len(), note["new_chat_members"].as_array().unwrap().len()), (2, 1), "Olga was in");
    let again = world.act(NOW, Act::Add { by: ANN, chat: GROUP, users: vec![BOB] });
    assert!(matches!(again, Err(Refused::NotAllowed(_))));
    let into_channel = world.act(NOW, Act::Add { by: OWNER, chat: CHANNEL, users: vec![BOB] });
    assert!(matches!(into_channel, Err(Refused::NotAllowed(_))));
}

#[test]
fn an_edit_comes_with_its_date_through_the_messages_queue() {
    let mut world = world();
    let edit = |text: &str| Act::Edit { user: ANN, chat: GROUP, message: None, text: text.to_owned() };
    assert!(matches!(world.act(NOW, edit("x")), Err(Refused::NotYet(_))));
    world.act(NOW, Act::Write { user: ANN, chat: GROUP, content: text("hello"), thread: None }).unwrap();
    world.take_updates();
    world.act(NOW + 5_000, edit("buy this")).unwrap();
    let updates = updates(&mut world);
    let edited = &updates[0].1["edited_message"];
    assert_eq!(updates[0].0, QueueKey::Messages(GROUP));
    assert_eq!((&edited["text"], &edited["date"]), (&json!("buy this"), &json!(NOW / 1000)));
    assert_eq!(edited["edit_date"], json!(NOW / 1000 + 5));
    world.act(NOW, Act::AdminMute { admin: OWNER, chat: GROUP, user: ANN, for_s: 0 }).unwrap();
    assert!(matches!(world.act(NOW, edit("and this")), Err(Refused::NotAllowed(_))));
}

#[test]
fn nobody_writes_in_the_name_of_a_banned_channel_until_it_is_allowed_again() {
    let mut world = world();
    let speak = || Act::WriteAs { user: OWNER, chat: GROUP, sender: CHANNEL, content: text("hello") };
    let params = json!({"chat_id": GROUP, "sender_chat_id": CHANNEL});
    world.act(NOW, speak()).unwrap();
    assert_eq!(call(&mut world, "banChatSenderChat", &params).0, 200);
    assert!(world.is_sender_banned(GROUP, CHANNEL));
    assert!(matches!(world.act(NOW, speak()), Err(Refused::NotAllowed(_))));
    assert_eq!(call(&mut world, "unbanChatSenderChat", &params).0, 200);
    world.act(NOW, speak()).unwrap();

    let nobody = json!({"chat_id": GROUP, "sender_chat_id": -77});
    assert_eq!(call(&mut world, "banChatSenderChat", &nobody), (400, "Bad Request: chat not found".to_owned()));
    let rights = Rights { can_restrict_members: false, ..Rights::FULL };
    world.act(NOW, Act::Promote { admin: OWNER, chat: GROUP, user: BOT, rights }).unwrap();
    let refused = "Bad Request: not enough rights to restrict/unrestrict chat member".to_owned();
    assert_eq!(call(&mut world, "banChatSenderChat", &params), (400, refused));
}

#[test]
fn a_topic_that_is_deleted_takes_its_messages_along_and_takes_no_more() {
    let mut world = world();
    let write = |thread| Act::Write { user: ANN, chat: GROUP, content: text("hello"), thread };
    for thread in [Some(7), None] {
        world.act(NOW, write(thread)).unwrap();
    }
    let say = json!({"chat_id": GROUP, "text": "hi", "message_thread_id": 7});
    assert_eq!(call(&mut world, "sendMessage", &say).0, 200);
    world.act(NOW, Act::DeleteTopic { admin: OWNER, chat: GROUP, thread: 7 }).unwrap();
    assert_eq!(world.chat(GROUP).unwrap().messages().map(|message| message.thread).collect::<Vec<_>>(), [None]);
    assert_eq!(call(&mut world, "sendMessage", &say), (400, "Bad Request: message thread not found".to_owned()));
    assert!(matches!(world.act(NOW, write(Some(7))), Err(Refused::NotAllowed(_))));
    world.act(NOW, write(Some(8))).unwrap();
}

#[test]
fn what_everybody_may_do_limits_members_whom_nothing_else_limits_and_shows_in_the_chat() {
    let mut world = world();
    let permissions = Permissions::NONE;
    world.act(NOW, Act::SetPermissions { admin: OWNER, chat: GROUP, permissions }).unwrap();
    let write = |user| Act::Write { user, chat: GROUP, content: text("hello"), thread: None };
    assert!(matches!(world.act(NOW, write(ANN)), Err(Refused::NotAllowed(_))));
    world.act(NOW, write(OWNER)).unwrap();
    let chat = world.call(NOW, "getChat", &json!({"chat_id": GROUP})).body;
    assert_eq!(chat["result"]["permissions"]["can_send_messages"], json!(false));
    let by_ann = world.act(NOW, Act::SetPermissions { admin: ANN, chat: GROUP, permissions: Permissions::ALL });
    assert!(matches!(by_ann, Err(Refused::NotAllowed(_))));
}

#[test]
fn some_rights_can_be_taken_and_others_left() {
    let mut world = world();
    let act = Act::AdminRestrict { admin: OWNER, chat: GROUP, user: ANN, permissions: Permissions::TEXT, for_s: 60 };
    world.act(NOW, act).unwrap();
    let updates = updates(&mut world);
    let now = &updates[0].1["chat_member"]["new_chat_member"];
    assert_eq!((&now["status"], &now["can_send_messages"]), (&json!("restricted"), &json!(true)));
    assert_eq!((&now["can_send_photos"], &now["until_date"]), (&json!(false), &json!(NOW / 1000 + 60)));
    world.act(NOW, Act::Write { user: ANN, chat: GROUP, content: text("hello"), thread: None }).unwrap();
}
