//! What becomes of claims whose calls or stores fail.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nezuko_shared::{
    cache::{ChatVersion, memory::MemoryCache},
    database::Database,
    limiter::{LimiterSettings, Urgency, memory::MemoryLimiter},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{
    BotId, ChatId, Client, Limits, MessageId, Permissions, RawResponse, Standing, Transport, TransportError, UpdateId,
    UserId, parse_update,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Permits, SENDING, Sender, seed_sweeps};
use crate::{
    buttons::{Button, ButtonKey},
    facts::{CONFIRM_AFTER_MS, ChatFacts, Lookup, Setting},
    handle::{Handler, Receipt},
    intent::{Claim, Intent, Lane, Press, Put, Reply, Work},
    settings::{Language, OnUnknown},
    store::{ChatView, ChatWrites, SqlStore},
};

const BOT: BotId = BotId(7_000_000_001);
pub(crate) const GROUP: ChatId = ChatId(-1_001_000_000_001);
pub(crate) const CHANNEL: ChatId = ChatId(-1_001_000_000_011);
/// A channel that the bot cannot see into.
const HIDDEN: ChatId = ChatId(-1_001_000_000_012);
pub(crate) const ANN: UserId = UserId(11);
pub(crate) const NOW: i64 = 1_700_000_000_000;
const DEADLINE: Duration = Duration::from_secs(20);

/// Answers every call so but lookups, which show administrators, and has the store fail from then on where it is told to.
struct Telegram {
    status: u16,
    body: &'static str,
    calls: AtomicUsize,
    breaks: Option<Database>,
}

#[async_trait]
impl Transport for Telegram {
    async fn post(&self, method: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if method == "getChatMember" {
            let body = json!({"ok": true, "result": {"user": user(ANN.0), "status": "administrator"}}).to_string();
            return Ok(RawResponse { status: 200, retry_after: None, body: body.into_bytes() });
        }
        if let Some(database) = &self.breaks {
            sqlx::query("ALTER TABLE intents RENAME TO away").execute(database.pool()).await.unwrap();
        }
        Ok(RawResponse { status: self.status, retry_after: None, body: self.body.into() })
    }
}

pub(crate) async fn database() -> Database {
    let database = Database::open("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    database
}

fn user(id: i64) -> Value {
    json!({"id": id, "is_bot": id == BOT.0, "first_name": "Somebody"})
}

/// Takes in that somebody's status in a chat is another.
async fn take_in(sender: &Sender, update_id: i64, chat: ChatId, id: i64, status: &str) {
    let kind = if id == BOT.0 { "my_chat_member" } else { "chat_member" };
    let member = |status: &str| json!({"user": user(id), "status": status, "can_restrict_members": id == BOT.0, "can_delete_messages": id == BOT.0});
    let old = if status == "left" { "member" } else { "left" };
    let update = json!({"update_id": update_id, kind: {
        "chat": {"id": chat.0, "type": if chat == CHANNEL { "channel" } else { "supergroup" }, "title": "Chat"},
        "from": user(id), "date": NOW / 1000 - 100 + update_id,
        "old_chat_member": member(old), "new_chat_member": member(status),
    }});
    let update = parse_update(update.to_string().as_bytes()).unwrap();
    let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
    sender.handler.handle(&update, &receipt).await.unwrap();
}

pub(crate) fn sender(database: &Database, telegram: Arc<dyn Transport>) -> Sender {
    let handler = Handler {
        store: Arc::new(SqlStore::new(database.clone(), BOT)),
        cache: Arc::new(MemoryCache::default()),
        bot: BOT,
        username: Arc::new(OnceLock::new()),
        buttons: ButtonKey::of_token(BOT, "a token"),
        metrics: Metrics::new(BOT, "abc"),
        clock: Arc::new(|| NOW),
        wake: Arc::default(),
    };
    let limiter = Arc::new(MemoryLimiter::new(LimiterSettings::default()));
    Sender::new(handler, Client::new(telegram), limiter, "me".to_owned())
}

async fn claim(sender: &Sender, lane: Lane, intents: Vec<Intent>) -> Vec<Claim> {
    let put: Vec<Put> = intents.into_iter().map(|intent| Put::urgent(intent, NOW)).collect();
    sender.handler.store.put(&put, "").await.unwrap();
    sender.claim(lane, 10).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_reply_is_sent_once_though_the_store_fails_just_after() {
    let database = database().await;
    let (status, body) = (200, r#"{"ok":true,"result":{"message_id":7}}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: Some(database.clone()) });
    let sender = sender(&database, telegram.clone());
    let reply = Reply {
        update_id: UpdateId(1),
        chat: GROUP,
        topic: None,
        message: MessageId(5),
        html: "hi".to_owned(),
        keyboard: Vec::new(),
        stands_ms: None,
        until_ms: None,
        then: None,
    };
    let claims = claim(&sender, Lane::Replies, vec![Intent::Reply(reply)]).await;
    let working = sender.clone();
    let mut work = tokio::spawn(async move { working.carry_out(&claims).await });
    let given_up = timeout(Duration::from_secs(3), &mut work).await;
    assert!(given_up.is_err(), "given up, and sent again later: {given_up:?}");
    // Nor does another worker send it again when its store is back before ours.
    let claimed = sqlx::query_scalar::<_, i64>("SELECT claimed_until_ms FROM away").fetch_one(database.pool());
    assert_eq!(claimed.await.unwrap(), NOW + SENDING.as_millis() as i64);
    sqlx::query("ALTER TABLE away RENAME TO intents").execute(database.pool()).await.unwrap();
    timeout(DEADLINE, work).await.unwrap().unwrap().unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1);
    assert_eq!(sender.handler.store.open_intents(i64::MAX).await.unwrap(), []);
}

#[tokio::test]
async fn a_message_that_has_become_too_old_to_be_deleted_takes_no_younger_one_along() {
    let database = database().await;
    let (status, body) = (400, r#"{"ok":false,"error_code":400,"description":"Bad Request: not enough rights"}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    let deletions = (1..=3).map(|message| Intent::Delete { chat: GROUP, message: MessageId(message) }).collect();
    let mut claims = claim(&sender, Lane::Deletions, deletions).await;
    claims[0].attempts = 48;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1);
    let open = sender.handler.store.open_intents(i64::MAX).await.unwrap();
    assert!(open.contains(&("delete".to_owned(), 2)), "{open:?}");
}

/// Has the group protected, with Ann in it and in none of its channels.
pub(crate) async fn protect(sender: &Sender, channels: &[ChatId]) {
    take_in(sender, 1, GROUP, BOT.0, "administrator").await;
    take_in(sender, 2, CHANNEL, BOT.0, "administrator").await;
    take_in(sender, 3, CHANNEL, ANN.0, "left").await;
    take_in(sender, 4, GROUP, ANN.0, "member").await;
    let on = Setting { value: true, update_id: UpdateId(5), received_ms: NOW };
    let mut protect = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        facts.protected = Some(on);
        ChatWrites {
            facts: Some(facts),
            links: channels.iter().map(|channel| (*channel, on)).collect(),
            put: Vec::new(),
        }
    };
    sender.handler.store.with_chat(GROUP, "", NOW, &mut protect).await.unwrap();
}

#[tokio::test]
async fn a_refused_mute_does_not_shorten_the_back_off_of_a_lookup() {
    let database = database().await;
    let (status, body) =
        (400, r#"{"ok":false,"error_code":400,"description":"Bad Request: method is available only for supergroups"}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    protect(&sender, &[CHANNEL, HIDDEN]).await;
    let lookup = Intent::Check { chat: HIDDEN, user: ANN };
    sender.handler.store.put(&[Put::urgent(lookup, NOW + 60_000)], "").await.unwrap();
    let claims = claim(&sender, Lane::Restrictions, vec![Intent::Member { group: GROUP, user: ANN }]).await;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1, "a mute was tried");
    let lookups = async |due_ms| {
        let open = sender.handler.store.open_intents(due_ms).await.unwrap();
        open.into_iter().filter(|(kind, _)| kind == "check").count()
    };
    assert_eq!([lookups(NOW).await, lookups(NOW + 60_000).await], [0, 1]);
}

#[tokio::test]
async fn e42_who_cannot_be_muted_for_being_an_administrator_is_looked_up_and_left_alone() {
    let database = database().await;
    let (status, body) =
        (400, r#"{"ok":false,"error_code":400,"description":"Bad Request: user is an administrator of the chat"}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let mut sender = sender(&database, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    let member = Intent::Member { group: GROUP, user: ANN };
    let claims = claim(&sender, Lane::Restrictions, vec![member]).await;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1, "a mute was tried");

    sender.handler.clock = Arc::new(|| NOW + CONFIRM_AFTER_MS);
    let check = Intent::Check { chat: GROUP, user: ANN };
    for lane in [Lane::Lookups, Lane::Bulk] {
        for claims in sender.claim(lane, 10).await.unwrap() {
            assert_eq!(claims[0].intent, check);
            sender.carry_out(&claims).await.unwrap();
        }
    }
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 2, "nobody has looked");
    let open = sender.handler.store.open_intents(i64::MAX).await.unwrap();
    assert!(open.iter().all(|(kind, _)| ["prompt", "notice"].contains(&kind.as_str())), "{open:?}");
}

/// Does not say who is where, for now; then Ann is everywhere.
struct Busy(Mutex<Option<(u16, Option<u64>)>>);

#[async_trait]
impl Transport for Busy {
    async fn post(&self, method: &str, _: Vec<u8>) -> Result<RawResponse, TransportError> {
        assert_eq!(method, "getChatMember");
        let body = |body: Value| body.to_string().into_bytes();
        Ok(match *self.0.lock().unwrap() {
            Some((status, after)) => RawResponse {
                status,
                retry_after: None,
                body: body(json!({"ok": false, "error_code": status, "description": "Not now",
                    "parameters": {"retry_after": after}})),
            },
            None => RawResponse {
                status: 200,
                retry_after: None,
                body: body(json!({"ok": true, "result": {"user": user(ANN.0), "status": "member"}})),
            },
        })
    }
}

#[tokio::test]
async fn e28_while_telegram_tells_nobody_who_is_where_messages_go_where_the_group_says_so_and_nobody_is_muted() {
    for (on_unknown, status, retry_after, attempts, deletions) in [
        (OnUnknown::Hold, 429, Some(60), 0, 1),
        (OnUnknown::Hold, 429, Some(5), 0, 0),
        (OnUnknown::Hold, 500, None, 2, 0),
        (OnUnknown::Hold, 500, None, 3, 1),
        (OnUnknown::Allow, 429, Some(60), 0, 0),
        (OnUnknown::Allow, 500, None, 3, 0),
    ] {
        let case = format!("{on_unknown:?} {status} {retry_after:?} {attempts}");
        let telegram = Arc::new(Busy(Mutex::new(Some((status, retry_after)))));
        let mut sender = sender(&database().await, telegram.clone());
        protect(&sender, &[HIDDEN]).await;
        let mut set = |view: &ChatView| {
            let mut facts = view.chat.facts.clone();
            facts.settings.change(UpdateId(6), NOW, |settings| settings.on_unknown = on_unknown);
            ChatWrites { facts: Some(facts), ..ChatWrites::default() }
        };
        sender.handler.store.with_chat(GROUP, "", NOW, &mut set).await.unwrap();
        let writes = async |sender: &Sender, id: i64| {
            let chat = json!({"id": GROUP.0, "type": "supergroup", "title": "Chat"});
            let message = json!({"message_id": id, "date": (sender.handler.clock)() / 1000, "chat": chat,
                "from": user(ANN.0), "text": "hello"});
            let update = parse_update(json!({"update_id": id, "message": message}).to_string().as_bytes()).unwrap();
            let receipt = Receipt { update_id: update.id, received_ms: NOW, trace_id: "" };
            sender.handler.handle(&update, &receipt).await.unwrap();
        };
        let count = async |sender: &Sender, kind: &str| {
            let open = sender.handler.store.open_intents(i64::MAX).await.unwrap();
            open.iter().find(|(known, _)| known == kind).map_or(0, |(_, count)| *count)
        };
        writes(&sender, 101).await;
        let mut claims = sender.claim(Lane::Lookups, 10).await.unwrap().concat();
        assert_eq!(claims.len(), 1, "{case}");
        claims[0].attempts = attempts;
        sender.carry_out(&claims).await.unwrap();
        assert_eq!(count(&sender, "delete").await, deletions, "{case}");
        assert_eq!((count(&sender, "member").await, count(&sender, "check").await), (0, 1), "{case}");
        if deletions == 0 {
            continue;
        }
        writes(&sender, 102).await;
        assert_eq!(count(&sender, "delete").await, 2, "{case}: for as long as it lasts");
        *telegram.0.lock().unwrap() = None;
        sender.handler.clock = Arc::new(|| NOW + 120_000);
        sender.permits =
            Permits::new(Arc::new(MemoryLimiter::new(LimiterSettings::default())), sender.handler.metrics.clone())
                .into();
        let claims = sender.claim(Lane::Lookups, 10).await.unwrap().concat();
        sender.carry_out(&claims).await.unwrap();
        writes(&sender, 103).await;
        assert_eq!((count(&sender, "delete").await, count(&sender, "check").await), (2, 0), "{case}: found out");
    }
}

/// A press on the standing prompt.
fn press(update: i64) -> Intent {
    Intent::Answer(Press {
        update_id: UpdateId(update),
        callback: update.to_string(),
        button: Some(Button::JOINED),
        group: GROUP,
        user: ANN,
        language: Language::En,
        message: MessageId(0),
        received_ms: NOW,
    })
}

#[tokio::test]
async fn e70_of_two_presses_at_once_one_is_looked_into() {
    let database = database().await;
    let (status, body) = (200, r#"{"ok":true,"result":true}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    let put = [press(8), press(7)].map(|intent| Put::urgent(intent, NOW));
    sender.handler.store.put(&put, "").await.unwrap();
    let mut claims: Vec<Claim> = sender.claim(Lane::Answers, 10).await.unwrap().concat();
    claims.sort_by_key(|claim| claim.intent.key());
    let outcomes = async || {
        let page = sender.handler.metrics.encode();
        let pressed = page.lines().filter(|line| line.starts_with("nezuko_presses_total"));
        pressed.filter_map(|line| line.split('"').nth(3).map(str::to_owned)).collect::<Vec<_>>()
    };
    sender.carry_out(&claims[1..]).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1, "the second is answered, and nothing is looked up");
    assert_eq!(outcomes().await, ["in_progress"]);
    sender.carry_out(&claims[..1]).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 3, "a lookup and an answer");
    assert_eq!(outcomes().await.len(), 2);
}

#[tokio::test]
async fn e69_a_press_that_telegram_has_forgotten_is_answered_no_more() {
    let database = database().await;
    let body = r#"{"ok":false,"error_code":400,"description":"Bad Request: query is too old and response timeout expired or query ID is invalid"}"#;
    let telegram = Arc::new(Telegram { status: 400, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    let claims = claim(&sender, Lane::Answers, vec![press(7)]).await;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 1);
    assert!(sender.handler.store.open_intents(i64::MAX).await.unwrap().is_empty(), "it is done with");
    assert!(shows(&sender, "nezuko_press_to_answer_seconds_count", "0"), "nobody was answered");
}

/// Whether a metric of the bot without further labels has this value.
fn shows(sender: &Sender, metric: &str, value: &str) -> bool {
    let line = format!("{metric}{{bot_id=\"{}\"}} {value}", BOT.0);
    sender.handler.metrics.encode().lines().any(|shown| shown == line)
}

/// Has Ann muted by us, which is known.
async fn mute(sender: &Sender) {
    let member = Intent::Member { group: GROUP, user: ANN };
    let mute = claim(sender, Lane::Restrictions, vec![member]).await;
    sender.carry_out(&mute).await.unwrap();
    // Their echo shows that the mute is ours.
    sender
        .handler
        .with_person(ANN, GROUP, None, "", |mut person| {
            let (mark, until) = (person.mark(GROUP), person.member(GROUP).mute_until.unwrap());
            let limits = Limits::Restricted { until, left: Permissions::NONE };
            let member = person.member(GROUP);
            member.lookup = Some(Lookup { asked_ms: NOW, standing: Standing::Inside, limits });
            assert!(mark.is_on(limits));
            member.call = None;
            person.finish_unchanged(GROUP)
        })
        .await
        .unwrap();
}

/// Carries out the only thing that is due in a lane.
async fn carry_out_one(sender: &Sender, lane: Lane) {
    let claims = sender.claim(lane, 10).await.unwrap().concat();
    assert_eq!(claims.len(), 1, "{claims:?}");
    sender.carry_out(&claims).await.unwrap();
}

#[tokio::test]
async fn the_time_from_a_press_to_freeing_the_presser_is_told_once() {
    let (status, body) = (200, r#"{"ok":true,"result":true}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let mut sender = sender(&database().await, telegram);
    protect(&sender, &[CHANNEL]).await;
    mute(&sender).await;

    // The channel is shown to have them by the lookup for the press.
    sender.handler.store.put(&[Put::urgent(press(7), NOW)], "").await.unwrap();
    sender.handler.clock = Arc::new(|| NOW + 500);
    carry_out_one(&sender, Lane::Answers).await;
    assert!(shows(&sender, "nezuko_press_to_answer_seconds_sum", "0.5"));
    assert!(shows(&sender, "nezuko_press_to_free_seconds_count", "0"), "they are not free yet");
    sender.handler.clock = Arc::new(|| NOW + 1_500);
    carry_out_one(&sender, Lane::Restrictions).await;
    assert!(shows(&sender, "nezuko_releases_total", "1"));
    assert!(shows(&sender, "nezuko_press_to_free_seconds_sum", "1.5"));
    assert!(shows(&sender, "nezuko_press_to_free_seconds_count", "1"));
    let known = sender.handler.with_person(ANN, GROUP, None, "", |person| {
        assert_eq!(person.known(GROUP).unwrap().pressed_ms, None, "told once");
        person.finish_unchanged(GROUP)
    });
    known.await.unwrap();
}

#[tokio::test]
async fn e74_a_press_after_the_end_of_the_rule_frees_though_nobody_is_decided_anew() {
    let (status, body) = (200, r#"{"ok":true,"result":true}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database().await, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    mute(&sender).await;
    let off = Setting { value: false, update_id: UpdateId(6), received_ms: NOW };
    let mut unprotect = |view: &ChatView| {
        let facts = ChatFacts { protected: Some(off), ..view.chat.facts.clone() };
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    };
    sender.handler.store.with_chat(GROUP, "", NOW, &mut unprotect).await.unwrap();
    let before = sender.handler.store.open_intents(i64::MAX).await.unwrap();
    assert!(before.iter().all(|(kind, _)| kind != "redecide" && kind != "member"), "{before:?}");
    sender.handler.store.put(&[Put::urgent(press(7), NOW)], "").await.unwrap();
    carry_out_one(&sender, Lane::Answers).await;
    carry_out_one(&sender, Lane::Restrictions).await;
    assert!(shows(&sender, "nezuko_releases_total", "1"));
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 3, "a mute, an answer and a release");
}

#[tokio::test]
async fn a_command_and_its_answer_are_removed_when_their_time_is_over_whoever_is_alive_then() {
    let database = database().await;
    let (status, body) = (200, r#"{"ok":true,"result":{"message_id":7}}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let mut sender = sender(&database, telegram.clone());
    let reply = Reply {
        update_id: UpdateId(1),
        chat: GROUP,
        topic: None,
        message: MessageId(5),
        html: "hi".to_owned(),
        keyboard: Vec::new(),
        stands_ms: Some(60_000),
        until_ms: None,
        then: None,
    };
    let claims = claim(&sender, Lane::Replies, vec![Intent::Reply(reply)]).await;
    sender.carry_out(&claims).await.unwrap();
    assert!(sender.claim(Lane::Deletions, 10).await.unwrap().is_empty(), "not yet");
    sender.handler.clock = Arc::new(|| NOW + 60_000);
    let gone = sender.claim(Lane::Deletions, 10).await.unwrap().concat();
    let mut gone: Vec<Intent> = gone.into_iter().map(|claim| claim.intent).collect();
    gone.sort_by_key(Intent::key);
    assert_eq!(gone, [5, 7].map(|message| Intent::Delete { chat: GROUP, message: MessageId(message) }));
}

#[tokio::test]
async fn everybody_is_looked_up_again_in_steps_and_another_worker_goes_on() {
    let database = database().await;
    let (status, body) = (200, r#"{"ok":true,"result":true}"#);
    let telegram = Arc::new(Telegram { status, body, calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    for user in 20..32 {
        take_in(&sender, user, GROUP, user, "member").await;
    }
    let work = Work::begins(GROUP, 13, NOW);
    let put = Put { intent: Intent::Recheck(work), not_before_ms: NOW, urgency: Urgency::Bulk };
    sender.handler.store.put(&[put], "").await.unwrap();
    let mut steps = Vec::new();
    loop {
        let claims = sender.claim(Lane::Bulk, 100).await.unwrap().concat();
        let Some(claim) = claims.iter().find(|claim| matches!(claim.intent, Intent::Recheck(_))) else { break };
        let Intent::Recheck(work) = &claim.intent else { unreachable!("found as such") };
        steps.push((work.done, work.after.0));
        sender.carry_out(std::slice::from_ref(claim)).await.unwrap();
    }
    assert_eq!(steps, [(0, 0), (5, 23), (10, 28)], "each step begins where the one before has ended");
    assert_eq!(telegram.calls.load(Ordering::Relaxed), 13, "one lookup each");
}

/// Shows nobody of some people to a bot that is to look them up, and notes what is said in the end.
#[derive(Default)]
struct Secretive(std::sync::Mutex<Vec<Value>>);

#[async_trait]
impl Transport for Secretive {
    async fn post(&self, method: &str, body: Vec<u8>) -> Result<RawResponse, TransportError> {
        let params: Value = serde_json::from_slice(&body).unwrap();
        let (status, body) = match (method, params["user_id"].as_i64()) {
            ("getChatMember", Some(id)) if id % 3 == 0 => (
                400,
                json!({"ok": false, "error_code": 400, "description": "Bad Request: member list is inaccessible"}),
            ),
            ("getChatMember", Some(id)) => (200, json!({"ok": true, "result": {"user": user(id), "status": "member"}})),
            _ => {
                self.0.lock().unwrap().push(params["text"].clone());
                (200, json!({"ok": true, "result": true}))
            }
        };
        Ok(RawResponse { status, retry_after: None, body: body.to_string().into_bytes() })
    }
}

#[tokio::test]
async fn who_could_not_be_looked_up_again_is_counted_and_told() {
    let database = database().await;
    let telegram = Arc::new(Secretive::default());
    let sender = sender(&database, telegram.clone());
    protect(&sender, &[CHANNEL]).await;
    for user in 20..32 {
        take_in(&sender, user, GROUP, user, "member").await;
    }
    // An earlier version has begun.
    let work = Work { message: MessageId(7), ..Work::begins(GROUP, 13, NOW) };
    let mut work = serde_json::to_value(Intent::Recheck(work)).unwrap();
    work.as_object_mut().unwrap().remove("failed").unwrap();
    let intent: Intent = serde_json::from_value(work).unwrap();
    let put = Put { intent, not_before_ms: NOW, urgency: Urgency::Bulk };
    sender.handler.store.put(&[put], "").await.unwrap();
    loop {
        let claims = sender.claim(Lane::Bulk, 100).await.unwrap().concat();
        let Some(claim) = claims.iter().find(|claim| matches!(claim.intent, Intent::Recheck(_))) else { break };
        sender.carry_out(std::slice::from_ref(claim)).await.unwrap();
    }
    assert_eq!(*telegram.0.lock().unwrap(), ["Looked up again: all 13, of whom 4 could not be."]);
}

/// Nobody is known there, whose decision would tell it.
#[tokio::test]
async fn the_cache_acquits_nobody_of_a_rule_that_has_just_begun() {
    let database = database().await;
    let sender =
        sender(&database, Arc::new(Telegram { status: 200, body: "", calls: AtomicUsize::new(0), breaks: None }));
    let unprotected = ChatVersion { chat: GROUP, settings_version: 0, protected: false };
    sender.handler.cache.remember_chat(BOT, unprotected, DEADLINE).await.unwrap();
    let acquits_ann = async || sender.handler.cache.acquitted(BOT, &[(GROUP, ANN)]).await.unwrap();
    assert_eq!(acquits_ann().await, [true]);
    protect(&sender, &[CHANNEL]).await;
    let claims = claim(&sender, Lane::Jobs, vec![Intent::Redecide { chat: GROUP, after: UserId(0) }]).await;
    sender.carry_out(&claims).await.unwrap();
    assert_eq!(acquits_ann().await, [false]);
}

#[tokio::test]
async fn e34_the_cache_acquits_nobody_who_may_stay_for_a_while_only() {
    let database = database().await;
    let sender =
        sender(&database, Arc::new(Telegram { status: 200, body: "", calls: AtomicUsize::new(0), breaks: None }));
    protect(&sender, &[CHANNEL]).await;
    let mut give_grace = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        facts.settings.change(UpdateId(9), NOW, |settings| settings.grace_s = 3_600);
        ChatWrites { facts: Some(facts), ..ChatWrites::default() }
    };
    sender.handler.store.with_chat(GROUP, "", NOW, &mut give_grace).await.unwrap();
    let acquits_ann = async || sender.handler.cache.acquitted(BOT, &[(GROUP, ANN)]).await.unwrap();
    for (update_id, chat, status, acquitted) in
        [(20, CHANNEL, "member", true), (21, GROUP, "member", true), (22, CHANNEL, "left", false)]
    {
        take_in(&sender, update_id, chat, ANN.0, status).await;
        sender.handler.tell_cache(GROUP).await.unwrap();
        assert_eq!(acquits_ann().await, [acquitted], "{status} in {chat}");
    }
}

#[tokio::test]
async fn a_protected_group_that_nobody_sweeps_is_swept_within_a_day() {
    let database = database().await;
    let telegram = Arc::new(Telegram { status: 200, body: "", calls: AtomicUsize::new(0), breaks: None });
    let sender = sender(&database, telegram.clone());
    let store = &sender.handler.store;
    let on = Setting { value: true, update_id: UpdateId(1), received_ms: NOW };
    // Of all three, the second one is swept already, and the last one is not protected any more.
    for (group, protected, put) in [(1, true, None), (2, true, Some(NOW)), (3, false, None)] {
        let chat = ChatId(-group);
        let put = put.map(|at_ms| Put::urgent(Intent::Redecide { chat, after: UserId(5) }, at_ms));
        let mut change = |_: &ChatView| {
            let facts = ChatFacts { protected: Some(Setting { value: protected, ..on }), ..ChatFacts::default() };
            ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: put.clone().into_iter().collect() }
        };
        store.with_chat(chat, "", NOW, &mut change).await.unwrap();
    }
    for _ in 0..2 {
        seed_sweeps(&sender.handler).await.unwrap();
        let sweeps = |by_ms| async move { store.open_intents(by_ms).await.unwrap() };
        assert_eq!(sweeps(NOW).await, [("redecide".to_owned(), 1)]);
        assert_eq!(sweeps(NOW + 24 * 3_600_000).await, [("redecide".to_owned(), 2)]);
    }
    let claims = sender.claim(Lane::Jobs, 10).await.unwrap().concat();
    assert!(matches!(claims[..], [Claim { intent: Intent::Redecide { after: UserId(5), .. }, generation: 1, .. }]));
}
