//! The schema that policies are validated against: made from the list of actions, so that it cannot lag behind.

use std::fmt::Write as _;

use cedar_policy::Schema;
use strongroom_domain::action::Action;

use super::PolicyError;

/// Entities are names without attributes; whatever a policy may ask for is a fact.
const HEAD: &str = "\
entity Role in [Role];
entity User in [Role];
entity ApiKey in [Role];
entity Job;
entity Cli;
entity Bank;
entity Thing;
type Facts = {
  own: Bool,
  assurance: Long,
  origin: String,
  now: Long,
  weekday: Long,
  minute: Long,
  scopes?: Set<String>,
  department?: String,
  resource_department?: String,
  address?: ipaddr,
  amount?: Long,
  currency?: String,
  account_state?: String,
};
";
/// The groups that policies name in place of many actions.
pub(super) const GROUPS: &[&str] = &[
    OWN_LOGIN,
    MONEY,
    NOT_MONEY,
    MONEY_ALONE,
    CHANGES,
    UNSCOPED,
    "accounts:read",
    "accounts:write",
    "transfers:read",
    "transfers:write",
    "deposits:write",
    "payments:write",
];
const OWN_LOGIN: &str = "own-login";
const MONEY: &str = "money";
const NOT_MONEY: &str = "not-money";
/// Moves money without a second person.
const MONEY_ALONE: &str = "money-alone";
const CHANGES: &str = "changes";
const UNSCOPED: &str = "unscoped";

pub(super) fn schema() -> Result<Schema, PolicyError> {
    let mut text = HEAD.to_owned();
    for group in GROUPS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "action \"{group}\";");
    }
    for action in Action::ALL {
        let groups: Vec<_> = groups(*action).map(|group| format!("\"{group}\"")).collect();
        let _ = writeln!(
            text,
            "action \"{}\" in [{}] appliesTo {{ principal: [User, ApiKey, Job, Cli], resource: [Bank, Thing], context: Facts }};",
            action.name(),
            groups.join(", ")
        );
    }
    Schema::from_cedarschema_str(&text)
        .map(|(schema, _)| schema)
        .map_err(|error| PolicyError::Schema(error.to_string()))
}

/// The groups of an action.
pub(super) fn groups(action: Action) -> impl Iterator<Item = &'static str> {
    let money = if moves_money(action) { MONEY } else { NOT_MONEY };
    // Coming in is no right by itself: what a key may do there its scopes say.
    let scope = match scope_of(action) {
        None if action == Action::DeskEnter => None,
        None => Some(UNSCOPED),
        scope => scope,
    };
    [
        is_own_login(action).then_some(OWN_LOGIN),
        Some(money),
        moves_money_alone(action).then_some(MONEY_ALONE),
        (!reads(action)).then_some(CHANGES),
        scope,
    ]
    .into_iter()
    .flatten()
}

/// What leaves everything as it is. Whatever is added to the actions is a change until it is named here.
pub(crate) const fn reads(action: Action) -> bool {
    matches!(
        action,
        Action::AccountRead
            | Action::AccountList
            | Action::TransferRead
            | Action::HoldRead
            | Action::LimitsRead
            | Action::PaymentRead
            | Action::MerchantRead
            | Action::LedgerInspect
            | Action::AuditRead
            | Action::SecurityEventRead
            | Action::BlockRead
            | Action::DeskEnter
            | Action::UserRead
            | Action::SessionRead
            | Action::ApiKeyRead
            | Action::ApprovalRead
            | Action::PolicyRead
            | Action::GrantRead
    )
}

const fn scope_of(action: Action) -> Option<&'static str> {
    match action {
        Action::AccountRead | Action::AccountList | Action::LimitsRead => Some("accounts:read"),
        Action::AccountOpen | Action::AccountOpenFor => Some("accounts:write"),
        Action::TransferCreate | Action::HoldPlace | Action::HoldCapture | Action::HoldVoid => {
            Some("transfers:write")
        }
        Action::TransferRead | Action::HoldRead | Action::PaymentRead | Action::MerchantRead => {
            Some("transfers:read")
        }
        Action::PaymentCreate | Action::PaymentRefund => Some("payments:write"),
        Action::DepositCreate | Action::WithdrawalCreate => Some("deposits:write"),
        _ => None,
    }
}

pub(super) const fn moves_money(action: Action) -> bool {
    matches!(
        action,
        Action::TransferCreate
            | Action::DepositCreate
            | Action::WithdrawalCreate
            | Action::HoldPlace
            | Action::HoldCapture
            | Action::HoldVoid
            | Action::PaymentCreate
            | Action::PaymentRefund
            | Action::TransferReverse
    )
}

/// What moves money and is not decided by a second person besides.
pub(super) fn moves_money_alone(action: Action) -> bool {
    moves_money(action) && action != Action::TransferReverse
}

/// What everybody with a login does with their own login.
const fn is_own_login(action: Action) -> bool {
    matches!(
        action,
        Action::UserRead
            | Action::UserRename
            | Action::SessionCreate
            | Action::SessionRead
            | Action::SessionEnd
            | Action::SessionRefresh
            | Action::StepUp
            | Action::CredentialChange
            | Action::CredentialRecover
    )
}
