//! `operate groups`: which groups are served (E105). What is laid down holds from the next moment; whoever works now carries
//! it out.

use anyhow::ensure;
use clap::{Subcommand, ValueEnum};
use nezuko_shared::config::Settings;
use nezuko_telegram::{ChatId, UserId};

use super::whose::Whose;
use crate::{
    admission::{Refusal, Rules},
    clock,
    store::{KnownGroup, OperatorRule, SqlStore},
};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Groups {
    /// What is laid down, and the groups that the bot knows: id, owner, state, title.
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Serve groups whatever the mode, beside their owners' quotas.
    Allow {
        #[command(flatten)]
        whose: Whose,
        /// Ids of groups, such as -1001234567890.
        #[arg(required = true, allow_negative_numbers = true)]
        groups: Vec<i64>,
    },
    /// Serve groups no longer: the bot says so and leaves, also when it is added again.
    Block {
        #[command(flatten)]
        whose: Whose,
        /// Ids of groups, such as -1001234567890.
        #[arg(required = true, allow_negative_numbers = true)]
        groups: Vec<i64>,
    },
    /// Neither allow nor block groups any more.
    Unlist {
        #[command(flatten)]
        whose: Whose,
        /// Ids of groups, such as -1001234567890.
        #[arg(required = true, allow_negative_numbers = true)]
        groups: Vec<i64>,
    },
    /// How many groups whoever adds the bot may have it protect.
    Quota {
        #[command(flatten)]
        whose: Whose,
        /// Only for this person.
        #[arg(long)]
        owner: Option<i64>,
        /// At most so many; without it, nothing is laid down any more.
        most: Option<u32>,
    },
    /// Whether groups are served that are not on the list.
    Mode {
        #[command(flatten)]
        whose: Whose,
        /// Which.
        mode: Mode,
    },
}

/// Whether groups are served that are not on the list.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// All but blocked ones.
    Open,
    /// Only allowed ones.
    AllowList,
}

impl Groups {
    /// Always true.
    pub(super) async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        let (whose, rules) = match self {
            Self::List { whose } => {
                let store = super::store(settings, whose.bot(settings)?).await?;
                print!("{}", listed(&store.operator_rules().await?, &store.known_groups().await?));
                return Ok(true);
            }
            Self::Allow { whose, groups } => (whose, list(&groups, Some(true))?),
            Self::Block { whose, groups } => (whose, list(&groups, Some(false))?),
            Self::Unlist { whose, groups } => (whose, list(&groups, None)?),
            Self::Quota { whose, owner, most } => {
                (whose, vec![OperatorRule::Quota(owner.map(UserId), most.map(i64::from))])
            }
            Self::Mode { whose, mode } => (whose, vec![OperatorRule::Closed(matches!(mode, Mode::AllowList))]),
        };
        let store = super::store(settings, whose.bot(settings)?).await?;
        lay_down(&store, rules).await?;
        Ok(true)
    }
}

fn list(groups: &[i64], allowed: Option<bool>) -> anyhow::Result<Vec<OperatorRule>> {
    for group in groups {
        ensure!(*group < 0, "{group} is no group: ids of groups are negative, as `operate groups list` shows them");
    }
    Ok(groups.iter().map(|group| OperatorRule::Listed(ChatId(*group), allowed)).collect())
}

async fn lay_down(store: &SqlStore, rules: Vec<OperatorRule>) -> anyhow::Result<()> {
    let now_ms = (clock::system())();
    let mut changed = Vec::new();
    for rule in rules {
        changed.extend(store.lay_down(rule, now_ms).await?);
    }
    for (group, refusal) in &changed {
        println!("{group}\t{}", state(*refusal));
    }
    println!("laid down; {} groups change", changed.len());
    Ok(())
}

const fn state(refusal: Option<Refusal>) -> &'static str {
    match refusal {
        None => "served",
        Some(refusal) => refusal.label(),
    }
}

fn listed(rules: &Rules, groups: &[KnownGroup]) -> String {
    let quota = |most: Option<i64>| most.map_or_else(|| "no quota".to_owned(), |most| format!("at most {most}"));
    let mut lines = vec![
        format!("mode\t{}", if rules.closed { "allow-list" } else { "open" }),
        format!("quota\teverybody\t{}", quota(rules.quota)),
    ];
    lines.extend(rules.quotas.iter().map(|(owner, most)| format!("quota\t{owner}\t{}", quota(Some(*most)))));
    let list = |allowed: &bool| if *allowed { "allowed" } else { "blocked" };
    lines.extend(rules.listed.iter().map(|(group, allowed)| format!("{}\t{group}", list(allowed))));
    for KnownGroup { id, chat, owner } in groups {
        let owner = owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string());
        let protected = if chat.facts.is_protected() { ", protected" } else { "" };
        // A title is whatever somebody wrote.
        let title = chat.facts.title.replace(char::is_control, " ");
        lines.push(format!("group\t{id}\tof {owner}\t{}{protected}\t{title}", state(chat.facts.refused)));
    }
    lines.join("\n") + "\n"
}
