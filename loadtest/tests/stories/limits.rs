//! How much is sent at once (E97).

use std::time::Duration;

use loadtest::{
    simulator::{CallSeen, most_in_any_second},
    world::{Happened, Person, UserId},
};

use crate::{
    support::{eventually, eventually_within},
    town::{GROUP, OWNER, Town},
};

/// So many people speak to the bot at once.
const MANY: i64 = 70;
/// So many answers are due in the group: more than Telegram lets through in a minute.
const ANSWERS: usize = 24;
const MINUTE_US: i64 = 60_000_000;

const fn speaker(nth: i64) -> UserId {
    UserId(1_000 + nth)
}

/// The calls that send or edit.
fn messages(town: &Town) -> Vec<CallSeen> {
    let mut calls = town.telegram.calls();
    calls.retain(|call| ["sendMessage", "editMessageText", "editMessageReplyMarkup"].contains(&call.method.as_str()));
    calls
}

pub(crate) async fn e97_no_more_goes_out_than_telegram_allows_and_who_has_to_wait_holds_up_nobody_else() {
    let town = Town::under_flood_rules().await;
    for nth in 0..MANY {
        town.telegram.world(|world| world.add_person(Person::named(speaker(nth), "Speaker")));
    }
    for _ in 0..ANSWERS {
        town.say(OWNER, GROUP, "/status");
    }
    for nth in 0..MANY {
        town.say(speaker(nth), speaker(nth).private_chat(), "/start");
    }
    let answered = || {
        let is_answer =
            |what: &Happened| matches!(what, Happened::Sent { chat: GROUP, reply_to: Some(_), service: false, .. });
        town.telegram.world(|world| world.history().iter().filter(|entry| is_answer(&entry.what)).count())
    };
    let told = || (0..MANY).filter(|nth| town.said(speaker(*nth).private_chat(), "I see to it") == 1).count();
    eventually("everybody is answered", async || told() == MANY as usize).await;
    let meanwhile = answered();
    assert!(meanwhile < ANSWERS, "the group has to wait, and nobody waits for it: {meanwhile} of its answers are sent");
    eventually_within(Duration::from_secs(150), "the group's answers come", async || answered() == ANSWERS).await;

    let calls = messages(&town);
    let refused: Vec<&CallSeen> = calls.iter().filter(|call| call.status != 200).collect();
    assert!(refused.is_empty() && town.telegram.flood_refusals().is_empty(), "{refused:?}");
    let all: Vec<i64> = calls.iter().map(|call| call.at_us).collect();
    let most = most_in_any_second(&all);
    assert!((10..=30).contains(&most), "{most} in a second, by all workers together");
    let of_group: Vec<i64> = calls.iter().filter(|call| call.chat == Some(GROUP)).map(|call| call.at_us).collect();
    let in_minute = |from: &i64| of_group.iter().filter(|at| (*from..from + MINUTE_US).contains(at)).count();
    let most = of_group.iter().map(in_minute).max().unwrap();
    assert!((10..=20).contains(&most), "{most} to the group in a minute");
    town.end().await;
}
