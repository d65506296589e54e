//! Sending a message that is not sent twice.

use frankenstein::methods::SendMessageParams;
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, ChatId, ErrorClass};

use super::{Sender, reply::Sent};
use crate::{
    intent::{Claim, Intent, Put, Settlement},
    store::StoreError,
};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It was sent, as far as can be known, and the claim is settled.
    Sent,
    /// Not yet, or by somebody else; there is nothing to settle any more.
    Later,
    /// It cannot be sent there. The claim is still to be settled.
    Refused(ErrorClass),
}

impl Sender {
    /// Sends `message` to `chat` on behalf of `claim`, to be deleted after `stands_ms` (milliseconds; `None`: never). Of a call
    /// whose outcome is not known it is taken that it was sent: rather one message too few than one too many.
    pub(super) async fn tell(
        &self,
        claim: &Claim,
        chat: ChatId,
        message: &SendMessageParams,
        stands_ms: Option<i64>,
    ) -> Result<Delivery, StoreError> {
        // Before the limiter is asked: its leave is good for some milliseconds only.
        if !self.keep_for_sending(claim).await? {
            return Ok(Delivery::Later);
        }
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(chat)).await {
            self.put_off(claim, refused).await?;
            return Ok(Delivery::Later);
        }
        let sent: Result<Sent, CallError> = self.call("sendMessage", message).await;
        let settlement = match sent.map(|sent| sent.message_id).map_err(|error| error.class()) {
            Ok(message) => {
                let gone = |stands_ms| Put::urgent(Intent::Delete { chat, message }, self.now_ms() + stands_ms);
                let put: Vec<Put> = stands_ms.map(gone).into_iter().collect();
                self.insist(|| self.settle_and_put(claim, Settlement::Done, &put)).await?;
                return Ok(Delivery::Sent);
            }
            Err(ErrorClass::AlreadyDone | ErrorClass::Ambiguous) => {
                self.insist(|| self.settle(claim, Settlement::Done)).await?;
                return Ok(Delivery::Sent);
            }
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(chat), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => {
                self.follow(claim, chat, new).await?;
                return Ok(Delivery::Later);
            }
            Err(class) => return Ok(Delivery::Refused(class)),
        };
        self.settle(claim, settlement).await?;
        Ok(Delivery::Later)
    }
}
