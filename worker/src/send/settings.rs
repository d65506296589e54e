//! Changing a group's settings, and the panel that shows them.

use frankenstein::{ParseMode, methods::EditMessageTextParams};
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{ChatId, ErrorClass, MessageId, UpdateId, UserId};

use super::{Sender, keyboard, message_number};
use crate::{
    intent::{Claim, Intent, Key, Put, Settlement},
    panel,
    settings::{GroupSettings, Language},
    store::{ChatWrites, StoreError},
    texts::Texts,
};

/// Which update changes the settings of which chat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) chat: ChatId,
    pub(super) update_id: UpdateId,
    pub(super) received_ms: i64,
    pub(super) trace_id: &'a str,
}

impl Sender {
    /// The settings of a chat.
    pub(super) async fn settings_of(&self, chat: ChatId) -> Result<GroupSettings, StoreError> {
        Ok(self.handler.store.chat(chat).await?.chat.facts.settings.in_force())
    }

    /// In which language is spoken there: a group's setting, a person's own.
    pub(super) async fn texts_for(&self, chat: ChatId, of_person: Language) -> Result<Texts, StoreError> {
        let is_private = chat.0 > 0;
        Ok(Texts(if is_private { of_person } else { self.settings_of(chat).await?.language }))
    }

    /// Changes the settings in one transaction with what follows: everybody is decided again, prompts are shown as they are
    /// to read now, and `put`. The same change again changes nothing. Returns the settings after it.
    pub(super) async fn change_settings(
        &self,
        change: &Change<'_>,
        put: Vec<Put>,
        edit: impl Fn(&mut GroupSettings) + Send + Sync,
    ) -> Result<GroupSettings, StoreError> {
        let store = &self.handler.store;
        let now_ms = self.now_ms();
        let topics = store.prompted_topics(change.chat).await?;
        let mut after = GroupSettings::default();
        // One that refused before is tried again.
        let mut from_nothing = GroupSettings::default();
        edit(&mut from_nothing);
        let sets_log_chat = from_nothing.log_chat.is_some();
        store
            .with_chat(change.chat, change.trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                let changed = facts.settings.change(change.update_id, change.received_ms, &edit);
                after = facts.settings.in_force();
                let asks_anew = after.pending_counts != view.chat.facts.settings.pending_counts();
                if sets_log_chat {
                    facts.log_refused = None;
                }
                let mut writes = ChatWrites { put: put.clone(), ..ChatWrites::default() };
                if changed {
                    let again = Intent::Redecide { chat: change.chat, after: UserId(0) };
                    writes.put.push(Put::urgent(again, now_ms));
                    let prompts = topics.iter().map(|topic| Intent::Prompt { group: change.chat, topic: *topic });
                    writes.put.extend(prompts.map(|intent| Put::urgent(intent, now_ms)));
                }
                // E27: our own links into the channels do as the setting says.
                let channels = view.links.iter().filter(|(_, link)| asks_anew && link.value);
                writes.put.extend(channels.map(|(chat, _)| Put::urgent(Intent::Link { chat: *chat }, now_ms)));
                writes.facts = (facts != view.chat.facts).then_some(facts);
                writes
            })
            .await?;
        self.handler.wake.all();
        Ok(after)
    }

    /// Makes a panel show the settings as they are.
    pub(super) async fn show_panel(
        &self,
        claim: &Claim,
        chat: ChatId,
        message: MessageId,
        row: i64,
    ) -> Result<(), StoreError> {
        let facts = self.handler.store.chat(chat).await?.chat.facts;
        let settings = facts.settings.in_force();
        let texts = Texts(settings.language);
        let keyboard = panel::keyboard(texts, &settings, &self.handler.buttons, chat, row);
        let html = panel::text(texts, &facts, &settings);
        let settlement = self.edit(claim, chat, message, &html, &keyboard).await;
        self.settle(claim, settlement).await
    }

    /// Edits a message of ours, once or several times the same. Returns how the claim ends with that.
    pub(super) async fn edit(
        &self,
        claim: &Claim,
        chat: ChatId,
        message: MessageId,
        html: &str,
        keyboard: &[Vec<Key>],
    ) -> Settlement {
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(chat)).await {
            return self.wait_for(refused.retry_in);
        }
        let params = EditMessageTextParams::builder()
            .chat_id(chat.0)
            .message_id(message_number(message))
            .text(html)
            .parse_mode(ParseMode::Html)
            .maybe_reply_markup(keyboard::inline(keyboard))
            .build();
        let edited: Result<serde_json::Value, _> = self.call("editMessageText", &params).await;
        match edited.map(drop).map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(chat), class).await;
                self.wait_for(wait)
            }
            // Editing twice does no harm.
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            // Of a message that is gone, or stands where we are not, nothing is to be shown.
            Ok(()) | Err(_) => Settlement::Done,
        }
    }
}
