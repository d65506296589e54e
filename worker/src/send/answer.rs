//! Answering a press on *I have joined*: the presser is checked afresh, and only the presser can be freed by it.

use std::time::Duration;

use frankenstein::methods::AnswerCallbackQueryParams;
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{ChatId, ChatMember, ErrorClass, Limits, UserId};

use super::Sender;
use crate::{
    intent::{Claim, Intent, Press, Put, Settlement},
    planted::{self, Bug},
    policy::{Decision, Reason},
    store::{StoreError, Verification},
    texts,
};

/// Telegram forgets a press after so long; nobody can be answered then.
const PRESS_LIVES_MS: i64 = 150_000;
/// Presses are answered within seconds, always: after this without the lookups it is *still checking*.
const LOOKUPS_TAKE: Duration = Duration::from_secs(3);

/// What a press came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Free now, by this press or on the way.
    Freed,
    /// Was free before.
    Already,
    /// Still missing from these channels.
    Missing(Vec<ChatId>),
    /// Restricted by an administrator, whom the bot does not overrule.
    ByAdmin,
    /// Cannot be found out now.
    Unknown,
}

impl Sender {
    pub(super) async fn answer(&self, claim: &Claim, press: &Press) -> Result<(), StoreError> {
        if self.now_ms() > press.received_ms + PRESS_LIVES_MS {
            self.handler.metrics.press("expired");
            return self.settle(claim, Settlement::Done).await;
        }
        let presser = self.presser(press).await?;
        let (found, unknown_in) = self.judge(press, presser, false, &claim.trace_id).await?;
        let found = if unknown_in.is_empty() || planted::has(Bug::PressNotFresh) {
            found
        } else {
            for (chat, asked_ms, answer) in self.look_up(presser, &unknown_in).await {
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(ErrorClass::Migrated(new)) => return self.follow(claim, chat, new).await,
                    Err(_) => continue,
                };
                let lookup = [(chat, asked_ms, answer)];
                self.take_in_lookups(presser, press.group, &lookup, None, &claim.trace_id).await?;
            }
            self.judge(press, presser, true, &claim.trace_id).await?.0
        };
        self.reply_to_press(claim, press, &found).await
    }

    /// The one whom the press is about.
    async fn presser(&self, press: &Press) -> Result<UserId, StoreError> {
        if planted::has(Bug::PresserIgnored) {
            let waiting = self.handler.store.prompt(press.group, None, 1).await?.waiting;
            return Ok(waiting.first().map_or(press.user, |(user, _)| *user));
        }
        Ok(press.user)
    }

    /// What the facts say, and in which chats a lookup is needed to know better.
    async fn judge(
        &self,
        press: &Press,
        presser: UserId,
        is_final: bool,
        trace_id: &str,
    ) -> Result<(Found, Vec<ChatId>), StoreError> {
        let group = press.group;
        let now_ms = self.now_ms();
        let mut judged = (Found::Unknown, Vec::new());
        self.handler
            .with_person(presser, group, None, trace_id, |mut person| {
                let mark = person.mark(group);
                let limits = person.known(group).map(|member| member.limits(mark, now_ms));
                let by_admin = limits.is_some_and(|now| now.limits != Limits::Free && !now.ours);
                let held = limits.is_some_and(|now| now.ours)
                    || person.known(group).is_some_and(|member| member.open_call().is_some() || member.waiting);
                let decision = person.verdict(group).map_or(Decision::Free, |verdict| verdict.decision);
                let free = matches!(decision, Decision::Free | Decision::HandsOff(Reason::Exempt));
                let found = match decision {
                    _ if free && by_admin => Found::ByAdmin,
                    _ if free && held => Found::Freed,
                    _ if free => Found::Already,
                    Decision::Restricted { missing } => Found::Missing(missing),
                    Decision::HandsOff(Reason::Absent) => Found::Missing(person.not_known_in(group)),
                    _ => Found::Unknown,
                };
                let mut ask = if free { Vec::new() } else { person.not_known_in(group) };
                // Nothing has shown yet what came of a call of ours, and only what is shown to be ours can be lifted.
                let open = person.known(group).is_some_and(|member| member.open_call().is_some());
                ask.extend(open.then_some(group));
                // Another press, or a check, may have asked since.
                ask.retain(|chat| person.known(*chat).is_none_or(|member| !member.was_asked_since(press.received_ms)));
                if is_final || ask.is_empty() {
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

    async fn reply_to_press(&self, claim: &Claim, press: &Press, found: &Found) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Answer, claim.urgency, None).await {
            return self.put_off(claim, refused).await;
        }
        let view = self.handler.store.prompt(press.group, None, 0).await?;
        let text = texts::press_answer(found, &view.channels);
        let alert = matches!(found, Found::Missing(_) | Found::ByAdmin);
        let params = AnswerCallbackQueryParams::builder()
            .callback_query_id(&press.callback)
            .text(text)
            .show_alert(alert)
            .build();
        let result: Result<bool, _> = self.call("answerCallbackQuery", &params).await;
        let settlement = match result.map_err(|error| error.class()) {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Answer, None, class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            _ => {
                let waited = self.now_ms().saturating_sub(press.received_ms).max(0);
                self.handler.metrics.press(found.label());
                self.handler.metrics.press_to_answer(Duration::from_millis(waited.unsigned_abs()));
                self.handler.metrics.verification(found.label());
                Settlement::Done
            }
        };
        if press.message.0 == 0 {
            return self.settle(claim, settlement).await;
        }
        // A prompt that we do not know was sent by somebody whose answer got lost: it would stand for ever.
        let is_known = self.handler.store.recognise_prompt(press.group, press.message, self.now_ms()).await?;
        let stray = Put::urgent(Intent::Delete { chat: press.group, message: press.message }, self.now_ms());
        let put = if is_known { Vec::new() } else { vec![stray] };
        self.settle_and_put(claim, settlement, &put).await
    }
}

impl Found {
    /// For the verification log and metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Freed => "verified",
            Self::Already => "already_free",
            Self::Missing(_) => "missing",
            Self::ByAdmin => "by_admin",
            Self::Unknown => "unknown",
        }
    }
}
