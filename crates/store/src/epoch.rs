//! The revocation epoch: what every request asks before it trusts what it remembers.
//!
//! SQLite: a number in memory that the committing writer moves. PostgreSQL: a coalesced question. A request joins
//! the next question that *starts* after the request arrived (an answer that was already under way might be older
//! than a logout that was answered meanwhile); one is on its way, the rest gather. The cost is one round trip at a
//! time, however many requests wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::sqlx::{self, Executor, PgConnection, Row};
use strongroom_domain::id::{ApiKeyId, SessionId, UserId};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    postgres::PostgresEngine,
    store::{Engines, Store},
    tx::{Scope, rows},
};

/// Most requests that wait for the next question.
const WAITING_MAX: usize = 65_536;
/// Most requests that one question answers.
const GATHERED_MAX: usize = 8_192;
/// Longest time a question may take, connecting included. Afterwards nobody's rights are known.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Most revocations that are read one by one; after a longer absence everything is forgotten instead.
pub const REVOCATIONS_READ_MAX: i64 = 10_000;

/// What lost its rights, or has others than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// A session ended.
    Session(SessionId),
    /// A person: state, roles, or all sessions.
    User(UserId),
    /// An integration's key.
    ApiKey(ApiKeyId),
    /// Everybody: all sessions.
    Everybody,
    /// Policies: everybody's rights may be others than before.
    Policies,
    /// Keys of the ring: there is a new one to be taken over. Nobody's rights are others than before.
    Keys,
    /// Rules about fraud: movements are held against others than before. Nobody's rights are others.
    FraudRules,
}

impl Revoked {
    pub(crate) const fn parts(self) -> (&'static str, [u8; 16]) {
        match self {
            Self::Session(id) => ("session", *id.as_bytes()),
            Self::User(id) => ("user", *id.as_bytes()),
            Self::ApiKey(id) => ("api_key", *id.as_bytes()),
            Self::Everybody => ("everybody", [0; 16]),
            Self::Policies => ("policies", [0; 16]),
            Self::Keys => ("keys", [0; 16]),
            Self::FraudRules => ("fraud_rules", [0; 16]),
        }
    }

    fn parse(kind: &str, id: [u8; 16]) -> Option<Self> {
        match kind {
            "session" => Some(Self::Session(SessionId::from_bytes(id))),
            "user" => Some(Self::User(UserId::from_bytes(id))),
            "api_key" => Some(Self::ApiKey(ApiKeyId::from_bytes(id))),
            "everybody" => Some(Self::Everybody),
            "policies" => Some(Self::Policies),
            "keys" => Some(Self::Keys),
            "fraud_rules" => Some(Self::FraudRules),
            _ => None,
        }
    }
}

/// What happened between two epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// These, and nothing else.
    Revoked(Vec<Revoked>),
    /// Too much, or something that this version does not know: trust nothing remembered.
    Everything,
}

impl Delta {
    /// Whether other policies may be in force than before.
    pub fn touches_policies(&self) -> bool {
        self.touches(Revoked::Policies)
    }

    /// Whether the ring may have keys that it had not before.
    pub fn touches_keys(&self) -> bool {
        self.touches(Revoked::Keys)
    }

    /// Whether other rules about fraud may be in force than before.
    pub fn touches_fraud_rules(&self) -> bool {
        self.touches(Revoked::FraudRules)
    }

    fn touches(&self, what: Revoked) -> bool {
        match self {
            Self::Revoked(revoked) => revoked.contains(&what),
            Self::Everything => true,
        }
    }
}

#[derive(sea_orm::FromQueryResult)]
struct RevocationSql {
    kind: String,
    id: Uuid,
}

impl Store {
    /// The revocation epoch now in force: on PostgreSQL one question shared by all who wait, on SQLite none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer: then nobody's rights are known.
    pub async fn epoch(&self) -> Result<i64, StoreError> {
        match &self.engines {
            Engines::Sqlite(engine) => Ok(engine.epoch.load(Ordering::Acquire)),
            Engines::Postgres(engine) => engine.epochs.ask().await,
        }
    }

    /// How often the database was asked for the epoch. Never, on SQLite.
    pub fn epoch_questions(&self) -> u64 {
        match &self.engines {
            Engines::Sqlite(_) => 0,
            Engines::Postgres(engine) => engine.epochs.asked.load(Ordering::Relaxed),
        }
    }

    /// What was revoked after the epoch `after`, up to and including `upto`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub async fn revocations(&self, after: i64, upto: i64) -> Result<Delta, StoreError> {
        if upto.saturating_sub(after) > REVOCATIONS_READ_MAX {
            return Ok(Delta::Everything);
        }
        let read = self.read(Scope::System).await?;
        let found: Vec<RevocationSql> = rows(
            &read.tx,
            "SELECT kind, id FROM revocations WHERE epoch > $1 AND epoch <= $2",
            vec![after.into(), upto.into()],
        )
        .await?;
        let revoked: Vec<_> = found
            .iter()
            .filter_map(|row| Revoked::parse(&row.kind, *row.id.as_bytes()))
            .collect();
        // Each epoch has a row: a missing one was cleaned away, an unknown kind is from a newer version.
        let expected = usize::try_from(upto.saturating_sub(after)).unwrap_or(usize::MAX);
        if revoked.len() == expected {
            Ok(Delta::Revoked(revoked))
        } else {
            Ok(Delta::Everything)
        }
    }
}

type Answer = oneshot::Sender<Result<i64, StoreError>>;

/// Asks PostgreSQL for the epoch on behalf of everybody who waits. Its task ends with the last handle.
#[derive(Debug)]
pub(crate) struct EpochReader {
    asked: Arc<AtomicU64>,
    waiting: mpsc::Sender<Answer>,
    start: Mutex<Option<mpsc::Receiver<Answer>>>,
}

impl EpochReader {
    pub(crate) fn new() -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        Self {
            asked: Arc::default(),
            waiting,
            start: Mutex::new(Some(queue)),
        }
    }

    /// Starts the task that asks, on a connection of its own.
    pub(crate) async fn start(&self, engine: &Arc<PostgresEngine>) {
        if let Some(queue) = self.start.lock().await.take() {
            tokio::spawn(answer_all(queue, engine.app_options(), self.asked.clone()));
        }
    }

    async fn ask(&self) -> Result<i64, StoreError> {
        let (answer, asked) = oneshot::channel();
        let refused = || StoreError::Unavailable("epoch".to_owned());
        self.waiting.try_send(answer).map_err(|_| refused())?;
        asked.await.map_err(|_| refused())?
    }
}

async fn answer_all(
    mut queue: mpsc::Receiver<Answer>,
    options: sqlx::postgres::PgConnectOptions,
    asked: Arc<AtomicU64>,
) {
    let mut connection: Option<PgConnection> = None;
    let mut gathered = Vec::new();
    while queue.recv_many(&mut gathered, GATHERED_MAX).await > 0 {
        asked.fetch_add(1, Ordering::Relaxed);
        let mut answer = ask_once(&mut connection, &options).await;
        if answer.is_err() {
            // The connection may have died while nobody asked: once more on a new one.
            answer = ask_once(&mut connection, &options).await;
        }
        for waiting in gathered.drain(..) {
            // Whoever went away needs no answer.
            let _ = waiting.send(answer.clone());
        }
    }
}

async fn ask_once(
    connection: &mut Option<PgConnection>,
    options: &sqlx::postgres::PgConnectOptions,
) -> Result<i64, StoreError> {
    let asked = timeout(ANSWER_MAX, async {
        if connection.is_none() {
            *connection = Some(crate::postgres::connect_app(options).await?);
        }
        let Some(open) = connection.as_mut() else {
            return Err(StoreError::Unavailable("epoch".to_owned()));
        };
        let row = open
            .fetch_one(sqlx::query("SELECT epoch FROM auth_epoch WHERE id = 1"))
            .await?;
        Ok(row.try_get::<i64, _>(0)?)
    })
    .await
    .unwrap_or_else(|_| Err(StoreError::Unavailable("epoch timed out".to_owned())));
    if asked.is_err() {
        // Also a cancelled question leaves the connection in an unknown state.
        *connection = None;
    }
    asked
}
