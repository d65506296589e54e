//! The queue as the consumer group of a stream has it: what a worker reads is pending until it is acknowledged, is kept
//! alive while its holder lives, and goes to another worker when nobody has touched it for a while. What is given up
//! becomes a dead letter, of an entry that is pending and of no other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use loadtest::world::Emitted;
use nezuko_telegram::{Update, parse_update};
use nezuko_worker::{
    attempts::TRIES,
    planted::{self, Bug},
};

use crate::{coverage::count, plan::Fault, scheduler::step};

/// The workers' default.
const RECLAIM_IDLE_MS: i64 = 30_000;

/// The queue does not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unread,
    /// In the hands of this consumer, who was last heard of then (Unix milliseconds).
    Pending {
        consumer: usize,
        heard_ms: i64,
    },
    Ended,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) update: Arc<Update>,
    pub(crate) received_ms: i64,
    /// Nobody can read it before (Unix milliseconds).
    visible_ms: i64,
    state: State,
    deliveries: u32,
    /// How often a handler has taken it in, or the cache acquitted it.
    taken_in: u32,
    /// How often a handler has failed at it for its own sake.
    failed: u32,
    dead_letters: u32,
    /// Whether a dead letter was added when it had ended already.
    died_twice: bool,
    /// When it was first read, and when it ended, in the order of everything that happens to entries.
    pub(crate) read_at: Option<u64>,
    pub(crate) ended_at: Option<u64>,
}

/// An entry in a worker's hands.
pub(crate) struct Delivered {
    pub(crate) entry: usize,
    pub(crate) update: Arc<Update>,
    pub(crate) received_ms: i64,
    pub(crate) deliveries: u32,
}

#[derive(Debug, Default)]
struct Entries {
    all: Vec<Entry>,
    /// Acknowledgements and dead letters so far.
    endings: usize,
    /// Which of them fail, and whether after they were taken, in order.
    fail: VecDeque<(usize, bool)>,
    /// Counts everything that happens to entries.
    happened: u64,
}

/// The queue of one bot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Arc<Mutex<Entries>>);

impl Queue {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let fail = faults.iter().filter_map(|fault| match fault {
            Fault::Queue { nth, taken } => Some((*nth, *taken)),
            _ => None,
        });
        Self(Arc::new(Mutex::new(Entries { fail: fail.collect(), ..Entries::default() })))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Telegram's update is stored, to be read from `visible_ms` on.
    pub(crate) fn push(&self, emitted: &Emitted, received_ms: i64, visible_ms: i64, copies: u32) {
        let update = parse_update(emitted.body.as_bytes()).expect("invariant: the world's updates are sound");
        let update = Arc::new(update);
        for _ in 0..copies {
            self.entries().all.push(Entry {
                update: update.clone(),
                received_ms,
                visible_ms,
                state: State::Unread,
                deliveries: 0,
                taken_in: 0,
                failed: 0,
                dead_letters: 0,
                died_twice: false,
                read_at: None,
                ended_at: None,
            });
        }
    }

    /// The entries that `consumer` could read or take over now.
    pub(crate) fn to_be_had(&self, now_ms: i64) -> Vec<usize> {
        let entries = self.entries();
        let can = |entry: &Entry| match entry.state {
            State::Unread => entry.visible_ms <= now_ms,
            State::Pending { heard_ms, .. } => heard_ms + RECLAIM_IDLE_MS <= now_ms,
            State::Ended => false,
        };
        entries.all.iter().enumerate().filter(|(_, entry)| can(entry)).map(|(index, _)| index).collect()
    }

    /// Gives an entry to a consumer.
    pub(crate) fn deliver(&self, index: usize, consumer: usize, now_ms: i64) -> Delivered {
        let mut entries = self.entries();
        entries.happened += 1;
        let happened = entries.happened;
        let entry = &mut entries.all[index];
        count("entry", if entry.state == State::Unread { "read" } else { "reclaimed" }, "");
        entry.state = State::Pending { consumer, heard_ms: now_ms };
        entry.deliveries += 1;
        entry.read_at.get_or_insert(happened);
        Delivered {
            entry: index,
            update: entry.update.clone(),
            received_ms: entry.received_ms,
            deliveries: entry.deliveries,
        }
    }

    /// A consumer is alive, so that nobody takes its entries.
    pub(crate) fn keep_alive(&self, alive: usize, now_ms: i64) {
        for entry in &mut self.entries().all {
            if let State::Pending { consumer, heard_ms } = &mut entry.state
                && *consumer == alive
            {
                *heard_ms = now_ms;
            }
        }
    }

    /// When somebody can read or take over something next, Unix milliseconds.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        let next = |entry: &Entry| match entry.state {
            State::Unread => Some(entry.visible_ms),
            State::Pending { heard_ms, .. } => Some(heard_ms + RECLAIM_IDLE_MS),
            State::Ended => None,
        };
        self.entries().all.iter().filter_map(next).min()
    }

    pub(crate) fn no_more_faults(&self) {
        self.entries().fail.clear();
    }

    /// How many acknowledgements and dead letters there were.
    pub(crate) fn endings(&self) -> usize {
        self.entries().endings
    }

    /// A handler has taken the entry in, or the cache has acquitted it.
    pub(crate) fn taken_in(&self, index: usize) {
        let entry = &mut self.entries().all[index];
        entry.taken_in += 1;
        if entry.taken_in > 1 {
            count("entry", "taken in again", "");
        }
    }

    /// A handler has failed at the entry for its own sake.
    pub(crate) fn failed(&self, index: usize) {
        count("entry", "failed", "");
        self.entries().all[index].failed += 1;
    }

    /// Whether the next acknowledgement or dead letter fails, and then whether after it was taken.
    fn fails(&self) -> Option<bool> {
        let mut entries = self.entries();
        let nth = entries.endings;
        entries.endings += 1;
        let (_, taken) = entries.fail.pop_front_if(|(of, _)| *of == nth)?;
        count("fault", "acknowledgement", if taken { "outcome unknown" } else { "failed" });
        Some(taken)
    }

    fn end(&self, index: usize) -> bool {
        let mut entries = self.entries();
        entries.happened += 1;
        let happened = entries.happened;
        let entry = &mut entries.all[index];
        let was_pending = entry.state != State::Ended;
        entry.state = State::Ended;
        entry.ended_at.get_or_insert(happened);
        was_pending
    }

    /// Ends an entry, whoever has it.
    pub(crate) async fn acknowledge(&self, index: usize) -> Result<(), Away> {
        step().await;
        let fails = self.fails();
        if fails == Some(false) {
            return Err(Away);
        }
        self.end(index);
        step().await;
        if fails.is_some() { Err(Away) } else { Ok(()) }
    }

    /// Makes an entry a dead letter and ends it, both or none; nothing where it has ended already.
    pub(crate) async fn dead_letter(&self, index: usize) -> Result<(), Away> {
        step().await;
        let fails = self.fails();
        if fails == Some(false) {
            return Err(Away);
        }
        if planted::has(Bug::DeadLetterFirst) {
            let has_ended = self.entries().all[index].state == State::Ended;
            self.add_dead_letter(index, has_ended);
            step().await;
            self.end(index);
        } else if self.end(index) {
            self.add_dead_letter(index, false);
        }
        step().await;
        if fails.is_some() { Err(Away) } else { Ok(()) }
    }

    fn add_dead_letter(&self, index: usize, had_ended: bool) {
        count("entry", "dead letter", "");
        let entry = &mut self.entries().all[index];
        entry.dead_letters += 1;
        entry.died_twice |= had_ended || entry.dead_letters > 1;
    }

    /// Whether some update was given up because its handler kept failing at it, as is right; what it told is lost then.
    pub(crate) fn gave_up(&self, is_poison: impl Fn(&Update) -> bool) -> bool {
        self.entries()
            .all
            .iter()
            .any(|entry| entry.dead_letters > 0 && entry.failed >= TRIES && !is_poison(&entry.update))
    }

    /// What must hold of every entry in the end.
    pub(crate) fn judge(&self) -> Result<(), String> {
        for entry in &self.entries().all {
            let id = entry.update.id;
            let Entry { state, taken_in, failed, dead_letters, deliveries, died_twice, .. } = entry;
            if *state != State::Ended {
                return Err(format!("update {id} is still in the queue: {state:?}"));
            }
            if *died_twice {
                return Err(format!(
                    "update {id} became a dead letter {dead_letters} times, or when it had ended already"
                ));
            }
            if *dead_letters > 0 && *failed < TRIES {
                return Err(format!("update {id} was given up after {failed} failures and {deliveries} deliveries"));
            }
            if *dead_letters == 0 && *taken_in == 0 {
                return Err(format!("update {id} is lost: nobody took it in"));
            }
        }
        Ok(())
    }

    /// How much has happened to entries so far.
    pub(crate) fn happened(&self) -> u64 {
        self.entries().happened
    }

    /// Hands out every entry in the order in which they came.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&[Entry]) -> R) -> R {
        look(&self.entries().all)
    }
}
