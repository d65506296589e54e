//! The simulator speaks HTTP as Telegram does, on both sides.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod fake_bot;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fake_bot::http::{Client, OK, Request, webhook};
use loadtest::{
    simulator::{Fault, FaultKind, FloodRule, Options, Simulator},
    world::{Act, ChatId, ChatKind, ChatSpec, Content, Member, Person, Rights, UserId, World},
};
use serde_json::{Value, json};

const TOKEN: &str = "7000000001:x";
const BOT: UserId = UserId(7_000_000_001);
const OWNER: UserId = UserId(10);
const GROUPS: [ChatId; 2] = [ChatId(-1_001), ChatId(-1_002)];

async fn simulator(options: Options) -> Simulator {
    let mut world = World::new(World::bot_account(BOT, "nezuko_bot"));
    world.add_person(Person::named(OWNER, "Olga"));
    for id in GROUPS {
        let mut group = ChatSpec::new(id, ChatKind::Supergroup, "Group");
        group.members =
            vec![(OWNER, Member::Creator { is_anonymous: false }), (BOT, Member::Administrator(Rights::FULL))];
        world.add_chat(0, group);
    }
    Simulator::start(world, options).await.unwrap()
}

fn write(simulator: &Simulator, chat: ChatId, text: &str) {
    let content = Content::Text(text.to_owned());
    simulator.act(Act::Write { user: OWNER, chat, content, thread: None }).unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

type Seen = Arc<Mutex<Vec<(Instant, Request)>>>;

/// A webhook that notes what comes and answers with what `answer` says for the n-th request.
fn noting(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> (String, Seen) {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let address = webhook(move |request| {
        let mut notes = notes.lock().unwrap();
        notes.push((Instant::now(), request.clone()));
        answer(notes.len())
    });
    (format!("http://{address}/webhook/7000000001"), seen)
}

fn texts(seen: &Seen) -> Vec<String> {
    let update = |request: &Request| serde_json::from_str::<Value>(&request.body).unwrap();
    seen.lock().unwrap().iter().map(|(_, r)| update(r)["message"]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_posted_with_telegrams_headers_and_no_others() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let (url, seen) = noting(|_| OK.to_owned());
    simulator.deliver_to(&[&url], Some("s3cret"));
    write(&simulator, GROUPS[0], "hi");
    until("it is delivered", || simulator.counters().delivered == 1).await;
    let request = seen.lock().unwrap()[0].1.clone();
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert_eq!(
        request.head,
        format!(
            "POST /webhook/7000000001 HTTP/1.1\r\nHost: {host}\r\nX-Telegram-Bot-Api-Secret-Token: s3cret\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\
             Accept-Encoding: gzip, deflate\r\n\r\n",
            request.body.len()
        )
    );
    assert!(request.body.starts_with("{\"update_id\":300000001,\n\"message\":{"), "{}", request.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_update_holds_up_its_chat_for_as_long_as_it_is_told_and_no_other_chat() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\ncontent-length: 0\r\n\r\n";
    let (url, seen) = noting(move |nth| if nth == 1 { busy.to_owned() } else { OK.to_owned() });
    write(&simulator, GROUPS[0], "first");
    simulator.deliver_to(&[&url], None);
    until("the first is refused", || simulator.counters().retried == 1).await;
    write(&simulator, GROUPS[0], "second");
    write(&simulator, GROUPS[1], "elsewhere");
    until("all are delivered", || simulator.pending() == 0).await;
    assert_eq!(texts(&seen), ["first", "elsewhere", "first", "second"]);
    let at: Vec<Instant> = seen.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let waited = at[2] - at[0];
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
    let counters = simulator.counters();
    assert_eq!((counters.delivered, counters.refused.get(&503), counters.dropped), (3, Some(&1), 0));
    assert_eq!(counters.without_retry_after, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_or_a_client_error_is_a_failure_like_any_other() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let (url, seen) = noting(|nth| match nth {
        1 => "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    });
    simulator.deliver_to(&[&url], None);
    write(&simulator, GROUPS[0], "hi");
    until("it is delivered", || simulator.pending() == 0).await;
    assert_eq!(seen.lock().unwrap().len(), 2);
    let counters = simulator.counters();
    assert_eq!((counters.refused.get(&302), counters.without_retry_after), (Some(&1), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_take_turns_and_a_dead_one_is_passed_over() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let (first, seen_by_first) = noting(|_| OK.to_owned());
    let (second, seen_by_second) = noting(|_| OK.to_owned());
    simulator.deliver_to(&[&first, "http://127.0.0.1:1/nobody", &second], None);
    for _ in 0..200 {
        for chat in GROUPS {
            write(&simulator, chat, "hi");
        }
    }
    until("all are delivered", || simulator.pending() == 0).await;
    assert_eq!(simulator.counters().delivered, 400);
    for seen in [seen_by_first, seen_by_second] {
        assert!(!seen.lock().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_updates_come_twice_and_a_method_in_the_answer_is_counted() {
    let simulator = simulator(Options { duplicate_one_in: 2, ..Options::new(TOKEN) }).await;
    let body = json!({"method": "sendMessage"}).to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (url, seen) = noting(move |_| answer.clone());
    simulator.deliver_to(&[&url], None);
    for nth in 0..40 {
        write(&simulator, GROUPS[0], &nth.to_string());
    }
    until("all are delivered", || simulator.pending() == 0).await;
    let counters = simulator.counters();
    assert!(counters.duplicates > 0);
    assert_eq!(counters.delivered + counters.duplicates, seen.lock().unwrap().len() as u64);
    assert_eq!(counters.methods_in_bodies, seen.lock().unwrap().len() as u64);
    let mut texts: Vec<usize> = texts(&seen).iter().map(|text| text.parse().unwrap()).collect();
    assert!(texts.is_sorted(), "a repetition comes before the next of its queue");
    texts.dedup();
    assert_eq!(texts, (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_api_knows_its_token_and_its_methods() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let post =
        |token: &str, method: &str, body: &str| Client::new(&simulator.api_url(), token).post(method, body).unwrap();
    let (head, body) = post(TOKEN, "getMe", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["result"]["id"], json!(BOT));
    let (head, body) = post("7000000001:wrong", "getMe", "{}");
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    assert_eq!(body, r#"{"description":"Unauthorized","error_code":401,"ok":false}"#);
    for malformed in ["x", "x:y", "7000000001"] {
        let (head, body) = post(malformed, "getMe", "{}");
        assert!(head.starts_with("HTTP/1.1 404"), "{malformed}: {head}");
        assert_eq!(body, r#"{"description":"Not Found","error_code":404,"ok":false}"#);
    }
    assert!(post(TOKEN, "getYou", "{}").1.contains("Not Found: method not found"));
    assert!(post(TOKEN, "getMe", "{").0.starts_with("HTTP/1.1 400"));
    let calls: Vec<_> = simulator.calls().into_iter().map(|call| (call.method, call.status)).collect();
    assert_eq!(calls, [("getMe".to_owned(), 200), ("getYou".to_owned(), 404)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn misfortunes_come_by_command() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let mut client = Client::new(&simulator.api_url(), TOKEN);
    let send = json!({"chat_id": GROUPS[0], "text": "hi"}).to_string();
    let fault = |kind| Fault { method: Some("sendMessage"), chat: Some(GROUPS[0]), every: 1, times: 1, kind };
    let sent = || simulator.world(|world| world.chat(GROUPS[0]).unwrap().messages().count());

    simulator.inject(fault(FaultKind::Page(502)));
    let (head, body) = client.post("sendMessage", &send).unwrap();
    assert!(head.starts_with("HTTP/1.1 502") && body.starts_with("<html>"), "{head}{body}");

    simulator.inject(fault(FaultKind::Flood { retry_after: 86_400 }));
    let (head, body) = client.post("sendMessage", &send).unwrap();
    assert!(head.contains("retry-after: 86400\r\n"), "{head}");
    assert!(head.contains("\r\ndate: "), "by which programs judge their clock: {head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["parameters"]["retry_after"], json!(86_400));

    simulator.inject(fault(FaultKind::Restart));
    assert!(client.post("sendMessage", &send).unwrap().1.contains("Internal Server Error: restart"));
    assert_eq!(sent(), 0, "none of these is carried out");

    simulator.inject(fault(FaultKind::AnswerLost));
    assert!(client.post("sendMessage", &send).is_none());
    assert_eq!(sent(), 1, "this one is");

    simulator.inject(fault(FaultKind::Delay(Duration::from_millis(300))));
    let asked = Instant::now();
    assert!(client.post("sendMessage", &send).unwrap().0.starts_with("HTTP/1.1 200"));
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(sent(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_rules_refuse_sends_and_edits_where_they_are_asked_for() {
    let send = json!({"chat_id": GROUPS[0], "text": "hi"});
    let lenient = simulator(Options::new(TOKEN)).await;
    let mut client = Client::new(&lenient.api_url(), TOKEN);
    for _ in 0..40 {
        client.call("sendMessage", &send).unwrap();
    }

    let strict = simulator(Options { flood_rules: true, ..Options::new(TOKEN) }).await;
    let mut client = Client::new(&strict.api_url(), TOKEN);
    let texts =
        || strict.world(|world| world.chat(GROUPS[0]).unwrap().messages().map(|m| m.text.clone()).collect::<Vec<_>>());
    for _ in 0..3 {
        client.call("sendMessage", &send).unwrap();
    }
    for (method, params) in [
        ("sendMessage", json!({"chat_id": GROUPS[0], "text": "more"})),
        ("editMessageText", json!({"chat_id": GROUPS[0], "message_id": 1, "text": "edited"})),
    ] {
        let (head, body) = client.post(method, &params.to_string()).unwrap();
        assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after: 1\r\n"), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["parameters"], json!({"retry_after": 1}));
        assert_eq!(body["description"], json!("Too Many Requests: retry after 1"));
    }
    assert_eq!(texts(), ["hi"; 3], "what is refused has no effect");
    client.call("sendMessage", &json!({"chat_id": GROUPS[1], "text": "elsewhere"})).unwrap();
    client.call("deleteMessage", &json!({"chat_id": GROUPS[0], "message_id": 1})).unwrap();
    assert_eq!(strict.flood_refusals(), [(FloodRule::Chat, 2)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_put_down_as_they_arrive_with_their_connection() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let before_us = simulator.now_ms() * 1000;
    let (mut one, mut other) = (Client::new(&simulator.api_url(), TOKEN), Client::new(&simulator.api_url(), TOKEN));
    simulator.inject(Fault {
        method: Some("sendMessage"),
        chat: None,
        every: 1,
        times: 1,
        kind: FaultKind::Delay(Duration::from_millis(200)),
    });
    one.call("sendMessage", &json!({"chat_id": GROUPS[0], "text": "hi"})).unwrap();
    other.call("getMe", &json!({})).unwrap();
    one.call("getMe", &json!({})).unwrap();
    let calls = simulator.calls();
    assert_eq!(calls[0].chat, Some(GROUPS[0]));
    assert_ne!(calls[0].port, calls[1].port);
    assert_eq!(calls[0].port, calls[2].port);
    assert!(calls[0].at_us >= before_us && calls[1].at_us - calls[0].at_us >= 200_000, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn set_webhook_says_where_to() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let (url, seen) = noting(|_| OK.to_owned());
    write(&simulator, GROUPS[0], "early");
    let mut client = Client::new(&simulator.api_url(), TOKEN);
    let info = client.call("getWebhookInfo", &json!({})).unwrap();
    assert_eq!(info["pending_update_count"], json!(1));
    client.call("setWebhook", &json!({"url": url, "secret_token": "abc"})).unwrap();
    until("it is delivered", || simulator.pending() == 0).await;
    assert!(seen.lock().unwrap()[0].1.head.contains("X-Telegram-Bot-Api-Secret-Token: abc\r\n"));
}

fn ids(updates: &Value) -> Vec<i64> {
    updates.as_array().unwrap().iter().map(|update| update["update_id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_gets_updates_until_they_are_confirmed() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let mut client = Client::new(&simulator.api_url(), TOKEN);
    let mut ask = |params: Value| client.call("getUpdates", &params).unwrap();
    for (nth, chat) in [(0, GROUPS[0]), (1, GROUPS[1]), (2, GROUPS[0])] {
        write(&simulator, chat, &nth.to_string());
    }
    let all = ids(&ask(json!({})));
    assert!(all.len() == 3 && all.is_sorted(), "{all:?}");
    assert_eq!(ids(&ask(json!({"limit": 2}))), all[..2], "nothing was confirmed");
    assert_eq!(ids(&ask(json!({"offset": all[1]}))), all[1..]);
    assert_eq!((simulator.pending(), simulator.counters().delivered), (2, 1));
    assert_eq!(ids(&ask(json!({"offset": -1}))), all[2..], "the youngest one");
    assert!(ids(&ask(json!({"offset": all[2] + 1}))).is_empty());
    assert_eq!((simulator.pending(), simulator.counters().delivered), (0, 3));

    // A long poll ends with the first update.
    let (asked, address) = (Instant::now(), simulator.api_url());
    let waiting = tokio::task::spawn_blocking(move || {
        Client::new(&address, TOKEN).call("getUpdates", &json!({"timeout": 50})).unwrap()
    });
    until("the question has come", || simulator.calls().iter().filter(|call| call.method == "getUpdates").count() == 6)
        .await;
    write(&simulator, GROUPS[0], "late");
    assert_eq!(waiting.await.unwrap()[0]["message"]["text"], json!("late"));
    assert!(asked.elapsed() < Duration::from_secs(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_question_ends_the_first_and_a_webhook_both() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let address = simulator.api_url();
    let first = tokio::task::spawn_blocking(move || {
        Client::new(&address, TOKEN).call("getUpdates", &json!({"timeout": 50})).unwrap_err()
    });
    until("the question has come", || simulator.call_count() == 1).await;
    let address = simulator.api_url();
    let second = tokio::task::spawn_blocking(move || {
        Client::new(&address, TOKEN).call("getUpdates", &json!({"timeout": 50})).unwrap_err()
    });
    let error = first.await.unwrap();
    assert!(error.contains("Conflict: terminated by other getUpdates request"), "{error}");

    let mut client = Client::new(&simulator.api_url(), TOKEN);
    client.call("setWebhook", &json!({"url": "http://127.0.0.1:1/nobody"})).unwrap();
    let error = second.await.unwrap();
    assert!(error.contains("Conflict: terminated by setWebhook request"), "{error}");
    let error = client.call("getUpdates", &json!({})).unwrap_err();
    assert!(error.contains("Conflict: can't use getUpdates method while webhook is active"), "{error}");
    let error = client.call("deleteWebhook", &json!({})).unwrap_err();
    assert!(error.contains("Too Many Requests: retry after 1"), "{error}");
    until("a second is over", || client.call("deleteWebhook", &json!({})).is_ok()).await;
    client.call("getUpdates", &json!({})).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn get_webhook_info_tells_how_deliveries_fail_and_which_kinds_come() {
    let simulator = simulator(Options::new(TOKEN)).await;
    let (url, seen) =
        noting(|_| "HTTP/1.1 503 Service Unavailable\r\nretry-after: 100\r\ncontent-length: 0\r\n\r\n".to_owned());
    let mut client = Client::new(&simulator.api_url(), TOKEN);
    client.call("setWebhook", &json!({"url": url})).unwrap();
    let join = Act::Join { user: UserId(11), chat: GROUPS[0] };
    simulator.world(|world| world.add_person(Person::named(UserId(11), "Jo")));
    simulator.act(join).unwrap();
    write(&simulator, GROUPS[0], "hi");
    until("a delivery has failed", || simulator.counters().retried > 0).await;
    let info = client.call("getWebhookInfo", &json!({})).unwrap();
    assert_eq!(info["last_error_message"], json!("Wrong response from the webhook: 503 Service Unavailable"));
    assert!(info["last_error_date"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(info.get("allowed_updates"), None, "Telegram's own choice");
    let kinds: Vec<_> =
        seen.lock().unwrap().iter().map(|(_, request)| request.body.contains("chat_member\"")).collect();
    assert!(!kinds.contains(&true), "chat_member comes only to those who ask for it");

    let pending = simulator.pending();
    assert!(pending > 0);
    until("a second is over", || {
        client
            .call("setWebhook", &json!({"url": "", "drop_pending_updates": true, "allowed_updates": ["chat_member"]}))
            .is_ok()
    })
    .await;
    let info = client.call("getWebhookInfo", &json!({})).unwrap();
    assert_eq!((&info["allowed_updates"], info.get("last_error_message")), (&json!(["chat_member"]), None));
    assert_eq!(
        (simulator.pending(), simulator.counters().dropped),
        (0, pending as u64),
        "dropped for good, and counted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_bots_live_at_one_address_and_see_each_their_own() {
    let first = simulator(Options::new(TOKEN)).await;
    let other = "7000000002:y";
    let world = World::new(World::bot_account(UserId(7_000_000_002), "other_bot"));
    let second = first.beside(world, &Options::new(other));
    assert_eq!(first.api_url(), second.api_url());
    let me = |token: &str| Client::new(&first.api_url(), token).call("getMe", &json!({})).map(|me| me["id"].clone());
    assert_eq!(me(TOKEN).unwrap(), json!(BOT));
    assert_eq!(me(other).unwrap(), json!(7_000_000_002_i64));
    write(&first, GROUPS[0], "hi");
    assert_eq!((first.pending(), second.pending()), (1, 0));
    assert_eq!((first.call_count(), second.call_count()), (1, 1));
    second.stop().await;
    assert!(me(other).unwrap_err().contains("Unauthorized"));
    assert_eq!(me(TOKEN).unwrap(), json!(BOT));
}
