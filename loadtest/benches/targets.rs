//! What a fleet keeps to over a generated day: how often the cache knows the writer of a message, how long the database takes,
//! how long a command waits for its answer, how much memory a program has; and what an update of such a day costs. Run by
//! `make bench-product`.

#![allow(clippy::unwrap_used, reason = "a bench ends where a test would")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use loadtest::{
    drive::PlayOptions,
    generate::DayPlan,
    world::{Entry, Happened, UserId},
};
use support::{
    Running,
    fleet::Fleet,
    fresh_bot,
    play::{Day, SHORT, assert_clean, play},
    servers::with_servers,
};

#[tokio::main]
async fn main() {
    let mut holds = false;
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        // As the demo's, played in a minute.
        let options = PlayOptions { lasts: Duration::from_secs(60), drain: Duration::from_secs(60), ..SHORT };
        let mut run = Day::new(bot, 1, DayPlan::default(), options).begin(bot).await;
        let fleet = Fleet::start(servers, run.simulator(), bot).await;
        let costs = Costs::so_far(&fleet).await;
        let began = Instant::now();
        assert_clean(&play(&mut run, |_| ()).await);
        let (costs, took) = (Costs::so_far(&fleet).await.since(&costs), began.elapsed());

        let (mut hits, mut misses, mut memory) = (0, 0, 0);
        let mut queries = Histogram::default();
        for (_, worker) in &fleet.workers {
            hits += worker.metric("bot_cache_hits_total").await;
            misses += worker.metric("bot_cache_misses_total").await;
            memory = memory.max(worker.memory());
            queries.add(&worker.page("metrics").await, "db_query_duration_seconds_bucket");
        }
        let known = hits as f64 / (hits + misses).max(1) as f64;
        let query_ms = queries.percentile(0.95) * 1e3;
        let answers = run.simulator().world(|world| answers(world.history(), bot));
        let answer_ms = answers.get(answers.len() * 95 / 100).copied().unwrap_or(i64::MAX);
        let memory_mb = memory as f64 / 1e6;
        println!("the cache knows {:.0} % of {} writers (at least 70)", known * 100.0, hits + misses);
        println!("95 of 100 operations of the database take at most {query_ms} ms (at most 50)");
        println!("95 of {} commands are answered within {answer_ms} ms (at most 3000)", answers.len());
        println!("{}, with {} calls", costs.told(took), run.simulator().calls().len());
        println!("the largest worker has {memory_mb:.0} MB (at most 512)");
        holds = known >= 0.7 && query_ms <= 50.0 && answer_ms <= 3_000 && memory_mb <= 512.0 && !answers.is_empty();
        fleet.end().await;
        run.stop().await;
    })
    .await;
    assert!(holds, "a promise does not hold");
}

/// What programs have used, and for how many updates.
struct Costs {
    updates: u64,
    gateways: Duration,
    workers: Duration,
}

impl Costs {
    async fn so_far(fleet: &Fleet) -> Self {
        let mut updates = 0;
        for (_, worker) in &fleet.workers {
            updates += worker.metric("nezuko_updates_total").await;
        }
        let gateways = fleet.gateways.iter().map(Running::cpu_time).sum();
        Self { updates, gateways, workers: fleet.workers.iter().map(|(_, worker)| worker.cpu_time()).sum() }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            updates: self.updates - before.updates,
            gateways: self.gateways - before.gateways,
            workers: self.workers - before.workers,
        }
    }

    /// What waits for updates included, which costs the more for each the fewer there are.
    fn told(&self, took: Duration) -> String {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.updates.max(1) as f64;
        format!(
            "an update costs {:.0} µs of processor time in gateways and {:.0} µs in workers, at {:.0} of {} a second",
            each(self.gateways),
            each(self.workers),
            self.updates as f64 / took.as_secs_f64(),
            self.updates,
        )
    }
}

/// How long people waited for the bot's answer to a command, ms, in order.
fn answers(history: &[Entry], bot: UserId) -> Vec<i64> {
    let (mut asked, mut waits) = (HashMap::new(), Vec::new());
    for Entry { at_ms, what } in history {
        let Happened::Sent { chat, message, author, text, reply_to, .. } = what else { continue };
        if text.starts_with('/') {
            asked.insert((*chat, *message), *at_ms);
        }
        let answered = reply_to.filter(|_| *author == bot).and_then(|to| asked.remove(&(*chat, to)));
        waits.extend(answered.map(|asked: i64| at_ms - asked));
    }
    waits.sort_unstable();
    waits
}

/// Buckets of several programs and labels together: the upper bound in seconds, with how many were at most that.
#[derive(Default)]
struct Histogram(Vec<(f64, u64)>);

impl Histogram {
    fn add(&mut self, page: &str, name: &str) {
        for line in page.lines().filter(|line| line.starts_with(name)) {
            let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            match self.0.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None => self.0.push((bound, count)),
            }
        }
    }

    /// The upper bound of the bucket that it lies in.
    fn percentile(&self, part: f64) -> f64 {
        let all = self.0.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let enough = |(_, count): &&(f64, u64)| *count as f64 >= all as f64 * part;
        self.0.iter().filter(enough).map(|(bound, _)| *bound).fold(f64::INFINITY, f64::min)
    }
}
