//! The modelled Telegram behaves as the Bot API's source says.
#![allow(clippy::unwrap_used)]

use loadtest::world::{
    Act, Answer, ChatId, ChatKind, ChatSpec, Content, Member, MessageId, Permissions, Person, Pressed, QueueKey,
    Refused, Rights, Switches, UserId, World,
};
use serde_json::{Value, json};

const BOT: UserId = UserId(7_000_000_001);
const OWNER: UserId = UserId(10);
const ANN: UserId = UserId(11);
const GROUP: ChatId = ChatId(-1_001);
const CHANNEL: ChatId = ChatId(-1_002);
const NOW: i64 = 1_700_000_000_000;

fn world() -> World {
    let mut world = World::new(World::bot_account(BOT, "nezuko_bot"));
    world.add_person(Person::named(OWNER, "Olga"));
    world.add_person(Person::named(ANN, "Ann"));
    let owner = (OWNER, Member::Creator { is_anonymous: false });
    let mut group = ChatSpec::new(GROUP, ChatKind::Supergroup, "Group");
    group.members = vec![owner];
    let mut channel = ChatSpec::new(CHANNEL, ChatKind::Channel, "Channel");
    channel.username = Some("channel".to_owned());
    channel.members = vec![owner];
    channel.linked = Some(GROUP);
    group.linked = Some(CHANNEL);
    world.add_chat(NOW, group);
    world.add_chat(NOW, channel);
    world
}

fn guarded() -> World {
    let mut world = world();
    for chat in [GROUP, CHANNEL] {
        world.act(NOW, Act::Promote { admin: OWNER, chat, user: BOT, rights: Rights::FULL }).unwrap();
    }
    world.act(NOW, Act::Join { user: ANN, chat: GROUP }).unwrap();
    world.take_updates();
    world
}

fn write(world: &mut World, user: UserId, chat: ChatId, text: &str) -> Result<(), Refused> {
    world.act(NOW, Act::Write { user, chat, content: Content::Text(text.to_owned()), thread: None })
}

fn mute(world: &mut World, user: UserId, until: i64) -> Answer {
    let params = json!({"chat_id": GROUP, "user_id": user, "permissions": {}, "until_date": until});
    world.call(NOW, "restrictChatMember", &params)
}

fn all_permissions() -> Value {
    json!({
        "can_send_messages": true, "can_send_audios": true, "can_send_documents": true, "can_send_photos": true,
        "can_send_videos": true, "can_send_video_notes": true, "can_send_voice_notes": true, "can_send_polls": true,
        "can_send_other_messages": true, "can_add_web_page_previews": true, "can_change_info": true,
        "can_invite_users": true, "can_pin_messages": true, "can_manage_topics": true
    })
}

fn lift(world: &mut World, user: UserId) -> Answer {
    let params = json!({"chat_id": GROUP, "user_id": user, "permissions": all_permissions()});
    world.call(NOW, "restrictChatMember", &params)
}

fn error(answer: &Answer) -> &str {
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["error_code"], json!(answer.status));
    answer.body["description"].as_str().unwrap()
}

fn only_update(world: &mut World) -> (QueueKey, Value) {
    let mut updates = world.take_updates();
    assert_eq!(updates.len(), 1, "{updates:?}");
    let update = updates.remove(0);
    (update.queue, serde_json::from_str(&update.body).unwrap())
}

#[test]
fn a_mute_silences_and_its_echo_names_the_bot() {
    let mut world = guarded();
    assert_eq!(mute(&mut world, ANN, 0).status, 200);
    let (queue, update) = only_update(&mut world);
    assert_eq!(queue, QueueKey::Member(ANN));
    let change = &update["chat_member"];
    assert_eq!(change["from"]["id"], json!(BOT));
    assert_eq!(change["old_chat_member"]["status"], "member");
    assert_eq!(change["new_chat_member"]["status"], "restricted");
    assert_eq!(change["new_chat_member"]["is_member"], json!(true));
    assert_eq!(change["new_chat_member"]["can_send_messages"], json!(false));
    assert!(matches!(write(&mut world, ANN, GROUP, "hi"), Err(Refused::NotAllowed(_))));
    assert!(world.is_muted_by_bot(GROUP, ANN, NOW));

    assert_eq!(mute(&mut world, ANN, 0).status, 200, "again is harmless");
    assert!(world.take_updates().is_empty(), "and no change is no update");

    assert_eq!(lift(&mut world, ANN).status, 200);
    assert_eq!(world.member(GROUP, ANN, NOW), Member::Member);
    write(&mut world, ANN, GROUP, "hi").unwrap();
}

#[test]
fn echoes_can_be_turned_off_without_silencing_people() {
    let mut world = guarded();
    world.switches = Switches { echo_own_acts: false, ..Switches::default() };
    mute(&mut world, ANN, 0);
    assert!(world.take_updates().is_empty());
    world.act(NOW, Act::AdminUnmute { admin: OWNER, chat: GROUP, user: ANN }).unwrap();
    assert_eq!(only_update(&mut world).1["chat_member"]["from"]["id"], json!(OWNER));
}

#[test]
fn a_mute_survives_leaving_and_coming_back_and_reaches_outsiders() {
    let mut world = guarded();
    mute(&mut world, ANN, 0);
    world.act(NOW, Act::Leave { user: ANN, chat: GROUP }).unwrap();
    assert!(matches!(world.member(GROUP, ANN, NOW), Member::Restricted { is_member: false, .. }));
    assert!(world.is_muted_by_bot(GROUP, ANN, NOW), "it is still the bot's");
    assert_eq!(lift(&mut world, ANN).status, 200);
    assert_eq!(world.member(GROUP, ANN, NOW), Member::Left);
    assert_eq!(mute(&mut world, ANN, 0).status, 200);
    world.act(NOW, Act::Join { user: ANN, chat: GROUP }).unwrap();
    assert!(world.member(GROUP, ANN, NOW).is_muted());
}

#[test]
fn until_dates_too_near_or_too_far_mean_for_ever_and_others_end() {
    let day = 86_400;
    for (seconds, stands) in [(29, true), (30, false), (366 * day, false), (366 * day + 1, true)] {
        let mut world = guarded();
        mute(&mut world, ANN, NOW / 1000 + seconds);
        assert_eq!(world.member(GROUP, ANN, NOW + 400 * day * 1000).is_muted(), stands, "{seconds}");
    }
}

#[test]
fn the_bot_api_refuses_in_its_own_words() {
    let mut world = guarded();
    let bob = UserId(12);
    world.add_person(Person::named(bob, "Bob"));
    world.add_chat(NOW, ChatSpec::new(ChatId(-77), ChatKind::Group, "Basic"));
    assert_eq!(error(&mute(&mut world, OWNER, 0)), "Bad Request: user is an administrator of the chat");
    assert_eq!(error(&mute(&mut world, BOT, 0)), "Bad Request: can't restrict self");
    assert_eq!(error(&mute(&mut world, UserId(99), 0)), "Bad Request: user not found");
    assert_eq!(error(&mute(&mut world, UserId::TELEGRAM, 0)), "Bad Request: PARTICIPANT_ID_INVALID");
    let cases = [
        ("getChat", json!({"chat_id": -5}), 400, "Bad Request: chat not found"),
        ("getChat", json!({"chat_id": "@nobody"}), 400, "Bad Request: chat not found"),
        ("getChat", json!({}), 400, "Bad Request: chat_id is empty"),
        ("getChat", json!({"chat_id": -77}), 400, "Bad Request: chat not found"),
        (
            "deleteMessage",
            json!({"chat_id": GROUP, "message_id": 999}),
            400,
            "Bad Request: message to delete not found",
        ),
        ("sendMessage", json!({"chat_id": GROUP, "text": " "}), 400, "Bad Request: message text is empty"),
        ("sendMessage", json!({"chat_id": GROUP, "text": "x".repeat(4097)}), 400, "Bad Request: message is too long"),
        (
            "sendMessage",
            json!({"chat_id": GROUP, "text": "<b>x", "parse_mode": "HTML"}),
            400,
            "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        ),
        (
            "sendMessage",
            json!({"chat_id": GROUP, "text": "x", "reply_parameters": {"message_id": 999}}),
            400,
            "Bad Request: message to be replied not found",
        ),
        (
            "sendMessage",
            json!({"chat_id": GROUP, "text": "x",
                "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "x".repeat(65)}]]}}),
            400,
            "Bad Request: BUTTON_DATA_INVALID",
        ),
        (
            "sendMessage",
            json!({"chat_id": bob, "text": "x"}),
            403,
            "Forbidden: bot can't initiate conversation with a user",
        ),
        (
            "answerCallbackQuery",
            json!({"callback_query_id": "5"}),
            400,
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        ),
        (
            "editMessageText",
            json!({"chat_id": GROUP, "message_id": 999, "text": "x"}),
            400,
            "Bad Request: message to edit not found",
        ),
        (
            "setWebhook",
            json!({"url": "https://x.example", "secret_token": "x".repeat(257)}),
            400,
            "Bad Request: secret token is too long",
        ),
        (
            "setWebhook",
            json!({"url": "https://x.example", "secret_token": "a b"}),
            400,
            "Bad Request: secret token contains unallowed characters",
        ),
        ("sendMassage", json!({}), 404, "Not Found: method not found"),
    ];
    for (method, params, status, description) in cases {
        let answer = world.call(NOW, method, &params);
        assert_eq!((error(&answer), answer.status), (description, status), "{method} {params}");
    }
}

#[test]
fn without_rights_the_bot_is_refused_and_hears_less() {
    let mut world = guarded();
    let no_rights = Rights::default();
    world.act(NOW, Act::Promote { admin: OWNER, chat: GROUP, user: BOT, rights: no_rights }).unwrap();
    let (queue, update) = only_update(&mut world);
    assert_eq!(queue, QueueKey::MyMember(GROUP));
    assert_eq!(update["my_chat_member"]["new_chat_member"]["can_restrict_members"], json!(false));
    assert_eq!(error(&mute(&mut world, ANN, 0)), "Bad Request: not enough rights to restrict/unrestrict chat member");
    write(&mut world, ANN, GROUP, "hi").unwrap();
    let delete = world.call(NOW, "deleteMessage", &json!({"chat_id": GROUP, "message_id": 1}));
    assert_eq!(error(&delete), "Bad Request: message can't be deleted");

    world.act(NOW, Act::Demote { admin: OWNER, chat: CHANNEL, user: BOT }).unwrap();
    world.take_updates();
    let lookup = world.call(NOW, "getChatMember", &json!({"chat_id": CHANNEL, "user_id": ANN}));
    assert_eq!(error(&lookup), "Bad Request: member list is inaccessible");
    world.act(NOW, Act::Join { user: ANN, chat: CHANNEL }).unwrap();
    assert!(world.take_updates().is_empty(), "no administrator hears no chat_member");

    world.act(NOW, Act::AdminBan { admin: OWNER, chat: GROUP, user: BOT }).unwrap_err();
    world.act(NOW, Act::Demote { admin: OWNER, chat: GROUP, user: BOT }).unwrap();
    world.act(NOW, Act::AdminBan { admin: OWNER, chat: GROUP, user: BOT }).unwrap();
    let answer = world.call(NOW, "sendMessage", &json!({"chat_id": GROUP, "text": "x"}));
    assert_eq!((answer.status, error(&answer)), (403, "Forbidden: bot was kicked from the supergroup chat"));
}

#[test]
fn a_press_brings_the_buttons_data_and_is_answered_while_it_is_young() {
    let mut world = guarded();
    assert_eq!(
        world.act(NOW, Act::Press { user: ANN, chat: GROUP, message: None }),
        Err(Refused::NotYet("no message with a button stands"))
    );
    let prompt = json!({"chat_id": GROUP, "text": "Join!", "reply_markup": {"inline_keyboard": [
        [{"text": "Channel", "url": "https://t.me/channel"}], [{"text": "I have joined", "callback_data": "v:1"}]]}});
    let sent = world.call(NOW, "sendMessage", &prompt);
    assert!(world.take_updates().is_empty(), "no update about its own message");
    let again = json!({"chat_id": GROUP, "message_id": sent.body["result"]["message_id"], "text": "Join!",
        "reply_markup": prompt["reply_markup"]});
    assert!(error(&world.call(NOW, "editMessageText", &again)).contains("message is not modified"));

    world.act(NOW, Act::Press { user: ANN, chat: GROUP, message: None }).unwrap();
    let (queue, update) = only_update(&mut world);
    assert_eq!(queue, QueueKey::Presses(ANN));
    assert_eq!(update["callback_query"]["data"], "v:1");
    let answer = json!({"callback_query_id": update["callback_query"]["id"], "text": "ok"});
    assert_eq!(world.clone().call(NOW + 150_000, "answerCallbackQuery", &answer).status, 200);
    assert!(error(&world.call(NOW + 150_001, "answerCallbackQuery", &answer)).contains("query is too old"));
}

#[test]
fn a_certain_button_is_pressed_and_forged_data_comes_as_it_was_sent() {
    let mut world = guarded();
    let sent = world.call(
        NOW,
        "sendMessage",
        &json!({"chat_id": GROUP, "text": "Panel", "reply_markup": {"inline_keyboard": [
            [{"text": "Language: English", "callback_data": "a"}, {"text": "Dry run: no", "callback_data": "b"}],
            [{"text": "Open", "url": "https://t.me/nezuko_bot?start=abc"}]]}}),
    );
    let message = MessageId(sent.body["result"]["message_id"].as_i64().unwrap());
    let links: Vec<String> =
        world.chat(GROUP).unwrap().messages().flat_map(|message| message.links()).map(str::to_owned).collect();
    assert_eq!(links, ["https://t.me/nezuko_bot?start=abc"]);
    for (button, data) in [
        (Pressed::Labelled("Dry".to_owned()), "b"),
        (Pressed::Labelled("Language".to_owned()), "a"),
        (Pressed::Forged("<forged>".to_owned()), "<forged>"),
    ] {
        world.act(NOW, Act::PressButton { user: ANN, chat: GROUP, message, button }).unwrap();
        assert_eq!(only_update(&mut world).1["callback_query"]["data"], data);
    }
    let open = Act::PressButton { user: ANN, chat: GROUP, message, button: Pressed::Labelled("Open".to_owned()) };
    assert!(matches!(world.act(NOW, open), Err(Refused::NotAllowed(_))), "an address sends nothing");
}

#[test]
fn a_reply_shows_who_wrote_what_it_answers_and_where_that_was_forwarded_from() {
    let mut world = guarded();
    let content = Content::Forwarded { from: CHANNEL, text: "news".to_owned() };
    world.act(NOW, Act::Write { user: ANN, chat: GROUP, content, thread: None }).unwrap();
    let forwarded = only_update(&mut world).1["message"].clone();
    assert_eq!((&forwarded["forward_origin"]["type"], &forwarded["text"]), (&json!("channel"), &json!("news")));
    let to = MessageId(forwarded["message_id"].as_i64().unwrap());
    let content = Content::Text("/protect".to_owned());
    world.act(NOW, Act::Reply { user: OWNER, chat: GROUP, to, content }).unwrap();
    let answered = only_update(&mut world).1["message"]["reply_to_message"].clone();
    assert_eq!(answered["from"]["id"], json!(ANN));
    assert_eq!(answered["forward_origin"]["chat"]["id"], json!(CHANNEL));
    let gone = Act::Reply { user: OWNER, chat: GROUP, to: MessageId(99), content: Content::Text("hi".to_owned()) };
    assert!(matches!(world.act(NOW, gone), Err(Refused::NotAllowed(_))));
}

#[test]
fn a_person_is_shown_with_the_language_of_their_application() {
    let mut world = guarded();
    world.add_person(Person { language_code: Some("de".to_owned()), ..Person::named(ANN, "Ann") });
    write(&mut world, ANN, GROUP, "hallo").unwrap();
    assert_eq!(only_update(&mut world).1["message"]["from"]["language_code"], "de");
    write(&mut world, OWNER, GROUP, "hello").unwrap();
    assert!(only_update(&mut world).1["message"]["from"].get("language_code").is_none());
}

#[test]
fn menus_of_commands_stand_by_scope_and_language() {
    let mut world = guarded();
    let menu = |command: &str, language: &str| {
        json!({"commands": [{"command": command, "description": "help"}],
            "scope": {"type": "all_chat_administrators"}, "language_code": language})
    };
    assert_eq!(world.call(NOW, "setMyCommands", &menu("help", "de")).status, 200);
    assert_eq!(world.commands("all_chat_administrators", "de")[0]["command"], "help");
    assert!(world.commands("all_chat_administrators", "").is_null());
    let read = world.call(NOW, "getMyCommands", &menu("help", "de")).body;
    assert_eq!(read["result"][0]["description"], "help");
    assert_eq!(world.call(NOW, "getMyCommands", &json!({})).body["result"], json!([]));
    for (params, description) in [
        (menu("Help", "de"), "Bad Request: BOT_COMMAND_INVALID"),
        (menu("help", "german"), "Bad Request: invalid language code specified"),
        (menu("/", "de"), "Bad Request: command must be non-empty"),
        (menu(&"x".repeat(33), "de"), "Bad Request: command length must not exceed 32"),
        (json!({"commands": [{"command": "help"}]}), "Bad Request: command description must be non-empty"),
        (json!({}), "Bad Request: can't parse commands"),
    ] {
        assert_eq!(error(&world.call(NOW, "setMyCommands", &params)), description);
    }
    world.call(NOW, "deleteMyCommands", &menu("help", "de"));
    assert!(world.commands("all_chat_administrators", "de").is_null());
}

#[test]
fn a_post_goes_on_to_the_linked_group_as_telegrams_forward() {
    let mut world = guarded();
    write(&mut world, OWNER, CHANNEL, "news").unwrap();
    let updates = world.take_updates();
    assert_eq!(updates.iter().map(|u| u.kind).collect::<Vec<_>>(), ["channel_post", "message"]);
    let forward: Value = serde_json::from_str(&updates[1].body).unwrap();
    assert_eq!(forward["message"]["from"]["id"], json!(UserId::TELEGRAM));
    assert_eq!(forward["message"]["sender_chat"]["id"], json!(CHANNEL));
    assert_eq!(forward["message"]["is_automatic_forward"], json!(true));
}

#[test]
fn an_update_is_written_as_the_server_writes_it_and_commands_carry_their_entity() {
    let mut world = guarded();
    write(&mut world, ANN, GROUP, "/status now").unwrap();
    let update = world.take_updates().remove(0);
    assert!(update.body.starts_with(&format!("{{\"update_id\":{},\n\"message\":{{", update.update_id)), "{update:?}");
    assert_eq!(update.expires_ms, NOW + 86_400_000);
    let value: Value = serde_json::from_str(&update.body).unwrap();
    assert_eq!(value["message"]["entities"], json!([{"type": "bot_command", "offset": 0, "length": 7}]));
}

#[test]
fn an_anonymous_administrator_writes_in_the_groups_name() {
    let mut world = guarded();
    let rights = Rights { is_anonymous: true, ..Rights::FULL };
    world.act(NOW, Act::Promote { admin: OWNER, chat: GROUP, user: ANN, rights }).unwrap();
    world.take_updates();
    write(&mut world, ANN, GROUP, "order!").unwrap();
    let update = only_update(&mut world).1;
    assert_eq!(update["message"]["from"]["id"], json!(UserId::GROUP_ANONYMOUS_BOT));
    assert_eq!(update["message"]["sender_chat"]["id"], json!(GROUP));
}

#[test]
fn kinds_that_the_webhook_does_not_list_are_not_sent() {
    let mut world = guarded();
    world.call(NOW, "setWebhook", &json!({"url": "https://example.org/webhook"}));
    mute(&mut world, ANN, 0);
    assert!(world.take_updates().is_empty(), "chat_member only comes on request (E14)");
    world.call(NOW, "setWebhook", &json!({"url": "https://x.example", "allowed_updates": ["chat_member"]}));
    lift(&mut world, ANN);
    assert_eq!(world.take_updates().len(), 1);
    let info = world.call(NOW, "getWebhookInfo", &json!({})).body;
    assert_eq!(info["result"]["allowed_updates"], json!(["chat_member"]));
    assert_eq!(world.call(NOW, "getUpdates", &json!({})).status, 409);
}

#[test]
fn who_asks_for_updates_says_which_kinds_until_they_say_otherwise() {
    let mut world = guarded();
    let muted = |world: &mut World| {
        mute(world, ANN, 0);
        lift(world, ANN);
        world.take_updates().len()
    };
    for (asked, told) in [
        (json!({}), 0),
        (json!({"allowed_updates": ["chat_member"]}), 2),
        (json!({"timeout": 0}), 2),
        (json!({"allowed_updates": []}), 0),
    ] {
        assert_eq!(world.call(NOW, "getUpdates", &asked).status, 200);
        assert_eq!(muted(&mut world), told, "{asked}");
    }
    world.call(NOW, "deleteWebhook", &json!({}));
    assert_eq!(muted(&mut world), 0, "what was chosen stands");
}

#[test]
fn a_lookup_may_be_as_old_as_the_switch_says() {
    let mut world = guarded();
    world.switches.stale_lookups_ms = 5_000;
    let ask = |world: &mut World, at| {
        let answer = world.call(at, "getChatMember", &json!({"chat_id": CHANNEL, "user_id": ANN}));
        answer.body["result"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(&mut world, NOW), "left");
    world.act(NOW + 1, Act::Join { user: ANN, chat: CHANNEL }).unwrap();
    assert_eq!(ask(&mut world, NOW + 4_999), "left");
    assert_eq!(ask(&mut world, NOW + 5_000), "member");
}

#[test]
fn who_has_come_shows_nowhere_until_the_lag_is_over() {
    let mut world = guarded();
    world.switches.membership_lag_ms = 1_000;
    world.act(NOW, Act::Join { user: ANN, chat: CHANNEL }).unwrap();
    let mut at = |at_ms| {
        let answer = world.call(at_ms, "getChatMember", &json!({"chat_id": CHANNEL, "user_id": ANN}));
        let status = answer.body["result"]["status"].as_str().unwrap().to_owned();
        (status, world.take_updates().iter().filter(|update| update.kind == "chat_member").count())
    };
    assert_eq!(at(NOW + 999), ("left".to_owned(), 0));
    assert_eq!(at(NOW + 1_000), ("member".to_owned(), 1));
    assert_eq!(at(NOW + 1_001), ("member".to_owned(), 0));
}

#[test]
fn unban_removes_who_is_there_unless_told_not_to() {
    let mut world = guarded();
    let gentle = json!({"chat_id": GROUP, "user_id": ANN, "only_if_banned": true});
    assert_eq!(world.call(NOW, "unbanChatMember", &gentle).status, 200);
    assert_eq!(world.member(GROUP, ANN, NOW), Member::Member);
    assert_eq!(world.call(NOW, "unbanChatMember", &json!({"chat_id": GROUP, "user_id": ANN})).status, 200);
    assert_eq!(world.member(GROUP, ANN, NOW), Member::Left);
    world.call(NOW, "banChatMember", &json!({"chat_id": GROUP, "user_id": ANN}));
    assert_eq!(world.act(NOW, Act::Join { user: ANN, chat: GROUP }), Err(Refused::NotAllowed("banned")));
}

#[test]
fn many_messages_are_deleted_at_once_and_missing_ones_passed_over() {
    let mut world = guarded();
    for _ in 0..3 {
        write(&mut world, ANN, GROUP, "spam").unwrap();
    }
    let answer = world.call(NOW, "deleteMessages", &json!({"chat_id": GROUP, "message_ids": [1, 3, 44]}));
    assert_eq!(answer.status, 200);
    let standing: Vec<_> = world.chat(GROUP).unwrap().messages().map(|m| m.id).collect();
    assert_eq!(standing, [MessageId(2)]);
    let late = json!({"chat_id": GROUP, "message_id": 2});
    let answer = world.call(NOW + 2 * 86_400_000, "deleteMessage", &late);
    assert_eq!(error(&answer), "Bad Request: message can't be deleted for everyone");
}

#[test]
fn an_admins_mute_of_somebody_ours_is_theirs() {
    let mut world = guarded();
    mute(&mut world, ANN, NOW / 1000 + 86_400);
    world.act(NOW, Act::AdminMute { admin: OWNER, chat: GROUP, user: ANN, for_s: 60 }).unwrap();
    assert!(!world.is_muted_by_bot(GROUP, ANN, NOW));
    let until = NOW / 1000 + 60;
    assert_eq!(
        world.member(GROUP, ANN, NOW),
        Member::Restricted { is_member: true, until, permissions: Permissions::NONE }
    );
    assert_eq!(world.member(GROUP, ANN, NOW + 60_000), Member::Member);
}

#[test]
fn a_basic_group_becomes_a_supergroup_with_everybody_in_it() {
    let (basic, to) = (ChatId(-77), ChatId(-1_077));
    let mut world = world();
    let mut group = ChatSpec::new(basic, ChatKind::Group, "Basic");
    group.members = vec![(OWNER, Member::Creator { is_anonymous: false }), (ANN, Member::Member)];
    world.add_chat(NOW, group);
    world.act(NOW, Act::Promote { admin: OWNER, chat: basic, user: BOT, rights: Rights::FULL }).unwrap();
    write(&mut world, ANN, basic, "hi").unwrap();
    world.take_updates();
    let upgrade = |admin, chat| Act::Upgrade { admin, chat, to };
    for (admin, chat) in [(ANN, basic), (OWNER, GROUP)] {
        assert!(matches!(world.act(NOW, upgrade(admin, chat)), Err(Refused::NotAllowed(_))), "{admin} in {chat}");
    }
    world.act(NOW, upgrade(OWNER, basic)).unwrap();

    let told: Vec<(QueueKey, Value)> = world
        .take_updates()
        .into_iter()
        .map(|update| (update.queue, serde_json::from_str(&update.body).unwrap()))
        .collect();
    let [(of_bot, joined), (of_old, left), (of_new, came)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        [*of_bot, *of_old, *of_new],
        [QueueKey::MyMember(to), QueueKey::Messages(basic), QueueKey::Messages(to)]
    );
    assert_eq!(joined["my_chat_member"]["chat"], json!({"id": to, "type": "supergroup", "title": "Basic"}));
    assert_eq!(joined["my_chat_member"]["old_chat_member"]["status"], "left");
    assert_eq!(joined["my_chat_member"]["new_chat_member"]["can_restrict_members"], json!(true));
    assert_eq!((&left["message"]["chat"]["id"], &left["message"]["migrate_to_chat_id"]), (&json!(basic), &json!(to)));
    assert_eq!((&came["message"]["chat"]["id"], &came["message"]["migrate_from_chat_id"]), (&json!(to), &json!(basic)));
    assert_eq!(came["message"]["message_id"], json!(1), "messages are numbered anew");

    let members = [OWNER, ANN, BOT].map(|user| world.member(to, user, NOW));
    assert_eq!(members, [Member::Creator { is_anonymous: false }, Member::Member, Member::Administrator(Rights::FULL)]);
    assert!(matches!(write(&mut world, ANN, basic, "hi"), Err(Refused::NotAllowed(_))));
    write(&mut world, ANN, to, "hi").unwrap();
    let calls = [
        ("sendMessage", json!({"chat_id": basic, "text": "x"})),
        ("getChat", json!({"chat_id": basic})),
        ("getChatMember", json!({"chat_id": basic, "user_id": ANN})),
        ("deleteMessages", json!({"chat_id": basic, "message_ids": [1]})),
        ("restrictChatMember", json!({"chat_id": basic, "user_id": ANN, "permissions": {}})),
    ];
    for (method, params) in calls {
        let answer = world.call(NOW, method, &params);
        assert_eq!((error(&answer), answer.status), ("Bad Request: group chat was upgraded to a supergroup chat", 400));
        assert_eq!(answer.body["parameters"], json!({"migrate_to_chat_id": to}), "{method}");
        let there = json!({"chat_id": to, "text": "x", "user_id": ANN, "message_ids": [1], "permissions": {}});
        assert_eq!(world.call(NOW, method, &there).status, 200, "{method}");
    }
}
