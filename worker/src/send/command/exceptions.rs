//! `/allow` and `/disallow`: who may write without having joined, and in whose name.

use nezuko_telegram::{ChatId, UserId};

use super::{Answer, Given, Stop, is_absence, reference, say, spelled};
use crate::{
    facts::set,
    send::Sender,
    texts::{Name, Texts},
};
use frankenstein::types::ChatId as ChatReference;

/// Whom it is about, and what they are called.
enum Target {
    Person(UserId, String),
    SenderChat(ChatId, String),
}

impl Sender {
    pub(super) async fn allow(&self, given: &Given<'_>, value: bool) -> Result<Answer, Stop> {
        let Given { command, texts, trace_id, .. } = *given;
        let mut in_vain = false;
        let target = self.target(given).await?;
        let about = match &target {
            Target::Person(user, _) => user.0,
            Target::SenderChat(chat, _) => chat.0,
        };
        let name = match target {
            Target::Person(user, name) => {
                let group = command.chat;
                self.handler
                    .with_person(user, group, None, trace_id, |mut person| {
                        let member = person.member(group);
                        set(&mut member.allowed, given.sets(value));
                        in_vain = !value && member.is_let_write_by_admin();
                        person.finish(group)
                    })
                    .await?;
                name
            }
            Target::SenderChat(sender, name) => {
                self.allow_sender(command.chat, sender, given.sets(value), trace_id).await?;
                name
            }
        };
        let text = match (value, in_vain) {
            (true, _) => Texts::allowed,
            (false, false) => Texts::disallowed,
            (false, true) => Texts::disallowed_in_vain,
        };
        Ok(Answer { about, ..text(texts, Name(&name)).into() })
    }

    /// By the message that is replied to, or by what is spelled.
    async fn target(&self, given: &Given<'_>) -> Result<Target, Stop> {
        let Given { command, texts, .. } = *given;
        let usage = if command.name == "allow" { "allow" } else { "disallow" };
        let mut words = command.arguments.split_whitespace();
        let word = words.next();
        // One at a time, so that nobody is forgotten.
        if words.next().is_some() {
            return Err(say(texts.usage_of(usage)));
        }
        let Some(word) = word else {
            let answered = command.reply_to.as_ref();
            let sender = answered.and_then(|answered| answered.sender_chat.clone());
            let writer = answered.and_then(|answered| answered.writer.clone());
            let writer = writer.filter(|(user, _)| *user != self.handler.bot.user());
            // The group's own name is its administrators'.
            return match (sender.filter(|(chat, _)| *chat != command.chat), writer) {
                (Some((chat, title)), _) => Ok(Target::SenderChat(chat, title)),
                (None, Some((user, name))) => Ok(Target::Person(user, name)),
                (None, None) => Err(say(texts.usage_of(usage))),
            };
        };
        match reference(word) {
            Some(ChatReference::Integer(id)) if id > 0 => Ok(Target::Person(UserId(id), id.to_string())),
            Some(chat) => {
                let spelled = spelled(&chat);
                match self.describe_for_command(command.chat, chat).await {
                    Ok(chat) if chat.id.0 < 0 => Ok(Target::SenderChat(chat.id, chat.title.unwrap_or(spelled))),
                    Ok(_) => Err(say(texts.usage_of(usage))),
                    // Nobody can be found by their name: a person is named by an id, or replied to.
                    Err(Stop::Later(class)) if is_absence(class) => {
                        let usage = texts.usage_of(usage);
                        Err(say(format!("{}\n{usage}", texts.no_such_channel(Name(&spelled)))))
                    }
                    Err(stop) => Err(stop),
                }
            }
            None => Err(say(texts.usage_of(usage))),
        }
    }
}
