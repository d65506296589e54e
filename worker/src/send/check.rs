//! Looking somebody up, because a decision waits for it or a call has not been confirmed.

use std::time::Duration;

use nezuko_shared::{
    limiter::{Budget, Urgency},
    telemetry::trace,
};
use nezuko_telegram::{CallError, ChatId, ChatMember, ErrorClass, Limits, Rights, Standing, User, UserId};

use super::Sender;
use crate::{
    facts::LOOKUP_CACHE_MS,
    handle::display_name,
    intent::{Claim, Intent, Put, Settlement},
    rights,
    store::{ChatWrites, Settle, StoreError},
};

/// Who is not to be looked up for longer than this, or has been in vain so often, cannot be found out for now.
const LONG: Duration = Duration::from_secs(30);
const TRIES: i64 = 3;

/// What somebody was looked up for.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    /// Whether somebody waits for what follows.
    pub(super) urgency: Urgency,
    /// The check that is settled by it.
    pub(super) check: Option<&'a Claim>,
    pub(super) trace_id: &'a str,
}

impl<'a> By<'a> {
    /// For somebody who has just asked.
    pub(super) const fn asked(trace_id: &'a str) -> Self {
        Self { urgency: Urgency::Urgent, check: None, trace_id }
    }
}

impl Sender {
    pub(super) async fn check(&self, claim: &Claim, chat: ChatId, user: UserId) -> Result<(), StoreError> {
        if user == self.handler.bot.user() {
            return self.check_own(claim, chat).await;
        }
        // Before leave is asked for: one lookup too many does no harm, one permit too many is another's.
        if !self.still_wanted(claim, chat, user).await? {
            return Ok(());
        }
        if let Err(refused) = self.permits.leave(Budget::Lookup, claim.urgency, Some(chat)).await {
            if refused.retry_in <= LONG {
                return self.put_off(claim, refused).await;
            }
            let later = self.wait_for(refused.retry_in);
            self.take_in_failure(claim, chat, user, self.now_ms(), None, later).await?;
            return self.postpone_chat(claim, refused).await;
        }
        let asked_ms = self.now_ms();
        let answer = self.get_chat_member(chat, user).await;
        match self.read_lookup(chat, user, answer).await? {
            Ok(member) => {
                let by = By { urgency: claim.urgency, check: Some(claim), trace_id: &claim.trace_id };
                self.take_in_lookups(user, chat, &[(chat, asked_ms, member)], by).await
            }
            Err(ErrorClass::Migrated(new)) => self.follow(claim, chat, new).await,
            Err(class) => {
                // Telegram may be away, or want to be left alone; for how long is one not to wait?
                let (settlement, in_vain) = match class {
                    ErrorClass::RetryAfter(wait) => (self.wait_for(wait), wait > LONG),
                    ErrorClass::Retry | ErrorClass::Ambiguous => (self.back_off(claim), claim.attempts >= TRIES),
                    _ => (self.back_off_slowly(claim), true),
                };
                if !in_vain {
                    return self.settle(claim, settlement).await;
                }
                self.take_in_failure(claim, chat, user, asked_ms, Some(class), settlement).await
            }
        }
    }

    /// Takes in that the lookup cannot be had: messages that wait for it may have to go (E28).
    async fn take_in_failure(
        &self,
        claim: &Claim,
        chat: ChatId,
        user: UserId,
        asked_ms: i64,
        class: Option<ErrorClass>,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        self.handler
            .with_person(user, chat, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                person.member(chat).lookup_failed(asked_ms);
                if matches!(class, Some(ErrorClass::Permission | ErrorClass::BotOut)) {
                    person.writes.put.push(self.look_at_own_rights(chat));
                }
                let open = person.open();
                let mut outcome = person.finish_unchanged(chat);
                outcome.writes.keep_claimed(claim, open);
                outcome.writes.settle = Some(Settle::of(claim, settlement.clone()));
                outcome
            })
            .await
    }

    /// Whether a decision or an open call still asks for this lookup, or something is to be done to them of which nothing
    /// has come, and nobody has looked for a while (E42); if not, the claim is settled.
    async fn still_wanted(&self, claim: &Claim, chat: ChatId, user: UserId) -> Result<bool, StoreError> {
        let now_ms = self.now_ms();
        let mut wanted = false;
        self.handler
            .with_person(user, chat, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                let open = person.open();
                let act = person.verdict(chat).and_then(|verdict| person.plan(chat, &verdict.decision).act);
                let asked = person.known(chat).is_some_and(|member| member.was_asked_since(now_ms - LOOKUP_CACHE_MS));
                let mut outcome = person.finish(chat);
                let this = Intent::Check { chat, user };
                let due = outcome.writes.put.iter().filter(|put| put.intent == this).map(|put| put.not_before_ms).min();
                wanted = due.is_some_and(|due| due <= now_ms) || (act.is_some() && !asked);
                // Nothing is new, so that what is open already keeps its time.
                outcome.writes.put.retain(|put| put.intent == this || !open.contains(&put.intent.key()));
                if wanted {
                    outcome.writes.keep_claimed(claim, open);
                } else {
                    outcome.writes.settle = Some(Settle::of(claim, Settlement::Done));
                }
                outcome
            })
            .await?;
        Ok(wanted)
    }

    /// What an answer of `getChatMember` says, or why nothing is known.
    pub(super) async fn read_lookup(
        &self,
        chat: ChatId,
        user: UserId,
        answer: Result<ChatMember, CallError>,
    ) -> Result<Result<ChatMember, ErrorClass>, StoreError> {
        let error = match answer {
            Ok(member) if member.standing.is_some() => return Ok(Ok(member)),
            Ok(_) => return Ok(Err(ErrorClass::Input)),
            Err(error) => error,
        };
        let class = error.class();
        self.obey(Budget::Lookup, Some(chat), class).await;
        // E31: "user not found" from a chat whose administrator we are means that they are not in it.
        let is_stranger = class == ErrorClass::UserUnknown && {
            let own = self.handler.store.chat(chat).await?.chat.facts.own();
            own.is_some_and(|(standing, _)| standing.is_admin())
        };
        if is_stranger {
            return Ok(Ok(stranger(user)));
        }
        tracing::info!(chat = chat.0, user = user.0, %error, trace_id = trace::id(), "membership cannot be found out");
        Ok(Err(class))
    }

    /// Takes in what lookups of one person have told, decides again, and settles the check that asked for it.
    pub(super) async fn take_in_lookups(
        &self,
        user: UserId,
        scope: ChatId,
        lookups: &[(ChatId, i64, ChatMember)],
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let By { urgency, check, trace_id } = by;
        let now_ms = self.now_ms();
        self.handler
            .with_person(user, scope, None, trace_id, |mut person| {
                person.urgency = urgency;
                for (chat, asked_ms, answer) in lookups {
                    let mark = person.mark(*chat);
                    let member = person.member(*chat);
                    member.is_bot |= answer.user.is_bot;
                    member.apply_lookup(*asked_ms, answer, mark);
                    person.name = display_name(&answer.user);
                }
                let open = person.open();
                let mut outcome = person.finish(scope);
                if let Some(check) = check {
                    // An answer that settles nothing (clocks apart, say) must not be asked for again at once.
                    let again =
                        outcome.writes.put.iter().any(|put| put.intent == check.intent && put.not_before_ms <= now_ms);
                    if again {
                        outcome.writes.keep_claimed(check, open);
                    }
                    let settlement = if again { self.back_off(check) } else { Settlement::Done };
                    outcome.writes.settle = Some(Settle::of(check, settlement));
                }
                outcome
            })
            .await
    }

    /// Looks at our own place in `chat`.
    async fn check_own(&self, claim: &Claim, chat: ChatId) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Lookup, claim.urgency, Some(chat)).await {
            return self.put_off(claim, refused).await;
        }
        let bot = self.handler.bot.user();
        let asked_ms = self.now_ms();
        let answer = match self.get_chat_member(chat, bot).await {
            Ok(answer) => answer,
            Err(error) => {
                let class = error.class();
                self.obey(Budget::Lookup, Some(chat), class).await;
                match class {
                    // Out, and not told so by an event.
                    ErrorClass::BotOut => stranger(bot),
                    ErrorClass::Migrated(new) => return self.follow(claim, chat, new).await,
                    ErrorClass::RetryAfter(wait) => return self.settle(claim, self.wait_for(wait)).await,
                    ErrorClass::Retry | ErrorClass::Ambiguous => {
                        return self.settle(claim, self.back_off(claim)).await;
                    }
                    _ => return self.settle(claim, Settlement::Done).await,
                }
            }
        };
        // Settled first, so that a second look is an intent of its own.
        self.settle(claim, Settlement::Done).await?;
        self.take_in_own_lookup(chat, asked_ms, &answer, &claim.trace_id).await
    }

    /// Takes in what a lookup has told about the bot itself.
    pub(super) async fn take_in_own_lookup(
        &self,
        chat: ChatId,
        asked_ms: i64,
        answer: &ChatMember,
        trace_id: &str,
    ) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        self.handler
            .store
            .with_chat(chat, trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                facts.apply_own_lookup(asked_ms, answer);
                let put = rights::changed(view, &mut facts, chat, None, now_ms);
                let mut writes = ChatWrites { put, ..ChatWrites::default() };
                let intent = Intent::Check { chat, user: self.handler.bot.user() };
                writes.put.extend(facts.own_again_ms().map(|not_before_ms| Put::urgent(intent, not_before_ms)));
                writes.facts = (facts != view.chat.facts).then_some(facts);
                writes
            })
            .await?;
        self.handler.wake.all();
        Ok(())
    }
}

/// Somebody who is not in a chat.
pub(super) fn stranger(user: UserId) -> ChatMember {
    let user = User {
        id: user,
        is_bot: false,
        first_name: String::new(),
        last_name: None,
        username: None,
        language_code: None,
    };
    ChatMember { user, standing: Some(Standing::Outside), limits: Limits::Free, rights: Rights::default() }
}
