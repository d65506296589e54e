//! Telegram asks for a pause (429): all workers of a fleet obey to the second, and nobody waits who is not meant.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use loadtest::{
    generate::{RaidPlan, Scenario, Timed, raid},
    simulator::{CallSeen, Fault, FaultKind, Options, Simulator},
    world::ChatId,
};
use support::{eventually, fleet::Fleet, fresh_bot, play::now_ms, servers::with_servers, token};
use tokio::time::{Instant, sleep_until};

/// Strangers keep coming, so that there is always somebody to be muted in each group.
const RAID: RaidPlan = RaidPlan { groups: 3, raiders: 450, lasts_ms: 45_000 };
const PAUSE: Duration = Duration::from_secs(7);
/// Two chats that meet a 429 so shortly one after the other make the whole bot pause, wherever their answers are read.
const AT_ONCE: Duration = Duration::from_millis(500);
/// What had been written when the answer came, or had leave to be, on a machine that does other things.
const IN_FLIGHT: Duration = Duration::from_secs(2);
/// A day, as Telegram has asked for: more than 16 bits of seconds.
const A_DAY: Duration = Duration::from_secs(86_400);

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

/// Everybody does what they do, in real time.
async fn play(telegram: &Simulator, scenario: Scenario) {
    let begun = Instant::now();
    for Timed { at_ms, act } in scenario.acts {
        sleep_until(begun + Duration::from_millis(at_ms.unsigned_abs())).await;
        telegram.act(act).unwrap();
    }
}

/// The next mute in each of these chats meets a 429 of so many seconds; when each of them did, µs.
async fn refuse<const N: usize>(telegram: &Simulator, chats: [ChatId; N], retry_after: u64) -> [i64; N] {
    let before = telegram.call_count();
    for chat in chats {
        let kind = FaultKind::Flood { retry_after };
        let method = Some("restrictChatMember");
        telegram.inject(Fault { method, chat: Some(chat), every: 1, times: 1, kind });
    }
    let met = |chat: ChatId| {
        let calls = telegram.calls();
        calls[before..].iter().find(|call| call.chat == Some(chat) && call.status == 429).map(|call| call.at_us)
    };
    eventually("a mute meets a 429", async || chats.iter().all(|chat| met(*chat).is_some())).await;
    chats.map(|chat| met(chat).unwrap())
}

/// The calls of some chats that arrived so long after a moment (µs).
fn within(calls: &[CallSeen], chats: &[ChatId], since_us: i64, from: Duration, to: Duration) -> usize {
    let span = since_us + micros(from)..since_us + micros(to);
    calls
        .iter()
        .filter(|call| call.chat.is_some_and(|chat| chats.contains(&chat)) && span.contains(&call.at_us))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_kept_by_every_worker_for_the_chat_or_for_the_bot_and_by_nobody_else() {
    let bot = fresh_bot();
    with_servers(bot, async |servers| {
        let scenario = raid(3, RAID, Scenario::demo_bot(bot));
        let groups: Vec<ChatId> =
            scenario.chats.iter().filter(|chat| chat.kind.is_group()).map(|chat| chat.id).collect();
        let [first, second, third] = groups[..] else { panic!("{groups:?}") };
        let options = Options { max_connections: 100, ..Options::new(&token(bot)) };
        let telegram = Simulator::start(scenario.world(now_ms()), options).await.unwrap();
        let fleet = Fleet::start(servers, &telegram, bot).await;
        let refusing = async {
            let is_over = |chats: &[ChatId], since_us| within(&telegram.calls(), chats, since_us, PAUSE, A_DAY) > 0;
            let [of_chat] = refuse(&telegram, [first], PAUSE.as_secs()).await;
            eventually("the chat's pause is over", async || is_over(&[first], of_chat)).await;
            let of_bot = loop {
                let [one, other] = refuse(&telegram, [second, third], PAUSE.as_secs()).await;
                if one.abs_diff(other) < AT_ONCE.as_micros() as u64 {
                    break one.max(other);
                }
                // It was about two chats, then.
                eventually("their pauses are over", async || is_over(&[second], one) && is_over(&[third], other)).await;
            };
            eventually("the bot's pause is over", async || is_over(&groups, of_bot)).await;
            let [for_a_day] = refuse(&telegram, [first], A_DAY.as_secs()).await;
            (of_chat, of_bot, for_a_day)
        };
        let ((), (of_chat, of_bot, for_a_day)) = tokio::join!(play(&telegram, scenario), refusing);
        let calls = telegram.calls();
        let meanwhile = |chats: &[ChatId], since_us| within(&calls, chats, since_us, IN_FLIGHT, PAUSE);
        assert_eq!(meanwhile(&[first], of_chat), 0, "calls to a chat that is to be left alone");
        assert!(meanwhile(&[second, third], of_chat) > 20, "others do not wait");
        assert_eq!(meanwhile(&groups, of_bot), 0, "two chats met a 429: the whole bot is to be still");
        assert_eq!(within(&calls, &[first], for_a_day, IN_FLIGHT, A_DAY), 0, "a day is a day");
        assert!(within(&calls, &[second, third], for_a_day, IN_FLIGHT, A_DAY) > 20, "for that chat alone");
        fleet.end().await;
    })
    .await;
}
