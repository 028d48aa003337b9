//! Version 1 of the JSON API: a file per noun.

mod accounts;
mod admin_accounts;
mod admin_alerts;
mod admin_api_keys;
mod admin_approvals;
mod admin_audit;
mod admin_audit_export;
mod admin_blocks;
mod admin_decisions;
mod admin_event_feed;
mod admin_fraud;
mod admin_fraud_rules;
mod admin_fraud_trials;
mod admin_grants;
mod admin_incidents;
mod admin_keys;
mod admin_ledger;
mod admin_limits;
mod admin_policies;
mod admin_rails;
mod admin_reviews;
mod admin_security;
mod admin_users;
mod api_keys;
mod auth;
mod batches;
mod beneficiaries;
pub(crate) mod check;
mod counter;
mod devices;
mod export;
mod external;
mod factors;
mod history;
mod hold_batches;
mod holds;
mod idempotency;
mod limits;
mod me;
mod me_login;
mod merchants;
mod notices;
mod orders;
mod page;
mod passkeys;
mod passwords;
mod payments;
mod receipts;
mod step_up;
mod transfers;
mod witness;

pub use admin_audit::audit_record;
pub use admin_ledger::verification;
use axum::{Router, middleware::from_fn};
pub(crate) use external::{enter, set_cookie};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{layers::keep_body, state::AppState};

/// The routes of each noun, with their full paths and what the contract says of them.
const NOUNS: &[fn() -> OpenApiRouter<AppState>] = &[
    auth::routes,
    step_up::routes,
    factors::routes,
    passkeys::routes,
    passwords::routes,
    external::routes,
    me::routes,
    me_login::routes,
    devices::routes,
    export::routes,
    api_keys::routes,
    accounts::routes,
    history::routes,
    transfers::routes,
    batches::routes,
    hold_batches::routes,
    holds::routes,
    limits::routes,
    payments::routes,
    beneficiaries::routes,
    merchants::routes,
    notices::routes,
    counter::routes,
    receipts::routes,
    witness::routes,
    admin_accounts::routes,
    admin_limits::routes,
    admin_users::routes,
    admin_keys::routes,
    admin_api_keys::routes,
    admin_ledger::routes,
    admin_audit::routes,
    admin_audit_export::routes,
    admin_alerts::routes,
    admin_incidents::routes,
    admin_blocks::routes,
    admin_security::routes,
    admin_event_feed::routes,
    admin_approvals::routes,
    admin_policies::routes,
    admin_reviews::routes,
    admin_fraud_rules::routes,
    admin_fraud_trials::routes,
    admin_rails::routes,
    admin_grants::routes,
    admin_decisions::routes,
];

/// Every route, with its full path.
pub fn routes() -> Router<AppState> {
    // What the contract says of a noun goes at once: a server keeps nothing of it until somebody asks.
    let all = NOUNS
        .iter()
        .fold(Router::new(), |all, noun| all.merge(Router::from(noun())));
    all.layer(from_fn(keep_body))
}

/// What the contract says of them.
pub fn describe() -> OpenApi {
    let all = NOUNS
        .iter()
        .fold(OpenApiRouter::new(), |all, noun| all.merge(noun()));
    all.into_openapi()
}
