//! Finds a shorter history that still ends wrong: fewer acts, fewer faults, fewer people, chats and workers, less time, and
//! for each part that is left out another schedule where the old one no longer does.

use crate::{
    history::{Extent, Violation},
    plan::{Accident, Doing, Fault, Place, Plan, Removal},
};

/// Other schedules that are tried with each shorter plan.
const SCHEDULES: u64 = 6;

/// How a plan ends: `Some` where it ends wrong.
pub(crate) type Ends<'a> = &'a dyn Fn(&Plan) -> Option<Box<Violation>>;

/// A plan that ends wrong, and how.
pub(crate) type Wrong = (Plan, Box<Violation>);

struct Shrinker<'a> {
    ends: Ends<'a>,
    shortest: Wrong,
    /// Runs that may still be made.
    runs: usize,
}

/// The shortest plan that was found in so many runs.
pub(crate) fn shrink(wrong: Wrong, runs: usize, ends: Ends<'_>) -> Wrong {
    let mut shrinker = Shrinker { ends, shortest: wrong, runs };
    loop {
        let before = shrinker.shortest.0.clone();
        shrinker.drop_unused();
        shrinker.drop_turns();
        shrinker.drop_faults();
        shrinker.drop_settings();
        shrinker.calm_turns();
        if shrinker.shortest.0 == before || shrinker.runs == 0 {
            return shrinker.shortest;
        }
    }
}

impl Shrinker<'_> {
    fn plan(&self) -> Plan {
        self.shortest.0.clone()
    }

    /// Takes the shorter plan if it ends wrong, with its schedule or another one.
    fn try_plan(&mut self, shorter: Plan) -> bool {
        for other in 0..=SCHEDULES {
            if self.runs == 0 {
                return false;
            }
            self.runs -= 1;
            let schedule = if other == 0 { shorter.schedule } else { other };
            let plan = Plan { schedule, ..shorter.clone() };
            if let Some(violation) = (self.ends)(&plan) {
                self.shortest = (plan, violation);
                return true;
            }
        }
        false
    }

    /// Faults that never came to pass.
    fn drop_unused(&mut self) {
        let Extent { calls, updates, steps, transactions, endings } = self.shortest.1.extent;
        let came = |fault: &Fault| match *fault {
            Fault::Call { nth, .. } => nth < calls,
            Fault::Update { nth, .. } => nth < updates,
            Fault::Step { nth, .. } => nth < steps,
            Fault::Transaction { nth, .. } => nth < transactions,
            Fault::Queue { nth, .. } => nth < endings,
        };
        self.shortest.0.faults.retain(came);
    }

    /// Leaves out runs of a list, long ones first.
    fn drop_parts(&mut self, len: impl Fn(&Plan) -> usize, drop: impl Fn(&mut Plan, std::ops::Range<usize>)) {
        let mut size = len(&self.shortest.0);
        while size > 0 {
            let mut at = 0;
            while at < len(&self.shortest.0) {
                let mut shorter = self.plan();
                drop(&mut shorter, at..(at + size).min(len(&self.shortest.0)));
                if !self.try_plan(shorter) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    fn drop_turns(&mut self) {
        self.drop_parts(|plan| plan.turns.len(), |plan, range| drop(plan.turns.drain(range)));
    }

    fn drop_faults(&mut self) {
        self.drop_parts(|plan| plan.faults.len(), |plan, range| drop(plan.faults.drain(range)));
    }

    /// Fewer people, chats and workers, and nothing unusual about them.
    fn drop_settings(&mut self) {
        let plain: [fn(&mut Plan); 12] = [
            |plan| {
                plan.people = 1;
                plan.turns.retain(|turn| person(turn.doing) != Some(1));
            },
            |plan| {
                plan.required.truncate(1);
                plan.turns.retain(|turn| place(turn.doing) != Some(Place::Required(1)));
                plan.basic = plan.basic.filter(|place| *place != Place::Required(1));
            },
            |plan| plan.workers.truncate(1),
            |plan| plan.workers.truncate(2),
            |plan| plan.workers.iter_mut().for_each(|skew_ms| *skew_ms = 0),
            |plan| plan.echoes = true,
            |plan| plan.stale_lookups_ms = 0,
            |plan| plan.terms.removal = None,
            |plan| plan.terms.grace_s = 0,
            |plan| plan.terms.removal = plan.terms.removal.map(|removal| Removal { warns: false, ..removal }),
            |plan| plan.terms.removal = plan.terms.removal.map(|removal| Removal { ban_s: None, ..removal }),
            |plan| {
                plan.basic = None;
                plan.turns.retain(|turn| turn.doing != Doing::Upgrades);
            },
        ];
        for simplify in plain {
            let mut simpler = self.plan();
            simplify(&mut simpler);
            let workers = simpler.workers.len();
            simpler.faults.retain(|fault| worker(*fault).is_none_or(|worker| worker < workers));
            if simpler != self.shortest.0 {
                self.try_plan(simpler);
            }
        }
    }

    /// Fewer steps and shorter pauses after each turn, also by leaving one out and not the time after it.
    fn calm_turns(&mut self) {
        for index in (1..self.shortest.0.turns.len()).rev() {
            let mut fewer = self.plan();
            let turn = fewer.turns.remove(index);
            fewer.turns[index - 1].steps += turn.steps;
            fewer.turns[index - 1].pause_ms += turn.pause_ms;
            self.try_plan(fewer);
        }
        for index in 0..self.shortest.0.turns.len() {
            let turn = self.shortest.0.turns[index];
            for (steps, pause_ms) in [(turn.steps, 0), (0, turn.pause_ms), (turn.steps / 2, turn.pause_ms)] {
                let mut calmer = self.plan();
                calmer.turns[index].steps = steps;
                calmer.turns[index].pause_ms = pause_ms;
                if calmer != self.shortest.0 {
                    self.try_plan(calmer);
                }
            }
        }
    }
}

const fn worker(fault: Fault) -> Option<usize> {
    match fault {
        Fault::Step { accident: Accident::Dies(worker) | Accident::Stalls(worker, _), .. } => Some(worker),
        _ => None,
    }
}

const fn person(doing: Doing) -> Option<usize> {
    match doing {
        Doing::Joins(who, _)
        | Doing::Leaves(who, _)
        | Doing::Writes(who)
        | Doing::Presses(who)
        | Doing::IsMuted(who, _)
        | Doing::IsUnmuted(who)
        | Doing::IsBanned(who)
        | Doing::IsUnbanned(who)
        | Doing::IsPromoted(who)
        | Doing::IsDemoted(who) => Some(who),
        _ => None,
    }
}

const fn place(doing: Doing) -> Option<Place> {
    match doing {
        Doing::Joins(_, place) | Doing::Leaves(_, place) => Some(place),
        Doing::BotLosesRights(place) | Doing::BotRegainsRights(place) => Some(place),
        _ => None,
    }
}
