//! What the books answer, as sentences. Every batch of every test goes through [`desk::Desk::decide`], which checks
//! the laws that hold for all of them: money is neither made nor lost, entries chain, a refusal changes nothing.

mod batches;
mod bounds;
mod cash;
mod consent;
mod desk;
mod freezes;
mod golden;
mod holds;
mod idempotency;
mod laws;
mod model;
mod opening;
mod payees;
mod payments;
mod purity;
mod rails;
mod reference;
mod reviews;
mod sending;
mod step_ups;
mod trail;
mod transfers;
