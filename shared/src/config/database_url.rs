//! Addresses of databases, also in the earlier Nezuko's form, which named its Python drivers.

use std::str::FromStr;

/// The address as `sqlx` understands it; `None` where it is none.
pub(crate) fn understood(url: &str) -> Option<String> {
    let url = translated(url);
    (is_postgres(&url) || is_sqlite(&url)).then_some(url)
}

/// Whether it is the address of a PostgreSQL database.
pub(super) fn is_postgres(url: &str) -> bool {
    let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    scheme && sqlx::postgres::PgConnectOptions::from_str(url).is_ok()
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:") && sqlx::sqlite::SqliteConnectOptions::from_str(url).is_ok()
}

/// From SQLAlchemy's form: `postgresql+asyncpg://…?ssl=require`, `sqlite+aiosqlite:///relative`, `…:////absolute`.
fn translated(url: &str) -> String {
    if let Some(file) = url.strip_prefix("sqlite+aiosqlite:///") {
        return format!("sqlite://{file}");
    }
    let Some((scheme @ ("postgresql" | "postgres"), rest)) = url.split_once("+asyncpg:") else { return url.to_owned() };
    // A demand for encryption must not get lost on the way.
    let rest = rest.replace("?ssl=", "?sslmode=").replace("&ssl=", "&sslmode=");
    format!("{scheme}:{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_earlier_nezuko_are_understood() {
        for (given, understood_as) in [
            ("postgresql+asyncpg://u:p@db:5432/nezuko", Some("postgresql://u:p@db:5432/nezuko")),
            ("postgres+asyncpg://u@db/n?ssl=require", Some("postgres://u@db/n?sslmode=require")),
            ("sqlite+aiosqlite:///./data/nezuko.db", Some("sqlite://./data/nezuko.db")),
            ("sqlite+aiosqlite:////var/lib/nezuko.db", Some("sqlite:///var/lib/nezuko.db")),
            ("sqlite://nezuko.sqlite", Some("sqlite://nezuko.sqlite")),
            ("postgres://u:p@db/n?sslmode=verify-full", Some("postgres://u:p@db/n?sslmode=verify-full")),
            ("mysql+asyncmy://u@db/n", None),
            ("mysql+asyncpg://u@db/n", None),
            ("postgres://u@db/n?sslmode=perhaps", None),
        ] {
            assert_eq!(understood(given).as_deref(), understood_as, "{given}");
        }
    }
}
