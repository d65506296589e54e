//! Messages in the name of foreign channels, and taking those channels the right to write (E5).

use frankenstein::methods::{BanChatSenderChatParams, UnbanChatSenderChatParams};
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, Chat, ChatId, ErrorClass, UserId};

use super::Sender;
use crate::{
    facts::{ChatFacts, Setting},
    intent::{About, Claim, Intent, Notice, Put, SenderMessage, Settlement},
    policy::{self, OfSenderChat},
    reconcile::Outcome,
    store::{ChatWrites, StoreError, Verification},
};

/// So often at most a group is told that nobody may write in the name of channels, milliseconds.
const TOLD_EVERY_MS: i64 = 3_600_000;
/// What cannot be looked up or done after so many tries is let be.
const TRIES: i64 = 10;

impl Sender {
    /// Decides about a message in the name of `sender`, which is deleted only if the group's own channel is known for sure.
    pub(super) async fn sender_chat(&self, claim: &Claim, of: &SenderMessage) -> Result<(), StoreError> {
        let SenderMessage { group, sender, message, topic } = *of;
        let mut facts = self.handler.store.chat(group).await?.chat.facts;
        if policy::of_sender_chat(group, &facts, sender, self.now_ms()) == OfSenderChat::LookUp {
            if let Err(refused) = self.permits.leave(Budget::Lookup, claim.urgency, Some(group)).await {
                return self.put_off(claim, refused).await;
            }
            let asked_ms = self.now_ms();
            match self.get_chat(frankenstein::types::ChatId::Integer(group.0)).await {
                Ok(chat) => facts = self.take_in_chat(claim, &chat, asked_ms).await?,
                Err(error) => return self.after_vain_call(claim, group, Budget::Lookup, &error).await,
            }
        }
        let now_ms = self.now_ms();
        let deletion = Put::urgent(Intent::Delete { chat: group, message }, now_ms);
        let ban = Put::urgent(Intent::BanSender { group, sender }, now_ms);
        // Once an hour is enough.
        let since_ms = now_ms / TOLD_EVERY_MS * TOLD_EVERY_MS;
        let notice = Notice { group, about: About::NotAsChannel { topic }, since_ms };
        let told = Put::urgent(Intent::Notice(notice), now_ms);
        let decided = policy::of_sender_chat(group, &facts, sender, now_ms);
        let goes = matches!(decided, OfSenderChat::Delete | OfSenderChat::Ban);
        if goes && facts.is_dry() {
            self.note(group, sender, "would_delete", &claim.trace_id).await?;
        } else if goes && facts.log_chat().is_some() {
            self.note(group, sender, Verification::DELETED, &claim.trace_id).await?;
        }
        let put = match decided {
            OfSenderChat::Keep | OfSenderChat::LookUp => Vec::new(),
            OfSenderChat::Delete | OfSenderChat::Ban if facts.is_dry() => Vec::new(),
            OfSenderChat::Delete => vec![deletion, told],
            OfSenderChat::Ban => vec![deletion, told, ban],
        };
        self.settle_and_put(claim, Settlement::Done, &put).await
    }

    /// Nobody may write in the name of `sender` in `group` any more, or whoever may again, where an administrator has
    /// allowed it since. The account that stands for all channels is never touched.
    pub(super) async fn ban_sender(&self, claim: &Claim, group: ChatId, sender: ChatId) -> Result<(), StoreError> {
        let facts = self.handler.store.chat(group).await?.chat.facts;
        let decided = policy::of_sender_chat(group, &facts, sender, self.now_ms());
        let allowed = facts.is_sender_allowed(sender);
        // What was linked when this was decided may be out of date by now, and is looked up with the next message.
        if !allowed && (decided != OfSenderChat::Ban || facts.is_dry()) {
            return self.settle(claim, Settlement::Done).await;
        }
        if let Err(refused) = self.permits.leave(Budget::Restriction, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let called: Result<bool, CallError> = if allowed {
            let params = UnbanChatSenderChatParams::builder().chat_id(group.0).sender_chat_id(sender.0).build();
            self.call("unbanChatSenderChat", &params).await
        } else {
            let params = BanChatSenderChatParams::builder().chat_id(group.0).sender_chat_id(sender.0).build();
            self.call("banChatSenderChat", &params).await
        };
        match called {
            Ok(_) => {
                tracing::info!(group = group.0, sender = sender.0, allowed, trace_id = claim.trace_id, "sender chat");
                if !allowed {
                    self.note(group, sender, "banned", &claim.trace_id).await?;
                }
                self.settle(claim, Settlement::Done).await
            }
            Err(error) => self.after_vain_call(claim, group, Budget::Restriction, &error).await,
        }
    }

    /// Takes in whether an administrator lets people write in the name of `sender`; a ban of ours is lifted. Returns whether
    /// that is the newest word about it.
    pub(super) async fn allow_sender(
        &self,
        group: ChatId,
        sender: ChatId,
        allowed: Setting<bool>,
        trace_id: &str,
    ) -> Result<bool, StoreError> {
        let now_ms = self.now_ms();
        let mut is_newest = false;
        self.handler
            .store
            .with_chat(group, trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                is_newest = facts.allow_sender(sender, allowed);
                let again = Put::urgent(Intent::BanSender { group, sender }, now_ms);
                let put = Some(again).filter(|_| allowed.value && is_newest).into_iter().collect();
                ChatWrites { facts: is_newest.then_some(facts), put, ..ChatWrites::default() }
            })
            .await?;
        self.handler.wake.all();
        Ok(is_newest)
    }

    /// Takes in what `getChat` has told about a group, and returns what is known now.
    async fn take_in_chat(&self, claim: &Claim, chat: &Chat, asked_ms: i64) -> Result<ChatFacts, StoreError> {
        let mut now_known = ChatFacts::default();
        let mut take_in = |view: &crate::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.describe(chat);
            facts.apply_linked(asked_ms, chat.linked_chat_id);
            now_known = facts.clone();
            ChatWrites { facts: Some(facts), ..ChatWrites::default() }
        };
        self.handler.store.with_chat(chat.id, &claim.trace_id, self.now_ms(), &mut take_in).await?;
        Ok(now_known)
    }

    async fn after_vain_call(
        &self,
        claim: &Claim,
        group: ChatId,
        budget: Budget,
        error: &CallError,
    ) -> Result<(), StoreError> {
        let class = error.class();
        self.obey(budget, Some(group), class).await;
        match class {
            ErrorClass::RetryAfter(wait) => self.settle(claim, self.wait_for(wait)).await,
            ErrorClass::Retry | ErrorClass::Ambiguous => self.settle(claim, self.back_off(claim)).await,
            ErrorClass::Migrated(new) => self.follow(claim, group, new).await,
            ErrorClass::Permission | ErrorClass::BotOut if claim.attempts < TRIES => {
                let put = [self.look_at_own_rights(group)];
                self.settle_and_put(claim, self.back_off_slowly(claim), &put).await
            }
            class => {
                tracing::info!(group = group.0, class = class.label(), trace_id = claim.trace_id, "sender chat let be");
                self.settle(claim, Settlement::Done).await
            }
        }
    }

    /// A channel is no person, but the log has one column for both.
    async fn note(
        &self,
        group: ChatId,
        sender: ChatId,
        outcome: &'static str,
        trace_id: &str,
    ) -> Result<(), StoreError> {
        self.handler
            .with_person(UserId(sender.0), group, None, trace_id, |mut person| {
                person.writes.verifications.push(Verification { group, outcome });
                Outcome { writes: person.writes, verdicts: Vec::new() }
            })
            .await
    }
}
