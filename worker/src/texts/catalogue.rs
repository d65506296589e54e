//! The catalogues: one file a language, read once.

use std::sync::LazyLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};

use crate::settings::Language;

/// The texts of one language.
pub(super) struct Catalogue(FluentBundle<FluentResource>);

static ENGLISH: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(Language::En));
static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(Language::De));

/// The catalogue of a language.
pub(super) fn catalogue(language: Language) -> &'static Catalogue {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}

/// The file of a language.
pub(super) const fn source(language: Language) -> &'static str {
    match language {
        Language::En => include_str!("../../texts/en.ftl"),
        Language::De => include_str!("../../texts/de.ftl"),
    }
}

impl Catalogue {
    fn read(language: Language) -> Self {
        let tag = language.code().parse().expect("invariant: a language tag");
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        // Telegram counts the characters that set text of either direction apart, and shows them.
        bundle.set_use_isolating(false);
        let resource = FluentResource::try_new(source(language).to_owned()).expect("invariant: a test reads it");
        bundle.add_resource(resource).expect("invariant: a test finds what stands there twice");
        Self(bundle)
    }

    /// The message `id` with its arguments filled in; `None` where it lacks anything.
    pub(super) fn format<'a>(
        &self,
        id: &str,
        arguments: impl Iterator<Item = (&'a str, FluentValue<'static>)>,
    ) -> Option<String> {
        let mut filling = FluentArgs::new();
        for (name, value) in arguments {
            filling.set(name, value);
        }
        let pattern = self.0.get_message(id)?.value()?;
        let mut errors = Vec::new();
        let text = self.0.format_pattern(pattern, Some(&filling), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }
}
