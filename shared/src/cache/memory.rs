//! The cache in the process, for the one-process profile.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use nezuko_telegram::{BotId, ChatId, UserId};
use tokio::time::Instant;

use super::{Cache, CacheError, ChatVersion, Verdict, jittered};

/// How many persons, and how many chats, are remembered at most: some 40 MB when full.
const CAPACITY: usize = 200_000;

/// A bounded cache that lives and dies with the process.
#[derive(Debug)]
pub struct MemoryCache(Mutex<Known>);

#[derive(Debug)]
struct Known {
    members: Generations<(BotId, ChatId, UserId), Verdict>,
    chats: Generations<(BotId, ChatId), ChatVersion>,
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self(Mutex::new(Known { members: Generations::new(CAPACITY), chats: Generations::new(CAPACITY) }))
    }
}

impl MemoryCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn acquitted(&self, bot: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError> {
        let now = Instant::now();
        let mut known = self.known();
        let Known { members, chats } = &mut *known;
        let mut is_acquitted = |chat: ChatId, user: UserId| {
            let Some(version) = chats.get((bot, chat), now) else { return false };
            !version.protected
                || members
                    .get((bot, chat, user), now)
                    .is_some_and(|verdict| verdict.acquitted && verdict.settings_version == version.settings_version)
        };
        Ok(pairs.iter().map(|(chat, user)| is_acquitted(*chat, *user)).collect())
    }

    async fn remember(&self, bot: BotId, verdicts: &[Verdict], ttl: Duration) -> Result<(), CacheError> {
        let now = Instant::now();
        let mut known = self.known();
        for verdict in verdicts {
            let key = (bot, verdict.group, verdict.user);
            // Of two that are equal a revocation stays: `false` is below `true`, so it must be turned round.
            let rank = |verdict: &Verdict| (verdict.order, verdict.settings_version, !verdict.acquitted);
            if known.members.get(key, now).is_none_or(|found| rank(&found) <= rank(verdict)) {
                known.members.insert(key, *verdict, now + jittered(ttl));
            }
        }
        Ok(())
    }

    async fn remember_chat(&self, bot: BotId, version: ChatVersion, ttl: Duration) -> Result<(), CacheError> {
        let now = Instant::now();
        let mut known = self.known();
        let key = (bot, version.chat);
        if known.chats.get(key, now).is_none_or(|found| found.settings_version <= version.settings_version) {
            known.chats.insert(key, version, now + jittered(ttl));
        }
        Ok(())
    }
}

/// A map of bounded size: when the young half is full it becomes the old one, and what was old and in no use is
/// dropped at a stroke. What is looked up moves to the young half.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, Instant)>,
    old: HashMap<K, (V, Instant)>,
    /// Of one generation.
    capacity: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Generations<K, V> {
    fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity: capacity / 2 }
    }

    fn get(&mut self, key: K, now: Instant) -> Option<V> {
        let (value, until) = match self.young.get(&key) {
            Some(found) => *found,
            None => {
                let (value, until) = self.old.remove(&key)?;
                self.insert(key, value, until);
                (value, until)
            }
        };
        (now < until).then_some(value)
    }

    fn insert(&mut self, key: K, value: V, until: Instant) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_cache_never_exceeds_its_capacity_and_keeps_what_is_used() {
        let (now, until) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let mut map = Generations::new(100);
        map.insert(-1, "used", until);
        for key in 0..1000 {
            map.insert(key, "once", until);
            assert_eq!(map.get(-1, now), Some("used"), "after {key}");
            assert!(map.young.len() + map.old.len() <= 100);
        }
        assert_eq!(map.get(0, now), None);
        assert_eq!(map.get(999, now), Some("once"));
    }
}
