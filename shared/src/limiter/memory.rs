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

use crate::clock;

use super::{
    BULK_SHARE, Budget, LEAST_RESERVE, Limiter, LimiterError, LimiterSettings, MESSAGES_PER_MINUTE_IN_A_GROUP, Paused,
    Permit, Urgency, is_group,
};

/// δ: how long a grant is good. There is no way to go; what it must cover is a busy scheduler.
const VALID_FOR: Duration = Duration::from_millis(50);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How long urgent calls are remembered.
const MEMORY: Duration = Duration::from_secs(2);
/// By how much an asker may be late before it counts as gone.
const COMES_BACK: Duration = Duration::from_millis(100);
/// Calls in a second that no number of 429s takes away.
const LEAST_RATE: f64 = 5.0;

/// After so many grants to chats what has expired is dropped.
const SWEEP_EVERY: u32 = 1000;

/// One bot's limiter; the process must have one only.
#[derive(Debug)]
pub struct MemoryLimiter {
    /// How long after its grant a message may arrive at Telegram.
    margin: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next message is due; at first the end of the silence in which grants of an earlier process run out.
    due: Instant,
    budgets: HashMap<Budget, BudgetState>,
    /// The latest moments at which the last messages to a chat can arrive, newest first.
    chats: HashMap<ChatId, VecDeque<Instant>>,
    /// Until when the bot (`None`) or a chat is paused.
    pauses: HashMap<Option<ChatId>, Instant>,
    /// The last chat that was paused, when, and for how long.
    flooded: Option<(ChatId, Instant, Duration)>,
    grants_to_sweep: u32,
}

/// Everything about one budget but the spacing of messages.
#[derive(Debug, Default)]
struct BudgetState {
    /// The latest moments at which the last calls can arrive at Telegram, newest first.
    log: VecDeque<Instant>,
    /// Calls a second that the last 429 left, and when it came.
    halved: Option<(f64, Instant)>,
    /// What urgent calls took lately, in calls a second, and when that was reckoned.
    urgent: Option<(f64, Instant)>,
    /// Until when an urgent call counts as waiting.
    urgent_waits: Option<Instant>,
    /// When bulk was granted last, and when it may be next.
    bulk: Option<(Instant, Instant)>,
    /// Until when bulk counts as waiting.
    bulk_waits: Option<Instant>,
}

impl MemoryLimiter {
    /// The first message is granted after a little over a second.
    #[must_use]
    pub fn new(settings: LimiterSettings) -> Self {
        let margin = VALID_FOR + settings.jitter;
        let state = State {
            due: clock::instant() + SECOND + margin,
            budgets: HashMap::new(),
            chats: HashMap::new(),
            pauses: HashMap::new(),
            flooded: None,
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
    async fn ask(&self, budget: Budget, urgency: Urgency, chat: Option<ChatId>) -> Result<Permit, LimiterError> {
        let now = clock::instant();
        let mut guard = self.state();
        let state = &mut *guard;
        let message = budget == Budget::Message;
        let margin = if message { self.margin } else { Duration::ZERO };
        let window = SECOND + margin;
        // Only messages are counted by chat.
        let counted_chat = chat.filter(|_| message);

        let of_budget = state.budgets.entry(budget).or_default();
        let calls = of_budget.calls(budget, now);
        let bot_free = [
            state.pauses.get(&None).copied(),
            message.then_some(state.due),
            room(&of_budget.log, calls as usize, SECOND),
            of_budget.turn(urgency, now, window, calls),
        ];
        let chat_log = counted_chat.and_then(|chat| state.chats.get(&chat));
        let chat_free = [
            chat.and_then(|chat| state.pauses.get(&Some(chat)).copied()),
            chat_log.and_then(|log| room(log, 1, SECOND)),
            chat_log.and_then(|log| room(log, MESSAGES_PER_MINUTE_IN_A_GROUP as usize, MINUTE)),
        ];
        let wait = |free: &[Option<Instant>]| {
            free.iter().flatten().map(|free| free.saturating_duration_since(now)).max().unwrap_or_default()
        };
        let (bot_wait, chat_wait) = (wait(&bot_free), wait(&chat_free));
        let retry_in = bot_wait.max(chat_wait);
        if !retry_in.is_zero() {
            if chat_wait.is_zero() {
                of_budget.denied(urgency, now, retry_in);
            }
            return Ok(Permit::Denied { retry_in, chat_bound: !chat_wait.is_zero() });
        }

        if message {
            // A grant that came late by less than one spacing is made up for, or the rate would fall behind.
            let spacing = window / Budget::Message.per_second();
            state.due = state.due.max(now - spacing) + spacing;
        }
        push(&mut of_budget.log, now + margin, budget.per_second());
        of_budget.granted(budget, urgency, now, window, calls);
        if let Some(chat) = counted_chat {
            let kept = if is_group(chat) { MESSAGES_PER_MINUTE_IN_A_GROUP } else { 1 };
            push(state.chats.entry(chat).or_default(), now + margin, kept);
            state.sweep(now);
        }
        Ok(Permit::Granted { valid_for: VALID_FOR })
    }

    async fn pause(&self, budget: Budget, chat: Option<ChatId>, for_: Duration) -> Result<Paused, LimiterError> {
        let now = clock::instant();
        let mut state = self.state();
        let mut paused = vec![(chat, for_)];
        if let Some(chat) = chat {
            // Two chats at once: it is not about a chat. For how long, the shorter one says.
            if let Some((_, _, shorter)) = state.flooded.filter(|(other, at, _)| *other != chat && now - *at < SECOND) {
                paused.push((None, shorter.min(for_)));
            }
            state.flooded = Some((chat, now, for_));
        }
        for (what, for_) in &paused {
            let pause = state.pauses.entry(*what).or_insert(now);
            *pause = (now + *for_).max(*pause);
        }
        if budget != Budget::Message {
            state.budgets.entry(budget).or_default().halve(budget, now);
        }
        Ok(if paused.iter().any(|(what, _)| what.is_none()) { Paused::Bot } else { Paused::Chat })
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

impl BudgetState {
    /// Calls in a second: after a 429 fewer, growing by a tenth a minute.
    fn calls(&self, budget: Budget, now: Instant) -> u32 {
        let most = f64::from(budget.per_second());
        self.halved.map_or(most, |halved| grown(halved, now).min(most)).floor().max(1.0) as u32
    }

    fn halve(&mut self, budget: Budget, now: Instant) {
        // Not for each of the calls that were on their way together.
        if self.halved.is_none_or(|(_, at)| now - at > SECOND) {
            let most = f64::from(budget.per_second());
            let rate = self.halved.map_or(most, |halved| grown(halved, now).min(most));
            self.halved = Some(((rate / 2.0).max(LEAST_RATE), now));
        }
    }

    /// When a call may go as far as those of the other urgency are concerned: bulk waits while an urgent one does, but
    /// for its share.
    fn turn(&self, urgency: Urgency, now: Instant, window: Duration, calls: u32) -> Option<Instant> {
        let share = window.div_f64(f64::from(calls) * BULK_SHARE);
        let share_due = self.bulk.map_or(now, |(last, _)| last + share);
        let waits = |until: Option<Instant>| until.is_some_and(|until| until > now);
        match urgency {
            Urgency::Bulk => {
                let after_urgent = waits(self.urgent_waits).then(|| share_due.min(now + COMES_BACK));
                self.bulk.map(|(_, due)| due).max(after_urgent)
            }
            Urgency::Urgent => (waits(self.bulk_waits) && share_due <= now).then(|| now + window / calls),
        }
    }

    fn denied(&mut self, urgency: Urgency, now: Instant, retry_in: Duration) {
        let waits = match urgency {
            Urgency::Bulk => &mut self.bulk_waits,
            Urgency::Urgent => &mut self.urgent_waits,
        };
        *waits = Some(now + retry_in + COMES_BACK);
    }

    fn granted(&mut self, budget: Budget, urgency: Urgency, now: Instant, window: Duration, calls: u32) {
        // What urgent calls took lately, in calls a second.
        let decayed = |(rate, at): (f64, Instant)| rate * (-(now - at).as_secs_f64() / MEMORY.as_secs_f64()).exp();
        let urgent = self.urgent.map_or(0.0, decayed);
        if urgency == Urgency::Urgent {
            self.urgent = Some((urgent + 1.0 / MEMORY.as_secs_f64(), now));
            self.urgent_waits = None;
            return;
        }
        let calls = f64::from(calls);
        let reserve = if budget == Budget::Message {
            0.0 // Its grants are spaced: nobody urgent waits for longer than one.
        } else {
            (calls * LEAST_RESERVE + 1.25 * urgent).min(calls * (1.0 - BULK_SHARE))
        };
        let spacing = window.div_f64(calls - reserve);
        let due = self.bulk.map_or(now - spacing, |(_, due)| due.max(now - spacing)) + spacing;
        self.bulk = Some((now, due));
        self.bulk_waits = None;
    }
}

/// What a halved rate has grown to.
fn grown((rate, at): (f64, Instant), now: Instant) -> f64 {
    rate * 1.1_f64.powf((now - at).as_secs_f64() / MINUTE.as_secs_f64())
}

/// When a log has room for one more call beside `calls` in `span`: only after the moment, not in it, hence the 1 ns.
fn room(log: &VecDeque<Instant>, calls: usize, span: Duration) -> Option<Instant> {
    log.get(calls - 1).map(|oldest| *oldest + span + Duration::from_nanos(1))
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
            match limiter.ask(Budget::Message, Urgency::Urgent, Some(ChatId(chat))).await.unwrap() {
                Permit::Granted { .. } => chat += 1,
                Permit::Denied { retry_in, .. } => tokio::time::sleep(retry_in).await,
            }
        }
        // A minute has room for some 1,600 chats.
        assert!(limiter.state().chats.len() < 1700, "{}", limiter.state().chats.len());
    }
}
