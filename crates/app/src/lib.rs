//! Use cases. One [`Bank`], whose methods live in a file per noun; JSON handlers, pages, jobs and the command line call
//! the same ones.
//!
//! A use case reads like this: [`Cx`] says who calls and when, the one [`authorize`](mod@authorize) answers with a
//! [`Permit`] or refuses, a [`strongroom_domain::ledger::Command`] is built from the permit and goes through the
//! [`ledger_writer`], which is the only way to the books. Nothing here knows HTTP, SQL or what a status code is.

pub mod accounts;
pub mod api_key_input;
pub mod api_keys;
pub mod approvals;
pub mod arrival;
pub mod audit_log;
pub mod audit_records;
pub mod auth_state;
pub mod authorize;
pub mod bank;
pub mod batches;
mod blocks;
pub mod browser;
pub mod clock;
pub mod closing;
pub mod counter;
pub mod credentials;
pub mod customer_limits;
pub mod customers;
pub mod cx;
mod decision_log;
pub mod decisions;
pub mod email;
pub mod email_change;
pub mod error;
mod export;
pub mod external;
mod factor_reset;
pub mod factors;
pub mod grants;
mod guess;
pub mod history;
pub mod holds;
pub mod idempotency;
pub mod identity;
pub mod incidents;
pub mod jobs;
mod key_bounds;
pub mod keys;
pub mod ledger_check;
pub mod ledger_writer;
pub mod login;
pub mod mail;
pub mod mfa;
pub mod networks;
pub mod operators;
pub mod outbox;
pub mod passkeys;
pub mod passwords;
pub mod people;
pub mod personal;
pub mod policies;
pub mod policy;
pub mod policy_changes;
pub mod possession;
pub mod receipts;
pub mod record;
pub mod refresh;
pub mod registration;
pub mod sealer;
pub mod security_events;
pub mod sessions;
pub mod signatures;
pub mod step_up;
pub mod token_set;
pub mod transfers;
pub mod users;
pub mod verify;
mod wrong_keys;

pub use arrival::{Arrival, Credential};
pub use authorize::Permit;
pub use bank::{Bank, BankSettings};
pub use clock::{Clock, SystemClock};
pub use cx::{Cx, Proofs, Rights};
pub use error::{Error, FieldError, Kind};
pub use identity::IdentitySettings;
pub use strongroom_crypto::{ExposeSecret, SecretString};
