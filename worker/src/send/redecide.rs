//! Deciding everybody of a chat again, in steps, because its settings or our rights there changed.

use nezuko_shared::limiter::Urgency;
use nezuko_telegram::{ChatId, UserId};

use super::Sender;
use crate::{
    intent::{Claim, Intent, Settlement},
    store::StoreError,
};

/// People decided with one claim.
const STEP: i64 = 200;

impl Sender {
    pub(super) async fn redecide(&self, claim: &Claim, chat: ChatId, after: UserId) -> Result<(), StoreError> {
        let people = self.handler.store.people_of(chat, after, STEP).await?;
        for user in &people {
            self.handler
                .with_person(*user, chat, None, &claim.trace_id, |mut person| {
                    person.urgency = Urgency::Bulk;
                    person.finish(chat)
                })
                .await?;
        }
        let settlement = match people.last() {
            Some(last) if people.len() as i64 == STEP => Settlement::Continue(Intent::Redecide { chat, after: *last }),
            _ => Settlement::Done,
        };
        self.settle(claim, settlement).await
    }
}
