//! The settings as people see and set them: by a panel of buttons, each of which says what it sets next, or by text. Pure.
//!
//! Settings are read and written through their JSON, the same that `/export` writes, so that a new one needs a line here and
//! a label in the catalogues.

use serde_json::{Value, json};

use crate::{
    buttons::{Button, ButtonKey, Kind},
    facts::ChatFacts,
    intent::{Key, KeyDoes},
    settings::{GroupSettings, OutOfRange},
    texts::{Name, Texts, Verbatim, Word},
};
use nezuko_telegram::ChatId;

/// What a setting is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nature {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Yes or no.
    Switch,
    /// Seconds; the panel offers these.
    Seconds(&'static [i64]),
    /// A number; the panel offers these.
    Number(&'static [i64]),
    /// A number or nothing; set by text.
    MaybeNumber,
    /// Text or nothing; set by text.
    MaybeText,
    /// A chat or nothing; set by text, since it has to be looked at.
    MaybeChat,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Its name, as in [`GroupSettings`].
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) nature: Nature,
}

const fn field(name: &'static str, nature: Nature) -> Field {
    Field { name, nature }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Every setting but the end of a raid, which `/raid` sets.
pub(crate) const FIELDS: [Field; 19] = [
    field("language", Nature::Choice(&["en", "de"])),
    field("on_unknown", Nature::Choice(&["allow", "hold"])),
    field("timeout_action", Nature::Choice(&["stay", "kick", "ban"])),
    field("timeout_s", Nature::Seconds(&[600, HOUR, 6 * HOUR, DAY])),
    field("ban_s", Nature::Seconds(&[HOUR, DAY, 7 * DAY])),
    field("warn_first", Nature::Switch),
    field("grace_s", Nature::Seconds(&[0, 600, HOUR, DAY])),
    field("raid_threshold", Nature::Number(&[0, 10, 20, 50, 100])),
    field("clean_service", Nature::Switch),
    field("clean_commands", Nature::Switch),
    field("join_requests", Nature::Switch),
    field("pending_counts", Nature::Switch),
    field("trust_added", Nature::Switch),
    field("sender_chats", Nature::Choice(&["allow", "delete", "ban"])),
    field("check_edits", Nature::Switch),
    field("dry_run", Nature::Switch),
    field("prompt_text", Nature::MaybeText),
    field("prompt_topic", Nature::MaybeNumber),
    field("log_chat", Nature::MaybeChat),
];

/// Why a text is no value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsuitable {
    /// It is none of these.
    Choices(String),
    /// It is no number.
    NotANumber,
    /// Its value is outside of its range.
    OutOfRange(Vec<OutOfRange>),
}

impl Field {
    /// Its value.
    pub(crate) fn value(&self, settings: &GroupSettings) -> Value {
        let settings = serde_json::to_value(settings).expect("invariant: settings are plain data");
        settings[self.name].clone()
    }

    /// Sets it; a value that is none of its changes nothing.
    pub(crate) fn set(&self, settings: &mut GroupSettings, value: &Value) {
        let mut changed = serde_json::to_value(&*settings).expect("invariant: settings are plain data");
        changed[self.name] = value.clone();
        if let Ok(changed) = serde_json::from_value(changed) {
            *settings = changed;
        }
    }

    /// What the panel offers for it.
    fn offers(&self) -> Vec<Value> {
        match self.nature {
            Nature::Choice(words) => words.iter().map(|word| json!(word)).collect(),
            Nature::Switch => vec![json!(false), json!(true)],
            Nature::Seconds(numbers) | Nature::Number(numbers) => numbers.iter().map(|number| json!(number)).collect(),
            Nature::MaybeNumber | Nature::MaybeText | Nature::MaybeChat => Vec::new(),
        }
    }

    /// What a press on its button sets: the next offer after `value`.
    fn next(&self, value: &Value) -> Option<u8> {
        let offers = self.offers();
        let at = match value.as_i64() {
            // The next larger one, where it was set by text to something else.
            Some(number) => offers.iter().position(|offer| offer.as_i64() > Some(number)).unwrap_or(0),
            None => offers.iter().position(|offer| offer == value).map_or(0, |at| (at + 1) % offers.len().max(1)),
        };
        (!offers.is_empty()).then(|| u8::try_from(at).unwrap_or(0))
    }

    /// The value in words.
    pub(crate) fn shown(&self, texts: Texts, value: &Value) -> String {
        match (self.nature, value) {
            (_, Value::Null) => texts.value("off"),
            (_, Value::Bool(yes)) => texts.value(if *yes { "yes" } else { "no" }),
            (Nature::Choice(_), Value::String(word)) => texts.value(word),
            (Nature::Seconds(_), Value::Number(seconds)) => texts.duration(seconds.as_i64().unwrap_or_default()),
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        }
    }

    /// Reads a value from text, and looks whether `settings` are in their ranges with it.
    pub(crate) fn read(&self, text: &str, settings: &GroupSettings) -> Result<Value, Unsuitable> {
        let is_off = text.eq_ignore_ascii_case("off");
        let number = || text.parse::<i64>().map(|number| json!(number)).map_err(|_| Unsuitable::NotANumber);
        let value = match self.nature {
            Nature::Choice(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => json!(word),
                None => return Err(Unsuitable::Choices(words.join(", "))),
            },
            Nature::Switch => match text.to_ascii_lowercase().as_str() {
                "on" | "yes" | "true" => json!(true),
                "off" | "no" | "false" => json!(false),
                _ => return Err(Unsuitable::Choices("on, off".to_owned())),
            },
            Nature::MaybeNumber | Nature::MaybeText | Nature::MaybeChat if is_off => Value::Null,
            Nature::Seconds(_) | Nature::Number(_) | Nature::MaybeNumber | Nature::MaybeChat => number()?,
            Nature::MaybeText => json!(text),
        };
        let mut changed = settings.clone();
        self.set(&mut changed, &value);
        changed.validate().map_err(Unsuitable::OutOfRange)?;
        Ok(value)
    }
}

/// The setting of this name.
pub(crate) fn named(name: &str) -> Option<Field> {
    FIELDS.into_iter().find(|field| field.name == name)
}

/// What a button of a panel sets.
pub(crate) fn chosen([field, offer]: [u8; 2]) -> Option<(Field, Value)> {
    let field = FIELDS.get(usize::from(field))?;
    Some((*field, field.offers().get(usize::from(offer))?.clone()))
}

/// What the panel says: the settings that are set by text.
pub(crate) fn text(texts: Texts, group: &ChatFacts, settings: &GroupSettings) -> String {
    let by_text = FIELDS.iter().filter(|field| field.offers().is_empty());
    let line = |field: &Field| {
        let value = field.shown(texts, &field.value(settings));
        texts.settings_line(Word(field.name), Verbatim(&value))
    };
    let lines: Vec<String> = by_text.map(line).collect();
    [texts.settings_head(Name(&group.title)), lines.join("\n"), texts.settings_texts()].join("\n\n")
}

/// The panel's buttons: one for each other setting, which says how it is and sets the next.
pub(crate) fn keyboard(
    texts: Texts,
    settings: &GroupSettings,
    buttons: &ButtonKey,
    chat: ChatId,
    row: i64,
) -> Vec<Vec<Key>> {
    let key = |(number, field): (usize, &Field)| {
        let value = field.value(settings);
        let argument = [u8::try_from(number).ok()?, field.next(&value)?];
        let data = buttons.encode(Button { kind: Kind::Panel, row, argument }, chat);
        Some(vec![Key { label: texts.setting(field.name, &field.shown(texts, &value)), does: KeyDoes::Send(data) }])
    };
    FIELDS.iter().enumerate().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use nezuko_telegram::BotId;

    use super::*;
    use crate::settings::{Language, TimeoutAction};

    fn set(name: &str, text: &str) -> Result<GroupSettings, Unsuitable> {
        let mut settings = GroupSettings::default();
        let field = named(name).expect("a setting");
        let value = field.read(text, &settings)?;
        field.set(&mut settings, &value);
        Ok(settings)
    }

    #[test]
    fn every_setting_can_be_seen_and_set() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        for name in GroupSettings::NAMES {
            assert!(names.contains(name) || *name == "raid_until_ms", "{name}");
        }
        assert_eq!(names.len(), GroupSettings::NAMES.len() - 1);
        for field in &FIELDS {
            for offer in field.offers() {
                let mut settings = GroupSettings::default();
                field.set(&mut settings, &offer);
                assert_eq!((field.value(&settings), settings.validate()), (offer, Ok(())), "{}", field.name);
            }
        }
    }

    #[test]
    fn pressing_a_button_again_and_again_comes_by_every_offer() {
        for field in FIELDS.iter().filter(|field| !field.offers().is_empty()) {
            let mut value = field.value(&GroupSettings::default());
            let mut seen = Vec::new();
            for _ in 0..field.offers().len() {
                let next = field.next(&value).expect("an offer");
                value = field.offers()[usize::from(next)].clone();
                assert!(!seen.contains(&value), "{} {value}", field.name);
                seen.push(value.clone());
            }
        }
        let grace = named("grace_s").expect("a setting");
        assert_eq!(grace.next(&json!(700)), Some(2), "what was set by text goes on to the next larger offer");
        assert_eq!(grace.next(&json!(999_999)), Some(0));
    }

    #[test]
    fn texts_are_read_as_what_the_setting_is() {
        assert_eq!(set("timeout_action", "Kick").map(|settings| settings.timeout_action), Ok(TimeoutAction::Kick));
        assert_eq!(set("dry_run", "on").map(|settings| settings.dry_run), Ok(true));
        assert_eq!(set("grace_s", "61").map(|settings| settings.grace_s), Ok(61));
        assert_eq!(set("prompt_topic", "7").map(|settings| settings.prompt_topic), Ok(Some(7)));
        assert_eq!(set("prompt_text", "off").map(|settings| settings.prompt_text), Ok(None));
        let text = "Hi {names}, {channels}!";
        assert_eq!(set("prompt_text", text).map(|settings| settings.prompt_text), Ok(Some(text.to_owned())));
        assert_eq!(set("dry_run", "perhaps"), Err(Unsuitable::Choices("on, off".to_owned())));
        assert_eq!(set("sender_chats", "x"), Err(Unsuitable::Choices("allow, delete, ban".to_owned())));
        assert_eq!(set("grace_s", "long"), Err(Unsuitable::NotANumber));
        assert!(matches!(set("grace_s", "-1"), Err(Unsuitable::OutOfRange(wrong)) if wrong[0].name == "grace_s"));
        assert!(matches!(set("prompt_text", "no placeholder"), Err(Unsuitable::OutOfRange(_))));
    }

    #[test]
    fn a_button_sets_what_the_panel_meant() {
        let buttons = ButtonKey::of_token(BotId(5), "5:token");
        let (settings, chat) = (GroupSettings::default(), ChatId(-5));
        let keyboard = keyboard(Texts(Language::En), &settings, &buttons, chat, 77);
        let KeyDoes::Send(data) = &keyboard[0][0].does else { panic!("no button") };
        let button = buttons.decode(data, chat).expect("ours");
        assert_eq!((button.kind, button.row), (Kind::Panel, 77));
        let (field, value) = chosen(button.argument).expect("a setting");
        assert_eq!((field.name, value), ("language", json!("de")));
        assert_eq!(keyboard.len(), FIELDS.len() - 3);
        assert!(chosen([200, 0]).is_none() && chosen([0, 200]).is_none());
    }
}
