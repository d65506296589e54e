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

/// No flood wait is longer: TDLib takes longer ones for 14 days. What a proxy says may be anything.
const LONGEST_RETRY_AFTER: u64 = 14 * 86_400;

fn retry_after_s(seconds: u64) -> ErrorClass {
    ErrorClass::RetryAfter(Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
}

impl CallError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Transport(TransportError::NotSent) => ErrorClass::Retry,
            Self::Transport(TransportError::OutcomeUnknown) => ErrorClass::Ambiguous,
            Self::Unencodable => ErrorClass::Input,
            Self::Undecodable { status, retry_after } => match status {
                429 => retry_after_s(retry_after.unwrap_or(DEFAULT_RETRY_AFTER)),
                // 504: a proxy had passed the call on and grew tired of waiting. 502: it found nobody to pass it on to.
                200..=299 | 504 => ErrorClass::Ambiguous,
                _ => retry_after.map_or(ErrorClass::Retry, retry_after_s),
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
        return retry_after_s(retry_after.unwrap_or(DEFAULT_RETRY_AFTER));
    }
    if let Some((_, class)) = BY_TEXT.iter().find(|(part, _)| description.contains(part)) {
        return *class;
    }
    match code {
        401 | 404 | 421 => ErrorClass::Token,
        403 => ErrorClass::BotOut,
        409 => ErrorClass::Conflict,
        504 => ErrorClass::Ambiguous,
        500.. => retry_after.map_or(ErrorClass::Retry, retry_after_s),
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
        use ErrorClass as Class;
        let cases: &[(u16, &[&str], Class)] = &[
            (
                400,
                &[
                    "Bad Request: message to delete not found",
                    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                    "Bad Request: chat description is not modified",
                    "Bad Request: USER_ALREADY_PARTICIPANT",
                    "Bad Request: HIDE_REQUESTER_MISSING",
                    "Bad Request: query is too old and response timeout expired or query ID is invalid",
                    "Bad Request: QUERY_ID_INVALID",
                ],
                Class::AlreadyDone,
            ),
            (
                400,
                &[
                    "Bad Request: user is an administrator of the chat",
                    "Bad Request: USER_ADMIN_INVALID",
                    "Bad Request: can't remove chat owner",
                ],
                Class::TargetIsAdmin,
            ),
            (
                400,
                &[
                    "Bad Request: not enough rights",
                    "Bad Request: not enough rights to restrict/unrestrict chat member",
                    "Bad Request: not enough rights to manage pinned messages in the chat",
                    "Bad Request: not enough rights to send text messages to the chat",
                    "Bad Request: not enough rights to manage chat join requests",
                    "Bad Request: CHAT_ADMIN_REQUIRED",
                    "Bad Request: CHAT_WRITE_FORBIDDEN",
                    "Bad Request: CHAT_RESTRICTED",
                    "Bad Request: message can't be deleted",
                    "Bad Request: message can't be deleted for everyone",
                    "Bad Request: have no write access to the chat",
                    "Bad Request: need administrator rights in the channel chat",
                    "Bad Request: member list is inaccessible",
                ],
                Class::Permission,
            ),
            (
                400,
                &[
                    "Bad Request: PARTICIPANT_ID_INVALID",
                    "Bad Request: USER_ID_INVALID",
                    "Bad Request: user not found",
                    "Bad Request: member not found",
                ],
                Class::UserUnknown,
            ),
            (
                400,
                &[
                    "Bad Request: can't restrict self",
                    "Bad Request: can't restrict the chat",
                    "Bad Request: invalid user_id specified",
                    "Bad Request: other chats can be only banned or unbanned",
                    "Bad Request: can't ban members in private chats",
                    "Bad Request: method is available only for supergroups",
                    "Bad Request: method is available for supergroup and channel chats only",
                    "Bad Request: message to be replied not found",
                    "Bad Request: message to edit not found",
                    "Bad Request: message can't be edited",
                    "Bad Request: message thread not found",
                    "Bad Request: TOPIC_CLOSED",
                ],
                Class::Target,
            ),
            (400, &["Bad Request: chat not found", "Bad Request: group is deactivated"], Class::BotOut),
            (
                403,
                &[
                    "Forbidden: bot was kicked from the group chat",
                    "Forbidden: bot was kicked from the supergroup chat",
                    "Forbidden: bot was kicked from the channel chat",
                    "Forbidden: bot is not a member of the group chat",
                    "Forbidden: bot is not a member of the supergroup chat",
                    "Forbidden: bot is not a member of the channel chat",
                    "Forbidden: the group chat was deleted",
                    "Forbidden: bot was blocked by the user",
                    "Forbidden: user is deactivated",
                    "Forbidden: bot can't initiate conversation with a user",
                    "Forbidden: bot can't send messages to bots",
                    "Forbidden: something new",
                ],
                Class::BotOut,
            ),
            (
                400,
                &[
                    "Bad Request: can't parse entities: unsupported start tag",
                    "Bad Request: message text is empty",
                    "Bad Request: message is too long",
                    "Bad Request: BUTTON_DATA_INVALID",
                    "Bad Request: chat_id is empty",
                    "Bad Request: message identifier is not specified",
                ],
                Class::Input,
            ),
            (404, &["Not Found: method not found"], Class::Input),
            (404, &["Not Found"], Class::Token),
            (401, &["Unauthorized", "Unauthorized: invalid token specified"], Class::Token),
            (421, &["Misdirected Request: unallowed token specified"], Class::Token),
            (
                409,
                &[
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
                    "Conflict: terminated by other setWebhook",
                ],
                Class::Conflict,
            ),
            (500, &["Internal Server Error: restart", "Internal Server Error: Request aborted"], Class::Retry),
            (
                500,
                &["Internal Server Error: sent message was immediately deleted and can't be returned"],
                Class::AlreadyDone,
            ),
            (502, &["Bad Gateway"], Class::Retry),
            (504, &["Gateway Timeout"], Class::Ambiguous),
            (429, &["Too Many Requests: retry after"], Class::RetryAfter(Duration::from_secs(5))),
        ];
        for (code, texts, class) in cases {
            for text in *texts {
                assert_eq!(api(*code, text).class(), *class, "{text}");
                assert_eq!(api(*code, &text.to_uppercase()).class(), *class, "{text}, in capitals");
            }
        }
    }

    #[test]
    fn a_group_that_became_a_supergroup_says_which() {
        let error = CallError::Api {
            code: 400,
            description: "Bad Request: group chat was upgraded to a supergroup chat".to_owned(),
            retry_after: None,
            migrate_to: Some(ChatId(-1_001_234)),
        };
        assert_eq!(error.class(), ErrorClass::Migrated(ChatId(-1_001_234)));
    }

    #[test]
    fn a_flood_wait_of_a_day_is_understood() {
        let error =
            CallError::Api { code: 429, description: String::new(), retry_after: Some(86_400), migrate_to: None };
        assert_eq!(error.class(), ErrorClass::RetryAfter(Duration::from_hours(24)));
    }

    #[test]
    fn whether_a_call_was_carried_out_behind_a_proxys_page_depends_on_the_page() {
        let page = |status, retry_after| CallError::Undecodable { status, retry_after }.class();
        for status in [500, 502, 503, 403] {
            assert_eq!(page(status, None), ErrorClass::Retry, "{status}");
            assert_eq!(page(status, Some(3)), ErrorClass::RetryAfter(Duration::from_secs(3)), "{status}");
        }
        for status in [504, 200] {
            assert_eq!(page(status, Some(3)), ErrorClass::Ambiguous, "{status}");
        }
        assert_eq!(page(429, None), ErrorClass::RetryAfter(Duration::from_secs(5)));
        assert_eq!(page(429, Some(86_400)), ErrorClass::RetryAfter(Duration::from_hours(24)));
        for status in [429, 503] {
            let days = ErrorClass::RetryAfter(Duration::from_hours(14 * 24));
            assert_eq!(page(status, Some(u64::MAX)), days, "nobody waits for ever for a proxy's {status}");
        }
    }
}
