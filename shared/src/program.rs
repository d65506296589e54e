//! What every program does first and last: settings, logs, an exit code.

use std::process::ExitCode;

use crate::{
    config::{ConfigErrors, Settings},
    telemetry::logs,
};

/// Reads the settings by `load`, starts the logs and runs `work`. Wrong settings are printed, all at once, and end with
/// [`ConfigErrors::EXIT_CODE`]; an error of `work` is logged and ends with 1.
pub fn start(
    load: impl FnOnce() -> Result<Settings, ConfigErrors>,
    work: impl FnOnce(&Settings) -> anyhow::Result<()>,
) -> ExitCode {
    let settings = match load() {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(ConfigErrors::EXIT_CODE);
        }
    };
    logs::init(&settings);
    match work(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the program cannot run");
            ExitCode::FAILURE
        }
    }
}
