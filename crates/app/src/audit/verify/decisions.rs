//! Recorded decisions against the records of the log that they are bound to.

use strongroom_domain::{
    audit::{
        SignedRecord,
        replay::{Findings, Problem},
    },
    text::hex,
};
use strongroom_store::{StoreError, audit::LogSnapshot};

use crate::{audit::verify::Run, authority::decision_code::root_of_decisions, error::Error};

/// How long the database itself refuses to forget decisions, in microseconds: 400 days. Older ones may be gone.
const KEPT_MICROS: i64 = 400 * 24 * 60 * 60 * 1_000_000;

/// What a record says about its decisions.
#[derive(serde::Deserialize)]
struct Said {
    count: usize,
    root: String,
}

/// A record about decisions, to be compared with them.
pub(super) struct Batch {
    record: i64,
    at: i64,
    said: Option<Said>,
}

impl Batch {
    /// Of a record about decisions; `None` of any other.
    pub(super) fn of(record: &SignedRecord) -> Option<Self> {
        (record.action == strongroom_domain::action::Action::DecisionRecord.name()).then(|| Self {
            record: record.id,
            at: record.at,
            said: record
                .details
                .json_text()
                .and_then(|text| serde_json::from_str(text).ok()),
        })
    }

    /// Compares what is there with what the log says.
    pub(super) async fn compare(&self, snapshot: &LogSnapshot, findings: &mut Findings) -> Result<(), Error> {
        let problem = match (&self.said, snapshot.decisions_of(self.record).await) {
            (_, Err(StoreError::Corrupt(_))) => Some(Problem::Unreadable),
            (_, Err(error)) => return Err(error.into()),
            (None, Ok(_)) => Some(Problem::DecisionsChanged),
            (Some(said), Ok(rows)) if rows.len() < said.count => {
                let newest = snapshot
                    .newest_record_at()
                    .await?
                    .map_or(self.at, |at| at.micros());
                let is_old = newest.saturating_sub(self.at) > KEPT_MICROS;
                (!is_old).then_some(Problem::DecisionsMissing)
            }
            (Some(said), Ok(rows)) => {
                let fits = rows.len() == said.count && hex(&root_of_decisions(&rows)) == said.root;
                (!fits).then_some(Problem::DecisionsChanged)
            }
        };
        if let Some(problem) = problem {
            findings.add("decisions", format!("of audit record {}", self.record), problem);
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Decisions that came in beside the log.
    pub(super) async fn unbound_decisions(&mut self) -> Result<(), Error> {
        let unbound = self.store.log_snapshot().await?.unbound_decisions().await?;
        if unbound > 0 {
            let row = format!("{unbound} of no audit record");
            self.findings.add("decisions", row, Problem::DecisionsUnrecorded);
        }
        Ok(())
    }
}
