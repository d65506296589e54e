//! Somebody came into a channel by a link of ours that is revoked.

use nezuko_telegram::ChatMemberUpdated;

use super::{Handler, Receipt};
use crate::{
    intent::{Intent, Put},
    store::StoreError,
};

impl Handler {
    /// Has the channel looked at where the event shows that our link is revoked (E37).
    pub(super) async fn link_event(&self, event: &ChatMemberUpdated, receipt: &Receipt<'_>) -> Result<(), StoreError> {
        let Some(used) = event.invite_link.as_ref().filter(|link| link.is_revoked) else { return Ok(()) };
        let chat = event.chat.id;
        let own = self.store.chat(chat).await?.chat.facts.link;
        if own.is_none_or(|own| own.url != used.invite_link) {
            return Ok(());
        }
        self.put(&[Put::urgent(Intent::Link { chat }, (self.clock)())], receipt.trace_id).await
    }
}
