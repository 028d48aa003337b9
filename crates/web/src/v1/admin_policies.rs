//! `/admin/policies`: what the bank itself permits and forbids.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::LOCATION};
use serde::Deserialize;
use strongroom_api::{approvals::ApprovalRequested, money::Page, policies as wire};
use strongroom_app::{
    Cx,
    authority::{
        policies::{Draft, PolicyDetails, PolicyRow, RevisionRow},
        policy::{Asker, Case, Circumstances, Question, Thing},
    },
};
use strongroom_domain::id::{PolicyId, PolicyKind};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    POLICY_BODY_BYTES_MAX, Problem,
    extract::{Auth, JsonBody, OptionalJsonBody, QueryParams},
    layers::body_limit,
    state::AppState,
    v1::{
        admin_approvals::asked,
        check::{Check, path_id},
        page::page_of,
    },
    views::Json,
};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, revise, delete))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .routes(routes!(validate))
        .routes(routes!(simulate))
        .layer(body_limit(POLICY_BODY_BYTES_MAX))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PoliciesQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List policies, newest first.
#[utoipa::path(get, path = "/api/v1/admin/policies", tag = "policies", params(PoliciesQuery),
    responses((status = 200, description = "A page of policies.", body = Page<wire::PolicySummary>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<PoliciesQuery>,
) -> Result<Json<Page<wire::PolicySummary>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<PolicyId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let limit = check.done(limit)?;
    let found = state.bank.policies(&cx, before, limit.saturating_add(1)).await?;
    Ok(Json(page_of(found, limit, |last| last.id.to_string(), summary)))
}

/// Write a policy. It is a draft until it is in force.
#[utoipa::path(post, path = "/api/v1/admin/policies", tag = "policies", request_body = wire::NewPolicy,
    responses((status = 201, description = "Kept.", body = wire::Policy)))]
async fn create(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::NewPolicy>,
) -> Result<Response, Problem> {
    let kept = state.bank.write_policy(&cx, None, draft(body)).await?;
    let place = format!("/api/v1/admin/policies/{}", kept.policy.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(to_wire(kept))).into_response())
}

/// Read a policy with its texts.
#[utoipa::path(get, path = "/api/v1/admin/policies/{id}", tag = "policies",
    params(("id" = String, Path, description = "The policy.")),
    responses((status = 200, description = "The policy.", body = wire::Policy)))]
async fn read(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::Policy>, Problem> {
    let id = path_id::<PolicyKind>(&id)?;
    Ok(Json(to_wire(state.bank.policy(&cx, id).await?)))
}

/// Write a further text of a policy. What is in force stays so.
#[utoipa::path(put, path = "/api/v1/admin/policies/{id}", tag = "policies", request_body = wire::NewRevision,
    params(("id" = String, Path, description = "The policy.")),
    responses((status = 200, description = "Kept.", body = wire::Policy)))]
async fn revise(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<wire::NewRevision>,
) -> Result<Json<wire::Policy>, Problem> {
    let id = path_id::<PolicyKind>(&id)?;
    let draft = Draft {
        name: "draft".to_owned(),
        text: body.text,
        cases: body.tests.into_iter().map(case).collect(),
    };
    let kept = state.bank.write_policy(&cx, Some(id), draft).await?;
    Ok(Json(to_wire(kept)))
}

/// Take a policy out of sight that is not in force. Its texts stay for whoever asks why something was decided.
#[utoipa::path(delete, path = "/api/v1/admin/policies/{id}", tag = "policies",
    params(("id" = String, Path, description = "The policy.")),
    responses((status = 204, description = "Gone.")))]
async fn delete(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = path_id::<PolicyKind>(&id)?;
    state.bank.delete_policy(&cx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a policy to be in force.
///
/// Its test cases have to come out as written, guardrails have to hold, and it must be possible to take it back.
/// Another administrator decides at `/admin/approvals`; from then on the next request on every node is decided under
/// it.
#[utoipa::path(post, path = "/api/v1/admin/policies/{id}/activate", tag = "policies",
    request_body = Option<wire::Activation>,
    params(("id" = String, Path, description = "The policy.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn activate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
    OptionalJsonBody(body): OptionalJsonBody<wire::Activation>,
) -> Result<Response, Problem> {
    ask(&state, &cx, &id, true, body.unwrap_or_default().revision).await
}

/// Ask for a policy to be out of force.
#[utoipa::path(post, path = "/api/v1/admin/policies/{id}/deactivate", tag = "policies",
    params(("id" = String, Path, description = "The policy.")),
    responses((status = 202, description = "Asked for.", body = ApprovalRequested)))]
async fn deactivate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    ask(&state, &cx, &id, false, None).await
}

async fn ask(
    state: &AppState,
    cx: &Cx,
    id: &str,
    activates: bool,
    revision: Option<i64>,
) -> Result<Response, Problem> {
    let id = path_id::<PolicyKind>(id)?;
    let approval = state
        .bank
        .ask_for_policy_change(cx, id, activates, revision)
        .await?;
    Ok(asked(approval))
}

/// Tell whether a draft could be in force, and why not. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/admin/policies/validate", tag = "policies", request_body = wire::NewPolicy,
    responses((status = 200, description = "What is wrong with it.", body = wire::Validation)))]
async fn validate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::NewPolicy>,
) -> Result<Json<wire::Validation>, Problem> {
    let found = state.bank.validate_policy(&cx, &draft(body)).await?;
    Ok(Json(wire::Validation {
        valid: found.errors.is_empty() && found.cases.iter().all(|(_, passed)| *passed),
        errors: found.errors,
        tests: found
            .cases
            .into_iter()
            .map(|(name, passed)| wire::CaseOutcome { name, passed })
            .collect(),
    }))
}

/// Tell what would be decided about a request that nobody makes, and why. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/admin/policies/simulate", tag = "policies", request_body = wire::Simulation,
    responses((status = 200, description = "The decision.", body = wire::Simulated)))]
async fn simulate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<wire::Simulation>,
) -> Result<Json<wire::Simulated>, Problem> {
    let asked = question(wire::Question {
        principal: body.principal,
        action: body.action,
        resource: body.resource,
        context: body.context,
    });
    let draft = body.draft.map(draft);
    let found = state.bank.simulate(&cx, &asked, draft.as_ref()).await?;
    let explanation = found.explanation;
    Ok(Json(wire::Simulated {
        allowed: explanation.verdict.allowed,
        reasons: explanation.verdict.reasons,
        failed: explanation.verdict.failed,
        policy_version: found.version,
        applicable: explanation
            .applicable
            .into_iter()
            .map(|(name, effect)| wire::Applicable {
                name,
                effect: effect.to_owned(),
            })
            .collect(),
        facts: explanation.facts.into(),
    }))
}

pub(super) fn draft(body: wire::NewPolicy) -> Draft {
    Draft {
        name: body.name,
        text: body.text,
        cases: body.tests.into_iter().map(case).collect(),
    }
}

fn case(case: wire::Case) -> Case {
    Case {
        name: case.name,
        question: question(case.question),
        allowed: case.allowed,
    }
}

fn question(question: wire::Question) -> Question {
    let context = question.context;
    Question {
        principal: Asker {
            kind: question.principal.kind,
            roles: question.principal.roles,
            scopes: question.principal.scopes,
        },
        action: question.action,
        resource: Thing {
            owner: question.resource.owner,
        },
        context: Circumstances {
            assurance: context.assurance,
            reason: context.reason,
            origin: context.origin,
            at: context.at,
            department: context.department,
            resource_department: context.resource_department,
            address: context.address,
            amount: context.amount,
            currency: context.currency,
            account_state: context.account_state,
        },
    }
}

fn case_to_wire(case: Case) -> wire::Case {
    let question = case.question;
    let context = question.context;
    wire::Case {
        name: case.name,
        allowed: case.allowed,
        question: wire::Question {
            principal: wire::Asker {
                kind: question.principal.kind,
                roles: question.principal.roles,
                scopes: question.principal.scopes,
            },
            action: question.action,
            resource: wire::Thing {
                owner: question.resource.owner,
            },
            context: wire::Circumstances {
                assurance: context.assurance,
                reason: context.reason,
                origin: context.origin,
                at: context.at,
                department: context.department,
                resource_department: context.resource_department,
                address: context.address,
                amount: context.amount,
                currency: context.currency,
                account_state: context.account_state,
            },
        },
    }
}

fn summary(policy: PolicyRow) -> wire::PolicySummary {
    wire::PolicySummary {
        id: policy.id.to_string(),
        name: policy.name,
        state: (if policy.active.is_some() {
            "active"
        } else {
            "draft"
        })
        .to_owned(),
        active_revision: policy.active,
        newest_revision: policy.newest,
        created_at: policy.created_at.to_string(),
    }
}

fn revision((revision, cases): (RevisionRow, Vec<Case>)) -> wire::Revision {
    wire::Revision {
        number: revision.number,
        text: revision.text,
        tests: cases.into_iter().map(case_to_wire).collect(),
        digest: strongroom_domain::text::hex(&revision.digest),
        maker_id: revision.maker.map(|maker| maker.to_string()),
        created_at: revision.created_at.to_string(),
    }
}

fn to_wire(found: PolicyDetails) -> wire::Policy {
    wire::Policy {
        policy: summary(found.policy),
        revisions: found.revisions.into_iter().map(revision).collect(),
    }
}
