//! What is needed to notice an outage and to look at everything after it.

use anyhow::{Result, ensure};
use nezuko_telegram::UserId;
use nezuko_worker::{
    intent::{Intent, Lane, Settlement},
    store::{Prompt, Store},
};

use super::{CHANNEL, Check, GROUP, Make, NOW, OTHER_CHANNEL, OTHER_GROUP, checks, claim_one, link, put};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        how_far_updates_have_come_never_goes_back,
        rules_concern_who_requires_and_who_is_required,
        every_topic_with_a_prompt_is_found,
        a_group_is_unswept_until_an_intent_says_otherwise,
    ]
}

async fn how_far_updates_have_come_never_goes_back(store: &dyn Store) -> Result<()> {
    ensure!(store.newest_received_ms().await?.is_none(), "nothing was ever noted");
    store.note_received(NOW).await?;
    store.note_received(NOW - 1).await?;
    ensure!(store.newest_received_ms().await? == Some(NOW), "an older one counts, or none");
    store.note_received(NOW + 1).await?;
    ensure!(store.newest_received_ms().await? == Some(NOW + 1), "a newer one does not count");
    Ok(())
}

async fn rules_concern_who_requires_and_who_is_required(store: &dyn Store) -> Result<()> {
    link(store, GROUP, CHANNEL, true).await?;
    link(store, OTHER_GROUP, OTHER_CHANNEL, false).await?;
    let mut chats = store.chats_of_rules().await?;
    chats.sort_unstable();
    let mut both = [GROUP, CHANNEL];
    both.sort_unstable();
    ensure!(chats == both, "{chats:?}");
    Ok(())
}

async fn every_topic_with_a_prompt_is_found(store: &dyn Store) -> Result<()> {
    for topic in [None, Some(7)] {
        put(store, Intent::Prompt { group: GROUP, topic }, NOW).await?;
        let claim = claim_one(store, Lane::Messages, "one", NOW).await?;
        let stands = Prompt { message: 5, ..Prompt::default() };
        store.save_prompt(GROUP, topic, Some(&stands), &claim, Some(Settlement::Done)).await?;
    }
    ensure!(store.prompted_topics(GROUP).await? == [None, Some(7)], "{:?}", store.prompted_topics(GROUP).await?);
    ensure!(store.prompted_topics(OTHER_GROUP).await?.is_empty(), "of another group");
    Ok(())
}

async fn a_group_is_unswept_until_an_intent_says_otherwise(store: &dyn Store) -> Result<()> {
    for channel in [CHANNEL, OTHER_CHANNEL] {
        link(store, GROUP, channel, true).await?;
    }
    link(store, OTHER_GROUP, OTHER_CHANNEL, false).await?;
    ensure!(store.unswept_groups().await? == [GROUP], "{:?}", store.unswept_groups().await?);
    put(store, Intent::Redecide { chat: OTHER_GROUP, after: UserId(0) }, NOW).await?;
    ensure!(store.unswept_groups().await? == [GROUP], "another group's");
    put(store, Intent::Redecide { chat: GROUP, after: UserId(0) }, NOW).await?;
    ensure!(store.unswept_groups().await?.is_empty(), "it is swept");
    Ok(())
}
