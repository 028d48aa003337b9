//! Databases for tests of the crates above, which must not know SQL themselves.
//!
//! On PostgreSQL the store runs as it does in production: migrations by a login that owns the database and is no
//! superuser, requests and the lane by a login that owns nothing. The first database of a process is migrated, all
//! others are copies of it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use sea_orm::sqlx::{self, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use crate::{DatabaseUrl, Engine, Store, StoreSettings};

/// The superuser's URL.
const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
/// Set where a missing server is a failure.
const REQUIRED_VARIABLE: &str = "STRONGROOM_REQUIRE_POSTGRES";

/// A database of one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// How to open it.
    pub settings: StoreSettings,
    /// A folder that is the test's own.
    pub folder: PathBuf,
    server: Option<Server>,
    // Deletes the folder.
    _guard: tempfile::TempDir,
}

#[derive(Debug)]
struct Server {
    root: PgConnectOptions,
    name: String,
}

struct Shared {
    users: u32,
    name: String,
}

static SHARED: Mutex<Option<Shared>> = Mutex::const_new(None);
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// A new database; `None` where PostgreSQL is asked for, absent and not required.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn make(engine: Engine) -> Option<Self> {
        let guard = tempfile::tempdir().expect("a folder");
        let folder = guard.path().to_owned();
        if engine == Engine::Sqlite {
            return Some(Self {
                settings: StoreSettings::new(DatabaseUrl::Sqlite(folder.join("bank.db"))),
                folder,
                server: None,
                _guard: guard,
            });
        }
        let Ok(url) = std::env::var(URL_VARIABLE) else {
            assert!(
                std::env::var_os(REQUIRED_VARIABLE).is_none(),
                "{REQUIRED_VARIABLE} is set and {URL_VARIABLE} is not"
            );
            return None;
        };
        let root: PgConnectOptions = url.parse().expect("a PostgreSQL URL");
        let template = enter(&root).await;
        let name = format!("{template}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let copy = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {template}_owner");
        run_all(&root, &[copy]).await;
        Some(Self {
            settings: StoreSettings {
                migrate_at_start: false,
                ..settings(&root, &template, &name)
            },
            folder,
            server: Some(Server { root, name }),
            _guard: guard,
        })
    }

    /// Takes it away.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn remove(self) {
        if let Some(Server { root, name }) = &self.server {
            run_all(root, &[format!("DROP DATABASE {name} WITH (FORCE)")]).await;
            leave(root).await;
        }
    }

    /// Takes the database away from everybody, or gives it back. PostgreSQL only.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn cut_off(&self, cut: bool) {
        let Some(Server { root, name }) = &self.server else {
            panic!("an embedded database cannot be cut off");
        };
        let mut statements = vec![format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !cut)];
        if cut {
            statements.push(format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ));
        }
        run_all(root, &statements).await;
    }

    /// Every byte that the database holds, as text where it can be: for looking for what must not be there.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn dump(&self) -> Vec<u8> {
        match &self.server {
            None => {
                let mut all = Vec::new();
                for entry in std::fs::read_dir(&self.folder).expect("the folder") {
                    all.extend(std::fs::read(entry.expect("an entry").path()).unwrap_or_default());
                }
                all
            }
            Some(Server { root, name }) => {
                let mut connection = PgConnection::connect_with(&root.clone().database(name))
                    .await
                    .expect("a connection");
                let names: Vec<(String,)> = sqlx::query_as(
                    "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
                )
                .fetch_all(&mut connection)
                .await
                .expect("the tables");
                let mut all = Vec::new();
                for (table,) in names {
                    let sql = format!("SELECT t::text FROM {table} t");
                    let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                        .fetch_all(&mut connection)
                        .await
                        .expect("the rows");
                    rows.iter().for_each(|(row,)| all.extend(row.as_bytes()));
                }
                all
            }
        }
    }
}

async fn run_all(root: &PgConnectOptions, statements: &[String]) {
    let mut connection = PgConnection::connect_with(root).await.expect("the server");
    for statement in statements {
        let done = connection.execute(sqlx::AssertSqlSafe(statement.clone())).await;
        assert!(done.is_ok(), "{statement}: {done:?}");
    }
}

fn settings(root: &PgConnectOptions, logins: &str, database: &str) -> StoreSettings {
    let login = |role: &str| {
        let (host, port) = (root.get_host(), root.get_port());
        DatabaseUrl::Postgres(format!(
            "postgres://{logins}_{role}:{role}@{host}:{port}/{database}?sslmode=disable"
        ))
    };
    StoreSettings {
        migrate: Some(login("owner")),
        ..StoreSettings::new(login("login"))
    }
}

/// As an administrator does once: logins, a database, the schema; then the login may take the runtime roles.
async fn enter(root: &PgConnectOptions) -> String {
    let mut shared = SHARED.lock().await;
    if let Some(shared) = shared.as_mut() {
        shared.users += 1;
        return shared.name.clone();
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("strongroom_app_{}_{number}", std::process::id());
    let logins = [
        format!("CREATE ROLE {name}_owner LOGIN CREATEROLE PASSWORD 'owner'"),
        format!("CREATE ROLE {name}_login LOGIN NOINHERIT PASSWORD 'login'"),
        format!("CREATE DATABASE {name} OWNER {name}_owner"),
    ];
    run_all(root, &logins).await;
    Store::migrate(&settings(root, &name, &name))
        .await
        .expect("a migrated database");
    let roles = "strongroom_app, strongroom_ledger_writer, strongroom_reader";
    run_all(root, &[format!("GRANT {roles} TO {name}_login")]).await;
    *shared = Some(Shared {
        users: 1,
        name: name.clone(),
    });
    name
}

async fn leave(root: &PgConnectOptions) {
    let mut shared = SHARED.lock().await;
    let last = shared.take_if(|shared| {
        shared.users -= 1;
        shared.users == 0
    });
    if let Some(Shared { name, .. }) = last {
        let gone = [
            format!("DROP DATABASE {name} WITH (FORCE)"),
            format!("DROP ROLE {name}_login"),
            format!("DROP ROLE {name}_owner"),
        ];
        run_all(root, &gone).await;
    }
}
