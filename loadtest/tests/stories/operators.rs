//! What an operator has done while the program works (E37, E80, E105, E106).

use loadtest::world::{Act, ChatId, Member, Rights};

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town},
};

/// Where the buttons of the group's newest prompt lead.
fn links(town: &Town) -> Vec<String> {
    town.telegram.world(|world| {
        let mut messages = world.chat(GROUP).into_iter().flat_map(|chat| chat.messages());
        let prompt = messages.rfind(|message| message.from == town.bot && !message.markup.is_null());
        let rows = prompt.and_then(|prompt| prompt.markup["inline_keyboard"].as_array().cloned()).unwrap_or_default();
        let buttons = rows.iter().flat_map(|row| row.as_array().cloned().unwrap_or_default());
        buttons.filter_map(|button| button["url"].as_str().map(str::to_owned)).collect()
    })
}

fn own_links(town: &Town, chat: ChatId) -> Vec<(String, String)> {
    town.telegram.world(|world| world.links(chat).iter().map(|link| (link.name.clone(), link.url.clone())).collect())
}

pub(crate) async fn e37_the_prompt_leads_into_a_private_channel_by_a_link_of_our_own_and_by_another_when_it_is_revoked()
{
    let town = Town::new().await;
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "News".to_owned(), username: None });
    town.say(OWNER, GROUP, &format!("/protect {NEWS}"));
    town.says(GROUP, "Protected: ").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    let leads_to = async |nth: usize| {
        eventually(&format!("a prompt that leads to link {nth}"), async || {
            let own = own_links(&town, NEWS);
            own.get(nth).is_some_and(|(name, url)| name == "Nezuko" && links(&town) == [url.as_str()])
        })
        .await;
    };
    leads_to(0).await;

    town.act(Act::RevokeLinks { admin: OWNER, chat: NEWS });
    let none = Rights { can_invite_users: false, ..Rights::FULL };
    for rights in [none, Rights::FULL] {
        town.act(Act::Promote { admin: OWNER, chat: NEWS, user: town.bot, rights });
        town.has_heard().await;
    }
    leads_to(1).await;
    assert_eq!(own_links(&town, NEWS).len(), 2);
    // The way by a name is the shortest.
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "News".to_owned(), username: Some("news".to_owned()) });
    for rights in [none, Rights::FULL] {
        town.act(Act::Promote { admin: OWNER, chat: NEWS, user: town.bot, rights });
        town.has_heard().await;
    }
    eventually("the prompt leads to @news", async || links(&town) == ["https://t.me/news"]).await;
    town.end().await;
}

pub(crate) async fn e105_a_blocked_group_is_told_so_and_left_each_time_that_the_bot_is_added() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.is_muted(BOB).await;
    let group = GROUP.to_string();
    let told = town.operate(&["groups", "block", &group]).await;
    assert!(told.contains(&format!("{group}\tblocked")), "{told}");
    let is_out = async || eventually("the bot is out", async || town.member(GROUP, town.bot) == Member::Left).await;
    is_out().await;
    assert_eq!(town.said(GROUP, "I am leaving"), 1);
    assert_eq!(town.member(GROUP, BOB), Member::Member, "E53: whom it has muted it frees before it leaves");
    let add = Act::Promote { admin: OWNER, chat: GROUP, user: town.bot, rights: Rights::FULL };
    town.act(add.clone());
    eventually("it is said again", async || town.said(GROUP, "I am leaving") == 2).await;
    is_out().await;
    assert_eq!(town.calls("leaveChat", GROUP).len(), 2);

    town.operate(&["groups", "allow", &group]).await;
    town.act(add);
    town.act(Act::Join { user: ANN, chat: GROUP });
    // E80: what was set is as it was.
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    let list = town.operate(&["groups", "list"]).await;
    assert!(list.contains(&format!("allowed\t{group}\n")), "{list}");
    assert!(list.contains(&format!("group\t{group}\tof {OWNER}\tserved, protected\tGroup\n")), "{list}");
    town.end().await;
}

pub(crate) async fn e105_a_group_over_its_owners_quota_is_told_so_once_and_not_protected() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.operate(&["groups", "quota", "0"]).await;
    town.says(GROUP, "as many groups as they may").await;
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    assert_eq!(town.said(GROUP, "as many groups as they may"), 1);
    town.say(OWNER, GROUP, "/protect @news");
    eventually("it is refused", async || town.said(GROUP, "as many groups as they may") == 2).await;
    assert_eq!(town.member(GROUP, town.bot), Member::Administrator(Rights::FULL), "it stays");

    town.operate(&["groups", "quota", "--owner", &OWNER.to_string(), "1"]).await;
    eventually("Ann is muted again", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e106_what_was_done_is_in_the_records_and_who_is_erased_is_freed_first() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    let (group, ann) = (GROUP.to_string(), ANN.to_string());
    let log = async |more: &[&str]| town.operate(&[&["log", "--chat", &group], more].concat()).await;
    eventually("the mute is in the records", async || log(&[]).await.contains("\tmuted\t")).await;
    let whole = log(&[]).await;
    let lines: Vec<&str> = whole.lines().collect();
    assert!(lines[0].contains(&format!("\t/protect\tby {OWNER}\tabout -\t@news\ttrace ")), "{whole}");
    assert!(lines[1].contains(&format!("\tmuted\tby the bot\tabout {ANN}\t-\ttrace ")), "{whole}");
    assert!(lines.iter().all(|line| line.split("trace ").nth(1).is_some_and(|trace| trace.len() == 32)), "{whole}");
    assert_eq!(log(&["--user", &OWNER.to_string()]).await.lines().count(), 1);

    // What is done to who is erased would be learnt again by a program that works.
    let town = town.stopped().await;
    let counted = town.operate(&["erase", "--user", &ann, "--dry-run"]).await;
    assert!(counted.contains(&format!("kept\t{group}: a restriction hangs on it\nnothing was changed\n")), "{counted}");
    let erased = town.operate(&["erase", "--user", &ann, "--all"]).await;
    assert!(erased.contains("members\t2\n") && erased.ends_with("erased\n"), "{erased}");
    assert_eq!(town.member(GROUP, ANN), Member::Member);
    assert_eq!(town.operate(&["log", "--chat", &group, "--user", &ann]).await, "none\n");
    let again = town.operate(&["erase", "--user", &ann, "--all"]).await;
    assert!(again.contains("members\t0\n"), "{again}");
    let erased = town.operate(&["erase", "--chat", &group]).await;
    assert!(erased.contains("links\t1\n") && erased.ends_with("erased\n"), "{erased}");
    assert_eq!(town.operate(&["log", "--chat", &group]).await, "none\n");
}
