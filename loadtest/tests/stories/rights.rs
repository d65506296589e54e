//! What the bot may do: it comes, loses its rights, is thrown out and comes back (E14, E42, E43, E76–E78).

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, ChatId, ChatKind, ChatSpec, Member, Rights},
};
use serde_json::json;

use crate::{
    support::{Directory, Running, eventually, fresh_bot, settings, token},
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town},
};

pub(crate) async fn e76_e77_who_adds_the_bot_is_told_how_to_begin_and_what_is_missing() {
    let town = Town::new().await;
    town.says(GROUP, "/protect @channel").await;
    assert_eq!(town.said(GROUP, "Before this can work"), 0, "it was added with all rights");
    town.act(Act::Leave { user: town.bot, chat: GROUP });
    town.act(Act::Add { by: OWNER, chat: GROUP, users: vec![town.bot] });
    town.says(GROUP, "with the right to restrict members and to delete messages").await;
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL });
    town.has_heard().await;
    assert_eq!(town.said(GROUP, "/protect @channel"), 2, "once for each time that it was added");
    town.end().await;
}

pub(crate) async fn e43_of_a_missing_right_the_administrators_are_told_once_and_the_rule_goes_on_when_it_is_back() {
    let town = Town::protected("@news").await;
    let promote = |rights| town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights });
    promote(Rights { can_restrict_members: false, ..Rights::FULL });
    town.says(GROUP, "with the right to restrict members").await;
    promote(Rights { can_restrict_members: false, can_change_info: false, ..Rights::FULL });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.say(ANN, GROUP, "hello");
    town.has_heard().await;
    assert_eq!((town.said(GROUP, "I cannot do all of my work"), town.standing(GROUP, ANN)), (1, 1));
    assert!(town.calls("restrictChatMember", GROUP).is_empty());

    promote(Rights::FULL);
    eventually("the rule goes on", async || town.member(GROUP, ANN).is_muted()).await;
    promote(Rights { can_delete_messages: false, ..Rights::FULL });
    town.says(GROUP, "with the right to delete messages").await;
    assert_eq!(town.said(GROUP, "I cannot do all of my work"), 2);
    town.end().await;
}

pub(crate) async fn e43_a_right_that_is_gone_without_a_word_is_found_missing_once_and_the_rule_goes_on_when_it_is_back()
{
    const OLD: ChatId = ChatId(-1_001_000_000_043);
    let town = Town::new().await;
    // So long ago that Telegram's caches know the bot as it was then.
    town.found(town.telegram.now_ms() - 120_000, ChatSpec::new(OLD, ChatKind::Supergroup, "Old"));
    town.say(OWNER, OLD, "/protect @news");
    town.says(OLD, "Protected: ").await;
    town.has_heard().await;
    let promote = |rights| Act::Promote { admin: OWNER, chat: OLD, user: town.bot, rights };
    town.act_untold(promote(Rights { can_restrict_members: false, ..Rights::FULL }));
    town.act(Act::Join { user: ANN, chat: OLD });
    town.says(OLD, "with the right to restrict members").await;
    town.act(Act::Join { user: BOB, chat: OLD });
    town.has_heard().await;
    let muted = |user| town.member(OLD, user).is_muted();
    assert_eq!((town.said(OLD, "I cannot do all of my work"), muted(ANN), muted(BOB)), (1, false, false));
    // A second call may have been on its way before the answer to the first was understood.
    let statuses: Vec<_> = town.calls("restrictChatMember", OLD).iter().map(|call| call.status).collect();
    assert!((1..=2).contains(&statuses.len()) && statuses.iter().all(|status| *status == 400), "{statuses:?}");

    town.act(promote(Rights::FULL));
    eventually("the rule goes on", async || muted(ANN) && muted(BOB)).await;
    town.has_heard().await;
    assert_eq!(town.said(OLD, "I cannot do all of my work"), 1);
    town.end().await;
}

pub(crate) async fn e43_the_end_of_protection_frees_nobody_without_the_right_to_restrict_and_everybody_when_it_is_back()
{
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    let promote = |rights| town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights });
    promote(Rights { can_restrict_members: false, ..Rights::FULL });
    town.has_heard().await;
    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "everybody whom I muted stays muted until I may").await;
    town.has_heard().await;
    assert!(town.member(GROUP, ANN).is_muted());
    promote(Rights::FULL);
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    town.says(GROUP, "Everybody whom I muted is free: 1").await;
    town.end().await;
}

pub(crate) async fn e77_without_the_right_to_invite_administrators_hear_that_requests_are_left_to_them() {
    let town = Town::protected("@news").await;
    let promote = |chat, rights| town.act(Act::Promote { admin: OWNER, chat, user: town.bot, rights });
    let uninviting = Rights { can_invite_users: false, ..Rights::FULL };
    promote(GROUP, uninviting);
    town.says(GROUP, "whoever asks to be let in is left to you").await;
    promote(GROUP, Rights { can_change_info: false, ..uninviting });
    town.has_heard().await;
    assert_eq!((town.said(GROUP, "left to you"), town.said(GROUP, "I cannot do all of my work")), (1, 0));
    // E37: into a channel without a name nobody gets but by a link.
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "News".to_owned(), username: None });
    promote(NEWS, uninviting);
    town.say(OWNER, GROUP, &format!("/protect {NEWS}"));
    town.says(GROUP, "or whoever is muted finds no way in").await;
    assert_eq!(town.said(GROUP, "left to you"), 2, "what is lacking is said again");
    town.end().await;
}

pub(crate) async fn e76_thrown_out_the_bot_stops_and_added_again_it_goes_on_with_what_was_set() {
    let town = Town::protected("@news").await;
    let about_group = || town.telegram.calls().iter().filter(|call| call.chat == Some(GROUP)).count();
    let before = about_group();
    town.act(Act::Demote { admin: OWNER, chat: GROUP, user: town.bot });
    town.act(Act::AdminBan { admin: OWNER, chat: GROUP, user: town.bot });
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("it lets the group be", async || {
        let before = about_group();
        town.has_heard().await;
        about_group() == before
    })
    .await;
    assert!(about_group() <= before + 3, "it goes on in a group that it is out of");

    town.act(Act::AdminUnban { admin: OWNER, chat: GROUP, user: town.bot });
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL });
    town.says(GROUP, "I am back").await;
    town.act(Act::Join { user: BOB, chat: GROUP });
    eventually("Bob is muted", async || town.member(GROUP, BOB).is_muted()).await;
    town.say(ANN, GROUP, "hello");
    eventually("so is Ann", async || town.member(GROUP, ANN).is_muted() && town.standing(GROUP, ANN) == 0).await;
    town.end().await;
}

pub(crate) async fn e76_e78_what_was_to_be_deleted_where_the_bot_is_thrown_out_is_let_be() {
    let town = Town::protected("@news").await;
    let (method, kind) = (Some("deleteMessages"), FaultKind::Page(502));
    town.telegram.inject(Fault { method, chat: Some(GROUP), every: 1, times: 1_000, kind });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.say(ANN, GROUP, "hello");
    eventually("it is tried", async || !town.calls("deleteMessages", GROUP).is_empty()).await;
    let pending = async || town.rows("intents WHERE done_ms IS NULL AND kind = 'delete'").await;
    assert!(pending().await > 0);
    town.act(Act::Demote { admin: OWNER, chat: GROUP, user: town.bot });
    town.act(Act::AdminBan { admin: OWNER, chat: GROUP, user: town.bot });
    town.has_heard().await;
    town.telegram.mend();
    // Also what is to go later, such as a command and its answer.
    town.change_rows("UPDATE intents SET not_before_ms = 0 WHERE done_ms IS NULL AND kind = 'delete'").await;
    eventually("nothing is to be deleted any more", async || pending().await == 0).await;
    town.end().await;
}

pub(crate) async fn e77_where_members_are_hidden_a_bot_that_is_no_administrator_says_at_once_what_it_needs() {
    let town = Town::founded(|spec| spec.hidden_members = spec.id == GROUP).await;
    let needs = "To see who you are I need to be an administrator";
    let anonymous = Rights { is_anonymous: true, ..Rights::FULL };
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: BOB, rights: anonymous });
    town.say(OWNER, GROUP, "/settings");
    town.says(GROUP, "Settings of Group").await;
    town.act(Act::Demote { admin: OWNER, chat: GROUP, user: town.bot });
    assert!(town.press(OWNER, "Look at edits").await.starts_with(needs));
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "here I need to be an administrator with the right to restrict members and to delete").await;
    town.say(BOB, GROUP, "/settings check_edits");
    town.says(GROUP, "Press the button as yourself").await;
    assert!(town.press(BOB, "I am an administrator").await.starts_with(needs));
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL });
    assert_eq!(town.press(BOB, "I am an administrator").await, "Done.");
    town.says(GROUP, "check_edits: no").await;
    assert_eq!(town.said(GROUP, "Telegram does not answer"), 0);
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e14_every_kind_of_update_that_is_needed_is_asked_for_by_name() {
    let town = Town::new().await;
    let mut kinds = Vec::new();
    eventually("the webhook is registered", async || {
        let info = town.telegram.world(|world| world.call(0, "getWebhookInfo", &json!({})).body);
        kinds = info["result"]["allowed_updates"].as_array().cloned().unwrap_or_default();
        !kinds.is_empty()
    })
    .await;
    for kind in ["message", "edited_message", "callback_query", "chat_member", "my_chat_member", "chat_join_request"] {
        assert!(kinds.contains(&json!(kind)), "{kind} is not asked for: {kinds:?}");
    }
    assert!(!kinds.contains(&json!("message_reaction")), "E62");
    town.end().await;
}

pub(crate) async fn e42_who_turns_out_to_be_an_administrator_is_looked_up_and_let_be() {
    const OLD: ChatId = ChatId(-1_001_000_000_042);
    let town = Town::new().await;
    // He came so long ago that Telegram's caches know it.
    let now_ms = town.telegram.now_ms();
    town.found(now_ms - 120_000, ChatSpec::new(OLD, ChatKind::Supergroup, "Old"));
    town.telegram.world(|world| world.act(now_ms - 110_000, Act::Join { user: BOB, chat: OLD })).unwrap();
    town.act(Act::Join { user: BOB, chat: NEWS });
    town.say(OWNER, OLD, "/protect @news");
    town.says(OLD, "Protected: ").await;
    town.has_heard().await;
    // Telegram never tells that he is promoted.
    let rights = Rights::default();
    town.telegram.world(|world| {
        world.act(now_ms, Act::Promote { admin: OWNER, chat: OLD, user: BOB, rights }).unwrap();
        world.take_updates();
    });
    let asked = town.lookups(BOB);
    town.act(Act::Leave { user: BOB, chat: NEWS });
    let statuses = || town.calls("restrictChatMember", OLD).iter().map(|call| call.status).collect::<Vec<_>>();
    eventually("he cannot be muted", async || statuses().contains(&400)).await;
    eventually("he is looked up", async || town.lookups(BOB) > asked).await;
    let waits = || town.telegram.world(|world| world.button_messages(OLD).count());
    eventually("he waits for nothing", async || waits() == 0).await;
    town.say(BOB, OLD, "hello");
    town.has_heard().await;
    assert_eq!((town.standing(OLD, BOB), waits()), (1, 0));
    // A second call may have been on its way before the answer to the first was understood.
    assert!(statuses().len() <= 2 && statuses().iter().all(|status| *status == 400), "{:?}", statuses());
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e78_a_token_that_telegram_does_not_know_is_said_in_the_log_with_what_to_do() {
    let town = Town::new().await;
    let (dir, stranger) = (Directory::new(), fresh_bot());
    let settings = settings(stranger, &town.telegram.api_url(), &dir.sqlite_url());
    let program = Running::start("nezuko", "nezuko", &dir, &settings).await;
    let told = |logs: Vec<(String, String)>| {
        logs.iter().any(|(_, log)| log.contains("Telegram does not know this token: get the right one from BotFather"))
    };
    eventually("it says so", async || told(dir.logs())).await;
    assert!(dir.logs().iter().all(|(_, log)| !log.contains(&token(stranger))), "and not the token");
    program.stop().await;
    town.end().await;
}
