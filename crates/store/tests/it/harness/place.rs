//! Where a test's database lies: a temporary folder, or a database of its own on the server that the environment names.
//!
//! On PostgreSQL the store runs as it does in production: migrations by a login that owns the database and is no
//! superuser, requests and the lane by a login that owns nothing.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use strongroom_store::{DatabaseUrl, StoreSettings};
use tokio::sync::Mutex;

/// The superuser's URL.
const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
/// Set where a missing server is a failure.
const REQUIRED_VARIABLE: &str = "STRONGROOM_REQUIRE_POSTGRES";

/// The epoch of a new database, at which the tests' commands are permitted.
const EPOCH_AT_FIRST: i64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) settings: StoreSettings,
    folder: Option<tempfile::TempDir>,
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    root: PgConnectOptions,
    /// Name of the test's database.
    name: String,
    /// Beginning of the names of the logins, which all tests of this process share.
    logins: String,
    /// Nobody else has used or will use the database.
    alone: bool,
}

/// What the tests of this process share on a server: two logins, and a migrated database that the others are copies of.
struct Shared {
    users: u32,
    name: String,
    /// Databases that the next test may use.
    free: Vec<String>,
    /// Databases that nobody uses any more. The last test drops them all.
    finished: Vec<String>,
}

static SHARED: Mutex<Option<Shared>> = Mutex::const_new(None);
static NUMBER: AtomicU32 = AtomicU32::new(0);

async fn run_all(root: &PgConnectOptions, statements: &[String]) {
    let mut connection = PgConnection::connect_with(root).await.unwrap();
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
    let name = format!("strongroom_store_{}_{number}", std::process::id());
    let logins = [
        format!("CREATE ROLE {name}_owner LOGIN CREATEROLE PASSWORD 'owner'"),
        format!("CREATE ROLE {name}_login LOGIN NOINHERIT PASSWORD 'login'"),
        format!("CREATE DATABASE {name} OWNER {name}_owner"),
    ];
    run_all(root, &logins).await;
    strongroom_store::Store::migrate(&settings(root, &name, &name))
        .await
        .unwrap();
    let roles = "strongroom_app, strongroom_ledger_writer, strongroom_reader";
    run_all(root, &[format!("GRANT {roles} TO {name}_login")]).await;
    *shared = Some(Shared {
        users: 1,
        name: name.clone(),
        free: Vec::new(),
        finished: Vec::new(),
    });
    name
}

async fn leave(root: &PgConnectOptions, database: &str, again: bool) {
    let mut shared = SHARED.lock().await;
    let last = shared.take_if(|shared| {
        let pile = if again {
            &mut shared.free
        } else {
            &mut shared.finished
        };
        pile.push(database.to_owned());
        shared.users -= 1;
        shared.users == 0
    });
    if let Some(last) = last {
        let name = last.name;
        let mut gone: Vec<_> = [vec![name.clone()], last.free, last.finished]
            .iter()
            .flatten()
            .map(|database| format!("DROP DATABASE {database} WITH (FORCE)"))
            .collect();
        gone.push(format!("DROP ROLE {name}_login, {name}_owner"));
        run_all(root, &gone).await;
    }
}

impl Place {
    /// `None` where PostgreSQL is asked for, absent and not required.
    pub(crate) async fn make(kind: Kind, alone: bool) -> Option<Self> {
        if kind == Kind::Sqlite {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("bank.db");
            return Some(Self {
                settings: StoreSettings::new(DatabaseUrl::Sqlite(path)),
                folder: Some(folder),
                server: None,
            });
        }
        let Ok(url) = std::env::var(URL_VARIABLE) else {
            assert!(
                std::env::var_os(REQUIRED_VARIABLE).is_none(),
                "{REQUIRED_VARIABLE} is set and {URL_VARIABLE} is not"
            );
            eprintln!("not run: {URL_VARIABLE} names no PostgreSQL");
            return None;
        };
        let root: PgConnectOptions = url.parse().unwrap();
        let logins = enter(&root).await;
        let used = if alone {
            None
        } else {
            SHARED.lock().await.as_mut().and_then(|shared| shared.free.pop())
        };
        let name = match used {
            Some(name) => name,
            None => {
                let name = format!("{logins}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                let copy = format!("CREATE DATABASE {name} TEMPLATE {logins} OWNER {logins}_owner");
                run_all(&root, &[copy]).await;
                name
            }
        };
        Some(Self {
            settings: StoreSettings {
                migrate_at_start: false,
                ..settings(&root, &logins, &name)
            },
            folder: None,
            server: Some(Server {
                root,
                name,
                logins,
                alone,
            }),
        })
    }

    /// Takes the schema away again, as if the database had just been made.
    pub(crate) async fn empty(&self) {
        match &self.server {
            Some(_) => {
                let mut owner = self.connect("owner").await;
                owner
                    .execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")
                    .await
                    .unwrap();
            }
            None => std::fs::remove_file(self.path()).unwrap_or_default(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.server.is_some() {
            Kind::Postgres
        } else {
            Kind::Sqlite
        }
    }

    /// A superuser's connection to the test's database.
    pub(crate) async fn root(&self) -> PgConnection {
        let server = self.server.as_ref().unwrap();
        let options = server.root.clone().database(&server.name);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// A connection of the schema's owner, or of the serving login.
    pub(crate) async fn connect(&self, role: &str) -> PgConnection {
        let server = self.server.as_ref().unwrap();
        let options = server
            .root
            .clone()
            .database(&server.name)
            .username(&format!("{}_{role}", server.logins))
            .password(role);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// The URL of a superuser.
    pub(crate) fn superuser(&self) -> DatabaseUrl {
        let server = self.server.as_ref().unwrap();
        let url = std::env::var(URL_VARIABLE).unwrap();
        let (base, query) = url
            .split_once('?')
            .map_or((url.as_str(), String::new()), |(base, query)| {
                (base, format!("?{query}"))
            });
        let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
        DatabaseUrl::Postgres(format!("{base}/{}{query}", server.name))
    }

    /// A connection of some login to the test's database.
    pub(crate) async fn connect_as(&self, login: &str, password: &str) -> PgConnection {
        let server = self.server.as_ref().unwrap();
        let options = server.root.clone().database(&server.name);
        let options = options.username(login).password(password);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// A raw connection to the file, as somebody has who holds it.
    pub(crate) fn file(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("bank.db")
    }

    /// Runs a statement as the owner of the data, and says how the database refused it.
    pub(crate) async fn tamper(&self, sql: &str) -> Result<u64, String> {
        match self.kind() {
            Kind::Sqlite => {
                let connection = self.file();
                let done = connection.execute_batch(&format!("BEGIN; {sql}; COMMIT"));
                done.map(|()| connection.changes())
                    .map_err(|error| error.to_string())
            }
            Kind::Postgres => {
                let mut owner = self.connect("owner").await;
                let sql = sqlx::AssertSqlSafe(format!("BEGIN; {sql}; COMMIT"));
                let done = owner.execute(sql).await;
                done.map(|done| done.rows_affected())
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// Where the server listens.
    pub(crate) fn server(&self) -> (String, u16) {
        let server = self.server.as_ref().unwrap();
        (server.root.get_host().to_owned(), server.root.get_port())
    }

    /// The URL of the serving login through another port of this machine.
    pub(crate) fn through(&self, port: u16) -> DatabaseUrl {
        let server = self.server.as_ref().unwrap();
        let (logins, name) = (&server.logins, &server.name);
        DatabaseUrl::Postgres(format!(
            "postgres://{logins}_login:login@127.0.0.1:{port}/{name}?sslmode=disable"
        ))
    }

    /// Takes everything away again, or leaves it to the next test.
    ///
    /// # Panics
    /// When a test that is not alone made permits stale for the tests after it.
    pub(crate) async fn leave(&self, passed: bool) {
        let Some(server) = &self.server else { return };
        let again = passed && !server.alone;
        let moved = again && self.epoch().await != EPOCH_AT_FIRST;
        leave(&server.root, &server.name, again && !moved).await;
        assert!(
            !moved,
            "this test moved the epoch, which others of its database count on: it has to be `alone`"
        );
    }

    async fn epoch(&self) -> i64 {
        let mut root = self.root().await;
        let row = root.fetch_one("SELECT epoch FROM auth_epoch").await.unwrap();
        row.get(0)
    }
}
