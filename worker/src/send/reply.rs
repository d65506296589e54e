//! Sending a reply.

use frankenstein::{
    ParseMode,
    methods::SendMessageParams,
    types::{LinkPreviewOptions, ReplyParameters},
};
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, ErrorClass, MessageId};
use serde::Deserialize;

use super::{Sender, message_number};
use crate::{
    intent::{Claim, Reply, Settlement},
    store::StoreError,
};

/// The part of a sent message that is kept.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) message_id: MessageId,
}

impl Sender {
    pub(super) async fn reply(&self, claim: &Claim, reply: &Reply) -> Result<(), StoreError> {
        // Before the limiter is asked: its leave is good for some milliseconds only.
        self.keep_for_sending(claim).await?;
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(reply.chat)).await {
            return self.put_off(claim, refused).await;
        }
        let settlement = match self.send_reply(reply).await.map_err(|error| error.class()) {
            // Whether a reply of unknown outcome stands cannot be found out; rather one too few than one too many.
            Ok(_) | Err(ErrorClass::AlreadyDone | ErrorClass::Ambiguous) => {
                self.handler.metrics.reply();
                return self.insist(|| self.settle(claim, Settlement::Done)).await;
            }
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(reply.chat), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, reply.chat, new).await,
            Err(class) => {
                tracing::info!(chat = reply.chat.0, class = class.label(), trace_id = claim.trace_id, "reply given up");
                Settlement::Done
            }
        };
        self.settle(claim, settlement).await
    }

    async fn send_reply(&self, reply: &Reply) -> Result<Sent, CallError> {
        let answered = (reply.message.0 != 0).then(|| {
            ReplyParameters::builder()
                .message_id(message_number(reply.message))
                // The message may have been deleted meanwhile.
                .allow_sending_without_reply(true)
                .build()
        });
        let params = SendMessageParams::builder()
            .chat_id(reply.chat.0)
            .maybe_message_thread_id(reply.topic.and_then(|topic| i32::try_from(topic).ok()))
            .text(&reply.html)
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
            .maybe_reply_parameters(answered)
            .build();
        self.call("sendMessage", &params).await
    }
}
