//! What nobody should send, sent to the real programs: each gets its clear answer, and nothing falls over.
#![allow(clippy::unwrap_used)]

mod support;

use std::{process::Stdio, time::Duration};

use loadtest::{
    simulator::{Options, Simulator},
    world::{Act, Content, Person, UserId, World},
};
use support::{
    Directory, Running, SECRET, eventually, fresh_bot, program,
    servers::{count_rows, with_servers},
    settings, token,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

/// Somebody who asks for help when all the rest has been said.
const ASKER: UserId = UserId(5_000_000_042);

/// Exit code and what was said of a program that is started with these settings alone.
async fn refused(name: &str, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let child = Command::new(program(name))
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(30), child).await.expect("it ends by itself").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn named(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split(':').next().unwrap()).collect()
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once_by_each_program() {
    let wrong = [("BOT_TOKEN", "12:short-secret"), ("PORT", "x"), ("OPS_PORT", "70000"), ("LOG_FORMAT", "xml")];
    for (name, missing) in [
        ("nezuko", &[][..]),
        ("nezuko-gateway", &["WEBHOOK_SECRET", "REDIS_URL"]),
        ("nezuko-worker", &["DATABASE_URL", "REDIS_URL"]),
    ] {
        let (code, text) = refused(name, &wrong).await;
        assert_eq!(code, Some(64), "{name}: {text}");
        let expected = [&["BOT_TOKEN"], missing, &["PORT", "OPS_PORT", "LOG_FORMAT"]].concat();
        assert_eq!(named(&text), expected, "{name}: {text}");
        assert!(!text.contains("short-secret"), "{name} tells a secret: {text}");
    }
}

#[tokio::test]
async fn a_profile_that_does_not_fit_the_program_is_refused() {
    let bot = fresh_bot();
    let token = token(bot);
    let common = [("BOT_TOKEN", token.as_str()), ("WEBHOOK_SECRET", SECRET), ("REDIS_URL", "redis://127.0.0.1:1")];
    let with_sqlite = [&common[..], &[("DATABASE_URL", "sqlite://nezuko.sqlite")]].concat();
    for (name, wrong) in
        [("nezuko", "REDIS_URL"), ("nezuko-gateway", "DATABASE_URL"), ("nezuko-worker", "DATABASE_URL")]
    {
        let (code, text) = refused(name, &with_sqlite).await;
        assert_eq!(code, Some(64), "{name}: {text}");
        assert_eq!(named(&text), [wrong], "{name}: {text}");
    }
    let with_postgres = [&common[..], &[("DATABASE_URL", "postgres://nobody@127.0.0.1/unused")]].concat();
    let (code, text) = refused("nezuko", &with_postgres).await;
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("REDIS_URL"), "{text}");
}

/// What is sent to the webhook's port.
#[derive(Clone, Copy)]
struct Request<'a> {
    /// Method and path.
    line: &'a str,
    secret: Option<&'a str>,
    body: &'a [u8],
}

/// One request on a connection of its own; status, head and body of the answer.
async fn ask(port: u16, Request { line, secret, body }: Request<'_>) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let secret = secret.map_or(String::new(), |secret| format!("X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"));
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{secret}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(head.as_bytes()).await.unwrap();
        // What is refused by its head may be refused before the body is through.
        let _refused = stream.write_all(body).await;
        stream.read_to_end(&mut answer).await.unwrap();
    };
    timeout(Duration::from_secs(30), exchange).await.expect("an answer in time");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// Everything that is no update, and what it is answered. Returns how many bodies are to be found in the quarantine.
async fn send_what_is_no_update(port: u16, bot: UserId) -> u64 {
    let path = format!("POST /webhook/{bot}");
    let update = br#"{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"}}}"#;
    let huge = vec![b' '; (1 << 20) + 1];
    let good = Request { line: &path, secret: Some(SECRET), body: update };
    let get = format!("GET /webhook/{bot}");
    let refusals = [
        ("without the secret", Request { secret: None, ..good }, 401),
        ("with a wrong secret", Request { secret: Some("end-to-end-secreT"), ..good }, 401),
        ("with a wrong secret and a huge body", Request { secret: Some("wrong"), body: &huge, ..good }, 401),
        ("over a mebibyte", Request { body: &huge, ..good }, 413),
        ("by GET", Request { line: &get, body: b"", ..good }, 405),
        ("by PUT", Request { line: "PUT /webhook", ..good }, 405),
        ("to another bot", Request { line: "POST /webhook/17", ..good }, 404),
        ("to no path of ours", Request { line: "POST /hook", ..good }, 404),
    ];
    for (what, request, expected) in refusals {
        let (status, head, body) = ask(port, request).await;
        assert_eq!(status, expected, "{what}: {head}\n{body}");
        assert!(head.contains("content-type: application/problem+json"), "{what}: {head}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], expected, "{what}: {problem}");
    }
    // A 4xx would block that chat for a day: what is authenticated is taken in.
    let quarantined: [&[u8]; 6] =
        [b"<html>", b"", b"{}", b"[]", br#"{"message":{"text":"no id"}}"#, br#"{"update_id":"seven"}"#];
    for body in quarantined {
        let (status, head, answer) = ask(port, Request { body, ..good }).await;
        assert_eq!((status, answer.as_str()), (200, ""), "{}: {head}", String::from_utf8_lossy(body));
    }
    quarantined.len() as u64
}

/// Kinds, kinds of chat, statuses and fields that do not exist yet, and parts that are missing.
fn unheard_of() -> Vec<String> {
    const USER: &str = r#"{"id":5000000001,"is_bot":false,"first_name":"Ann","aura":{"colour":"teal"}}"#;
    const GROUP: &str = r#"{"id":-1001000000001,"type":"supergroup","title":"G","moons":[1,2]}"#;
    let member = |kind: &str, old: &str, new: &str| {
        format!(
            r#""{kind}":{{"chat":{GROUP},"from":{USER},"date":1700000000,"old_chat_member":{{"user":{USER},"status":"{old}"}},"new_chat_member":{{"user":{USER},"status":"{new}"}}}}"#
        )
    };
    let contents = [
        r#""kind_of_2031":{"from":{"id":5},"n":1.10}"#.to_owned(),
        r#""kind_of_2031":null,"another":[]"#.to_owned(),
        format!(r#""message":{{"message_id":1,"date":1700000000,"chat":{{"id":-7,"type":"galaxy"}},"from":{USER}}}"#),
        format!(
            r#""message":{{"message_id":2,"date":1700000000,"chat":{GROUP},"from":{USER},"hologram":{{"file_id":"x"}},"text":"hi"}}"#
        ),
        format!(
            r#""message":{{"message_id":3000000000,"date":1700000000,"chat":{GROUP},"from":{USER},"text":"hi","entities":[{{"type":"smell","offset":99999,"length":70000}}]}}"#
        ),
        format!(r#""message":{{"message_id":4,"date":1700000000,"chat":{GROUP},"text":"nobody wrote this"}}"#),
        format!(
            r#""message_reaction":{{"chat":{GROUP},"message_id":1,"date":1,"old_reaction":[],"new_reaction":[{{"type":"odour"}}]}}"#
        ),
        format!(r#""callback_query":{{"id":"1","from":{USER},"chat_instance":"1","data":"x"}}"#),
        format!(
            r#""callback_query":{{"id":"2","from":{USER},"chat_instance":"1","message":{{"chat":{GROUP},"message_id":9,"date":0}}}}"#
        ),
        member("chat_member", "apprentice", "member"),
        member("chat_member", "member", "apprentice"),
        // Without the rights that the newest server tells, or any.
        member("chat_member", "member", "administrator"),
        member("chat_member", "restricted", "kicked"),
        member("my_chat_member", "left", "apprentice"),
        member("my_chat_member", "left", "administrator"),
    ];
    (700_000_001..)
        .zip(contents)
        .map(|(id, content): (i64, String)| format!("{{\"update_id\":{id},\n{content}}}"))
        .chain([r#"{"update_id":700000900}"#.to_owned()])
        .collect()
}

/// Each of these is taken in.
async fn send_updates(port: u16, updates: &[String]) {
    for update in updates {
        let request = Request { line: "POST /webhook", secret: Some(SECRET), body: update.as_bytes() };
        let (status, _, answer) = ask(port, request).await;
        assert_eq!((status, answer.as_str()), (200, ""), "{update}");
    }
}

/// A Telegram in which one person has something to say to the bot.
async fn telegram(bot: UserId) -> Simulator {
    let mut world = World::new(World::bot_account(bot, "nezuko_demo_bot"));
    world.add_person(Person::named(ASKER, "Ann"));
    Simulator::start(world, Options::new(&token(bot))).await.unwrap()
}

/// Whether the bot still answers.
async fn assert_it_still_works(simulator: &Simulator, webhook: &str) {
    simulator.deliver_to(&[webhook], Some(SECRET));
    let content = Content::Text("/help".to_owned());
    simulator.act(Act::Write { user: ASKER, chat: ASKER.private_chat(), content, thread: None }).unwrap();
    eventually("the bot answers /help", async || {
        simulator.calls().iter().any(|call| call.method == "sendMessage" && call.status == 200)
    })
    .await;
}

/// The worker took each of so many updates in at the first try.
async fn assert_all_taken_in(worker: &Running, updates: u64, dir: &Directory) {
    eventually("all updates are ended", async || worker.metric("nezuko_updates_total").await >= updates).await;
    assert_eq!(worker.metric("nezuko_updates_total").await, updates);
    assert_eq!(worker.metric("nezuko_dead_letters_total").await, 0);
    for (name, log) in dir.logs() {
        for bad in ["panicked", "update failed"] {
            assert!(!log.contains(bad), "{name}: {bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_alone_answers_bad_input_and_goes_on() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let simulator = telegram(bot).await;
    let database = dir.sqlite_url();
    let nezuko = Running::start("nezuko", "nezuko", &dir, &settings(bot, &simulator.api_url(), &database)).await;

    let quarantined = send_what_is_no_update(nezuko.port, bot).await;
    assert_eq!(count_rows(&database, "quarantine").await.unsigned_abs(), quarantined);
    let updates = unheard_of();
    send_updates(nezuko.port, &updates).await;
    assert_it_still_works(&simulator, &nezuko.webhook()).await;
    assert_all_taken_in(&nezuko, updates.len() as u64 + 1, &dir).await;
    nezuko.stop().await;
    assert_eq!(count_rows(&database, "dead_letters").await, 0);
    assert_eq!(count_rows(&database, "queue").await, 0);
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_answers_bad_input_and_goes_on() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let dir = Directory::new();
        let simulator = telegram(bot).await;
        let mut settings = settings(bot, &simulator.api_url(), &servers.database_url);
        settings.push(("REDIS_URL", servers.redis_url));
        let gateway = Running::start("nezuko-gateway", "gateway", &dir, &settings).await;
        let worker = Running::start("nezuko-worker", "worker", &dir, &settings).await;

        let quarantined = send_what_is_no_update(gateway.port, bot).await;
        assert_eq!(servers.stream.quarantined().await, quarantined);
        let updates = unheard_of();
        send_updates(gateway.port, &updates).await;
        assert_it_still_works(&simulator, &gateway.webhook()).await;
        assert_all_taken_in(&worker, updates.len() as u64 + 1, &dir).await;
        gateway.stop().await;
        worker.stop().await;
        assert_eq!(servers.stream.dead_letters().await, 0);
        assert_eq!(servers.stream.unfinished().await, 0);
        simulator.stop().await;
    })
    .await;
}
