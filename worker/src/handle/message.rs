//! A message: whoever wrote it may have to be muted, and the message deleted.

use nezuko_telegram::{ChatKind, Message, UserId};

use super::{Handler, Receipt, command, member_event::display_name, migration};
use crate::{
    facts::EventOrder,
    intent::{Intent, Put},
    policy::{self, OfMessage},
    store::{ChatView, ChatWrites, StoreError},
};

impl Handler {
    /// Returns whether the message concerned Nezuko.
    pub(super) async fn message(&self, message: &Message, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        if let Some((old, new)) = migration::told_by(message) {
            self.migrate(old, new, receipt.trace_id).await?;
            return Ok(true);
        }
        // E65: what is none of the group's life.
        if message.is_detached {
            return Ok(false);
        }
        if message.is_service {
            return self.note(message, receipt).await;
        }
        if let Some(sender) = &message.sender_chat
            && message.chat.kind.is_group()
            && sender.id != message.chat.id
        {
            return self.sender_chat(message, sender.id, receipt).await;
        }
        let Some(from) = message.from.as_ref() else { return Ok(false) };
        let command = command::parse(message, from, receipt);
        let is_verify = command.as_ref().is_some_and(|command| command.name == "verify");
        let now_ms = (self.clock)();
        let run = command.map(|command| Put::urgent(Intent::Command(command), now_ms));
        // E2: what is sent in the name of the group has no sender.
        if !message.chat.kind.is_group() || message.sender_chat.is_some() || is_well_known(from.id) || from.is_bot {
            let concerned = run.is_some() && message.chat.kind != ChatKind::Channel;
            if let Some(put) = run.filter(|_| concerned) {
                self.put(&[put], receipt.trace_id).await?;
            }
            return Ok(concerned);
        }
        let group = message.chat.id;
        let mut concerned = false;
        self.with_person(from.id, group, Some(receipt.update_id), receipt.trace_id, |mut person| {
            concerned = run.is_some();
            if !person.is_protected(group) {
                person.writes.put.extend(run.clone());
                return person.finish(group);
            }
            concerned = true;
            person.name = display_name(from);
            let name = person.name.clone();
            let member = person.member(group);
            member.name = name;
            member.topic = message.thread;
            // E56: each part of an album is a message of its own and goes like one.
            let written = EventOrder { date: message.date, update_id: receipt.update_id };
            let what = person.judge_message(group, message.message_id, written);
            // Whoever has joined just now asks to be looked at (E72); what else they command is a message (E64).
            if what != OfMessage::Delete || is_verify {
                person.writes.put.extend(run.clone());
            }
            person.finish(group)
        })
        .await?;
        Ok(concerned)
    }

    /// A message reads otherwise now: it is judged like one that was written then, where the group wants that (E58). What a
    /// bot has edited, of its own or of what it made for somebody, is nobody's doing. Returns whether it concerned Nezuko.
    pub(super) async fn edited_message(&self, message: &Message, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        let by_bot = message.via_bot || message.is_service || message.is_detached || message.sender_chat.is_some();
        let Some(from) = message.from.as_ref().filter(|from| !by_bot && !from.is_bot && !is_well_known(from.id)) else {
            return Ok(false);
        };
        let group = message.chat.id;
        if !message.chat.kind.is_group() || !self.store.chat(group).await?.chat.facts.looks_at_edits() {
            return Ok(false);
        }
        let written = EventOrder { date: message.edited.unwrap_or(message.date), update_id: receipt.update_id };
        self.with_person(from.id, group, Some(receipt.update_id), receipt.trace_id, |mut person| {
            person.judge_message(group, message.message_id, written);
            person.finish(group)
        })
        .await?;
        Ok(true)
    }

    /// A note by Telegram is nobody's message (E61), and who joined or left is told by other updates (E13); but a group may
    /// want to be rid of the notes about that. Returns whether it concerned Nezuko.
    async fn note(&self, message: &Message, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        if message.new_title.is_some() {
            return self.renamed(message, receipt).await;
        }
        let is_about_members = !message.new_members.is_empty() || message.left_member.is_some();
        if !is_about_members || !message.chat.kind.is_group() {
            return Ok(false);
        }
        let facts = self.store.chat(message.chat.id).await?.chat.facts;
        let now_ms = (self.clock)();
        if !policy::is_cleaned(&facts) || policy::is_stale(message.date, now_ms) {
            return Ok(false);
        }
        let intent = Intent::Delete { chat: message.chat.id, message: message.message_id };
        self.put(&[Put::urgent(intent, now_ms)], receipt.trace_id).await?;
        Ok(true)
    }

    /// A chat that is known is called otherwise now (E80).
    async fn renamed(&self, message: &Message, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        let chat = message.chat.id;
        let mut concerned = false;
        let mut rename = |view: &ChatView| {
            concerned = view.chat.version > 0;
            let mut facts = view.chat.facts.clone();
            facts.describe(&message.chat);
            ChatWrites { facts: (concerned && facts != view.chat.facts).then_some(facts), ..ChatWrites::default() }
        };
        self.store.with_chat(chat, receipt.trace_id, (self.clock)(), &mut rename).await?;
        Ok(concerned)
    }
}

/// Senders that stand for somebody else and of whom nothing is stored (E1, E2, E5).
pub(crate) fn is_well_known(user: UserId) -> bool {
    [UserId::TELEGRAM, UserId::GROUP_ANONYMOUS_BOT, UserId::CHANNEL_BOT].contains(&user)
}
