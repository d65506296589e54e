//! Requests to be let in: granting them, and telling who asks what to join first.

use frankenstein::{
    ParseMode,
    methods::{ApproveChatJoinRequestParams, SendMessageParams},
    types::{LinkPreviewOptions, ReplyMarkup},
};
use nezuko_shared::{limiter::Budget, telemetry::metrics::JoinRequestAction};
use nezuko_telegram::{CallError, ChatId, ErrorClass, UserId};

use super::{Sender, keyboard, tell::Delivery};
use crate::{
    buttons::{Button, Kind},
    facts::{EventOrder, Member},
    intent::{Claim, Greeting, Settlement},
    policy::OfRequest,
    store::{Settle, StoreError, Verification},
    texts::Texts,
};

/// Telegram lets a bot write to somebody who never spoke to it for five minutes after they asked (E23).
const REACHABLE_S: i64 = 300;

impl Sender {
    pub(super) async fn admit(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Restriction, claim.urgency, Some(group)).await {
            return self.put_off(claim, refused).await;
        }
        let Some(asked) = self.still_admits(claim, group, user).await? else { return Ok(()) };
        let params = ApproveChatJoinRequestParams::builder().chat_id(group.0).user_id(user.0.cast_unsigned()).build();
        let result: Result<bool, CallError> = self.call("approveChatJoinRequest", &params).await;
        let class = result.err().map(|error| error.class());
        if let Some(class) = class {
            self.obey(Budget::Restriction, Some(group), class).await;
        }
        let settlement = match class {
            // E25: somebody else was quicker, or the request was taken back, or they cannot be let in.
            None | Some(ErrorClass::AlreadyDone | ErrorClass::Target | ErrorClass::UserUnknown | ErrorClass::Input) => {
                Settlement::Done
            }
            Some(ErrorClass::RetryAfter(wait)) => self.wait_for(wait),
            // Granting twice does no harm.
            Some(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            Some(ErrorClass::Migrated(new)) => return self.follow(claim, group, new).await,
            Some(class) => {
                tracing::warn!(
                    group = group.0,
                    class = class.label(),
                    trace_id = claim.trace_id,
                    "request not granted"
                );
                self.back_off_slowly(claim)
            }
        };
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                let request = person.member(group).request.as_mut().filter(|request| request.order == asked);
                if let Some(request) = request.filter(|_| settlement == Settlement::Done) {
                    request.answered = true;
                }
                if class.is_none() {
                    person.writes.verifications.push(Verification { group, outcome: "admitted" });
                }
                if matches!(class, Some(ErrorClass::Permission | ErrorClass::BotOut)) {
                    person.writes.put.push(self.look_at_own_rights(group));
                }
                let open = person.open();
                let mut outcome = person.finish_unchanged(group);
                outcome.writes.keep_claimed(claim, open);
                outcome.writes.settle = Some(Settle::of(claim, settlement.clone()));
                outcome
            })
            .await?;
        if class.is_none() {
            self.handler.metrics.join_request(JoinRequestAction::Granted);
            tracing::info!(group = group.0, user = user.0, trace_id = claim.trace_id, "request granted");
        }
        Ok(())
    }

    /// Decides again, and says which request is to be granted; `None`: none is any more, and the claim is settled.
    async fn still_admits(&self, claim: &Claim, group: ChatId, user: UserId) -> Result<Option<EventOrder>, StoreError> {
        let mut admits = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |mut person| {
                person.urgency = claim.urgency;
                let request = person.known(group).and_then(Member::open_request);
                admits =
                    request.filter(|_| person.of_request(group).0 == OfRequest::Admit).map(|request| request.order);
                let open = person.open();
                let mut outcome = person.finish_unchanged(group);
                if admits.is_some() {
                    outcome.writes.keep_claimed(claim, open);
                } else {
                    outcome.writes.settle = Some(Settle::of(claim, Settlement::Done));
                }
                outcome
            })
            .await?;
        Ok(admits)
    }

    /// Tells who asks to be let in what to join first. Whoever cannot be told is left to the administrators (E24).
    pub(super) async fn greet(&self, claim: &Claim, greeting: &Greeting) -> Result<(), StoreError> {
        let Greeting { group, user, date, reach } = *greeting;
        let mut missing = None;
        self.handler
            .with_person(user, group, None, &claim.trace_id, |person| {
                missing = (person.of_request(group).0 == OfRequest::Greet).then(|| person.missing_in(group));
                person.finish_unchanged(group)
            })
            .await?;
        let expired = reach != user.private_chat() && self.now_ms() / 1000 > date + REACHABLE_S;
        let Some((title, channels)) = missing.filter(|_| !expired) else {
            return self.settle(claim, Settlement::Done).await;
        };
        let texts = Texts(self.settings_of(group).await?.language);
        let data = self.handler.buttons.encode(Button::of_row(Kind::Asked, group.0), user.private_chat());
        let params = SendMessageParams::builder()
            .chat_id(reach.0)
            .text(texts.group_greeting(&title, &channels))
            .parse_mode(ParseMode::Html)
            .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
            .maybe_reply_markup(
                keyboard::inline(&keyboard::of_prompt(texts, &channels, data)).map(ReplyMarkup::InlineKeyboardMarkup),
            )
            .build();
        match self.tell(claim, reach, &params, None).await? {
            Delivery::Sent => self.handler.metrics.join_request(JoinRequestAction::Greeted),
            Delivery::Later => {}
            Delivery::Refused(class) => {
                self.handler.metrics.join_request(JoinRequestAction::Unreachable);
                tracing::info!(group = group.0, class = class.label(), trace_id = claim.trace_id, "greeting given up");
                self.settle(claim, Settlement::Done).await?;
            }
        }
        Ok(())
    }
}
