//! What becomes of those who wait: grace, patience, removal (E34, E47, E49), raids (E98), dry runs.

use std::time::Duration;

use loadtest::world::{Act, Member};
use serde_json::json;

use crate::{
    support::{eventually, play::now_ms},
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

pub(crate) async fn e49_who_waits_for_too_long_is_warned_and_removed_and_may_come_back() {
    let town = Town::protected("@news").await;
    town.set(&[("timeout_action", json!("kick")), ("timeout_s", json!(12))]).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.says(GROUP, "you will be removed soon").await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    eventually("Ann is out", async || town.member(GROUP, ANN) == Member::Left).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann waits anew", async || town.member(GROUP, ANN).is_muted()).await;
    assert_eq!(town.member(GROUP, BOB), Member::Member, "he has joined in time");
    let removals = ["banChatMember", "unbanChatMember"].map(|method| town.calls(method, GROUP).len());
    assert_eq!((removals, town.logged(ANN, "kicked").await), ([1, 1], 1));
    town.end().await;
}

pub(crate) async fn e47_who_waits_for_too_long_is_banned_for_a_while_or_until_they_have_joined() {
    let town = Town::protected("@news").await;
    let settings =
        [("timeout_action", json!("ban")), ("timeout_s", json!(2)), ("ban_s", json!(1)), ("warn_first", json!(false))];
    town.set(&settings).await;
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
    }
    eventually("Bob is muted", async || town.member(GROUP, BOB).is_muted()).await;
    town.act(Act::AdminBan { admin: OWNER, chat: GROUP, user: BOB });
    let begun_s = now_ms() / 1000;
    eventually("Ann is banned", async || matches!(town.member(GROUP, ANN), Member::Kicked { .. })).await;
    let Member::Kicked { until } = town.member(GROUP, ANN) else { panic!("no longer") };
    assert!((begun_s + 55..begun_s + 90).contains(&until), "a minute at least, or it were for ever");
    for user in [BOB, ANN] {
        town.act(Act::Join { user, chat: NEWS });
    }
    eventually("Ann may come back", async || town.member(GROUP, ANN) == Member::Left).await;
    town.has_heard().await;
    assert_eq!(town.member(GROUP, BOB), Member::Kicked { until: 0 }, "E44: not ours to lift");
    town.end().await;
}

pub(crate) async fn whom_the_bot_has_banned_for_a_while_an_administrator_bans_for_good_by_a_button() {
    let town = Town::protected("@news").await;
    let settings = [
        ("timeout_action", json!("ban")),
        ("timeout_s", json!(2)),
        ("warn_first", json!(false)),
        ("log_chat", json!(TALKS.0)),
    ];
    town.set(&settings).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.says(TALKS, "Ann: banned").await;
    assert_eq!(town.press_in(TALKS, OWNER, "1. Ban").await, "Done.");
    eventually("Ann is banned for good", async || town.member(GROUP, ANN) == Member::Kicked { until: 0 }).await;
    town.has_heard().await;
    assert_eq!(town.press_in(TALKS, OWNER, "1. Ban").await, "That is so already.");
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.has_heard().await;
    assert_eq!(town.member(GROUP, ANN), Member::Kicked { until: 0 }, "E44: not ours to lift any more");
    assert_eq!(town.calls("banChatMember", GROUP).len(), 2);
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e34_who_leaves_may_stay_for_a_while_and_who_comes_and_goes_brings_no_new_prompts() {
    let town = Town::protected("@news").await;
    town.set(&[("grace_s", json!(3))]).await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: ANN, chat });
    }
    town.act(Act::Leave { user: ANN, chat: NEWS });
    town.say(ANN, GROUP, "still here");
    town.has_heard().await;
    assert_eq!(town.member(GROUP, ANN), Member::Member);
    eventually("her time is over", async || town.member(GROUP, ANN).is_muted()).await;
    assert_eq!(town.standing(GROUP, ANN), 1, "what she wrote in time stays");

    town.set(&[("grace_s", json!(0))]).await;
    for _ in 0..3 {
        town.act(Act::Join { user: ANN, chat: NEWS });
        eventually("Ann is free, and nobody waits", async || {
            town.member(GROUP, ANN) == Member::Member && town.prompts() == 0
        })
        .await;
        town.act(Act::Leave { user: ANN, chat: NEWS });
        eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    }
    town.has_heard().await;
    assert_eq!(town.prompts_ever(), 1, "it flickers");
    town.end().await;
}

pub(crate) async fn e98_in_a_raid_everybody_is_muted_and_counted_rather_than_named_and_the_administrators_hear_of_it_once()
 {
    let town = Town::protected("@news").await;
    town.set(&[("raid_threshold", json!(5))]).await;
    for nth in 0..12 {
        town.act(Act::Join { user: one_of_many(nth), chat: GROUP });
    }
    eventually("all are muted", async || (0..12).all(|nth| town.member(GROUP, one_of_many(nth)).is_muted())).await;
    let counted = |text: String| text.starts_with("12 people wait:") && !text.contains("Comer");
    eventually("they are counted", async || town.prompt(None).is_some_and(counted)).await;
    town.says(GROUP, "So many people join").await;
    for nth in 12..15 {
        town.act(Act::Join { user: one_of_many(nth), chat: GROUP });
    }
    let counted = |text: String| text.starts_with("15 people wait:");
    eventually("all of them", async || town.prompt(None).is_some_and(counted)).await;
    assert_eq!((town.said(GROUP, "So many people join"), town.prompts_ever()), (1, 1));
    town.say(OWNER, GROUP, "/status");
    town.says(GROUP, "so many people join that they are only counted").await;
    town.say(OWNER, GROUP, "/raid off");
    let named = |text: String| text.contains("Comer");
    eventually("they are named again", async || town.prompt(None).is_some_and(named)).await;
    assert_eq!(town.said(GROUP, "So many people join"), 1, "who came before makes no other raid");
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e98_a_raid_that_was_called_by_hand_ends_by_itself() {
    let town = Town::protected("@news").await;
    town.set(&[("raid_until_ms", json!(now_ms() + 5_000))]).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    let counted = |text: String| text.starts_with("1 person waits:");
    eventually("Ann is counted", async || town.prompt(None).is_some_and(counted)).await;
    eventually("Ann is named", async || town.prompt(None).is_some_and(|text| text.starts_with("Ann:"))).await;
    assert_eq!((town.said(GROUP, "So many people join"), town.prompts_ever()), (0, 1), "they knew");
    town.end().await;
}

pub(crate) async fn e72_a_prompt_that_is_far_up_or_gone_is_sent_anew() {
    let town = Town::protected("@news").await;
    let is_named = async |name: &str| {
        eventually(name, async || town.prompt(None).is_some_and(|text| text.contains("Ann") && text.contains(name)))
            .await;
    };
    for (user, name) in [(ANN, "Ann"), (BOB, "Bob")] {
        town.act(Act::Join { user, chat: GROUP });
        is_named(name).await;
    }
    assert_eq!((town.prompts(), town.prompts_ever()), (1, 1), "who looks sees it");
    town.ages_prompts(Duration::from_secs(660)).await;
    town.act(Act::Join { user: one_of_many(0), chat: GROUP });
    eventually("it is sent anew", async || (town.prompts(), town.prompts_ever()) == (1, 2)).await;
    is_named("Comer 0").await;

    town.act(Act::DeleteMessage { admin: OWNER, chat: GROUP, message: None });
    town.ages_prompts(Duration::from_secs(86_400)).await;
    town.say(OWNER, GROUP, "/settings grace_s 1");
    eventually("it stands again", async || (town.prompts(), town.prompts_ever()) == (1, 3)).await;
    town.end().await;
}

pub(crate) async fn who_was_muted_before_a_dry_run_is_freed_as_ever_and_nobody_else_is_muted() {
    let town = Town::protected("@news").await;
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
        town.is_muted(user).await;
    }
    town.says(GROUP, "Ann").await;
    town.say(OWNER, GROUP, "/settings dry_run on");
    town.says(GROUP, "dry_run is now: yes").await;
    let late = one_of_many(0);
    town.act(Act::Join { user: late, chat: GROUP });
    eventually("he would be muted", async || town.logged(late, "would_mute").await == 1).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann may write", async || town.member(GROUP, ANN) == Member::Member).await;
    town.has_heard().await;
    assert!(town.member(GROUP, BOB).is_muted(), "he waits on");
    assert_eq!((town.member(GROUP, late), town.prompts()), (Member::Member, 1));

    town.act(Act::Join { user: one_of_many(1), chat: NEWS });
    town.act(Act::AskToJoin { user: one_of_many(1), chat: GROUP });
    let private = one_of_many(1).private_chat();
    town.say(one_of_many(1), private, "/verify");
    town.says(private, "administrators").await;
    assert!(town.calls("approveChatJoinRequest", GROUP).is_empty());
    town.end().await;
}

pub(crate) async fn in_a_dry_run_nothing_is_done_but_written_down() {
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.members.push((ANN, Member::Member));
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    town.set(&[("dry_run", json!(true)), ("timeout_action", json!("kick")), ("timeout_s", json!(1))]).await;
    town.say(ANN, GROUP, "hello");
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.act(Act::AskToJoin { user: one_of_many(0), chat: GROUP });
    for (user, outcome) in
        [(ANN, "would_delete"), (ANN, "would_mute"), (BOB, "would_mute"), (one_of_many(0), "would_greet")]
    {
        eventually(outcome, async || town.logged(user, outcome).await == 1).await;
    }
    town.say(ANN, GROUP, "hello again");
    eventually("it is written down", async || town.logged(ANN, "would_delete").await == 2).await;
    town.has_heard().await;
    assert_eq!((town.standing(GROUP, ANN), town.logged(ANN, "would_mute").await, town.prompts_ever()), (2, 1, 0));
    for method in ["restrictChatMember", "banChatMember", "deleteMessages", "deleteMessage"] {
        assert!(town.calls(method, GROUP).is_empty(), "{method}");
    }
    assert_eq!(town.said(one_of_many(0).private_chat(), ""), 0);
    town.end().await;
}
