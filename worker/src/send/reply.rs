//! Sending a reply.

use frankenstein::{
    ParseMode,
    methods::SendMessageParams,
    types::{LinkPreviewOptions, ReplyMarkup, ReplyParameters},
};
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{CallError, ErrorClass, MessageId};
use serde::Deserialize;

use super::{Sender, keyboard, message_number};
use crate::{
    intent::{Claim, Intent, Put, Reply, Settlement, Work},
    store::StoreError,
};

/// The part of a sent message that is kept.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) message_id: MessageId,
}

impl Sender {
    pub(super) async fn reply(&self, claim: &Claim, reply: &Reply) -> Result<(), StoreError> {
        if reply.until_ms.is_some_and(|until_ms| self.now_ms() > until_ms) {
            tracing::info!(chat = reply.chat.0, trace_id = claim.trace_id, "reply given up: too late");
            return self.settle_and_put(claim, Settlement::Done, &self.after(reply, None)).await;
        }
        // Before the limiter is asked: its leave is good for some milliseconds only.
        if !self.keep_for_sending(claim).await? {
            return Ok(());
        }
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(reply.chat)).await {
            return self.put_off(claim, refused).await;
        }
        let settlement = match self.send_reply(reply).await.map_err(|error| error.class()) {
            Ok(sent) => {
                self.handler.metrics.reply();
                let put = self.after(reply, Some(sent.message_id));
                return self.insist(|| self.settle_and_put(claim, Settlement::Done, &put)).await;
            }
            // Whether a reply of unknown outcome stands cannot be found out; rather one too few than one too many.
            Err(ErrorClass::AlreadyDone | ErrorClass::Ambiguous) => {
                self.handler.metrics.reply();
                let put = self.after(reply, None);
                return self.insist(|| self.settle_and_put(claim, Settlement::Done, &put)).await;
            }
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(reply.chat), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, reply.chat, new).await,
            Err(class) => {
                tracing::info!(chat = reply.chat.0, class = class.label(), trace_id = claim.trace_id, "reply given up");
                let put = self.after(reply, None);
                return self.settle_and_put(claim, Settlement::Done, &put).await;
            }
        };
        self.settle(claim, settlement).await
    }

    /// What follows a reply: both messages go when their time is over, and what was to begin with it begins.
    fn after(&self, reply: &Reply, sent: Option<MessageId>) -> Vec<Put> {
        let now_ms = self.now_ms();
        let answered = Some(reply.message).filter(|message| message.0 != 0);
        let stand = answered.into_iter().chain(sent).filter_map(|message| Some((message, reply.stands_ms?)));
        let gone = stand
            .map(|(message, stands_ms)| Put::urgent(Intent::Delete { chat: reply.chat, message }, now_ms + stands_ms));
        let then = reply.then.as_deref().cloned().map(|then| match then {
            Intent::Recheck(work) => Intent::Recheck(Work { message: sent.unwrap_or(work.message), ..work }),
            Intent::Release(work) => Intent::Release(Work { message: sent.unwrap_or(work.message), ..work }),
            other => other,
        });
        let begins = then.map(|intent| Put { intent, not_before_ms: now_ms, urgency: Urgency::Bulk });
        gone.chain(begins).collect()
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
            .maybe_reply_markup(keyboard::inline(&reply.keyboard).map(ReplyMarkup::InlineKeyboardMarkup))
            .build();
        self.call("sendMessage", &params).await
    }
}
