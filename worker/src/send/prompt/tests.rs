//! What becomes of a prompt that Telegram does not let us delete, and which are edited.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nezuko_telegram::{RawResponse, Transport, TransportError, UserId};
use serde_json::{Value, json};

use super::*;
use crate::{
    buttons::ButtonKey,
    facts::{Member, Wait},
    intent::Lane,
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

#[tokio::test]
async fn e55_a_prompt_that_is_too_old_to_be_deleted_loses_its_button_when_nobody_waits() {
    let telegram = Arc::new(Telegram::default());
    let sender = sender(&database().await, telegram.clone());
    let store = &sender.handler.store;
    store.put(&[Put::urgent(Intent::Prompt { group: GROUP, topic: None }, NOW)], "").await.unwrap();
    let claims = sender.claim(Lane::Messages, 1).await.unwrap().concat();
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
    let waiting = Member { waiting: true, name: "Ann".to_owned(), ..Member::default() };
    let scope = Scope { user: ANN, chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let writes = PersonWrites { members: BTreeMap::from([(GROUP, waiting)]), ..PersonWrites::default() };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    store.put(&[Put::urgent(Intent::Prompt { group: GROUP, topic: None }, NOW)], "").await.unwrap();
    let claims = sender.claim(Lane::Messages, 1).await.unwrap().concat();
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
        let warned_ms = (id == NAMES).then_some(NOW);
        let wait = Some(Wait { since_ms: NOW, until_ms: None, warned_ms });
        let waiting = Member { waiting: true, wait, name: "Somebody".to_owned(), ..Member::default() };
        let scope = Scope { user: UserId(100 + id), chat: GROUP, update: None, trace_id: "", now_ms: NOW };
        let writes = PersonWrites { members: BTreeMap::from([(GROUP, waiting)]), ..PersonWrites::default() };
        store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    }
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
    let mut claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
    claims.retain(|claim| claim.intent == prompt);
    let stands = Prompt { message: 9, shown: "Ann: please join".to_owned(), sent_ms: NOW, ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    let text = telegram.0.lock().unwrap()[0].1["text"].to_string();
    assert!(text.contains("Whoever goes on waiting will be removed soon."), "{text}");
    let warned = async || store.prompt(GROUP, None).await.unwrap().0.unwrap().warned;
    assert_eq!(warned().await, [(UserId(100 + NAMES), NOW)]);

    // Somebody else who is not named is warned later: nothing new is to be said, but they have been, too.
    let wait = Some(Wait { since_ms: NOW, until_ms: None, warned_ms: Some(NOW + 1) });
    let member = Member { waiting: true, wait, name: "Somebody".to_owned(), ..Member::default() };
    let scope = Scope { user: UserId(101 + NAMES), chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let writes = PersonWrites { members: BTreeMap::from([(GROUP, member)]), ..PersonWrites::default() };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
    let mut later = sender.clone();
    later.handler.clock = Arc::new(|| NOW + COOL_DOWN_MS);
    let mut claims = later.claim(Lane::Messages, 10).await.unwrap().concat();
    claims.retain(|claim| claim.intent == prompt);
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
    let waiting = Member { waiting: true, name: "Ann".to_owned(), ..Member::default() };
    let scope = Scope { user: ANN, chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let writes = PersonWrites { members: BTreeMap::from([(GROUP, waiting)]), ..PersonWrites::default() };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    let at = |now_ms: i64, token: &str| {
        // The limiter has a clock of its own, so each has its own.
        let mut sender = sender(&database, telegram.clone());
        sender.handler.clock = Arc::new(move || now_ms);
        sender.handler.buttons = ButtonKey::of_token(sender.handler.bot, token);
        sender
    };
    let calls = async |sender: Sender| {
        store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
        let mut claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
        claims.retain(|claim| claim.intent == prompt);
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

#[tokio::test]
async fn who_was_warned_by_a_prompt_stays_so_while_it_is_sent_anew() {
    let sender = sender(&database().await, Arc::new(Telegram::default()));
    protect(&sender, &[CHANNEL]).await;
    let store = &sender.handler.store;
    let wait = Some(Wait { since_ms: NOW, until_ms: None, warned_ms: Some(NOW) });
    let waiting = Member { waiting: true, wait, name: "Ann".to_owned(), ..Member::default() };
    let scope = Scope { user: ANN, chat: GROUP, update: None, trace_id: "", now_ms: NOW };
    let writes = PersonWrites { members: BTreeMap::from([(GROUP, waiting)]), ..PersonWrites::default() };
    store.with_person(&scope, &mut |_| writes.clone()).await.unwrap();
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
    let mut claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
    claims.retain(|claim| claim.intent == prompt);
    let (sent_ms, warned) = (NOW - IN_SIGHT_MS - 1, vec![(ANN, NOW)]);
    let stands = Prompt { message: 9, shown: "Ann".to_owned(), sent_ms, warned: warned.clone(), ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), &claims[0], None).await.unwrap());
    sender.carry_out(&claims).await.unwrap();
    let left = store.prompt(GROUP, None).await.unwrap().0.unwrap();
    assert_eq!((left.message, left.warned), (0, warned));
}
