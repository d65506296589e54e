//! Stores with one known fault each, around a right one: the suite has to notice every one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use nezuko_shared::conformance::{must_fail, some_bot};
use nezuko_telegram::{BotId, ChatId, MessageId, UserId};
use nezuko_worker::{
    intent::{Claim, Lane, Put, Settlement},
    store::{
        ChatStep, ChatView, PersonStep, PersonView, PersonWrites, Prompt, PromptView, Scope, Settle, Store, StoreError,
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
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 25] = [
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
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { right: MemoryStore::new(some_bot()), fault, holders: Mutex::default(), newest: Mutex::default() }
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

    async fn renew(&self, holder: &str, until_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsProlonged) {
            return Ok(());
        }
        self.right.renew(holder, until_ms).await
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

    async fn open_intents(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.right.open_intents().await
    }

    async fn purge(&self, now_ms: i64) -> Result<(), StoreError> {
        if self.has(Fault::NothingIsPurged) {
            return Ok(());
        }
        self.right.purge(if self.has(Fault::TombstonesGoTooSoon) { now_ms + 3_600_000 } else { now_ms }).await
    }
}
