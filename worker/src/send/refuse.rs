//! Telling a group that the operator does not have it served, and leaving it where that is meant (E105).

use std::time::Duration;

use frankenstein::{
    ParseMode,
    methods::{LeaveChatParams, SendMessageParams},
};
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, ChatId, ErrorClass};

use super::{Sender, reply::Sent};
use crate::{
    admission::Refusal,
    intent::{Claim, Intent, Settlement},
    settings::Language,
    store::StoreError,
};

/// How often it is looked whether everybody is free, the last times five minutes apart: half an hour in all.
const TRIES: i64 = 14;

impl Sender {
    /// Decides again; what is to be done may have been taken back. `told`: the group has heard why.
    pub(super) async fn refuse(&self, claim: &Claim, group: ChatId, told: bool) -> Result<(), StoreError> {
        let facts = self.handler.store.chat(group).await?.chat.facts;
        let Some(refusal) = facts.refused.filter(|_| !facts.is_left()) else {
            return self.settle(claim, Settlement::Done).await;
        };
        if !told {
            return self.tell_refusal(claim, group, refusal).await;
        }
        // E53: whom we have muted is freed first; from outside nobody can be.
        let can_free = facts.can_restrict() && claim.attempts < TRIES;
        if can_free && self.handler.store.happened(group, self.now_ms()).await?.muted > 0 {
            return self.settle(claim, self.retry(claim, Duration::from_secs(1), Duration::from_mins(5))).await;
        }
        self.leave_group(claim, group).await
    }

    async fn tell_refusal(&self, claim: &Claim, group: ChatId, refusal: Refusal) -> Result<(), StoreError> {
        let texts = self.texts_for(group, Language::default()).await?;
        // Before the limiter is asked: its leave is good for some milliseconds only.
        if !self.keep_for_sending(claim).await? {
            return Ok(());
        }
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let message = SendMessageParams::builder()
            .chat_id(group.0)
            .text(texts.refused(refusal))
            .parse_mode(ParseMode::Html)
            .build();
        let sent: Result<Sent, CallError> = self.call("sendMessage", &message).await;
        let told = if refusal.is_final() {
            Settlement::Continue(Box::new(Intent::Refuse { group, told: true }))
        } else {
            Settlement::Done
        };
        let settlement = match sent.map(drop).map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(group), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            // Rather one word too few than one too many; and where nothing may be said, the bot goes without.
            Ok(()) | Err(_) => return self.insist(|| self.settle(claim, told.clone())).await,
        };
        self.settle(claim, settlement).await
    }

    async fn leave_group(&self, claim: &Claim, group: ChatId) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Restriction, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let left: Result<bool, CallError> =
            self.call("leaveChat", &LeaveChatParams::builder().chat_id(group.0).build()).await;
        let settlement = match left.map(drop).map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Restriction, Some(group), class).await;
                self.wait_for(wait)
            }
            // Leaving twice does no harm.
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Ok(()) | Err(_) => {
                tracing::info!(group = group.0, trace_id = claim.trace_id, "a group is left");
                Settlement::Done
            }
        };
        self.settle(claim, settlement).await
    }
}
