//! `dlq`: the updates that were given up.

use anyhow::Context;
use clap::{Args, Subcommand};
use nezuko_shared::{config::Settings, queue::dead_letters::DeadLetter};

use super::whose::Whose;

/// Which of them.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Ids as `dlq list` shows them.
    ids: Vec<String>,
    /// All that there are now.
    #[arg(long)]
    all: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// The oldest ones, a line each: id, when, update, reason.
    List {
        #[command(flatten)]
        whose: Whose,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One of them with its update as Telegram sent it.
    Show {
        #[command(flatten)]
        whose: Whose,
        /// Its id.
        id: String,
    },
    /// Put them back into the queue, once what made them fail is mended. The update keeps the time at which it came.
    Replay {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        which: Which,
    },
    /// Forget them for good.
    Drop {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        which: Which,
    },
}

impl Dlq {
    /// True where all was there that was named.
    pub(super) async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        match self {
            Self::List { whose, limit } => {
                let letters = super::dead_letters(settings, whose.bot(settings)?).await?.list(limit).await?;
                for letter in &letters {
                    println!("{}", line(letter));
                }
                if letters.is_empty() {
                    println!("none");
                }
                Ok(true)
            }
            Self::Show { whose, id } => {
                let letter = super::dead_letters(settings, whose.bot(settings)?).await?.show(&id).await?;
                let letter = letter.with_context(|| format!("there is no dead letter {id}; see `dlq list`"))?;
                println!("{}", line(&letter));
                println!("trace     {}", letter.traceparent.as_deref().unwrap_or("-"));
                println!("received  {}", letter.received_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")));
                println!("{}", String::from_utf8_lossy(&letter.payload));
                Ok(true)
            }
            Self::Replay { whose, which } => on_each(settings, &whose, which, true).await,
            Self::Drop { whose, which } => on_each(settings, &whose, which, false).await,
        }
    }
}

async fn on_each(settings: &Settings, whose: &Whose, which: Which, replay: bool) -> anyhow::Result<bool> {
    let letters = super::dead_letters(settings, whose.bot(settings)?).await?;
    let ids = if which.all {
        letters.list(usize::MAX >> 1).await?.into_iter().map(|letter| letter.id).collect()
    } else {
        which.ids
    };
    let (mut done, mut missing) = (0, 0);
    for id in &ids {
        let found = if replay { letters.replay(id).await } else { letters.drop_one(id).await };
        if found.with_context(|| format!("{done} done before {id}"))? {
            done += 1;
        } else {
            missing += 1;
            eprintln!("there is no dead letter {id}; see `dlq list`");
        }
    }
    println!("{} {done}", if replay { "replayed" } else { "dropped" });
    Ok(missing == 0)
}

fn line(letter: &DeadLetter) -> String {
    let update = letter.update_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!("{}\tdied {} ms\tupdate {update}\t{}", letter.id, letter.died_ms, letter.reason)
}
