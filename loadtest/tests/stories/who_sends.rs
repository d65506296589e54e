//! Who sends: bots, accounts that stand for others, people who are not in the group or have hostile names (E7, E10, E11,
//! E86, E102).

use loadtest::world::{Act, Happened, Member, Person, Rights, UserId};
use serde_json::json;

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

pub(crate) async fn e7_e10_bots_and_accounts_that_stand_for_others_are_neither_looked_up_nor_touched() {
    const HELPER: UserId = UserId(88);
    let town = Town::protected("@news").await;
    town.telegram.world(|world| world.add_person(Person { is_bot: true, ..Person::named(HELPER, "Helper") }));
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: BOB, chat });
    }
    town.has_heard().await;
    let before = town.deeds(GROUP);
    town.act(Act::Add { by: OWNER, chat: GROUP, users: vec![HELPER] });
    town.act(Act::Leave { user: HELPER, chat: GROUP });
    town.act(Act::Add { by: BOB, chat: GROUP, users: vec![HELPER] });
    let senders = [HELPER, town.bot, UserId::TELEGRAM, UserId::GROUP_ANONYMOUS_BOT, UserId::CHANNEL_BOT];
    for (nth, sender) in (0..).zip(senders) {
        let from = json!({"id": sender, "is_bot": sender != UserId::TELEGRAM, "first_name": "Somebody"});
        let chat = json!({"id": GROUP, "type": "supergroup", "title": "Group"});
        let (number, date) = (900_000_100 + nth, town.telegram.now_ms() / 1000);
        let message = json!({"message_id": number, "date": date, "chat": chat, "from": from, "text": "an advert"});
        town.told(json!({"update_id": number, "message": message})).await;
    }
    town.has_heard().await;
    assert_eq!(town.deeds(GROUP), before);
    assert_eq!(senders.map(|sender| town.lookups(sender)), [0, town.lookups(town.bot), 0, 0, 0]);
    town.end().await;
}

pub(crate) async fn e11_who_comments_from_outside_is_muted_there_and_freed_there() {
    let town = Town::founded(|spec| spec.open_to_outsiders = spec.id == GROUP).await;
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    let before = town.deeds(GROUP).len();
    town.say(ANN, GROUP, "a comment");
    eventually("it is gone", async || town.standing(GROUP, ANN) == 0).await;
    let muted_outside = |member| matches!(member, Member::Restricted { is_member: false, .. });
    eventually("Ann is muted", async || muted_outside(town.member(GROUP, ANN))).await;
    eventually("she is told why", async || town.prompts() == 1).await;
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("she is free", async || town.member(GROUP, ANN) == Member::Left && town.prompts() == 0).await;
    town.say(ANN, GROUP, "a comment");
    town.has_heard().await;
    assert_eq!(town.standing(GROUP, ANN), 1);
    let mut deeds = town.deeds(GROUP).split_off(before);
    deeds.sort();
    assert_eq!(
        deeds,
        ["deletemessage", "deletemessages", "restrictchatmember 11", "restrictchatmember 11", "sendmessage"],
        "her comment, the prompt, mute and release, the prompt"
    );
    town.end().await;
}

pub(crate) async fn e86_what_an_anonymous_administrator_does_names_them_nowhere() {
    const MASKED: UserId = one_of_many(24);
    let town = Town::founded(|spec| {
        spec.members.push((MASKED, Member::Administrator(Rights { is_anonymous: true, ..Rights::FULL })));
    })
    .await;
    let prove = async |order: &str, answer: &str| {
        town.say(MASKED, GROUP, order);
        town.says(GROUP, "Press the button as yourself").await;
        assert_eq!(town.press(MASKED, "I am an administrator").await, "Done.");
        town.says(GROUP, answer).await;
    };
    prove("/protect @news", "Protected: ").await;
    town.say(OWNER, GROUP, "/settings log_chat @talks");
    town.says(GROUP, "log_chat is now").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
    town.act(Act::AdminUnmute { admin: MASKED, chat: GROUP, user: ANN });
    town.say(MASKED, GROUP, "order!");
    town.say(OWNER, GROUP, "/status");
    town.says(GROUP, "Waiting: 0.").await;
    let names_them = |what: &Happened| match what {
        Happened::Sent { author, text, .. } if *author == town.bot => text.contains("Comer 24"),
        Happened::Edited { text, .. } | Happened::Answered { text, .. } => text.contains("Comer 24"),
        _ => false,
    };
    assert!(!town.telegram.world(|world| world.history().iter().any(|entry| names_them(&entry.what))));
    assert_eq!(town.calls("restrictChatMember", GROUP).len(), 1, "Ann, once");
    town.end().await;
}

pub(crate) async fn e102_hostile_names_and_titles_are_shown_and_nothing_of_them_becomes_markup() {
    const NAMES: [&str; 5] = [
        "<a href=\"tg://x\">Bob</a>",
        "</a></b>&lt;&amp;",
        "\u{202e}gnitirw\u{202c}",
        "\u{200b}\u{feff}",
        "💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖",
    ];
    let town = Town::new().await;
    for (chat, title) in [(GROUP, "<b>\u{202e}puorg"), (NEWS, "</b>&amp;<i>news\n"), (TALKS, "<talks>")] {
        town.act(Act::Rename { admin: OWNER, chat, title: title.to_owned(), username: None });
    }
    town.say(OWNER, GROUP, &format!("/protect {NEWS} {TALKS}"));
    town.says(GROUP, "Protected: who writes here must have joined </b>&amp;<i>news, <talks>.").await;
    town.say(OWNER, GROUP, &format!("/settings log_chat {TALKS}"));
    town.say(OWNER, GROUP, "/settings prompt_text <u>{names}</u> of {group}: {channels} <&lt;");
    town.says(GROUP, "prompt_text is now").await;
    for (nth, name) in (0..).zip(NAMES) {
        let user = UserId(200 + nth);
        town.telegram.world(|world| world.add_person(Person::named(user, name)));
        town.act(Act::Join { user, chat: GROUP });
    }
    let hearts = "💖".repeat(32);
    let shown = ["<a href=\"tg://x\">Bob</a>", "</a></b>&lt;&amp;", "gnitirw", "someone", &hearts];
    let all_named = |text: String| {
        let names = text.strip_prefix("<u>")?.strip_suffix("</u> of <b>puorg: <talks>, </b>&amp;<i>news <&lt;")?;
        Some(shown.iter().all(|name| names.contains(name)) && names.matches(", ").count() == 4)
    };
    eventually("all are named", async || town.prompt(None).and_then(all_named) == Some(true)).await;
    assert_eq!(town.press(UserId(200), "I have joined").await, "You have not joined yet: <talks>, </b>&amp;<i>news");
    town.says(TALKS, &format!("{hearts}: muted")).await;
    let refused: Vec<_> = town.telegram.calls().into_iter().filter(|call| call.status != 200).collect();
    assert!(refused.is_empty(), "{refused:?}");
    town.end().await;
}
