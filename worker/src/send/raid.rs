//! Noticing that there is a raid (E98), when a prompt is about to be shown: no more often than that is anything counted or
//! written.

use nezuko_telegram::ChatId;

use super::Sender;
use crate::{
    facts::{ChatFacts, Raid},
    intent::{About, Intent, Notice, Put},
    policy,
    store::{ChatView, ChatWrites, StoreError},
};

impl Sender {
    /// The raid that there is in `group`, of which `facts` are known, if there is one.
    pub(super) async fn raid_in(
        &self,
        group: ChatId,
        facts: &ChatFacts,
        trace_id: &str,
    ) -> Result<Option<Raid>, StoreError> {
        let (store, now_ms) = (&self.handler.store, self.now_ms());
        let came = match facts.settings.raid_threshold() {
            0 => 0,
            _ => store.began_to_wait(group, policy::raid_counted_since_ms(facts, now_ms)).await?,
        };
        let (raid, is_news) = policy::raid(facts, came, now_ms);
        if !is_news {
            return Ok(raid);
        }
        let mut write_down = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            // Another prompt of the group may have noticed it in the same moment.
            let (raid, is_news) = policy::raid(&facts, came, now_ms);
            let began = raid.filter(|raid| is_news && raid.since_ms == now_ms);
            if is_news {
                facts.raid = raid;
            }
            let tell = |raid: Raid| Notice { group, about: About::Raid, since_ms: raid.since_ms };
            let put = began.map(|raid| Put::urgent(Intent::Notice(tell(raid)), now_ms));
            ChatWrites { facts: is_news.then_some(facts), links: Vec::new(), put: put.into_iter().collect() }
        };
        store.with_chat(group, trace_id, now_ms, &mut write_down).await?;
        self.handler.wake.all();
        tracing::warn!(group = group.0, came, trace_id, "a raid");
        Ok(raid)
    }
}
