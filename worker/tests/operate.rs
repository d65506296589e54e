//! What operators type, with the real program over a real Redis, a real PostgreSQL and a simulated Telegram.
#![allow(clippy::unwrap_used)]

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use loadtest::{
    simulator::{Options, Simulator},
    world::{UserId, World},
};
use nezuko_shared::{
    conformance::{
        databases::{Postgres, Role, server},
        some_bot,
    },
    database::Database,
    envelope::Envelope,
    keys,
    queue::{
        Consumer, Producer,
        redis::{RedisConsumer, RedisProducer},
    },
    redis_pool::Redis,
};
use nezuko_telegram::{BotId, Client, HttpTransport, UpdateId};
use tokio::process::Command;

/// An installation with a database of its own.
struct Installation {
    bot: BotId,
    postgres: Postgres,
    redis: Redis,
    telegram: Simulator,
    environment: Vec<(&'static str, String)>,
}

impl Installation {
    /// Runs the program as a role of the database; exit code, and all that it says.
    async fn run_as(&self, role: Role, arguments: &[&str]) -> (i32, String) {
        self.asked(role, arguments, &[]).await
    }

    /// The same with further settings.
    async fn asked(&self, role: Role, arguments: &[&str], more: &[(&str, &str)]) -> (i32, String) {
        let program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker"))
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .env("DATABASE_URL", self.postgres.url(role))
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(60), program).await.expect("it ends by itself").unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains("token-of-the-bot"), "a secret is told: {text}");
        (output.status.code().unwrap(), text)
    }

    async fn good(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run_as(Role::Runtime, arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {text}");
        text
    }

    async fn bad(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run_as(Role::Runtime, arguments).await;
        assert_eq!(code, 1, "{arguments:?}: {text}");
        text
    }

    /// Updates that were given up.
    async fn bury(&self, updates: &[i64]) {
        let producer = RedisProducer::new(&self.redis);
        for id in updates {
            let envelope = Envelope {
                bot: self.bot,
                update_id: UpdateId(*id),
                routing_key: 0,
                received_ms: 1_700_000_000_000,
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
                payload: Bytes::from(format!("{{\"update_id\":{id}}}")),
            };
            producer.push(&envelope).await.unwrap();
        }
        let consumer = RedisConsumer::new(&self.redis, self.bot, "test");
        for delivery in consumer.read(100, Duration::from_secs(1)).await.unwrap() {
            assert!(consumer.dead_letter(&delivery, "a test's reason").await.unwrap());
        }
    }
}

/// Runs a test with an installation whose database is gone afterwards, also when the test fails.
async fn with_installation(test: impl AsyncFn(&Installation)) {
    let (Some(redis_url), Some(postgres)) = (server("REDIS_URL"), server("DATABASE_URL")) else { return };
    let postgres = Postgres::create_empty(postgres).await.unwrap();
    let bot = some_bot();
    let token = format!("{bot}:token-of-the-bot-1234567890");
    let world = World::new(World::bot_account(UserId(bot.0), "nezuko_test_bot"));
    let telegram = Simulator::start(world, Options::new(&token)).await.unwrap();
    let environment =
        vec![("BOT_TOKEN", token), ("REDIS_URL", redis_url.clone()), ("TELEGRAM_API_URL", telegram.api_url())];
    let installation = Installation { bot, postgres, redis: Redis::new(&redis_url).unwrap(), telegram, environment };
    let outcome = AssertUnwindSafe(test(&installation)).catch_unwind().await;
    let keys = [keys::updates(bot), keys::dead_letters(bot)];
    installation.redis.query::<()>(redis::cmd("DEL").arg(&keys)).await.unwrap();
    installation.postgres.remove().await.unwrap();
    if let Err(failed) = outcome {
        resume_unwind(failed);
    }
}

#[tokio::test]
async fn a_doctor_finds_what_is_broken_and_what_was_mended() {
    with_installation(async |installation| {
        let (code, text) = installation.run_as(Role::Administrator, &["doctor"]).await;
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("ok      PostgreSQL: version"), "{text}");
        assert!(text.contains("ok      PostgreSQL connections: "), "{text}");
        assert!(text.contains("warning PostgreSQL role: postgres passes by row-level security"), "{text}");
        assert!(text.contains("BROKEN  schema: "), "{text}");
        assert!(text.contains(" migrations are due: run `nezuko-worker migrate`"), "{text}");
        assert!(text.contains("ok      Redis eviction: noeviction"), "{text}");
        assert!(text.contains("warning Redis memory: maxmemory is 0"), "{text}");
        assert!(text.contains("@nezuko_test_bot"), "{text}");
        assert!(text.contains("ok      clock: this machine's agrees with Telegram's"), "{text}");
        assert!(text.contains("no webhook is registered"), "{text}");
        assert!(text.ends_with("broken: 2, warnings: 3\n"), "{text}");

        let refused = installation.bad(&["migrate"]).await;
        assert!(refused.contains("this role may not change the schema: run `nezuko-worker migrate`"), "{refused}");
        let (code, text) = installation.run_as(Role::Owner, &["migrate"]).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.ends_with(" migrations applied, the schema is up to date\n"), "{text}");
        assert_eq!(installation.good(&["migrate"]).await, "0 migrations applied, the schema is up to date\n");
        let token = &installation.environment[0].1;
        let api = HttpTransport::new(&installation.telegram.api_url(), token, Duration::from_secs(10)).unwrap();
        Client::new(Arc::new(api)).set_webhook("http://127.0.0.1:1/webhook", "secret").await.unwrap();
        let text = installation.good(&["doctor"]).await;
        assert!(text.contains("ok      schema: up to date"), "{text}");
        assert!(text.contains("ok      PostgreSQL role: nezuko_runtime is bound"), "{text}");
        assert!(text.contains("come by the webhook, 0 wait at Telegram"), "{text}");
        assert!(text.ends_with("broken: 0, warnings: 2\n"), "{text}");
        let missed = installation.asked(Role::Runtime, &["doctor"], &[("REDIS_WAIT_REPLICAS", "1")]).await;
        assert_eq!(missed.0, 1, "{}", missed.1);
        assert!(missed.1.contains("BROKEN  Redis replicas: 0 connected and REDIS_WAIT_REPLICAS is 1"), "{}", missed.1);
    })
    .await;
}

#[tokio::test]
async fn an_operator_looks_at_dead_letters_replays_and_drops_them() {
    with_installation(async |installation| {
        assert_eq!(installation.good(&["dlq", "list"]).await, "none\n");
        installation.bury(&[11, 12, 13, 14]).await;
        let list = installation.good(&["dlq", "list"]).await;
        let ids: Vec<_> = list.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(ids.len(), 4, "{list}");
        assert!(list.lines().nth(1).unwrap().ends_with("\tupdate 12\ta test's reason"), "{list}");
        assert_eq!(installation.good(&["dlq", "list", "--limit", "1"]).await.lines().count(), 1);

        let shown = installation.good(&["dlq", "show", ids[2]]).await;
        assert!(shown.contains("{\"update_id\":13}") && shown.contains("00-0af7651916cd43dd"), "{shown}");
        let bot = installation.bot.to_string();
        assert_eq!(installation.good(&["dlq", "replay", "--bot", &bot, ids[0]]).await, "replayed 1\n");
        assert_eq!(installation.good(&["dlq", "drop", ids[1]]).await, "dropped 1\n");
        let missing = installation.bad(&["dlq", "drop", ids[1], ids[2]]).await;
        assert!(missing.contains("dropped 1") && missing.contains("there is no dead letter"), "{missing}");
        assert!(installation.bad(&["dlq", "show", "no-such"]).await.contains("there is no dead letter no-such"));
        assert!(installation.bad(&["dlq", "list", "--bot", "5"]).await.contains("bot 5 is none of"));
        assert_eq!(installation.good(&["dlq", "replay", "--all"]).await, "replayed 1\n");
        assert_eq!(installation.good(&["dlq", "list"]).await, "none\n");

        let consumer = RedisConsumer::new(&installation.redis, installation.bot, "test");
        let again = consumer.read(100, Duration::from_secs(1)).await.unwrap();
        let again: Vec<_> = again.iter().map(|delivery| delivery.envelope.update_id.0).collect();
        assert_eq!(again, [11, 14]);
    })
    .await;
}

#[tokio::test]
async fn an_operator_moves_over_from_the_earlier_bot_and_looks_after_what_is_kept() {
    with_installation(async |installation| {
        assert!(installation.bad(&["operate", "groups", "list"]).await.contains("migrations are due"));
        let (code, text) = installation.run_as(Role::Owner, &["migrate"]).await;
        assert_eq!(code, 0, "{text}");
        let file = std::env::temp_dir().join(format!("earlier-{:016x}.db", rand::random::<u64>()));
        let url = format!("sqlite:{}", file.display());
        let import = ["operate", "import-earlier", "--from", url.as_str()];
        assert!(
            installation
                .bad(&import)
                .await
                .contains("--from or EARLIER_DATABASE_URL: the earlier database cannot be read")
        );
        let earlier = Database::open(&url).await.unwrap();
        sqlx::raw_sql(include_str!("earlier/sqlite.sql")).execute(earlier.pool()).await.unwrap();
        earlier.pool().close().await;

        let dry = installation.good(&[&import[..], &["--dry-run"]].concat()).await;
        assert!(dry.ends_with("nothing was changed\n"), "{dry}");
        assert!(
            !installation.good(&["operate", "groups", "list"]).await.contains("group\t"),
            "a dry run changes nothing"
        );
        let taken = installation.good(&import).await;
        assert!(taken.contains("groups -77: it is no supergroup: make it one, then use /protect"), "{taken}");
        let listed = installation.good(&["operate", "groups", "list"]).await;
        assert!(listed.contains("group\t-1001000000001\tof 51\tserved, protected\tMüller's\n"), "{listed}");
        let blocked = installation.good(&["operate", "groups", "block", "-1001000000001"]).await;
        assert_eq!(blocked, "-1001000000001\tblocked\nlaid down; 1 groups change\n");
        let log = installation.good(&["operate", "log", "--chat", "-1001000000001"]).await;
        assert!(log.contains("\toperator: group\tby the bot\tabout -1001000000001\t0\t"), "{log}");
        let erased = installation.good(&["operate", "erase", "--user", "51"]).await;
        assert!(erased.contains("group_owners\t3\n") && erased.ends_with("erased\n"), "{erased}");
        assert_eq!(installation.good(&["operate", "log", "--chat", "-7"]).await, "none\n");
        std::fs::remove_file(file).unwrap();

        for (wrong, told) in [
            (&["operate", "groups", "allow", "5"][..], "5 is no group: ids of groups are negative"),
            (&["operate", "log", "--chat", "-7", "--since", "soon"], "--since soon is not understood"),
            (&["operate", "erase", "--user", "0"], "--user must be a person's id: a positive number"),
            (&["operate", "log", "--bot", "5", "--chat", "-7"], "bot 5 is none of"),
        ] {
            let text = installation.bad(wrong).await;
            assert!(text.contains(told), "{wrong:?}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_are_told_with_exit_code_64() {
    let program = Command::new(env!("CARGO_BIN_EXE_nezuko-worker")).args(["dlq", "list"]).env_clear().output();
    let output = program.await.unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    let named: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(named, ["BOT_TOKEN", "DATABASE_URL", "REDIS_URL"], "{text}");
}
