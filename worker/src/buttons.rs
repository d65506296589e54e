//! What buttons and deep links carry: a version, a kind, the short id of a row and two small numbers, under a MAC. Pure.
//!
//! Anybody can send any data. What is not of our making is told by the MAC, which covers the bot and the chat besides, so
//! that no button works elsewhere; what a genuine button may do is decided from its row (E67, E68).

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nezuko_telegram::{BotId, ChatId};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
/// 96 bits: nobody guesses one in the lifetime of a bot.
const MAC_BYTES: usize = 12;
/// Version, kind, row, argument.
const BODY_BYTES: usize = 12;

/// What a button is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// *I have joined* of the group's standing prompt: acts for whoever presses. It has no row.
    Joined,
    /// Proves who an anonymous administrator is.
    Prove,
    /// Sets something in the panel of settings.
    Panel,
    /// A deep link that checks whom it was made for.
    Verify,
    /// Undoes a line of a log chat, or goes further; its row is the line.
    Undo,
    /// *I have joined* for somebody who asks to be let into a group; its row is the request: the group, of whoever the private
    /// chat is with.
    Asked,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Joined, Self::Prove, Self::Panel, Self::Verify, Self::Undo, Self::Asked];
}

/// A genuine button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What it is for.
    pub kind: Kind,
    /// Its row; 0: none.
    pub row: i64,
    /// What of the row's message it is: of a panel the setting and the choice.
    pub argument: [u8; 2],
}

impl Button {
    /// That of the standing prompt.
    pub const JOINED: Self = Self { kind: Kind::Joined, row: 0, argument: [0, 0] };

    /// One of a row.
    #[must_use]
    pub const fn of_row(kind: Kind, row: i64) -> Self {
        Self { kind, row, argument: [0, 0] }
    }

    /// Whether it says *I have joined*.
    #[must_use]
    pub const fn is_joined(self) -> bool {
        matches!(self.kind, Kind::Joined | Kind::Asked)
    }

    fn body(self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[0] = VERSION;
        body[1] = self.kind as u8;
        body[2..10].copy_from_slice(&self.row.to_be_bytes());
        body[10..].copy_from_slice(&self.argument);
        body
    }

    fn read(body: [u8; BODY_BYTES]) -> Option<Self> {
        let [version, kind, row @ .., field, choice] = body;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        let row = i64::from_be_bytes(row);
        (version == VERSION).then_some(Self { kind, row, argument: [field, choice] })
    }
}

/// The key under which a bot's buttons are made. It comes from the token: with a new one, old buttons do nothing any more.
#[derive(Clone)]
pub struct ButtonKey {
    bot: BotId,
    key: hmac::Key,
}

impl std::fmt::Debug for ButtonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ButtonKey(***)")
    }
}

impl ButtonKey {
    /// The key of a bot with this token.
    #[must_use]
    pub fn of_token(bot: BotId, token: &str) -> Self {
        let of_token = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let derived = hmac::sign(&of_token, b"nezuko: what buttons carry");
        Self { bot, key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// What a button of `chat` carries: 32 characters, which deep links take as well.
    #[must_use]
    pub fn encode(&self, button: Button, chat: ChatId) -> String {
        let body = button.body();
        let mut data = body.to_vec();
        data.extend_from_slice(&self.mac(&body, chat).as_ref()[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(data)
    }

    /// The button of `chat` that carries this; `None` where none of ours does.
    #[must_use]
    pub fn decode(&self, data: &str, chat: ChatId) -> Option<Button> {
        let data = URL_SAFE_NO_PAD.decode(data).ok()?;
        let (body, mac) = data.split_first_chunk::<BODY_BYTES>()?;
        let expected = self.mac(body, chat);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], mac).ok()?;
        Button::read(*body)
    }

    fn mac(&self, body: &[u8], chat: ChatId) -> hmac::Tag {
        let parts = [&self.bot.0.to_be_bytes()[..], &chat.0.to_be_bytes()[..], body].concat();
        hmac::sign(&self.key, &parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOT: BotId = BotId(7_000_000_001);
    const CHAT: ChatId = ChatId(-1_001_000_000_001);

    fn key() -> ButtonKey {
        ButtonKey::of_token(BOT, "7000000001:a-token")
    }

    fn some_button() -> impl Strategy<Value = Button> {
        let kind = proptest::sample::select(&Kind::ALL[..]);
        (kind, any::<i64>(), any::<[u8; 2]>()).prop_map(|(kind, row, argument)| Button { kind, row, argument })
    }

    proptest! {
        #[test]
        fn a_button_is_read_as_it_was_made_and_fits(button in some_button(), chat in any::<i64>()) {
            let data = key().encode(button, ChatId(chat));
            prop_assert!(data.len() <= 64);
            prop_assert!(data.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(key().decode(&data, ChatId(chat)), Some(button));
        }

        #[test]
        fn e68_no_changed_data_is_ours(button in some_button(), at in 0_usize..32, by in 1_u8..64) {
            const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut data = key().encode(button, CHAT).into_bytes();
            let digit = DIGITS.iter().position(|digit| *digit == data[at]).expect("a digit");
            data[at] = DIGITS[(digit + usize::from(by)) % 64];
            prop_assert_eq!(key().decode(std::str::from_utf8(&data).expect("ASCII"), CHAT), None);
        }

        #[test]
        fn whatever_is_sent_is_read_or_refused(data in any::<String>()) {
            prop_assert_eq!(key().decode(&data, CHAT), None);
        }
    }

    #[test]
    fn a_button_works_for_its_bot_chat_and_token_alone() {
        let data = key().encode(Button::of_row(Kind::Prove, 5), CHAT);
        assert_eq!(key().decode(&data, ChatId(CHAT.0 - 1)), None);
        assert_eq!(ButtonKey::of_token(BotId(BOT.0 + 1), "7000000001:a-token").decode(&data, CHAT), None);
        assert_eq!(ButtonKey::of_token(BOT, "7000000001:another").decode(&data, CHAT), None);
        assert_eq!(key().decode(&data[..data.len() - 4], CHAT), None, "with a shorter MAC");
    }

    #[test]
    fn the_key_is_shown_to_nobody() {
        assert_eq!(format!("{:?}", key()), "ButtonKey(***)");
    }
}
