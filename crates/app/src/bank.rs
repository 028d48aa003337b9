//! The one facade: everything a surface can ask for is a method of [`Bank`].

use std::{path::PathBuf, sync::Arc};

use jiff::tz::TimeZone;
use quick_cache::sync::Cache;
use strongroom_crypto::{Idempotency, Keyring};
use strongroom_domain::{
    iban::Iban,
    id::{AccountId, UserId},
    ledger::{Answer, Command, Order},
    limits::LimitRules,
};
use strongroom_store::{BankRow, Store};

use crate::{
    audit_log::{Checkpoints, prove_continues},
    clock::{BankClock, Clock},
    cx::Cx,
    decision_log::DecisionLog,
    error::Error,
    identity::{Identity, IdentitySettings},
    ledger_check::LedgerCheck,
    ledger_writer::{LedgerWriter, WriterSettings},
    people::People,
    policy::Book,
    record::RecordSigner,
    sealer::LogKeeper,
};

/// What a bank is founded with and run by.
#[derive(Debug, Clone)]
pub struct BankSettings {
    /// ISO 3166 country of its account numbers; fixed at first start.
    pub country: String,
    /// Its code within them; fixed at first start.
    pub code: String,
    /// IANA name of its time zone; fixed at first start.
    pub time_zone: String,
    /// Origin line of its audit log's checkpoints (host name of its public URL); fixed at first start.
    pub log_origin: String,
    /// Where checkpoints of the audit log are kept, outside the database.
    pub checkpoints: PathBuf,
    /// Bounds of the ledger's writer.
    pub writer: WriterSettings,
    /// What customers may pay.
    pub limits: LimitRules,
    /// How people log in.
    pub identity: IdentitySettings,
}

/// A running bank.
#[derive(Debug)]
pub struct Bank {
    pub(crate) store: Store,
    pub(crate) ring: Arc<Keyring>,
    pub(crate) keyed: Idempotency,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) zone: TimeZone,
    pub(crate) row: BankRow,
    pub(crate) limits: Arc<LimitRules>,
    pub(crate) writer: LedgerWriter,
    pub(crate) people: People,
    pub(crate) recorder: RecordSigner,
    /// Whose an account is never changes: no row is read twice to know it.
    pub(crate) owners: Cache<AccountId, UserId>,
    /// Nor does the account behind a number.
    pub(crate) numbers: Cache<Iban, AccountId>,
    pub(crate) identity: Identity,
    /// Decisions on their way to the database.
    pub(crate) decisions: Arc<DecisionLog>,
    /// What every decision about people and integrations is taken under.
    pub(crate) policies: Book,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) check: LedgerCheck,
    _keeper: LogKeeper,
}

/// Most accounts whose fixed facts are kept in memory (about 100 bytes each).
const FACTS_CACHED_MAX: usize = 100_000;
/// How often a command is authorized again because rights changed while it waited.
pub(crate) const STALE_ATTEMPTS_MAX: usize = 5;

impl Bank {
    /// Founds the bank or takes it up again, and starts its writer.
    ///
    /// # Errors
    /// When the database does not answer, or says that the bank is another one than the settings do.
    pub async fn open(
        store: Store,
        ring: Arc<Keyring>,
        settings: &BankSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let row = found_or_load(&store, settings, clock.as_ref()).await?;
        let zone = TimeZone::get(&row.time_zone).map_err(Error::internal)?;
        let limits = Arc::new(settings.limits.clone());
        let bank_clock = BankClock {
            clock: clock.clone(),
            zone: zone.clone(),
            limits: limits.clone(),
        };
        // Before anything is written: a log that was cut or rewritten is not continued.
        let checkpoints = Arc::new(Checkpoints::open(&settings.checkpoints, &ring, &row.log_origin)?);
        if let Some(latest) = checkpoints.latest() {
            // Read after the checkpoint: another node may have signed more than there was when this one began.
            let head = store.log_head().await?;
            prove_continues(&store, &latest, &head).await?;
        }
        let recorder = RecordSigner::new(ring.audit_mac());
        let lane = store.lane(Arc::new(bank_clock));
        let writer = LedgerWriter::start(lane, Arc::new(recorder.clone()), settings.writer)
            .map_err(Error::internal)?;
        Ok(Self {
            _keeper: LogKeeper::start(&store, checkpoints.clone(), clock.clone()),
            checkpoints,
            check: LedgerCheck::default(),
            people: People::new(store.clone(), ring.clone()),
            owners: Cache::new(FACTS_CACHED_MAX),
            numbers: Cache::new(FACTS_CACHED_MAX),
            decisions: Arc::default(),
            policies: Book::new(zone.clone()).map_err(Error::internal)?,
            keyed: ring.idempotency(),
            identity: Identity::new(&ring, &settings.identity)?,
            store,
            ring,
            clock,
            zone,
            row,
            limits,
            writer,
            recorder,
        })
    }

    /// The store, for health checks and jobs.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The writer, for health checks and measurements.
    pub const fn writer(&self) -> &LedgerWriter {
        &self.writer
    }

    /// The bank's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The bank's time zone.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Sends a command to the books; where rights changed while it waited, decides anew with the rights of now.
    /// As [`Self::submit`], for an order: rights that changed on the way are asked for again for all of it.
    pub(crate) async fn submit_order(
        &self,
        cx: &Cx,
        order: impl Fn(&Cx) -> Result<Order, Error>,
    ) -> Result<Vec<Answer>, Error> {
        let mut current = cx.clone();
        for _ in 0..STALE_ATTEMPTS_MAX {
            let answers = self.writer.submit_order(order(&current)?).await?;
            if !answers.contains(&Answer::Stale) {
                return Ok(answers);
            }
            current = self.renew(&current).await?;
        }
        Err(Error::overloaded())
    }

    pub(crate) async fn submit(
        &self,
        cx: &Cx,
        command: impl Fn(&Cx) -> Result<Command, Error>,
    ) -> Result<Answer, Error> {
        let mut current = cx.clone();
        for _ in 0..STALE_ATTEMPTS_MAX {
            match self.writer.submit(command(&current)?).await? {
                Answer::Stale => current = self.renew(&current).await?,
                answer => return Ok(answer),
            }
        }
        Err(Error::overloaded())
    }
}

async fn found_or_load(store: &Store, settings: &BankSettings, clock: &dyn Clock) -> Result<BankRow, Error> {
    let wanted = BankRow {
        country: settings.country.clone(),
        code: settings.code.clone(),
        time_zone: settings.time_zone.clone(),
        log_origin: settings.log_origin.clone(),
        created_at: clock.now(),
    };
    TimeZone::get(&wanted.time_zone).map_err(Error::internal)?;
    if store.bank().await?.is_none() {
        store.found_bank(&wanted).await?;
    }
    let row = store
        .bank()
        .await?
        .ok_or_else(|| Error::broken("the bank was founded and is not there"))?;
    if (&row.country, &row.code, &row.time_zone) != (&wanted.country, &wanted.code, &wanted.time_zone) {
        return Err(Error::internal(strongroom_store::StoreError::Setup(format!(
            "bank.country, bank.code and bank.time_zone are fixed at first start: this database is of {} {} {}",
            row.country, row.code, row.time_zone
        ))));
    }
    Ok(row)
}
