//! `getUpdates`: what waits for delivery, asked for instead.

use std::{pin::pin, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use crate::world::Answer;

const LONGEST_WAIT_S: i64 = 50;
const MOST_AT_ONCE: i64 = 100;

/// Answers as soon as there are updates, or when the wait is over; a younger question ends an older one, a webhook any.
pub(super) async fn get_updates(shared: &Shared, params: &Value) -> Answer {
    let refused = shared.call("getUpdates", params);
    if refused.status != 200 {
        return refused;
    }
    let number = |name: &str, default: i64| params.get(name).and_then(Value::as_i64).unwrap_or(default);
    let limit = usize::try_from(number("limit", MOST_AT_ONCE).clamp(1, MOST_AT_ONCE)).unwrap_or(1);
    let wait_s = u64::try_from(number("timeout", 0).clamp(0, LONGEST_WAIT_S)).unwrap_or(0);
    let deadline = Instant::now() + Duration::from_secs(wait_s);
    let mine = shared.begin_poll();
    shared.confirm(number("offset", 0));
    loop {
        // Listens before it looks, so that nothing is missed in between.
        let mut changed = pin!(shared.poll_changed.notified());
        changed.as_mut().enable();
        if shared.has_webhook() {
            return Answer::conflict("terminated by setWebhook request");
        }
        if shared.newest_poll() != mine {
            return Answer::conflict(
                "terminated by other getUpdates request; make sure that only one bot instance is running",
            );
        }
        let bodies = shared.waiting(limit);
        if !bodies.is_empty() || timeout_at(deadline, changed).await.is_err() {
            let updates: Vec<Value> = bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
            return Answer { status: 200, body: json!({"ok": true, "result": updates}) };
        }
    }
}
