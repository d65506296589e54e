//! Every text as people read it, and that no name or title breaks one.

#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// Telegram's longest message, in UTF-16 units after its markup is taken out.
const MESSAGE_UNITS: usize = 4_096;

fn named(username: &str, title: &str, invite_link: &str) -> ChatFacts {
    ChatFacts {
        username: username.to_owned(),
        title: title.to_owned(),
        invite_link: invite_link.to_owned(),
        ..ChatFacts::default()
    }
}

/// A public channel, a private one, and one with nothing to call it by, whose title is markup.
fn channels() -> Vec<(ChatId, ChatFacts)> {
    vec![
        (ChatId(-1), named("news", "News", "")),
        (ChatId(-2), named("", "<b>Tom & \"Jerry\"</b>", "https://t.me/+abc")),
        (ChatId(-3), named("", "", "")),
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

fn waiting(names: &[&str]) -> Vec<(UserId, String)> {
    names.iter().zip(11..).map(|(name, id)| (UserId(id), (*name).to_owned())).collect()
}

/// Several texts in one snapshot.
fn together(texts: &[(&str, String)]) -> String {
    texts.iter().map(|(what, text)| format!("[{what}]\n{text}\n")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_prompt_names_who_waits_and_where_to_join() {
    let one = vec![channels().remove(0)];
    assert_snapshot!(together(&[
        ("one waits", prompt(&waiting(&["Ann"]), 1, &one)),
        ("more than are named", prompt(&waiting(&["Ann", "Bob"]), 40, &channels())),
        ("hostile names", prompt(&waiting(&HOSTILE), 9, &one)),
    ]));
}

#[test]
fn a_prompt_has_a_button_to_each_channel_with_an_address_and_one_to_press() {
    let rows = prompt_buttons(&channels()).inline_keyboard;
    let row = |row: &Vec<InlineKeyboardButton>| {
        assert_eq!(row.len(), 1);
        let to = row[0].url.as_ref().or(row[0].callback_data.as_ref()).unwrap();
        format!("{} -> {to}", row[0].text)
    };
    assert_snapshot!(rows.iter().map(row).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_press_is_answered_without_markup() {
    let answer = |found| press_answer(&found, &channels());
    assert_snapshot!(together(&[
        ("freed", answer(Found::Freed)),
        ("already free", answer(Found::Already)),
        ("by an administrator", answer(Found::ByAdmin)),
        ("unknown", answer(Found::Unknown)),
        ("one missing", answer(Found::Missing(vec![ChatId(-2)]))),
        ("all missing", answer(Found::Missing(vec![ChatId(-3), ChatId(-1), ChatId(-2)]))),
    ]));
}

#[test]
fn commands_are_answered() {
    let channel = named("", "<b>Tom & \"Jerry\"</b>", "");
    assert_snapshot!(together(&[
        ("help", help()),
        ("only in groups", only_in_groups()),
        ("only for administrators", only_for_admins()),
        ("not anonymously", not_anonymously()),
        ("which channel", protect_usage()),
        ("only supergroups", only_supergroups()),
        ("no such channel", no_such_channel("@<b>\u{202e}nobody&")),
        ("not itself", not_itself()),
        ("not your channel", not_your_channel(&channel)),
        ("protected", protected(&[named("news", "News", ""), channel.clone()])),
        ("one channel less", unprotected(Some(&channel))),
        ("unprotected", unprotected(None)),
        ("not required", not_required()),
        ("try again", try_again()),
    ]));
}

#[test]
fn what_is_missing_is_named() {
    let titles = ["News".to_owned(), "<i>Tom & Jerry</i>".to_owned()];
    assert_snapshot!(together(&[
        ("in the group", missing_rights(&["restrict members", "delete messages"], &[])),
        ("in channels", missing_rights(&[], &titles)),
        ("everywhere", missing_rights(&["delete messages"], &titles[..1])),
    ]));
}

#[test]
fn the_status_tells_what_is_required_and_who_waits() {
    let required = [(named("news", "News", ""), true), (named("", "<b>Tom</b>", ""), false)];
    assert_snapshot!(together(&[
        ("protected", status(true, true, &required, 3)),
        ("suspended", status(true, false, &required[..1], 0)),
        ("not protected", status(false, true, &[], 0)),
    ]));
}

/// The text as Telegram shows it.
///
/// # Errors
/// What Telegram would refuse: markup that is unknown, not closed or closed in the wrong order, and loose `<` and `&`.
fn shown(html: &str) -> Result<String, String> {
    let (mut text, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some(next) = rest.chars().next() {
        let token = match next {
            '<' => rest.find('>').map(|end| &rest[..=end]).ok_or("a loose <")?,
            '&' => rest.find(';').map(|end| &rest[..=end]).ok_or("a loose &")?,
            _ => &rest[..next.len_utf8()],
        };
        rest = &rest[token.len()..];
        match token {
            "<b>" => open.push("</b>"),
            "</b>" | "</a>" if open.pop() == Some(token) => {}
            "&amp;" => text.push('&'),
            "&lt;" => text.push('<'),
            "&gt;" => text.push('>'),
            "&quot;" => text.push('"'),
            _ if is_mention(token) => open.push("</a>"),
            _ if token.starts_with(['<', '&']) => return Err(format!("{token} in {html}")),
            plain => text.push_str(plain),
        }
    }
    if open.is_empty() { Ok(text) } else { Err(format!("{open:?} is missing in {html}")) }
}

fn is_mention(token: &str) -> bool {
    let id = token.strip_prefix("<a href=\"tg://user?id=").and_then(|rest| rest.strip_suffix("\">"));
    id.is_some_and(|id| id.parse::<i64>().is_ok())
}

#[test]
fn broken_markup_is_noticed() {
    for broken in ["<b>x", "x</b>", "<b>x</a>", "a & b", "&nbsp;", "<i>x</i>", "a < b", "<a href=\"https://e\">x</a>"] {
        assert!(shown(broken).is_err(), "{broken}");
    }
    assert_eq!(shown("<b>a</b> &lt;<a href=\"tg://user?id=1\">b</a>").unwrap(), "a <b");
}

/// What people and owners may call themselves: anything, and above all what looks like markup.
fn some_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>&\"';/ab=]{0,130}",
        "\\PC{0,130}",
        proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
    ]
}

fn some_channel() -> impl Strategy<Value = ChatFacts> {
    let username = prop_oneof![Just(String::new()), "[a-z][a-z0-9_]{4,31}"];
    (username, some_name()).prop_map(|(username, title)| named(&username, &title, "https://t.me/+abc"))
}

proptest! {
    #[test]
    fn no_name_breaks_a_message(
        names in proptest::collection::vec(some_name(), 0..=10),
        facts in proptest::collection::vec(some_channel(), 1..=20),
        more in 0..1_000_000_i64,
        spelled in some_name(),
    ) {
        let waiting: Vec<_> = names.into_iter().zip(11..).map(|(name, id)| (UserId(id), name)).collect();
        let count = waiting.len() as i64 + more;
        let channels: Vec<_> = facts.iter().cloned().zip(1..).map(|(facts, id)| (ChatId(-id), facts)).collect();
        let watched: Vec<_> = facts.iter().cloned().zip([true, false].into_iter().cycle()).collect();
        let messages = [
            prompt(&waiting, count, &channels),
            no_such_channel(&spelled),
            not_your_channel(&facts[0]),
            protected(&facts),
            unprotected(facts.first()),
            status(true, true, &watched, count),
            missing_rights(&["delete messages"], &[facts[0].title.clone()]),
        ];
        for html in messages {
            let shown = shown(&html).map_err(TestCaseError::fail)?;
            prop_assert!(!shown.trim().is_empty());
            prop_assert!(shown.encode_utf16().count() <= MESSAGE_UNITS, "{} units", shown.encode_utf16().count());
        }
    }

    #[test]
    fn names_of_people_are_short_and_turn_no_direction(name in some_name()) {
        let shown = shown(&safe(&name)).map_err(TestCaseError::fail)?;
        prop_assert!(shown.chars().count() <= NAME_CHARS);
        let turns = shown.contains(['\u{202e}', '\u{202d}', '\u{2067}', '\u{200f}', '\u{200b}', '\n', '\u{0301}']);
        prop_assert!(!turns, "{:?}", shown);
    }

    #[test]
    fn an_answer_is_no_longer_than_telegram_takes(facts in proptest::collection::vec(some_channel(), 1..=20)) {
        let channels: Vec<_> = facts.into_iter().zip(1..).map(|(facts, id)| (ChatId(-id), facts)).collect();
        let answer = press_answer(&Found::Missing(channels.iter().map(|(chat, _)| *chat).collect()), &channels);
        prop_assert!(!answer.is_empty() && answer.chars().count() <= 200);
    }
}
