//! Stores with one known fault each, around a right one: the suite has to notice every one of them.

mod faults;
mod migration;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use nezuko_shared::conformance::{must_fail, some_bot};
use nezuko_telegram::{ChatId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, Member},
    intent::{Claim, Settlement},
    store::{ChatView, ChatWrites, PersonView, PersonWrites, Scope, Settle, Store, StoreError},
};

use self::faults::{FAULTS, Fault};
use crate::{conformance::suite, memory_store::MemoryStore};

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
