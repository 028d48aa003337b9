//! Version 1 of the JSON API: a file per noun.

mod accounts;
mod admin_accounts;
mod admin_users;
mod auth;
mod check;
mod counter;
mod history;
mod idempotency;
mod me;
mod transfers;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// Every route, with its full path.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(me::routes())
        .merge(accounts::routes())
        .merge(history::routes())
        .merge(transfers::routes())
        .merge(counter::routes())
        .merge(admin_accounts::routes())
        .merge(admin_users::routes())
}
