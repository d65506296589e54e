//! What the Bot API server has to deliver, in what order and when: the model of its webhook queues, without I/O.
//!
//! Updates of one queue go one after the other, the next only after a 2xx for the one before; queues go side by side.
//! Only a window of updates is loaded at a time, so that a queue that fails and fills it stalls the whole bot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use rand::{Rng, rngs::StdRng};

use crate::world::{Emitted, QueueKey};

#[derive(Debug, Default)]
struct Queue {
    /// The head stays while it is in flight.
    waiting: VecDeque<Emitted>,
    failures: u32,
}

/// All queues of one bot.
#[derive(Debug)]
pub(super) struct Queues {
    /// Beyond the window.
    backlog: VecDeque<Emitted>,
    window: usize,
    loaded: usize,
    queues: HashMap<QueueKey, Queue>,
    /// Heads that are not in flight: when they may go, in order of update id.
    ready: BTreeSet<(i64, i64, QueueKey)>,
    /// Heads that are.
    in_flight: HashSet<i64>,
    /// Copies of updates that were taken in, by when they come again.
    late: BTreeMap<(i64, i64), Emitted>,
    /// Those of them that have come again and are not taken in yet.
    come_again: HashSet<i64>,
    random: StdRng,
}

impl Queues {
    /// Holds at most `window` updates loaded.
    pub(super) fn new(window: usize, random: StdRng) -> Self {
        Self {
            backlog: VecDeque::new(),
            window,
            loaded: 0,
            queues: HashMap::new(),
            ready: BTreeSet::new(),
            in_flight: HashSet::new(),
            late: BTreeMap::new(),
            come_again: HashSet::new(),
            random,
        }
    }

    pub(super) fn push(&mut self, update: Emitted) {
        self.backlog.push_back(update);
        self.load();
    }

    fn load(&mut self) {
        while self.loaded < self.window {
            let Some(update) = self.backlog.pop_front() else { break };
            self.loaded += 1;
            let key = update.queue;
            let queue = self.queues.entry(key).or_default();
            if queue.waiting.is_empty() {
                self.ready.insert((0, update.update_id, key));
            }
            queue.waiting.push_back(update);
        }
    }

    /// Updates that are not delivered yet, those in flight included.
    pub(super) fn pending(&self) -> usize {
        self.loaded + self.backlog.len() + self.late.len()
    }

    /// When the next update may go, Unix ms.
    pub(super) fn next_at(&self) -> Option<i64> {
        let ready = self.ready.first().map(|(at, ..)| *at);
        let late = self.late.first_key_value().map(|((at, _), _)| *at);
        ready.into_iter().chain(late).min()
    }

    /// Sends an update that was taken in once more at `at_ms`, behind what is younger: as a copy does whose sender timed
    /// out while it was still under way.
    pub(super) fn send_late_copy(&mut self, at_ms: i64, update: Emitted) {
        self.late.insert((at_ms, update.update_id), update);
    }

    /// Whether an update in flight is such a copy.
    pub(super) fn is_late_copy(&self, update_id: i64) -> bool {
        self.come_again.contains(&update_id)
    }

    /// Takes an update that may go now; it is in flight until it has [landed](Self::landed).
    pub(super) fn take(&mut self, now_ms: i64) -> Option<Emitted> {
        while let Some(copy) = self.late.first_entry().filter(|copy| copy.key().0 <= now_ms) {
            let copy = copy.remove();
            self.come_again.insert(copy.update_id);
            self.push(copy);
        }
        let (at, id, key) = *self.ready.first()?;
        if at > now_ms {
            return None;
        }
        self.ready.remove(&(at, id, key));
        self.in_flight.insert(id);
        self.queues.get(&key)?.waiting.front().cloned()
    }

    /// An update is no longer in flight. True where its queue waits to hear of it by [`Self::succeeded`], [`Self::repeat`] or
    /// [`Self::failed`]; false where what waited has been dropped, or asked for, in the meantime.
    pub(super) fn landed(&mut self, update_id: i64) -> bool {
        self.in_flight.remove(&update_id)
    }

    /// The head of this queue has been taken in.
    pub(super) fn succeeded(&mut self, key: QueueKey) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.failures = 0;
        }
        self.forget_head(key);
    }

    /// Sends the head of this queue once more although it was taken in.
    pub(super) fn repeat(&mut self, key: QueueKey) {
        if let Some(head) = self.queues.get(&key).and_then(|queue| queue.waiting.front()) {
            self.ready.insert((0, head.update_id, key));
        }
    }

    /// The head of this queue was not taken in; true if the server gives up on it.
    pub(super) fn failed(&mut self, key: QueueKey, now_ms: i64, retry_after_s: Option<i64>) -> bool {
        let Some(queue) = self.queues.get_mut(&key) else { return false };
        let Some(head) = queue.waiting.front() else { return false };
        let delay_s = match retry_after_s {
            Some(seconds) if seconds > 0 => seconds.min(3600),
            _ => {
                queue.failures += 1;
                match queue.failures {
                    1 => 0,
                    n @ 2..=6 => 1 << (n - 1),
                    7 => self.random.random_range(60..=64),
                    _ => self.random.random_range(60..=120),
                }
            }
        };
        let at = now_ms + delay_s * 1000;
        if at > head.expires_ms {
            self.forget_head(key);
            return true;
        }
        self.ready.insert((at, head.update_id, key));
        false
    }

    /// Bodies of the oldest updates, at most `max`, for a bot that asks; and how many were too old by now and are gone.
    pub(super) fn oldest(&mut self, now_ms: i64, max: usize) -> (Vec<String>, u64) {
        let mut all = self.unload();
        let loaded = all.len();
        all.retain(|update| update.expires_ms >= now_ms);
        let expired = loaded - all.len();
        let bodies = all.iter().take(max).map(|update| update.body.clone()).collect();
        all.into_iter().for_each(|update| self.push(update));
        (bodies, expired as u64)
    }

    /// Forgets all updates before `offset` and returns them; a negative one leaves so many of the youngest.
    pub(super) fn confirm(&mut self, offset: i64) -> Vec<Emitted> {
        let mut all = self.unload();
        let first_left = if offset < 0 {
            all.len().saturating_sub(usize::try_from(-offset).unwrap_or(usize::MAX))
        } else {
            all.partition_point(|update| update.update_id < offset)
        };
        let left = all.split_off(first_left);
        left.into_iter().for_each(|update| self.push(update));
        all
    }

    /// Forgets all updates; how many they were.
    pub(super) fn clear(&mut self) -> u64 {
        let cleared = self.unload().len() + self.late.len();
        self.late.clear();
        cleared as u64
    }

    /// Takes everything out, oldest first; what is in flight will land in vain.
    fn unload(&mut self) -> Vec<Emitted> {
        let queues = std::mem::take(&mut self.queues);
        let mut all: Vec<_> =
            queues.into_values().flat_map(|queue| queue.waiting).chain(self.backlog.drain(..)).collect();
        all.sort_by_key(|update| update.update_id);
        self.ready.clear();
        self.in_flight.clear();
        self.loaded = 0;
        all
    }

    fn forget_head(&mut self, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(&key) else { return };
        if let Some(head) = queue.waiting.pop_front() {
            self.loaded -= 1;
            self.come_again.remove(&head.update_id);
        }
        match queue.waiting.front() {
            Some(next) => {
                self.ready.insert((0, next.update_id, key));
            }
            None => {
                self.queues.remove(&key);
            }
        }
        self.load();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::world::{ChatId, UserId};

    const DAY: i64 = 86_400_000;

    fn update(update_id: i64, queue: QueueKey) -> Emitted {
        Emitted { update_id, queue, kind: "message", at_ms: 0, expires_ms: DAY, body: String::new() }
    }

    fn queues(window: usize) -> Queues {
        Queues::new(window, StdRng::seed_from_u64(1))
    }

    const CHAT: QueueKey = QueueKey::Messages(ChatId(-1));
    const PERSON: QueueKey = QueueKey::Member(UserId(1));

    #[test]
    fn one_update_of_a_queue_is_in_flight_while_other_queues_go_on() {
        let mut queues = queues(80);
        for (id, key) in [(1, CHAT), (2, CHAT), (3, PERSON)] {
            queues.push(update(id, key));
        }
        assert_eq!(queues.take(0).unwrap().update_id, 1);
        assert_eq!(queues.take(0).unwrap().update_id, 3);
        assert!(queues.take(0).is_none());
        queues.succeeded(CHAT);
        assert_eq!(queues.take(0).unwrap().update_id, 2);
        assert_eq!(queues.pending(), 2);
    }

    #[test]
    fn a_late_copy_comes_behind_what_is_younger() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        let first = queues.take(0).unwrap();
        queues.succeeded(CHAT);
        queues.send_late_copy(3_000, first);
        queues.push(update(2, CHAT));
        assert_eq!(queues.take(0).unwrap().update_id, 2);
        queues.succeeded(CHAT);
        assert_eq!((queues.pending(), queues.next_at()), (1, Some(3_000)));
        assert!(queues.take(2_999).is_none());
        assert_eq!(queues.take(3_000).unwrap().update_id, 1);
        assert!(queues.is_late_copy(1));
        queues.succeeded(CHAT);
        assert_eq!(queues.pending(), 0);
        assert!(!queues.is_late_copy(1));
    }

    #[test]
    fn who_asks_gets_the_oldest_of_all_queues_until_they_are_confirmed() {
        let mut queues = queues(2);
        for (id, key) in [(1, CHAT), (2, PERSON), (3, CHAT), (4, PERSON)] {
            queues.push(Emitted { body: id.to_string(), ..update(id, key) });
        }
        assert_eq!(queues.oldest(0, 3).0, ["1", "2", "3"]);
        assert_eq!(queues.confirm(0).len(), 0);
        assert_eq!(queues.confirm(3).iter().map(|update| update.update_id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((queues.oldest(0, 9).0, queues.pending()), (vec!["3".to_owned(), "4".to_owned()], 2));
        assert_eq!(queues.confirm(-1).len(), 1);
        assert_eq!(queues.oldest(0, 9).0, ["4"]);
        assert_eq!(queues.oldest(DAY + 1, 9), (vec![], 1), "its time is over");
        queues.push(update(5, CHAT));
        assert_eq!((queues.clear(), queues.pending()), (1, 0));
    }

    #[test]
    fn what_was_in_flight_when_all_was_dropped_ends_no_younger_update() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        queues.push(update(2, CHAT));
        assert_eq!(queues.take(0).unwrap().update_id, 1);
        assert_eq!(queues.clear(), 2);
        queues.push(update(3, CHAT));
        assert!(!queues.landed(1));
        assert_eq!(queues.take(0).unwrap().update_id, 3);
        assert!(queues.landed(3));
    }

    #[test]
    fn what_was_in_flight_when_it_was_asked_for_comes_again() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        assert!(queues.take(0).is_some());
        assert_eq!(queues.oldest(0, 9).0.len(), 1);
        assert!(!queues.landed(1));
        assert_eq!(queues.take(0).unwrap().update_id, 1);
        assert_eq!(queues.pending(), 1);
    }

    #[test]
    fn retries_come_at_once_and_then_ever_later() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert!(queues.take(now).is_some());
            assert!(!queues.failed(CHAT, now, None));
            let next = queues.next_at().unwrap();
            waits.push((next - now) / 1000);
            now = next;
        }
        assert_eq!(waits[..6], [0, 2, 4, 8, 16, 32]);
        assert!((60..=64).contains(&waits[6]) && waits[7..].iter().all(|w| (60..=120).contains(w)), "{waits:?}");
    }

    #[test]
    fn retry_after_is_obeyed_and_does_not_count_as_a_failure() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        for (given, wait) in [(Some(3), 3), (Some(9999), 3600), (None, 0), (Some(0), 2)] {
            assert!(queues.take(i64::MAX).is_some());
            queues.failed(CHAT, 0, given);
            assert_eq!(queues.next_at(), Some(wait * 1000), "{given:?}");
        }
    }

    #[test]
    fn an_update_is_dropped_when_its_time_is_over_and_the_next_one_comes() {
        let mut queues = queues(80);
        queues.push(update(1, CHAT));
        queues.push(update(2, CHAT));
        assert!(queues.take(DAY).is_some());
        assert!(queues.failed(CHAT, DAY, Some(1)), "the retry would come too late");
        assert_eq!(queues.take(DAY).unwrap().update_id, 2);
    }

    #[test]
    fn a_failing_queue_that_fills_the_window_stalls_the_others() {
        let mut queues = queues(2);
        for (id, key) in [(1, CHAT), (2, CHAT), (3, PERSON)] {
            queues.push(update(id, key));
        }
        assert_eq!(queues.take(0).unwrap().update_id, 1);
        queues.failed(CHAT, 0, Some(60));
        assert!(queues.take(0).is_none(), "the third is not even loaded");
        assert!(queues.take(60_000).is_some());
        queues.succeeded(CHAT);
        let ids: Vec<_> = std::iter::from_fn(|| queues.take(60_000)).map(|u| u.update_id).collect();
        assert_eq!(ids, [2, 3]);
    }
}
