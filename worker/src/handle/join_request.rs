//! Somebody asks to be let into a group, or into a channel that a group requires.

use nezuko_telegram::{ChatId, JoinRequest};

use super::{Handler, Receipt};
use crate::{
    facts::{ChatFacts, EventOrder},
    reconcile::Outcome,
    store::{ChatView, ChatWrites, StoreError},
};

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
        if concerned {
            self.note_that_requests_are_made(chat, receipt.trace_id).await?;
        }
        Ok(concerned)
    }

    /// Once of each chat.
    async fn note_that_requests_are_made(&self, chat: ChatId, trace_id: &str) -> Result<(), StoreError> {
        if self.store.chat(chat).await?.chat.facts.is_asked {
            return Ok(());
        }
        let mut note = |view: &ChatView| {
            let facts = ChatFacts { is_asked: true, ..view.chat.facts.clone() };
            ChatWrites { facts: Some(facts), ..ChatWrites::default() }
        };
        self.store.with_chat(chat, trace_id, (self.clock)(), &mut note).await.map(drop)
    }
}
