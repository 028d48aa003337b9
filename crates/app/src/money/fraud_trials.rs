//! Drafts of the rules about fraud on trial: they run beside the set in force, are asked about every movement that it
//! is asked about, and nothing follows from them.
//!
//! The lane decides under both and writes nothing of the draft: what it would have asked for is counted here after the
//! commit, and a job writes it within a second or so. What a process that is killed had counted and not written is
//! lost; a report tells what was seen, which is enough to judge a draft by and never decides about money.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    fraud::{Compared, RuleSet, Trial, Verdict},
    id::{TransactionId, UserId},
    ledger,
    text::{MEMO_CHARS_MAX, check_line, hex},
    time::Timestamp,
};
pub use strongroom_store::identity::DifferenceRow;
use strongroom_store::{
    Revoked, Scope,
    identity::{SWEEP_ROWS_MAX, TrialRow, TrialTally},
};
use tokio::sync::Notify;

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::{Bank, FraudSettings},
    cx::Cx,
    error::{Error, Kind},
    identity::step_up::require_recent_login,
    money::fraud_rules::{RuleChange, RuleDraft, WantedRules, moved, refused, unreadable},
};

/// Most movements of a trial that are kept one by one; all are counted.
pub const DIFFERENCES_KEPT_MAX: i64 = 10_000;
/// How long they are kept, in days.
pub const DIFFERENCES_KEPT_DAYS: i64 = 90;
/// Most movements that wait to be written one by one on this node; more are only counted.
const WAITING_MAX: usize = 1_000;
/// Most portions that one run forgets.
const SWEEP_PORTIONS_MAX: usize = 20;
const SECONDS_PER_HOUR: i64 = 3_600;
const SECONDS_PER_DAY: i64 = 24 * SECONDS_PER_HOUR;

/// What the lane found of drafts and the job has not written yet.
#[derive(Debug, Clone, Default)]
pub struct TrialLog(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    by_trial: Mutex<HashMap<i64, Found>>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Found {
    judged: i64,
    differing: i64,
    counts: BTreeMap<String, i64>,
    differences: Vec<ledger::Tried>,
}

impl Found {
    fn add(&mut self, tried: ledger::Tried) {
        let Compared { in_force, draft, .. } = &tried.compared;
        self.judged = self.judged.saturating_add(1);
        self.count(format!("{}>{}", in_force.verdict.name(), draft.verdict.name()));
        for (set, rules) in [("in_force", &in_force.rules), ("draft", &draft.rules)] {
            for rule in rules.split(',').filter(|rule| !rule.is_empty()) {
                self.count(format!("{set}:{rule}"));
            }
        }
        if tried.compared.differs() {
            self.differing = self.differing.saturating_add(1);
            if self.differences.len() < WAITING_MAX {
                self.differences.push(tried);
            }
        }
    }

    fn count(&mut self, what: String) {
        let times = self.counts.entry(what).or_default();
        *times = times.saturating_add(1);
    }

    fn tally(&self) -> TrialTally {
        let counts = self.counts.iter().map(|(what, times)| (what.clone(), *times));
        TrialTally {
            judged: self.judged,
            differing: self.differing,
            counts: counts.collect(),
            differences: self.differences.clone(),
        }
    }

    /// What could not be written waits with what came meanwhile.
    fn join(&mut self, older: Self) {
        let newer = std::mem::replace(self, older);
        self.judged = self.judged.saturating_add(newer.judged);
        self.differing = self.differing.saturating_add(newer.differing);
        for (what, times) in newer.counts {
            let sum = self.counts.entry(what).or_default();
            *sum = sum.saturating_add(times);
        }
        self.differences.extend(newer.differences);
        self.differences.truncate(WAITING_MAX);
    }
}

impl TrialLog {
    /// Takes in what a batch found. Where no draft runs that is nothing, and costs nothing.
    pub fn take(&self, tried: Vec<ledger::Tried>) {
        if tried.is_empty() {
            return;
        }
        let mut waiting = self.0.by_trial.lock().unwrap_or_else(PoisonError::into_inner);
        for one in tried {
            waiting.entry(one.compared.trial).or_default().add(one);
        }
        drop(waiting);
        self.0.some.notify_one();
    }

    /// Until there is something to write.
    pub(crate) async fn wait(&self) {
        self.0.some.notified().await;
    }

    fn all(&self) -> HashMap<i64, Found> {
        let mut waiting = self.0.by_trial.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting)
    }

    fn put_back(&self, trial: i64, found: Found) {
        let mut waiting = self.0.by_trial.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(trial).or_default().join(found);
        drop(waiting);
        self.0.some.notify_one();
    }
}

/// A draft that runs or ran beside a set in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FraudTrial {
    /// Its number, 1 for the first.
    pub trial: i64,
    /// Number of the set in force beside which it runs.
    pub base: i64,
    /// Digest of the set that the draft would make.
    pub digest: [u8; 32],
    /// Who began it; `None` for whoever holds the data directory.
    pub maker: Option<UserId>,
    /// Why; `None` where it cannot be opened.
    pub reason: Option<String>,
    /// Since when.
    pub started_at: Timestamp,
    /// Until when; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// From when on it may be asked for without a reason why not, as far as time goes.
    pub tried_from: Timestamp,
    /// Movements that both sets were asked about.
    pub judged: i64,
    /// Those of them of which something else would have followed.
    pub differing: i64,
    /// How many of these can be read one by one.
    pub kept: i64,
    /// Whether it may be asked for without a reason why not.
    pub tried: bool,
}

/// What a draft would have done otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialReport {
    /// The trial.
    pub trial: FraudTrial,
    /// What the draft changes of the set that it ran beside; empty where this program cannot read them any more.
    pub changes: Vec<RuleChange>,
    /// How often the set in force asked for the first and the draft for the second.
    pub verdicts: Vec<(Verdict, Verdict, i64)>,
    /// How often each rule was met: as in force, as drafted; by `id`.
    pub rules: Vec<(String, i64, i64)>,
}

/// What whoever decides about a draft sees of its trial.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct TriedLine {
    trial: i64,
    hours: i64,
    judged: i64,
    differing: i64,
}

const fn reason_place(trial: &[u8; 8]) -> Place<'_> {
    Place {
        table: "fraud_trials",
        column: "sealed_reason",
        row: trial,
    }
}

/// The draft of a row, beside the set in force, where it is one of it and runs.
pub(super) fn running(row: Option<&TrialRow>, revision: i64, now: &RuleSet) -> Option<Trial> {
    let row = row.filter(|row| row.ended_at.is_none() && row.base == revision)?;
    let draft = RuleSet::from_kept(&row.rules, &row.digest);
    if draft.is_err() {
        tracing::error!(
            trial = row.trial,
            "a draft of the rules about fraud cannot be read and does not run"
        );
    }
    Some(Trial::of(row.trial, now, &draft.ok()?))
}

/// Whether a draft ran for long enough.
fn is_tried(row: &TrialRow, now: Timestamp, settings: &FraudSettings) -> bool {
    let ran = row.ended_at.unwrap_or(now).seconds_since(row.started_at);
    ran >= i64::from(settings.trial_hours_min).saturating_mul(SECONDS_PER_HOUR)
        && row.judged >= i64::from(settings.trial_payments_min)
}

fn not_tried() -> Error {
    Error::new(
        Kind::Conflict,
        "fraud_rules_untried",
        "This draft did not run beside the rules in force for long enough.",
    )
}

fn check_reason(pointer: &str, reason: &str) -> Result<(), Error> {
    check_line(reason, MEMO_CHARS_MAX, true)
        .map_err(|error| Error::field(pointer, "invalid_value", error.to_string()))
}

/// The number, as records name it.
fn object_of(trial: i64) -> Object {
    let mut object = [0; 16];
    if let Some(last) = object.last_chunk_mut() {
        *last = trial.to_be_bytes();
    }
    Object::Other("fraud_trial", object)
}

impl Bank {
    /// Lets a draft run beside the set in force, in the place of another one that does.
    ///
    /// # Errors
    /// `forbidden` for others than compliance and administrators; `step_up_required` without a fresh login;
    /// `validation_failed` with all that is wrong; `fraud_rules_moved` where the author looked at another set than the
    /// one in force; `fraud_rules_unchanged` where it would change nothing; `fraud_rules_unreadable`.
    pub async fn start_fraud_trial(
        self: &Arc<Self>,
        cx: &Cx,
        base: Option<i64>,
        rules: Vec<RuleDraft>,
        reason: &str,
    ) -> Result<FraudTrial, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::FraudRulesChange, Resource::Bank)?;
            require_recent_login(&cx)?;
            check_reason("/reason", &reason)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            // First: whoever revokes is alone, so that the set in force is the same until the commit, and every node
            // reads the draft before it decides under the epoch of it.
            tx.revoke(Revoked::FraudRules).await?;
            let now = bank.newest_rules().await?;
            if base.is_some_and(|base| base != now.revision)
                || tx.fraud_rules_revision().await? != now.revision
            {
                return Err(moved());
            }
            let set = now.set.ok_or_else(unreadable)?;
            let draft = set.with(&rules).map_err(refused)?;
            if set.changes_to(&draft).is_empty() {
                return Err(Error::new(
                    Kind::Conflict,
                    "fraud_rules_unchanged",
                    "These rules are in force already.",
                ));
            }
            tx.end_fraud_trial(cx.now()).await?;
            let trial = tx.newest_fraud_trial().await?.saturating_add(1);
            let number = trial.to_be_bytes();
            let row = TrialRow {
                trial,
                base: now.revision,
                rules: draft.to_text(),
                digest: draft.digest(),
                maker: Some(cx.person()?),
                sealed_reason: bank.ring().seal(reason_place(&number), reason.as_bytes()),
                started_at: cx.now(),
                ended_at: None,
                judged: 0,
                differing: 0,
                kept: 0,
            };
            tx.insert_fraud_trial(&row).await?;
            let entry = Entry {
                object: object_of(trial),
                outcome: "ok",
                details: Details::json(&format!(
                    r#"{{"base":{},"digest":"{}","trial":{trial},"trial_state":"running"}}"#,
                    row.base,
                    hex(&row.digest)
                )),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            Ok(bank.trial_of(row, cx.now()))
        })
        .await
    }

    /// Ends a trial. One that ended stays as it is.
    ///
    /// # Errors
    /// `forbidden` for others than compliance and administrators; `not_found`.
    pub async fn end_fraud_trial(self: &Arc<Self>, cx: &Cx, trial: i64) -> Result<FraudTrial, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::FraudRulesChange, Resource::Bank)?;
            bank.write_fraud_trials().await?;
            let row = bank
                .store
                .fraud_trial(trial)
                .await?
                .ok_or_else(Error::not_found)?;
            if row.ended_at.is_some() {
                return Ok(bank.trial_of(row, cx.now()));
            }
            let mut tx = bank.store.write(Scope::Operator).await?;
            tx.revoke(Revoked::FraudRules).await?;
            // Another one may have begun meanwhile, which ended this one.
            if tx.newest_fraud_trial().await? == trial && tx.end_fraud_trial(cx.now()).await? {
                let entry = Entry {
                    object: object_of(trial),
                    outcome: "ok",
                    details: Details::json(&format!(r#"{{"trial":{trial},"trial_state":"ended"}}"#)),
                };
                bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
                tx.commit().await?;
            } else {
                drop(tx);
            }
            let row = bank
                .store
                .fraud_trial(trial)
                .await?
                .ok_or_else(Error::not_found)?;
            Ok(bank.trial_of(row, cx.now()))
        })
        .await
    }

    /// Trials below a number, newest first.
    ///
    /// # Errors
    /// `forbidden` for others than compliance, auditors and administrators.
    pub async fn fraud_trials(
        &self,
        cx: &Cx,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<FraudTrial>, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        self.write_fraud_trials().await?;
        let rows = self.store.fraud_trials(before, limit).await?;
        Ok(rows.into_iter().map(|row| self.trial_of(row, cx.now())).collect())
    }

    /// What a draft would have done otherwise.
    ///
    /// # Errors
    /// As [`Self::fraud_trials`]; `not_found`.
    pub async fn fraud_trial(&self, cx: &Cx, trial: i64) -> Result<TrialReport, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        self.write_fraud_trials().await?;
        let row = self
            .store
            .fraud_trial(trial)
            .await?
            .ok_or_else(Error::not_found)?;
        let counts = self.store.fraud_trial_counts(trial).await?;
        let base = self.rules_of(row.base).await?.set;
        let draft = RuleSet::from_kept(&row.rules, &row.digest).ok();
        let changes = base.zip(draft).map(|(base, draft)| base.changes_to(&draft));
        Ok(TrialReport {
            changes: changes.unwrap_or_default(),
            verdicts: verdicts_of(&counts),
            rules: rules_of(&counts),
            trial: self.trial_of(row, cx.now()),
        })
    }

    /// Movements of which something else would have followed, newest first, older than `before`: at most
    /// [`DIFFERENCES_KEPT_MAX`] of a trial, for [`DIFFERENCES_KEPT_DAYS`] days.
    ///
    /// # Errors
    /// As [`Self::fraud_trial`].
    pub async fn fraud_trial_differences(
        &self,
        cx: &Cx,
        trial: i64,
        before: Option<TransactionId>,
        limit: u32,
    ) -> Result<Vec<DifferenceRow>, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        self.write_fraud_trials().await?;
        self.store
            .fraud_trial(trial)
            .await?
            .ok_or_else(Error::not_found)?;
        Ok(self.store.fraud_trial_differences(trial, before, limit).await?)
    }

    /// Writes what this node counted since the last time. A job calls it, and whoever reads a report.
    pub(crate) async fn write_fraud_trials(&self) -> Result<(), Error> {
        for (trial, found) in self.fraud_trials.all() {
            if let Err(error) = self.write_fraud_trial(trial, &found.tally()).await {
                self.fraud_trials.put_back(trial, found);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write_fraud_trial(&self, trial: i64, tally: &TrialTally) -> Result<(), Error> {
        let tx = self.store.write(Scope::System).await?;
        tx.add_to_fraud_trial(trial, tally, DIFFERENCES_KEPT_MAX).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets differences that are kept no longer. A job calls it.
    pub(crate) async fn sweep_fraud_trials(&self) -> Result<(), Error> {
        let before = self
            .clock
            .now()
            .plus_seconds(-DIFFERENCES_KEPT_DAYS.saturating_mul(SECONDS_PER_DAY));
        for _ in 0..SWEEP_PORTIONS_MAX {
            let tx = self.store.write(Scope::System).await?;
            let forgotten = tx.forget_fraud_differences(before).await?;
            tx.commit().await?;
            if forgotten < SWEEP_ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    /// Why a draft should come in force without having run for long enough, where that is said.
    pub(super) fn check_untried_reason(wanted: &WantedRules) -> Result<Option<String>, Error> {
        let WantedRules::Drafted {
            untried_reason: Some(reason),
            ..
        } = wanted
        else {
            return Ok(None);
        };
        check_reason("/untried_reason", reason)?;
        Ok(Some(reason.clone()))
    }

    /// The trial in which a draft ran for long enough; an error where there is none and nothing is said why not.
    pub(super) async fn tried_or_told_why(
        &self,
        cx: &Cx,
        base: i64,
        draft: &RuleSet,
        told_why: bool,
    ) -> Result<Option<TriedLine>, Error> {
        self.write_fraud_trials().await?;
        let trials = self.store.fraud_trials_of(base, &draft.digest()).await?;
        let tried = trials
            .into_iter()
            .find(|row| is_tried(row, cx.now(), &self.fraud));
        let least = self.fraud.trial_hours_min > 0 || self.fraud.trial_payments_min > 0;
        match tried {
            Some(row) => Ok(Some(TriedLine {
                trial: row.trial,
                hours: row.ended_at.unwrap_or(cx.now()).seconds_since(row.started_at) / SECONDS_PER_HOUR,
                judged: row.judged,
                differing: row.differing,
            })),
            None if told_why || !least => Ok(None),
            None => Err(not_tried()),
        }
    }

    fn trial_of(&self, row: TrialRow, now: Timestamp) -> FraudTrial {
        let number = row.trial.to_be_bytes();
        let reason = self.ring().open(reason_place(&number), &row.sealed_reason).ok();
        let hours = i64::from(self.fraud.trial_hours_min);
        FraudTrial {
            tried: is_tried(&row, now, &self.fraud),
            tried_from: row
                .started_at
                .plus_seconds(hours.saturating_mul(SECONDS_PER_HOUR)),
            trial: row.trial,
            base: row.base,
            digest: row.digest,
            maker: row.maker,
            reason: reason.map(|text| String::from_utf8_lossy(text.expose()).into_owned()),
            started_at: row.started_at,
            ended_at: row.ended_at,
            judged: row.judged,
            differing: row.differing,
            kept: row.kept,
        }
    }
}

fn verdicts_of(counts: &[(String, i64)]) -> Vec<(Verdict, Verdict, i64)> {
    let read = |(what, times): &(String, i64)| {
        let (in_force, draft) = what.split_once('>')?;
        Some((Verdict::parse(in_force)?, Verdict::parse(draft)?, *times))
    };
    let mut found: Vec<_> = counts.iter().filter_map(read).collect();
    found.sort_unstable();
    found
}

/// By the rule's id: how often it was met as it is in force, and as it is drafted.
fn rules_of(counts: &[(String, i64)]) -> Vec<(String, i64, i64)> {
    let mut found: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (what, times) in counts {
        let Some((set, rule)) = what.split_once(':') else {
            continue;
        };
        let id = rule.split_once('/').map_or(rule, |(id, _)| id);
        let both = found.entry(id.to_owned()).or_default();
        let sum = if set == "draft" { &mut both.1 } else { &mut both.0 };
        *sum = sum.saturating_add(*times);
    }
    found
        .into_iter()
        .map(|(rule, (now, then))| (rule, now, then))
        .collect()
}

#[cfg(test)]
mod tests;
