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
use nezuko_worker::{
    buttons::ButtonKey, clock, consume::Reader, handle::Handler, outage::OutageWatch, store::SqlStore,
};
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

    async fn oldest_ms(&self) -> Result<Option<i64>, QueueError> {
        Ok(None)
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

/// What is alone in its process is so for all tests of it.
static ONE_TEST: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The readers of a process.
struct Process {
    gate: Gate,
    reclaim_idle: Duration,
    stop: CancellationToken,
    tracker: TaskTracker,
    _one: tokio::sync::MutexGuard<'static, ()>,
}

impl Process {
    async fn start(reclaim_idle: Duration) -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self {
            gate: Gate { inside: watch::Sender::default(), open: closed(), open_for_suspect: closed() },
            reclaim_idle,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
            _one: ONE_TEST.lock().await,
        }
    }

    /// Reads the queue of `bot` into `file`.
    fn reads(&self, bot: BotId, file: &SqliteFile) -> (mpsc::Sender<Vec<Delivery>>, Arc<Queue>) {
        let (give, queue) = Queue::new();
        let metrics = Metrics::new(bot, "abc");
        let store = Arc::new(SqlStore::new(file.database.clone(), bot));
        let outage = Arc::new(OutageWatch::new(store.clone(), metrics.clone()));
        let handler = Handler {
            store,
            cache: Arc::new(self.gate.clone()),
            bot,
            username: Arc::new(OnceLock::new()),
            buttons: ButtonKey::of_token(bot, "a token"),
            metrics,
            clock: clock::system(),
            wake: Arc::default(),
        };
        Reader::run(queue.clone(), handler, outage, self.reclaim_idle, &self.stop, &self.tracker);
        (give, queue)
    }

    async fn end(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// These entries are acknowledged.
async fn are_ended(queue: &Queue, numbers: &[i64]) {
    let wanted: BTreeSet<_> = numbers.iter().map(|number| EntryId(number.to_string())).collect();
    let deadline = Instant::now() + PATIENCE;
    while *queue.ended.lock().unwrap() != wanted {
        assert!(
            Instant::now() < deadline,
            "{numbers:?} are awaited, {:?} are acknowledged",
            queue.ended.lock().unwrap()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_is_taken_in_alone_in_its_process_and_named_before() {
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(|| Log).init();
    let (process, file) = (Process::start(Duration::from_hours(1)).await, SqliteFile::new().await);
    let (bot, other_bot) = (BotId(41), BotId(42));
    let (give, queue) = process.reads(bot, &file);
    let (give_other, other_queue) = process.reads(other_bot, &file);
    let gate = &process.gate;

    // One that was delivered twice is like any other.
    let batch = vec![delivery(bot, 1, 1), delivery(bot, SUSPECT, 3), delivery(bot, 2, 2)];
    give.send(batch).await.unwrap();
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
    give.send(vec![delivery(bot, 4, 1)]).await.unwrap();
    give_other.send(vec![delivery(other_bot, 5, 1)]).await.unwrap();
    gate.stay_as_they_are().await;

    gate.open_for_suspect.add_permits(1);
    gate.are_inside(&[4, 5]).await;
    gate.open.add_permits(2);
    are_ended(&queue, &[1, 2, SUSPECT, 4]).await;
    are_ended(&other_queue, &[5]).await;
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_is_left_for_later_where_something_under_way_does_not_end() {
    let (process, file) = (Process::start(3 * MOMENT).await, SqliteFile::new().await);
    let (bot, stuck_bot) = (BotId(43), BotId(44));
    let (give, queue) = process.reads(bot, &file);
    let (give_stuck, _) = process.reads(stuck_bot, &file);
    let gate = &process.gate;
    give_stuck.send(vec![delivery(stuck_bot, 1, 1)]).await.unwrap();
    gate.are_inside(&[1]).await;

    // Nor does another suspect make everybody wait for as long again, or is kept from coming back.
    give.send(vec![delivery(bot, SUSPECT, 3), delivery(bot, 2, 3)]).await.unwrap();
    give.send(vec![delivery(bot, 4, 1)]).await.unwrap();
    gate.are_inside(&[1, 4]).await;

    gate.open.add_permits(2);
    gate.are_inside(&[]).await;
    give.send(vec![delivery(bot, SUSPECT, 3)]).await.unwrap();
    gate.are_inside(&[SUSPECT]).await;
    gate.open_for_suspect.add_permits(1);
    give.send(vec![delivery(bot, 2, 3)]).await.unwrap();
    gate.are_inside(&[2]).await;
    gate.open.add_permits(1);
    are_ended(&queue, &[2, SUSPECT, 4]).await;
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_does_not_wait_alone_for_a_store_that_is_away() {
    let process = Process::start(Duration::from_hours(1)).await;
    let (file, file_away) = (SqliteFile::new().await, SqliteFile::new().await);
    let (bot, bot_away) = (BotId(45), BotId(46));
    let (give, queue) = process.reads(bot, &file);
    let (give_away, queue_away) = process.reads(bot_away, &file_away);
    let gate = &process.gate;
    // Nothing may be asked about how far the updates have come: that is known by then.
    give_away.send(vec![delivery(bot_away, 1, 1)]).await.unwrap();
    gate.open.add_permits(1);
    are_ended(&queue_away, &[1]).await;

    let rename = async |from, to| {
        let statement = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
        sqlx::query(statement).execute(file_away.database.pool()).await.unwrap();
    };
    rename("people", "away").await;
    give_away.send(vec![delivery(bot_away, SUSPECT, 3)]).await.unwrap();
    // A batch is read when the one before is taken in, or left.
    give_away.send(Vec::new()).await.unwrap();
    give_away.send(Vec::new()).await.unwrap();
    give.send(vec![delivery(bot, 4, 1)]).await.unwrap();
    gate.are_inside(&[4]).await;
    gate.open.add_permits(1);
    are_ended(&queue, &[4]).await;

    rename("away", "people").await;
    give_away.send(vec![delivery(bot_away, SUSPECT, 3)]).await.unwrap();
    gate.are_inside(&[SUSPECT]).await;
    gate.open_for_suspect.add_permits(1);
    are_ended(&queue_away, &[1, SUSPECT]).await;
    process.end().await;
}
