//! The limiter of the one-process profile: the same rules as in `lua/grant.lua`, with the process' own clock, which
//! neither jumps nor is forgotten without the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use nezuko_telegram::ChatId;
use tokio::time::Instant;

use super::{Budget, Limiter, LimiterError, LimiterSettings, MESSAGES_PER_MINUTE_IN_A_GROUP, Permit, is_group};

/// δ: how long a grant is good. There is no way to go; what it must cover is a busy scheduler.
const VALID_FOR: Duration = Duration::from_millis(50);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// After so many grants to chats what has expired is dropped.
const SWEEP_EVERY: u32 = 1000;

/// One bot's limiter; the process must have one only.
#[derive(Debug)]
pub struct MemoryLimiter {
    /// How long after its grant a message may arrive at Telegram.
    margin: Duration,
    state: Mutex<State>,
}

/// Log entries are the latest moments at which a call can arrive at Telegram, newest first.
#[derive(Debug)]
struct State {
    /// When the next message is due; at first the end of the silence in which grants of an earlier process run out.
    due: Instant,
    logs: HashMap<Budget, VecDeque<Instant>>,
    chats: HashMap<ChatId, VecDeque<Instant>>,
    /// Until when the bot (`None`) or a chat is paused.
    pauses: HashMap<Option<ChatId>, Instant>,
    grants_to_sweep: u32,
}

impl MemoryLimiter {
    /// The first message is granted after a little over a second.
    #[must_use]
    pub fn new(settings: LimiterSettings) -> Self {
        let margin = VALID_FOR + settings.jitter;
        let state = State {
            due: Instant::now() + SECOND + margin,
            logs: HashMap::new(),
            chats: HashMap::new(),
            pauses: HashMap::new(),
            grants_to_sweep: SWEEP_EVERY,
        };
        Self { margin, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn ask(&self, budget: Budget, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        let now = Instant::now();
        let mut state = self.state();
        let message = budget == Budget::Message;
        // Only messages are counted by chat.
        let counted_chat = chat.filter(|_| message);

        let bot_free = [
            state.pauses.get(&None).copied(),
            message.then_some(state.due),
            state.logs.get(&budget).and_then(|log| room(log, budget.per_second(), SECOND)),
        ];
        let chat_log = counted_chat.and_then(|chat| state.chats.get(&chat));
        let chat_free = [
            chat.and_then(|chat| state.pauses.get(&Some(chat)).copied()),
            chat_log.and_then(|log| room(log, 1, SECOND)),
            chat_log.and_then(|log| room(log, MESSAGES_PER_MINUTE_IN_A_GROUP, MINUTE)),
        ];
        let wait = |free: [Option<Instant>; 3]| {
            free.into_iter().flatten().map(|free| free.saturating_duration_since(now)).max().unwrap_or_default()
        };
        let (bot_wait, chat_wait) = (wait(bot_free), wait(chat_free));
        let retry_in = bot_wait.max(chat_wait);
        if !retry_in.is_zero() {
            return Ok(Permit::Denied { retry_in, chat_bound: !chat_wait.is_zero() });
        }

        if message {
            // A grant that came late by less than one spacing is made up for, or the rate would fall behind.
            let spacing = (SECOND + self.margin) / Budget::Message.per_second();
            state.due = state.due.max(now - spacing) + spacing;
        }
        let margin = if message { self.margin } else { Duration::ZERO };
        push(state.logs.entry(budget).or_default(), now + margin, budget.per_second());
        if let Some(chat) = counted_chat {
            let kept = if is_group(chat) { MESSAGES_PER_MINUTE_IN_A_GROUP } else { 1 };
            push(state.chats.entry(chat).or_default(), now + margin, kept);
            state.sweep(now);
        }
        Ok(Permit::Granted { valid_for: VALID_FOR })
    }

    async fn pause(&self, chat: Option<ChatId>, for_: Duration) -> Result<(), LimiterError> {
        let until = Instant::now() + for_;
        let mut state = self.state();
        let pause = state.pauses.entry(chat).or_insert(until);
        *pause = until.max(*pause);
        Ok(())
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        self.grants_to_sweep -= 1;
        if self.grants_to_sweep == 0 {
            self.grants_to_sweep = SWEEP_EVERY;
            self.chats.retain(|_, log| log.front().is_some_and(|newest| *newest + MINUTE >= now));
            self.pauses.retain(|_, until| *until > now);
        }
    }
}

/// When a log has room for one more call beside `calls` in `span`: only after the moment, not in it, hence the 1 ns.
fn room(log: &VecDeque<Instant>, calls: u32, span: Duration) -> Option<Instant> {
    log.get(calls as usize - 1).map(|oldest| *oldest + span + Duration::from_nanos(1))
}

fn push(log: &mut VecDeque<Instant>, entry: Instant, kept: u32) {
    log.push_front(entry);
    log.truncate(kept as usize);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn chats_that_were_written_to_long_ago_are_forgotten() {
        let limiter = MemoryLimiter::new(LimiterSettings::default());
        let mut chat = 0;
        while chat < 2 * i64::from(SWEEP_EVERY) {
            match limiter.ask(Budget::Message, Some(ChatId(chat))).await.unwrap() {
                Permit::Granted { .. } => chat += 1,
                Permit::Denied { retry_in, .. } => tokio::time::sleep(retry_in).await,
            }
        }
        // A minute has room for some 1,600 chats.
        assert!(limiter.state().chats.len() < 1700, "{}", limiter.state().chats.len());
    }
}
