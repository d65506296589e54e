//! Intents: state intents are made again, effects happen once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, MessageId, UpdateId, UserId};
use nezuko_worker::{
    buttons::{Button, Kind},
    intent::{Answered, Claim, Command, Greeting, Intent, Key, KeyDoes, Lane, Press, Put, Reply, Settlement, Work},
    settings::Language,
    store::{ChatWrites, PersonWrites, Settle, StatesOfIntents, Store},
};

use super::{
    ANN, BOB, CHANNEL, Check, GROUP, Make, NOW, SECOND, at, change_chat, checks, claim, claim_one, deletion, end, mute,
    nothing_due, put, settle, write,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        every_intent_is_claimed_in_its_lane_as_it_was_put,
        a_state_intent_made_again_is_a_new_generation,
        a_state_intent_that_was_ended_can_be_made_again_and_an_effect_cannot,
        the_earlier_due_time_wins,
        what_is_made_again_for_bulk_stays_urgent,
        a_chat_that_has_to_wait_waits_with_a_whole_lane,
        an_effect_is_never_replaced,
        an_effect_that_is_done_does_not_come_back,
        a_state_intent_that_is_done_may_come_back,
        ending_removes_state_intents_for_good,
        ending_leaves_tombstones,
        open_intents_are_counted_by_kind_when_they_are_due,
        open_intents_are_due_claimed_or_wait_for_their_time,
    ]
}

const THIRD: UserId = UserId(13);

fn one_of_each() -> [Intent; 14] {
    let (user, chat, message, topic) = (ANN, GROUP, MessageId(5), Some(3));
    let update_id = UpdateId(9);
    let work = Work { after: BOB, done: 3, message, tries: 2, ..Work::begins(chat, 4, NOW) };
    let (name, arguments) = ("protect".to_owned(), "@a 'b' \"c\"".to_owned());
    [
        mute(ANN),
        Intent::Check { chat: CHANNEL, user },
        Intent::Admit { group: GROUP, user },
        Intent::Greet(Greeting { group: GROUP, user, date: NOW / 1000, reach: ChatId(user.0) }),
        Intent::Prompt { group: GROUP, topic },
        Intent::Redecide { chat, after: BOB },
        Intent::Panel { chat, message, row: i64::MAX },
        Intent::Recheck(work),
        Intent::Release(work),
        Intent::Log { group: GROUP },
        Intent::Answer(Press {
            update_id,
            callback: "77".to_owned(),
            button: Some(Button { kind: Kind::Panel, row: i64::MAX, argument: [1, 255] }),
            group: GROUP,
            user,
            language: Language::De,
            message,
            received_ms: NOW,
        }),
        deletion(5),
        Intent::Command(Command {
            update_id,
            name,
            addressee: None,
            arguments,
            chat,
            topic,
            message,
            user,
            language: Language::De,
            reply_to: Some(Answered {
                writer: Some((BOB, "Bob 💖".to_owned())),
                sender_chat: Some((CHANNEL, "'News'".to_owned())),
                forwarded_from: Some(CHANNEL),
                text: Some("{\"a\": \"b\"}".to_owned()),
            }),
            received_ms: NOW,
        }),
        Intent::Reply(Reply {
            update_id,
            chat,
            topic: None,
            message,
            html: "<b>'ä'</b>".to_owned(),
            keyboard: vec![
                vec![Key { label: "'Go'".to_owned(), does: KeyDoes::Open("https://t.me/x?a=b".to_owned()) }],
                vec![Key { label: "Do".to_owned(), does: KeyDoes::Send("data".to_owned()) }],
            ],
            stands_ms: Some(60_000),
            until_ms: None,
            then: Some(Box::new(Intent::Release(work))),
        }),
    ]
}

async fn every_intent_is_claimed_in_its_lane_as_it_was_put(store: &dyn Store) -> Result<()> {
    let intents = one_of_each();
    for intent in intents.clone() {
        put(store, intent, NOW).await?;
    }
    let mut claimed = Vec::new();
    for lane in Lane::ALL {
        for claim in claim(store, lane, "one", NOW).await? {
            ensure!(claim.intent.lane(claim.urgency) == lane, "in {lane:?}: {claim:?}");
            ensure!((claim.generation, claim.attempts, claim.trace_id.as_str()) == (1, 0, "trace"), "{claim:?}");
            claimed.push(claim.intent);
        }
    }
    claimed.sort_by_key(Intent::key);
    let mut expected = intents.to_vec();
    expected.sort_by_key(Intent::key);
    ensure!(claimed == expected, "{claimed:?}");
    Ok(())
}

async fn a_state_intent_made_again_is_a_new_generation(store: &dyn Store) -> Result<()> {
    let after = |user| Intent::Redecide { chat: GROUP, after: UserId(user) };
    put(store, after(100), NOW).await?;
    store.put(&[at(after(50), NOW), at(after(0), NOW)], "newest").await?;
    let claim = claim_one(store, Lane::Jobs, "one", NOW).await?;
    ensure!(claim.intent == after(0) && claim.generation == 3 && claim.trace_id == "newest", "{claim:?}");
    Ok(())
}

async fn a_state_intent_that_was_ended_can_be_made_again_and_an_effect_cannot(store: &dyn Store) -> Result<()> {
    for intent in one_of_each() {
        let lane = intent.lane(Urgency::Urgent);
        put(store, intent.clone(), NOW).await?;
        let done = claim_one(store, lane, "one", NOW).await?;
        settle(store, &done, Settlement::Done).await?;
        put(store, intent.clone(), NOW).await?;
        let again = !claim(store, lane, "one", NOW).await?.is_empty();
        ensure!(again == intent.is_state(), "{intent:?} made again: {again}");
    }
    Ok(())
}

async fn the_earlier_due_time_wins(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, mute(ANN), NOW + SECOND).await?;
    put(store, mute(BOB), NOW + SECOND).await?;
    put(store, mute(BOB), NOW).await?;
    let claims = claim(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(claims.len() == 2, "due are only {claims:?}");
    Ok(())
}

async fn what_is_made_again_for_bulk_stays_urgent(store: &dyn Store) -> Result<()> {
    let bulk = |intent| Put { urgency: Urgency::Bulk, ..at(intent, NOW) };
    let check = Intent::Check { chat: CHANNEL, user: ANN };
    store.put(&[bulk(mute(ANN)), bulk(mute(BOB)), bulk(check.clone()), at(mute(THIRD), NOW)], "trace").await?;
    store.put(&[at(mute(BOB), NOW), bulk(mute(THIRD))], "trace").await?;
    let claimed = |claims: Vec<Claim>| claims.into_iter().map(|claim| claim.intent.key()).collect::<BTreeSet<_>>();
    let keys = |intents: &[Intent]| intents.iter().map(Intent::key).collect::<BTreeSet<_>>();
    let slow = claim(store, Lane::Bulk, "one", NOW).await?;
    ensure!(slow.iter().all(|claim| claim.urgency == Urgency::Bulk), "{slow:?}");
    ensure!(claimed(slow.clone()) == keys(&[mute(ANN), check]), "bulk: {slow:?}");
    let quick = claim(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(quick.iter().all(|claim| claim.urgency == Urgency::Urgent), "{quick:?}");
    ensure!(claimed(quick.clone()) == keys(&[mute(BOB), mute(THIRD)]), "urgent: {quick:?}");
    Ok(())
}

async fn a_chat_that_has_to_wait_waits_with_a_whole_lane(store: &dyn Store) -> Result<()> {
    let elsewhere = Intent::Member { group: ChatId(-100_777), user: ANN };
    for intent in [mute(ANN), mute(BOB), mute(THIRD), elsewhere.clone(), deletion(1)] {
        put(store, intent, NOW).await?;
    }
    let [held, ..] = &store.claim(Lane::Restrictions, "one", NOW, NOW + 60 * SECOND, 1).await?[..] else {
        anyhow::bail!("nothing is due")
    };
    put(store, Intent::Member { group: GROUP, user: UserId(14) }, NOW + 20 * SECOND).await?;
    store.postpone(Lane::Restrictions, GROUP, NOW, NOW + 10 * SECOND).await?;
    let due = |claims: Vec<Claim>| claims.into_iter().map(|claim| claim.intent.key()).collect::<BTreeSet<_>>();
    let left = [elsewhere].iter().filter(|intent| intent.key() != held.intent.key()).map(Intent::key).collect();
    ensure!(
        due(claim(store, Lane::Restrictions, "two", NOW + 9 * SECOND).await?) == left,
        "others of the chat are due"
    );
    claim_one(store, Lane::Deletions, "two", NOW).await.context("in another lane")?;
    // One that is due still later stays so.
    let after = due(claim(store, Lane::Restrictions, "two", NOW + 10 * SECOND).await?);
    let expected: BTreeSet<_> =
        [mute(ANN), mute(BOB), mute(THIRD)].iter().map(Intent::key).filter(|key| *key != held.intent.key()).collect();
    ensure!(after == expected, "{after:?}");
    settle(store, held, Settlement::Done).await
}

async fn an_effect_is_never_replaced(store: &dyn Store) -> Result<()> {
    let reply = |html: &str| {
        let html = html.to_owned();
        let (update_id, message) = (UpdateId(9), MessageId(5));
        let (keyboard, stands_ms, then) = (Vec::new(), None, None);
        Intent::Reply(Reply {
            update_id,
            chat: GROUP,
            topic: None,
            message,
            html,
            keyboard,
            stands_ms,
            until_ms: None,
            then,
        })
    };
    put(store, reply("first"), NOW).await?;
    store.put(&[at(reply("second"), NOW - SECOND)], "other").await?;
    nothing_due(store, Lane::Replies, NOW - SECOND).await?;
    let claim = claim_one(store, Lane::Replies, "one", NOW).await?;
    ensure!((claim.intent == reply("first")) && claim.generation == 1 && claim.trace_id == "trace", "{claim:?}");
    Ok(())
}

async fn an_effect_that_is_done_does_not_come_back(store: &dyn Store) -> Result<()> {
    put(store, deletion(1), NOW).await?;
    let done = claim_one(store, Lane::Deletions, "one", NOW).await?;
    settle(store, &done, Settlement::Done).await?;
    let again = [at(deletion(1), NOW)];

    store.put(&again, "trace").await?;
    nothing_due(store, Lane::Deletions, NOW).await.context("put")?;
    write(store, ANN, PersonWrites { put: again.to_vec(), ..PersonWrites::default() }).await?;
    nothing_due(store, Lane::Deletions, NOW).await.context("by a person's step")?;
    change_chat(store, GROUP, |_| ChatWrites { put: again.to_vec(), ..ChatWrites::default() }).await?;
    nothing_due(store, Lane::Deletions, NOW).await.context("by a chat's step")?;
    store.settle(&[Settle::of(&done, Settlement::Done)], &again, "trace", NOW).await?;
    nothing_due(store, Lane::Deletions, NOW).await.context("with a settlement")
}

async fn a_state_intent_that_is_done_may_come_back(store: &dyn Store) -> Result<()> {
    for _ in 0..2 {
        put(store, mute(ANN), NOW).await?;
        let claim = claim_one(store, Lane::Restrictions, "one", NOW).await?;
        ensure!(claim.generation == 1, "{claim:?}");
        settle(store, &claim, Settlement::Done).await?;
        nothing_due(store, Lane::Restrictions, NOW).await?;
    }
    Ok(())
}

async fn ending_removes_state_intents_for_good(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, mute(BOB), NOW).await?;
    end(store, &mute(ANN)).await?;
    let claim = claim_one(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(claim.intent == mute(BOB), "{claim:?}");
    Ok(())
}

async fn ending_leaves_tombstones(store: &dyn Store) -> Result<()> {
    put(store, deletion(1), NOW).await?;
    let done = claim_one(store, Lane::Deletions, "one", NOW).await?;
    settle(store, &done, Settlement::Done).await?;
    end(store, &deletion(1)).await?;
    put(store, deletion(1), NOW).await?;
    nothing_due(store, Lane::Deletions, NOW).await
}

async fn open_intents_are_due_claimed_or_wait_for_their_time(store: &dyn Store) -> Result<()> {
    for intent in [mute(ANN), deletion(1), deletion(2), deletion(3)] {
        put(store, intent, NOW).await?;
    }
    put(store, mute(BOB), NOW + SECOND).await?;
    let claims = store.claim(Lane::Deletions, "one", NOW, NOW + 2 * SECOND, 2).await?;
    let [done, _held] = claims.as_slice() else { bail!("{claims:?}") };
    settle(store, done, Settlement::Done).await?;
    for (now_ms, due, claimed, later) in [(NOW, 2, 1, 1), (NOW + SECOND, 3, 1, 0), (NOW + 3 * SECOND, 4, 0, 0)] {
        let states = store.states_of_intents(now_ms).await?;
        ensure!(states == StatesOfIntents { due, claimed, later }, "{states:?} at {}", now_ms - NOW);
    }
    Ok(())
}

async fn open_intents_are_counted_by_kind_when_they_are_due(store: &dyn Store) -> Result<()> {
    for intent in [mute(ANN), mute(BOB), deletion(1), deletion(2), Intent::Prompt { group: GROUP, topic: None }] {
        put(store, intent, NOW + SECOND).await?;
    }
    let claims = store.claim(Lane::Deletions, "one", NOW + SECOND, NOW + 2 * SECOND, 1).await?;
    let done = claims.first().context("a deletion is due")?;
    settle(store, done, Settlement::Done).await?;
    put(store, mute(THIRD), NOW + 2 * SECOND).await?;
    let mut open = store.open_intents(NOW + SECOND).await?;
    open.sort();
    let expected = [("delete", 1), ("member", 2), ("prompt", 1)].map(|(kind, count)| (kind.to_owned(), count));
    ensure!(open == expected, "{open:?}");
    ensure!(store.open_intents(NOW).await?.is_empty(), "none is due yet");
    put(store, mute(ANN), NOW).await?;
    let mut oldest = store.oldest_due(NOW + SECOND).await?;
    oldest.sort();
    let expected = [("delete", NOW + SECOND), ("member", NOW), ("prompt", NOW + SECOND)];
    ensure!(oldest == expected.map(|(kind, due_ms)| (kind.to_owned(), due_ms)), "{oldest:?}");
    ensure!(store.oldest_due(NOW - 1).await?.is_empty(), "none is due yet");
    Ok(())
}
