//! What single people do in a group over a day.

use rand::Rng;

use super::day::{Day, Group, HOUR, MINUTE};
use crate::world::{Act, ChatId, Content, Member, Rights, UserId};

/// Tells stories of one group.
pub(super) struct Stories<'a> {
    pub(super) day: &'a mut Day,
    pub(super) group: &'a Group,
}

impl Stories<'_> {
    /// Tells this many; each kind comes in turn, so that none is missing.
    pub(super) fn tell(&mut self, count: usize) {
        for nth in 0..count {
            match nth % 18 {
                0 | 1 => self.newcomer_who_is_in_the_channels(),
                2..=4 => self.newcomer_who_presses_too_early_and_again(),
                5 | 6 => self.newcomer_who_joins_the_channels_and_never_presses(),
                7 | 8 => self.newcomer_who_never_joins_the_channels(),
                9 => self.spammer(),
                10 => self.lurker_who_speaks_up(),
                11 => self.lurker_who_learns(),
                12 => self.leaver_of_a_channel(),
                13 => self.flapper(),
                14 => self.outsider(),
                15 => self.somebody_muted_by_an_admin(),
                16 => self.somebody_allowed_by_an_admin(),
                _ => self.rarity(nth / 18),
            }
        }
    }

    /// The next thing a person does comes after this long.
    pub(super) fn pause(&mut self) -> i64 {
        self.day.random.random_range(20 * MINUTE..2 * HOUR)
    }

    pub(super) fn join(&mut self, at: i64, user: UserId, chat: ChatId) {
        self.day.at(at, Act::Join { user, chat });
    }

    pub(super) fn leave(&mut self, at: i64, user: UserId, chat: ChatId) {
        self.day.at(at, Act::Leave { user, chat });
    }

    pub(super) fn write(&mut self, at: i64, user: UserId) {
        self.day.write(at, user, self.group.id);
    }

    pub(super) fn press(&mut self, at: i64, user: UserId) {
        self.day.at(at, Act::Press { user, chat: self.group.id, message: None });
    }

    /// Joins all required channels, one after the other; returns when the last is joined.
    pub(super) fn join_channels(&mut self, mut at: i64, user: UserId) -> i64 {
        for channel in &self.group.channels {
            at += 5 * MINUTE;
            self.day.at(at, Act::Join { user, chat: *channel });
        }
        at
    }

    pub(super) fn seat_in_channels(&mut self, user: UserId) {
        for channel in &self.group.channels {
            self.day.seat(*channel, user, Member::Member);
        }
    }

    pub(super) fn newcomer(&mut self) -> (UserId, i64) {
        let (user, at) = (self.day.somebody(), self.day.moment());
        self.join(at, user, self.group.id);
        (user, at)
    }

    /// Somebody who was in the group before the bot.
    pub(super) fn resident(&mut self) -> (UserId, i64) {
        let (user, at) = (self.day.somebody(), self.day.moment());
        self.day.seat(self.group.id, user, Member::Member);
        (user, at)
    }

    fn newcomer_who_is_in_the_channels(&mut self) {
        let (user, mut at) = self.newcomer();
        self.seat_in_channels(user);
        for _ in 0..3 {
            at += self.pause();
            self.write(at, user);
        }
    }

    fn newcomer_who_presses_too_early_and_again(&mut self) {
        let (user, at) = self.newcomer();
        let early = at + self.pause();
        self.press(early, user);
        let joining = early + self.day.random.random_range(MINUTE..2 * HOUR);
        let joined = self.join_channels(joining, user);
        let late = joined + self.day.random.random_range(MINUTE..HOUR);
        self.press(late, user);
        self.write(late + 2 * HOUR, user);
    }

    fn newcomer_who_joins_the_channels_and_never_presses(&mut self) {
        let (user, at) = self.newcomer();
        let joining = at + self.pause();
        let joined = self.join_channels(joining, user);
        self.write(joined + 3 * HOUR, user);
    }

    fn newcomer_who_never_joins_the_channels(&mut self) {
        let (user, mut at) = self.newcomer();
        // In a group with two channels one of them is not enough.
        if let [first, _] = self.group.channels[..] {
            self.join(at + 5 * MINUTE, user, first);
        }
        for _ in 0..2 {
            at += self.pause();
            self.write(at, user);
        }
    }

    fn spammer(&mut self) {
        let (user, at) = self.newcomer();
        let album = self.day.random.random_ratio(1, 3).then(|| format!("{}", 13_000_000_000 + user.0));
        for _ in 0..self.day.random.random_range(2..10) {
            match &album {
                Some(album) => {
                    let content = Content::AlbumPhoto(album.clone());
                    self.day.at(at, Act::Write { user, chat: self.group.id, content, thread: None });
                }
                None => self.write(at, user),
            }
        }
        if self.day.random.random_ratio(1, 3) {
            self.leave(at + MINUTE, user, self.group.id);
        }
    }

    fn lurker_who_speaks_up(&mut self) {
        let (user, at) = self.resident();
        self.write(at, user);
        self.write(at + HOUR, user);
    }

    fn lurker_who_learns(&mut self) {
        let (user, at) = self.resident();
        self.write(at, user);
        let joining = at + self.pause();
        let joined = self.join_channels(joining, user);
        let pressed = joined + 10 * MINUTE;
        self.press(pressed, user);
        self.write(pressed + 2 * HOUR, user);
    }

    fn leaver_of_a_channel(&mut self) {
        let (user, mut at) = self.newcomer();
        self.seat_in_channels(user);
        at += self.pause();
        self.write(at, user);
        at += self.pause();
        self.leave(at, user, self.group.channels[0]);
        at += self.pause();
        self.write(at, user);
        if self.day.random.random_ratio(1, 2) {
            at += self.pause();
            self.join(at, user, self.group.channels[0]);
            self.write(at + 3 * HOUR, user);
        }
    }

    /// Comes and goes faster than anybody can follow, in the group and in a channel.
    fn flapper(&mut self) {
        let (user, mut at) = self.newcomer();
        let (group, channel) = (self.group.id, self.group.channels[0]);
        for _ in 0..self.day.random.random_range(1..4) {
            self.leave(at + 1, user, group);
            self.join(at + 2, user, group);
            at += self.day.random.random_range(3..30 * MINUTE);
            self.join(at, user, channel);
            let stays = self.day.random.random_range(1..20 * MINUTE);
            self.leave(at + stays, user, channel);
            at += 21 * MINUTE;
        }
        if self.day.random.random_ratio(1, 2) {
            self.join_channels(at, user);
        }
    }

    /// Writes in comments without being in the group (E11); refused where the group is not open.
    fn outsider(&mut self) {
        let (user, at) = (self.day.somebody(), self.day.moment());
        if self.day.random.random_ratio(1, 3) {
            self.seat_in_channels(user);
        }
        self.write(at, user);
        self.write(at + HOUR, user);
    }

    /// An administrator's mute is not ours to lift (E44), whatever the person joins.
    fn somebody_muted_by_an_admin(&mut self) {
        let (user, at) = self.newcomer();
        let (admin, chat) = (self.group.admins[0], self.group.id);
        let verified = self.day.random.random_ratio(1, 2);
        if verified {
            self.seat_in_channels(user);
        }
        self.day.at(at + 3 * HOUR, Act::AdminMute { admin, chat, user, for_s: 0 });
        if verified {
            self.leave(at + 4 * HOUR, user, self.group.channels[0]);
        }
        let joined = self.join_channels(at + 5 * HOUR, user);
        self.press(joined + 10 * MINUTE, user);
        if self.day.random.random_ratio(1, 3) {
            self.day.at(joined + 2 * HOUR, Act::AdminUnmute { admin, chat, user });
            self.write(joined + 4 * HOUR, user);
        }
    }

    /// Who lifts our mute has allowed the person until they leave.
    fn somebody_allowed_by_an_admin(&mut self) {
        let (user, at) = self.newcomer();
        let chat = self.group.id;
        // The owner unmutes, so that two administrators' acts interleave.
        let allowed = at + self.pause();
        self.day.at(allowed, Act::AdminUnmute { admin: self.group.owner, chat, user });
        self.write(allowed + HOUR, user);
        if self.day.random.random_ratio(1, 2) {
            self.leave(allowed + 2 * HOUR, user, chat);
            self.join(allowed + 2 * HOUR + 30 * MINUTE, user, chat);
            self.write(allowed + 5 * HOUR, user);
        }
    }

    fn rarity(&mut self, nth: usize) {
        let (admin, chat) = (self.group.admins[1], self.group.id);
        match nth % 3 {
            0 => {
                let (user, at) = self.newcomer();
                self.day.at(at + HOUR, Act::AdminBan { admin, chat, user });
                self.day.at(at + 3 * HOUR, Act::AdminUnban { admin, chat, user });
                self.join(at + 4 * HOUR, user, chat);
            }
            1 => {
                // An administrator for some hours, never in the channels: exempt while it lasts.
                let (user, at) = self.resident();
                let admin = self.group.owner;
                let rights = Rights { can_promote_members: false, ..Rights::FULL };
                self.day.at(at, Act::Promote { admin, chat, user, rights });
                self.write(at + HOUR, user);
                self.day.at(at + 5 * HOUR, Act::Demote { admin, chat, user });
                self.write(at + 9 * HOUR, user);
            }
            _ => {
                // A press by somebody who was never muted (E73).
                let (user, at) = self.resident();
                self.seat_in_channels(user);
                self.press(at, user);
                self.write(at + HOUR, user);
            }
        }
    }
}
