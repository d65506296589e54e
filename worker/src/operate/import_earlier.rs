//! `operate import-earlier`: takes over the groups, channels, links and owners of the earlier Nezuko (`docs/import.md`).

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;
use nezuko_shared::config::Settings;
use nezuko_telegram::ChatId;

use super::whose::Whose;
use crate::{
    clock,
    earlier::{Kind, Outcome, Plan, Rows, Skipped, of_channel, of_group},
    store::{ChatView, ChatWrites, SqlStore, Store},
};

/// Where the earlier bot's address may stand instead of the arguments.
const FROM: &str = "EARLIER_DATABASE_URL";

/// What to take over.
#[derive(Args, Debug)]
pub struct ImportEarlier {
    #[command(flatten)]
    whose: Whose,
    /// The earlier bot's DATABASE_URL: SQLite or PostgreSQL, also in SQLAlchemy's form. It is only read. One with a password
    /// belongs into the environment, as EARLIER_DATABASE_URL, where nobody sees it in a list of processes.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Only say what would be taken over.
    #[arg(long)]
    dry_run: bool,
}

/// How many of a kind became what.
#[derive(Default)]
struct Counts(BTreeMap<Kind, [usize; 4]>);

const NOT_TAKEN: usize = 3;

impl Counts {
    fn count(&mut self, kind: Kind, outcome: Outcome) {
        let column = match outcome {
            Outcome::Taken => 0,
            Outcome::AsBefore => 1,
            Outcome::NewerHere => 2,
        };
        self.0.entry(kind).or_default()[column] += 1;
    }
}

impl ImportEarlier {
    /// Always true: what is not taken over is said.
    pub(super) async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        let from = self.from.or_else(|| std::env::var(FROM).ok()).with_context(|| format!("give --from, or {FROM}"))?;
        let store = super::store(settings, self.whose.bot(settings)?).await?;
        print!("{}", import(&store, &from, (clock::system())(), self.dry_run).await?);
        Ok(true)
    }
}

/// Takes over what the database at `from` knows, unless it is only to be said what would be, and says what was and what was
/// not. `now_ms`: Unix milliseconds.
///
/// # Errors
/// Where one of the databases cannot be used. What was taken over by then stays; doing it again is harmless.
pub async fn import(store: &SqlStore, from: &str, now_ms: i64, dry_run: bool) -> anyhow::Result<String> {
    let rows = Rows::read(from).await.with_context(|| format!("--from or {FROM}"))?;
    let verifications = rows.verifications;
    let plan = rows.plan(store.bot(), now_ms);
    let counts = take_over(store, &plan, now_ms, dry_run).await?;
    Ok(report(&plan.skipped, &counts, verifications, dry_run))
}

/// One transaction for each chat; what is interrupted is finished by doing it again.
async fn take_over(store: &SqlStore, plan: &Plan, now_ms: i64, dry_run: bool) -> anyhow::Result<Counts> {
    let bot = store.bot();
    let mut counts = Counts::default();
    for channel in &plan.channels {
        let step = |view: &ChatView| of_channel(view, channel, bot, now_ms);
        let outcome = change(store, ChatId(channel.id), now_ms, dry_run, step).await?;
        counts.count(Kind::Channel, outcome);
    }
    for group in &plan.groups {
        let step = |view: &ChatView| {
            let (writes, of_row, of_links) = of_group(view, group, bot, now_ms);
            (writes, (of_row, of_links))
        };
        let (of_row, of_links) = change(store, ChatId(group.0.id), now_ms, dry_run, step).await?;
        counts.count(Kind::Group, of_row);
        of_links.into_iter().for_each(|of_link| counts.count(Kind::Link, of_link));
    }
    for (group, owner, since_ms) in &plan.owners {
        let outcome = match store.owner(*group).await? {
            Some(known) if known == *owner => Outcome::AsBefore,
            Some(_) => Outcome::NewerHere,
            None if dry_run || store.note_owner(*group, *owner, *since_ms).await? => Outcome::Taken,
            None => Outcome::NewerHere,
        };
        counts.count(Kind::Owner, outcome);
    }
    for Skipped { kind, .. } in &plan.skipped {
        counts.0.entry(*kind).or_default()[NOT_TAKEN] += 1;
    }
    Ok(counts)
}

/// Returns what came of it, or would.
async fn change<T>(
    store: &SqlStore,
    chat: ChatId,
    now_ms: i64,
    dry_run: bool,
    step: impl Fn(&ChatView) -> (ChatWrites, T) + Send + Sync,
) -> anyhow::Result<T>
where
    T: Send,
{
    if dry_run {
        return Ok(step(&store.chat(chat).await?).1);
    }
    let mut outcome = None;
    let mut write = |view: &ChatView| {
        let (writes, what) = step(view);
        outcome = Some(what);
        writes
    };
    store.with_chat(chat, "import", now_ms, &mut write).await?;
    Ok(outcome.expect("invariant: the step has run"))
}

fn report(skipped: &[Skipped], counts: &Counts, verifications: i64, dry_run: bool) -> String {
    let mut lines = vec![format!(
        "{:<10}{:>12}{:>12}{:>12}{:>16}",
        "",
        if dry_run { "would take" } else { "taken over" },
        "as before",
        "newer here",
        "not taken over"
    )];
    for kind in Kind::ALL {
        let [taken, as_before, newer, not] = counts.0.get(&kind).copied().unwrap_or_default();
        lines.push(format!("{:<10}{taken:>12}{as_before:>12}{newer:>12}{not:>16}", kind.plural()));
    }
    lines.extend(skipped.iter().map(|Skipped { kind, which, why }| format!("{} {which}: {why}", kind.plural())));
    if verifications > 0 {
        lines.push(format!("verification log: {verifications} rows stay where they are, as the earlier bot's record"));
    }
    if dry_run {
        lines.push("nothing was changed".to_owned());
    }
    lines.join("\n") + "\n"
}
