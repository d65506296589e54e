//! Errors reach Sentry, without a word about people; a Sentry that is away or hangs costs a counter and nothing else.

use std::time::{Duration, Instant};

use nezuko_ports::free_port;

use crate::{
    TURN,
    operations::lines,
    support::{SECRET, eventually, fresh_bot, receiver::Receiver, servers::with_servers, token},
    town::{ANN, ANNS_NAME, GROUP, Town},
};

const TEXT: &str = "a text that is nobody's business";

/// A project's address.
fn dsn(port: u16) -> String {
    format!("http://0123456789abcdef@127.0.0.1:{port}/42")
}

/// An update is given up that nobody can read, with a person in it.
async fn something_fails(town: &Town) {
    let from = format!(r#"{{"id":{ANN},"first_name":"{ANNS_NAME}"}}"#);
    let unreadable = format!(r#"{{"update_id":99,"message":{{"message_id":"{TEXT}","from":{from}}}}}"#);
    town.servers.stream.push(99, &unreadable).await;
    eventually("an update is given up", async || town.servers.stream.dead_letters().await > 0).await;
}

/// The handler of an edited message panics, with all of it in the panic's message.
async fn something_panics(town: &Town) {
    let from = format!(r#"{{"id":{ANN},"is_bot":false,"first_name":"{ANNS_NAME}"}}"#);
    let chat = format!(r#"{{"id":{GROUP},"type":"supergroup","title":"Group"}}"#);
    let edited = format!(
        r#"{{"update_id":98,"edited_message":{{"message_id":5,"date":1,"edit_date":2,"from":{from},"chat":{chat},"text":"{TEXT}"}}}}"#
    );
    town.servers.stream.push(98, &edited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_panics_reach_sentry_without_a_word_about_people() {
    let (_turn, bot) = (TURN.lock().await, fresh_bot());
    with_servers(bot, async move |servers| {
        let sentry = Receiver::start().await;
        let settings = [
            ("SENTRY_DSN", dsn(sentry.port)),
            ("ENVIRONMENT", "a-test".to_owned()),
            ("NEZUKO_PLANTED_BUG", "panic-of-edits".to_owned()),
            // Which lines are written decides about nothing else.
            ("LOG_LEVEL", "off".to_owned()),
        ];
        let town = Town::begin(servers, bot, &settings).await;
        town.ann_is_muted().await;
        something_fails(&town).await;
        something_panics(&town).await;
        let reports = || -> Vec<String> {
            sentry.bodies().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
        };
        let has = |what: &str| reports().iter().any(|report| report.contains(what));
        eventually("what was given up is reported", async || has("update moved to the dead letters")).await;
        eventually("the panic is reported", async || has("panic at worker/src/")).await;
        let panics: Vec<_> = lines(&town, "worker").into_iter().filter(|line| line["message"] == "panicked").collect();
        assert!(!panics.is_empty(), "a panic is a line of the log, whatever else is, and every line is JSON");
        for line in panics {
            assert!(line["level"] == "ERROR" && line["place"].as_str().unwrap().starts_with("worker/src/"), "{line}");
            assert!(!line.to_string().contains(TEXT) && !line.to_string().contains(ANNS_NAME), "{line}");
        }
        for report in reports() {
            for (what, secret) in [
                ("a person", ANN.to_string()),
                ("a name", ANNS_NAME.to_owned()),
                ("a chat", GROUP.to_string().trim_start_matches('-').to_owned()),
                ("a text", TEXT.to_owned()),
                ("a token", token(bot)),
                ("a secret", SECRET.to_owned()),
            ] {
                assert!(!report.contains(&secret), "{what} is in {report}");
            }
            for tag in [r#""program":"nezuko-worker""#, &format!(r#""bot_id":"{bot}""#), r#""environment":"a-test""#] {
                assert!(report.contains(tag), "{tag} is not in {report}");
            }
            assert!(report.contains(r#""release":""#), "{report}");
        }
        town.gateway.stop().await;
        town.worker.stop().await;
    })
    .await;
}

async fn goes_on_without(port: u16) {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let town = Town::begin(servers, bot, &[("SENTRY_DSN", dsn(port))]).await;
        something_fails(&town).await;
        town.ann_is_muted().await;
        let dropped = async || town.worker.metric("nezuko_telemetry_dropped_total").await > 0;
        eventually("what cannot be sent is counted", dropped).await;
        let began = Instant::now();
        town.gateway.stop().await;
        town.worker.stop().await;
        assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentry_that_is_away_costs_a_counter() {
    let _turn = TURN.lock().await;
    goes_on_without(free_port()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentry_that_hangs_costs_a_counter() {
    let _turn = TURN.lock().await;
    let hanging = Receiver::hanging().await;
    goes_on_without(hanging.port).await;
    assert!(!hanging.bodies().is_empty(), "it was asked");
}
