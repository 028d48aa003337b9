//! Decisions on their way into the database, and the audit record that they are bound to, in one commit.
//!
//! Under load this is written for a third of all movements: on SQLite through prepared statements, row by row as the
//! books are. The texts of the statements are the same on both engines.

use std::{collections::HashSet, sync::Arc};

use rusqlite::TransactionBehavior;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Value};
use strongroom_domain::{audit::SignedRecord, id::DecisionId, ledger::Changes};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::{
    decisions::DecisionRow,
    id,
    portions::{places, portions},
    uuid,
};
use crate::{
    audit::grew,
    error::StoreError,
    ledger::append_records,
    sqlite::{Head, SqliteEngine},
    store::{Engines, Store},
    tx::{RecordSlot, Scope, WriteTx, rows},
};

/// Facts that decisions share, to be kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFacts {
    /// Keyed digest of the facts and their year.
    pub digest: [u8; 16],
    /// The year (UTC): they are forgotten with it.
    pub period: i64,
    /// The facts, sealed.
    pub sealed: Vec<u8>,
}

#[derive(FromQueryResult)]
struct IdSql {
    id: Uuid,
}

const INSERT_FACTS: &str = "INSERT INTO decision_inputs (digest, period, sealed) VALUES ";
const INSERT: &str = "INSERT INTO decisions (id, at, request, principal_kind, principal_id, action, allowed, version, \
    inputs, amount, currency, owner, person, sealed_address, sealed_reason, mac_key, mac, record) VALUES ";
/// Whatever is there already stays as it is.
const UNLESS_THERE: &str = " ON CONFLICT DO NOTHING";
/// Values of a decision's row.
const VALUES: usize = 18;

impl Store {
    /// Appends decisions, the facts that are not there yet, and the record of the log that `bind` makes of those
    /// decisions that were not there. One commit.
    ///
    /// # Errors
    /// [`StoreError`] when the database refuses or does not answer; [`StoreError::CommitUnknown`] when it cannot be
    /// told whether they are there: then they may be appended again.
    pub async fn append_decisions(
        &self,
        decisions: Vec<DecisionRow>,
        facts: Vec<SharedFacts>,
        bind: impl FnOnce(RecordSlot, &[DecisionRow]) -> Option<SignedRecord> + Send + 'static,
    ) -> Result<(), StoreError> {
        let engine = match &self.engines {
            Engines::Sqlite(engine) => Arc::clone(engine),
            Engines::Postgres(_) => {
                let mut tx = self.write(Scope::System).await?;
                let slot = tx.next_record().await?;
                tx.insert_facts(&facts).await?;
                let new = tx.insert_decisions(&decisions, slot.id).await?;
                if let Some(record) = bind(slot, &those(decisions, &new)) {
                    tx.append_record(&record).await?;
                }
                return tx.commit().await;
            }
        };
        let mut head = engine.gate.clone().lock_owned().await;
        if !head.loaded {
            head = engine.reload(head).await?;
        }
        let writing =
            tokio::task::spawn_blocking(move || append_on_sqlite(&engine, head, decisions, &facts, bind));
        let written = writing.await;
        written.map_err(|_| StoreError::Unavailable("writing stopped".to_owned()))?
    }
}

fn those(decisions: Vec<DecisionRow>, new: &HashSet<DecisionId>) -> Vec<DecisionRow> {
    let is_new = |row: &DecisionRow| new.contains(&row.id);
    decisions.into_iter().filter(is_new).collect()
}

/// With the right to write. A connection that failed is not used again.
fn append_on_sqlite(
    engine: &SqliteEngine,
    mut head: OwnedMutexGuard<Head>,
    decisions: Vec<DecisionRow>,
    facts: &[SharedFacts],
    bind: impl FnOnce(RecordSlot, &[DecisionRow]) -> Option<SignedRecord>,
) -> Result<(), StoreError> {
    let connection = engine.take_writing()?;
    let unit = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    let one_row =
        |text: &str, values| format!("{text}{}{UNLESS_THERE}", places(DbBackend::Sqlite, 1, values));
    let mut add = unit.prepare_cached(&one_row(INSERT_FACTS, 3))?;
    for shared in facts {
        add.execute(rusqlite::params![shared.digest, shared.period, shared.sealed])?;
    }
    let slot = RecordSlot {
        id: head.next_record,
        not_before: head.last_booked_at,
    };
    let mut add_decision = unit.prepare_cached(&one_row(INSERT, VALUES))?;
    let mut new = HashSet::with_capacity(decisions.len());
    for row in &decisions {
        let (amount, currency) = row
            .money
            .as_ref()
            .map(|(amount, currency)| (*amount, currency))
            .unzip();
        let added = add_decision.execute(rusqlite::params![
            row.id.as_bytes(),
            row.at.micros(),
            row.request.as_bytes(),
            row.principal_kind,
            row.principal_id,
            row.action,
            row.allowed,
            row.version,
            row.inputs,
            amount,
            currency,
            row.owner.as_ref().map(|owner| owner.as_bytes()),
            row.person.as_ref().map(|person| person.as_bytes()),
            row.sealed_address,
            row.sealed_reason,
            row.mac_key,
            row.mac,
            slot.id,
        ])?;
        if added == 1 {
            new.insert(row.id);
        }
    }
    drop((add, add_decision));
    let mut log = head.log.clone();
    let mut last_booked_at = head.last_booked_at;
    let record = bind(slot, &those(decisions, &new));
    if let Some(record) = &record {
        let mut changes = Changes::default();
        let hash = record.leaf();
        changes.leaves.push((log.size(), record.id, hash));
        log.append(hash, |node| changes.nodes.push(node));
        last_booked_at = last_booked_at.max(super::at(record.at));
        changes.records.push(record.clone());
        append_records(&unit, &changes)?;
    }
    // From here on a failure leaves the head in doubt: the next writer loads it again.
    head.loaded = false;
    if unit.commit().is_err() {
        head.outcomes.distrust();
        return Err(StoreError::CommitUnknown);
    }
    if record.is_some() {
        head.next_record = slot.id.saturating_add(1);
    }
    head.log = log;
    head.last_booked_at = last_booked_at;
    head.loaded = true;
    grew(&engine.growth, &head.log, head.lineage);
    engine.keep_writing(connection);
    Ok(())
}

impl WriteTx {
    async fn insert_facts(&self, facts: &[SharedFacts]) -> Result<(), StoreError> {
        let on = self.tx.get_database_backend();
        for portion in portions(facts) {
            let sql = format!("{INSERT_FACTS}{}{UNLESS_THERE}", places(on, portion.len(), 3));
            let values = portion.iter().flat_map(|shared| {
                [
                    shared.digest.to_vec().into(),
                    shared.period.into(),
                    shared.sealed.clone().into(),
                ]
            });
            self.execute(&sql, values.collect()).await?;
        }
        Ok(())
    }

    /// Gives those that were not there.
    async fn insert_decisions(
        &self,
        decisions: &[DecisionRow],
        record: i64,
    ) -> Result<HashSet<DecisionId>, StoreError> {
        let on = self.tx.get_database_backend();
        let mut appended = HashSet::with_capacity(decisions.len());
        for portion in portions(decisions) {
            let places = places(on, portion.len(), VALUES);
            let sql = format!("{INSERT}{places}{UNLESS_THERE} RETURNING id");
            let values = portion.iter().flat_map(|row| -> [Value; VALUES] {
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
                    row.money.as_ref().map(|(amount, _)| *amount).into(),
                    row.money.as_ref().map(|(_, currency)| currency.as_str()).into(),
                    row.owner.map(uuid).into(),
                    row.person.map(uuid).into(),
                    row.sealed_address.clone().into(),
                    row.sealed_reason.clone().into(),
                    row.mac_key.into(),
                    row.mac.to_vec().into(),
                    record.into(),
                ]
            });
            let new: Vec<IdSql> = rows(&self.tx, &sql, values.collect()).await?;
            appended.extend(new.into_iter().map(|row| id(row.id)));
        }
        Ok(appended)
    }
}
