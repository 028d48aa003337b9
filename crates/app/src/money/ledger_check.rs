//! The online check: verification of the living bank, asked for by an operator.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use strongroom_domain::{action::Action, time::Timestamp};
use strongroom_store::ledger::TrialBalanceLine;
use tokio::sync::watch;

use crate::{
    audit::{
        log::{Checkpoints, SignedCheckpoint},
        verify::{Report, VerifyOptions, verify},
    },
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    keys::LiveRing,
    security::{catalogue::SecurityEventKind, stream::Line},
};

/// How long a request waits for the check before it is told how far it is.
const CHECK_WAIT: Duration = Duration::from_secs(5);

/// How far a check is.
#[derive(Debug, Clone)]
pub enum CheckState {
    /// At work.
    Running {
        /// Records checked so far.
        records: u64,
    },
    /// At its end.
    Finished(Arc<Report>),
    /// The database did not answer.
    Failed(Error),
}

/// A check and when it began.
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// When it was asked for.
    pub started_at: Timestamp,
    /// How far it is.
    pub state: CheckState,
}

/// The one check that may run at a time: whoever asks meanwhile joins it.
#[derive(Debug, Default)]
pub(crate) struct LedgerCheck(Mutex<Option<(Timestamp, watch::Receiver<CheckState>)>>);

impl LedgerCheck {
    fn join_or(
        &self,
        now: Timestamp,
        start: impl FnOnce() -> watch::Receiver<CheckState>,
    ) -> (Timestamp, watch::Receiver<CheckState>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((began, state)) if matches!(*state.borrow(), CheckState::Running { .. }) => {
                (*began, state.clone())
            }
            _ => current.insert((now, start())).clone(),
        }
    }
}

impl Bank {
    /// Checks the whole bank against its log and its newest checkpoint, or joins the check that runs. Answers after at
    /// most five seconds; ask again for the rest.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn check_ledger(&self, cx: &Cx) -> Result<CheckRun, Error> {
        authorize(cx, Action::LedgerInspect, Resource::Bank)?;
        let (started_at, mut state) = self.check.join_or(cx.now(), || self.start_check());
        let ended = state.wait_for(|state| !matches!(state, CheckState::Running { .. }));
        // A check whose task died says so by its last state.
        drop(tokio::time::timeout(CHECK_WAIT, ended).await);
        let state = state.borrow().clone();
        Ok(CheckRun { started_at, state })
    }

    fn start_check(&self) -> watch::Receiver<CheckState> {
        let (tell, state) = watch::channel(CheckState::Running { records: 0 });
        let (store, ring) = (self.store.clone(), self.keeper.live.clone());
        let (security, now) = (self.security.clone(), self.clock.now());
        let checkpoints: Vec<SignedCheckpoint> = self
            .checkpoints
            .latest()
            .as_deref()
            .cloned()
            .into_iter()
            .collect();
        tokio::spawn(async move {
            let options = VerifyOptions {
                checkpoints,
                ..VerifyOptions::default()
            };
            let outcome = verify(&store, ring, &options, |records| {
                tell.send_replace(CheckState::Running { records });
            })
            .await;
            tell.send_replace(match outcome {
                Ok(report) => {
                    if !report.is_clean() {
                        tracing::error!(
                            findings = report.findings_count,
                            "the books or the audit log do not verify"
                        );
                        security.note(&Line::of(SecurityEventKind::BooksUnproven, now));
                    }
                    metrics::gauge!("strongroom_ledger_check_clean").set(if report.is_clean() {
                        1.0
                    } else {
                        0.0
                    });
                    CheckState::Finished(Arc::new(report))
                }
                Err(error) => CheckState::Failed(error),
            });
        });
        state
    }

    /// Debits, credits and number of accounts per kind and currency.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn trial_balance(&self, cx: &Cx) -> Result<Vec<TrialBalanceLine>, Error> {
        authorize(cx, Action::LedgerInspect, Resource::Bank)?;
        Ok(self.store.trial_balance().await?)
    }

    /// The newest checkpoint of the audit log; `None` while nothing was sealed.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn audit_checkpoint(&self, cx: &Cx) -> Result<Option<Arc<SignedCheckpoint>>, Error> {
        authorize(cx, Action::AuditRead, Resource::Bank)?;
        Ok(self.checkpoints.latest())
    }

    /// The keys of this node, for verification.
    pub fn keyring(&self) -> LiveRing {
        self.keeper.live.clone()
    }

    /// The name of the audit log.
    pub fn log_origin(&self) -> &str {
        &self.row.log_origin
    }

    /// The checkpoints of this node.
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// The log's public keys, active first, one line each.
    pub fn log_keys(&self) -> Vec<String> {
        self.checkpoints
            .verifiers()
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}
