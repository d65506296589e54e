//! Senders: carry intents out at Telegram.
//!
//! Each lane claims due intents, one statement that commits by itself; then asks the limiter; then decides again in a
//! short transaction; then calls, with no transaction open; then settles. Claims are prolonged while their holder lives,
//! and what a dead holder had claimed is taken up by another a few seconds later.

mod adder;
mod admit;
mod answer;
mod check;
mod command;
mod delete;
mod keyboard;
mod link;
mod log;
mod member;
mod migration;
mod notice;
mod permits;
mod prompt;
mod raid;
mod redecide;
mod refuse;
mod reply;
mod sender_chat;
mod settings;
mod tell;
mod topic;
mod undo;
mod verify;
mod work;

pub(crate) use link::seed_links;
pub use permits::{Permits, Refused};
pub(crate) use redecide::seed_sweeps;
pub(crate) use verify::Found;
#[cfg(test)]
pub(crate) use {keyboard::of_prompt, log::LINES, prompt::NAMES, verify::GROUPS};

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use frankenstein::response::MethodResponse;
use nezuko_shared::{
    limiter::{Budget, Limiter},
    telemetry::{metrics::Trouble, trace},
};
use nezuko_telegram::{CallError, Chat, ChatId, ChatMember, Client, ErrorClass, MessageId, UserId};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{
    handle::Handler,
    intent::{Claim, Intent, Lane, Put, Settlement},
    planted::{self, Bug},
    store::{Settle, StoreError},
    wake::Lanes,
};

/// A claim lasts so long; it is prolonged three times as often.
pub const CLAIM: Duration = Duration::from_secs(10);
/// For so long it is tried to write down that something was sent, and so often.
const SAVING: Duration = Duration::from_mins(1);
const SAVE_AGAIN: Duration = Duration::from_secs(1);
/// Nobody else takes up what cannot be undone before this: the limiter, the call and writing down what came of it, which is
/// a second together, with a store that goes away for half a minute. If this process dies, people wait for as long.
const SENDING: Duration = Duration::from_secs(40);

/// An intent that Telegram's absence cut short is due again so soon; lanes wait for Telegram before they claim it.
const TELEGRAM_AWAY: Duration = Duration::from_secs(1);

/// Carries intents out.
#[derive(Clone)]
pub struct Sender {
    /// Store, cache, clock and metrics, shared with the handlers: what a lookup tells is taken in as a fact.
    pub handler: Handler,
    /// The Bot API.
    pub api: Client,
    /// Leave to call.
    pub permits: Arc<Permits>,
    /// The name under which intents are claimed; unique to this process.
    pub holder: String,
}

impl Sender {
    /// A sender that claims under the name `holder`, which no other process has.
    #[must_use]
    pub fn new(handler: Handler, api: Client, limiter: Arc<dyn Limiter>, holder: String) -> Self {
        let permits = Arc::new(Permits::new(limiter, handler.metrics.clone()));
        Self { handler, api, permits, holder }
    }

    /// Claims due intents of `lane` and gives them back in batches that belong together.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was claimed.
    pub async fn claim(&self, lane: Lane, max: i64) -> Result<Vec<Vec<Claim>>, StoreError> {
        let now_ms = (self.handler.clock)();
        let until_ms = now_ms + CLAIM.as_millis() as i64;
        let claims = self.handler.store.claim(lane, &self.holder, now_ms, until_ms, max).await?;
        if lane != Lane::Deletions {
            return Ok(claims.into_iter().map(|claim| vec![claim]).collect());
        }
        let mut by_chat: BTreeMap<ChatId, Vec<Claim>> = BTreeMap::new();
        for claim in claims {
            if let Intent::Delete { chat, .. } = claim.intent {
                by_chat.entry(chat).or_default().push(claim);
            }
        }
        Ok(by_chat.into_values().collect())
    }

    /// Carries out what [`claim`](Self::claim) gave. Dropping the future leaves the claims to run out.
    ///
    /// # Errors
    /// [`StoreError`]: the claims run out and the intents are taken up again.
    pub async fn carry_out(&self, batch: &[Claim]) -> Result<(), StoreError> {
        let Some(claim) = batch.first() else { return Ok(()) };
        match &claim.intent {
            Intent::Member { group, user } => self.member(claim, *group, *user).await,
            Intent::Check { chat, user } => self.check(claim, *chat, *user).await,
            Intent::Admit { group, user } => self.admit(claim, *group, *user).await,
            Intent::Adder { group, user } => self.adder(claim, *group, *user).await,
            Intent::SenderChat(message) => self.sender_chat(claim, message).await,
            Intent::BanSender { group, sender } => self.ban_sender(claim, *group, *sender).await,
            Intent::Notice(notice) => self.notice(claim, notice).await,
            Intent::Greet(greeting) => self.greet(claim, greeting).await,
            Intent::Prompt { group, topic } => self.prompt(claim, *group, *topic).await,
            Intent::Panel { chat, message, row } => self.show_panel(claim, *chat, *message, *row).await,
            Intent::Recheck(work) => self.recheck(claim, work).await,
            Intent::Release(work) => self.release(claim, work).await,
            Intent::Log { group } => self.tell_log(claim, *group).await,
            Intent::Redecide { chat, after } => self.redecide(claim, *chat, *after).await,
            Intent::Link { chat } => self.link(claim, *chat).await,
            Intent::Refuse { group, told } => self.refuse(claim, *group, *told).await,
            Intent::Answer(press) => self.answer(claim, press).await,
            Intent::Delete { chat, .. } => self.delete(*chat, batch).await,
            Intent::Command(command) => self.command(claim, command).await,
            Intent::Reply(reply) => self.reply(claim, reply).await,
        }
    }

    /// Gives claims back that were not settled; they are due again after a while.
    ///
    /// # Errors
    /// [`StoreError`]: they are still claimed.
    pub async fn give_back(&self, batch: &[Claim]) -> Result<(), StoreError> {
        let settle: Vec<Settle> = batch.iter().map(|claim| Settle::of(claim, self.back_off(claim))).collect();
        self.handler.store.settle(&settle, &[], "", self.now_ms()).await
    }

    fn now_ms(&self) -> i64 {
        (self.handler.clock)()
    }

    async fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<(), StoreError> {
        self.settle_and_put(claim, settlement, &[]).await
    }

    async fn settle_and_put(&self, claim: &Claim, settlement: Settlement, put: &[Put]) -> Result<(), StoreError> {
        self.settle_as(Settle::of(claim, settlement), claim, put).await
    }

    /// The same, with what is recorded of it.
    async fn settle_as(&self, settle: Settle, claim: &Claim, put: &[Put]) -> Result<(), StoreError> {
        self.handler.store.settle(&[settle], put, &claim.trace_id, self.now_ms()).await?;
        self.handler.wake.lanes(Lanes::of(put));
        Ok(())
    }

    /// Has the claim last for as long as sending something may take that must not be sent twice, with a store that goes away
    /// in between: claims cannot be prolonged then. False: the claim has run out, and somebody else may be at work.
    async fn keep_for_sending(&self, claim: &Claim) -> Result<bool, StoreError> {
        let until_ms = self.now_ms() + SENDING.as_millis() as i64;
        Ok(self.handler.store.hold(claim, until_ms).await? || planted::has(Bug::StaleClaimSends))
    }

    /// Writes down that something was sent. Whoever knows it does not give that up at the first failure of the store, or it
    /// would be sent again; after a minute without the store it will be.
    async fn insist<T, W>(&self, write: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, StoreError>>,
    {
        let until = Instant::now() + SAVING;
        let mut told = false;
        loop {
            match write().await {
                Err(error) if Instant::now() < until => {
                    if !told {
                        tracing::warn!(%error, trace_id = trace::id(), "what was sent is not written down yet, trying again for a minute");
                    }
                    told = true;
                }
                written => return written,
            }
            tokio::time::sleep(SAVE_AGAIN).await;
        }
    }

    /// There is no leave for this one now. Where its chat has to wait, all of the lane's intents of the chat do, so that
    /// they stand in nobody's way.
    async fn put_off(&self, claim: &Claim, refused: Refused) -> Result<(), StoreError> {
        self.settle(claim, self.wait_for(refused.retry_in)).await?;
        self.postpone_chat(claim, refused).await
    }

    async fn postpone_chat(&self, claim: &Claim, refused: Refused) -> Result<(), StoreError> {
        let Some(chat) = claim.intent.chat().filter(|_| refused.chat_bound) else { return Ok(()) };
        let now_ms = self.now_ms();
        let until_ms = now_ms + refused.retry_in.as_millis() as i64;
        self.handler.store.postpone(claim.intent.lane(claim.urgency), chat, now_ms, until_ms).await
    }

    /// Later, through nobody's fault.
    fn wait_for(&self, wait: Duration) -> Settlement {
        Settlement::Wait { not_before_ms: self.now_ms() + wait.as_millis() as i64 }
    }

    /// 1, 2, 4 … seconds, at most five minutes. While Telegram is away it is through no fault of the intent.
    fn back_off(&self, claim: &Claim) -> Settlement {
        if self.api.is_held_back() {
            return self.wait_for(TELEGRAM_AWAY);
        }
        self.retry(claim, Duration::from_secs(1), Duration::from_mins(5))
    }

    /// 1, 2, 4 … minutes, at most an hour: for what only somebody's doing can end, which is told to us.
    fn back_off_slowly(&self, claim: &Claim) -> Settlement {
        self.retry(claim, Duration::from_mins(1), Duration::from_hours(1))
    }

    fn retry(&self, claim: &Claim, first: Duration, longest: Duration) -> Settlement {
        self.handler.metrics.intent_retry(claim.intent.kind());
        let doubled = first * (1 << claim.attempts.clamp(0, 9));
        Settlement::Retry { not_before_ms: self.now_ms() + doubled.min(longest).as_millis() as i64 }
    }

    async fn call<P, O>(&self, method: &'static str, params: &P) -> Result<O, CallError>
    where
        P: Serialize + std::fmt::Debug + Send + Sync,
        O: DeserializeOwned + Send,
    {
        use frankenstein::AsyncTelegramApi;
        let answer: Result<MethodResponse<O>, CallError> = self.api.request(method, Some(params)).await;
        match answer {
            Ok(response) => Ok(response.result),
            Err(error) => {
                let class = error.class();
                if matches!(class, ErrorClass::Retry | ErrorClass::Ambiguous | ErrorClass::Token) {
                    self.handler.metrics.error(Trouble::Telegram);
                }
                tracing::debug!(method, %error, trace_id = trace::id(), "call failed");
                Err(error)
            }
        }
    }

    async fn get_chat_member(&self, chat: ChatId, user: UserId) -> Result<ChatMember, CallError> {
        let params = frankenstein::methods::GetChatMemberParams::builder()
            .chat_id(chat.0)
            .user_id(user.0.cast_unsigned())
            .build();
        self.call("getChatMember", &params).await
    }

    async fn get_chat(&self, chat: frankenstein::types::ChatId) -> Result<Chat, CallError> {
        let params = frankenstein::methods::GetChatParams::builder().chat_id(chat).build();
        self.call("getChat", &params).await
    }

    /// A 429 to a call of `budget` is obeyed by all workers.
    async fn obey(&self, budget: Budget, chat: Option<ChatId>, class: ErrorClass) {
        if let ErrorClass::RetryAfter(wait) = class {
            self.permits.pause(budget, chat, wait).await;
        }
    }

    /// Our own rights in `chat` are to be looked at.
    fn look_at_own_rights(&self, chat: ChatId) -> Put {
        let intent = Intent::Check { chat, user: self.handler.bot.user() };
        Put::urgent(intent, self.now_ms())
    }
}

/// The same number in the type that the Bot API's library wants.
fn message_number(message: MessageId) -> i32 {
    i32::try_from(message.0).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
