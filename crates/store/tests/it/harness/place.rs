//! Where a test's database lies: a temporary folder, or a database of its own on the server that the environment names.
//!
//! On PostgreSQL the store runs as it does in production: migrations by a login that owns the database and is no
//! superuser, requests and the lane by a login that owns nothing.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use strongroom_store::{DatabaseUrl, StoreSettings};
use tokio::sync::Mutex;

/// The superuser's URL.
const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
/// Set where a missing server is a failure.
const REQUIRED_VARIABLE: &str = "STRONGROOM_REQUIRE_POSTGRES";

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
    name: String,
    granted: Mutex<bool>,
}

impl Place {
    /// `None` where PostgreSQL is asked for, absent and not required.
    pub(crate) async fn make(kind: Kind) -> Option<Self> {
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
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("strongroom_store_{}_{number}", std::process::id());
        let root: PgConnectOptions = url.parse().unwrap();
        let mut connection = PgConnection::connect_with(&root).await.unwrap();
        for statement in [
            format!("CREATE ROLE {name}_owner LOGIN CREATEROLE PASSWORD 'owner'"),
            format!("CREATE ROLE {name}_login LOGIN NOINHERIT PASSWORD 'login'"),
            format!("CREATE DATABASE {name} OWNER {name}_owner"),
        ] {
            connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        let login = |role: &str| {
            let (host, port) = (root.get_host(), root.get_port());
            DatabaseUrl::Postgres(format!(
                "postgres://{name}_{role}:{role}@{host}:{port}/{name}?sslmode=disable"
            ))
        };
        let settings = StoreSettings {
            migrate: Some(login("owner")),
            ..StoreSettings::new(login("login"))
        };
        let server = Server {
            root,
            name,
            granted: Mutex::new(false),
        };
        let place = Self {
            settings,
            folder: None,
            server: Some(server),
        };
        // As an administrator does once: migrate, then let the login take the roles.
        strongroom_store::Store::migrate(&place.settings).await.unwrap();
        place.allow_logins().await;
        Some(place)
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.server.is_some() {
            Kind::Postgres
        } else {
            Kind::Sqlite
        }
    }

    /// Lets the serving login take the runtime roles.
    pub(crate) async fn allow_logins(&self) {
        let Some(server) = &self.server else { return };
        let mut granted = server.granted.lock().await;
        if !std::mem::replace(&mut *granted, true) {
            let name = &server.name;
            let roles = "strongroom_app, strongroom_ledger_writer, strongroom_reader";
            let grant = format!("GRANT {roles} TO {name}_login");
            self.root()
                .await
                .execute(sqlx::AssertSqlSafe(grant))
                .await
                .unwrap();
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
            .username(&format!("{}_{role}", server.name))
            .password(role);
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

    /// Where the server listens, and the name of the test's database.
    pub(crate) fn server(&self) -> (String, u16, &str) {
        let server = self.server.as_ref().unwrap();
        (
            server.root.get_host().to_owned(),
            server.root.get_port(),
            &server.name,
        )
    }

    /// Takes everything away again.
    pub(crate) async fn remove(&self) {
        let Some(server) = &self.server else { return };
        let name = &server.name;
        let mut connection = PgConnection::connect_with(&server.root).await.unwrap();
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("DROP ROLE IF EXISTS {name}_login"),
            format!("DROP ROLE IF EXISTS {name}_owner"),
        ] {
            if let Err(error) = connection.execute(sqlx::AssertSqlSafe(statement)).await {
                eprintln!("{name} was not taken away: {error}");
            }
        }
    }
}
