//! People: what a transaction writes, the next one reads.

use anyhow::{Result, ensure};
use nezuko_telegram::{ChatId, Limits, MessageId, Permissions, Standing, UpdateId};
use nezuko_worker::{
    facts::{Act, Added, Ban, Call, Change, EventOrder, Lookup, Member, Request, Setting, Theirs, Wait},
    intent::{Intent, Lane, Settlement},
    store::{Held, PersonWrites, Scope, Settle, Store},
};

use super::{
    ANN, BOB, CHANNEL, Check, GROUP, Make, NOW, OTHER_GROUP, at, checks, claim_one, deletion, end, event, mute, put,
    seen_from, settle, take_in, write, write_member,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        nobody_is_known_at_first,
        facts_are_read_as_they_were_written,
        whether_somebody_waits_is_read_as_it_was_written,
        facts_are_replaced_by_newer_writes,
        facts_of_different_people_are_apart,
        the_revision_rises_with_every_transaction,
        a_repeated_update_was_seen_before,
        the_correlation_id_goes_with_the_intents,
        held_messages_are_read_until_they_are_decided,
        a_message_is_held_once,
        open_state_intents_of_the_person_are_seen,
        a_step_may_settle_a_claim_and_go_on,
    ]
}

async fn nobody_is_known_at_first(store: &dyn Store) -> Result<()> {
    let view = seen_from(store, ANN, GROUP).await?;
    ensure!(view.rev == 1 && !view.seen_before, "{view:?}");
    ensure!(view.members.is_empty() && view.chats.is_empty() && view.required.is_empty(), "{view:?}");
    ensure!(view.held.is_empty() && view.open.is_empty(), "{view:?}");
    let chat = store.chat(GROUP).await?;
    ensure!(chat.chat.version == 0 && chat.links.is_empty() && chat.required_by.is_empty(), "{chat:?}");
    ensure!(store.people_of(GROUP, nezuko_telegram::UserId(0), 10).await?.is_empty());
    ensure!(store.waiting_in(GROUP).await? == 0 && store.open_intents(i64::MAX).await?.is_empty());
    Ok(())
}

fn order(date: i64, update: i64) -> EventOrder {
    EventOrder { date, update_id: UpdateId(update) }
}

/// Somebody of whom everything is known that can be.
fn well_known() -> Member {
    let muted = Limits::Restricted { until: 1_730_000_000, left: Permissions::NONE };
    Member {
        request: Some(Request { order: order(1_650_000_001, 6), reach: ChatId(ANN.0), told: true, answered: false }),
        event: Some(event(9)),
        lookup: Some(Lookup { asked_ms: NOW - 5, standing: Standing::Outside, limits: muted }),
        last_out: Some(order(1_600_000_000, 3)),
        spoke: Some(order(1_699_999_999, 8)),
        spoke_late: Some(order(1_699_999_000, 7)),
        change: Some(Change { order: order(1_650_000_000, 5), limits: muted, by_us: true }),
        theirs: Some(Theirs {
            order: order(1_640_000_000, 4),
            limits: Limits::Restricted { until: 0, left: Permissions::ALL },
            lifted_ours: true,
        }),
        call: Some(Call {
            answered: true,
            shown: true,
            earlier_until_ms: NOW,
            ..Call::new(Act::Restore, NOW - 1, None)
        }),
        mute_until: Some(1_730_000_000),
        restored: Some(Limits::Restricted { until: 0, left: Permissions::NONE }),
        ban: Some(Ban { until: 1_730_000_001, kick: true }),
        added: Some(Added { order: order(1_650_000_002, 7), by: BOB, by_admin: Some(true) }),
        wait: Some(Wait { since_ms: NOW - 9, until_ms: Some(NOW), warned_ms: Some(NOW - 1) }),
        failed_ms: Some(NOW - 2),
        pressed_ms: Some(NOW - 3),
        would: Some(Act::Kick),
        topic: Some(77),
        allowed: Some(Setting { value: true, update_id: UpdateId(4), received_ms: NOW }),
        is_bot: true,
        waiting: true,
        name: "Ann 💖 <b>'\"\\ \u{202e}".to_owned(),
    }
}

async fn facts_are_read_as_they_were_written(store: &dyn Store) -> Result<()> {
    let banned = Member {
        theirs: Some(Theirs { order: order(1, 1), limits: Limits::Banned { until: 5 }, lifted_ours: false }),
        ..Member::default()
    };
    write_member(store, ANN, GROUP, NOW, well_known()).await?;
    write_member(store, ANN, CHANNEL, NOW, banned.clone()).await?;
    let view = seen_from(store, ANN, OTHER_GROUP).await?;
    let expected = [(GROUP, well_known()), (CHANNEL, banned)].into();
    ensure!(view.members == expected, "{:?} instead of {expected:?}", view.members);
    Ok(())
}

async fn whether_somebody_waits_is_read_as_it_was_written(store: &dyn Store) -> Result<()> {
    for waiting in [true, false, true] {
        let member = Member { event: Some(event(1)), waiting, ..Member::default() };
        write_member(store, ANN, GROUP, NOW, member).await?;
        let view = seen_from(store, ANN, GROUP).await?;
        ensure!(view.members.get(&GROUP).map(|member| member.waiting) == Some(waiting), "waiting is not {waiting}");
    }
    Ok(())
}

async fn facts_are_replaced_by_newer_writes(store: &dyn Store) -> Result<()> {
    write_member(store, ANN, GROUP, NOW, well_known()).await?;
    let left = Member { last_out: Some(order(1_700_000_000, 10)), ..Member::default() };
    write_member(store, ANN, GROUP, NOW, left.clone()).await?;
    let view = seen_from(store, ANN, GROUP).await?;
    ensure!(view.members == [(GROUP, left)].into(), "{:?}", view.members);
    Ok(())
}

async fn facts_of_different_people_are_apart(store: &dyn Store) -> Result<()> {
    write_member(store, ANN, GROUP, NOW, well_known()).await?;
    let held = Some(Held { group: GROUP, message: MessageId(1), date: NOW / 1000 });
    let put = vec![at(mute(ANN), NOW)];
    write(store, ANN, PersonWrites { hold: held, put, ..PersonWrites::default() }).await?;
    let view = seen_from(store, BOB, GROUP).await?;
    ensure!(view.rev == 1, "the revision of another is {}", view.rev);
    ensure!(view.members.is_empty() && view.held.is_empty() && view.open.is_empty(), "{view:?}");
    Ok(())
}

async fn the_revision_rises_with_every_transaction(store: &dyn Store) -> Result<()> {
    for expected in 1..=4 {
        let rev = seen_from(store, ANN, GROUP).await?.rev;
        ensure!(rev == expected, "{rev} instead of {expected}");
    }
    Ok(())
}

async fn a_repeated_update_was_seen_before(store: &dyn Store) -> Result<()> {
    ensure!(!take_in(store, ANN, UpdateId(5), NOW).await?, "a new update was seen before");
    ensure!(take_in(store, ANN, UpdateId(5), NOW).await?, "a repeated update was not seen before");
    ensure!(!take_in(store, ANN, UpdateId(4), NOW).await?, "a new update with a lower id was seen before");
    ensure!(!seen_from(store, ANN, GROUP).await?.seen_before, "no update was seen before");
    Ok(())
}

async fn the_correlation_id_goes_with_the_intents(store: &dyn Store) -> Result<()> {
    for trace_id in ["first", "second"] {
        let scope = Scope { user: ANN, chat: GROUP, update: None, trace_id, now_ms: NOW };
        let writes = PersonWrites { put: vec![at(mute(ANN), NOW)], ..PersonWrites::default() };
        store.with_person(&scope, &mut |_| writes.clone()).await?;
    }
    let claim = claim_one(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(claim.trace_id == "second", "{claim:?}");
    Ok(())
}

async fn hold(store: &dyn Store, group: ChatId, message: i64) -> Result<()> {
    let hold = Some(Held { group, message: MessageId(message), date: NOW / 1000 });
    write(store, ANN, PersonWrites { hold, ..PersonWrites::default() }).await
}

async fn held_by_ann(store: &dyn Store) -> Result<Vec<(ChatId, i64)>> {
    let held = seen_from(store, ANN, GROUP).await?.held;
    ensure!(held.iter().all(|held| held.date == NOW / 1000), "{held:?}");
    let mut messages: Vec<_> = held.iter().map(|held| (held.group, held.message.0)).collect();
    messages.sort_unstable();
    Ok(messages)
}

async fn held_messages_are_read_until_they_are_decided(store: &dyn Store) -> Result<()> {
    for (group, message) in [(GROUP, 1), (GROUP, 2), (OTHER_GROUP, 1)] {
        hold(store, group, message).await?;
    }
    let held = held_by_ann(store).await?;
    ensure!(held == [(OTHER_GROUP, 1), (GROUP, 1), (GROUP, 2)], "{held:?}");
    let decided = PersonWrites { unhold: vec![(GROUP, MessageId(1))], ..PersonWrites::default() };
    write(store, BOB, decided.clone()).await?;
    ensure!(held_by_ann(store).await? == held, "what another wrote was decided");
    write(store, ANN, decided).await?;
    let held = held_by_ann(store).await?;
    ensure!(held == [(OTHER_GROUP, 1), (GROUP, 2)], "{held:?}");
    Ok(())
}

async fn a_message_is_held_once(store: &dyn Store) -> Result<()> {
    hold(store, GROUP, 1).await?;
    hold(store, GROUP, 1).await?;
    let held = held_by_ann(store).await?;
    ensure!(held == [(GROUP, 1)], "{held:?}");
    Ok(())
}

async fn open_state_intents_of_the_person_are_seen(store: &dyn Store) -> Result<()> {
    let check = Intent::Check { chat: CHANNEL, user: ANN };
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    for intent in [mute(ANN), check.clone(), mute(BOB), prompt, deletion(1)] {
        put(store, intent, NOW).await?;
    }
    let open = seen_from(store, ANN, GROUP).await?.open;
    ensure!(open == [mute(ANN).key(), check.key()].into(), "{open:?}");
    end(store, &mute(ANN)).await?;
    let claim = claim_one(store, Lane::Lookups, "one", NOW).await?;
    let open = seen_from(store, ANN, GROUP).await?.open;
    ensure!(open == [check.key()].into(), "while it is claimed: {open:?}");
    settle(store, &claim, Settlement::Done).await?;
    let open = seen_from(store, ANN, GROUP).await?.open;
    ensure!(open.is_empty(), "when all is done: {open:?}");
    Ok(())
}

/// A claim is settled before new intents are made: what is put in the same step is a new row.
async fn a_step_may_settle_a_claim_and_go_on(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, mute(ANN), NOW).await?;
    let claim = claim_one(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(claim.generation == 2, "{claim:?}");
    let settle = Some(Settle::of(&claim, Settlement::Done));
    write(store, ANN, PersonWrites { settle, put: vec![at(mute(ANN), NOW)], ..PersonWrites::default() }).await?;
    let next = claim_one(store, Lane::Restrictions, "two", NOW).await?;
    ensure!(next.generation == 1 && next.claim != claim.claim, "{next:?} after {claim:?}");
    Ok(())
}
