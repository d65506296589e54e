//! Taking updates in: each becomes facts and intents in one transaction. Nothing here calls Telegram.

mod admission;
mod command;
mod join_request;
mod link;
mod member_event;
mod message;
mod migration;
mod sender_chat;

pub(crate) use {member_event::display_name, message::is_well_known};

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use nezuko_shared::{
    cache::{Cache, CacheError, ChatVersion},
    telemetry::metrics::{CacheOperation, Metrics, Trouble},
};
use nezuko_telegram::{
    BotId, CallbackQuery, ChatId, ChatMember, ChatMemberUpdated, MessageId, Standing, Update, UpdateId, UpdateKind,
    UserId,
};

use crate::{
    buttons::ButtonKey,
    clock::Clock,
    intent::{Intent, Press, Put},
    planted::{self, Bug},
    reconcile::{Outcome, Person},
    rights,
    settings::Language,
    store::{ChatWrites, Scope, Store, StoreError},
    wake::{Lanes, Wake},
};

/// How long the cache remembers that somebody may write. The earlier Nezuko's figure for a positive answer.
const ACQUITTAL: Duration = Duration::from_mins(10);

/// What an update is, apart from what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// Telegram's number.
    pub update_id: UpdateId,
    /// When the gateway first had it, Unix milliseconds.
    pub received_ms: i64,
    /// The correlation id.
    pub trace_id: &'a str,
}

/// Takes updates in.
#[derive(Clone)]
pub struct Handler {
    /// Where facts go.
    pub store: Arc<dyn Store>,
    /// Told after each commit who may write.
    pub cache: Arc<dyn Cache>,
    /// The bot.
    pub bot: BotId,
    /// The bot's username, once Telegram has told it.
    pub username: Arc<OnceLock<String>>,
    /// Makes and reads what buttons carry.
    pub buttons: ButtonKey,
    /// What is counted.
    pub metrics: Metrics,
    /// Unix milliseconds.
    pub clock: Clock,
    /// Woken when there are intents to carry out.
    pub wake: Arc<Wake>,
}

impl Handler {
    /// Takes in one update. When this returns `Ok`, its transaction has committed; an update that is taken in again
    /// changes nothing. Returns whether it concerned Nezuko at all.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken in; try again.
    pub async fn handle(&self, update: &Update, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        match &update.kind {
            UpdateKind::Message(message) => return self.message(message, receipt).await,
            UpdateKind::ChatMember(event) => {
                self.member_event(event, receipt).await?;
                self.link_event(event, receipt).await?;
            }
            UpdateKind::MyChatMember(event) => self.own_event(event, receipt).await?,
            UpdateKind::CallbackQuery(query) => self.press(query, receipt).await?,
            UpdateKind::JoinRequest(request) => return self.join_request(request, receipt).await,
            UpdateKind::EditedMessage(message) => return self.edited_message(message, receipt).await,
            UpdateKind::Other => return Ok(false),
        }
        Ok(true)
    }

    /// One transaction of a person, then the cache.
    pub(crate) async fn with_person(
        &self,
        user: UserId,
        chat: ChatId,
        update: Option<UpdateId>,
        trace_id: &str,
        mut apply: impl FnMut(Person<'_>) -> Outcome + Send,
    ) -> Result<(), StoreError> {
        let now_ms = (self.clock)();
        let scope = Scope { user, chat, update, trace_id, now_ms };
        let mut verdicts = Vec::new();
        let mut lanes = Lanes::default();
        let mut version = ChatVersion { chat, settings_version: 0, protected: false };
        let mut seen_before = false;
        let mut would: Vec<&'static str> = Vec::new();
        let is_dry = |outcome: &&str| outcome.starts_with("would_");
        let mut upgraded_to = None;
        let bot = self.bot;
        let began = Instant::now();
        self.store
            .with_person(&scope, &mut |view| {
                if let Some(chat) = view.chats.get(&chat) {
                    version.settings_version = chat.version;
                    version.protected = chat.facts.is_protected();
                    upgraded_to = chat.facts.upgraded_to;
                }
                seen_before = view.seen_before;
                let mut outcome = apply(Person::new(bot, user, now_ms, view));
                outcome.writes.tell_logs(view, rand::random_range(1..i64::MAX / 2), now_ms);
                verdicts = outcome.verdicts;
                would = outcome.writes.verifications.iter().map(|it| it.outcome).filter(is_dry).collect();
                lanes = Lanes::of(&outcome.writes.put);
                outcome.writes
            })
            .await?;
        self.metrics.query("person", began.elapsed());
        if update.is_some() {
            self.metrics.verification_latency(began.elapsed());
        }
        if seen_before {
            self.metrics.duplicate_update();
        }
        would.into_iter().for_each(|outcome| self.metrics.verification(outcome));
        self.wake.lanes(lanes);
        if planted::has(Bug::CacheByArrival) {
            verdicts.iter_mut().for_each(|verdict| verdict.order = (self.clock)());
        }
        // The cache may be wrong for its lifetime, in the direction of letting people write; it never punishes.
        let remembered = async {
            self.remember_chat(version).await?;
            let asked = Instant::now();
            let remembered = self.cache.remember(bot, &verdicts, ACQUITTAL).await;
            self.metrics.cache(CacheOperation::Remember, asked.elapsed());
            remembered
        };
        if let Err(error) = remembered.await {
            self.metrics.error(Trouble::Cache);
            tracing::warn!(%error, trace_id, "cache not updated");
        }
        match upgraded_to {
            // Told late: it follows what has gone over already.
            Some(new) => self.migrate(chat, new, trace_id).await,
            None => Ok(()),
        }
    }

    /// Has the cache know whether a group's rule is enforced as it is now: else it goes on acquitting whoever writes there of
    /// a rule that has just begun.
    ///
    /// # Errors
    /// Where the store cannot be read. The cache may be away.
    pub(crate) async fn tell_cache(&self, chat: ChatId) -> Result<(), StoreError> {
        let known = self.store.chat(chat).await?.chat;
        let protected = known.facts.is_protected();
        let version = ChatVersion { chat, settings_version: known.version, protected };
        if let Err(error) = self.remember_chat(version).await {
            self.metrics.error(Trouble::Cache);
            tracing::warn!(%error, chat = chat.0, "cache not updated");
        }
        Ok(())
    }

    async fn remember_chat(&self, version: ChatVersion) -> Result<(), CacheError> {
        let asked = Instant::now();
        let remembered = self.cache.remember_chat(self.bot, version, ACQUITTAL).await;
        self.metrics.cache(CacheOperation::RememberChat, asked.elapsed());
        remembered
    }

    /// The bot's own standing changed somewhere.
    async fn own_event(&self, event: &ChatMemberUpdated, receipt: &Receipt<'_>) -> Result<(), StoreError> {
        let chat = event.chat.id;
        let now_ms = (self.clock)();
        let is_in = |member: &ChatMember| member.standing.is_some_and(Standing::is_in);
        let arrives = event.chat.kind.is_group() && is_in(&event.new_chat_member) && !is_in(&event.old_chat_member);
        let arrived_ms = arrives.then_some(event.date * 1000);
        let version = self
            .store
            .with_chat(chat, receipt.trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                facts.describe(&event.chat);
                facts.apply_own_event(receipt.update_id, event);
                let put = rights::changed(view, &mut facts, chat, arrived_ms, now_ms);
                ChatWrites { facts: (facts != view.chat.facts).then_some(facts), links: Vec::new(), put }
            })
            .await?;
        self.judge_arrival(event, receipt).await?;
        tracing::info!(chat = chat.0, version, trace_id = receipt.trace_id, "own standing changed");
        self.wake.all();
        Ok(())
    }

    /// A button was pressed. What it carries is read here, where the chat is the one that it was made for.
    async fn press(&self, query: &CallbackQuery, receipt: &Receipt<'_>) -> Result<(), StoreError> {
        // E71: of a message that Telegram does not show any more nothing but its number is needed.
        let (group, message) = query
            .message
            .as_ref()
            .map_or((query.from.id.private_chat(), MessageId(0)), |message| (message.chat.id, message.message_id));
        let press = Press {
            update_id: receipt.update_id,
            callback: query.id.clone(),
            button: query.data.as_deref().and_then(|data| self.buttons.decode(data, group)),
            group,
            user: query.from.id,
            language: Language::of_code(query.from.language_code.as_deref()),
            message,
            received_ms: receipt.received_ms,
        };
        let put = Put::urgent(Intent::Answer(press), (self.clock)());
        self.put(&[put], receipt.trace_id).await
    }

    /// Puts intents that depend on nobody's facts, and wakes their senders.
    pub(crate) async fn put(&self, put: &[Put], trace_id: &str) -> Result<(), StoreError> {
        self.store.put(put, trace_id).await?;
        self.wake.lanes(Lanes::of(put));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
