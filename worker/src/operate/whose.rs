//! Which bot an order is about.

use anyhow::{bail, ensure};
use clap::Args;
use nezuko_shared::config::Settings;
use nezuko_telegram::BotId;

/// Whose they are.
#[derive(Args, Debug)]
pub struct Whose {
    /// The bot's id; needed where there are several.
    #[arg(long)]
    bot: Option<i64>,
}

impl Whose {
    pub(super) fn bot(&self, settings: &Settings) -> anyhow::Result<BotId> {
        match (self.bot, &settings.bots[..]) {
            (None, [only]) => Ok(only.id),
            (None, _) => bail!("there are several bots, {:?}: say which by --bot", settings.bot_ids()),
            (Some(id), bots) => {
                ensure!(bots.iter().any(|bot| bot.id.0 == id), "bot {id} is none of {:?}", settings.bot_ids());
                Ok(BotId(id))
            }
        }
    }
}
