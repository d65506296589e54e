//! What commands are answered: how each is written, to whom it is denied, and why it fails.

use insta::assert_snapshot;
use loadtest::world::{Act, ChatId, ChatKind, ChatSpec, Happened, Member, MessageId, Rights, UserId};

use crate::{
    support::eventually,
    town::{ANN, OWNER, Town, one_of_many},
};

/// Founds another chat; a channel has its title for a name, too.
fn found(town: &Town, kind: ChatKind, title: &str, members: &[UserId]) -> ChatId {
    let count = town.telegram.world(|world| world.chats().count());
    let chat = ChatId(-1_001_000_001_000 - i64::try_from(count).unwrap());
    let mut spec = ChatSpec::new(chat, kind, title);
    spec.username = (kind == ChatKind::Channel).then(|| title.to_owned());
    spec.members = members.iter().map(|user| (*user, Member::Member)).collect();
    town.found(town.telegram.now_ms(), spec);
    chat
}

/// Somebody writes something in a chat.
fn ask(town: &Town, user: UserId, chat: ChatId, text: &str) -> (ChatId, MessageId) {
    town.say(user, chat, text);
    let question = town.telegram.world(|world| {
        let mut messages = world.chat(chat).unwrap().messages();
        messages.rfind(|message| message.from == user).unwrap().id
    });
    (chat, question)
}

/// What they are answered.
async fn answer(town: &Town, (chat, question): (ChatId, MessageId)) -> String {
    let reply = |what: &Happened| match what {
        Happened::Sent { chat: place, reply_to, text, .. } if *place == chat && *reply_to == Some(question) => {
            Some(text.clone())
        }
        _ => None,
    };
    let mut answer = None;
    eventually(&format!("{question} in {chat} is answered"), async || {
        answer = town.telegram.world(|world| world.history().iter().find_map(|entry| reply(&entry.what)));
        answer.is_some()
    })
    .await;
    answer.unwrap()
}

/// Each question of the owner with its answer, each in a group of its own: one is told no more than a message every three
/// seconds.
async fn answers(town: &Town, kind: ChatKind, questions: &[&str]) -> String {
    let groups = questions.iter().map(|_| found(town, kind, "Another", &[]));
    let asked: Vec<_> = groups.zip(questions).map(|(group, text)| ask(town, OWNER, group, text)).collect();
    let mut told = String::new();
    for (question, asked) in questions.iter().zip(asked) {
        told += &format!("> {question}\n{}\n", answer(town, asked).await);
    }
    told
}

/// Those of a menu.
fn commands(town: &Town, scope: &str) -> Vec<String> {
    town.telegram.world(|world| {
        let menu = world.commands(scope, "").as_array().cloned().unwrap_or_default();
        menu.iter().map(|command| format!("/{}", command["command"].as_str().unwrap())).collect()
    })
}

pub(crate) async fn every_command_of_administrators_is_denied_to_others_and_in_private() {
    let town = Town::new().await;
    eventually("menus are set", async || !commands(&town, "all_chat_administrators").is_empty()).await;
    let everybodys = commands(&town, "default");
    let mut theirs = commands(&town, "all_chat_administrators");
    theirs.retain(|command| !everybodys.contains(command));
    assert_eq!(theirs.len(), 12);
    for (nth, command) in (0..).zip(&theirs) {
        let (group, asker) = (found(&town, ChatKind::Supergroup, "Another", &[ANN]), one_of_many(nth));
        let asked = [ask(&town, ANN, group, command), ask(&town, asker, asker.private_chat(), command)];
        assert_eq!(
            answer(&town, asked[0]).await,
            "Only administrators of this group who may restrict members can do this.",
            "{command}"
        );
        assert_eq!(answer(&town, asked[1]).await, "This command works in a supergroup that I administer.", "{command}");
    }
    assert_snapshot!("in_a_basic_group", answers(&town, ChatKind::Group, &["/protect @news", "/status"]).await);
    town.end().await;
}

pub(crate) async fn commands_that_are_written_wrongly_are_answered_by_how_they_are_written() {
    let town = Town::new().await;
    let questions = [
        "/protect",
        "/protect ?!",
        "/allow",
        "/allow ?!",
        "/disallow",
        "/disallow ?!",
        "/raid",
        "/raid perhaps",
        "/raid on never",
        "/raid on 1441",
        "/import",
        "/settings nothing",
        "/settings timeout_action sleep",
        "/settings grace_s soon",
        "/settings grace_s -1",
    ];
    assert_snapshot!("usage", answers(&town, ChatKind::Supergroup, &questions).await);
    let questions = [
        "/settings raid_threshold 1001",
        "/settings prompt_text Join us!",
        "/settings prompt_topic 0",
        "/settings log_chat ?!",
        "/import {",
        r#"/import {"nezuko_settings":2,"settings":{}}"#,
        r#"/import {"nezuko_settings":1,"settings":{"timeout_s":1,"ban_s":1}}"#,
    ];
    assert_snapshot!("wrong_settings", answers(&town, ChatKind::Supergroup, &questions).await);
    town.end().await;
}

pub(crate) async fn commands_that_cannot_be_carried_out_say_why() {
    let town = Town::new().await;
    let strange = found(&town, ChatKind::Channel, "strange", &[]);
    town.act(Act::Demote { admin: OWNER, chat: strange, user: town.bot });
    let questions = [
        "/protect @nobody",
        "/protect @news @strange",
        "/unprotect @news",
        "/unprotect",
        "/allow @nobody",
        "/disallow @nobody",
        "/settings log_chat @nobody",
        "/settings log_chat @strange",
        "/verify",
        "/start never_made",
        "/forget_me",
    ];
    assert_snapshot!("failures", answers(&town, ChatKind::Supergroup, &questions).await);
    let group = found(&town, ChatKind::Supergroup, "Another", &[]);
    let asked = ask(&town, OWNER, group, &format!("/protect {group}"));
    assert_eq!(answer(&town, asked).await, "A group cannot require itself.");
    let asked = ask(&town, OWNER, group, "/recheck");
    assert_eq!(answer(&town, asked).await, "No channel is required here. /protect @channel requires one.");
    let mut told = String::new();
    for question in ["/verify", "/start never_made", "/forget_me"] {
        told += &format!("> {question}\n{}\n", answer(&town, ask(&town, ANN, ANN.private_chat(), question)).await);
    }
    assert_snapshot!("failures_in_private", told);

    let channels: Vec<String> = (0..11).map(|_| found(&town, ChatKind::Channel, "many", &[]).to_string()).collect();
    let asked = ask(&town, OWNER, group, &format!("/protect {}", channels.join(" ")));
    assert_eq!(answer(&town, asked).await, "A group can require 10 channels at most.");
    for (rights, lacking) in [
        (Rights { can_restrict_members: false, ..Rights::FULL }, "to restrict members"),
        (Rights { can_delete_messages: false, ..Rights::FULL }, "to delete messages"),
    ] {
        let group = found(&town, ChatKind::Supergroup, "Another", &[]);
        town.act(Act::Promote { admin: OWNER, chat: group, user: town.bot, rights });
        let refused = answer(&town, ask(&town, OWNER, group, "/protect @news")).await;
        assert!(refused.starts_with("Before this can work:") && refused.ends_with(lacking), "{refused}");
    }
    town.end().await;
}
