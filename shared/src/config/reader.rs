//! Takes single settings from the environment and gathers what is wrong with them, so that all of it is told at once.

use std::{fmt, fs};

use super::{
    secret::Secret,
    table::{self, Default, Setting},
};

/// One thing that is wrong: the setting and what to do about it. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The environment variable.
    pub name: String,
    /// What to do.
    pub problem: String,
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// What a program exits with that cannot run with its settings (`EX_USAGE` of sysexits.h).
    pub const EXIT_CODE: u8 = 64;
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ConfigError { name, problem }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{name}: {problem}")?;
        }
        Ok(())
    }
}

pub(super) struct Reader<V> {
    var: V,
    errors: Vec<ConfigError>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn new(var: V) -> Self {
        Self { var, errors: Vec::new() }
    }

    pub(super) fn wrong(&mut self, name: &str, problem: impl Into<String>) {
        self.errors.push(ConfigError { name: name.to_owned(), problem: problem.into() });
    }

    /// The setting as `parse` understands it, or its default. `None` where it is wrong or missing, which is noted, or
    /// where it has neither value nor default. `wanted` says what would be right; the value itself is shown back
    /// unless it is a secret.
    pub(super) fn take<T>(
        &mut self,
        setting: &Setting,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let given = match self.given(setting) {
            Ok(given) => given,
            Err((name, problem)) => {
                self.wrong(&name, problem);
                return None;
            }
        };
        let value = match (given, setting.default) {
            (Some(value), _) => value,
            (None, Default::Value(value)) => value.to_owned(),
            (None, Default::Otherwise(_)) => return None,
            (None, Default::Required) => {
                let file = if setting.secret { format!(" (or {}_FILE)", setting.name) } else { String::new() };
                self.wrong(setting.name, format!("is missing; set it{file} to {wanted}"));
                return None;
            }
        };
        let parsed = parse(&value);
        if parsed.is_none() {
            let shown = if setting.secret { String::new() } else { format!(", not {value:?}") };
            self.wrong(setting.name, format!("must be {wanted}{shown}"));
        }
        parsed
    }

    /// Whether there is a value, right or wrong, in the variable or in its file.
    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        let names = [setting.name.to_owned(), format!("{}_FILE", setting.name)];
        let names = &names[..if setting.secret { 2 } else { 1 }];
        names.iter().any(|name| (self.var)(name).is_some_and(|value| !value.is_empty()))
    }

    /// A secret whose value satisfies `valid`.
    pub(super) fn secret(
        &mut self,
        setting: &Setting,
        wanted: &str,
        valid: impl FnOnce(&str) -> bool,
    ) -> Option<Secret> {
        self.take(setting, wanted, |value| valid(value).then(|| Secret::new(value)))
    }

    /// An integer in `range`.
    pub(super) fn number(&mut self, setting: &Setting, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let wanted = if *range.end() == u64::MAX {
            format!("a whole number, at least {}", range.start())
        } else {
            format!("a whole number from {} to {}", range.start(), range.end())
        };
        self.take(setting, &wanted, |value| value.parse().ok().filter(|number| range.contains(number)))
    }

    /// What is wrong, in the order of the documentation.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        self.errors.sort_by_key(|error| {
            let of_error =
                |setting: &Setting| [setting.name, &format!("{}_FILE", setting.name)].contains(&&*error.name);
            table::ALL.iter().position(of_error)
        });
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }

    /// The raw value, from the variable or, for a secret, from its file. Empty counts as not given: that is what
    /// `NAME=` in a compose file means.
    fn given(&self, setting: &Setting) -> Result<Option<String>, (String, String)> {
        let direct = (self.var)(setting.name).filter(|value| !value.is_empty());
        if !setting.secret {
            return Ok(direct);
        }
        let file_name = format!("{}_FILE", setting.name);
        let Some(path) = (self.var)(&file_name).filter(|path| !path.is_empty()) else {
            return Ok(direct);
        };
        if direct.is_some() {
            return Err((file_name, format!("give either this or {}, not both", setting.name)));
        }
        match fs::read_to_string(&path) {
            Ok(text) if text.trim_end().is_empty() => {
                Err((file_name, format!("the file {path:?} is empty; put the value into it")))
            }
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err((file_name, format!("the file {path:?} cannot be read ({error}); correct the path"))),
        }
    }
}
