//! What was decided, and under which facts: appended in portions, never changed.

use std::collections::BTreeMap;

use sea_orm::{FromQueryResult, Value};
use strongroom_domain::{
    id::{DecisionId, RequestId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, hash32, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// Decisions of one statement: thirteen values each, within what both engines bind.
const STATEMENT_ROWS_MAX: usize = 64;

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
    /// The shared facts, sealed.
    pub sealed_inputs: Vec<u8>,
    /// Whose key the address is sealed under.
    pub person: Option<UserId>,
    /// The address, sealed.
    pub sealed_address: Option<Vec<u8>>,
    /// Number of the key of the authentication code.
    pub mac_key: i64,
    /// Over all of the above but what is sealed.
    pub mac: [u8; 32],
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
    sealed_inputs: Vec<u8>,
    person: Option<Uuid>,
    sealed_address: Option<Vec<u8>>,
    mac_key: i64,
    mac: Vec<u8>,
}

impl TryFrom<DecisionSql> for DecisionRow {
    type Error = StoreError;

    fn try_from(row: DecisionSql) -> Result<Self, StoreError> {
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
            sealed_inputs: row.sealed_inputs,
            person: row.person.map(id),
            sealed_address: row.sealed_address,
            mac_key: row.mac_key,
            mac: hash32(&row.mac)?,
        })
    }
}

macro_rules! select_decisions {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.at, d.request, d.principal_kind, d.principal_id, d.action, d.allowed, d.version, \
             d.inputs, i.sealed AS sealed_inputs, d.person, d.sealed_address, d.mac_key, d.mac \
             FROM decisions d JOIN decision_inputs i ON i.digest = d.inputs WHERE ",
            $rest
        )
    };
}

impl Store {
    /// A decision.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn decision(&self, decision: DecisionId) -> Result<Option<DecisionRow>, StoreError> {
        let read = self.read(Scope::Operator).await?;
        let found: Vec<DecisionSql> = rows(
            &read.tx,
            select_decisions!("d.id = $1"),
            vec![uuid(decision).into()],
        )
        .await?;
        found.into_iter().next().map(TryInto::try_into).transpose()
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
    ) -> Result<Vec<DecisionRow>, StoreError> {
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
        found.into_iter().map(TryInto::try_into).collect()
    }
}

/// `($1, …, $n), ($n+1, …)`: places for so many rows of so many values.
fn places(rows: usize, values: usize) -> String {
    let row = |number: usize| {
        let first = number * values;
        let places: Vec<String> = (1..=values).map(|value| format!("${}", first + value)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

impl WriteTx {
    /// Appends decisions, and facts that are not there yet. Whatever is there already stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer.
    pub async fn insert_decisions(&self, decisions: &[DecisionRow]) -> Result<(), StoreError> {
        let inputs: BTreeMap<_, _> = decisions
            .iter()
            .map(|row| (row.inputs, &row.sealed_inputs))
            .collect();
        let inputs: Vec<_> = inputs.into_iter().collect();
        for portion in inputs.chunks(STATEMENT_ROWS_MAX) {
            let sql = format!(
                "INSERT INTO decision_inputs (digest, sealed) VALUES {} ON CONFLICT DO NOTHING",
                places(portion.len(), 2)
            );
            let values = portion
                .iter()
                .flat_map(|(digest, sealed)| [digest.to_vec().into(), (*sealed).clone().into()]);
            self.execute(&sql, values.collect()).await?;
        }
        for portion in decisions.chunks(STATEMENT_ROWS_MAX) {
            let sql = format!(
                "INSERT INTO decisions (id, at, request, principal_kind, principal_id, action, allowed, version, \
                 inputs, person, sealed_address, mac_key, mac) VALUES {} ON CONFLICT DO NOTHING",
                places(portion.len(), 13)
            );
            let values = portion.iter().flat_map(|row| -> [Value; 13] {
                [
                    uuid(row.id).into(),
                    row.at.micros().into(),
                    uuid(row.request).into(),
                    i64::from(row.principal_kind).into(),
                    Uuid::from_bytes(row.principal_id).into(),
                    row.action.as_str().into(),
                    row.allowed.into(),
                    row.version.into(),
                    row.inputs.to_vec().into(),
                    row.person.map(uuid).into(),
                    row.sealed_address.clone().into(),
                    row.mac_key.into(),
                    row.mac.to_vec().into(),
                ]
            });
            self.execute(&sql, values.collect()).await?;
        }
        Ok(())
    }
}
