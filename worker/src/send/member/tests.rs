//! What is written down of removing somebody, however quick the echoes are.

#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use nezuko_telegram::{RawResponse, Transport, TransportError, UpdateId, parse_update};
use serde_json::{Value, json};

use super::*;
use crate::{
    facts::{Event, EventOrder, Member, Wait},
    handle::{Handler, Receipt},
    intent::Lane,
    send::tests::{ANN, CHANNEL, GROUP, NOW, database, protect, sender},
    settings::{GroupSettings, TimeoutAction},
    store::{ChatView, ChatWrites, Prompt},
};

/// Tells that a ban is lifted before it answers the call that lifted it.
#[derive(Default)]
struct Telegram {
    handler: OnceLock<Handler>,
    lifted: AtomicUsize,
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        assert_eq!(method, "unbanChatMember");
        let params: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(params["only_if_banned"], true, "it would remove who has come back: {params}");
        self.lifted.fetch_add(1, Ordering::Relaxed);
        let handler = self.handler.get().unwrap();
        let user = json!({"id": ANN.0, "is_bot": false, "first_name": "Ann"});
        let update = json!({"update_id": 60, "chat_member": {
            "chat": {"id": GROUP.0, "type": "supergroup", "title": "Chat"},
            "from": {"id": handler.bot.0, "is_bot": true, "first_name": "Bot"}, "date": NOW / 1000,
            "old_chat_member": {"user": user, "status": "kicked", "until_date": NOW / 1000 + 60},
            "new_chat_member": {"user": user, "status": "left"},
        }});
        let update = parse_update(update.to_string().as_bytes()).unwrap();
        let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
        handler.handle(&update, &receipt).await.unwrap();
        let body = json!({"ok": true, "result": true}).to_string().into_bytes();
        Ok(RawResponse { status: 200, retry_after: None, body })
    }
}

#[tokio::test]
async fn e49_letting_somebody_back_who_was_removed_is_not_written_down_as_freeing_them() {
    let database = database().await;
    let telegram = Arc::new(Telegram::default());
    let sender = sender(&database, telegram.clone());
    assert!(telegram.handler.set(sender.handler.clone()).is_ok());
    protect(&sender, &[CHANNEL]).await;
    let until = NOW / 1000 + 60;
    let limits = Limits::Banned { until };
    let order = EventOrder { date: NOW / 1000 - 1, update_id: UpdateId(50) };
    let removed = Event { order, was_in: true, standing: Standing::Banned, limits };
    sender
        .handler
        .with_person(ANN, GROUP, None, "", |mut person| {
            let member = person.member(GROUP);
            (member.event, member.ban) = (Some(removed), Some(Ban { until, kick: true }));
            person.finish(GROUP)
        })
        .await
        .unwrap();
    let claims = sender.claim(Lane::Restrictions, 10).await.unwrap().concat();
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.lifted.load(Ordering::Relaxed), 1);
    let freed = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM verifications WHERE outcome = 'released'");
    assert_eq!(freed.fetch_one(database.pool()).await.unwrap(), 0);
}

#[test]
fn a_mute_is_due_since_what_came_last_of_joining_the_group_and_leaving_a_channel() {
    let at = |date| EventOrder { date, update_id: UpdateId(1) };
    assert_eq!(due_since(Some(at(50)), [], 0), Some(50), "they have never been in the channel");
    assert_eq!(due_since(Some(at(50)), [at(40)], 0), Some(50), "they had left it before they came");
    assert_eq!(due_since(Some(at(50)), [at(40), at(90_000), at(60)], 0), Some(90_000), "a day later they leave one");
    assert_eq!(due_since(None, [at(60)], 0), Some(60));
    assert_eq!(due_since(None, [], 0), None, "who was there before the bot");
    assert_eq!(due_since(Some(at(50)), [at(60)], 3_600), Some(3_660), "with grace");
}

/// Takes every call for done, and remembers its method.
#[derive(Default)]
struct Obedient(Mutex<Vec<String>>);

#[async_trait]
impl Transport for Obedient {
    async fn post(&self, method: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.0.lock().unwrap().push(method.to_owned());
        Ok(RawResponse { status: 200, retry_after: None, body: json!({"ok": true, "result": true}).to_string().into() })
    }
}

#[tokio::test]
async fn nobody_is_removed_before_a_prompt_has_shown_that_they_are_warned() {
    let telegram = Arc::new(Obedient::default());
    let sender = sender(&database().await, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    let store = &sender.handler.store;
    let mut kick = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        facts.settings.change(UpdateId(6), NOW, |settings| settings.timeout_action = TimeoutAction::Kick);
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    };
    store.with_chat(GROUP, "", NOW, &mut kick).await.unwrap();
    let quarter_ms = GroupSettings::default().timeout_s * 1000 / 4;
    let (since_ms, warned_ms) = (NOW - 10 * 3_600_000, NOW - 3_600_000);
    sender
        .handler
        .with_person(ANN, GROUP, None, "", |mut person| {
            let limits = Limits::Restricted { until: person.mark(GROUP).until(NOW), left: Permissions::NONE };
            let lookup = Lookup { asked_ms: NOW + quarter_ms, standing: Standing::Outside, limits: Limits::Free };
            *person.member(CHANNEL) = Member { lookup: Some(lookup), ..Member::default() };
            let member = person.member(GROUP);
            member.lookup = Some(Lookup { asked_ms: NOW, standing: Standing::Inside, limits });
            (member.waiting, member.mute_until) = (true, Some(1));
            member.wait = Some(Wait { since_ms, until_ms: None, warned_ms: Some(warned_ms) });
            person.finish(GROUP)
        })
        .await
        .unwrap();
    let called = || telegram.0.lock().unwrap().clone();
    let is_due = async |at_ms| store.open_intents(at_ms).await.unwrap().iter().any(|(kind, _)| kind == "member");
    let carry_out = async |sender: &Sender| {
        store.put(&[Put::urgent(Intent::Member { group: GROUP, user: ANN }, NOW)], "").await.unwrap();
        sender.carry_out(&sender.claim(Lane::Restrictions, 10).await.unwrap().concat()).await.unwrap();
    };
    // That others are warned, or she was before, is no warning of hers.
    let others = vec![(ANN, warned_ms - 1), (UserId(ANN.0 + 1), warned_ms)];
    let stands = Prompt { message: 9, shown: "Ann: please join".to_owned(), warned: others, ..Prompt::default() };
    let prompt = Intent::Prompt { group: GROUP, topic: None };
    store.put(&[Put::urgent(prompt.clone(), NOW)], "").await.unwrap();
    let claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
    let first = claims.iter().find(|claim| claim.intent == prompt).unwrap();
    assert!(store.save_prompt(GROUP, None, Some(&stands), first, Some(Settlement::Done)).await.unwrap());
    for _ in 0..2 {
        // Also when something else has them looked at meanwhile.
        carry_out(&sender).await;
        assert_eq!(called(), [""; 0], "nothing has shown the warning yet");
        assert_eq!([is_due(NOW + quarter_ms - 1).await, is_due(NOW + quarter_ms).await], [false, true]);
    }
    let claims = sender.claim(Lane::Messages, 10).await.unwrap().concat();
    let shown_anew = claims.iter().find(|claim| claim.intent == prompt).unwrap();

    let mut later = sender.clone();
    later.handler.clock = Arc::new(move || NOW + quarter_ms);
    let shown = "Ann: please join".to_owned();
    let stands = Prompt { message: 9, shown, warned: vec![(ANN, NOW)], ..Prompt::default() };
    assert!(store.save_prompt(GROUP, None, Some(&stands), shown_anew, Some(Settlement::Done)).await.unwrap());
    carry_out(&later).await;
    assert_eq!(called(), ["banChatMember"]);
}
