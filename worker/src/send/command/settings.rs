//! Setting how a group is guarded: `/settings`, `/export`, `/import`, `/raid`, `/recheck`.

use nezuko_telegram::{ChatId, ErrorClass, Standing};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answer, Given, STANDS_LONG_MS, STANDS_WHILE_AT_WORK_MS, Stop, is_absence, reference, say, spelled};
use crate::{
    intent::{Intent, Work},
    panel::{self, Field, Nature, Unsuitable},
    send::Sender,
    settings::GroupSettings,
    store::Payload,
    texts::{Name, Texts, Verbatim, Word},
};

/// The version of what `/export` writes.
const EXPORT_VERSION: i64 = 1;
/// No setting to be taken elsewhere: a raid.
const OF_THE_MOMENT: &str = "raid_until_ms";
/// How long a raid by hand lasts that nobody has given an end, and at most: minutes.
const RAID_MINUTES: i64 = 60;
const LONGEST_RAID_MINUTES: i64 = 24 * 60;

/// What `/export` writes and `/import` reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    nezuko_settings: i64,
    /// By their names; one that is not named stays as it is.
    settings: Map<String, Value>,
}

impl Sender {
    pub(super) async fn settings(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, settings, .. } = *given;
        let Some((name, rest)) = command.arguments.split_once(char::is_whitespace) else {
            return match panel::named(&command.arguments) {
                Some(field) => {
                    let value = field.shown(texts, &field.value(settings));
                    Ok(texts.settings_line(Word(field.name), Verbatim(&value)).into())
                }
                None if command.arguments.is_empty() => self.panel(given).await,
                None => Err(say(unknown(texts, &command.arguments))),
            };
        };
        let Some(field) = panel::named(name) else { return Err(say(unknown(texts, name))) };
        let text = rest.trim();
        let is_chat = matches!(field.nature, Nature::MaybeChat) && !text.eq_ignore_ascii_case("off");
        let value = if is_chat {
            Value::from(self.log_chat(given, text).await?.0)
        } else {
            read(texts, field, text, settings)?
        };
        let changed = self.change_settings(&given.change(), Vec::new(), |settings| field.set(settings, &value)).await?;
        let texts = Texts(changed.language);
        let value = field.shown(texts, &field.value(&changed));
        Ok(texts.setting_set(Word(field.name), Verbatim(&value)).into())
    }

    async fn panel(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, settings, .. } = *given;
        let facts = self.handler.store.chat(command.chat).await?.chat.facts;
        let row = self.new_button(command.chat, None, Payload::Panel, STANDS_LONG_MS).await?;
        let keyboard = panel::keyboard(texts, settings, &self.handler.buttons, command.chat, row);
        Ok(Answer { keyboard, stands_ms: STANDS_LONG_MS, ..panel::text(texts, &facts, settings).into() })
    }

    /// A chat in which the bot can write and that the asker administers: nobody fills somebody else's.
    async fn log_chat(&self, given: &Given<'_>, text: &str) -> Result<ChatId, Stop> {
        let Given { command, texts, .. } = *given;
        let refused = |named: &str| say(texts.log_chat_refused(Name(named)));
        let Some(chat) = reference(text) else { return Err(refused(text)) };
        let named = spelled(&chat);
        let chat = match self.describe_for_command(command.chat, chat).await {
            Err(Stop::Later(class)) if is_absence(class) => return Err(refused(&named)),
            chat => chat?,
        };
        for user in [self.handler.bot.user(), command.user] {
            let member = match self.look_up_for_command(chat.id, user).await {
                Err(Stop::Later(class)) if is_absence(class) || class == ErrorClass::Permission => {
                    return Err(refused(&named));
                }
                member => member?,
            };
            if !member.standing.is_some_and(Standing::is_admin) {
                return Err(refused(&named));
            }
        }
        Ok(chat.id)
    }

    pub(super) fn export(given: &Given<'_>) -> Answer {
        let mut settings = given.settings.by_name();
        settings.remove(OF_THE_MOMENT);
        let exported = Exported { nezuko_settings: EXPORT_VERSION, settings };
        let json = serde_json::to_string(&exported).expect("invariant: settings are plain data");
        Answer { stands_ms: STANDS_LONG_MS, ..given.texts.export(Verbatim(&json)).into() }
    }

    pub(super) async fn import(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, settings, .. } = *given;
        let answered = command.reply_to.as_ref().and_then(|answered| answered.text.as_deref());
        let text = Some(command.arguments.as_str()).filter(|text| !text.is_empty()).or(answered);
        let Some(text) = text else { return Err(say(texts.usage_of("import"))) };
        let (named, imported) = imported(texts, text, settings).map_err(say)?;
        if let Some(chat) = imported.log_chat.filter(|chat| settings.log_chat != Some(*chat)) {
            self.log_chat(given, &chat.to_string()).await?;
        }
        let differs = |field: &&Field| field.value(&imported) != field.value(settings);
        let count = panel::FIELDS.iter().filter(differs).count() as i64;
        let take_over = |settings: &mut GroupSettings| {
            *settings = settings.with(&named).expect("invariant: it was read before");
        };
        let changed = self.change_settings(&given.change(), Vec::new(), take_over).await?;
        Ok(Texts(changed.language).imported(count).into())
    }

    pub(super) async fn raid(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, .. } = *given;
        let mut words = command.arguments.split_whitespace();
        let (word, minutes) = (words.next().unwrap_or_default().to_ascii_lowercase(), words.next());
        let minutes = minutes.map_or(Some(RAID_MINUTES), |minutes| minutes.parse().ok());
        let minutes = minutes.filter(|minutes| (1..=LONGEST_RAID_MINUTES).contains(minutes));
        let (until_ms, html) = match (word.as_str(), minutes) {
            ("on", Some(minutes)) => {
                let until_ms = command.received_ms + minutes * 60_000;
                (until_ms, texts.raid_on(Verbatim(&texts.duration(minutes * 60))))
            }
            // Not never: one that is noticed by itself ends then, too.
            ("off", _) => (command.received_ms, texts.raid_off()),
            _ => return Err(say(texts.usage_of("raid"))),
        };
        self.change_settings(&given.change(), Vec::new(), |settings| settings.raid_until_ms = until_ms).await?;
        Ok(html.into())
    }

    pub(super) async fn begin_recheck(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let chat = given.command.chat;
        if self.handler.store.channels(chat).await?.is_empty() {
            return Err(say(given.texts.channels_none()));
        }
        let total = self.handler.store.count_people(chat).await?;
        let now_ms = self.now_ms();
        let then = Intent::Recheck(Work::begins(chat, total, now_ms));
        let answer = Answer::from(given.texts.recheck_begun(total));
        Ok(Answer { then: Some(then), stands_ms: STANDS_WHILE_AT_WORK_MS, ..answer })
    }
}

fn unknown(texts: Texts, name: &str) -> String {
    let names: Vec<&str> = panel::FIELDS.iter().map(|field| field.name).collect();
    texts.setting_unknown(Name(name), Verbatim(&names.join(", ")))
}

fn read(texts: Texts, field: Field, text: &str, settings: &GroupSettings) -> Result<Value, Stop> {
    field.read(text, settings).map_err(|unsuitable| {
        say(match unsuitable {
            Unsuitable::Choices(choices) => texts.setting_choices(Word(field.name), Verbatim(&choices)),
            Unsuitable::NotANumber => texts.setting_not_a_number(Word(field.name)),
            Unsuitable::OutOfRange(wrong) => {
                wrong.iter().map(|wrong| texts.out_of_range(wrong)).collect::<Vec<_>>().join("\n")
            }
        })
    })
}

/// Reads what `/export` wrote, and what the settings are with it, or says everything that is wrong with it.
fn imported(texts: Texts, text: &str, settings: &GroupSettings) -> Result<(Map<String, Value>, GroupSettings), String> {
    let refused =
        |errors: Vec<String>| [texts.import_refused()].into_iter().chain(errors).collect::<Vec<_>>().join("\n");
    let unreadable = |error: &serde_json::Error| {
        let error: String = error.to_string().chars().take(200).collect();
        refused(vec![texts.import_unreadable(Verbatim(&error))])
    };
    // Of another version the rest may read otherwise.
    let value: Value = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let version = value.get("nezuko_settings").and_then(Value::as_i64);
    if let Some(version) = version.filter(|version| *version != EXPORT_VERSION) {
        return Err(refused(vec![texts.import_version(version)]));
    }
    let Exported { settings: mut named, .. } = serde_json::from_value(value).map_err(|error| unreadable(&error))?;
    named.remove(OF_THE_MOMENT);
    let imported = settings.with(&named).map_err(|error| unreadable(&error))?;
    match imported.validate() {
        Ok(()) => Ok((named, imported)),
        Err(wrong) => Err(refused(wrong.iter().map(|wrong| texts.out_of_range(wrong)).collect())),
    }
}
