//! The bot came into a group, or went out of it: whether it is served there is the operator's to say (E105).

use nezuko_telegram::{ChatId, ChatMember, ChatMemberUpdated, Standing};

use super::{Handler, Receipt, is_well_known};
use crate::{
    admission::{Arrival, apply},
    facts::EventOrder,
    store::StoreError,
};

impl Handler {
    /// Asks the operator's lists about the group, and about the other groups of its owner, one of which may have come within
    /// the quota.
    pub(super) async fn judge_arrival(
        &self,
        event: &ChatMemberUpdated,
        receipt: &Receipt<'_>,
    ) -> Result<(), StoreError> {
        let is_in = |member: &ChatMember| member.standing.is_some_and(Standing::is_in);
        let (was, is) = (is_in(&event.old_chat_member), is_in(&event.new_chat_member));
        if !event.chat.kind.is_group() || was == is {
            return Ok(());
        }
        // Whoever speaks for a group cannot be told from others who do.
        let by = Some(event.from.id).filter(|by| is && !is_well_known(*by) && *by != self.bot.user());
        let order = EventOrder { date: event.date, update_id: receipt.update_id };
        for (group, refusal) in self.store.admit(event.chat.id, &Arrival { order, by, is_in: is }).await? {
            self.judge_group(group, refusal, is && group == event.chat.id, receipt.trace_id).await?;
        }
        Ok(())
    }

    async fn judge_group(
        &self,
        group: ChatId,
        refusal: Option<crate::admission::Refusal>,
        arrived: bool,
        trace_id: &str,
    ) -> Result<(), StoreError> {
        let now_ms = (self.clock)();
        let mut step = |view: &crate::store::ChatView| apply(view, group, refusal, arrived, now_ms);
        self.store.with_chat(group, trace_id, now_ms, &mut step).await?;
        if let Some(refusal) = refusal {
            tracing::info!(group = group.0, refusal = refusal.label(), trace_id, "a group is not served");
            self.wake.all();
        }
        Ok(())
    }
}
