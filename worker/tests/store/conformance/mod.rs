//! What every store must do, as one suite. Each check gets an empty store of a bot of its own.
//!
//! The suite is right only if it also fails: `faulty` runs it against stores with one known fault each.

mod buttons;
mod chats;
mod claims;
mod concurrency;
mod intents;
mod log;
mod migration;
mod outages;
mod people;
mod prompts;
mod retention;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use anyhow::{Context, Result, ensure};
use nezuko_telegram::{ChatId, Limits, MessageId, Standing, UpdateId, UserId};
use nezuko_worker::{
    facts::{Event, EventOrder, Member, Setting},
    intent::{Claim, Intent, Lane, Put, Settlement},
    store::{ChatView, ChatWrites, PersonView, PersonWrites, Scope, Settle, Store},
};

/// Makes an empty store of a new bot.
pub(crate) type Make<'a> = &'a (dyn Fn() -> Arc<dyn Store> + Sync);

/// Unix milliseconds at which everything happens.
const NOW: i64 = 1_700_000_000_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600_000;

const GROUP: ChatId = ChatId(-1_001_000_000_001);
const OTHER_GROUP: ChatId = ChatId(-1_001_000_000_002);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
const OTHER_CHANNEL: ChatId = ChatId(-1_001_000_000_012);
const ANN: UserId = UserId(11);
const BOB: UserId = UserId(12);

/// Runs every check.
///
/// # Errors
/// All promises that do not hold.
pub(crate) async fn suite(make: Make<'_>) -> Result<()> {
    let mut failed = Vec::new();
    let checks = [
        people::checks(make),
        chats::checks(make),
        intents::checks(make),
        claims::checks(make),
        prompts::checks(make),
        migration::checks(make),
        retention::checks(make),
        outages::checks(make),
        buttons::checks(make),
        log::checks(make),
        concurrency::checks(make),
    ];
    for (name, check) in checks.into_iter().flatten() {
        failed.extend(check.await.context(name).err().map(|error| format!("{error:#}")));
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

type Check<'a> = (&'static str, Pin<Box<dyn Future<Output = Result<()>> + 'a>>);

/// The named functions as checks, each with a store from `make`.
macro_rules! checks {
    ($make:ident: $($name:ident),* $(,)?) => {
        vec![$((stringify!($name), Box::pin(async move { $name(&*$make()).await }))),*]
    };
}
use checks;

/// One transaction of a person.
async fn person(
    store: &dyn Store,
    user: UserId,
    chat: ChatId,
    now_ms: i64,
    mut step: impl FnMut(&PersonView) -> PersonWrites + Send,
) -> Result<()> {
    let scope = Scope { user, chat, update: None, trace_id: "trace", now_ms };
    Ok(store.with_person(&scope, &mut step).await?)
}

/// What is known about a person, seen from `chat`.
async fn seen_from(store: &dyn Store, user: UserId, chat: ChatId) -> Result<PersonView> {
    let mut seen = PersonView::default();
    person(store, user, chat, NOW, |view| {
        seen = view.clone();
        PersonWrites::default()
    })
    .await?;
    Ok(seen)
}

async fn write(store: &dyn Store, user: UserId, writes: PersonWrites) -> Result<()> {
    person(store, user, GROUP, NOW, |_| writes.clone()).await
}

async fn write_member(store: &dyn Store, user: UserId, chat: ChatId, now_ms: i64, member: Member) -> Result<()> {
    let writes = PersonWrites { members: BTreeMap::from([(chat, member)]), ..PersonWrites::default() };
    person(store, user, chat, now_ms, |_| writes.clone()).await
}

/// Takes in an update about a person without changing anything; returns whether it was seen before.
async fn take_in(store: &dyn Store, user: UserId, update: UpdateId, now_ms: i64) -> Result<bool> {
    let mut seen_before = false;
    let scope = Scope { user, chat: GROUP, update: Some(update), trace_id: "trace", now_ms };
    store
        .with_person(&scope, &mut |view| {
            seen_before = view.seen_before;
            PersonWrites::default()
        })
        .await?;
    Ok(seen_before)
}

async fn change_chat(
    store: &dyn Store,
    chat: ChatId,
    mut step: impl FnMut(&ChatView) -> ChatWrites + Send,
) -> Result<i64> {
    Ok(store.with_chat(chat, "trace", NOW, &mut step).await?)
}

/// Makes `group` require `channel`, or no longer.
async fn link(store: &dyn Store, group: ChatId, channel: ChatId, value: bool) -> Result<()> {
    let links = vec![(channel, Setting { value, update_id: UpdateId(7), received_ms: NOW })];
    change_chat(store, group, |_| ChatWrites { links: links.clone(), ..ChatWrites::default() }).await?;
    Ok(())
}

/// Makes a chat known by its title.
async fn describe(store: &dyn Store, chat: ChatId, title: &str) -> Result<i64> {
    change_chat(store, chat, |view| {
        let mut facts = view.chat.facts.clone();
        title.clone_into(&mut facts.title);
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    })
    .await
}

fn event(update: i64) -> Event {
    let order = EventOrder { date: NOW / 1000, update_id: UpdateId(update) };
    Event { order, was_in: false, standing: Standing::Inside, limits: Limits::Free }
}

const fn at(intent: Intent, not_before_ms: i64) -> Put {
    Put::urgent(intent, not_before_ms)
}

/// A state intent about a person.
const fn mute(user: UserId) -> Intent {
    Intent::Member { group: GROUP, user }
}

/// An effect.
const fn deletion(message: i64) -> Intent {
    Intent::Delete { chat: GROUP, message: MessageId(message) }
}

async fn put(store: &dyn Store, intent: Intent, not_before_ms: i64) -> Result<()> {
    Ok(store.put(&[at(intent, not_before_ms)], "trace").await?)
}

/// Everything that `holder` gets at `now_ms`, for ten seconds.
async fn claim(store: &dyn Store, lane: Lane, holder: &str, now_ms: i64) -> Result<Vec<Claim>> {
    Ok(store.claim(lane, holder, now_ms, now_ms + 10 * SECOND, 100).await?)
}

/// The one intent that is due.
async fn claim_one(store: &dyn Store, lane: Lane, holder: &str, now_ms: i64) -> Result<Claim> {
    let mut claims = claim(store, lane, holder, now_ms).await?;
    ensure!(claims.len() == 1, "{holder} is given {} claims instead of one", claims.len());
    claims.pop().context("one claim")
}

async fn nothing_due(store: &dyn Store, lane: Lane, now_ms: i64) -> Result<()> {
    let claims = claim(store, lane, "nobody", now_ms).await?;
    ensure!(claims.is_empty(), "there is something due: {claims:?}");
    Ok(())
}

async fn settle(store: &dyn Store, claim: &Claim, settlement: Settlement) -> Result<()> {
    Ok(store.settle(&[Settle::of(claim, settlement)], &[], "trace", NOW).await?)
}

/// Ends a state intent as a person's transaction does when nothing is wanted any more.
async fn end(store: &dyn Store, intent: &Intent) -> Result<()> {
    write(store, ANN, PersonWrites { end: vec![intent.key()], ..PersonWrites::default() }).await
}
