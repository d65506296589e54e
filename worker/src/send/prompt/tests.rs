//! What becomes of a prompt that Telegram does not let us delete, and which are edited.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nezuko_shared::limiter::{Limiter, LimiterError, Paused, Permit, Urgency};
use nezuko_telegram::{RawResponse, Transport, TransportError, UserId};
use serde_json::{Value, json};

use super::*;
use crate::{
    buttons::ButtonKey,
    facts::{Member, Wait},
    intent::Lane,
    send::Permits,
    send::tests::{ANN, CHANNEL, NOW, database, protect, sender},
    store::{PersonWrites, Scope},
};

const GROUP: ChatId = ChatId(-1_001_000_000_001);

/// Refuses deletions as it does after two days, and remembers what was called.
#[derive(Default)]
struct Telegram(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.0.lock().unwrap().push((method.to_owned(), serde_json::from_slice(&body).unwrap()));
        let too_old = json!({"ok": false, "error_code": 400,
            "description": "Bad Request: message can't be deleted for everyone"});
        let (status, body) =
            if method == "deleteMessage" { (400, too_old) } else { (200, json!({"ok": true, "result": true})) };
        Ok(RawResponse { status, retry_after: None, body: body.to_string().into_bytes() })
    }
}

/// Has somebody wait in the group, who was warned at `warned_ms`.
async fn waits(sender: &Sender, user: UserId, warned_ms: Option<i64>) {
    let wait = Some(Wait { since_ms: NOW, until_ms: None, warned_ms });
    let member = Member { waiting: true, wait, name: "Somebody".to_owned(), ..Member::default() };
    let scope = Scope { user, chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let writes = PersonWrites { members: BTreeMap::from([(GROUP, member)]), ..PersonWrites::default() };
    sender.handler.store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
}

/// Has the group's prompt looked at, and claims it.
async fn claim(sender: &Sender) -> Vec<Claim> {
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    sender.handler.store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
    let mut claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
    claims.retain(|claim| claim.intent == prompt);
    claims
}

#[tokio::test]
async fn e55_a_prompt_that_is_too_old_to_be_deleted_loses_its_button_when_nobody_waits() {
    let telegram = Arc::new(Telegram::default());
    let sender = sender(&database().await, telegram.clone());
    let store = &sender.handler.store;
    let claims = claim(&sender).await;
    let stands = Prompt { message: 9, shown: "Ann: please join".to_owned(), ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    let calls = telegram.0.lock().unwrap().clone();
    let methods: Vec<&str> = calls.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(methods, ["deleteMessage", "editMessageText"]);
    assert_eq!((&calls[1].1["message_id"], &calls[1].1["reply_markup"]), (&json!(9), &Value::Null));
    assert_eq!(store.prompt(GROUP, None).await.unwrap().0, None, "it is nobody's prompt any more");
    assert_eq!(store.open_intents(i64::MAX).await.unwrap(), []);
}

#[tokio::test]
async fn nobody_is_told_to_join_nothing_when_no_channel_is_required_any_more() {
    let telegram = Arc::new(Telegram::default());
    let sender = sender(&database().await, telegram.clone());
    let store = &sender.handler.store;
    waits(&sender, ANN, None).await;
    let claims = claim(&sender).await;
    let stands = Prompt { message: 9, shown: "Ann: please join @news".to_owned(), ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.0.lock().unwrap()[0].0, "deleteMessage");
    let looks_again = async |at_ms| store.open_intents(at_ms).await.unwrap().len();
    let soon_ms = NOW + COOL_DOWN_MS;
    assert_eq!([looks_again(soon_ms - 1).await, looks_again(soon_ms).await], [0, 1], "one may be required again");
}

#[tokio::test]
async fn who_is_not_named_is_warned_all_the_same() {
    let telegram = Arc::new(Telegram::default());
    let sender = sender(&database().await, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    let store = &sender.handler.store;
    for id in 0..=NAMES + 1 {
        waits(&sender, UserId(100 + id), (id == NAMES).then_some(NOW)).await;
    }
    let claims = claim(&sender).await;
    let stands = Prompt { message: 9, shown: "Ann: please join".to_owned(), sent_ms: NOW, ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    let text = telegram.0.lock().unwrap()[0].1["text"].to_string();
    assert!(text.contains("Whoever goes on waiting will be removed soon."), "{text}");
    let warned = async || store.prompt(GROUP, None).await.unwrap().0.unwrap().warned;
    assert_eq!(warned().await, [(UserId(100 + NAMES), NOW)]);

    // Somebody else who is not named is warned later: nothing new is to be said, but they have been, too.
    waits(&sender, UserId(101 + NAMES), Some(NOW + 1)).await;
    let mut later = sender.clone();
    later.handler.clock = Arc::new(|| NOW + COOL_DOWN_MS);
    let claims = claim(&later).await;
    later.carry_out(&claims).await.unwrap();
    assert_eq!(warned().await, [(UserId(100 + NAMES), NOW), (UserId(101 + NAMES), NOW + 1)]);
}

#[tokio::test]
async fn e72_a_prompt_that_says_what_it_should_is_edited_where_it_may_be_gone_or_its_button_is_of_another_token() {
    const HOUR_MS: i64 = 3_600_000;
    let database = database().await;
    let telegram = Arc::new(Telegram::default());
    let first = sender(&database, telegram.clone());
    protect(&first, &[CHANNEL]).await;
    let store = &first.handler.store;
    waits(&first, ANN, None).await;
    let at = |now_ms: i64, token: &str| {
        // The limiter has a clock of its own, so each has its own.
        let mut sender = sender(&database, telegram.clone());
        sender.handler.clock = Arc::new(move || now_ms);
        sender.handler.buttons = ButtonKey::of_token(sender.handler.bot, token);
        sender
    };
    let calls = async |sender: Sender| {
        let claims = claim(&sender).await;
        if store.prompt(GROUP, None).await.unwrap().0.is_none() {
            let stands = Prompt { message: 9, shown: "Ann".to_owned(), sent_ms: NOW, ..Prompt::default() };
            assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
        }
        sender.carry_out(&claims).await.unwrap();
        let calls = std::mem::take(&mut *telegram.0.lock().unwrap());
        calls.into_iter().map(|(method, body)| (method, body["reply_markup"].to_string())).collect::<Vec<_>>()
    };
    let made = calls(at(NOW, "a token")).await;
    let same = (calls(at(NOW + HOUR_MS, "a token")).await, calls(at(NOW + 23 * HOUR_MS, "a token")).await);
    assert_eq!((made.len(), same), (1, (vec![], made.clone())), "once a day");
    let anew = calls(at(NOW + 24 * HOUR_MS, "another token")).await;
    assert_eq!((anew.len(), &anew[0].0, &made[0].0), (1, &made[0].0, &"editMessageText".to_owned()));
    assert_ne!(anew[0].1, made[0].1, "the old button does nothing any more");
}

/// Refuses everything in these words.
struct Refuses(&'static str);

#[async_trait]
impl Transport for Refuses {
    async fn post(&self, _: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        let body = json!({"ok": false, "error_code": 400, "description": format!("Bad Request: {}", self.0)});
        Ok(RawResponse { status: 400, retry_after: None, body: body.to_string().into_bytes() })
    }
}

/// Lets everything go: the hours of a test pass in a moment.
struct Grants;

#[async_trait]
impl Limiter for Grants {
    async fn ask(&self, _: Budget, _: Urgency, _: Option<ChatId>) -> Result<Permit, LimiterError> {
        Ok(Permit::Granted { valid_for: Duration::from_secs(10) })
    }

    async fn pause(&self, _: Budget, _: Option<ChatId>, _: Duration) -> Result<Paused, LimiterError> {
        unreachable!("nobody asks for a pause")
    }
}

#[tokio::test]
async fn e51_a_prompt_that_is_refused_is_tried_more_and_more_rarely_and_in_the_end_once_an_hour() {
    for words in ["TOPIC_CLOSED", "not enough rights to send text messages to the chat"] {
        let database = database().await;
        let mut sender = sender(&database, Arc::new(Refuses(words)));
        sender.permits = Permits::new(Arc::new(Grants), sender.handler.metrics.clone()).into();
        protect(&sender, &[CHANNEL]).await;
        waits(&sender, ANN, None).await;
        let mut claims = claim(&sender).await;
        let prompt = claims[0].intent.clone();
        let (mut now_ms, mut minutes) = (NOW, Vec::new());
        for tried in 1..=9 {
            sender.carry_out(&claims).await.unwrap();
            let next = sqlx::query_as("SELECT attempts, not_before_ms FROM intents WHERE kind = 'prompt'");
            let (attempts, not_before_ms): (i64, i64) = next.fetch_one(database.pool()).await.unwrap();
            assert_eq!(attempts, tried, "{words}");
            minutes.push((not_before_ms - now_ms) / 60_000);
            now_ms = not_before_ms;
            for (at_ms, due) in [(now_ms - 1, 0), (now_ms, 1)] {
                sender.handler.clock = Arc::new(move || at_ms);
                claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
                claims.retain(|claim| claim.intent == prompt);
                assert_eq!(claims.len(), due, "{words}");
            }
        }
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60], "{words}");
    }
}

#[tokio::test]
async fn who_was_warned_by_a_prompt_stays_so_while_it_is_sent_anew() {
    let sender = sender(&database().await, Arc::new(Telegram::default()));
    protect(&sender, &[CHANNEL]).await;
    let store = &sender.handler.store;
    waits(&sender, ANN, Some(NOW)).await;
    let claims = claim(&sender).await;
    let (sent_ms, warned) = (NOW - IN_SIGHT_MS - 1, vec![(ANN, NOW)]);
    let stands = Prompt { message: 9, shown: "Ann".to_owned(), sent_ms, warned: warned.clone(), ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    let left = store.prompt(GROUP, None).await.unwrap().0.unwrap();
    assert_eq!((left.message, left.warned), (0, warned));
}
