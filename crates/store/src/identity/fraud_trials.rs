//! Drafts of the rules about fraud that run beside the set in force, and what they would have asked for.

use sea_orm::FromQueryResult;
use strongroom_domain::{
    fraud::{Outcome, Verdict},
    id::{TransactionId, UserId},
    ledger::Tried,
    time::Timestamp,
};
use uuid::Uuid;

use super::{SWEEP_ROWS_MAX, at, hash32, id, uuid};
use crate::{
    error::StoreError,
    store::Store,
    tx::{Scope, WriteTx, rows},
};

/// A draft that runs or ran beside a set in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialRow {
    /// 1 for the first.
    pub trial: i64,
    /// Number of the set in force beside which it runs.
    pub base: i64,
    /// [`strongroom_domain::fraud::RuleSet::to_text`].
    pub rules: String,
    /// [`strongroom_domain::fraud::RuleSet::digest`].
    pub digest: [u8; 32],
    /// Who began it; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// Why, sealed.
    pub sealed_reason: Vec<u8>,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Until when it ran.
    pub ended_at: Option<Timestamp>,
    /// Movements that both sets were asked about.
    pub judged: i64,
    /// Those of them of which something else would have followed.
    pub differing: i64,
    /// Those of them that were kept.
    pub kept: i64,
}

/// What some movements came to under both sets: all of one trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrialTally {
    /// How many movements.
    pub judged: i64,
    /// Of how many something else would have followed.
    pub differing: i64,
    /// How often what was asked for, and how often each rule was met.
    pub counts: Vec<(String, i64)>,
    /// Some of those of which something else would have followed.
    pub differences: Vec<Tried>,
}

/// A movement of which something else would have followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferenceRow {
    /// Which one.
    pub id: TransactionId,
    /// When.
    pub at: Timestamp,
    /// What the set in force asked for, and by which rules. Scores are not kept.
    pub in_force: Outcome,
    /// What the draft would have asked for.
    pub draft: Outcome,
}

#[derive(FromQueryResult)]
struct TrialSql {
    trial: i64,
    base: i64,
    rules: String,
    digest: Vec<u8>,
    maker: Uuid,
    sealed_reason: Vec<u8>,
    started_at: i64,
    ended_at: Option<i64>,
    judged: i64,
    differing: i64,
    kept: i64,
}

impl TryFrom<TrialSql> for TrialRow {
    type Error = StoreError;

    fn try_from(row: TrialSql) -> Result<Self, StoreError> {
        Ok(Self {
            trial: row.trial,
            base: row.base,
            rules: row.rules,
            digest: hash32(&row.digest)?,
            maker: (!row.maker.is_nil()).then(|| id(row.maker)),
            sealed_reason: row.sealed_reason,
            started_at: at(row.started_at),
            ended_at: row.ended_at.map(at),
            judged: row.judged,
            differing: row.differing,
            kept: row.kept,
        })
    }
}

#[derive(FromQueryResult)]
struct DifferenceSql {
    id: Uuid,
    at: i64,
    in_force: i64,
    draft: i64,
    in_force_rules: String,
    draft_rules: String,
}

impl TryFrom<DifferenceSql> for DifferenceRow {
    type Error = StoreError;

    fn try_from(row: DifferenceSql) -> Result<Self, StoreError> {
        let outcome = |verdict, rules| {
            let verdict = Verdict::from_number(verdict).ok_or(StoreError::Corrupt("an unknown verdict"))?;
            Ok::<_, StoreError>(Outcome {
                verdict,
                score: 0,
                rules,
            })
        };
        Ok(Self {
            id: id(row.id),
            at: at(row.at),
            in_force: outcome(row.in_force, row.in_force_rules)?,
            draft: outcome(row.draft, row.draft_rules)?,
        })
    }
}

#[derive(FromQueryResult)]
struct CountSql {
    what: String,
    times: i64,
}

macro_rules! select_trials {
    ($rest:literal) => {
        concat!(
            "SELECT trial, base, rules, digest, maker, sealed_reason, started_at, ended_at, judged, differing, kept \
             FROM fraud_trials ",
            $rest
        )
    };
}
const TRIAL: &str = select_trials!("WHERE trial = $1");
const TRIALS: &str = select_trials!("WHERE trial < $1 ORDER BY trial DESC LIMIT $2");
const OF_DIGEST: &str = select_trials!("WHERE base = $1 AND digest = $2 ORDER BY trial DESC LIMIT 100");
const COUNTS: &str = "SELECT what, times FROM fraud_trial_counts WHERE trial = $1 ORDER BY what";
const DIFFERENCES: &str = "SELECT id, at, in_force, draft, in_force_rules, draft_rules FROM fraud_trial_differences \
    WHERE trial = $1 AND ($2 = 0 OR id < $3) ORDER BY id DESC LIMIT $4";

impl Store {
    /// Trials below a number, newest first; only the first of them all may run.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_trials(&self, before: Option<i64>, limit: u32) -> Result<Vec<TrialRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let values = vec![before.unwrap_or(i64::MAX).into(), i64::from(limit).into()];
        let found: Vec<TrialSql> = rows(&read.tx, TRIALS, values).await?;
        found.into_iter().map(TrialRow::try_from).collect()
    }

    /// A trial.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_trial(&self, trial: i64) -> Result<Option<TrialRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<TrialSql> = rows(&read.tx, TRIAL, vec![trial.into()]).await?;
        found.into_iter().next().map(TrialRow::try_from).transpose()
    }

    /// The newest trials of one draft beside one set in force, at most 100.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_trials_of(&self, base: i64, digest: &[u8; 32]) -> Result<Vec<TrialRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let values = vec![base.into(), digest.to_vec().into()];
        let found: Vec<TrialSql> = rows(&read.tx, OF_DIGEST, values).await?;
        found.into_iter().map(TrialRow::try_from).collect()
    }

    /// How often what was asked for in a trial, and how often each rule was met.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_trial_counts(&self, trial: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let read = self.read(Scope::System).await?;
        let found: Vec<CountSql> = rows(&read.tx, COUNTS, vec![trial.into()]).await?;
        Ok(found.into_iter().map(|row| (row.what, row.times)).collect())
    }

    /// Movements of a trial of which something else would have followed, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn fraud_trial_differences(
        &self,
        trial: i64,
        before: Option<TransactionId>,
        limit: u32,
    ) -> Result<Vec<DifferenceRow>, StoreError> {
        let read = self.read(Scope::System).await?;
        let values = vec![
            trial.into(),
            i64::from(before.is_some()).into(),
            before.map_or(Uuid::nil(), uuid).into(),
            i64::from(limit).into(),
        ];
        let found: Vec<DifferenceSql> = rows(&read.tx, DIFFERENCES, values).await?;
        found.into_iter().map(DifferenceRow::try_from).collect()
    }
}

impl WriteTx {
    /// Number of the newest trial, as it is in this transaction; 0 where there was none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn newest_fraud_trial(&self) -> Result<i64, StoreError> {
        let row = self
            .one("SELECT coalesce(max(trial), 0) FROM fraud_trials", vec![])
            .await?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Begins a trial. Whoever does has revoked [`crate::Revoked::FraudRules`] before, and so is alone, and has ended
    /// the one before.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where there is one of its number, or another one runs.
    pub async fn insert_fraud_trial(&self, row: &TrialRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO fraud_trials (trial, base, rules, digest, maker, sealed_reason, started_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                row.trial.into(),
                row.base.into(),
                row.rules.as_str().into(),
                row.digest.to_vec().into(),
                row.maker.map_or(Uuid::nil(), uuid).into(),
                row.sealed_reason.clone().into(),
                row.started_at.micros().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Ends the trial that runs, and tells whether one did. Whoever does has revoked [`crate::Revoked::FraudRules`]
    /// before.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn end_fraud_trial(&self, now: Timestamp) -> Result<bool, StoreError> {
        // A clock may stand behind that of the node which began it.
        const SQL: &str = "UPDATE fraud_trials SET ended_at = CASE WHEN started_at > $1 THEN started_at ELSE $1 END \
            WHERE ended_at IS NULL";
        Ok(self.execute(SQL, vec![now.micros().into()]).await? > 0)
    }

    /// Adds what some movements came to, and keeps differences up to a bound of all. A movement that is kept already
    /// stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or there is no such trial.
    pub async fn add_to_fraud_trial(
        &self,
        trial: i64,
        tally: &TrialTally,
        kept_max: i64,
    ) -> Result<(), StoreError> {
        // First: whoever holds this row is alone with what belongs to it.
        let row = self
            .one(
                "UPDATE fraud_trials SET judged = judged + $2, differing = differing + $3 WHERE trial = $1 \
                 RETURNING kept",
                vec![trial.into(), tally.judged.into(), tally.differing.into()],
            )
            .await?;
        let kept: i64 = row.try_get_by_index(0)?;
        for (what, times) in &tally.counts {
            self.execute(
                "INSERT INTO fraud_trial_counts (trial, what, times) VALUES ($1, $2, $3) \
                 ON CONFLICT (trial, what) DO UPDATE SET times = fraud_trial_counts.times + excluded.times",
                vec![trial.into(), what.as_str().into(), (*times).into()],
            )
            .await?;
        }
        let mut more = 0;
        for tried in &tally.differences {
            if kept + more >= kept_max {
                break;
            }
            let (in_force, draft) = (&tried.compared.in_force, &tried.compared.draft);
            let written = self.execute(
                "INSERT INTO fraud_trial_differences (trial, id, at, in_force, draft, in_force_rules, draft_rules) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                vec![
                    trial.into(),
                    uuid(tried.id).into(),
                    tried.at.micros().into(),
                    in_force.verdict.number().into(),
                    draft.verdict.number().into(),
                    in_force.rules.as_str().into(),
                    draft.rules.as_str().into(),
                ],
            );
            more += i64::try_from(written.await?).unwrap_or_default();
        }
        if more > 0 {
            self.execute(
                "UPDATE fraud_trials SET kept = kept + $2 WHERE trial = $1",
                vec![trial.into(), more.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// Forgets a portion of differences from before a moment, and tells how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn forget_fraud_differences(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM fraud_trial_differences WHERE (trial, id) IN \
            (SELECT trial, id FROM fraud_trial_differences WHERE at < $1 ORDER BY at LIMIT $2)";
        self.execute(SQL, vec![before.micros().into(), SWEEP_ROWS_MAX.into()])
            .await
    }
}
