//! A message: whoever wrote it may have to be muted, and the message deleted.

use nezuko_telegram::{ChatKind, Message, UserId};

use super::{Handler, Receipt, command, member_event::display_name, migration};
use crate::{
    facts::EventOrder,
    intent::{Intent, Put},
    policy::OfMessage,
    store::{Held, StoreError},
};

impl Handler {
    /// Returns whether the message concerned Nezuko.
    pub(super) async fn message(&self, message: &Message, receipt: &Receipt<'_>) -> Result<bool, StoreError> {
        if let Some((old, new)) = migration::told_by(message) {
            self.migrate(old, new, receipt.trace_id).await?;
            return Ok(true);
        }
        // E61: a note by Telegram is nobody's message. E1, E2, E4: what is sent in the name of a chat has no sender.
        let Some(from) = message.from.as_ref().filter(|_| !message.is_service && !message.is_automatic_forward) else {
            return Ok(false);
        };
        let command = command::parse(message, from.id, receipt);
        let now_ms = (self.clock)();
        let run = command.map(|command| Put::urgent(Intent::Command(command), now_ms));
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
            let protected = person.is_protected(group);
            if !protected {
                person.writes.put.extend(run.clone());
                return person.finish(group);
            }
            concerned = true;
            let topic = message.thread;
            let member = person.member(group);
            member.apply_message(EventOrder { date: message.date, update_id: receipt.update_id });
            member.name = display_name(from);
            member.topic = topic;
            let (what, _) = person.of_message(group, message.date);
            match what {
                OfMessage::Delete => {
                    let intent = Intent::Delete { chat: group, message: message.message_id };
                    person.writes.put.push(Put::urgent(intent, now_ms));
                }
                OfMessage::Hold => {
                    person.writes.hold = Some(Held { group, message: message.message_id, date: message.date });
                    person.writes.put.extend(run.clone());
                }
                OfMessage::Keep => person.writes.put.extend(run.clone()),
            }
            person.finish(group)
        })
        .await?;
        Ok(concerned)
    }
}

/// Senders that stand for somebody else and of whom nothing is stored (E1, E2, E5).
pub(crate) fn is_well_known(user: UserId) -> bool {
    [UserId::TELEGRAM, UserId::GROUP_ANONYMOUS_BOT, UserId::CHANNEL_BOT].contains(&user)
}
