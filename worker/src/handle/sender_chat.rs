//! A message in the name of another chat than the group itself: of its own channel (E1, E4) or of a foreign one (E5).
//! Whoever is behind it is not known, and nothing is done to the account that stands for all of them.

use nezuko_telegram::{ChatId, Message};

use super::{Handler, Receipt, command};
use crate::{
    intent::{Intent, Put, SenderMessage},
    policy::{self, OfSenderChat},
    store::{ChatWrites, StoreError},
};

impl Handler {
    /// Returns whether the message concerned Nezuko.
    pub(super) async fn sender_chat(
        &self,
        message: &Message,
        sender: ChatId,
        receipt: &Receipt<'_>,
    ) -> Result<bool, StoreError> {
        let (group, now_ms) = (message.chat.id, (self.clock)());
        let facts = self.store.chat(group).await?.chat.facts;
        if message.is_automatic_forward {
            let known = facts.linked.is_some_and(|linked| linked.chat == Some(sender));
            if facts.is_protected() && !known {
                self.take_in_linked(group, sender, message.date * 1000, receipt.trace_id).await?;
            }
            return Ok(false);
        }
        let put = if policy::of_sender_chat(group, &facts, sender, now_ms) == OfSenderChat::Keep {
            message.from.as_ref().and_then(|from| command::parse(message, from, receipt)).map(Intent::Command)
        } else if policy::is_stale(message.date, now_ms) {
            None
        } else {
            Some(Intent::SenderChat(SenderMessage {
                group,
                sender,
                message: message.message_id,
                topic: message.thread,
            }))
        };
        let Some(intent) = put else { return Ok(false) };
        self.put(&[Put::urgent(intent, now_ms)], receipt.trace_id).await?;
        Ok(true)
    }

    /// A channel whose posts Telegram forwards here was the group's own then.
    async fn take_in_linked(
        &self,
        group: ChatId,
        channel: ChatId,
        at_ms: i64,
        trace_id: &str,
    ) -> Result<(), StoreError> {
        let mut take_in = |view: &crate::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.apply_linked(at_ms, Some(channel));
            ChatWrites { facts: (facts != view.chat.facts).then_some(facts), ..ChatWrites::default() }
        };
        self.store.with_chat(group, trace_id, (self.clock)(), &mut take_in).await?;
        Ok(())
    }
}
