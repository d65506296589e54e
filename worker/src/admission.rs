//! Which groups the operator has the bot serve (E105): a list of groups that are blocked or allowed, a mode in which only
//! allowed ones are served, and quotas of groups for each owner. Pure.
//!
//! An owner is who brought the bot into a group last. Owners are kept apart from groups: whoever leaves deletes nothing
//! (E80).

use std::collections::BTreeMap;

use nezuko_telegram::{ChatId, UserId};

pub use crate::facts::Refusal;
use crate::{
    facts::EventOrder,
    intent::{Intent, Put},
    store::{ChatView, ChatWrites},
};

impl Refusal {
    /// Whether the bot leaves for it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::OverQuota)
    }

    /// For people who operate.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::NotAllowed => "not allowed",
            Self::OverQuota => "over quota",
        }
    }
}

/// The bot came into a group, or went out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub order: EventOrder,
    /// Who brought it in, as far as that can be told.
    pub by: Option<UserId>,
    /// Whether it is in now.
    pub is_in: bool,
}

/// What the operator has laid down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether only allowed groups are served.
    pub closed: bool,
    /// Groups that are allowed (`true`) or blocked.
    pub listed: BTreeMap<ChatId, bool>,
    /// How many groups these owners may have.
    pub quotas: BTreeMap<UserId, i64>,
    /// How many all others may; `None`: as many as they like.
    pub quota: Option<i64>,
}

impl Rules {
    /// What becomes of the groups of one owner, in the order in which the bot came into them; `None`: nobody knows whose
    /// they are, and no quota counts. Allowed groups are beside the quota.
    #[must_use]
    pub fn judge(&self, owner: Option<UserId>, groups: &[ChatId]) -> Vec<(ChatId, Option<Refusal>)> {
        let quota = owner.and_then(|owner| self.quotas.get(&owner).copied().or(self.quota));
        let mut counted = 0;
        let mut judge = |group: &ChatId| match self.listed.get(group) {
            Some(true) => None,
            Some(false) => Some(Refusal::Blocked),
            None if self.closed => Some(Refusal::NotAllowed),
            None => {
                counted += 1;
                quota.filter(|quota| counted > *quota).map(|_| Refusal::OverQuota)
            }
        };
        groups.iter().map(|group| (*group, judge(group))).collect()
    }
}

/// What to write where `refusal` is what becomes of a group now. `arrived`: the bot has just come in.
#[must_use]
pub fn apply(view: &ChatView, group: ChatId, refusal: Option<Refusal>, arrived: bool, now_ms: i64) -> ChatWrites {
    let changed = view.chat.facts.refused != refusal;
    let mut writes = ChatWrites::default();
    if changed {
        let mut facts = view.chat.facts.clone();
        facts.refused = refusal;
        writes.facts = Some(facts);
        writes.put = view.redecide(group, now_ms);
    }
    if refusal.is_some() && (changed || arrived) {
        writes.put.push(Put::urgent(Intent::Refuse { group, told: false }, now_ms));
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId(5);

    fn judged(rules: &Rules, owner: Option<UserId>) -> Vec<Option<Refusal>> {
        let groups = [-1, -2, -3, -4].map(ChatId);
        rules.judge(owner, &groups).into_iter().map(|(_, refusal)| refusal).collect()
    }

    #[test]
    fn e105_the_first_groups_of_an_owner_are_served_and_allowed_ones_are_beside_the_quota() {
        let over = Some(Refusal::OverQuota);
        let mut rules = Rules { quota: Some(2), ..Rules::default() };
        assert_eq!(judged(&rules, Some(ANN)), [None, None, over, over]);
        assert_eq!(judged(&rules, None), [None; 4], "nobody knows whose they are");
        rules.listed.insert(ChatId(-2), true);
        assert_eq!(judged(&rules, Some(ANN)), [None, None, None, over]);
        rules.quotas.insert(ANN, 0);
        assert_eq!(judged(&rules, Some(ANN)), [over, None, over, over]);
        assert_eq!(judged(&rules, Some(UserId(6))), [None, None, None, over]);
    }

    #[test]
    fn e105_blocked_groups_are_never_served_and_others_only_if_allowed_where_that_is_the_mode() {
        let blocked = Some(Refusal::Blocked);
        let listed = BTreeMap::from([(ChatId(-1), false), (ChatId(-2), true)]);
        let mut rules = Rules { listed, ..Rules::default() };
        assert_eq!(judged(&rules, Some(ANN)), [blocked, None, None, None]);
        rules.closed = true;
        let not_allowed = Some(Refusal::NotAllowed);
        assert_eq!(judged(&rules, Some(ANN)), [blocked, None, not_allowed, not_allowed]);
    }

    #[test]
    fn a_refusal_is_told_when_it_begins_and_whenever_the_bot_is_added_again() {
        let group = ChatId(-1);
        let mut view = ChatView::default();
        let tells = |view: &ChatView, refusal, arrived| {
            let writes = apply(view, group, refusal, arrived, 7);
            let tells = writes.put == [Put::urgent(Intent::Refuse { group, told: false }, 7)];
            assert!(tells || writes.put.is_empty());
            (writes.facts.map(|facts| facts.refused), tells)
        };
        assert_eq!(tells(&view, None, true), (None, false));
        let blocked = Some(Refusal::Blocked);
        assert_eq!(tells(&view, blocked, false), (Some(blocked), true));
        view.chat.facts.refused = blocked;
        assert_eq!(tells(&view, blocked, false), (None, false));
        assert_eq!(tells(&view, blocked, true), (None, true));
        assert_eq!(tells(&view, None, false), (Some(None), false));
    }
}
