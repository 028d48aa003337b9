//! Stories of the whole server, told over HTTPS on both databases.

mod api_keys;
mod approvals;
mod audit;
mod authority;
mod bad_input;
mod bad_input_http;
mod factors;
mod faults;
mod faults_database;
mod faults_nodes;
mod harness;
mod identity;
mod import;
mod limits;
mod matrix;
mod passkeys;
mod process;
mod races;
mod secrets;
mod security_events;
mod signatures;
mod step_up;
mod transfers;
