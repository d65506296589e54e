//! Every text that a person sees, as typed functions over one catalogue a language (`worker/texts/*.ftl`).
//!
//! Markup stands in the catalogues. What is filled in is escaped by its type, and names and titles, hostile until then, are
//! cleaned and shortened as well (E102).

mod arguments;
mod catalogue;

use std::collections::BTreeMap;

use nezuko_telegram::{ChatId, UserId};

pub(crate) use self::arguments::{Channel, Channels, Html, Id, Name, Verbatim, Word};
use self::{
    arguments::{Argument, escape, list},
    catalogue::catalogue,
};
use crate::{
    admission::Refusal,
    facts::ChatFacts,
    send::Found,
    settings::{GroupSettings, Language, OutOfRange, Range},
    store::Verification,
};

/// `answerCallbackQuery` takes no longer texts.
const ANSWER_CHARS: usize = 200;
/// The longest label of a button; longer ones only get cut on the screen.
const LABEL_CHARS: usize = 64;

/// How a text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markup {
    /// As HTML.
    Html,
    /// As it is: labels and answers to presses.
    Plain,
}

/// The texts in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Texts(pub(crate) Language);

macro_rules! texts {
    ($($(#[$doc:meta])* $markup:ident $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Texts {
            $($(#[$doc])*
            pub(crate) fn $name(self, $($argument: $type),*) -> String {
                self.format(stringify!($name), Markup::$markup, &[$((stringify!($argument), &$argument as &dyn Argument)),*])
            })*
        }

        /// Every message of the catalogue that has a function of its own, with its arguments.
        #[cfg(test)]
        const FUNCTIONS: &[(&str, &[&str])] = &[$((stringify!($name), &[$(stringify!($argument)),*])),*];
    };
}

texts! {
    /// In place of a name.
    Plain someone();
    /// In place of a title.
    Plain the_channel();
    /// In place of a title.
    Plain this_group();
    Html prompt(names: Html, channels: Channels<'_>);
    Html names_and_more(names: Html, more: i64);
    /// The group's prompt while so many come that nobody is named (E98).
    Html crowd(count: i64, channels: Channels<'_>);
    Html warning(names: Html);
    /// To more than can be named.
    Html warning_all();
    /// In place of a prompt that cannot be deleted any more.
    Html prompt_over();
    /// On a button that leads to a channel.
    Plain join_button(channel: Channel<'_>);
    /// On the button that is pressed after having joined.
    Plain joined_button();
    Html greeting(group: Html, channels: Channels<'_>);

    Plain press_freed();
    Plain press_already();
    Plain press_by_admin();
    Plain press_unknown();
    Plain press_missing(channels: Channels<'_>);
    /// They cannot join (E30).
    Plain press_banned(channels: Channels<'_>);
    /// Another press of the same person is being looked into (E70).
    Plain press_in_progress();
    /// Their request to be let in is granted.
    Plain press_admitted();
    /// Their request is not for the bot to answer (E24).
    Plain press_left_to_admins();
    /// Whatever is wrong with the button: it tells nobody what (E68).
    Plain press_stale();
    Plain press_only_for_admins();
    /// The group shows its members to administrators alone, of whom the bot is none.
    Plain press_hidden();
    Plain press_done();
    Plain press_unchanged();
    Plain press_refused();

    /// To a group that the bot was added to (E76).
    Html arrived();
    /// To a group that the bot was added to again, whose settings it has kept.
    Html arrived_again();
    /// To the administrators of a group whose rule sleeps (E43).
    Html suspended(missing: Html);
    /// To the administrators of a group whose requests to be let in the bot cannot answer (E77).
    Html requests_left();
    /// To the administrators of a group in which people ask to be let in, after an outage (E26).
    Html missed_requests();
    /// To the administrators of a group that many join at once (E98).
    Html raid_begins();

    /// Where somebody has written in the name of a channel (E5).
    Html not_as_channel();

    /// A group's command elsewhere.
    Html only_in_groups();
    /// The asker lacks the right.
    Html only_for_admins();
    /// Sent in the group's name (E3).
    Html prove_yourself();
    Plain prove_button();
    /// Telegram did not tell what was needed in time.
    Html try_again();
    Html usage(command: Word, usage: Html);
    Html start_private();
    Plain add_to_group_button();
    Html start_group();
    Html link_stale();
    Html help_head();
    Html help_everybody();
    Html help_admins();
    Html help_line(command: Word, about: Verbatim<'_>);

    /// A basic group (E41).
    Html only_supergroups();
    Html no_such_channel(channel: Name<'_>);
    /// To a group that the operator does not have served (E105).
    Html refused_group();
    Html refused_quota();
    /// A group required by itself (E39).
    Html not_itself();
    /// A group required by one that it requires (E39).
    Html not_a_circle(channel: Channel<'_>);
    Html too_many_channels(most: i64);
    Html before_this_works();
    Html missing_here(right: Word);
    Html missing_there(channel: Channel<'_>);
    /// The asker is nobody in the channel (E40).
    Html not_your_channel(channel: Channel<'_>);
    Html protected(channels: Channels<'_>);
    /// The bot can make no link into a channel that has no public name (E37).
    Html no_way_into(channel: Channel<'_>);
    /// Requests to be let into a channel are to count, and the bot is not told of them (E27).
    Html requests_unheard(channel: Channel<'_>);
    Html unprotected_channel(channel: Channel<'_>, freed: Word);
    Html unprotected(freed: Word);
    Html not_required();
    Html release_progress(done: i64, total: i64);
    Html release_done(total: i64);

    Html status(state: Word);
    Html status_dry_run();
    Html status_keeps_messages();
    Html status_raid();
    Html status_counts(waiting: i64, muted: i64);
    Html status_hour(mutes: i64, releases: i64, checks: i64);
    Html channels_none();
    Html channels_head();
    Html channel_line(channel: Channel<'_>, id: Id);
    Html channel_unwatched(channel: Channel<'_>, id: Id);
    Html stats_head();
    Html stats_line(period: Word, mutes: i64, releases: i64, checks: i64, missing: i64);

    Html verify_in_group(group: Name<'_>, answer: Verbatim<'_>);
    Html verify_nowhere();
    Plain verify_in_private_button();

    Html allowed(name: Name<'_>);
    Html disallowed(name: Name<'_>);
    /// An administrator has let them write by other means, too.
    Html disallowed_in_vain(name: Name<'_>);

    Html settings_head(group: Name<'_>);
    Html settings_texts();
    Html settings_line(name: Word, value: Verbatim<'_>);
    Html setting_set(name: Word, value: Verbatim<'_>);
    Html setting_unknown(name: Name<'_>, names: Verbatim<'_>);
    Html setting_choices(name: Word, choices: Verbatim<'_>);
    Html setting_not_a_number(name: Word);
    Html range_seconds(name: Word, least: i64, most: i64);
    Html range_number(name: Word, least: i64, most: i64);
    Html range_text(name: Word, most: i64);
    Html range_placeholders(name: Word);
    Html log_chat_refused(channel: Name<'_>);
    Plain seconds(count: i64);
    Plain minutes(count: i64);
    Plain hours(count: i64);
    Plain days(count: i64);
    Html export(json: Verbatim<'_>);
    Html imported(count: i64);
    Html import_refused();
    Html import_unreadable(error: Verbatim<'_>);
    Html import_version(version: i64);

    Html log_head(group: Html);
    Html log_line(number: i64, name: Html, outcome: Verbatim<'_>);
    Html log_deleted(number: i64, name: Html, count: i64);
    Plain undo_button(number: i64, act: Word);
    Html log_stopped(chat: Id);

    Html recheck_begun(total: i64);
    Html recheck_progress(done: i64, total: i64);
    Html recheck_done(total: i64, failed: i64);
    Html raid_on(time: Verbatim<'_>);
    Html raid_off();
    Html forgotten(kept: i64);
}

/// Messages that belong to each of something, by its name: `about_` a command, `setting_` a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    About,
    Usage,
    Setting,
    Value,
}

impl Family {
    const fn prefix(self) -> &'static str {
        match self {
            Self::About => "about_",
            Self::Usage => "usage_",
            Self::Setting => "setting_",
            Self::Value => "value_",
        }
    }
}

impl Texts {
    fn format(self, id: &str, markup: Markup, arguments: &[(&str, &dyn Argument)]) -> String {
        let shown = arguments.iter().map(|(name, argument)| (*name, argument.shown(self, markup)));
        catalogue(self.0).format(id, shown).expect("invariant: a test finds every message that is missing")
    }

    fn of(self, family: Family, name: &str, markup: Markup, arguments: &[(&str, &dyn Argument)]) -> String {
        self.format(&format!("{}{name}", family.prefix()), markup, arguments)
    }

    /// The group's prompt: who waits, and for what. `custom` is the group's own text for it.
    pub(crate) fn group_prompt(
        self,
        waiting: &[(UserId, String)],
        count: i64,
        channels: &[(ChatId, ChatFacts)],
        group: &ChatFacts,
        custom: Option<&str>,
    ) -> String {
        let named = self.mentions(waiting);
        let more = count - i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        let names = if more > 0 { Html(self.names_and_more(named, more)) } else { named };
        let channels = Channels::of(channels);
        let Some(custom) = custom else { return self.prompt(names, channels) };
        let filling = BTreeMap::from([
            ("{names}", names.0),
            ("{channels}", channels.html(self)),
            ("{group}", Name(&group.title).or(self, Self::this_group)),
        ]);
        fill(custom, &filling)
    }

    /// At the end of the prompt: who has waited for nearly too long; empty where nobody has. `named` are those of them who are
    /// named at all.
    pub(crate) fn group_warning(self, named: &[(UserId, String)], count: i64) -> String {
        match i64::try_from(named.len()) {
            _ if count == 0 => String::new(),
            Ok(named_count) if named_count == count => format!("\n\n{}", self.warning(self.mentions(named))),
            _ => format!("\n\n{}", self.warning_all()),
        }
    }

    /// Why a group is not served.
    pub(crate) fn refused(self, refusal: Refusal) -> String {
        match refusal {
            Refusal::Blocked | Refusal::NotAllowed => self.refused_group(),
            Refusal::OverQuota => self.refused_quota(),
        }
    }

    fn mentions(self, people: &[(UserId, String)]) -> Html {
        Html(list(people.iter().map(|(user, name)| self.mention(*user, name))))
    }

    /// To a group that the bot was added to: how it goes on, and what the bot lacks there and in channels.
    pub(crate) fn arrival(self, is_protected: bool, restrict: bool, delete: bool, channels: &[ChatFacts]) -> String {
        let begin = if is_protected { self.arrived_again() } else { self.arrived() };
        if !restrict && !delete && channels.is_empty() {
            return begin;
        }
        format!("{begin}\n\n{}", self.missing_rights(restrict, delete, channels))
    }

    /// To somebody who asks to be let into a group.
    pub(crate) fn group_greeting(self, group: &str, channels: &[(ChatId, ChatFacts)]) -> String {
        self.greeting(Html(Name(group).or(self, Self::this_group)), Channels::of(channels))
    }

    /// What was done in a group, for its log chat: to whom (`None`: to somebody who asked to be forgotten), by what name, what,
    /// and how often.
    pub(crate) fn log(self, group: &str, lines: &[(Option<UserId>, &str, &str, i64)]) -> String {
        let line = |(number, (user, name, outcome, times)): (i64, &(Option<UserId>, &str, &str, i64))| {
            let name = match user {
                None => escape(&self.someone()),
                // A channel's id.
                Some(user) if user.0 < 0 => format!("<code>{user}</code>"),
                Some(user) => self.mention(*user, name),
            };
            match *outcome {
                Verification::DELETED => self.log_deleted(number, Html(name), *times),
                outcome => self.log_line(number, Html(name), Verbatim(outcome)),
            }
        };
        let head = self.log_head(Html(Name(group).or(self, Self::this_group)));
        [head].into_iter().chain((1..).zip(lines).map(line)).collect::<Vec<_>>().join("\n")
    }

    fn mention(self, user: UserId, name: &str) -> String {
        let name = Name(name).or(self, Self::someone);
        format!("<a href=\"tg://user?id={user}\">{name}</a>")
    }

    /// What a check came to, for an answer to a press, or for one of several in a message: as many channels as there is room for.
    pub(crate) fn found_briefly(self, found: &Found, channels: &[(ChatId, ChatFacts)]) -> String {
        let whole = self.found(found, channels);
        let fits = |text: &String| text.chars().count() <= ANSWER_CHARS;
        if fits(&whole) {
            return whole;
        }
        let count = match found {
            Found::Missing(all) | Found::Banned(all) => all.len(),
            _ => 0,
        };
        let first = |count: usize| match found {
            Found::Banned(all) => Found::Banned(all[..count].to_vec()),
            Found::Missing(all) => Found::Missing(all[..count].to_vec()),
            other => other.clone(),
        };
        let mut fewer = (1..count).rev().map(|count| self.found(&first(count), channels) + " …");
        fewer.find(fits).unwrap_or_else(|| cut(&whole, ANSWER_CHARS))
    }

    /// What a check came to.
    pub(crate) fn found(self, found: &Found, channels: &[(ChatId, ChatFacts)]) -> String {
        match found {
            Found::Freed => self.press_freed(),
            Found::Already => self.press_already(),
            Found::ByAdmin => self.press_by_admin(),
            Found::Unknown => self.press_unknown(),
            Found::InProgress => self.press_in_progress(),
            Found::Admitted => self.press_admitted(),
            Found::LeftToAdmins => self.press_left_to_admins(),
            Found::Missing(missing) => self.press_missing(Channels::among(channels, missing)),
            Found::Banned(banned) => self.press_banned(Channels::among(channels, banned)),
        }
    }

    /// What a command does, in some words.
    pub(crate) fn about(self, command: &str) -> String {
        self.of(Family::About, command, Markup::Plain, &[])
    }

    /// How a command is written.
    pub(crate) fn usage_of(self, command: &'static str) -> String {
        self.usage(Word(command), Html(self.of(Family::Usage, command, Markup::Html, &[])))
    }

    /// A setting with its value, for a button.
    pub(crate) fn setting(self, name: &str, value: &str) -> String {
        cut(&self.of(Family::Setting, name, Markup::Plain, &[("value", &Verbatim(value))]), LABEL_CHARS)
    }

    /// A choice in words.
    pub(crate) fn value(self, choice: &str) -> String {
        self.of(Family::Value, choice, Markup::Plain, &[])
    }

    /// A length of time in the largest unit that fits.
    pub(crate) fn duration(self, seconds: i64) -> String {
        match seconds {
            0 => self.seconds(0),
            s if s % 86_400 == 0 => self.days(s / 86_400),
            s if s % 3_600 == 0 => self.hours(s / 3_600),
            s if s % 60 == 0 => self.minutes(s / 60),
            s => self.seconds(s),
        }
    }

    /// What the bot lacks, in the group and in channels.
    pub(crate) fn missing_rights(self, restrict: bool, delete: bool, channels: &[ChatFacts]) -> String {
        let mut lines = vec![self.before_this_works()];
        match (restrict, delete) {
            (true, true) => lines.push(self.missing_here(Word("both"))),
            (true, false) => lines.push(self.missing_here(Word("restrict"))),
            (false, true) => lines.push(self.missing_here(Word("delete"))),
            (false, false) => {}
        }
        lines.extend(channels.iter().map(|facts| self.missing_there(Channel(facts))));
        lines.join("\n")
    }

    /// A setting that is outside of its range.
    pub(crate) fn out_of_range(self, wrong: &OutOfRange) -> String {
        let name = Word(wrong.name);
        match wrong.range {
            Range::Seconds { least, most } => self.range_seconds(name, least, most),
            Range::Number { least, most } => self.range_number(name, least, most),
            Range::Text { most } => self.range_text(name, most),
            Range::Placeholders => self.range_placeholders(name),
        }
    }
}

/// A group's own text with its placeholders filled in.
fn fill(custom: &str, filling: &BTreeMap<&str, String>) -> String {
    let mut filled = String::new();
    let mut rest = custom;
    while let Some(at) = rest.find('{') {
        filled += &escape(&rest[..at]);
        rest = &rest[at..];
        let known = GroupSettings::PLACEHOLDERS.iter().find(|placeholder| rest.starts_with(**placeholder));
        let length = known.map_or(1, |placeholder| placeholder.len());
        filled += &known.map_or_else(|| "{".to_owned(), |placeholder| filling[*placeholder].clone());
        rest = &rest[length..];
    }
    filled + &escape(rest)
}

/// Plain text as HTML shows it.
pub(crate) fn escaped(text: &str) -> String {
    escape(text)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests;
