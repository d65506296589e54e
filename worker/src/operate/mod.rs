//! What an operator asks of the programs beside running them.

mod dlq;
mod doctor;
mod erase;
mod groups;
pub mod import_earlier;
mod log;
mod whose;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, ensure};
use clap::Subcommand;
use nezuko_shared::{
    config::{ConfigErrors, Profile, Role, Secret, Settings},
    database::Database,
    queue::dead_letters::{DeadLetters, redis::RedisDeadLetters, sql::SqlDeadLetters},
    redis_pool::Redis,
};
use nezuko_telegram::BotId;

use crate::store::SqlStore;

/// One question or order.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Bring the database's schema up to date, as the role that owns it, and end. Needs DATABASE_URL only.
    Migrate,
    /// Look at the updates that were given up, put them back, or forget them.
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Look into what is kept, and change it.
    #[command(subcommand)]
    Operate(Operate),
    /// Look at everything that a deployment needs, and say what to fix. Exit code 1 where something is broken.
    Doctor,
}

/// What is kept, and what is done with it.
#[derive(Debug, Subcommand)]
pub enum Operate {
    /// Take over groups, channels, links and owners from the earlier Nezuko. Again is harmless.
    ImportEarlier(import_earlier::ImportEarlier),
    /// Which groups are served: lists, a mode, quotas.
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Erase what is stored about a person or a chat.
    Erase(erase::Erase),
    /// What was done in a group, to whom, and who had it done.
    Log(log::Log),
}

impl Operate {
    async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        match self {
            Self::ImportEarlier(order) => order.carry_out(settings).await,
            Self::Groups(order) => order.carry_out(settings).await,
            Self::Erase(order) => order.carry_out(settings).await,
            Self::Log(order) => order.carry_out(settings).await,
        }
    }
}

impl Operation {
    /// Does it with the settings of the environment; the answer goes to standard output.
    #[must_use]
    pub fn run(self, role: Role) -> ExitCode {
        match self.work(role) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error:#}");
                let is_usage = error.is::<ConfigErrors>();
                if is_usage { ExitCode::from(ConfigErrors::EXIT_CODE) } else { ExitCode::FAILURE }
            }
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn work(self, role: Role) -> anyhow::Result<bool> {
        match self {
            Self::Migrate => migrate(&Settings::database_from_env(role)?).await,
            Self::Dlq(order) => order.carry_out(&Settings::from_env(role)?).await,
            Self::Operate(order) => order.carry_out(&Settings::from_env(role)?).await,
            Self::Doctor => doctor::examine(&Settings::from_env(role)?).await,
        }
    }
}

async fn migrate(url: &Secret) -> anyhow::Result<bool> {
    let database = Database::open(url.expose()).await?;
    let due = database.pending_migrations().await?;
    database.migrate().await?;
    println!("{due} migrations applied, the schema is up to date");
    Ok(true)
}

/// A database that can be worked with.
async fn up_to_date(url: &Secret) -> anyhow::Result<Database> {
    let database = Database::open(url.expose()).await?;
    let due = database.pending_migrations().await?;
    ensure!(due == 0, "{due} migrations are due: run the command `migrate` first");
    Ok(database)
}

/// The rows of a bot.
async fn store(settings: &Settings, bot: BotId) -> anyhow::Result<SqlStore> {
    let database = settings.profile.database().context("a gateway has no database: ask a worker's program")?;
    Ok(SqlStore::new(up_to_date(database).await?, bot))
}

/// The dead letters of a bot, wherever its updates wait.
async fn dead_letters(settings: &Settings, bot: BotId) -> anyhow::Result<Arc<dyn DeadLetters>> {
    Ok(match &settings.profile {
        Profile::Gateway { redis } | Profile::Worker { redis, .. } => {
            Arc::new(RedisDeadLetters::new(Redis::new(redis.expose())?, bot))
        }
        Profile::Embedded { database } => Arc::new(SqlDeadLetters::new(up_to_date(database).await?, bot)),
    })
}
