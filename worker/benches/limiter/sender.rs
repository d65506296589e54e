//! One process that sends as much as it may: it asks the limiter the way Nezuko's senders do, and tells what it does on
//! its standard output.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    limiter::{Budget, Urgency},
    redis_pool::Redis,
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{CallError, ChatId, Client, HttpTransport};
use nezuko_worker::{run::CALL_TIMEOUT, send::Permits};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{BOT, TOKEN, usual::Algorithm};

/// Calls that one sender has in hand at once.
const IN_HAND: usize = 8;

/// What a sender is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) redis_url: String,
    pub(crate) api_url: String,
    pub(crate) algorithm: Algorithm,
    /// J of Nezuko's own limiter.
    pub(crate) jitter: Duration,
    /// The people that nobody else writes to.
    pub(crate) people: Range<i64>,
    pub(crate) stall: Option<Stall>,
}

/// How a sender stands still inside of a send, at the worst place: after its grant was found good, before the request goes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stall {
    /// In the first send after each whole multiple of this, for all senders by the same clock.
    pub(crate) every: Duration,
    /// How long.
    pub(crate) lasts: Duration,
}

struct Sender {
    permits: Permits,
    api: Client,
    people: Vec<i64>,
    turn: AtomicUsize,
    stall: Option<Stall>,
    last_stall: AtomicI64,
}

/// Sends until SIGTERM comes.
pub(crate) async fn send(orders: Orders) {
    let metrics = Metrics::new(BOT, "bench");
    let limiter = orders.algorithm.limiter(&Redis::new(&orders.redis_url).unwrap(), orders.jitter);
    let transport = HttpTransport::new(&orders.api_url, TOKEN, CALL_TIMEOUT).unwrap();
    let mut people: Vec<i64> = orders.people.collect();
    people.shuffle(&mut rand::rng());
    let sender = Arc::new(Sender {
        permits: Permits::new(limiter, metrics.clone()),
        api: Client::new(Arc::new(transport)),
        people,
        turn: AtomicUsize::new(0),
        stall: orders.stall,
        last_stall: AtomicI64::new(orders.stall.map_or(0, |stall| stall.number())),
    });
    for _ in 0..IN_HAND {
        let sender = Arc::clone(&sender);
        tokio::spawn(async move {
            loop {
                sender.send_one().await;
            }
        });
    }
    signal(SignalKind::terminate()).unwrap().recv().await;
    let metrics = metrics.encode();
    let late = metrics.lines().filter(|line| line.starts_with("nezuko_limiter_late_grants_total"));
    let late: u64 = late.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    println!("late {late}");
}

impl Sender {
    async fn send_one(&self) {
        let chat = ChatId(self.people[self.turn.fetch_add(1, Ordering::Relaxed) % self.people.len()]);
        match self.permits.leave(Budget::Message, Urgency::Urgent, Some(chat)).await {
            Ok(()) => {
                println!("used {} {chat}", unix_us());
                self.stall();
                let message = json!({"chat_id": chat, "text": "as much as may be"});
                // Whether it was refused stands in the simulator's log.
                let _answer: Result<MethodResponse<Value>, CallError> =
                    self.api.request("sendMessage", Some(message)).await;
            }
            Err(refused) => tokio::time::sleep(refused.retry_in).await,
        }
    }

    /// Blocks the only thread of this process, which is what a stop of the process comes to.
    #[expect(clippy::disallowed_methods, reason = "nothing at all is to go on")]
    fn stall(&self) {
        let Some(stall) = self.stall else { return };
        let number = stall.number();
        if self.last_stall.swap(number, Ordering::Relaxed) != number {
            let from = unix_us();
            std::thread::sleep(stall.lasts);
            println!("stood {from} {}", unix_us());
        }
    }
}

impl Stall {
    fn number(self) -> i64 {
        unix_us() / i64::try_from(self.every.as_micros()).unwrap()
    }
}

/// Unix µs by the clock that all processes of a machine share.
pub(crate) fn unix_us() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// What a sender has told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// When a grant was used, Unix µs, and for which chat; in order.
    pub(crate) used: Vec<(i64, i64)>,
    /// From when until when it stood still inside of a send, Unix µs.
    pub(crate) stood: Vec<(i64, i64)>,
    /// Grants that were thrown away because they came late.
    pub(crate) late: u64,
}

impl Told {
    pub(crate) fn read(log: &str) -> Self {
        let mut told = Self::default();
        for line in log.lines() {
            let mut words = line.split(' ');
            let word = words.next();
            let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
            match (word, number(), number()) {
                (Some("used"), Some(at), Some(chat)) => told.used.push((at, chat)),
                (Some("stood"), Some(from), Some(to)) => told.stood.push((from, to)),
                (Some("late"), Some(late), None) => told.late = late.unsigned_abs(),
                // Such as a panic's text.
                _ => println!("a sender says: {line}"),
            }
        }
        told
    }
}
