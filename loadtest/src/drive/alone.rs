//! The program `nezuko` as the simulator's only bot.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use nezuko_ports::free_port;

use super::{Operator, Program};
use crate::simulator::Simulator;

/// A program makes its database first.
const READY_WITHIN: Duration = Duration::from_secs(30);
const SECRET: &str = "loadtest-secret-0123456789";

/// One that runs and is ready; it registers its webhook by itself.
pub(crate) struct Alone {
    pub(crate) program: Program,
    /// Where updates go, and with which secret.
    pub(crate) webhook: String,
    pub(crate) secret: &'static str,
    /// Its page of metrics.
    pub(crate) metrics: String,
    pub(crate) ready_after: Duration,
    /// Who gives it orders.
    pub(crate) operator: Operator,
}

impl Alone {
    /// Starts `nezuko` out of the directory `programs` with its database and log in `dir`, and with `more` in its
    /// environment.
    pub(crate) async fn start(
        programs: &Path,
        dir: &Path,
        token: &str,
        telegram: &Simulator,
        more: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let path = executable(programs, "nezuko")?;
        let (port, ops_port) = (free_port(), free_port());
        let address = format!("http://127.0.0.1:{port}");
        let environment = [
            ("BOT_TOKEN", token.to_owned()),
            ("WEBHOOK_URL", address.clone()),
            ("WEBHOOK_SECRET", SECRET.to_owned()),
            ("BIND", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("OPS_PORT", ops_port.to_string()),
            ("TELEGRAM_API_URL", telegram.api_url()),
            ("DATABASE_URL", format!("sqlite://{}", dir.join("nezuko.sqlite").display())),
        ];
        let began = Instant::now();
        let environment: Vec<_> = environment.into_iter().chain(more.iter().cloned()).collect();
        let mut program = Program::start(&path, "nezuko", dir, environment.iter().cloned())?;
        program.wait_until_ready(&format!("http://127.0.0.1:{ops_port}/ready"), READY_WITHIN).await?;
        Ok(Self {
            program,
            webhook: format!("{address}/webhook"),
            secret: SECRET,
            metrics: format!("http://127.0.0.1:{ops_port}/metrics"),
            ready_after: began.elapsed(),
            operator: Operator { program: path, environment },
        })
    }
}

/// A program in a directory.
pub(crate) fn executable(programs: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let program = programs.join(name);
    ensure!(program.is_file(), "there is no program {}; build it first", program.display());
    Ok(program)
}
