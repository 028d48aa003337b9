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
pub(crate) use external::{enter, set_cookie};
use utoipa_axum::router::OpenApiRouter;

use crate::{layers::keep_body, state::AppState};

/// Every route, with its full path.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(step_up::routes())
        .merge(factors::routes())
        .merge(passkeys::routes())
        .merge(passwords::routes())
        .merge(external::routes())
        .merge(me::routes())
        .merge(me_login::routes())
        .merge(devices::routes())
        .merge(export::routes())
        .merge(api_keys::routes())
        .merge(accounts::routes())
        .merge(history::routes())
        .merge(transfers::routes())
        .merge(batches::routes())
        .merge(hold_batches::routes())
        .merge(holds::routes())
        .merge(limits::routes())
        .merge(payments::routes())
        .merge(beneficiaries::routes())
        .merge(merchants::routes())
        .merge(notices::routes())
        .merge(counter::routes())
        .merge(receipts::routes())
        .merge(witness::routes())
        .merge(admin_accounts::routes())
        .merge(admin_limits::routes())
        .merge(admin_users::routes())
        .merge(admin_keys::routes())
        .merge(admin_api_keys::routes())
        .merge(admin_ledger::routes())
        .merge(admin_audit::routes())
        .merge(admin_audit_export::routes())
        .merge(admin_alerts::routes())
        .merge(admin_incidents::routes())
        .merge(admin_blocks::routes())
        .merge(admin_security::routes())
        .merge(admin_event_feed::routes())
        .merge(admin_approvals::routes())
        .merge(admin_policies::routes())
        .merge(admin_reviews::routes())
        .merge(admin_fraud_rules::routes())
        .merge(admin_fraud_trials::routes())
        .merge(admin_rails::routes())
        .merge(admin_grants::routes())
        .merge(admin_decisions::routes())
        .layer(axum::middleware::from_fn(keep_body))
}
