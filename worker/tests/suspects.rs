//! An update that was delivered again and again may be what others died of: it is taken in alone, and the log names it first.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use nezuko_shared::{
    cache::{Cache, CacheError, ChatVersion, Verdict},
    conformance::databases::SqliteFile,
    envelope::Envelope,
    queue::{Backlog, Consumer, Delivery, EntryId, QueueError},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId};
use nezuko_worker::{clock, consume::Reader, handle::Handler, outage::OutageWatch, store::SqlStore};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long is looked whether something happens that must not.
const MOMENT: Duration = Duration::from_millis(300);
/// The update of this number is the suspect.
const SUSPECT: i64 = 3;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// What the process has said so far.
struct Log;

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message in the group of that number, delivered for the nth time.
fn delivery(bot: BotId, number: i64, deliveries: u32) -> Delivery {
    let payload = format!(
        r#"{{"update_id":{number},"message":{{"message_id":1,"date":1,"chat":{{"id":-{number},"type":"supergroup","title":"g"}},
            "from":{{"id":{number},"is_bot":false,"first_name":"Ann"}},"text":"hello"}}}}"#
    );
    let envelope = Envelope {
        bot,
        update_id: UpdateId(number),
        routing_key: number,
        received_ms: (clock::system())(),
        traceparent: format!("00-{number:032x}-{number:016x}-01"),
        payload: payload.into(),
    };
    Delivery { id: EntryId(number.to_string()), envelope, deliveries }
}

/// The queue of a bot: what the test puts into it.
struct Queue {
    given: tokio::sync::Mutex<mpsc::Receiver<Vec<Delivery>>>,
    ended: Mutex<BTreeSet<EntryId>>,
}

impl Queue {
    fn new() -> (mpsc::Sender<Vec<Delivery>>, Arc<Self>) {
        let (give, given) = mpsc::channel(1);
        (give, Arc::new(Self { given: given.into(), ended: Mutex::default() }))
    }
}

#[async_trait]
impl Consumer for Queue {
    async fn read(&self, _: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut given = self.given.lock().await;
        Ok(tokio::time::timeout(wait, given.recv()).await.ok().flatten().unwrap_or_default())
    }

    async fn ack(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        self.ended.lock().unwrap().extend(ids.iter().cloned());
        Ok(())
    }

    async fn keep_alive(&self, _: &[EntryId]) -> Result<(), QueueError> {
        Ok(())
    }

    async fn reclaim(&self, _: Duration, _: usize) -> Result<Vec<Delivery>, QueueError> {
        Ok(Vec::new())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<bool, QueueError> {
        panic!("{delivery:?} was given up: {reason}");
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        Ok(Backlog::default())
    }

    async fn leave(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

/// Every handler ends by telling the cache, which keeps it for as long as the test wants.
#[derive(Clone)]
struct Gate {
    inside: watch::Sender<BTreeSet<i64>>,
    open: Arc<Semaphore>,
    open_for_suspect: Arc<Semaphore>,
}

#[async_trait]
impl Cache for Gate {
    async fn acquitted(&self, _: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError> {
        Ok(vec![false; pairs.len()])
    }

    async fn remember(&self, _: BotId, _: &[Verdict], _: Duration) -> Result<(), CacheError> {
        Ok(())
    }

    async fn remember_chat(&self, _: BotId, version: ChatVersion, _: Duration) -> Result<(), CacheError> {
        let number = -version.chat.0;
        self.inside.send_modify(|inside| {
            inside.insert(number);
        });
        let gate = if number == SUSPECT { &self.open_for_suspect } else { &self.open };
        gate.acquire().await.unwrap().forget();
        self.inside.send_modify(|inside| {
            inside.remove(&number);
        });
        Ok(())
    }
}

impl Gate {
    async fn are_inside(&self, numbers: &[i64]) {
        let wanted = BTreeSet::from_iter(numbers.iter().copied());
        let mut inside = self.inside.subscribe();
        let reached = tokio::time::timeout(PATIENCE, inside.wait_for(|inside| *inside == wanted)).await;
        assert!(reached.is_ok(), "{wanted:?} are awaited, {:?} are inside", self.inside.borrow());
    }

    /// Nobody comes or goes for a moment.
    async fn stay_as_they_are(&self) {
        let mut inside = self.inside.subscribe();
        let changed = tokio::time::timeout(MOMENT, inside.changed()).await;
        assert!(changed.is_err(), "{:?}", self.inside.borrow());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_is_taken_in_alone_in_its_process_and_named_before() {
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(|| Log).init();
    let file = SqliteFile::new().await;
    let gate = Gate {
        inside: watch::Sender::default(),
        open: Arc::new(Semaphore::new(0)),
        open_for_suspect: Arc::new(Semaphore::new(0)),
    };
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let bots = [BotId(41), BotId(42)].map(|bot| {
        let (give, queue) = Queue::new();
        let metrics = Metrics::new(bot, "abc");
        let store = Arc::new(SqlStore::new(file.database.clone(), bot));
        let outage = Arc::new(OutageWatch::new(store.clone(), metrics.clone()));
        let handler = Handler {
            store,
            cache: Arc::new(gate.clone()),
            bot,
            username: Arc::new(OnceLock::new()),
            metrics,
            clock: clock::system(),
            wake: Arc::default(),
        };
        Reader::run(queue.clone(), handler, outage, Duration::from_hours(1), &stop, &tracker);
        (bot, give, queue)
    });
    let [(first_bot, first, first_queue), (other_bot, other, other_queue)] = &bots;

    // One that was delivered twice is like any other.
    let batch = vec![delivery(*first_bot, 1, 1), delivery(*first_bot, SUSPECT, 3), delivery(*first_bot, 2, 2)];
    first.send(batch).await.unwrap();
    gate.are_inside(&[1, 2]).await;
    gate.stay_as_they_are().await;

    gate.open.add_permits(2);
    gate.are_inside(&[SUSPECT]).await;
    let said = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let trace_id = format!(r#""trace_id":"{SUSPECT:032x}""#);
    let about: Vec<&str> = said.lines().filter(|line| line.contains(&trace_id)).collect();
    for told in [r#""update_id":3"#, r#""deliveries":3"#, r#""entry":"3""#, r#""kind":"message""#] {
        assert!(about.iter().any(|line| line.contains(told)), "{told} is not in {about:?}");
    }

    // Neither its own bot's next updates nor another bot's are taken in beside it.
    first.send(vec![delivery(*first_bot, 4, 1)]).await.unwrap();
    other.send(vec![delivery(*other_bot, 5, 1)]).await.unwrap();
    gate.stay_as_they_are().await;

    gate.open_for_suspect.add_permits(1);
    gate.are_inside(&[4, 5]).await;
    gate.open.add_permits(2);
    let deadline = Instant::now() + PATIENCE;
    while first_queue.ended.lock().unwrap().len() < 4 || other_queue.ended.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "not all are acknowledged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    tracker.close();
    tracker.wait().await;
}
