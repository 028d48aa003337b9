//! Rules about fraud, set by the bank while it runs: drafted by one person, put in force by another.
//!
//! What is kept and in force is a whole set with a number; one that comes in force is based on the one before it, or it
//! is asked for anew. The commit that approves moves the revocation epoch under the lock of whoever changes rights, and
//! a node reads the set before it says that it has reached that epoch: a movement that is decided after the answer is
//! held against it, on every node, and each movement wholly against one set.

use std::sync::Arc;

use strongroom_crypto::Place;
pub use strongroom_domain::fraud::{FraudMode, RuleChange, RuleDraft, RuleSet};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    fraud::{FraudRules, Invalid},
    id::{ApprovalId, UserId},
    ledger::Refusal,
    text::{MEMO_CHARS_MAX, check_line, hex},
    time::Timestamp,
};
use strongroom_store::{Revoked, WriteTx, identity::RuleSetRow};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, FieldError, Kind},
    identity::step_up::require_recent_login,
    money::{
        fraud::Stage,
        fraud_trials::{TriedLine, running},
    },
};

/// A set of rules, and how it came in force.
#[derive(Debug, Clone)]
pub struct RulesRevision {
    /// 0 for the program's own.
    pub revision: i64,
    /// The rules; `None` where this program cannot read them, and everything is looked at.
    pub set: Option<RuleSet>,
    /// Digest of what is kept.
    pub digest: [u8; 32],
    /// Who asked for it; `None` for the program's own.
    pub maker: Option<UserId>,
    /// Who approved it.
    pub checker: Option<UserId>,
    /// The request that was approved.
    pub approval: Option<ApprovalId>,
    /// The earlier set that was brought back, where it is one.
    pub restores: Option<i64>,
    /// Why; `None` for the program's own, and where it cannot be opened.
    pub reason: Option<String>,
    /// Since when; `None` for the program's own.
    pub at: Option<Timestamp>,
}

/// What a draft would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftedRules {
    /// Number of the set in force, which it would change.
    pub base: i64,
    /// Digest of the set that it would make.
    pub digest: [u8; 32],
    /// Against what is in force.
    pub changes: Vec<RuleChange>,
}

/// What somebody wants in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedRules {
    /// What is in force, with these changes.
    Drafted {
        /// Number of the set that the author looked at, where it is said.
        base: Option<i64>,
        /// What is another.
        rules: Vec<RuleDraft>,
        /// Why it should come in force although it did not run beside the set in force for long enough.
        untried_reason: Option<String>,
    },
    /// An earlier set; 0 for the program's own.
    Earlier(i64),
}

/// What exactly somebody asks for, as whoever decides sees it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct RulesRequest {
    base: i64,
    restores: Option<i64>,
    changes: Vec<ChangeLine>,
    digest: String,
    reason: String,
    rules: String,
    /// The trial in which it ran long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tried: Option<TriedLine>,
    /// Why it is asked for without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    untried_reason: Option<String>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct ChangeLine {
    rule: String,
    field: String,
    before: String,
    after: String,
    weaker: bool,
}

/// A set about to be put in force.
pub(crate) struct PreparedRules {
    base: i64,
    restores: Option<i64>,
    set: RuleSet,
    weaker: usize,
    reason: String,
    maker: Option<UserId>,
    checker: UserId,
}

impl PreparedRules {
    /// Number of the set.
    pub(crate) const fn revision(&self) -> i64 {
        self.base.saturating_add(1)
    }

    /// The number, as records and events name it.
    pub(crate) fn object(&self) -> [u8; 16] {
        let mut object = [0; 16];
        if let Some(last) = object.last_chunk_mut() {
            *last = self.revision().to_be_bytes();
        }
        object
    }
}

const fn reason_place(revision: &[u8; 8]) -> Place<'_> {
    Place {
        table: "fraud_rule_sets",
        column: "sealed_reason",
        row: revision,
    }
}

pub(super) fn moved() -> Error {
    Error::new(
        Kind::Conflict,
        "fraud_rules_moved",
        "Other rules came in force meanwhile.",
    )
}

pub(super) fn unreadable() -> Error {
    Error::new(
        Kind::Conflict,
        "fraud_rules_unreadable",
        "The rules in force were written for another version of the program.",
    )
}

fn no_such_revision() -> Error {
    Error::not_found()
}

/// What is wrong with a draft, by pointers into the body that it came in.
pub(super) fn refused(wrong: Vec<Invalid>) -> Error {
    let field = |invalid: Invalid| FieldError {
        pointer: format!("/rules{}", invalid.pointer),
        code: invalid.code,
        detail: invalid.detail,
    };
    Error::invalid(wrong.into_iter().map(field).collect())
}

impl Bank {
    /// What is done about what rules find: whether it counts.
    pub const fn fraud_mode(&self) -> FraudMode {
        self.fraud.mode
    }

    /// The rules in force.
    ///
    /// # Errors
    /// `forbidden` for others than compliance, auditors and administrators.
    pub async fn fraud_rules(&self, cx: &Cx) -> Result<RulesRevision, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        self.newest_rules().await
    }

    /// Sets that were in force, newest first, below a number. The program's own is the last.
    ///
    /// # Errors
    /// As [`Self::fraud_rules`].
    pub async fn fraud_rules_revisions(
        &self,
        cx: &Cx,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<RulesRevision>, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        let rows = self.store.fraud_rule_sets(before, limit).await?;
        let full = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found: Vec<_> = rows.into_iter().map(|row| self.revision_of(row)).collect();
        if !full && before.is_none_or(|before| before > 0) {
            found.push(programs_own());
        }
        Ok(found)
    }

    /// One set, and what it changed of the one before.
    ///
    /// # Errors
    /// As [`Self::fraud_rules`]; `not_found`.
    pub async fn fraud_rules_revision(
        &self,
        cx: &Cx,
        revision: i64,
    ) -> Result<(RulesRevision, Vec<RuleChange>), Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        let found = self.rules_of(revision).await?;
        let changes = match (&found.set, revision.checked_sub(1)) {
            (Some(set), Some(before)) if before >= 0 => {
                let before = self.rules_of(before).await?.set;
                before.map_or_else(Vec::new, |before| before.changes_to(set))
            }
            _ => Vec::new(),
        };
        Ok((found, changes))
    }

    /// What a draft would change, or all that is wrong with it. Nothing is kept.
    ///
    /// # Errors
    /// As [`Self::fraud_rules`]; `validation_failed`; `fraud_rules_unreadable`.
    pub async fn validate_fraud_rules(&self, cx: &Cx, draft: &[RuleDraft]) -> Result<DraftedRules, Error> {
        authorize(cx, Action::FraudRulesRead, Resource::Bank)?;
        let now = self.newest_rules().await?;
        let set = now.set.ok_or_else(unreadable)?;
        let next = set.with(draft).map_err(refused)?;
        Ok(DraftedRules {
            base: now.revision,
            digest: next.digest(),
            changes: set.changes_to(&next),
        })
    }

    /// Asks for other rules to be in force. Somebody else decides.
    ///
    /// # Errors
    /// `forbidden` for others than compliance and administrators; `step_up_required` without a fresh login;
    /// `validation_failed` with all that is wrong; `not_found` for a set that there is not; `fraud_rules_moved` where
    /// the author looked at another set than the one in force; `fraud_rules_unchanged` where it would change nothing;
    /// `fraud_rules_untried` where the draft did not run beside it for long enough and nothing is said why;
    /// `fraud_rules_unreadable`.
    pub async fn ask_for_fraud_rules(
        self: &Arc<Self>,
        cx: &Cx,
        wanted: WantedRules,
        reason: &str,
    ) -> Result<ApprovalId, Error> {
        let (cx, reason) = (cx.clone(), reason.to_owned());
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::FraudRulesChange, Resource::Bank)?;
            require_recent_login(&cx)?;
            check_line(&reason, MEMO_CHARS_MAX, true)
                .map_err(|error| Error::field("/reason", "invalid_value", error.to_string()))?;
            let now = bank.newest_rules().await?;
            let (next, restores) = bank.wanted_set(&now, &wanted).await?;
            let untried_reason = Self::check_untried_reason(&wanted)?;
            // Where what is in force cannot be read, an earlier set or the program's own brings the bank back; whoever
            // decides then sees what is another than in the program's own.
            let is_readable = now.set.is_some();
            let changes = now.set.clone().unwrap_or_default().changes_to(&next);
            if is_readable && changes.is_empty() {
                return Err(Error::new(
                    Kind::Conflict,
                    "fraud_rules_unchanged",
                    "These rules are in force already.",
                ));
            }
            // What was in force once was tried.
            let tried = match restores {
                None => {
                    bank.tried_or_told_why(&cx, now.revision, &next, untried_reason.is_some())
                        .await?
                }
                Some(_) => None,
            };
            let request = RulesRequest {
                base: now.revision,
                restores,
                untried_reason: untried_reason.filter(|_| tried.is_none()),
                tried,
                changes: changes.into_iter().map(line_of).collect(),
                digest: hex(&next.digest()),
                reason,
                rules: next.to_text(),
            };
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            let details = Details::json(&format!(
                r#"{{"base":{},"digest":"{}"}}"#,
                request.base, request.digest
            ));
            bank.file_request(&cx, &permit, Action::FraudRulesChange, &text, details)
                .await
        })
        .await
    }

    async fn wanted_set(
        &self,
        now: &RulesRevision,
        wanted: &WantedRules,
    ) -> Result<(RuleSet, Option<i64>), Error> {
        match wanted {
            WantedRules::Drafted { base, rules, .. } => {
                if base.is_some_and(|base| base != now.revision) {
                    return Err(moved());
                }
                let set = now.set.as_ref().ok_or_else(unreadable)?;
                Ok((set.with(rules).map_err(refused)?, None))
            }
            WantedRules::Earlier(revision) => {
                let earlier = self.rules_of(*revision).await?.set.ok_or_else(unreadable)?;
                let set = now.set.clone().unwrap_or_default();
                Ok((set.set_as(&earlier), Some(*revision)))
            }
        }
    }

    pub(super) async fn newest_rules(&self) -> Result<RulesRevision, Error> {
        let newest = self.store.fraud_rule_sets(None, 1).await?.into_iter().next();
        Ok(newest.map_or_else(programs_own, |row| self.revision_of(row)))
    }

    pub(super) async fn rules_of(&self, revision: i64) -> Result<RulesRevision, Error> {
        if revision == 0 {
            return Ok(programs_own());
        }
        let row = self.store.fraud_rule_set(revision).await?;
        Ok(self.revision_of(row.ok_or_else(no_such_revision)?))
    }

    /// Why it came in force is for people to read: where that does not open, the set holds all the same, and another
    /// one can be asked for.
    fn revision_of(&self, row: RuleSetRow) -> RulesRevision {
        let number = row.revision.to_be_bytes();
        let reason = self.ring().open(reason_place(&number), &row.sealed_reason).ok();
        RulesRevision {
            set: readable(&row),
            revision: row.revision,
            digest: row.digest,
            maker: row.maker,
            checker: Some(row.checker),
            approval: Some(row.approval),
            restores: row.restores,
            reason: reason.map(|text| String::from_utf8_lossy(text.expose()).into_owned()),
            at: Some(row.at),
        }
    }

    /// Takes over the rules that are in force now, and the draft that runs beside them, where this node does not know
    /// them.
    pub(crate) async fn read_fraud_rules(&self) -> Result<(), Error> {
        let newest = self.store.fraud_rule_sets(None, 1).await?.into_iter().next();
        let trial = self.store.fraud_trials(None, 1).await?.into_iter().next();
        let (mode, revision) = (self.fraud.mode, newest.as_ref().map_or(0, |row| row.revision));
        let set = newest.as_ref().map_or_else(|| Some(RuleSet::default()), readable);
        let rules = match &set {
            Some(set) => FraudRules::of(mode, revision, set).beside(running(trial.as_ref(), revision, set)),
            None => {
                tracing::error!(
                    revision,
                    "rules about fraud cannot be read: every payment is looked at"
                );
                FraudRules::unreadable(mode, revision)
            }
        };
        let stage = Stage {
            revision,
            trial: trial.as_ref().map_or(0, |row| row.trial),
            ended: trial.is_some_and(|row| row.ended_at.is_some()),
        };
        self.fraud_rules.put(rules, stage);
        Ok(())
    }

    /// What an approved request needs before its transaction.
    pub(crate) async fn prepare_fraud_rules(
        &self,
        text: &[u8],
        maker: Option<UserId>,
        checker: UserId,
    ) -> Result<PreparedRules, Error> {
        let request: RulesRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let set = RuleSet::from_text(&request.rules).map_err(|_| Refusal::ApprovalStale)?;
        if hex(&set.digest()) != request.digest {
            // A rule came with a later version of the program since it was asked for.
            return Err(Refusal::ApprovalStale.into());
        }
        if self.newest_rules().await?.revision != request.base {
            return Err(Refusal::ApprovalStale.into());
        }
        Ok(PreparedRules {
            base: request.base,
            restores: request.restores,
            set,
            weaker: request.changes.iter().filter(|change| change.weaker).count(),
            reason: request.reason,
            maker,
            checker,
        })
    }

    /// Puts a set in force inside the transaction that approves the request.
    pub(crate) async fn put_fraud_rules_in_force(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &PreparedRules,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::FraudRulesChange, Resource::Bank)?;
        // First: whoever revokes is alone, so that the set in force is the same until the commit.
        tx.revoke(Revoked::FraudRules).await?;
        if tx.fraud_rules_revision().await? != prepared.base {
            return Err(Refusal::ApprovalStale.into());
        }
        let (revision, digest) = (prepared.revision(), prepared.set.digest());
        let number = revision.to_be_bytes();
        let row = RuleSetRow {
            revision,
            rules: prepared.set.to_text(),
            digest,
            maker: prepared.maker,
            checker: prepared.checker,
            approval,
            restores: prepared.restores,
            sealed_reason: self
                .ring()
                .seal(reason_place(&number), prepared.reason.as_bytes()),
            at: cx.now(),
        };
        tx.insert_fraud_rule_set(&row).await?;
        // A draft runs beside the set that it is a draft of.
        tx.end_fraud_trial(cx.now()).await?;
        let entry = Entry {
            object: Object::Other("fraud_rules", prepared.object()),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"approval":"{approval}","digest":"{}","revision":{revision},"weaker":{}}}"#,
                hex(&digest),
                prepared.weaker
            )),
        };
        self.recorder.append(tx, cx, &permit, entry).await
    }
}

/// The rules of a row, where they are those of its digest and this program can read them.
fn readable(row: &RuleSetRow) -> Option<RuleSet> {
    RuleSet::from_kept(&row.rules, &row.digest).ok()
}

fn programs_own() -> RulesRevision {
    let set = RuleSet::default();
    RulesRevision {
        revision: 0,
        digest: set.digest(),
        set: Some(set),
        maker: None,
        checker: None,
        approval: None,
        restores: None,
        reason: None,
        at: None,
    }
}

fn line_of(change: RuleChange) -> ChangeLine {
    ChangeLine {
        rule: change.rule,
        field: change.field.to_owned(),
        before: change.before,
        after: change.after,
        weaker: change.weaker,
    }
}
