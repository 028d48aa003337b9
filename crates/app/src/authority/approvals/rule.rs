//! Which roles ask for what, and which decide.
//!
//! A request carries the rule that it was asked under, and its digest covers it: whoever decides is held to what was
//! true then, and to the policies of now. What is set differently meanwhile neither lets a request through nor changes
//! who may decide it.

use serde::{Deserialize, Serialize};
use strongroom_domain::{action::Action, principal::Role};
use strongroom_store::identity::ApprovalRow;

use super::REQUEST_SECS;
use crate::error::Error;

/// The rule of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Names of the roles that decide.
    pub checkers: Vec<String>,
    /// Names of the roles that ask.
    pub makers: Vec<String>,
    /// Above how many whole units of the currency it takes two, where that is what makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<i64>,
    /// How long it may be decided, in seconds.
    pub valid_secs: i64,
}

/// What tellers ask for, too, and administrators decide.
const TELLERS_ASK: [Action; 4] = [
    Action::TransferReverse,
    Action::LimitsExcept,
    Action::RailRelease,
    Action::SuspenseResolve,
];

/// Whether a request is about cash.
pub(crate) fn is_cash(action: &str) -> bool {
    action == Action::DepositCreate.name() || action == Action::WithdrawalCreate.name()
}

impl Rule {
    /// The rule of now for an action; above `over` whole units, where that is what makes it take two.
    pub(crate) fn of(action: &str, over: Option<i64>) -> Self {
        let (makers, checkers): (&[Role], &[Role]) = if is_cash(action) {
            (&[Role::Teller], &[Role::Teller, Role::Admin])
        } else if action == Action::LimitsSet.name() {
            // Whoever may allow less asks for more again.
            (&[Role::Teller, Role::Compliance, Role::Admin], &[Role::Admin])
        } else if action == Action::FraudRulesChange.name() {
            // Not who releases what the rules stop.
            (&[Role::Compliance, Role::Admin], &[Role::Admin])
        } else if TELLERS_ASK.iter().any(|known| known.name() == action) {
            (&[Role::Teller, Role::Admin], &[Role::Admin])
        } else {
            (&[Role::Admin], &[Role::Admin])
        };
        let names = |roles: &[Role]| roles.iter().map(|role| role.name().to_owned()).collect();
        Self {
            checkers: names(checkers),
            makers: names(makers),
            over,
            valid_secs: REQUEST_SECS,
        }
    }

    /// The rule that a request was asked under; the one of now for what was asked before rules were kept.
    pub(crate) fn under(row: &ApprovalRow) -> Result<Self, Error> {
        match row.rule.as_str() {
            "" => Ok(Self::of(&row.action, None)),
            text => serde_json::from_str(text).map_err(Error::internal),
        }
    }

    /// As it is kept.
    pub(crate) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// Whether who holds these roles may ask.
    pub(crate) fn may_ask(&self, roles: &[Role]) -> bool {
        holds_one(roles, &self.makers)
    }

    /// Whether who holds these roles may decide.
    pub(crate) fn may_check(&self, roles: &[Role]) -> bool {
        holds_one(roles, &self.checkers)
    }
}

fn holds_one(roles: &[Role], names: &[String]) -> bool {
    roles
        .iter()
        .any(|role| names.iter().any(|name| name == role.name()))
}

/// What the digest of a request is of: what it says, and its rule.
pub(crate) fn bound(text: &[u8], rule: &str) -> Vec<u8> {
    match rule {
        // From before rules were kept.
        "" => text.to_vec(),
        rule => [text, b"\n", rule.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cash_is_decided_at_the_counter_and_everything_else_by_administrators() {
        let cash = Rule::of("deposit.create", Some(10));
        assert!(cash.may_ask(&[Role::Teller]) && !cash.may_ask(&[Role::Admin, Role::Support]));
        assert!(cash.may_check(&[Role::Teller]) && cash.may_check(&[Role::Admin]));
        for action in Action::ALL.iter().map(|action| action.name()) {
            let rule = Rule::of(action, None);
            let cash = is_cash(action);
            assert!(rule.may_check(&[Role::Admin]), "{action}");
            assert_eq!(rule.may_check(&[Role::Teller]), cash, "{action}");
            assert!(!rule.may_check(&[Role::Customer, Role::Support, Role::Auditor, Role::Compliance]));
            assert!(!rule.may_ask(&[Role::Customer, Role::Support, Role::Auditor]));
            let compliance = ["limits.set", "fraud_rules.change"].contains(&action);
            assert_eq!(rule.may_ask(&[Role::Compliance]), compliance, "{action}");
        }
    }

    #[test]
    fn a_rule_is_read_as_it_was_kept_and_bound_by_the_digest() {
        let rule = Rule::of("withdrawal.create", Some(7));
        let text = rule.text().unwrap();
        assert_eq!(
            text,
            r#"{"checkers":["teller","admin"],"makers":["teller"],"over":7,"valid_secs":604800}"#
        );
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
        assert_ne!(bound(b"{}", &text), bound(b"{}", ""));
        assert_eq!(bound(b"{}", ""), b"{}");
    }
}
