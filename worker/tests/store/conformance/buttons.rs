//! Buttons, allowances, and what is counted and forgotten.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use nezuko_telegram::{MessageId, UpdateId, UserId};
use nezuko_worker::{
    facts::Member,
    intent::{Intent, Lane, Press, answer_key},
    settings::Language,
    store::{Allowance, ButtonRow, Held, LedgerEntry, Payload, PersonWrites, Store, Verification},
};

use super::{
    ANN, BOB, CHANNEL, Check, GROUP, HOUR, Make, NOW, OTHER_GROUP, SECOND, at, checks, claim_one, deletion, event,
    nothing_due, person, seen_from, write, write_member,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        a_button_is_read_as_it_was_put_down_until_it_is_over,
        a_button_is_used_once_and_puts_its_intents_once,
        a_button_that_is_over_does_nothing_and_is_purged,
        an_allowance_is_drawn_by_each_person_and_kind_and_begins_anew,
        what_happened_in_a_group_is_counted_since_a_time,
        people_of_a_chat_are_counted,
        whoever_asks_to_be_forgotten_is_but_for_what_is_named,
        an_open_press_is_seen_by_its_person,
    ]
}

fn button(id: i64, user: Option<UserId>) -> ButtonRow {
    ButtonRow { id, chat: GROUP, user, payload: Payload::Verify, expires_ms: NOW + HOUR, used_ms: 0 }
}

async fn a_button_is_read_as_it_was_put_down_until_it_is_over(store: &dyn Store) -> Result<()> {
    let rows = [button(5, Some(ANN)), ButtonRow { payload: Payload::Panel, ..button(i64::MAX, None) }];
    store.add_buttons(&rows).await?;
    for row in rows {
        let read = store.button(row.id, NOW).await?;
        ensure!(read.as_ref() == Some(&row), "{read:?} instead of {row:?}");
    }
    ensure!(store.button(6, NOW).await?.is_none(), "another button is there");
    ensure!(store.button(5, NOW + HOUR).await?.is_none(), "it is over");
    Ok(())
}

async fn a_button_is_used_once_and_puts_its_intents_once(store: &dyn Store) -> Result<()> {
    store.add_buttons(&[button(5, None)]).await?;
    ensure!(!store.use_button(6, &[at(deletion(1), NOW)], "trace", NOW).await?, "there is no such button");
    nothing_due(store, Lane::Deletions, NOW).await?;
    ensure!(store.use_button(5, &[at(deletion(2), NOW)], "trace", NOW).await?, "the first time");
    let claim = claim_one(store, Lane::Deletions, "one", NOW).await?;
    ensure!(claim.intent == deletion(2), "{claim:?}");
    ensure!(!store.use_button(5, &[at(deletion(3), NOW)], "trace", NOW + SECOND).await?, "used twice");
    nothing_due(store, Lane::Deletions, NOW + SECOND).await?;
    let used_ms = store.button(5, NOW).await?.map(|row| row.used_ms);
    ensure!(used_ms == Some(NOW), "{used_ms:?}");
    Ok(())
}

async fn a_button_that_is_over_does_nothing_and_is_purged(store: &dyn Store) -> Result<()> {
    store.add_buttons(&[button(5, None)]).await?;
    ensure!(!store.use_button(5, &[], "trace", NOW + HOUR).await?, "it is over");
    store.purge(NOW + HOUR).await?;
    ensure!(store.button(5, NOW).await?.is_some(), "gone too soon");
    store.purge(NOW + HOUR + 1).await?;
    ensure!(store.button(5, NOW).await?.is_none(), "never gone");
    Ok(())
}

async fn an_allowance_is_drawn_by_each_person_and_kind_and_begins_anew(store: &dyn Store) -> Result<()> {
    let draw = async |user, of, after_s: i64| store.draw(user, of, NOW + after_s * SECOND, 10 * SECOND).await;
    for nth in 1..=3 {
        let drawn = draw(ANN, Allowance::Presses, nth).await?;
        ensure!(drawn == nth, "{drawn} instead of {nth}");
    }
    ensure!(draw(BOB, Allowance::Presses, 3).await? == 1, "another person");
    ensure!(draw(ANN, Allowance::Commands, 3).await? == 1, "another kind");
    ensure!(draw(ANN, Allowance::Presses, 10).await? == 4, "the window runs from its first time");
    ensure!(draw(ANN, Allowance::Presses, 11).await? == 1, "a window is over");
    Ok(())
}

async fn what_happened_in_a_group_is_counted_since_a_time(store: &dyn Store) -> Result<()> {
    let muted = |group| LedgerEntry { group, imposed: Some((9, vec![CHANNEL])) };
    let of = |group, outcome| Verification { group, outcome };
    let ann = PersonWrites {
        ledger: vec![muted(GROUP), muted(OTHER_GROUP)],
        verifications: vec![of(GROUP, "muted"), of(OTHER_GROUP, "muted"), of(GROUP, "missing")],
        ..PersonWrites::default()
    };
    person(store, ANN, GROUP, NOW, |_| ann.clone()).await?;
    let bob = PersonWrites {
        ledger: vec![muted(GROUP), LedgerEntry { group: GROUP, imposed: None }],
        verifications: vec![of(GROUP, "muted")],
        ..PersonWrites::default()
    };
    person(store, BOB, GROUP, NOW + HOUR, |_| bob.clone()).await?;
    let happened = store.happened(GROUP, NOW).await?;
    let expected = BTreeMap::from([("missing".to_owned(), 1), ("muted".to_owned(), 2)]);
    ensure!((happened.muted, &happened.outcomes) == (1, &expected), "{happened:?}");
    let later = store.happened(GROUP, NOW + 1).await?.outcomes;
    ensure!(later == BTreeMap::from([("muted".to_owned(), 1)]), "{later:?}");
    Ok(())
}

async fn people_of_a_chat_are_counted(store: &dyn Store) -> Result<()> {
    for (user, chat) in [(ANN, GROUP), (BOB, GROUP), (ANN, CHANNEL)] {
        write_member(store, user, chat, NOW, Member { event: Some(event(1)), ..Member::default() }).await?;
    }
    let counts = (store.count_people(GROUP).await?, store.count_people(OTHER_GROUP).await?);
    ensure!(counts == (2, 0), "{counts:?}");
    Ok(())
}

async fn whoever_asks_to_be_forgotten_is_but_for_what_is_named(store: &dyn Store) -> Result<()> {
    for user in [ANN, BOB] {
        for chat in [GROUP, CHANNEL] {
            write_member(store, user, chat, NOW, Member { event: Some(event(1)), ..Member::default() }).await?;
        }
        let writes = PersonWrites {
            hold: Some(Held { group: GROUP, message: MessageId(user.0), date: NOW / 1000 }),
            verifications: vec![Verification { group: GROUP, outcome: "muted" }],
            ..PersonWrites::default()
        };
        write(store, user, writes).await?;
    }
    store.add_buttons(&[button(5, Some(ANN)), button(6, Some(BOB)), button(7, None)]).await?;
    let chats = vec![CHANNEL];
    write(store, ANN, PersonWrites { forget: Some(chats), ..PersonWrites::default() }).await?;

    let ann = seen_from(store, ANN, GROUP).await?;
    ensure!(ann.members.keys().collect::<Vec<_>>() == [&GROUP], "{:?}", ann.members);
    ensure!(ann.held.is_empty(), "{:?}", ann.held);
    let bob = seen_from(store, BOB, GROUP).await?;
    ensure!(bob.members.len() == 2 && bob.held.len() == 1, "{bob:?}");
    let mut stand = Vec::new();
    for id in 5..=7 {
        stand.extend(store.button(id, NOW).await?.map(|row| row.id));
    }
    ensure!(stand == [6, 7], "{stand:?}");
    ensure!(store.happened(GROUP, NOW).await?.outcomes["muted"] == 2, "what has happened stays counted");
    Ok(())
}

async fn an_open_press_is_seen_by_its_person(store: &dyn Store) -> Result<()> {
    let press = Press {
        update_id: UpdateId(9),
        callback: "5".to_owned(),
        button: None,
        group: GROUP,
        user: ANN,
        language: Language::En,
        message: MessageId(1),
        received_ms: NOW,
    };
    store.put(&[at(Intent::Answer(press), NOW)], "trace").await?;
    let key = format!("{}9", answer_key(GROUP));
    ensure!(seen_from(store, ANN, GROUP).await?.open.contains(&key));
    ensure!(!seen_from(store, BOB, GROUP).await?.open.contains(&key));
    let claim = claim_one(store, Lane::Answers, "one", NOW).await?;
    super::settle(store, &claim, nezuko_worker::intent::Settlement::Done).await?;
    ensure!(!seen_from(store, ANN, GROUP).await?.open.contains(&key), "it is answered");
    Ok(())
}
