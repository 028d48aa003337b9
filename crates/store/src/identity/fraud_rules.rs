//! Rules about fraud as the bank has set them: whole sets that are never changed, of which the newest is in force.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    id::{ApprovalId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::{at, hash32, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A set of rules as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetRow {
    /// 1 for the first that the bank has set.
    pub revision: i64,
    /// [`strongroom_domain::fraud::RuleSet::to_text`].
    pub rules: String,
    /// [`strongroom_domain::fraud::RuleSet::digest`].
    pub digest: [u8; 32],
    /// Who asked for it; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// Who approved it.
    pub checker: UserId,
    /// The request that was approved.
    pub approval: ApprovalId,
    /// The earlier set that was brought back, where it is one.
    pub restores: Option<i64>,
    /// Why, sealed.
    pub sealed_reason: Vec<u8>,
    /// Since when it is in force.
    pub at: Timestamp,
}

#[derive(FromQueryResult)]
struct RuleSetSql {
    revision: i64,
    rules: String,
    digest: Vec<u8>,
    maker: Uuid,
    checker: Uuid,
    approval: Uuid,
    restores: Option<i64>,
    sealed_reason: Vec<u8>,
    at: i64,
}

impl TryFrom<RuleSetSql> for RuleSetRow {
    type Error = StoreError;

    fn try_from(row: RuleSetSql) -> Result<Self, StoreError> {
        Ok(Self {
            revision: row.revision,
            rules: row.rules,
            digest: hash32(&row.digest)?,
            maker: (!row.maker.is_nil()).then(|| id(row.maker)),
            checker: id(row.checker),
            approval: id(row.approval),
            restores: row.restores,
            sealed_reason: row.sealed_reason,
            at: at(row.at),
        })
    }
}

macro_rules! select_sets {
    ($rest:literal) => {
        concat!(
            "SELECT revision, rules, digest, maker, checker, approval, restores, sealed_reason, at FROM fraud_rule_sets ",
            $rest
        )
    };
}
const SET: &str = select_sets!("WHERE revision = $1");
const SETS: &str = select_sets!("WHERE revision < $1 ORDER BY revision DESC LIMIT $2");

impl Store {
    /// Sets of rules below a number, newest first; the first of them all is in force.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_rule_sets(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<RuleSetRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let values = vec![before.unwrap_or(i64::MAX).into(), i64::from(limit).into()];
        let found: Vec<RuleSetSql> = rows(&read.tx, SETS, values).await?;
        found.into_iter().map(RuleSetRow::try_from).collect()
    }

    /// A set of rules.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_rule_set(&self, revision: i64) -> Result<Option<RuleSetRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<RuleSetSql> = rows(&read.tx, SET, vec![revision.into()]).await?;
        found.into_iter().next().map(RuleSetRow::try_from).transpose()
    }
}

impl WriteTx {
    /// Number of the set in force, as it is in this transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_rules_revision(&self) -> Result<i64, StoreError> {
        let row = self
            .one("SELECT coalesce(max(revision), 0) FROM fraud_rule_sets", vec![])
            .await?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Puts a set in force. Whoever does has revoked [`crate::Revoked::FraudRules`] before, and so is alone.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where its number is not the next.
    pub async fn insert_fraud_rule_set(&self, row: &RuleSetRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO fraud_rule_sets (revision, rules, digest, maker, checker, approval, restores, sealed_reason, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            vec![
                row.revision.into(),
                row.rules.as_str().into(),
                row.digest.to_vec().into(),
                row.maker.map_or(Uuid::nil(), uuid).into(),
                uuid(row.checker).into(),
                uuid(row.approval).into(),
                row.restores.into(),
                row.sealed_reason.clone().into(),
                row.at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }
}
