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
        let outcome = match self.permits.leave(Budget::Deletion, first.urgency, Some(chat)).await {
            Err(refused) => {
                self.postpone_chat(first, refused).await?;
                Err(ErrorClass::RetryAfter(refused.retry_in))
            }
            Ok(()) => self.call_for_deletion(chat, batch, &first.trace_id).await?,
        };
        let settle: Vec<Settle> = batch.iter().map(|claim| Settle::of(claim, self.then(claim, outcome))).collect();
        self.handler.store.settle(&settle, &[], &first.trace_id, self.now_ms()).await
    }

    async fn call_for_deletion(
        &self,
        chat: ChatId,
        batch: &[Claim],
        trace_id: &str,
    ) -> Result<Result<(), ErrorClass>, StoreError> {
        let messages: Vec<i32> = batch.iter().filter_map(message_of).collect();
        let count = messages.len() as u64;
        let params =
            frankenstein::methods::DeleteMessagesParams::builder().chat_id(chat.0).message_ids(messages).build();
        let result: Result<bool, _> = self.call("deleteMessages", &params).await;
        let outcome = result.map(drop).map_err(|error| error.class());
        match outcome {
            Ok(()) | Err(ErrorClass::AlreadyDone) => self.handler.metrics.messages_deleted(count),
            Err(class @ ErrorClass::RetryAfter(_)) => self.obey(Budget::Deletion, Some(chat), class).await,
            Err(ErrorClass::Migrated(new)) => self.handler.migrate(chat, new, trace_id).await?,
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => {}
            Err(class) => {
                tracing::warn!(chat = chat.0, count, class = class.label(), "messages cannot be deleted");
                if matches!(class, ErrorClass::Permission | ErrorClass::BotOut) {
                    self.handler.put(&[self.look_at_own_rights(chat)], trace_id).await?;
                }
            }
        }
        Ok(outcome)
    }

    fn then(&self, claim: &Claim, outcome: Result<(), ErrorClass>) -> Settlement {
        match outcome {
            Err(ErrorClass::RetryAfter(wait)) => self.wait_for(wait),
            // Deleting twice does no harm.
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            // The right may come back before the message is too old to be deleted.
            Err(ErrorClass::Permission) if claim.attempts < DELETABLE_TRIES => self.back_off_slowly(claim),
            // Of a group that has migrated the messages have other numbers now, and one that the bot is out of is over.
            Ok(()) | Err(_) => Settlement::Done,
        }
    }
}

fn message_of(claim: &Claim) -> Option<i32> {
    match claim.intent {
        Intent::Delete { message, .. } => Some(message_number(message)),
        _ => None,
    }
}
