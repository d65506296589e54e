//! Commands, buttons and settings with the real program, as stories.
#![allow(clippy::unwrap_used)]

#[path = "commands_story/mod.rs"]
mod story;
mod support;

use loadtest::world::{Act, Happened, Pressed, Rights};
use story::{ANN, BOB, CHANNEL, GROUP, OTHER, OWNER, Story};
use support::{eventually, servers::count_rows};

fn labelled(label: &str) -> Pressed {
    Pressed::Labelled(label.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn menus_are_set_once_and_help_names_every_command() {
    let story = Story::begin().await;
    eventually("menus are set", async || {
        story.telegram.world(|world| world.commands("all_chat_administrators", "de").is_array())
    })
    .await;
    story.telegram.world(|world| {
        let names = |scope: &str, language: &str| -> Vec<String> {
            let menu = world.commands(scope, language).as_array().unwrap();
            menu.iter().map(|command| command["command"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("default", ""), ["start", "help", "verify", "forget_me"]);
        assert_eq!(names("all_chat_administrators", "de"), names("all_chat_administrators", ""));
        assert_eq!(names("all_chat_administrators", "").len(), 16);
        assert_eq!(world.commands("default", "de")[1]["description"], "was ich kann");
    });
    let help = story.owner("/help", "/protect – ").await;
    let help = story.text_of(GROUP, help);
    for command in ["start", "verify", "forget_me", "recheck", "import"] {
        assert!(help.contains(&format!("/{command} – ")), "{help}");
    }
    story.owner("/help@nezuko_test_bot", "For administrators").await;
    story.write(OWNER, GROUP, "/help@another_bot");
    story.owner("/channels", "No channel is required").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e85_nobody_without_the_right_to_restrict_changes_anything() {
    let story = Story::begin().await;
    story.act(Act::Join { user: ANN, chat: GROUP });
    let rights = Rights { can_restrict_members: false, ..Rights::FULL };
    story.act(Act::Promote { admin: OWNER, chat: GROUP, user: BOB, rights });
    // A member, and an administrator without that right.
    for (user, command) in
        [(ANN, "/protect @channel"), (BOB, "/settings dry_run on"), (ANN, "/import {}"), (BOB, "/raid on")]
    {
        let before = story.replies().len();
        story.write(user, GROUP, command);
        eventually("an answer", async || story.replies().len() > before).await;
        let (_, text) = story.replies().pop().unwrap();
        assert!(text.starts_with("Only administrators of this group who may restrict"), "{command}: {text}");
    }
    story.owner("/status", "not protected").await;
    story.owner("/settings dry_run", "dry_run: no").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e68_forged_foreign_and_stale_presses_change_nothing_and_are_answered_alike() {
    let story = Story::with_ann_waiting().await;
    let prompt = story.said(GROUP, "please join").unwrap();
    let genuine = story.telegram.world(|world| {
        let mut messages = world.button_messages(GROUP);
        messages.next_back().unwrap().callback_data().unwrap().to_owned()
    });
    let mut bytes = genuine.clone().into_bytes();
    bytes[5] = if bytes[5] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(bytes).unwrap();
    let lookups = story.lookups_of(ANN);
    for data in [tampered, "verify".to_owned(), "x".repeat(64), "é\u{202e}".to_owned()] {
        story.press(ANN, prompt, Pressed::Forged(data), "This button does nothing any more.").await;
    }
    assert_eq!(story.lookups_of(ANN), lookups, "a forged press costs no lookup");
    story.is_muted(ANN, true).await;
    assert!(story.said(GROUP, "please join").is_some(), "the prompt stands");
    // A genuine button of this group elsewhere.
    story.act(Act::Join { user: ANN, chat: OTHER });
    story.write(OWNER, OTHER, "/settings");
    let panel = story.says(OTHER, "Settings of").await;
    let before = story.answers().len();
    let button = Pressed::Forged(genuine);
    story.act(Act::PressButton { user: ANN, chat: OTHER, message: panel, button });
    eventually("answered", async || story.answers().len() > before).await;
    assert_eq!(story.answers().pop().unwrap(), "This button does nothing any more.");
    assert_eq!(story.program.metric("nezuko_presses_total").await, 5);
    // The standing prompt's button acts for the presser, and for nobody who is named in it (E67).
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.is_muted(BOB, true).await;
    story.act(Act::Join { user: BOB, chat: CHANNEL });
    story.is_muted(BOB, false).await;
    let prompt = story.says(GROUP, "please join").await;
    story.press(BOB, prompt, labelled("I have joined"), "You can already write here.").await;
    story.press(ANN, prompt, labelled("I have joined"), "You have not joined yet: @channel").await;
    story.is_muted(ANN, true).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e104_a_flood_of_presses_is_answered_silently() {
    let story = Story::with_ann_waiting().await;
    let prompt = story.said(GROUP, "please join").unwrap();
    for _ in 0..24 {
        story.press(ANN, prompt, Pressed::Forged("no button".to_owned()), "").await;
    }
    let answers = story.answers();
    assert_eq!(answers.iter().filter(|text| text.is_empty()).count(), 4, "{answers:?}");
    // Nobody else has to wait for it.
    story.act(Act::Join { user: BOB, chat: CHANNEL });
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.press(BOB, prompt, labelled("I have joined"), "You can already write here.").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e104_a_flood_of_commands_is_passed_over_and_holds_up_nobody() {
    let story = Story::begin().await;
    for _ in 0..40 {
        story.write(ANN, ANN.private_chat(), "/start");
    }
    let told = || {
        story.telegram.world(|world| {
            let sent = |what: &Happened| matches!(what, Happened::Sent { chat, author, .. } if *chat == ANN.private_chat() && *author == world.bot().id);
            world.history().iter().filter(|entry| sent(&entry.what)).count()
        })
    };
    story.write(BOB, BOB.private_chat(), "/start");
    story.says(BOB.private_chat(), "I see to it").await;
    let carried_out =
        async || count_rows(&story.dir.sqlite_url(), "intents WHERE kind = 'command' AND done_ms > 0").await;
    eventually("all are done with", async || carried_out().await == 41).await;
    let replies = count_rows(&story.dir.sqlite_url(), "intents WHERE kind = 'reply'").await;
    assert_eq!(replies, 31, "thirty of one person, and one of another");
    assert!(told() <= 30);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e70_e73_e74_who_presses_too_often_too_early_or_too_late_is_told_how_they_stand() {
    let story = Story::with_ann_waiting().await;
    let prompt = story.said(GROUP, "please join").unwrap();
    // E70: the first is still being looked into.
    let before = story.answers().len();
    for _ in 0..2 {
        story.act(Act::PressButton { user: ANN, chat: GROUP, message: prompt, button: labelled("I have joined") });
    }
    eventually("both are answered", async || story.answers().len() == before + 2).await;
    let mut answers = story.answers().split_off(before);
    answers.sort();
    assert_eq!(answers, ["I am still checking, one moment please.", "You have not joined yet: @channel"]);
    // E73: an administrator was never muted.
    story.press(OWNER, prompt, labelled("I have joined"), "You can already write here.").await;
    // E74: the group is protected no longer.
    story.owner("/unprotect", "No longer protected.").await;
    story.act(Act::PressButton { user: ANN, chat: GROUP, message: prompt, button: labelled("I have joined") });
    story.is_muted(ANN, false).await;
    eventually("the prompt goes", async || story.said(GROUP, "please join").is_none()).await;
    eventually("it is answered", async || story.answers().len() == before + 4).await;
    let last = story.answers().pop().unwrap();
    assert!(last.contains("You can") || last.contains("can write now"), "{last}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e71_a_press_on_a_message_that_is_gone_is_looked_into_like_any_other() {
    let story = Story::with_ann_waiting().await;
    let prompt = story.said(GROUP, "please join").unwrap();
    let genuine = story
        .telegram
        .world(|world| world.button_messages(GROUP).next_back().unwrap().callback_data().unwrap().to_owned());
    story.act(Act::DeleteMessage { admin: OWNER, chat: GROUP, message: Some(prompt) });
    let lookups = story.lookups_of(ANN);
    story.press(ANN, prompt, Pressed::Forged(genuine.clone()), "You have not joined yet: @channel").await;
    assert!(story.lookups_of(ANN) > lookups);
    story.act(Act::Join { user: BOB, chat: CHANNEL });
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.press(BOB, prompt, Pressed::Forged(genuine), "You can already write here.").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_stand_where_they_are_not_to_be_cleaned() {
    let story = Story::begin().await;
    // By then the bot knows that it may delete.
    story.says(GROUP, "/protect @channel").await;
    let removals = async || count_rows(&story.dir.sqlite_url(), "intents WHERE kind = 'delete' AND chat_id < 0").await;
    // As it was when the command was given.
    story.owner("/settings clean_commands no", "clean_commands is now: no").await;
    eventually("this one and its answer are to go", async || removals().await == 2).await;
    story.owner("/channels", "No channel is required").await;
    story.owner("/settings clean_commands yes", "clean_commands is now: yes").await;
    story.owner("/channels", "No channel is required").await;
    eventually("this one and its answer are to go", async || removals().await > 2).await;
    assert_eq!(removals().await, 4, "those in between stand");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e3_an_anonymous_administrator_proves_themselves_by_a_button() {
    let story = Story::begin().await;
    let rights = Rights { is_anonymous: true, ..Rights::FULL };
    for chat in [GROUP, CHANNEL] {
        story.act(Act::Promote { admin: OWNER, chat, user: BOB, rights });
    }
    story.act(Act::Join { user: ANN, chat: GROUP });
    story.write(BOB, GROUP, "/protect @channel");
    let proof = story.says(GROUP, "Press the button as yourself").await;
    story.press(ANN, proof, labelled("I am an administrator"), "Only administrators of this group").await;
    assert!(story.said(GROUP, "Protected: ").is_none());
    story.press(BOB, proof, labelled("I am an administrator"), "Done.").await;
    story.says(GROUP, "Protected: ").await;
    story.is_muted(ANN, true).await;
    // Once, however often it is pressed.
    story.press(BOB, proof, labelled("I am an administrator"), "This button does nothing any more.").await;
    let protected = story.replies().iter().filter(|(_, text)| text.starts_with("Protected: ")).count();
    assert_eq!(protected, 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_sets_what_its_buttons_say_for_administrators_only() {
    let story = Story::with_ann_waiting().await;
    let panel = story.owner("/settings", "Settings of Chat").await;
    story.press(ANN, panel, labelled("Language"), "Only administrators of this group").await;
    story.press(OWNER, panel, labelled("Look at edits: no"), "Look at edits: yes").await;
    eventually("the panel shows it", async || {
        story.telegram.world(|world| {
            let mut messages = world.chat(GROUP).unwrap().messages();
            messages.any(|message| message.id == panel && message.data_of("Look at edits: yes").is_some())
        })
    })
    .await;
    story.press(OWNER, panel, labelled("Language: English"), "Sprache: Deutsch").await;
    eventually("the panel is in German", async || story.text_of(GROUP, panel).contains("Einstellungen von")).await;
    // The prompt, too, which is edited and not sent again.
    let prompts = story.telegram.world(|world| world.button_messages(GROUP).count());
    story.says(GROUP, "Um hier zu schreiben, tritt bitte erst @channel bei").await;
    assert_eq!(story.telegram.world(|world| world.button_messages(GROUP).count()), prompts);
    story.owner("/status", "Diese Gruppe ist geschützt").await;
    story.owner("/settings language en", "language is now: English").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_set_by_text_and_refused_with_reasons() {
    let story = Story::begin().await;
    story.owner("/settings grace_s 120", "grace_s is now: 2 minutes").await;
    story.owner("/settings grace_s forever", "must be a whole number").await;
    story.owner("/settings timeout_s 5", "timeout_s must be 60 to 2592000 seconds").await;
    story.owner("/settings sender_chats perhaps", "can be: allow, delete, ban").await;
    story.owner("/settings nothing 5", "There is no setting nothing").await;
    story.owner("/settings prompt_text Join us!", "must contain {channels} once").await;
    story.owner("/settings log_chat @second", "log_chat is now: -1001000000012").await;
    story.owner("/settings log_chat @nobody", "I must be able to write in @nobody").await;
    story.owner("/settings grace_s", "grace_s: 2 minutes").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_go_out_and_come_in_as_json() {
    let story = Story::with_ann_waiting().await;
    story.owner("/settings prompt_text <b>{names}</b>: {channels}!", "prompt_text is now: <b>{names}").await;
    story.says(GROUP, "<b>Ann</b>: @channel!").await;
    let export = story.owner("/export", "{\"nezuko_settings\":1,").await;
    let exported = story.text_of(GROUP, export);
    assert!(exported.contains("\"prompt_text\":\"<b>{names}"), "{exported}");
    story.owner("/settings prompt_text off", "prompt_text is now: off").await;
    let before = story.replies().len();
    story.reply(OWNER, export, "/import");
    eventually("imported", async || story.replies().len() > before).await;
    assert_eq!(story.replies().pop().unwrap().1, "Taken over: 1 setting has changed.");
    story.owner(&format!("/import {exported}"), "Everything was like that already.").await;
    let one = r#"/import {"nezuko_settings":1,"settings":{"grace_s":120}}"#;
    story.owner(one, "Taken over: 1 setting has changed.").await;
    story.owner("/settings prompt_text", "prompt_text: <b>{names}").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_export_is_refused_with_everything_that_is_wrong() {
    let story = Story::begin().await;
    let wrong = r#"/import {"nezuko_settings":1,"settings":{"grace_s":-1,"timeout_s":1,"prompt_text":"x"}}"#;
    let refused = story.owner(wrong, "Nothing was taken over:").await;
    let refused = story.text_of(GROUP, refused);
    for name in ["grace_s", "timeout_s", "prompt_text"] {
        assert!(refused.contains(&format!("{name} must")), "all errors at once: {refused}");
    }
    story.owner(r#"/import {"nezuko_settings":2,"settings":{"of":"tomorrow"}}"#, "Version 2").await;
    story.owner("/import nonsense", "This is not what /export writes").await;
    story.owner("/import", "/import – as a reply").await;
    story.owner("/settings grace_s", "grace_s: 0 seconds").await;
    story.end().await;
}
