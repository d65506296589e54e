//! The report: a table of what was seen, one of what it cost, and which promises do not hold.

use std::{fs, time::Duration};

use super::{
    outcome::{Excess, LIMIT, Outcome},
    runs::{Promise, Run},
    trouble::Trouble,
};

/// What the reader is shown.
pub(crate) struct Report {
    costs: Vec<String>,
    notes: Vec<String>,
    broken: Vec<String>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        println!("load {}\n", load());
        println!(
            "| run | grants used, most in a second | arrivals, most in a second | 429 | grants/s | by sender | late |"
        );
        println!("|---|---|---|---|---|---|---|");
        Self { costs: Vec::new(), notes: Vec::new(), broken: Vec::new() }
    }

    pub(crate) fn add(&mut self, run: &Run, outcome: &Outcome) {
        let (fewest, most) = outcome.fewest_and_most(run.setting.senders);
        let excess = outcome.excess(run.setting.jitter);
        println!(
            "| {} | {} | {} | {} | {:.2} | {fewest}–{most} | {} |",
            run.name,
            outcome.most_used(),
            outcome.most_arrived(),
            outcome.refused,
            outcome.rate(),
            outcome.late,
        );
        for promise in &run.promises {
            let broken = match *promise {
                Promise::UsedWithinLimit if outcome.most_used() > LIMIT => {
                    format!("{} grants were used in a second", outcome.most_used())
                }
                Promise::UsedBeyondLimit if outcome.most_used() <= LIMIT => {
                    "no more than 30 grants in a second were seen of an algorithm that uses more".to_owned()
                }
                Promise::ArrivedWithinLimit if outcome.most_arrived() > LIMIT => {
                    format!("{} calls arrived in a second", outcome.most_arrived())
                }
                Promise::ExcessIsExplained if excess.unexplained > 0 => {
                    format!("{} of {} calls in excess match no stop inside of a send", excess.unexplained, excess.calls)
                }
                Promise::Rate(least) if outcome.rate() < least => {
                    format!("{:.2} grants a second, less than {least}", outcome.rate())
                }
                Promise::Fair if most > 3 * fewest => {
                    format!("one sender used {most} grants, another {fewest}")
                }
                _ => continue,
            };
            self.broken.push(format!("{}: {broken}", run.name));
        }
        if run.promises.contains(&Promise::ExcessIsExplained) {
            let Excess { calls, unexplained } = excess;
            let explained = calls - unexplained;
            self.notes.push(format!(
                "{}: {calls} calls arrived when 30 others had in the second before; {explained} of them match a stop \
                 inside of a send",
                run.name
            ));
        }
        if run.setting.trouble == Trouble::StopsAndAnotherRedis {
            self.notes.push(format!("{}: nothing arrived for {:.1?}", run.name, outcome.longest_silence()));
        }
        self.costs.extend(cost(run, outcome));
    }

    /// Whether all promises hold.
    pub(crate) fn end(self) -> bool {
        println!(
            "\n| run | round trip to Redis | asks per grant | µs in the script per ask | µs of Redis per grant \
             | µs of senders per grant |"
        );
        println!("|---|---|---|---|---|---|");
        self.costs.iter().for_each(|cost| println!("{cost}"));
        println!("\nload {}", load());
        self.notes.iter().for_each(|note| println!("{note}"));
        self.broken.iter().for_each(|broken| println!("BROKEN {broken}"));
        if self.broken.is_empty() {
            println!("every promise holds");
        }
        self.broken.is_empty()
    }
}

fn cost(run: &Run, outcome: &Outcome) -> Option<String> {
    let cost = &outcome.cost;
    let (redis, grants) = (cost.redis.as_ref()?, outcome.grants() as f64);
    let micros = |time: Duration, per: f64| time.as_secs_f64() * 1e6 / per;
    Some(format!(
        "| {} | {:.2} ms | {:.1} | {:.1} | {:.0} | {:.0} |",
        run.name,
        cost.round_trip.as_secs_f64() * 1e3,
        redis.asks as f64 / grants,
        micros(redis.in_scripts, redis.asks as f64),
        micros(redis.cpu, grants),
        micros(cost.senders, grants),
    ))
}

/// The averages of the last 1, 5 and 15 minutes.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
