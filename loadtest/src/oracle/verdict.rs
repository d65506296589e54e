//! What the oracle says.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// How a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something happened and its due consequence never came.
    Lost,
    /// A state or an act that must not be.
    Wrong,
    /// Something that matters was done again.
    Twice,
}

/// The kinds of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A message of somebody unverified still stands.
    MessageNotDeleted,
    /// A press was never answered.
    PressUnanswered,
    /// A command was never answered.
    CommandUnanswered,
    /// An update was given up by the delivery.
    UpdateDropped,
    /// Somebody who lacks a channel may write.
    NotMuted,
    /// Somebody whom nothing holds is still muted by the bot.
    StillMuted,
    /// An administrator, a bot or one of Telegram's own accounts was to be restricted.
    ExemptRestricted,
    /// Somebody was muted while they were free.
    FreeMuted,
    /// Somebody was muted or lost a message although nothing could be known about them.
    PunishedOnUnknown,
    /// An administrator's restriction was lifted or replaced.
    AdminsRestrictionBroken,
    /// An administrator's restriction is gone: where it crossed an act of the bot, it was not put back.
    AdminsRestrictionGone,
    /// Somebody was freed while they lacked a channel.
    MissingFreed,
    /// A message of somebody free was deleted.
    FreeMessageDeleted,
    /// People wait and no prompt tells them why.
    PromptMissing,
    /// A prompt stands and nobody waits.
    PromptLeft,
    /// A press by somebody who is in all channels did not free them.
    PressFreedNobody,
    /// A press by somebody who lacks a channel was answered with nothing.
    PressToldNothing,
    /// A press was answered with a channel to join that the presser is in.
    PressToldWrong,
    /// The webhook's answer carried a method, which Telegram would have executed.
    MethodInAnswer,
    /// Something was done to somebody in a dry run.
    ActedInDryRun,
    /// Somebody was removed who did not wait, or where nobody is to be.
    RemovedWrongly,
    /// Somebody was removed before their time was over.
    RemovedTooSoon,
    /// Somebody was removed without a warning before it.
    RemovedUnwarned,
    /// Somebody was banned for another time than the group wants.
    RemovedForWrongTime,
    /// Somebody waits for longer than the group wants.
    NotRemoved,
    /// Somebody asks to be let in who is to be.
    RequestNotGranted,
    /// Somebody was let in who was not to be.
    RequestGrantedWrongly,
    /// Somebody who asks to be let in was not told what to join.
    NotGreeted,
    /// A note about somebody's coming or going still stands.
    NoteLeft,
    /// A channel may still write in its name that may not.
    SenderNotBanned,
    /// The log channel was not told everything.
    LogIncomplete,
    /// The log channel was told of more than was done.
    LogWrong,
    /// The administrators were not told of a raid.
    RaidNotTold,
    /// They were told of one that was none, or again.
    RaidToldWrongly,
    /// The administrators of a group over its owner's quota were not told so.
    QuotaNotTold,
    /// They were told so without a reason, or again.
    QuotaToldWrongly,
    /// A prompt was in another language than the group's.
    WrongLanguage,
    /// Two prompts stood at once in one place.
    PromptTwice,
    /// A command was answered more than once.
    ReplyTwice,
}

impl Kind {
    /// How it weighs.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::MessageNotDeleted
            | Self::PressUnanswered
            | Self::CommandUnanswered
            | Self::UpdateDropped
            | Self::RequestNotGranted
            | Self::NotGreeted
            | Self::NoteLeft
            | Self::SenderNotBanned
            | Self::LogIncomplete
            | Self::RaidNotTold
            | Self::QuotaNotTold => Severity::Lost,
            Self::PromptTwice | Self::ReplyTwice => Severity::Twice,
            _ => Severity::Wrong,
        }
    }
}

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// Who, where and when.
    pub text: String,
}

/// A number of the bot beside what it had to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Of what.
    pub of: &'static str,
    /// What the bot did.
    pub bot: usize,
    /// What was due beyond doubt.
    pub at_least: usize,
    /// What was due if every doubtful case counts: things that changed while the bot was at them.
    pub at_most: usize,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What happened without its due consequence.
    pub lost: usize,
    /// Wrong states and acts.
    pub wrong: usize,
    /// What was done twice and matters.
    pub twice: usize,
    /// All of them.
    pub findings: Vec<Finding>,
    /// The bot's numbers beside the oracle's. Prompts are those that stand in the end.
    pub counts: Vec<Count>,
    /// Prompts sent during the run.
    pub prompts_sent: usize,
}

/// Findings of one kind that are printed in full.
const SHOWN_PER_KIND: usize = 5;

impl Verdict {
    pub(super) fn find(&mut self, kind: Kind, text: String) {
        match kind.severity() {
            Severity::Lost => self.lost += 1,
            Severity::Wrong => self.wrong += 1,
            Severity::Twice => self.twice += 1,
        }
        self.findings.push(Finding { kind, text });
    }

    /// Whether nothing was lost, wrong or done twice.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.twice == 0
    }

    /// What the run did not exercise, so that its verdict says nothing about it.
    #[must_use]
    pub fn unexercised(&self) -> Vec<&'static str> {
        self.counts.iter().filter(|count| count.bot == 0 || count.at_most == 0).map(|count| count.of).collect()
    }

    /// Findings by kind.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        for finding in &self.findings {
            *kinds.entry(finding.kind).or_default() += 1;
        }
        kinds
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12}{:>10}    due", "", "bot")?;
        for Count { of, bot, at_least, at_most } in &self.counts {
            let due = if at_least == at_most { at_most.to_string() } else { format!("{at_least}–{at_most}") };
            writeln!(f, "{of:<12}{bot:>10}    {due}")?;
        }
        writeln!(f, "prompts are those that stand in the end; {} were sent", self.prompts_sent)?;
        for (kind, number) in self.by_kind() {
            writeln!(f, "{:?}: {kind:?} × {number}", kind.severity())?;
            for finding in self.findings.iter().filter(|finding| finding.kind == kind).take(SHOWN_PER_KIND) {
                writeln!(f, "    {}", finding.text)?;
            }
            if number > SHOWN_PER_KIND {
                writeln!(f, "    and {} more", number - SHOWN_PER_KIND)?;
            }
        }
        write!(f, "lost={} wrong={} twice={}", self.lost, self.wrong, self.twice)
    }
}
