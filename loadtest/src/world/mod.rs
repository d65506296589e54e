//! A pure, deterministic model of Telegram around one bot.
//!
//! No I/O and no clock: every call is told the time. People act ([`World::act`]), the bot calls methods
//! ([`World::call`]), both change the same state, and each change leaves the updates that Telegram would send
//! ([`World::take_updates`]) and an entry in the history ([`World::history`]).
//!
//! Error texts and rules are those of tdlib/telegram-bot-api 10.0 and TDLib.

mod act;
mod api;
mod api_members;
mod api_messages;
mod chat;
mod content;
mod formatting;
mod history;
mod ids;
mod invites;
mod late;
mod member;
mod moderation;
mod people;
mod perform;
mod press;
mod requests;
mod updates;
mod upgrade;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::updates::{DAY_MS, PRESS_MS};
pub use self::{
    act::{Act, Refused},
    api::{Answer, WebhookInfo},
    chat::{Chat, ChatKind, ChatSpec, Message},
    content::Content,
    formatting::plain_text,
    history::{Entry, Happened},
    ids::{ChatId, MessageId, QueryId, UserId},
    invites::Link,
    member::{Member, Permissions, Rights},
    people::Person,
    press::Pressed,
    updates::{Emitted, QueueKey},
};

/// How this Telegram differs from the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Whether the bot gets `chat_member` updates about its own acts.
    pub echo_own_acts: bool,
    /// How old an answer of `getChatMember` may be, because Telegram answers lookups from a cache.
    pub stale_lookups_ms: i64,
    /// For how long neither lookups nor updates show that somebody has come or gone.
    pub membership_lag_ms: i64,
}

impl Default for Switches {
    fn default() -> Self {
        Self { echo_own_acts: true, stale_lookups_ms: 0, membership_lag_ms: 0 }
    }
}

/// A press that waits for its answer.
#[derive(Clone, Debug)]
struct Query {
    at_ms: i64,
    answered: bool,
}

/// All of Telegram that one bot can see.
#[derive(Clone, Debug)]
pub struct World {
    /// How it differs from the usual one.
    pub switches: Switches,
    bot: Person,
    people: BTreeMap<UserId, Person>,
    chats: BTreeMap<ChatId, Chat>,
    queries: BTreeMap<QueryId, Query>,
    lookups: BTreeMap<(ChatId, UserId), (i64, Member)>,
    late: Vec<late::Late>,
    webhook: WebhookInfo,
    /// The menus of commands, by scope and language.
    commands: BTreeMap<(String, String), Value>,
    next_update: i64,
    updates: Vec<Emitted>,
    history: Vec<Entry>,
}

/// The server begins anywhere in 2,000,001 … 1e9.
const FIRST_UPDATE: i64 = 300_000_001;
/// Press ids are large numbers.
const FIRST_QUERY: i64 = 3_600_000_000_000_001;

impl World {
    /// A world with nothing in it but the bot and Telegram's own accounts.
    #[must_use]
    pub fn new(bot: Person) -> Self {
        let mut people: BTreeMap<_, _> = people::service_accounts().into_iter().map(|p| (p.id, p)).collect();
        people.insert(bot.id, bot.clone());
        Self {
            switches: Switches::default(),
            bot,
            people,
            chats: BTreeMap::new(),
            queries: BTreeMap::new(),
            lookups: BTreeMap::new(),
            late: Vec::new(),
            webhook: WebhookInfo::default(),
            commands: BTreeMap::new(),
            next_update: FIRST_UPDATE,
            updates: Vec::new(),
            history: Vec::new(),
        }
    }

    /// A bot account as `@BotFather` makes them.
    #[must_use]
    pub fn bot_account(id: UserId, username: &str) -> Person {
        Person { is_bot: true, username: Some(username.to_owned()), ..Person::named(id, "Nezuko") }
    }

    /// Makes a person known.
    pub fn add_person(&mut self, person: Person) {
        self.people.insert(person.id, person);
    }

    /// Founds a chat.
    pub fn add_chat(&mut self, now_ms: i64, spec: ChatSpec) {
        for (user, member) in &spec.members {
            self.note(now_ms, Happened::Founded { chat: spec.id, user: *user, member: *member });
        }
        self.chats.insert(spec.id, Chat::found(spec));
    }

    /// The bot.
    #[must_use]
    pub const fn bot(&self) -> &Person {
        &self.bot
    }

    /// Somebody.
    #[must_use]
    pub fn person(&self, user: UserId) -> Option<&Person> {
        self.people.get(&user)
    }

    /// A chat.
    #[must_use]
    pub fn chat(&self, chat: ChatId) -> Option<&Chat> {
        self.chats.get(&chat)
    }

    /// All chats.
    pub fn chats(&self) -> impl Iterator<Item = &Chat> {
        self.chats.values()
    }

    /// The chat with this username (without the `@`).
    #[must_use]
    pub fn chat_named(&self, username: &str) -> Option<&Chat> {
        self.chats.values().find(|c| c.spec.username.as_deref().is_some_and(|u| u.eq_ignore_ascii_case(username)))
    }

    /// How somebody stands in a chat; `Left` in chats that are not there.
    #[must_use]
    pub fn member(&self, chat: ChatId, user: UserId, now_ms: i64) -> Member {
        self.chats.get(&chat).map_or(Member::Left, |c| c.member(user, now_ms))
    }

    /// Whether the bot restricts this person there now: they are muted, and it was the last to change that.
    #[must_use]
    pub fn is_muted_by_bot(&self, chat: ChatId, user: UserId, now_ms: i64) -> bool {
        self.chats.get(&chat).is_some_and(|c| {
            c.member(user, now_ms).is_muted() && c.changed_by.get(&user).is_some_and(|by| *by == self.bot.id)
        })
    }

    /// The bot's standing messages with a callback button in a chat, oldest first.
    pub fn button_messages(&self, chat: ChatId) -> impl DoubleEndedIterator<Item = &Message> {
        let bot = self.bot.id;
        let chat = self.chats.get(&chat);
        chat.into_iter().flat_map(Chat::messages).filter(move |m| m.from == bot && m.callback_data().is_some())
    }

    /// Whether the bot has still to answer a press that it can answer.
    #[must_use]
    pub fn has_open_presses(&self, now_ms: i64) -> bool {
        self.queries.values().any(|query| !query.answered && now_ms < query.at_ms + PRESS_MS)
    }

    /// The menu of commands that the bot has set for a scope (`default`, `all_chat_administrators` …) and language (empty: for
    /// all others); null if none.
    #[must_use]
    pub fn commands(&self, scope: &str, language: &str) -> &Value {
        self.commands.get(&(scope.to_owned(), language.to_owned())).unwrap_or(&Value::Null)
    }

    /// Everything that happened, in order.
    #[must_use]
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// What the bot registered with `setWebhook`.
    #[must_use]
    pub const fn webhook(&self) -> &WebhookInfo {
        &self.webhook
    }

    /// Tells `getWebhookInfo` how many updates wait.
    pub const fn set_pending_updates(&mut self, count: usize) {
        self.webhook.pending_update_count = count;
    }

    /// Hands out what was emitted since the last time, in order.
    pub fn take_updates(&mut self) -> Vec<Emitted> {
        std::mem::take(&mut self.updates)
    }

    /// An update that came about at `emitted_ms` has been taken in: what the bot does before that, it does without it.
    pub fn delivered(&mut self, now_ms: i64, emitted_ms: i64) {
        self.note(now_ms, Happened::Delivered { emitted_ms });
    }

    /// A delivery to the webhook failed; `getWebhookInfo` tells so.
    pub fn delivery_failed(&mut self, now_ms: i64, error: String) {
        self.webhook.last_error = Some((now_ms, error));
    }

    fn note(&mut self, at_ms: i64, what: Happened) {
        self.history.push(Entry { at_ms, what });
    }

    /// Emits an update if the webhook wants its kind.
    fn emit(&mut self, queue: QueueKey, kind: &'static str, at_ms: i64, content: &Value) -> bool {
        if !self.webhook.wants(kind) {
            return false;
        }
        let update = Emitted::new(self.next_update, queue, kind, at_ms, content);
        self.next_update += 1;
        self.updates.push(update);
        true
    }

    /// Changes a standing, tells the bot and notes it; false if nothing changed.
    fn change(&mut self, now_ms: i64, chat: ChatId, user: UserId, by: UserId, new: Member) -> bool {
        self.change_via(now_ms, chat, user, by, new, json!({}))
    }

    /// The same; `how` is the rest of what the update tells.
    fn change_via(&mut self, now_ms: i64, chat: ChatId, user: UserId, by: UserId, new: Member, how: Value) -> bool {
        let Some(place) = self.chats.get_mut(&chat) else { return false };
        let old = place.member(user, now_ms);
        if old == new {
            return false;
        }
        place.members.insert(user, new);
        if by != user {
            place.changed_by.insert(user, by); // leaving and coming back leaves a restriction with its author
        }
        let told = if by == user && self.switches.membership_lag_ms > 0 {
            self.keep_back(now_ms, chat, user, (old, new), how);
            false
        } else {
            self.tell_change(now_ms, chat, user, by, (old, new), how)
        };
        self.note(now_ms, Happened::Changed { chat, user, by, old, new, told });
        true
    }

    fn tell_change(
        &mut self,
        now_ms: i64,
        chat: ChatId,
        user: UserId,
        by: UserId,
        (old, new): (Member, Member),
        mut content: Value,
    ) -> bool {
        let place = &self.chats[&chat];
        let is_me = user == self.bot.id;
        let hears = is_me || place.member(self.bot.id, now_ms).is_admin();
        let silenced = by == self.bot.id && !is_me && !self.switches.echo_own_acts;
        let (Some(person), Some(author)) = (self.people.get(&user), self.people.get(&by)) else { return false };
        if !hears || silenced {
            return false;
        }
        content["chat"] = place.spec.to_json();
        content["from"] = author.to_json();
        content["date"] = json!(now_ms / 1000);
        content["old_chat_member"] = old.to_json(person);
        content["new_chat_member"] = new.to_json(person);
        let (queue, kind) =
            if is_me { (QueueKey::MyMember(chat), "my_chat_member") } else { (QueueKey::Member(user), "chat_member") };
        self.emit(queue, kind, now_ms, &content)
    }

    /// Puts a message into a chat and tells the bot, unless it is the bot's own.
    fn post(&mut self, mut message: Message, author: UserId, service: bool, chat: ChatId) -> MessageId {
        let at_ms = message.at_ms;
        let id = self.chats.get_mut(&chat).map_or(MessageId(0), Chat::next_message);
        message.id = id;
        let told = author != self.bot.id && self.hears(chat, &message, service) && {
            let kind = if self.chats[&chat].spec.kind == ChatKind::Channel { "channel_post" } else { "message" };
            let content = self.message_json(chat, &message);
            self.emit(QueueKey::Messages(chat), kind, at_ms, &content)
        };
        let what = Happened::Sent {
            chat,
            message: id,
            thread: message.thread,
            author,
            from: message.from,
            sender_chat: message.sender_chat,
            service,
            text: message.text.clone(),
            reply_to: message.reply_to,
            has_button: message.callback_data().is_some(),
            told,
        };
        self.note(at_ms, what);
        if let Some(place) = self.chats.get_mut(&chat) {
            place.messages.insert(id, message);
        }
        id
    }

    /// Administrators get everything; a plain member with privacy mode gets commands, replies to it and service messages.
    fn hears(&self, chat: ChatId, message: &Message, service: bool) -> bool {
        if self.people.get(&message.from).is_some_and(|p| p.is_bot && !p.id.is_service()) {
            return false; // bots do not see other bots' messages (E81)
        }
        let place = &self.chats[&chat];
        match place.spec.kind {
            ChatKind::Private => true,
            ChatKind::Channel => place.member(self.bot.id, message.at_ms).is_admin(),
            ChatKind::Group | ChatKind::Supergroup => {
                let me = place.member(self.bot.id, message.at_ms);
                let to_me =
                    || message.reply_to.and_then(|id| place.messages.get(&id)).is_some_and(|m| m.from == self.bot.id);
                me.is_admin() || me.is_in() && (service || message.text.starts_with('/') || to_me())
            }
        }
    }

    /// `Message` as the Bot API shows it.
    fn message_json(&self, chat: ChatId, message: &Message) -> Value {
        let place = &self.chats[&chat];
        let mut out = message.extra.clone();
        if out.is_null() {
            out = json!({});
        }
        out["message_id"] = json!(message.id);
        out["date"] = json!(message.at_ms / 1000);
        out["chat"] = place.spec.to_json();
        if place.spec.kind != ChatKind::Channel
            && let Some(from) = self.people.get(&message.from)
        {
            out["from"] = from.to_json();
        }
        if let Some(sender) = message.sender_chat.and_then(|id| self.chats.get(&id)) {
            out["sender_chat"] = sender.spec.to_json();
        }
        if let Some(thread) = message.thread {
            out["message_thread_id"] = json!(thread);
            out["is_topic_message"] = json!(true);
        }
        if let Some(reply) = message.reply_to.and_then(|id| place.messages.get(&id)) {
            // As a message of its own, without what it answers itself.
            out["reply_to_message"] = self.message_json(chat, &Message { reply_to: None, ..reply.clone() });
        }
        if message.markup.is_object() {
            out["reply_markup"] = message.markup.clone();
        }
        out
    }
}
