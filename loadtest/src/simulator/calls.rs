//! The log of calls as they arrived, and how densely they came.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::locked;
use crate::world::ChatId;

const SECOND_US: i64 = 1_000_000;

/// A call as it arrived.
#[derive(Clone, Debug, Serialize)]
pub struct CallSeen {
    /// When it had been read as a whole, Unix µs by a clock that never goes backwards.
    pub at_us: i64,
    /// Which method.
    pub method: String,
    /// About which chat, if by number.
    pub chat: Option<ChatId>,
    /// The caller's port, by which connections are told apart.
    pub port: u16,
    /// What was answered; 0 while there is no answer, or if it was lost.
    pub status: u16,
}

/// All calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Vec<CallSeen>>);

impl Calls {
    /// Puts a call down; the number by which its answer is put down.
    pub(super) fn arrived(&self, at: Duration, port: u16, method: &str, params: &Value) -> usize {
        let at_us = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        let call = CallSeen { at_us, method: method.to_owned(), chat: chat_of(params), port, status: 0 };
        let mut calls = self.all();
        calls.push(call);
        calls.len() - 1
    }

    pub(super) fn answered(&self, number: usize, status: u16) {
        if let Some(call) = self.all().get_mut(number) {
            call.status = status;
        }
    }

    pub(super) fn all(&self) -> MutexGuard<'_, Vec<CallSeen>> {
        locked(&self.0)
    }
}

/// The chat that a call names by number.
pub(super) fn chat_of(params: &Value) -> Option<ChatId> {
    params.get("chat_id").and_then(Value::as_i64).map(ChatId)
}

/// The most of these moments (µs, in order) that lie in one second, whose both ends belong to it.
#[must_use]
pub fn most_in_any_second(at_us: &[i64]) -> usize {
    let mut first = 0;
    let in_second_before = at_us.iter().enumerate().map(|(last, at)| {
        while at_us[first] + SECOND_US < *at {
            first += 1;
        }
        last + 1 - first
    });
    in_second_before.max().unwrap_or(0)
}

/// Which of these moments (µs, in order) come when `most` others lie in the second before them already.
#[must_use]
pub fn beyond(most: usize, at_us: &[i64]) -> Vec<usize> {
    (most..at_us.len()).filter(|&nth| at_us[nth - most] + SECOND_US >= at_us[nth]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_densest_second_is_found_wherever_it_begins() {
        assert_eq!(most_in_any_second(&[]), 0);
        assert_eq!(most_in_any_second(&[5]), 1);
        // Two full seconds of three each meet in the middle.
        let calls = [0, 900_000, 950_000, 1_000_001, 1_050_000, 1_900_000];
        assert_eq!(most_in_any_second(&calls), 5);
        assert_eq!(most_in_any_second(&[0, 1_000_000]), 2, "both ends belong to it");
        assert_eq!(most_in_any_second(&[0, 1_000_001]), 1);
    }

    #[test]
    fn each_call_beyond_the_limit_is_named() {
        let calls = [0, 10, 20, 500_000, 1_000_020, 1_000_021, 3_000_000];
        assert_eq!(beyond(3, &calls), [3]);
        assert_eq!(beyond(2, &calls), [2, 3, 4, 5]);
        assert_eq!(beyond(4, &calls), Vec::<usize>::new());
    }
}
