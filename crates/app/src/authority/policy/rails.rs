//! What must hold of every set of policies, asked over the whole grid before the set may be in force.
//!
//! The guardrails are policies and forbid by themselves. This is the same once more, in other words and by another
//! hand: a set is only let in force when nobody finds a way past them.

use strongroom_domain::{action::Action, principal::Role, time::Timestamp};

use super::{
    Facts, Kind, Policies,
    schema::{moves_money, moves_money_alone, reads, reads_about_customers},
};

/// The first decision of the grid that a set must not come to, in words.
pub(crate) fn broken_rail(policies: &Policies, now: Timestamp) -> Option<String> {
    for kind in [Kind::User, Kind::ApiKey, Kind::Job, Kind::Cli] {
        for role in Role::ALL {
            for action in Action::ALL {
                for (is_somebodys, own) in [(false, false), (true, false), (true, true)] {
                    for assurance in [1, 2] {
                        let roles = [role];
                        let facts = Facts {
                            is_somebodys,
                            own,
                            assurance,
                            ..Facts::new(kind, &roles, *action, now)
                        };
                        let verdict = policies.decide(&facts);
                        if verdict.failed || (verdict.allowed && is_off_the_rails(&facts, role)) {
                            return Some(format!(
                                "{} as {} with {assurance} factors: {}",
                                kind.name(),
                                role.name(),
                                action.name()
                            ));
                        }
                    }
                }
            }
        }
    }
    None
}

fn is_off_the_rails(facts: &Facts<'_>, role: Role) -> bool {
    let action = facts.action;
    match facts.kind {
        Kind::Job | Kind::Cli => moves_money(action),
        // The grid's keys have no scopes.
        Kind::ApiKey => action != Action::DeskEnter,
        Kind::User if facts.own => {
            matches!(action, Action::AccountOpenFor | Action::MerchantCreate)
        }
        Kind::User => {
            facts.assurance < 2
                || (role == Role::Auditor && !reads(action))
                || (role == Role::Support && !facts.reason && reads_about_customers(action))
                || (role == Role::Compliance && moves_money(action))
                || (role == Role::Admin && moves_money_alone(action))
        }
    }
}
