//! Telling a group something, once; what is for its administrators, in its log chat where it has one.

use frankenstein::{ParseMode, methods::SendMessageParams, types::LinkPreviewOptions};

use super::{Sender, tell::Delivery};
use crate::{
    facts::{ChatFacts, Right},
    intent::{About, Claim, Notice, Settlement},
    rights,
    store::StoreError,
    texts::{Html, Texts},
};

/// For so long everybody in a group is told something.
const STANDS_MS: i64 = 600_000;

impl Sender {
    pub(super) async fn notice(&self, claim: &Claim, notice: &Notice) -> Result<(), StoreError> {
        let group = notice.group;
        let view = self.handler.store.chat(group).await?;
        let facts = &view.chat.facts;
        let mut blind_in = Vec::new();
        for (channel, _) in view.links.iter().filter(|(_, link)| link.value) {
            let facts = self.handler.store.chat(*channel).await?.chat.facts;
            blind_in.extend(rights::is_blind(&facts).then_some(facts));
        }
        let Some(html) = text(notice, facts, &blind_in, self.now_ms()) else {
            return self.settle(claim, Settlement::Done).await;
        };
        let log_chat = facts.log_chat().filter(|_| notice.about.is_for_admins());
        let (topic, stands_ms) = match notice.about {
            About::NotAsChannel { topic } => (topic, Some(STANDS_MS)),
            _ => (None, None),
        };
        for chat in log_chat.into_iter().chain([group]) {
            let message = SendMessageParams::builder()
                .chat_id(chat.0)
                .maybe_message_thread_id(topic.and_then(|topic| i32::try_from(topic).ok()))
                .text(html.as_str())
                .parse_mode(ParseMode::Html)
                .link_preview_options(LinkPreviewOptions::builder().is_disabled(true).build())
                .build();
            match self.tell(claim, chat, &message, stands_ms).await? {
                Delivery::Sent => {
                    tracing::info!(group = group.0, about = ?notice.about, trace_id = claim.trace_id, "notice sent");
                    return Ok(());
                }
                Delivery::Later => return Ok(()),
                Delivery::Refused(class) => {
                    let class = class.label();
                    tracing::info!(group = group.0, chat = chat.0, class, trace_id = claim.trace_id, "notice refused");
                }
            }
        }
        self.settle(claim, Settlement::Done).await
    }
}

/// What to say, unless there is nothing to be said any more.
fn text(notice: &Notice, facts: &ChatFacts, blind_in: &[ChatFacts], now_ms: i64) -> Option<String> {
    let texts = Texts(facts.settings.language());
    let here = rights::missing_here(facts);
    let (restrict, delete) = (here.contains(&Right::Restrict), here.contains(&Right::Delete));
    match notice.about {
        // E105: what it is told then says enough.
        About::Arrival if facts.refused.is_some() => None,
        About::Arrival => Some(texts.arrival(facts.is_protected(), restrict, delete, blind_in)),
        About::Rights => {
            let sleeps = !(here.is_empty() && blind_in.is_empty());
            let suspended = sleeps.then(|| texts.suspended(Html(texts.missing_rights(restrict, delete, blind_in))));
            let left = rights::leaves_requests(facts).then(|| texts.requests_left());
            let told: Vec<String> = suspended.into_iter().chain(left).filter(|_| facts.is_protected()).collect();
            (!told.is_empty()).then(|| told.join("\n\n"))
        }
        About::MissedRequests => rights::answers_requests(facts).then(|| texts.missed_requests()),
        About::NotAsChannel { .. } => Some(texts.not_as_channel()),
        About::Raid => facts.raid.filter(|raid| now_ms < raid.until_ms).map(|_| texts.raid_begins()),
    }
}
