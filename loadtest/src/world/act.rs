//! What people do.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Chat, ChatKind, ChatSpec, FIRST_QUERY, Happened, Member, Message, Permissions, Query, QueueKey, Rights, World,
    ids::{ChatId, MessageId, QueryId, UserId},
};

/// Something that a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Enters a chat.
    Join {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
    },
    /// Leaves a chat.
    Leave {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
    },
    /// Writes: in a group, to the bot in private, or a post in a channel (which goes on to the linked group).
    /// An anonymous administrator writes in the group's name.
    Write {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// What.
        #[serde(flatten)]
        content: Content,
        /// In which topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<i64>,
    },
    /// Writes in a group in the name of a channel that the person runs (E4, E5).
    WriteAs {
        /// Who.
        user: UserId,
        /// In which group.
        chat: ChatId,
        /// In whose name.
        sender: ChatId,
        /// What.
        #[serde(flatten)]
        content: Content,
    },
    /// Presses a callback button of the bot.
    Press {
        /// Who.
        user: UserId,
        /// Where.
        chat: ChatId,
        /// On which message; the newest one with a button if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
    },
    /// Takes away the right to write.
    AdminMute {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// To whom.
        user: UserId,
        /// For how many seconds; 0 means for ever.
        #[serde(default)]
        for_s: i64,
    },
    /// Lifts a restriction, whoever made it.
    AdminUnmute {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
    },
    /// Bans.
    AdminBan {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
    },
    /// Lifts a ban.
    AdminUnban {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whose.
        user: UserId,
    },
    /// Makes somebody an administrator, or changes their rights. Adding a bot with rights is this, too.
    Promote {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
        /// With which rights.
        rights: Rights,
    },
    /// Makes an administrator an ordinary member.
    Demote {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Whom.
        user: UserId,
    },
    /// Deletes a message.
    DeleteMessage {
        /// Who does it.
        admin: UserId,
        /// Where.
        chat: ChatId,
        /// Which; the newest one of the bot with a button if none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
    },
    /// Makes a basic group a supergroup, which has another id (E79).
    Upgrade {
        /// Who does it.
        admin: UserId,
        /// Which group.
        chat: ChatId,
        /// The id of the supergroup.
        to: ChatId,
    },
    /// Shuts the bot out of the private chat.
    Block {
        /// Who.
        user: UserId,
    },
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text; one that begins with `/` is a command.
    Text(String),
    /// A photo with its caption.
    Photo(String),
    /// One photo of an album with this id (E56).
    AlbumPhoto(String),
    /// A sticker.
    Sticker(String),
    /// Text by way of an inline bot (E8).
    ViaBot(String),
}

impl Content {
    /// Text or caption, and the rest of the message's JSON.
    fn parts(&self) -> (&str, Value) {
        let photo = || json!([{"file_id": "AgAD", "file_unique_id": "AQAD", "width": 320, "height": 240}]);
        match self {
            Self::Text(text) => {
                let mut extra = json!({"text": text});
                let command = text.split_whitespace().next().unwrap_or_default();
                if command.starts_with('/') {
                    let length = command.encode_utf16().count();
                    extra["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
                }
                (text, extra)
            }
            Self::Photo(caption) => (caption, json!({"caption": caption, "photo": photo()})),
            Self::AlbumPhoto(album) => ("", json!({"photo": photo(), "media_group_id": album})),
            Self::Sticker(emoji) => (
                "",
                json!({"sticker": {"file_id": "CAAD", "file_unique_id": "AgAD", "type": "regular", "width": 512,
                    "height": 512, "is_animated": false, "is_video": false, "emoji": emoji}}),
            ),
            Self::ViaBot(text) => (
                text,
                json!({"text": text, "via_bot": {"id": 140_267_078, "is_bot": true, "first_name": "gif",
                    "username": "gif"}}),
            ),
        }
    }
}

/// Why a person cannot do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Refused {
    /// Telegram does not let them.
    NotAllowed(&'static str),
    /// What the act is about is not there; it may come.
    NotYet(&'static str),
}

use Refused::{NotAllowed, NotYet};

impl Act {
    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> UserId {
        match self {
            Self::Join { user, .. }
            | Self::Leave { user, .. }
            | Self::Write { user, .. }
            | Self::WriteAs { user, .. }
            | Self::Press { user, .. }
            | Self::Block { user } => *user,
            Self::AdminMute { admin, .. }
            | Self::AdminUnmute { admin, .. }
            | Self::AdminBan { admin, .. }
            | Self::AdminUnban { admin, .. }
            | Self::Promote { admin, .. }
            | Self::Demote { admin, .. }
            | Self::DeleteMessage { admin, .. }
            | Self::Upgrade { admin, .. } => *admin,
        }
    }
}

impl World {
    /// A person does something.
    ///
    /// # Errors
    /// [`Refused`] where Telegram does not let them; nothing has changed then.
    pub fn act(&mut self, now_ms: i64, act: Act) -> Result<(), Refused> {
        let done = self.perform(now_ms, &act);
        self.note(now_ms, Happened::Acted { act, refused: done.err() });
        done
    }

    fn perform(&mut self, now_ms: i64, act: &Act) -> Result<(), Refused> {
        match act {
            Act::Join { user, chat } => self.join(now_ms, *user, *chat),
            Act::Leave { user, chat } => self.leave(now_ms, *user, *chat),
            Act::Write { user, chat, content, thread } => self.write(now_ms, *user, *chat, content, *thread),
            Act::WriteAs { user, chat, sender, content } => {
                let runs = self.place(*sender)?.member(*user, now_ms).is_admin();
                if !runs || !self.place(*chat)?.spec.kind.is_group() {
                    return Err(NotAllowed("only who runs a channel writes in its name"));
                }
                let (text, extra) = content.parts();
                let message = written(now_ms, UserId::CHANNEL_BOT, Some(*sender), text, extra);
                self.post(message, *user, false, *chat);
                Ok(())
            }
            Act::Press { user, chat, message } => self.press(now_ms, *user, *chat, *message),
            Act::AdminMute { admin, chat, user, for_s } => {
                let old = self.target(now_ms, *admin, *chat, *user)?;
                let until = if *for_s == 0 { 0 } else { now_ms / 1000 + for_s };
                let muted = Member::Restricted { is_member: old.is_in(), until, permissions: Permissions::NONE };
                self.changed(now_ms, *chat, *user, *admin, muted)
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

    fn changed(&mut self, now_ms: i64, chat: ChatId, user: UserId, by: UserId, new: Member) -> Result<(), Refused> {
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
    ) -> Result<(), Refused> {
        if chat == user.private_chat() {
            self.open_private_chat(now_ms, user)?;
        }
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        let (text, extra) = content.parts();
        let mut message = written(now_ms, user, None, text, extra);
        message.thread = thread.filter(|_| place.spec.is_forum);
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
                if member.is_muted() || !(member.is_in() || outside) {
                    return Err(NotAllowed("muted, banned or not in"));
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
            place.members.insert(self.bot.id, Member::Member);
        }
        Ok(())
    }

    fn named_or_newest(&self, chat: ChatId, message: Option<MessageId>) -> Result<MessageId, Refused> {
        let newest = || self.button_messages(chat).next_back().map(|m| m.id);
        message.or_else(newest).ok_or(NotYet("no message with a button stands"))
    }

    fn press(&mut self, now_ms: i64, user: UserId, chat: ChatId, message: Option<MessageId>) -> Result<(), Refused> {
        let place = self.place(chat)?;
        let member = place.member(user, now_ms);
        let open = place.spec.open_to_outsiders || place.spec.kind == ChatKind::Private;
        if matches!(member, Member::Kicked { .. }) || !(member.is_in() || open) {
            return Err(NotAllowed("they do not see that chat"));
        }
        let id = self.named_or_newest(chat, message)?;
        let pressed = place.messages.get(&id).ok_or(NotAllowed("the message is gone"))?;
        let data = pressed.callback_data().ok_or(NotAllowed("the message has no button"))?.to_owned();
        let person = self.people.get(&user).ok_or(NotAllowed("no such person"))?;
        let query = QueryId(FIRST_QUERY + self.queries.len() as i64);
        let content = json!({
            "id": query.to_string(),
            "from": person.to_json(),
            "message": self.message_json(chat, pressed),
            "chat_instance": chat.to_string(),
            "data": data,
        });
        self.queries.insert(query, Query { at_ms: now_ms });
        self.note(now_ms, Happened::Pressed { query, user, chat, message: id });
        self.emit(QueueKey::Presses(user), "callback_query", now_ms, &content);
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
