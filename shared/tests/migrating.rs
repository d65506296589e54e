//! A step of the schema takes as long as it takes, and what it needs a table for alone has nobody else wait for long.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nezuko_shared::conformance::databases::{Postgres, Role, server};
use sqlx::{AnyConnection, Connection};

/// Longer than any other statement may take.
const LONG: Duration = Duration::from_secs(6);
/// How long any other may take.
const STATEMENT: &str = "SET statement_timeout = '4s'";

#[tokio::test]
async fn a_migration_that_takes_longer_than_a_statement_may_is_applied_and_nobody_else_waits_for_it() {
    let Some(url) = server("DATABASE_URL") else { return };
    let postgres = Postgres::create(url).await.unwrap();
    let mut administrator = AnyConnection::connect(&postgres.url(Role::Administrator)).await.unwrap();
    for statement in ["DROP INDEX verifications_by_chat", "DELETE FROM _sqlx_migrations WHERE version = 7"] {
        sqlx::query(statement).execute(&mut administrator).await.unwrap();
    }
    let mut writing = administrator.begin().await.unwrap();
    sqlx::query("LOCK TABLE verifications IN ROW EXCLUSIVE MODE").execute(&mut *writing).await.unwrap();
    let owner = postgres.open(Role::Owner).await.unwrap();
    let mut worker = AnyConnection::connect(&postgres.url(Role::Administrator)).await.unwrap();
    sqlx::query(STATEMENT).execute(&mut worker).await.unwrap();
    let waits = async {
        let meanwhile = async {
            // When the migration waits for the table.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut writes = worker.begin().await.unwrap();
            sqlx::query("LOCK TABLE verifications IN ROW EXCLUSIVE MODE").execute(&mut *writes).await.unwrap();
            writes.rollback().await.unwrap();
        };
        tokio::join!(meanwhile, tokio::time::sleep(LONG));
        writing.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(owner.migrate(), waits);
    migrated.unwrap();
    assert_eq!(owner.pending_migrations().await.unwrap(), 0);
    worker.close().await.unwrap();
    administrator.close().await.unwrap();
    owner.pool().close().await;
    postgres.remove().await.unwrap();
}
