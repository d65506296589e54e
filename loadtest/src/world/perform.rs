//! How what people do changes the world.

use serde_json::{Value, json};

use super::{
    Act, Chat, ChatKind, ChatSpec, Content, Happened, Member, Message, Permissions, Pressed, Refused, World,
    ids::{ChatId, MessageId, UserId},
};
use Refused::{NotAllowed, NotYet};

impl World {
    /// A person does something.
    ///
    /// # Errors
    /// [`Refused`] where Telegram does not let them; nothing has changed then.
    pub fn act(&mut self, now_ms: i64, act: Act) -> Result<(), Refused> {
        self.tell_late(now_ms);
        let done = self.perform(now_ms, &act);
        self.note(now_ms, Happened::Acted { act, refused: done.err() });
        done
    }

    /// The newest settings that the bot has written in a chat, as JSON.
    fn exported(&self, chat: ChatId) -> Option<String> {
        let mut messages = self.chat(chat)?.messages();
        let message = messages.rfind(|said| said.from == self.bot.id && said.text.contains("\"nezuko_settings\""))?;
        let (begin, end) = (message.text.find('{')?, message.text.rfind('}')?);
        Some(message.text[begin..=end].to_owned())
    }

    fn perform(&mut self, now_ms: i64, act: &Act) -> Result<(), Refused> {
        match act {
            Act::Join { user, chat } => self.join(now_ms, *user, *chat),
            Act::AskToJoin { user, chat } => self.ask_to_join(now_ms, *user, *chat),
            Act::AnswerRequest { admin, chat, user, granted } => {
                if !self.place(*chat)?.member(*admin, now_ms).rights().can_invite_users {
                    return Err(NotAllowed("not their right"));
                }
                self.answer_request(now_ms, *chat, *user, *admin, *granted).map_err(|_| NotYet("no such request"))
            }
            Act::Leave { user, chat } => self.leave(now_ms, *user, *chat),
            Act::Write { user, chat, content, thread } => self.write(now_ms, *user, *chat, content, *thread, None),
            Act::Reply { user, chat, to, content } => {
                let thread = self.place(*chat)?.messages.get(to).ok_or(NotAllowed("the message is gone"))?.thread;
                self.write(now_ms, *user, *chat, content, thread, Some(*to))
            }
            Act::WriteAs { user, chat, sender, content } => {
                let runs = self.place(*sender)?.member(*user, now_ms).is_admin();
                let place = self.place(*chat)?;
                if !runs || !place.spec.kind.is_group() || place.banned_senders.contains(sender) {
                    return Err(NotAllowed("only who runs a channel that is not banned writes in its name"));
                }
                let (text, extra) = content.parts();
                let message = written(now_ms, UserId::CHANNEL_BOT, Some(*sender), text, extra);
                self.post(message, *user, false, *chat);
                Ok(())
            }
            Act::Press { user, chat, message } => self.press(now_ms, *user, *chat, *message, None),
            Act::PressButton { user, chat, message, button } => {
                self.press(now_ms, *user, *chat, Some(*message), Some(button))
            }
            Act::BringSettings { user, from, to } => {
                let exported = self.exported(*from).ok_or(NotYet("nothing is exported"))?;
                let content = Content::Text(format!("/import {exported}"));
                self.write(now_ms, *user, *to, &content, None, None)
            }
            Act::Operate { .. } => Ok(()),
            Act::PressLabelled { user, chat, label } => {
                let message = self.newest_labelled(*chat, label)?;
                self.press(now_ms, *user, *chat, Some(message), Some(&Pressed::Labelled(label.clone())))
            }
            Act::CallOneself { user, first_name } => {
                let person = self.people.get_mut(user).ok_or(NotAllowed("no such person"))?;
                person.first_name.clone_from(first_name);
                Ok(())
            }
            Act::AdminMute { admin, chat, user, for_s } => {
                let old = self.target(now_ms, *admin, *chat, *user)?;
                let until = if *for_s == 0 { 0 } else { now_ms / 1000 + for_s };
                let muted = Member::Restricted { is_member: old.is_in(), until, permissions: Permissions::NONE };
                self.changed(now_ms, *chat, *user, *admin, muted)
            }
            Act::Edit { user, chat, message, text } => self.edit_own(now_ms, *user, *chat, *message, text),
            Act::Add { by, chat, users } => self.add(now_ms, *by, *chat, users),
            Act::AdminRestrict { admin, chat, user, permissions, for_s } => {
                let old = self.target(now_ms, *admin, *chat, *user)?;
                let until = if *for_s == 0 { 0 } else { now_ms / 1000 + for_s };
                let restricted = Member::Restricted { is_member: old.is_in(), until, permissions: *permissions };
                self.changed(now_ms, *chat, *user, *admin, restricted)
            }
            Act::AdminAmend { admin, chat, user, permissions } => match self.target(now_ms, *admin, *chat, *user)? {
                Member::Restricted { is_member, until, .. } => {
                    let amended = Member::Restricted { is_member, until, permissions: *permissions };
                    self.changed(now_ms, *chat, *user, *admin, amended)
                }
                _ => Err(NotYet("they are not restricted")),
            },
            Act::DeleteTopic { admin, chat, thread } => self.delete_topic(now_ms, *admin, *chat, *thread),
            Act::SetPermissions { admin, chat, permissions } => {
                self.set_default_permissions(now_ms, *admin, *chat, *permissions)
            }
            Act::AdminUnmute { admin, chat, user } => match self.target(now_ms, *admin, *chat, *user)? {
                Member::Restricted { is_member, .. } => {
                    let free = if is_member { Member::Member } else { Member::Left };
                    self.changed(now_ms, *chat, *user, *admin, free)
                }
                _ => Err(NotYet("they are not restricted")),
            },
            Act::AdminBan { admin, chat, user } => {
                self.target(now_ms, *admin, *chat, *user)?;
                self.changed(now_ms, *chat, *user, *admin, Member::Kicked { until: 0 })
            }
            Act::AdminUnban { admin, chat, user } => match self.target(now_ms, *admin, *chat, *user)? {
                Member::Kicked { .. } => self.changed(now_ms, *chat, *user, *admin, Member::Left),
                _ => Err(NotYet("they are not banned")),
            },
            Act::Promote { admin, chat, user, rights } => {
                self.promoter(now_ms, *admin, *chat, *user)?;
                self.changed(now_ms, *chat, *user, *admin, Member::Administrator(*rights))
            }
            Act::Demote { admin, chat, user } => {
                self.promoter(now_ms, *admin, *chat, *user)?;
                if !self.member(*chat, *user, now_ms).is_admin() {
                    return Err(NotAllowed("they are no administrator"));
                }
                self.changed(now_ms, *chat, *user, *admin, Member::Member)
            }
            Act::DeleteMessage { admin, chat, message } => {
                if !self.place(*chat)?.member(*admin, now_ms).rights().can_delete_messages {
                    return Err(NotAllowed("not their right"));
                }
                let id = self.named_or_newest(*chat, *message)?;
                self.delete(now_ms, *chat, id, *admin);
                Ok(())
            }
            Act::Upgrade { admin, chat, to } => self.upgrade(now_ms, *admin, *chat, *to),
            Act::RevokeLinks { admin, chat } => self.revoke_links(now_ms, *admin, *chat),
            Act::Rename { admin, chat, title, username } => {
                self.rename(now_ms, *admin, *chat, title, username.as_deref())
            }
            Act::Block { user } => {
                let (chat, bot) = (user.private_chat(), self.bot.id);
                self.chats.get_mut(&chat).ok_or(NotAllowed("they never wrote to the bot"))?.blocked = true;
                self.changed(now_ms, chat, bot, *user, Member::Kicked { until: 0 })
            }
        }
    }

    /// A chat in which somebody can act.
    pub(super) fn place(&self, chat: ChatId) -> Result<&Chat, Refused> {
        let place = self.chats.get(&chat).ok_or(NotAllowed("no such chat"))?;
        if place.upgraded_to.is_some() { Err(NotAllowed("it has become a supergroup")) } else { Ok(place) }
    }

    pub(super) fn changed(
        &mut self,
        now_ms: i64,
        chat: ChatId,
        user: UserId,
        by: UserId,
        new: Member,
    ) -> Result<(), Refused> {
        if self.change(now_ms, chat, user, by, new) { Ok(()) } else { Err(NotAllowed("it is so already")) }
    }

    /// Checks that `admin` may restrict `user`, and says how the user stands.
    fn target(&self, now_ms: i64, admin: UserId, chat: ChatId, user: UserId) -> Result<Member, Refused> {
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        if !place.member(admin, now_ms).rights().can_restrict_members || member.is_admin() {
            return Err(NotAllowed("not their right"));
        }
        Ok(member)
    }

    fn promoter(&self, now_ms: i64, admin: UserId, chat: ChatId, user: UserId) -> Result<(), Refused> {
        let place = self.place(chat)?;
        let owner = matches!(place.member(user, now_ms), Member::Creator { .. });
        if owner || !place.member(admin, now_ms).rights().can_promote_members {
            return Err(NotAllowed("not their right"));
        }
        Ok(())
    }

    fn join(&mut self, now_ms: i64, user: UserId, chat: ChatId) -> Result<(), Refused> {
        let new = match self.place(chat)?.member(user, now_ms) {
            Member::Left => Member::Member,
            Member::Restricted { is_member: false, until, permissions } => {
                Member::Restricted { is_member: true, until, permissions }
            }
            Member::Kicked { .. } => return Err(NotAllowed("banned")),
            _ => return Err(NotAllowed("already in")),
        };
        self.changed(now_ms, chat, user, user, new)?;
        self.announce(now_ms, chat, user, "new_chat_members");
        Ok(())
    }

    fn leave(&mut self, now_ms: i64, user: UserId, chat: ChatId) -> Result<(), Refused> {
        let new = match self.place(chat)?.member(user, now_ms) {
            Member::Administrator(_) | Member::Member => Member::Left,
            Member::Restricted { is_member: true, until, permissions } => {
                Member::Restricted { is_member: false, until, permissions }
            }
            _ => return Err(NotAllowed("not in, or the owner")),
        };
        self.changed(now_ms, chat, user, user, new)?;
        self.announce(now_ms, chat, user, "left_chat_member");
        Ok(())
    }

    fn announce(&mut self, now_ms: i64, chat: ChatId, user: UserId, field: &str) {
        if !self.chats[&chat].spec.announces_joins {
            return;
        }
        let Some(person) = self.people.get(&user) else { return };
        let who = person.to_json();
        let extra = if field == "new_chat_members" { json!({field: [who]}) } else { json!({field: who}) };
        self.post(written(now_ms, user, None, "", extra), user, true, chat);
    }

    fn write(
        &mut self,
        now_ms: i64,
        user: UserId,
        chat: ChatId,
        content: &Content,
        thread: Option<i64>,
        reply_to: Option<MessageId>,
    ) -> Result<(), Refused> {
        if chat == user.private_chat() {
            self.open_private_chat(now_ms, user)?;
        }
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        let (text, extra) = content.parts();
        let mut message = written(now_ms, user, None, text, extra);
        message.thread = thread.filter(|_| place.spec.is_forum);
        message.reply_to = reply_to;
        if let Content::Forwarded { from, .. } = content {
            let channel = self.place(*from)?.spec.to_json();
            message.extra["forward_origin"] =
                json!({"type": "channel", "date": now_ms / 1000, "chat": channel, "message_id": 1});
        }
        match place.spec.kind {
            ChatKind::Private => {}
            ChatKind::Channel => {
                if !member.is_admin() {
                    return Err(NotAllowed("only administrators post"));
                }
                message.sender_chat = Some(chat);
                return self.publish(user, chat, message);
            }
            ChatKind::Group | ChatKind::Supergroup => {
                let outside = matches!(member, Member::Left) && place.spec.open_to_outsiders;
                let silent = !place.spec.permissions.can_send_messages() && !member.is_admin();
                if member.is_muted() || silent || !(member.is_in() || outside) {
                    return Err(NotAllowed("muted, banned or not in"));
                }
                if message.thread.is_some_and(|thread| place.gone_topics.contains(&thread)) {
                    return Err(NotAllowed("no such topic"));
                }
                if member.is_admin() && member.rights().is_anonymous {
                    message.from = UserId::GROUP_ANONYMOUS_BOT;
                    message.sender_chat = Some(chat);
                }
            }
        }
        self.post(message, user, false, chat);
        Ok(())
    }

    /// A channel's post goes on to the linked group as Telegram's own forward (E1).
    fn publish(&mut self, user: UserId, channel: ChatId, message: Message) -> Result<(), Refused> {
        let mut forward = message.clone();
        self.post(message, user, false, channel);
        if let Some(group) = self.place(channel)?.spec.linked {
            forward.from = UserId::TELEGRAM;
            forward.extra["is_automatic_forward"] = json!(true);
            self.post(forward, UserId::TELEGRAM, false, group);
        }
        Ok(())
    }

    fn open_private_chat(&mut self, now_ms: i64, user: UserId) -> Result<(), Refused> {
        let chat = user.private_chat();
        let name = &self.people.get(&user).ok_or(NotAllowed("no such person"))?.first_name;
        let opened = || Chat::found(ChatSpec::new(chat, ChatKind::Private, name));
        if self.chats.entry(chat).or_insert_with(opened).blocked {
            let bot = self.bot.id;
            self.change(now_ms, chat, bot, user, Member::Member);
        }
        if let Some(place) = self.chats.get_mut(&chat) {
            place.blocked = false;
            place.reachable_until_ms = None;
            place.members.insert(self.bot.id, Member::Member);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, now_ms: i64, chat: ChatId, message: MessageId, by: UserId) -> bool {
        let gone = self.chats.get_mut(&chat).and_then(|place| place.messages.remove(&message)).is_some();
        if gone {
            self.note(now_ms, Happened::Deleted { chat, message, by });
        }
        gone
    }
}

/// A message that has no id yet.
pub(super) fn written(at_ms: i64, from: UserId, sender_chat: Option<ChatId>, text: &str, extra: Value) -> Message {
    Message {
        id: MessageId(0),
        thread: None,
        from,
        sender_chat,
        at_ms,
        text: text.to_owned(),
        reply_to: None,
        markup: Value::Null,
        extra,
    }
}
