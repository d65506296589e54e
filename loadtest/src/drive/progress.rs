//! How far a run is.

use crate::{
    simulator::Simulator,
    world::{Happened, Member},
};

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Acts that are over.
    pub acted: usize,
    /// All acts.
    pub acts: usize,
    /// Updates that were taken in.
    pub delivered: u64,
    /// Updates that wait to be delivered.
    pub pending: usize,
    /// Calls that arrived.
    pub calls: usize,
    /// Times that the bot muted somebody.
    pub muted: usize,
    /// Times that the bot freed somebody.
    pub freed: usize,
    /// Messages that the bot deleted.
    pub deleted: usize,
}

impl std::ops::Add for Progress {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            acted: self.acted + other.acted,
            acts: self.acts + other.acts,
            delivered: self.delivered + other.delivered,
            pending: self.pending + other.pending,
            calls: self.calls + other.calls,
            muted: self.muted + other.muted,
            freed: self.freed + other.freed,
            deleted: self.deleted + other.deleted,
        }
    }
}

/// Follows the world's history without reading it twice.
#[derive(Debug, Default)]
pub(super) struct Watch {
    read: usize,
    seen: Progress,
}

impl Watch {
    pub(super) fn look(&mut self, simulator: &Simulator, acted: usize, acts: usize) -> Progress {
        let (read, seen) = (self.read, &mut self.seen);
        self.read = simulator.world(|world| {
            let bot = world.bot().id;
            let restricted = |member: &Member| matches!(member, Member::Restricted { .. });
            for entry in &world.history()[read..] {
                match &entry.what {
                    Happened::Changed { by, old, new, .. } if *by == bot => {
                        seen.muted += usize::from(!restricted(old) && restricted(new));
                        seen.freed += usize::from(restricted(old) && !restricted(new));
                    }
                    Happened::Deleted { by, .. } if *by == bot => seen.deleted += 1,
                    _ => {}
                }
            }
            world.history().len()
        });
        let delivered = simulator.counters().delivered;
        let calls = simulator.call_count();
        self.seen = Progress { acted, acts, delivered, pending: simulator.pending(), calls, ..self.seen };
        self.seen
    }
}
