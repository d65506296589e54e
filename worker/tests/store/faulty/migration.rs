//! What goes wrong when a group gets another id.

use std::{collections::BTreeMap, sync::PoisonError};

use nezuko_telegram::{ChatId, MessageId, UserId};
use nezuko_worker::{
    facts::{ChatFacts, Member, Setting},
    intent::{Intent, Lane, Put},
    store::{ChatView, ChatWrites, Held, PersonWrites, Store, StoreError},
};

use super::{Fault, Faulty};

impl Faulty {
    /// What goes wrong before a group migrates.
    pub(super) async fn spoil_before(&self) -> Result<(), StoreError> {
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
    pub(super) async fn spoil_after(
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
            Fault::MigratesAgain => {
                let again = |facts: &mut ChatFacts| facts.gone_topics.extend([(facts.gone_topics.len() as i64, 1)]);
                self.change_facts(new, again).await?;
            }
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
}
