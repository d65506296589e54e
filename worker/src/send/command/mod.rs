//! Carrying out commands: what has to be known is looked up, then decided, then replied. Each family has its file.

mod exceptions;
mod person;
mod protect;
mod settings;
mod state;

use std::time::Duration;

use frankenstein::types::ChatId as ChatReference;
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{CallError, Chat, ChatId, ChatMember, ErrorClass, UserId};

use super::{Sender, check::By};
use crate::{
    buttons::{Button, Kind},
    commands::{self, Who},
    facts::Setting,
    intent::{Claim, Command, Intent, Key, KeyDoes, Put, Reply, Settlement},
    settings::GroupSettings,
    store::{Allowance, Audit, ButtonRow, Payload, Settle, StoreError},
    texts::Texts,
};

/// A command that could not be carried out by then is answered with a word of regret.
const COMMAND_LIVES_MS: i64 = 60_000;
/// An answer that could not be sent by then is sent no more: the group has gone on.
const REPLY_LIVES_MS: i64 = 180_000;
/// So many commands of one person are carried out within the window (E104); the others are passed over.
const COMMANDS: i64 = 30;
const COMMANDS_WINDOW_MS: i64 = 60_000;
/// For so long a command and its answer stand in a group.
const STANDS_MS: i64 = 60_000;
/// So long stands what tells how far a work is.
const STANDS_WHILE_AT_WORK_MS: i64 = 3_600_000;
/// So long stands what is to be worked with.
const STANDS_LONG_MS: i64 = 600_000;
/// So much of what follows a command is kept in the audit trail.
const DETAIL_CHARS: usize = 200;
/// For so long an anonymous administrator may prove themselves.
const PROOF_LIVES_MS: i64 = 120_000;

/// Why a command is not carried out.
enum Stop {
    /// This is the answer.
    Say(Box<Answer>),
    /// Nobody is to be answered.
    Nothing,
    /// Telegram does not tell what has to be known.
    Later(ErrorClass),
    /// This group has become this supergroup.
    Migrated(ChatId, ChatId),
    /// The store is away.
    Store(StoreError),
}

/// Carries nothing out and says this.
fn say(html: String) -> Stop {
    Stop::Say(Box::new(html.into()))
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a command is answered.
struct Answer {
    html: String,
    keyboard: Vec<Vec<Key>>,
    stands_ms: i64,
    then: Option<Intent>,
    /// Which person or chat it was about; 0: the group.
    about: i64,
}

impl From<String> for Answer {
    fn from(html: String) -> Self {
        Self { html, keyboard: Vec::new(), stands_ms: STANDS_MS, then: None, about: 0 }
    }
}

/// A command with what it is carried out by.
struct Given<'a> {
    command: &'a Command,
    /// Those of the chat; the defaults in private.
    settings: &'a GroupSettings,
    texts: Texts,
    trace_id: &'a str,
}

impl Given<'_> {
    /// A value that this command sets.
    fn sets(&self, value: bool) -> Setting<bool> {
        Setting { value, update_id: self.command.update_id, received_ms: self.command.received_ms }
    }

    fn is_private(&self) -> bool {
        self.command.chat == self.command.user.private_chat()
    }

    /// The group's settings are changed by this command.
    fn change(&self) -> super::settings::Change<'_> {
        let Command { chat, update_id, received_ms, .. } = *self.command;
        super::settings::Change { chat, update_id, received_ms, trace_id: self.trace_id }
    }
}

impl Sender {
    pub(super) async fn command(&self, claim: &Claim, command: &Command) -> Result<(), StoreError> {
        // E64: until Telegram has told our name, nobody knows whether an addressed command is for us.
        if let Some(addressee) = &command.addressee {
            match self.handler.username.get() {
                None => return self.settle(claim, self.wait_for(Duration::from_secs(1))).await,
                Some(own) if !own.eq_ignore_ascii_case(addressee) => return self.settle(claim, Settlement::Done).await,
                Some(_) => {}
            }
        }
        let store = &self.handler.store;
        let now_ms = self.now_ms();
        let draw = store.draw(command.user, Allowance::Commands, now_ms, COMMANDS_WINDOW_MS);
        let is_flood = claim.attempts == 0 && draw.await? > COMMANDS;
        // Whoever speaks for a group cannot be told from others who do.
        if is_flood && command.user != UserId::GROUP_ANONYMOUS_BOT {
            return self.settle(claim, Settlement::Done).await;
        }
        let facts = store.chat(command.chat).await?.chat.facts;
        let settings = facts.settings.in_force();
        let is_private = command.chat == command.user.private_chat();
        let texts = Texts(if is_private { command.language } else { settings.language });
        let given = Given { command, settings: &settings, texts, trace_id: &claim.trace_id };
        let mut carried_out = false;
        let answer = if now_ms > command.received_ms + COMMAND_LIVES_MS {
            texts.try_again().into()
        } else {
            match self.carry_out_command(&given).await {
                Ok(answer) => {
                    carried_out = true;
                    answer
                }
                Err(Stop::Say(answer)) => *answer,
                Err(Stop::Nothing) => return self.settle(claim, Settlement::Done).await,
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Later(ErrorClass::RetryAfter(wait))) => {
                    // As an attempt, so that it is counted as one command of theirs.
                    let not_before_ms = self.now_ms() + wait.min(Duration::from_mins(1)).as_millis() as i64;
                    return self.settle(claim, Settlement::Retry { not_before_ms }).await;
                }
                Err(Stop::Migrated(old, new)) => return self.follow(claim, old, new).await,
                Err(Stop::Later(_)) => return self.settle(claim, self.back_off(claim)).await,
            }
        };
        tracing::info!(chat = command.chat.0, name = command.name, trace_id = claim.trace_id, "command answered");
        let Answer { html, keyboard, stands_ms, then, about } = answer;
        let Command { update_id, chat, topic, message, .. } = *command;
        let may_delete = facts.own().is_some_and(|(_, rights)| rights.can_delete_messages);
        let stands_ms = (settings.clean_commands && may_delete && !is_private).then_some(stands_ms);
        let now_ms = self.now_ms();
        let until_ms = then.is_none().then_some(now_ms + REPLY_LIVES_MS);
        let then = then.map(Box::new);
        let reply = Reply { update_id, chat, topic, message, html, keyboard, stands_ms, until_ms, then };
        let put = Put::urgent(Intent::Reply(reply), now_ms);
        let mut settle = Settle::of(claim, Settlement::Done);
        if carried_out && commands::named(&command.name).is_some_and(|spec| spec.who == Who::Admins) {
            settle = settle.audited(audit(claim, command, about));
        }
        self.settle_as(settle, claim, &[put]).await
    }

    async fn carry_out_command(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Some(spec) = commands::named(&given.command.name) else { return Err(Stop::Nothing) };
        if spec.who == Who::Admins {
            self.authorize(given).await?;
        }
        match spec.name {
            "start" => self.start(given).await,
            "help" => Ok(Self::help(given)),
            "verify" => self.verify_asker(given).await,
            "forget_me" => self.forget_me(given).await,
            "protect" => self.protect(given).await,
            "unprotect" => self.unprotect(given).await,
            "channels" => self.channels(given).await,
            "status" => self.status(given).await,
            "settings" => self.settings(given).await,
            "allow" => self.allow(given, true).await,
            "disallow" => self.allow(given, false).await,
            "recheck" => self.begin_recheck(given).await,
            "raid" => self.raid(given).await,
            "stats" => self.stats(given).await,
            "export" => Ok(Self::export(given)),
            _ => self.import(given).await,
        }
    }

    /// Lets on whoever is an administrator of the group with the right to restrict, by a fresh look (E84, E85).
    async fn authorize(&self, given: &Given<'_>) -> Result<(), Stop> {
        let Given { command, texts, .. } = given;
        if given.is_private() {
            return Err(say(texts.only_in_groups()));
        }
        if command.user == UserId::GROUP_ANONYMOUS_BOT {
            return Err(self.ask_for_proof(given).await?);
        }
        // What is said in a channel's name was said by nobody in particular.
        if crate::handle::is_well_known(command.user) {
            return Err(Stop::Nothing);
        }
        let asked_ms = self.now_ms();
        let asker = match self.look_up_for_command(command.chat, command.user).await {
            // Who hides their members shows them to administrators.
            Err(Stop::Later(ErrorClass::Permission)) => return Err(say(texts.missing_rights(true, true, &[]))),
            asker => asker?,
        };
        let lookup = [(command.chat, asked_ms, asker.clone())];
        self.take_in_lookups(command.user, command.chat, &lookup, By::asked(given.trace_id)).await?;
        if asker.rights.can_restrict_members { Ok(()) } else { Err(say(texts.only_for_admins())) }
    }

    /// E3: a press tells who an anonymous administrator is; the command is carried out then.
    async fn ask_for_proof(&self, given: &Given<'_>) -> Result<Stop, StoreError> {
        let payload = Payload::Prove(Box::new(given.command.clone()));
        let row = self.new_button(given.command.chat, None, payload, PROOF_LIVES_MS).await?;
        let data = self.handler.buttons.encode(Button::of_row(Kind::Prove, row), given.command.chat);
        let key = Key { label: given.texts.prove_button(), does: KeyDoes::Send(data) };
        let answer = Answer { keyboard: vec![vec![key]], ..given.texts.prove_yourself().into() };
        Ok(Stop::Say(Box::new(answer)))
    }

    /// A row for buttons that are about to be sent; returns its number.
    async fn new_button(
        &self,
        chat: ChatId,
        user: Option<UserId>,
        payload: Payload,
        lives_ms: i64,
    ) -> Result<i64, StoreError> {
        let id = rand::random_range(1..i64::MAX);
        let expires_ms = self.now_ms() + lives_ms;
        self.handler.store.add_buttons(&[ButtonRow { id, chat, user, payload, expires_ms, used_ms: 0 }]).await?;
        Ok(id)
    }

    async fn look_up_for_command(&self, chat: ChatId, user: UserId) -> Result<ChatMember, Stop> {
        self.may_look_up(chat).await?;
        let answer = self.get_chat_member(chat, user).await;
        self.or_later(chat, chat, answer).await
    }

    /// A 429 about `chat` holds up `asker`, the chat of the command: nobody's command can silence the bot elsewhere.
    async fn describe_for_command(&self, asker: ChatId, chat: ChatReference) -> Result<Chat, Stop> {
        self.may_look_up(asker).await?;
        // What has a name is no basic group, and cannot become something else.
        let described = if let ChatReference::Integer(id) = chat { ChatId(id) } else { asker };
        let answer = self.get_chat(chat).await;
        self.or_later(asker, described, answer).await
    }

    async fn may_look_up(&self, chat: ChatId) -> Result<(), Stop> {
        let leave = self.permits.leave(Budget::Lookup, Urgency::Urgent, Some(chat)).await;
        leave.map_err(|refused| Stop::Later(ErrorClass::RetryAfter(refused.retry_in)))
    }

    /// What a lookup about `chat` has told; a 429 holds up `asker`.
    async fn or_later<T>(&self, asker: ChatId, chat: ChatId, answer: Result<T, CallError>) -> Result<T, Stop> {
        let class = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error.class(),
        };
        self.obey(Budget::Lookup, Some(asker), class).await;
        match class {
            ErrorClass::Migrated(new) => Err(Stop::Migrated(chat, new)),
            class => Err(Stop::Later(class)),
        }
    }
}

/// Chats that do not exist for us, or persons that do not exist there.
const fn is_absence(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::BotOut | ErrorClass::Input | ErrorClass::Target | ErrorClass::UserUnknown)
}

/// `@name`, `t.me/name` or a numeric id.
fn reference(word: &str) -> Option<ChatReference> {
    if let Ok(id) = word.parse::<i64>() {
        return Some(ChatReference::Integer(id));
    }
    let name = word.trim_start_matches("https://").trim_start_matches("t.me/").trim_start_matches('@');
    let plausible = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plausible.then(|| ChatReference::String(format!("@{name}")))
}

fn spelled(reference: &ChatReference) -> String {
    match reference {
        ChatReference::Integer(id) => id.to_string(),
        ChatReference::String(name) => name.clone(),
    }
}

/// What the audit trail says of an administrator's command.
fn audit(claim: &Claim, command: &Command, subject: i64) -> Audit {
    // Where a person is spelled out, they are the subject, by which they can be found and forgotten (E106).
    let detail = if subject == 0 { command.arguments.chars().take(DETAIL_CHARS).collect() } else { String::new() };
    let (chat, actor, trace_id) = (command.chat, command.user, claim.trace_id.clone());
    Audit { chat, actor, subject, action: format!("/{}", command.name), detail, trace_id }
}
