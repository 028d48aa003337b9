//! Money: accounts, everything that moves between them, and the only way into the books.

pub mod account_limits;
pub mod accounts;
pub mod allowances;
pub mod batches;
pub mod beneficiaries;
mod confirmed;
pub mod counter;
pub mod customer_limits;
pub mod exceptions;
pub mod fraud;
pub mod fraud_rules;
pub mod fraud_trials;
pub mod history;
pub mod hold_batches;
pub mod holds;
pub mod idempotency;
pub mod ledger_check;
pub mod ledger_writer;
pub mod merchants;
pub mod payee_names;
pub mod payments;
pub mod rails;
pub mod receipts;
pub mod reversals;
pub mod reviews;
pub mod sendings;
pub mod transfers;
