//! `operate erase`: erases what is stored about a person or a chat (E106, `docs/database.md`).

use std::collections::BTreeSet;

use anyhow::ensure;
use clap::Args;
use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{bot_api::BotApi, config::Settings};
use nezuko_telegram::{CallError, ChatId, Client, ErrorClass, Permissions, UserId};
use serde::Serialize;

use super::whose::Whose;
use crate::{
    clock,
    run::CALL_TIMEOUT,
    store::{Erased, SqlStore},
};

/// About whom or what.
#[derive(Args, Debug)]
pub struct Erase {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    about: About,
    /// Also what restrictions hang on: a person is freed first where the bot has muted them, and what others have imposed stands;
    /// a chat's mutes are forgotten.
    #[arg(long)]
    all: bool,
    /// Only count what would be erased.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct About {
    /// A person's id.
    #[arg(long, value_name = "ID")]
    user: Option<i64>,
    /// The id of a group or channel.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: Option<i64>,
}

/// Gives somebody all rights back.
#[derive(Debug, Serialize)]
struct Release {
    chat_id: ChatId,
    user_id: UserId,
    permissions: Permissions,
    use_independent_chat_permissions: bool,
}

impl Erase {
    /// True where everything was erased that was to be.
    pub(super) async fn carry_out(self, settings: &Settings) -> anyhow::Result<bool> {
        let bot = self.whose.bot(settings)?;
        let store = super::store(settings, bot).await?;
        let now_ms = (clock::system())();
        let (user, chat) = (self.about.user.map(UserId), self.about.chat.map(ChatId));
        if let Some(chat) = chat {
            let mutes = store.mutes_in(chat).await?;
            ensure!(
                self.all || self.dry_run || mutes == 0,
                "{mutes} people are muted by the bot in {chat}: free them by /unprotect there, or forget them by --all"
            );
            told(&store.erase_chat(chat, self.dry_run, now_ms).await?, self.dry_run);
            return Ok(true);
        }
        let user = user.filter(|user| user.0 > 0);
        let Some(user) = user else { anyhow::bail!("--user must be a person's id: a positive number") };
        let api = BotApi::new(settings).client(bot, CALL_TIMEOUT)?;
        let mut freed = BTreeSet::new();
        if self.all {
            let protecting = store.protecting_chats(user, now_ms).await?;
            // E49: what others have imposed is none of ours to lift; it stands at Telegram.
            let (ours, others): (Vec<_>, Vec<_>) = protecting.into_iter().partition(|(_, ours)| *ours && !self.dry_run);
            freed = free(&api, user, ours.into_iter().map(|(chat, _)| chat)).await;
            freed.extend(others.into_iter().map(|(chat, _)| chat));
        }
        let erased = erase(&store, user, &freed, self.all, self.dry_run, now_ms).await?;
        Ok(!self.all || erased.kept.is_empty())
    }
}

async fn erase(
    store: &SqlStore,
    user: UserId,
    freed: &BTreeSet<ChatId>,
    all: bool,
    dry_run: bool,
    now_ms: i64,
) -> anyhow::Result<Erased> {
    let erased = store.erase_person(user, freed, all, dry_run, now_ms).await?;
    told(&erased, dry_run);
    Ok(erased)
}

/// Where they are free now, or nothing is left to free.
async fn free(api: &Client, user: UserId, chats: impl Iterator<Item = ChatId>) -> BTreeSet<ChatId> {
    let mut freed = BTreeSet::new();
    for chat_id in chats {
        let release =
            Release { chat_id, user_id: user, permissions: Permissions::ALL, use_independent_chat_permissions: true };
        let answer: Result<MethodResponse<bool>, CallError> = api.request("restrictChatMember", Some(&release)).await;
        match answer.map(|_| ()).map_err(|error| (error.class(), error)) {
            Ok(())
            | Err((
                ErrorClass::AlreadyDone
                | ErrorClass::BotOut
                | ErrorClass::Target
                | ErrorClass::TargetIsAdmin
                | ErrorClass::UserUnknown
                | ErrorClass::Migrated(_),
                _,
            )) => drop(freed.insert(chat_id)),
            Err((_, error)) => eprintln!("{user} is not freed in {chat_id}, and stays known there: {error}"),
        }
    }
    freed
}

fn told(erased: &Erased, dry_run: bool) {
    for (table, rows) in &erased.rows {
        println!("{table}\t{rows}");
    }
    for chat in &erased.kept {
        println!("kept\t{chat}: a restriction hangs on it");
    }
    println!("{}", if dry_run { "nothing was changed" } else { "erased" });
}
