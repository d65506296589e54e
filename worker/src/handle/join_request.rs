//! Somebody asks to be let into a group, or into a channel that a group requires.

use nezuko_telegram::JoinRequest;

use super::{Handler, Receipt};
use crate::{facts::EventOrder, reconcile::Outcome, store::StoreError};

impl Handler {
    /// Returns whether the request concerned Nezuko.
    pub(super) async fn join_request(&self, request: &JoinRequest, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        let (chat, user) = (request.chat.id, request.from.id);
        let order = EventOrder { date: request.date, update_id: receipt.update_id };
        let reach = request.user_chat_id.unwrap_or_else(|| user.private_chat());
        let mut concerned = false;
        self.with_person(user, chat, Some(receipt.update_id), receipt.trace_id, |mut person| {
            // E26: Telegram lists none, so that it is kept although nothing may be enforced there yet.
            concerned = person.knows(chat);
            if !concerned {
                return Outcome::default();
            }
            person.member(chat).apply_request(order, reach);
            person.finish(chat)
        })
        .await?;
        Ok(concerned)
    }
}
