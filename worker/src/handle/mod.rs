//! Taking updates in: each becomes facts and intents in one transaction. Nothing here calls Telegram.

mod command;
mod member_event;
mod message;
mod migration;

pub(crate) use message::is_well_known;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use nezuko_shared::{
    cache::{Cache, ChatVersion},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, CallbackQuery, ChatId, ChatMemberUpdated, Update, UpdateId, UpdateKind, UserId};

use crate::{
    clock::Clock,
    intent::{Intent, Press, Put},
    planted::{self, Bug},
    reconcile::{Outcome, Person},
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
            UpdateKind::ChatMember(event) => self.member_event(event, receipt).await?,
            UpdateKind::MyChatMember(event) => self.own_event(event, receipt).await?,
            UpdateKind::CallbackQuery(query) => self.press(query, receipt).await?,
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
                let outcome = apply(Person::new(bot, user, now_ms, view));
                verdicts = outcome.verdicts;
                lanes = Lanes::of(&outcome.writes.put);
                outcome.writes
            })
            .await?;
        self.metrics.query("person", began.elapsed());
        if seen_before {
            self.metrics.duplicate_update();
        }
        self.wake.lanes(lanes);
        if planted::has(Bug::CacheByArrival) {
            verdicts.iter_mut().for_each(|verdict| verdict.order = (self.clock)());
        }
        // The cache may be wrong for its lifetime, in the direction of letting people write; it never punishes.
        let remembered = async {
            self.cache.remember_chat(bot, version, ACQUITTAL).await?;
            self.cache.remember(bot, &verdicts, ACQUITTAL).await
        };
        if let Err(error) = remembered.await {
            tracing::warn!(%error, trace_id, "cache not updated");
        }
        match upgraded_to {
            // Told late: it follows what has gone over already.
            Some(new) => self.migrate(chat, new, trace_id).await,
            None => Ok(()),
        }
    }

    /// The bot's own standing changed somewhere.
    async fn own_event(&self, event: &ChatMemberUpdated, receipt: &Receipt<'_>) -> Result<(), StoreError> {
        let chat = event.chat.id;
        let now_ms = (self.clock)();
        let version = self
            .store
            .with_chat(chat, receipt.trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                facts.describe(&event.chat);
                facts.apply_own_event(receipt.update_id, event);
                let rights_changed =
                    (facts.watched(), facts.own()) != (view.chat.facts.watched(), view.chat.facts.own());
                let mut writes = ChatWrites::default();
                if rights_changed {
                    writes.put = view.redecide(chat, now_ms);
                }
                writes.facts = (facts != view.chat.facts).then_some(facts);
                writes
            })
            .await?;
        tracing::info!(chat = chat.0, version, trace_id = receipt.trace_id, "own standing changed");
        self.wake.all();
        Ok(())
    }

    /// *I have joined* was pressed.
    async fn press(&self, query: &CallbackQuery, receipt: &Receipt<'_>) -> Result<(), StoreError> {
        let Some(message) = &query.message else { return Ok(()) };
        let press = Press {
            callback: query.id.clone(),
            group: message.chat.id,
            user: query.from.id,
            message: message.message_id,
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
