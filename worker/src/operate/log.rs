//! `operate log`: what was done in a chat, to whom, and who had it done.

use anyhow::bail;
use clap::Args;
use nezuko_shared::config::Settings;
use nezuko_telegram::{ChatId, UserId};

use super::whose::Whose;
use crate::{clock, store::Record};

/// What to show.
#[derive(Args, Debug)]
pub struct Log {
    #[command(flatten)]
    whose: Whose,
    /// The group's id.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: i64,
    /// Only what was done to or by this person.
    #[arg(long, value_name = "ID")]
    user: Option<i64>,
    /// How far back: such as 90m, 24h, 7d.
    #[arg(long, default_value = "24h")]
    since: String,
    /// At most so many, the newest ones.
    #[arg(long, default_value_t = 1_000)]
    limit: u32,
}

impl Log {
    /// Always true.
    pub(super) async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        let Some(back_ms) = milliseconds(&self.since) else {
            bail!("--since {} is not understood: a number of minutes, hours or days, such as 90m, 24h, 7d", self.since)
        };
        let store = super::store(settings, self.whose.bot(settings)?).await?;
        let since_ms = (clock::system())() - back_ms;
        let records = store.records(ChatId(self.chat), self.user.map(UserId), since_ms, i64::from(self.limit)).await?;
        records.iter().for_each(|record| println!("{}", line(record)));
        if records.is_empty() {
            println!("none");
        }
        Ok(true)
    }
}

fn milliseconds(time: &str) -> Option<i64> {
    let unit = match time.chars().last()? {
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let number: u32 = time[..time.len() - 1].parse().ok()?;
    i64::from(number).checked_mul(unit)
}

fn line(record: &Record) -> String {
    let Record { at_ms, actor, subject, action, detail, trace_id } = record;
    let by = actor.map_or_else(|| "the bot".to_owned(), |actor| actor.to_string());
    let about = subject.map_or_else(|| "-".to_owned(), |subject| subject.to_string());
    let detail = if detail.is_empty() { "-" } else { detail };
    format!("{at_ms} ms\t{action}\tby {by}\tabout {about}\t{detail}\ttrace {trace_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_back_is_a_number_of_minutes_hours_or_days() {
        assert_eq!(milliseconds("90m"), Some(5_400_000));
        assert_eq!(milliseconds("24h"), Some(86_400_000));
        assert_eq!(milliseconds("7d"), Some(604_800_000));
        for wrong in ["", "d", "7", "-1d", "7w", "1.5h", "7ä"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
