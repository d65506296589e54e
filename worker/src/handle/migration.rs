//! A basic group has become a supergroup, which has another id (E79): two notes tell it, in any order, and so does every call
//! about the old one.

use nezuko_shared::cache::ChatVersion;
use nezuko_telegram::{ChatId, Message};

use super::Handler;
use crate::store::StoreError;

/// Which group has become which, if this is a note about it.
pub(super) fn told_by(message: &Message) -> Option<(ChatId, ChatId)> {
    let here = message.chat.id;
    message.migrate_to.map(|new| (here, new)).or(message.migrate_from.map(|old| (old, here)))
}

impl Handler {
    /// Has everything under the old id go over to the new one. Doing it again changes nothing.
    pub(crate) async fn migrate(&self, old: ChatId, new: ChatId, trace_id: &str) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        let chat = self.store.migrate(old, new, trace_id, (self.clock)()).await?;
        tracing::info!(old = old.0, new = new.0, version = chat.version, trace_id, "a group has become a supergroup");
        self.wake.all();
        // The cache may know the new id as a group where nothing is enforced.
        let protected = chat.facts.is_protected();
        let version = ChatVersion { chat: new, settings_version: chat.version, protected };
        if let Err(error) = self.remember_chat(version).await {
            tracing::warn!(%error, trace_id, "cache not updated");
        }
        Ok(())
    }
}
