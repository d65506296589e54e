//! The simulator, which refuses what Telegram refuses, refuses none of our messages, buttons and answers, whatever people and
//! chats are called and whatever a group sets.

use loadtest::world::{
    Act, ChatId as Place, ChatKind, ChatSpec, Member, MessageId, Person, Pressed, UserId as Who, World,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    buttons::{Button, ButtonKey},
    intent::{Key, KeyDoes},
    panel,
    send::{GROUPS, LINES, NAMES, of_prompt},
};

const BOT: Who = Who(7_000_000_001);
const ANN: Who = Who(11);
/// The chat that all of it is sent to.
const CHAT: Place = Place(-1_001_000_000_001);

/// Telegram with one group.
struct Telegram(World);

impl Telegram {
    fn new() -> Self {
        let mut world = World::new(World::bot_account(BOT, "nezuko_test_bot"));
        world.add_person(Person::named(ANN, "Ann"));
        let mut spec = ChatSpec::new(CHAT, ChatKind::Supergroup, "Group");
        spec.members = vec![(BOT, Member::Member), (ANN, Member::Member)];
        world.add_chat(0, spec);
        Self(world)
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        let answer = self.0.call(0, method, params);
        if answer.status == 200 {
            Ok(answer.body["result"].clone())
        } else {
            Err(answer.body["description"].to_string())
        }
    }

    /// Sends a message; its number.
    fn send(&mut self, html: &str, keyboard: &[Vec<Key>]) -> Result<i64, String> {
        let button = |key: &Key| match &key.does {
            KeyDoes::Open(url) => json!({"text": key.label, "url": url}),
            KeyDoes::Send(data) => json!({"text": key.label, "callback_data": data}),
        };
        let rows: Vec<Vec<Value>> = keyboard.iter().map(|row| row.iter().map(button).collect()).collect();
        let params =
            json!({"chat_id": CHAT, "text": html, "parse_mode": "HTML", "reply_markup": {"inline_keyboard": rows}});
        Ok(self.call("sendMessage", &params)?["message_id"].as_i64().unwrap())
    }

    /// Answers a press on a message.
    fn answer(&mut self, message: i64, text: &str) -> Result<Value, String> {
        let button = Pressed::Forged("x".to_owned());
        self.0.act(0, Act::PressButton { user: ANN, chat: CHAT, message: MessageId(message), button }).unwrap();
        let press = self.0.take_updates().pop().unwrap();
        let press: Value = serde_json::from_str(&press.body).unwrap();
        self.call("answerCallbackQuery", &json!({"callback_query_id": press["callback_query"]["id"], "text": text}))
    }
}

/// Messages as they are put together of several texts.
fn composed(texts: Texts, sample: &Sample, custom: &str) -> Vec<(&'static str, String)> {
    let Sample { name, waiting, channels, count, verbatim } = sample;
    let group = named("", name);
    let warning = texts.group_warning(waiting, waiting.len() as i64);
    let prompt = |custom| texts.group_prompt(waiting, *count, channels, &group, custom) + &warning;
    let lines: Vec<_> = (0..LINES).map(|_| (Some(UserId(11)), name.as_str(), "would_greet", 1)).collect();
    let required: Vec<ChatFacts> = channels.iter().map(|(_, facts)| facts.clone()).collect();
    let answer = texts.found_briefly(&Found::Missing(channels.iter().map(|(chat, _)| *chat).collect()), channels);
    let checked = vec![texts.verify_in_group(Name(name), Verbatim(&answer)); GROUPS].join("\n");
    let listed = channels.iter().map(|(chat, facts)| texts.channel_unwatched(Channel(facts), Id(*chat)));
    let mut status = vec![texts.status(Word("suspended")), texts.status_dry_run(), texts.channels_head()];
    status.extend(listed);
    status.extend([texts.status_counts(*count, *count), texts.status_hour(*count, *count, *count)]);
    let settings = GroupSettings { prompt_text: Some(custom.to_owned()), ..GroupSettings::default() };
    vec![
        ("the usual prompt with a warning", prompt(None)),
        ("the group's own prompt with a warning", prompt(Some(custom))),
        ("a log", texts.log(name, &lines)),
        ("what the bot lacks", texts.arrival(true, true, true, &required)),
        ("a check in several groups", checked),
        ("how things stand", status.join("\n")),
        ("a panel", panel::text(texts, &group, &settings)),
        ("the prompt's text", texts.setting_set(Word("prompt_text"), Verbatim(custom))),
        ("an export", texts.export(Verbatim(&serde_json::to_string(&settings).unwrap()))),
        ("what is wrong with an import", texts.import_unreadable(Verbatim(verbatim))),
    ]
}

/// The first text or keyboard of all that Telegram refuses, and why.
fn refused(sample: &Sample, custom: &str) -> Result<(), String> {
    let buttons = ButtonKey::of_token(nezuko_telegram::BotId(BOT.0), "7000000001:token");
    let chat = ChatId(CHAT.0);
    let settings = GroupSettings { prompt_text: Some(custom.to_owned()), ..GroupSettings::default() };
    for texts in Language::ALL.map(Texts) {
        let mut telegram = Telegram::new();
        for (id, html) in messages(texts, sample).into_iter().chain(composed(texts, sample, custom)) {
            telegram.send(&html, &[]).map_err(|error| format!("{id}: {error}: {html}"))?;
        }
        let data = buttons.encode(Button::JOINED, chat);
        let prompt = of_prompt(texts, &sample.channels, data);
        let panel = panel::keyboard(texts, &settings, &buttons, chat, i64::MAX);
        for keyboard in [prompt, panel] {
            telegram.send("buttons", &keyboard).map_err(|error| format!("{error}: {keyboard:?}"))?;
        }
        for (id, text) in plain(texts, sample) {
            let label = Key { label: text.clone(), does: KeyDoes::Send("x".to_owned()) };
            let sent = telegram.send("a button", &[vec![label]]);
            sent.and_then(|message| telegram.answer(message, &text))
                .map_err(|error| format!("{id}: {error}: {text}"))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn telegram_refuses_no_text_whatever_anybody_is_called(sample in some_sample(), custom in some_prompt_text()) {
        prop_assert_eq!(refused(&sample, &custom), Ok(()));
    }
}

/// The most of everything, of characters that count twice.
#[test]
fn telegram_refuses_no_text_that_is_as_long_as_it_gets() {
    let name = "💖".repeat(200);
    let channel = |(nth, username): (i64, &str)| (ChatId(-1_001_000_000_000 - nth), named(username, &name));
    let sample = Sample {
        waiting: (0..NAMES).map(|nth| (UserId(i64::MAX - nth), name.clone())).collect(),
        channels: (0..10).zip([""; 10]).map(channel).collect(),
        count: 1_000_000,
        verbatim: "<".repeat(1_000),
        name: name.clone(),
    };
    for filling in ["💖", "\"", "<"] {
        let placeholders = "{names}{channels}{group}";
        let custom = placeholders.to_owned() + &filling.repeat(GroupSettings::PROMPT_TEXT_CHARS - placeholders.len());
        let settings = GroupSettings { prompt_text: Some(custom.clone()), ..GroupSettings::default() };
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(refused(&sample, &custom), Ok(()));
    }
}
