//! How people get into a channel, as it changes.

#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use nezuko_telegram::{RawResponse, Transport, TransportError, UpdateId, UserId, parse_update};
use serde_json::{Value, json};

use super::*;
use crate::{
    facts::Setting,
    handle::Receipt,
    intent::Lane,
    send::tests::{NOW, database, sender},
    store::{Prompt, Settle},
};

const GROUP: ChatId = ChatId(-1_001_000_000_001);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
const BOT: i64 = 7_000_000_001;

/// A Telegram with one channel.
#[derive(Default)]
struct Telegram {
    calls: Mutex<Vec<String>>,
    username: Mutex<Option<&'static str>>,
    made: AtomicI64,
    revoked: AtomicI64,
}

impl Telegram {
    fn link(number: i64) -> String {
        format!("https://t.me/+own{number}")
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        match method {
            "getChat" => {
                json!({"id": CHANNEL, "type": "channel", "title": "News", "invite_link": "https://t.me/+theirs",
                "username": *self.username.lock().unwrap()})
            }
            "createChatInviteLink" => {
                assert_eq!(params["name"], "Nezuko");
                json!({"invite_link": Self::link(self.made.fetch_add(1, Ordering::Relaxed) + 1)})
            }
            _ => {
                let revoked = params["invite_link"] == Self::link(self.revoked.load(Ordering::Relaxed));
                json!({"invite_link": params["invite_link"], "is_revoked": revoked})
            }
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.calls.lock().unwrap().push(method.to_owned());
        let params = serde_json::from_slice(&body).unwrap_or_default();
        let body = json!({"ok": true, "result": self.answer(method, &params)}).to_string().into_bytes();
        Ok(RawResponse { status: 200, retry_after: None, body })
    }
}

/// A group that requires the channel, which the bot administers with the right to invite.
async fn town(telegram: &Arc<Telegram>) -> (Sender, Arc<AtomicI64>) {
    let mut sender = sender(&database().await, telegram.clone());
    let clock = Arc::new(AtomicI64::new(NOW));
    let shown = clock.clone();
    sender.handler.clock = Arc::new(move || shown.load(Ordering::Relaxed));
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
    let mut require = |_: &ChatView| {
        let facts = ChatFacts { protected: Some(on), ..ChatFacts::default() };
        let link = Put::urgent(Intent::Link { chat: CHANNEL }, NOW);
        ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: vec![link] }
    };
    sender.handler.store.with_chat(GROUP, "", NOW, &mut require).await.unwrap();
    let member = |status: &str| json!({"user": {"id": BOT, "is_bot": true, "first_name": "Bot"}, "status": status, "can_invite_users": true});
    take_in(
        &sender,
        "my_chat_member",
        &json!({"chat": {"id": CHANNEL, "type": "channel", "title": "News"},
        "from": {"id": 5, "is_bot": false, "first_name": "Olga"}, "date": NOW / 1000 - 10,
        "old_chat_member": member("left"), "new_chat_member": member("administrator")}),
    )
    .await;
    (sender, clock)
}

async fn take_in(sender: &Sender, kind: &str, content: &Value) {
    let update = json!({"update_id": 7, kind: content}).to_string();
    let update = parse_update(update.as_bytes()).unwrap();
    let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
    sender.handler.handle(&update, &receipt).await.unwrap();
}

/// Carries out what is due about the channel's link.
async fn look(sender: &Sender) {
    for lane in [Lane::Lookups, Lane::Bulk] {
        for claims in sender.claim(lane, 10).await.unwrap() {
            if matches!(claims[0].intent, Intent::Link { .. }) {
                sender.carry_out(&claims).await.unwrap();
            } else {
                let settle = [Settle::of(&claims[0], Settlement::Done)];
                sender.handler.store.settle(&settle, &[], "", NOW).await.unwrap();
            }
        }
    }
}

async fn known(sender: &Sender) -> ChatFacts {
    sender.handler.store.chat(CHANNEL).await.unwrap().chat.facts
}

#[tokio::test]
async fn e37_a_private_channel_has_a_named_link_of_our_own_and_a_new_one_when_it_is_revoked() {
    let telegram = Arc::new(Telegram::default());
    let (sender, clock) = town(&telegram).await;
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat", "createChatInviteLink"]);
    assert_eq!(known(&sender).await.address(), Telegram::link(1));
    look(&sender).await;
    assert_eq!(telegram.calls(), [""; 0], "once a day");

    clock.fetch_add(LOOK_MS * 11 / 10, Ordering::Relaxed);
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat", "editChatInviteLink"], "it still leads in");

    telegram.revoked.store(1, Ordering::Relaxed);
    clock.fetch_add(LOOK_MS * 11 / 10, Ordering::Relaxed);
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat", "editChatInviteLink", "createChatInviteLink"]);
    assert_eq!(known(&sender).await.address(), Telegram::link(2));
}

#[tokio::test]
async fn e37_a_channel_with_a_username_needs_no_link_and_one_that_loses_it_gets_one() {
    let telegram = Arc::new(Telegram::default());
    *telegram.username.lock().unwrap() = Some("news");
    let (sender, clock) = town(&telegram).await;
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat"]);
    assert_eq!(known(&sender).await.address(), "https://t.me/news");
    // A prompt stands when it is renamed.
    let prompt = Put::urgent(Intent::Prompt { group: GROUP, topic: None }, NOW);
    sender.handler.store.put(&[prompt], "").await.unwrap();
    let claim = sender.claim(Lane::Messages, 1).await.unwrap().remove(0).remove(0);
    let stands = Prompt { message: 5, shown: "text".to_owned(), changed_ms: 1, ..Prompt::default() };
    let save = sender.handler.store.save_prompt(GROUP, None, Some(&stands), &claim, Some(Settlement::Done));
    assert!(save.await.unwrap());

    *telegram.username.lock().unwrap() = None;
    clock.fetch_add(LOOK_MS * 11 / 10, Ordering::Relaxed);
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat", "createChatInviteLink"]);
    assert_eq!(known(&sender).await.address(), Telegram::link(1));
    let prompts = sender.claim(Lane::Messages, 10).await.unwrap();
    assert_eq!(prompts.concat()[0].intent, Intent::Prompt { group: GROUP, topic: None }, "its button leads elsewhere");
}

#[tokio::test]
async fn e37_a_join_by_a_revoked_link_has_the_channel_looked_at_if_the_link_is_ours() {
    let telegram = Arc::new(Telegram::default());
    let (sender, _) = town(&telegram).await;
    look(&sender).await;
    telegram.calls();
    telegram.revoked.store(1, Ordering::Relaxed);
    let ann = json!({"id": 11, "is_bot": false, "first_name": "Ann"});
    let joins = |url: &str| {
        json!({"chat": {"id": CHANNEL, "type": "channel", "title": "News"}, "from": ann, "date": NOW / 1000,
            "old_chat_member": {"user": ann, "status": "left"}, "new_chat_member": {"user": ann, "status": "member"},
            "invite_link": {"invite_link": url, "is_revoked": true}})
    };
    take_in(&sender, "chat_member", &joins("https://t.me/+theirs")).await;
    look(&sender).await;
    assert_eq!(telegram.calls(), [""; 0], "another's link");
    take_in(&sender, "chat_member", &joins(&Telegram::link(1))).await;
    look(&sender).await;
    assert_eq!(telegram.calls(), ["getChat", "editChatInviteLink", "createChatInviteLink"]);
}

#[tokio::test]
async fn channels_that_nobody_looks_at_are_and_those_that_nobody_requires_are_not() {
    let telegram = Arc::new(Telegram::default());
    let (sender, clock) = town(&telegram).await;
    let open = |by_ms: i64| {
        let store = sender.handler.store.clone();
        async move {
            let open = store.open_intents(by_ms).await.unwrap();
            open.iter().find(|(kind, _)| kind == "link").map_or(0, |(_, count)| *count)
        }
    };
    seed_links(&sender.handler).await.unwrap();
    assert_eq!(open(NOW).await, 1, "the one that is there");
    let claims = sender.claim(Lane::Lookups, 10).await.unwrap().concat();
    let settle: Vec<Settle> = claims.iter().map(|claim| Settle::of(claim, Settlement::Done)).collect();
    sender.handler.store.settle(&settle, &[], "", NOW).await.unwrap();
    seed_links(&sender.handler).await.unwrap();
    assert_eq!((open(NOW - 1).await, open(NOW + LOOK_MS).await), (0, 1));

    let off = Setting { value: false, update_id: UpdateId(9), received_ms: NOW };
    let mut unprotect = |_: &ChatView| ChatWrites { links: vec![(CHANNEL, off)], ..ChatWrites::default() };
    sender.handler.store.with_chat(GROUP, "", NOW, &mut unprotect).await.unwrap();
    clock.fetch_add(LOOK_MS, Ordering::Relaxed);
    look(&sender).await;
    seed_links(&sender.handler).await.unwrap();
    assert_eq!((telegram.calls(), open(i64::MAX).await), (Vec::new(), 0));
    assert_eq!(UserId(BOT), sender.handler.bot.user());
}
