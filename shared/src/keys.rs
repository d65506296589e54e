//! Every key that Nezuko uses in Redis.
//!
//! All begin with `nezuko:` and carry the hash tag `{<bot>.<shard>}`, so that in a Redis Cluster the keys of one bot,
//! and with them the keys of any one script, lie in one slot. There is one shard, number 0.
//!
//! | key | type | what | lives |
//! |---|---|---|---|
//! | `…:updates` | stream, group [`WORKERS`] | updates that no worker has finished | until acknowledged; never trimmed |
//! | `…:quarantine` | stream | authenticated bodies that are no update | the newest [`QUARANTINE_LENGTH`] or so |
//! | `…:dead` | stream | entries that were given up, with the reason | until an operator drops or replays them |
//! | `…:registration` | string | a gateway registers the webhook | half a minute |
//! | `…:limiter:<budget>` | hash | state of a budget | for ever |
//! | `…:limiter:grants:<budget>` | list | last grants of a budget, newest first | for ever |
//! | `…:limiter:chat:<chat>` | list | last grants of messages to a chat, newest first | a little over a minute |
//! | `…:limiter:flooded` | string | the last chat that was paused | a second |
//! | `…:limiter:pause` | string | the whole bot is paused | as long as the pause |
//! | `…:limiter:pause:<chat>` | string | the chat is paused | as long as the pause |
//! | `…:cache:chat:<chat>` | string | `<settings version>:<protected>` | the cache's time to live |
//! | `…:cache:member:<chat>:<user>` | string | `<order>:<settings version>:<acquitted>` | the cache's time to live |

use nezuko_telegram::{BotId, ChatId, UserId};

/// The consumer group of every update stream.
pub const WORKERS: &str = "workers";

/// The consumer that holds what a leaving worker gave back, until somebody reclaims it. No worker has this name.
pub const RELEASED: &str = "released";

/// About how many bodies the quarantine keeps.
pub const QUARANTINE_LENGTH: u32 = 10_000;

fn of_bot(bot: BotId, rest: &str) -> String {
    format!("nezuko:{{{bot}.0}}:{rest}")
}

/// The stream of a bot's updates.
#[must_use]
pub fn updates(bot: BotId) -> String {
    of_bot(bot, "updates")
}

/// The stream of a bot's quarantined bodies.
#[must_use]
pub fn quarantine(bot: BotId) -> String {
    of_bot(bot, "quarantine")
}

/// The stream of a bot's dead letters.
#[must_use]
pub fn dead_letters(bot: BotId) -> String {
    of_bot(bot, "dead")
}

/// The mark that a gateway registers the bot's webhook.
#[must_use]
pub fn registration(bot: BotId) -> String {
    of_bot(bot, "registration")
}

/// The hash with the state of a budget.
#[must_use]
pub fn limiter(bot: BotId, budget: &str) -> String {
    of_bot(bot, &format!("limiter:{budget}"))
}

/// The list of a budget's last grants.
#[must_use]
pub fn limiter_grants(bot: BotId, budget: &str) -> String {
    of_bot(bot, &format!("limiter:grants:{budget}"))
}

/// The list of the last grants of messages to a chat.
#[must_use]
pub fn limiter_chat(bot: BotId, chat: ChatId) -> String {
    of_bot(bot, &format!("limiter:chat:{chat}"))
}

/// The last chat that was paused.
#[must_use]
pub fn limiter_flooded(bot: BotId) -> String {
    of_bot(bot, "limiter:flooded")
}

/// The mark that a chat, or without one the whole bot, is paused.
#[must_use]
pub fn limiter_pause(bot: BotId, chat: Option<ChatId>) -> String {
    match chat {
        Some(chat) => of_bot(bot, &format!("limiter:pause:{chat}")),
        None => of_bot(bot, "limiter:pause"),
    }
}

/// What the cache knows about a chat.
#[must_use]
pub fn cached_chat(bot: BotId, chat: ChatId) -> String {
    of_bot(bot, &format!("cache:chat:{chat}"))
}

/// What the cache knows about a person in a chat.
#[must_use]
pub fn cached_member(bot: BotId, chat: ChatId, user: UserId) -> String {
    of_bot(bot, &format!("cache:member:{chat}:{user}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash tag of a key, as Redis Cluster finds it.
    fn tag(key: &str) -> &str {
        key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(tag, _)| tag)
    }

    #[test]
    fn all_keys_of_a_bot_lie_in_one_slot_and_differ() {
        let (bot, chat, user) = (BotId(7), ChatId(-100), UserId(5));
        let keys = [
            updates(bot),
            quarantine(bot),
            dead_letters(bot),
            registration(bot),
            limiter(bot, "message"),
            limiter_flooded(bot),
            limiter_grants(bot, "message"),
            limiter_chat(bot, chat),
            limiter_pause(bot, Some(chat)),
            limiter_pause(bot, None),
            cached_chat(bot, chat),
            cached_member(bot, chat, user),
        ];
        assert!(keys.iter().all(|key| tag(key) == "7.0"), "{keys:?}");
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn the_stream_has_the_name_that_operators_are_told() {
        assert_eq!(updates(BotId(123)), "nezuko:{123.0}:updates");
    }
}
