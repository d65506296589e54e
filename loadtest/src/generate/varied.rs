//! What is rarer in groups: people bring others in, channels write, messages are edited, there are topics and requests.

use rand::Rng;

use super::{
    day::{HOUR, MINUTE},
    stories::Stories,
};
use crate::world::{Act, Content, UserId};

/// A topic of a group that has some.
const TOPIC: i64 = 42;

/// What the owners of groups set, one group after the other.
const SETTINGS: [&[&str]; 5] = [
    &["timeout_action kick", "clean_service yes"],
    &["check_edits yes", "prompt_topic 42"],
    &["sender_chats ban", "grace_s 1"],
    &["on_unknown hold", "timeout_action ban"],
    &["clean_commands no", "raid_threshold 5"],
];

impl Stories<'_> {
    /// Has the group's owner set something.
    pub(super) fn set_differently(&mut self, index: usize) {
        self.set(2 * HOUR, SETTINGS[index % SETTINGS.len()]);
    }

    /// Has the group's owner set these, one after the other.
    pub(super) fn set(&mut self, at: i64, settings: &[&str]) {
        for (nth, setting) in (0..).zip(settings) {
            let text = format!("/settings {setting}");
            self.day.say(at + nth * 5 * MINUTE, self.group.owner, self.group.id, &text);
        }
    }

    /// Has each rarity happen.
    pub(super) fn tell_rarer(&mut self) {
        let (friend, _) = self.resident();
        self.seat_in_channels(friend);
        for by in [self.group.owner, friend] {
            self.somebody_brought_in(by);
        }
        self.somebody_let_in();
        self.editor();
        self.channels_that_write();
        self.writer_in_a_topic();
    }

    /// Whom an administrator brings in may write until they leave (E15); whom anybody else does is like all newcomers.
    fn somebody_brought_in(&mut self, by: UserId) {
        let (user, at, chat) = (self.day.somebody(), self.day.moment(), self.group.id);
        self.day.at(at, Act::Add { by, chat, users: vec![user] });
        self.write(at + HOUR, user);
        self.leave(at + 2 * HOUR, user, chat);
        self.join(at + 3 * HOUR, user, chat);
        self.write(at + 5 * HOUR, user);
    }

    /// Who asks and is in the channels is let in (E23).
    fn somebody_let_in(&mut self) {
        let (user, at) = (self.day.somebody(), self.day.moment());
        self.seat_in_channels(user);
        self.day.at(at, Act::AskToJoin { user, chat: self.group.id });
        self.write(at + 3 * HOUR, user);
    }

    /// Writes, edits, leaves the channel and edits again (E58).
    fn editor(&mut self) {
        let (user, at) = self.resident();
        self.seat_in_channels(user);
        self.write(at, user);
        for (later, text) in [(HOUR, "better"), (3 * HOUR, "otherwise")] {
            self.day.at(at + later, Act::Edit { user, chat: self.group.id, message: None, text: text.to_owned() });
        }
        self.leave(at + 2 * HOUR, user, self.group.channels[0]);
    }

    /// The group's own channel may write in its comments (E4), and others may not (E5).
    fn channels_that_write(&mut self) {
        let (user, foreign) = self.day.foreign_channel();
        let own = self.group.channels.last().map(|channel| (self.group.owner, *channel));
        for (user, sender) in own.into_iter().chain([(user, foreign), (user, foreign)]) {
            let at = self.day.moment();
            let content = Content::Text("News from us".to_owned());
            self.day.at(at, Act::WriteAs { user, chat: self.group.id, sender, content });
        }
    }

    /// Is prompted where they write (E63), if the group has topics.
    fn writer_in_a_topic(&mut self) {
        let (user, at) = self.resident();
        for later in [0, self.day.random.random_range(MINUTE..HOUR)] {
            let content = Content::Sticker("👋".to_owned());
            let act = Act::Write { user, chat: self.group.id, content, thread: Some(TOPIC) };
            self.day.at(at + later, act);
        }
        let joined = self.join_channels(at + 2 * HOUR, user);
        self.write(joined + 3 * HOUR, user);
    }
}
