//! Whoever operates the bot: gives orders by the program's own commands while it works.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// How orders are given.
#[derive(Clone, Debug)]
pub struct Operator {
    /// `nezuko`, or `nezuko-worker` in a fleet.
    pub program: PathBuf,
    /// What the program runs with.
    pub environment: Vec<(&'static str, String)>,
}

impl Operator {
    /// Gives an order and waits until it is laid down. Where it cannot be, its consequences will be missing.
    pub(super) fn orders(&self, order: &[String]) {
        let mut command = Command::new(&self.program);
        command.arg("operate").args(order).env_clear().envs(self.environment.iter().cloned());
        let done = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output());
        let refused = match done {
            Ok(done) if done.status.success() => return,
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("operate {}: {refused}", order.join(" "));
    }
}
