//! The modelled Telegram as a transport: calls may fail, lose their answer, take their time or land late.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use nezuko_telegram::{RawResponse, Transport, TransportError};
use serde_json::{Value, json};

use loadtest::world::World;

use crate::{
    coverage::count,
    plan::{Fate, Fault},
    scheduler::{sleep_until, step},
};

/// What workers call.
const METHODS: [&str; 10] = [
    "answerCallbackQuery",
    "banChatMember",
    "deleteMessage",
    "deleteMessages",
    "editMessageText",
    "getChat",
    "getChatMember",
    "restrictChatMember",
    "sendMessage",
    "unbanChatMember",
];

/// A call whose caller has given it up, and which Telegram has yet to read.
#[derive(Debug)]
struct Late {
    due_ms: i64,
    method: String,
    params: Value,
}

#[derive(Debug)]
struct State {
    world: World,
    now_ms: i64,
    late: Vec<Late>,
    /// How many calls there were.
    calls: usize,
    /// Which of them do not go as usual, in order.
    fates: VecDeque<(usize, Fate)>,
}

/// The world with a clock, shared by workers and people.
#[derive(Clone, Debug)]
pub(crate) struct Telegram(Arc<Mutex<State>>);

impl Telegram {
    pub(crate) fn new(world: World, now_ms: i64, faults: &[Fault]) -> Self {
        let fates = faults.iter().filter_map(|fault| match fault {
            Fault::Call { nth, fate } => Some((*nth, *fate)),
            _ => None,
        });
        let fates = fates.collect();
        Self(Arc::new(Mutex::new(State { world, now_ms, late: Vec::new(), calls: 0, fates })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.state().now_ms
    }

    /// Turns the clock on and lets late calls land.
    pub(crate) fn advance(&self, ms: i64) {
        let mut state = self.state();
        state.now_ms += ms;
        let now_ms = state.now_ms;
        if state.late.iter().all(|late| late.due_ms > now_ms) {
            return;
        }
        let (due, later): (Vec<Late>, Vec<Late>) = state.late.drain(..).partition(|late| late.due_ms <= now_ms);
        state.late = later;
        for late in due {
            state.world.call(now_ms, &late.method, &late.params);
        }
    }

    /// When the next late call lands, Unix milliseconds.
    pub(crate) fn lands_ms(&self) -> Option<i64> {
        self.state().late.iter().map(|late| late.due_ms).min()
    }

    pub(crate) fn no_more_faults(&self) {
        self.state().fates.clear();
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut World, i64) -> R) -> R {
        let mut state = self.state();
        let now_ms = state.now_ms;
        change(&mut state.world, now_ms)
    }

    fn call(&self, method: &str, params: &Value) -> RawResponse {
        let answer = self.with(|world, now_ms| world.call(now_ms, method, params));
        let body = answer.body.to_string().into_bytes();
        let name = METHODS.into_iter().find(|name| *name == method).unwrap_or("another method");
        count("call", name, if answer.status == 200 { "ok" } else { "refused" });
        RawResponse { status: answer.status, retry_after: None, body }
    }

    fn fate(&self) -> Option<Fate> {
        let mut state = self.state();
        let nth = state.calls;
        state.calls += 1;
        state.fates.pop_front_if(|(of, _)| *of == nth).map(|(_, fate)| fate)
    }
}

fn answered(status: u16, body: &Value) -> RawResponse {
    RawResponse { status, retry_after: None, body: body.to_string().into_bytes() }
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        step().await;
        let params: Value = serde_json::from_slice(&body).expect("invariant: calls are JSON");
        let fate = self.fate();
        if let Some(fate) = fate {
            count("fault", "call", fate.word());
        }
        let result = match fate {
            None => Ok(self.call(method, &params)),
            Some(Fate::NotSent) => Err(TransportError::NotSent),
            Some(Fate::ServerError) => Ok(RawResponse { status: 502, retry_after: None, body: b"<html>".to_vec() }),
            // Only of restrictions is it known that Telegram may answer so and not act.
            Some(Fate::Ignored) if method == "restrictChatMember" => {
                Ok(answered(200, &json!({"ok": true, "result": true})))
            }
            Some(Fate::AnswerLost | Fate::Ignored) => {
                self.call(method, &params);
                Err(TransportError::OutcomeUnknown)
            }
            Some(Fate::Late { in_ms }) => {
                let mut state = self.state();
                let due_ms = state.now_ms + in_ms;
                state.late.push(Late { due_ms, method: method.to_owned(), params });
                Err(TransportError::OutcomeUnknown)
            }
            Some(Fate::Slow { for_ms }) => {
                sleep_until(self.now_ms() + for_ms / 2, || self.now_ms()).await;
                let answer = self.call(method, &params);
                sleep_until(self.now_ms() + for_ms / 2, || self.now_ms()).await;
                Ok(answer)
            }
            Some(Fate::Flood { retry_after_s }) => Ok(answered(
                429,
                &json!({"ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {retry_after_s}"),
                    "parameters": {"retry_after": retry_after_s}}),
            )),
        };
        step().await;
        result
    }
}
