//! Many at once: nothing is lost, and nothing is given out twice.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use nezuko_telegram::UserId;
use nezuko_worker::{
    facts::{ChatFacts, Member},
    intent::{Intent, Lane, Settlement},
    store::{ChatWrites, PersonWrites, Settle, Store},
};

use super::{
    ANN, CHANNEL, Check, GROUP, Make, NOW, SECOND, at, change_chat, checks, event, link, mute, person, put, seen_from,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        no_transaction_of_a_person_is_lost,
        no_change_of_a_chat_is_lost,
        claims_of_many_holders_never_overlap,
        what_is_made_while_it_is_settled_is_not_lost,
        writers_in_opposite_orders_do_not_fail_each_other,
    ]
}

const TASKS: i64 = 8;

async fn no_transaction_of_a_person_is_lost(store: &dyn Store) -> Result<()> {
    const EACH: i64 = 50;
    link(store, GROUP, CHANNEL, true).await?;
    // Some know the person from the group, some from the channel; each counts one up.
    let tasks = (0..TASKS).map(|task| async move {
        let scope = if task % 2 == 0 { GROUP } else { CHANNEL };
        for _ in 0..EACH {
            person(store, ANN, scope, NOW, |view| {
                let counted = view.members.get(&GROUP).and_then(|member| member.topic).unwrap_or_default();
                let member = Member { event: Some(event(1)), topic: Some(counted + 1), ..Member::default() };
                PersonWrites {
                    members: [(GROUP, member)].into(),
                    put: vec![at(mute(ANN), NOW)],
                    ..PersonWrites::default()
                }
            })
            .await?;
        }
        anyhow::Ok(())
    });
    try_join_all(tasks).await?;
    let view = seen_from(store, ANN, GROUP).await?;
    let counted = view.members.get(&GROUP).and_then(|member| member.topic);
    ensure!(view.rev == TASKS * EACH + 1, "the revision is {} after {} transactions", view.rev, TASKS * EACH);
    ensure!(counted == Some(TASKS * EACH), "{counted:?} of {} transactions count", TASKS * EACH);
    Ok(())
}

async fn no_change_of_a_chat_is_lost(store: &dyn Store) -> Result<()> {
    const EACH: i64 = 10;
    let tasks = (0..TASKS).map(|_| async {
        let mut versions = Vec::new();
        for _ in 0..EACH {
            let count_up = |view: &nezuko_worker::store::ChatView| {
                let kind = format!("{}x", view.chat.facts.kind);
                ChatWrites { facts: Some(ChatFacts { kind, ..ChatFacts::default() }), ..ChatWrites::default() }
            };
            versions.push(change_chat(store, GROUP, count_up).await?);
        }
        anyhow::Ok(versions)
    });
    let versions: BTreeSet<i64> = try_join_all(tasks).await?.into_iter().flatten().collect();
    let chat = store.chat(GROUP).await?.chat;
    ensure!(versions == (1..=TASKS * EACH).collect(), "versions {versions:?}");
    ensure!(chat.version == TASKS * EACH, "version {}", chat.version);
    ensure!(
        chat.facts.kind.len() as i64 == TASKS * EACH,
        "{} of {} changes count",
        chat.facts.kind.len(),
        TASKS * EACH
    );
    Ok(())
}

async fn claims_of_many_holders_never_overlap(store: &dyn Store) -> Result<()> {
    const INTENTS: i64 = 120;
    for user in 1..=INTENTS {
        put(store, mute(UserId(user)), NOW).await?;
    }
    let holders = (0..4).map(|holder| async move {
        let holder = format!("holder {holder}");
        let mut claimed = Vec::new();
        loop {
            let claims = store.claim(Lane::Restrictions, &holder, NOW, NOW + 10 * SECOND, 7).await?;
            ensure!(claims.len() <= 7, "{} claims instead of 7", claims.len());
            ensure!(claimed.len() as i64 <= INTENTS, "one holder has more than there is");
            if claims.is_empty() {
                return Ok(claimed);
            }
            claimed.extend(claims.into_iter().map(|claim| claim.intent.key()));
        }
    });
    let claimed = try_join_all(holders).await?.concat();
    let different: BTreeSet<&String> = claimed.iter().collect();
    ensure!(different.len() == claimed.len(), "{} claims of {} intents", claimed.len(), different.len());
    ensure!(claimed.len() as i64 == INTENTS, "{} of {INTENTS} were claimed", claimed.len());
    Ok(())
}

/// Each round puts a mark while another settles the last one: in the end the newest mark was seen.
async fn what_is_made_while_it_is_settled_is_not_lost(store: &dyn Store) -> Result<()> {
    const ROUNDS: i64 = 60;
    let mark = |round| Intent::Redecide { chat: GROUP, after: UserId(round) };
    let make = async {
        for round in 1..=ROUNDS {
            put(store, mark(round), NOW).await?;
        }
        anyhow::Ok(())
    };
    let carry_out = async {
        let mut seen = Vec::new();
        while seen.last() != Some(&mark(ROUNDS)) {
            for claim in store.claim(Lane::Jobs, "one", NOW, NOW + 10 * SECOND, 1).await? {
                seen.push(claim.intent.clone());
                store.settle(&[Settle::of(&claim, Settlement::Done)], &[], "trace", NOW).await?;
            }
            ensure!(seen.len() as i64 <= ROUNDS, "more was carried out than made");
            // Stores in memory are ready at once: let the others go on.
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    let carry_out = tokio::time::timeout(std::time::Duration::from_secs(20), carry_out);
    let ((), carried_out) = futures_util::future::try_join(make, async { Ok(carry_out.await?) }).await?;
    carried_out?;
    ensure!(store.open_intents(i64::MAX).await?.is_empty(), "something is left");
    Ok(())
}

/// A database that ends one of two transactions that wait for each other must not let the caller see it.
async fn writers_in_opposite_orders_do_not_fail_each_other(store: &dyn Store) -> Result<()> {
    let marks: Vec<_> = (1..=40).map(|user| at(mute(UserId(user)), NOW)).collect();
    let backwards: Vec<_> = marks.iter().rev().cloned().collect();
    store.put(&marks, "trace").await?;
    let claims = store.claim(Lane::Restrictions, "one", NOW, NOW + 10 * SECOND, 40).await?;
    let retry = |claim| Settle::of(claim, Settlement::Retry { not_before_ms: NOW });
    let settle: Vec<Settle> = claims.iter().rev().map(retry).collect();
    let of_person = PersonWrites { put: backwards.clone(), ..PersonWrites::default() };
    let of_chat = ChatWrites { put: marks.clone(), ..ChatWrites::default() };
    tokio::try_join!(
        async { store.put(&marks, "trace").await.context("put") },
        async { store.put(&backwards, "trace").await.context("put backwards") },
        async { person(store, ANN, GROUP, NOW, |_| of_person.clone()).await.context("a person's step") },
        async { change_chat(store, GROUP, |_| of_chat.clone()).await.context("a chat's step") },
        async {
            store
                .renew("one", &claims.iter().map(|claim| claim.claim).collect(), NOW + 20 * SECOND)
                .await
                .context("renew")
        },
        async { store.settle(&settle, &[], "trace", NOW).await.context("settle") },
        async { store.release("one").await.context("release") },
    )?;
    let left = store.claim(Lane::Restrictions, "two", NOW, NOW + 10 * SECOND, 100).await?;
    ensure!(left.len() == 40 && left.iter().all(|claim| claim.generation == 5), "{left:?}");
    Ok(())
}
