//! The standing prompt of a group and topic: one message that names whoever waits, edited as they come and go, sent anew
//! where who comes would not see it any more, removed when nobody waits.

use std::time::Duration;

use frankenstein::{
    ParseMode,
    methods::{DeleteMessageParams, EditMessageTextParams, SendMessageParams},
    types::{InlineKeyboardMarkup, LinkPreviewOptions, ReplyMarkup},
};
use nezuko_shared::{limiter::Budget, telemetry::metrics::PromptAction};
use nezuko_telegram::{CallError, ChatId, ErrorClass, MessageId, UserId};

use super::{Sender, keyboard, message_number, reply::Sent};
use crate::{
    buttons::Button,
    intent::{Claim, Intent, Put, Settlement},
    planted::{self, Bug},
    store::{Prompt, PromptView, StoreError},
    texts::{Channels, Texts},
};

/// Named one by one; the others are counted.
pub(crate) const NAMES: i64 = 10;
/// Between two changes of one prompt: half of a group's 20 messages a minute stay free for replies.
const COOL_DOWN_MS: i64 = 6_000;
/// A prompt whose sending had no known outcome is not repeated sooner than this.
const UNKNOWN_OUTCOME_MS: i64 = 60_000;

/// Who begins to wait, or is to be warned, so long after a prompt was sent would not find it among what was written since,
/// and of an edit nobody is told: it is sent anew.
const IN_SIGHT_MS: i64 = 600_000;
/// A prompt that was not touched for so long is edited although nothing changed: that somebody has deleted it we are not told
/// otherwise (E72).
const SURELY_STANDS_MS: i64 = 20 * 3_600_000;

/// What a prompt is to say.
struct Show {
    text: String,
    /// What its button sends.
    data: String,
    /// What is compared with what it says.
    content: String,
    /// Whom it warns.
    warned: Vec<(UserId, i64)>,
    /// What becomes of the intent when it is shown.
    then: Settlement,
}

impl Sender {
    pub(super) async fn prompt(&self, claim: &Claim, group: ChatId, topic: Option<i64>) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        let (known, is_awaited) = self.handler.store.prompt(group, topic).await?;
        let prompt = known.clone().unwrap_or_default();
        let is_half_deleted = prompt.message != 0 && prompt.shown.is_empty();
        let not_before_ms = if prompt.message == 0 && prompt.sending_ms > now_ms - UNKNOWN_OUTCOME_MS {
            prompt.sending_ms + UNKNOWN_OUTCOME_MS
        } else if is_awaited && !is_half_deleted {
            prompt.changed_ms + COOL_DOWN_MS
        } else {
            now_ms
        };
        if not_before_ms > now_ms {
            return self.settle(claim, Settlement::Wait { not_before_ms }).await;
        }
        let view = self.handler.store.prompt_view(group, topic, NAMES).await?;
        let facts = self.handler.store.chat(group).await?.chat.facts;
        let settings = facts.settings.in_force();
        let texts = Texts(settings.language);
        let raid = if view.count > 0 { self.raid_in(group, &facts, &claim.trace_id).await? } else { None };
        let is_warned = |(user, _): &&(UserId, String)| view.warned.iter().any(|(warned, _)| warned == user);
        let warned: Vec<(UserId, String)> = view.waiting.iter().filter(is_warned).cloned().collect();
        let warned_count = i64::try_from(view.warned.len()).unwrap_or(i64::MAX);
        // Where no channel is required any more, everybody is about to be freed, if it stays so.
        let text = (view.count > 0 && !view.channels.is_empty()).then(|| match raid {
            Some(_) => texts.crowd(view.count, Channels::of(&view.channels)) + &texts.group_warning(&[], warned_count),
            None => {
                let custom = settings.prompt_text.as_deref();
                texts.group_prompt(&view.waiting, view.count, &view.channels, &facts, custom)
                    + &texts.group_warning(&warned, warned_count)
            }
        });
        // When a raid is over, everybody is named again.
        let then = raid.map_or(Settlement::Done, |raid| Settlement::Wait { not_before_ms: raid.until_ms });
        let data = self.handler.buttons.encode(Button::JOINED, group);
        let show = text.map(|text| {
            let content = content(&text, &data, &view);
            Show { text, data, content, warned: view.warned.clone(), then }
        });
        let is_out_of_sight = prompt.message != 0 && view.newest_ms > prompt.sent_ms + IN_SIGHT_MS;
        match show {
            None if view.count > 0 => {
                let then = Settlement::Wait { not_before_ms: now_ms + COOL_DOWN_MS };
                self.remove_prompt(claim, group, topic, prompt, (None, then)).await
            }
            None => self.remove_prompt(claim, group, topic, prompt, (None, Settlement::Done)).await,
            // Who began to delete it may have died, and the call may land late; or nobody knows who sent it. It is nothing
            // to build upon.
            Some(_) if is_half_deleted || is_out_of_sight => {
                let left = Prompt { warned: prompt.warned.clone(), ..Prompt::default() };
                self.remove_prompt(claim, group, topic, prompt, (Some(left), self.wait_for(Duration::ZERO))).await
            }
            Some(show)
                if prompt.message != 0
                    && prompt.shown == show.content
                    && now_ms < prompt.changed_ms + SURELY_STANDS_MS =>
            {
                let prompt = Prompt { warned: show.warned, ..prompt };
                self.handler.store.save_prompt(group, topic, Some(&prompt), claim, Some(show.then)).await?;
                Ok(())
            }
            Some(show) => self.show_prompt(claim, group, topic, (known, &view), texts, show).await,
        }
    }

    /// Deletes the prompt before forgetting it, so that two never stand. `then` is what is known of it afterwards, and what
    /// becomes of the intent.
    async fn remove_prompt(
        &self,
        claim: &Claim,
        group: ChatId,
        topic: Option<i64>,
        mut prompt: Prompt,
        then: (Option<Prompt>, Settlement),
    ) -> Result<(), StoreError> {
        let store = &self.handler.store;
        if prompt.message == 0 {
            store.save_prompt(group, topic, None, claim, Some(then.1)).await?;
            return Ok(());
        }
        if let Err(refused) = self.permits.leave(Budget::Deletion, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        // If this process dies here, nobody takes the prompt for one that still says what it said.
        prompt.shown.clear();
        if !store.save_prompt(group, topic, Some(&prompt), claim, None).await? {
            return Ok(());
        }
        let params = DeleteMessageParams::builder()
            .chat_id(group.0)
            .message_id(message_number(MessageId(prompt.message)))
            .build();
        let deleted: Result<bool, _> = self.call("deleteMessage", &params).await;
        let settlement = match deleted.map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Deletion, Some(group), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            Err(ErrorClass::Token | ErrorClass::Conflict | ErrorClass::Input) => self.back_off_slowly(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Err(ErrorClass::Permission) => return self.void_prompt(claim, group, topic, &prompt, then).await,
            // What is gone, or in a chat that we are out of, is no concern of ours any more.
            Ok(_) | Err(_) => {
                self.handler.metrics.prompt(PromptAction::Removed);
                store.save_prompt(group, topic, then.0.as_ref(), claim, Some(then.1)).await?;
                return Ok(());
            }
        };
        self.settle(claim, settlement).await
    }

    /// Takes its button from a prompt that cannot be deleted because it is older than two days (E55): what we have written
    /// can be changed for ever.
    async fn void_prompt(
        &self,
        claim: &Claim,
        group: ChatId,
        topic: Option<i64>,
        prompt: &Prompt,
        then: (Option<Prompt>, Settlement),
    ) -> Result<(), StoreError> {
        let text = Texts(self.settings_of(group).await?.language).prompt_over();
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let edited = self.edit_prompt(group, prompt, &text, None).await;
        let settlement = match edited.map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(group), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            Err(ErrorClass::Token | ErrorClass::Conflict | ErrorClass::Input) => self.back_off_slowly(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Ok(()) | Err(_) => {
                self.handler.metrics.prompt(PromptAction::Removed);
                self.handler.store.save_prompt(group, topic, then.0.as_ref(), claim, Some(then.1)).await?;
                return Ok(());
            }
        };
        self.settle(claim, settlement).await
    }

    /// Everything is read and written down before the limiter is asked: its leave is good for some milliseconds only.
    async fn show_prompt(
        &self,
        claim: &Claim,
        group: ChatId,
        topic: Option<i64>,
        (known, view): (Option<Prompt>, &PromptView),
        texts: Texts,
        show: Show,
    ) -> Result<(), StoreError> {
        let store = &self.handler.store;
        let buttons = keyboard::inline(&keyboard::of_prompt(texts, &view.channels, show.data.clone()));
        let mut prompt = known.clone().unwrap_or_default();
        let stands = prompt.message != 0;
        if !stands {
            prompt.sending_ms = self.now_ms();
            if !store.save_prompt(group, topic, Some(&prompt), claim, None).await? {
                return Ok(());
            }
        }
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(group)).await {
            let settlement = Some(self.wait_for(refused.retry_in));
            store.save_prompt(group, topic, known.as_ref(), claim, settlement).await?;
            return self.postpone_chat(claim, refused).await;
        }
        prompt.changed_ms = self.now_ms();
        if !stands {
            let sent = self.send_prompt(group, topic, &show.text, buttons.clone()).await;
            if planted::has(Bug::PromptTwice) {
                drop(self.send_prompt(group, topic, &show.text, buttons.clone()).await);
            }
            self.save_sent(claim, group, topic, prompt, show, sent).await
        } else {
            let edited = self.edit_prompt(group, &prompt, &show.text, buttons).await;
            self.save_edited(claim, group, topic, prompt, show, edited).await
        }
    }

    async fn save_sent(
        &self,
        claim: &Claim,
        group: ChatId,
        topic: Option<i64>,
        mut prompt: Prompt,
        show: Show,
        sent: Result<Sent, CallError>,
    ) -> Result<(), StoreError> {
        let mut id = None;
        let settlement = match sent.map_err(|error| error.class()) {
            Ok(sent) => {
                id = Some(sent.message_id);
                prompt = Prompt {
                    message: sent.message_id.0,
                    shown: show.content,
                    sending_ms: 0,
                    sent_ms: prompt.changed_ms,
                    changed_ms: prompt.changed_ms,
                    warned: show.warned,
                };
                self.handler.metrics.prompt(PromptAction::Sent);
                show.then
            }
            Err(ErrorClass::Ambiguous) => Settlement::Wait { not_before_ms: prompt.sending_ms + UNKNOWN_OUTCOME_MS },
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Err(class) => {
                if let (ErrorClass::Target, Some(topic)) = (class, topic) {
                    self.leave_topic(group, topic, &claim.trace_id).await?;
                }
                prompt.sending_ms = 0;
                self.after_refusal(claim, group, class).await?
            }
        };
        let store = &self.handler.store;
        let save = || store.save_prompt(group, topic, Some(&prompt), claim, Some(settlement.clone()));
        let saved = if id.is_some() { self.insist(save).await? } else { save().await? };
        let Some(message) = id.filter(|_| !saved) else { return Ok(()) };
        // A try before the last may have been written down although it seemed to fail.
        let known = store.prompt(group, topic).await?.0;
        if known.is_some_and(|known| known.message == message.0) {
            return Ok(());
        }
        // It took so long that somebody else took over: this one is nobody's prompt.
        let intent = Intent::Delete { chat: group, message };
        self.handler.put(&[Put::urgent(intent, self.now_ms())], &claim.trace_id).await
    }

    async fn save_edited(
        &self,
        claim: &Claim,
        group: ChatId,
        topic: Option<i64>,
        mut prompt: Prompt,
        show: Show,
        edited: Result<(), CallError>,
    ) -> Result<(), StoreError> {
        let settlement = match edited.map_err(|error| error.class()) {
            Ok(()) | Err(ErrorClass::AlreadyDone) => {
                (prompt.shown, prompt.warned) = (show.content, show.warned);
                self.handler.metrics.prompt(PromptAction::Edited);
                show.then
            }
            // Somebody has deleted it (E72): the next one is sent anew.
            Err(ErrorClass::Target) => {
                prompt = Prompt { changed_ms: prompt.changed_ms, ..Prompt::default() };
                self.wait_for(Duration::ZERO)
            }
            // Editing twice does no harm.
            Err(ErrorClass::Ambiguous) => self.back_off(claim),
            Err(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Err(class) => self.after_refusal(claim, group, class).await?,
        };
        self.handler.store.save_prompt(group, topic, Some(&prompt), claim, Some(settlement)).await?;
        Ok(())
    }

    async fn after_refusal(&self, claim: &Claim, group: ChatId, class: ErrorClass) -> Result<Settlement, StoreError> {
        self.obey(Budget::Message, Some(group), class).await;
        Ok(match class {
            ErrorClass::RetryAfter(wait) => self.wait_for(wait),
            ErrorClass::Retry => self.back_off(claim),
            ErrorClass::Permission | ErrorClass::BotOut => {
                self.handler.put(&[self.look_at_own_rights(group)], &claim.trace_id).await?;
                self.back_off_slowly(claim)
            }
            _ => {
                tracing::warn!(group = group.0, class = class.label(), trace_id = claim.trace_id, "prompt refused");
                self.back_off_slowly(claim)
            }
        })
    }

    async fn send_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        text: &str,
        buttons: Option<InlineKeyboardMarkup>,
    ) -> Result<Sent, CallError> {
        let params = SendMessageParams::builder()
            .chat_id(group.0)
            .maybe_message_thread_id(topic.and_then(|topic| i32::try_from(topic).ok()))
            .text(text)
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
            .disable_notification(true)
            .maybe_reply_markup(buttons.map(ReplyMarkup::InlineKeyboardMarkup))
            .build();
        self.call("sendMessage", &params).await
    }

    async fn edit_prompt(
        &self,
        group: ChatId,
        prompt: &Prompt,
        text: &str,
        buttons: Option<InlineKeyboardMarkup>,
    ) -> Result<(), CallError> {
        let params = EditMessageTextParams::builder()
            .chat_id(group.0)
            .message_id(message_number(MessageId(prompt.message)))
            .text(text)
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
            .maybe_reply_markup(buttons)
            .build();
        let edited: serde_json::Value = self.call("editMessageText", &params).await?;
        drop(edited);
        Ok(())
    }
}

/// What a prompt says, what its button sends (another token has others) and where the others lead: whether it is to be edited.
fn content(text: &str, data: &str, view: &PromptView) -> String {
    let addresses = view.channels.iter().map(|(_, facts)| format!("\n{}", facts.address()));
    addresses.fold(format!("{text}\n{data}"), |shown, address| shown + &address)
}

#[cfg(test)]
mod tests;
