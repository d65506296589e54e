//! Plays a scenario against running programs.

pub(crate) mod alone;
pub(crate) mod directory;
mod hours;
pub(crate) mod http;
mod operator;
mod program;
mod progress;
mod slow_link;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use self::progress::Watch;
pub use self::{
    hours::Hours,
    http::page,
    operator::Operator,
    program::Program,
    progress::Progress,
    slow_link::{Delays, SlowLink},
};
use crate::{
    generate::{Scenario, Timed},
    oracle::{Delivery, Kind, Tolerance, Verdict, judge},
    simulator::Simulator,
    world::{Act, Refused, UserId},
};

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayOptions {
    /// How long the scenario takes, its whole time squeezed or stretched to this.
    pub lasts: Duration,
    /// How long a person waits for what they want to act upon, such as a prompt to press on, before they give up.
    pub patience: Duration,
    /// All is over when everything is delivered and the bot has changed nothing for this long.
    pub quiet: Duration,
    /// How long to wait for that, and then again for states that time may still put right.
    pub drain: Duration,
    /// How late the bot may be.
    pub tolerance: Tolerance,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            lasts: Duration::from_secs(36),
            patience: Duration::from_secs(4),
            quiet: Duration::from_secs(3),
            drain: Duration::from_secs(25),
            tolerance: Tolerance::default(),
        }
    }
}

/// How often somebody looks whether what they wait for is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often progress is told.
const TELL: Duration = Duration::from_millis(250);

/// One scenario on its way through one simulator.
#[derive(Debug)]
pub struct Run {
    scenario: Scenario,
    simulator: Simulator,
    options: PlayOptions,
    watch: Watch,
    acted: usize,
    given_up: usize,
    operator: Option<Operator>,
}

/// The acts of one person, or of others upon them: what one does comes after what one did before.
struct Lane {
    acts: VecDeque<(Duration, Act)>,
    /// How much later than planned this person is.
    late: Duration,
    /// Since when the next act waits for what it is about.
    waits_since: Option<Instant>,
}

/// Whose story an act belongs to.
const fn protagonist(act: &Act) -> UserId {
    match act {
        Act::AdminMute { user, .. }
        | Act::AdminUnmute { user, .. }
        | Act::AdminBan { user, .. }
        | Act::AdminUnban { user, .. }
        | Act::Promote { user, .. }
        | Act::Demote { user, .. } => *user,
        _ => act.actor(),
    }
}

impl Run {
    /// A run of `scenario`, whose world the simulator was started with.
    #[must_use]
    pub fn new(scenario: Scenario, simulator: Simulator, options: PlayOptions) -> Self {
        Self { scenario, simulator, options, watch: Watch::default(), acted: 0, given_up: 0, operator: None }
    }

    /// Has the operator's orders carried out, too; without one they are given up.
    pub fn set_operator(&mut self, operator: Operator) {
        self.operator = Some(operator);
    }

    /// The Telegram of this run.
    #[must_use]
    pub const fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Acts that were given up because what they were about never came.
    #[must_use]
    pub const fn given_up(&self) -> usize {
        self.given_up
    }

    /// Where the run stands.
    pub fn progress(&mut self) -> Progress {
        self.watch.look(&self.simulator, self.acted, self.scenario.acts.len())
    }

    /// Lets everybody act, and tells `told` how it goes. Cancelling it leaves the rest undone.
    pub async fn play(&mut self, mut told: impl FnMut(Progress)) {
        let whole = self.scenario.acts.last().map_or(1, |timed| timed.at_ms.max(1));
        #[allow(clippy::cast_precision_loss)]
        let squeezed =
            |timed: &Timed| (self.options.lasts.mul_f64(timed.at_ms as f64 / whole as f64), timed.act.clone());
        let acts: Vec<_> = self.scenario.acts.iter().map(squeezed).collect();
        self.act_out(acts, &mut told).await;
    }

    /// Has these acts happen, each so long from now at the earliest.
    async fn act_out(&mut self, acts: Vec<(Duration, Act)>, told: &mut impl FnMut(Progress)) {
        let start = Instant::now();
        let mut lanes = lanes(acts);
        let mut next: BinaryHeap<_> =
            lanes.iter().filter_map(|(who, lane)| Some(Reverse((start + lane.acts.front()?.0, *who)))).collect();
        let mut tell_at = start;
        while let Some(Reverse((due, who))) = next.pop() {
            while due > Instant::now() {
                sleep_until(due.min(tell_at.max(Instant::now() + Duration::from_millis(1)))).await;
                if Instant::now() >= tell_at {
                    told(self.progress());
                    tell_at = Instant::now() + TELL;
                }
            }
            let Some(lane) = lanes.get_mut(&who) else { continue };
            let again = self.act(lane, due);
            let next_due = if again { Some(Instant::now() + LOOK_AGAIN) } else { lane.next_due(start) };
            next.extend(next_due.map(|due| Reverse((due, who))));
            tokio::task::yield_now().await;
        }
        told(self.progress());
    }

    /// Does the next act of a lane; true if it has to be tried again.
    fn act(&mut self, lane: &mut Lane, due: Instant) -> bool {
        let Some((_, act)) = lane.acts.front() else { return false };
        if let Act::Operate { order } = act {
            match &self.operator {
                Some(operator) if self.simulator.act(act.clone()).is_ok() => operator.orders(order),
                _ => self.given_up += 1,
            }
            lane.acts.pop_front();
            self.acted += 1;
            return false;
        }
        let waits_since = lane.waits_since.unwrap_or(due);
        if let Err(Refused::NotYet(_)) = self.simulator.act(act.clone()) {
            if waits_since.elapsed() < self.options.patience {
                lane.waits_since = Some(waits_since);
                return true;
            }
            self.given_up += 1;
            lane.waits_since = None;
        }
        if lane.waits_since.take().is_some() {
            lane.late += waits_since.elapsed();
        }
        lane.acts.pop_front();
        self.acted += 1;
        false
    }

    /// Waits until all is delivered and the bot is quiet, and a while longer if something is missing that may still come.
    /// Returns false if the bot never came to rest.
    pub async fn drain(&mut self, mut told: impl FnMut(Progress)) -> bool {
        let came_to_rest = self.come_to_rest(&mut told).await;
        let deadline = Instant::now() + self.options.drain;
        while came_to_rest && Instant::now() < deadline && may_still_come(&self.verdict()) {
            sleep(TELL * 2).await;
            told(self.progress());
        }
        came_to_rest
    }

    async fn come_to_rest(&mut self, told: &mut impl FnMut(Progress)) -> bool {
        let (started, deadline) = (self.simulator.now_ms(), Instant::now() + self.options.drain * 2);
        let quiet_ms = i64::try_from(self.options.quiet.as_millis()).unwrap_or(i64::MAX);
        while Instant::now() < deadline {
            let last = self.simulator.last_deed_ms().unwrap_or(started).max(started);
            if self.simulator.pending() == 0 && self.simulator.now_ms() - last >= quiet_ms {
                return true;
            }
            sleep(TELL).await;
            told(self.progress());
        }
        false
    }

    /// What the oracle says about the world as it is now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let counters = self.simulator.counters();
        let delivery = Delivery { dropped: counters.dropped, methods_in_answers: counters.methods_in_bodies };
        let world = self.simulator.world(|world| world.clone());
        judge(&world, self.simulator.now_ms(), delivery, self.options.tolerance)
    }

    /// Stops the simulator.
    pub async fn stop(self) {
        self.simulator.stop().await;
    }
}

/// The acts by whose story they belong to.
fn lanes(acts: Vec<(Duration, Act)>) -> BTreeMap<UserId, Lane> {
    let mut lanes: BTreeMap<UserId, Lane> = BTreeMap::new();
    for (at, act) in acts {
        let lane = lanes.entry(protagonist(&act)).or_insert_with(|| Lane {
            acts: VecDeque::new(),
            late: Duration::ZERO,
            waits_since: None,
        });
        lane.acts.push_back((at, act));
    }
    lanes
}

impl Lane {
    fn next_due(&self, start: Instant) -> Option<Instant> {
        self.acts.front().map(|(at, _)| start + *at + self.late)
    }
}

/// Whether something is missing that a bot with a full outbox may yet do, as prompts wait for the limits on messages.
fn may_still_come(verdict: &Verdict) -> bool {
    let missing = [
        Kind::NotMuted,
        Kind::StillMuted,
        Kind::AdminsRestrictionGone,
        Kind::PromptMissing,
        Kind::PromptLeft,
        Kind::MessageNotDeleted,
        Kind::CommandUnanswered,
        Kind::PressUnanswered,
        Kind::PressFreedNobody,
        Kind::RequestNotGranted,
        Kind::NoteLeft,
        Kind::SenderNotBanned,
        Kind::LogIncomplete,
    ];
    verdict.findings.iter().any(|finding| missing.contains(&finding.kind))
}
