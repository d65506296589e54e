//! When so many come at once that they are counted rather than named (E98).

use crate::facts::{ChatFacts, LATELY_MS, Raid};

/// A raid is over when nobody has had reason to call it one for so long.
const LASTS_MS: i64 = 300_000;
/// A raid that goes on is written down this often.
const PROLONGED_MS: i64 = 60_000;

/// Since when those count who have begun to wait. Before the end that an administrator has given a raid nobody does.
#[must_use]
pub fn raid_counted_since_ms(facts: &ChatFacts, now_ms: i64) -> i64 {
    let ended_ms = Some(facts.settings.raid_until_ms()).filter(|until_ms| *until_ms <= now_ms);
    ended_ms.map_or(now_ms - LATELY_MS, |ended_ms| ended_ms.max(now_ms - LATELY_MS))
}

/// The raid that there is in a group in which `came` people have begun to wait since [`raid_counted_since_ms`], and whether that
/// is news to be written down. By hand it lasts as long as whoever called it one has said, nothing is written, and what was a
/// raid until then is none any more.
#[must_use]
pub fn raid(facts: &ChatFacts, came: i64, now_ms: i64) -> (Option<Raid>, bool) {
    let threshold = facts.settings.raid_threshold();
    let by_hand_ms = facts.settings.raid_until_ms();
    let ended_by_hand = |raid: &Raid| (raid.since_ms..=now_ms).contains(&by_hand_ms);
    let known = facts.raid.filter(|raid| now_ms < raid.until_ms && !ended_by_hand(raid));
    if threshold > 0 && came > threshold {
        let since_ms = known.map_or(now_ms, |raid| raid.since_ms);
        let raid = Raid { since_ms, until_ms: (now_ms + LASTS_MS).max(by_hand_ms) };
        let is_news = known.is_none_or(|known| known.until_ms + PROLONGED_MS <= now_ms + LASTS_MS);
        return (Some(raid), is_news);
    }
    if now_ms < by_hand_ms {
        return (Some(Raid { since_ms: now_ms, until_ms: by_hand_ms }), false);
    }
    (known, false)
}
