//! How our mutes are known again.

use nezuko_telegram::{BotId, ChatId, Limits, UserId};

/// How our mutes are told from others': their `until_date` lies in one residue class that belongs to the bot, the chat and
/// the person. It needs no table, so that even a mute whose echo was lost, or that a restored backup does not know, is
/// recognised; another's `until_date` falls into the class once in 65,521 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(i64);

impl Mark {
    const MODULUS: i64 = 65_521;
    /// Telegram takes anything over 366 days for "for ever"; our mutes end between 300 and 365 days from now.
    const SHORTEST_S: i64 = 300 * 86_400;
    /// So many residue classes pass in some 63 days.
    const SPREAD: i64 = 84;

    /// The mark of our mutes of `user` in `chat`.
    #[must_use]
    pub fn of(bot: BotId, chat: ChatId, user: UserId) -> Self {
        let mixed = [bot.0, chat.0, user.0].into_iter().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, part| {
            let hash = (hash ^ part.cast_unsigned()).wrapping_mul(0xff51_afd7_ed55_8ccd);
            hash ^ (hash >> 32)
        });
        Self((mixed % Self::MODULUS.cast_unsigned()).cast_signed())
    }

    /// An `until_date` for a new mute at `now_ms`.
    #[must_use]
    pub fn until(self, now_ms: i64) -> i64 {
        let now = now_ms / 1000;
        let earliest = now + Self::SHORTEST_S + now % Self::SPREAD * Self::MODULUS;
        earliest + (self.0 - earliest).rem_euclid(Self::MODULUS)
    }

    /// Whether `limits` are a mute of ours. Whoever has a voice is muted by nobody: an administrator has given it to them and
    /// left the end as it was.
    #[must_use]
    pub fn is_on(self, limits: Limits) -> bool {
        let is_marked = |until: i64| until > 0 && until % Self::MODULUS == self.0;
        matches!(limits, Limits::Restricted { until, left } if is_marked(until) && !left.can_send())
    }
}
