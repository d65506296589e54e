//! How updates come to the real programs: by asking, by a webhook that they register, and what they say where neither works.
#![allow(clippy::unwrap_used)]

mod support;

use loadtest::{
    drive::{PlayOptions, Progress},
    generate::DayPlan,
    simulator::{Options, Simulator},
    world::{Act, Content, Person, UserId, World},
};
use nezuko_ports::free_port;
use support::{
    Directory, Running, Settings, eventually, fresh_bot,
    play::{AFTER_A_DEATH, Day, SHORT, assert_clean_but_for_a_death, play},
    servers::{count_rows, with_servers},
    settings, token,
};
use tokio::sync::watch;

const ASKER: UserId = UserId(5_000_000_042);

/// A Telegram in which one person talks to the bot.
async fn telegram(bot: UserId) -> Simulator {
    let mut world = World::new(World::bot_account(bot, "nezuko_test_bot"));
    world.add_person(Person::named(ASKER, "Ann"));
    Simulator::start(world, Options::new(&token(bot))).await.unwrap()
}

fn ask_for_help(telegram: &Simulator) {
    let content = Content::Text("/help".to_owned());
    telegram.act(Act::Write { user: ASKER, chat: ASKER.private_chat(), content, thread: None }).unwrap();
}

fn calls(telegram: &Simulator, method: &str) -> usize {
    telegram.calls().iter().filter(|call| call.method.eq_ignore_ascii_case(method) && call.status == 200).count()
}

async fn is_answered(telegram: &Simulator, times: usize) {
    eventually("the bot answers", async || calls(telegram, "sendMessage") == times).await;
}

/// The settings of a bot that asks for updates.
fn polling(bot: UserId, telegram: &Simulator, dir: &Directory) -> Settings {
    let mut settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
    settings.retain(|(name, _)| *name != "WEBHOOK_SECRET");
    settings.push(("WEBHOOK_URL", String::new()));
    settings
}

async fn log_tells(dir: &Directory, log: &str, text: &str) {
    eventually(&format!("{log} tells {text:?}"), async || {
        dir.logs().iter().any(|(name, lines)| name.ends_with(log) && lines.contains(text))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_loses_nothing_when_the_program_is_killed_in_mid_stream() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let options = PlayOptions { drain: AFTER_A_DEATH, ..SHORT };
    let mut run = Day::new(bot, 12, DayPlan::QUICK, options).begin(bot).await;
    let mut settings = polling(bot, run.simulator(), &dir);
    settings.push(("RECLAIM_IDLE_MS", "2000".to_owned()));
    let first = Running::start("nezuko", "first", &dir, &settings).await;
    let (tell, mut told) = watch::channel(Progress::default());
    let killing = async {
        told.wait_for(|progress| progress.acted * 2 > progress.acts).await.unwrap();
        first.kill_when("entries in hand", async || count_rows(&dir.sqlite_url(), "queue").await > 0).await;
        Running::start("nezuko", "second", &dir, &settings).await
    };
    let (verdict, survivor) =
        tokio::join!(play(&mut run, |progress| tell.send_modify(|seen| *seen = progress)), killing);
    assert_clean_but_for_a_death(&verdict);
    assert!(run.simulator().counters().delivered > 500, "{:?}", run.simulator().counters());
    assert_eq!(run.simulator().counters().connections, 0, "nothing came by a webhook");
    survivor.stop().await;
    assert_eq!(count_rows(&dir.sqlite_url(), "queue").await, 0);
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_programs_that_ask_each_says_what_to_do() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let mut settings = polling(bot, &telegram, &dir);
    let first = Running::start("nezuko", "first", &dir, &settings).await;
    settings.retain(|(name, _)| *name != "DATABASE_URL");
    settings.push(("DATABASE_URL", format!("sqlite://{}", dir.path().join("other.sqlite").display())));
    let second = Running::start("nezuko", "second", &dir, &settings).await;
    log_tells(&dir, "first.log", "only one may: stop the other one").await;
    second.stop().await;
    ask_for_help(&telegram);
    is_answered(&telegram, 1).await;
    assert!(first.metric("nezuko_polls_total").await > 1);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_webhook_is_left_alone_and_explained_to_who_asks() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let foreign = serde_json::json!({ "url": "http://127.0.0.1:1/somebody" });
    telegram.world(|world| world.call(0, "setWebhook", &foreign));
    let program = Running::start("nezuko", "nezuko", &dir, &polling(bot, &telegram, &dir)).await;
    log_tells(&dir, "nezuko.log", "give WEBHOOK_URL to take them there, or have Telegram forget the webhook").await;
    assert_eq!(calls(&telegram, "deleteWebhook"), 0, "it is not ours to delete");
    telegram.world(|world| world.call(0, "deleteWebhook", &serde_json::json!({})));
    ask_for_help(&telegram);
    is_answered(&telegram, 1).await;
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_webhook_is_refused_a_setting_allows_to_ask() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let telegram = telegram(bot).await;
    let mut settings = settings(bot, &telegram.api_url(), &dir.sqlite_url());
    settings.push(("WEBHOOK_URL", "https://bot.invalid".to_owned()));
    let strict = Running::start("nezuko", "strict", &dir, &settings).await;
    log_tells(&dir, "strict.log", "Telegram refused the webhook: correct WEBHOOK_URL").await;
    strict.stop().await;
    assert_eq!(calls(&telegram, "getUpdates"), 0);

    settings.push(("POLLING_FALLBACK", "true".to_owned()));
    let lenient = Running::start("nezuko", "lenient", &dir, &settings).await;
    log_tells(&dir, "lenient.log", "TELEGRAM REFUSED THE WEBHOOK").await;
    ask_for_help(&telegram);
    is_answered(&telegram, 1).await;
    lenient.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_gateways_one_registers_the_webhook_and_none_again() {
    let bot = fresh_bot();
    with_servers(bot, async move |servers| {
        let dir = Directory::new();
        let telegram = telegram(bot).await;
        ask_for_help(&telegram);
        let port = free_port();
        let mut settings = settings(bot, &telegram.api_url(), &servers.database_url);
        settings.push(("REDIS_URL", servers.redis_url.clone()));
        settings.push(("WEBHOOK_URL", format!("http://127.0.0.1:{port}")));
        let start =
            async |port, name| Running::start_on((port, free_port()), "nezuko-gateway", name, &dir, &settings).await;
        let (first, second, third) =
            tokio::join!(start(port, "first"), start(free_port(), "second"), start(free_port(), "third"));
        eventually("the webhook is registered and brings what waited", async || {
            calls(&telegram, "setWebhook") == 1 && telegram.pending() == 0
        })
        .await;
        let webhook = telegram.world(|world| world.webhook().clone());
        assert_eq!(webhook.url, format!("http://127.0.0.1:{port}/webhook/{bot}"));
        assert_eq!(webhook.secret_token.as_deref(), Some(support::SECRET));
        assert_eq!(telegram.counters().dropped, 0, "what waits is never dropped");
        first.stop().await;
        let again = start(port, "again").await;
        eventually("it has looked", async || calls(&telegram, "getWebhookInfo") >= 4).await;
        for gateway in [again, second, third] {
            gateway.stop().await;
        }
        assert_eq!(calls(&telegram, "setWebhook"), 1, "nothing differed");
    })
    .await;
}
