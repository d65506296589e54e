//! A basic group becomes a supergroup.
//!
//! The supergroup is a chat of its own: with another id, messages numbered anew, and everybody who was in the group, the bot
//! with them. The bot is told that it is in the supergroup, and never that it is out of the group; a note stands in either.
//! In the group nobody can do anything any more, and each call about it names the supergroup.

use serde_json::json;

use super::{
    ChatKind, ChatSpec, Member, Refused, World,
    ids::{ChatId, UserId},
    perform::written,
};

impl World {
    pub(super) fn upgrade(&mut self, now_ms: i64, admin: UserId, chat: ChatId, to: ChatId) -> Result<(), Refused> {
        let group = self.place(chat)?;
        let is_owner = matches!(group.member(admin, now_ms), Member::Creator { .. });
        if group.spec.kind != ChatKind::Group || !is_owner || self.chats.contains_key(&to) {
            return Err(Refused::NotAllowed("only a basic group's owner, to an id that is free"));
        }
        let bot = self.bot.id;
        let as_bot = group.member(bot, now_ms);
        let come_along = group.members(now_ms).filter(|(user, member, _)| member.is_in() && *user != bot);
        let members = come_along.map(|(user, member, _)| (user, member)).collect();
        let spec = ChatSpec { id: to, kind: ChatKind::Supergroup, members, ..group.spec.clone() };
        self.add_chat(now_ms, spec);
        if as_bot.is_in() {
            self.change(now_ms, to, bot, admin, as_bot);
        }
        let note = json!({"migrate_to_chat_id": to});
        self.post(written(now_ms, admin, None, "", note), admin, true, chat);
        let note = json!({"migrate_from_chat_id": chat});
        self.post(written(now_ms, UserId::GROUP_ANONYMOUS_BOT, Some(to), "", note), admin, true, to);
        if let Some(group) = self.chats.get_mut(&chat) {
            group.upgraded_to = Some(to);
        }
        Ok(())
    }
}
