//! Where a measurement's database lies: a folder of its own, or a database of its own on the private cluster.
//!
//! On PostgreSQL the store runs as it does in production: migrations by a login that owns the database and is no
//! superuser, requests and the lane by a login that owns nothing.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use strongroom_store::{DatabaseUrl, StoreSettings};

use crate::{cpu, outcome::Outcome};

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A database that nobody else uses, gone when the value is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    folder: tempfile::TempDir,
    server: Option<Server>,
}

/// A database on the cluster.
#[derive(Debug, Clone)]
struct Server {
    root: PgConnectOptions,
    name: String,
    postmaster: Option<u32>,
}

impl Place {
    /// `url` is the cluster's superuser.
    pub(crate) async fn make(kind: Kind, url: &str) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("strongroom-bench-").tempdir()?;
        let server = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(Server::make(url).await?),
        };
        Ok(Self { kind, folder, server })
    }

    /// How the store opens it.
    pub(crate) async fn migrated(&self) -> Outcome<StoreSettings> {
        let Some(server) = &self.server else {
            return Ok(StoreSettings::new(DatabaseUrl::Sqlite(self.file())));
        };
        let settings = StoreSettings {
            migrate: Some(DatabaseUrl::Postgres(server.url("owner"))),
            ..StoreSettings::new(DatabaseUrl::Postgres(server.url("login")))
        };
        strongroom_store::Store::migrate(&settings).await?;
        self.allow_login().await?;
        Ok(settings)
    }

    /// How the store opens what a server on this data directory wrote.
    pub(crate) fn served(&self, data: &Path) -> StoreSettings {
        let url = match &self.server {
            None => DatabaseUrl::Sqlite(data.join("strongroom.db")),
            Some(server) => DatabaseUrl::Postgres(server.url("login")),
        };
        StoreSettings {
            migrate_at_start: false,
            ..StoreSettings::new(url)
        }
    }

    /// As an administrator does once after migrating: the serving login may take the roles.
    pub(crate) async fn allow_login(&self) -> Outcome<()> {
        if let Some(server) = &self.server {
            let name = &server.name;
            let roles = "strongroom_app, strongroom_ledger_writer, strongroom_reader";
            let grant = format!("GRANT {roles} TO {name}_login");
            self.root().await?.execute(AssertSqlSafe(grant)).await?;
        }
        Ok(())
    }

    /// What the server is told in its environment: login and owner. Nothing on SQLite.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        self.server.as_ref().map_or_else(Vec::new, |server| {
            vec![
                ("STRONGROOM_DATABASE__URL", server.url("login")),
                ("STRONGROOM_DATABASE__MIGRATE_URL", server.url("owner")),
            ]
        })
    }

    /// The folder of this place; on SQLite the database lies in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database file on SQLite, for the store in this process.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("bank.db")
    }

    /// A superuser's connection to the database on the cluster.
    pub(crate) async fn root(&self) -> Outcome<PgConnection> {
        let server = self.server.as_ref().ok_or("this place is not on PostgreSQL")?;
        Ok(PgConnection::connect_with(&server.root.clone().database(&server.name)).await?)
    }

    /// Host, port and name of the database on the cluster, with the superuser's URL of it.
    pub(crate) fn root_url(&self, url: &str) -> Outcome<String> {
        let server = self.server.as_ref().ok_or("this place is not on PostgreSQL")?;
        let (front, _) = url
            .rsplit_once('/')
            .ok_or("the cluster's URL names no database")?;
        Ok(format!("{front}/{}", server.name))
    }

    /// CPU time of the whole cluster so far; nothing on SQLite, whose work is done in its user's process.
    pub(crate) fn server_cpu(&self) -> std::time::Duration {
        self.server
            .as_ref()
            .and_then(|server| server.postmaster)
            .map(cpu::of_family)
            .unwrap_or_default()
    }

    /// Starts the next measurement with no old page to write: neither in the middle of somebody's checkpoint nor before
    /// one.
    pub(crate) async fn settle(&self) -> Outcome<()> {
        if self.server.is_some() {
            self.root().await?.execute("CHECKPOINT").await?;
        }
        Ok(())
    }

    /// Takes the database and its logins away.
    pub(crate) async fn remove(self) -> Outcome<()> {
        if let Some(Server { root, name, .. }) = &self.server {
            let mut connection = PgConnection::connect_with(root).await?;
            for statement in [
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                format!("DROP ROLE IF EXISTS {name}_login"),
                format!("DROP ROLE IF EXISTS {name}_owner"),
            ] {
                connection.execute(AssertSqlSafe(statement)).await?;
            }
        }
        Ok(self.folder.close()?)
    }
}

impl Server {
    async fn make(url: &str) -> Outcome<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("strongroom_bench_{}_{number}", std::process::id());
        let root: PgConnectOptions = url.parse()?;
        let mut connection = PgConnection::connect_with(&root).await?;
        for statement in [
            format!("CREATE ROLE {name}_owner LOGIN CREATEROLE PASSWORD 'owner'"),
            format!("CREATE ROLE {name}_login LOGIN NOINHERIT PASSWORD 'login'"),
            format!("CREATE DATABASE {name} OWNER {name}_owner"),
        ] {
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        let row = connection.fetch_one("SELECT pg_backend_pid()").await?;
        let backend: i32 = row.try_get(0)?;
        let postmaster = u32::try_from(backend).ok().and_then(cpu::parent);
        Ok(Self {
            root,
            name,
            postmaster,
        })
    }

    fn url(&self, login: &str) -> String {
        let (host, port) = (self.root.get_host(), self.root.get_port());
        format!(
            "postgres://{0}_{login}:{login}@{host}:{port}/{0}?sslmode=disable",
            self.name
        )
    }
}
