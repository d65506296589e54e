//! A plain stream of updates for `replay`: what people do, in a world in which the bot never reacts.

use serde_json::json;

use super::{DayPlan, day};
use crate::world::{ChatKind, Emitted, Person};

/// Days one after the other until there are `count` updates; `start_ms` is the first day's beginning (Unix ms).
#[must_use]
pub fn stream(seed: u64, count: usize, bot: &Person, start_ms: i64) -> Vec<Emitted> {
    let mut updates = Vec::with_capacity(count);
    let mut next_id = 300_000_001;
    for nth in 0.. {
        let scenario = day(seed.wrapping_add(nth), DayPlan::default(), bot.clone());
        let mut world = scenario.world(start_ms);
        let mut prompted = false;
        for timed in scenario.acts {
            let now_ms = start_ms + timed.at_ms;
            if !prompted && timed.at_ms > super::day::HOUR {
                prompted = true;
                // Something to press on.
                let groups: Vec<_> =
                    world.chats().filter(|c| c.spec.kind == ChatKind::Supergroup).map(|c| c.spec.id).collect();
                for group in groups {
                    let keyboard = json!({"inline_keyboard": [[{"text": "I have joined", "callback_data": "v"}]]});
                    let params = json!({"chat_id": group, "text": "Please join", "reply_markup": keyboard});
                    world.call(now_ms, "sendMessage", &params);
                }
            }
            // Refused acts leave nothing, which is what a stream needs.
            let _refused = world.act(now_ms, timed.act);
        }
        for mut update in world.take_updates() {
            if updates.len() == count {
                return updates;
            }
            let content = update.body.split_once(",\n").map_or("", |(_, content)| content);
            update.body = format!("{{\"update_id\":{next_id},{content}");
            update.update_id = next_id;
            next_id += 1;
            updates.push(update);
        }
    }
    updates
}
