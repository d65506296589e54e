//! Finding out whether an administrator has added somebody (E15).

use nezuko_shared::limiter::Budget;
use nezuko_telegram::{ChatId, ErrorClass, Standing, UserId};

use super::Sender;
use crate::{
    facts::Added,
    intent::{Claim, Settlement},
    store::{Settle, StoreError},
};

impl Sender {
    pub(super) async fn adder(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<(), StoreError> {
        let Some(added) = self.unknown_adder(claim, group, user).await? else { return Ok(()) };
        if let Err(refused) = self.permits.leave(Budget::Lookup, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let answer = self.get_chat_member(group, added.by).await;
        let by_admin = match self.read_lookup(group, added.by, answer).await? {
            Ok(adder) => adder.standing.is_some_and(Standing::is_admin),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Err(ErrorClass::RetryAfter(wait)) => return self.settle(claim, self.wait_for(wait)).await,
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => return self.settle(claim, self.back_off(claim)).await,
            Err(class) => {
                let lost = matches!(class, ErrorClass::Permission | ErrorClass::BotOut);
                let put = lost.then(|| self.look_at_own_rights(group));
                return self.settle_and_put(claim, self.back_off_slowly(claim), put.as_slice()).await;
            }
        };
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                person.member(group).found_adder(added.order, by_admin);
                person.writes.settle = Some(Settle::of(claim, Settlement::Done));
                person.finish(group)
            })
            .await
    }

    /// Who has added them, if the decision still waits for it; if not, the claim is settled.
    async fn unknown_adder(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<Option<Added>, StoreError> {
        let mut added = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                added = person.known(group).and_then(|member| member.added);
                let open = person.open();
                let mut outcome = person.finish_unchanged(group);
                if outcome.writes.end.contains(&claim.intent.key()) {
                    added = None;
                    outcome.writes.settle = Some(Settle::of(claim, Settlement::Done));
                } else {
                    outcome.writes.keep_claimed(claim, open);
                }
                outcome
            })
            .await?;
        Ok(added)
    }
}
