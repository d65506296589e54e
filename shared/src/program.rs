//! What every program does first and last: settings, telemetry, an exit code; and what its `--help` says about settings.

use std::{fmt::Write, process::ExitCode};

use crate::{
    config::{
        ConfigErrors, Settings,
        table::{self, Default},
    },
    telemetry::{self, Program, metrics::Metrics},
};

/// Reads the settings by `load`, starts the telemetry and runs `work`. Wrong settings are printed, all at once, and end with
/// [`ConfigErrors::EXIT_CODE`]; an error of `work` is logged and ends with 1. The last telemetry is sent
/// afterwards, for two seconds at most.
pub fn start(
    program: Program,
    load: impl FnOnce() -> Result<Settings, ConfigErrors>,
    work: impl FnOnce(&Settings, Metrics) -> anyhow::Result<()>,
) -> ExitCode {
    let settings = match load() {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(ConfigErrors::EXIT_CODE);
        }
    };
    let metrics = Metrics::of_program(program, settings.bots[0].id);
    let started = telemetry::start(&settings, program, &metrics);
    let code = match started.and_then(|()| work(&settings, metrics)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the program cannot run");
            ExitCode::FAILURE
        }
    };
    telemetry::end();
    code
}

/// Every setting with its default and meaning, for `--help`.
#[must_use]
pub fn settings_help() -> String {
    let mut text = String::from("Settings (environment variables; a secret also as a file, by NAME_FILE):\n");
    for setting in table::ALL {
        let default = match setting.default {
            Default::Required => " (required)".to_owned(),
            Default::Value(value) => format!(" [{value}]"),
            Default::Otherwise(_) => String::new(),
        };
        let secret = if setting.secret { " (secret)" } else { "" };
        let meaning = setting.meaning.replace('`', "");
        write!(text, "\n  {}{secret}{default}\n      {meaning}\n", setting.name)
            .expect("invariant: a String takes all");
    }
    text
}
