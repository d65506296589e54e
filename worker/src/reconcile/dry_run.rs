//! A dry run: what would be done is written into the verification log, once for as long as it would be.

use nezuko_telegram::ChatId;

use super::Person;
use crate::{
    facts::{Act, Request},
    policy::{Decision, OfRequest},
    store::Verification,
};

impl Person<'_> {
    /// Writes down what would be done in `group` about the person's limits.
    pub(super) fn note_what_would_be(&mut self, group: ChatId, decision: &Decision) {
        let dry = self.is_dry(group);
        let would = dry.then(|| self.plan_in_earnest(group, decision).act).flatten();
        let would = would.filter(|act| !act.undoes());
        let Some(member) = self.members.get_mut(&group).filter(|member| member.would != would) else { return };
        member.would = would;
        let outcome = match would {
            None | Some(Act::Release | Act::Restore) => return,
            Some(Act::Mute) => "would_mute",
            Some(Act::Kick) => "would_kick",
            Some(Act::Ban) => "would_ban",
        };
        self.writes.verifications.push(Verification { group, outcome });
    }

    /// Writes down how their request to be let into `group` would be answered. It counts as told, so that it is said once:
    /// by the end of the dry run it would be too late to tell them (E23).
    pub(super) fn note_request_that_would_be_answered(&mut self, group: ChatId, what: OfRequest) {
        let request = self.members.get(&group).and_then(|member| member.request).filter(|request| !request.told);
        let outcome = match what {
            OfRequest::Admit => "would_admit",
            OfRequest::Greet => "would_greet",
            OfRequest::Leave => return,
        };
        if let Some(request) = request {
            self.writes.verifications.push(Verification { group, outcome });
            self.member(group).request = Some(Request { told: true, ..request });
        }
    }
}
