//! `/admin/fraud/rules/trials`: drafts of the rules about fraud that run beside the set in force.

use axum::extract::{Path, State};
use http::StatusCode;
use strongroom_api::{fraud_rules as wire, money::Page};
use strongroom_app::money::fraud_trials::{DifferenceRow, FraudTrial};
use strongroom_domain::text::hex;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::{
        admin_fraud::{change, drafts, number_of},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(start, list))
        .routes(routes!(report))
        .routes(routes!(differences))
        .routes(routes!(end))
}

/// Let a draft of the rules about fraud run beside the set in force.
///
/// Needs a fresh login or step-up. From the answer on every payment, transfer and hold on every node is held against
/// it, too, and nothing follows from it. One draft runs at a time: another one that does ends, and every one ends when
/// another set comes in force.
#[utoipa::path(post, path = "/api/v1/admin/fraud/rules/trials", tag = "operators",
    request_body = wire::StartFraudTrial,
    responses((status = 201, description = "It runs.", body = wire::FraudTrial)))]
async fn start(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::StartFraudTrial>,
) -> Result<(StatusCode, Json<wire::FraudTrial>), Problem> {
    let rules = drafts(body.rules);
    let begun = state
        .bank
        .start_fraud_trial(&cx, body.base_revision, rules, &body.reason)
        .await?;
    Ok((StatusCode::CREATED, Json(trial(begun))))
}

/// List the drafts of the rules about fraud that run or ran beside a set in force, newest first.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules/trials", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of trials.", body = Page<wire::FraudTrial>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::FraudTrial>>, Problem> {
    let (limit, before) = query.numbered()?;
    let found = state
        .bank
        .fraud_trials(&cx, before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(found, limit, |last| last.trial.to_string(), trial)))
}

/// Read what a draft of the rules about fraud would have done otherwise.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules/trials/{trial}", tag = "operators",
    params(("trial" = i64, Path, description = "Number of the trial.")),
    responses((status = 200, description = "The report.", body = wire::FraudTrialReport)))]
async fn report(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(number): Path<String>,
) -> Result<Json<wire::FraudTrialReport>, Problem> {
    let found = state.bank.fraud_trial(&cx, number_of(&number)).await?;
    let verdicts = found.verdicts.into_iter();
    let rules = found.rules.into_iter();
    Ok(Json(wire::FraudTrialReport {
        trial: trial(found.trial),
        changes: found.changes.into_iter().map(change).collect(),
        verdicts: verdicts
            .map(|(in_force, draft, times)| wire::FraudTrialVerdict {
                in_force: in_force.name().to_owned(),
                draft: draft.name().to_owned(),
                times,
            })
            .collect(),
        rules: rules
            .map(|(rule, in_force, draft)| wire::FraudTrialRule {
                rule,
                in_force,
                draft,
            })
            .collect(),
    }))
}

/// List the payments, transfers and holds of which something else would have followed, newest first.
///
/// At most 10,000 of a trial, for 90 days; all are counted in the report.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules/trials/{trial}/differences", tag = "operators",
    params(("trial" = i64, Path, description = "Number of the trial."), PageQuery),
    responses((status = 200, description = "A page of them.", body = Page<wire::FraudTrialDifference>)))]
async fn differences(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(number): Path<String>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::FraudTrialDifference>>, Problem> {
    let (limit, before) = query.page()?;
    let found = state
        .bank
        .fraud_trial_differences(&cx, number_of(&number), before, limit.saturating_add(1))
        .await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.id.to_string(),
        difference,
    )))
}

/// End the trial of a draft of the rules about fraud. One that ended stays as it is.
#[utoipa::path(post, path = "/api/v1/admin/fraud/rules/trials/{trial}/end", tag = "operators",
    params(("trial" = i64, Path, description = "Number of the trial.")),
    responses((status = 200, description = "It runs no more.", body = wire::FraudTrial)))]
async fn end(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(number): Path<String>,
) -> Result<Json<wire::FraudTrial>, Problem> {
    let ended = state.bank.end_fraud_trial(&cx, number_of(&number)).await?;
    Ok(Json(trial(ended)))
}

fn trial(found: FraudTrial) -> wire::FraudTrial {
    let state = if found.ended_at.is_some() {
        "ended"
    } else {
        "running"
    };
    wire::FraudTrial {
        trial: found.trial,
        base_revision: found.base,
        digest: hex(&found.digest),
        state: state.to_owned(),
        maker_id: found.maker.map(|id| id.to_string()),
        reason: found.reason,
        started_at: found.started_at.to_string(),
        ended_at: found.ended_at.map(|at| at.to_string()),
        tried_from: found.tried_from.to_string(),
        tried: found.tried,
        judged: found.judged,
        differing: found.differing,
        kept: found.kept,
    }
}

fn difference(found: DifferenceRow) -> wire::FraudTrialDifference {
    let names = |rules: &str| {
        let names = rules.split(',').filter(|rule| !rule.is_empty());
        names.map(str::to_owned).collect()
    };
    wire::FraudTrialDifference {
        transaction_id: found.id.to_string(),
        at: found.at.to_string(),
        in_force: found.in_force.verdict.name().to_owned(),
        draft: found.draft.verdict.name().to_owned(),
        in_force_rules: names(&found.in_force.rules),
        draft_rules: names(&found.draft.rules),
    }
}
