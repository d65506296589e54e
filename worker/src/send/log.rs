//! Telling the log chat of a group what was done there: lines in one message, at most every few seconds, and buttons by which
//! the group's administrators undo it.

use frankenstein::{
    ParseMode,
    methods::SendMessageParams,
    types::{LinkPreviewOptions, ReplyMarkup},
};
use nezuko_shared::limiter::Budget;
use nezuko_telegram::{CallError, ChatId, ErrorClass, MessageId, UpdateId, UserId};

use super::{Sender, keyboard, reply::Sent, undo::Undo};
use crate::{
    facts::ChatFacts,
    intent::{Claim, Intent, Key, KeyDoes, Put, Reply, Settlement},
    store::{ChatWrites, LogLine, StoreError, Untold, Verification},
    texts::Texts,
};

/// Lines in one message.
pub(crate) const LINES: i64 = 15;
/// Between two messages to one group's log chat.
const BETWEEN_MS: i64 = 5_000;
/// What could not be told for so long is told no more.
const TOLD_WITHIN_MS: i64 = 24 * 3_600_000;

impl Sender {
    pub(super) async fn tell_log(&self, claim: &Claim, group: ChatId) -> Result<(), StoreError> {
        let store = &self.handler.store;
        let facts = store.chat(group).await?.chat.facts;
        let Some(log_chat) = facts.log_chat() else { return self.settle(claim, Settlement::Done).await };
        let now_ms = self.now_ms();
        let Untold { lines, told_ms } = store.untold(group, now_ms - TOLD_WITHIN_MS, LINES).await?;
        if lines.is_empty() {
            return self.settle(claim, Settlement::Done).await;
        }
        let not_before_ms = told_ms + BETWEEN_MS;
        if now_ms < not_before_ms {
            return self.settle(claim, Settlement::Wait { not_before_ms }).await;
        }
        if !self.keep_for_sending(claim).await? {
            return Ok(());
        }
        if let Err(refused) = self.permits.leave(Budget::Message, claim.urgency, Some(log_chat)).await {
            return self.settle(claim, self.wait_for(refused.retry_in)).await;
        }
        let settlement = match self.send_log(log_chat, &facts, &lines).await.map_err(|error| error.class()) {
            // Rather one line too few than one too many.
            Ok(_) | Err(ErrorClass::Ambiguous | ErrorClass::AlreadyDone) => {
                let told: Vec<i64> = lines.iter().map(|line| line.line).collect();
                self.insist(|| store.told(&told, self.now_ms())).await?;
                // More may have happened since they were read.
                Settlement::Wait { not_before_ms: self.now_ms() + BETWEEN_MS }
            }
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Message, Some(log_chat), class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry) => self.back_off(claim),
            Err(ErrorClass::Token | ErrorClass::Conflict) => self.back_off_slowly(claim),
            Err(ErrorClass::Migrated(new)) => {
                self.follow_log_chat(claim, group, log_chat, new).await?;
                self.back_off(claim)
            }
            Err(class) => {
                tracing::info!(group = group.0, class = class.label(), trace_id = claim.trace_id, "log chat refuses");
                self.end_log(claim, group, log_chat, &lines).await?;
                Settlement::Done
            }
        };
        self.settle(claim, settlement).await
    }

    async fn send_log(&self, log_chat: ChatId, group: &ChatFacts, lines: &[LogLine]) -> Result<Sent, CallError> {
        let texts = Texts(group.settings.in_force().language);
        let lines = folded(lines);
        let told: Vec<_> = lines.iter().map(|(line, times)| (line.user, &*line.name, &*line.outcome, *times)).collect();
        let params = SendMessageParams::builder()
            .chat_id(log_chat.0)
            .text(texts.log(&group.title, &told))
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
            .maybe_reply_markup(
                keyboard::inline(&self.undo_buttons(texts, log_chat, &lines)).map(ReplyMarkup::InlineKeyboardMarkup),
            )
            .build();
        self.call("sendMessage", &params).await
    }

    /// A row of buttons for each person, at the last of their lines.
    fn undo_buttons(&self, texts: Texts, log_chat: ChatId, lines: &[(&LogLine, i64)]) -> Vec<Vec<Key>> {
        let is_last = |nth: usize, user: UserId| lines[nth + 1..].iter().all(|(line, _)| line.user != Some(user));
        let lines = lines.iter().map(|(line, _)| *line).enumerate();
        let numbered = lines.filter(|(nth, line)| line.user.is_some_and(|user| is_last(*nth, user)));
        let row = |(nth, line): (usize, &LogLine)| {
            let button = |undo: Undo| {
                let label = texts.undo_button(nth as i64 + 1, undo.word());
                Key { label, does: KeyDoes::Send(self.handler.buttons.encode(undo.button(line.line), log_chat)) }
            };
            line.user.into_iter().flat_map(Undo::of_line).map(button).collect()
        };
        numbered.map(row).collect()
    }

    /// The log chat is told nothing more, until somebody sets one anew, and the group is told so once.
    async fn end_log(
        &self,
        claim: &Claim,
        group: ChatId,
        refuses: ChatId,
        lines: &[LogLine],
    ) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        // No update has a number below zero.
        let update_id = UpdateId(lines.first().map_or(0, |line| -line.line));
        self.handler
            .store
            .with_chat(group, &claim.trace_id, now_ms, &mut |view| {
                let mut facts = view.chat.facts.clone();
                if facts.log_chat() != Some(refuses) {
                    return ChatWrites::default();
                }
                facts.log_refused = Some(refuses);
                let html = Texts(facts.settings.in_force().language).log_stopped(crate::texts::Id(refuses));
                let notice = Intent::Reply(Reply {
                    update_id,
                    chat: group,
                    topic: None,
                    message: MessageId(0),
                    html,
                    keyboard: Vec::new(),
                    stands_ms: None,
                    until_ms: None,
                    then: None,
                });
                ChatWrites { facts: Some(facts), put: vec![Put::urgent(notice, now_ms)], ..ChatWrites::default() }
            })
            .await?;
        self.handler.wake.all();
        Ok(())
    }

    async fn follow_log_chat(&self, claim: &Claim, group: ChatId, old: ChatId, new: ChatId) -> Result<(), StoreError> {
        let mut follow = |view: &crate::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            let moved = facts.settings.move_log_chat(old, new);
            ChatWrites { facts: moved.then_some(facts), ..ChatWrites::default() }
        };
        self.handler.store.with_chat(group, &claim.trace_id, self.now_ms(), &mut follow).await.map(drop)
    }
}

/// The lines as they stand in a message, each with how often: deletions of one person's messages that follow each other are
/// one.
fn folded(lines: &[LogLine]) -> Vec<(&LogLine, i64)> {
    let is_same = |one: &LogLine, next: &LogLine| {
        one.user.is_some()
            && one.user == next.user
            && [one, next].iter().all(|line| line.outcome == Verification::DELETED)
    };
    lines.chunk_by(is_same).filter_map(|same| Some((same.last()?, same.len() as i64))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_of_one_persons_messages_that_follow_each_other_are_one_line() {
        let line = |(line, (user, outcome)): (i64, (Option<i64>, &str))| LogLine {
            line,
            group: ChatId(-1),
            user: user.map(UserId),
            name: String::new(),
            at_ms: 0,
            outcome: outcome.to_owned(),
        };
        let ann =
            [(Some(1), "deleted"), (Some(1), "deleted"), (Some(1), "muted"), (Some(1), "muted"), (Some(1), "deleted")];
        let others = [(Some(2), "deleted"), (None, "deleted"), (None, "deleted")];
        let lines: Vec<LogLine> = (1..).zip(ann.into_iter().chain(others)).map(line).collect();
        let told: Vec<_> = folded(&lines).into_iter().map(|(line, times)| (line.line, times)).collect();
        assert_eq!(told, [(2, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1)]);
    }
}
