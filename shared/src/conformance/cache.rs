//! The suite of the cache's port.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nezuko_telegram::{BotId, ChatId, UserId};
use tokio::time::{Instant, sleep};

use super::{all_held, some_bot};
use crate::cache::{Cache, ChatVersion, Verdict};

const GROUP: ChatId = ChatId(-1_001);
const USER: UserId = UserId(5);

/// Longer than any check.
const LONG: Duration = Duration::from_secs(600);

/// Runs every check, each for a bot of its own.
///
/// # Errors
/// All promises that do not hold.
pub async fn suite(cache: &dyn Cache) -> Result<()> {
    let mut failed = Vec::new();
    macro_rules! check {
        ($($name:ident),* $(,)?) => {
            $(failed.extend($name(Case { cache, bot: some_bot() }).await.context(stringify!($name)).err());)*
        };
    }
    check!(
        nobody_is_known_at_first,
        an_acquitted_person_is_known_until_revoked,
        answers_come_in_the_order_of_the_questions,
        an_acquittal_in_an_unknown_chat_is_none,
        in_an_unprotected_chat_everybody_may_write,
        an_acquittal_belongs_to_its_settings_version,
        an_older_acquittal_does_not_replace_a_revocation,
        an_older_acquittal_of_newer_settings_does_not_replace_a_revocation,
        an_acquittal_of_older_settings_does_not_replace_one_of_newer,
        of_equal_verdicts_a_revocation_stays,
        the_newest_of_one_batch_wins,
        an_older_version_of_a_chat_does_not_replace_a_newer,
        what_is_remembered_expires_and_not_much_too_soon,
        ids_are_not_mixed_up,
        bots_are_apart,
    );
    all_held(&failed)
}

struct Case<'a> {
    cache: &'a dyn Cache,
    bot: BotId,
}

const ACQUITTED: Verdict = Verdict { group: GROUP, user: USER, order: 10, settings_version: 3, acquitted: true };
const REVOKED: Verdict = Verdict { acquitted: false, ..ACQUITTED };
const PROTECTED: ChatVersion = ChatVersion { chat: GROUP, settings_version: 3, protected: true };

impl Case<'_> {
    async fn chat(&self, version: ChatVersion) -> Result<()> {
        Ok(self.cache.remember_chat(self.bot, version, LONG).await?)
    }

    async fn verdicts(&self, verdicts: &[Verdict]) -> Result<()> {
        Ok(self.cache.remember(self.bot, verdicts, LONG).await?)
    }

    async fn is_acquitted(&self) -> Result<bool> {
        Ok(self.cache.acquitted(self.bot, &[(GROUP, USER)]).await? == [true])
    }

    /// The chat is known, then these verdicts come one after the other.
    async fn after(&self, verdicts: &[Verdict]) -> Result<bool> {
        self.chat(PROTECTED).await?;
        for verdict in verdicts {
            self.verdicts(&[*verdict]).await?;
        }
        self.is_acquitted().await
    }
}

async fn nobody_is_known_at_first(case: Case<'_>) -> Result<()> {
    ensure!(!case.is_acquitted().await?, "an unknown person was acquitted");
    ensure!(case.cache.acquitted(case.bot, &[]).await?.is_empty(), "no question, and an answer");
    case.verdicts(&[]).await?;
    case.chat(PROTECTED).await?;
    ensure!(!case.is_acquitted().await?, "an unknown person was acquitted in a known chat");
    Ok(())
}

async fn an_acquitted_person_is_known_until_revoked(case: Case<'_>) -> Result<()> {
    ensure!(case.after(&[ACQUITTED]).await?, "an acquittal was forgotten");
    ensure!(!case.after(&[Verdict { order: 11, ..REVOKED }]).await?, "a revocation was forgotten");
    ensure!(case.after(&[Verdict { order: 12, ..ACQUITTED }]).await?, "an acquittal after a revocation was forgotten");
    Ok(())
}

async fn answers_come_in_the_order_of_the_questions(case: Case<'_>) -> Result<()> {
    let (open, unknown) = (ChatId(-7), ChatId(-8));
    let (stranger, revoked) = (UserId(6), UserId(7));
    case.chat(PROTECTED).await?;
    case.chat(ChatVersion { chat: open, settings_version: 1, protected: false }).await?;
    case.verdicts(&[ACQUITTED, Verdict { user: revoked, ..REVOKED }]).await?;
    let pairs = [
        (GROUP, stranger),
        (GROUP, USER),
        (open, stranger),
        (unknown, USER),
        (GROUP, revoked),
        (open, revoked),
        (GROUP, USER),
    ];
    let answers = case.cache.acquitted(case.bot, &pairs).await?;
    ensure!(answers == [false, true, true, false, false, true, true], "{answers:?}");
    Ok(())
}

async fn an_acquittal_in_an_unknown_chat_is_none(case: Case<'_>) -> Result<()> {
    case.verdicts(&[ACQUITTED]).await?;
    ensure!(!case.is_acquitted().await?, "the settings of the chat are not known, they may have changed");
    Ok(())
}

async fn in_an_unprotected_chat_everybody_may_write(case: Case<'_>) -> Result<()> {
    case.chat(ChatVersion { protected: false, ..PROTECTED }).await?;
    ensure!(case.is_acquitted().await?, "somebody may not write in an unprotected chat");
    case.chat(ChatVersion { settings_version: 4, ..PROTECTED }).await?;
    ensure!(!case.is_acquitted().await?, "the chat is protected now");
    Ok(())
}

async fn an_acquittal_belongs_to_its_settings_version(case: Case<'_>) -> Result<()> {
    ensure!(case.after(&[ACQUITTED]).await?, "an acquittal was forgotten");
    case.chat(ChatVersion { settings_version: 4, ..PROTECTED }).await?;
    ensure!(!case.is_acquitted().await?, "acquitted by settings that have changed");
    // The person has not changed, only the settings.
    case.verdicts(&[Verdict { settings_version: 4, ..ACQUITTED }]).await?;
    ensure!(case.is_acquitted().await?, "an acquittal by the new settings was forgotten");
    Ok(())
}

async fn an_older_acquittal_does_not_replace_a_revocation(case: Case<'_>) -> Result<()> {
    ensure!(!case.after(&[REVOKED, Verdict { order: 9, ..ACQUITTED }]).await?, "a late acquittal won");
    Ok(())
}

async fn an_older_acquittal_of_newer_settings_does_not_replace_a_revocation(case: Case<'_>) -> Result<()> {
    case.chat(ChatVersion { settings_version: 4, ..PROTECTED }).await?;
    let late = Verdict { order: 9, settings_version: 4, ..ACQUITTED };
    ensure!(!case.after(&[REVOKED, late]).await?, "a late acquittal won by its settings");
    Ok(())
}

async fn an_acquittal_of_older_settings_does_not_replace_one_of_newer(case: Case<'_>) -> Result<()> {
    ensure!(
        case.after(&[ACQUITTED, Verdict { settings_version: 2, ..REVOKED }]).await?,
        "a verdict by older settings replaced one by newer ones"
    );
    Ok(())
}

async fn of_equal_verdicts_a_revocation_stays(case: Case<'_>) -> Result<()> {
    ensure!(!case.after(&[ACQUITTED, REVOKED]).await?, "an acquittal withstood an equal revocation");
    ensure!(!case.after(&[ACQUITTED]).await?, "an acquittal replaced an equal revocation");
    Ok(())
}

async fn the_newest_of_one_batch_wins(case: Case<'_>) -> Result<()> {
    case.chat(PROTECTED).await?;
    case.verdicts(&[Verdict { order: 12, ..REVOKED }, ACQUITTED]).await?;
    ensure!(!case.is_acquitted().await?, "the last of the batch won instead of the newest");
    case.verdicts(&[Verdict { order: 13, ..REVOKED }, Verdict { order: 14, ..ACQUITTED }]).await?;
    ensure!(case.is_acquitted().await?, "the first of the batch won instead of the newest");
    Ok(())
}

async fn an_older_version_of_a_chat_does_not_replace_a_newer(case: Case<'_>) -> Result<()> {
    case.chat(PROTECTED).await?;
    case.chat(ChatVersion { settings_version: 2, protected: false, ..PROTECTED }).await?;
    ensure!(!case.is_acquitted().await?, "an older version made the chat unprotected");
    // Ten is above nine, also where versions are kept as text.
    case.chat(ChatVersion { settings_version: 10, protected: false, ..PROTECTED }).await?;
    case.chat(ChatVersion { settings_version: 9, ..PROTECTED }).await?;
    ensure!(case.is_acquitted().await?, "an older version made the chat protected");
    Ok(())
}

async fn what_is_remembered_expires_and_not_much_too_soon(case: Case<'_>) -> Result<()> {
    const TTL: Duration = Duration::from_secs(1);
    case.chat(PROTECTED).await?;
    let started = Instant::now();
    case.cache.remember(case.bot, &[ACQUITTED], TTL).await?;
    let unprotected = ChatVersion { chat: ChatId(-9), settings_version: 1, protected: false };
    case.cache.remember_chat(case.bot, unprotected, TTL).await?;
    loop {
        let known = case.cache.acquitted(case.bot, &[(GROUP, USER), (unprotected.chat, USER)]).await?;
        let age = started.elapsed();
        // 15 % of jitter, and 10 % because the clocks are two.
        ensure!(known == [true, true] || age > TTL.mul_f32(0.75), "expired after {age:?}");
        if known == [false, false] {
            return Ok(());
        }
        ensure!(age < TTL * 5, "nothing expires: {known:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn ids_are_not_mixed_up(case: Case<'_>) -> Result<()> {
    for chat in [ChatId(-1), ChatId(-12), ChatId(1), ChatId(12)] {
        case.chat(ChatVersion { chat, ..PROTECTED }).await?;
    }
    case.verdicts(&[Verdict { group: ChatId(-1), user: UserId(23), ..ACQUITTED }]).await?;
    let pairs = [
        (ChatId(-1), UserId(23)),
        (ChatId(-12), UserId(3)),
        (ChatId(1), UserId(23)),
        (ChatId(-1), UserId(2)),
        (ChatId(12), UserId(3)),
    ];
    let answers = case.cache.acquitted(case.bot, &pairs).await?;
    ensure!(answers == [true, false, false, false, false], "{answers:?}");
    Ok(())
}

async fn bots_are_apart(case: Case<'_>) -> Result<()> {
    ensure!(case.after(&[ACQUITTED]).await?, "an acquittal was forgotten");
    let other = Case { bot: some_bot(), ..case };
    ensure!(!other.after(&[]).await?, "acquitted by another bot");
    Ok(())
}
