//! A step of the schema takes as long as it takes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nezuko_shared::conformance::databases::{Postgres, Role, server};
use sqlx::{AnyConnection, Connection};

/// Longer than any other statement may take.
const LONG: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_migration_that_takes_longer_than_a_statement_may_is_applied() {
    let Some(url) = server("DATABASE_URL") else { return };
    let postgres = Postgres::create(url).await.unwrap();
    let mut administrator = AnyConnection::connect(&postgres.url(Role::Administrator)).await.unwrap();
    for statement in ["DROP INDEX verifications_by_chat", "DELETE FROM _sqlx_migrations WHERE version = 7"] {
        sqlx::query(statement).execute(&mut administrator).await.unwrap();
    }
    let mut writing = administrator.begin().await.unwrap();
    sqlx::query("LOCK TABLE verifications IN ROW EXCLUSIVE MODE").execute(&mut *writing).await.unwrap();
    let owner = postgres.open(Role::Owner).await.unwrap();
    let waits = async {
        tokio::time::sleep(LONG).await;
        writing.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(owner.migrate(), waits);
    migrated.unwrap();
    assert_eq!(owner.pending_migrations().await.unwrap(), 0);
    administrator.close().await.unwrap();
    owner.pool().close().await;
    postgres.remove().await.unwrap();
}
