//! The contract both ends share: wire types, error codes, paths, the typed client.
//!
//! Nothing here knows a status code, a handler or a table: `web` turns a [`codes::Kind`] into a status,
//! the client matches on [`Problem::code`].

pub mod accounts;
pub mod api_keys;
pub mod approvals;
pub mod audit;
pub mod audit_export;
pub mod auth;
pub mod beneficiaries;
pub mod client;
pub mod codes;
pub mod decisions;
pub mod export;
pub mod external;
pub mod factors;
pub mod fraud_rules;
pub mod grants;
pub mod holds;
pub mod keys;
pub mod limits;
pub mod me;
pub mod money;
pub mod notices;
pub mod passkeys;
pub mod passwords;
pub mod payments;
pub mod policies;
mod problem;
pub mod rails;
pub mod receipts;
pub mod reviews;
pub mod security;
pub mod step_up;
pub mod transfers;
pub mod views;

pub use problem::{FieldError, Problem};

/// The media type of every refusal (RFC 9457, section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";
