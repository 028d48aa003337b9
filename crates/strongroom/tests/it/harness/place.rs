//! Where a server's database lies.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

/// The superuser's URL.
const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
/// Set where a missing server is a failure.
const REQUIRED_VARIABLE: &str = "STRONGROOM_REQUIRE_POSTGRES";

/// Where that server has a disk that is soon full.
const SMALL_DISK_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES_SMALL_DISK";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of one test; dropped with it.
#[derive(Debug)]
pub(crate) struct Database {
    root: PgConnectOptions,
    name: String,
    /// The tablespace that it has to itself, if it has one.
    disk: Option<String>,
    /// URL of the database.
    pub(crate) url: String,
}

impl Database {
    /// A new database, or `None` with a notice where no server is named.
    pub(crate) async fn create() -> Option<Self> {
        Self::create_on(None).await
    }

    /// A new database on a disk that is soon full, or `None` with a notice where the server has none.
    pub(crate) async fn create_on_small_disk() -> Option<Self> {
        let Ok(place) = std::env::var(SMALL_DISK_VARIABLE) else {
            eprintln!("not run: {SMALL_DISK_VARIABLE} names no small disk of the PostgreSQL server");
            return None;
        };
        Self::create_on(Some(place)).await
    }

    async fn create_on(place: Option<String>) -> Option<Self> {
        let Ok(url) = std::env::var(URL_VARIABLE) else {
            assert!(
                std::env::var(REQUIRED_VARIABLE).is_err(),
                "{URL_VARIABLE} must name a PostgreSQL server"
            );
            eprintln!("not run: {URL_VARIABLE} names no PostgreSQL server");
            return None;
        };
        let root: PgConnectOptions = url.parse().unwrap();
        let name = format!(
            "strongroom_it_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut connection = PgConnection::connect_with(&root).await.unwrap();
        let mut run = async |sql: String| {
            connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        };
        let disk = place.is_some().then(|| format!("{name}_disk"));
        match (&disk, place) {
            (Some(disk), Some(place)) => {
                run(format!("CREATE TABLESPACE {disk} LOCATION '{place}'")).await;
                run(format!("CREATE DATABASE {name} TABLESPACE {disk}")).await;
            }
            _ => run(format!("CREATE DATABASE {name}")).await,
        }
        let (base, query) = url
            .split_once('?')
            .map_or((url.as_str(), None), |(base, query)| (base, Some(query)));
        let base = base.rsplit_once('/').map_or(base, |(server, _)| server);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Some(Self {
            root,
            url: format!("{base}/{name}{query}"),
            name,
            disk,
        })
    }

    /// A superuser's connection to the server, outside the test's database.
    pub(crate) async fn connect_outside(&self) -> PgConnection {
        PgConnection::connect_with(&self.root).await.unwrap()
    }

    /// Its tablespace, if it has one to itself.
    pub(crate) fn disk(&self) -> Option<&str> {
        self.disk.as_deref()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A superuser's connection to the test's database.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.root.clone().database(&self.name))
            .await
            .unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (root, name, disk) = (self.root.clone(), self.name.clone(), self.disk.clone());
        // The test's runtime may be ending: a thread with a runtime of its own sees the drop through.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&root).await?;
                connection
                    .execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                    .await?;
                if let Some(disk) = disk {
                    let sql = format!("DROP TABLESPACE {disk}");
                    connection.execute(sqlx::AssertSqlSafe(sql)).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("a test's database was not dropped");
        }
    }
}
