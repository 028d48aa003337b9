//! One suite for both engines: what the store promises, asked through its surface and behind its back.

mod harness;

mod books;
mod bounds;
mod continuity;
mod counters;
mod expiry;
mod faults;
mod holds;
mod invariants;
mod keys;
mod limits;
mod nodes;
mod payments;
mod plans;
mod reading;
mod roles;
mod step_ups;
