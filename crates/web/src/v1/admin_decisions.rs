//! `/admin/decisions`: what was decided, why, and what a draft would change about it.

use axum::extract::{Path, State};
use serde::Deserialize;
use strongroom_api::{decisions as wire, money::Page, policies::Applicable, policies::NewPolicy};
use strongroom_app::authority::decisions::{DecisionFilter, DecisionRow};
use strongroom_domain::id::{ApiKeyId, DecisionId, DecisionKind, UserId};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    POLICY_BODY_BYTES_MAX, Problem,
    extract::{Auth, JsonBody, QueryParams},
    layers::body_limit,
    state::AppState,
    v1::{
        admin_audit::any_id,
        admin_policies::draft,
        check::{Check, path_id},
    },
    views::Json,
};

/// Longest name of an action, in bytes.
const ACTION_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(evaluate))
        .routes(routes!(diff))
        .layer(body_limit(POLICY_BODY_BYTES_MAX))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DecisionsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// By whom it was asked for: the id of a user or an API key.
    principal: Option<String>,
    /// What was asked for: `account.freeze`.
    action: Option<String>,
    /// `allow` or `deny`.
    decision: Option<String>,
}

/// List recorded decisions, newest first.
///
/// Operators' in full, customers' refusals in full, what customers were allowed to change as far as there was room
/// (the audit log has all of it), customers' reads as a sample. A page examines a bounded number: with a filter it may
/// hold few, and a `next_cursor` to go on.
#[utoipa::path(get, path = "/api/v1/admin/decisions", tag = "policies", params(DecisionsQuery),
    responses((status = 200, description = "A page of decisions.", body = Page<wire::RecordedDecision>)))]
async fn list(
    State(state): State<AppState>,
    Auth(cx): Auth,
    QueryParams(query): QueryParams<DecisionsQuery>,
) -> Result<Json<Page<wire::RecordedDecision>>, Problem> {
    let mut check = Check::default();
    let limit = check.limit(query.limit);
    let before: Option<DecisionId> = query
        .cursor
        .as_deref()
        .and_then(|cursor| check.id("?cursor", cursor));
    let allowed = query.decision.as_deref().and_then(|name| match name {
        "allow" => Some(true),
        "deny" => Some(false),
        _ => {
            check.refuse("?decision", "invalid_value", "must be `allow` or `deny`");
            None
        }
    });
    let action = query.action.filter(|action| {
        let fits = action.len() <= ACTION_BYTES_MAX;
        if !fits {
            check.refuse("?action", "invalid_value", "must be the name of an action");
        }
        fits
    });
    let filter = DecisionFilter {
        principal: query
            .principal
            .as_deref()
            .and_then(|text| any_id(&mut check, "?principal", text)),
        action,
        allowed,
    };
    let limit = check.done(limit)?;
    let page = state.bank.decisions(&cx, &filter, before, limit).await?;
    Ok(Json(Page {
        next_cursor: page.next.map(|next| next.to_string()),
        data: page
            .decisions
            .into_iter()
            .map(|(row, reason)| to_wire(&row, reason))
            .collect(),
    }))
}

/// Decide again: the facts of a recorded decision under the policies that decided then. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/admin/decisions/{id}/evaluate", tag = "policies",
    params(("id" = String, Path, description = "The decision.")),
    responses((status = 200, description = "The answer, and why.", body = wire::DecidedAgain)))]
async fn evaluate(
    State(state): State<AppState>,
    Auth(cx): Auth,
    Path(id): Path<String>,
) -> Result<Json<wire::DecidedAgain>, Problem> {
    let id = path_id::<DecisionKind>(&id)?;
    let again = state.bank.decide_again(&cx, id).await?;
    Ok(Json(wire::DecidedAgain {
        recorded: to_wire(&again.decision, again.reason),
        decision: word(again.allowed),
        same: again.allowed == again.decision.allowed,
        complete: again.is_complete,
        reasons: again.explanation.verdict.reasons,
        applicable: again
            .explanation
            .applicable
            .into_iter()
            .map(|(name, effect)| Applicable {
                name,
                effect: effect.to_owned(),
            })
            .collect(),
        facts: again.explanation.facts.into(),
    }))
}

/// Tell which of the newest recorded decisions would come out in another way if a draft was in force. Nothing is kept.
///
/// A draft with the name of a policy stands in its place.
#[utoipa::path(post, path = "/api/v1/admin/policies/diff", tag = "policies", request_body = NewPolicy,
    responses((status = 200, description = "What would change.", body = wire::Difference)))]
async fn diff(
    State(state): State<AppState>,
    Auth(cx): Auth,
    JsonBody(body): JsonBody<NewPolicy>,
) -> Result<Json<wire::Difference>, Problem> {
    let found = state.bank.compare_policy(&cx, &draft(body)).await?;
    Ok(Json(wire::Difference {
        examined: found.examined,
        changed: found
            .changed
            .iter()
            .map(|changed| wire::ChangedDecision {
                decision_id: changed.decision.to_string(),
                before: word(changed.before),
                after: word(changed.after),
            })
            .collect(),
    }))
}

fn word(allowed: bool) -> String {
    (if allowed { "allow" } else { "deny" }).to_owned()
}

fn to_wire(row: &DecisionRow, reason: Option<String>) -> wire::RecordedDecision {
    let (kind, principal) = match row.principal_kind {
        1 => ("user", Some(UserId::from_bytes(row.principal_id).to_string())),
        2 => (
            "api_key",
            Some(ApiKeyId::from_bytes(row.principal_id).to_string()),
        ),
        3 => ("job", None),
        _ => ("cli", None),
    };
    wire::RecordedDecision {
        id: row.id.to_string(),
        at: row.at.to_string(),
        request_id: row.request.to_string(),
        principal_kind: kind.to_owned(),
        principal,
        about: row
            .owner
            .filter(|owner| *owner.as_bytes() != row.principal_id)
            .map(|owner| owner.to_string()),
        action: row.action.clone(),
        decision: word(row.allowed),
        reason,
        policy_version: row.version,
    }
}
