//! The store's methods behind one fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, MessageId, UserId};
use nezuko_worker::{
    facts::ChatFacts,
    intent::{Claim, Lane, Put, Settlement},
    store::{
        Allowance, ButtonRow, Chat, ChatStep, ChatView, ChatWrites, Happened, LogLine, PersonStep, PersonView,
        PersonWrites, Prompt, PromptView, Scope, Settle, StatesOfIntents, Store, StoreError, Untold,
    },
};

use super::{Fault, Faulty};

#[async_trait]
impl Store for Faulty {
    fn bot(&self) -> BotId {
        self.right.bot()
    }

    async fn with_person(&self, scope: &Scope<'_>, step: PersonStep<'_>) -> Result<(), StoreError> {
        let spoil = |view: &PersonView| {
            let mut view = view.clone();
            view.seen_before &= !self.has(Fault::NeverSeenBefore);
            if self.has(Fault::WaitingIsForgotten) {
                view.members.values_mut().for_each(|member| member.waiting = false);
            }
            if self.has(Fault::PressesAreNobodys) {
                view.open.retain(|key| !key.starts_with("answer:"));
            }
            view
        };
        let mut stale = None;
        if self.has(Fault::UpdatesAreLost) {
            self.right
                .with_person(scope, &mut |view| {
                    stale = Some(view.clone());
                    PersonWrites::default()
                })
                .await?;
        }
        self.right
            .with_person(scope, &mut |view| {
                let mut writes = step(&stale.clone().unwrap_or_else(|| spoil(view)));
                if self.has(Fault::HoldIsForgotten) {
                    writes.hold = None;
                }
                if self.has(Fault::NothingIsEnded) {
                    writes.end.clear();
                }
                writes.forget = writes.forget.filter(|_| !self.has(Fault::NobodyIsForgotten));
                writes
            })
            .await
    }

    async fn with_chat(
        &self,
        chat: ChatId,
        trace_id: &str,
        now_ms: i64,
        step: ChatStep<'_>,
    ) -> Result<i64, StoreError> {
        let version = self
            .right
            .with_chat(chat, trace_id, now_ms, &mut |view| {
                let mut writes = step(view);
                if self.has(Fault::DisabledLinksRequire) {
                    writes.links.iter_mut().for_each(|(_, link)| link.value = true);
                }
                writes
            })
            .await?;
        Ok(if self.has(Fault::VersionStays) { version.min(1) } else { version })
    }

    async fn migrate(&self, old: ChatId, new: ChatId, trace_id: &str, now_ms: i64) -> Result<Chat, StoreError> {
        let before = (self.right.chat(old).await?, self.right.chat(new).await?);
        if self.has(Fault::NothingMigrates) {
            return Ok(before.1.chat);
        }
        let mut people = BTreeMap::new();
        for user in self.right.people_of(old, UserId(0), 100).await? {
            people.insert(user, self.member(user, old).await?);
        }
        self.spoil_before().await?;
        self.right.migrate(old, new, trace_id, now_ms).await?;
        self.spoil_after(&before.0, people, new, now_ms).await?;
        if self.has(Fault::NothingIsForwarded) {
            let nothing = ChatWrites { facts: Some(ChatFacts::default()), ..ChatWrites::default() };
            self.right.with_chat(old, trace_id, now_ms, &mut |_| nothing.clone()).await?;
        }
        let mut chat = self.right.chat(new).await?.chat;
        if self.has(Fault::MigratedVersionStays) {
            chat.version = before.1.chat.version;
        }
        Ok(chat)
    }

    async fn chat(&self, chat: ChatId) -> Result<ChatView, StoreError> {
        self.right.chat(chat).await
    }

    async fn put(&self, put: &[Put], trace_id: &str) -> Result<(), StoreError> {
        for put in put {
            let state = put.intent.is_state();
            if self.has(Fault::EffectComesBack) {
                self.right.purge(i64::MAX / 2).await?;
            }
            let replaces = self.has(Fault::LaterDueTimeWins) || self.has(Fault::NewestUrgencyWins);
            if (!state && self.has(Fault::EffectIsReplaced)) || (state && replaces) {
                self.end(put.intent.key()).await?;
            }
        }
        self.right.put(put, trace_id).await
    }

    async fn claim(
        &self,
        lane: Lane,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
        max: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let known: Vec<String> = {
            let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
            holders.insert(holder.to_owned());
            holders.iter().cloned().collect()
        };
        if self.has(Fault::LivingClaimIsIgnored) {
            for holder in known {
                self.right.release(&holder).await?;
            }
        }
        let max = if self.has(Fault::MoreIsClaimedThanAskedFor) { 1_000 } else { max };
        let now_ms = if self.has(Fault::ClaimsTooEarly) { now_ms + 5_000 } else { now_ms };
        let claims = self.right.claim(lane, holder, now_ms, until_ms, max).await?;
        let newest = claims.iter().map(|claim| (claim.intent.key(), claim.clone()));
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).extend(newest);
        Ok(claims)
    }

    async fn postpone(&self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsPostponed) {
            return Ok(());
        }
        self.right.postpone(lane, chat, now_ms, until_ms).await
    }

    async fn renew(&self, holder: &str, claims: &BTreeSet<i64>, until_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsProlonged) {
            return Ok(());
        }
        let every = |newest: &BTreeMap<String, Claim>| newest.values().map(|claim| claim.claim).collect();
        let every: BTreeSet<i64> = every(&self.newest.lock().unwrap_or_else(PoisonError::into_inner));
        let claims = if self.has(Fault::EveryClaimIsProlonged) { &every } else { claims };
        self.right.renew(holder, claims, until_ms).await
    }

    async fn hold(&self, claim: &Claim, until_ms: i64) -> Result<bool, StoreError> {
        if self.has(Fault::WholeBatchesAreHeld) {
            return self.right.renew("one", &[claim.claim].into(), until_ms).await.map(|()| true);
        }
        self.right.hold(claim, until_ms).await
    }

    async fn release(&self, holder: &str) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsGivenBack) {
            return Ok(());
        }
        self.right.release(holder).await
    }

    async fn settle(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError> {
        let settle: Vec<Settle> = settle.iter().flat_map(|settle| self.spoilt(settle)).collect();
        self.right.settle(&settle, put, trace_id, now_ms).await
    }

    async fn prompt(&self, group: ChatId, topic: Option<i64>) -> Result<(Option<Prompt>, bool), StoreError> {
        let (prompt, is_awaited) = self.right.prompt(group, topic.filter(|_| !self.has(Fault::TopicsAreMixed))).await?;
        Ok((prompt, is_awaited || self.has(Fault::SomebodyAlwaysWaits)))
    }

    async fn channels(&self, group: ChatId) -> Result<Vec<(ChatId, ChatFacts)>, StoreError> {
        self.right.channels(group).await
    }

    async fn prompt_view(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError> {
        let topic = topic.filter(|_| !self.has(Fault::TopicsAreMixed));
        let mut view = self.right.prompt_view(group, topic, names).await?;
        if self.has(Fault::NobodyIsWarned) {
            view.warned.clear();
        }
        Ok(view)
    }

    async fn save_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError> {
        let newest = self.newest_claim(&claim.intent.key()).filter(|_| self.has(Fault::PromptIsSavedWithoutClaim));
        let claim = newest.as_ref().unwrap_or(claim);
        self.right.save_prompt(group, topic, prompt, claim, settlement).await
    }

    async fn recognise_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError> {
        Ok(self.right.recognise_prompt(group, message, now_ms).await? || self.has(Fault::NothingIsStray))
    }

    async fn began_to_wait(&self, group: ChatId, since_ms: i64) -> Result<i64, StoreError> {
        let since_ms = if self.has(Fault::EverybodyHasJustBegun) { 0 } else { since_ms };
        self.right.began_to_wait(group, since_ms).await
    }

    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError> {
        self.right.waiting_in(group).await
    }

    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError> {
        let after = if self.has(Fault::PagesBeginAnew) { UserId(0) } else { after };
        self.right.people_of(chat, after, max).await
    }

    async fn prompted_topics(&self, group: ChatId) -> Result<Vec<Option<i64>>, StoreError> {
        let mut topics = self.right.prompted_topics(group).await?;
        topics.truncate(if self.has(Fault::OneTopicIsPrompted) { 1 } else { usize::MAX });
        Ok(topics)
    }

    async fn chats_of_rules(&self) -> Result<Vec<ChatId>, StoreError> {
        let mut chats = self.right.chats_of_rules().await?;
        if self.has(Fault::OnlyGroupsAreOfRules) {
            let mut groups = Vec::new();
            for chat in chats {
                groups.extend((!self.right.chat(chat).await?.links.is_empty()).then_some(chat));
            }
            chats = groups;
        }
        Ok(chats)
    }

    async fn unswept_groups(&self) -> Result<Vec<ChatId>, StoreError> {
        if !self.has(Fault::EveryGroupIsUnswept) {
            return self.right.unswept_groups().await;
        }
        let mut groups = Vec::new();
        for chat in self.right.chats_of_rules().await? {
            groups.extend((!self.right.chat(chat).await?.links.is_empty()).then_some(chat));
        }
        Ok(groups)
    }

    async fn newest_received_ms(&self) -> Result<Option<i64>, StoreError> {
        if self.has(Fault::ReceiptIsForgotten) {
            return Ok(None);
        }
        if self.has(Fault::OlderReceiptCounts) {
            return Ok(*self.newest_receipt.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.right.newest_received_ms().await
    }

    async fn note_received(&self, received_ms: i64) -> Result<(), StoreError> {
        *self.newest_receipt.lock().unwrap_or_else(PoisonError::into_inner) = Some(received_ms);
        self.right.note_received(received_ms).await
    }

    async fn add_buttons(&self, rows: &[ButtonRow]) -> Result<(), StoreError> {
        self.right.add_buttons(rows).await
    }

    async fn button(&self, id: i64, now_ms: i64) -> Result<Option<ButtonRow>, StoreError> {
        let now_ms = if self.has(Fault::ButtonsLastForEver) { 0 } else { now_ms };
        let row = self.right.button(id, now_ms).await?;
        let user = |row: &ButtonRow| row.user.filter(|_| !self.has(Fault::ButtonsAreOfAnybody));
        Ok(row.map(|row| ButtonRow { user: user(&row), ..row }))
    }

    async fn use_button(&self, id: i64, put: &[Put], trace_id: &str, now_ms: i64) -> Result<bool, StoreError> {
        if self.has(Fault::ButtonsWorkAgain) && self.right.button(id, now_ms).await?.is_some() {
            self.right.put(put, trace_id).await?;
            return Ok(true);
        }
        let now_ms = if self.has(Fault::ButtonsLastForEver) { 1 } else { now_ms };
        self.right.use_button(id, put, trace_id, now_ms).await
    }

    async fn draw(&self, user: UserId, of: Allowance, now_ms: i64, window_ms: i64) -> Result<i64, StoreError> {
        let user = if self.has(Fault::AllowancesAreShared) { UserId(1) } else { user };
        self.right.draw(user, of, now_ms, window_ms).await
    }

    async fn happened(&self, group: ChatId, since_ms: i64) -> Result<Happened, StoreError> {
        let since_ms = if self.has(Fault::EverythingIsLastHour) { 0 } else { since_ms };
        self.right.happened(group, since_ms).await
    }

    async fn untold(&self, group: ChatId, since_ms: i64, most: i64) -> Result<Untold, StoreError> {
        let since_ms = if self.has(Fault::OldLinesAreTold) { 0 } else { since_ms };
        self.right.untold(group, since_ms, most).await
    }

    async fn told(&self, lines: &[i64], now_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::ToldLinesComeBack) { Ok(()) } else { self.right.told(lines, now_ms).await }
    }

    async fn line(&self, line: i64) -> Result<Option<LogLine>, StoreError> {
        Ok(self.right.line(line).await?.filter(|_| !self.has(Fault::LinesAreLost)))
    }

    async fn count_people(&self, chat: ChatId) -> Result<i64, StoreError> {
        Ok(if self.has(Fault::ChannelsHaveNoPeople) { 0 } else { self.right.count_people(chat).await? })
    }

    async fn open_intents(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.right.open_intents(if self.has(Fault::WhatIsNotDueCounts) { i64::MAX } else { due_ms }).await
    }

    async fn oldest_due(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.right.oldest_due(due_ms).await
    }

    async fn states_of_intents(&self, now_ms: i64) -> Result<StatesOfIntents, StoreError> {
        let states = self.right.states_of_intents(now_ms).await?;
        let claimed_is_due = self.has(Fault::ClaimedIsDue);
        Ok(if claimed_is_due { StatesOfIntents { due: states.due + states.claimed, ..states } } else { states })
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsPurged) {
            return Ok(());
        }
        self.right.purge(if self.has(Fault::TombstonesGoTooSoon) { now_ms + 3_600_000 } else { now_ms }).await
    }
}
