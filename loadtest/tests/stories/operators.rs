//! What an operator has done while the program works (E37, E80, E105, E106).

use loadtest::world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, UserId};
use serde_json::json;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
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

/// A day passes: what is to be looked at daily is looked at now.
pub(crate) async fn is_looked_at(town: &Town, what: &str) {
    let due = format!("UPDATE intents SET not_before_ms = 0 WHERE done_ms IS NULL AND kind = '{what}'");
    eventually("the next look is planned", async || town.change_rows(&due).await > 0).await;
}

pub(crate) async fn e37_a_channel_is_known_by_its_id_and_looked_at_each_day_and_when_somebody_comes_by_a_revoked_link()
{
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("she is led to @news", async || links(&town) == ["https://t.me/news"]).await;
    // Telegram tells nobody that a channel has another name, and another may take the one that it had.
    let rename = |chat, title: &str, username: Option<&str>| {
        let (title, username) = (title.to_owned(), username.map(str::to_owned));
        town.act(Act::Rename { admin: OWNER, chat, title, username });
    };
    rename(NEWS, "Tidings", Some("tidings"));
    rename(TALKS, "Talks", Some("news"));
    for chat in [TALKS, GROUP] {
        town.act(Act::Join { user: BOB, chat });
    }
    town.is_muted(BOB).await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    eventually("Bob has joined the right one", async || town.member(GROUP, BOB) == Member::Member).await;
    is_looked_at(&town, "link").await;
    eventually("she is led to @tidings", async || links(&town) == ["https://t.me/tidings"]).await;
    let named = |text: String| text.contains("please join @tidings first");
    eventually("by its name", async || town.prompt(None).is_some_and(named)).await;

    rename(NEWS, "Tidings", None);
    is_looked_at(&town, "link").await;
    let leads_to = async |nth: usize| {
        eventually(&format!("a prompt that leads to link {nth}"), async || {
            own_links(&town, NEWS).get(nth).is_some_and(|(_, url)| links(&town) == [url.as_str()])
        })
        .await;
    };
    leads_to(0).await;
    town.act(Act::RevokeLinks { admin: OWNER, chat: NEWS });
    is_looked_at(&town, "link").await;
    leads_to(1).await;
    // Somebody came by a link before it was revoked, and Telegram tells so after that.
    town.act(Act::RevokeLinks { admin: OWNER, chat: NEWS });
    let comer = json!({"id": one_of_many(0), "is_bot": false, "first_name": "Comer 0"});
    let me = json!({"id": town.bot, "is_bot": true, "first_name": "Nezuko"});
    let link = json!({"invite_link": own_links(&town, NEWS)[1].1, "name": "Nezuko", "creator": me,
        "creates_join_request": false, "is_primary": false, "is_revoked": true});
    town.told(json!({"update_id": 900_000_500, "chat_member": {"from": comer, "date": town.telegram.now_ms() / 1000,
        "chat": {"id": NEWS, "type": "channel", "title": "Tidings"}, "invite_link": link,
        "old_chat_member": {"status": "left", "user": comer},
        "new_chat_member": {"status": "member", "user": comer}}}))
        .await;
    leads_to(2).await;
    assert_eq!(
        own_links(&town, NEWS).iter().filter(|(name, _)| name == "Nezuko").count(),
        3,
        "no more than are needed"
    );
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
    town.say(OWNER, GROUP, "/status");
    eventually("it is told so", async || town.said(GROUP, "as many groups as they may") == 3).await;
    assert_eq!(town.member(GROUP, town.bot), Member::Administrator(Rights::FULL), "it stays");

    town.operate(&["groups", "quota", "--owner", &OWNER.to_string(), "1"]).await;
    eventually("Ann is muted again", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

pub(crate) async fn e105_of_many_groups_an_owner_has_as_many_served_as_they_may_and_none_that_is_not_on_the_list() {
    let town = Town::protected("@news").await;
    let others = [2, 3].map(|nth| ChatId(GROUP.0 - nth));
    town.operate(&["groups", "quota", "2"]).await;
    for chat in others {
        town.found(town.telegram.now_ms(), ChatSpec::new(chat, ChatKind::Supergroup, "Another"));
        eventually("it is told something", async || town.said(chat, "") == 1).await;
        town.say(OWNER, chat, "/protect @news");
        eventually("it is answered", async || town.said(chat, "") == 2).await;
    }
    let protected = others.map(|chat| town.said(chat, "Protected: "));
    let refused = others.map(|chat| town.said(chat, "as many groups as they may"));
    assert_eq!((protected, refused), ([1, 0], [0, 2]), "when the bot comes and when it is asked");
    for chat in [GROUP, others[0], others[1]] {
        town.act(Act::Join { user: ANN, chat });
    }
    eventually("Ann is muted in two", async || {
        [GROUP, others[0], others[1]].map(|chat| town.member(chat, ANN).is_muted()) == [true, true, false]
    })
    .await;
    town.has_heard().await;
    assert!(town.calls("restrictChatMember", others[1]).is_empty(), "the third is not served");

    // Only who is on the list is served from now on; whom the bot has muted elsewhere it frees before it leaves.
    town.operate(&["groups", "allow", &GROUP.to_string()]).await;
    town.operate(&["groups", "mode", "allow-list"]).await;
    for chat in others {
        eventually("the bot is out", async || town.member(chat, town.bot) == Member::Left).await;
        assert_eq!((town.said(chat, "I am leaving"), town.member(chat, ANN)), (1, Member::Member));
    }
    let list = town.operate(&["groups", "list"]).await;
    let served = format!("group\t{GROUP}\tof {OWNER}\tserved, protected");
    assert!(list.contains("mode\tallow-list\n") && list.contains(&served), "{list}");
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.is_muted(BOB).await;
    assert_eq!(town.said(GROUP, "I am leaving"), 0, "it is on the list");
    assert!(town.member(GROUP, ANN).is_muted());
    let add = |chat| town.act(Act::Promote { admin: OWNER, chat, user: town.bot, rights: Rights::FULL });
    add(others[0]);
    eventually("the bot is told so again", async || town.said(others[0], "I am leaving") == 2).await;
    eventually("the bot is out again", async || town.member(others[0], town.bot) == Member::Left).await;

    town.operate(&["groups", "mode", "open"]).await;
    add(others[0]);
    // E80: what was set is as it was.
    town.act(Act::Join { user: BOB, chat: others[0] });
    eventually("it is served", async || town.member(others[0], BOB).is_muted()).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn e106_what_is_past_is_kept_for_some_time_and_nobody_is_named_for_longer_than_they_wait() {
    const NAMED: UserId = UserId(77);
    const NAME: &str = "Philomena";
    const SECRET_WORDS: &str = "correct horse battery staple";
    const LOGS: [&str; 2] = ["verifications", "audit"];
    let town = Town::protected("@news").await;
    town.telegram.world(|world| world.add_person(Person::named(NAMED, NAME)));
    for user in [NAMED, ANN] {
        town.act(Act::Join { user, chat: GROUP });
        // Before they are muted.
        let content = Content::Text(SECRET_WORDS.to_owned());
        town.telegram.act(Act::Write { user, chat: GROUP, content, thread: None }).ok();
        town.is_muted(user).await;
    }
    let named = |text: String| text.contains(NAME);
    eventually("who waits is named", async || town.prompt(None).is_some_and(named)).await;
    let knows = |what: &str| format!("members WHERE facts LIKE '%{what}%'");
    assert!(town.rows(&knows(NAME)).await > 0, "the prompt has it from there");
    town.act(Act::Join { user: NAMED, chat: NEWS });
    eventually("they are free", async || town.member(GROUP, NAMED) == Member::Member).await;
    let lifted = format!("ledger WHERE lifted_ms > 0 AND user_id = {NAMED}");
    eventually("that is known", async || town.rows(&lifted).await == 1).await;
    eventually("their name is not kept", async || town.rows(&knows(NAME)).await == 0).await;
    assert_eq!(town.rows(&knows("horse")).await, 0, "what anybody wrote is");
    town.has_heard().await;

    // What is done is told to logs by ids, and kept for as long as is set.
    let town = town
        .restarted(async |town| {
            let logs = town.logs();
            for word in [NAME, SECRET_WORDS, "Olga", "Comer"] {
                assert!(!logs.contains(word), "{word} is in the logs");
            }
            for (table, column) in [("verifications", "at_ms"), ("audit", "at_ms"), ("ledger", "lifted_ms")] {
                // 89 days pass, which is less than they are kept.
                let passes = format!("UPDATE {table} SET {column} = {column} - 89 * 86400000");
                assert!(town.change_rows(&passes).await > 0, "{table}");
            }
        })
        .await;
    town.has_heard().await;
    for of in LOGS {
        assert!(town.rows(of).await > 0, "{of}");
    }
    assert_eq!(town.rows(&lifted).await, 1);
    let town = town
        .restarted(async |town| {
            for (table, column) in [("verifications", "at_ms"), ("audit", "at_ms"), ("ledger", "lifted_ms")] {
                let passes = format!("UPDATE {table} SET {column} = {column} - 2 * 86400000");
                assert!(town.change_rows(&passes).await > 0, "{table}");
            }
        })
        .await;
    for of in [LOGS[0], LOGS[1], &lifted] {
        eventually(&format!("nothing is kept of {of}"), async || town.rows(of).await == 0).await;
    }
    // What was imposed is kept for as long as it holds.
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    // Of a group that no rule concerns any more nothing of anybody is kept.
    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "No longer protected").await;
    let past = "UPDATE members SET seen_ms = seen_ms - 3 * 86400000";
    let town = town.restarted(async |town| assert!(town.change_rows(past).await > 0)).await;
    eventually("nobody is known", async || town.rows("members").await == 0).await;
    town.end().await;
}
