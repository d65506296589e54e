//! What the Bot API's errors mean.
//!
//! The strings are those of tdlib/telegram-bot-api 10.0 and TDLib; they change, so they are matched by parts and without
//! regard to case.

use std::time::Duration;

use crate::{client::TransportError, ids::ChatId};

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Telegram said no.
    #[error("{code} {description}")]
    Api {
        /// Telegram's `error_code`.
        code: u16,
        /// Telegram's text.
        description: String,
        /// Seconds to wait; can be days.
        retry_after: Option<u64>,
        /// The supergroup that the group has become.
        migrate_to: Option<ChatId>,
    },
    /// An answer that is not the Bot API's, such as a proxy's HTML page, or one of an unexpected form.
    #[error("an answer with status {status} that is not the Bot API's")]
    Undecodable {
        /// HTTP status.
        status: u16,
        /// The `Retry-After` header in seconds.
        retry_after: Option<u64>,
    },
    /// No answer.
    #[error(transparent)]
    Transport(TransportError),
    /// The parameters cannot be sent; a bug of ours.
    #[error("parameters that cannot be encoded")]
    Unencodable,
}

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait this long, then call again.
    RetryAfter(Duration),
    /// A passing fault; Telegram did not act.
    Retry,
    /// Whether Telegram acted is unknown: call again only what may be done twice.
    Ambiguous,
    /// The group has become this supergroup.
    Migrated(ChatId),
    /// What was asked for holds already.
    AlreadyDone,
    /// The bot lacks a right in the chat.
    Permission,
    /// The target is an administrator of the chat.
    TargetIsAdmin,
    /// Telegram knows nobody by that id in the chat (E31).
    UserUnknown,
    /// The target cannot be acted upon, or does not exist.
    Target,
    /// The bot is out of the chat, or the chat is gone.
    BotOut,
    /// Our own mistake in the request.
    Input,
    /// The token is not good.
    Token,
    /// Somebody else uses this token, or webhook and polling meet.
    Conflict,
}

impl ErrorClass {
    /// A word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RetryAfter(_) => "retry_after",
            Self::Retry => "retry",
            Self::Ambiguous => "ambiguous",
            Self::Migrated(_) => "migrated",
            Self::AlreadyDone => "already_done",
            Self::Permission => "permission",
            Self::TargetIsAdmin => "target_is_admin",
            Self::UserUnknown => "user_unknown",
            Self::Target => "target",
            Self::BotOut => "bot_out",
            Self::Input => "input",
            Self::Token => "token",
            Self::Conflict => "conflict",
        }
    }
}

/// Waited after a 429 that names no time: Telegram's own figure for requests dropped at a restart.
const DEFAULT_RETRY_AFTER: u64 = 5;

impl CallError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Transport(TransportError::NotSent) => ErrorClass::Retry,
            Self::Transport(TransportError::OutcomeUnknown) => ErrorClass::Ambiguous,
            Self::Unencodable => ErrorClass::Input,
            Self::Undecodable { status, retry_after } => match status {
                429 => ErrorClass::RetryAfter(Duration::from_secs(retry_after.unwrap_or(DEFAULT_RETRY_AFTER))),
                200..=299 => ErrorClass::Ambiguous,
                _ => retry_after.map_or(ErrorClass::Retry, |s| ErrorClass::RetryAfter(Duration::from_secs(s))),
            },
            Self::Api { code, description, retry_after, migrate_to } => {
                if let Some(chat) = migrate_to {
                    return ErrorClass::Migrated(*chat);
                }
                classify(*code, &description.to_lowercase(), *retry_after)
            }
        }
    }
}

/// In this order: an earlier entry is the more particular one.
const BY_TEXT: &[(&str, ErrorClass)] = &[
    ("sent message was immediately deleted", ErrorClass::AlreadyDone),
    ("message to delete not found", ErrorClass::AlreadyDone),
    ("message is not modified", ErrorClass::AlreadyDone),
    ("chat description is not modified", ErrorClass::AlreadyDone),
    ("user_already_participant", ErrorClass::AlreadyDone),
    ("hide_requester_missing", ErrorClass::AlreadyDone),
    ("query is too old", ErrorClass::AlreadyDone),
    ("query_id_invalid", ErrorClass::AlreadyDone),
    ("user is an administrator of the chat", ErrorClass::TargetIsAdmin),
    ("user_admin_invalid", ErrorClass::TargetIsAdmin),
    ("can't remove chat owner", ErrorClass::TargetIsAdmin),
    ("not enough rights", ErrorClass::Permission),
    ("chat_admin_required", ErrorClass::Permission),
    ("message can't be deleted", ErrorClass::Permission),
    ("have no write access", ErrorClass::Permission),
    ("chat_write_forbidden", ErrorClass::Permission),
    ("chat_restricted", ErrorClass::Permission),
    ("need administrator rights", ErrorClass::Permission),
    ("member list is inaccessible", ErrorClass::Permission),
    ("can't restrict self", ErrorClass::Target),
    ("can't restrict the chat", ErrorClass::Target),
    ("participant_id_invalid", ErrorClass::UserUnknown),
    ("user_id_invalid", ErrorClass::UserUnknown),
    ("user not found", ErrorClass::UserUnknown),
    ("member not found", ErrorClass::UserUnknown),
    ("invalid user_id specified", ErrorClass::Target),
    ("other chats can be only banned or unbanned", ErrorClass::Target),
    ("can't ban members in private chats", ErrorClass::Target),
    ("method is available", ErrorClass::Target),
    ("message to be replied not found", ErrorClass::Target),
    ("message to edit not found", ErrorClass::Target),
    ("message can't be edited", ErrorClass::Target),
    ("message thread not found", ErrorClass::Target),
    ("topic_closed", ErrorClass::Target),
    ("chat not found", ErrorClass::BotOut),
    ("group is deactivated", ErrorClass::BotOut),
    ("bot was kicked", ErrorClass::BotOut),
    ("bot is not a member", ErrorClass::BotOut),
    ("the group chat was deleted", ErrorClass::BotOut),
    ("bot was blocked by the user", ErrorClass::BotOut),
    ("user is deactivated", ErrorClass::BotOut),
    ("bot can't initiate conversation", ErrorClass::BotOut),
    ("bot can't send messages to bots", ErrorClass::BotOut),
    ("method not found", ErrorClass::Input),
];

fn classify(code: u16, description: &str, retry_after: Option<u64>) -> ErrorClass {
    if code == 429 {
        return ErrorClass::RetryAfter(Duration::from_secs(retry_after.unwrap_or(DEFAULT_RETRY_AFTER)));
    }
    if let Some((_, class)) = BY_TEXT.iter().find(|(part, _)| description.contains(part)) {
        return *class;
    }
    match code {
        401 | 404 | 421 => ErrorClass::Token,
        403 => ErrorClass::BotOut,
        409 => ErrorClass::Conflict,
        500.. => retry_after.map_or(ErrorClass::Retry, |s| ErrorClass::RetryAfter(Duration::from_secs(s))),
        _ => ErrorClass::Input,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, description: &str) -> CallError {
        CallError::Api { code, description: description.to_owned(), retry_after: None, migrate_to: None }
    }

    #[test]
    fn each_text_of_the_bot_api_has_its_class() {
        let cases = [
            (400, "Bad Request: message to delete not found", ErrorClass::AlreadyDone),
            (
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                ErrorClass::AlreadyDone,
            ),
            (
                400,
                "Bad Request: query is too old and response timeout expired or query ID is invalid",
                ErrorClass::AlreadyDone,
            ),
            (400, "Bad Request: HIDE_REQUESTER_MISSING", ErrorClass::AlreadyDone),
            (400, "Bad Request: user is an administrator of the chat", ErrorClass::TargetIsAdmin),
            (400, "Bad Request: not enough rights to restrict/unrestrict chat member", ErrorClass::Permission),
            (400, "Bad Request: CHAT_ADMIN_REQUIRED", ErrorClass::Permission),
            (400, "Bad Request: PARTICIPANT_ID_INVALID", ErrorClass::UserUnknown),
            (400, "Bad Request: user not found", ErrorClass::UserUnknown),
            (400, "Bad Request: method is available only for supergroups", ErrorClass::Target),
            (400, "Bad Request: chat not found", ErrorClass::BotOut),
            (403, "Forbidden: bot was kicked from the supergroup chat", ErrorClass::BotOut),
            (403, "Forbidden: something new", ErrorClass::BotOut),
            (400, "Bad Request: can't parse entities: unsupported start tag", ErrorClass::Input),
            (404, "Not Found: method not found", ErrorClass::Input),
            (404, "Not Found", ErrorClass::Token),
            (401, "Unauthorized", ErrorClass::Token),
            (
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                ErrorClass::Conflict,
            ),
            (500, "Internal Server Error: restart", ErrorClass::Retry),
            (
                500,
                "Internal Server Error: sent message was immediately deleted and can't be returned",
                ErrorClass::AlreadyDone,
            ),
        ];
        for (code, text, class) in cases {
            assert_eq!(api(code, text).class(), class, "{text}");
        }
    }

    #[test]
    fn a_flood_wait_of_a_day_is_understood() {
        let error =
            CallError::Api { code: 429, description: String::new(), retry_after: Some(86_400), migrate_to: None };
        assert_eq!(error.class(), ErrorClass::RetryAfter(Duration::from_hours(24)));
    }

    #[test]
    fn a_proxys_page_is_retried_after_the_time_in_its_header() {
        let page = |retry_after| CallError::Undecodable { status: 502, retry_after };
        assert_eq!(page(None).class(), ErrorClass::Retry);
        assert_eq!(page(Some(3)).class(), ErrorClass::RetryAfter(Duration::from_secs(3)));
    }
}
