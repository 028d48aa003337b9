//! Use cases. One [`Bank`], whose methods live in rooms, a file per noun; JSON handlers, pages, jobs and the command
//! line call the same ones.
//!
//! A use case reads like this: [`Cx`] says who calls and when, the one [`authorize`](mod@authority::authorize) answers
//! with a [`Permit`] or refuses, a [`strongroom_domain::ledger::Command`] is built from the permit and goes through the
//! [`ledger_writer`](money::ledger_writer), which is the only way to the books. Nothing here knows HTTP, SQL or what a
//! status code is.

pub mod api_keys;
pub mod arrival;
pub mod audit;
pub mod authority;
pub mod bank;
pub mod clock;
pub mod cx;
pub mod error;
mod figures;
pub mod identity;
pub mod jobs;
pub mod keys;
pub mod mail;
pub mod money;
pub mod notices;
pub mod security;

pub use arrival::{Arrival, Credential};
pub use authority::authorize::Permit;
pub use bank::{Bank, BankSettings};
pub use clock::{Clock, SystemClock};
pub use cx::{Cx, Proofs, Rights};
pub use error::{Error, FieldError, Kind};
pub use identity::IdentitySettings;
pub use strongroom_crypto::{ExposeSecret, Purpose, SecretString, certificate_thumbprint};
