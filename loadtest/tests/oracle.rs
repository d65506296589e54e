//! The oracle accepts a right bot and catches each kind of wrong one.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod fake_bot;

use fake_bot::{Bug, FakeBot};
use loadtest::{
    generate::{DayPlan, Scenario, day},
    oracle::{Delivery, Kind, Tolerance, Verdict, judge},
    world::{Act, Content, Person, Rights, UserId, World},
};
use serde_json::{Value, json};

const BOT: UserId = UserId(7_000_000_001);
const START: i64 = 1_700_000_000_000;

fn small_day(seed: u64) -> Scenario {
    let plan = DayPlan { groups: 5, talkers: 6, messages: 4, stories: 36, raiders: 30 };
    day(seed, plan, Scenario::demo_bot(BOT))
}

/// Plays a day in its own time; the bot acts at once.
fn play(scenario: &Scenario, bug: Bug) -> (World, i64) {
    let mut world = scenario.world(START);
    let mut bot = FakeBot::new(BOT.0, bug);
    let mut now = START;
    for timed in &scenario.acts {
        now = START + timed.at_ms;
        let _refused = world.act(now, timed.act.clone());
        loop {
            let updates = world.take_updates();
            if updates.is_empty() {
                break;
            }
            for (nth, update) in (0..).zip(&updates) {
                let update: Value = serde_json::from_str(&update.body).unwrap();
                bot.handle(&update, &mut |method, params| {
                    let of_channel = || params["chat_id"].as_i64().is_some_and(|chat| chat < -1_002_000_000_000);
                    let asks = bug == Bug::MutesOnUnknown && method == "getChatMember" && of_channel();
                    if asks && (now / 1000 + nth) % 7 == 0 {
                        world.lookup_failed(now, &params);
                        return Err("Too Many Requests".to_owned());
                    }
                    let answer = world.call(now, method, &params);
                    if answer.status == 200 { Ok(answer.body["result"].clone()) } else { Err(answer.body.to_string()) }
                });
            }
        }
    }
    (world, now + 60_000)
}

fn verdict(seed: u64, bug: Bug) -> Verdict {
    let (world, end) = play(&small_day(seed), bug);
    judge(&world, end, Delivery::default(), Tolerance::default())
}

#[test]
fn a_right_bot_is_accepted_over_many_days() {
    for seed in 0..20 {
        let verdict = verdict(seed, Bug::None);
        assert!(verdict.is_clean(), "seed {seed}\n{verdict}");
        assert!(verdict.unexercised().is_empty(), "seed {seed}\n{verdict}");
        for count in &verdict.counts {
            assert!(count.bot >= count.at_least && count.bot <= count.at_most, "seed {seed}: {count:?}\n{verdict}");
        }
    }
}

#[test]
fn each_wrong_bot_is_caught_for_what_it_does_wrong() {
    let cases = [
        (Bug::DropsOneIn(100), vec![Kind::MessageNotDeleted]),
        (Bug::LeavesMessages, vec![Kind::MessageNotDeleted]),
        (Bug::DeletesFreeMessages, vec![Kind::FreeMessageDeleted]),
        (Bug::NeverMutes, vec![Kind::NotMuted]),
        (Bug::MutesEverybody, vec![Kind::FreeMuted, Kind::StillMuted]),
        (Bug::MutesOnUnknown, vec![Kind::PunishedOnUnknown, Kind::FreeMuted]),
        (Bug::TriesAdmins, vec![Kind::ExemptRestricted]),
        (Bug::IgnoresChannelJoins, vec![Kind::StillMuted]),
        (Bug::IgnoresChannelLeaves, vec![Kind::NotMuted]),
        (Bug::LiftsAdminsMutes, vec![Kind::AdminsRestrictionBroken]),
        (Bug::FreesWhoeverPresses, vec![Kind::MissingFreed]),
        (Bug::IgnoresPresses, vec![Kind::PressUnanswered]),
        (Bug::AnswersWithNothing, vec![Kind::PressToldNothing]),
        (Bug::PressFreesNobody, vec![Kind::PressFreedNobody, Kind::StillMuted]),
        (Bug::SendsPromptTwice, vec![Kind::PromptTwice]),
        (Bug::NeverPrompts, vec![Kind::PromptMissing]),
        (Bug::LeavesPrompts, vec![Kind::PromptLeft]),
        (Bug::RepliesTwice, vec![Kind::ReplyTwice]),
        (Bug::NeverReplies, vec![Kind::CommandUnanswered]),
        (Bug::UnprotectLeavesMutes, vec![Kind::StillMuted]),
    ];
    for (bug, kinds) in cases {
        let verdict = verdict(3, bug);
        for kind in kinds {
            assert!(verdict.by_kind().contains_key(&kind), "{bug:?} without {kind:?}:\n{verdict}");
        }
        assert!(!verdict.is_clean());
    }
}

#[test]
fn what_delivery_lost_and_what_would_be_executed_count() {
    let (world, end) = play(&small_day(1), Bug::None);
    let delivery = Delivery { dropped: 2, methods_in_answers: 1 };
    let verdict = judge(&world, end, delivery, Tolerance::default());
    assert_eq!((verdict.lost, verdict.wrong, verdict.twice), (2, 1, 0), "{verdict}");
    assert_eq!(verdict.by_kind()[&Kind::UpdateDropped], 2);
    assert_eq!(verdict.by_kind()[&Kind::MethodInAnswer], 1);
}

/// Somebody unverified writes, and joins the channel 15 s later; the message stands.
fn verified_too_late(delivered_after_ms: i64) -> Verdict {
    let mut world = small_day(2).world(START);
    let group = world.chats().find(|chat| chat.spec.open_to_outsiders).unwrap().spec.id;
    let spec = world.chat(group).unwrap().spec.clone();
    let (owner, channel) = (spec.members[0].0, spec.linked.unwrap());
    let name = world.chat(channel).unwrap().spec.username.clone().unwrap();
    let user = UserId(42);
    world.add_person(Person::named(user, "Ann"));
    let write =
        |user, text: &str| Act::Write { user, chat: group, content: Content::Text(text.to_owned()), thread: None };
    for chat in [group, channel] {
        world.act(START, Act::Promote { admin: owner, chat, user: BOT, rights: Rights::FULL }).unwrap();
    }
    world.act(START, write(owner, &format!("/protect @{name}"))).unwrap();
    world.call(START, "sendMessage", &json!({"chat_id": group, "text": "done", "reply_parameters": {"message_id": 1}}));
    let wrote = START + 60_000;
    world.act(wrote, write(user, "hi")).unwrap();
    world.act(wrote + 15_000, Act::Join { user, chat: channel }).unwrap();
    world.delivered(wrote + delivered_after_ms, wrote);
    judge(&world, wrote + 60_000, Delivery::default(), Tolerance::default())
}

#[test]
fn what_came_late_to_the_bot_may_be_decided_late() {
    let verdict = verified_too_late(16_000);
    assert!(verdict.is_clean(), "{verdict}");
    let verdict = verified_too_late(10);
    assert_eq!(verdict.by_kind().into_iter().collect::<Vec<_>>(), [(Kind::MessageNotDeleted, 1)], "{verdict}");
}

/// Somebody who has been in the channel for long presses, and is told this.
fn told_at_a_press(answer: &str) -> Verdict {
    let mut world = small_day(2).world(START);
    let group = world.chats().find(|chat| chat.spec.open_to_outsiders).unwrap().spec.id;
    let spec = world.chat(group).unwrap().spec.clone();
    let (owner, channel) = (spec.members[0].0, spec.linked.unwrap());
    let name = world.chat(channel).unwrap().spec.username.clone().unwrap();
    let user = UserId(42);
    world.add_person(Person::named(user, "Ann"));
    for chat in [group, channel] {
        world.act(START, Act::Promote { admin: owner, chat, user: BOT, rights: Rights::FULL }).unwrap();
        world.act(START, Act::Join { user, chat }).unwrap();
    }
    let content = Content::Text(format!("/protect @{name}"));
    world.act(START, Act::Write { user: owner, chat: group, content, thread: None }).unwrap();
    let button = json!({"inline_keyboard": [[{"text": "I have joined", "callback_data": "x"}]]});
    world.call(START, "sendMessage", &json!({"chat_id": group, "text": "join", "reply_markup": button}));
    world.take_updates();
    let pressed = START + 60_000;
    world.act(pressed, Act::Press { user, chat: group, message: None }).unwrap();
    let press: Value = serde_json::from_str(&world.take_updates()[0].body).unwrap();
    let answer = answer.replace("CHANNEL", &world.chat(channel).unwrap().spec.title);
    let params = json!({"callback_query_id": press["callback_query"]["id"], "text": answer});
    assert_eq!(world.call(pressed, "answerCallbackQuery", &params).status, 200);
    judge(&world, pressed + 60_000, Delivery::default(), Tolerance::default())
}

#[test]
fn nobody_is_to_be_told_to_join_what_they_are_in() {
    let wrong = told_at_a_press("You have not joined yet: CHANNEL");
    assert_eq!(wrong.by_kind().get(&Kind::PressToldWrong), Some(&1), "{wrong}");
    let right = told_at_a_press("You can already write here.");
    assert!(!right.by_kind().contains_key(&Kind::PressToldWrong), "{right}");
}

#[test]
fn a_day_is_the_same_for_the_same_seed_and_survives_its_file() {
    let day = small_day(5);
    assert_eq!(day, small_day(5));
    assert_ne!(day.acts, small_day(6).acts);
    let mut file = Vec::new();
    day.write_to(&mut file).unwrap();
    assert_eq!(Scenario::read_from(file.as_slice()).unwrap(), day);
}
