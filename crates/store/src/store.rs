//! Opening the store and handing out its parts.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;
use strongroom_domain::time::Timestamp;

use crate::{
    audit::load_head,
    error::StoreError,
    ledger::{Lane, LaneClock, PostgresLane, SqliteLane, spawn_checkpointer},
    migrations::Migrator,
    postgres::PostgresEngine,
    settings::{DatabaseUrl, StoreSettings},
    sqlite::SqliteEngine,
    tx::{ReadTx, Scope, WriteTx, execute, one},
};

/// Which engine serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Embedded.
    Sqlite,
    /// Server.
    Postgres,
}

#[derive(Debug, Clone)]
pub(crate) enum Engines {
    Sqlite(Arc<SqliteEngine>),
    Postgres(Arc<PostgresEngine>),
}

/// The open store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) engines: Engines,
}

/// How full a pool of connections is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// What the connections are for.
    pub name: &'static str,
    /// Those that serve somebody now.
    pub busy: u32,
    /// Those that are open, busy or not.
    pub open: u32,
    /// Most that are opened.
    pub most: u32,
}

impl PoolSize {
    fn new(name: &'static str, open: u32, idle: usize, most: u32) -> Self {
        Self {
            name,
            busy: open.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX)),
            open,
            most,
        }
    }
}

/// What the bank is: fixed at first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankRow {
    /// ISO 3166 country of its account numbers.
    pub country: String,
    /// Its code within them.
    pub code: String,
    /// IANA name of its time zone.
    pub time_zone: String,
    /// Origin line of its audit log's checkpoints.
    pub log_origin: String,
    /// When it was founded.
    pub created_at: Timestamp,
}

impl Store {
    /// Connects, migrates if told to, and checks the set-up.
    ///
    /// # Errors
    /// [`StoreError::Setup`] for a database that must not be run with (not durable, too old, a migration pending),
    /// [`StoreError::Unavailable`] when it does not answer.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) => {
                let mut engine = SqliteEngine::open(path, settings).await?;
                migrate(&engine.writer, settings.migrate_at_start).await?;
                engine.start().await?;
                let engine = Arc::new(engine);
                spawn_checkpointer(&engine)
                    .map_err(|error| StoreError::setup(format!("no thread: {error}")))?;
                Ok(Self {
                    engines: Engines::Sqlite(engine),
                })
            }
            DatabaseUrl::Postgres(_) => {
                if settings.migrate_at_start {
                    Self::migrate(settings).await?;
                }
                let engine = PostgresEngine::open(settings)?;
                if settings.needs_weak_login {
                    engine.check_logins().await?;
                }
                check_migrated(&engine.pool).await?;
                engine.check_serving().await?;
                let mut connection = engine.connect_ledger().await?;
                engine.growth.send_replace(load_head(&mut connection).await?);
                drop(connection);
                let engine = Arc::new(engine);
                engine.epochs.start(&engine).await;
                Ok(Self {
                    engines: Engines::Postgres(engine),
                })
            }
        }
    }

    /// Runs the pending migrations, as the schema's owner. Twice is once.
    ///
    /// # Errors
    /// [`StoreError`] when a step fails; on PostgreSQL the step is undone.
    pub async fn migrate(settings: &StoreSettings) -> Result<u32, StoreError> {
        match &settings.database {
            DatabaseUrl::Sqlite(path) => {
                let engine = SqliteEngine::open(path, settings).await?;
                migrate(&engine.writer, true).await
            }
            DatabaseUrl::Postgres(_) => {
                let owner = PostgresEngine::connect_owner(settings).await?;
                // Several nodes may start at once: one migrates, the others wait and find nothing to do.
                execute(&owner, "SELECT pg_advisory_lock($1)", vec![MIGRATION_LOCK.into()]).await?;
                let applied = migrate(&owner, true).await;
                execute(
                    &owner,
                    "SELECT pg_advisory_unlock($1)",
                    vec![MIGRATION_LOCK.into()],
                )
                .await?;
                allow_reading_versions(&owner).await?;
                owner.close().await?;
                applied
            }
        }
    }

    /// Which engine serves.
    pub const fn engine(&self) -> Engine {
        match self.engines {
            Engines::Sqlite(_) => Engine::Sqlite,
            Engines::Postgres(_) => Engine::Postgres,
        }
    }

    /// The writer of the books. There is one per process.
    pub fn lane(&self, clock: Arc<dyn LaneClock>) -> Lane {
        match &self.engines {
            Engines::Sqlite(engine) => Lane::Sqlite(Box::new(SqliteLane::new(engine.clone(), clock))),
            Engines::Postgres(engine) => Lane::Postgres(Box::new(PostgresLane::new(engine.clone(), clock))),
        }
    }

    /// Opens a reading transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection is to be had in time.
    pub async fn read(&self, scope: Scope) -> Result<ReadTx, StoreError> {
        ReadTx::begin(self.pool(), scope).await
    }

    /// Opens a writing transaction; on SQLite it waits for the right to write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection is to be had in time.
    pub async fn write(&self, scope: Scope) -> Result<WriteTx, StoreError> {
        match &self.engines {
            Engines::Sqlite(engine) => WriteTx::begin_sqlite(engine.clone()).await,
            Engines::Postgres(engine) => WriteTx::begin_postgres(&engine.pool, scope).await,
        }
    }

    pub(crate) fn pool(&self) -> &DatabaseConnection {
        match &self.engines {
            Engines::Sqlite(engine) => &engine.readers,
            Engines::Postgres(engine) => &engine.pool,
        }
    }

    /// Where the books are read.
    pub(crate) fn books(&self) -> &DatabaseConnection {
        match &self.engines {
            Engines::Sqlite(engine) => &engine.readers,
            Engines::Postgres(engine) => &engine.books,
        }
    }

    /// The connections that this process holds to the database, by what they are for, but for the lane's own.
    pub fn pools(&self) -> Vec<PoolSize> {
        match &self.engines {
            Engines::Sqlite(engine) => {
                let of = |name, pool: &DatabaseConnection| {
                    let pool = pool.get_sqlite_connection_pool();
                    let most = pool.options().get_max_connections();
                    PoolSize::new(name, pool.size(), pool.num_idle(), most)
                };
                vec![of("read", &engine.readers), of("write", &engine.writer)]
            }
            Engines::Postgres(engine) => {
                let of = |name, pool: &DatabaseConnection| {
                    let pool = pool.get_postgres_connection_pool();
                    let most = pool.options().get_max_connections();
                    PoolSize::new(name, pool.size(), pool.num_idle(), most)
                };
                vec![of("app", &engine.pool), of("books", &engine.books)]
            }
        }
    }

    /// Whether one process owns the database alone.
    pub const fn is_embedded(&self) -> bool {
        matches!(self.engines, Engines::Sqlite(_))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool().execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Whether the schema is the one that this program was made for, neither older nor newer.
    ///
    /// # Errors
    /// [`StoreError::Setup`] when it is not, [`StoreError::Unavailable`] when the database does not answer.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        check_migrated(self.pool()).await
    }

    /// The time that the database has; none where it has the clock of this process.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not answer.
    pub async fn database_time(&self) -> Result<Option<Timestamp>, StoreError> {
        if self.is_embedded() {
            return Ok(None);
        }
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let row = one(self.pool(), sql, vec![]).await?;
        let micros = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(micros.map(Timestamp::from_micros))
    }

    /// What the bank is, once it was founded.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn bank(&self) -> Result<Option<BankRow>, StoreError> {
        let sql = "SELECT country, code, time_zone, log_origin, created_at FROM bank WHERE id = 1";
        let Some(row) = one(self.pool(), sql, vec![]).await? else {
            return Ok(None);
        };
        Ok(Some(BankRow {
            country: row.try_get_by_index(0)?,
            code: row.try_get_by_index(1)?,
            time_zone: row.try_get_by_index(2)?,
            log_origin: row.try_get_by_index(3)?,
            created_at: Timestamp::from_micros(row.try_get_by_index(4)?),
        }))
    }

    /// Founds the bank, unless another node was faster.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn found_bank(&self, bank: &BankRow) -> Result<(), StoreError> {
        let tx = self.write(Scope::System).await?;
        tx.execute(
            "INSERT INTO bank (id, country, code, time_zone, log_origin, created_at) VALUES (1, $1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO NOTHING",
            vec![
                bank.country.clone().into(),
                bank.code.clone().into(),
                bank.time_zone.clone().into(),
                bank.log_origin.clone().into(),
                bank.created_at.micros().into(),
            ],
        )
        .await?;
        tx.commit().await
    }
}

const MIGRATION_LOCK: i64 = 1_397_882_880;

async fn migrate(connection: &DatabaseConnection, may_migrate: bool) -> Result<u32, StoreError> {
    let pending = Migrator::get_pending_migrations(connection).await?.len();
    if pending > 0 && !may_migrate {
        return Err(StoreError::setup(format!(
            "{pending} migrations are pending: run `strongroom migrate`"
        )));
    }
    if pending > 0 {
        Migrator::up(connection, None).await?;
    }
    Ok(u32::try_from(pending).unwrap_or(u32::MAX))
}

/// The serving login may see which migrations ran, so that it can refuse to start before they did.
async fn allow_reading_versions(owner: &DatabaseConnection) -> Result<(), StoreError> {
    owner
        .execute_unprepared("GRANT SELECT ON seaql_migrations TO strongroom_app")
        .await?;
    Ok(())
}

pub(crate) async fn check_migrated(pool: &DatabaseConnection) -> Result<(), StoreError> {
    let known = Migrator::migrations().len();
    let applied: i64 = match one(pool, "SELECT count(*) FROM seaql_migrations", vec![]).await {
        Ok(Some(row)) => row.try_get_by_index(0)?,
        Ok(None) => 0,
        Err(StoreError::Unavailable(code)) if code == "code 42P01" => 0,
        Err(error) => return Err(error),
    };
    match usize::try_from(applied).unwrap_or_default().cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(StoreError::setup(
            "migrations are pending: run `strongroom migrate`",
        )),
        std::cmp::Ordering::Greater => Err(StoreError::setup("the database was migrated by a newer version")),
    }
}
