//! Where a test's bank lies: its database, its keys, its checkpoints.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use strongroom_app::{
    Bank, BankSettings, Error, SystemClock,
    audit::{
        log::{SignedCheckpoint, open_note, read_note},
        verify::{Report, VerifyOptions, verify},
    },
    identity::IdentitySettings,
    money::ledger_writer::WriterSettings,
};
use strongroom_crypto::Keyring;
use strongroom_store::{DatabaseUrl, Store, StoreSettings};

use crate::owner::Owner;

const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
const REQUIRED_VARIABLE: &str = "STRONGROOM_REQUIRE_POSTGRES";
pub(crate) const ORIGIN: &str = "bank.example/log";

static NUMBER: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Whether a server is named; a missing one is a failure where it is required.
pub(crate) fn has_postgres() -> bool {
    let named = std::env::var_os(URL_VARIABLE).is_some();
    assert!(
        named || std::env::var_os(REQUIRED_VARIABLE).is_none(),
        "{URL_VARIABLE} must name a PostgreSQL server"
    );
    if !named {
        eprintln!("not run: {URL_VARIABLE} names no PostgreSQL server");
    }
    named
}

fn root() -> PgConnectOptions {
    std::env::var(URL_VARIABLE).unwrap().parse().unwrap()
}

async fn run_as_root(statement: String) {
    let mut connection = PgConnection::connect_with(&root()).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
}

/// A database on the server; dropped with the value.
#[derive(Debug)]
struct Database(String);

impl Database {
    async fn create(template: Option<&str>) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("strongroom_audit_{}_{number}", std::process::id());
        let template = template
            .map(|name| format!(" TEMPLATE {name}"))
            .unwrap_or_default();
        run_as_root(format!("CREATE DATABASE {name}{template}")).await;
        Self(name)
    }

    fn url(&self) -> String {
        let url = std::env::var(URL_VARIABLE).unwrap();
        let (base, query) = url
            .split_once('?')
            .map_or((url.as_str(), ""), |(base, query)| (base, query));
        let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
        format!("{server}/{}?{query}", self.0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.0.clone();
        // The test's runtime may be ending: a thread with a runtime of its own sees the drop through.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run_as_root(format!("DROP DATABASE {name} WITH (FORCE)")));
        });
        drop(dropped.join());
    }
}

/// One bank's place.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    folder: tempfile::TempDir,
    database: Option<Database>,
    pub(crate) ring: Arc<Keyring>,
}

impl Place {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self {
            kind,
            folder: tempfile::tempdir().unwrap(),
            database: match kind {
                Kind::Sqlite => None,
                Kind::Postgres => Some(Database::create(None).await),
            },
            ring: Arc::new(Keyring::generate(0)),
        }
    }

    /// A copy of the database with the same keys, and no checkpoints yet. Nobody may use the database meanwhile.
    pub(crate) async fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match &self.database {
            Some(database) => Some(Database::create(Some(&database.0)).await),
            None => {
                for name in ["bank.db", "bank.db-wal"] {
                    let from = self.folder.path().join(name);
                    if from.exists() {
                        std::fs::copy(from, folder.path().join(name)).unwrap();
                    }
                }
                None
            }
        };
        Self {
            kind: self.kind,
            folder,
            database,
            ring: self.ring.clone(),
        }
    }

    /// The same database, seen from another machine with its own directory for checkpoints.
    pub(crate) fn another_node(&self) -> PathBuf {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("node{number}"))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("bank.db")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings::new(match &self.database {
            Some(database) => DatabaseUrl::Postgres(database.url()),
            None => DatabaseUrl::Sqlite(self.file()),
        })
    }

    pub(crate) async fn open(&self) -> Result<Bank, Error> {
        self.open_node(self.checkpoints()).await
    }

    /// A node of the bank with its own directory for checkpoints.
    pub(crate) async fn open_node(&self, checkpoints: PathBuf) -> Result<Bank, Error> {
        let store = Store::open(&self.settings()).await?;
        let settings = BankSettings {
            country: "DE".to_owned(),
            code: "10010010".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            log_origin: ORIGIN.to_owned(),
            witnesses: Vec::new(),
            checkpoints,
            writer: WriterSettings::default(),
            limits: Default::default(),
            fraud: Default::default(),
            identity: IdentitySettings::new("https://bank.example"),
        };
        Bank::open(store, self.ring.clone(), &settings, Arc::new(SystemClock)).await
    }

    /// The newest checkpoint that was published outside of the database.
    pub(crate) fn latest(&self) -> SignedCheckpoint {
        let note = read_note(&self.checkpoints().join("latest")).unwrap();
        open_note(&note, &self.ring.note_verifiers(ORIGIN).unwrap()).unwrap()
    }

    /// Verifies the stopped database as `audit verify` does.
    pub(crate) async fn verify(&self, options: VerifyOptions) -> Report {
        let store = Store::open_to_verify(&self.settings()).await.unwrap();
        verify(&store, &self.ring, &options, |_| ()).await.unwrap()
    }

    /// Verifies with nothing but the database and the keys.
    pub(crate) async fn verify_alone(&self) -> Report {
        self.verify(VerifyOptions::default()).await
    }

    /// Verifies against a checkpoint that was kept elsewhere.
    pub(crate) async fn verify_against(&self, checkpoint: &SignedCheckpoint) -> Report {
        self.verify(VerifyOptions {
            checkpoints: vec![checkpoint.clone()],
            ..VerifyOptions::default()
        })
        .await
    }

    /// Somebody who only looks, while the bank runs.
    pub(crate) async fn owner_reading(&self) -> Owner {
        match &self.database {
            None => Owner::sqlite_reading(&self.file()).await,
            Some(database) => Owner::postgres_reading(root().database(&database.0)).await,
        }
    }

    /// Somebody who owns the database, with every trigger and constraint out of the way.
    pub(crate) async fn owner(&self) -> Owner {
        match &self.database {
            None => Owner::sqlite(&self.file()).await,
            Some(database) => Owner::postgres(root().database(&database.0)).await,
        }
    }
}
