//! What people ask for themselves, and administrators about people, with the real program, as stories.
#![allow(clippy::unwrap_used)]

#[path = "commands_story/mod.rs"]
mod story;
mod support;

use loadtest::world::{Act, Content, Pressed, Rights};
use story::{ANN, BOB, CHANNEL, GROUP, OTHER, OWNER, Story};
use support::{eventually, servers::count_rows};

#[tokio::test(flavor = "multi_thread")]
async fn e72_verify_checks_in_the_group_in_private_and_by_a_link_that_is_ones_own() {
    let story = Story::with_ann_waiting().await;
    // In private, in the language of the person.
    story.write(ANN, ANN.private_chat(), "/verify");
    story.says(ANN.private_chat(), "Chat: Noch nicht beigetreten: @channel").await;
    story.write(ANN, ANN.private_chat(), "/start");
    let menu = story.says(ANN.private_chat(), "Ich sorge dafür").await;
    let links = story.links_of(ANN.private_chat(), menu);
    assert_eq!(
        links,
        ["https://t.me/nezuko_test_bot?startgroup=true&admin=restrict_members+delete_messages+invite_users"]
    );
    story.write(BOB, BOB.private_chat(), "/verify");
    story.says(BOB.private_chat(), "You are waiting in no group").await;
    // Who comments without being in the group is not muted before they write: the command goes as a message (E64), and
    // is carried out.
    story.write(BOB, GROUP, "/verify");
    let checked = story.says(GROUP, "You have not joined yet: @channel").await;
    let links = story.links_of(GROUP, checked);
    let (_, payload) = links.iter().find_map(|link| link.split_once("?start=")).unwrap();
    // E103: for nobody else.
    story.write(ANN, ANN.private_chat(), &format!("/start {payload}"));
    story.says(ANN.private_chat(), "Dieser Link ist nicht für dich").await;
    story.write(BOB, BOB.private_chat(), &format!("/start {payload}"));
    story.says(BOB.private_chat(), "Chat: You have not joined yet: @channel").await;
    story.act(Act::Join { user: ANN, chat: CHANNEL });
    story.is_muted(ANN, false).await;
    story.write(ANN, GROUP, "/verify");
    story.says(GROUP, "You can already write here.").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e75_who_has_joined_a_moment_before_pressing_is_not_told_that_they_have_not() {
    let story = Story::with_ann_waiting().await;
    let prompt = story.said(GROUP, "please join").unwrap();
    story.telegram.world(|world| world.switches.membership_lag_ms = 1_200);
    story.act(Act::Join { user: ANN, chat: CHANNEL });
    story.press(ANN, prompt, Pressed::Labelled("I have joined".to_owned()), "You can").await;
    story.is_muted(ANN, false).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e107_whom_an_administrator_allows_is_free_until_disallowed() {
    let story = Story::with_ann_waiting().await;
    story.owner("/allow", "/allow – as a reply").await;
    story.owner(&format!("/allow {ANN}"), "11 may write here without having joined.").await;
    story.is_muted(ANN, false).await;
    story.write(ANN, GROUP, "thank you");
    let written = story.newest_of(ANN);
    story.reply(OWNER, written, "/disallow");
    story.says(GROUP, "Ann is treated like everybody else again.").await;
    story.is_muted(ANN, true).await;
    // Who is freed by hand stays free, whatever the list says.
    story.act(Act::AdminUnmute { admin: OWNER, chat: GROUP, user: ANN });
    story.is_muted(ANN, false).await;
    eventually("the bot is told", async || story.telegram.pending() == 0).await;
    story.reply(OWNER, written, "/disallow");
    story.says(GROUP, "Ann is no exception any more, but may go on writing").await;
    let prompt = story.replies().into_iter().find(|(_, text)| text.contains("may write here")).unwrap().0;
    story.reply(OWNER, prompt, "/allow");
    eventually("nobody is meant", async || story.replies().pop().unwrap().1.starts_with("/allow – as a reply")).await;
    story.owner("/allow @second", "Chat may write here without having joined.").await;
    story.owner("/disallow -1001000000012", "Chat is treated like everybody else again.").await;
    story.owner("/allow @nobody", "I cannot find @nobody").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protect_takes_several_forwarded_posts_and_no_circles() {
    let story = Story::begin().await;
    story.owner("/protect", "/protect @channel – also several").await;
    story.owner("/protect @channel, what?", "/protect @channel – also several").await;
    story.owner("/protect @channel, @second", "Protected: who writes here must have joined @channel, @second.").await;
    story.owner("/channels", "• @second (-1001000000012)").await;
    story.owner("/unprotect @channel @second", "/unprotect [@channel]").await;
    story.owner("/unprotect t.me/channel", "@channel is no longer required.").await;
    story.owner("/unprotect @channel", "That channel is not required here.").await;
    story.owner("/unprotect", "No longer protected.").await;
    // By reply to a forwarded post, also after all was over.
    let content = Content::Forwarded { from: CHANNEL, text: "news".to_owned() };
    story.act(Act::Write { user: OWNER, chat: GROUP, content, thread: None });
    let post = story.newest_of(OWNER);
    let before = story.replies().len();
    story.reply(OWNER, post, "/protect");
    eventually("answered", async || story.replies().len() > before).await;
    assert_eq!(story.replies().pop().unwrap().1, "Protected: who writes here must have joined @channel.");
    // E39: neither itself nor round in a circle.
    story.owner(&format!("/protect {GROUP}"), "A group cannot require itself.").await;
    story.write(OWNER, OTHER, &format!("/protect {GROUP}"));
    story.says(OTHER, "Protected: ").await;
    story.owner(&format!("/protect {OTHER}"), "requires this group already").await;
    // E40: nobody else's channel.
    story.act(Act::Promote { admin: OWNER, chat: GROUP, user: BOB, rights: Rights::FULL });
    story.write(BOB, GROUP, "/protect @second");
    story.says(GROUP, "Only an administrator of @second can have it required here.").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_raids_rechecks_and_the_end_of_protection_are_told() {
    let story = Story::with_ann_waiting().await;
    story.act(Act::Join { user: BOB, chat: GROUP });
    story.is_muted(BOB, true).await;
    story.owner("/status", "Waiting: 2. Muted by me: 2.").await;
    story.owner("/stats", "Last 24 hours: 2 muted, 0 freed").await;
    story.owner("/raid on 90", "Raid: prompts are folded together for 90 minutes.").await;
    story.owner("/raid off", "The raid is over.").await;
    story.owner("/raid", "/raid on [minutes] | off").await;
    let lookups = story.lookups_of(BOB);
    let recheck = story.owner("/recheck", "people again").await;
    eventually("everybody is looked up", async || story.text_of(GROUP, recheck).starts_with("Looked up again: all"))
        .await;
    assert!(story.lookups_of(BOB) > lookups);
    let over = story.owner("/unprotect", "No longer protected.").await;
    story.is_muted(ANN, false).await;
    story.is_muted(BOB, false).await;
    eventually("told when all are free", async || story.text_of(GROUP, over).ends_with("is free: 2.")).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e106_whoever_asks_is_forgotten_but_for_a_mute_that_is_to_be_lifted() {
    let story = Story::with_ann_waiting().await;
    story.write(ANN, ANN.private_chat(), "/forget_me");
    story.says(ANN.private_chat(), "außer in 1 Gruppe").await;
    story.act(Act::Join { user: ANN, chat: CHANNEL });
    story.is_muted(ANN, false).await;
    let in_force = "ledger WHERE lifted_ms IS NULL";
    eventually("the mute is known to be lifted", async || count_rows(&story.dir.sqlite_url(), in_force).await == 0)
        .await;
    story.write(ANN, ANN.private_chat(), "/forget_me");
    story.says(ANN.private_chat(), "Was ich über dich wusste, ist gelöscht.").await;
    assert_eq!(count_rows(&story.dir.sqlite_url(), "members WHERE user_id = 11").await, 0);
    assert_eq!(count_rows(&story.dir.sqlite_url(), "verifications WHERE user_id = 11").await, 0);
    assert!(count_rows(&story.dir.sqlite_url(), "verifications").await > 0);

    // Whom an administrator has done something about, and the administrator.
    story.owner("/allow 11", "may write").await;
    let rows = async |of: &str| count_rows(&story.dir.sqlite_url(), of).await;
    eventually("that is in the records", async || rows("audit WHERE actor_id = 10 AND subject_id = 11").await > 0)
        .await;
    story.write(ANN, ANN.private_chat(), "/forget_me");
    eventually("but for whom it was about", async || rows("audit WHERE subject_id = 11").await == 0).await;
    assert!(rows("audit WHERE actor_id = 10").await > 0);
    story.write(OWNER, OWNER.private_chat(), "/forget_me");
    eventually("and for who did it", async || rows("audit WHERE actor_id = 10").await == 0).await;
    assert!(rows("group_owners WHERE owner_id = 10").await > 0, "whose groups there are is kept for their quota");
    story.end().await;
}
