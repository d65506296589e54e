//! What came of a run, and what can be said of it.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    time::Duration,
};

use loadtest::simulator::{CallSeen, beyond, most_in_any_second};

use super::{redis_server::Figures, sender::Told, trouble::Stop};

/// Messages in any second that Telegram lets through.
pub(crate) const LIMIT: usize = 30;

/// A grant used, which is a call.
#[derive(Clone, Copy, Debug)]
struct Call {
    sender: usize,
    /// Just before it was written, Unix µs by the sender's log.
    used_us: i64,
}

/// A run's logs and figures.
pub(crate) struct Outcome {
    /// In order of use.
    used: Vec<Call>,
    /// When calls arrived, in order, and which they were.
    arrived_us: Vec<i64>,
    arrived: Vec<Option<Call>>,
    stops: Vec<Stop>,
    measured_us: Range<i64>,
    /// Stretches whose rate counts.
    counted_us: Vec<Range<i64>>,
    /// Answers 429.
    pub(crate) refused: u64,
    /// Grants thrown away because they came late.
    pub(crate) late: u64,
    pub(crate) cost: Cost,
}

/// What the measured time of a run has cost.
pub(crate) struct Cost {
    /// Of the Redis that was there all the time, if one was.
    pub(crate) redis: Option<Figures>,
    /// Processor time of all senders together.
    pub(crate) senders: Duration,
    /// A round trip to Redis as measured by its client.
    pub(crate) round_trip: Duration,
}

/// Arrivals when 30 others had arrived in the second before.
pub(crate) struct Excess {
    pub(crate) calls: usize,
    /// Those in whose second no call was held up inside of its send by a stop for longer than J.
    pub(crate) unexplained: usize,
}

/// What a run has put down.
pub(crate) struct Logs {
    /// By sender.
    pub(crate) told: Vec<Told>,
    pub(crate) seen: Vec<CallSeen>,
    pub(crate) stops: Vec<Stop>,
    pub(crate) measured_us: Range<i64>,
    pub(crate) counted_us: Vec<Range<i64>>,
}

impl Outcome {
    pub(crate) fn of(logs: Logs, refused: u64, cost: Cost) -> Self {
        let Logs { told, seen, mut stops, measured_us, counted_us } = logs;
        let mut used = Vec::new();
        // Nobody else writes to a sender's people, and calls to one person follow each other by more than a second: so
        // the first to leave is the first to arrive.
        let mut on_the_way: HashMap<i64, VecDeque<Call>> = HashMap::new();
        for (sender, told) in told.iter().enumerate() {
            for &(used_us, chat) in &told.used {
                let call = Call { sender, used_us };
                used.push(call);
                on_the_way.entry(chat).or_default().push_back(call);
            }
            stops.extend(told.stood.iter().map(|&(from_us, to_us)| Stop { sender, from_us, to_us }));
        }
        used.sort_by_key(|call| call.used_us);
        let mut seen: Vec<_> = seen.into_iter().filter(|call| call.method == "sendMessage").collect();
        seen.sort_by_key(|call| call.at_us);
        let arrived = seen.iter().map(|call| on_the_way.get_mut(&call.chat?.0)?.pop_front()).collect();
        let arrived_us = seen.iter().map(|call| call.at_us).collect();
        let late = told.iter().map(|told| told.late).sum();
        Self { used, arrived_us, arrived, stops, measured_us, counted_us, refused, late, cost }
    }

    /// The most grants used in any second.
    pub(crate) fn most_used(&self) -> usize {
        most_in_any_second(&self.used.iter().map(|call| call.used_us).collect::<Vec<_>>())
    }

    /// The most calls that arrived in any second.
    pub(crate) fn most_arrived(&self) -> usize {
        most_in_any_second(&self.arrived_us)
    }

    /// The longest that nothing arrived while it was measured.
    pub(crate) fn longest_silence(&self) -> Duration {
        let measured: Vec<i64> = self.arrived_us.iter().copied().filter(|at| self.measured_us.contains(at)).collect();
        let longest_us = measured.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        Duration::from_micros(longest_us.unsigned_abs())
    }

    fn used_in(&self, stretch: &Range<i64>) -> impl Iterator<Item = &Call> {
        self.used.iter().filter(|call| stretch.contains(&call.used_us))
    }

    /// Grants used while it was measured.
    pub(crate) fn grants(&self) -> usize {
        self.used_in(&self.measured_us).count()
    }

    /// Grants used a second in the stretches that count.
    pub(crate) fn rate(&self) -> f64 {
        let lasted_us: i64 = self.counted_us.iter().map(|stretch| stretch.end - stretch.start).sum();
        let used: usize = self.counted_us.iter().map(|stretch| self.used_in(stretch).count()).sum();
        used as f64 * 1e6 / lasted_us as f64
    }

    /// Grants of the sender that used the fewest, and of that which used the most.
    pub(crate) fn fewest_and_most(&self, senders: usize) -> (usize, usize) {
        let mut by_sender = vec![0; senders];
        for call in self.used_in(&self.measured_us) {
            by_sender[call.sender] += 1;
        }
        (by_sender.iter().copied().min().unwrap_or(0), by_sender.iter().copied().max().unwrap_or(0))
    }

    pub(crate) fn excess(&self, jitter: Duration) -> Excess {
        let jitter_us = i64::try_from(jitter.as_micros()).unwrap();
        let is_held_up = |nth: usize| {
            let (Some(call), arrived_us) = (self.arrived[nth], self.arrived_us[nth]) else { return false };
            let stopped =
                |stop: &Stop| stop.sender == call.sender && stop.from_us < arrived_us && stop.to_us > call.used_us;
            arrived_us - call.used_us > jitter_us && self.stops.iter().any(stopped)
        };
        let excess = beyond(LIMIT, &self.arrived_us);
        let unexplained = excess.iter().filter(|&&last| !(last - LIMIT..=last).any(is_held_up)).count();
        Excess { calls: excess.len(), unexplained }
    }
}
