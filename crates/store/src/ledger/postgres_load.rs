//! What a batch on PostgreSQL begins with: its locks and what it reads under them, in one round trip.
//!
//! Each statement of the simple query protocol has its own snapshot, as it would have in a message of its own: what is
//! read after the locks is what was committed before they were given. The statements are prepared by name when the
//! lane connects, so that none is planned again. Their arguments are literals, of ids, numbers, keyed tags and account
//! numbers only: none of these can hold a quote.

use std::{
    collections::{HashMap, HashSet},
    fmt::{Display, Write as _},
};

use futures::TryStreamExt;
use sea_orm::sqlx::{self, Either, Executor, PgConnection, Row, postgres::PgRow};
use strongroom_domain::{
    account::Account,
    beneficiary::Beneficiary,
    fraud::Features,
    hold::Hold,
    iban::Iban,
    id::{AccountId, ApiKeyId, BeneficiaryId, HoldId, RequestId, StepUpId, UserId},
    ledger::{BudgetState, Fingerprint, IdempotencyTag, StepUp, StoredOutcome},
    limits::{CustomerLimits, LimitsOfAccounts},
    money::Currency,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    ledger::{
        Need,
        postgres_sending::beneficiary_row,
        rows::{AccountRow, HoldRow, StateRow, account_limits, currency_of, customer_limits, hold_columns},
    },
};

/// Advisory lock: shared by batches, alone for a change of rights.
pub(crate) const LOCK_RIGHTS: i64 = 1_397_882_881;

/// Begins and takes the advisory locks of a batch, shared: [`LOCK_RIGHTS`], and the one of the generation of
/// idempotency keys, which the schema's `idempotency_turn` takes alone.
const BEGIN: &str =
    "BEGIN; SELECT pg_advisory_xact_lock_shared(1397882881), pg_advisory_xact_lock_shared(1397882882)";

/// All that a batch asks for it asks for by key. A planner that thinks a table small, or a batch large, reads the
/// whole table and joins by hash: right at a hundred customers, wrong at a million, and one analysis of the tables
/// apart. Compiling plans takes longer than any of them runs.
const BY_KEY: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// Whose the touched accounts are is looked up apart from whether they are anybody's: together, an index of owners that
/// begins with another column would seem to be enough, and all of it would be read for each account.
///
/// Accounts are locked in the order of their ids, and so are approvals. Of the batch's read there is one row at least,
/// and one more for each further key that is known.
const PREPARE: &str = concat!(
    "PREPARE lane_accounts (uuid[]) AS \
      SELECT a.id, a.owner, a.kind, a.currency, s.floor, s.freezes, s.closed, s.balance, s.held, s.entries, \
      s.last_booked_at, s.path, s.holds, s.hold_due FROM account_states s JOIN accounts a ON a.id = s.account_id \
      WHERE s.account_id = ANY($1) ORDER BY s.account_id FOR UPDATE OF s; \
    PREPARE lane_limits (uuid[], uuid[], text[]) AS \
      WITH touched AS MATERIALIZED (SELECT owner, currency FROM accounts WHERE id = ANY($1)) \
      SELECT l.owner, l.currency, l.state, l.features, l.accounts FROM customer_limits l JOIN (\
        SELECT owner, currency FROM touched WHERE owner IS NOT NULL UNION SELECT * FROM unnest($2, $3)\
      ) n ON n.owner = l.owner AND n.currency = l.currency ORDER BY l.owner, l.currency FOR UPDATE OF l; \
    PREPARE lane_step_ups (uuid[]) AS \
      SELECT id, request, expires_at, spent_at FROM step_ups WHERE id = ANY($1) ORDER BY id FOR UPDATE; \
    PREPARE lane_holds (uuid[]) AS SELECT ",
    hold_columns!(),
    " FROM holds h WHERE h.id = ANY($1); \
    PREPARE lane_budgets (uuid[]) AS \
      SELECT integration, opened_at, spent FROM key_budgets WHERE integration = ANY($1) ORDER BY integration FOR UPDATE; \
    PREPARE lane_nonces (bigint[], uuid[]) AS \
      SELECT n.digest, r.request FROM unnest($1, $2) AS n (period, digest) JOIN replays r ON r.digest = n.digest \
      AND r.period BETWEEN n.period - 1 AND n.period + 1; \
    PREPARE lane_beneficiaries (uuid[]) AS \
      SELECT id, owner, account_id, currency, added_at, removed_at, paid, last_payment, last_amount, last_at, \
      earlier \
      FROM beneficiaries WHERE id = ANY($1) ORDER BY id FOR UPDATE; \
    PREPARE lane_read (uuid[], text[]) AS \
      SELECT c.now, c.entry_block, c.record_block, c.epoch, c.generation, c.taken, \
      o.tag, o.fingerprint, o.code, o.resource, o.at FROM (\
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, nextval('entry_blocks') AS entry_block, \
        nextval('record_blocks') AS record_block, (SELECT epoch FROM auth_epoch WHERE id = 1) AS epoch, \
        (SELECT generation FROM idempotency_generation WHERE id = 1) AS generation, \
        ARRAY(SELECT number FROM accounts WHERE number = ANY($2)) AS taken OFFSET 0\
      ) c LEFT JOIN idempotency_outcomes o ON o.tag = ANY($1)"
);

/// Once on every new connection of the lane.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute(BY_KEY).await?;
    connection.execute(PREPARE).await?;
    Ok(())
}

/// What a batch has locked and read.
pub(super) struct Loaded {
    pub(super) accounts: HashMap<AccountId, Account>,
    pub(super) step_ups: HashMap<StepUpId, StepUp>,
    pub(super) holds: HashMap<HoldId, Hold>,
    pub(super) budgets: HashMap<ApiKeyId, BudgetState>,
    pub(super) nonces: HashMap<[u8; 16], RequestId>,
    pub(super) limits: HashMap<(UserId, Currency), CustomerLimits>,
    pub(super) account_limits: HashMap<(UserId, Currency), LimitsOfAccounts>,
    pub(super) beneficiaries: HashMap<BeneficiaryId, Beneficiary>,
    pub(super) features: HashMap<(UserId, Currency), Features>,
    pub(super) outcomes: HashMap<IdempotencyTag, StoredOutcome>,
    pub(super) taken_numbers: HashSet<Iban>,
    pub(super) now: Timestamp,
    pub(super) entry_block: i64,
    pub(super) record_block: i64,
    pub(super) epoch: i64,
    pub(super) generation: i64,
}

/// The statements of a batch's beginning, and how many they are. Few batches have approvals, holds, budgets or nonces:
/// no statement for the others.
pub(super) fn question(need: &Need) -> (String, u64) {
    const BYTES_PER_ID: usize = 38;
    let ids = need.accounts.len() + need.tags.len() + need.step_ups.len() + need.numbers.len();
    let mut text = String::with_capacity(256 + ids * BYTES_PER_ID);
    text.push_str(BEGIN);
    let call = |text: &mut String, name: &str| {
        text.push_str("; EXECUTE ");
        text.push_str(name);
    };
    call(&mut text, "lane_accounts (");
    array(&mut text, need.accounts.iter().map(|id| uuid(id.as_bytes())));
    call(&mut text, "lane_limits (");
    array(&mut text, need.accounts.iter().map(|id| uuid(id.as_bytes())));
    text.pop();
    text.push(',');
    array(
        &mut text,
        need.customers.iter().map(|(owner, _)| uuid(owner.as_bytes())),
    );
    text.pop();
    text.push(',');
    array(
        &mut text,
        need.customers.iter().map(|(_, currency)| currency.code()),
    );
    let mut statements = 5;
    if !need.step_ups.is_empty() {
        statements += 1;
        call(&mut text, "lane_step_ups (");
        array(&mut text, need.step_ups.iter().map(|id| uuid(id.as_bytes())));
    }
    if !need.holds.is_empty() {
        statements += 1;
        call(&mut text, "lane_holds (");
        array(&mut text, need.holds.iter().map(|id| uuid(id.as_bytes())));
    }
    if !need.budgets.is_empty() {
        statements += 1;
        call(&mut text, "lane_budgets (");
        array(&mut text, need.budgets.iter().map(|id| uuid(id.as_bytes())));
    }
    if !need.nonces.is_empty() {
        statements += 1;
        call(&mut text, "lane_nonces (");
        array(&mut text, need.nonces.iter().map(|nonce| nonce.period));
        text.pop();
        text.push(',');
        array(&mut text, need.nonces.iter().map(|nonce| uuid(&nonce.digest)));
    }
    let payees = &need.sending.beneficiaries;
    if !payees.is_empty() {
        statements += 1;
        call(&mut text, "lane_beneficiaries (");
        array(&mut text, payees.iter().map(|id| uuid(id.as_bytes())));
    }
    call(&mut text, "lane_read (");
    array(&mut text, need.tags.iter().map(uuid));
    text.pop();
    text.push(',');
    array(&mut text, need.numbers.iter().map(Iban::as_str));
    (text, statements)
}

const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// An array literal, and the end of the arguments.
fn array(text: &mut String, items: impl Iterator<Item = impl Display>) {
    text.push_str("'{");
    for (at, item) in items.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{item}");
    }
    text.push_str("}')");
}

/// Which of the statements that few batches have were asked, in their order: approvals, holds, budgets, nonces,
/// beneficiaries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Few([bool; 5]);

impl Few {
    pub(super) fn of(need: &Need) -> Self {
        Self([
            !need.step_ups.is_empty(),
            !need.holds.is_empty(),
            !need.budgets.is_empty(),
            !need.nonces.is_empty(),
            !need.sending.beneficiaries.is_empty(),
        ])
    }

    /// The answers, each in its place; those that were not asked for are empty.
    fn of_answers(self, answers: &[Vec<PgRow>]) -> Result<[&[PgRow]; 5], StoreError> {
        let mut rest = answers.iter();
        let found = self.0.map(|asked| match asked {
            true => rest.next().map(Vec::as_slice),
            false => Some(&[][..]),
        });
        match (found, rest.next()) {
            (
                [
                    Some(step_ups),
                    Some(holds),
                    Some(budgets),
                    Some(nonces),
                    Some(payees),
                ],
                None,
            ) => Ok([step_ups, holds, budgets, nonces, payees]),
            _ => Err(StoreError::Corrupt("another number of answers than of questions")),
        }
    }
}

impl Loaded {
    /// Asks [`question`] and reads its answers.
    pub(super) async fn ask(
        connection: &mut PgConnection,
        question: String,
        asked: Few,
    ) -> Result<Self, StoreError> {
        let mut answers = vec![Vec::new()];
        let mut stream = sqlx::raw_sql(sqlx::AssertSqlSafe(question)).fetch_many(connection);
        while let Some(part) = stream.try_next().await? {
            match part {
                Either::Left(_done) => answers.push(Vec::new()),
                Either::Right(row) => answers
                    .last_mut()
                    .map_or((), |rows: &mut Vec<PgRow>| rows.push(row)),
            }
        }
        drop(stream);
        // One answer per statement, and the empty one behind the last: begin, the advisory locks, accounts, limits,
        // what few batches have, the read.
        let [_, _, accounts, limits, few @ .., read, _] = answers.as_slice() else {
            return Err(StoreError::Corrupt("no answer to the batch's beginning"));
        };
        let [step_ups, holds, budgets, nonces, payees] = asked.of_answers(few)?;
        let first = read
            .first()
            .ok_or(StoreError::Corrupt("no answer to the batch's read"))?;
        let taken: Vec<String> = first.try_get(5)?;
        let mut loaded = Self {
            accounts: HashMap::with_capacity(accounts.len()),
            step_ups: HashMap::new(),
            holds: HashMap::new(),
            budgets: HashMap::new(),
            nonces: HashMap::new(),
            limits: HashMap::with_capacity(limits.len()),
            account_limits: HashMap::new(),
            beneficiaries: HashMap::new(),
            features: HashMap::with_capacity(limits.len()),
            outcomes: HashMap::new(),
            taken_numbers: taken
                .iter()
                .filter_map(|number| Iban::parse(number).ok())
                .collect(),
            now: Timestamp::from_micros(first.try_get(0)?),
            entry_block: first.try_get(1)?,
            record_block: first.try_get(2)?,
            epoch: first.try_get(3)?,
            generation: first.try_get(4)?,
        };
        for row in accounts {
            let account = Account::try_from(account_row(row)?)?;
            loaded.accounts.insert(account.id, account);
        }
        for row in limits {
            let (customer, state) = limits_row(row)?;
            loaded.limits.insert(customer, state);
            // What cannot be read is not there: rules look at whoever has no row.
            let known: Option<Vec<u8>> = row.try_get(3)?;
            let known = known.and_then(|known| Features::from_bytes(&known));
            loaded.features.extend(known.map(|known| (customer, known)));
            let accounts: Option<Vec<u8>> = row.try_get(4)?;
            let accounts = account_limits(accounts.as_deref())?;
            loaded
                .account_limits
                .extend(accounts.map(|accounts| (customer, accounts)));
        }
        for row in step_ups {
            let (id, approval) = step_up(row)?;
            loaded.step_ups.insert(id, approval);
        }
        for row in holds {
            let hold = Hold::try_from(hold_row(row)?)?;
            loaded.holds.insert(hold.id, hold);
        }
        for row in budgets {
            let (id, state) = budget(row)?;
            loaded.budgets.insert(id, state);
        }
        for row in nonces {
            let digest = row.try_get::<Uuid, _>(0)?.into_bytes();
            let request = RequestId::from_bytes(row.try_get::<Uuid, _>(1)?.into_bytes());
            loaded.nonces.insert(digest, request);
        }
        for row in payees {
            let beneficiary = Beneficiary::try_from(beneficiary_row(row)?)?;
            loaded.beneficiaries.insert(beneficiary.id, beneficiary);
        }
        for row in read {
            if let Some(outcome) = outcome(row)? {
                loaded.outcomes.insert(outcome.tag, outcome);
            }
        }
        Ok(loaded)
    }
}

fn step_up(row: &PgRow) -> Result<(StepUpId, StepUp), StoreError> {
    let request: Vec<u8> = row.try_get(1)?;
    let approval = StepUp {
        request: request
            .try_into()
            .map_err(|_| StoreError::Corrupt("an approval's request"))?,
        expires_at: Timestamp::from_micros(row.try_get(2)?),
        spent: row.try_get::<Option<i64>, _>(3)?.is_some(),
    };
    let id = StepUpId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes());
    Ok((id, approval))
}

fn limits_row(row: &PgRow) -> Result<((UserId, Currency), CustomerLimits), StoreError> {
    let owner = UserId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes());
    let currency = currency_of(row.try_get(1)?)?;
    let state: Vec<u8> = row.try_get(2)?;
    Ok(((owner, currency), customer_limits(&state)?))
}

fn budget(row: &PgRow) -> Result<(ApiKeyId, BudgetState), StoreError> {
    let state = BudgetState {
        opened_at: Timestamp::from_micros(row.try_get(1)?),
        spent: row.try_get(2)?,
    };
    Ok((
        ApiKeyId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes()),
        state,
    ))
}

fn account_row(row: &PgRow) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        owner: row.try_get::<Option<Uuid>, _>(1)?.map(Uuid::into_bytes),
        kind: row.try_get(2)?,
        currency: row.try_get(3)?,
        state: StateRow {
            floor: row.try_get(4)?,
            freezes: row.try_get(5)?,
            closed: row.try_get(6)?,
            balance: row.try_get(7)?,
            held: row.try_get(8)?,
            entries: row.try_get(9)?,
            last_booked_at: row.try_get(10)?,
            path: row.try_get(11)?,
            holds: row.try_get(12)?,
            hold_due: row.try_get(13)?,
        },
    })
}

/// Every open hold of accounts on which one may be over. Asked only of these: a round trip that few batches need.
pub(super) async fn open_holds(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<Vec<Hold>, StoreError> {
    const OPEN_HOLDS: &str = concat!(
        "SELECT ",
        hold_columns!(),
        " FROM holds h WHERE h.account_id = ANY($1) AND h.state = 0"
    );
    let ids: Vec<Uuid> = accounts.iter().map(|id| uuid(id.as_bytes())).collect();
    let found = sqlx::query(OPEN_HOLDS).bind(ids).fetch_all(connection).await?;
    found.iter().map(|row| Hold::try_from(hold_row(row)?)).collect()
}

pub(super) fn hold_row(row: &PgRow) -> Result<HoldRow, StoreError> {
    Ok(HoldRow {
        id: row.try_get::<Uuid, _>(0)?.into_bytes(),
        account: row.try_get::<Uuid, _>(1)?.into_bytes(),
        to_account: row.try_get::<Uuid, _>(2)?.into_bytes(),
        amount: row.try_get(3)?,
        currency: row.try_get(4)?,
        captured: row.try_get(5)?,
        state: row.try_get(6)?,
        placed_at: row.try_get(7)?,
        expires_at: row.try_get(8)?,
        closed_at: row.try_get(9)?,
        review: row.try_get(10)?,
    })
}

fn outcome(row: &PgRow) -> Result<Option<StoredOutcome>, StoreError> {
    let Some(tag) = row.try_get::<Option<Uuid>, _>(6)? else {
        return Ok(None);
    };
    Ok(Some(StoredOutcome {
        tag: tag.into_bytes(),
        fingerprint: Fingerprint::from_bytes(row.try_get(7)?),
        code: row.try_get(8)?,
        resource: row.try_get::<Option<Uuid>, _>(9)?.map(Uuid::into_bytes),
        at: Timestamp::from_micros(row.try_get(10)?),
    }))
}
