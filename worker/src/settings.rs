//! What a group's administrators set: one register for each setting, so that two who change different ones at once both win.

use std::time::Duration;

use nezuko_telegram::{ChatId, UpdateId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::facts::{Setting, set};

/// A day, in seconds.
const DAY_S: i64 = 86_400;

/// In which language a group is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// Its code (ISO 639-1).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// The language of a `language_code` as Telegram tells it (`de`, `pt-br`); English where it is none of ours.
    #[must_use]
    pub fn of_code(code: Option<&str>) -> Self {
        let language = code.and_then(|code| code.split('-').next()).unwrap_or_default();
        Self::ALL.into_iter().find(|known| known.code().eq_ignore_ascii_case(language)).unwrap_or_default()
    }
}

/// What becomes of messages of somebody whose membership cannot be found out. Nobody is ever muted for it (E28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// They stay.
    #[default]
    Allow,
    /// They are deleted.
    Hold,
}

/// What becomes of somebody who has waited for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutAction {
    /// They stay muted.
    #[default]
    Stay,
    /// They are removed and may come back at once.
    Kick,
    /// They are banned for a while.
    Ban,
}

/// What becomes of messages in the name of a channel that is not the group's own (E5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderChats {
    /// They stay.
    Allow,
    /// They are deleted.
    #[default]
    Delete,
    /// They are deleted, and the channel may not write in the group any more.
    Ban,
}

/// A setting outside of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The setting.
    pub name: &'static str,
    /// What it may be.
    pub range: Range,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// A time in seconds.
    Seconds {
        /// At least.
        least: i64,
        /// At most.
        most: i64,
    },
    /// A number.
    Number {
        /// At least.
        least: i64,
        /// At most.
        most: i64,
    },
    /// Text that is not empty, without control characters but line feeds.
    Text {
        /// So many characters at most.
        most: i64,
    },
    /// Text with `{channels}` once, and no other braces but one `{names}` and one `{group}`.
    Placeholders,
}

macro_rules! group_settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $other:expr;)*) => {
        /// The settings of one group as they are in force. As JSON: what `/export` writes and `/import` reads.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct GroupSettings {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl GroupSettings {
            /// The names of all settings.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Two that differ in everything: what an edit changes in neither of them it does not set.
            fn apart() -> [Self; 2] {
                [Self::default(), Self { $($name: $other,)* }]
            }
        }

        impl Default for GroupSettings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The registers behind [`GroupSettings`]; what was never set has its default.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct SettingRegisters {
            $(#[serde(skip_serializing_if = "Option::is_none")] $name: Option<Setting<$type>>,)*
        }

        impl SettingRegisters {
            /// The settings in force.
            #[must_use]
            pub fn in_force(&self) -> GroupSettings {
                GroupSettings { $($name: self.$name(),)* }
            }

            /// Has `edit` change the settings, and writes the registers of those that it sets, unless they hold something newer:
            /// also of those that were so already, or an older change that comes later would win. Returns whether that made
            /// any difference. What `edit` sets does not depend on what was.
            pub fn change(&mut self, update_id: UpdateId, received_ms: i64, edit: impl Fn(&mut GroupSettings)) -> bool {
                let before = self.in_force();
                let mut after = before.clone();
                edit(&mut after);
                let apart = GroupSettings::apart();
                let mut edited = apart.clone();
                edited.iter_mut().for_each(&edit);
                $(if edited.iter().zip(&apart).any(|(edited, apart)| edited.$name != apart.$name) {
                    set(&mut self.$name, Setting { value: after.$name, update_id, received_ms });
                })*
                self.in_force() != before
            }

            $(
                #[doc = concat!("`", stringify!($name), "` as it is in force.")]
                #[must_use]
                pub fn $name(&self) -> $type {
                    self.$name.as_ref().map_or_else(|| $default, |setting| setting.value.clone())
                }
            )*

            /// Whether nothing was ever set.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }

            /// Takes over what is newer in `other`: the same group under another id.
            pub fn merge(&mut self, other: Self) {
                $(if let Some(setting) = other.$name {
                    set(&mut self.$name, setting);
                })*
            }
        }
    };
}

// Each with its default, and another value.
group_settings! {
    /// In which language the group is spoken to.
    language: Language = Language::En, Language::De;
    /// What the prompt says instead of the usual: plain text with the placeholders `{names}` `{channels}` `{group}`.
    prompt_text: Option<String> = None, Some(String::new());
    /// The forum topic for prompts about people who have written nothing yet; `None`: the general one.
    prompt_topic: Option<i64> = None, Some(0);
    /// Whether messages of people stay whose membership cannot be found out.
    on_unknown: OnUnknown = OnUnknown::Allow, OnUnknown::Hold;
    /// What becomes of somebody who has waited for `timeout_s`.
    timeout_action: TimeoutAction = TimeoutAction::Stay, TimeoutAction::Kick;
    /// Seconds, 60 to 30 days.
    timeout_s: i64 = 3_600, 0;
    /// How long a temporary ban lasts: seconds, 60 to 365 days (E47).
    ban_s: i64 = DAY_S, 0;
    /// Whether somebody is named in a warning when three quarters of `timeout_s` are over.
    warn_first: bool = true, false;
    /// For so long may somebody write who has left a channel: seconds, 0 to 7 days.
    grace_s: i64 = 0, 1;
    /// More joins than so many within a minute are a raid: 0 (never) to 1,000.
    raid_threshold: i64 = 20, 0;
    /// Whether a raid is on by hand, until this time (Unix milliseconds); 0: no.
    raid_until_ms: i64 = 0, 1;
    /// Whether notes about joins and leaves are deleted.
    clean_service: bool = false, true;
    /// Whether commands of administrators and the answers to them are deleted after a minute.
    clean_commands: bool = true, false;
    /// Whether the bot answers join requests.
    join_requests: bool = true, false;
    /// Whether a pending request to join a required channel counts as having joined it (E27).
    pending_counts: bool = false, true;
    /// Whether people whom an administrator has added may write at once (E15).
    trust_added: bool = true, false;
    /// What becomes of messages in the name of other channels.
    sender_chats: SenderChats = SenderChats::Delete, SenderChats::Allow;
    /// Whether edited messages are looked at, too (E58).
    check_edits: bool = false, true;
    /// Whether nothing is done but to say in the log channel what would be.
    dry_run: bool = false, true;
    /// The channel or group that is told of every act.
    log_chat: Option<ChatId> = None, Some(ChatId(0));
}

impl SettingRegisters {
    /// How long before they are removed somebody is warned, where they are: a quarter of `timeout_s`.
    #[must_use]
    pub fn warned_before(&self) -> Duration {
        Duration::from_secs(self.timeout_s().unsigned_abs()) / 4
    }

    /// The log chat has become this supergroup. Returns whether it was the one that is set.
    pub fn move_log_chat(&mut self, old: ChatId, new: ChatId) -> bool {
        let register = self.log_chat.as_mut().filter(|register| register.value == Some(old));
        register.map(|register| register.value = Some(new)).is_some()
    }
}

impl GroupSettings {
    /// Longest prompt text, in characters.
    pub const PROMPT_TEXT_CHARS: usize = 1_000;
    /// What a prompt text may contain in braces.
    pub const PLACEHOLDERS: [&'static str; 3] = ["{names}", "{channels}", "{group}"];

    /// The settings by their names, as [`with`](Self::with) takes them.
    #[must_use]
    pub fn by_name(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(settings)) => settings,
            other => unreachable!("invariant: settings are plain data: {other:?}"),
        }
    }

    /// These, but for what `named` names.
    ///
    /// # Errors
    /// Where that is no setting, or the value is none of it.
    pub fn with(&self, named: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut settings = self.by_name();
        settings.extend(named.clone());
        serde_json::from_value(Value::Object(settings))
    }

    /// Everything that is outside of its range.
    ///
    /// # Errors
    /// All of it at once.
    pub fn validate(&self) -> Result<(), Vec<OutOfRange>> {
        let seconds = |least, most| Range::Seconds { least, most };
        let topic = self.prompt_topic.unwrap_or(1);
        let numbers = [
            ("timeout_s", self.timeout_s, seconds(60, 30 * DAY_S)),
            ("ban_s", self.ban_s, seconds(60, 365 * DAY_S)),
            ("grace_s", self.grace_s, seconds(0, 7 * DAY_S)),
            ("raid_threshold", self.raid_threshold, Range::Number { least: 0, most: 1_000 }),
            ("prompt_topic", topic, Range::Number { least: 1, most: i64::from(i32::MAX) }),
        ];
        let within = |value: i64, range: Range| match range {
            Range::Seconds { least, most } | Range::Number { least, most } => (least..=most).contains(&value),
            Range::Text { .. } | Range::Placeholders => true,
        };
        let outside = numbers.into_iter().filter(|(_, value, range)| !within(*value, *range));
        let mut wrong: Vec<OutOfRange> = outside.map(|(name, _, range)| OutOfRange { name, range }).collect();
        if let Some(text) = &self.prompt_text {
            let most = Self::PROMPT_TEXT_CHARS as i64;
            let control = text.chars().any(|c| c.is_control() && c != '\n');
            if text.trim().is_empty() || text.chars().count() > Self::PROMPT_TEXT_CHARS || control {
                wrong.push(OutOfRange { name: "prompt_text", range: Range::Text { most } });
            }
            if !has_its_placeholders(text) {
                wrong.push(OutOfRange { name: "prompt_text", range: Range::Placeholders });
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Whether a prompt text names the channels, has each placeholder once at most, and no other braces.
fn has_its_placeholders(text: &str) -> bool {
    let count = |placeholder: &&str| text.matches(*placeholder).count();
    let rest = GroupSettings::PLACEHOLDERS.iter().fold(text.to_owned(), |rest, known| rest.replace(*known, ""));
    let once = GroupSettings::PLACEHOLDERS.iter().all(|known| count(known) <= 1);
    text.contains("{channels}") && once && !rest.contains(['{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(registers: &mut SettingRegisters, update: i64, edit: impl Fn(&mut GroupSettings)) -> bool {
        registers.change(UpdateId(update), 1_000, edit)
    }

    #[test]
    fn who_change_different_settings_at_once_both_win_and_the_newer_change_of_one_wins() {
        let mut registers = SettingRegisters::default();
        assert!(changed(&mut registers, 8, |settings| settings.grace_s = 60));
        assert!(changed(&mut registers, 7, |settings| settings.dry_run = true));
        assert!(!changed(&mut registers, 6, |settings| settings.grace_s = 30), "an older change");
        assert!(!changed(&mut registers, 10, |settings| settings.grace_s = 60), "no change");
        assert!(!changed(&mut registers, 9, |settings| settings.grace_s = 30), "older than what changed nothing");
        let settings = registers.in_force();
        assert_eq!((settings.grace_s, settings.dry_run), (60, true));
    }

    #[test]
    fn what_was_so_already_is_set_all_the_same_and_what_nobody_names_is_not() {
        let apart = GroupSettings::apart().map(|settings| serde_json::to_value(settings).expect("JSON"));
        for name in GroupSettings::NAMES {
            assert_ne!(apart[0][name], apart[1][name], "{name}");
        }
        let mut registers = SettingRegisters::default();
        assert!(!changed(&mut registers, 2, |settings| settings.warn_first = true));
        assert!(!changed(&mut registers, 1, |settings| settings.warn_first = false));
        assert_eq!(serde_json::to_value(&registers).expect("JSON").as_object().map(serde_json::Map::len), Some(1));
    }

    #[test]
    fn what_is_named_is_set_and_nothing_else() {
        let [one, other] = GroupSettings::apart();
        let named = |name: &str, value: &Value| Map::from_iter([(name.to_owned(), value.clone())]);
        for (name, value) in other.by_name() {
            let mut expected = one.by_name();
            assert_ne!(expected.insert(name.clone(), value.clone()).as_ref(), Some(&value), "{name}");
            assert_eq!(one.with(&named(&name, &value)).expect("a setting").by_name(), expected, "{name}");
        }
        assert_eq!(other.by_name().len(), GroupSettings::NAMES.len());
        for (name, value) in [("of_a_later_version", Value::from(1)), ("grace_s", Value::from("soon"))] {
            assert!(one.with(&named(name, &value)).is_err(), "{name}");
        }
    }

    #[test]
    fn registers_survive_their_json_and_unknown_settings_of_a_later_version() {
        let mut registers = SettingRegisters::default();
        changed(&mut registers, 1, |settings| settings.timeout_action = TimeoutAction::Kick);
        let mut json = serde_json::to_value(&registers).expect("JSON");
        json["of_a_later_version"] = serde_json::json!({"value": 1, "update_id": 1, "received_ms": 1});
        assert_eq!(serde_json::from_value::<SettingRegisters>(json).expect("registers"), registers);
    }

    #[test]
    fn of_two_ids_of_one_group_the_newer_setting_wins() {
        let (mut old, mut new) = (SettingRegisters::default(), SettingRegisters::default());
        changed(&mut old, 3, |settings| settings.grace_s = 3);
        changed(&mut old, 1, |settings| settings.ban_s = 100);
        changed(&mut new, 2, |settings| settings.grace_s = 2);
        new.merge(old);
        assert_eq!((new.in_force().grace_s, new.in_force().ban_s), (3, 100));
    }

    #[test]
    fn everything_that_is_out_of_range_is_named_at_once() {
        assert_eq!(GroupSettings::default().validate(), Ok(()));
        let prompt_text = Some("{channels} {nobody}".to_owned());
        let wrong = GroupSettings {
            timeout_s: 59,
            ban_s: 366 * DAY_S,
            grace_s: -1,
            prompt_topic: Some(0),
            prompt_text,
            ..Default::default()
        };
        let names: Vec<_> = wrong.validate().expect_err("wrong").iter().map(|wrong| wrong.name).collect();
        assert_eq!(names, ["timeout_s", "ban_s", "grace_s", "prompt_topic", "prompt_text"]);
    }

    #[test]
    fn each_number_may_be_anything_within_its_range() {
        type Edit = fn(&mut GroupSettings, i64);
        let ranges: [(Edit, i64, i64); 5] = [
            (|settings, seconds| settings.timeout_s = seconds, 60, 2_592_000),
            (|settings, seconds| settings.ban_s = seconds, 60, 31_536_000),
            (|settings, seconds| settings.grace_s = seconds, 0, 604_800),
            (|settings, joins| settings.raid_threshold = joins, 0, 1_000),
            (|settings, topic| settings.prompt_topic = Some(topic), 1, 2_147_483_647),
        ];
        for (edit, least, most) in ranges {
            let holds = |value| {
                let mut settings = GroupSettings::default();
                edit(&mut settings, value);
                settings.validate().is_ok()
            };
            assert_eq!([least - 1, least, most, most + 1].map(holds), [false, true, true, false], "{least} to {most}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_prompt_text_is_told_apart() {
        let wrong = |text: String| {
            let settings = GroupSettings { prompt_text: Some(text), ..Default::default() };
            let wrong = settings.validate().err().unwrap_or_default();
            wrong.into_iter().map(|wrong| wrong.range).collect::<Vec<_>>()
        };
        let (text, placeholders) = (Range::Text { most: 1_000 }, Range::Placeholders);
        let long = |chars: usize| format!("{{channels}}{}", "é".repeat(chars - 10));
        assert_eq!([long(1_000), long(1_001)].map(wrong), [vec![], vec![text]]);
        assert_eq!(
            ["{channels}\u{7}", " \n ", "Join us"].map(|text| wrong(text.to_owned())),
            [vec![text], vec![text, placeholders], vec![placeholders],]
        );
    }

    #[test]
    fn only_the_log_chat_that_is_set_moves() {
        let mut registers = SettingRegisters::default();
        assert!(!registers.move_log_chat(ChatId(-1), ChatId(-2)));
        changed(&mut registers, 1, |settings| settings.log_chat = Some(ChatId(-1)));
        assert!(!registers.move_log_chat(ChatId(-3), ChatId(-2)));
        assert!(registers.move_log_chat(ChatId(-1), ChatId(-2)));
        assert_eq!(registers.log_chat(), Some(ChatId(-2)));
    }

    #[test]
    fn the_language_of_somebody_is_known_by_its_code_and_else_english() {
        let codes = [Some("de"), Some("DE-at"), Some("en"), Some("pt-br"), Some(""), None];
        let expected = [Language::De, Language::De, Language::En, Language::En, Language::En, Language::En];
        assert_eq!(codes.map(Language::of_code), expected);
    }

    #[test]
    fn a_prompt_text_names_the_channels_and_has_no_other_braces() {
        let holds =
            |text: &str| GroupSettings { prompt_text: Some(text.to_owned()), ..Default::default() }.validate().is_ok();
        assert!(holds("Hello {names}, join {channels} to write in {group}"));
        for wrong in [
            "Join us",
            "",
            "{channels",
            "channels}",
            "{channels} {",
            "{channels} {}",
            "{channels}}",
            "{channels} {channels}",
            "{channels}\u{7}",
            "{chan{names}nels}",
        ] {
            assert!(!holds(wrong), "{wrong}");
        }
        assert!(holds("{names}\n{channels}"));
        assert!(!holds(&format!("{{channels}}{}", "x".repeat(GroupSettings::PROMPT_TEXT_CHARS))));
    }
}
