//! Invite links of the bot's own, and what chats are called.

use serde_json::{Value, json};

use super::{
    World,
    act::{Act, Refused},
    api::{ApiResult, bad, flag, text},
    ids::{ChatId, UserId},
    perform::written,
};

/// A link of the bot's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its address.
    pub url: String,
    /// What administrators see it under.
    pub name: String,
    /// Whether who follows it asks to be let in.
    pub asks: bool,
    /// Whether it leads in no more.
    pub is_revoked: bool,
}

impl World {
    pub(super) fn create_chat_invite_link(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let chat = self.invites(now_ms, params)?;
        let bot = self.bot.to_json();
        let place = self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))?;
        let url = format!("https://t.me/+own{}n{}", chat.0.unsigned_abs(), place.links.len());
        let (name, asks) = (text(params, "name").to_owned(), flag(params, "creates_join_request"));
        place.links.push(Link { url, name, asks, is_revoked: false });
        Ok(place.links[place.links.len() - 1].to_json(&bot))
    }

    pub(super) fn edit_chat_invite_link(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let chat = self.invites(now_ms, params)?;
        let bot = self.bot.to_json();
        let place = self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))?;
        let link = place.links.iter_mut().find(|link| link.url == text(params, "invite_link"));
        let link = link.ok_or_else(|| bad("INVITE_HASH_EXPIRED"))?;
        if !link.is_revoked {
            text(params, "name").clone_into(&mut link.name);
            link.asks = flag(params, "creates_join_request");
        }
        Ok(link.to_json(&bot))
    }

    fn invites(&self, now_ms: i64, params: &Value) -> Result<ChatId, super::api::ApiError> {
        let place = self.reached(now_ms, params)?;
        if place.member(self.bot.id, now_ms).rights().can_invite_users {
            Ok(place.spec.id)
        } else {
            Err(bad("not enough rights to manage chat invite link"))
        }
    }

    /// An administrator revokes every link that the bot has made.
    pub(super) fn revoke_links(&mut self, now_ms: i64, admin: UserId, chat: ChatId) -> Result<(), Refused> {
        if !self.place(chat)?.member(admin, now_ms).rights().can_invite_users {
            return Err(Refused::NotAllowed("not their right"));
        }
        let links = self.chats.get_mut(&chat).into_iter().flat_map(|place| &mut place.links);
        links.for_each(|link| link.is_revoked = true);
        Ok(())
    }

    /// A chat is called something else from now on.
    pub(super) fn rename(
        &mut self,
        now_ms: i64,
        admin: UserId,
        chat: ChatId,
        title: &str,
        username: Option<&str>,
    ) -> Result<(), Refused> {
        if !self.place(chat)?.member(admin, now_ms).rights().can_change_info {
            return Err(Refused::NotAllowed("not their right"));
        }
        let Some(place) = self.chats.get_mut(&chat) else { return Ok(()) };
        let is_told = place.spec.kind.is_group() && place.spec.title != title;
        title.clone_into(&mut place.spec.title);
        place.spec.username = username.map(str::to_owned);
        if is_told {
            self.post(written(now_ms, admin, None, "", json!({"new_chat_title": title})), admin, true, chat);
        }
        Ok(())
    }

    /// What somebody does who follows the newest link of the bot's into a chat; `None`: it leads nowhere.
    #[must_use]
    pub fn follow_link(&self, user: UserId, chat: ChatId) -> Option<Act> {
        let link = self.links(chat).last().filter(|link| !link.is_revoked)?;
        Some(if link.asks { Act::AskToJoin { user, chat } } else { Act::Join { user, chat } })
    }

    /// The links that the bot has made into a chat, oldest first.
    #[must_use]
    pub fn links(&self, chat: ChatId) -> &[Link] {
        self.chats.get(&chat).map_or(&[], |chat| &chat.links)
    }
}

impl Link {
    fn to_json(&self, creator: &Value) -> Value {
        json!({"invite_link": self.url, "name": self.name, "creator": creator, "creates_join_request": self.asks,
            "is_primary": false, "is_revoked": self.is_revoked})
    }
}
