//! Requests to be let into a chat (E23–E26).

use serde_json::{Value, json};

use super::{
    Chat, ChatKind, ChatSpec, QueueKey, World,
    act::Refused,
    api::{ApiError, ApiResult, bad, integer},
    ids::{ChatId, UserId},
    member::Member,
};

/// For so long a message reaches somebody who asked and has never spoken to the bot, unless the request is answered sooner.
const REACHABLE_MS: i64 = 300_000;

impl World {
    pub(super) fn ask_to_join(&mut self, now_ms: i64, user: UserId, chat: ChatId) -> Result<(), Refused> {
        let place = self.place(chat)?;
        if !matches!(place.member(user, now_ms), Member::Left | Member::Restricted { is_member: false, .. }) {
            return Err(Refused::NotAllowed("in already, or banned"));
        }
        if place.requests.contains_key(&user) {
            return Err(Refused::NotAllowed("asked already"));
        }
        let person = self.people.get(&user).ok_or(Refused::NotAllowed("no such person"))?.clone();
        let told = place.member(self.bot.id, now_ms).rights().can_invite_users;
        let content = json!({
            "chat": place.spec.to_json(),
            "from": person.to_json(),
            "user_chat_id": user,
            "date": now_ms / 1000,
        });
        if let Some(place) = self.chats.get_mut(&chat) {
            place.requests.insert(user, now_ms);
        }
        if told {
            let me = self.bot.id;
            self.chats.entry(user.private_chat()).or_insert_with(|| {
                let mut private =
                    Chat::found(ChatSpec::new(user.private_chat(), ChatKind::Private, &person.first_name));
                private.members.insert(me, Member::Member);
                private.reachable_until_ms = Some(now_ms + REACHABLE_MS);
                private
            });
            self.emit(QueueKey::Member(user), "chat_join_request", now_ms, &content);
        }
        Ok(())
    }

    /// Somebody who may do so answers a request.
    pub(super) fn answer_request(
        &mut self,
        now_ms: i64,
        chat: ChatId,
        user: UserId,
        by: UserId,
        granted: bool,
    ) -> Result<(), ApiError> {
        let place = self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))?;
        if place.member(user, now_ms).is_in() {
            place.requests.remove(&user);
            return Err(bad("USER_ALREADY_PARTICIPANT"));
        }
        place.requests.remove(&user).ok_or_else(|| bad("HIDE_REQUESTER_MISSING"))?;
        let new = match place.member(user, now_ms) {
            Member::Restricted { until, permissions, .. } => Member::Restricted { is_member: true, until, permissions },
            _ => Member::Member,
        };
        if let Some(private) = self.chats.get_mut(&user.private_chat())
            && let Some(until_ms) = &mut private.reachable_until_ms
        {
            *until_ms = now_ms;
        }
        if granted {
            self.change_via(now_ms, chat, user, by, new, json!({"via_join_request": true}));
        }
        Ok(())
    }

    pub(super) fn answer_join_request(&mut self, now_ms: i64, params: &Value, granted: bool) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        let chat = place.spec.id;
        if !place.member(self.bot.id, now_ms).rights().can_invite_users {
            return Err(bad("not enough rights to manage chat join requests in the chat"));
        }
        let user = integer(params, "user_id").filter(|id| *id > 0).map(UserId);
        let user = user.ok_or_else(|| bad("invalid user_id specified"))?;
        if !self.people.contains_key(&user) {
            return Err(bad("user not found"));
        }
        self.answer_request(now_ms, chat, user, self.bot.id, granted)?;
        Ok(json!(true))
    }

    /// Who waits to be let into a chat.
    #[must_use]
    pub fn waits_to_be_let_in(&self, chat: ChatId, user: UserId) -> bool {
        self.chats.get(&chat).is_some_and(|place| place.requests.contains_key(&user))
    }
}
