//! What people do to a group beyond restricting each other: they bring others in, edit, set what everybody may do, delete
//! topics; and the Bot API's methods about channels that write in a group (E5, E15, E16, E50, E58, E63).

use serde_json::{Value, json};

use super::{
    Permissions, QueueKey, World,
    act::Refused,
    api::{ApiResult, bad, integer},
    chat::ChatKind,
    ids::{ChatId, MessageId, UserId},
    member::Member,
    perform::written,
};

impl World {
    /// Members bring others in; one note names all of them (E16).
    pub(super) fn add(&mut self, now_ms: i64, by: UserId, chat: ChatId, users: &[UserId]) -> Result<(), Refused> {
        let place = self.place(chat)?;
        let adder = place.member(by, now_ms);
        let may = if adder.is_admin() { adder.rights().can_invite_users } else { adder == Member::Member };
        if !place.spec.kind.is_group() || !may {
            return Err(Refused::NotAllowed("not their right"));
        }
        let mut added = Vec::new();
        for user in users {
            let new = match self.place(chat)?.member(*user, now_ms) {
                Member::Left => Member::Member,
                Member::Restricted { is_member: false, until, permissions } => {
                    Member::Restricted { is_member: true, until, permissions }
                }
                _ => continue,
            };
            let person = self.people.get(user).ok_or(Refused::NotAllowed("no such person"))?.to_json();
            self.changed(now_ms, chat, *user, by, new)?;
            added.push(person);
        }
        if added.is_empty() {
            return Err(Refused::NotAllowed("all are in, or banned"));
        }
        if self.chats[&chat].spec.announces_joins {
            self.post(written(now_ms, by, None, "", json!({"new_chat_members": added})), by, true, chat);
        }
        Ok(())
    }

    /// Somebody edits a message of their own.
    pub(super) fn edit_own(
        &mut self,
        now_ms: i64,
        user: UserId,
        chat: ChatId,
        message: Option<MessageId>,
        text: &str,
    ) -> Result<(), Refused> {
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        if !place.spec.kind.is_group() || member.is_muted() || matches!(member, Member::Kicked { .. }) {
            return Err(Refused::NotAllowed("muted or banned"));
        }
        let mut own = place.messages.values().filter(|message| message.from == user);
        let found = match message {
            Some(id) => own.find(|message| message.id == id),
            None => own.next_back(),
        };
        let mut edited = found.ok_or(Refused::NotYet("they have written nothing"))?.clone();
        text.clone_into(&mut edited.text);
        edited.extra["text"] = json!(text);
        edited.extra["edit_date"] = json!(now_ms / 1000);
        let content = self.message_json(chat, &edited);
        if self.hears(chat, &edited, false) {
            self.emit(QueueKey::Messages(chat), "edited_message", now_ms, &content);
        }
        if let Some(place) = self.chats.get_mut(&chat) {
            place.messages.insert(edited.id, edited);
        }
        Ok(())
    }

    /// What a topic held goes with it, and nothing can be said there any more.
    pub(super) fn delete_topic(
        &mut self,
        now_ms: i64,
        admin: UserId,
        chat: ChatId,
        thread: i64,
    ) -> Result<(), Refused> {
        let place = self.place(chat)?;
        if !place.spec.is_forum || !place.member(admin, now_ms).rights().can_delete_messages {
            return Err(Refused::NotAllowed("not their right"));
        }
        let inside = place.messages.values().filter(|message| message.thread == Some(thread));
        for id in inside.map(|message| message.id).collect::<Vec<_>>() {
            self.delete(now_ms, chat, id, admin);
        }
        if let Some(place) = self.chats.get_mut(&chat) {
            place.gone_topics.insert(thread);
        }
        Ok(())
    }

    /// No update tells bots of it.
    pub(super) fn set_default_permissions(
        &mut self,
        now_ms: i64,
        admin: UserId,
        chat: ChatId,
        permissions: Permissions,
    ) -> Result<(), Refused> {
        if !self.place(chat)?.member(admin, now_ms).rights().can_restrict_members {
            return Err(Refused::NotAllowed("not their right"));
        }
        if let Some(place) = self.chats.get_mut(&chat) {
            place.spec.permissions = permissions;
        }
        Ok(())
    }

    /// `banChatSenderChat` and `unbanChatSenderChat`.
    pub(super) fn ban_sender_chat(&mut self, now_ms: i64, params: &Value, ban: bool) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        let chat = place.spec.id;
        if !matches!(place.spec.kind, ChatKind::Supergroup | ChatKind::Channel) {
            return Err(bad("method is available for supergroup and channel chats only"));
        }
        if !place.member(self.bot.id, now_ms).rights().can_restrict_members {
            return Err(bad("not enough rights to restrict/unrestrict chat member"));
        }
        let sender = integer(params, "sender_chat_id").map(ChatId).filter(|sender| self.chats.contains_key(sender));
        let sender = sender.ok_or_else(|| bad("chat not found"))?;
        if let Some(place) = self.chats.get_mut(&chat) {
            if ban {
                place.banned_senders.insert(sender);
            } else {
                place.banned_senders.remove(&sender);
            }
        }
        Ok(json!(true))
    }

    /// Whether nobody may write in the name of `sender` in `chat`.
    #[must_use]
    pub fn is_sender_banned(&self, chat: ChatId, sender: ChatId) -> bool {
        self.chats.get(&chat).is_some_and(|place| place.banned_senders.contains(&sender))
    }
}
