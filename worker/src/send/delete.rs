//! Deleting messages, up to a hundred of a chat with one call.

use nezuko_shared::limiter::Budget;
use nezuko_telegram::{ChatId, ErrorClass};

use super::{Sender, message_number};
use crate::{
    intent::{Claim, Intent, Settlement},
    store::{Settle, StoreError},
};

/// `deleteMessages` takes no more (E55).
const BATCH: usize = 100;

/// Tries at growing distances of up to an hour, within the 48 h in which a message can be deleted (E55).
const DELETABLE_TRIES: i64 = 48;

impl Sender {
    pub(super) async fn delete(&self, chat: ChatId, claims: &[Claim]) -> Result<(), StoreError> {
        for batch in claims.chunks(BATCH) {
            self.delete_batch(chat, batch).await?;
        }
        Ok(())
    }

    async fn delete_batch(&self, chat: ChatId, batch: &[Claim]) -> Result<(), StoreError> {
        let Some(first) = batch.first() else { return Ok(()) };
        let settlement = match self.permits.leave(Budget::Deletion, first.urgency, Some(chat)).await {
            Err(refused) => {
                self.postpone_chat(first, refused).await?;
                self.wait_for(refused.retry_in)
            }
            Ok(_) => {
                let messages: Vec<i32> = batch.iter().filter_map(message_of).collect();
                let count = messages.len() as u64;
                let params = frankenstein::methods::DeleteMessagesParams::builder()
                    .chat_id(chat.0)
                    .message_ids(messages)
                    .build();
                let result: Result<bool, _> = self.call("deleteMessages", &params).await;
                match result.map_err(|error| error.class()) {
                    Ok(_) | Err(ErrorClass::AlreadyDone) => {
                        self.handler.metrics.messages_deleted(count);
                        Settlement::Done
                    }
                    Err(class @ ErrorClass::RetryAfter(wait)) => {
                        self.obey(Budget::Deletion, Some(chat), class).await;
                        self.wait_for(wait)
                    }
                    // Its messages have other numbers now.
                    Err(ErrorClass::Migrated(new)) => {
                        self.handler.migrate(chat, new, &first.trace_id).await?;
                        Settlement::Done
                    }
                    // Deleting twice does no harm.
                    Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(first),
                    // The right may come back before the message is too old to be deleted.
                    Err(ErrorClass::Permission | ErrorClass::BotOut) if first.attempts < DELETABLE_TRIES => {
                        self.handler.put(&[self.look_at_own_rights(chat)], &first.trace_id).await?;
                        self.back_off_slowly(first)
                    }
                    Err(class) => {
                        tracing::warn!(chat = chat.0, count, class = class.label(), "messages cannot be deleted");
                        Settlement::Done
                    }
                }
            }
        };
        let settle: Vec<Settle> = batch.iter().map(|claim| Settle::of(claim, settlement.clone())).collect();
        self.handler.store.settle(&settle, &[], &first.trace_id, self.now_ms()).await
    }
}

fn message_of(claim: &Claim) -> Option<i32> {
    match claim.intent {
        Intent::Delete { message, .. } => Some(message_number(message)),
        _ => None,
    }
}
