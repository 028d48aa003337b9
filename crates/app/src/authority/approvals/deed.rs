//! What an approval is about to do, prepared before its transaction.

use strongroom_domain::id::UserId;

use crate::{
    api_keys::{ApiKeyAdded, PreparedKey},
    authority::{grants::GiveRole, policy_changes::PreparedChange},
    identity::{
        factor_reset::FactorReset,
        operators::{NewOperator, OperatorAdded},
    },
    keys::rotation::PreparedRotation,
    money::{fraud_rules::PreparedRules, rails::files::PreparedRelease},
    security::catalogue::SecurityEventKind,
};

/// What an approval is about to do.
pub(super) enum Deed {
    Operator(Box<NewOperator>),
    Policy(Box<PreparedChange>),
    Grant(GiveRole),
    Reset(Box<FactorReset>),
    Release(Box<PreparedRelease>),
    Rotation(Box<PreparedRotation>),
    FraudRules(Box<PreparedRules>),
    ApiKey(Box<PreparedKey>),
}

impl Deed {
    /// Whom it is about, where that is somebody who is there already.
    pub(super) fn about(&self) -> Option<UserId> {
        match self {
            Self::Operator(_)
            | Self::Policy(_)
            | Self::Grant(_)
            | Self::Release(_)
            | Self::Rotation(_)
            | Self::FraudRules(_)
            | Self::ApiKey(_) => None,
            Self::Reset(reset) => Some(reset.person),
        }
    }

    /// What people are told of it, and about whom or what.
    pub(super) fn event(&self) -> Option<(SecurityEventKind, (String, [u8; 16]))> {
        let person = |id: UserId| (id.to_string(), *id.as_bytes());
        match self {
            Self::Operator(prepared) => Some((SecurityEventKind::OperatorAdded, person(prepared.id()))),
            Self::Policy(prepared) => Some((
                SecurityEventKind::PolicyChanged,
                (prepared.policy().to_string(), *prepared.policy().as_bytes()),
            )),
            Self::Release(_) | Self::Rotation(_) => None,
            Self::Grant(wanted) => Some((SecurityEventKind::RoleGiven, person(wanted.user))),
            Self::ApiKey(prepared) => Some((SecurityEventKind::RoleGiven, person(prepared.owner()))),
            Self::Reset(reset) => Some((SecurityEventKind::FactorsReset, person(reset.person))),
            Self::FraudRules(prepared) => Some((
                SecurityEventKind::FraudRulesChanged,
                (format!("revision {}", prepared.revision()), prepared.object()),
            )),
        }
    }
    /// The secrets that came of it, shown to whoever decided, once.
    pub(super) fn handed_over(self) -> (Option<OperatorAdded>, Option<ApiKeyAdded>) {
        match self {
            Self::Operator(prepared) => (Some(prepared.ready()), None),
            Self::Reset(reset) => (reset.ready(), None),
            Self::ApiKey(prepared) => (None, Some(prepared.added())),
            Self::Policy(_) | Self::Grant(_) | Self::Release(_) | Self::Rotation(_) | Self::FraudRules(_) => {
                (None, None)
            }
        }
    }
}
