//! Somebody's standing in a chat changed: a join, a leave, a mute by whomever, a promotion.

use nezuko_telegram::{ChatMemberUpdated, Limits, Standing, User};

use super::{Handler, Receipt};
use crate::{
    intent::{Intent, Put},
    planted::{self, Bug},
    store::StoreError,
};

/// Telegram keeps updates for 24 h; what is older than that about somebody unknown is asked rather than believed.
const BELIEVABLE_S: i64 = 24 * 3600;
/// Longer names are cut when they are stored; prompts cut further.
const NAME_CHARS: usize = 64;

impl Handler {
    pub(super) async fn member_event(
        &self,
        event: &ChatMemberUpdated,
        receipt: &Receipt<'_>,
    ) -> Result<(), StoreError> {
        if is_ignored_by_planted_bug(event) {
            return Ok(());
        }
        let user = &event.new_chat_member.user;
        let chat = event.chat.id;
        let now_ms = (self.clock)();
        self.with_person(user.id, chat, Some(receipt.update_id), receipt.trace_id, |mut person| {
            let known = person.known(chat).is_some_and(|member| member.event.is_some() || member.lookup.is_some());
            if event.date < now_ms / 1000 - BELIEVABLE_S && !known {
                let intent = Intent::Check { chat, user: user.id };
                person.writes.put.push(Put::urgent(intent, now_ms));
                return person.finish(chat);
            }
            let mark = person.mark(chat);
            let bot = self.bot;
            let member = person.member(chat);
            member.is_bot = user.is_bot;
            member.name = display_name(user);
            member.apply_event(bot, receipt.update_id, event, mark);
            // Groups that require this channel may have to name them now.
            person.name = display_name(user);
            if planted::has(Bug::NothingAtEcho) && event.from.id == bot.user() {
                return person.undecided();
            }
            person.finish(chat)
        })
        .await
    }
}

/// First and last name, cut.
pub(crate) fn display_name(user: &User) -> String {
    let last = user.last_name.as_deref().unwrap_or_default();
    let full = format!("{} {last}", user.first_name);
    full.trim().chars().take(NAME_CHARS).collect()
}

fn is_ignored_by_planted_bug(event: &ChatMemberUpdated) -> bool {
    let is_channel = event.chat.kind == nezuko_telegram::ChatKind::Channel;
    let comes_in = event.new_chat_member.standing.is_some_and(Standing::is_in);
    let bug = if comes_in { Bug::IgnoreChannelJoin } else { Bug::IgnoreChannelLeave };
    is_channel && event.new_chat_member.limits == Limits::Free && planted::has(bug)
}
