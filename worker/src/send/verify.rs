//! Checking somebody afresh, because they asked for it by a press, a command or a link.

use std::time::Duration;

use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{ChatId, ChatMember, ErrorClass, Limits, UpdateId, UserId};

use super::{Sender, check::By};
use crate::{
    facts::CLOCK_SKEW_MS,
    intent::{Press, answer_key},
    planted::{self, Bug},
    policy::{Decision, OfRequest, Reason},
    reconcile::Person,
    store::{StoreError, Verification},
};

/// Whoever asks is told within seconds, always: after this without the lookups it cannot be checked now.
const LOOKUPS_TAKE: Duration = Duration::from_secs(3);

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Free now, by this check or on the way.
    Freed,
    /// Was free before.
    Already,
    /// Still missing from these channels.
    Missing(Vec<ChatId>),
    /// Missing, and banned from these channels, which they cannot join (E30).
    Banned(Vec<ChatId>),
    /// Restricted by an administrator, whom the bot does not overrule.
    ByAdmin,
    /// Cannot be found out now.
    Unknown,
    /// An earlier press of the same person is being looked into.
    InProgress,
    /// Has joined all, so that the request to be let in is granted.
    Admitted,
    /// Whether the request to be let in is granted is for the administrators to decide (E24).
    LeftToAdmins,
}

/// Groups that are checked at once for who asks in private: each has a line and its channels' buttons in one answer.
pub(crate) const GROUPS: usize = 8;
/// Telegram may show for so long that somebody is out who has joined (E75).
pub(super) const PROPAGATES_MS: i64 = 1_500;

/// Who is to be checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) group: ChatId,
    pub(super) user: UserId,
    /// What was looked up since then is fresh enough (Unix milliseconds).
    pub(super) since_ms: i64,
    /// Whether somebody who is still missing is told so now, and not looked up once more first.
    pub(super) is_last: bool,
    /// The press that asks, if one does: one of a person is looked into at a time (E70).
    pub(super) press: Option<&'a Press>,
    pub(super) trace_id: &'a str,
}

/// What became of a check that met a group which has become a supergroup.
pub(super) type Checked = Result<Found, (ChatId, ChatId)>;

impl Sender {
    /// Decides about somebody, with lookups of what is not known to be in their favour.
    pub(super) async fn verify(&self, asked: &Asked<'_>) -> Result<Checked, StoreError> {
        let (found, unknown_in) = self.judge(asked, false).await?;
        if unknown_in.is_empty() || planted::has(Bug::PressNotFresh) {
            return Ok(Ok(found));
        }
        for (chat, asked_ms, answer) in self.look_up(asked.user, &unknown_in).await {
            let answer = match answer {
                Ok(answer) => answer,
                Err(ErrorClass::Migrated(new)) => return Ok(Err((chat, new))),
                Err(_) => continue,
            };
            let lookup = [(chat, asked_ms, answer)];
            self.take_in_lookups(asked.user, asked.group, &lookup, By::asked(asked.trace_id)).await?;
        }
        Ok(Ok(self.judge(asked, true).await?.0))
    }

    /// What the facts say, and in which chats a lookup is needed to know better.
    async fn judge(&self, asked: &Asked<'_>, is_final: bool) -> Result<(Found, Vec<ChatId>), StoreError> {
        let group = asked.group;
        let now_ms = self.now_ms();
        let mut judged = (Found::Unknown, Vec::new());
        self.handler
            .with_person(asked.user, group, None, asked.trace_id, |mut person| {
                let mark = person.mark(group);
                let limits = person.known(group).map(|member| member.limits(mark, now_ms));
                let by_admin = limits.is_some_and(|now| now.limits != Limits::Free && !now.ours);
                let held = limits.is_some_and(|now| now.ours)
                    || person.known(group).is_some_and(|member| member.open_call().is_some() || member.waiting);
                let decision = person.verdict(group).map_or(Decision::Free, |verdict| verdict.decision);
                let free = matches!(decision, Decision::Free | Decision::HandsOff(Reason::Exempt));
                // Somebody of whom nothing is known in the group may be its administrator, or not be in it.
                let unseen = decision == Decision::Unknown && !person.is_seen_in(group);
                // Who asks to be let in is not there yet.
                let of_request = person.of_open_request(group);
                let mut found = match (&of_request, decision) {
                    (Some((what, ask)), _) => Found::of_request(&person, group, *what, ask.is_empty()),
                    _ if free && by_admin => Found::ByAdmin,
                    _ if free && held => Found::Freed,
                    _ if free => Found::Already,
                    (None, Decision::Restricted { missing }) => Found::missing(&person, missing),
                    (None, Decision::HandsOff(Reason::Absent)) if person.is_known_out(group) => {
                        Found::missing(&person, person.not_known_in(group))
                    }
                    (None, _) => Found::Unknown,
                };
                let settled = if of_request.is_some() { found.is_settled() } else { free };
                let mut ask = if settled { Vec::new() } else { person.not_known_in(group) };
                // Nothing has shown yet what came of a call of ours, and only what is shown to be ours can be lifted.
                let open = person.known(group).is_some_and(|member| member.open_call().is_some());
                ask.extend((open || unseen && of_request.is_none()).then_some(group));
                // Another press, or a check, may have asked since.
                ask.retain(|chat| person.known(*chat).is_none_or(|member| !member.was_asked_since(asked.since_ms)));
                // What was known before they asked may be over.
                let is_old = |chat: &ChatId| {
                    person.known(*chat).is_none_or(|member| !member.was_asked_since(asked.began_ms() - CLOCK_SKEW_MS))
                };
                let old: Vec<ChatId> = ask.iter().copied().filter(is_old).collect();
                if is_final && found.is_missing_in(&old) {
                    found = Found::Unknown;
                }
                if !is_final && !ask.is_empty() && asked.is_behind_another(person.open()) {
                    (found, ask) = (Found::InProgress, Vec::new());
                }
                if let Some(press) = asked.press.filter(|_| held && found != Found::InProgress) {
                    // A lookup may have them freed at once, before it is known what this comes to.
                    let may_free = found == Found::Freed || !ask.is_empty() && !is_final;
                    let pressed_ms = &mut person.member(group).pressed_ms;
                    *pressed_ms = may_free.then(|| pressed_ms.unwrap_or(press.received_ms));
                }
                let again = found.is_missing() && !asked.is_last;
                if (is_final || ask.is_empty()) && !again {
                    person.writes.verifications.push(Verification { group, outcome: found.label() });
                }
                judged = (found, ask);
                person.finish_unchanged(group)
            })
            .await?;
        Ok(judged)
    }

    /// What could be found out in time.
    async fn look_up(&self, user: UserId, chats: &[ChatId]) -> Vec<(ChatId, i64, Result<ChatMember, ErrorClass>)> {
        let until = tokio::time::Instant::now() + LOOKUPS_TAKE;
        let mut answers = Vec::new();
        for chat in chats {
            let lookup = async {
                self.permits.leave(Budget::Lookup, Urgency::Urgent, Some(*chat)).await.ok()?;
                let asked_ms = self.now_ms();
                let answer = self.get_chat_member(*chat, user).await;
                Some((*chat, asked_ms, self.read_lookup(*chat, user, answer).await.ok()?))
            };
            let Ok(answer) = tokio::time::timeout_at(until, lookup).await else { break };
            answers.extend(answer);
        }
        answers
    }
}

impl Asked<'_> {
    /// When they asked, by the clock of whoever took it in (Unix milliseconds).
    const fn began_ms(&self) -> i64 {
        if self.is_last { self.since_ms - PROPAGATES_MS } else { self.since_ms }
    }

    /// Whether an earlier press of the same person in the same group has no answer yet.
    fn is_behind_another(&self, open: &std::collections::BTreeSet<String>) -> bool {
        let Some(press) = self.press else { return false };
        let prefix = answer_key(press.group);
        let numbers = open.iter().filter_map(|key| key.strip_prefix(&prefix)?.parse().ok().map(UpdateId));
        numbers.into_iter().any(|number| number < press.update_id)
    }
}

impl Found {
    fn missing(person: &Person<'_>, missing: Vec<ChatId>) -> Self {
        let banned: Vec<ChatId> = missing.iter().copied().filter(|chat| person.is_banned_from(*chat)).collect();
        if banned.is_empty() { Self::Missing(missing) } else { Self::Banned(banned) }
    }

    /// What is told to somebody who asks to be let into `group`.
    fn of_request(person: &Person<'_>, group: ChatId, what: OfRequest, is_settled: bool) -> Self {
        match what {
            OfRequest::Admit if !person.is_dry(group) => Self::Admitted,
            OfRequest::Greet => Self::missing(person, person.not_known_in(group)),
            OfRequest::Admit | OfRequest::Leave if is_settled => Self::LeftToAdmins,
            OfRequest::Admit | OfRequest::Leave => Self::Unknown,
        }
    }

    const fn is_settled(&self) -> bool {
        matches!(self, Self::Admitted | Self::LeftToAdmins)
    }

    /// Whether there are channels to join.
    pub(super) const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Banned(_))
    }

    /// Whether there are channels to join, and all of them are among these.
    fn is_missing_in(&self, channels: &[ChatId]) -> bool {
        let (Self::Missing(missing) | Self::Banned(missing)) = self else { return false };
        missing.iter().all(|chat| channels.contains(chat))
    }

    /// For the verification log and metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Freed => "verified",
            Self::Already => "already_free",
            Self::Missing(_) | Self::Banned(_) => "missing",
            Self::ByAdmin => "by_admin",
            Self::Unknown => "unknown",
            Self::InProgress => "in_progress",
            Self::Admitted => "request_granted",
            Self::LeftToAdmins => "request_left",
        }
    }
}
