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
  reason: Bool,
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
    ABOUT_CUSTOMERS,
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
/// Reads about customers.
const ABOUT_CUSTOMERS: &str = "about-customers";

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
        reads_about_customers(action).then_some(ABOUT_CUSTOMERS),
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
            | Action::BeneficiaryRead
            | Action::PayeeCheck
            | Action::LedgerInspect
            | Action::AuditRead
            | Action::AuditBrowse
            | Action::AuditExport
            | Action::SecurityEventRead
            | Action::BlockRead
            | Action::IncidentRead
            | Action::ReviewRead
            | Action::FraudRulesRead
            | Action::RailRead
            | Action::DeskEnter
            | Action::UserRead
            | Action::SessionRead
            | Action::NoticeRead
            | Action::ApiKeyRead
            | Action::ApprovalRead
            | Action::PolicyRead
            | Action::GrantRead
            | Action::KeyRead
    )
}

/// What tells about customers and their money. Everything else that reads is about the bank.
pub(crate) const fn reads_about_customers(action: Action) -> bool {
    matches!(
        action,
        Action::AccountRead
            | Action::AccountList
            | Action::TransferRead
            | Action::HoldRead
            | Action::LimitsRead
            | Action::PaymentRead
            | Action::UserRead
            | Action::SessionRead
    )
}

/// What is counted of an operator who reads more than the work brings along: what tells about customers, and the log
/// taken away or gone through, which tells of everybody.
pub(crate) const fn is_counted_reading(action: Action) -> bool {
    reads_about_customers(action) || matches!(action, Action::AuditExport | Action::AuditBrowse)
}

const fn scope_of(action: Action) -> Option<&'static str> {
    match action {
        Action::AccountRead | Action::AccountList | Action::LimitsRead => Some("accounts:read"),
        Action::AccountOpen | Action::AccountOpenFor => Some("accounts:write"),
        Action::TransferCreate
        | Action::TransferCancel
        | Action::HoldPlace
        | Action::HoldCapture
        | Action::HoldVoid => Some("transfers:write"),
        Action::TransferRead
        | Action::HoldRead
        | Action::PaymentRead
        | Action::MerchantRead
        | Action::BeneficiaryRead => Some("transfers:read"),
        Action::PaymentCreate | Action::PaymentRefund | Action::PaymentCancel => Some("payments:write"),
        Action::DepositCreate | Action::WithdrawalCreate => Some("deposits:write"),
        _ => None,
    }
}

/// Booking what the bank's own bank did ([`Action::RailSettle`]) moves nothing: it has moved.
pub(crate) const fn moves_money(action: Action) -> bool {
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
            | Action::PaymentCancel
            | Action::TransferReverse
            | Action::ReviewDecide
            | Action::CashDecide
            | Action::RailRelease
            | Action::SuspenseResolve
    )
}

/// What moves money that nobody else has asked for, or approves besides.
pub(super) fn moves_money_alone(action: Action) -> bool {
    let by_two = matches!(
        action,
        Action::TransferReverse
            | Action::ReviewDecide
            | Action::CashDecide
            | Action::RailRelease
            | Action::SuspenseResolve
    );
    moves_money(action) && !by_two
}

/// What everybody with a login does with their own login.
const fn is_own_login(action: Action) -> bool {
    matches!(
        action,
        Action::UserRead
            | Action::UserRename
            | Action::SessionCreate
            | Action::SessionRead
            | Action::NoticeRead
            | Action::NoticeChange
            | Action::SessionEnd
            | Action::SessionRefresh
            | Action::StepUp
            | Action::CredentialChange
            | Action::CredentialRecover
    )
}
