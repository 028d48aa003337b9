//! What comes to the books at once: one command, or several of one request.

use crate::ledger::command::{Command, StepUpClaim};

/// Commands that are decided one after the other in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// At least one. Those of a batch claim no approval of their own.
    pub commands: Vec<Command>,
    /// Whether one refusal refuses all.
    pub all_or_none: bool,
    /// The approval that the commands need together.
    pub step_up: Option<StepUpClaim>,
}

impl From<Command> for Order {
    fn from(command: Command) -> Self {
        Self {
            commands: vec![command],
            all_or_none: false,
            step_up: None,
        }
    }
}
