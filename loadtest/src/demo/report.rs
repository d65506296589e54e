//! What is said at the end of a demo.

use std::{io::Write, path::Path, time::Duration};

use crate::{
    drive::{Program, Run},
    simulator::Counters,
};

/// What a day came to.
pub(super) struct Outcome {
    pub(super) came_to_rest: bool,
    /// A message may come twice where a program died while it sent it.
    pub(super) may_be_twice: bool,
}

/// Prints the report on a run; true where all is well. What went wrong is written to `history`.
pub(super) fn tell(run: &Run, outcome: &Outcome, took: Duration, history: &Path) -> anyhow::Result<bool> {
    let verdict = run.verdict();
    println!("{}", delivery_line(&run.simulator().counters(), run.simulator().call_count(), took));
    println!("{verdict}");
    let clean = verdict.lost == 0 && verdict.wrong == 0 && (verdict.twice == 0 || outcome.may_be_twice);
    if !clean {
        write_history(run, history)?;
    }
    let unexercised = verdict.unexercised();
    if !unexercised.is_empty() {
        println!("not exercised: {}", unexercised.join(", "));
    }
    if !outcome.came_to_rest {
        println!("the bot never came to rest");
    }
    Ok(clean && unexercised.is_empty() && outcome.came_to_rest)
}

/// Everything that happened in the world, one JSON object a line, beside the programs' own logs.
fn write_history(run: &Run, path: &Path) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for entry in run.simulator().world(|world| world.history().to_vec()) {
        serde_json::to_writer(&mut out, &entry)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn delivery_line(counters: &Counters, calls: usize, took: Duration) -> String {
    let Counters { delivered, duplicates, retried, dropped, .. } = counters;
    format!(
        "\n{delivered} updates taken in ({duplicates} came twice, {retried} retried, {dropped} dropped), {calls} calls, {:.0} s",
        took.as_secs_f64()
    )
}

/// `12.3 MB`, or `?` of a program that has gone.
pub(super) fn memory(program: &Program) -> String {
    program.anonymous_memory().map_or_else(|| "?".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
}
