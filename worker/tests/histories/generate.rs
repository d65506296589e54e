//! Plans from seeds. Each seed first draws which kinds of trouble there are and how much of each, so that histories differ
//! in kind and not only in order.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::plan::{Accident, Delivery, Doing, Fate, Fault, Place, Plan, Removal, Terms, Turn};

/// The clocks of two machines differ by less than this (`CLOCK_SKEW_MS` of the facts), so each by half of it from Telegram's.
const SKEW_MS: i64 = 1_000;
/// Of calls, updates, transactions and steps that come later than these none goes wrong.
const CALLS: usize = 150;
const UPDATES: usize = 80;
const TRANSACTIONS: usize = 400;
const ACKNOWLEDGEMENTS: usize = 100;
const STEPS: usize = 1_500;

/// What groups have set is drawn by itself: without it a seed gives the same history.
const TERMS: u64 = 0x7465_726d_7300_0000;

/// How much of each kind of trouble there may be, each a probability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    /// A call of the Bot API does not go as usual.
    pub(crate) call: f64,
    pub(crate) duplicate: f64,
    pub(crate) late: f64,
    pub(crate) panic: f64,
    pub(crate) death: f64,
    pub(crate) stall: f64,
    pub(crate) forget: f64,
    pub(crate) transaction: f64,
    pub(crate) acknowledgement: f64,
    /// After a turn comes a long pause.
    pub(crate) patience: f64,
    /// People come, go and write so fast that workers hardly get a step in between, and nobody acts upon them.
    pub(crate) haste: f64,
    /// Lookups may be old, or the bot not be told of its own acts.
    pub(crate) dull: f64,
    /// A turn is about the bot's rights.
    pub(crate) rights: f64,
    /// A turn is about the group's settings.
    pub(crate) settings: f64,
    /// A turn is an admin's act upon a person.
    pub(crate) admins: f64,
    /// A turn brings an update that fails for its own sake.
    pub(crate) poison: f64,
    /// A basic group becomes a supergroup.
    pub(crate) upgrade: f64,
    /// The group removes who waits for too long, or lets who leaves write for a while.
    pub(crate) terms: f64,
}

impl Trouble {
    /// Nothing goes wrong.
    pub(crate) const NONE: Self = Self {
        call: 0.0,
        duplicate: 0.0,
        late: 0.0,
        panic: 0.0,
        death: 0.0,
        stall: 0.0,
        forget: 0.0,
        transaction: 0.0,
        acknowledgement: 0.0,
        patience: 0.2,
        haste: 0.0,
        dull: 0.0,
        rights: 0.0,
        settings: 0.0,
        admins: 0.0,
        poison: 0.0,
        upgrade: 0.0,
        terms: 0.0,
    };

    /// Some kinds of it, each to some degree.
    fn some(self, rng: &mut SmallRng) -> Self {
        let mut part = |most: f64| most * [0.0, 0.0, 0.3, 1.0].choose(rng).expect("invariant: not empty");
        Self {
            call: part(self.call),
            duplicate: part(self.duplicate),
            late: part(self.late),
            panic: part(self.panic),
            death: part(self.death),
            stall: part(self.stall),
            forget: part(self.forget),
            transaction: part(self.transaction),
            acknowledgement: part(self.acknowledgement),
            rights: part(self.rights),
            settings: part(self.settings),
            admins: part(self.admins),
            poison: part(self.poison),
            ..self
        }
    }
}

/// The plan of `seed`.
pub(crate) fn plan(seed: u64, most: Trouble) -> Plan {
    let rng = &mut SmallRng::seed_from_u64(seed);
    let trouble = most.some(rng);
    let hasty = rng.random_bool(trouble.haste);
    let people = if rng.random_bool(0.7) && !hasty { 2 } else { 1 };
    let required: Vec<[bool; 2]> =
        (0..rng.random_range(1..=2)).map(|_| [rng.random_bool(0.4), rng.random_bool(0.4)]).collect();
    let skewed = rng.random_bool(0.5);
    let skew = |rng: &mut SmallRng| if skewed { rng.random_range(-SKEW_MS + 1..SKEW_MS) } else { 0 };
    let workers: Vec<i64> = (0..rng.random_range(1..=3)).map(|_| skew(rng)).collect();
    let basic = rng.random_bool(trouble.upgrade).then(|| {
        if rng.random_bool(0.5) { Place::Group } else { Place::Required(rng.random_range(0..required.len())) }
    });
    let dull = rng.random_bool(trouble.dull);
    let mut plan = Plan {
        seed,
        people,
        required,
        workers,
        echoes: !(dull && rng.random_bool(0.4)),
        stale_lookups_ms: if dull && rng.random_bool(0.7) { rng.random_range(1_000..55_000) } else { 0 },
        basic,
        terms: terms(seed, trouble.terms),
        turns: Vec::new(),
        faults: Vec::new(),
        schedule: rng.random(),
    };
    for _ in 0..rng.random_range(4..if hasty { 8 } else { 18 }) {
        let turn = if hasty { hasty_turn(&plan, rng) } else { turn(&plan, &trouble, rng) };
        plan.turns.push(turn);
    }
    if basic.is_some() {
        let at = rng.random_range(0..=plan.turns.len());
        let steps = rng.random_range(0..30);
        plan.turns.insert(at, Turn { doing: Doing::Upgrades, steps, pause_ms: 0 });
    }
    // A call that goes out long after it was decided is put right by its echo, and by nothing else.
    let stall = if plan.echoes { trouble.stall } else { 0.0 };
    plan.faults = faults(plan.workers.len(), &Trouble { stall, ..trouble }, rng);
    plan
}

fn terms(seed: u64, how_often: f64) -> Terms {
    let rng = &mut SmallRng::seed_from_u64(seed ^ TERMS);
    if !rng.random_bool(how_often) {
        return Terms::default();
    }
    let mut one_of = |values: &[i64]| *values.choose(rng).expect("invariant: not empty");
    let after_s = one_of(&[0, 60, 60, 61, 120, 600, 3_600]);
    let ban_s = Some(one_of(&[0, 0, 1, 61, 3_600, 86_400])).filter(|ban_s| *ban_s > 0);
    let removal = Removal { after_s, ban_s, warns: one_of(&[0, 1]) == 1 };
    Terms { removal: (after_s > 0).then_some(removal), grace_s: one_of(&[0, 0, 5, 30, 90, 600]) }
}

fn turn(plan: &Plan, trouble: &Trouble, rng: &mut SmallRng) -> Turn {
    let steps = match rng.random_range(0..10) {
        0..=6 => rng.random_range(0..30),
        7..=8 => rng.random_range(30..100),
        _ => 300,
    };
    let pauses: &[i64] = if rng.random_bool(trouble.patience) {
        &[11_000, 20_000, 35_000, 70_000]
    } else {
        &[0, 0, 0, 100, 300, 900, 3_000]
    };
    let pause_ms = *pauses.choose(rng).expect("invariant: not empty");
    Turn { doing: doing(plan, trouble, rng), steps, pause_ms }
}

/// Whoever leaves a channel may write so soon after it that nobody has muted them yet.
fn hasty_turn(plan: &Plan, rng: &mut SmallRng) -> Turn {
    let required = Place::Required(rng.random_range(0..plan.required.len()));
    let left = plan.turns.last().is_some_and(|turn| matches!(turn.doing, Doing::Leaves(..)));
    let who = rng.random_range(0..plan.people);
    let doing = match rng.random_range(0..6) {
        _ if left && rng.random_bool(0.6) => Doing::Writes(who),
        _ if plan.turns.is_empty() => Doing::Joins(who, Place::Group),
        0 => Doing::Joins(who, Place::Group),
        1..=2 => Doing::Joins(who, required),
        3..=4 => Doing::Leaves(who, required),
        _ => Doing::Writes(who),
    };
    let pause_ms = if rng.random_bool(0.6) { 3_000 } else { 0 };
    Turn { doing, steps: rng.random_range(0..8), pause_ms }
}

fn doing(plan: &Plan, trouble: &Trouble, rng: &mut SmallRng) -> Doing {
    let required = Place::Required(rng.random_range(0..plan.required.len()));
    if rng.random_bool(trouble.poison) {
        return Doing::Poison(*[1, 2, 4, u32::MAX].choose(rng).expect("invariant: not empty"));
    }
    if rng.random_bool(trouble.rights) {
        let place = if rng.random_bool(0.5) { Place::Group } else { required };
        return if rng.random_bool(0.5) { Doing::BotLosesRights(place) } else { Doing::BotRegainsRights(place) };
    }
    if rng.random_bool(trouble.settings) {
        return if rng.random_bool(0.5) { Doing::Protects } else { Doing::Unprotects };
    }
    let who = rng.random_range(0..plan.people);
    if rng.random_bool(trouble.admins) {
        return match rng.random_range(0..8) {
            0..=3 => Doing::IsMuted(who, *[0, 60, 3600].choose(rng).expect("invariant: not empty")),
            4..=6 => Doing::IsUnmuted(who),
            _ => Doing::IsBanned(who),
        };
    }
    match rng.random_range(0..22) {
        0..=3 => Doing::Joins(who, Place::Group),
        4 => Doing::Leaves(who, Place::Group),
        5..=7 => Doing::Joins(who, required),
        8..=10 => Doing::Leaves(who, required),
        11..=13 => Doing::Writes(who),
        14..=15 => Doing::Presses(who),
        16 => Doing::IsMuted(who, *[0, 60, 3600].choose(rng).expect("invariant: not empty")),
        17 => Doing::IsUnmuted(who),
        18 => Doing::IsBanned(who),
        19 => Doing::IsUnbanned(who),
        20 => Doing::AsksForHelp,
        _ if rng.random_bool(0.5) => Doing::IsPromoted(who),
        _ => Doing::IsDemoted(who),
    }
}

fn faults(workers: usize, trouble: &Trouble, rng: &mut SmallRng) -> Vec<Fault> {
    let mut faults = Vec::new();
    let at = |rate: f64, most: usize, rng: &mut SmallRng| -> Vec<usize> {
        if rate > 0.0 { (0..most).filter(|_| rng.random_bool(rate)).collect() } else { Vec::new() }
    };
    for nth in at(trouble.call, CALLS, rng) {
        faults.push(Fault::Call { nth, fate: fate(rng) });
    }
    for nth in at(trouble.duplicate, UPDATES, rng) {
        faults.push(Fault::Update { nth, delivery: Delivery::Twice });
    }
    for nth in at(trouble.late, UPDATES, rng) {
        faults.push(Fault::Update { nth, delivery: Delivery::Late { by_ms: rng.random_range(1..90_000) } });
    }
    for (rate, which) in [(trouble.panic, 0), (trouble.death, 1), (trouble.stall, 2), (trouble.forget, 3)] {
        for nth in at(rate, STEPS, rng) {
            let accident = match which {
                0 => Accident::Panic,
                1 => Accident::Dies(rng.random_range(0..workers)),
                2 => Accident::Stalls(rng.random_range(0..workers), rng.random_range(1_000..50_000)),
                _ => Accident::CacheForgets,
            };
            faults.push(Fault::Step { nth, accident });
        }
    }
    for nth in at(trouble.transaction, TRANSACTIONS, rng) {
        faults.push(Fault::Transaction { nth, committed: rng.random_bool(0.5) });
    }
    for nth in at(trouble.acknowledgement, ACKNOWLEDGEMENTS, rng) {
        faults.push(Fault::Queue { nth, taken: rng.random_bool(0.5) });
    }
    faults
}

fn fate(rng: &mut SmallRng) -> Fate {
    match rng.random_range(0..7) {
        0 => Fate::NotSent,
        1 => Fate::ServerError,
        2 => Fate::AnswerLost,
        3 => Fate::Ignored,
        4 => Fate::Late { in_ms: rng.random_range(1..20_000) },
        5 => Fate::Slow { for_ms: rng.random_range(1..8_000) },
        _ => Fate::Flood { retry_after_s: *[1, 4, 30].choose(rng).expect("invariant: not empty") },
    }
}
