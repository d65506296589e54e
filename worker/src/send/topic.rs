//! A forum topic is gone or closed: what belonged there goes to the general one (E63).

use nezuko_telegram::{ChatId, UserId};

use super::Sender;
use crate::{
    intent::{Intent, Put},
    store::{ChatView, ChatWrites, StoreError},
};

impl Sender {
    /// Takes in that nothing can be said in `topic`, and has everybody decided again who is to be prompted there.
    pub(super) async fn leave_topic(&self, group: ChatId, topic: i64, trace_id: &str) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        let mut leave = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.topic_gone(topic, now_ms);
            let again = Put::urgent(Intent::Redecide { chat: group, after: UserId(0) }, now_ms);
            ChatWrites { facts: Some(facts), links: Vec::new(), put: vec![again] }
        };
        self.handler.store.with_chat(group, trace_id, now_ms, &mut leave).await?;
        self.handler.wake.all();
        tracing::info!(group = group.0, topic, trace_id, "nothing can be said in a topic, the general one serves");
        Ok(())
    }
}
