//! Answering presses. What was pressed was read when the press came in; what it may do is decided from its row, for the
//! presser and nobody else (E67). Whatever is wrong with a button is answered alike (E68).

use std::time::Duration;

use frankenstein::methods::AnswerCallbackQueryParams;
use nezuko_shared::limiter::{Budget, Urgency};
use nezuko_telegram::{ChatId, ErrorClass, UserId};

use super::{
    Sender,
    verify::{Asked, Found, PROPAGATES_MS},
};
use crate::{
    buttons::{Button, Kind},
    intent::{Claim, Command, Intent, Press, Put, Settlement},
    panel,
    planted::{self, Bug},
    store::{Allowance, Audit, ButtonRow, Payload, Settle, StoreError},
    texts::Texts,
};

/// Telegram forgets a press after so long; nobody can be answered then.
const PRESS_LIVES_MS: i64 = 150_000;
/// So many presses of one person are looked into within the window (E104); each may cost lookups.
const PRESSES: i64 = 20;
const PRESSES_WINDOW_MS: i64 = 30_000;

/// What is said to the presser.
pub(super) struct Said {
    /// Shown to them; empty: nothing.
    text: String,
    /// In a window that they close themselves.
    alert: bool,
    /// For metrics.
    outcome: &'static str,
    /// What the audit trail says of it.
    audit: Option<Audit>,
}

impl Said {
    pub(super) const fn in_passing(text: String, outcome: &'static str) -> Self {
        Self { text, alert: false, outcome, audit: None }
    }

    pub(super) const fn as_alert(text: String, outcome: &'static str) -> Self {
        Self { text, alert: true, outcome, audit: None }
    }

    /// The same, with what was done written down as the presser's.
    pub(super) fn audited(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }
}

/// Whether somebody administers a chat.
pub(super) enum Admin {
    Is,
    IsNot,
    /// Telegram does not tell.
    Unknown,
    /// Telegram tells none but administrators, of whom the bot is none.
    Hidden,
    /// The chat has become this supergroup.
    Migrated(ChatId),
}

impl Sender {
    pub(super) async fn answer(&self, claim: &Claim, press: &Press) -> Result<(), StoreError> {
        let now_ms = self.now_ms();
        if now_ms > press.received_ms + PRESS_LIVES_MS {
            self.handler.metrics.press("expired");
            return self.settle(claim, Settlement::Done).await;
        }
        // Whoever is looked up once more has pressed once.
        let draw = self.handler.store.draw(press.user, Allowance::Presses, now_ms, PRESSES_WINDOW_MS);
        if claim.attempts == 0 && draw.await? > PRESSES {
            return self.say(claim, press, Said::in_passing(String::new(), "limited")).await;
        }
        let texts = self.texts_for(press.group, press.language).await?;
        match press.button {
            Some(Button { kind: Kind::Joined, .. }) => self.joined(claim, press, texts, press.group).await,
            Some(Button { kind: Kind::Asked, row, .. }) => self.joined(claim, press, texts, ChatId(row)).await,
            Some(button @ Button { kind: Kind::Undo, .. }) => match self.undo(claim, press, button).await? {
                Some(said) => self.say(claim, press, said).await,
                None => self.stale(claim, press, texts).await,
            },
            Some(button) => match self.handler.store.button(button.row, now_ms).await? {
                Some(row) if row.chat == press.group && row.user.is_none_or(|user| user == press.user) => {
                    self.of_row(claim, press, texts, button, row).await
                }
                _ => self.stale(claim, press, texts).await,
            },
            None => self.stale(claim, press, texts).await,
        }
    }

    /// *I have joined* was pressed, about `group`. Whoever has joined just now may not be shown to have yet: that somebody is
    /// missing is believed of a lookup that was asked for a moment after the press (E75).
    async fn joined(&self, claim: &Claim, press: &Press, texts: Texts, group: ChatId) -> Result<(), StoreError> {
        let propagated_ms = press.received_ms + PROPAGATES_MS;
        let is_last = self.now_ms() >= propagated_ms;
        let asked = Asked {
            group,
            user: self.presser(press).await?,
            since_ms: if is_last { propagated_ms } else { press.received_ms },
            is_last,
            press: Some(press),
            trace_id: &claim.trace_id,
        };
        let found = match self.verify(&asked).await? {
            Ok(found) => found,
            Err((old, new)) => return self.follow(claim, old, new).await,
        };
        if found.is_missing() && !is_last {
            return self.settle(claim, Settlement::Retry { not_before_ms: propagated_ms }).await;
        }
        let channels = self.handler.store.channels(group).await?;
        let text = texts.found_briefly(&found, &channels);
        let said = match found {
            Found::Missing(_) | Found::Banned(_) | Found::ByAdmin | Found::LeftToAdmins => {
                Said::as_alert(text, found.label())
            }
            _ => Said::in_passing(text, found.label()),
        };
        self.say(claim, press, said).await
    }

    /// The one whom the press is about.
    async fn presser(&self, press: &Press) -> Result<UserId, StoreError> {
        if planted::has(Bug::PresserIgnored) {
            let waiting = self.handler.store.prompt_view(press.group, None, 1).await?.waiting;
            return Ok(waiting.first().map_or(press.user, |(user, _)| *user));
        }
        Ok(press.user)
    }

    async fn stale(&self, claim: &Claim, press: &Press, texts: Texts) -> Result<(), StoreError> {
        self.say(claim, press, Said::in_passing(texts.press_stale(), "stale")).await
    }

    async fn of_row(
        &self,
        claim: &Claim,
        press: &Press,
        texts: Texts,
        button: Button,
        row: ButtonRow,
    ) -> Result<(), StoreError> {
        let said = match (button.kind, row.payload) {
            // By this very press, it may be, the answer to which did not get through.
            (Kind::Prove, Payload::Prove(_)) if row.used_ms >= press.received_ms => {
                Some(Said::in_passing(texts.press_done(), "proved"))
            }
            (Kind::Prove | Kind::Panel, Payload::Prove(_) | Payload::Panel) if row.used_ms > 0 => None,
            (Kind::Prove, Payload::Prove(command)) => match self.is_admin(press.group, press.user).await? {
                Admin::Is => Some(self.proved(claim, press, texts, row.id, *command).await?),
                other => self.refusal(claim, press.group, texts, &other).await?,
            },
            (Kind::Panel, Payload::Panel) => match self.is_admin(press.group, press.user).await? {
                Admin::Is => self.set_by_panel(claim, press, texts, button).await?,
                other => self.refusal(claim, press.group, texts, &other).await?,
            },
            _ => None,
        };
        match said {
            Some(said) => self.say(claim, press, said).await,
            None => self.stale(claim, press, texts).await,
        }
    }

    /// A fresh look at the presser: what they may do is not believed from before.
    pub(super) async fn is_admin(&self, group: ChatId, user: UserId) -> Result<Admin, StoreError> {
        if self.permits.leave(Budget::Lookup, Urgency::Urgent, Some(group)).await.is_err() {
            return Ok(Admin::Unknown);
        }
        let answer = self.get_chat_member(group, user).await;
        Ok(match self.read_lookup(group, user, answer).await? {
            Ok(member) if member.rights.can_restrict_members => Admin::Is,
            Ok(_) => Admin::IsNot,
            Err(ErrorClass::Migrated(new)) => Admin::Migrated(new),
            Err(ErrorClass::Permission) => Admin::Hidden,
            Err(_) => Admin::Unknown,
        })
    }

    pub(super) async fn refusal(
        &self,
        claim: &Claim,
        group: ChatId,
        texts: Texts,
        admin: &Admin,
    ) -> Result<Option<Said>, StoreError> {
        Ok(match admin {
            Admin::Is => None,
            Admin::IsNot => Some(Said::as_alert(texts.press_only_for_admins(), "only_for_admins")),
            Admin::Unknown => Some(Said::in_passing(texts.press_unknown(), "unknown")),
            Admin::Hidden => Some(Said::as_alert(texts.press_hidden(), "hidden")),
            // The message belongs to the group that was.
            Admin::Migrated(new) => {
                self.handler.migrate(group, *new, &claim.trace_id).await?;
                None
            }
        })
    }

    /// The stored command is carried out, once, as that of the presser (E3).
    async fn proved(
        &self,
        claim: &Claim,
        press: &Press,
        texts: Texts,
        row: i64,
        command: Command,
    ) -> Result<Said, StoreError> {
        let Press { update_id, user, received_ms, .. } = *press;
        let command = Command { update_id, user, received_ms, ..command };
        let now_ms = self.now_ms();
        let put = [Put::urgent(Intent::Command(command), now_ms)];
        let is_first = self.handler.store.use_button(row, &put, &claim.trace_id, now_ms).await?;
        self.handler.wake.lanes(crate::wake::Lanes::of(&put));
        Ok(if is_first {
            Said::in_passing(texts.press_done(), "proved")
        } else {
            Said::in_passing(texts.press_stale(), "stale")
        })
    }

    /// Sets what stands on the button. The panel is shown anew by an intent of its own.
    async fn set_by_panel(
        &self,
        claim: &Claim,
        press: &Press,
        texts: Texts,
        button: Button,
    ) -> Result<Option<Said>, StoreError> {
        let Some((field, value)) = panel::chosen(button.argument) else { return Ok(None) };
        let change = super::settings::Change {
            chat: press.group,
            update_id: press.update_id,
            received_ms: press.received_ms,
            trace_id: &claim.trace_id,
        };
        let panel = Intent::Panel { chat: press.group, message: press.message, row: button.row };
        let put = if press.message.0 == 0 { Vec::new() } else { vec![Put::urgent(panel, self.now_ms())] };
        let changed = self.change_settings(&change, put, |settings| field.set(settings, &value)).await?;
        // What is said is in the language that was chosen.
        let texts = if field.name == "language" { Texts(changed.language) } else { texts };
        let shown = field.shown(texts, &value);
        let audit = Audit {
            chat: press.group,
            actor: press.user,
            subject: 0,
            action: format!("settings {}", field.name),
            detail: shown.clone(),
            trace_id: claim.trace_id.clone(),
        };
        Ok(Some(Said::in_passing(texts.setting(field.name, &shown), "set").audited(audit)))
    }

    async fn say(&self, claim: &Claim, press: &Press, said: Said) -> Result<(), StoreError> {
        if let Err(refused) = self.permits.leave(Budget::Answer, claim.urgency, None).await {
            return self.put_off(claim, refused).await;
        }
        let params = AnswerCallbackQueryParams::builder()
            .callback_query_id(&press.callback)
            .text(said.text)
            .show_alert(said.alert)
            .build();
        let result: Result<bool, _> = self.call("answerCallbackQuery", &params).await;
        let result = result.map_err(|error| error.class());
        let is_answered = result.is_ok();
        let settlement = match result {
            Err(class @ ErrorClass::RetryAfter(wait)) => {
                self.obey(Budget::Answer, None, class).await;
                self.wait_for(wait)
            }
            Err(ErrorClass::Retry | ErrorClass::Ambiguous) => self.back_off(claim),
            _ => {
                let waited = self.now_ms().saturating_sub(press.received_ms).max(0);
                self.handler.metrics.press(said.outcome);
                if is_answered {
                    self.handler.metrics.press_to_answer(Duration::from_millis(waited.unsigned_abs()));
                }
                if press.button.is_some_and(Button::is_joined) {
                    self.handler.metrics.verification(said.outcome);
                }
                Settlement::Done
            }
        };
        let mut settle = Settle::of(claim, settlement);
        settle.audit = said.audit;
        if press.button.is_none() {
            // It may stand below a prompt from before the token was changed, which is then to be written anew.
            let topics = self.handler.store.prompted_topics(press.group).await?;
            let prompt = |topic| Put::urgent(Intent::Prompt { group: press.group, topic }, self.now_ms());
            return self.settle_as(settle, claim, &topics.into_iter().map(prompt).collect::<Vec<_>>()).await;
        }
        if press.message.0 == 0 || press.button != Some(Button::JOINED) {
            return self.settle_as(settle, claim, &[]).await;
        }
        // A prompt that we do not know was sent by somebody whose answer got lost: it would stand for ever.
        let is_known = self.handler.store.recognise_prompt(press.group, press.message, self.now_ms()).await?;
        let stray = Put::urgent(Intent::Delete { chat: press.group, message: press.message }, self.now_ms());
        let put = if is_known { Vec::new() } else { vec![stray] };
        self.settle_as(settle, claim, &put).await
    }
}
