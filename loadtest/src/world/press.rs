//! Presses of buttons.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    ChatKind, FIRST_QUERY, Happened, Member, Message, Query, QueueKey, Refused, World,
    ids::{ChatId, MessageId, QueryId, UserId},
};
use Refused::{NotAllowed, NotYet};

/// Which button is pressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pressed {
    /// The first one whose label contains this.
    Labelled(String),
    /// None: this data is sent.
    Forged(String),
}

impl World {
    pub(super) fn named_or_newest(&self, chat: ChatId, message: Option<MessageId>) -> Result<MessageId, Refused> {
        let newest = || self.button_messages(chat).next_back().map(|m| m.id);
        message.or_else(newest).ok_or(NotYet("no message with a button stands"))
    }

    /// The newest message of the bot with a button of this label.
    pub(super) fn newest_labelled(&self, chat: ChatId, label: &str) -> Result<MessageId, Refused> {
        let newest = self.button_messages(chat).rfind(|message| message.data_of(label).is_some());
        newest.map(|message| message.id).ok_or(NotYet("no message with such a button stands"))
    }

    pub(super) fn press(
        &mut self,
        now_ms: i64,
        user: UserId,
        chat: ChatId,
        message: Option<MessageId>,
        button: Option<&Pressed>,
    ) -> Result<(), Refused> {
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        let open = place.spec.open_to_outsiders || place.spec.kind == ChatKind::Private;
        if matches!(member, Member::Kicked { .. }) || !(member.is_in() || open) {
            return Err(NotAllowed("they do not see that chat"));
        }
        let id = self.named_or_newest(chat, message)?;
        let pressed = place.messages.get(&id);
        let data = match button {
            // Also where the message is gone: it may still stand on a screen.
            Some(Pressed::Forged(data)) => Some(data.as_str()),
            _ if pressed.is_none() => return Err(NotAllowed("the message is gone")),
            Some(Pressed::Labelled(label)) => pressed.and_then(|pressed| pressed.data_of(label)),
            None => pressed.and_then(Message::callback_data),
        };
        let data = data.ok_or(NotAllowed("the message has no such button"))?.to_owned();
        let label = pressed.and_then(|pressed| pressed.label_of(&data)).map(str::to_owned);
        let person = self.people.get(&user).ok_or(NotAllowed("no such person"))?;
        let query = QueryId(FIRST_QUERY + self.queries.len() as i64);
        let content = json!({
            "id": query.to_string(),
            "from": person.to_json(),
            "message": pressed.map_or_else(
                || json!({"chat": place.spec.to_json(), "message_id": id, "date": 0}),
                |pressed| self.message_json(chat, pressed),
            ),
            "chat_instance": chat.to_string(),
            "data": data,
        });
        self.queries.insert(query, Query { at_ms: now_ms, answered: false });
        self.note(now_ms, Happened::Pressed { query, user, chat, message: id, label });
        self.emit(QueueKey::Presses(user), "callback_query", now_ms, &content);
        Ok(())
    }
}
