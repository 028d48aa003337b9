//! `/admin/fraud/rules`: the rules about fraud, and other ones by two people.

use axum::{
    extract::{Path, State},
    response::Response,
};
use strongroom_api::{approvals::ApprovalRequested, fraud_rules as wire, money::Page};
use strongroom_app::{
    Cx,
    money::fraud_rules::{RuleSet, RulesRevision, WantedRules},
};
use strongroom_domain::text::hex;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Problem,
    extract::{Auth, JsonBody, QueryParams},
    state::AppState,
    v1::{
        admin_approvals::asked,
        admin_fraud::{change, drafts, number_of},
        page::{PageQuery, page_of},
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(validate))
        .routes(routes!(propose))
        .routes(routes!(list))
        .routes(routes!(revision))
        .routes(routes!(restore))
}

/// Read the rules about fraud that are in force.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules", tag = "operators",
    responses((status = 200, description = "The rules.", body = wire::FraudRules)))]
async fn read(State(state): State<AppState>, Auth(cx): Auth) -> Result<Json<wire::FraudRules>, Problem> {
    let found = state.bank.fraud_rules(&cx).await?;
    Ok(Json(wire::FraudRules {
        rules: rules(found.set.as_ref()),
        bank_mode: state.bank.fraud_mode().name().to_owned(),
        summary: summary(found),
    }))
}

/// Tell what a draft would change of the rules in force, or all that is wrong with it. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/admin/fraud/rules/validate", tag = "operators",
    request_body = wire::FraudRulesDraft,
    responses((status = 200, description = "What would change.", body = wire::FraudRulesDifference)))]
async fn validate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::FraudRulesDraft>,
) -> Result<Json<wire::FraudRulesDifference>, Problem> {
    let found = state.bank.validate_fraud_rules(&cx, &drafts(body.rules)).await?;
    Ok(Json(wire::FraudRulesDifference {
        base_revision: found.base,
        digest: hex(&found.digest),
        changes: found.changes.into_iter().map(change).collect(),
    }))
}

/// Ask for other rules to be in force.
///
/// Needs a fresh login or step-up. An administrator decides, never who asks; from the answer to the approval on every
/// movement on every node is held against them. Where other rules came in force meanwhile the request is
/// `approval_stale`. A draft that did not run beside the rules in force for long enough
/// (`POST /api/v1/admin/fraud/rules/trials`) is `fraud_rules_untried` unless `untried_reason` says why it cannot wait.
#[utoipa::path(post, path = "/api/v1/admin/fraud/rules/proposals", tag = "operators",
    request_body = wire::FraudRulesProposal,
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn propose(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::FraudRulesProposal>,
) -> Result<Response, Problem> {
    let wanted = WantedRules::Drafted {
        base: body.base_revision,
        rules: drafts(body.rules),
        untried_reason: body.untried_reason,
    };
    ask(&state, &cx, wanted, &body.reason).await
}

/// List the sets of rules that were in force, newest first. The last one, 0, is the program's own.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules/revisions", tag = "operators", params(PageQuery),
    responses((status = 200, description = "A page of sets.", body = Page<wire::FraudRulesSummary>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Page<wire::FraudRulesSummary>>, Problem> {
    let (limit, before) = query.numbered()?;
    let more = limit.saturating_add(1);
    let found = state.bank.fraud_rules_revisions(&cx, before, more).await?;
    Ok(Json(page_of(
        found,
        limit,
        |last| last.revision.to_string(),
        summary,
    )))
}

/// Read one set of rules, and what it changed of the one before it.
#[utoipa::path(get, path = "/api/v1/admin/fraud/rules/revisions/{revision}", tag = "operators",
    params(("revision" = i64, Path, description = "Number of the set.")),
    responses((status = 200, description = "The set.", body = wire::FraudRulesRevision)))]
async fn revision(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(revision): Path<String>,
) -> Result<Json<wire::FraudRulesRevision>, Problem> {
    let (found, changes) = state.bank.fraud_rules_revision(&cx, number_of(&revision)).await?;
    Ok(Json(wire::FraudRulesRevision {
        rules: rules(found.set.as_ref()),
        changes: changes.into_iter().map(change).collect(),
        summary: summary(found),
    }))
}

/// Ask for an earlier set of rules to be in force again; 0 is the program's own.
///
/// As `POST /api/v1/admin/fraud/rules/proposals`.
#[utoipa::path(post, path = "/api/v1/admin/fraud/rules/revisions/{revision}/restore", tag = "operators",
    request_body = wire::RestoreFraudRules,
    params(("revision" = i64, Path, description = "Number of the set.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn restore(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(revision): Path<String>,
    JsonBody(body): JsonBody<wire::RestoreFraudRules>,
) -> Result<Response, Problem> {
    let wanted = WantedRules::Earlier(number_of(&revision));
    ask(&state, &cx, wanted, &body.reason).await
}

async fn ask(state: &AppState, cx: &Cx, wanted: WantedRules, reason: &str) -> Result<Response, Problem> {
    let approval = state.bank.ask_for_fraud_rules(cx, wanted, reason).await?;
    Ok(asked(approval))
}

fn summary(found: RulesRevision) -> wire::FraudRulesSummary {
    wire::FraudRulesSummary {
        revision: found.revision,
        digest: hex(&found.digest),
        maker_id: found.maker.map(|id| id.to_string()),
        checker_id: found.checker.map(|id| id.to_string()),
        approval_id: found.approval.map(|id| id.to_string()),
        restores: found.restores,
        reason: found.reason,
        in_force_since: found.at.map(|at| at.to_string()),
    }
}

fn rules(set: Option<&RuleSet>) -> Vec<wire::FraudRule> {
    let own = RuleSet::default();
    let Some(set) = set else { return Vec::new() };
    let both = set.rules().iter().zip(own.rules());
    both.map(|(rule, own)| wire::FraudRule {
        rule: rule.id.clone(),
        version: rule.version,
        mode: rule.mode.name().to_owned(),
        verdict: rule.verdict.name().to_owned(),
        score: rule.score,
        relied_on: rule.is_relied_on(),
        conditions: rule.conditions(),
        parameters: rule
            .parameters()
            .zip(own.parameters())
            .map(|(parameter, own)| wire::FraudParameter {
                name: parameter.measure.name().to_owned(),
                is: parameter.is.to_owned(),
                value: parameter.value,
                unit: parameter.bounds.unit.to_owned(),
                min: parameter.bounds.min,
                max: parameter.bounds.max,
                default: own.value,
            })
            .collect(),
    })
    .collect()
}
