//! `/protect` and `/unprotect`: which channels a group requires.

use std::{collections::BTreeSet, iter};

use frankenstein::types::ChatId as ChatReference;
use nezuko_telegram::{Chat, ChatId, ChatKind, ChatMember, ErrorClass, Standing, UserId};

use super::{Answer, Given, STANDS_MS, STANDS_WHILE_AT_WORK_MS, Stop, is_absence, reference, say, spelled};
use crate::{
    facts::{ChatFacts, set},
    intent::{Intent, Put, Work},
    send::{Sender, check::stranger},
    store::{ChatView, ChatWrites, StoreError},
    texts::{Channel, Channels, Name, Word},
};

/// A group requires no more: each is named in its prompt.
const CHANNELS: usize = 10;
/// Chats that are looked through for a circle.
const CIRCLE: usize = 100;

/// A channel that somebody wants required.
struct Candidate {
    chat: Chat,
    asked_ms: i64,
    own: ChatMember,
}

impl Candidate {
    fn facts(&self) -> ChatFacts {
        let mut facts = ChatFacts::default();
        facts.describe(&self.chat);
        facts
    }
}

impl Sender {
    pub(super) async fn protect(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, trace_id, .. } = *given;
        let forwarded = command.reply_to.as_ref().and_then(|answered| answered.forwarded_from);
        let words = words(&command.arguments).map(reference);
        let forwarded = forwarded.map(|chat| Some(ChatReference::Integer(chat.0)));
        // Nothing is passed over that cannot be read.
        let references: Option<Vec<ChatReference>> = words.chain(forwarded).take(CHANNELS + 1).collect();
        let Some(references) = references.filter(|references| !references.is_empty()) else {
            return Err(say(texts.usage_of("protect")));
        };
        let group = self.describe_for_command(command.chat, ChatReference::Integer(command.chat.0)).await?;
        if group.kind != ChatKind::Supergroup {
            return Err(say(texts.only_supergroups()));
        }
        // E105
        if let Some(refusal) = self.handler.store.chat(command.chat).await?.chat.facts.refused {
            return Err(say(texts.refused(refusal)));
        }
        let own_asked_ms = self.now_ms();
        let own = self.look_up_for_command(command.chat, self.handler.bot.user()).await?;
        let mut candidates: Vec<Candidate> = Vec::new();
        for reference in references {
            let candidate = self.candidate(given, reference).await?;
            if candidates.iter().all(|other| other.chat.id != candidate.chat.id) {
                candidates.push(candidate);
            }
        }
        let rights = own.rights;
        let is_admin = |candidate: &&Candidate| candidate.own.standing.is_some_and(Standing::is_admin);
        let lacking: Vec<ChatFacts> =
            candidates.iter().filter(|candidate| !is_admin(candidate)).map(Candidate::facts).collect();
        if !rights.can_restrict_members || !rights.can_delete_messages || !lacking.is_empty() {
            let (restrict, delete) = (!rights.can_restrict_members, !rights.can_delete_messages);
            return Err(say(texts.missing_rights(restrict, delete, &lacking)));
        }
        let links = self.handler.store.chat(command.chat).await?.links;
        let required = links.iter().filter(|(_, link)| link.value).map(|(chat, _)| *chat);
        let after: BTreeSet<ChatId> = required.chain(candidates.iter().map(|candidate| candidate.chat.id)).collect();
        if after.len() > CHANNELS {
            return Err(say(texts.too_many_channels(CHANNELS as i64)));
        }

        let now_ms = self.now_ms();
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
                set(&mut facts.protected, given.sets(true));
                let links = candidates.iter().map(|candidate| (candidate.chat.id, given.sets(true)));
                let links =
                    links.filter(|(chat, link)| view.links.get(chat).is_none_or(|held| link.is_newer_than(held)));
                let put = after_a_change(command.chat, candidates.iter().map(|candidate| candidate.chat.id), now_ms);
                ChatWrites { facts: Some(facts), links: links.collect(), put }
            })
            .await?;
        self.handler.tell_cache(command.chat).await?;
        let mut told = vec![texts.protected(Channels(named.iter().collect()))];
        told.extend((!rights.can_invite_users && given.settings.join_requests).then(|| texts.requests_left()));
        let is_shut = |(candidate, facts): &(&Candidate, &ChatFacts)| {
            facts.username.is_empty() && !candidate.own.rights.can_invite_users
        };
        let shut = candidates.iter().zip(&named).filter(is_shut);
        told.extend(shut.map(|(_, facts)| texts.no_way_into(Channel(facts))));
        Ok(told.join("\n\n").into())
    }

    /// Looks at a channel, at our place in it and at the asker's.
    async fn candidate(&self, given: &Given<'_>, reference: ChatReference) -> Result<Candidate, Stop> {
        let Given { command, texts, .. } = *given;
        let spelled = spelled(&reference);
        let mut described = self.describe_for_command(command.chat, reference).await;
        if let Err(Stop::Migrated(_, new)) = described {
            described = self.describe_for_command(command.chat, ChatReference::Integer(new.0)).await;
        }
        let chat = match described {
            Err(Stop::Later(class)) if is_absence(class) => return Err(say(texts.no_such_channel(Name(&spelled)))),
            chat => chat?,
        };
        if chat.id == command.chat {
            return Err(say(texts.not_itself()));
        }
        let mut facts = ChatFacts::default();
        facts.describe(&chat);
        let asked_ms = self.now_ms();
        let own = match self.look_up_for_command(chat.id, self.handler.bot.user()).await {
            Err(Stop::Later(
                ErrorClass::BotOut | ErrorClass::Permission | ErrorClass::Target | ErrorClass::UserUnknown,
            )) => stranger(self.handler.bot.user()),
            own => own?,
        };
        if !own.standing.is_some_and(Standing::is_admin) {
            return Ok(Candidate { chat, asked_ms, own });
        }
        // E40: nobody can force a group to follow, or have watched, a channel of somebody else's.
        let asker = match self.look_up_for_command(chat.id, command.user).await {
            Err(Stop::Later(ErrorClass::Target | ErrorClass::UserUnknown | ErrorClass::Permission)) => {
                return Err(say(texts.not_your_channel(Channel(&facts))));
            }
            asker => asker?,
        };
        if !asker.standing.is_some_and(Standing::is_admin) {
            return Err(say(texts.not_your_channel(Channel(&facts))));
        }
        if self.requires(chat.id, command.chat).await? {
            return Err(say(texts.not_a_circle(Channel(&facts))));
        }
        Ok(Candidate { chat, asked_ms, own })
    }

    /// E39: whether who writes in `chat` must have joined `group`, directly or by way of others.
    async fn requires(&self, chat: ChatId, group: ChatId) -> Result<bool, StoreError> {
        let (mut known, mut next) = (BTreeSet::from([chat]), vec![chat]);
        while let Some(chat) = next.pop() {
            let links = self.handler.store.chat(chat).await?.links;
            for channel in links.into_iter().filter(|(_, link)| link.value).map(|(channel, _)| channel) {
                if channel == group || known.len() > CIRCLE {
                    return Ok(true);
                }
                if known.insert(channel) {
                    next.push(channel);
                }
            }
        }
        Ok(false)
    }

    pub(super) async fn unprotect(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, trace_id, .. } = *given;
        let store = &self.handler.store;
        let ChatView { chat, links, .. } = store.chat(command.chat).await?;
        if chat.facts.protected.is_none() && links.is_empty() {
            return Err(say(texts.channels_none()));
        }
        let required = links.into_iter().filter(|(_, link)| link.value).map(|(chat, _)| chat);
        let mut dropped = None;
        let mut named = words(&command.arguments);
        if let Some(word) = named.next() {
            // One at a time, so that nobody ends more than they meant.
            let Some(named) = reference(word).filter(|_| named.next().is_none()) else {
                return Err(say(texts.usage_of("unprotect")));
            };
            for chat in required {
                let facts = store.chat(chat).await?.chat.facts;
                let is_named = match &named {
                    ChatReference::Integer(id) => *id == chat.0,
                    ChatReference::String(name) => facts.username.eq_ignore_ascii_case(name.trim_start_matches('@')),
                };
                if is_named {
                    dropped = Some((chat, facts));
                }
            }
            if dropped.is_none() {
                return Err(say(texts.not_required()));
            }
        }
        let now_ms = self.now_ms();
        let mut is_over = false;
        store
            .with_chat(command.chat, trace_id, now_ms, &mut |view| {
                let goes = |chat: &ChatId| dropped.as_ref().is_none_or(|(dropped, _)| dropped == chat);
                let off = given.sets(false);
                let links: Vec<_> = view
                    .links
                    .iter()
                    .filter(|(chat, link)| goes(chat) && link.value && off.is_newer_than(link))
                    .map(|(chat, _)| (*chat, off))
                    .collect();
                let stay =
                    view.links.iter().any(|(chat, link)| link.value && !links.iter().any(|(off, _)| off == chat));
                let mut facts = view.chat.facts.clone();
                is_over = !stay;
                if is_over {
                    set(&mut facts.protected, off);
                }
                let put = after_a_change(command.chat, links.iter().map(|(chat, _)| *chat), now_ms);
                ChatWrites { facts: Some(facts), links, put }
            })
            .await?;
        let muted = store.happened(command.chat, now_ms).await?.muted;
        // Who may not restrict may not free either.
        let freed = Word(if muted == 0 || chat.facts.can_restrict() { "now" } else { "later" });
        let html = match &dropped {
            Some((_, facts)) if !is_over => texts.unprotected_channel(Channel(facts), freed),
            _ => texts.unprotected(freed),
        };
        let then = (is_over && muted > 0).then_some(Intent::Release(Work::begins(command.chat, muted, now_ms)));
        let stands_ms = if then.is_some() { STANDS_WHILE_AT_WORK_MS } else { STANDS_MS };
        Ok(Answer { then, stands_ms, ..html.into() })
    }
}

/// What is separated by blanks or commas.
fn words(arguments: &str) -> impl Iterator<Item = &str> {
    arguments.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty())
}

/// What follows where `group` requires these channels anew, or no longer: everybody is decided again, and whether people come in
/// by our links or ask for it is as those that require a channel have it (E27).
fn after_a_change(group: ChatId, channels: impl Iterator<Item = ChatId>, now_ms: i64) -> Vec<Put> {
    let again = Intent::Redecide { chat: group, after: UserId(0) };
    iter::once(again)
        .chain(channels.map(|chat| Intent::Link { chat }))
        .map(|intent| Put::urgent(intent, now_ms))
        .collect()
}
