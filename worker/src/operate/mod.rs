//! What an operator asks of the programs beside running them.

mod dlq;
mod doctor;

use std::{process::ExitCode, sync::Arc};

use anyhow::ensure;
use clap::Subcommand;
use nezuko_shared::{
    config::{ConfigErrors, Profile, Role, Secret, Settings},
    database::Database,
    queue::dead_letters::{DeadLetters, redis::RedisDeadLetters, sql::SqlDeadLetters},
    redis_pool::Redis,
};
use nezuko_telegram::BotId;

/// One question or order.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Bring the database's schema up to date, as the role that owns it, and end. Needs DATABASE_URL only.
    Migrate,
    /// Look at the updates that were given up, put them back, or forget them.
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Look at everything that a deployment needs, and say what to fix. Exit code 1 where something is broken.
    Doctor,
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

/// The dead letters of a bot, wherever its updates wait.
async fn dead_letters(settings: &Settings, bot: BotId) -> anyhow::Result<Arc<dyn DeadLetters>> {
    Ok(match &settings.profile {
        Profile::Gateway { redis } | Profile::Worker { redis, .. } => {
            Arc::new(RedisDeadLetters::new(Redis::new(redis.expose())?, bot))
        }
        Profile::Embedded { database } => Arc::new(SqlDeadLetters::new(up_to_date(database).await?, bot)),
    })
}
