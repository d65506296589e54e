//! What befalls senders and Redis during a run.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use loadtest::drive::{Program, SlowLink};
use rand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use super::{redis_server::RedisServer, sender::unix_us};

/// Which troubles a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Between undisturbed stretches at both ends senders are stopped for up to J, Redis is restarted and then replaced.
    StopsAndAnotherRedis,
    /// Senders are stopped for half a second, and stand still inside of sends for as long.
    LongStops,
}

/// Stops that J covers.
const SHORT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(150);
/// A stop that J does not cover.
pub(crate) const LONG: Duration = Duration::from_millis(500);
/// When stops begin and end, as shares of the run, and when Redis is restarted and replaced.
const STOPS: (f64, f64) = (0.25, 0.75);
const RESTART: f64 = 0.33;
const FAILOVER: f64 = 0.45;
/// After a failover the limiter is silent for ten seconds, and its grants' validity takes a while to settle.
const AFTER_FAILOVER: Duration = Duration::from_secs(20);

/// A sender stood still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) sender: usize,
    /// Unix µs.
    pub(crate) from_us: i64,
    /// Unix µs.
    pub(crate) to_us: i64,
}

/// The Redis that senders reach by a link, and the one that is to take its place.
pub(crate) struct Replaceable<'a> {
    pub(crate) link: &'a SlowLink,
    pub(crate) primary: &'a mut RedisServer,
    pub(crate) replica: &'a RedisServer,
}

impl Trouble {
    /// The stretches of a run of this length, since its start, whose rate counts.
    pub(crate) fn stretches_that_count(self, lasts: Duration) -> Vec<Range<Duration>> {
        if self != Self::StopsAndAnotherRedis {
            return vec![Duration::ZERO..lasts];
        }
        let again = (lasts.mul_f64(FAILOVER) + AFTER_FAILOVER).max(lasts.mul_f64(STOPS.1));
        [Duration::ZERO..lasts.mul_f64(STOPS.0), again..lasts].into_iter().filter(|range| !range.is_empty()).collect()
    }
}

/// Stops one sender after the other between `from` and `until`, each for any of `lengths`.
async fn stop_senders(
    senders: &[Program],
    from: Instant,
    until: Instant,
    lengths: RangeInclusive<Duration>,
) -> Vec<Stop> {
    let mut stops = Vec::new();
    sleep_until(from).await;
    while Instant::now() < until {
        let sender = rand::rng().random_range(0..senders.len());
        let from_us = unix_us();
        senders[sender].freeze().unwrap();
        sleep(rand::rng().random_range(lengths.clone())).await;
        senders[sender].thaw().unwrap();
        stops.push(Stop { sender, from_us, to_us: unix_us() });
        sleep(rand::rng().random_range(Duration::ZERO..=*lengths.end())).await;
    }
    stops
}

/// Stops of half a second, one sender after the other.
pub(crate) async fn long_stops(senders: &[Program], start: Instant, lasts: Duration) -> Vec<Stop> {
    stop_senders(senders, start, start + lasts, LONG..=LONG).await
}

/// Stops of senders up to J, a restart of Redis and a failover in between.
pub(crate) async fn stops_and_another_redis(
    senders: &[Program],
    redis: Replaceable<'_>,
    start: Instant,
    lasts: Duration,
) -> Vec<Stop> {
    let at = |share| start + lasts.mul_f64(share);
    let stops = stop_senders(senders, at(STOPS.0), at(STOPS.1), SHORT);
    let servers = async {
        sleep_until(at(RESTART)).await;
        redis.primary.restart().await;
        sleep_until(at(FAILOVER)).await;
        redis.replica.promote().await;
        redis.link.lead_to(redis.replica.address());
    };
    tokio::join!(stops, servers).0
}
