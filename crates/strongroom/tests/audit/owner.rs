//! Somebody who owns the database.

use std::path::Path;

use sqlx::{
    Connection, Executor, PgConnection, Row, SqliteConnection, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};

/// A connection that nothing refuses anything to.
#[derive(Debug)]
pub(crate) enum Owner {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Owner {
    pub(crate) async fn sqlite(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let triggers = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        for trigger in triggers {
            let drop = format!("DROP TRIGGER {}", trigger.get::<String, _>(0));
            connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
        }
        connection
            .execute("PRAGMA ignore_check_constraints = ON")
            .await
            .unwrap();
        Self::Sqlite(connection)
    }

    pub(crate) async fn sqlite_reading(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        Self::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
    }

    pub(crate) async fn postgres_reading(options: PgConnectOptions) -> Self {
        Self::Postgres(PgConnection::connect_with(&options).await.unwrap())
    }

    pub(crate) async fn postgres(options: PgConnectOptions) -> Self {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        // Neither triggers nor foreign keys fire in this session, and the checks are gone.
        connection
            .execute(
                "SET session_replication_role = replica; DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t, conname \
                 FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0 LOOP \
                 EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$",
            )
            .await
            .unwrap();
        Self::Postgres(connection)
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) async fn run(&mut self, sql: &str) -> u64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => connection.execute(sql).await.unwrap().rows_affected(),
            Self::Postgres(connection) => connection.execute(sql).await.unwrap().rows_affected(),
        }
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::query(sql).fetch_one(connection).await.unwrap().get(0),
            Self::Postgres(connection) => sqlx::query(sql).fetch_one(connection).await.unwrap().get(0),
        }
    }

    /// A literal of bytes.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{digits}'"),
            Self::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// A literal of an id.
    pub(crate) fn id(&self, bytes: &[u8; 16]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{digits}'"),
            Self::Postgres(_) => format!("'{digits}'::uuid"),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}
