//! HTTP around the world: the Bot API that the bot calls, and the webhook that brings it updates.

mod bot_api;
mod calls;
mod clock;
mod delivery;
mod faults;
mod flood;
mod polling;
mod queues;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use hyper::Uri;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{
    calls::{CallSeen, beyond, most_in_any_second},
    faults::{Fault, FaultKind},
    flood::FloodRule,
};
use self::{
    calls::{Calls, chat_of},
    clock::Clock,
    delivery::Outcome,
    faults::Faults,
    flood::FloodRules,
    queues::Queues,
};
use crate::world::{Act, Answer, Emitted, Refused, World};

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bot's token.
    pub token: String,
    /// Where the Bot API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections to the webhook at once, 1–100.
    pub max_connections: usize,
    /// One in so many updates that were taken in is sent again, as if the 2xx had been lost; 0: none.
    pub duplicate_one_in: u32,
    /// One in so many updates comes again some seconds later, behind younger ones: a copy whose sender timed out while it
    /// was under way; 0: none.
    pub late_copy_one_in: u32,
    /// Whether Telegram's flood rules for messages hold.
    pub flood_rules: bool,
    /// What chance is made of.
    pub seed: u64,
}

/// How late a late copy is.
const LATE_MS: i64 = 3_000;

impl Options {
    /// Telegram's defaults on a free port of the loopback.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_connections: 40,
            duplicate_one_in: 0,
            late_copy_one_in: 0,
            flood_rules: false,
            seed: 0,
        }
    }
}

/// What the webhook's delivery has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Updates that were taken in with a 2xx.
    pub delivered: u64,
    /// Requests that had to be repeated.
    pub retried: u64,
    /// Updates that were sent again although they had been taken in.
    pub duplicates: u64,
    /// Updates given up because their time was over: lost.
    pub dropped: u64,
    /// Answers outside 2xx, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Of these, those that do not say when to come again: a chat then waits for a minute or two.
    pub without_retry_after: u64,
    /// Connections that could not be made, or broke.
    pub hung_up: u64,
    /// Requests without a full answer after 60 s.
    pub timed_out: u64,
    /// 2xx bodies that Telegram would have executed (E94): always a mistake.
    pub methods_in_bodies: u64,
    /// Connections opened.
    pub connections: u64,
}

/// Where updates go.
#[derive(Debug)]
struct Target {
    urls: Vec<Uri>,
    secret: Option<String>,
    turn: AtomicUsize,
}

impl Target {
    fn next(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()
    }
}

#[derive(Debug)]
struct Shared {
    token: String,
    clock: Clock,
    world: Mutex<World>,
    queues: Mutex<Queues>,
    faults: Mutex<Faults>,
    /// `None`: there are none.
    flood_rules: Option<Mutex<FloodRules>>,
    calls: Calls,
    counters: Mutex<Counters>,
    target: Mutex<Option<Arc<Target>>>,
    /// Wakes delivery.
    changed: Notify,
    /// Wakes questions for updates.
    poll_changed: Notify,
    /// The newest question; it ends the one before.
    polls: AtomicU64,
    /// When the webhook was last set, Unix ms.
    webhook_set_ms: Mutex<i64>,
    duplicate_one_in: u32,
    late_copy_one_in: u32,
    chance: Mutex<StdRng>,
}

/// A panic elsewhere already fails the run; what stands behind the lock is still worth reporting.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Changes the world and queues what that emitted, as one step, so that queues keep the order of update ids.
    fn with_world<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let mut world = locked(&self.world);
        let result = change(&mut world);
        let emitted = world.take_updates();
        if !emitted.is_empty() {
            let mut queues = locked(&self.queues);
            emitted.into_iter().for_each(|update| queues.push(update));
            self.changed.notify_one();
            self.poll_changed.notify_waiters();
        }
        result
    }

    fn call(&self, method: &str, params: &Value) -> Answer {
        let pending = locked(&self.queues).pending();
        let method = method.to_ascii_lowercase();
        let sets = matches!(&*method, "setwebhook" | "deletewebhook");
        if sets && self.sets_too_often() {
            return Answer::flood(1);
        }
        if let Some(rules) = self.flood_rules.as_ref().filter(|_| flood::is_message(&method))
            && let Err(retry_after) = locked(rules).admit(self.clock.now(), chat_of(params))
        {
            return Answer::flood(retry_after);
        }
        self.with_world(|world| {
            world.set_pending_updates(pending);
            let answer = world.call(self.clock.now_ms(), &method, params);
            if sets && answer.status == 200 {
                if params.get("drop_pending_updates").and_then(Value::as_bool) == Some(true) {
                    let dropped = locked(&self.queues).clear();
                    self.count(|counters| counters.dropped += dropped);
                }
                let webhook = world.webhook();
                self.set_target(&[webhook.url.as_str()], webhook.secret_token.clone());
                self.poll_changed.notify_waiters(); // a webhook ends them
            }
            answer
        })
    }

    fn sets_too_often(&self) -> bool {
        let (mut last, now) = (locked(&self.webhook_set_ms), self.clock.now_ms());
        let too_often = now - *last < 1_000;
        if !too_often {
            *last = now;
        }
        too_often
    }

    fn begin_poll(&self) -> u64 {
        let mine = self.polls.fetch_add(1, Ordering::Relaxed) + 1;
        self.poll_changed.notify_waiters();
        mine
    }

    fn has_webhook(&self) -> bool {
        !locked(&self.world).webhook().url.is_empty()
    }

    fn newest_poll(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Bodies of the oldest updates that are not confirmed.
    fn waiting(&self, max: usize) -> Vec<String> {
        let (waiting, expired) = locked(&self.queues).oldest(self.clock.now_ms(), max);
        self.count(|counters| counters.dropped += expired);
        waiting
    }

    /// The bot has all before `offset`; a negative one leaves so many of the youngest.
    fn confirm(&self, offset: i64) {
        let confirmed = locked(&self.queues).confirm(offset);
        self.count(|counters| counters.delivered += confirmed.len() as u64);
        let mut world = locked(&self.world);
        for update in confirmed {
            world.delivered(self.clock.now_ms(), update.at_ms);
        }
    }

    /// Takes the addresses that are plain HTTP; the simulator has no TLS.
    fn set_target(&self, urls: &[&str], secret: Option<String>) {
        let urls: Vec<Uri> = urls
            .iter()
            .filter_map(|url| url.parse().ok())
            .filter(|uri: &Uri| uri.scheme_str() == Some("http"))
            .collect();
        let target = Target { urls, secret, turn: AtomicUsize::new(0) };
        *locked(&self.target) = (!target.urls.is_empty()).then(|| Arc::new(target));
        self.changed.notify_one();
    }

    fn meet_fault(&self, method: &str, params: &Value) -> Option<FaultKind> {
        let fault = locked(&self.faults).meet(method, chat_of(params))?;
        let refuses = !matches!(fault, FaultKind::Delay(_) | FaultKind::AnswerLost);
        if refuses && method.eq_ignore_ascii_case("getChatMember") {
            locked(&self.world).lookup_failed(self.clock.now_ms(), params);
        }
        Some(fault)
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut locked(&self.counters));
    }

    fn target(&self) -> Option<Arc<Target>> {
        locked(&self.target).clone()
    }

    fn next_delivery_at(&self) -> Option<i64> {
        locked(&self.queues).next_at()
    }

    fn take_delivery(&self, now_ms: i64) -> Option<Emitted> {
        locked(&self.queues).take(now_ms)
    }

    fn by_chance(&self, one_in: u32) -> bool {
        one_in > 0 && locked(&self.chance).random_ratio(1, one_in)
    }

    /// Puts down what became of a request; true if the update was taken in.
    fn settle(&self, update: &Emitted, outcome: &Outcome) -> bool {
        if !locked(&self.queues).landed(update.update_id) {
            return outcome.error().is_none();
        }
        let is_late_copy = locked(&self.queues).is_late_copy(update.update_id);
        if !is_late_copy && matches!(outcome, Outcome::Answered { status: 200..300, .. }) {
            locked(&self.world).delivered(self.clock.now_ms(), update.at_ms);
        }
        if let Some(error) = outcome.error() {
            locked(&self.world).delivery_failed(self.clock.now_ms(), error);
        }
        let mut counters = locked(&self.counters);
        let mut queues = locked(&self.queues);
        let mut retry_after = None;
        match outcome {
            Outcome::Answered { status, calls_a_method, .. } if (200..300).contains(status) => {
                counters.methods_in_bodies += u64::from(*calls_a_method);
                if is_late_copy {
                    counters.duplicates += 1;
                    queues.succeeded(update.queue);
                } else if self.by_chance(self.duplicate_one_in) {
                    counters.duplicates += 1;
                    queues.repeat(update.queue);
                } else {
                    counters.delivered += 1;
                    queues.succeeded(update.queue);
                    if self.by_chance(self.late_copy_one_in) {
                        queues.send_late_copy(self.clock.now_ms() + LATE_MS, update.clone());
                    }
                }
                return true;
            }
            Outcome::Answered { status, retry_after_s, .. } => {
                *counters.refused.entry(*status).or_default() += 1;
                counters.without_retry_after += u64::from(retry_after_s.is_none());
                retry_after = *retry_after_s;
            }
            Outcome::HungUp => counters.hung_up += 1,
            Outcome::TimedOut => counters.timed_out += 1,
        }
        if queues.failed(update.queue, self.clock.now_ms(), retry_after) {
            counters.dropped += 1;
        } else {
            counters.retried += 1;
        }
        false
    }
}

/// The bots of one Bot API server, by token.
type Bots = Arc<Mutex<HashMap<String, Arc<Shared>>>>;

/// Telegram over HTTP around one bot. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    bots: Bots,
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Begins to serve the Bot API around `world`. Updates wait until [`Self::deliver_to`] or `setWebhook` says where to.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn start(world: World, options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (bots, stop) = (Bots::default(), CancellationToken::new());
        let serving = tokio::spawn(bot_api::serve(listener, Arc::clone(&bots), stop.clone()));
        let mut simulator = Self::around(world, &options, bots, address, stop);
        simulator.tasks.push(serving);
        Ok(simulator)
    }

    /// Another bot with a world of its own at the same address, which is served for as long as `self` lives.
    /// `options.listen` is of no account.
    #[must_use]
    pub fn beside(&self, world: World, options: &Options) -> Self {
        Self::around(world, options, Arc::clone(&self.bots), self.address, self.stop.child_token())
    }

    fn around(world: World, options: &Options, bots: Bots, address: SocketAddr, stop: CancellationToken) -> Self {
        let random = |salt: u64| StdRng::seed_from_u64(options.seed ^ salt);
        let shared = Arc::new(Shared {
            token: options.token.clone(),
            clock: Clock::start(),
            world: Mutex::new(world),
            queues: Mutex::new(Queues::new(2 * options.max_connections, random(1))),
            faults: Mutex::default(),
            flood_rules: options.flood_rules.then(Mutex::default),
            calls: Calls::default(),
            counters: Mutex::default(),
            target: Mutex::default(),
            changed: Notify::new(),
            poll_changed: Notify::new(),
            polls: AtomicU64::new(0),
            webhook_set_ms: Mutex::default(),
            duplicate_one_in: options.duplicate_one_in,
            late_copy_one_in: options.late_copy_one_in,
            chance: Mutex::new(random(2)),
        });
        shared.with_world(|_| ()); // what the world emitted before it had a server
        locked(&bots).insert(options.token.clone(), Arc::clone(&shared));
        let tasks = vec![tokio::spawn(delivery::deliver(Arc::clone(&shared), options.max_connections, stop.clone()))];
        Self { bots, shared, address, stop, tasks }
    }

    /// What `TELEGRAM_API_URL` is to be.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Delivers updates to these webhooks in turn (plain HTTP, the whole URL with its path).
    pub fn deliver_to(&self, urls: &[&str], secret: Option<&str>) {
        self.switch().deliver_to(urls, secret);
    }

    /// For who changes the webhooks while the simulator is in other hands.
    #[must_use]
    pub fn switch(&self) -> Switch {
        Switch(Arc::clone(&self.shared))
    }

    /// The simulator's time, Unix ms.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// It is later by so much, ms.
    pub fn skip(&self, by_ms: u32) {
        self.shared.clock.skip(by_ms);
        self.shared.changed.notify_one();
    }

    /// By how much its time is ahead of the machine's, ms.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        self.shared.clock.ahead_ms()
    }

    /// A person does something now.
    ///
    /// # Errors
    /// [`Refused`] where Telegram does not let them.
    pub fn act(&self, act: Act) -> Result<(), Refused> {
        self.shared.with_world(|world| world.act(self.shared.clock.now_ms(), act))
    }

    /// Looks at the world, or changes it; what that emits is delivered.
    pub fn world<R>(&self, look: impl FnOnce(&mut World) -> R) -> R {
        self.shared.with_world(look)
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) {
        locked(&self.shared.faults).add(fault);
    }

    /// Ends every misfortune.
    pub fn mend(&self) {
        *locked(&self.shared.faults) = Faults::default();
    }

    /// What delivery has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        locked(&self.shared.counters).clone()
    }

    /// Updates that are not delivered yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        locked(&self.shared.queues).pending()
    }

    /// Every call so far, in order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<CallSeen> {
        self.shared.calls.all().clone()
    }

    /// How many calls have arrived.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.shared.calls.all().len()
    }

    /// How many messages the flood rules have refused, by the rule that asked for the longest wait.
    #[must_use]
    pub fn flood_refusals(&self) -> BTreeMap<FloodRule, u64> {
        self.shared.flood_rules.as_ref().map(|rules| locked(rules).refusals()).unwrap_or_default()
    }

    /// When the last call arrived that was to change something (Unix ms); a bot may look around for ever.
    #[must_use]
    pub fn last_deed_ms(&self) -> Option<i64> {
        let calls = self.shared.calls.all();
        calls
            .iter()
            .rev()
            .find(|call| !call.method.to_ascii_lowercase().starts_with("get"))
            .map(|call| call.at_us / 1000)
    }

    /// Stops serving and delivering, also for the bots beside it, and waits until its own tasks have ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked has told so on stderr; there is nothing left to stop.
            let _ended = task.await;
        }
    }
}

/// Where the updates of a simulator go.
#[derive(Clone, Debug)]
pub struct Switch(Arc<Shared>);

impl Switch {
    /// As [`Simulator::deliver_to`].
    pub fn deliver_to(&self, urls: &[&str], secret: Option<&str>) {
        self.0.set_target(urls, secret.map(str::to_owned));
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        locked(&self.bots).remove(&self.shared.token);
        self.stop.cancel();
    }
}
