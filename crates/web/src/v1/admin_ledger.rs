//! `/admin/ledger`: whether the books are sound.

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_api::audit as wire;
use strongroom_app::{
    audit::verify::Report,
    money::ledger_check::{CheckRun, CheckState},
};
use strongroom_domain::money::Currency;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Problem, extract::Auth, state::AppState, views::Json};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(trial_balance))
        .routes(routes!(check))
}

/// Get the trial balance.
#[utoipa::path(get, path = "/api/v1/admin/ledger/trial-balance", tag = "operators",
    responses((status = 200, description = "Debits and credits by kind of account and currency.", body = wire::TrialBalance)))]
async fn trial_balance(
    State(state): State<AppState>,
    Auth(cx): Auth,
) -> Result<Json<wire::TrialBalance>, Problem> {
    let found = state.bank.trial_balance(&cx).await?;
    let mut totals: Vec<(Currency, i128, i128)> = Vec::new();
    for line in &found {
        let (debit, credit) = (i128::from(line.debit), i128::from(line.credit));
        match totals
            .iter_mut()
            .find(|(currency, ..)| *currency == line.currency)
        {
            Some(total) => (total.1, total.2) = (total.1 + debit, total.2 + credit),
            None => totals.push((line.currency, debit, credit)),
        }
    }
    let shown = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    Ok(Json(wire::TrialBalance {
        balanced: totals.iter().all(|(_, debit, credit)| debit == credit),
        lines: found
            .iter()
            .map(|line| wire::TrialBalanceLine {
                kind: line.kind.name().to_owned(),
                ledger_code: line.kind.ledger_code(),
                class: line.kind.class().name().to_owned(),
                currency: line.currency.code().to_owned(),
                accounts: line.accounts,
                debit: line.debit,
                credit: line.credit,
            })
            .collect(),
        totals: totals
            .into_iter()
            .map(|(currency, debit, credit)| wire::TrialBalanceTotal {
                currency: currency.code().to_owned(),
                debit: shown(debit),
                credit: shown(credit),
            })
            .collect(),
    }))
}

/// Check the books against the log.
///
/// Verifies every audit record, the log's tree against its newest signed head, every transaction against its record,
/// and rebuilds every account from its entries, while the bank works. Starts a check or joins the one that runs;
/// answers after at most five seconds with how far it is.
#[utoipa::path(get, path = "/api/v1/admin/ledger/check", tag = "operators",
    responses((status = 200, description = "How far the check is, and what it found.", body = wire::LedgerCheck)))]
async fn check(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::LedgerCheck>, Problem> {
    let CheckRun {
        started_at,
        state: check,
    } = state.bank.check_ledger(&cx).await?;
    let (name, records, result) = match check {
        CheckState::Running { records } => ("running", records, None),
        CheckState::Finished(report) => ("finished", report.records, Some(verification(&report))),
        CheckState::Failed(error) => return Err(error.into()),
    };
    Ok(Json(wire::LedgerCheck {
        state: name.to_owned(),
        started_at: started_at.to_string(),
        records,
        result,
    }))
}

/// A report in the words of the contract.
pub fn verification(report: &Report) -> wire::Verification {
    wire::Verification {
        clean: report.is_clean(),
        size: report.size,
        root: STANDARD.encode(report.root),
        records: report.records,
        transactions: report.transactions,
        entries: report.entries,
        accounts: report.accounts,
        unsealed: report.unsealed,
        checkpoints: report.checkpoints,
        findings_count: report.findings_count,
        findings: report
            .findings
            .iter()
            .map(|finding| wire::Finding {
                table: finding.table.to_owned(),
                row: finding.row.clone(),
                code: finding.problem.code().to_owned(),
                detail: finding.problem.text().to_owned(),
            })
            .collect(),
    }
}
