//! Names, some of them hostile (E102), and what people say.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::world::{Content, Person, UserId};

const NAMES: [&str; 24] = [
    "Aiko", "Bruno", "Chiara", "Dmitri", "Esra", "Farid", "Greta", "Hugo", "Inés", "Jarek", "Kemal", "Lotte", "Mateo",
    "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Sanjay", "Tuva", "Ursula", "Viktor", "Wanda", "Zoë",
];
/// Markup, direction marks, entities, a name without letters, a very long one.
const HOSTILE_NAMES: [&str; 6] = [
    "<b>Bold</b> & \"Sons\"",
    "\u{202e}drawkcaB",
    "&lt;script&gt;",
    "\u{200b}",
    "🦊🔥 t.me/cheap_followers 🔥🦊 t.me/cheap_followers 🔥🦊 t.me/cheap_followers",
    "a</a><a href=\"https://example.org\">x",
];
const CHAT: [&str; 16] = [
    "good morning everyone",
    "did you see the last post?",
    "I think the second one is better",
    "😂",
    "thanks, that solved it",
    "who is coming on Saturday?",
    "same here",
    "no idea, ask in the other topic",
    "the link does not work for me",
    "try again after the update",
    "welcome!",
    "5 < 7 & 7 > 5, or so they say",
    "https://example.org/article",
    "that is what I meant",
    "see you",
    "ok",
];

/// A person; one in eight has a name that is meant to break things.
pub(super) fn person(id: i64, random: &mut StdRng) -> Person {
    let hostile = random.random_ratio(1, 8);
    let name = if hostile { HOSTILE_NAMES.choose(random) } else { NAMES.choose(random) };
    let username = random.random_ratio(1, 2).then(|| format!("user_{id}"));
    Person {
        id: UserId(id),
        is_bot: false,
        first_name: (*name.unwrap_or(&"Ann")).to_owned(),
        username,
        language_code: None,
    }
}

/// Something that people write; mostly text.
pub(super) fn content(random: &mut StdRng) -> Content {
    let text = (*CHAT.choose(random).unwrap_or(&"ok")).to_owned();
    match random.random_range(0..20) {
        0 => Content::Photo(text),
        1 => Content::Sticker("👋".to_owned()),
        2 => Content::ViaBot(text),
        _ => Content::Text(text),
    }
}
