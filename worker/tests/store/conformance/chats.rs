//! Chats: settings, links, and who sees what from where.

use anyhow::{Context, Result, ensure};
use nezuko_telegram::{ChatId, Rights, Standing, UpdateId};
use nezuko_worker::{
    admission::Refusal,
    facts::{ChatFacts, EventOrder, Linked, OwnLink, Raid, Right, Setting},
    intent::{Intent, Lane},
    settings::SettingRegisters,
    store::{ChatWrites, Store},
};

use super::{
    ANN, CHANNEL, Check, GROUP, Make, NOW, OTHER_CHANNEL, OTHER_GROUP, at, change_chat, checks, claim_one, describe,
    link, seen_from,
};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        a_chat_is_read_as_it_was_written,
        the_version_rises_with_what_is_enforced,
        a_step_sees_what_the_last_one_wrote,
        a_chat_of_which_nothing_was_written_stays_unknown,
        a_changed_link_replaces_the_old_one,
        from_a_group_its_channels_are_seen,
        from_a_channel_the_groups_that_require_it_are_seen,
        a_disabled_link_requires_nothing,
        a_chats_step_makes_intents,
    ]
}

async fn a_chat_is_read_as_it_was_written(store: &dyn Store) -> Result<()> {
    let rights = Rights { can_restrict_members: true, is_anonymous: true, ..Rights::default() };
    let order = EventOrder { date: NOW / 1000, update_id: UpdateId(3) };
    let mut settings = SettingRegisters::default();
    settings.change(UpdateId(5), NOW, |settings| settings.grace_s = 60);
    let facts = ChatFacts {
        settings,
        kind: "supergroup".to_owned(),
        title: "Title <b>'\"".to_owned(),
        username: "name".to_owned(),
        invite_link: "https://t.me/+x".to_owned(),
        link: Some(OwnLink { asked_ms: NOW, url: "https://t.me/+own".to_owned() }),
        refused: Some(Refusal::OverQuota),
        own_event: Some((order, Standing::Admin, rights)),
        became_admin: Some(order),
        own_lookup: Some((NOW, Standing::Owner, Rights::default())),
        found_admin_ms: Some(NOW - 1),
        missed_until_s: NOW / 1000 - 1,
        protected: Some(Setting { value: true, update_id: UpdateId(4), received_ms: NOW }),
        log_refused: Some(CHANNEL),
        allowed_senders: [(OTHER_GROUP, Setting { value: true, update_id: UpdateId(5), received_ms: NOW })].into(),
        linked: Some(Linked { asked_ms: NOW, chat: Some(CHANNEL) }),
        gone_topics: [(7, NOW)].into(),
        is_asked: true,
        raid: Some(Raid { since_ms: NOW, until_ms: NOW + 1 }),
        told: [Right::Delete, Right::Administer].into(),
        upgraded_to: Some(CHANNEL),
    };
    change_chat(store, GROUP, |_| ChatWrites { facts: Some(facts.clone()), ..ChatWrites::default() }).await?;
    let read = store.chat(GROUP).await?.chat;
    ensure!(read.facts == facts && read.version == 1, "{read:?}");
    let seen = seen_from(store, ANN, GROUP).await?;
    ensure!(seen.chats == [(GROUP, read)].into(), "{:?}", seen.chats);
    Ok(())
}

async fn the_version_rises_with_what_is_enforced(store: &dyn Store) -> Result<()> {
    let first = describe(store, GROUP, "one").await?;
    link(store, GROUP, CHANNEL, true).await?;
    let second = store.chat(GROUP).await?.chat.version;
    let put = vec![at(Intent::Prompt { group: GROUP, topic: None }, NOW)];
    let same = change_chat(store, GROUP, |_| ChatWrites { put: put.clone(), ..ChatWrites::default() }).await?;
    let still = describe(store, GROUP, "two").await?;
    ensure!(store.chat(GROUP).await?.chat.facts.title == "two", "what decides nothing is written all the same");
    let protected = Some(Setting { value: true, update_id: UpdateId(4), received_ms: NOW });
    let third = change_chat(store, GROUP, |view| {
        let facts = ChatFacts { protected, ..view.chat.facts.clone() };
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    })
    .await?;
    let versions = (first, second, same, still, third);
    ensure!(versions == (1, 2, 2, 2, 3), "versions {versions:?}");
    ensure!(store.chat(CHANNEL).await?.chat.version == 0, "another chat's version rose");
    Ok(())
}

async fn a_step_sees_what_the_last_one_wrote(store: &dyn Store) -> Result<()> {
    describe(store, GROUP, "one").await?;
    link(store, GROUP, CHANNEL, true).await?;
    link(store, OTHER_GROUP, GROUP, true).await?;
    let mut seen = None;
    change_chat(store, GROUP, |view| {
        seen = Some(view.clone());
        ChatWrites::default()
    })
    .await?;
    let seen = seen.context("the step ran")?;
    ensure!(seen.chat.facts.title == "one" && seen.chat.version == 2, "{seen:?}");
    let link = Setting { value: true, update_id: UpdateId(7), received_ms: NOW };
    ensure!(seen.links == [(CHANNEL, link)].into(), "{:?}", seen.links);
    ensure!(seen.required_by == [OTHER_GROUP], "{:?}", seen.required_by);
    Ok(())
}

async fn a_chat_of_which_nothing_was_written_stays_unknown(store: &dyn Store) -> Result<()> {
    let version = change_chat(store, GROUP, |_| ChatWrites::default()).await?;
    let seen = seen_from(store, ANN, GROUP).await?;
    ensure!(version == 0 && seen.chats.is_empty(), "version {version}, {:?}", seen.chats);
    Ok(())
}

async fn a_changed_link_replaces_the_old_one(store: &dyn Store) -> Result<()> {
    link(store, GROUP, CHANNEL, true).await?;
    let off = Setting { value: false, update_id: UpdateId(9), received_ms: NOW + 1 };
    let links = vec![(CHANNEL, off)];
    change_chat(store, GROUP, |_| ChatWrites { links: links.clone(), ..ChatWrites::default() }).await?;
    let read = store.chat(GROUP).await?.links;
    ensure!(read == [(CHANNEL, off)].into(), "{read:?}");
    Ok(())
}

/// The group requires two channels, one of which is not known; another group requires one of them, too.
async fn tie(store: &dyn Store) -> Result<()> {
    describe(store, GROUP, "group").await?;
    describe(store, OTHER_GROUP, "other group").await?;
    describe(store, CHANNEL, "channel").await?;
    link(store, GROUP, CHANNEL, true).await?;
    link(store, GROUP, OTHER_CHANNEL, true).await?;
    link(store, OTHER_GROUP, CHANNEL, true).await
}

/// The channels that each group requires, in the order of their ids.
async fn required_seen_from(store: &dyn Store, chat: ChatId) -> Result<Vec<(ChatId, Vec<ChatId>)>> {
    let mut required: Vec<_> = seen_from(store, ANN, chat).await?.required.into_iter().collect();
    required.iter_mut().for_each(|(_, channels)| channels.sort());
    Ok(required)
}

async fn from_a_group_its_channels_are_seen(store: &dyn Store) -> Result<()> {
    tie(store).await?;
    let required = required_seen_from(store, GROUP).await?;
    ensure!(required == [(GROUP, vec![OTHER_CHANNEL, CHANNEL])], "{required:?}");
    let seen = seen_from(store, ANN, GROUP).await?;
    let chats: Vec<_> = seen.chats.iter().map(|(id, chat)| (*id, chat.facts.title.as_str(), chat.version)).collect();
    ensure!(chats == [(CHANNEL, "channel", 1), (GROUP, "group", 3)], "{chats:?}");
    Ok(())
}

async fn from_a_channel_the_groups_that_require_it_are_seen(store: &dyn Store) -> Result<()> {
    tie(store).await?;
    let required = required_seen_from(store, CHANNEL).await?;
    let expected = [(OTHER_GROUP, vec![CHANNEL]), (GROUP, vec![OTHER_CHANNEL, CHANNEL])];
    ensure!(required == expected, "{required:?}");
    let seen = seen_from(store, ANN, CHANNEL).await?;
    let chats: Vec<_> = seen.chats.iter().map(|(id, chat)| (*id, chat.facts.title.as_str(), chat.version)).collect();
    ensure!(chats == [(CHANNEL, "channel", 1), (OTHER_GROUP, "other group", 2), (GROUP, "group", 3)], "{chats:?}");
    let required = required_seen_from(store, OTHER_CHANNEL).await?;
    ensure!(required == [(GROUP, vec![OTHER_CHANNEL, CHANNEL])], "{required:?}");
    Ok(())
}

async fn a_disabled_link_requires_nothing(store: &dyn Store) -> Result<()> {
    tie(store).await?;
    link(store, GROUP, CHANNEL, false).await?;
    let from_group = seen_from(store, ANN, GROUP).await?;
    ensure!(from_group.required == [(GROUP, vec![OTHER_CHANNEL])].into(), "{:?}", from_group.required);
    ensure!(!from_group.chats.contains_key(&CHANNEL), "{:?}", from_group.chats);
    let from_channel = seen_from(store, ANN, CHANNEL).await?;
    ensure!(from_channel.required == [(OTHER_GROUP, vec![CHANNEL])].into(), "{:?}", from_channel.required);
    ensure!(!from_channel.chats.contains_key(&GROUP), "{:?}", from_channel.chats);
    let links = store.chat(GROUP).await?.links;
    ensure!(links.get(&CHANNEL).map(|link| link.value) == Some(false), "{links:?}");
    let required_by = store.chat(CHANNEL).await?.required_by;
    ensure!(required_by == [OTHER_GROUP], "{required_by:?}");
    Ok(())
}

async fn a_chats_step_makes_intents(store: &dyn Store) -> Result<()> {
    let redecide = Intent::Redecide { chat: GROUP, after: ANN };
    let put = vec![at(redecide.clone(), NOW)];
    change_chat(store, GROUP, |_| ChatWrites { put: put.clone(), ..ChatWrites::default() }).await?;
    let claim = claim_one(store, Lane::Jobs, "one", NOW).await?;
    ensure!(claim.intent == redecide && claim.trace_id == "trace", "{claim:?}");
    Ok(())
}
