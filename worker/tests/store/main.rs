//! The worker's store: one suite for every store, the suite against stores that are wrong, and what only the databases
//! can show.

#![allow(clippy::unwrap_used, missing_docs)]

mod any_order;
mod conformance;
mod erase;
mod faulty;
mod groups;
mod isolation;
mod migration_notes;
mod plans;
mod records;
mod traces;

/// The store of the generated histories, which has to be as good as the real ones for them to show anything.
#[path = "../histories/store/mod.rs"]
#[allow(dead_code, reason = "the histories look into it")]
mod memory_store;

/// Nothing is counted here.
mod coverage {
    pub(crate) const fn count(_: &'static str, _: &'static str, _: &'static str) {}
}

/// Where the histories' scheduler decides who goes on, these tests leave it to Tokio.
mod scheduler {
    pub(crate) async fn step() {
        tokio::task::yield_now().await;
    }

    pub(crate) async fn wait_for_release() {
        tokio::task::yield_now().await;
    }

    pub(crate) const fn release() {}
}

use std::sync::Arc;

use conformance::suite;
use memory_store::MemoryStore;
use nezuko_shared::{
    conformance::{
        databases::{SqliteFile, with_postgres},
        some_bot,
    },
    database::Database,
};
use nezuko_worker::store::{SqlStore, Store};

/// An empty store of a new bot in `database`.
fn empty_store(database: &Database) -> Arc<dyn Store> {
    Arc::new(SqlStore::new(database.clone(), some_bot()))
}

/// A migrated SQLite database that is nowhere but in memory.
async fn sqlite_in_memory() -> Database {
    let database = Database::open("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    database
}

#[tokio::test]
async fn the_store_on_postgresql_passes() {
    with_postgres(|database| async move { suite(&|| empty_store(&database)).await }).await;
}

#[tokio::test]
async fn the_store_in_a_sqlite_file_passes() {
    let file = SqliteFile::new().await;
    suite(&|| empty_store(&file.database)).await.unwrap();
}

#[tokio::test]
async fn the_store_in_sqlite_in_memory_passes() {
    let database = sqlite_in_memory().await;
    suite(&|| empty_store(&database)).await.unwrap();
}

#[tokio::test]
async fn the_store_of_the_histories_passes() {
    suite(&|| Arc::new(MemoryStore::new(some_bot()))).await.unwrap();
}
