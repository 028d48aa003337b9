//! The server engine: logins, roles, and how its connections are set up.

use std::time::Duration;

use sea_orm::{DatabaseConnection, SqlxPostgresConnector, sqlx};
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::sync::{Notify, watch};

use crate::{
    audit::LogHead,
    epoch::EpochReader,
    error::StoreError,
    settings::{DatabaseUrl, StoreSettings},
};

/// Longest wait for a lock; longer means that something is stuck, and the batch is run again.
const LOCK_MILLIS: u64 = 5_000;
/// Longest statement.
const STATEMENT_MILLIS: u64 = 10_000;
/// Longest pause inside a transaction before the server ends it.
const IDLE_IN_TRANSACTION_MILLIS: u64 = 10_000;
const ACQUIRE_SECONDS: u64 = 5;
const STATEMENTS_CACHED_MAX: usize = 128;

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseRole {
    /// The control plane, under row security.
    App,
    /// Reads of the books and the sealed texts beside them.
    Reader,
    /// The ledger lane, the audit log, the sealer.
    LedgerWriter,
}

impl DatabaseRole {
    const fn name(self) -> &'static str {
        match self {
            Self::App => "strongroom_app",
            Self::Reader => "strongroom_reader",
            Self::LedgerWriter => "strongroom_ledger_writer",
        }
    }
}

/// The server engine.
#[derive(Debug)]
pub(crate) struct PostgresEngine {
    pub(crate) pool: DatabaseConnection,
    /// Reads of the books: single statements that need no scope, because the role sees nobody's keys.
    pub(crate) books: DatabaseConnection,
    ledger: PgConnectOptions,
    serving: PgConnectOptions,
    pub(crate) epochs: EpochReader,
    /// The committed end of the log, as far as this node knows.
    pub(crate) growth: watch::Sender<LogHead>,
    /// A commit of this node's lane that the sealer may find.
    pub(crate) committed: Notify,
}

/// Whether this login is more than a member of the runtime roles.
const STRONG: &str = "SELECT (SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = session_user) \
    OR EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace \
    AND pg_has_role(session_user, relowner, 'MEMBER'))";

/// The lane looks rows up by their keys and does nothing else, so its statements are planned once and that way. Left
/// alone, the planner knows neither how long an array will be nor how large a young table has grown, and reads whole
/// tables in every batch.
const LANE_PLANS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

fn parse(url: &DatabaseUrl) -> Result<PgConnectOptions, StoreError> {
    let DatabaseUrl::Postgres(url) = url else {
        return Err(StoreError::setup(
            "the migration and ledger logins must be of the same engine as the database",
        ));
    };
    let options: PgConnectOptions = url
        .parse()
        .map_err(|_| StoreError::setup("the database URL is not a valid PostgreSQL URL"))?;
    Ok(options
        .application_name("strongroom")
        .statement_cache_capacity(STATEMENTS_CACHED_MAX)
        .options([
            ("lock_timeout", LOCK_MILLIS.to_string()),
            ("statement_timeout", STATEMENT_MILLIS.to_string()),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_MILLIS.to_string(),
            ),
            ("timezone", "UTC".to_owned()),
            ("jit", "off".to_owned()),
        ])
        .disable_statement_logging())
}

impl PostgresEngine {
    pub(crate) fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let serving = parse(&settings.database)?;
        let ledger = settings
            .ledger
            .as_ref()
            .map_or_else(|| Ok(serving.clone()), parse)?;
        let pool = |role: DatabaseRole, most: u32| {
            let pool = PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS))
                .after_connect(move |connection, _| Box::pin(take_role(connection, role)))
                .connect_lazy_with(serving.clone());
            SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
        };
        let most = settings.connections_max.max(2);
        Ok(Self {
            pool: pool(DatabaseRole::App, most),
            books: pool(DatabaseRole::Reader, most),
            ledger,
            serving,
            epochs: EpochReader::new(),
            growth: watch::Sender::default(),
            committed: Notify::new(),
        })
    }

    /// How the control plane connects.
    pub(crate) fn app_options(&self) -> PgConnectOptions {
        self.serving.clone()
    }

    /// A connection of its own in the ledger's role, durable or refused.
    pub(crate) async fn connect_ledger(&self) -> Result<PgConnection, StoreError> {
        let options = self.ledger.clone().options(LANE_PLANS);
        let mut connection = PgConnection::connect_with(&options).await?;
        take_role(&mut connection, DatabaseRole::LedgerWriter).await?;
        check_durable(&mut connection).await?;
        Ok(connection)
    }

    /// Whoever serves requests must not be able to change the schema, its rights or its triggers.
    pub(crate) async fn check_logins(&self) -> Result<(), StoreError> {
        for login in [&self.serving, &self.ledger] {
            let mut connection = PgConnection::connect_with(login).await?;
            if connection.fetch_one(STRONG).await?.try_get(0)? {
                return Err(StoreError::setup(
                    "the serving login is a superuser, sees past row security or owns the schema: use one that is only \
                     a member of the runtime roles",
                ));
            }
        }
        Ok(())
    }

    /// The control plane writes too: its login must be as durable as the lane's.
    pub(crate) async fn check_serving(&self) -> Result<(), StoreError> {
        check_durable(&mut connect_app(&self.serving).await?).await
    }

    /// A pool of the owner's login, for migrations only.
    pub(crate) async fn connect_owner(settings: &StoreSettings) -> Result<DatabaseConnection, StoreError> {
        let options = parse(settings.migrate.as_ref().unwrap_or(&settings.database))?;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    }
}

/// A connection of its own in the control plane's role.
pub(crate) async fn connect_app(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = PgConnection::connect_with(options).await?;
    take_role(&mut connection, DatabaseRole::App).await?;
    Ok(connection)
}

async fn take_role(connection: &mut PgConnection, role: DatabaseRole) -> Result<(), sqlx::Error> {
    // The name is a constant of this file; SET takes no parameters.
    let set = match role {
        DatabaseRole::App => "SET ROLE strongroom_app",
        DatabaseRole::Reader => "SET ROLE strongroom_reader",
        DatabaseRole::LedgerWriter => "SET ROLE strongroom_ledger_writer",
    };
    debug_assert!(set.ends_with(role.name()));
    connection.execute(set).await?;
    Ok(())
}

/// Acknowledged means durable: refuse a server that is set up to forget.
async fn check_durable(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row = connection
        .fetch_one(
            "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), \
             current_setting('server_version_num')::bigint",
        )
        .await?;
    let (fsync, pages, commit): (String, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let version: i64 = row.try_get(3)?;
    if fsync != "on" || pages != "on" || !matches!(commit.as_str(), "on" | "remote_apply" | "remote_write") {
        return Err(StoreError::setup(format!(
            "PostgreSQL must run with fsync = on, full_page_writes = on, synchronous_commit = on \
             (is {fsync}, {pages}, {commit})"
        )));
    }
    if version < 150_000 {
        return Err(StoreError::setup("PostgreSQL 15 or newer is needed"));
    }
    Ok(())
}
