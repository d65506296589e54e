//! Telegram's flood rules for messages. What breaks one of them is answered 429 and has no effect.
//!
//! Sends and edits draw from the same limits (core.telegram.org/bots/faq): 30 in any second over all chats, one a second to
//! one chat but for short bursts, 20 in any minute to one group or channel. How long a burst may be Telegram does not say;
//! here three messages may go at once where nothing went before.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use crate::world::ChatId;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Over all chats, in any second.
const MESSAGES_PER_SECOND: usize = 30;
/// To one group or channel, in any minute.
const MESSAGES_PER_MINUTE: usize = 20;
/// By how much a chat may be ahead of its one message a second, so that three can go at once.
const AHEAD: Duration = Duration::from_secs(2);

/// The methods that send or edit, in lower case.
const MESSAGES: [&str; 3] = ["sendmessage", "editmessagetext", "editmessagereplymarkup"];

/// Whether a method, in lower case, is limited.
pub(super) fn is_message(method: &str) -> bool {
    MESSAGES.contains(&method)
}

/// A limit on messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FloodRule {
    /// 30 in any second over all chats.
    AllChats,
    /// One a second to a chat, with bursts of three.
    Chat,
    /// 20 in any minute to a group or channel.
    Group,
}

/// What has been let through lately, and how much has not.
#[derive(Debug, Default)]
pub(super) struct FloodRules {
    all: VecDeque<Duration>,
    chats: HashMap<ChatId, ChatLog>,
    refusals: BTreeMap<FloodRule, u64>,
}

#[derive(Debug, Default)]
struct ChatLog {
    /// Until when what was sent makes up one message a second.
    used_up_until: Duration,
    last_minute: VecDeque<Duration>,
}

impl FloodRules {
    /// Lets a message through, or names the whole seconds after which it would pass.
    pub(super) fn admit(&mut self, now: Duration, chat: Option<ChatId>) -> Result<(), u64> {
        let chat_log = chat.and_then(|chat| self.chats.get(&chat));
        let ahead_until = chat_log.map_or(Duration::ZERO, |log| log.used_up_until);
        let group_log = chat_log.filter(|_| chat.is_some_and(is_group)).map(|log| &log.last_minute);
        let waits = [
            (until_room(&self.all, MESSAGES_PER_SECOND, SECOND, now), FloodRule::AllChats),
            (ahead_until.saturating_sub(now + AHEAD), FloodRule::Chat),
            (
                group_log.map_or(Duration::ZERO, |log| until_room(log, MESSAGES_PER_MINUTE, MINUTE, now)),
                FloodRule::Group,
            ),
        ];
        if let Some((wait, rule)) = waits.into_iter().max().filter(|(wait, _)| !wait.is_zero()) {
            *self.refusals.entry(rule).or_default() += 1;
            return Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        }
        push(&mut self.all, now, MESSAGES_PER_SECOND);
        if let Some(chat) = chat {
            let log = self.chats.entry(chat).or_default();
            log.used_up_until = log.used_up_until.max(now) + SECOND;
            push(&mut log.last_minute, now, MESSAGES_PER_MINUTE);
        }
        Ok(())
    }

    /// Refusals so far, each by the rule that asked for the longest wait.
    pub(super) fn refusals(&self) -> BTreeMap<FloodRule, u64> {
        self.refusals.clone()
    }
}

/// Groups and channels have negative ids.
const fn is_group(chat: ChatId) -> bool {
    chat.0 < 0
}

/// How long until `log` has room for one more beside `most` in any `span`, both of whose ends belong to it.
fn until_room(log: &VecDeque<Duration>, most: usize, span: Duration, now: Duration) -> Duration {
    let oldest = log.len().checked_sub(most).map(|index| log[index]);
    oldest.map_or(Duration::ZERO, |oldest| (oldest + span + Duration::from_nanos(1)).saturating_sub(now))
}

fn push(log: &mut VecDeque<Duration>, now: Duration, kept: usize) {
    log.push_back(now);
    if log.len() > kept {
        log.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: ChatId = ChatId(1);
    const GROUP: ChatId = ChatId(-1);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn thirty_messages_in_any_second_pass_over_all_chats() {
        let mut rules = FloodRules::default();
        for nth in 0..30 {
            assert_eq!(rules.admit(ms(nth), Some(ChatId(100 + i64::try_from(nth).unwrap_or(0)))), Ok(()));
        }
        assert_eq!(rules.admit(ms(999), Some(PERSON)), Err(1));
        assert_eq!(rules.admit(ms(1000), None), Err(1), "both ends belong to the second, with or without a chat");
        assert_eq!(rules.admit(ms(1000) + Duration::from_nanos(1), Some(PERSON)), Ok(()));
        assert_eq!(rules.refusals(), [(FloodRule::AllChats, 2)].into());
    }

    #[test]
    fn a_chat_gets_one_message_a_second_after_a_burst_of_three() {
        let mut rules = FloodRules::default();
        for passes in [true, true, true, false] {
            assert_eq!(rules.admit(ms(0), Some(PERSON)).is_ok(), passes);
        }
        assert_eq!(rules.admit(ms(0), Some(GROUP)), Ok(()), "another chat waits for nobody");
        for second in 1..20 {
            assert_eq!(rules.admit(ms(1000 * second), Some(PERSON)), Ok(()));
            assert_eq!(rules.admit(ms(1000 * second + 999), Some(PERSON)), Err(1));
        }
        // Nobody saves up more than the burst.
        for passes in [true, true, true, false] {
            assert_eq!(rules.admit(ms(900_000), Some(PERSON)).is_ok(), passes);
        }
        assert_eq!(rules.refusals(), [(FloodRule::Chat, 21)].into());
    }

    #[test]
    fn a_group_gets_twenty_messages_in_any_minute() {
        let mut rules = FloodRules::default();
        for nth in 0..20 {
            assert_eq!(rules.admit(ms(1000 * nth), Some(GROUP)), Ok(()));
            assert_eq!(rules.admit(ms(1000 * nth), Some(PERSON)), Ok(()));
        }
        assert_eq!(rules.admit(ms(20_000), Some(GROUP)), Err(41), "just over forty seconds");
        assert_eq!(rules.admit(ms(20_000), Some(PERSON)), Ok(()), "people have no such limit");
        assert_eq!(rules.admit(ms(60_001), Some(GROUP)), Ok(()));
        assert_eq!(rules.admit(ms(60_500), Some(GROUP)), Err(1));
        assert_eq!(rules.refusals(), [(FloodRule::Group, 2)].into());
    }

    #[test]
    fn what_is_refused_counts_for_nothing() {
        let mut rules = FloodRules::default();
        for _ in 0..3 {
            assert_eq!(rules.admit(ms(0), Some(PERSON)), Ok(()));
        }
        for _ in 0..1000 {
            assert_eq!(rules.admit(ms(500), Some(PERSON)), Err(1));
        }
        assert_eq!(rules.admit(ms(1000), Some(PERSON)), Ok(()));
    }
}
