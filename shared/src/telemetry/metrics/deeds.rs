//! What is done about people, and what waits to be done.

use std::time::Duration;

use super::{
    Buckets, Counters, Gauges, Histograms, Maker, Metrics, Seconds, WORKER, gauge_value,
    labels::{IntentState, JoinRequestAction, PromptAction, Removal},
};

#[derive(Debug)]
pub(super) struct Deeds {
    intents_waiting: Gauges<1>,
    intents_open: Gauges<1>,
    intents_oldest_age: Seconds<1>,
    intent_retries: Counters<1>,
    mutes: Counters<0>,
    releases: Counters<0>,
    removals: Counters<1>,
    messages_deleted: Counters<0>,
    prompts: Counters<1>,
    join_requests: Counters<1>,
    presses: Counters<1>,
    replies: Counters<0>,
    verifications: Counters<1>,
    join_to_mute: Histograms<0>,
    press_to_answer: Histograms<0>,
    press_to_free: Histograms<0>,
    active_groups: Gauges<0>,
    suspended_groups: Gauges<0>,
    verification_latency: Histograms<0>,
}

impl Deeds {
    pub(super) fn new(make: &mut Maker) -> Self {
        Self {
            intents_waiting: make.plain(
                WORKER,
                "nezuko_intents_waiting",
                "Intents that are due, those in a sender's hands among them, by kind",
            ),
            intents_open: make.plain(
                WORKER,
                "nezuko_intents_open",
                "Intents that are not done, by state: due, claimed by a sender, or waiting for their time (later)",
            ),
            intents_oldest_age: make.plain(
                WORKER,
                "nezuko_intents_oldest_age_seconds",
                "For how long the oldest of the intents that are due has been, by kind; 0: none is",
            ),
            intent_retries: make.plain(
                WORKER,
                "nezuko_intent_retries",
                "Intents that failed and are tried again, by kind",
            ),
            mutes: make.plain(WORKER, "nezuko_mutes", "People muted"),
            releases: make.plain(WORKER, "nezuko_releases", "People freed"),
            removals: make.plain(WORKER, "nezuko_removals", "People removed who had waited for too long"),
            messages_deleted: make.plain(WORKER, "nezuko_messages_deleted", "Messages deleted"),
            prompts: make.plain(WORKER, "nezuko_prompts", "What happened to prompts"),
            join_requests: make.plain(WORKER, "nezuko_join_requests", "What became of requests to be let in"),
            presses: make.plain(WORKER, "nezuko_presses", "Presses of the button, by outcome"),
            replies: make.plain(WORKER, "nezuko_replies", "Replies to commands"),
            verifications: make.plain(WORKER, "bot_verifications", "Decisions about people, by status"),
            join_to_mute: make.histogram(
                WORKER,
                "nezuko_join_to_mute_seconds",
                "From what a mute is due to, a join or leaving a channel (Telegram's date, whole seconds), to the mute",
                Buckets::WAIT,
            ),
            press_to_answer: make.histogram(
                WORKER,
                "nezuko_press_to_answer_seconds",
                "From a press reaching the gateway to its answer",
                Buckets::WAIT,
            ),
            press_to_free: make.histogram(
                WORKER,
                "nezuko_press_to_free_seconds",
                "From a press that shows its presser to be free reaching the gateway, to Telegram freeing them",
                Buckets::WAIT,
            ),
            active_groups: make.plain(WORKER, "bot_active_groups", "Groups with a rule in force"),
            suspended_groups: make.plain(
                WORKER,
                "nezuko_suspended_groups",
                "Groups of which the rule is suspended, since the bot lacks a right there",
            ),
            verification_latency: make.histogram(
                WORKER,
                "bot_verification_latency_seconds",
                "From an update in a worker's hands to the decision about who sent it",
                Buckets::CALL,
            ),
        }
    }

    /// Has what has known labels begin at zero, so that a first event shows as a rise.
    pub(super) fn begin(&self, metrics: &Metrics) {
        metrics.at_zero::<PromptAction>(&self.prompts, "action");
        metrics.at_zero::<JoinRequestAction>(&self.join_requests, "action");
        metrics.at_zero::<Removal>(&self.removals, "action");
        for counter in [&self.mutes, &self.releases, &self.messages_deleted, &self.replies] {
            drop(counter.get_or_create(&metrics.label([])));
        }
        for gauge in [&self.active_groups, &self.suspended_groups] {
            drop(gauge.get_or_create(&metrics.label([])));
        }
        let Self { join_to_mute, press_to_answer, press_to_free, verification_latency, .. } = self;
        for histogram in [join_to_mute, press_to_answer, press_to_free, verification_latency] {
            drop(histogram.get_or_create(&metrics.label([])));
        }
    }
}

impl Metrics {
    /// So many intents of this kind (`member`, `prompt`, `delete` …) wait.
    pub fn set_intents_waiting(&self, kind: &'static str, count: u64) {
        self.all.deeds.intents_waiting.get_or_create(&self.label([("kind", kind)])).set(gauge_value(count));
    }

    /// So many intents are in this state.
    pub fn set_intents_open(&self, state: IntentState, count: u64) {
        self.all.deeds.intents_open.get_or_create(&self.label([("state", state.as_str())])).set(gauge_value(count));
    }

    /// The oldest of the intents of this kind that are due has been for so long.
    pub fn set_intents_oldest_age(&self, kind: &'static str, age: Duration) {
        self.all.deeds.intents_oldest_age.get_or_create(&self.label([("kind", kind)])).set(age.as_secs_f64());
    }

    /// An intent of this kind failed and is tried again.
    pub fn intent_retry(&self, kind: &'static str) {
        self.all.deeds.intent_retries.get_or_create(&self.label([("kind", kind)])).inc();
    }

    /// Telegram muted a person for us.
    pub fn mute(&self) {
        self.all.deeds.mutes.get_or_create(&self.label([])).inc();
    }

    /// Telegram freed a person for us.
    pub fn release(&self) {
        self.all.deeds.releases.get_or_create(&self.label([])).inc();
    }

    /// Telegram removed a person for us.
    pub fn removal(&self, action: Removal) {
        self.all.deeds.removals.get_or_create(&self.label([("action", action.as_str())])).inc();
    }

    /// Telegram deleted so many messages for us.
    pub fn messages_deleted(&self, count: u64) {
        self.all.deeds.messages_deleted.get_or_create(&self.label([])).inc_by(count);
    }

    /// Something happened to a prompt.
    pub fn prompt(&self, action: PromptAction) {
        self.all.deeds.prompts.get_or_create(&self.label([("action", action.as_str())])).inc();
    }

    /// Something became of a request to be let in.
    pub fn join_request(&self, action: JoinRequestAction) {
        self.all.deeds.join_requests.get_or_create(&self.label([("action", action.as_str())])).inc();
    }

    /// A press was answered this way.
    pub fn press(&self, outcome: &'static str) {
        self.all.deeds.presses.get_or_create(&self.label([("outcome", outcome)])).inc();
    }

    /// A reply to a command was sent.
    pub fn reply(&self) {
        self.all.deeds.replies.get_or_create(&self.label([])).inc();
    }

    /// A person was decided about.
    pub fn verification(&self, status: &'static str) {
        self.all.deeds.verifications.get_or_create(&self.label([("status", status)])).inc();
    }

    /// A mute took effect so long after the join that called for it.
    pub fn join_to_mute(&self, elapsed: Duration) {
        self.all.deeds.join_to_mute.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// A press was answered so long after the gateway had it.
    pub fn press_to_answer(&self, elapsed: Duration) {
        self.all.deeds.press_to_answer.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// Somebody was freed so long after the gateway had the press that showed them to be free.
    pub fn press_to_free(&self, elapsed: Duration) {
        self.all.deeds.press_to_free.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }

    /// So many groups have a rule in force.
    pub fn set_active_groups(&self, groups: u64) {
        self.all.deeds.active_groups.get_or_create(&self.label([])).set(gauge_value(groups));
    }

    /// The rule of so many groups is suspended.
    pub fn set_suspended_groups(&self, groups: u64) {
        self.all.deeds.suspended_groups.get_or_create(&self.label([])).set(gauge_value(groups));
    }

    /// Somebody was decided about so long after their update had come into a worker's hands.
    pub fn verification_latency(&self, elapsed: Duration) {
        self.all.deeds.verification_latency.get_or_create(&self.label([])).observe(elapsed.as_secs_f64());
    }
}
