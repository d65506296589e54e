//! How people get into a required channel: once a day, and whenever our rights there changed, it is looked what the channel is
//! called, and where it has no username, whether our own invite link still leads into it (E37).
//!
//! The link is our own and has a name, so that administrators can tell it from theirs and revoking it is visible. Telegram lists
//! no links; but editing one that is gone fails, and of one that is revoked it says so.

use frankenstein::methods::{CreateChatInviteLinkParams, EditChatInviteLinkParams};
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{CallError, Chat, ChatId, ErrorClass, InviteLink};

use super::{Refused, Sender};
use crate::{
    facts::{ChatFacts, OwnLink},
    handle::Handler,
    intent::{Claim, Intent, Put, Settlement},
    store::{ChatView, ChatWrites, StoreError},
};

/// What administrators see in the list of links.
const NAME: &str = "Nezuko";
/// From one look to the next, give or take a tenth.
const LOOK_MS: i64 = 24 * 3_600_000;

/// Why there was nothing to be seen.
enum Stop {
    /// There is no leave to ask now.
    NotNow(Refused),
    /// Telegram said so.
    Failed(ErrorClass),
    /// Nothing is known of who requires it.
    Store(StoreError),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Failed(error.class())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Sender {
    pub(super) async fn link(&self, claim: &Claim, chat: ChatId) -> Result<(), StoreError> {
        let view = self.handler.store.chat(chat).await?;
        if view.required_by.is_empty() {
            return self.settle(claim, Settlement::Done).await;
        }
        let class = match self.look_at_channel(claim, chat, &view).await {
            Ok((described, link)) => return self.take_in_link(claim, &described, link).await,
            Err(Stop::NotNow(refused)) => return self.put_off(claim, refused).await,
            Err(Stop::Store(error)) => return Err(error),
            Err(Stop::Failed(class)) => class,
        };
        self.obey(Budget::Lookup, Some(chat), class).await;
        let again = look_again(chat, self.now_ms());
        match class {
            ErrorClass::RetryAfter(wait) => self.settle(claim, self.wait_for(wait)).await,
            // A link of which nobody heard stays in the administrators' list; another one does no harm.
            ErrorClass::Retry | ErrorClass::Ambiguous => self.settle(claim, self.back_off(claim)).await,
            ErrorClass::Migrated(new) => self.follow(claim, chat, new).await,
            ErrorClass::Permission | ErrorClass::BotOut => {
                self.settle_and_put(claim, Settlement::Done, &[self.look_at_own_rights(chat), again]).await
            }
            _ => self.settle_and_put(claim, Settlement::Done, &[again]).await,
        }
    }

    /// Whether a pending request to be let in counts in one of these groups (E27).
    async fn any_counts_pending(&self, groups: &[ChatId]) -> Result<bool, StoreError> {
        for group in groups {
            if self.settings_of(*group).await?.pending_counts {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the channel is called now, and our link into it where it needs one: by it people ask to be let in where that is
    /// enough for a group.
    async fn look_at_channel(
        &self,
        claim: &Claim,
        chat: ChatId,
        view: &ChatView,
    ) -> Result<(Chat, Option<OwnLink>), Stop> {
        let known = &view.chat.facts;
        self.may_look(claim, chat).await?;
        let described = self.get_chat(frankenstein::types::ChatId::Integer(chat.0)).await?;
        if described.username.is_some() || !known.can_admit() {
            return Ok((described, known.link.clone()));
        }
        let asks = self.any_counts_pending(&view.required_by).await?;
        if let Some(held) = &known.link {
            self.may_look(claim, chat).await?;
            let asked_ms = self.now_ms();
            let params = EditChatInviteLinkParams::builder()
                .chat_id(chat.0)
                .invite_link(&held.url)
                .name(NAME)
                .creates_join_request(asks)
                .build();
            let edited: Result<InviteLink, CallError> = self.call("editChatInviteLink", &params).await;
            match edited {
                Ok(link) if !link.is_revoked => {
                    return Ok((described, Some(OwnLink { asked_ms, url: link.invite_link })));
                }
                Ok(_) => {}
                Err(error) => match error.class() {
                    ErrorClass::Input | ErrorClass::Target => {}
                    class => return Err(Stop::Failed(class)),
                },
            }
            tracing::info!(chat = chat.0, trace_id = claim.trace_id, "our invite link is gone");
        }
        self.may_look(claim, chat).await?;
        let asked_ms = self.now_ms();
        let params =
            CreateChatInviteLinkParams::builder().chat_id(chat.0).name(NAME).creates_join_request(asks).build();
        let made: InviteLink = self.call("createChatInviteLink", &params).await?;
        tracing::info!(chat = chat.0, trace_id = claim.trace_id, "an invite link is made");
        Ok((described, Some(OwnLink { asked_ms, url: made.invite_link })))
    }

    async fn may_look(&self, claim: &Claim, chat: ChatId) -> Result<(), Stop> {
        self.permits.leave(Budget::Lookup, claim.urgency, Some(chat)).await.map_err(Stop::NotNow)
    }

    /// Where people get in elsewhere now, or the channel is called otherwise, every prompt that says so is looked at.
    async fn take_in_link(&self, claim: &Claim, described: &Chat, link: Option<OwnLink>) -> Result<(), StoreError> {
        let (chat, now_ms) = (described.id, self.now_ms());
        let mut moved = false;
        let mut groups = Vec::new();
        let mut take_in = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.describe(described);
            facts.apply_link(link.clone());
            let shown = |facts: &ChatFacts| (facts.address(), facts.title.clone());
            moved = shown(&facts) != shown(&view.chat.facts);
            groups.clone_from(&view.required_by);
            ChatWrites { facts: (facts != view.chat.facts).then_some(facts), ..ChatWrites::default() }
        };
        self.handler.store.with_chat(chat, &claim.trace_id, now_ms, &mut take_in).await?;
        let mut put = vec![look_again(chat, now_ms)];
        for group in groups.into_iter().filter(|_| moved) {
            let topics = self.handler.store.prompted_topics(group).await?;
            let prompt = |topic| bulk(Intent::Prompt { group, topic }, now_ms);
            put.extend(topics.into_iter().map(prompt));
        }
        self.settle_and_put(claim, Settlement::Done, &put).await
    }
}

/// Has every required channel looked at within a day of which no intent says so: it is required by a version that did not do
/// so, say.
///
/// # Errors
/// [`StoreError`]: nothing was written.
pub(crate) async fn seed_links(handler: &Handler) -> Result<(), StoreError> {
    let now_ms = (handler.clock)();
    let unseen = handler.store.unseen_channels().await?;
    let put: Vec<Put> =
        unseen.into_iter().map(|chat| bulk(Intent::Link { chat }, now_ms + spread(chat, now_ms))).collect();
    if put.is_empty() { Ok(()) } else { handler.put(&put, "").await }
}

/// Many channels that are required together are not looked at together.
fn look_again(chat: ChatId, now_ms: i64) -> Put {
    bulk(Intent::Link { chat }, now_ms + LOOK_MS * 9 / 10 + spread(chat, now_ms))
}

const fn spread(chat: ChatId, now_ms: i64) -> i64 {
    chat.0.wrapping_add(now_ms).rem_euclid(LOOK_MS / 5)
}

const fn bulk(intent: Intent, not_before_ms: i64) -> Put {
    Put { intent, not_before_ms, urgency: Urgency::Bulk }
}

#[cfg(test)]
mod tests;
