//! Log chats with the real program, as stories: what was done is told, and undone by buttons.
#![allow(clippy::unwrap_used)]

#[path = "commands_story/mod.rs"]
mod story;
mod support;

use loadtest::world::{Act, Happened, Member, MessageId, Permissions, Pressed, Rights};
use story::{ANN, BOB, CHANNEL, GROUP, OWNER, SECOND, Story};
use support::eventually;

/// A story in which the second channel is the group's log chat, and Ann waits.
async fn with_a_log() -> Story {
    let story = Story::begin().await;
    story.owner("/protect @channel", "Protected: ").await;
    story.owner("/settings log_chat @second", "log_chat is now: -1001000000012").await;
    story.act(Act::Join { user: ANN, chat: GROUP });
    story.is_muted(ANN, true).await;
    story
}

/// Somebody who sees the log chat presses a button there, and is answered by something with this in it.
async fn press(story: &Story, user: loadtest::world::UserId, message: MessageId, label: &str, answer: &str) {
    let before = story.answers().len();
    story.act(Act::PressButton { user, chat: SECOND, message, button: Pressed::Labelled(label.to_owned()) });
    eventually("a press is answered", async || story.answers().len() > before).await;
    let answers = story.answers();
    assert!(answers[before].contains(answer), "{:?} instead of {answer:?}", answers[before]);
}

/// When messages came into the log chat, Unix milliseconds.
fn told_ms(story: &Story) -> Vec<i64> {
    story.telegram.world(|world| {
        let told = world.history().iter().filter(|entry| matches!(entry.what, Happened::Sent { chat: SECOND, .. }));
        told.map(|entry| entry.at_ms).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_told_in_batches_and_undone_by_administrators_of_the_group() {
    let story = with_a_log().await;
    let line = story.says(SECOND, "1. Ann: muted").await;
    assert_eq!(story.text_of(SECOND, line), "Chat\n1. Ann: muted");
    // Whoever runs the log chat need not be anybody in the group.
    story.act(Act::Promote { admin: OWNER, chat: SECOND, user: BOB, rights: Rights::FULL });
    press(&story, BOB, line, "1. Free", "Only administrators of this group").await;
    press(&story, BOB, line, "1. Ban", "Only administrators of this group").await;
    story.is_muted(ANN, true).await;
    // Three in five seconds: one message.
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.is_muted(BOB, true).await;
    press(&story, OWNER, line, "1. Free", "Done.").await;
    story.is_muted(ANN, false).await;
    let both = story.says(SECOND, "Ann: freed").await;
    assert!(story.text_of(SECOND, both).contains("Bob: muted"), "{}", story.text_of(SECOND, both));
    let told = told_ms(&story);
    assert!(told.windows(2).all(|two| two[1] - two[0] >= 4_900), "{told:?}");
    press(&story, OWNER, line, "1. Free", "That is so already.").await;
    press(&story, OWNER, line, "1. Exempt", "Done.").await;
    press(&story, OWNER, line, "1. Exempt", "That is so already.").await;
    // Whom an administrator has exempted may leave and come back.
    story.act(Act::Leave { user: ANN, chat: GROUP });
    story.act(Act::Join { user: ANN, chat: GROUP });
    story.write(ANN, GROUP, "here I am again");
    press(&story, OWNER, line, "1. Ban", "Done.").await;
    let now_ms = story.telegram.now_ms();
    let banned = story.telegram.world(|world| world.member(GROUP, ANN, now_ms));
    assert!(matches!(banned, Member::Kicked { .. }), "{banned:?}");
    story.says(SECOND, "banned").await;
    press(&story, OWNER, line, "1. Ban", "That is so already.").await;
    // The administrator's ban is theirs to lift.
    story.act(Act::Join { user: ANN, chat: CHANNEL });
    story.act(Act::Join { user: BOB, chat: CHANNEL });
    story.is_muted(BOB, false).await;
    story.says(SECOND, "Bob: freed").await;
    let banned = story.telegram.world(|world| world.member(GROUP, ANN, now_ms));
    assert!(matches!(banned, Member::Kicked { .. }), "{banned:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_muted_is_banned_by_one_call_and_one_line() {
    let story = with_a_log().await;
    let line = story.says(SECOND, "1. Ann: muted").await;
    press(&story, OWNER, line, "1. Ban", "Done.").await;
    let now_ms = story.telegram.now_ms();
    let banned = story.telegram.world(|world| world.member(GROUP, ANN, now_ms));
    assert_eq!(banned, Member::Kicked { until: 0 });
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.is_muted(BOB, true).await;
    let line = story.says(SECOND, "Bob: muted").await;
    assert!(story.said(SECOND, "Ann: put back").is_none(), "{}", story.text_of(SECOND, line));
    assert_eq!(story.telegram.calls().iter().filter(|call| call.method == "banChatMember").count(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_freed_has_what_an_administrator_had_left_them() {
    let story = with_a_log().await;
    let restrict =
        Act::AdminRestrict { admin: OWNER, chat: GROUP, user: BOB, permissions: Permissions::TEXT, for_s: 3_600 };
    story.act(Act::Join { user: BOB, chat: CHANNEL });
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.act(restrict);
    let member = || {
        let now_ms = story.telegram.now_ms();
        story.telegram.world(|world| world.member(GROUP, BOB, now_ms))
    };
    let imposed = member();
    story.act(Act::Leave { user: BOB, chat: CHANNEL });
    story.is_muted(BOB, true).await;
    let line = story.says(SECOND, "Bob: muted").await;
    let number = story.text_of(SECOND, line).lines().skip(1).position(|line| line.contains("Bob: muted")).unwrap() + 1;
    press(&story, OWNER, line, &format!("{number}. Free"), "Done.").await;
    eventually("he has it again", async || member() == imposed).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_messages_were_deleted_is_told_and_how_many() {
    let story = with_a_log().await;
    story.act(Act::Join { user: BOB, chat: GROUP });
    for text in ["buy", "this", "now"] {
        story.write(BOB, GROUP, text);
    }
    let told = || {
        let deletions = |line: &str| match line.split_once(". Bob: ")?.1.split_once(' ')? {
            ("message", "deleted") => Some(1),
            (many, "messages deleted") => many.parse().ok(),
            _ => None,
        };
        story.telegram.world(|world| {
            let lines = world.chat(SECOND).unwrap().messages().flat_map(|message| message.text.lines());
            lines.filter_map(deletions).sum::<usize>()
        })
    };
    eventually("each deletion is told", async || told() == 3).await;
    story.is_muted(BOB, true).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_chat_that_refuses_is_told_nothing_more_and_the_group_once() {
    let story = with_a_log().await;
    story.says(SECOND, "1. Ann: muted").await;
    let bot = story.telegram.world(|world| world.bot().id);
    story.act(Act::Demote { admin: OWNER, chat: SECOND, user: bot });
    for _ in 0..2 {
        story.act(Act::Join { user: ANN, chat: CHANNEL });
        story.is_muted(ANN, false).await;
        story.says(GROUP, "I can no longer write in the log channel").await;
        story.act(Act::Leave { user: ANN, chat: CHANNEL });
        story.is_muted(ANN, true).await;
    }
    let refused = story.refused_calls();
    assert_eq!(refused.len(), 1, "tried once: {refused:?}");
    let notices = story.telegram.world(|world| {
        let messages = world.chat(GROUP).unwrap().messages();
        messages.filter(|message| message.text.starts_with("I can no longer write")).count()
    });
    assert_eq!(notices, 1);
    // An administrator sets it anew.
    story.act(Act::Promote { admin: OWNER, chat: SECOND, user: bot, rights: Rights::FULL });
    story.owner("/settings log_chat @second", "log_chat is now: ").await;
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.says(SECOND, "Bob: muted").await;
    story.program.stop().await;
}
