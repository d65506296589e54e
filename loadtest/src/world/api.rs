//! The Bot API's methods: parameters, dispatch, and those about chats and the webhook.

use serde_json::{Value, json};

use super::{
    Happened, World,
    chat::{Chat, ChatKind},
    ids::{ChatId, UserId},
    member::Member,
};

/// What the Bot API answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; equal to `error_code` where the call failed.
    pub status: u16,
    /// `{"ok":…}`.
    pub body: Value,
}

impl Answer {
    pub(super) fn refusal(error: &ApiError) -> Self {
        let mut body = json!({"ok": false, "error_code": error.code, "description": error.description});
        if let Some(chat) = error.upgraded_to {
            body["parameters"] = json!({"migrate_to_chat_id": chat});
        }
        Self { status: error.code, body }
    }

    /// 409: somebody else gets the updates.
    pub(crate) fn conflict(how: &str) -> Self {
        Self::refusal(&conflict(how))
    }

    /// 429: call again after so many seconds.
    pub(crate) fn flood(retry_after: u64) -> Self {
        let description = format!("Too Many Requests: retry after {retry_after}");
        let parameters = json!({"retry_after": retry_after});
        let body = json!({"ok": false, "error_code": 429, "description": description, "parameters": parameters});
        Self { status: 429, body }
    }
}

/// Why a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    code: u16,
    pub(super) description: String,
    upgraded_to: Option<ChatId>,
}

impl ApiError {
    fn new(code: u16, description: String) -> Self {
        Self { code, description, upgraded_to: None }
    }
}

/// A 400, whose text the server begins like this.
pub(super) fn bad(description: impl AsRef<str>) -> ApiError {
    ApiError::new(400, format!("Bad Request: {}", description.as_ref()))
}

fn conflict(description: &str) -> ApiError {
    ApiError::new(409, format!("Conflict: {description}"))
}

pub(super) fn forbidden(description: impl AsRef<str>) -> ApiError {
    ApiError::new(403, format!("Forbidden: {}", description.as_ref()))
}

pub(super) type ApiResult = Result<Value, ApiError>;

/// What `setWebhook` registered. A new world behaves as if the operator had registered every kind of update.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WebhookInfo {
    /// Where updates go; empty if nowhere.
    pub url: String,
    /// The secret that goes with them.
    pub secret_token: Option<String>,
    /// How many connections at once.
    pub max_connections: Option<u64>,
    /// The kinds that are wanted; `None` before the first `setWebhook`.
    allowed_updates: Option<Vec<String>>,
    pub(super) pending_update_count: usize,
    /// When a delivery last failed (Unix ms), and how.
    pub(super) last_error: Option<(i64, String)>,
}

/// The kinds that nobody gets without asking for them (E14).
const ON_REQUEST: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

impl WebhookInfo {
    pub(super) fn wants(&self, kind: &str) -> bool {
        match &self.allowed_updates {
            None => true,
            Some(kinds) if kinds.is_empty() => !ON_REQUEST.contains(&kind),
            Some(kinds) => kinds.iter().any(|k| k == kind),
        }
    }
}

impl World {
    /// The bot calls a method.
    pub fn call(&mut self, now_ms: i64, method: &str, params: &Value) -> Answer {
        self.tell_late(now_ms);
        let result = self.dispatch(now_ms, &method.to_ascii_lowercase(), params);
        let called = Happened::Called {
            method: method.to_owned(),
            chat: self.chat_id(params).ok(),
            user: integer(params, "user_id").map(UserId),
            error: result.as_ref().err().map(|e| e.description.clone()),
        };
        self.note(now_ms, called);
        match result {
            Ok(result) => Answer { status: 200, body: json!({"ok": true, "result": result}) },
            Err(error) => Answer::refusal(&error),
        }
    }

    /// A lookup failed before Telegram could answer it (the simulator's faults); the oracle has to know.
    pub fn lookup_failed(&mut self, now_ms: i64, params: &Value) {
        if let (Ok(chat), Some(user)) = (self.chat_id(params), integer(params, "user_id")) {
            self.note(now_ms, Happened::LookedUp { chat, user: UserId(user), known: false });
        }
    }

    fn dispatch(&mut self, now_ms: i64, method: &str, params: &Value) -> ApiResult {
        match method {
            "getme" => Ok(self.me()),
            "getchat" => self.get_chat(now_ms, params),
            "getchatmember" => self.get_chat_member(now_ms, params),
            "getchatadministrators" => self.get_chat_administrators(now_ms, params),
            "restrictchatmember" => self.restrict_chat_member(now_ms, params),
            "banchatmember" => self.ban_chat_member(now_ms, params),
            "unbanchatmember" => self.unban_chat_member(now_ms, params),
            "banchatsenderchat" => self.ban_sender_chat(now_ms, params, true),
            "unbanchatsenderchat" => self.ban_sender_chat(now_ms, params, false),
            "approvechatjoinrequest" => self.answer_join_request(now_ms, params, true),
            "declinechatjoinrequest" => self.answer_join_request(now_ms, params, false),
            "createchatinvitelink" => self.create_chat_invite_link(now_ms, params),
            "editchatinvitelink" => self.edit_chat_invite_link(now_ms, params),
            "leavechat" => self.leave_chat(now_ms, params),
            "deletemessage" => self.delete_message(now_ms, params),
            "deletemessages" => self.delete_messages(now_ms, params),
            "sendmessage" => self.send_message(now_ms, params),
            "editmessagetext" => self.edit_message(now_ms, params, true),
            "editmessagereplymarkup" => self.edit_message(now_ms, params, false),
            "answercallbackquery" => self.answer_callback_query(now_ms, params),
            "setwebhook" => self.set_webhook(params),
            "deletewebhook" => {
                let allowed_updates = self.webhook.allowed_updates.take();
                self.webhook = WebhookInfo { allowed_updates, ..WebhookInfo::default() };
                Ok(json!(true))
            }
            "getwebhookinfo" => Ok(self.webhook_info()),
            "setmycommands" => self.set_my_commands(params),
            "getmycommands" => {
                let commands = self.commands.get(&menu(params)?).cloned();
                Ok(commands.unwrap_or_else(|| json!([])))
            }
            "deletemycommands" => {
                self.commands.remove(&menu(params)?);
                Ok(json!(true))
            }
            "setmydescription" | "setmyshortdescription" => Ok(json!(true)),
            "getupdates" if !self.webhook.url.is_empty() => Err(conflict(
                "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            )),
            "getupdates" => {
                self.allow_updates(params);
                Ok(json!([]))
            }
            _ => Err(ApiError::new(404, "Not Found: method not found".to_owned())),
        }
    }

    fn set_my_commands(&mut self, params: &Value) -> ApiResult {
        let of = menu(params)?;
        let commands = params.get("commands").and_then(Value::as_array).ok_or_else(|| bad("can't parse commands"))?;
        if commands.len() > MOST_COMMANDS {
            return Err(bad("BOT_COMMANDS_TOO_MUCH"));
        }
        let commands = commands.iter().map(menu_entry).collect::<Result<Vec<_>, _>>()?;
        self.commands.insert(of, json!(commands));
        Ok(json!(true))
    }

    fn me(&self) -> Value {
        let mut me = self.bot.to_json();
        for (field, value) in [
            ("can_join_groups", true),
            ("can_read_all_group_messages", false),
            ("supports_inline_queries", false),
            ("can_connect_to_business", false),
            ("has_main_web_app", false),
        ] {
            me[field] = json!(value);
        }
        me
    }

    /// The chat that `chat_id` names, by number or by `@username`.
    pub(super) fn chat_id(&self, params: &Value) -> Result<ChatId, ApiError> {
        if let Some(id) = integer(params, "chat_id") {
            return Ok(ChatId(id));
        }
        match params.get("chat_id").and_then(Value::as_str) {
            None | Some("") => Err(bad("chat_id is empty")),
            Some(name) => {
                let chat = name.strip_prefix('@').and_then(|name| self.chat_named(name));
                chat.map(|chat| chat.spec.id).ok_or_else(|| bad("chat not found"))
            }
        }
    }

    /// The named chat, if the bot is in it.
    pub(super) fn reached(&self, now_ms: i64, params: &Value) -> Result<&Chat, ApiError> {
        let id = self.chat_id(params)?;
        let chat = self.chats.get(&id).ok_or_else(|| bad("chat not found"))?;
        if chat.upgraded_to.is_some() {
            let refused = bad("group chat was upgraded to a supergroup chat");
            return Err(ApiError { upgraded_to: chat.upgraded_to, ..refused });
        }
        let kind = chat.spec.kind.word();
        match chat.member(self.bot.id, now_ms) {
            _ if chat.spec.kind == ChatKind::Private && chat.blocked => Err(forbidden("bot was blocked by the user")),
            Member::Kicked { .. } => Err(forbidden(format!("bot was kicked from the {kind} chat"))),
            member if member.is_in() => Ok(chat),
            // The server knows a chat only if the bot was there or it can be found by name.
            _ if chat.members.contains_key(&self.bot.id) || chat.spec.username.is_some() => {
                Err(forbidden(format!("bot is not a member of the {kind} chat")))
            }
            _ => Err(bad("chat not found")),
        }
    }

    fn get_chat(&self, now_ms: i64, params: &Value) -> ApiResult {
        let id = self.chat_id(params)?;
        let public = self.chats.get(&id).filter(|chat| chat.spec.username.is_some());
        let banned = public.is_some_and(|chat| matches!(chat.member(self.bot.id, now_ms), Member::Kicked { .. }));
        let chat = match public {
            Some(chat) if !banned => chat,
            _ => self.reached(now_ms, params)?,
        };
        Ok(chat.spec.to_full_json(chat.member(self.bot.id, now_ms).rights().can_invite_users))
    }

    fn set_webhook(&mut self, params: &Value) -> ApiResult {
        let secret = params.get("secret_token").and_then(Value::as_str);
        if secret.is_some_and(|s| s.len() > 256) {
            return Err(bad("secret token is too long"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if secret.is_some_and(|s| !s.chars().all(allowed)) {
            return Err(bad("secret token contains unallowed characters"));
        }
        // No name under this domain is ever found (RFC 2606).
        if text(params, "url").split('/').nth(2).is_some_and(|host| host.ends_with(".invalid")) {
            return Err(bad("bad webhook: Failed to resolve host: Name or service not known"));
        }
        self.allow_updates(params);
        self.webhook.last_error = None;
        self.webhook.url = params.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.webhook.secret_token = secret.map(str::to_owned);
        self.webhook.max_connections = params.get("max_connections").and_then(Value::as_u64);
        Ok(json!(true))
    }

    /// Names kinds for good, or takes Telegram's own choice where none were ever named.
    fn allow_updates(&mut self, params: &Value) {
        if let Some(kinds) = params.get("allowed_updates").and_then(Value::as_array) {
            let kinds = kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            self.webhook.allowed_updates = Some(kinds);
        } else if self.webhook.allowed_updates.is_none() {
            self.webhook.allowed_updates = Some(Vec::new());
        }
    }

    fn webhook_info(&self) -> Value {
        let mut info = json!({
            "url": self.webhook.url,
            "has_custom_certificate": false,
            "pending_update_count": self.webhook.pending_update_count,
        });
        if !self.webhook.url.is_empty() {
            info["max_connections"] = json!(self.webhook.max_connections.unwrap_or(40));
        }
        if let Some((at_ms, error)) = &self.webhook.last_error {
            info["last_error_date"] = json!(at_ms / 1000);
            info["last_error_message"] = json!(error);
        }
        if let Some(kinds) = self.webhook.allowed_updates.as_ref().filter(|kinds| !kinds.is_empty()) {
            info["allowed_updates"] = json!(kinds);
        }
        info
    }
}

/// In one menu.
const MOST_COMMANDS: usize = 100;
/// Scopes of menus that are about no single chat.
const SCOPES: [&str; 4] = ["default", "all_private_chats", "all_group_chats", "all_chat_administrators"];

/// A command for a menu as it is kept.
fn menu_entry(command: &Value) -> Result<Value, ApiError> {
    let name = text(command, "command").trim();
    let name = name.strip_prefix('/').unwrap_or(name);
    let description = text(command, "description").trim();
    for (what, text, most) in [("command", name, 32), ("command description", description, 256)] {
        if text.is_empty() {
            return Err(bad(format!("{what} must be non-empty")));
        }
        if text.chars().count() > most {
            return Err(bad(format!("{what} length must not exceed {most}")));
        }
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(allowed) {
        return Err(bad("BOT_COMMAND_INVALID"));
    }
    Ok(json!({"command": name, "description": description}))
}

/// Which menu of commands is meant: its scope and language.
fn menu(params: &Value) -> Result<(String, String), ApiError> {
    let scope = params.get("scope").map_or("default", |scope| text(scope, "type"));
    if !SCOPES.contains(&scope) {
        return Err(bad("can't parse BotCommandScope: unsupported type specified"));
    }
    let language = text(params, "language_code");
    let is_code = language.is_empty() || (language.len() == 2 && language.chars().all(|c| c.is_ascii_lowercase()));
    if is_code { Ok((scope.to_owned(), language.to_owned())) } else { Err(bad("invalid language code specified")) }
}

/// An integer parameter; the Bot API takes numbers in strings, too.
pub(super) fn integer(params: &Value, name: &str) -> Option<i64> {
    let value = params.get(name)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn flag(params: &Value, name: &str) -> bool {
    params.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn text<'a>(params: &'a Value, name: &str) -> &'a str {
    params.get(name).and_then(Value::as_str).unwrap_or_default()
}
