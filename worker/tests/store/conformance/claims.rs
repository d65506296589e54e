//! Claims: one holder at a time, and a result ends only what was claimed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use nezuko_shared::limiter::Urgency;
use nezuko_telegram::UserId;
use nezuko_worker::{
    intent::{Claim, Intent, Lane, Settlement},
    store::{PersonWrites, Settle, Store},
};

use super::{
    ANN, BOB, Check, GROUP, Make, NOW, SECOND, at, checks, claim, claim_one, deletion, end, mute, nothing_due, put,
    settle, write,
};

const LANE: Lane = Lane::Restrictions;
/// Just after a claim of [`NOW`] has run out.
const LATER: i64 = NOW + 10 * SECOND + 1;

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        what_is_not_due_is_not_claimed,
        no_more_is_claimed_than_asked_for_and_the_longest_due_first,
        what_is_claimed_has_one_holder,
        a_claim_that_ran_out_goes_to_another,
        a_prolonged_claim_does_not_run_out,
        one_of_a_batch_can_be_held_for_longer,
        a_claim_of_which_its_holder_was_never_told_runs_out,
        what_is_given_back_can_be_claimed_at_once,
        done_ends_a_claim,
        retry_counts_and_waits,
        continue_goes_on_with_the_rest,
        a_newer_generation_outlives_what_was_claimed,
        a_newer_generation_begins_anew_when_a_step_is_done,
        several_are_settled_and_made_in_one_go,
        a_stale_claim_settles_nothing,
        a_stale_claim_settles_nothing_in_a_persons_step,
        a_stale_claim_settles_nothing_that_was_made_anew,
        a_stale_claim_ends_no_effect,
    ]
}

async fn what_is_not_due_is_not_claimed(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW + 1).await?;
    nothing_due(store, LANE, NOW).await?;
    nothing_due(store, Lane::Deletions, NOW + 1).await?;
    claim_one(store, LANE, "one", NOW + 1).await?;
    Ok(())
}

async fn no_more_is_claimed_than_asked_for_and_the_longest_due_first(store: &dyn Store) -> Result<()> {
    for (user, due_ms) in [(1, NOW - 1), (2, NOW - 3), (3, NOW), (4, NOW - 2)] {
        put(store, mute(UserId(user)), due_ms).await?;
    }
    let mut order = Vec::new();
    for most in [2, 1, 2] {
        let claims = store.claim(LANE, "one", NOW, NOW + SECOND, most).await?;
        ensure!(claims.len() as i64 <= most, "{} instead of {most}", claims.len());
        let claimed = claims.iter().map(|claim| claim.intent.key()).collect::<BTreeSet<_>>();
        order.push(claimed);
    }
    let keys = |users: &[i64]| users.iter().map(|user| mute(UserId(*user)).key()).collect::<BTreeSet<_>>();
    ensure!(order == [keys(&[2, 4]), keys(&[1]), keys(&[3])], "{order:?}");
    Ok(())
}

async fn what_is_claimed_has_one_holder(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    claim_one(store, LANE, "one", NOW).await?;
    for now_ms in [NOW, NOW + SECOND, NOW + 10 * SECOND] {
        nothing_due(store, LANE, now_ms).await?;
        let again = claim(store, LANE, "one", now_ms).await?;
        ensure!(again.is_empty(), "its holder is given it again: {again:?}");
    }
    // A new generation does not break a claim.
    put(store, mute(ANN), NOW).await?;
    nothing_due(store, LANE, NOW + SECOND).await
}

async fn a_claim_that_ran_out_goes_to_another(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    let first = claim_one(store, LANE, "one", NOW).await?;
    let second = claim_one(store, LANE, "two", LATER).await?;
    ensure!(first.claim != second.claim, "both claims have the number {}", first.claim);
    ensure!(second.attempts == 0 && second.generation == 1, "{second:?}");
    Ok(())
}

async fn a_prolonged_claim_does_not_run_out(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    let first = claim_one(store, LANE, "one", NOW).await?;
    put(store, mute(BOB), NOW).await?;
    let second = claim_one(store, LANE, "two", NOW).await?;
    store.renew("one", &[first.claim, second.claim].into(), NOW + 60 * SECOND).await?;
    store.renew("one", &[first.claim].into(), NOW + SECOND).await?;
    let ran_out = claim_one(store, LANE, "three", LATER).await?;
    ensure!(ran_out.intent == mute(BOB), "somebody else's claim was prolonged, or one was shortened: {ran_out:?}");
    // What was given back or settled is nobody's, so there is nothing to prolong.
    store.release("one").await?;
    store.renew("one", &[first.claim].into(), NOW + 60 * SECOND).await?;
    claim_one(store, LANE, "three", LATER).await?;
    Ok(())
}

async fn one_of_a_batch_can_be_held_for_longer(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, mute(BOB), NOW).await?;
    let batch = claim(store, LANE, "one", NOW).await?;
    let held = batch.iter().find(|claim| claim.intent == mute(ANN)).context("claimed")?;
    ensure!(store.hold(held, NOW + 60 * SECOND).await?, "what is claimed cannot be held");
    ensure!(store.hold(held, NOW + SECOND).await?, "what is held for longer is not held");
    let ran_out = claim_one(store, LANE, "two", LATER).await?;
    ensure!(ran_out.intent == mute(BOB), "the whole batch was held, or nothing: {ran_out:?}");
    // What is settled is held by nobody.
    settle(store, held, Settlement::Retry { not_before_ms: NOW }).await?;
    ensure!(!store.hold(held, NOW + 60 * SECOND).await?, "what is settled is held");
    let taken_up = claim_one(store, LANE, "two", LATER).await?;
    ensure!(!store.hold(held, LATER + 60 * SECOND).await?, "what somebody else has claimed is held");
    ensure!(store.hold(&taken_up, LATER + SECOND).await?, "what was taken up cannot be held");
    Ok(())
}

async fn a_claim_of_which_its_holder_was_never_told_runs_out(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    let known = claim_one(store, LANE, "one", NOW).await?;
    put(store, mute(BOB), NOW).await?;
    claim_one(store, LANE, "one", NOW).await?;
    store.renew("one", &[known.claim].into(), NOW + 60 * SECOND).await?;
    let ran_out = claim_one(store, LANE, "two", LATER).await?;
    ensure!(ran_out.intent == mute(BOB), "{ran_out:?}");
    nothing_due(store, LANE, LATER).await
}

async fn what_is_given_back_can_be_claimed_at_once(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    claim_one(store, LANE, "one", NOW).await?;
    store.release("two").await?;
    nothing_due(store, LANE, NOW).await.context("another gave back")?;
    store.release("one").await?;
    let next = claim_one(store, LANE, "two", NOW).await?;
    ensure!(next.attempts == 0, "{next:?}");
    Ok(())
}

async fn done_ends_a_claim(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, deletion(1), NOW).await?;
    for lane in [LANE, Lane::Deletions] {
        let claim = claim_one(store, lane, "one", NOW).await?;
        settle(store, &claim, Settlement::Done).await?;
        nothing_due(store, lane, LATER).await?;
    }
    ensure!(store.open_intents(i64::MAX).await?.is_empty());
    Ok(())
}

async fn retry_counts_and_waits(store: &dyn Store) -> Result<()> {
    for (intent, lane) in [(mute(ANN), LANE), (deletion(1), Lane::Deletions)] {
        put(store, intent.clone(), NOW).await?;
        let first = claim_one(store, lane, "one", NOW).await?;
        settle(store, &first, Settlement::Retry { not_before_ms: NOW + SECOND }).await?;
        nothing_due(store, lane, NOW).await?;
        let second = claim_one(store, lane, "two", NOW + SECOND).await?;
        ensure!(second.attempts == 1 && second.generation == 1 && second.intent == intent, "{second:?}");
        settle(store, &second, Settlement::Retry { not_before_ms: NOW }).await?;
        let third = claim_one(store, lane, "one", NOW).await?;
        ensure!(third.attempts == 2, "{third:?}");
    }
    Ok(())
}

async fn continue_goes_on_with_the_rest(store: &dyn Store) -> Result<()> {
    let after = |user| Intent::Redecide { chat: GROUP, after: UserId(user) };
    put(store, after(0), NOW).await?;
    let first = claim_one(store, Lane::Jobs, "one", NOW).await?;
    settle(store, &first, Settlement::Continue(Box::new(after(200)))).await?;
    let second = claim_one(store, Lane::Jobs, "two", NOW).await?;
    ensure!(second.intent == after(200) && second.attempts == 0 && second.generation == 1, "{second:?}");
    Ok(())
}

async fn a_newer_generation_outlives_what_was_claimed(store: &dyn Store) -> Result<()> {
    for settlement in [Settlement::Done, Settlement::Retry { not_before_ms: NOW + 60 * SECOND }] {
        put(store, mute(ANN), NOW).await?;
        let old = claim_one(store, LANE, "one", NOW).await?;
        put(store, mute(ANN), NOW).await?;
        settle(store, &old, settlement.clone()).await?;
        let newer = claim_one(store, LANE, "two", NOW).await.with_context(|| format!("after {settlement:?}"))?;
        ensure!(newer.generation == old.generation + 1 && newer.attempts == 0, "{newer:?} after {settlement:?}");
        settle(store, &newer, Settlement::Done).await?;
        nothing_due(store, LANE, LATER).await?;
    }
    Ok(())
}

async fn a_newer_generation_begins_anew_when_a_step_is_done(store: &dyn Store) -> Result<()> {
    let after = |user| Intent::Redecide { chat: GROUP, after: UserId(user) };
    put(store, after(0), NOW).await?;
    let old = claim_one(store, Lane::Jobs, "one", NOW).await?;
    put(store, after(0), NOW).await?;
    settle(store, &old, Settlement::Continue(Box::new(after(200)))).await?;
    let newer = claim_one(store, Lane::Jobs, "two", NOW).await?;
    ensure!(newer.intent == after(0) && newer.generation == 2, "{newer:?}");
    Ok(())
}

async fn several_are_settled_and_made_in_one_go(store: &dyn Store) -> Result<()> {
    for message in 1..=3 {
        put(store, deletion(message), NOW).await?;
    }
    let claims = claim(store, Lane::Deletions, "one", NOW).await?;
    let settle: Vec<Settle> = claims.iter().map(|claim| Settle::of(claim, Settlement::Done)).collect();
    store.settle(&settle, &[at(mute(ANN), NOW), at(deletion(4), NOW)], "after", NOW).await?;
    let member = claim_one(store, LANE, "two", NOW).await?;
    ensure!(member.intent == mute(ANN) && member.trace_id == "after", "{member:?}");
    let delete = claim_one(store, Lane::Deletions, "two", NOW).await?;
    ensure!(delete.intent == deletion(4), "{delete:?}");
    Ok(())
}

fn all_settlements(intent: &Intent) -> [Settlement; 3] {
    [Settlement::Done, Settlement::Retry { not_before_ms: NOW }, Settlement::Continue(Box::new(intent.clone()))]
}

/// A claim of "one" that ran out, so that "two" has it now.
async fn overtaken(store: &dyn Store, intent: Intent) -> Result<(Claim, Claim)> {
    let lane = intent.lane(Urgency::Urgent);
    put(store, intent, NOW).await?;
    Ok((claim_one(store, lane, "one", NOW).await?, claim_one(store, lane, "two", LATER).await?))
}

async fn a_stale_claim_settles_nothing(store: &dyn Store) -> Result<()> {
    let (stale, valid) = overtaken(store, mute(ANN)).await?;
    for settlement in all_settlements(&stale.intent) {
        settle(store, &stale, settlement.clone()).await?;
        nothing_due(store, LANE, LATER).await.with_context(|| format!("{settlement:?} frees another's claim"))?;
    }
    settle(store, &valid, Settlement::Retry { not_before_ms: LATER }).await?;
    let next = claim_one(store, LANE, "three", LATER).await.context("the valid claim was ended")?;
    ensure!(next.attempts == 1, "{next:?}");
    Ok(())
}

async fn a_stale_claim_settles_nothing_in_a_persons_step(store: &dyn Store) -> Result<()> {
    let (stale, valid) = overtaken(store, mute(ANN)).await?;
    for settlement in all_settlements(&stale.intent) {
        let settle = Some(Settle::of(&stale, settlement.clone()));
        write(store, ANN, PersonWrites { settle, ..PersonWrites::default() }).await?;
        nothing_due(store, LANE, LATER).await.with_context(|| format!("{settlement:?} frees another's claim"))?;
    }
    settle(store, &valid, Settlement::Retry { not_before_ms: LATER }).await?;
    let next = claim_one(store, LANE, "three", LATER).await.context("the valid claim was ended")?;
    ensure!(next.attempts == 1, "{next:?}");
    Ok(())
}

/// The row of the claim was deleted while its holder was at work; the new one has the same key and generation.
async fn a_stale_claim_settles_nothing_that_was_made_anew(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    let stale = claim_one(store, LANE, "one", NOW).await?;
    end(store, &mute(ANN)).await?;
    put(store, mute(ANN), NOW).await?;
    for settlement in all_settlements(&stale.intent) {
        settle(store, &stale, settlement).await?;
    }
    let valid = claim_one(store, LANE, "two", NOW).await?;
    ensure!(valid.generation == stale.generation && valid.attempts == 0, "{valid:?}");
    for settlement in all_settlements(&stale.intent) {
        settle(store, &stale, settlement.clone()).await?;
        nothing_due(store, LANE, NOW).await.with_context(|| format!("{settlement:?} frees another's claim"))?;
    }
    let open = store.open_intents(i64::MAX).await?;
    ensure!(open == [("member".to_owned(), 1)], "{open:?}");
    Ok(())
}

async fn a_stale_claim_ends_no_effect(store: &dyn Store) -> Result<()> {
    let (stale, valid) = overtaken(store, deletion(1)).await?;
    settle(store, &stale, Settlement::Done).await?;
    let open = store.open_intents(i64::MAX).await?;
    ensure!(open == [("delete".to_owned(), 1)], "{open:?}");
    settle(store, &valid, Settlement::Done).await?;
    ensure!(store.open_intents(i64::MAX).await?.is_empty());
    // What is done stays done, whoever says what.
    settle(store, &valid, Settlement::Retry { not_before_ms: NOW }).await?;
    nothing_due(store, Lane::Deletions, LATER).await
}
