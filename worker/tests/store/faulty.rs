//! Stores with one known fault each, around a right one: the suite has to notice every one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use nezuko_shared::conformance::{must_fail, some_bot};
use nezuko_telegram::{BotId, ChatId, MessageId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, Member, Setting},
    intent::{Claim, Intent, Lane, Put, Settlement},
    store::{
        Chat, ChatStep, ChatView, ChatWrites, Held, PersonStep, PersonView, PersonWrites, Prompt, PromptView, Scope,
        Settle, Store, StoreError,
    },
};

use crate::{conformance::suite, memory_store::MemoryStore};

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    EffectComesBack,
    EffectIsReplaced,
    DoneEndsNewerGeneration,
    LivingClaimIsIgnored,
    StaleClaimSettles,
    HoldIsForgotten,
    NeverSeenBefore,
    LaterDueTimeWins,
    PromptIsSavedWithoutClaim,
    UpdatesAreLost,
    WaitingIsForgotten,
    MoreIsClaimedThanAskedFor,
    ClaimsTooEarly,
    NothingIsGivenBack,
    NothingIsProlonged,
    EveryClaimIsProlonged,
    WholeBatchesAreHeld,
    DisabledLinksRequire,
    NothingIsEnded,
    TombstonesGoTooSoon,
    NothingIsPurged,
    VersionStays,
    StepBeginsAnew,
    TopicsAreMixed,
    NothingIsStray,
    PagesBeginAnew,
    NewestUrgencyWins,
    NothingIsPostponed,
    NothingMigrates,
    NothingIsForwarded,
    OldSettingsWin,
    OldPlaceCounts,
    RequiringGroupsAreForgotten,
    OldFactsAboutPeopleWin,
    NobodyIsDecidedAgain,
    HeldMessagesMigrate,
    WaitingIntentsStay,
    WaitingIntentsWaitOn,
    DeletionsMigrate,
    MigrationRevives,
    MigrationTakesClaims,
    MigratedVersionStays,
    MigratesAgain,
    OlderReceiptCounts,
    ReceiptIsForgotten,
    OnlyGroupsAreOfRules,
    OneTopicIsPrompted,
    EveryGroupIsUnswept,
    WhatIsNotDueCounts,
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 49] = [
    (Fault::EffectComesBack, "an_effect_that_is_done_does_not_come_back"),
    (Fault::EffectIsReplaced, "an_effect_is_never_replaced"),
    (Fault::DoneEndsNewerGeneration, "a_newer_generation_outlives_what_was_claimed"),
    (Fault::LivingClaimIsIgnored, "what_is_claimed_has_one_holder"),
    (Fault::StaleClaimSettles, "a_stale_claim_settles_nothing"),
    (Fault::HoldIsForgotten, "held_messages_are_read_until_they_are_decided"),
    (Fault::NeverSeenBefore, "a_repeated_update_was_seen_before"),
    (Fault::LaterDueTimeWins, "the_earlier_due_time_wins"),
    (Fault::PromptIsSavedWithoutClaim, "a_prompt_is_saved_only_while_the_claim_is_held"),
    (Fault::UpdatesAreLost, "no_transaction_of_a_person_is_lost"),
    (Fault::WaitingIsForgotten, "whether_somebody_waits_is_read_as_it_was_written"),
    (Fault::MoreIsClaimedThanAskedFor, "no_more_is_claimed_than_asked_for_and_the_longest_due_first"),
    (Fault::ClaimsTooEarly, "what_is_not_due_is_not_claimed"),
    (Fault::NothingIsGivenBack, "what_is_given_back_can_be_claimed_at_once"),
    (Fault::NothingIsProlonged, "a_prolonged_claim_does_not_run_out"),
    (Fault::WholeBatchesAreHeld, "one_of_a_batch_can_be_held_for_longer"),
    (Fault::EveryClaimIsProlonged, "a_claim_of_which_its_holder_was_never_told_runs_out"),
    (Fault::DisabledLinksRequire, "a_disabled_link_requires_nothing"),
    (Fault::NothingIsEnded, "ending_removes_state_intents_for_good"),
    (Fault::TombstonesGoTooSoon, "a_tombstone_keeps_an_effect_away_for_two_days"),
    (Fault::NothingIsPurged, "a_held_message_is_kept_for_a_day"),
    (Fault::VersionStays, "the_version_rises_with_what_is_enforced"),
    (Fault::StepBeginsAnew, "continue_goes_on_with_the_rest"),
    (Fault::TopicsAreMixed, "only_those_of_the_topic_are_named"),
    (Fault::NothingIsStray, "a_message_that_is_no_standing_prompt_is_a_stray"),
    (Fault::PagesBeginAnew, "people_of_a_chat_come_page_by_page"),
    (Fault::NewestUrgencyWins, "what_is_made_again_for_bulk_stays_urgent"),
    (Fault::NothingIsPostponed, "a_chat_that_has_to_wait_waits_with_a_whole_lane"),
    (Fault::NothingMigrates, "what_is_known_of_a_group_goes_over_with_it"),
    (Fault::NothingIsForwarded, "what_is_known_of_a_group_goes_over_with_it"),
    (Fault::OldSettingsWin, "of_settings_under_both_ids_the_newer_one_stays"),
    (Fault::OldPlaceCounts, "what_the_new_group_knows_of_our_place_stays"),
    (Fault::RequiringGroupsAreForgotten, "a_group_that_required_the_old_id_requires_the_new_one"),
    (Fault::OldFactsAboutPeopleWin, "people_go_over_and_what_is_newer_about_them_stays"),
    (Fault::NobodyIsDecidedAgain, "everybody_is_decided_again_after_our_place_is_known"),
    (Fault::HeldMessagesMigrate, "messages_of_the_old_group_are_forgotten"),
    (Fault::WaitingIntentsStay, "what_waits_is_made_again_under_the_new_id_and_due_at_once"),
    (Fault::WaitingIntentsWaitOn, "what_waits_is_made_again_under_the_new_id_and_due_at_once"),
    (Fault::DeletionsMigrate, "a_deletion_in_the_old_group_is_never_tried_again"),
    (Fault::MigrationRevives, "what_is_done_stays_done"),
    (Fault::MigrationTakesClaims, "what_is_claimed_is_left_to_its_holder"),
    (Fault::MigratedVersionStays, "the_version_rises_over_what_a_cache_can_know"),
    (Fault::MigratesAgain, "again_changes_nothing"),
    (Fault::OlderReceiptCounts, "how_far_updates_have_come_never_goes_back"),
    (Fault::ReceiptIsForgotten, "how_far_updates_have_come_never_goes_back"),
    (Fault::OnlyGroupsAreOfRules, "rules_concern_who_requires_and_who_is_required"),
    (Fault::OneTopicIsPrompted, "every_topic_with_a_prompt_is_found"),
    (Fault::EveryGroupIsUnswept, "a_group_is_unswept_until_an_intent_says_otherwise"),
    (Fault::WhatIsNotDueCounts, "open_intents_are_counted_by_kind_when_they_are_due"),
];

#[tokio::test]
async fn the_suite_notices_every_fault() {
    for (fault, check) in FAULTS {
        let noticed = must_fail(&format!("{fault:?}"), suite(&move || Arc::new(Faulty::new(fault)))).await.unwrap();
        assert!(noticed.contains(check), "{check} should have noticed: {noticed}");
    }
}

/// A right store behind one fault.
struct Faulty {
    right: MemoryStore,
    fault: Fault,
    holders: Mutex<BTreeSet<String>>,
    /// The newest claim of each key.
    newest: Mutex<BTreeMap<String, Claim>>,
    newest_receipt: Mutex<Option<i64>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            right: MemoryStore::new(some_bot()),
            fault,
            holders: Mutex::default(),
            newest: Mutex::default(),
            newest_receipt: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn newest_claim(&self, key: &str) -> Option<Claim> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn end(&self, key: String) -> Result<(), StoreError> {
        let scope = Scope { user: UserId(1), chat: ChatId(1), update: None, trace_id: "", now_ms: 0 };
        let end = PersonWrites { end: vec![key], ..PersonWrites::default() };
        self.right.with_person(&scope, &mut |_| end.clone()).await
    }

    async fn change_facts(
        &self,
        chat: ChatId,
        change: impl Fn(&mut ChatFacts) + Send + Sync,
    ) -> Result<(), StoreError> {
        let mut step = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            change(&mut facts);
            ChatWrites { facts: Some(facts), ..ChatWrites::default() }
        };
        self.right.with_chat(chat, "", 0, &mut step).await.map(drop)
    }

    async fn member(&self, user: UserId, chat: ChatId) -> Result<Member, StoreError> {
        let scope = Scope { user, chat, update: None, trace_id: "", now_ms: 0 };
        let mut member = Member::default();
        let mut read = |view: &PersonView| {
            member = view.members[&chat].clone();
            PersonWrites::default()
        };
        self.right.with_person(&scope, &mut read).await?;
        Ok(member)
    }

    async fn write_person(&self, user: UserId, chat: ChatId, writes: PersonWrites) -> Result<(), StoreError> {
        let scope = Scope { user, chat, update: None, trace_id: "", now_ms: 0 };
        self.right.with_person(&scope, &mut |_| writes.clone()).await
    }

    /// What goes wrong before a group migrates.
    async fn spoil_before(&self) -> Result<(), StoreError> {
        let end_of_time = i64::MAX / 2;
        match self.fault {
            Fault::MigrationRevives => self.right.purge(end_of_time).await?,
            Fault::MigrationTakesClaims => {
                let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for holder in holders {
                    self.right.release(&holder).await?;
                }
            }
            Fault::WaitingIntentsStay => {
                for lane in Lane::ALL {
                    self.right.claim(lane, "thief", end_of_time, end_of_time, 100).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What goes wrong after a group has migrated, of which this was known under its old id.
    async fn spoil_after(
        &self,
        was: &ChatView,
        people: BTreeMap<UserId, Member>,
        new: ChatId,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        match self.fault {
            Fault::OldSettingsWin => {
                self.change_facts(new, |facts| facts.protected = was.chat.facts.protected).await?;
            }
            Fault::OldPlaceCounts => {
                self.change_facts(new, |facts| facts.own_event = was.chat.facts.own_event).await?;
            }
            Fault::MigratesAgain => self.change_facts(new, |_| {}).await?,
            Fault::RequiringGroupsAreForgotten => {
                for group in &was.required_by {
                    let mut step = |view: &ChatView| {
                        let off = view.links.get(&new).map(|link| (new, Setting { value: false, ..*link }));
                        ChatWrites { links: off.into_iter().collect(), ..ChatWrites::default() }
                    };
                    self.right.with_chat(*group, "", 0, &mut step).await?;
                }
            }
            Fault::OldFactsAboutPeopleWin => {
                for (user, member) in people {
                    let writes = PersonWrites { members: [(new, member)].into(), ..PersonWrites::default() };
                    self.write_person(user, new, writes).await?;
                }
            }
            Fault::NobodyIsDecidedAgain => self.end(format!("redecide:{new}")).await?,
            Fault::HeldMessagesMigrate => {
                let hold = Some(Held { group: new, message: MessageId(1), date: now_ms / 1000 });
                self.write_person(UserId(11), new, PersonWrites { hold, ..PersonWrites::default() }).await?;
            }
            Fault::WaitingIntentsStay => self.right.release("thief").await?,
            Fault::WaitingIntentsWaitOn => {
                for lane in Lane::ALL {
                    self.right.postpone(lane, new, now_ms, now_ms + 60_000).await?;
                }
            }
            Fault::DeletionsMigrate => {
                let deletion = Intent::Delete { chat: new, message: MessageId(5) };
                self.right.put(&[Put::urgent(deletion, now_ms)], "").await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What becomes of a settlement.
    fn spoilt(&self, settle: &Settle) -> Vec<Settle> {
        let mut spoilt = settle.clone();
        match &settle.settlement {
            _ if self.has(Fault::StaleClaimSettles) => {
                if let Some(newest) = self.newest_claim(&settle.key) {
                    spoilt.claim = newest.claim;
                }
            }
            Settlement::Done if self.has(Fault::DoneEndsNewerGeneration) => {
                let newer = (1..5).map(|more| Settle { generation: settle.generation + more, ..settle.clone() });
                return [spoilt].into_iter().chain(newer).collect();
            }
            Settlement::Continue(_) if self.has(Fault::StepBeginsAnew) => {
                spoilt.settlement = Settlement::Retry { not_before_ms: 0 };
            }
            _ => {}
        }
        vec![spoilt]
    }
}

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

    async fn hold(&self, claim: &Claim, until_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::WholeBatchesAreHeld) {
            return self.right.renew("one", &[claim.claim].into(), until_ms).await;
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

    async fn prompt(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError> {
        let topic = topic.filter(|_| !self.has(Fault::TopicsAreMixed));
        self.right.prompt(group, topic, names).await
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

    async fn open_intents(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.right.open_intents(if self.has(Fault::WhatIsNotDueCounts) { i64::MAX } else { due_ms }).await
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsPurged) {
            return Ok(());
        }
        self.right.purge(if self.has(Fault::TombstonesGoTooSoon) { now_ms + 3_600_000 } else { now_ms }).await
    }
}
