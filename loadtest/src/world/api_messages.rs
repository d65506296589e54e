//! The Bot API's methods about messages: sending, editing, deleting, answering presses.

use serde_json::{Value, json};

use super::{
    DAY_MS, Happened, PRESS_MS, World,
    api::{ApiError, ApiResult, bad, flag, forbidden, integer, text},
    chat::{Chat, ChatKind, Message},
    formatting::plain_text,
    ids::{ChatId, MessageId, QueryId},
};

/// Characters of one message after its markup is taken away.
const LONGEST_TEXT: usize = 4096;
/// Characters of the answer to a press.
const LONGEST_ANSWER: usize = 200;
/// Bytes of a callback button's data.
const LONGEST_DATA: usize = 64;
/// Messages of others can be deleted for two days (E55).
const DELETABLE_MS: i64 = 2 * DAY_MS;
/// Ids in one `deleteMessages` (E55).
const MOST_IDS: usize = 100;

const TOO_OLD: &str = "query is too old and response timeout expired or query ID is invalid";
const NOT_MODIFIED: &str = "message is not modified: specified new message content and reply markup are exactly the \
                            same as a current content and reply markup of the message";

impl World {
    pub(super) fn send_message(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let shown = shown_text(params)?;
        let markup = inline_keyboard(params)?;
        let place = self.addressed(now_ms, params)?;
        let chat = place.spec.id;
        let thread = integer(params, "message_thread_id");
        if thread.is_some_and(|thread| !place.spec.is_forum || place.gone_topics.contains(&thread)) {
            return Err(bad("message thread not found"));
        }
        let reply = params.get("reply_parameters").map(|reply| (integer(reply, "message_id"), reply));
        let reply_to = match reply {
            Some((Some(id), _)) if place.messages.contains_key(&MessageId(id)) => Some(MessageId(id)),
            Some((_, reply)) if !flag(reply, "allow_sending_without_reply") => {
                return Err(bad("message to be replied not found"));
            }
            _ => None,
        };
        let message = Message {
            id: MessageId(0),
            thread,
            from: self.bot.id,
            sender_chat: None,
            at_ms: now_ms,
            text: shown.clone(),
            reply_to,
            markup,
            extra: json!({"text": shown}),
        };
        let id = self.post(message, self.bot.id, false, chat);
        Ok(self.message_json(chat, &self.chats[&chat].messages[&id]))
    }

    /// The chat that a message goes to, if the bot may write there.
    fn addressed(&self, now_ms: i64, params: &Value) -> Result<&Chat, ApiError> {
        let id = self.chat_id(params)?;
        if let Some(person) = self.people.values().find(|p| p.id.private_chat() == id) {
            if person.is_bot {
                return Err(forbidden("bot can't send messages to bots"));
            }
            let reachable = |chat: &Chat| chat.reachable_until_ms.is_none_or(|until_ms| now_ms < until_ms);
            if !self.chats.get(&id).is_some_and(reachable) {
                return Err(forbidden("bot can't initiate conversation with a user"));
            }
        }
        let place = self.reached(now_ms, params)?;
        let me = place.member(self.bot.id, now_ms);
        if place.spec.kind == ChatKind::Channel && !me.is_admin() {
            return Err(bad("need administrator rights in the channel chat"));
        }
        if me.is_muted() {
            return Err(bad("not enough rights to send text messages to the chat"));
        }
        Ok(place)
    }

    pub(super) fn edit_message(&mut self, now_ms: i64, params: &Value, with_text: bool) -> ApiResult {
        let shown = if with_text { Some(shown_text(params)?) } else { None };
        let markup = inline_keyboard(params)?;
        let place = self.addressed(now_ms, params)?;
        let chat = place.spec.id;
        let id = MessageId(integer(params, "message_id").ok_or_else(|| bad("message identifier is not specified"))?);
        let message = place.messages.get(&id).ok_or_else(|| bad("message to edit not found"))?;
        if message.from != self.bot.id {
            return Err(bad("message can't be edited"));
        }
        let mut edited = message.clone();
        if let Some(shown) = shown {
            edited.extra["text"] = json!(shown);
            edited.text = shown;
        }
        edited.markup = markup;
        if edited == *message {
            return Err(bad(NOT_MODIFIED));
        }
        edited.extra["edit_date"] = json!(now_ms / 1000);
        let json = self.message_json(chat, &edited);
        let (text, has_button) = (edited.text.clone(), edited.callback_data().is_some());
        self.note(now_ms, Happened::Edited { chat, message: id, text, has_button });
        if let Some(place) = self.chats.get_mut(&chat) {
            place.messages.insert(id, edited);
        }
        Ok(json)
    }

    pub(super) fn delete_message(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        let chat = place.spec.id;
        let id = integer(params, "message_id").ok_or_else(|| bad("message identifier is not specified"))?;
        self.deletable(now_ms, chat, MessageId(id))?;
        self.delete(now_ms, chat, MessageId(id), self.bot.id);
        Ok(json!(true))
    }

    pub(super) fn delete_messages(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        let chat = place.spec.id;
        let ids = params.get("message_ids").and_then(Value::as_array).cloned().unwrap_or_default();
        let ids: Vec<MessageId> = ids.iter().filter_map(Value::as_i64).map(MessageId).collect();
        if ids.is_empty() {
            return Err(bad("message identifiers are not specified"));
        }
        if ids.len() > MOST_IDS {
            return Err(bad("too many message identifiers specified"));
        }
        // Missing ones are passed over; one that may not be deleted fails the call.
        let standing: Vec<_> = ids.into_iter().filter(|id| self.chats[&chat].messages.contains_key(id)).collect();
        for id in &standing {
            self.deletable(now_ms, chat, *id)?;
        }
        for id in standing {
            self.delete(now_ms, chat, id, self.bot.id);
        }
        Ok(json!(true))
    }

    fn deletable(&self, now_ms: i64, chat: ChatId, id: MessageId) -> Result<(), ApiError> {
        let place = &self.chats[&chat];
        let message = place.messages.get(&id).ok_or_else(|| bad("message to delete not found"))?;
        let private = place.spec.kind == ChatKind::Private;
        let may =
            private || message.from == self.bot.id || place.member(self.bot.id, now_ms).rights().can_delete_messages;
        if !may {
            return Err(bad("message can't be deleted"));
        }
        if now_ms - message.at_ms >= DELETABLE_MS {
            return Err(bad("message can't be deleted for everyone"));
        }
        Ok(())
    }

    pub(super) fn answer_callback_query(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let query = QueryId(integer(params, "callback_query_id").ok_or_else(|| bad(TOO_OLD))?);
        let pressed = self.queries.get_mut(&query).ok_or_else(|| bad(TOO_OLD))?;
        if now_ms - pressed.at_ms > PRESS_MS {
            return Err(bad(TOO_OLD));
        }
        let text = text(params, "text").to_owned();
        if text.chars().count() > LONGEST_ANSWER {
            return Err(bad("MESSAGE_TOO_LONG"));
        }
        pressed.answered = true;
        self.note(now_ms, Happened::Answered { query, text });
        Ok(json!(true))
    }
}

/// The text of a message as people see it.
fn shown_text(params: &Value) -> Result<String, ApiError> {
    let given = text(params, "text");
    let shown = match text(params, "parse_mode").to_ascii_lowercase().as_str() {
        "" => given.to_owned(),
        "html" => plain_text(given).map_err(|error| bad(format!("can't parse entities: {error}")))?,
        // Markdown is not modelled; better to refuse it than to let its mistakes pass.
        _ => return Err(bad("unsupported parse_mode")),
    };
    let shown = shown.trim().to_owned();
    if shown.is_empty() {
        return Err(bad("message text is empty"));
    }
    if shown.encode_utf16().count() > LONGEST_TEXT {
        return Err(bad("message is too long"));
    }
    Ok(shown)
}

/// The inline keyboard in `reply_markup`; null without one.
fn inline_keyboard(params: &Value) -> Result<Value, ApiError> {
    let markup = match params.get("reply_markup") {
        Some(Value::String(encoded)) => serde_json::from_str(encoded).unwrap_or(Value::Null),
        Some(markup) => markup.clone(),
        None => Value::Null,
    };
    let Some(rows) = markup.get("inline_keyboard").and_then(Value::as_array) else { return Ok(Value::Null) };
    let buttons: Vec<&Value> = rows.iter().filter_map(Value::as_array).flatten().collect();
    for button in &buttons {
        if text(button, "text").is_empty() {
            return Err(bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"));
        }
        if let Some(data) = button.get("callback_data").and_then(Value::as_str) {
            if data.is_empty() || data.len() > LONGEST_DATA {
                return Err(bad("BUTTON_DATA_INVALID"));
            }
        } else if let Some(url) = button.get("url").and_then(Value::as_str) {
            let known = ["https://", "http://", "tg://"].iter().any(|scheme| url.starts_with(scheme));
            if !known || url.contains(char::is_whitespace) {
                return Err(bad("BUTTON_URL_INVALID"));
            }
        } else {
            return Err(bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"));
        }
    }
    Ok(if buttons.is_empty() { Value::Null } else { markup })
}
