//! What can go wrong below the application: named by code and constraint, never by SQL text or values.

use std::fmt::Display;

/// A failure of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full or does not answer; nothing was changed.
    #[error("database unavailable ({0})")]
    Unavailable(String),
    /// A constraint refused the change.
    #[error("refused by constraint {0}")]
    Constraint(String),
    /// Another transaction was in the way: run it again.
    #[error("serialization failure")]
    Retry,
    /// The commit was sent and its outcome is not known.
    #[error("outcome of the commit unknown")]
    CommitUnknown,
    /// What the database holds cannot be what this program wrote.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// The database is not set up as it must be.
    #[error("{0}")]
    Setup(String),
}

/// What a database says of an error, engine apart.
fn classify(code: Option<&str>, constraint: Option<&str>, message: &str) -> StoreError {
    match code {
        // PostgreSQL: class 23 integrity, 40001 serialization, 40P01 deadlock, 55P03 lock not available.
        Some("40001" | "40P01" | "55P03") => StoreError::Retry,
        Some(code) if code.starts_with("23") => StoreError::Constraint(constraint.unwrap_or(code).to_owned()),
        // SQLite: extended codes of SQLITE_CONSTRAINT end in 0x13 (19).
        Some(code) if code.parse::<i32>().is_ok_and(|n| n & 0xff == 19 && n < 20_000) => {
            StoreError::Constraint(sqlite_constraint(message))
        }
        Some(code) => StoreError::Unavailable(format!("code {code}")),
        None => StoreError::Unavailable("connection".to_owned()),
    }
}

/// SQLite names the columns of a constraint in its message only: keep those, drop the rest.
fn sqlite_constraint(message: &str) -> String {
    message
        .rsplit("failed: ")
        .next()
        .unwrap_or("constraint")
        .chars()
        .take(120)
        .collect()
}

impl From<sea_orm::sqlx::Error> for StoreError {
    fn from(error: sea_orm::sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) => classify(
                database.code().as_deref(),
                database.constraint(),
                database.message(),
            ),
            None => Self::Unavailable(kind_of(&error).to_owned()),
        }
    }
}

const fn kind_of(error: &sea_orm::sqlx::Error) -> &'static str {
    use sea_orm::sqlx::Error;
    match error {
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::PoolTimedOut => "pool timed out",
        Error::PoolClosed => "pool closed",
        Error::WorkerCrashed => "worker",
        Error::RowNotFound => "row not found",
        Error::ColumnDecode { .. }
        | Error::Decode(_)
        | Error::TypeNotFound { .. }
        | Error::ColumnNotFound(_) => "decode",
        Error::Encode(_) => "encode",
        Error::Configuration(_) => "configuration",
        Error::Protocol(_) => "protocol",
        _ => "driver",
    }
}

impl From<sea_orm::DbErr> for StoreError {
    fn from(error: sea_orm::DbErr) -> Self {
        use sea_orm::{DbErr, RuntimeErr};
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => match std::sync::Arc::try_unwrap(inner) {
                Ok(inner) => inner.into(),
                Err(shared) => from_shared(&shared),
            },
            other => Self::Unavailable(short(&other)),
        }
    }
}

fn from_shared(error: &sea_orm::sqlx::Error) -> StoreError {
    match error.as_database_error() {
        Some(database) => classify(
            database.code().as_deref(),
            database.constraint(),
            database.message(),
        ),
        None => StoreError::Unavailable(kind_of(error).to_owned()),
    }
}

/// The name of an error's variant only: its content may quote values.
fn short(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}")
        .chars()
        .take_while(|c| c.is_alphanumeric())
        .collect()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, message) => classify(
                Some(&failure.extended_code.to_string()),
                None,
                message.as_deref().unwrap_or_default(),
            ),
            other => Self::Unavailable(short(other)),
        }
    }
}

impl StoreError {
    /// A set-up that the server must not run with.
    pub(crate) fn setup(text: impl Display) -> Self {
        Self::Setup(text.to_string())
    }
}
