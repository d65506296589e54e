//! Buttons under messages as the Bot API wants them.

use frankenstein::types::{InlineKeyboardButton, InlineKeyboardMarkup};
use nezuko_telegram::ChatId;

use crate::{
    facts::ChatFacts,
    intent::{Key, KeyDoes},
    texts::{Channel, Texts},
};

/// Buttons to channels; no group requires more.
const CHANNELS: usize = 10;

/// A keyboard; `None` where there are no buttons.
pub(super) fn inline(keyboard: &[Vec<Key>]) -> Option<InlineKeyboardMarkup> {
    let button = |key: &Key| {
        let button = InlineKeyboardButton::builder().text(&key.label);
        match &key.does {
            KeyDoes::Open(url) => button.url(url).build(),
            KeyDoes::Send(data) => button.callback_data(data).build(),
        }
    };
    let rows = keyboard.iter().map(|row| row.iter().map(button).collect()).collect();
    (!keyboard.is_empty()).then(|| InlineKeyboardMarkup::builder().inline_keyboard(rows).build())
}

/// One button to each channel that has an address.
pub(super) fn to_channels(texts: Texts, channels: &[(ChatId, ChatFacts)]) -> Vec<Vec<Key>> {
    let to_channel = |(_, facts): &(ChatId, ChatFacts)| {
        let url = facts.address();
        let label = texts.join_button(Channel(facts));
        (!url.is_empty()).then(|| vec![Key { label, does: KeyDoes::Open(url) }])
    };
    channels.iter().filter_map(to_channel).take(CHANNELS).collect()
}

/// The standing prompt's, and that of who asks to be let in: to the channels, and *I have joined*, which carries `data`.
pub(crate) fn of_prompt(texts: Texts, channels: &[(ChatId, ChatFacts)], data: String) -> Vec<Vec<Key>> {
    let joined = vec![Key { label: texts.joined_button(), does: KeyDoes::Send(data) }];
    to_channels(texts, channels).into_iter().chain([joined]).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::settings::Language;

    #[test]
    fn a_prompt_has_a_button_to_each_channel_with_an_address_and_one_to_press() {
        let named = |username: &str, title: &str, invite_link: &str| ChatFacts {
            username: username.to_owned(),
            title: title.to_owned(),
            invite_link: invite_link.to_owned(),
            ..ChatFacts::default()
        };
        let channels = [
            (ChatId(-1), named("news", "News", "")),
            (ChatId(-2), named("", "<b>Tom & \"Jerry\"</b>", "https://t.me/+abc")),
            (ChatId(-3), named("", "", "")),
        ];
        let keyboard = of_prompt(Texts(Language::En), &channels, "data".to_owned());
        let rows = inline(&keyboard).expect("buttons").inline_keyboard;
        let row = |row: &Vec<InlineKeyboardButton>| {
            assert_eq!(row.len(), 1);
            let to = row[0].url.as_ref().or(row[0].callback_data.as_ref()).expect("it does something");
            format!("{} -> {to}", row[0].text)
        };
        assert_snapshot!(rows.iter().map(row).collect::<Vec<_>>().join("\n"));
        assert_eq!(inline(&[]), None);
    }
}
