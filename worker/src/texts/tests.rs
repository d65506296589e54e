//! Every text as people read it, in every language, and that no name or title breaks one.

#![allow(clippy::unwrap_used)]

mod refused;

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
use insta::assert_snapshot;
use loadtest::world::plain_text;
use proptest::prelude::*;

use super::{arguments::NAME_CHARS, arguments::clean, catalogue::source, *};
use crate::commands::COMMANDS;
use crate::panel::FIELDS;

fn named(username: &str, title: &str) -> ChatFacts {
    ChatFacts { username: username.to_owned(), title: title.to_owned(), ..ChatFacts::default() }
}

/// A public channel, a private one, and one with nothing to call it by, whose title is markup.
fn channels() -> Vec<(ChatId, ChatFacts)> {
    vec![
        (ChatId(-1), named("news", "News")),
        (ChatId(-2), named("", "<b>Tom & \"Jerry\"</b>")),
        (ChatId(-3), named("", "")),
    ]
}

const HOSTILE: [&str; 9] = [
    "Ann",
    "<a href=\"https://evil.example\">Bob</a>",
    "</a></b>&lt;&amp;",
    "\u{202e}gnitirw\u{202c} \u{200f}backwards\u{2067}",
    "z\u{0301}\u{0302}\u{0303}\u{0336}a\u{0334}l\u{0335}go",
    "\u{200b}\u{200d}\u{feff}\t\n ",
    "BUY NOW!!! t.me/cheap_coins_for_everybody_come_and_see",
    "💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖💖",
    "",
];

/// What log chats are told of.
const OUTCOMES: [&str; 12] = [
    "muted",
    "released",
    "restored",
    "admitted",
    "kicked",
    "banned",
    "would_mute",
    "would_admit",
    "would_greet",
    "would_delete",
    "would_kick",
    "would_ban",
];

/// What texts are filled with.
#[derive(Debug)]
struct Sample {
    /// Of a person, of a chat, and as spelled by somebody.
    name: String,
    waiting: Vec<(UserId, String)>,
    channels: Vec<(ChatId, ChatFacts)>,
    count: i64,
    /// Of bounded length.
    verbatim: String,
}

fn waiting(names: &[&str]) -> Vec<(UserId, String)> {
    names.iter().zip(11..).map(|(name, id)| (UserId(id), (*name).to_owned())).collect()
}

fn sample() -> Sample {
    Sample {
        name: "Tom & <Jerry>".to_owned(),
        waiting: waiting(&["Ann", "Bob"]),
        channels: channels(),
        count: 3,
        verbatim: "{\"a\": 1}".to_owned(),
    }
}

/// Every text that is sent as HTML, by the name of its message.
fn messages(texts: Texts, sample: &Sample) -> Vec<(&'static str, String)> {
    let Sample { name, count, verbatim, .. } = sample;
    let (name, count, verbatim) = (Name(name), *count, Verbatim(verbatim));
    let facts = named("", &sample.name);
    let channel = Channel(&facts);
    let all = || Channels::of(&sample.channels);
    let chat = Id(ChatId(-1_001));
    let prompt = texts.group_prompt(&sample.waiting, count, &sample.channels, &facts, None);
    let log = texts.log(&sample.name, &OUTCOMES.map(|outcome| (Some(UserId(11)), sample.name.as_str(), outcome, 1)));
    let mut messages = vec![
        ("prompt", prompt),
        ("names_and_more", texts.group_prompt(&sample.waiting, count + 40, &sample.channels, &facts, None)),
        ("crowd", texts.crowd(1, all())),
        ("crowd", texts.crowd(count, all())),
        ("warning", texts.warning(texts.mentions(&sample.waiting))),
        ("warning_all", texts.warning_all()),
        ("prompt_over", texts.prompt_over()),
        ("arrived", texts.arrival(false, false, false, &[])),
        ("arrived", texts.arrival(false, true, false, std::slice::from_ref(&facts))),
        ("arrived_again", texts.arrival(true, false, true, &[])),
        ("suspended", texts.suspended(Html(texts.missing_rights(true, true, std::slice::from_ref(&facts))))),
        ("requests_left", texts.requests_left()),
        ("raid_begins", texts.raid_begins()),
        ("missed_requests", texts.missed_requests()),
        ("not_as_channel", texts.not_as_channel()),
        ("greeting", texts.group_greeting(&sample.name, &sample.channels)),
        ("only_in_groups", texts.only_in_groups()),
        ("only_for_admins", texts.only_for_admins()),
        ("prove_yourself", texts.prove_yourself()),
        ("try_again", texts.try_again()),
        ("start_private", texts.start_private()),
        ("start_group", texts.start_group()),
        ("link_stale", texts.link_stale()),
        ("help_head", texts.help_head()),
        ("help_everybody", texts.help_everybody()),
        ("help_admins", texts.help_admins()),
        ("help_line", texts.help_line(Word("help"), verbatim)),
        ("only_supergroups", texts.only_supergroups()),
        ("no_such_channel", texts.no_such_channel(name)),
        ("refused_group", texts.refused_group()),
        ("refused_quota", texts.refused_quota()),
        ("not_itself", texts.not_itself()),
        ("not_a_circle", texts.not_a_circle(channel)),
        ("too_many_channels", texts.too_many_channels(count)),
        ("before_this_works", texts.missing_rights(false, false, &[])),
        ("missing_here", texts.missing_rights(true, true, &[])),
        ("missing_here", texts.missing_rights(true, false, &[])),
        ("missing_here", texts.missing_rights(false, true, &[])),
        ("missing_there", texts.missing_rights(false, false, &[facts.clone(), facts.clone()])),
        ("not_your_channel", texts.not_your_channel(channel)),
        ("protected", texts.protected(all())),
        ("no_way_into", texts.no_way_into(channel)),
        ("requests_unheard", texts.requests_unheard(channel)),
        ("unprotected_channel", texts.unprotected_channel(channel, Word("now"))),
        ("unprotected_channel", texts.unprotected_channel(channel, Word("later"))),
        ("unprotected", texts.unprotected(Word("now"))),
        ("unprotected", texts.unprotected(Word("later"))),
        ("not_required", texts.not_required()),
        ("release_progress", texts.release_progress(count, count)),
        ("release_done", texts.release_done(count)),
        ("status", texts.status(Word("protected"))),
        ("status", texts.status(Word("suspended"))),
        ("status", texts.status(Word("unprotected"))),
        ("status_dry_run", texts.status_dry_run()),
        ("status_keeps_messages", texts.status_keeps_messages()),
        ("status_raid", texts.status_raid()),
        ("status_counts", texts.status_counts(count, count)),
        ("status_hour", texts.status_hour(count, count, count)),
        ("channels_none", texts.channels_none()),
        ("channels_head", texts.channels_head()),
        ("channel_line", texts.channel_line(channel, chat)),
        ("channel_unwatched", texts.channel_unwatched(channel, chat)),
        ("stats_head", texts.stats_head()),
        ("stats_line", texts.stats_line(Word("day"), count, count, count, count)),
        ("stats_line", texts.stats_line(Word("week"), count, count, count, count)),
        ("verify_in_group", texts.verify_in_group(name, verbatim)),
        ("verify_nowhere", texts.verify_nowhere()),
        ("allowed", texts.allowed(name)),
        ("disallowed", texts.disallowed(name)),
        ("disallowed_in_vain", texts.disallowed_in_vain(name)),
        ("settings_head", texts.settings_head(name)),
        ("settings_texts", texts.settings_texts()),
        ("settings_line", texts.settings_line(Word("grace_s"), verbatim)),
        ("setting_set", texts.setting_set(Word("grace_s"), verbatim)),
        ("setting_unknown", texts.setting_unknown(name, verbatim)),
        ("setting_choices", texts.setting_choices(Word("language"), verbatim)),
        ("setting_not_a_number", texts.setting_not_a_number(Word("grace_s"))),
        ("log_chat_refused", texts.log_chat_refused(name)),
        ("log_head", log),
        ("log_line", texts.log("Group", &[(None, "", "muted", 1)])),
        ("log_deleted", texts.log_deleted(1, Html(escape("Ann")), 1)),
        ("log_deleted", texts.log_deleted(1, Html(escape("Ann")), count)),
        ("log_line", texts.log_line(16, Html(escape("Ann")), Verbatim("of_a_later_version"))),
        ("log_stopped", texts.log_stopped(chat)),
        ("export", texts.export(verbatim)),
        ("imported", texts.imported(0)),
        ("imported", texts.imported(1)),
        ("imported", texts.imported(count)),
        ("import_refused", texts.import_refused()),
        ("import_unreadable", texts.import_unreadable(verbatim)),
        ("import_version", texts.import_version(count)),
        ("recheck_begun", texts.recheck_begun(count)),
        ("recheck_progress", texts.recheck_progress(count, count)),
        ("recheck_done", texts.recheck_done(count, 0)),
        ("recheck_done", texts.recheck_done(count, count)),
        ("raid_on", texts.raid_on(verbatim)),
        ("raid_off", texts.raid_off()),
        ("forgotten", texts.forgotten(0)),
        ("forgotten", texts.forgotten(1)),
        ("forgotten", texts.forgotten(count)),
    ];
    let ranges = [
        ("range_seconds", Range::Seconds { least: 0, most: 9 }),
        ("range_number", Range::Number { least: 0, most: 9 }),
        ("range_text", Range::Text { most: 9 }),
        ("range_placeholders", Range::Placeholders),
    ];
    messages.extend(ranges.map(|(id, range)| (id, texts.out_of_range(&OutOfRange { name: "grace_s", range }))));
    let usages = COMMANDS.iter().filter(|command| command.takes_more);
    messages.extend(usages.map(|command| ("usage", texts.usage_of(command.name))));
    messages
}

/// Every text without markup: answers to presses, labels and what is put into others.
fn plain(texts: Texts, sample: &Sample) -> Vec<(&'static str, String)> {
    let (facts, count) = (named("", &sample.name), sample.count);
    let all: Vec<ChatId> = sample.channels.iter().map(|(chat, _)| *chat).collect();
    let found = |found| texts.found_briefly(found, &sample.channels);
    let mut plain = vec![
        ("someone", texts.someone()),
        ("the_channel", texts.the_channel()),
        ("this_group", texts.this_group()),
        ("join_button", texts.join_button(Channel(&facts))),
        ("joined_button", texts.joined_button()),
        ("press_freed", found(&Found::Freed)),
        ("press_already", found(&Found::Already)),
        ("press_by_admin", found(&Found::ByAdmin)),
        ("press_unknown", found(&Found::Unknown)),
        ("press_missing", found(&Found::Missing(all.clone()))),
        ("press_banned", found(&Found::Banned(all))),
        ("press_in_progress", found(&Found::InProgress)),
        ("press_admitted", found(&Found::Admitted)),
        ("press_left_to_admins", found(&Found::LeftToAdmins)),
        ("press_stale", texts.press_stale()),
        ("press_only_for_admins", texts.press_only_for_admins()),
        ("press_hidden", texts.press_hidden()),
        ("press_done", texts.press_done()),
        ("press_unchanged", texts.press_unchanged()),
        ("press_refused", texts.press_refused()),
        ("undo_button", texts.undo_button(count, Word("free"))),
        ("undo_button", texts.undo_button(count, Word("exempt"))),
        ("undo_button", texts.undo_button(count, Word("ban"))),
        ("prove_button", texts.prove_button()),
        ("add_to_group_button", texts.add_to_group_button()),
        ("verify_in_private_button", texts.verify_in_private_button()),
        ("seconds", texts.duration(61)),
        ("seconds", texts.duration(0)),
        ("minutes", texts.duration(60)),
        ("minutes", texts.duration(5_400)),
        ("hours", texts.duration(3_600)),
        ("hours", texts.duration(7_200)),
        ("days", texts.duration(86_400)),
        ("days", texts.duration(30 * 86_400)),
    ];
    plain.extend(COMMANDS.iter().map(|command| ("about", texts.about(command.name))));
    plain.extend(FIELDS.iter().map(|field| ("setting", texts.setting(field.name, &sample.verbatim))));
    let choices = ["off", "yes", "no", "en", "de", "allow", "hold", "stay", "kick", "ban", "delete"];
    plain.extend(choices.map(|choice| ("value", texts.value(choice))));
    plain
}

fn read(texts: &[(&str, String)]) -> String {
    texts.iter().map(|(id, text)| format!("[{id}] {text}\n")).collect()
}

#[test]
fn every_text_is_read_as_it_stands_here() {
    for language in Language::ALL {
        let texts = Texts(language);
        assert_snapshot!(format!("messages_{}", language.code()), read(&messages(texts, &sample())));
        assert_snapshot!(format!("plain_{}", language.code()), read(&plain(texts, &sample())));
    }
}

#[test]
fn an_answer_to_a_press_names_as_many_channels_as_it_has_room_for() {
    let name = |nth: i64| format!("channel_{nth}_{}", "x".repeat(20));
    let channels: Vec<_> = (0..10).map(|nth| (ChatId(-nth), named(&name(nth), ""))).collect();
    let all: Vec<ChatId> = channels.iter().map(|(chat, _)| *chat).collect();
    for texts in Language::ALL.map(Texts) {
        for found in [Found::Missing(all.clone()), Found::Banned(all.clone())] {
            let (whole, brief) = (texts.found(&found, &channels), texts.found_briefly(&found, &channels));
            let named = |text: &str| (0..10).filter(|nth| text.contains(&format!("@{}", name(*nth)))).count();
            assert_eq!((named(&whole), brief.chars().count() <= ANSWER_CHARS), (10, true), "{brief}");
            assert!(named(&brief) >= 3 && brief.ends_with('…'), "{brief}");
            assert_eq!(brief.matches('@').count(), named(&brief), "none is cut: {brief}");
        }
    }
}

#[test]
fn a_prompt_names_who_waits_and_where_to_join() {
    let one = vec![channels().remove(0)];
    let texts = Texts(Language::En);
    let group = named("", "Our <Group>");
    let custom = Some("Hey {names} & others of {group}:\njoin {channels} <b>now</b> {or never}");
    let prompt = |waiting: &[&str], count, channels: &[_], custom| {
        texts.group_prompt(&self::waiting(waiting), count, channels, &group, custom)
    };
    assert_snapshot!(read(&[
        ("one waits", prompt(&["Ann"], 1, &one, None)),
        ("more than are named", prompt(&["Ann", "Bob"], 40, &channels(), None)),
        ("hostile names", prompt(&HOSTILE, 9, &one, None)),
        ("the group's own text", prompt(&["Ann", "Bob"], 3, &channels(), custom)),
    ]));
}

/// The variables that a pattern uses.
fn variables(pattern: &Pattern<&str>, found: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        match expression {
            Expression::Inline(InlineExpression::VariableReference { id }) => {
                found.insert(id.name.to_owned());
            }
            Expression::Inline(_) => {}
            Expression::Select { selector, variants } => {
                if let InlineExpression::VariableReference { id } = selector {
                    found.insert(id.name.to_owned());
                }
                variants.iter().for_each(|variant| variables(&variant.value, found));
            }
        }
    }
}

/// The messages of a catalogue, each with its variables.
fn catalogue_of(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let resource = FluentResource::try_new(source(language).to_owned()).unwrap();
    let mut messages = BTreeMap::new();
    for entry in resource.entries() {
        match entry {
            Entry::Message(message) => {
                let mut found = BTreeSet::new();
                variables(message.value.as_ref().unwrap(), &mut found);
                assert!(messages.insert(message.id.name.to_owned(), found).is_none(), "{} twice", message.id.name);
            }
            Entry::Junk { content } => panic!("{language:?}: {content}"),
            _ => {}
        }
    }
    messages
}

#[test]
fn every_language_has_the_messages_that_are_used_with_their_arguments_and_no_others() {
    let own = FUNCTIONS.iter().map(|(id, arguments)| ((*id).to_owned(), arguments.to_vec()));
    let about = COMMANDS.iter().map(|command| (format!("about_{}", command.name), vec![]));
    let usages = COMMANDS.iter().filter(|command| command.takes_more);
    let usage = usages.map(|command| (format!("usage_{}", command.name), vec![]));
    let settings = GroupSettings::NAMES.iter().filter(|name| **name != "raid_until_ms");
    let setting = settings.map(|name| (format!("setting_{name}"), vec!["value"]));
    let choices = ["off", "yes", "no", "en", "de", "allow", "hold", "stay", "kick", "ban", "delete"];
    let value = choices.into_iter().map(|choice| (format!("value_{choice}"), vec![]));
    let used: BTreeMap<String, BTreeSet<String>> = own
        .chain(about)
        .chain(usage)
        .chain(setting)
        .chain(value)
        .map(|(id, arguments)| (id, arguments.into_iter().map(str::to_owned).collect()))
        .collect();
    for language in Language::ALL {
        let found = catalogue_of(language);
        for (id, arguments) in &used {
            assert_eq!(found.get(id), Some(arguments), "{language:?}: {id}");
        }
        let unused: Vec<&String> = found.keys().filter(|id| !used.contains_key(*id)).collect();
        assert!(unused.is_empty(), "{language:?}: {unused:?}");
    }
}

#[test]
fn every_function_is_shown_here() {
    let texts = Texts(Language::En);
    let shown: BTreeSet<&str> =
        messages(texts, &sample()).iter().chain(&plain(texts, &sample())).map(|(id, _)| *id).collect();
    let missing: Vec<&str> = FUNCTIONS.iter().map(|(id, _)| *id).filter(|id| !shown.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What people and owners may call themselves: anything, and above all what looks like markup.
fn some_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>&\"';/ab={}$]{0,130}",
        "\\PC{0,130}",
        proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
    ]
}

fn some_channel() -> impl Strategy<Value = ChatFacts> {
    let username = prop_oneof![Just(String::new()), "[a-z][a-z0-9_]{4,31}"];
    (username, some_name()).prop_map(|(username, title)| named(&username, &title))
}

fn some_sample() -> impl Strategy<Value = Sample> {
    let names = proptest::collection::vec(some_name(), 0..=10);
    let channels = proptest::collection::vec(some_channel(), 1..=20);
    (some_name(), names, channels, 0..1_000_000_i64, "[\\PC<>&]{0,999}[!-~]").prop_map(
        |(name, names, channels, count, verbatim)| Sample {
            name,
            waiting: names.into_iter().zip(11..).map(|(name, id)| (UserId(id), name)).collect(),
            channels: channels.into_iter().zip(1..).map(|(facts, id)| (ChatId(-id), facts)).collect(),
            count,
            verbatim,
        },
    )
}

/// The longest text that a group may set: each placeholder once.
fn some_prompt_text() -> impl Strategy<Value = String> {
    "[^{}\\p{Cc}]{0,900}".prop_map(|text| format!("{{names}} {{group}} {{channels}} {text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_name_is_shown_and_nothing_of_it_becomes_markup(name in some_name()) {
        let texts = Texts(Language::En);
        let shown = plain_text(&texts.allowed(Name(&name))).map_err(TestCaseError::fail)?;
        prop_assert_eq!(shown, format!("{} may write here without having joined.", clean(&name)));
        let channel = named("", &name);
        let label = texts.join_button(Channel(&channel));
        let title = clean(&name);
        prop_assert_eq!(label, format!("Join {}", if title.is_empty() { "the channel" } else { &title }));
    }

    #[test]
    fn names_are_short_and_turn_no_direction(name in some_name()) {
        let shown = clean(&name);
        prop_assert!(shown.chars().count() <= NAME_CHARS);
        let turns = shown.contains(['\u{202e}', '\u{202d}', '\u{2067}', '\u{200f}', '\u{200b}', '\n', '\u{0301}']);
        prop_assert!(!turns, "{:?}", shown);
    }

    #[test]
    fn a_name_that_shows_as_nothing_is_none(name in "[\u{a0}\u{115f}\u{1160}\u{180e}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{2800}\u{3000}\u{3164}\u{feff}\u{ffa0}]{0,40}") {
        prop_assert_eq!(clean(&name), "");
    }
}
