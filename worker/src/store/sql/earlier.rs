//! Reading the earlier Nezuko's database, in each form that its published schema ever had.

use std::collections::BTreeSet;

use nezuko_shared::database::{Database, DatabaseError, Dialect};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

use crate::earlier::{Channel, Group, Link, Rows};

/// Why there is nothing to be read.
#[derive(Debug, thiserror::Error)]
pub enum EarlierError {
    /// The address is none.
    #[error("the address is not understood: it must begin with postgres://, postgresql:// or sqlite:")]
    Url,
    /// The database is not there or refuses.
    #[error("the earlier database cannot be read: {0}")]
    Sql(#[from] sqlx::Error),
    /// It is another database.
    #[error("this is no database of the earlier Nezuko: it has no table {0}")]
    Table(&'static str),
    /// A table that is not as it ever was.
    #[error("this is no database of the earlier Nezuko: its table {0} has no column {1}")]
    Column(&'static str, &'static str),
}

impl From<DatabaseError> for EarlierError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sql(error) => Self::Sql(error),
            _ => Self::Url,
        }
    }
}

/// What must be there, whatever the version.
const NEEDED: [(&str, &[&str]); 4] = [
    ("owners", &["user_id"]),
    ("protected_groups", &["group_id", "owner_id", "title", "enabled", "params", "created_at", "updated_at"]),
    ("enforced_channels", &["channel_id", "title", "username", "invite_link"]),
    ("group_channel_links", &["group_id", "channel_id", "created_at"]),
];

impl Rows {
    /// Reads the database at `url`, SQLite or PostgreSQL, also in the form of SQLAlchemy. Nothing is changed there.
    ///
    /// # Errors
    /// [`EarlierError`]
    pub async fn read(url: &str) -> Result<Self, EarlierError> {
        let database = Database::open_to_read(url).await?;
        let dialect = database.dialect;
        database.of_nobody(async |source| Source { source, dialect }.rows().await).await
    }
}

struct Source<'a> {
    source: &'a mut AnyConnection,
    dialect: Dialect,
}

impl Source<'_> {
    async fn rows(mut self) -> Result<Rows, EarlierError> {
        for (table, needed) in NEEDED {
            let columns = self.columns(table).await?;
            if columns.is_empty() {
                return Err(EarlierError::Table(table));
            }
            if let Some(missing) = needed.iter().find(|column| !columns.contains(**column)) {
                return Err(EarlierError::Column(table, missing));
            }
        }
        let owners = self.all("SELECT CAST(user_id AS BIGINT) FROM owners ORDER BY 1").await?;
        let verifications = if self.columns("verification_log").await?.is_empty() {
            0
        } else {
            self.all("SELECT CAST(count(*) AS BIGINT) FROM verification_log").await?[0].try_get(0)?
        };
        Ok(Rows {
            owners: owners.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            groups: self.groups().await?,
            channels: self.channels().await?,
            links: self.links().await?,
            verifications,
        })
    }

    async fn groups(&mut self) -> Result<Vec<Group>, EarlierError> {
        let statement = format!(
            "SELECT CAST(group_id AS BIGINT), CAST(coalesce(owner_id, 0) AS BIGINT), {title}, {enabled}, {params},
                {created}, {changed}, {bot} FROM protected_groups t ORDER BY 1",
            title = text("title"),
            enabled = truth("enabled"),
            params = text("params"),
            created = self.milliseconds("created_at"),
            changed = self.milliseconds("coalesce(updated_at, created_at)"),
            bot = self.bot("protected_groups").await?,
        );
        let group = |row: &AnyRow| {
            Ok(Group {
                id: row.try_get(0)?,
                owner: row.try_get(1)?,
                title: row.try_get(2)?,
                enabled: row.try_get::<i64, _>(3)? == 1,
                params: row.try_get(4)?,
                created_ms: row.try_get(5)?,
                changed_ms: row.try_get(6)?,
                bot: Some(row.try_get(7)?).filter(|bot| *bot != 0),
            })
        };
        self.all(&statement).await?.iter().map(group).collect()
    }

    async fn channels(&mut self) -> Result<Vec<Channel>, EarlierError> {
        let statement = format!(
            "SELECT CAST(channel_id AS BIGINT), {title}, {username}, {link}, {bot} FROM enforced_channels t ORDER BY 1",
            title = text("title"),
            username = text("username"),
            link = text("invite_link"),
            bot = self.bot("enforced_channels").await?,
        );
        let channel = |row: &AnyRow| {
            Ok(Channel {
                id: row.try_get(0)?,
                title: row.try_get(1)?,
                username: row.try_get(2)?,
                invite_link: row.try_get(3)?,
                bot: Some(row.try_get(4)?).filter(|bot| *bot != 0),
            })
        };
        self.all(&statement).await?.iter().map(channel).collect()
    }

    async fn links(&mut self) -> Result<Vec<Link>, EarlierError> {
        let says = self.columns("group_channel_links").await?.contains("is_required");
        let statement = format!(
            "SELECT CAST(group_id AS BIGINT), CAST(channel_id AS BIGINT), {required}, {created}
             FROM group_channel_links t ORDER BY 1, 2",
            required = if says { truth("is_required") } else { "CAST(1 AS BIGINT)".to_owned() },
            created = self.milliseconds("created_at"),
        );
        let link = |row: &AnyRow| {
            let required = row.try_get::<i64, _>(2)? == 1;
            Ok(Link { group: row.try_get(0)?, channel: row.try_get(1)?, required, created_ms: row.try_get(3)? })
        };
        self.all(&statement).await?.iter().map(link).collect()
    }

    /// An expression for the id of the bot that a row of `table` belongs to; 0: nobody says.
    async fn bot(&mut self, table: &'static str) -> Result<&'static str, EarlierError> {
        let says = self.columns(table).await?.contains("bot_instance_id")
            && self.columns("bot_instances").await?.contains("bot_id");
        Ok(if says {
            "CAST(coalesce((SELECT i.bot_id FROM bot_instances i WHERE i.id = t.bot_instance_id), 0) AS BIGINT)"
        } else {
            "CAST(0 AS BIGINT)"
        })
    }

    /// An expression for a time in Unix milliseconds; SQLite has it as text in UTC.
    fn milliseconds(&self, time: &str) -> String {
        let seconds = match self.dialect {
            Dialect::Postgres => format!("extract(epoch FROM {time})"),
            Dialect::Sqlite => format!("strftime('%s', {time})"),
        };
        format!("coalesce(CAST({seconds} AS BIGINT), CAST(0 AS BIGINT)) * 1000")
    }

    /// The columns of a table; none where it does not exist.
    async fn columns(&mut self, table: &'static str) -> Result<BTreeSet<String>, EarlierError> {
        let statement = match self.dialect {
            Dialect::Postgres => {
                "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1"
            }
            Dialect::Sqlite => "SELECT name FROM pragma_table_info($1)",
        };
        let columns = sqlx::query(statement).bind(table).fetch_all(&mut *self.source).await?;
        Ok(columns.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// `statement` names nothing that came from outside.
    async fn all(&mut self, statement: &str) -> Result<Vec<AnyRow>, EarlierError> {
        Ok(sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut *self.source).await?)
    }
}

fn text(column: &str) -> String {
    format!("coalesce(CAST({column} AS TEXT), '')")
}

fn truth(column: &str) -> String {
    format!("CAST(CASE WHEN {column} THEN 1 ELSE 0 END AS BIGINT)")
}
