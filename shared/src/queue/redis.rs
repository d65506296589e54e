//! The queue on Redis Streams: one stream a bot, one consumer group, entries deleted when they are acknowledged.
//!
//! Whatever takes more than one command is a script beside this file, so that a process may die between any two
//! commands. The stream is never trimmed: trimming drops unread entries too.

use std::{
    num::NonZeroU8,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use nezuko_telegram::{BotId, UpdateId};
use redis::{Cmd, FromRedisValue, ParsingError, RedisError, Script, Value};
use tokio::time::Instant;

use super::{Backlog, Consumer, Delivery, EntryId, Memory, Producer, QueueError, replicated::Replicated};
use crate::{
    envelope::Envelope,
    keys,
    redis_pool::{Link, RESPONSE_TIMEOUT, Redis},
    telemetry::metrics::Metrics,
};

/// The layout of an entry's fields. A reader dead-letters what it does not know.
const FORMAT: &str = "1";

/// How long a push may take as a whole. The gateway waits for two seconds: a push ends before that by itself, so that one
/// which hangs is told to the breaker.
const PUSH_LIMIT: Duration = Duration::from_millis(1800);

/// How much longer than a read blocks its answer may take, connecting included.
const READ_SLACK: Duration = Duration::from_secs(3);

/// The longest that one read blocks; a longer wait is divided, so that the connection's timeout can be fixed.
const LONGEST_BLOCK: Duration = Duration::from_secs(5);

/// How many entries one script call names; Lua can unpack some thousand arguments.
const SCRIPT_IDS: usize = 1000;

/// A consumer that has been silent for so long and holds nothing is gone. A live one reads every few seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));)*
    };
}

scripts! {
    ACK = "lua/ack.lua";
    KEEP_ALIVE = "lua/keep_alive.lua";
    RECLAIM = "lua/reclaim.lua";
    DEAD_LETTER = "lua/dead_letter.lua";
    LEAVE = "lua/leave.lua";
    FORGET = "lua/forget.lua";
    BACKLOG = "lua/backlog.lua";
    OLDEST = "lua/oldest.lua";
    MEMORY = "lua/memory.lua";
}

impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// What the memory of a server was is good for so long: less than the time between two questions of one bot.
const MEMORY_LASTS: Duration = Duration::from_millis(400);

/// The memory of the server that all bots share, as it was when one of them asked.
type SharedMemory = tokio::sync::Mutex<Option<(Instant, Result<Option<Memory>, String>)>>;

/// The gateway's side; serves any number of bots over one connection.
#[derive(Clone, Debug)]
pub struct RedisProducer {
    link: Link,
    /// `None` with a cluster, where bots have servers of their own.
    memory: Option<Arc<SharedMemory>>,
    /// Where replicas are waited for: the way of all that is stored.
    replicated: Option<Replicated>,
}

impl RedisProducer {
    /// Connects at the first push. What is in flight at one time shares a connection and its writes.
    #[must_use]
    pub fn new(redis: &Redis) -> Self {
        let memory = (!redis.is_cluster()).then(Arc::default);
        Self { link: redis.link_within(PUSH_LIMIT), memory, replicated: None }
    }

    /// The same, but that what is stored must have reached so many replicas, too; not for a cluster. To be called inside a
    /// Tokio runtime.
    #[must_use]
    pub fn waiting_for(redis: &Redis, replicas: NonZeroU8) -> Self {
        let replicated = Replicated::new(redis.link_within(PUSH_LIMIT), replicas);
        Self { replicated: Some(replicated), ..Self::new(redis) }
    }

    async fn store(&self, command: Cmd) -> Result<(), QueueError> {
        match &self.replicated {
            Some(replicated) => replicated.write(command).await,
            None => Ok(self.link.query(&command).await?),
        }
    }

    async fn memory_of_server(&self, bot: BotId) -> Result<Option<Memory>, QueueError> {
        let script = MEMORY.key(keys::updates(bot));
        let answer: Vec<u64> = self.link.invoke("memory", &script).await?;
        Ok(match answer[..] {
            [used, limit] => Some(Memory { used, limit }),
            _ => None,
        })
    }
}

#[async_trait]
impl Producer for RedisProducer {
    async fn push(&self, envelope: &Envelope) -> Result<(), QueueError> {
        let mut command = redis::cmd("XADD");
        command.arg(keys::updates(envelope.bot)).arg("*");
        for (field, value) in fields(envelope) {
            command.arg(field).arg(value.as_ref());
        }
        self.store(command).await
    }

    async fn quarantine(&self, bot: BotId, body: &[u8], reason: &str) -> Result<(), QueueError> {
        let mut command = redis::cmd("XADD");
        command.arg(keys::quarantine(bot)).arg("MAXLEN").arg("~").arg(keys::QUARANTINE_LENGTH).arg("*");
        command.arg("reason").arg(reason).arg("received").arg(unix_ms()).arg("payload").arg(body);
        self.store(command).await
    }

    async fn backlog(&self, bot: BotId) -> Result<Backlog, QueueError> {
        backlog(&self.link, bot).await
    }

    async fn memory(&self, bot: BotId) -> Result<Option<Memory>, QueueError> {
        let Some(shared) = &self.memory else { return self.memory_of_server(bot).await };
        // One asks for all; the others wait for the answer.
        let mut shared = shared.lock().await;
        let known = shared.take().filter(|(asked, _)| asked.elapsed() < MEMORY_LASTS);
        let (asked, answer) = match known {
            Some(known) => known,
            None => (Instant::now(), self.memory_of_server(bot).await.map_err(|QueueError::Unavailable(why)| why)),
        };
        *shared = Some((asked, answer.clone()));
        answer.map_err(QueueError::Unavailable)
    }
}

/// The worker's side: one consumer of one bot's stream.
#[derive(Debug)]
pub struct RedisConsumer {
    bot: BotId,
    name: String,
    stream: String,
    /// For reads alone: whatever is sent behind a blocked read waits for it.
    reads: Link,
    /// For everything else.
    calls: Link,
    /// Where [`Consumer::reclaim`] goes on.
    cursor: Mutex<String>,
    /// Whether the group has been made and the names of dead consumers removed.
    joined: AtomicBool,
    /// Where lost groups are counted.
    metrics: Option<Metrics>,
}

impl RedisConsumer {
    /// `name` must be no other living consumer's: two of one name would end each other's entries.
    #[must_use]
    pub fn new(redis: &Redis, bot: BotId, name: &str) -> Self {
        Self {
            bot,
            name: name.to_owned(),
            stream: keys::updates(bot),
            reads: redis.link(LONGEST_BLOCK + READ_SLACK),
            calls: redis.link(RESPONSE_TIMEOUT),
            cursor: Mutex::new(FIRST.to_owned()),
            joined: AtomicBool::new(false),
            metrics: None,
        }
    }

    /// The same, but that it counts how often the group was gone and was made again (what was pending is then delivered anew),
    /// and what it gives up as no update.
    #[must_use]
    pub fn counted_in(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Makes the group, at 0: what is in the stream was acknowledged by nobody, or it would have been deleted.
    async fn make_group(&self) -> Result<(), QueueError> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.stream).arg(keys::WORKERS).arg(0).arg("MKSTREAM");
        match self.calls.query(&command).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()), // It is there already.
            made => Ok(made?),
        }
    }

    /// One XREADGROUP; the entries as Redis gives them.
    async fn read_once(&self, max: usize, wait: Duration) -> Result<Vec<Value>, RedisError> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(keys::WORKERS).arg(&self.name).arg("COUNT").arg(max);
        let wait = if self.reads.is_up() { wait.min(LONGEST_BLOCK) } else { Duration::ZERO };
        if wait >= Duration::from_millis(1) {
            command.arg("BLOCK").arg(millis(wait)); // BLOCK 0 would block for ever.
        }
        command.arg("STREAMS").arg(&self.stream).arg(">");
        // [[stream, [entry, …]]], or nil after the wait.
        let reply: Option<Vec<(Value, Vec<Value>)>> = self.reads.query_within(wait + READ_SLACK, &command).await?;
        Ok(reply.into_iter().flatten().next().map(|(_, entries)| entries).unwrap_or_default())
    }

    /// What the reply's entries are; those that are no envelopes go to the dead letters, since nobody can handle them
    /// and they would come back for ever.
    async fn deliveries(&self, entries: Vec<Value>) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(entry) = Entry::from_reply(entry) else { continue };
            match envelope(self.bot, &entry.fields) {
                Ok(envelope) => {
                    deliveries.push(Delivery { id: EntryId(entry.id), envelope, deliveries: entry.deliveries });
                }
                Err(reason) => {
                    tracing::error!(
                        bot_id = self.bot.0,
                        entry = entry.id,
                        reason,
                        "an entry of the stream is no update"
                    );
                    if self.bury(&entry.id, &format!("unreadable_entry: {reason}"), &entry.fields).await? {
                        self.metrics.iter().for_each(|metrics| metrics.dead_letter("unreadable_entry"));
                    }
                }
            }
        }
        Ok(deliveries)
    }

    async fn bury<F, V>(&self, id: &str, reason: &str, fields: &[(F, V)]) -> Result<bool, QueueError>
    where
        F: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut script = DEAD_LETTER.key(&self.stream);
        script.key(keys::dead_letters(self.bot)).arg(keys::WORKERS).arg(id);
        script.arg("reason").arg(reason).arg("entry").arg(id).arg("died").arg(unix_ms());
        for (field, value) in fields {
            script.arg(field.as_ref()).arg(value.as_ref());
        }
        let buried = self.calls.invoke("dead_letter", &script);
        or_no_group(buried.await, false)
    }

    async fn forget_the_dead(&self) -> Result<(), QueueError> {
        let mut script = FORGET.key(&self.stream);
        script.arg(keys::WORKERS).arg(millis(FORGOTTEN_AFTER));
        Ok(self.calls.invoke("forget", &script).await?)
    }

    async fn on_entries(
        &self,
        name: &'static str,
        script: &Script,
        ids: &[EntryId],
        consumer: Option<&str>,
    ) -> Result<(), QueueError> {
        for ids in ids.chunks(SCRIPT_IDS) {
            let mut call = script.key(&self.stream);
            call.arg(keys::WORKERS).arg(consumer);
            for id in ids {
                call.arg(&id.0);
            }
            let outcome = self.calls.invoke(name, &call);
            or_no_group(outcome.await, ())?;
        }
        Ok(())
    }
}

/// Where reclaiming begins, and what Redis answers when it has come to the end.
const FIRST: &str = "0-0";

#[async_trait]
impl Consumer for RedisConsumer {
    async fn read(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        if !self.joined.load(Ordering::Relaxed) {
            self.make_group().await?;
            self.forget_the_dead().await?;
            self.joined.store(true, Ordering::Relaxed);
        }
        match self.read_once(max, wait).await {
            Err(error) if no_group(&error) => {
                if let Some(metrics) = &self.metrics {
                    metrics.group_lost();
                }
                tracing::warn!(
                    bot_id = self.bot.0,
                    stream = self.stream,
                    "the stream or its consumer group is gone and is made again: was Redis emptied, or did it restart \
                     without its data?"
                );
                self.make_group().await?;
                self.deliveries(self.read_once(max, wait).await?).await
            }
            read => self.deliveries(read?).await,
        }
    }

    async fn ack(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        self.on_entries("ack", &ACK, ids, None).await
    }

    async fn keep_alive(&self, ids: &[EntryId]) -> Result<(), QueueError> {
        self.on_entries("keep_alive", &KEEP_ALIVE, ids, Some(&self.name)).await
    }

    async fn reclaim(&self, min_idle: Duration, max: usize) -> Result<Vec<Delivery>, QueueError> {
        // One call looks at ten times `max` entries at most: it may meet none but those of the living.
        loop {
            let mut script = RECLAIM.key(&self.stream);
            script.arg(keys::WORKERS).arg(&self.name).arg(millis(min_idle));
            script.arg(self.cursor().as_str()).arg(max);
            let claimed = self.calls.invoke("reclaim", &script);
            let (cursor, entries): (String, Vec<Value>) = or_no_group(claimed.await, (FIRST.to_owned(), Vec::new()))?;
            let is_end = cursor == FIRST;
            *self.cursor() = cursor;
            let deliveries = self.deliveries(entries).await?;
            if is_end || !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<bool, QueueError> {
        self.bury(&delivery.id.0, reason, &fields(&delivery.envelope)).await
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        backlog(&self.calls, self.bot).await
    }

    async fn oldest_ms(&self) -> Result<Option<i64>, QueueError> {
        let script = OLDEST.key(&self.stream);
        let oldest: Option<String> = self.calls.invoke("oldest", &script).await?;
        Ok(oldest.and_then(|id| id.split('-').next()?.parse().ok()))
    }

    async fn leave(&self) -> Result<(), QueueError> {
        // A read that its caller gave up may still be blocked at the server; it would take entries for a name that is gone.
        self.reads.close();
        let mut script = LEAVE.key(&self.stream);
        script.arg(keys::WORKERS).arg(&self.name).arg(keys::RELEASED);
        let left = self.calls.invoke("leave", &script);
        or_no_group(left.await, ())
    }
}

impl RedisConsumer {
    fn cursor(&self) -> std::sync::MutexGuard<'_, String> {
        self.cursor.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

async fn backlog(link: &Link, bot: BotId) -> Result<Backlog, QueueError> {
    let mut script = BACKLOG.key(keys::updates(bot));
    script.arg(keys::WORKERS);
    let counted = link.invoke("backlog", &script);
    let (length, pending): (u64, u64) = counted.await?;
    Ok(Backlog { unread: length.saturating_sub(pending), pending })
}

/// Where there is no group, nothing is pending.
fn or_no_group<T>(outcome: Result<T, RedisError>, nothing: T) -> Result<T, QueueError> {
    match outcome {
        Err(error) if no_group(&error) => Ok(nothing),
        outcome => Ok(outcome?),
    }
}

fn no_group(error: &RedisError) -> bool {
    // Inside a script the code is followed by the script's name instead of standing alone.
    error.code() == Some("NOGROUP") || error.detail().is_some_and(|detail| detail.contains("NOGROUP"))
}

/// The envelope as fields of a stream entry, in their order.
fn fields(envelope: &Envelope) -> [(&'static str, std::borrow::Cow<'_, [u8]>); 7] {
    let number = |n: i64| n.to_string().into_bytes().into();
    [
        ("v", FORMAT.as_bytes().into()),
        ("bot", number(envelope.bot.0)),
        ("update", number(envelope.update_id.0)),
        ("key", number(envelope.routing_key)),
        ("received", number(envelope.received_ms)),
        ("trace", envelope.traceparent.as_bytes().into()),
        ("payload", envelope.payload.as_ref().into()),
    ]
}

/// The envelope that an entry's fields are, or what is wrong with them. Unknown fields are ignored.
fn envelope(bot: BotId, fields: &[(Vec<u8>, Bytes)]) -> Result<Envelope, &'static str> {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| value);
    let text = |name: &str| field(name).and_then(|value| std::str::from_utf8(value).ok());
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    if text("v") != Some(FORMAT) {
        return Err("unknown format");
    }
    if number("bot") != Some(bot.0) {
        return Err("not this bot's");
    }
    Ok(Envelope {
        bot,
        update_id: UpdateId(number("update").ok_or("no update id")?),
        routing_key: number("key").ok_or("no routing key")?,
        received_ms: number("received").ok_or("no time of receipt")?,
        traceparent: text("trace").ok_or("no trace context")?.to_owned(),
        payload: field("payload").ok_or("no payload")?.clone(),
    })
}

/// An entry as Redis gives it.
struct Entry {
    id: String,
    fields: Vec<(Vec<u8>, Bytes)>,
    deliveries: u32,
}

impl Entry {
    /// `[id, [field, value, …]]` from a read, with the deliveries behind it from `reclaim.lua`. `None` where the fields
    /// are nil: the entry was deleted while it was pending, and XACK is all that is left to it.
    fn from_reply(entry: Value) -> Option<Self> {
        let mut parts = array(entry)?.into_iter();
        let id = String::from_redis_value(parts.next()?).ok()?;
        let fields = array(parts.next()?)?;
        let deliveries = parts.next().and_then(|count| u32::from_redis_value(count).ok()).unwrap_or(1);
        let mut fields = fields.into_iter();
        let mut pairs = Vec::with_capacity(fields.len() / 2);
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            pairs.push((Vec::from_redis_value(field).ok()?, bytes(value).ok()?));
        }
        Some(Self { id, fields: pairs, deliveries })
    }
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// Without a copy: the payload keeps the buffer that the client read it into.
fn bytes(value: Value) -> Result<Bytes, ParsingError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        other => Ok(Vec::<u8>::from_redis_value(other)?.into()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unix_ms() -> u64 {
    millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
