//! What was decided, and under which facts: read, counted, and forgotten when it is old.

use sea_orm::{FromQueryResult, Value};
use strongroom_domain::{
    id::{DecisionId, RequestId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{SWEEP_ROWS_MAX, at, hash32, id, uuid};
use crate::{
    audit::LogSnapshot,
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A decision as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The id; the same decision of the same request has the same.
    pub id: DecisionId,
    /// When.
    pub at: Timestamp,
    /// In which request.
    pub request: RequestId,
    /// Number of the principal's kind.
    pub principal_kind: u8,
    /// The principal within the kind.
    pub principal_id: [u8; 16],
    /// What was asked for.
    pub action: String,
    /// What was decided.
    pub allowed: bool,
    /// Number of the set that decided.
    pub version: i64,
    /// Keyed digest of the shared facts.
    pub inputs: [u8; 16],
    /// Minor units and currency, where money would move. Before they had columns they were among the shared facts.
    pub money: Option<(i64, String)>,
    /// Whose thing it was about, where an operator asked; may be the operator's own.
    pub owner: Option<UserId>,
    /// Whose key the address and the reason are sealed under.
    pub person: Option<UserId>,
    /// The address, sealed.
    pub sealed_address: Option<Vec<u8>>,
    /// Why an operator read it, sealed.
    pub sealed_reason: Option<Vec<u8>>,
    /// Number of the key of the authentication code.
    pub mac_key: i64,
    /// Over all of the above but the sealed address.
    pub mac: [u8; 32],
}

/// A decision with the facts that it shares with others, sealed; absent where somebody has taken them away.
pub type DecisionWithFacts = (DecisionRow, Option<Vec<u8>>);

#[derive(FromQueryResult)]
struct CountSql {
    count: i64,
}

#[derive(FromQueryResult)]
struct ReadsSql {
    people: i64,
    pages: i64,
}

#[derive(FromQueryResult)]
struct DecisionSql {
    id: Uuid,
    at: i64,
    request: Uuid,
    principal_kind: i64,
    principal_id: Uuid,
    action: String,
    allowed: bool,
    version: i64,
    inputs: Vec<u8>,
    /// Where it was asked for.
    facts: Option<Vec<u8>>,
    amount: Option<i64>,
    currency: Option<String>,
    owner: Option<Uuid>,
    person: Option<Uuid>,
    sealed_address: Option<Vec<u8>>,
    sealed_reason: Option<Vec<u8>>,
    mac_key: i64,
    mac: Vec<u8>,
}

impl TryFrom<DecisionSql> for DecisionRow {
    type Error = StoreError;

    fn try_from(row: DecisionSql) -> Result<Self, StoreError> {
        // In the bytes of the authentication code a zero ends the action.
        if row.action.contains('\0') {
            return Err(StoreError::Corrupt("an action"));
        }
        Ok(Self {
            id: id(row.id),
            at: at(row.at),
            request: id(row.request),
            principal_kind: u8::try_from(row.principal_kind)
                .map_err(|_| StoreError::Corrupt("a principal's kind"))?,
            principal_id: *row.principal_id.as_bytes(),
            action: row.action,
            allowed: row.allowed,
            version: row.version,
            inputs: row
                .inputs
                .try_into()
                .map_err(|_| StoreError::Corrupt("a digest of another length"))?,
            money: match (row.amount, row.currency) {
                (Some(amount), Some(currency)) => Some((amount, currency)),
                (None, None) => None,
                _ => {
                    return Err(StoreError::Corrupt(
                        "an amount without a currency, or the reverse",
                    ));
                }
            },
            owner: row.owner.map(id),
            person: row.person.map(id),
            sealed_address: row.sealed_address,
            sealed_reason: row.sealed_reason,
            mac_key: row.mac_key,
            mac: hash32(&row.mac)?,
        })
    }
}

impl DecisionSql {
    fn with_facts(mut self) -> Result<DecisionWithFacts, StoreError> {
        let facts = self.facts.take();
        Ok((self.try_into()?, facts))
    }
}

macro_rules! select_decisions {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.at, d.request, d.principal_kind, d.principal_id, d.action, d.allowed, d.version, \
             d.inputs, i.sealed AS facts, d.amount, d.currency, d.owner, d.person, d.sealed_address, d.sealed_reason, \
             d.mac_key, d.mac \
             FROM decisions d LEFT JOIN decision_inputs i ON i.digest = d.inputs WHERE ",
            $rest
        )
    };
}

impl Store {
    /// A decision.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn decision(&self, decision: DecisionId) -> Result<Option<DecisionWithFacts>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<DecisionSql> = rows(
            &read.tx,
            select_decisions!("d.id = $1"),
            vec![uuid(decision).into()],
        )
        .await?;
        found.into_iter().next().map(DecisionSql::with_facts).transpose()
    }

    /// Decisions below an id, newest first, of one principal or of all. At most `examined` rows are looked at.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn decisions(
        &self,
        principal: Option<[u8; 16]>,
        before: Option<DecisionId>,
        examined: u32,
    ) -> Result<Vec<DecisionWithFacts>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let before = before.map_or(Uuid::max(), uuid);
        let found: Vec<DecisionSql> = match principal {
            Some(principal) => {
                rows(
                    &read.tx,
                    select_decisions!("d.principal_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3"),
                    vec![
                        Uuid::from_bytes(principal).into(),
                        before.into(),
                        i64::from(examined).into(),
                    ],
                )
                .await?
            }
            None => {
                rows(
                    &read.tx,
                    select_decisions!("d.id < $1 ORDER BY d.id DESC LIMIT $2"),
                    vec![before.into(), i64::from(examined).into()],
                )
                .await?
            }
        };
        found.into_iter().map(DecisionSql::with_facts).collect()
    }
}

impl LogSnapshot {
    /// The decisions that are bound to an audit record, by id; without the shared facts.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; [`StoreError::Corrupt`] for what this program never writes.
    pub async fn decisions_of(&self, record: i64) -> Result<Vec<DecisionRow>, StoreError> {
        let found: Vec<DecisionSql> = rows(
            &self.read.tx,
            "SELECT id, at, request, principal_kind, principal_id, action, allowed, version, inputs, \
             NULL AS facts, amount, currency, owner, person, sealed_address, sealed_reason, mac_key, mac \
             FROM decisions WHERE record = $1 ORDER BY id",
            vec![record.into()],
        )
        .await?;
        found.into_iter().map(TryInto::try_into).collect()
    }

    /// How many decisions are bound to no record although they came after the first that is.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn unbound_decisions(&self) -> Result<i64, StoreError> {
        let found: Vec<CountSql> = rows(
            &self.read.tx,
            "SELECT count(*) AS count FROM decisions WHERE record = 0 AND at > (SELECT max(at) FROM decisions \
             WHERE record = (SELECT min(record) FROM decisions WHERE record > 0))",
            vec![],
        )
        .await?;
        Ok(found.first().map_or(0, |row| row.count))
    }
}

impl Store {
    /// How much an operator was let read about others since a decision: of how many people, how many pages of lists.
    /// At most `examined` decisions are looked at.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn reads_of(
        &self,
        reader: UserId,
        actions: &[&str],
        since: DecisionId,
        examined: u32,
    ) -> Result<(i64, i64), StoreError> {
        let read = self.read(Scope::Operator).await?;
        let names: Vec<String> = (0..actions.len())
            .map(|place| format!("${}", place + 4))
            .collect();
        let sql = format!(
            "SELECT count(DISTINCT NULLIF(owner, $1)) AS people, count(*) - count(owner) AS pages \
             FROM (SELECT owner FROM decisions WHERE principal_id = $1 AND id >= $2 AND allowed AND action IN ({}) ORDER BY id DESC LIMIT $3) AS newest",
            names.join(", ")
        );
        let mut values: Vec<Value> = vec![
            uuid(reader).into(),
            uuid(since).into(),
            i64::from(examined).into(),
        ];
        values.extend(actions.iter().map(|action| Value::from(*action)));
        let found: Vec<ReadsSql> = rows(&read.tx, &sql, values).await?;
        Ok(found.first().map_or((0, 0), |row| (row.people, row.pages)))
    }
}

impl WriteTx {
    /// Forgets one portion of the decisions below an id, and one of the facts of years before a year; the larger of
    /// how much it was.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or for what is younger than 400 days.
    pub async fn forget_decisions(&self, below: DecisionId, before_year: i64) -> Result<u64, StoreError> {
        let decisions = self
            .execute(
                "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE id < $1 ORDER BY id LIMIT $2)",
                vec![uuid(below).into(), SWEEP_ROWS_MAX.into()],
            )
            .await?;
        let facts = self
            .execute(
                "DELETE FROM decision_inputs WHERE digest IN \
                 (SELECT digest FROM decision_inputs WHERE period > 0 AND period < $1 LIMIT $2)",
                vec![before_year.into(), SWEEP_ROWS_MAX.into()],
            )
            .await?;
        Ok(decisions.max(facts))
    }
}
