//! The cache's suite against its adapters, and against adapters that are wrong.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, sync::Mutex, time::Duration};

use async_trait::async_trait;
use nezuko_shared::{
    cache::{Cache, CacheError, ChatVersion, Verdict, memory::MemoryCache, redis::RedisCache},
    conformance::databases::server,
    conformance::{cache::suite, must_fail, redis_servers::RedisServers},
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, ChatId, UserId};
use tokio::time::Instant;

#[tokio::test]
async fn the_cache_on_redis_passes() {
    let Some(url) = server("REDIS_URL") else { return };
    suite(&RedisCache::new(Redis::new(&url).unwrap())).await.unwrap();
}

#[tokio::test]
async fn the_cache_passes_wherever_redis_is_with_the_documented_rights() {
    for servers in RedisServers::of_each_kind().await {
        suite(&RedisCache::new(Redis::new(&servers.worker).unwrap())).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_cache_in_memory_passes() {
    suite(&MemoryCache::default()).await.unwrap();
}

#[tokio::test]
async fn without_redis_nobody_is_known() {
    let cache = RedisCache::new(Redis::new("redis://127.0.0.1:1").unwrap());
    assert!(cache.acquitted(BotId(1), &[(ChatId(-1), UserId(1))]).await.is_err());
}

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    OlderOrderWins,
    OlderSettingsWin,
    NewerSettingsBeatNewerOrder,
    EqualAcquittalWins,
    ForgetsRevocations,
    IgnoresSettingsVersions,
    TrustsInUnknownChats,
    IgnoresProtection,
    OlderChatWins,
    NeverExpires,
    ExpiresTooSoon,
    MixesBots,
    MixesChats,
    AnswersInAnotherOrder,
}

/// Each fault with the check that is there for it.
const FAULTS: [(Fault, &str); 14] = [
    (Fault::OlderOrderWins, "an_older_acquittal_does_not_replace_a_revocation"),
    (Fault::OlderSettingsWin, "an_acquittal_of_older_settings_does_not_replace_one_of_newer"),
    (Fault::NewerSettingsBeatNewerOrder, "an_older_acquittal_of_newer_settings_does_not_replace_a_revocation"),
    (Fault::EqualAcquittalWins, "of_equal_verdicts_a_revocation_stays"),
    (Fault::ForgetsRevocations, "an_older_acquittal_does_not_replace_a_revocation"),
    (Fault::IgnoresSettingsVersions, "an_acquittal_belongs_to_its_settings_version"),
    (Fault::TrustsInUnknownChats, "an_acquittal_in_an_unknown_chat_is_none"),
    (Fault::IgnoresProtection, "in_an_unprotected_chat_everybody_may_write"),
    (Fault::OlderChatWins, "an_older_version_of_a_chat_does_not_replace_a_newer"),
    (Fault::NeverExpires, "what_is_remembered_expires_and_not_much_too_soon"),
    (Fault::ExpiresTooSoon, "what_is_remembered_expires_and_not_much_too_soon"),
    (Fault::MixesBots, "bots_are_apart"),
    (Fault::MixesChats, "ids_are_not_mixed_up"),
    (Fault::AnswersInAnotherOrder, "answers_come_in_the_order_of_the_questions"),
];

/// Values with the moment of their end.
type Expiring<K, V> = Mutex<HashMap<K, (V, Instant)>>;

/// The simplest cache, right without a fault.
#[derive(Default)]
struct Naive {
    fault: Option<Fault>,
    members: Expiring<(BotId, ChatId, UserId), Verdict>,
    chats: Expiring<(BotId, ChatId), ChatVersion>,
}

impl Naive {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn until(&self, ttl: Duration) -> Instant {
        Instant::now()
            + match self.fault {
                Some(Fault::NeverExpires) => ttl * 1000,
                Some(Fault::ExpiresTooSoon) => ttl / 4,
                _ => ttl,
            }
    }

    fn key(&self, bot: BotId, chat: ChatId, user: UserId) -> (BotId, ChatId, UserId) {
        let bot = if self.has(Fault::MixesBots) { BotId(0) } else { bot };
        let chat = if self.has(Fault::MixesChats) { ChatId(0) } else { chat };
        (bot, chat, user)
    }
}

#[async_trait]
impl Cache for Naive {
    async fn acquitted(&self, bot: BotId, pairs: &[(ChatId, UserId)]) -> Result<Vec<bool>, CacheError> {
        let (members, chats, now) = (self.members.lock().unwrap(), self.chats.lock().unwrap(), Instant::now());
        let answer = |(chat, user): &(ChatId, UserId)| {
            let verdict = members.get(&self.key(bot, *chat, *user)).filter(|(_, until)| now < *until);
            let acquitted_by = |version: Option<i64>| {
                verdict.is_some_and(|(verdict, _)| {
                    verdict.acquitted && version.is_none_or(|version| verdict.settings_version == version)
                })
            };
            match chats.get(&(bot, *chat)).filter(|(_, until)| now < *until) {
                None => self.has(Fault::TrustsInUnknownChats) && acquitted_by(None),
                Some((version, _)) if !version.protected => !self.has(Fault::IgnoresProtection),
                Some(_) if self.has(Fault::IgnoresSettingsVersions) => acquitted_by(None),
                Some((version, _)) => acquitted_by(Some(version.settings_version)),
            }
        };
        let mut answers: Vec<bool> = pairs.iter().map(answer).collect();
        if self.has(Fault::AnswersInAnotherOrder) {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn remember(&self, bot: BotId, verdicts: &[Verdict], ttl: Duration) -> Result<(), CacheError> {
        let mut members = self.members.lock().unwrap();
        for new in verdicts {
            let key = self.key(bot, new.group, new.user);
            if self.has(Fault::ForgetsRevocations) && !new.acquitted {
                members.remove(&key);
                continue;
            }
            let rank = |verdict: &Verdict| {
                let Verdict { order, settings_version, acquitted, .. } = *verdict;
                match self.fault {
                    Some(Fault::OlderOrderWins) => (0, 0, false),
                    Some(Fault::OlderSettingsWin) => (order, 0, false),
                    Some(Fault::NewerSettingsBeatNewerOrder) => (settings_version, order, !acquitted),
                    Some(Fault::EqualAcquittalWins) => (order, settings_version, acquitted),
                    _ => (order, settings_version, !acquitted),
                }
            };
            let known = members.get(&key).filter(|(_, until)| Instant::now() < *until);
            if known.is_none_or(|(known, _)| rank(known) <= rank(new)) {
                members.insert(key, (*new, self.until(ttl)));
            }
        }
        Ok(())
    }

    async fn remember_chat(&self, bot: BotId, new: ChatVersion, ttl: Duration) -> Result<(), CacheError> {
        let mut chats = self.chats.lock().unwrap();
        let known = chats.get(&(bot, new.chat)).filter(|(_, until)| Instant::now() < *until);
        let newer = known.is_none_or(|(known, _)| known.settings_version <= new.settings_version);
        if newer || self.has(Fault::OlderChatWins) {
            chats.insert((bot, new.chat), (new, self.until(ttl)));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_notices_each_fault_and_nothing_else() {
    suite(&Naive::default()).await.unwrap();
    for (fault, check) in FAULTS {
        let faulty = Naive { fault: Some(fault), ..Naive::default() };
        let noticed = must_fail(&format!("{fault:?}"), suite(&faulty)).await.unwrap();
        println!("{noticed}");
        assert!(noticed.contains(check), "not noticed by {check}: {noticed}");
    }
}
