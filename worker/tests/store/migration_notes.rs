//! Telegram's two notes about a group that became a supergroup, taken in by the real handler.

use std::sync::{Arc, OnceLock};

use nezuko_shared::{
    cache::{Cache, memory::MemoryCache},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId, parse_update};
use nezuko_worker::{
    buttons::ButtonKey,
    facts::Setting,
    handle::{Handler, Receipt},
    store::{ChatWrites, Store},
};
use serde_json::{Value, json};

use crate::memory_store::MemoryStore;

const BOT: BotId = BotId(7_000_000_001);
const OLD: ChatId = ChatId(-77);
const NEW: ChatId = ChatId(-1_001_000_000_077);
const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
const OWNER: i64 = 10;
const ANN: UserId = UserId(11);
const NOW: i64 = 1_700_000_000_000;

struct Case {
    store: MemoryStore,
    cache: Arc<MemoryCache>,
    handler: Handler,
    next_update: i64,
}

impl Case {
    /// The rule is enforced under the old id.
    async fn new() -> Self {
        let (store, cache) = (MemoryStore::new(BOT), Arc::new(MemoryCache::default()));
        let handler = Handler {
            store: Arc::new(store.clone()),
            cache: cache.clone(),
            bot: BOT,
            username: Arc::new(OnceLock::new()),
            buttons: ButtonKey::of_token(BOT, "a token"),
            metrics: Metrics::new(BOT, "abc"),
            clock: Arc::new(|| NOW),
            wake: Arc::default(),
        };
        let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
        let mut protect = |view: &nezuko_worker::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(on);
            ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: Vec::new() }
        };
        store.with_chat(OLD, "", NOW, &mut protect).await.unwrap();
        Self { store, cache, handler, next_update: 100 }
    }

    async fn take_in(&mut self, chat: ChatId, from: i64, extra: (&str, Value)) {
        self.next_update += 1;
        let mut message = json!({
            "message_id": 1, "date": NOW / 1000, "chat": {"id": chat.0, "type": "supergroup", "title": "Chat"},
            "from": {"id": from, "is_bot": false, "first_name": "Somebody"},
        });
        message[extra.0] = extra.1;
        let update = json!({"update_id": self.next_update, "message": message}).to_string();
        let update = parse_update(update.as_bytes()).unwrap();
        let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
        self.handler.handle(&update, &receipt).await.unwrap();
    }

    async fn is_acquitted(&self) -> bool {
        self.cache.acquitted(BOT, &[(NEW, ANN)]).await.unwrap() == [true]
    }
}

fn to() -> (ChatId, (&'static str, Value)) {
    (OLD, ("migrate_to_chat_id", json!(NEW)))
}

fn from() -> (ChatId, (&'static str, Value)) {
    (NEW, ("migrate_from_chat_id", json!(OLD)))
}

#[tokio::test]
async fn either_note_brings_the_settings_over_in_any_order_and_however_often() {
    for notes in [vec![to()], vec![from()], vec![to(), from()], vec![from(), to()], vec![to(), to(), from(), from()]] {
        let mut case = Case::new().await;
        for (chat, note) in notes.clone() {
            case.take_in(chat, OWNER, note).await;
        }
        let (old, new) = (case.store.chat(OLD).await.unwrap(), case.store.chat(NEW).await.unwrap());
        assert!(new.chat.facts.is_protected() && new.links.contains_key(&CHANNEL), "{notes:?}: {new:?}");
        assert_eq!((old.chat.facts.upgraded_to, old.links.len(), new.chat.version), (Some(NEW), 0, 1), "{notes:?}");
        let people = case.store.people_of(NEW, UserId(0), 10).await.unwrap();
        assert!(people.is_empty(), "a note is nobody's message: {people:?}");
    }
}

#[tokio::test]
async fn who_was_let_pass_in_the_new_group_before_the_note_came_is_not_any_more() {
    let mut case = Case::new().await;
    case.take_in(NEW, ANN.0, ("text", json!("hi"))).await;
    assert!(case.is_acquitted().await, "nothing is enforced there yet");
    let (chat, note) = to();
    case.take_in(chat, OWNER, note).await;
    assert!(!case.is_acquitted().await);
}

#[tokio::test]
async fn what_is_told_late_of_the_old_group_goes_over() {
    let mut case = Case::new().await;
    for (chat, note) in [to(), from()] {
        case.take_in(chat, OWNER, note).await;
    }
    let ann = json!({"id": ANN.0, "is_bot": false, "first_name": "Ann"});
    let joined = json!({
        "chat": {"id": OLD.0, "type": "group", "title": "Chat"}, "from": ann, "date": NOW / 1000,
        "old_chat_member": {"status": "left", "user": ann}, "new_chat_member": {"status": "member", "user": ann},
    });
    let update = parse_update(json!({"update_id": 99, "chat_member": joined}).to_string().as_bytes()).unwrap();
    let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
    case.handler.handle(&update, &receipt).await.unwrap();
    assert_eq!(case.store.people_of(NEW, UserId(0), 10).await.unwrap(), [ANN]);
    assert_eq!(case.store.people_of(OLD, UserId(0), 10).await.unwrap(), []);
}
