//! Buttons under the lines of a log chat: what the group's administrators undo with them.

use frankenstein::methods::BanChatMemberParams;
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{CallError, ChatId, ErrorClass, Limits, UserId};

use super::{
    Sender,
    answer::{Admin, Said},
};
use crate::{
    buttons::{Button, Kind},
    facts::{Act, Call, EventOrder, Member, Setting, Theirs, set},
    intent::{Claim, Press},
    store::{Audit, LogLine, StoreError, Verification},
    texts::{Texts, Word},
};

/// For so long a line can be undone.
const UNDONE_WITHIN_MS: i64 = 7 * 24 * 3_600_000;

/// What can be done about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// Our mute is lifted, until they leave.
    Free,
    /// They may write without having joined.
    Exempt,
    /// They are out for good.
    Ban,
}

impl Undo {
    pub(super) const ALL: [Self; 3] = [Self::Free, Self::Exempt, Self::Ban];

    pub(super) const fn word(self) -> Word {
        Word(match self {
            Self::Free => "free",
            Self::Exempt => "exempt",
            Self::Ban => "ban",
        })
    }

    /// Under the line of this number.
    pub(super) const fn button(self, line: i64) -> Button {
        Button { kind: Kind::Undo, row: line, argument: [self as u8, 0] }
    }

    /// What can be done about a line about `user`. A channel is on the list of those that may write here, or is not.
    pub(super) fn of_line(user: UserId) -> Vec<Self> {
        if is_channel(user) { vec![Self::Exempt] } else { Self::ALL.to_vec() }
    }

    fn of(button: Button) -> Option<Self> {
        Self::ALL.into_iter().find(|undo| *undo as u8 == button.argument[0])
    }
}

/// The log has one column for people and channels.
const fn is_channel(user: UserId) -> bool {
    user.0 < 0
}

/// What came of it.
enum Undone {
    Done,
    /// It was so before.
    Unchanged,
    /// Telegram does not let us.
    Refused,
    /// Telegram does not answer now.
    Unknown,
    Migrated(ChatId),
}

/// What there was before a ban.
#[derive(Clone, Copy)]
struct Before {
    /// What others had imposed.
    theirs: Option<Theirs>,
    /// What we had put back.
    restored: Option<Limits>,
}

impl Sender {
    /// Does what a button under a line says, for administrators of the group that the line is about. `None`: the button
    /// does nothing any more.
    pub(super) async fn undo(&self, claim: &Claim, press: &Press, button: Button) -> Result<Option<Said>, StoreError> {
        let store = &self.handler.store;
        let line = store.line(button.row).await?.filter(|line| self.now_ms() < line.at_ms + UNDONE_WITHIN_MS);
        let Some((LogLine { group, user: Some(user), .. }, undo)) = line.zip(Undo::of(button)) else { return Ok(None) };
        let facts = store.chat(group).await?.chat.facts;
        let settings = facts.settings.in_force();
        if settings.log_chat != Some(press.group) {
            return Ok(None);
        }
        let texts = Texts(settings.language);
        match self.is_admin(group, press.user).await? {
            Admin::Is => {}
            other => return self.refusal(claim, group, texts, &other).await,
        }
        let undone = match undo {
            Undo::Exempt if is_channel(user) => self.exempt_sender(claim, press, group, ChatId(user.0)).await?,
            _ if is_channel(user) => return Ok(None),
            Undo::Free => self.free(claim, press, group, user).await?,
            Undo::Exempt => self.exempt(claim, press, group, user).await?,
            Undo::Ban => self.ban(claim, press, group, user).await?,
        };
        Ok(Some(match undone {
            Undone::Done => Said::in_passing(texts.press_done(), "undone").audited(Audit {
                chat: group,
                actor: press.user,
                subject: user.0,
                action: format!("undo: {}", undo.word().0),
                detail: String::new(),
                trace_id: claim.trace_id.clone(),
            }),
            Undone::Unchanged => Said::in_passing(texts.press_unchanged(), "unchanged"),
            Undone::Refused => Said::as_alert(texts.press_refused(), "refused"),
            Undone::Unknown => Said::in_passing(texts.press_unknown(), "unknown"),
            Undone::Migrated(new) => return self.refusal(claim, group, texts, &Admin::Migrated(new)).await,
        }))
    }

    /// As if the administrator had lifted our mute with their own hands.
    async fn free(&self, claim: &Claim, press: &Press, group: ChatId, user: UserId) -> Result<Undone, StoreError> {
        let now_ms = self.now_ms();
        let mut undone = Undone::Unchanged;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                let mark = person.mark(group);
                let held = |member: &Member| member.waiting || member.limits(mark, now_ms).ours;
                if person.known(group).is_some_and(|member| said(member, press)) {
                    undone = Undone::Done;
                } else if person.known(group).is_some_and(|member| held(member) && !member.allowed_by_admin()) {
                    person.member(group).free_by_word(order_of(press), now_ms);
                    undone = Undone::Done;
                }
                person.finish(group)
            })
            .await?;
        Ok(undone)
    }

    async fn exempt(&self, claim: &Claim, press: &Press, group: ChatId, user: UserId) -> Result<Undone, StoreError> {
        let allowed = Setting { value: true, update_id: press.update_id, received_ms: press.received_ms };
        let mut undone = Undone::Unchanged;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                let known = person.known(group).and_then(|member| member.allowed);
                let was_allowed = known.is_some_and(|known| known.value);
                if known == Some(allowed) || !was_allowed && set(&mut person.member(group).allowed, allowed) {
                    undone = Undone::Done;
                }
                person.finish(group)
            })
            .await?;
        Ok(undone)
    }

    async fn exempt_sender(
        &self,
        claim: &Claim,
        press: &Press,
        group: ChatId,
        sender: ChatId,
    ) -> Result<Undone, StoreError> {
        let allowed = Setting { value: true, update_id: press.update_id, received_ms: press.received_ms };
        let known = self.handler.store.chat(group).await?.chat.facts.allowed_senders.get(&sender).copied();
        if known == Some(allowed) {
            return Ok(Undone::Done);
        }
        let was_allowed = known.is_some_and(|known| known.value);
        let changed = self.allow_sender(group, sender, allowed, &claim.trace_id).await?;
        Ok(if changed && !was_allowed { Undone::Done } else { Undone::Unchanged })
    }

    /// As if the administrator had banned them with their own hands: what they impose is theirs to lift. Banning twice does
    /// no harm.
    async fn ban(&self, claim: &Claim, press: &Press, group: ChatId, user: UserId) -> Result<Undone, StoreError> {
        let before = match self.impose_ban(claim, press, group, user).await? {
            Ok(before) => before,
            Err(done) => return Ok(done),
        };
        if self.permits.leave(Budget::Restriction, Urgency::Urgent, Some(group)).await.is_err() {
            return self.withdraw_ban(claim, press, group, user, before, Undone::Unknown).await;
        }
        let params = BanChatMemberParams::builder().chat_id(group.0).user_id(user.0.cast_unsigned()).build();
        let mut banned: Result<bool, CallError> = self.call("banChatMember", &params).await;
        if banned.as_ref().is_err_and(|error| error.class() == ErrorClass::Ambiguous) {
            banned = self.call("banChatMember", &params).await;
        }
        let undone = match banned.map_err(|error| error.class()) {
            Ok(_) | Err(ErrorClass::AlreadyDone) => {
                self.handler
                    .with_person(user, group, None, &claim.trace_id, |mut person| {
                        if let Some(call) = person.member(group).call.as_mut().filter(|call| call.act == Act::Restore) {
                            call.answered = true;
                        }
                        person.writes.verifications.push(Verification { group, outcome: "banned" });
                        person.finish_unchanged(group)
                    })
                    .await?;
                return Ok(Undone::Done);
            }
            // It may have been done.
            Err(ErrorClass::Ambiguous) => return Ok(Undone::Unknown),
            Err(ErrorClass::Migrated(new)) => Undone::Migrated(new),
            Err(class @ ErrorClass::RetryAfter(_)) => {
                self.obey(Budget::Restriction, Some(group), class).await;
                Undone::Unknown
            }
            Err(ErrorClass::Retry) => Undone::Unknown,
            Err(_) => Undone::Refused,
        };
        self.withdraw_ban(claim, press, group, user, before, undone).await
    }

    /// Before the call, or its echo would be taken for something that nobody wants. Returns what there was
    /// before, or what came of it where they are banned already.
    async fn impose_ban(
        &self,
        claim: &Claim,
        press: &Press,
        group: ChatId,
        user: UserId,
    ) -> Result<Result<Before, Undone>, StoreError> {
        let now_ms = self.now_ms();
        let for_good = Limits::Banned { until: 0 };
        let mut before = Err(Undone::Unchanged);
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                let mark = person.mark(group);
                let member = person.member(group);
                let is_banned = member.limits(mark, now_ms).limits == for_good;
                // Another press, of which nothing has come back yet.
                let goes_out =
                    member.theirs.is_some_and(|theirs| theirs.limits == for_good) && member.open_call().is_some();
                before = match (is_banned, said(member, press)) {
                    (true, true) => Err(Undone::Done),
                    (true, false) => Err(Undone::Unchanged),
                    (false, false) if goes_out => Err(Undone::Unchanged),
                    (false, _) => Ok(Before { theirs: member.theirs, restored: member.restored }),
                };
                if before.is_ok() {
                    member.ban_by_word(order_of(press));
                    // It goes out now, so that nobody else puts it upon them.
                    member.call = Some(Call::new(Act::Restore, now_ms, member.call));
                    member.restored = Some(for_good);
                }
                person.finish_unchanged(group)
            })
            .await?;
        Ok(before)
    }

    /// The ban did not come about: nobody imposes it, and what was imposed before it is again.
    async fn withdraw_ban(
        &self,
        claim: &Claim,
        press: &Press,
        group: ChatId,
        user: UserId,
        before: Before,
        undone: Undone,
    ) -> Result<Undone, StoreError> {
        let now_ms = self.now_ms();
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                let member = person.member(group);
                if said(member, press) {
                    member.theirs = before.theirs.filter(|before| before.order != order_of(press));
                    member.restored = before.restored;
                }
                if member.call.is_some_and(|call| call.act == Act::Restore) {
                    member.call_failed(now_ms);
                }
                person.finish(group)
            })
            .await?;
        Ok(undone)
    }
}

/// Whether this press is the last word about somebody: what it asked for was done, but for the answer.
fn said(member: &Member, press: &Press) -> bool {
    member.theirs.is_some_and(|theirs| theirs.order == order_of(press))
}

/// When the administrator said so.
const fn order_of(press: &Press) -> EventOrder {
    EventOrder { date: press.received_ms / 1000, update_id: press.update_id }
}
