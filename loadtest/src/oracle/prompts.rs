//! Prompts, and the presses on them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Judge, due::Due, verdict::Kind};
use crate::world::{ChatId, ChatKind, Happened, MessageId, QueryId, UserId};

/// Who presses more than so often within the window may be answered by nothing (E104), also where an earlier press is
/// looked into late.
const PRESSES: usize = 10;
const PRESSES_WINDOW_MS: i64 = 30_000;

/// A press and what came of it.
struct Press {
    at_ms: i64,
    user: UserId,
    chat: ChatId,
    answer: Option<(i64, String)>,
}

impl Judge<'_, '_> {
    /// One prompt per group and topic while people wait, none when nobody does.
    pub(super) fn judge_prompts(&mut self) {
        // A prompt is a message of the bot's own accord in a group, with a callback button.
        let mut standing: BTreeMap<(ChatId, Option<i64>), BTreeSet<MessageId>> = BTreeMap::new();
        let mut places = BTreeMap::new();
        let mut cleared = BTreeSet::new();
        let mut sent = 0;
        for entry in self.record.world.history() {
            match &entry.what {
                Happened::Sent { chat, message, thread, author, has_button: true, reply_to: None, .. }
                    if *author == self.record.bot() && self.is_supergroup(*chat) =>
                {
                    sent += 1;
                    places.insert((*chat, *message), (*chat, *thread));
                    let here = standing.entry((*chat, *thread)).or_default();
                    here.insert(*message);
                    if here.len() > 1 {
                        let text =
                            format!("{} prompts stand in {chat} at {}", here.len(), self.record.time(entry.at_ms));
                        self.verdict.find(Kind::PromptTwice, text);
                    }
                }
                Happened::Edited { chat, message, has_button: false, .. } => {
                    remove(&places, &mut standing, *chat, *message);
                }
                Happened::Deleted { chat, message, by } => {
                    let was_prompt = remove(&places, &mut standing, *chat, *message);
                    cleared.extend((was_prompt && *by != self.record.bot()).then_some(*chat));
                }
                _ => {}
            }
        }
        let (mut stand, mut due, mut possible) = (0, 0, 0);
        for group in self.record.world.chats().filter(|chat| chat.spec.kind == ChatKind::Supergroup) {
            let group = group.spec.id;
            let here: usize = standing.iter().filter(|((chat, _), _)| *chat == group).map(|(_, m)| m.len()).sum();
            let (waiting, perhaps) = self.waiting(group);
            stand += here;
            due += usize::from(waiting > 0);
            possible += usize::from(waiting + perhaps > 0);
            // A prompt that an administrator deleted is gone without a word to the bot (E72).
            if waiting > 0 && here == 0 && !cleared.contains(&group) {
                self.verdict.find(Kind::PromptMissing, format!("{waiting} people wait in {group}"));
            }
            if waiting + perhaps == 0 && here > 0 {
                self.verdict.find(Kind::PromptLeft, format!("{here} in {group}"));
            }
        }
        self.count("prompts", stand, due, possible.max(due));
        self.verdict.prompts_sent = sent;
    }

    /// Where there are prompts; what has buttons in a channel is its log.
    fn is_supergroup(&self, chat: ChatId) -> bool {
        self.record.world.chat(chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup)
    }

    /// How many in a group wait beyond doubt, and how many more might: muted ones outside, or of unclear standing.
    fn waiting(&self, group: ChatId) -> (usize, usize) {
        let end = self.record.end_ms;
        let (mut certain, mut perhaps) = (0, 0);
        let here = (group, UserId(i64::MIN))..=(group, UserId(i64::MAX));
        for (_, user) in self.record.standings.range(here).map(|(key, _)| *key) {
            if !self.record.held_by_bot_at(group, user, end) {
                continue;
            }
            let due = self.dues_during(group, user, end, end).pop();
            if due == Some(Due::Restricted) && self.record.member_at(group, user, end).is_in() {
                certain += 1;
            } else {
                perhaps += 1;
            }
        }
        (certain, perhaps)
    }

    /// Every press is answered: the presser is freed, or told something.
    pub(super) fn judge_presses(&mut self) {
        let mut presses: BTreeMap<QueryId, Press> = BTreeMap::new();
        let mut of_person: BTreeMap<UserId, Vec<i64>> = BTreeMap::new();
        for entry in self.record.world.history() {
            match &entry.what {
                Happened::Pressed { query, user, chat, .. } => {
                    of_person.entry(*user).or_default().push(entry.at_ms);
                    let press = Press { at_ms: entry.at_ms, user: *user, chat: *chat, answer: None };
                    presses.insert(*query, press);
                }
                Happened::Answered { query, text } => {
                    if let Some(press) = presses.get_mut(query) {
                        // The last answer is what stays on the screen.
                        press.answer = Some((entry.at_ms, text.clone()));
                    }
                }
                _ => {}
            }
        }
        let answered = presses.values().filter(|press| press.answer.is_some()).count();
        self.count("presses", answered, presses.len(), presses.len());
        for press in presses.values() {
            self.judge_press(press, &of_person[&press.user]);
        }
    }

    /// Whether an answer names a required channel in which the presser was all along, as if it were missing.
    fn names_a_channel_they_are_in(&self, press: &Press, answered_ms: i64, answer: &str) -> bool {
        let Press { at_ms, user, chat, .. } = press;
        let from_ms = self.reasons_from(*at_ms);
        self.record.required_during(*chat, from_ms, answered_ms).into_iter().any(|channel| {
            let changes = self.record.standing(channel, *user).iter().map(|stood| stood.at_ms);
            let changed = changes.into_iter().any(|at| (from_ms + 1..=answered_ms).contains(&at));
            let is_in = !changed && self.record.member_at(channel, *user, from_ms).is_in();
            let spec = self.record.world.chat(channel).map(|chat| &chat.spec);
            is_in
                && spec.is_some_and(|spec| {
                    answer.contains(&spec.title) || spec.username.as_ref().is_some_and(|name| answer.contains(name))
                })
        })
    }

    /// `all_ms`: when that person pressed, in order.
    fn judge_press(&mut self, press: &Press, all_ms: &[i64]) {
        let Press { at_ms, user, chat, answer } = press;
        let text = || format!("by {} in {chat} at {}", self.record.name(*user), self.record.time(*at_ms));
        let Some((answered_ms, answer)) = answer else {
            self.verdict.find(Kind::PressUnanswered, text());
            return;
        };
        let told = self.dues_during(*chat, *user, at_ms - 1_000, *answered_ms);
        let until = |ms: i64| all_ms.partition_point(|at_ms| *at_ms <= ms);
        let is_flood = until(*answered_ms) - until(at_ms - PRESSES_WINDOW_MS) > PRESSES;
        if answer.is_empty() && !is_flood && told.iter().all(|due| *due == Due::Restricted) {
            self.verdict.find(Kind::PressToldNothing, text());
        }
        if self.names_a_channel_they_are_in(press, *answered_ms, answer) {
            self.verdict.find(Kind::PressToldWrong, format!("{} was told: {answer}", text()));
        }
        let settled = self.settled(*at_ms).min(self.record.end_ms);
        let dues = self.dues_during(*chat, *user, at_ms - 1_000, settled);
        let free = dues.iter().all(|due| due.is_free());
        if free && self.record.held_by_bot_at(*chat, *user, settled) {
            self.verdict.find(Kind::PressFreedNobody, text());
        }
    }
}

fn remove(
    places: &BTreeMap<(ChatId, MessageId), (ChatId, Option<i64>)>,
    standing: &mut BTreeMap<(ChatId, Option<i64>), BTreeSet<MessageId>>,
    chat: ChatId,
    message: MessageId,
) -> bool {
    let here = places.get(&(chat, message)).and_then(|place| standing.get_mut(place));
    here.is_some_and(|here| here.remove(&message))
}
