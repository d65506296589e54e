//! What the bot says, as far as it has to be understood, in every language that a group can have; and that each is spoken to in
//! its own.

use super::{Judge, verdict::Kind};
use crate::world::{ChatKind, Happened};

/// What a prompt says in each language, by its code.
const PROMPTS: [(&str, &str); 2] =
    [("en", "to write here, please join"), ("de", "Um hier zu schreiben, tritt bitte erst")];
const RAIDS: [&str; 2] = ["So many people join", "So viele treten bei"];
const WARNINGS: [&str; 2] = ["removed soon", "bald entfernt"];
const DRY: [&str; 2] = ["(dry run)", "(Probelauf)"];
const DELETIONS: [&str; 4] = ["message deleted", "messages deleted", "Nachricht gelöscht", "Nachrichten gelöscht"];
const OVER_QUOTA: &str = "as many groups as they may";

/// Whether a prompt warns that somebody will be removed.
pub(super) fn warns(text: &str) -> bool {
    WARNINGS.iter().any(|warning| text.contains(warning))
}

/// Whether administrators are told of a raid.
pub(super) fn tells_of_raid(text: &str) -> bool {
    RAIDS.iter().any(|raid| text.starts_with(raid))
}

/// Whether a line of a log tells what would have been done.
pub(super) fn is_dry(line: &str) -> bool {
    DRY.iter().any(|dry| line.contains(dry))
}

/// Whether a line of a log tells that messages were deleted, one line of however many.
pub(super) fn tells_of_deletions(line: &str) -> bool {
    DELETIONS.iter().any(|deletion| line.ends_with(deletion))
}

/// Whether administrators are told that the group is over its owner's quota.
pub(super) fn tells_of_quota(text: &str) -> bool {
    text.contains(OVER_QUOTA)
}

impl Judge<'_, '_> {
    /// Every prompt is in the group's language.
    pub(super) fn judge_languages(&mut self) {
        let record = self.record;
        for entry in record.world.history() {
            let (Happened::Sent { chat, text, .. } | Happened::Edited { chat, text, .. }) = &entry.what else {
                continue;
            };
            let Some((spoken, _)) = PROMPTS.iter().find(|(_, words)| text.contains(words)) else { continue };
            let terms = record.terms_at(*chat, self.reasons_from(entry.at_ms));
            let Some(terms) = terms.filter(|terms| record.terms_at(*chat, entry.at_ms) == Some(terms)) else {
                continue;
            };
            let is_group = record.world.chat(*chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup);
            if is_group && terms.language() != *spoken {
                let text = format!("a prompt in {chat} at {} is in {spoken}", record.time(entry.at_ms));
                self.verdict.find(Kind::WrongLanguage, text);
            }
        }
    }
}
