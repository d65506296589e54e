//! What Telegram knows in one place and shows in another only later (E75).

use serde_json::Value;

use super::{
    Member, World,
    ids::{ChatId, UserId},
};

/// Somebody has come or gone, and neither a lookup nor an update shows it yet.
#[derive(Clone, Debug)]
pub(super) struct Late {
    shows_ms: i64,
    chat: ChatId,
    user: UserId,
    old: Member,
    new: Member,
    how: Value,
}

impl World {
    /// Keeps back for as long as the world is told to that somebody has come or gone.
    pub(super) fn keep_back(
        &mut self,
        now_ms: i64,
        chat: ChatId,
        user: UserId,
        (old, new): (Member, Member),
        how: Value,
    ) {
        let shows_ms = now_ms + self.switches.membership_lag_ms;
        self.late.push(Late { shows_ms, chat, user, old, new, how });
    }

    /// Tells what is to show by now.
    pub(super) fn tell_late(&mut self, now_ms: i64) {
        for late in self.late.extract_if(.., |late| late.shows_ms <= now_ms).collect::<Vec<_>>() {
            self.tell_change(now_ms, late.chat, late.user, late.user, (late.old, late.new), late.how);
        }
    }

    /// How a lookup still shows somebody who has come or gone.
    pub(super) fn shown_late(&self, chat: ChatId, user: UserId) -> Option<Member> {
        self.late.iter().find(|late| late.chat == chat && late.user == user).map(|late| late.old)
    }
}
