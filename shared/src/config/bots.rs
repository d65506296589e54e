//! The bots: one by `BOT_TOKEN`, or several by a file.

use std::fs;

use nezuko_telegram::BotId;
use serde::Deserialize;

use super::{BotSettings, Secret, is_url_safe, reader::Reader, table, table::Setting};

const TOKEN_FORM: &str =
    "the token from BotFather, <digits>:<at least 20 of A-Z a-z 0-9 _ -> (several bots: see BOTS_FILE)";
const SECRET_FORM: &str = "1 to 256 of A-Z a-z 0-9 _ - (for example from `openssl rand -hex 32`)";
const FILE_FORM: &str = "a JSON list of objects with the texts \"token\", \"webhook_secret\" and, after a change of it, \
                         \"webhook_secret_previous\"";

/// One bot in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    token: String,
    webhook_secret: Option<String>,
    webhook_secret_previous: Option<String>,
}

/// Reads them; `takes_webhooks` where each needs a secret.
pub(super) fn read(
    reader: &mut Reader<impl Fn(&str) -> Option<String>>,
    takes_webhooks: bool,
) -> Option<Vec<BotSettings>> {
    if reader.is_given(&table::BOTS_FILE) { several(reader, takes_webhooks) } else { single(reader, takes_webhooks) }
}

fn single(reader: &mut Reader<impl Fn(&str) -> Option<String>>, takes_webhooks: bool) -> Option<Vec<BotSettings>> {
    let token = reader.take(&table::BOT_TOKEN, TOKEN_FORM, |value| bot_id(value).map(|id| (id, Secret::new(value))));
    let required = Setting { default: table::Default::Required, ..table::WEBHOOK_SECRET };
    let of_secret = if takes_webhooks { &required } else { &table::WEBHOOK_SECRET };
    let webhook_secret = reader.secret(of_secret, SECRET_FORM, is_webhook_secret);
    let webhook_secret_previous = reader.secret(&table::WEBHOOK_SECRET_PREVIOUS, SECRET_FORM, is_webhook_secret);
    let (id, token) = token?;
    Some(vec![BotSettings { id, token, webhook_secret, webhook_secret_previous }])
}

fn several(reader: &mut Reader<impl Fn(&str) -> Option<String>>, takes_webhooks: bool) -> Option<Vec<BotSettings>> {
    for single in [table::BOT_TOKEN, table::WEBHOOK_SECRET, table::WEBHOOK_SECRET_PREVIOUS] {
        if reader.is_given(&single) {
            let problem = format!("is for a single bot; with {} each has its own there", table::BOTS_FILE.name);
            reader.wrong(single.name, problem);
        }
    }
    let path = reader.take(&table::BOTS_FILE, "a path", |value| Some(value.to_owned()))?;
    let entries = match entries(&path) {
        Ok(entries) => entries,
        Err(problem) => {
            reader.wrong(table::BOTS_FILE.name, problem);
            return None;
        }
    };
    let mut bots: Vec<BotSettings> = Vec::new();
    for (nth, entry) in (1..).zip(entries) {
        let mut wrong = |what: String| reader.wrong(table::BOTS_FILE.name, format!("bot {nth} in {path:?}: {what}"));
        let Some(id) = bot_id(&entry.token) else {
            wrong(format!("token must be {TOKEN_FORM}"));
            continue;
        };
        if bots.iter().any(|bot| bot.id == id) {
            wrong(format!("bot {id} is there twice; keep one"));
        }
        if takes_webhooks && entry.webhook_secret.is_none() {
            wrong(format!("webhook_secret is missing; set it to {SECRET_FORM}"));
        }
        let secrets =
            [("webhook_secret", &entry.webhook_secret), ("webhook_secret_previous", &entry.webhook_secret_previous)];
        for (name, secret) in secrets {
            if secret.as_ref().is_some_and(|secret| !is_webhook_secret(secret)) {
                wrong(format!("{name} must be {SECRET_FORM}"));
            }
        }
        bots.push(BotSettings {
            id,
            token: Secret::new(entry.token),
            webhook_secret: entry.webhook_secret.map(Secret::new),
            webhook_secret_previous: entry.webhook_secret_previous.map(Secret::new),
        });
    }
    Some(bots)
}

fn entries(path: &str) -> Result<Vec<Entry>, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("the file {path:?} cannot be read ({error}); correct the path"))?;
    // Without serde's own text, which may quote a secret.
    let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| {
        format!("the file {path:?} must be {FILE_FORM}; see its line {}, column {}", error.line(), error.column())
    })?;
    if entries.is_empty() {
        Err(format!("the file {path:?} names no bot; it must be {FILE_FORM}"))
    } else {
        Ok(entries)
    }
}

pub(super) fn bot_id(token: &str) -> Option<BotId> {
    let (id, key) = token.split_once(':')?;
    let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    let id = id.parse().ok().filter(|id| digits && *id > 0)?;
    (key.len() >= 20 && key.bytes().all(is_url_safe)).then_some(BotId(id))
}

pub(super) fn is_webhook_secret(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(is_url_safe)
}
