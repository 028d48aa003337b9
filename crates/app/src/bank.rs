//! The one facade: everything a surface can ask for is a method of [`Bank`].

use std::{path::PathBuf, sync::Arc};

use jiff::tz::TimeZone;
use quick_cache::sync::Cache;
use strongroom_crypto::{Idempotency, Keyring, WitnessKey};
use strongroom_domain::{
    fraud::{FraudMode, FraudRules},
    iban::Iban,
    id::{AccountId, UserId},
    ledger::{Answer, Order},
    limits::LimitRules,
};
use strongroom_store::{BankRow, Store};

use crate::{
    audit::{
        log::{Checkpoints, prove_continues},
        record::RecordSigner,
        sealer::LogKeeper,
        witnesses::Witnesses,
    },
    authority::{decision_log::DecisionLog, decisions::KnownFacts, policy::Book},
    clock::{BankClock, Clock},
    cx::Cx,
    error::Error,
    identity::{Identity, IdentitySettings, people::People},
    keys::{LiveRing, rotation::RingKeeper},
    money::{
        fraud::FraudInForce,
        fraud_trials::TrialLog,
        ledger_check::LedgerCheck,
        ledger_writer::{LedgerWriter, WriterSettings},
        rails::RailSettings,
    },
    security::stream::Security,
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
    /// Who follows the log from elsewhere and cosigns.
    pub witnesses: Vec<WitnessKey>,
    /// Bounds of the ledger's writer.
    pub writer: WriterSettings,
    /// What customers may pay.
    pub limits: LimitRules,
    /// What is done about what looks like fraud.
    pub fraud: FraudSettings,
    /// How people log in.
    pub identity: IdentitySettings,
}

/// What is done about what looks like fraud.
#[derive(Debug, Clone, Copy, Default)]
pub struct FraudSettings {
    /// Whether verdicts count.
    pub mode: FraudMode,
    /// Above how many whole units of its currency a transfer under review is released by two people.
    pub two_release_over: u64,
    /// How long it is kept why a movement was stopped, in days.
    pub reviews_kept_days: u32,
    /// How long a draft of the rules runs beside the set in force before it is asked for, in hours.
    pub trial_hours_min: u32,
    /// How many movements it is held against meanwhile.
    pub trial_payments_min: u32,
}

/// A running bank.
#[derive(Debug)]
pub struct Bank {
    pub(crate) store: Store,
    pub(crate) keeper: RingKeeper,
    pub(crate) keyed: Idempotency,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) zone: TimeZone,
    pub(crate) row: BankRow,
    pub(crate) limits: Arc<LimitRules>,
    pub(crate) fraud: FraudSettings,
    /// The rules that the lane of this node decides by.
    pub(crate) fraud_rules: FraudInForce,
    pub(crate) fraud_trials: TrialLog,
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
    /// Facts of decisions that are in the database.
    pub(crate) known_facts: KnownFacts,
    /// What every decision about people and integrations is taken under.
    pub(crate) policies: Book,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) check: LedgerCheck,
    /// What is noticed of attacks.
    pub(crate) security: Arc<Security>,
    /// How payments leave the bank.
    pub(crate) rail: tokio::sync::OnceCell<RailSettings>,
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
        let fraud_rules = FraudInForce::new(FraudRules::built_in(settings.fraud.mode));
        let bank_clock = BankClock {
            clock: clock.clone(),
            zone: zone.clone(),
            limits: limits.clone(),
            fraud: fraud_rules.clone(),
        };
        // Before anything is written: a log that was cut or rewritten is not continued.
        let checkpoints = Arc::new(Checkpoints::open(&settings.checkpoints, &ring, &row.log_origin)?);
        if let Some(latest) = checkpoints.latest() {
            // Read after the checkpoint: another node may have signed more than there was when this one began.
            let head = store.log_head().await?;
            prove_continues(&store, &latest, &head).await?;
        }
        let live = LiveRing::from(ring.clone());
        let security = Arc::<Security>::default();
        let recorder = RecordSigner::new(live.clone(), security.clone());
        let lane = store.lane(Arc::new(bank_clock));
        let fraud_trials = TrialLog::default();
        let writer = LedgerWriter::start(
            lane,
            Arc::new(live.clone()),
            settings.writer,
            fraud_trials.clone(),
        )
        .map_err(Error::internal)?;
        let bank = Self {
            _keeper: LogKeeper::start(&store, checkpoints.clone(), clock.clone(), security.clone()),
            checkpoints,
            witnesses: Arc::new(Witnesses::open(&settings.checkpoints, &settings.witnesses)),
            check: LedgerCheck::default(),
            rail: tokio::sync::OnceCell::new(),
            people: People::new(store.clone(), live.clone()),
            owners: Cache::new(FACTS_CACHED_MAX),
            numbers: Cache::new(FACTS_CACHED_MAX),
            decisions: Arc::new(DecisionLog::told_to(security.clone())),
            known_facts: KnownFacts::default(),
            security,
            policies: Book::new(zone.clone()).map_err(Error::internal)?,
            keyed: ring.idempotency(),
            identity: Identity::new(&ring, &settings.identity)?,
            store,
            keeper: live.into(),
            clock,
            zone,
            row,
            limits,
            fraud: settings.fraud,
            fraud_rules,
            fraud_trials,
            writer,
            recorder,
        };
        // Before the first request: who is refused here is refused by a node that was away when it was decided.
        bank.read_blocked_networks().await?;
        Ok(bank)
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
                self.tell_limit(&current, &answers);
                return Ok(answers);
            }
            current = self.renew(&current).await?;
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
