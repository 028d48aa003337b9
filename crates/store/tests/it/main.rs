//! One suite for both engines: what the store promises, asked through its surface and behind its back.

mod harness;

mod auditor;
mod books;
mod bounds;
mod continuity;
mod counters;
mod credentials;
mod decisions;
mod expiry;
mod faults;
mod feed;
mod fraud;
mod fraud_rules;
mod fraud_trials;
mod holds;
mod invariants;
mod keys;
mod leases;
mod limits;
mod nodes;
mod payments;
mod plans;
mod reading;
mod roles;
mod sending;
mod soak;
mod step_ups;
