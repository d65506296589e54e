//! What seldom happens and is told to the bot all the same: nobody is muted wrongly for it, and nothing is tried for ever.

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, ChatId, ChatKind, Content, Member, Person, Rights, UserId},
};
use serde_json::{Value, json};

use crate::{
    operators::is_looked_at,
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

pub(crate) async fn e6_e20_what_is_from_nobody_or_about_a_channel_is_taken_in_and_changes_nothing() {
    let town = Town::protected("@news").await;
    let before = town.telegram.calls().len();
    let chat = json!({"id": GROUP, "type": "supergroup", "title": "Group"});
    let channel = json!({"id": 136_817_688, "is_bot": true, "first_name": "Channel", "username": "Channel_Bot"});
    let date = town.telegram.now_ms() / 1000;
    town.told(json!({"update_id": 900_000_001, "message":
        {"message_id": 900_001, "date": date, "chat": chat, "text": "from nobody"}}))
        .await;
    town.told(json!({"update_id": 900_000_002, "chat_member": {"chat": chat, "from": channel, "date": date,
        "old_chat_member": {"status": "left", "user": channel},
        "new_chat_member": {"status": "member", "user": channel}}}))
        .await;
    town.has_heard().await;
    let about_group = town.telegram.calls().split_off(before).into_iter().filter(|call| call.chat == Some(GROUP));
    assert_eq!(about_group.map(|call| call.method).collect::<Vec<_>>(), [""; 0]);
    town.end().await;
}

pub(crate) async fn e9_an_account_without_a_name_is_muted_and_freed_like_any_other() {
    let town = Town::protected("@news").await;
    let nameless = UserId(77);
    town.telegram.world(|world| world.add_person(Person::named(nameless, "")));
    town.act(Act::Join { user: nameless, chat: GROUP });
    eventually("they are muted", async || town.member(GROUP, nameless).is_muted()).await;
    eventually("the prompt has a word for them", async || {
        town.prompt(None).is_some_and(|text| text.contains("someone"))
    })
    .await;
    town.act(Act::Join { user: nameless, chat: NEWS });
    eventually("they are freed", async || !town.member(GROUP, nameless).is_muted()).await;
    town.end().await;
}

pub(crate) async fn e9_a_deleted_account_is_not_written_to_again_nor_punished_for_what_is_unknown_nor_freed_for_ever() {
    const GONE: UserId = UserId(77);
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.members.push((BOB, Member::Member));
        }
    })
    .await;
    town.telegram.world(|world| world.add_person(Person::named(GONE, "")));
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    // Nobody can be told what to join who is not there: their request is left to the administrators.
    refuse(&town, "sendMessage", GONE.private_chat(), 1_000, "user is deactivated");
    town.act(Act::AskToJoin { user: GONE, chat: GROUP });
    let told = || town.calls("sendMessage", GONE.private_chat()).len();
    eventually("they are written to", async || told() == 1).await;
    // Whose membership cannot be had is unknown.
    refuse(&town, "getChatMember", NEWS, 1_000, "USER_DEACTIVATED");
    town.say(BOB, GROUP, "hello");
    eventually("he is looked up", async || !town.calls("getChatMember", NEWS).is_empty()).await;
    town.has_heard().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((town.standing(GROUP, BOB), town.member(GROUP, BOB)), (1, Member::Member), "unknown never punishes");
    assert_eq!((town.calls("restrictChatMember", GROUP).len(), town.prompts_ever()), (0, 0));
    assert_eq!(told(), 1, "they are written to again and again");
    assert!(town.telegram.world(|world| world.waits_to_be_let_in(GROUP, GONE)), "an answer that nobody has given");
    assert!(town.calls("approveChatJoinRequest", GROUP).is_empty());
    town.telegram.mend();

    // Who was muted and is gone when the rule ends cannot be freed, and nobody waits for that.
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    let in_force = "ledger WHERE lifted_ms IS NULL";
    eventually("the mute is known", async || town.rows(&format!("{in_force} AND user_id = {ANN}")).await == 1).await;
    refuse(&town, "restrictChatMember", GROUP, 1_000, "PARTICIPANT_ID_INVALID");
    let before = town.calls("restrictChatMember", GROUP).len();
    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "Everybody whom I muted is free").await;
    assert_eq!(town.rows(in_force).await, 0, "they are kept in the ledger");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tried = town.calls("restrictChatMember", GROUP).len() - before;
    assert!((1..=2).contains(&tried), "tried {tried} times");
    town.end().await;
}

pub(crate) async fn e18_e38_whatever_brings_people_in_or_takes_them_out_counts() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    town.act(Act::Join { user: ANN, chat: GROUP });
    let chat = json!({"id": GROUP, "type": "supergroup", "title": "Group"});
    // Older than what the bot does then, which Telegram tells as well.
    let mut number = 200_000_000;
    // Telegram tells of somebody who came or went, and by which link, and the bot hears nothing else of it.
    let mut told = async |user: UserId, by: UserId, statuses: [&str; 2], more: Value| {
        let person = |user: UserId| json!({"id": user, "is_bot": false, "first_name": "Somebody"});
        let member = |status: &str| json!({"status": status, "user": person(user)});
        let mut event = json!({"chat": chat, "from": person(by), "date": town.telegram.now_ms() / 1000,
            "old_chat_member": member(statuses[0]), "new_chat_member": member(statuses[1])});
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        number += 1;
        town.told(json!({"update_id": number, "chat_member": event})).await;
    };
    let (comes, goes) = (["left", "member"], ["member", "left"]);
    let link = |is_request: bool| {
        let creator = json!({"id": OWNER, "is_bot": false, "first_name": "Olga"});
        json!({"invite_link": "https://t.me/+way", "creator": creator, "creates_join_request": is_request,
            "is_primary": false, "is_revoked": false})
    };
    let ways = [
        (BOB, BOB, json!({"via_chat_folder_invite_link": true, "invite_link": link(false)})),
        (one_of_many(0), one_of_many(0), json!({"invite_link": link(false)})),
        (one_of_many(1), OWNER, json!({"via_join_request": true, "invite_link": link(true)})),
        (one_of_many(2), OWNER, json!({"via_join_request": true})),
    ];
    for (user, by, more) in &ways {
        town.act_untold(Act::Join { user: *user, chat: GROUP });
        told(*user, *by, comes, more.clone()).await;
        town.is_muted(*user).await;
    }
    // Who has joined the channel is free by each of them.
    for (nth, (_, _, more)) in (3..).zip(&ways) {
        town.act(Act::Join { user: one_of_many(nth), chat: NEWS });
        town.act_untold(Act::Join { user: one_of_many(nth), chat: GROUP });
        told(one_of_many(nth), one_of_many(nth), comes, more.clone()).await;
        town.say(one_of_many(nth), GROUP, "hello");
    }
    town.has_heard().await;
    let free = (3..7).filter(|nth| town.member(GROUP, one_of_many(*nth)) == Member::Member).count();
    assert_eq!((free, town.calls("restrictChatMember", GROUP).len()), (4, ways.len()));
    // Who comes back comes by no link.
    let (back, wrote_s) = (one_of_many(3), town.telegram.now_ms() / 1000);
    eventually("what was written is from before", async || town.telegram.now_ms() / 1000 > wrote_s).await;
    town.act_untold(Act::Leave { user: back, chat: GROUP });
    told(back, back, goes, json!({})).await;
    town.act(Act::Leave { user: back, chat: NEWS });
    town.has_heard().await;
    assert_eq!(town.member(GROUP, back), Member::Left, "nobody is muted outside");
    town.act_untold(Act::Join { user: back, chat: GROUP });
    told(back, back, comes, json!({})).await;
    town.is_muted(back).await;
    assert!(!town.member(GROUP, ANN).is_muted());
    // What she has paid for is over: Telegram has her leave.
    town.act(Act::Leave { user: ANN, chat: NEWS });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

pub(crate) async fn e41_a_basic_group_is_told_to_become_a_supergroup() {
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.kind = ChatKind::Group;
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Make this group a supergroup first").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.has_heard().await;
    assert!(town.calls("restrictChatMember", GROUP).is_empty());
    town.end().await;
}

pub(crate) async fn e54_e81_what_another_has_deleted_is_gone_and_the_writer_is_muted() {
    let town = Town::protected("@news").await;
    let statuses = || town.calls("deleteMessages", GROUP).iter().map(|call| call.status).collect::<Vec<_>>();
    // Slow enough for another bot to be quicker; and what Telegram says of one that is gone.
    for (user, kind, expected) in [
        (ANN, FaultKind::Page(502), &[502, 200][..]),
        (BOB, FaultKind::Refused("message to delete not found"), &[400][..]),
    ] {
        let before = statuses().len();
        let method = Some("deleteMessages");
        town.telegram.inject(Fault { method, chat: Some(GROUP), every: 1, times: 1, kind });
        town.act(Act::Join { user, chat: GROUP });
        town.say(user, GROUP, "an advert");
        eventually("it is tried", async || statuses().len() > before).await;
        let message = town.telegram.world(|world| {
            let mut messages = world.chat(GROUP).unwrap().messages();
            messages.rfind(|message| message.from == user).unwrap().id
        });
        town.act(Act::DeleteMessage { admin: OWNER, chat: GROUP, message: Some(message) });
        town.is_muted(user).await;
        eventually("it is done with", async || statuses().len() >= before + expected.len()).await;
        town.has_heard().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(statuses().split_off(before), expected, "what is gone is deleted");
        assert_eq!((town.standing(GROUP, user), town.prompts()), (0, 1));
    }
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 2);
    town.end().await;
}

pub(crate) async fn e54_deletion_and_mute_are_as_if_they_were_done_once_though_no_answer_comes() {
    let town = Town::protected("@news").await;
    // Telegram has done what was asked, and the bot does not hear of it.
    for method in ["deleteMessages", "restrictChatMember"] {
        let kind = FaultKind::AnswerLost;
        town.telegram.inject(Fault { method: Some(method), chat: Some(GROUP), every: 1, times: 1, kind });
    }
    let statuses = |method: &str| town.calls(method, GROUP).iter().map(|call| call.status).collect::<Vec<_>>();
    let before = ["deleteMessages", "restrictChatMember"].map(|method| statuses(method).len());
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.say(ANN, GROUP, "an advert");
    let named = |text: String| text.contains("Ann");
    eventually("she is told why", async || town.prompt(None).is_some_and(named)).await;
    let deletions = || statuses("deleteMessages").split_off(before[0]);
    eventually("it is deleted once more", async || deletions().len() == 2).await;
    town.has_heard().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(deletions(), [0, 200], "a message that is gone is deleted");
    let restrictions = statuses("restrictChatMember").split_off(before[1]);
    assert!(restrictions == [0] || restrictions == [0, 200], "{restrictions:?}");
    assert_eq!((town.standing(GROUP, ANN), town.prompts()), (0, 1));
    assert!(town.member(GROUP, ANN).is_muted());
    town.end().await;
}

pub(crate) async fn e80_who_has_set_the_group_up_may_go_and_titles_follow() {
    let town = Town::new().await;
    for chat in [GROUP, NEWS] {
        town.act(Act::Promote { admin: OWNER, chat, user: BOB, rights: Rights::FULL });
    }
    town.say(BOB, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    for chat in [GROUP, NEWS] {
        town.act(Act::Leave { user: BOB, chat });
    }
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    // What has no username is called by its title.
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "Tidings".to_owned(), username: None });
    is_looked_at(&town, "link").await;
    let says = async |what: &str| {
        eventually(what, async || town.prompt(None).is_some_and(|text| text.contains(what))).await;
    };
    says("please join Tidings first").await;
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "Letters".to_owned(), username: None });
    is_looked_at(&town, "link").await;
    says("please join Letters first").await;
    // Who waits is called what they call themselves now.
    town.act(Act::CallOneself { user: ANN, first_name: "Judith".to_owned() });
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: Letters");
    says("Judith").await;
    town.say(OWNER, GROUP, "/status");
    town.says(GROUP, "This group is protected").await;
    town.end().await;
}

pub(crate) async fn e83_who_was_an_administrator_a_moment_ago_is_none() {
    let town = Town::protected("@news").await;
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: BOB, rights: Rights::FULL });
    town.say(BOB, GROUP, "/status");
    eventually("Bob is answered", async || !town.calls("getChatMember", GROUP).is_empty()).await;
    town.says(GROUP, "This group is protected").await;
    // Nobody tells the bot: who looks finds that out.
    town.act_untold(Act::Demote { admin: OWNER, chat: GROUP, user: BOB });
    town.say(BOB, GROUP, "/unprotect");
    town.says(GROUP, "Only administrators of this group").await;
    assert_eq!(town.said(GROUP, "No longer protected."), 0);
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("the rule goes on", async || town.member(GROUP, ANN).is_muted()).await;
    town.end().await;
}

/// Telegram refuses so many calls about a chat in these words.
fn refuse(town: &Town, method: &'static str, chat: ChatId, times: u32, words: &'static str) {
    let kind = FaultKind::Refused(words);
    town.telegram.inject(Fault { method: Some(method), chat: Some(chat), every: 1, times, kind });
}

pub(crate) async fn e31_whom_telegram_does_not_know_has_not_joined_where_the_bot_administrates_and_is_unknown_elsewhere()
 {
    const NOBODY: UserId = UserId(555);
    let town = Town::protected("@news").await;
    for (nth, words) in (0..).zip(["user not found", "PARTICIPANT_ID_INVALID", "USER_ID_INVALID"]) {
        let user = one_of_many(nth);
        // They are in the channel, and have been before the bot.
        town.telegram.world(|world| {
            world.act(0, Act::Join { user, chat: NEWS }).unwrap();
            world.take_updates();
        });
        refuse(&town, "getChatMember", NEWS, 1, words);
        town.act(Act::Join { user, chat: GROUP });
        town.is_muted(user).await;
        eventually("they are asked to join", async || town.prompts() == 1).await;
        // It is not believed for long: whoever presses is looked up anew.
        town.press(user, "I have joined").await;
        eventually("they are free", async || town.member(GROUP, user) == Member::Member).await;
        eventually("nobody waits", async || town.prompts() == 0).await;
    }
    // Whom Telegram does not know at all it cannot mute either: what they wrote goes, and they are not asked for without end.
    let stranger = |number: i64| {
        let (date, chat) =
            (town.telegram.now_ms() / 1000, json!({"id": GROUP, "type": "supergroup", "title": "Group"}));
        let from = json!({"id": NOBODY, "is_bot": false, "first_name": "Nobody"});
        json!({"update_id": number, "message":
            {"message_id": number, "date": date, "chat": chat, "from": from, "text": "an advert"}})
    };
    let deletions = || town.calls("deleteMessage", GROUP).len() + town.calls("deleteMessages", GROUP).len();
    let (before, known) = (deletions(), town.calls("getChatMember", NEWS).len());
    for nth in 0..2 {
        town.told(stranger(900_000_004 + nth)).await;
        eventually("the message is to go", async || deletions() > before + nth as usize).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = town.calls("getChatMember", NEWS).len() - known;
    assert!((1..=4).contains(&asked), "asked {asked} times");

    town.act(Act::Demote { admin: OWNER, chat: NEWS, user: town.bot });
    town.says(GROUP, "in @news I need to be an administrator").await;
    let (before, known) = (deletions(), town.calls("getChatMember", NEWS).len());
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.say(BOB, GROUP, "hello");
    town.has_heard().await;
    assert_eq!((town.standing(GROUP, BOB), town.member(GROUP, BOB)), (1, Member::Member), "unknown never punishes");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = town.calls("getChatMember", NEWS).len() - known;
    assert!(deletions() == before && asked <= 2, "asked {asked} times");
    town.end().await;
}

pub(crate) async fn e51_what_a_group_does_not_let_be_sent_is_tried_more_and_more_rarely() {
    let town = Town::protected("@news").await;
    let sent = || town.calls("sendMessage", GROUP).len();
    for (nth, words) in
        (0..).zip(["TOPIC_CLOSED", "message thread not found", "CHAT_WRITE_FORBIDDEN", "CHAT_RESTRICTED"])
    {
        let (user, before) = (one_of_many(nth), sent());
        refuse(&town, "sendMessage", GROUP, 1_000, words);
        town.act(Act::Join { user, chat: GROUP });
        town.say(OWNER, GROUP, "/status");
        town.is_muted(user).await;
        eventually("prompt and answer are tried", async || sent() >= before + 2).await;
        town.has_heard().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let tried = sent() - before;
        assert!(tried <= 6, "{words}: tried {tried} times");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(sent() - before, tried, "{words}: it is tried again and again");
        town.telegram.mend();
        // The rule goes on, and who may write is not held back.
        town.act(Act::Join { user, chat: NEWS });
        eventually("they are free", async || town.member(GROUP, user) == Member::Member).await;
    }
    assert_eq!(town.said(GROUP, "This group is protected"), 0, "answers that were refused do not come later");
    town.end().await;
}

/// By a fleet, these are many workers that know of nobody yet.
pub(crate) async fn e101_what_many_messages_ask_for_at_once_is_looked_up_once() {
    const MANY: i64 = 6;
    let town = Town::founded(|spec| {
        if spec.id == GROUP {
            spec.members.extend((0..MANY).map(|nth| (one_of_many(nth), Member::Member)));
        }
    })
    .await;
    town.say(OWNER, GROUP, "/protect @news @talks");
    town.says(GROUP, "Protected: ").await;
    for chat in [NEWS, TALKS] {
        let kind = FaultKind::Delay(Duration::from_millis(700));
        town.telegram.inject(Fault { method: Some("getChatMember"), chat: Some(chat), every: 1, times: 1_000, kind });
    }
    for nth in 0..8 {
        for user in (0..MANY).map(one_of_many) {
            // Until they are muted.
            let content = Content::Text(format!("message {nth}"));
            town.telegram.act(Act::Write { user, chat: GROUP, content, thread: None }).ok();
        }
    }
    for user in (0..MANY).map(one_of_many) {
        town.is_muted(user).await;
        eventually("nothing of theirs stands", async || town.standing(GROUP, user) == 0).await;
    }
    town.has_heard().await;
    for user in (0..MANY).map(one_of_many) {
        let asked = [NEWS, TALKS].map(|chat| town.lookups_in(chat, user));
        assert_eq!(asked, [1, 1], "{user}");
    }
    town.end().await;
}
