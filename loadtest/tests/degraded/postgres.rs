//! PostgreSQL away: updates go on being stored, and wait.

use nezuko_shared::conformance::postgres_server::PostgresServer;
use sqlx::{AnyConnection, Connection};

use crate::{
    support::{
        fresh_bot,
        servers::{connect, runtime, server, set_up},
    },
    town::{Servers, Town},
};

const AWAY: &str = "nezuko_breaker_state{bot_id=\"0\",dependency=\"postgresql\"} 1";

/// Runs a test with a fleet around a PostgreSQL of its own.
async fn around_postgresql(options: &str, test: impl AsyncFnOnce(&mut Town, &PostgresServer, &str)) {
    let Some(redis) = server("REDIS_URL") else { return };
    let access = "host all all 127.0.0.1/32 scram-sha-256\n";
    let Some(postgres) = PostgresServer::start(options, access, |_| ()) else { return };
    let url = postgres.url("postgres", "127.0.0.1");
    set_up(&mut connect(&url).await, &url).await;
    let database = runtime(&url);
    let mut town = Town::new(fresh_bot(), Servers { redis, database, wait_replicas: false }).await;
    test(&mut town, &postgres, &url).await;
    town.ends().await;
}

async fn is_noticed(town: &Town) -> bool {
    town.worker_shows(AWAY).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_killed_and_started_again() {
    around_postgresql("", async |town, postgres, _| {
        let (kill, start) = (async || postgres.stop("immediate"), async || postgres.start_again());
        town.outlives("PostgreSQL killed", kill, is_noticed, start).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_restarted() {
    around_postgresql("", async |town, postgres, _| {
        let restart = async || {
            postgres.stop("fast");
            postgres.start_again();
        };
        town.outlives("PostgreSQL restarted", restart, async |_| true, async || ()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_out_of_connections() {
    around_postgresql("-c max_connections=30", async |town, _, url| {
        let hogged = tokio::sync::Mutex::new(Vec::<AnyConnection>::new());
        let hog = async || {
            let mut hogged = hogged.lock().await;
            let mut first = connect(url).await;
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            sqlx::query(others).execute(&mut first).await.unwrap();
            hogged.push(first);
            while let Ok(connection) = AnyConnection::connect(url).await {
                hogged.push(connection);
            }
        };
        let let_go = async || hogged.lock().await.clear();
        town.outlives("PostgreSQL out of connections", hog, is_noticed, let_go).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_slow() {
    around_postgresql("", async |town, _, url| {
        let mut other = connect(url).await;
        let mut lock = Some(other.begin().await.unwrap());
        let lock = tokio::sync::Mutex::new(&mut lock);
        let hold = async || {
            // Every statement about people takes as long as this one lasts.
            let mut lock = lock.lock().await;
            let transaction = lock.as_mut().unwrap();
            sqlx::query("LOCK TABLE people IN ACCESS EXCLUSIVE MODE").execute(&mut **transaction).await.unwrap();
        };
        let let_go = async || lock.lock().await.take().unwrap().rollback().await.unwrap();
        town.outlives("PostgreSQL slow", hold, is_noticed, let_go).await;
    })
    .await;
}
