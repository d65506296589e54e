//! A basic group becomes a supergroup: everything goes over to the new id, once.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, MessageId, Rights, Standing, UpdateId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, EventOrder, Member, Setting},
    intent::{Command, Intent, Lane, Press, Put, Reply, Settlement},
    settings::Language,
    store::{Chat, ChatWrites, Held, PersonWrites, Prompt, Settle, Store},
};

use super::{
    ANN, BOB, CHANNEL, Check, GROUP, Make, NOW, OTHER_CHANNEL, OTHER_GROUP, SECOND, at, change_chat, checks, claim,
    claim_one, describe, event, link, nothing_due, put, seen_from, settle, write, write_member,
};

const OLD: ChatId = ChatId(-4_001);
const NEW: ChatId = GROUP;

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        what_is_known_of_a_group_goes_over_with_it,
        of_settings_under_both_ids_the_newer_one_stays,
        what_the_new_group_knows_of_our_place_stays,
        a_group_that_required_the_old_id_requires_the_new_one,
        people_go_over_and_what_is_newer_about_them_stays,
        everybody_is_decided_again_after_our_place_is_known,
        messages_of_the_old_group_are_forgotten,
        what_waits_is_made_again_under_the_new_id_and_due_at_once,
        what_is_made_again_keeps_its_urgency_and_its_trace,
        a_deletion_in_the_old_group_is_never_tried_again,
        what_is_done_stays_done,
        what_is_claimed_is_left_to_its_holder,
        what_a_holder_goes_on_with_is_about_the_new_group,
        the_version_rises_over_what_a_cache_can_know,
        again_changes_nothing,
        what_comes_late_under_the_old_id_goes_over_the_next_time,
        others_stay_as_they_are,
        nothing_is_lost_while_others_are_at_work,
    ]
}

const fn setting(value: bool, update: i64) -> Setting<bool> {
    Setting { value, update_id: UpdateId(update), received_ms: NOW }
}

async fn migrate(store: &dyn Store) -> Result<Chat> {
    Ok(store.migrate(OLD, NEW, "moved", NOW).await?)
}

/// Sets whether the rule is enforced in a group.
async fn protect(store: &dyn Store, group: ChatId, setting: Setting<bool>) -> Result<()> {
    change_chat(store, group, |view| {
        let facts = ChatFacts { protected: Some(setting), ..view.chat.facts.clone() };
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    })
    .await?;
    Ok(())
}

async fn require(store: &dyn Store, group: ChatId, channel: ChatId, setting: Setting<bool>) -> Result<()> {
    let links = vec![(channel, setting)];
    change_chat(store, group, |_| ChatWrites { links: links.clone(), ..ChatWrites::default() }).await?;
    Ok(())
}

/// Nothing is known under the old id but the new one.
async fn nothing_is_left(store: &dyn Store) -> Result<()> {
    let view = store.chat(OLD).await?;
    let forwarding = ChatFacts { upgraded_to: Some(NEW), ..ChatFacts::default() };
    ensure!(view.chat.facts == forwarding, "{view:?}");
    ensure!(view.links.is_empty() && view.required_by.is_empty(), "{view:?}");
    let people = store.people_of(OLD, UserId(0), 10).await?;
    ensure!(people.is_empty(), "{people:?}");
    Ok(())
}

async fn what_is_known_of_a_group_goes_over_with_it(store: &dyn Store) -> Result<()> {
    describe(store, OLD, "title").await?;
    protect(store, OLD, setting(true, 5)).await?;
    require(store, OLD, CHANNEL, setting(true, 5)).await?;
    require(store, OLD, OTHER_CHANNEL, setting(false, 6)).await?;
    let chat = migrate(store).await?;
    let view = store.chat(NEW).await?;
    ensure!(view.chat == chat, "{chat:?} is told, {view:?} is read");
    ensure!(chat.facts.is_protected() && chat.facts.title == "title", "{chat:?}");
    ensure!(view.links == [(CHANNEL, setting(true, 5)), (OTHER_CHANNEL, setting(false, 6))].into(), "{view:?}");
    nothing_is_left(store).await
}

async fn of_settings_under_both_ids_the_newer_one_stays(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(false, 5)).await?;
    protect(store, NEW, setting(true, 6)).await?;
    let (newer, older) = (setting(true, 8), setting(false, 7));
    require(store, OLD, CHANNEL, newer).await?;
    require(store, NEW, CHANNEL, older).await?;
    require(store, OLD, OTHER_CHANNEL, older).await?;
    require(store, NEW, OTHER_CHANNEL, newer).await?;
    let chat = migrate(store).await?;
    ensure!(chat.facts.protected == Some(setting(true, 6)), "{chat:?}");
    let links = store.chat(NEW).await?.links;
    ensure!(links == [(CHANNEL, newer), (OTHER_CHANNEL, newer)].into(), "{links:?}");
    nothing_is_left(store).await
}

async fn what_the_new_group_knows_of_our_place_stays(store: &dyn Store) -> Result<()> {
    let order = |n| EventOrder { date: NOW / 1000 + n, update_id: UpdateId(n) };
    let rights = Rights { can_restrict_members: true, ..Rights::default() };
    let out = ChatFacts {
        own_event: Some((order(2), Standing::Outside, Rights::default())),
        own_lookup: Some((NOW + SECOND, Standing::Outside, Rights::default())),
        ..ChatFacts::default()
    };
    let admin = ChatFacts { own_event: Some((order(1), Standing::Admin, rights)), ..ChatFacts::default() };
    for (chat, facts) in [(OLD, out), (NEW, admin.clone())] {
        change_chat(store, chat, |_| ChatWrites { facts: Some(facts.clone()), ..ChatWrites::default() }).await?;
    }
    let facts = migrate(store).await?.facts;
    ensure!((facts.own_event, facts.own_lookup) == (admin.own_event, None), "{facts:?}");
    Ok(())
}

async fn a_group_that_required_the_old_id_requires_the_new_one(store: &dyn Store) -> Result<()> {
    describe(store, OLD, "required").await?;
    link(store, OTHER_GROUP, OLD, true).await?;
    link(store, OTHER_GROUP, CHANNEL, true).await?;
    let before = store.chat(OTHER_GROUP).await?.chat.version;
    migrate(store).await?;
    let view = store.chat(OTHER_GROUP).await?;
    ensure!(view.links.keys().copied().collect::<Vec<_>>() == [CHANNEL, NEW], "{view:?}");
    ensure!(view.chat.version > before, "what is enforced there has changed: {view:?}");
    ensure!(store.chat(NEW).await?.required_by == [OTHER_GROUP]);
    let job = claim_one(store, Lane::Jobs, "one", NOW).await?;
    ensure!(job.intent == Intent::Redecide { chat: OTHER_GROUP, after: UserId(0) }, "{job:?}");
    nothing_is_left(store).await
}

async fn people_go_over_and_what_is_newer_about_them_stays(store: &dyn Store) -> Result<()> {
    let member = |update| Member { event: Some(event(update)), name: format!("name {update}"), ..Member::default() };
    write_member(store, ANN, OLD, NOW, member(3)).await?;
    write_member(store, ANN, NEW, NOW, member(2)).await?;
    write_member(store, BOB, OLD, NOW, Member { waiting: true, mute_until: Some(5), ..member(4) }).await?;
    migrate(store).await?;
    let ann = seen_from(store, ANN, NEW).await?.members;
    ensure!(ann == [(NEW, Member { event: Some(event(3)), ..member(2) })].into(), "{ann:?}");
    let bob = seen_from(store, BOB, NEW).await?.members;
    ensure!(bob == [(NEW, member(4))].into(), "no prompt and no mute of the new group: {bob:?}");
    ensure!(store.people_of(NEW, UserId(0), 10).await? == [ANN, BOB]);
    nothing_is_left(store).await
}

async fn everybody_is_decided_again_after_our_place_is_known(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    require(store, OLD, CHANNEL, setting(true, 5)).await?;
    migrate(store).await?;
    let job = claim_one(store, Lane::Jobs, "one", NOW).await?;
    ensure!(job.intent == Intent::Redecide { chat: NEW, after: UserId(0) } && job.trace_id == "moved", "{job:?}");
    let look = claim_one(store, Lane::Lookups, "one", NOW).await?;
    ensure!(look.intent == Intent::Check { chat: NEW, user: store.bot().user() }, "{look:?}");
    Ok(())
}

async fn messages_of_the_old_group_are_forgotten(store: &dyn Store) -> Result<()> {
    let hold = |group| Some(Held { group, message: MessageId(1), date: NOW / 1000 });
    for group in [OLD, OTHER_GROUP] {
        write(store, ANN, PersonWrites { hold: hold(group), ..PersonWrites::default() }).await?;
    }
    put(store, Intent::Prompt { group: OLD, topic: None }, NOW).await?;
    let held = claim_one(store, Lane::Messages, "one", NOW).await?;
    let stands = Prompt { message: 5, shown: "text".to_owned(), changed_ms: NOW, ..Prompt::default() };
    ensure!(store.save_prompt(OLD, None, Some(&stands), &held, None).await?, "the claim is held");
    migrate(store).await?;
    for chat in [OLD, NEW] {
        let prompt = store.prompt(chat, None).await?.0;
        ensure!(prompt.is_none(), "in {chat}: {prompt:?}");
    }
    let held: Vec<ChatId> = seen_from(store, ANN, NEW).await?.held.iter().map(|held| held.group).collect();
    ensure!(held == [OTHER_GROUP], "{held:?}");
    Ok(())
}

fn command(chat: ChatId, message: i64) -> Intent {
    Intent::Command(Command {
        update_id: UpdateId(7),
        name: "status".to_owned(),
        addressee: None,
        arguments: String::new(),
        chat,
        topic: None,
        message: MessageId(message),
        user: ANN,
        language: Language::En,
        reply_to: None,
        received_ms: NOW,
    })
}

fn reply(chat: ChatId, message: i64) -> Intent {
    let (update_id, message) = (UpdateId(7), MessageId(message));
    let html = "text".to_owned();
    Intent::Reply(Reply {
        update_id,
        chat,
        topic: None,
        message,
        html,
        keyboard: Vec::new(),
        stands_ms: None,
        until_ms: None,
        then: None,
    })
}

fn answer(group: ChatId, message: i64) -> Intent {
    Intent::Answer(Press {
        update_id: UpdateId(7),
        callback: "1".to_owned(),
        button: None,
        group,
        user: ANN,
        language: Language::En,
        message: MessageId(message),
        received_ms: NOW,
    })
}

/// Intents of every lane about the old group, each with what becomes of it.
fn waiting() -> [(Lane, Intent, Intent); 7] {
    let member = |group| Intent::Member { group, user: ANN };
    let check = |chat| Intent::Check { chat, user: ANN };
    let redecide = |chat, after| Intent::Redecide { chat, after };
    [
        (Lane::Restrictions, member(OLD), member(NEW)),
        (Lane::Lookups, check(OLD), check(NEW)),
        (Lane::Jobs, redecide(OLD, ANN), redecide(NEW, UserId(0))),
        (Lane::Commands, command(OLD, 5), command(NEW, 0)),
        (Lane::Answers, answer(OLD, 5), answer(NEW, 0)),
        (Lane::Replies, reply(OLD, 5), reply(NEW, 0)),
        (Lane::Messages, Intent::Prompt { group: OLD, topic: None }, Intent::Prompt { group: NEW, topic: None }),
    ]
}

async fn what_waits_is_made_again_under_the_new_id_and_due_at_once(store: &dyn Store) -> Result<()> {
    for (_, old, _) in waiting() {
        put(store, old, NOW + 60 * SECOND).await?;
    }
    migrate(store).await?;
    for lane in Lane::ALL {
        let mut expected: Vec<String> =
            waiting().iter().filter(|(of, ..)| *of == lane).map(|(.., new)| format!("{new:?}")).collect();
        let claimed = claim(store, lane, "one", NOW).await?;
        let mut found: Vec<String> = claimed.iter().map(|claim| format!("{:?}", claim.intent)).collect();
        expected.sort();
        found.sort();
        ensure!(found == expected, "{found:?} instead of {expected:?}");
    }
    // A chat that has to wait is known by its new id.
    let later = NOW + 60 * SECOND;
    store.release("one").await?;
    store.postpone(Lane::Messages, NEW, NOW, later).await?;
    nothing_due(store, Lane::Messages, later - 1).await
}

async fn what_is_made_again_keeps_its_urgency_and_its_trace(store: &dyn Store) -> Result<()> {
    let bulk = Put { urgency: Urgency::Bulk, ..at(Intent::Member { group: OLD, user: ANN }, NOW) };
    store.put(&[bulk], "bulk").await?;
    put(store, Intent::Member { group: OLD, user: BOB }, NOW).await?;
    migrate(store).await?;
    let ann = claim_one(store, Lane::Bulk, "one", NOW).await?;
    ensure!(ann.intent == Intent::Member { group: NEW, user: ANN } && ann.trace_id == "bulk", "{ann:?}");
    let bob = claim_one(store, Lane::Restrictions, "one", NOW).await?;
    ensure!(bob.intent == Intent::Member { group: NEW, user: BOB } && bob.trace_id == "trace", "{bob:?}");
    Ok(())
}

async fn a_deletion_in_the_old_group_is_never_tried_again(store: &dyn Store) -> Result<()> {
    let deletion = Intent::Delete { chat: OLD, message: MessageId(5) };
    put(store, deletion.clone(), NOW).await?;
    migrate(store).await?;
    put(store, deletion, NOW).await?;
    nothing_due(store, Lane::Deletions, NOW).await
}

async fn what_is_done_stays_done(store: &dyn Store) -> Result<()> {
    put(store, reply(OLD, 5), NOW).await?;
    let done = claim_one(store, Lane::Replies, "one", NOW).await?;
    settle(store, &done, Settlement::Done).await?;
    migrate(store).await?;
    for again in [reply(OLD, 5), reply(NEW, 0)] {
        put(store, again, NOW).await?;
        nothing_due(store, Lane::Replies, NOW).await?;
    }
    Ok(())
}

async fn what_is_claimed_is_left_to_its_holder(store: &dyn Store) -> Result<()> {
    let (old, new) = (Intent::Member { group: OLD, user: ANN }, Intent::Member { group: NEW, user: ANN });
    put(store, old, NOW).await?;
    let held = claim_one(store, Lane::Restrictions, "one", NOW).await?;
    migrate(store).await?;
    nothing_due(store, Lane::Restrictions, NOW).await?;
    // The holder's own call has failed, and it has brought everything over itself.
    store.settle(&[Settle::of(&held, Settlement::Done)], &[at(new.clone(), NOW)], "", NOW).await?;
    ensure!(claim_one(store, Lane::Restrictions, "one", NOW).await?.intent == new);
    Ok(())
}

async fn what_a_holder_goes_on_with_is_about_the_new_group(store: &dyn Store) -> Result<()> {
    put(store, reply(OLD, 5), NOW).await?;
    let held = claim_one(store, Lane::Replies, "one", NOW).await?;
    migrate(store).await?;
    settle(store, &held, Settlement::Continue(Box::new(reply(NEW, 0)))).await?;
    let later = NOW + 60 * SECOND;
    store.postpone(Lane::Replies, NEW, NOW, later).await?;
    nothing_due(store, Lane::Replies, later - 1).await?;
    let again = claim_one(store, Lane::Replies, "one", later).await?;
    ensure!(again.intent == reply(NEW, 0), "{again:?}");
    Ok(())
}

async fn the_version_rises_over_what_a_cache_can_know(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    for title in ["one", "two", "three"] {
        describe(store, NEW, title).await?;
    }
    let known = store.chat(NEW).await?.chat;
    ensure!(!known.facts.is_protected(), "{known:?}");
    let chat = migrate(store).await?;
    ensure!(chat.facts.is_protected() && chat.version > known.version, "{chat:?} after {known:?}");
    Ok(())
}

async fn again_changes_nothing(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    require(store, OLD, CHANNEL, setting(true, 5)).await?;
    write_member(store, ANN, OLD, NOW, Member { event: Some(event(3)), ..Member::default() }).await?;
    let first = migrate(store).await?;
    for lane in [Lane::Jobs, Lane::Lookups] {
        let due = claim_one(store, lane, "one", NOW).await?;
        settle(store, &due, Settlement::Done).await?;
    }
    let again = migrate(store).await?;
    ensure!(again == first, "{again:?} after {first:?}");
    for lane in Lane::ALL {
        nothing_due(store, lane, NOW).await.context("nobody has to be decided again")?;
    }
    Ok(())
}

async fn what_comes_late_under_the_old_id_goes_over_the_next_time(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    migrate(store).await?;
    require(store, OLD, CHANNEL, setting(true, 6)).await?;
    put(store, reply(OLD, 5), NOW).await?;
    let chat = migrate(store).await?;
    ensure!(chat.facts.protected == Some(setting(true, 5)), "{chat:?}");
    let links = store.chat(NEW).await?.links;
    ensure!(links == [(CHANNEL, setting(true, 6))].into(), "{links:?}");
    let claimed = claim_one(store, Lane::Replies, "one", NOW).await?;
    ensure!(claimed.intent == reply(NEW, 0), "{claimed:?}");
    nothing_is_left(store).await
}

async fn others_stay_as_they_are(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    protect(store, OTHER_GROUP, setting(true, 5)).await?;
    require(store, OTHER_GROUP, CHANNEL, setting(true, 5)).await?;
    let member = Member { event: Some(event(3)), waiting: true, ..Member::default() };
    write_member(store, ANN, OTHER_GROUP, NOW, member.clone()).await?;
    let wanted = [Intent::Member { group: OTHER_GROUP, user: ANN }, answer(OTHER_GROUP, 5)];
    for intent in wanted.clone() {
        put(store, intent, NOW).await?;
    }
    let before = store.chat(OTHER_GROUP).await?;
    migrate(store).await?;
    let after = store.chat(OTHER_GROUP).await?;
    ensure!(format!("{after:?}") == format!("{before:?}"), "{after:?} instead of {before:?}");
    ensure!(seen_from(store, ANN, OTHER_GROUP).await?.members == [(OTHER_GROUP, member)].into());
    for (lane, intent) in [Lane::Restrictions, Lane::Answers].into_iter().zip(wanted) {
        let claimed = claim_one(store, lane, "one", NOW).await?;
        ensure!(claimed.intent == intent, "{claimed:?}");
    }
    Ok(())
}

/// People's transactions and both notes at once, over and over, from either end: nobody waits for ever, nothing is lost.
async fn nothing_is_lost_while_others_are_at_work(store: &dyn Store) -> Result<()> {
    protect(store, OLD, setting(true, 5)).await?;
    link(store, OLD, CHANNEL, true).await?;
    link(store, OTHER_GROUP, OLD, true).await?;
    let people: Vec<UserId> = (11..31).map(UserId).collect();
    let write = people.iter().map(|user| async move {
        let member = Member { event: Some(event(user.0)), ..Member::default() };
        write_member(store, *user, OLD, NOW, member).await?;
        write_member(store, *user, OTHER_GROUP, NOW, Member { event: Some(event(1)), ..Member::default() }).await?;
        put(store, Intent::Member { group: OLD, user: *user }, NOW).await
    });
    let moves = (0..6).map(|_| async move { migrate(store).await.map(drop) });
    let (written, moved) = tokio::join!(try_join_all(write), try_join_all(moves));
    drop((written?, moved?));
    migrate(store).await?;
    let found = store.people_of(NEW, UserId(0), 100).await?;
    ensure!(found == people, "{found:?}");
    let mut wanted: Vec<_> =
        claim(store, Lane::Restrictions, "one", NOW).await?.into_iter().map(|c| c.intent).collect();
    wanted.sort_by_key(Intent::key);
    let expected: Vec<_> = people.iter().map(|user| Intent::Member { group: NEW, user: *user }).collect();
    ensure!(wanted == expected, "{wanted:?}");
    ensure!(store.chat(OTHER_GROUP).await?.links.keys().copied().collect::<Vec<_>>() == [NEW]);
    nothing_is_left(store).await
}
