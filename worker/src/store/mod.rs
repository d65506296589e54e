//! The store's port: facts, settings, intents and what else outlives a process.
//!
//! Every method is one transaction. What changes a person's facts goes through [`Store::with_person`] under that person's
//! lock; what changes a chat goes through [`Store::with_chat`] under that chat's. The steps are pure: they are given what
//! was read under the locks and give back what to write, and may run again where the database asks for it.

mod buttons;
mod log;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, MessageId, UpdateId, UserId};

pub use self::{
    buttons::{Allowance, ButtonRow, Payload},
    log::{Lines, LogLine, Untold, Verification},
    sql::{EarlierError, Erased, KnownGroup, OperatorRule, Record, SqlStore},
};
use crate::{
    admission::{Arrival, Refusal},
    facts::{ChatFacts, Member, Setting},
    intent::{Claim, Intent, Lane, Put, Settlement},
};

/// The store cannot be used now; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, slow or refuses.
    #[error("store unavailable: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// A row that this program cannot read.
    #[error("unreadable row: {0}")]
    Corrupt(#[from] serde_json::Error),
}

impl StoreError {
    /// Whether the database is there and refuses this very content, now and whenever it is tried again (SQLSTATE classes
    /// 22, data exception, and 23, integrity violation).
    #[must_use]
    pub fn is_about_content(&self) -> bool {
        match self {
            Self::Corrupt(_) => true,
            Self::Unavailable(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            Self::Unavailable(_) => false,
        }
    }
}

/// A group or channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chat {
    /// What is known about it.
    pub facts: ChatFacts,
    /// Rises with every change of what is decided by there: who was found free to write before is looked at again.
    pub version: i64,
}

/// A message whose writer is not decided yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub group: ChatId,
    /// Which.
    pub message: MessageId,
    /// When it was written, Unix seconds.
    pub date: i64,
}

/// Which person, seen from which chat.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Whose lock.
    pub user: UserId,
    /// The chat that it is about: with it come the channels that it requires and the groups that require it.
    pub chat: ChatId,
    /// The update that is taken in, remembered as processed.
    pub update: Option<UpdateId>,
    /// The correlation id for the intents that come of it.
    pub trace_id: &'a str,
    /// Unix milliseconds.
    pub now_ms: i64,
}

/// What was read under the person's lock.
#[derive(Clone, Debug, Default)]
pub struct PersonView {
    /// Rises with every transaction of this person.
    pub rev: i64,
    /// Whether `Scope::update` was taken in before.
    pub seen_before: bool,
    /// The person in each chat where anything is known.
    pub members: BTreeMap<ChatId, Member>,
    /// The scope's chat, the groups that require it, and all channels that those groups require.
    pub chats: BTreeMap<ChatId, Chat>,
    /// The channels that each of these groups requires.
    pub required: BTreeMap<ChatId, Vec<ChatId>>,
    /// The person's undecided messages.
    pub held: Vec<Held>,
    /// Keys of the person's open state intents.
    pub open: BTreeSet<String>,
}

/// What to write about a person.
#[derive(Clone, Debug, Default)]
pub struct PersonWrites {
    /// The members' rows that changed.
    pub members: BTreeMap<ChatId, Member>,
    /// Intents to make.
    pub put: Vec<Put>,
    /// Keys of state intents to end.
    pub end: Vec<String>,
    /// A message to hold.
    pub hold: Option<Held>,
    /// Held messages that are decided.
    pub unhold: Vec<(ChatId, MessageId)>,
    /// Entries of the ledger.
    pub ledger: Vec<LedgerEntry>,
    /// Entries of the verification log.
    pub verifications: Vec<Verification>,
    /// What the person is called, where that has just been told.
    pub name: String,
    /// The groups whose log chat is told of these entries.
    pub lines: BTreeMap<ChatId, Lines>,
    /// Erase what is known about the person but for their rows in other chats than these, and whom the records name.
    pub forget: Option<Vec<ChatId>>,
    /// What becomes of the intent that led here.
    pub settle: Option<Settle>,
}

impl PersonWrites {
    /// Leaves the intent of `claim` to its holder, who is at work on it and settles it: what was decided about this key
    /// here neither ends it nor makes a new generation of it. Where it is no longer among the `open` ones, because somebody
    /// saw nothing to do while the holder's call was out, it is made anew if there is.
    pub fn keep_claimed(&mut self, claim: &Claim, open: &BTreeSet<String>) {
        let key = claim.intent.key();
        if open.contains(&key) {
            self.put.retain(|put| put.intent.key() != key);
            self.end.retain(|ended| *ended != key);
        }
    }
}

/// A change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Where.
    pub group: ChatId,
    /// `Some`: a mute of ours with its `until_date` and the channels that are missing; `None`: it is lifted.
    pub imposed: Option<(i64, Vec<ChatId>)>,
}

/// The end of a claim.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The intent's key.
    pub key: String,
    /// The claim's number; where it is no longer this one, nothing happens.
    pub claim: i64,
    /// The generation that was claimed.
    pub generation: i64,
    /// How it ends.
    pub settlement: Settlement,
    /// What the audit trail says of it, once it is done.
    pub audit: Option<Audit>,
}

/// An entry of the audit trail: who had what done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where.
    pub chat: ChatId,
    /// Who had it done; 0: whoever operates.
    pub actor: UserId,
    /// Which person or chat it was about; 0: none.
    pub subject: i64,
    /// What was done.
    pub action: String,
    /// What more there is to say.
    pub detail: String,
    /// The correlation id.
    pub trace_id: String,
}

impl Settle {
    /// Ends `claim` so.
    #[must_use]
    pub fn of(claim: &Claim, settlement: Settlement) -> Self {
        Self { key: claim.intent.key(), claim: claim.claim, generation: claim.generation, settlement, audit: None }
    }

    /// The same, written down in the audit trail in the same transaction.
    #[must_use]
    pub fn audited(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }
}

/// What was read under a chat's lock.
#[derive(Clone, Debug, Default)]
pub struct ChatView {
    /// The chat.
    pub chat: Chat,
    /// Its links to channels, enabled or not.
    pub links: BTreeMap<ChatId, Setting<bool>>,
    /// The groups that require it.
    pub required_by: Vec<ChatId>,
}

impl ChatView {
    /// Has everybody decided again whom a change of `chat` concerns: in the chat itself where it is a group with a rule,
    /// and in the groups that require it. How people get into a chat that is required is looked at, too (E37).
    #[must_use]
    pub fn redecide(&self, chat: ChatId, now_ms: i64) -> Vec<Put> {
        let itself = (!self.links.is_empty()).then_some(chat);
        let put = |chat| Put::urgent(Intent::Redecide { chat, after: UserId(0) }, now_ms);
        let link = (!self.required_by.is_empty()).then(|| Put::urgent(Intent::Link { chat }, now_ms));
        self.required_by.iter().copied().chain(itself).map(put).chain(link).collect()
    }

    /// What is to be done when more has become known about `chat` under another id: everybody is decided again, by our own
    /// place there, which is looked at if nothing is known of it.
    #[must_use]
    pub fn migrated(&self, bot: BotId, chat: ChatId, now_ms: i64) -> Vec<Put> {
        let mut put = self.redecide(chat, now_ms);
        if !put.is_empty() && self.chat.facts.own().is_none() {
            put.push(Put::urgent(Intent::Check { chat, user: bot.user() }, now_ms));
        }
        put
    }
}

/// What to write about a chat.
#[derive(Clone, Debug, Default)]
pub struct ChatWrites {
    /// The chat's facts, where they changed.
    pub facts: Option<ChatFacts>,
    /// Links that changed.
    pub links: Vec<(ChatId, Setting<bool>)>,
    /// Intents to make.
    pub put: Vec<Put>,
}

impl ChatWrites {
    /// The version of a chat, of which was known what `was` says, after these are written: it rises with what is decided by.
    #[must_use]
    pub fn version(&self, was: &Chat) -> i64 {
        let is_news = |facts: &ChatFacts| was.version == 0 || !facts.decides_like(&was.facts);
        was.version + i64::from(!self.links.is_empty() || self.facts.as_ref().is_some_and(is_news))
    }
}

/// The standing prompt of a group and topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The message; 0 while none is known to stand.
    pub message: i64,
    /// What it says.
    pub shown: String,
    /// Since when one may be on its way without our knowing its id; 0: none is.
    pub sending_ms: i64,
    /// When the message was sent: the older it is, the more has been written below it.
    pub sent_ms: i64,
    /// When it was last sent or edited, and so was seen to stand.
    pub changed_ms: i64,
    /// Whom it warns, or did before it was sent anew, each as of when they were to be: so that nobody passes for warned who
    /// was not yet when it was written, whatever the clocks say.
    pub warned: Vec<(UserId, i64)>,
}

/// What a prompt has to say.
#[derive(Clone, Debug, Default)]
pub struct PromptView {
    /// Those who wait, longest first; at most as many as were asked for.
    pub waiting: Vec<(UserId, String)>,
    /// Those who are to be warned, also of those who are not among `waiting`, and since when, Unix milliseconds.
    pub warned: Vec<(UserId, i64)>,
    /// How many wait.
    pub count: i64,
    /// When the last of those who wait began to, or was to be warned, Unix milliseconds.
    pub newest_ms: i64,
    /// The channels that the group requires.
    pub channels: Vec<(ChatId, ChatFacts)>,
}

/// How many intents that are not done are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatesOfIntents {
    /// Their time has come, and nobody has them in hand.
    pub due: i64,
    /// A sender has them in hand.
    pub claimed: i64,
    /// Their time has not come.
    pub later: i64,
}

/// What has happened in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// How many are muted by us now.
    pub muted: i64,
    /// How often each outcome of the verification log came about.
    pub outcomes: BTreeMap<String, i64>,
}

/// A pure step of a person's transaction.
pub type PersonStep<'a> = &'a mut (dyn FnMut(&PersonView) -> PersonWrites + Send);
/// A pure step of a chat's transaction.
pub type ChatStep<'a> = &'a mut (dyn FnMut(&ChatView) -> ChatWrites + Send);

/// The port; one store per bot.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bot whose rows these are.
    fn bot(&self) -> BotId;

    /// One transaction under the person's lock: read, `step`, write. Dropping the future rolls back or has committed.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn with_person(&self, scope: &Scope<'_>, step: PersonStep<'_>) -> Result<(), StoreError>;

    /// One transaction under the chat's lock. Returns the chat's version after it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn with_chat(&self, chat: ChatId, trace_id: &str, now_ms: i64, step: ChatStep<'_>)
    -> Result<i64, StoreError>;

    /// The basic group `old` has become the supergroup `new`, which is another id: one transaction under the locks of both and of the groups that
    /// require them. What is known and wanted goes over as [`upgrade`](crate::upgrade) says, and everybody whom that
    /// concerns is decided again. Intents that somebody has claimed stay: their calls fail, and end here again. Returns the
    /// new chat as it then is; where nothing is left under the old id it stays as it was.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn migrate(&self, old: ChatId, new: ChatId, trace_id: &str, now_ms: i64) -> Result<Chat, StoreError>;

    /// Reads a chat without locking it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn chat(&self, chat: ChatId) -> Result<ChatView, StoreError>;

    /// Puts intents that depend on nobody's facts.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn put(&self, put: &[Put], trace_id: &str) -> Result<(), StoreError>;

    /// Claims up to `max` due intents of a lane for `holder` until `until_ms`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(
        &self,
        lane: Lane,
        holder: &str,
        now_ms: i64,
        until_ms: i64,
        max: i64,
    ) -> Result<Vec<Claim>, StoreError>;

    /// A chat has to wait: none of its intents in `lane` is due before `until_ms`, but for those that are claimed.
    ///
    /// # Errors
    /// [`StoreError`]: they are due as before.
    async fn postpone(&self, lane: Lane, chat: ChatId, now_ms: i64, until_ms: i64) -> Result<(), StoreError>;

    /// Prolongs these claims of `holder`, and no others: one whose answer never arrived is nobody's work, and must run out.
    /// A claim that lasts for longer stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]: they run out.
    async fn renew(&self, holder: &str, claims: &BTreeSet<i64>, until_ms: i64) -> Result<(), StoreError>;

    /// Has this one claimed intent, and no other that was claimed with it, stay claimed until `until_ms` at least, also if
    /// nobody prolongs it. Returns whether the claim still stands: one that has run out may be somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError`]: it stays as it was.
    async fn hold(&self, claim: &Claim, until_ms: i64) -> Result<bool, StoreError>;

    /// Gives back all claims of `holder`.
    ///
    /// # Errors
    /// [`StoreError`]: they run out by themselves.
    async fn release(&self, holder: &str) -> Result<(), StoreError>;

    /// Ends claims, and makes intents in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn settle(&self, settle: &[Settle], put: &[Put], trace_id: &str, now_ms: i64) -> Result<(), StoreError>;

    /// The prompt of a group and topic as it stands, and whether anybody waits there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prompt(&self, group: ChatId, topic: Option<i64>) -> Result<(Option<Prompt>, bool), StoreError>;

    /// The channels that a group requires.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn channels(&self, group: ChatId) -> Result<Vec<(ChatId, ChatFacts)>, StoreError>;

    /// What the prompt of a group and topic has to say, naming at most `names` people. Goes through everybody who waits.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prompt_view(&self, group: ChatId, topic: Option<i64>, names: i64) -> Result<PromptView, StoreError>;

    /// Remembers the prompt (`None`: none stands any more), while `claim` is still held; returns whether it was.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn save_prompt(
        &self,
        group: ChatId,
        topic: Option<i64>,
        prompt: Option<&Prompt>,
        claim: &Claim,
        settlement: Option<Settlement>,
    ) -> Result<bool, StoreError>;

    /// Whether a message with our button in `group` is one of its standing prompts. Where a prompt is on its way whose
    /// sender may have died, this message is taken for it, with nothing known of what it shows.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn recognise_prompt(&self, group: ChatId, message: MessageId, now_ms: i64) -> Result<bool, StoreError>;

    /// How many people wait in a group, over all topics, who began to after `since_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn began_to_wait(&self, group: ChatId, since_ms: i64) -> Result<i64, StoreError>;

    /// How many people wait in a group, over all topics.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn waiting_in(&self, group: ChatId) -> Result<i64, StoreError>;

    /// People of a chat after `after`, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn people_of(&self, chat: ChatId, after: UserId, max: i64) -> Result<Vec<UserId>, StoreError>;

    /// The topics of a group in which a prompt stands or may stand.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prompted_topics(&self, group: ChatId) -> Result<Vec<Option<i64>>, StoreError>;

    /// Every chat that a rule concerns: those that require another, and those that are required.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn chats_of_rules(&self) -> Result<Vec<ChatId>, StoreError>;

    /// The groups that require a chat and whose people no open intent has decided again, now or later.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unswept_groups(&self) -> Result<Vec<ChatId>, StoreError>;

    /// When the newest update that was taken in had reached us (Unix milliseconds), as far as that was noted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn newest_received_ms(&self) -> Result<Option<i64>, StoreError>;

    /// Notes when an update had reached us; an older one than noted changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn note_received(&self, received_ms: i64) -> Result<(), StoreError>;

    /// Puts rows of buttons down, before anybody can press them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn add_buttons(&self, rows: &[ButtonRow]) -> Result<(), StoreError>;

    /// The row of a button, as long as it is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn button(&self, id: i64, now_ms: i64) -> Result<Option<ButtonRow>, StoreError>;

    /// Uses a button that does something once: notes it, and puts these intents in the same transaction. Returns whether
    /// this was the first time; otherwise nothing is put.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn use_button(&self, id: i64, put: &[Put], trace_id: &str, now_ms: i64) -> Result<bool, StoreError>;

    /// Somebody does something that may be done only so often. Returns how often they did within the window that runs now,
    /// this time included; a window begins with the first time after the one before was over.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn draw(&self, user: UserId, of: Allowance, now_ms: i64, window_ms: i64) -> Result<i64, StoreError>;

    /// What has happened in a group since a time (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn happened(&self, group: ChatId, since_ms: i64) -> Result<Happened, StoreError>;

    /// What a group's log chat is still to be told of what happened since a time (Unix milliseconds), at most so many lines.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn untold(&self, group: ChatId, since_ms: i64, most: i64) -> Result<Untold, StoreError>;

    /// These lines are told; what their people are called is kept no longer.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn told(&self, lines: &[i64], now_ms: i64) -> Result<(), StoreError>;

    /// A line by its number, told or not.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn line(&self, line: i64) -> Result<Option<LogLine>, StoreError>;

    /// How many people are known in a chat.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn count_people(&self, chat: ChatId) -> Result<i64, StoreError>;
    /// Notes that the bot came into a group or went out of it, and says what the operator's rules make of that group and of
    /// the others of its owner. A store without an operator serves every group.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    async fn admit(&self, _group: ChatId, _arrival: &Arrival) -> Result<Vec<(ChatId, Option<Refusal>)>, StoreError> {
        Ok(Vec::new())
    }

    /// The required channels of which no open intent says that they are looked at, now or later.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unseen_channels(&self) -> Result<Vec<ChatId>, StoreError> {
        Ok(Vec::new())
    }

    /// How many groups have a rule in force, and in how many of them it is suspended, since the bot may not restrict anybody.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn active_groups(&self) -> Result<(i64, i64), StoreError> {
        let (mut active, mut suspended) = (0, 0);
        for chat in self.chats_of_rules().await? {
            let view = self.chat(chat).await?;
            let requires = view.links.values().any(|link| link.value);
            let facts = &view.chat.facts;
            let is_active = requires && facts.is_protected();
            active += i64::from(is_active);
            suspended += i64::from(is_active && !facts.can_restrict());
        }
        Ok((active, suspended))
    }

    /// Counts of open intents by kind, of those that are due by `due_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_intents(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError>;

    /// By kind, since when the oldest of the open intents is due that are due by `due_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn oldest_due(&self, due_ms: i64) -> Result<Vec<(String, i64)>, StoreError>;

    /// How many open intents are in each state at `now_ms` (Unix milliseconds).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn states_of_intents(&self, now_ms: i64) -> Result<StatesOfIntents, StoreError>;

    /// Removes what is past its time: tombstones and processed updates after 48 h, held messages after 24 h, the
    /// verification log after 90 days, buttons when they are over.
    ///
    /// # Errors
    /// [`StoreError`]; the next call removes it.
    async fn purge(&self, now_ms: i64) -> Result<(), StoreError>;
}
