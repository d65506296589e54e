//! Long work that calls Telegram, in small steps at low priority, and the message that tells how far it is. A worker that
//! dies leaves the last step to another.

use std::time::Duration;

use nezuko_shared::limiter::Budget;
use nezuko_telegram::{ChatId, ErrorClass, UserId};

use super::{Sender, check::By};
use crate::{
    intent::{Claim, Intent, Settlement, Work},
    store::StoreError,
    texts::{Texts, Word},
};

/// People looked up with one claim.
const STEP: i64 = 5;
/// Who cannot be looked up after so many tries stays as known.
const TRIES: u32 = 5;
/// Between two edits of one message.
const SHOWN_EVERY_MS: i64 = 10_000;
/// What has not ended by then is watched no longer: the bot has lost its rights, say, and is told so elsewhere.
const WATCHED_MS: i64 = 3_600_000;

impl Sender {
    /// Looks the next people of a group up in all channels that it requires.
    pub(super) async fn recheck(&self, claim: &Claim, work: &Work) -> Result<(), StoreError> {
        let store = &self.handler.store;
        let people = store.people_of(work.chat, work.after, STEP).await?;
        let links = store.chat(work.chat).await?.links;
        let channels: Vec<ChatId> = links.into_iter().filter(|(_, link)| link.value).map(|(chat, _)| chat).collect();
        let mut work = *work;
        for user in &people {
            let mut failed = false;
            for chat in &channels {
                if let Err(refused) = self.permits.leave(Budget::Lookup, claim.urgency, Some(*chat)).await {
                    return self.put_off_work(claim, work, self.wait_for(refused.retry_in)).await;
                }
                match self.look_again(claim, work.chat, *chat, *user).await? {
                    Err(ErrorClass::RetryAfter(wait)) => {
                        return self.put_off_work(claim, work, self.wait_for(wait)).await;
                    }
                    Err(ErrorClass::Retry | ErrorClass::Ambiguous) if work.tries < TRIES => {
                        work.tries += 1;
                        let pause = Duration::from_secs(1 << work.tries);
                        return self.put_off_work(claim, work, self.wait_for(pause)).await;
                    }
                    Err(ErrorClass::Migrated(new)) => return self.follow(claim, *chat, new).await,
                    // Who cannot be looked up stays as known.
                    looked => failed |= looked.is_err(),
                }
            }
            (work.after, work.done, work.tries) = (*user, work.done + 1, 0);
            work.failed += i64::from(failed);
        }
        let texts = Texts(self.settings_of(work.chat).await?.language);
        if (people.len() as i64) < STEP {
            return self.end_work(claim, &work, &texts.recheck_done(work.done, work.failed)).await;
        }
        // People may have come since it began.
        let total = work.total.max(work.done);
        let html = texts.recheck_progress(work.done, total);
        self.show_work(claim, &mut work, &html).await;
        self.settle(claim, Settlement::Continue(Box::new(Intent::Recheck(work)))).await
    }

    async fn look_again(
        &self,
        claim: &Claim,
        group: ChatId,
        chat: ChatId,
        user: UserId,
    ) -> Result<Result<(), ErrorClass>, StoreError> {
        let asked_ms = self.now_ms();
        let answer = self.get_chat_member(chat, user).await;
        match self.read_lookup(chat, user, answer).await? {
            Ok(member) => {
                let by = By { urgency: claim.urgency, check: None, trace_id: &claim.trace_id };
                self.take_in_lookups(user, group, &[(chat, asked_ms, member)], by).await?;
                Ok(Ok(()))
            }
            Err(class) => Ok(Err(class)),
        }
    }

    /// What is done of a step is not done again.
    async fn put_off_work(&self, claim: &Claim, work: Work, then: Settlement) -> Result<(), StoreError> {
        let (Settlement::Wait { not_before_ms } | Settlement::Retry { not_before_ms }) = then else {
            return self.settle(claim, then).await;
        };
        self.settle(claim, Settlement::Continue(Box::new(Intent::Recheck(work)))).await?;
        self.handler.store.postpone(claim.intent.lane(claim.urgency), work.chat, self.now_ms(), not_before_ms).await
    }

    /// Shows how many are freed yet; the freeing itself follows from the decisions about each.
    pub(super) async fn release(&self, claim: &Claim, work: &Work) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        let muted = self.handler.store.happened(work.chat, now_ms).await?.muted;
        let texts = Texts(self.settings_of(work.chat).await?.language);
        if muted == 0 {
            return self.end_work(claim, work, &texts.release_done(work.total)).await;
        }
        let facts = self.handler.store.chat(work.chat).await?.chat.facts;
        if facts.is_protected() || now_ms > work.began_ms + WATCHED_MS {
            return self.settle(claim, Settlement::Done).await;
        }
        let mut work = *work;
        let freed = (work.total - muted).max(0);
        let html = if facts.can_restrict() {
            texts.release_progress(freed, work.total)
        } else {
            texts.unprotected(Word("later"))
        };
        self.show_work(claim, &mut work, &html).await;
        self.settle(claim, Settlement::Wait { not_before_ms: now_ms + SHOWN_EVERY_MS }).await
    }

    /// Says how far it is, if it is time; where that cannot be said now, the next step does.
    async fn show_work(&self, claim: &Claim, work: &mut Work, html: &str) {
        let now_ms = self.now_ms();
        if work.message.0 != 0 && now_ms >= work.shown_ms + SHOWN_EVERY_MS {
            work.shown_ms = now_ms;
            self.edit(claim, work.chat, work.message, html, &[]).await;
        }
    }

    async fn end_work(&self, claim: &Claim, work: &Work, html: &str) -> Result<(), StoreError> {
        let settlement = match work.message.0 {
            0 => Settlement::Done,
            _ => self.edit(claim, work.chat, work.message, html, &[]).await,
        };
        self.settle(claim, settlement).await
    }
}
