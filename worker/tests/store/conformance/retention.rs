//! What goes when its time is over, and what stays.

use anyhow::{Context, Result, ensure};
use nezuko_telegram::{MessageId, UpdateId};
use nezuko_worker::{
    intent::{Lane, Settlement},
    store::{Held, PersonWrites, Settle, Store},
};

use super::{
    ANN, Check, GROUP, HOUR, Make, NOW, SECOND, checks, claim, claim_one, deletion, mute, nothing_due, put, seen_from,
    take_in, write,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        a_tombstone_keeps_an_effect_away_for_two_days,
        a_processed_update_is_remembered_for_two_days,
        a_held_message_is_kept_for_a_day,
        what_is_open_is_never_too_old,
    ]
}

async fn a_tombstone_keeps_an_effect_away_for_two_days(store: &dyn Store) -> Result<()> {
    put(store, deletion(1), NOW).await?;
    let claim = claim_one(store, Lane::Deletions, "one", NOW).await?;
    store.settle(&[Settle::of(&claim, Settlement::Done)], &[], "trace", NOW + SECOND).await?;
    store.purge(NOW + SECOND + 48 * HOUR).await?;
    put(store, deletion(1), NOW).await?;
    nothing_due(store, Lane::Deletions, NOW + 48 * HOUR).await?;
    store.purge(NOW + SECOND + 48 * HOUR + 1).await?;
    put(store, deletion(1), NOW).await?;
    claim_one(store, Lane::Deletions, "one", NOW).await.context("after two days")?;
    Ok(())
}

async fn a_processed_update_is_remembered_for_two_days(store: &dyn Store) -> Result<()> {
    take_in(store, ANN, UpdateId(5), NOW).await?;
    store.purge(NOW + 48 * HOUR).await?;
    ensure!(take_in(store, ANN, UpdateId(5), NOW + 48 * HOUR).await?, "forgotten too soon");
    store.purge(NOW + 48 * HOUR + 1).await?;
    ensure!(!take_in(store, ANN, UpdateId(5), NOW + 49 * HOUR).await?, "never forgotten");
    Ok(())
}

async fn a_held_message_is_kept_for_a_day(store: &dyn Store) -> Result<()> {
    let hold = Some(Held { group: GROUP, message: MessageId(1), date: NOW / 1000 });
    write(store, ANN, PersonWrites { hold, ..PersonWrites::default() }).await?;
    store.purge(NOW + 24 * HOUR).await?;
    ensure!(seen_from(store, ANN, GROUP).await?.held.len() == 1, "forgotten too soon");
    store.purge(NOW + 24 * HOUR + SECOND).await?;
    ensure!(seen_from(store, ANN, GROUP).await?.held.is_empty(), "never forgotten");
    Ok(())
}

async fn what_is_open_is_never_too_old(store: &dyn Store) -> Result<()> {
    put(store, mute(ANN), NOW).await?;
    put(store, deletion(1), NOW).await?;
    store.purge(NOW + 10_000 * HOUR).await?;
    ensure!(claim(store, Lane::Restrictions, "one", NOW).await?.len() == 1, "a state intent is gone");
    ensure!(claim(store, Lane::Deletions, "one", NOW).await?.len() == 1, "an effect is gone");
    Ok(())
}
