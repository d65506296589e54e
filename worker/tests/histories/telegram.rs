//! The modelled Telegram as a transport: calls may fail, lose their answer, or land late.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nezuko_telegram::{RawResponse, Transport, TransportError};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use loadtest::world::World;

use crate::{history::Faults, scheduler::step};

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
    rng: StdRng,
    faults: Faults,
}

/// The world with a clock, shared by workers and people.
#[derive(Clone, Debug)]
pub(crate) struct Telegram(Arc<Mutex<State>>);

impl Telegram {
    pub(crate) fn new(world: World, now_ms: i64, seed: u64, faults: Faults) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(State { world, now_ms, late: Vec::new(), rng, faults })))
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
        let (due, later): (Vec<Late>, Vec<Late>) = state.late.drain(..).partition(|late| late.due_ms <= now_ms);
        state.late = later;
        for late in due {
            state.world.call(now_ms, &late.method, &late.params);
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.state().late.is_empty()
    }

    pub(crate) fn no_more_faults(&self) {
        self.state().faults = Faults::default();
    }

    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut World, i64) -> R) -> R {
        let mut state = self.state();
        let now_ms = state.now_ms;
        change(&mut state.world, now_ms)
    }

    fn call(&self, method: &str, params: &Value) -> RawResponse {
        let answer = self.with(|world, now_ms| world.call(now_ms, method, params));
        RawResponse { status: answer.status, retry_after: None, body: answer.body.to_string().into_bytes() }
    }
}

/// How one call goes.
enum Fate {
    Well,
    NotSent,
    ServerError,
    AnswerLost,
    /// Telegram says ok and does nothing.
    Ignored,
    Late {
        in_ms: i64,
    },
}

impl State {
    fn fate(&mut self, method: &str) -> Fate {
        if !self.rng.random_bool(self.faults.call_fails) {
            return Fate::Well;
        }
        match self.rng.random_range(0..5) {
            0 => Fate::NotSent,
            1 => Fate::ServerError,
            2 => Fate::AnswerLost,
            3 if method == "restrictChatMember" => Fate::Ignored,
            _ => Fate::Late { in_ms: self.rng.random_range(1..20_000) },
        }
    }
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        step().await;
        let params: Value = serde_json::from_slice(&body).expect("invariant: calls are JSON");
        let fate = self.state().fate(method);
        let result = match fate {
            Fate::Well => Ok(self.call(method, &params)),
            Fate::NotSent => Err(TransportError::NotSent),
            Fate::ServerError => Ok(RawResponse { status: 502, retry_after: None, body: b"<html>".to_vec() }),
            Fate::AnswerLost => {
                self.call(method, &params);
                Err(TransportError::OutcomeUnknown)
            }
            Fate::Ignored => {
                Ok(RawResponse { status: 200, retry_after: None, body: br#"{"ok":true,"result":true}"#.to_vec() })
            }
            Fate::Late { in_ms } => {
                let mut state = self.state();
                let due_ms = state.now_ms + in_ms;
                state.late.push(Late { due_ms, method: method.to_owned(), params });
                Err(TransportError::OutcomeUnknown)
            }
        };
        step().await;
        result
    }
}
