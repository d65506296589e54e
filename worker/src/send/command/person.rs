//! What anybody can ask about themselves: `/verify`, links to it, `/forget_me`.

use std::time::Duration;

use nezuko_telegram::{ChatId, ChatKind, ErrorClass, UserId};

use super::{Answer, Given, Stop};
use crate::{
    buttons::{Button, Kind},
    facts::ChatFacts,
    intent::{Key, KeyDoes},
    send::{
        Sender, keyboard,
        verify::{Asked, Found, GROUPS, PROPAGATES_MS},
    },
    store::{Payload, Scope, StoreError},
    texts::{Name, Texts, Verbatim, escaped},
};

/// For so long a link in a reply can be followed.
const LINK_LIVES_MS: i64 = 24 * 3_600_000;

impl Sender {
    /// The same check as the button's: in a group there, in private wherever the asker waits.
    pub(super) async fn verify_asker(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, .. } = *given;
        if given.is_private() {
            let groups = self.waits_in(given).await?;
            if groups.is_empty() {
                return Ok(texts.verify_nowhere().into());
            }
            return self.verify_in_groups(given, &groups).await;
        }
        // E2, E5: who speaks in the name of a chat has no membership.
        if crate::handle::is_well_known(command.user) {
            return Err(Stop::Nothing);
        }
        let (found, text) = self.verify_for_command(given, command.chat, Texts::found).await?;
        let answer = Answer::from(escaped(&text));
        let (Found::Missing(_), Some(bot)) = (found, self.handler.username.get()) else { return Ok(answer) };
        // E72: who is muted meanwhile can still ask, in private.
        let row = self.new_button(command.chat, Some(command.user), Payload::Verify, LINK_LIVES_MS).await?;
        let payload = self.handler.buttons.encode(Button::of_row(Kind::Verify, row), command.user.private_chat());
        let url = format!("https://t.me/{bot}?start={payload}");
        let mut keyboard = keyboard::to_channels(texts, &self.handler.store.channels(command.chat).await?);
        keyboard.push(vec![Key { label: texts.verify_in_private_button(), does: KeyDoes::Open(url) }]);
        Ok(Answer { keyboard, ..answer })
    }

    /// The groups in which the asker waits to write, or to be let in: as many as one answer is about.
    async fn waits_in(&self, given: &Given<'_>) -> Result<Vec<ChatId>, StoreError> {
        let Given { command, trace_id, .. } = *given;
        let mut chats = Vec::new();
        self.handler
            .with_person(command.user, command.chat, None, trace_id, |person| {
                chats = person.waits_in();
                person.finish_unchanged(command.chat)
            })
            .await?;
        let mut groups = Vec::new();
        for chat in chats {
            // What is asked of a channel is none of ours to answer.
            if groups.len() < GROUPS
                && self.handler.store.chat(chat).await?.chat.facts.kind != ChatKind::Channel.as_str()
            {
                groups.push(chat);
            }
        }
        Ok(groups)
    }

    /// Somebody has followed a link that was made for them (E103).
    pub(super) async fn verify_by_link(&self, given: &Given<'_>, row: i64) -> Result<Answer, Stop> {
        let row = self.handler.store.button(row, self.now_ms()).await?;
        let theirs = row.filter(|row| row.user == Some(given.command.user) && row.payload == Payload::Verify);
        match theirs {
            Some(row) => self.verify_in_groups(given, &[row.chat]).await,
            None => Ok(given.texts.link_stale().into()),
        }
    }

    async fn verify_in_groups(&self, given: &Given<'_>, groups: &[ChatId]) -> Result<Answer, Stop> {
        let mut lines = Vec::new();
        let mut keyboard = Vec::new();
        let say = if groups.len() == 1 { Texts::found } else { Texts::found_briefly };
        for group in groups {
            let (found, text) = self.verify_for_command(given, *group, say).await?;
            let title = self.handler.store.chat(*group).await?.chat.facts.title;
            lines.push(given.texts.verify_in_group(Name(&title), Verbatim(&text)));
            if found.is_missing() || found == Found::Unknown {
                let channels = self.handler.store.channels(*group).await?;
                keyboard.extend(keyboard::to_channels(given.texts, &channels));
            }
        }
        keyboard.dedup();
        Ok(Answer { keyboard, ..lines.join("\n").into() })
    }

    async fn verify_for_command(
        &self,
        given: &Given<'_>,
        group: ChatId,
        say: fn(Texts, &Found, &[(ChatId, ChatFacts)]) -> String,
    ) -> Result<(Found, String), Stop> {
        // As after a press (E75).
        let propagated_ms = given.command.received_ms + PROPAGATES_MS;
        let is_last = self.now_ms() >= propagated_ms;
        let asked = Asked {
            group,
            user: given.command.user,
            since_ms: if is_last { propagated_ms } else { given.command.received_ms },
            is_last,
            press: None,
            trace_id: given.trace_id,
        };
        let found = self.verify(&asked).await?.map_err(|(old, new)| Stop::Migrated(old, new))?;
        if found.is_missing() && !is_last {
            let wait_ms = (propagated_ms - self.now_ms()).max(0).unsigned_abs();
            return Err(Stop::Later(ErrorClass::RetryAfter(Duration::from_millis(wait_ms))));
        }
        let channels = self.handler.store.channels(group).await?;
        let text = say(given.texts, &found, &channels);
        Ok((found, text))
    }

    /// E106: erases what is known about the asker but for what protects somebody (`docs/commands.md`).
    pub(super) async fn forget_me(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, trace_id, .. } = *given;
        let user = command.user;
        if crate::handle::is_well_known(user) {
            return Err(Stop::Nothing);
        }
        let now_ms = self.now_ms();
        let mut kept = 0;
        let bot = self.handler.bot;
        let mut forget = |view: &crate::store::PersonView| {
            let protects = |chat: &ChatId| {
                let mark = crate::facts::Mark::of(bot, *chat, user);
                view.members.get(chat).is_some_and(|member| member.protects(mark, now_ms))
            };
            let (keep, go): (Vec<ChatId>, Vec<ChatId>) = view.members.keys().partition(|chat| protects(chat));
            kept = keep.len() as i64;
            crate::store::PersonWrites { forget: Some(go), ..crate::store::PersonWrites::default() }
        };
        let scope = Scope { user, chat: command.chat, update: None, trace_id, now_ms };
        self.handler.store.with_person(&scope, &mut forget).await?;
        tracing::info!(user = UserId(user.0).0, kept, trace_id, "what was known about somebody is erased");
        Ok(texts.forgotten(kept).into())
    }
}
