//! Authority: who may do what, who decides it, and what was decided.

pub mod approvals;
pub mod authorize;
pub(crate) mod decision_code;
pub(crate) mod decision_log;
pub mod decisions;
pub mod departments;
pub mod grants;
pub mod policies;
pub mod policy;
pub mod policy_changes;
pub mod readers;
