//! A call met a basic group that has become a supergroup.

use nezuko_telegram::ChatId;

use super::Sender;
use crate::{
    intent::{Claim, Put, Settlement},
    store::StoreError,
    upgrade,
};

impl Sender {
    /// Has everything go over to the new id, and the intent of `claim` done there at once. Where it is about another chat,
    /// it is tried again from what is known then.
    pub(super) async fn follow(&self, claim: &Claim, old: ChatId, new: ChatId) -> Result<(), StoreError> {
        if old == new {
            return self.settle(claim, self.back_off_slowly(claim)).await;
        }
        self.handler.migrate(old, new, &claim.trace_id).await?;
        if !upgrade::is_about(&claim.intent, old) {
            return self.settle(claim, self.back_off(claim)).await;
        }
        match upgrade::intent(claim.intent.clone(), new) {
            None => self.settle(claim, Settlement::Done).await,
            Some(intent) if intent.key() == claim.intent.key() => {
                self.settle(claim, Settlement::Continue(Box::new(intent))).await
            }
            // Its key names the chat.
            Some(intent) => {
                let put = Put { intent, not_before_ms: self.now_ms(), urgency: claim.urgency };
                self.settle_and_put(claim, Settlement::Done, &[put]).await
            }
        }
    }
}
