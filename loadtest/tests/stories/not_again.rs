//! Faults of the earlier Nezuko that are not to come back; `docs/edge-cases.md` lists them all.

use std::time::Duration;

use loadtest::{
    simulator::{Fault, FaultKind},
    world::{Act, Member, Person, UserId},
};
use serde_json::json;

use crate::{
    support::{eventually, eventually_within},
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

pub(crate) async fn unprotect_ends_enforcement_and_protect_begins_it_again() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    town.say(OWNER, GROUP, "/unprotect");
    eventually("Ann is free, and nobody waits", async || {
        town.member(GROUP, ANN) == Member::Member && town.prompts() == 0
    })
    .await;
    town.says(GROUP, "Everybody whom I muted is free: 1.").await;
    let before = town.deeds(GROUP);
    town.act(Act::Join { user: BOB, chat: GROUP });
    for user in [ANN, BOB] {
        town.say(user, GROUP, "hello");
    }
    town.has_heard().await;
    assert_eq!(town.deeds(GROUP), before, "nothing is enforced");
    town.say(OWNER, GROUP, "/protect @news");
    for user in [ANN, BOB] {
        town.is_muted(user).await;
        assert_eq!(town.standing(GROUP, user), 1, "it was free to be written");
    }
    town.end().await;
}

pub(crate) async fn an_error_of_telegram_is_no_answer_that_somebody_is_out() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    town.has_heard().await;
    let before = town.deeds(GROUP).len();
    let kinds = [FaultKind::Page(502), FaultKind::Restart, FaultKind::Flood { retry_after: 1 }, FaultKind::AnswerLost];
    for (nth, kind) in (0..).zip(kinds) {
        let user = one_of_many(nth);
        town.telegram.inject(Fault { method: Some("getChatMember"), chat: Some(NEWS), every: 1, times: 1, kind });
        let met = town.calls("getChatMember", NEWS).len();
        town.act(Act::Join { user, chat: GROUP });
        eventually("it fails", async || town.calls("getChatMember", NEWS).len() > met).await;
        // By now they have joined, and the next answer says so.
        town.act(Act::Join { user, chat: NEWS });
    }
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    town.has_heard().await;
    let restricted: Vec<String> =
        town.deeds(GROUP).split_off(before).into_iter().filter(|call| call.starts_with("restrict")).collect();
    assert_eq!(restricted, [format!("restrictchatmember {ANN}")]);
    town.end().await;
}

pub(crate) async fn a_note_about_a_join_is_no_join_and_a_join_needs_no_note() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.is_muted(ANN).await;
    eventually("she is asked to join", async || town.prompts() == 1).await;
    town.has_heard().await;
    let before = town.deeds(GROUP);
    let bob = json!({"id": BOB, "is_bot": false, "first_name": "Bob"});
    town.told(json!({"update_id": 900_000_500, "message": {"message_id": 900_500, "from": bob,
        "date": town.telegram.now_ms() / 1000, "chat": {"id": GROUP, "type": "supergroup", "title": "Group"},
        "new_chat_members": [bob]}}))
        .await;
    town.has_heard().await;
    assert_eq!((town.deeds(GROUP), town.lookups(BOB)), (before, 0));
    town.end().await;
}

pub(crate) async fn every_missing_channel_is_named_and_has_its_button() {
    let town = Town::protected("@news @talks").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    let both = |text: String| text.contains("please join @talks, @news first");
    eventually("both are named", async || town.prompt(None).is_some_and(both)).await;
    let links: Vec<String> = town.telegram.world(|world| {
        let prompt = world.button_messages(GROUP).next_back().unwrap();
        prompt.links().map(str::to_owned).collect()
    });
    assert_eq!(links, ["https://t.me/talks", "https://t.me/news"]);
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @talks, @news");
    town.act(Act::Join { user: ANN, chat: TALKS });
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @news");
    town.act(Act::Join { user: ANN, chat: NEWS });
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    town.end().await;
}

pub(crate) async fn who_may_write_costs_no_call_for_a_message() {
    let town = Town::protected("@news").await;
    for chat in [NEWS, GROUP] {
        town.act(Act::Join { user: ANN, chat });
    }
    town.say(ANN, GROUP, "hello");
    town.has_heard().await;
    let calls = || town.telegram.calls().iter().filter(|call| call.chat != Some(OWNER.private_chat())).count();
    let before = calls();
    for nth in 0..50 {
        town.say(ANN, GROUP, &format!("message {nth}"));
    }
    eventually("all is delivered", async || town.telegram.pending() == 0).await;
    town.has_heard().await;
    assert_eq!((calls(), town.standing(GROUP, ANN)), (before, 51));
    town.end().await;
}

/// E100: what was due meanwhile is done then, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_program_is_away_is_taken_in_when_it_is_back() {
    let town = Town::protected("@news").await;
    town.set(&[("timeout_action", json!("kick")), ("timeout_s", json!(4)), ("warn_first", json!(false))]).await;
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.is_muted(BOB).await;
    let due_ms = town.telegram.now_ms() + 4_500;
    let town = town
        .restarted(async |town| {
            town.act(Act::Join { user: ANN, chat: GROUP });
            town.say(ANN, GROUP, "nobody is watching");
            eventually("his time is over", async || town.telegram.now_ms() > due_ms).await;
            assert!(town.member(GROUP, BOB).is_muted(), "nobody is there to remove him");
        })
        .await;
    town.is_muted(ANN).await;
    eventually("what she wrote is gone", async || town.standing(GROUP, ANN) == 0).await;
    eventually("Bob is out", async || town.member(GROUP, BOB) == Member::Left).await;
    assert_eq!(town.telegram.counters().dropped, 0);
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operations_port_of_the_program_tells_how_it_is() {
    let town = Town::protected("@news").await;
    for (path, part) in [
        ("/live", "live"),
        ("/ready", "ready"),
        ("/health", "\"status\":\"ok\""),
        ("/metrics", "bot_active_groups"),
        ("/version", "version"),
    ] {
        let (status, text) = town.page(path).await;
        assert!(status == 200 && text.contains(part), "{path}: {status} {text}");
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e53_whom_the_end_of_a_rule_frees_are_freed_over_a_restart_as_well_and_it_is_said_when_all_of_them_are() {
    const MANY: i64 = 60;
    let comer = |nth: i64| UserId(1_000 + nth);
    let town = Town::protected("@news @talks").await;
    for nth in 0..MANY {
        town.telegram.world(|world| world.add_person(Person::named(comer(nth), "Comer")));
    }
    town.act(Act::Join { user: ANN, chat: NEWS });
    for user in (0..MANY).map(comer).chain([ANN]) {
        town.act(Act::Join { user, chat: GROUP });
    }
    let muted = |town: &Town| (0..MANY).filter(|nth| town.member(GROUP, comer(*nth)).is_muted()).count();
    let patience = Duration::from_secs(150);
    eventually_within(patience, "everybody is muted", async || muted(&town) == MANY as usize).await;
    town.is_muted(ANN).await;
    // A channel is required no more: who has joined all others is free, and nobody else.
    town.say(OWNER, GROUP, "/unprotect @talks");
    eventually("Ann is free", async || town.member(GROUP, ANN) == Member::Member).await;
    town.has_heard().await;
    assert_eq!(muted(&town), MANY as usize);

    let kind = FaultKind::Delay(Duration::from_secs(2));
    town.telegram.inject(Fault { method: Some("restrictChatMember"), chat: Some(GROUP), every: 1, times: 1_000, kind });
    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "No longer protected").await;
    eventually("some are free", async || muted(&town) < MANY as usize - 10).await;
    town.says(GROUP, &format!(" of {MANY}")).await;
    let town = town
        .restarted(async |town| {
            assert!((1..MANY as usize).contains(&muted(town)), "{} are to be freed yet", muted(town));
            assert_eq!(town.said(GROUP, "is free"), 0);
            town.telegram.mend();
        })
        .await;
    eventually_within(patience, "all are free", async || muted(&town) == 0).await;
    town.says(GROUP, &format!("Everybody whom I muted is free: {MANY}.")).await;
    eventually("nobody is asked any more", async || town.prompts() == 0).await;
    let calls = town.deeds(GROUP).iter().filter(|deed| deed.starts_with("restrict")).count();
    // Each was muted once and freed once; what was under way when the program ended may have been done twice.
    let least = 2 * (MANY as usize + 1);
    assert!((least..least + 20).contains(&calls), "{calls} calls");
    town.end().await;
}
