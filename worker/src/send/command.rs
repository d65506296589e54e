//! Carrying out commands: what has to be known is looked up, then decided, then replied.

use std::time::Duration;

use frankenstein::types::ChatId as ChatReference;
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{CallError, Chat, ChatId, ChatKind, ChatMember, ErrorClass, Rights, Standing, UserId};

use super::Sender;
use crate::{
    facts::{ChatFacts, Setting, set},
    handle::is_well_known,
    intent::{Claim, Command, Intent, Put, Reply, Settlement},
    store::{ChatWrites, StoreError},
    texts,
};

/// A command that could not be carried out by then is answered with a word of regret.
const COMMAND_LIVES_MS: i64 = 60_000;

/// Why a command is not carried out.
enum Stop {
    /// This is the answer.
    Say(String),
    /// Telegram does not tell what has to be known.
    Later(ErrorClass),
    /// This group has become this supergroup.
    Migrated(ChatId, ChatId),
    /// The store is away.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A channel that somebody wants required.
struct Candidate {
    chat: Chat,
    asked_ms: i64,
    own: ChatMember,
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
        let expired = self.now_ms() > command.received_ms + COMMAND_LIVES_MS;
        let html = if expired {
            texts::try_again()
        } else {
            match self.carry_out_command(claim, command).await {
                Ok(html) | Err(Stop::Say(html)) => html,
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Later(ErrorClass::RetryAfter(wait))) => {
                    let settlement = self.wait_for(wait.min(Duration::from_mins(1)));
                    return self.settle(claim, settlement).await;
                }
                Err(Stop::Migrated(old, new)) => return self.follow(claim, old, new).await,
                Err(Stop::Later(_)) => return self.settle(claim, self.back_off(claim)).await,
            }
        };
        tracing::info!(chat = command.chat.0, name = command.name, trace_id = claim.trace_id, "command answered");
        let Command { update_id, chat, topic, message, .. } = *command;
        let reply = Intent::Reply(Reply { update_id, chat, topic, message, html });
        let put = Put::urgent(reply, self.now_ms());
        self.settle_and_put(claim, Settlement::Done, &[put]).await
    }

    async fn carry_out_command(&self, claim: &Claim, command: &Command) -> Result<String, Stop> {
        if matches!(command.name.as_str(), "start" | "help") {
            return Ok(texts::help());
        }
        if command.chat == command.user.private_chat() {
            return Err(Stop::Say(texts::only_in_groups()));
        }
        // E3: whoever speaks for the group cannot be told from other administrators.
        if is_well_known(command.user) {
            return Err(Stop::Say(texts::not_anonymously()));
        }
        let asked_ms = self.now_ms();
        let asker = self.look_up_for_command(command.chat, command.user).await?;
        let lookup = [(command.chat, asked_ms, asker.clone())];
        self.take_in_lookups(command.user, command.chat, &lookup, None, &claim.trace_id).await?;
        if !asker.rights.can_restrict_members {
            return Err(Stop::Say(texts::only_for_admins()));
        }
        match command.name.as_str() {
            "protect" => self.protect(claim, command).await,
            "unprotect" => self.unprotect(claim, command).await,
            _ => self.status(command.chat).await,
        }
    }

    async fn protect(&self, claim: &Claim, command: &Command) -> Result<String, Stop> {
        let references: Vec<ChatReference> = command.arguments.split_whitespace().filter_map(reference).collect();
        if references.is_empty() {
            return Err(Stop::Say(texts::protect_usage()));
        }
        let group = self.describe_for_command(command.chat, ChatReference::Integer(command.chat.0)).await?;
        if group.kind != ChatKind::Supergroup {
            return Err(Stop::Say(texts::only_supergroups()));
        }
        let own_asked_ms = self.now_ms();
        let own = self.look_up_for_command(command.chat, self.handler.bot.user()).await?;
        let mut candidates = Vec::new();
        for reference in references {
            candidates.push(self.candidate(command, reference).await?);
        }
        let lacking: Vec<String> = candidates
            .iter()
            .filter(|candidate| !candidate.own.standing.is_some_and(Standing::is_admin))
            .map(|candidate| candidate.chat.title.clone().unwrap_or_else(|| "the channel".to_owned()))
            .collect();
        let missing_here = missing_rights(own.rights);
        if !missing_here.is_empty() || !lacking.is_empty() {
            return Err(Stop::Say(texts::missing_rights(&missing_here, &lacking)));
        }

        let now_ms = self.now_ms();
        let trace_id = claim.trace_id.as_str();
        let mut named = Vec::new();
        for Candidate { chat, asked_ms, own } in &candidates {
            self.take_in_own_lookup(chat.id, *asked_ms, own, trace_id).await?;
            self.handler
                .store
                .with_chat(chat.id, trace_id, now_ms, &mut |view| {
                    let mut facts = view.chat.facts.clone();
                    facts.describe(chat);
                    ChatWrites { facts: (facts != view.chat.facts).then_some(facts), ..ChatWrites::default() }
                })
                .await?;
            named.push(self.handler.store.chat(chat.id).await?.chat.facts);
        }
        self.take_in_own_lookup(command.chat, own_asked_ms, &own, trace_id).await?;
        self.handler
            .store
            .with_chat(command.chat, trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                facts.describe(&group);
                set(&mut facts.protected, setting(command, true));
                let links = candidates.iter().map(|candidate| (candidate.chat.id, setting(command, true)));
                let links =
                    links.filter(|(chat, link)| view.links.get(chat).is_none_or(|held| link.is_newer_than(held)));
                ChatWrites { facts: Some(facts), links: links.collect(), put: redecide(command.chat, now_ms) }
            })
            .await?;
        Ok(texts::protected(&named))
    }

    /// Looks at a channel, at our place in it and at the asker's.
    async fn candidate(&self, command: &Command, reference: ChatReference) -> Result<Candidate, Stop> {
        let spelled = match &reference {
            ChatReference::Integer(id) => id.to_string(),
            ChatReference::String(name) => name.clone(),
        };
        let mut described = self.describe_for_command(command.chat, reference).await;
        if let Err(Stop::Migrated(_, new)) = described {
            described = self.describe_for_command(command.chat, ChatReference::Integer(new.0)).await;
        }
        let chat = match described {
            Err(Stop::Later(ErrorClass::BotOut | ErrorClass::Input | ErrorClass::Target | ErrorClass::UserUnknown)) => {
                return Err(Stop::Say(texts::no_such_channel(&spelled)));
            }
            chat => chat?,
        };
        if chat.id == command.chat {
            return Err(Stop::Say(texts::not_itself()));
        }
        let mut facts = ChatFacts::default();
        facts.describe(&chat);
        let asked_ms = self.now_ms();
        let own = match self.look_up_for_command(chat.id, self.handler.bot.user()).await {
            Err(Stop::Later(
                ErrorClass::BotOut | ErrorClass::Permission | ErrorClass::Target | ErrorClass::UserUnknown,
            )) => {
                return Err(Stop::Say(texts::missing_rights(&[], &[chat.title.clone().unwrap_or(spelled)])));
            }
            own => own?,
        };
        if !own.standing.is_some_and(Standing::is_admin) {
            return Ok(Candidate { chat, asked_ms, own });
        }
        // E40: nobody can force a group to follow, or have watched, a channel of somebody else's.
        let asker = match self.look_up_for_command(chat.id, command.user).await {
            Err(Stop::Later(ErrorClass::Target | ErrorClass::UserUnknown | ErrorClass::Permission)) => {
                return Err(Stop::Say(texts::not_your_channel(&facts)));
            }
            asker => asker?,
        };
        if asker.standing.is_some_and(Standing::is_admin) {
            Ok(Candidate { chat, asked_ms, own })
        } else {
            Err(Stop::Say(texts::not_your_channel(&facts)))
        }
    }

    async fn unprotect(&self, claim: &Claim, command: &Command) -> Result<String, Stop> {
        let store = &self.handler.store;
        let required: Vec<ChatId> = store
            .chat(command.chat)
            .await?
            .links
            .into_iter()
            .filter(|(_, link)| link.value)
            .map(|(chat, _)| chat)
            .collect();
        let mut dropped = None;
        if let Some(named) = command.arguments.split_whitespace().next() {
            for chat in &required {
                let facts = store.chat(*chat).await?.chat.facts;
                let by_name = named.strip_prefix('@').is_some_and(|name| facts.username.eq_ignore_ascii_case(name));
                if by_name || named == chat.to_string() {
                    dropped = Some((*chat, facts));
                }
            }
            if dropped.is_none() {
                return Err(Stop::Say(texts::not_required()));
            }
        }
        let now_ms = self.now_ms();
        store
            .with_chat(command.chat, &claim.trace_id, now_ms, &mut |view| {
                let goes = |chat: &ChatId| dropped.as_ref().is_none_or(|(dropped, _)| dropped == chat);
                let off = setting(command, false);
                let links: Vec<_> = view
                    .links
                    .iter()
                    .filter(|(chat, link)| goes(chat) && link.value && off.is_newer_than(link))
                    .map(|(chat, _)| (*chat, off))
                    .collect();
                let stay =
                    view.links.iter().any(|(chat, link)| link.value && !links.iter().any(|(off, _)| off == chat));
                let mut facts = view.chat.facts.clone();
                if !stay {
                    set(&mut facts.protected, off);
                }
                ChatWrites { facts: Some(facts), links, put: redecide(command.chat, now_ms) }
            })
            .await?;
        Ok(texts::unprotected(dropped.as_ref().map(|(_, facts)| facts)))
    }

    async fn status(&self, group: ChatId) -> Result<String, Stop> {
        let store = &self.handler.store;
        let view = store.chat(group).await?;
        let mut channels = Vec::new();
        for (chat, _) in view.links.iter().filter(|(_, link)| link.value) {
            let facts = store.chat(*chat).await?.chat.facts;
            let watched = facts.watched().0.is_some();
            channels.push((facts, watched));
        }
        let facts = &view.chat.facts;
        Ok(texts::status(facts.is_protected(), facts.can_restrict(), &channels, store.waiting_in(group).await?))
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

fn setting(command: &Command, value: bool) -> Setting<bool> {
    Setting { value, update_id: command.update_id, received_ms: command.received_ms }
}

fn redecide(chat: ChatId, now_ms: i64) -> Vec<Put> {
    vec![Put::urgent(Intent::Redecide { chat, after: UserId(0) }, now_ms)]
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

fn missing_rights(rights: Rights) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !rights.can_restrict_members {
        missing.push("restrict members");
    }
    if !rights.can_delete_messages {
        missing.push("delete messages");
    }
    missing
}
