//! Row-level security: the role that the programs run as sees the rows of the bot that its transaction names, and no others.

use std::time::Duration;

use anyhow::{Result, ensure};
use nezuko_shared::{
    conformance::{
        databases::{Postgres, Role, server},
        some_bot,
    },
    database::Database,
};
use nezuko_telegram::BotId;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

const FILLED: &str = "processed_updates";

async fn count(connection: &mut AnyConnection, condition: &str) -> sqlx::Result<i64> {
    let statement = format!("SELECT count(*) FROM {FILLED} {condition}");
    sqlx::query(AssertSqlSafe(statement)).fetch_one(connection).await?.try_get(0)
}

async fn execute(connection: &mut AnyConnection, statement: &str) -> sqlx::Result<u64> {
    Ok(sqlx::query(AssertSqlSafe(statement.to_owned())).execute(connection).await?.rows_affected())
}

async fn fill(database: &Database, bot: BotId, updates: i64) -> Result<()> {
    let fill = database.transaction(bot, async |transaction| {
        for update in 0..updates {
            let statement = format!("INSERT INTO {FILLED} (bot_id, update_id, at_ms) VALUES ({}, {update}, 1)", bot.0);
            execute(transaction, &statement).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    Ok(fill.await?)
}

/// Two bots with three and five rows.
struct Two {
    postgres: Postgres,
    runtime: Database,
    one: BotId,
    other: BotId,
}

/// Runs a test over the rows of two bots.
async fn with_two_bots(test: impl AsyncFnOnce(&Two) -> Result<()>) {
    let Some(url) = server("DATABASE_URL") else { return };
    let postgres = Postgres::create(url).await.unwrap();
    let runtime = postgres.open(Role::Runtime).await.unwrap();
    let two = Two { postgres, runtime, one: some_bot(), other: some_bot() };
    let outcome = async {
        fill(&two.runtime, two.one, 3).await?;
        fill(&two.runtime, two.other, 5).await?;
        test(&two).await
    };
    let outcome = outcome.await;
    two.runtime.pool().close().await;
    two.postgres.remove().await.unwrap();
    outcome.unwrap();
}

#[tokio::test]
async fn without_a_bot_there_are_no_rows_and_with_one_only_its_own() {
    with_two_bots(async |two| {
        assert_eq!(two.runtime.of_nobody(async |nobody| count(nobody, "").await).await?, 0);
        for (bot, rows) in [(two.one, 3), (two.other, 5)] {
            let counted = two.runtime.transaction(bot, async |transaction| count(transaction, "").await).await?;
            assert_eq!(counted, rows, "a query that forgets its WHERE");
        }
        let of_other = format!("WHERE bot_id = {}", two.other);
        assert_eq!(two.runtime.of(two.one, async |rows| count(rows, &of_other).await).await?, 0);

        // The owner is bound as well; an administrator is not, which shows that the rows are there.
        let owner = two.postgres.open(Role::Owner).await?;
        assert_eq!(count(&mut *owner.pool().acquire().await?, "").await?, 0);
        let administrator = two.postgres.open(Role::Administrator).await?;
        assert_eq!(count(&mut *administrator.pool().acquire().await?, "").await?, 8);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn rows_of_another_bot_cannot_be_written() {
    with_two_bots(async |two| {
        let other = two.other.0;
        for statement in [
            format!("INSERT INTO {FILLED} (bot_id, update_id, at_ms) VALUES ({other}, 99, 1)"),
            format!("UPDATE {FILLED} SET bot_id = {other}"),
        ] {
            let refused = two.runtime.transaction(two.one, async |transaction| execute(transaction, &statement).await);
            let text = refused.await.unwrap_err().to_string();
            ensure!(text.contains("violates row-level security policy"), "{statement}: {text}");
        }
        let forgetful = two.runtime.transaction(two.one, async |transaction| {
            for statement in [format!("UPDATE {FILLED} SET at_ms = 2"), format!("DELETE FROM {FILLED}")] {
                assert_eq!(execute(transaction, &statement).await?, 3, "a statement that forgets its WHERE");
            }
            Ok::<_, sqlx::Error>(())
        });
        forgetful.await?;
        assert_eq!(two.runtime.of(two.other, async |rows| count(rows, "WHERE at_ms = 1").await).await?, 5);
        Ok(())
    })
    .await;
}

/// What a connection of the pool, which has only this one, sees by itself.
async fn left_behind(single: &Database) -> sqlx::Result<(i64, Option<String>)> {
    let look = single.of_nobody(async |connection| {
        let named = sqlx::query("SELECT nullif(current_setting('nezuko.bot_id', true), '')");
        let bot = named.fetch_one(&mut *connection).await?.try_get(0)?;
        Ok((count(connection, "").await?, bot))
    });
    look.await
}

#[tokio::test]
async fn a_pooled_connection_carries_no_bot_on() {
    with_two_bots(async |two| {
        let pool = sqlx::any::AnyPoolOptions::new()
            .max_connections(1)
            .connect_with((*two.runtime.pool().connect_options()).clone());
        let single = two.runtime.over(pool.await?);
        assert_eq!(single.transaction(two.one, async |transaction| count(transaction, "").await).await?, 3);
        assert_eq!(left_behind(&single).await?, (0, None), "after a commit");

        let failed = single.transaction(two.one, async |transaction| execute(transaction, "SELECT 1 / 0").await);
        failed.await.unwrap_err();
        assert_eq!(left_behind(&single).await?, (0, None), "after an error");

        let cancelled =
            single.transaction(two.one, async |transaction| execute(transaction, "SELECT pg_sleep(2)").await);
        tokio::time::timeout(Duration::from_millis(200), cancelled).await.unwrap_err();
        assert_eq!(left_behind(&single).await?, (0, None), "after a request that was given up");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_table_with_a_bot_is_guarded_and_the_runtime_role_changes_rows_only() {
    with_two_bots(async |two| {
        let administrator = two.postgres.open(Role::Administrator).await?;
        let tables = sqlx::query(
            "SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity
                AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'bot_id'
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace",
        );
        let tables = tables.fetch_all(administrator.pool()).await?;
        assert!(tables.len() >= 13, "{}", tables.len());
        for table in tables {
            assert!(table.try_get::<bool, _>(1)?, "{} is not guarded", table.try_get::<String, _>(0)?);
        }
        let role = sqlx::query(
            "SELECT current_user::text, rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole
             FROM pg_roles WHERE rolname = current_user",
        );
        let role = role.fetch_one(two.runtime.pool()).await?;
        assert_eq!((role.try_get::<String, _>(0)?.as_str(), role.try_get::<bool, _>(1)?), ("nezuko_runtime", false));
        for forbidden in [
            "CREATE TABLE mine (id BIGINT)",
            "ALTER TABLE people DISABLE ROW LEVEL SECURITY",
            "DROP TABLE people",
            "TRUNCATE people",
            "DROP POLICY one_bot ON people",
        ] {
            let refused = sqlx::query(forbidden).execute(two.runtime.pool()).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{forbidden}: {refused}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_role_that_may_not_migrate_says_so_and_needs_not_where_nothing_is_due() {
    with_two_bots(async |two| {
        two.runtime.migrate().await?;
        let owner = two.postgres.open(Role::Owner).await?;
        // A step of a newer version, which this one does not know.
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'of tomorrow', true, '', 0)";
        sqlx::query(newer).execute(owner.pool()).await?;
        two.runtime.migrate().await?;
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 3").execute(owner.pool()).await?;
        let refused = two.runtime.migrate().await.unwrap_err().to_string();
        assert!(
            refused.starts_with("1 migrations are due") && refused.contains("run `nezuko-worker migrate`"),
            "{refused}"
        );
        Ok(())
    })
    .await;
}
