//! Prompts: who waits, and the message that says so.

use anyhow::{Result, ensure};
use nezuko_telegram::{ChatId, MessageId, UpdateId, UserId};
use nezuko_worker::{
    facts::{Event, EventOrder, Member, Wait},
    intent::{Claim, Intent, Lane, Settlement},
    store::{Prompt, Store},
};

use super::{
    ANN, BOB, CHANNEL, Check, GROUP, Make, NOW, OTHER_CHANNEL, OTHER_GROUP, SECOND, checks, claim_one, describe, end,
    event, link, nothing_due, put, write_member,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        without_anything_a_prompt_has_nothing_to_say,
        those_who_wait_are_named_longest_first,
        only_those_of_the_topic_are_named,
        the_channels_that_are_required_are_named,
        all_who_wait_in_a_group_are_counted,
        who_began_to_wait_lately_is_counted,
        who_has_waited_for_nearly_too_long_is_told_apart,
        a_prompt_is_read_as_it_was_saved,
        prompts_of_different_topics_are_apart,
        saving_a_prompt_settles,
        a_prompt_is_saved_only_while_the_claim_is_held,
        a_message_that_is_no_standing_prompt_is_a_stray,
        an_unknown_message_is_taken_for_the_prompt_on_its_way,
        people_of_a_chat_come_page_by_page,
    ]
}

async fn waits(store: &dyn Store, user: UserId, group: ChatId, topic: Option<i64>, since_ms: i64) -> Result<()> {
    let name = format!("name {user}");
    let member = Member { event: Some(event(1)), waiting: true, topic, name, ..Member::default() };
    write_member(store, user, group, since_ms, member).await
}

async fn without_anything_a_prompt_has_nothing_to_say(store: &dyn Store) -> Result<()> {
    let view = store.prompt_view(GROUP, None, 10).await?;
    ensure!(store.prompt(GROUP, None).await? == (None, false));
    ensure!(view.waiting.is_empty() && view.count == 0, "{view:?}");
    ensure!(view.channels.is_empty(), "{view:?}");
    Ok(())
}

async fn those_who_wait_are_named_longest_first(store: &dyn Store) -> Result<()> {
    for (user, since_ms) in [(11, NOW + 3), (12, NOW + 1), (13, NOW + 2), (14, NOW)] {
        waits(store, UserId(user), GROUP, None, since_ms).await?;
    }
    let member = Member { event: Some(event(1)), ..Member::default() };
    write_member(store, UserId(14), GROUP, NOW + 4, member).await?;
    // Who is written again while they wait keeps their place; who waits again queues up again.
    waits(store, UserId(12), GROUP, None, NOW + 9).await?;
    waits(store, UserId(14), GROUP, None, NOW + 5).await?;
    let named = |users: &[i64]| users.iter().map(|user| (UserId(*user), format!("name {user}"))).collect::<Vec<_>>();
    let view = store.prompt_view(GROUP, None, 10).await?;
    ensure!(view.waiting == named(&[12, 13, 11, 14]) && view.count == 4, "{view:?}");
    let view = store.prompt_view(GROUP, None, 2).await?;
    ensure!(view.waiting == named(&[12, 13]) && view.count == 4, "{view:?}");
    let view = store.prompt_view(GROUP, None, 0).await?;
    ensure!(view.waiting.is_empty() && view.count == 4, "{view:?}");
    Ok(())
}

async fn only_those_of_the_topic_are_named(store: &dyn Store) -> Result<()> {
    waits(store, ANN, GROUP, Some(3), NOW).await?;
    waits(store, BOB, GROUP, None, NOW).await?;
    waits(store, UserId(13), OTHER_GROUP, Some(3), NOW).await?;
    for (topic, user) in [(Some(3), ANN), (None, BOB)] {
        let view = store.prompt_view(GROUP, topic, 10).await?;
        let named: Vec<UserId> = view.waiting.iter().map(|(user, _)| *user).collect();
        ensure!(named == [user] && view.count == 1, "in topic {topic:?}: {view:?}");
        ensure!(store.prompt(GROUP, topic).await?.1, "somebody waits in topic {topic:?}");
    }
    ensure!(!store.prompt(GROUP, Some(4)).await?.1, "nobody waits there");
    let view = store.prompt_view(GROUP, Some(4), 10).await?;
    ensure!(view.waiting.is_empty() && view.count == 0, "{view:?}");
    Ok(())
}

async fn the_channels_that_are_required_are_named(store: &dyn Store) -> Result<()> {
    let unknown = ChatId(-1_001_000_000_013);
    let dropped = ChatId(-1_001_000_000_014);
    describe(store, CHANNEL, "one").await?;
    describe(store, OTHER_CHANNEL, "two").await?;
    describe(store, dropped, "dropped").await?;
    for channel in [CHANNEL, OTHER_CHANNEL, unknown, dropped] {
        link(store, GROUP, channel, true).await?;
    }
    link(store, GROUP, dropped, false).await?;
    link(store, OTHER_GROUP, dropped, true).await?;
    let channels = store.channels(GROUP).await?;
    ensure!(store.prompt_view(GROUP, None, 10).await?.channels == channels, "{channels:?}");
    let named: Vec<(ChatId, &str)> = channels.iter().map(|(chat, facts)| (*chat, facts.title.as_str())).collect();
    ensure!(named == [(OTHER_CHANNEL, "two"), (CHANNEL, "one")], "{named:?}");
    Ok(())
}

async fn all_who_wait_in_a_group_are_counted(store: &dyn Store) -> Result<()> {
    waits(store, ANN, GROUP, Some(3), NOW).await?;
    waits(store, BOB, GROUP, None, NOW).await?;
    waits(store, BOB, OTHER_GROUP, None, NOW).await?;
    write_member(store, UserId(13), GROUP, NOW, Member { event: Some(event(1)), ..Member::default() }).await?;
    let counts = (store.waiting_in(GROUP).await?, store.waiting_in(OTHER_GROUP).await?);
    ensure!(counts == (2, 1), "{counts:?}");
    Ok(())
}

async fn who_began_to_wait_lately_is_counted(store: &dyn Store) -> Result<()> {
    for (user, topic, since_ms) in [(11, None, NOW), (12, Some(3), NOW + 2), (13, None, NOW + 3)] {
        waits(store, UserId(user), GROUP, topic, since_ms).await?;
    }
    waits(store, ANN, OTHER_GROUP, None, NOW + 5).await?;
    // Has come long ago, and is judged anew.
    let long_ago = Event { order: EventOrder { date: NOW / 1000 - 3_600, update_id: UpdateId(1) }, ..event(1) };
    write_member(store, BOB, GROUP, NOW + 5, Member { event: Some(long_ago), waiting: true, ..Member::default() })
        .await?;
    // Written again, but waiting all the time; and not waiting any more.
    waits(store, UserId(11), GROUP, None, NOW + 5).await?;
    write_member(store, UserId(13), GROUP, NOW + 5, Member { event: Some(event(1)), ..Member::default() }).await?;
    let counts = (store.began_to_wait(GROUP, NOW + 1).await?, store.began_to_wait(GROUP, NOW - 1).await?);
    ensure!(counts == (1, 2), "{counts:?}");
    Ok(())
}

async fn who_has_waited_for_nearly_too_long_is_told_apart(store: &dyn Store) -> Result<()> {
    for (user, warned_ms) in [(ANN, Some(NOW + 7)), (BOB, None), (UserId(13), Some(NOW + 6))] {
        let wait = Some(Wait { since_ms: NOW, until_ms: None, warned_ms });
        let member =
            Member { event: Some(event(1)), waiting: true, wait, name: "name".to_owned(), ..Member::default() };
        write_member(store, user, GROUP, NOW, member).await?;
    }
    for names in [0, 10] {
        let view = store.prompt_view(GROUP, None, names).await?;
        ensure!(view.warned == [(ANN, NOW + 7), (UserId(13), NOW + 6)] && view.count == 3, "{view:?}");
        ensure!(view.newest_ms == NOW + 7, "{view:?}");
    }
    waits(store, UserId(14), GROUP, None, NOW + 8).await?;
    let view = store.prompt_view(GROUP, None, 1).await?;
    ensure!(view.newest_ms == NOW + 8, "{view:?}");
    Ok(())
}

fn prompt_of(message: i64) -> Prompt {
    Prompt {
        message,
        shown: "Ann & <b>'Bob'</b>".to_owned(),
        sending_ms: 0,
        sent_ms: NOW - 7,
        changed_ms: NOW - 5,
        warned: vec![(ANN, NOW - 6), (BOB, NOW)],
    }
}

async fn claim_prompt(store: &dyn Store, topic: Option<i64>) -> Result<Claim> {
    put(store, Intent::Prompt { group: GROUP, topic }, NOW).await?;
    claim_one(store, Lane::Messages, "one", NOW).await
}

async fn saved(store: &dyn Store, topic: Option<i64>, prompt: Option<&Prompt>, claim: &Claim) -> Result<bool> {
    Ok(store.save_prompt(GROUP, topic, prompt, claim, None).await?)
}

async fn a_prompt_is_read_as_it_was_saved(store: &dyn Store) -> Result<()> {
    let claim = claim_prompt(store, None).await?;
    let sending = Prompt { sending_ms: NOW, changed_ms: NOW, ..Prompt::default() };
    for prompt in [sending, prompt_of(5)] {
        ensure!(saved(store, None, Some(&prompt), &claim).await?, "the claim is held");
        let read = store.prompt(GROUP, None).await?.0;
        ensure!(read.as_ref() == Some(&prompt), "{read:?} instead of {prompt:?}");
    }
    ensure!(saved(store, None, None, &claim).await?, "the claim is held");
    let read = store.prompt(GROUP, None).await?.0;
    ensure!(read.is_none(), "{read:?}");
    Ok(())
}

async fn prompts_of_different_topics_are_apart(store: &dyn Store) -> Result<()> {
    let claim = claim_prompt(store, Some(3)).await?;
    ensure!(saved(store, Some(3), Some(&prompt_of(5)), &claim).await?, "the claim is held");
    let claim = claim_prompt(store, None).await?;
    ensure!(saved(store, None, Some(&prompt_of(6)), &claim).await?, "the claim is held");
    ensure!(store.prompt(GROUP, Some(3)).await?.0 == Some(prompt_of(5)));
    ensure!(saved(store, None, None, &claim).await?, "the claim is held");
    ensure!(store.prompt(GROUP, Some(3)).await?.0 == Some(prompt_of(5)));
    ensure!(store.prompt(OTHER_GROUP, Some(3)).await?.0.is_none());
    Ok(())
}

async fn saving_a_prompt_settles(store: &dyn Store) -> Result<()> {
    let claim = claim_prompt(store, None).await?;
    let retry = Some(Settlement::Retry { not_before_ms: NOW + SECOND });
    ensure!(store.save_prompt(GROUP, None, Some(&prompt_of(5)), &claim, retry).await?);
    nothing_due(store, Lane::Messages, NOW).await?;
    let claim = claim_one(store, Lane::Messages, "one", NOW + SECOND).await?;
    ensure!(claim.attempts == 1, "{claim:?}");
    ensure!(store.save_prompt(GROUP, None, None, &claim, Some(Settlement::Done)).await?);
    nothing_due(store, Lane::Messages, NOW + 60 * SECOND).await
}

async fn a_prompt_is_saved_only_while_the_claim_is_held(store: &dyn Store) -> Result<()> {
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    let stale = claim_prompt(store, None).await?;
    let later = NOW + 10 * SECOND + 1;
    let valid = claim_one(store, Lane::Messages, "two", later).await?;
    ensure!(saved(store, None, Some(&prompt_of(5)), &valid).await?, "the claim is held");

    for settlement in [None, Some(Settlement::Done)] {
        let late = Some(&prompt_of(6));
        ensure!(!store.save_prompt(GROUP, None, late, &stale, settlement).await?, "a stale claim is believed");
        ensure!(store.prompt(GROUP, None).await?.0 == Some(prompt_of(5)), "a stale claim saves a prompt");
        nothing_due(store, Lane::Messages, later).await?;
    }
    ensure!(!saved(store, None, None, &stale).await?, "a stale claim is believed");
    ensure!(store.prompt(GROUP, None).await?.0 == Some(prompt_of(5)), "a stale claim removes a prompt");

    // Nor when the row is gone, or made anew.
    end(store, &prompt).await?;
    ensure!(!saved(store, None, None, &valid).await?, "the claim of an ended intent is believed");
    put(store, prompt, NOW).await?;
    ensure!(!saved(store, None, None, &valid).await?, "the claim of an earlier intent is believed");
    ensure!(store.prompt(GROUP, None).await?.0 == Some(prompt_of(5)), "a stale claim removes a prompt");
    Ok(())
}

async fn a_message_that_is_no_standing_prompt_is_a_stray(store: &dyn Store) -> Result<()> {
    let is_known = async |group, message| store.recognise_prompt(group, MessageId(message), NOW).await;
    ensure!(!is_known(GROUP, 5).await?, "no prompt stands");
    let claim = claim_prompt(store, Some(3)).await?;
    ensure!(saved(store, Some(3), Some(&prompt_of(5)), &claim).await?, "the claim is held");
    ensure!(is_known(GROUP, 5).await?, "the standing prompt of a topic is no stray");
    ensure!(!is_known(GROUP, 6).await?, "another message is a stray");
    ensure!(!is_known(OTHER_GROUP, 5).await?, "the same number in another group is a stray");
    Ok(())
}

async fn an_unknown_message_is_taken_for_the_prompt_on_its_way(store: &dyn Store) -> Result<()> {
    let claim = claim_prompt(store, None).await?;
    let sending = Prompt { sending_ms: NOW, changed_ms: NOW, ..Prompt::default() };
    ensure!(saved(store, None, Some(&sending), &claim).await?, "the claim is held");
    let is_known = async |group, message, after_s: i64| {
        store.recognise_prompt(group, MessageId(message), NOW + after_s * SECOND).await
    };
    ensure!(!is_known(GROUP, 5, 60).await?, "after a minute it is on its way no longer");
    ensure!(!is_known(OTHER_GROUP, 5, 0).await?, "nothing is on its way to another group");
    ensure!(is_known(GROUP, 5, 59).await?, "it may be the one on its way");
    let taken = Prompt { message: 5, sending_ms: 0, ..sending };
    let found = store.prompt(GROUP, None).await?.0;
    ensure!(found.as_ref() == Some(&taken), "taken in as {found:?}");
    ensure!(is_known(GROUP, 5, 60).await? && !is_known(GROUP, 6, 0).await?, "now it stands, and no other");
    Ok(())
}

async fn people_of_a_chat_come_page_by_page(store: &dyn Store) -> Result<()> {
    for user in [15, 11, 14, 12, 13] {
        let member = Member { event: Some(event(1)), ..Member::default() };
        write_member(store, UserId(user), GROUP, NOW, member).await?;
    }
    write_member(store, UserId(16), OTHER_GROUP, NOW, Member { event: Some(event(1)), ..Member::default() }).await?;
    let mut pages = Vec::new();
    let mut after = UserId(0);
    loop {
        let page = store.people_of(GROUP, after, 2).await?;
        let Some(last) = page.last() else { break };
        ensure!(*last > after && pages.len() < 3, "{page:?} after {after}");
        after = *last;
        pages.push(page.iter().map(|user| user.0).collect::<Vec<_>>());
    }
    ensure!(pages == [vec![11, 12], vec![13, 14], vec![15]], "{pages:?}");
    Ok(())
}
