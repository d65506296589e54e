//! What Redis and PostgreSQL must be like so that nothing is lost: looked at by `doctor`, and by every program at its start
//! and again and again while it runs, since a server that comes back after having been away may be another one.

use std::{fmt::Display, num::NonZeroU8, time::Duration};

use redis::{RedisError, RedisResult};
use sqlx::Row;

use crate::{
    database::{Database, DatabaseError, Dialect},
    redis_pool::Redis,
};

/// The oldest servers that Nezuko is tested with.
const OLDEST_POSTGRES: i64 = 150_000;
const OLDEST_REDIS: u64 = 7;
/// 20 for each of two workers, 20 for one that replaces them, 10 for everything else.
const FEWEST_CONNECTIONS: i64 = 70;
/// How often a running program looks.
const AGAIN: Duration = Duration::from_secs(10);

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it must be.
    Good,
    /// It may cost something when something else fails.
    Doubtful,
    /// Updates can be lost, or nothing works.
    Broken,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub grade: Grade,
    /// In words, with what to do where it is not good.
    pub detail: String,
}

impl Finding {
    /// Something is as it must be.
    pub fn good(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), grade: Grade::Good, detail: detail.into() }
    }

    /// Something may cost something.
    pub fn doubtful(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Doubtful, ..Self::good(what, detail) }
    }

    /// Something must be mended.
    pub fn broken(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Broken, ..Self::good(what, detail) }
    }

    /// Says in the log what is not good.
    fn log(&self) {
        let Self { what, grade, detail } = self;
        match grade {
            Grade::Good => {}
            Grade::Doubtful => tracing::warn!(what, detail, "a server is not as it should be"),
            Grade::Broken => tracing::error!(what, detail, "a server is not as it must be"),
        }
    }
}

/// Looks at Redis; of a cluster, at every primary. `replicas` are to have an update before Telegram is told that it is stored.
///
/// # Errors
/// [`RedisError`] where it does not answer.
pub async fn redis(redis: &Redis, replicas: Option<NonZeroU8>) -> RedisResult<Vec<Finding>> {
    let servers = match redis.info().await {
        Ok(servers) => servers,
        Err(error) if is_forbidden(&error) => {
            let detail = "its settings are not looked at, and it may become full before anybody holds back: this user has no \
                right to INFO; grant what docs/redis.md names";
            return Ok(vec![Finding::doubtful("Redis", detail)]);
        }
        Err(error) => return Err(error),
    };
    let named = |node: Option<String>| node.map_or_else(|| "Redis".to_owned(), |node| format!("Redis {node}"));
    Ok(servers.into_iter().flat_map(|(node, info)| redis_server(&named(node), &info, replicas)).collect())
}

fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// What one server's `INFO` says.
fn redis_server(redis: &str, info: &str, replicas: Option<NonZeroU8>) -> Vec<Finding> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    };
    let mut findings = Vec::new();
    // Valkey tells the version of Redis that it stands in for as well.
    let version = field("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok()).unwrap_or_default();
    findings.push(if major < OLDEST_REDIS {
        let detail = format!("version {version} is too old, workers can end no update: 7 or newer is needed");
        Finding::broken(redis, detail)
    } else {
        Finding::good(redis, format!("version {version}"))
    });
    if field("role") == "slave" {
        let detail = "REDIS_URL leads to a replica; let it lead to the primary";
        findings.push(Finding::broken(format!("{redis} role"), detail));
    }
    let what = format!("{redis} eviction");
    findings.push(match field("maxmemory_policy") {
        "noeviction" => Finding::good(what, "noeviction"),
        policy => Finding::broken(
            what,
            format!("maxmemory-policy is {policy:?}: updates could vanish; set maxmemory-policy noeviction"),
        ),
    });
    if field("maxmemory") == "0" {
        let detail = "maxmemory is 0: Redis grows until the kernel ends it, and no gateway holds back before; set maxmemory \
            below the machine's memory";
        findings.push(Finding::doubtful(format!("{redis} memory"), detail));
    }
    if let Some(wanted) = replicas {
        let what = format!("{redis} replicas");
        let connected = field("connected_slaves").parse::<u8>().unwrap_or_default();
        findings.push(if connected < wanted.get() {
            let detail = format!(
                "{connected} connected and REDIS_WAIT_REPLICAS is {wanted}: gateways answer every update 503, and Telegram \
                 keeps it; connect the replicas or set REDIS_WAIT_REPLICAS to what there is"
            );
            Finding::broken(what, detail)
        } else {
            Finding::good(what, format!("{connected} connected"))
        });
    }
    let has_replicas = field("connected_slaves").parse::<u8>().is_ok_and(|connected| connected >= 2);
    // Told only where it is set.
    if has_replicas && field("min_slaves_good_slaves").is_empty() {
        let detail = "a primary that was cut off from its replicas goes on taking updates, which are lost when it comes back; set \
            min-replicas-to-write 1";
        findings.push(Finding::doubtful(format!("{redis} cut off"), detail));
    }
    let what = format!("{redis} persistence");
    findings.push(match (field("aof_enabled"), field("aof_last_write_status")) {
        ("1", "err") => Finding::broken(
            what,
            "the append-only file cannot be written and updates are refused: see that its disk is not full",
        ),
        ("1", _) => Finding::good(what, "append-only file"),
        _ => Finding::doubtful(
            what,
            "no append-only file: updates that were acknowledged to Telegram are gone after a crash; set appendonly yes",
        ),
    });
    findings
}

/// Looks at the database's server. SQLite has none.
///
/// # Errors
/// [`DatabaseError`] where it does not answer.
pub async fn postgres(database: &Database) -> Result<Vec<Finding>, DatabaseError> {
    if database.dialect == Dialect::Sqlite {
        return Ok(Vec::new());
    }
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), r.rolname::text,
                r.rolsuper OR r.rolbypassrls,
                least(current_setting('max_connections')::bigint, nullif(r.rolconnlimit, -1)::bigint)
         FROM pg_roles r WHERE r.rolname = current_user",
    );
    let row = database.of_nobody(async |rows| row.fetch_one(rows).await).await?;
    let (number, version): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let (role, sees_all): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
    let of_version = if number < OLDEST_POSTGRES {
        Finding::broken("PostgreSQL", format!("version {version} is too old: 15 or newer is needed"))
    } else {
        Finding::good("PostgreSQL", format!("version {version}"))
    };
    let of_role = if sees_all {
        let detail = format!(
            "{role} passes by row-level security; let the workers run as a role without SUPERUSER and BYPASSRLS \
             (docs/database.md)"
        );
        Finding::doubtful("PostgreSQL role", detail)
    } else {
        Finding::good("PostgreSQL role", format!("{role} is bound by row-level security"))
    };
    Ok(vec![of_version, of_role, connections(&role, row.try_get(4)?)])
}

/// Whether a role may have as many connections as the smallest fleet takes.
fn connections(role: &str, at_most: i64) -> Finding {
    let what = "PostgreSQL connections";
    if at_most < FEWEST_CONNECTIONS {
        let detail = format!(
            "{at_most} for {role}, which two workers and one that replaces them may use up; let max_connections and the role's \
             limit be 20 for each worker and 30 more (docs/deploy.md)"
        );
        return Finding::doubtful(what, detail);
    }
    Finding::good(what, format!("{at_most}, which do for {} workers", (at_most - 30) / 20))
}

/// Looks for ever and logs what is not good, once for as long as it stays so; drop it to stop. Nothing is refused for it:
/// with a server that comes later than its programs, or is mended while they run, that would only be one thing more to
/// start again. What fails is told by others.
pub async fn keep_looking<E: Display>(mut look: impl AsyncFnMut() -> Result<Vec<Finding>, E>) {
    let mut told = Vec::new();
    loop {
        match look().await {
            Ok(findings) => {
                let bad: Vec<_> = findings.into_iter().filter(|finding| finding.grade != Grade::Good).collect();
                bad.iter().filter(|finding| !told.contains(*finding)).for_each(Finding::log);
                if bad.is_empty() && !told.is_empty() {
                    tracing::info!("the server is as it must be");
                }
                told = bad;
            }
            Err(error) => {
                tracing::debug!(%error, "the server cannot be looked at now");
                told.clear();
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    const RIGHT: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n\
        maxmemory:1000000\r\naof_enabled:1\r\naof_last_write_status:ok\r\nconnected_slaves:2\r\nmin_slaves_good_slaves:2\r\n";

    fn bad(info: &str) -> Vec<(String, Grade)> {
        let findings =
            redis_server("Redis", info, NonZeroU8::new(2)).into_iter().filter(|finding| finding.grade != Grade::Good);
        findings.map(|finding| (finding.what, finding.grade)).collect()
    }

    #[test]
    fn what_a_server_of_redis_lacks_is_found() {
        assert_eq!(bad(RIGHT), []);
        for (right, wrong, what, grade) in [
            ("redis_version:7.0.15", "redis_version:6.2.7", "Redis", Grade::Broken),
            ("role:master", "role:slave", "Redis role", Grade::Broken),
            ("noeviction", "allkeys-lru", "Redis eviction", Grade::Broken),
            ("maxmemory:1000000", "maxmemory:0", "Redis memory", Grade::Doubtful),
            ("connected_slaves:2", "connected_slaves:1", "Redis replicas", Grade::Broken),
            ("connected_slaves:2\r\n", "", "Redis replicas", Grade::Broken),
            ("min_slaves_good_slaves:2\r\n", "", "Redis cut off", Grade::Doubtful),
            ("aof_enabled:1", "aof_enabled:0", "Redis persistence", Grade::Doubtful),
            ("aof_last_write_status:ok", "aof_last_write_status:err", "Redis persistence", Grade::Broken),
        ] {
            assert_eq!(bad(&RIGHT.replace(right, wrong)), [(what.to_owned(), grade)], "{wrong}");
        }
    }

    #[test]
    fn too_few_connections_for_two_workers_are_found() {
        assert_eq!([69, 70].map(|at_most| connections("nezuko", at_most).grade), [Grade::Doubtful, Grade::Good]);
        assert_eq!(connections("nezuko", 130).detail, "130, which do for 5 workers");
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_good_is_logged_once_and_again_when_the_server_was_away() {
        let (log, bad) = (Log::default(), Finding::broken("Redis eviction", "set it to noeviction"));
        let lines = log.clone();
        let writer = tracing_subscriber::fmt().with_writer(move || lines.clone()).finish();
        let _logging = tracing::subscriber::set_default(writer);
        let mut answers =
            [Ok(bad.clone()), Ok(bad.clone()), Err("away"), Ok(bad), Ok(Finding::good("Redis", ""))].into_iter();
        let told = |text| String::from_utf8(log.0.lock().unwrap().clone()).unwrap().matches(text).count();
        let mut seen = Vec::new();
        let looking = keep_looking(async || {
            seen.push((told("set it to noeviction"), told("as it must be\n")));
            match answers.next() {
                Some(answer) => answer.map(|finding| vec![finding]),
                None => std::future::pending().await,
            }
        });
        assert!(tokio::time::timeout(20 * AGAIN, looking).await.is_err(), "it goes on for ever");
        assert_eq!(seen, [(0, 0), (1, 0), (1, 0), (1, 0), (2, 0), (2, 1)]);
    }
}
