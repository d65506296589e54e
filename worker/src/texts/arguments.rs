//! What is filled into texts: each type knows how it is made harmless.

use fluent_bundle::FluentValue;
use nezuko_telegram::ChatId;

use super::{Markup, Texts};
use crate::facts::ChatFacts;

/// Shown of a name or title.
pub(super) const NAME_CHARS: usize = 32;
/// Channels that are named one by one; no group requires more.
const CHANNELS: usize = 10;

/// What can be filled in.
pub(super) trait Argument {
    /// As it stands in a text.
    fn shown(&self, texts: Texts, markup: Markup) -> FluentValue<'static>;
}

/// What somebody calls themselves, or a chat, or has spelled: cleaned and shortened.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a>(pub(crate) &'a str);

/// A channel by what people know it by.
#[derive(Clone, Copy)]
pub(crate) struct Channel<'a>(pub(crate) &'a ChatFacts);

/// Several of them.
pub(crate) struct Channels<'a>(pub(crate) Vec<&'a ChatFacts>);

/// Text of bounded length in which nothing is changed.
#[derive(Clone, Copy)]
pub(crate) struct Verbatim<'a>(pub(crate) &'a str);

/// A word of ours, which a text may choose by.
#[derive(Clone, Copy)]
pub(crate) struct Word(pub(crate) &'static str);

/// A chat's id.
#[derive(Clone, Copy)]
pub(crate) struct Id(pub(crate) ChatId);

/// What other texts were put together to.
pub(crate) struct Html(pub(crate) String);

impl Name<'_> {
    /// In HTML, or a word of the catalogue where nothing is left of it.
    pub(super) fn or(self, texts: Texts, word: impl FnOnce(Texts) -> String) -> String {
        let name = clean(self.0);
        escape(&if name.is_empty() { word(texts) } else { name })
    }
}

impl<'a> Channels<'a> {
    /// Those of a store's answer.
    pub(crate) fn of(channels: &'a [(ChatId, ChatFacts)]) -> Self {
        Self(channels.iter().map(|(_, facts)| facts).collect())
    }

    /// Those that are listed.
    pub(crate) fn among(channels: &'a [(ChatId, ChatFacts)], listed: &[ChatId]) -> Self {
        Self(channels.iter().filter(|(chat, _)| listed.contains(chat)).map(|(_, facts)| facts).collect())
    }

    fn plain(&self, texts: Texts) -> String {
        let more = if self.0.len() > CHANNELS { ", …" } else { "" };
        list(self.0.iter().take(CHANNELS).map(|facts| plain_channel(texts, facts))) + more
    }

    pub(super) fn html(&self, texts: Texts) -> String {
        escape(&self.plain(texts))
    }
}

/// A channel without markup.
fn plain_channel(texts: Texts, facts: &ChatFacts) -> String {
    if facts.username.is_empty() {
        let title = clean(&facts.title);
        if title.is_empty() { texts.the_channel() } else { title }
    } else {
        format!("@{}", facts.username)
    }
}

/// Text that is shown so, or escaped in HTML.
fn shown(text: String, markup: Markup) -> FluentValue<'static> {
    FluentValue::from(match markup {
        Markup::Html => escape(&text),
        Markup::Plain => text,
    })
}

impl Argument for Name<'_> {
    fn shown(&self, _: Texts, markup: Markup) -> FluentValue<'static> {
        shown(clean(self.0), markup)
    }
}

impl Argument for Channel<'_> {
    fn shown(&self, texts: Texts, markup: Markup) -> FluentValue<'static> {
        shown(plain_channel(texts, self.0), markup)
    }
}

impl Argument for Channels<'_> {
    fn shown(&self, texts: Texts, markup: Markup) -> FluentValue<'static> {
        shown(self.plain(texts), markup)
    }
}

impl Argument for Verbatim<'_> {
    fn shown(&self, _: Texts, markup: Markup) -> FluentValue<'static> {
        shown(self.0.to_owned(), markup)
    }
}

impl Argument for Word {
    fn shown(&self, _: Texts, _: Markup) -> FluentValue<'static> {
        FluentValue::from(self.0)
    }
}

impl Argument for Id {
    fn shown(&self, _: Texts, _: Markup) -> FluentValue<'static> {
        FluentValue::from(self.0.to_string())
    }
}

impl Argument for Html {
    fn shown(&self, _: Texts, _: Markup) -> FluentValue<'static> {
        FluentValue::from(self.0.clone())
    }
}

impl Argument for i64 {
    fn shown(&self, _: Texts, _: Markup) -> FluentValue<'static> {
        FluentValue::from(*self)
    }
}

/// Cut, and without what turns the writing direction, breaks the line, shows as nothing or piles up.
pub(super) fn clean(name: &str) -> String {
    let hidden = |c: char| {
        let turns =
            matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
        let is_blank =
            matches!(c, '\u{feff}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}');
        let piles_up = matches!(c, '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0489}' | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}' | '\u{fe20}'..='\u{fe2f}');
        c.is_control() || turns || is_blank || piles_up
    };
    let cut: String = name.chars().filter(|c| !hidden(*c)).take(NAME_CHARS).collect();
    cut.trim().to_owned()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}
