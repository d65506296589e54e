//! Telling how things stand: `/start`, `/help`, `/channels`, `/status`, `/stats`.

use nezuko_telegram::ChatId;

use super::{Answer, Given, STANDS_LONG_MS, Stop};
use crate::{
    buttons::Kind,
    commands::{COMMANDS, CommandSpec, Who},
    facts::ChatFacts,
    intent::{Key, KeyDoes},
    rights,
    send::Sender,
    store::{Happened, StoreError},
    texts::{Channel, Id, Verbatim, Word},
};

const HOUR_MS: i64 = 3_600_000;

/// What of the verification log people are told.
struct Told {
    mutes: i64,
    releases: i64,
    checks: i64,
    missing: i64,
}

impl Told {
    fn of(happened: &Happened) -> Self {
        let count =
            |outcomes: &[&str]| outcomes.iter().filter_map(|outcome| happened.outcomes.get(*outcome)).sum::<i64>();
        Self {
            mutes: count(&["muted"]),
            releases: count(&["released"]),
            checks: count(&[
                "verified",
                "already_free",
                "missing",
                "by_admin",
                "unknown",
                "request_granted",
                "request_left",
            ]),
            missing: count(&["missing", "unknown"]),
        }
    }
}

impl Sender {
    pub(super) async fn start(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, .. } = *given;
        if !given.is_private() {
            return Ok(texts.start_group().into());
        }
        if !command.arguments.is_empty() {
            // E103: a link is for one person, whose private chat its MAC covers.
            let button = self.handler.buttons.decode(&command.arguments, command.chat);
            return match button.filter(|button| button.kind == Kind::Verify) {
                Some(button) => self.verify_by_link(given, button.row).await,
                None => Ok(texts.link_stale().into()),
            };
        }
        let rights = "restrict_members+delete_messages+invite_users";
        let add = self.handler.username.get().map(|bot| {
            let url = format!("https://t.me/{bot}?startgroup=true&admin={rights}");
            vec![Key { label: texts.add_to_group_button(), does: KeyDoes::Open(url) }]
        });
        Ok(Answer { keyboard: add.into_iter().collect(), ..texts.start_private().into() })
    }

    pub(super) fn help(given: &Given<'_>) -> Answer {
        let texts = given.texts;
        let line = |command: &CommandSpec| texts.help_line(Word(command.name), Verbatim(&texts.about(command.name)));
        let of = |who: Who| COMMANDS.iter().filter(move |command| command.who == who).map(line);
        let everybody: Vec<String> = [texts.help_everybody()].into_iter().chain(of(Who::Anybody)).collect();
        let admins: Vec<String> = [texts.help_admins()].into_iter().chain(of(Who::Admins)).collect();
        [texts.help_head(), everybody.join("\n"), admins.join("\n")].join("\n\n").into()
    }

    /// The channels that a group requires.
    async fn required(&self, group: ChatId) -> Result<Vec<(ChatId, ChatFacts)>, StoreError> {
        let mut channels = Vec::new();
        for (chat, link) in self.handler.store.chat(group).await?.links {
            if link.value {
                channels.push((chat, self.handler.store.chat(chat).await?.chat.facts));
            }
        }
        Ok(channels)
    }

    /// A line for each channel.
    fn lines(given: &Given<'_>, channels: &[(ChatId, ChatFacts)]) -> Vec<String> {
        let line = |(chat, facts): &(ChatId, ChatFacts)| {
            if facts.watched().0.is_some() {
                given.texts.channel_line(Channel(facts), Id(*chat))
            } else {
                given.texts.channel_unwatched(Channel(facts), Id(*chat))
            }
        };
        channels.iter().map(line).collect()
    }

    pub(super) async fn channels(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let channels = self.required(given.command.chat).await?;
        if channels.is_empty() {
            return Ok(given.texts.channels_none().into());
        }
        let lines = Self::lines(given, &channels);
        Ok([given.texts.channels_head(), lines.join("\n")].join("\n").into())
    }

    pub(super) async fn status(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let Given { command, texts, settings, .. } = *given;
        let store = &self.handler.store;
        let facts = store.chat(command.chat).await?.chat.facts;
        let state = match (facts.is_protected(), facts.can_restrict()) {
            (false, _) => "unprotected",
            (true, true) => "protected",
            (true, false) => "suspended",
        };
        let channels = self.required(command.chat).await?;
        let waiting = store.waiting_in(command.chat).await?;
        let happened = store.happened(command.chat, self.now_ms() - HOUR_MS).await?;
        let told = Told::of(&happened);
        let mut lines = vec![texts.status(Word(state))];
        lines.extend(facts.refused.map(|refusal| texts.refused(refusal)));
        lines.extend(settings.dry_run.then(|| texts.status_dry_run()));
        if facts.is_protected() {
            lines.extend((!facts.can_delete()).then(|| texts.status_keeps_messages()));
            lines.extend(rights::leaves_requests(&facts).then(|| texts.requests_left()));
            let raid = self.raid_in(command.chat, &facts, given.trace_id).await?;
            lines.extend(raid.map(|_| texts.status_raid()));
        }
        lines.extend(Self::lines(given, &channels));
        let unheard = channels.iter().filter(|(_, channel)| rights::misses_requests(&facts, channel));
        lines.extend(unheard.map(|(_, channel)| texts.requests_unheard(Channel(channel))));
        lines.push(texts.status_counts(waiting, happened.muted));
        lines.push(texts.status_hour(told.mutes, told.releases, told.checks));
        Ok(lines.join("\n").into())
    }

    pub(super) async fn stats(&self, given: &Given<'_>) -> Result<Answer, Stop> {
        let mut lines = vec![given.texts.stats_head()];
        for (period, hours) in [("day", 24), ("week", 7 * 24)] {
            let since_ms = self.now_ms() - hours * HOUR_MS;
            let told = Told::of(&self.handler.store.happened(given.command.chat, since_ms).await?);
            lines.push(given.texts.stats_line(Word(period), told.mutes, told.releases, told.checks, told.missing));
        }
        Ok(Answer { stands_ms: STANDS_LONG_MS, ..lines.join("\n").into() })
    }
}
