//! The rule as it was before there were policies.

use super::*;

pub(super) fn allows(facts: &Facts<'_>) -> bool {
    if facts.kind == Kind::User
        && matches!(facts.action, Action::AccountOpenFor | Action::MerchantCreate)
        && facts.own
    {
        return false;
    }
    let (auditor, admin) = (
        facts.roles.contains(&Role::Auditor),
        facts.roles.contains(&Role::Admin),
    );
    let holds_roles = matches!(facts.kind, Kind::User | Kind::ApiKey);
    if holds_roles
        && !facts.own
        && (auditor && !reads(facts.action)
            || admin
                && moves_money(facts.action)
                && !matches!(
                    facts.action,
                    Action::TransferReverse
                        | Action::ReviewDecide
                        | Action::CashDecide
                        | Action::RailRelease
                        | Action::SuspenseResolve
                ))
    {
        return false;
    }
    let holds = |role| holds_roles && !facts.own && facts.roles.contains(&role);
    let asks = matches!(
        facts.action,
        Action::AccountRead
            | Action::AccountList
            | Action::TransferRead
            | Action::HoldRead
            | Action::LimitsRead
            | Action::PaymentRead
            | Action::UserRead
            | Action::SessionRead
    );
    if (holds(Role::Support) && asks && !facts.reason)
        || (holds(Role::Compliance) && moves_money(facts.action))
    {
        return false;
    }
    if facts.kind == Kind::ApiKey && !scope_allows(facts) {
        return false;
    }
    match facts.kind {
        Kind::Job | Kind::Cli => !moves_money(facts.action),
        Kind::User | Kind::ApiKey => facts.roles.iter().any(|role| role_allows(*role, facts)),
    }
}

fn moves_money(action: Action) -> bool {
    matches!(
        action,
        Action::TransferCreate
            | Action::DepositCreate
            | Action::WithdrawalCreate
            | Action::HoldPlace
            | Action::HoldCapture
            | Action::HoldVoid
            | Action::CashDecide
            | Action::PaymentCreate
            | Action::PaymentRefund
            | Action::PaymentCancel
            | Action::TransferReverse
            | Action::ReviewDecide
            | Action::RailRelease
            | Action::SuspenseResolve
    )
}

fn scope_allows(facts: &Facts<'_>) -> bool {
    let needed = match facts.action {
        Action::DeskEnter => return true,
        Action::AccountRead | Action::AccountList | Action::LimitsRead => "accounts:read",
        Action::AccountOpen | Action::AccountOpenFor => "accounts:write",
        Action::TransferCreate
        | Action::TransferCancel
        | Action::HoldPlace
        | Action::HoldCapture
        | Action::HoldVoid => "transfers:write",
        Action::TransferRead
        | Action::HoldRead
        | Action::PaymentRead
        | Action::MerchantRead
        | Action::BeneficiaryRead => "transfers:read",
        Action::PaymentCreate | Action::PaymentRefund | Action::PaymentCancel => "payments:write",
        Action::DepositCreate | Action::WithdrawalCreate => "deposits:write",
        _ => return false,
    };
    facts
        .scopes
        .is_some_and(|scopes| scopes.iter().any(|scope| scope == needed))
}

fn role_allows(role: Role, facts: &Facts<'_>) -> bool {
    use Action::*;
    let (action, own) = (facts.action, facts.own);
    let oneself = matches!(
        action,
        UserRead
            | UserRename
            | SessionCreate
            | SessionRead
            | NoticeRead
            | NoticeChange
            | SessionEnd
            | SessionRefresh
            | StepUp
            | CredentialChange
            | CredentialRecover
    );
    let reads = matches!(
        action,
        DeskEnter
            | AccountRead
            | AccountList
            | TransferRead
            | HoldRead
            | PaymentRead
            | MerchantRead
            | UserRead
    );
    if role == Role::Customer {
        let customers = matches!(
            action,
            UserRegister
                | AccountOpen
                | AccountRead
                | AccountList
                | LimitsRead
                | LimitsChange
                | EmailChange
                | UserExport
                | UserClose
                | AccountRename
                | AccountFreeze
                | AccountUnfreeze
                | AccountClose
                | TransferCreate
                | TransferRead
                | TransferCancel
                | HoldPlace
                | HoldCapture
                | HoldVoid
                | HoldRead
                | PaymentCreate
                | PaymentRefund
                | PaymentRead
                | PaymentCancel
                | BeneficiaryAdd
                | BeneficiaryRead
                | BeneficiaryRemove
                | PayeeCheck
                | MerchantRead
                | ApiKeyCreate
                | ApiKeyRead
                | ApiKeyRotate
                | ApiKeyRevoke
        );
        return own && (oneself || customers);
    }
    let more = match role {
        Role::Teller => matches!(
            action,
            AccountOpenFor
                | AccountFreeze
                | AccountUnfreeze
                | DepositCreate
                | WithdrawalCreate
                | HoldVoid
                | MerchantCreate
                | TransferReverse
                | ReviewRead
                | ReviewDecide
                | CashDecide
                | LimitsRead
                | LimitsExcept
                | LimitsSet
                | RailRead
                | RailRelease
                | SuspenseResolve
        ),
        Role::Auditor => matches!(
            action,
            LedgerInspect
                | AuditRead
                | AuditBrowse
                | AuditExport
                | SecurityEventRead
                | BlockRead
                | IncidentRead
                | ApprovalRead
                | PolicyRead
                | GrantRead
                | ReviewRead
                | RailRead
                | KeyRead
                | ApiKeyRead
                | FraudRulesRead
        ),
        Role::Admin => matches!(
            action,
            AccountFreeze
                | AccountUnfreeze
                | TransferReverse
                | ReviewRead
                | ReviewDecide
                | CashDecide
                | LimitsRead
                | LimitsExcept
                | LimitsSet
                | RailRead
                | RailRelease
                | SuspenseResolve
                | LedgerInspect
                | AuditRead
                | AuditBrowse
                | SecurityEventRead
                | BlockRead
                | BlockLift
                | AlertAcknowledge
                | IncidentRead
                | IncidentAct
                | IncidentLift
                | UserCreate
                | UserPlace
                | UserLock
                | SessionRead
                | FactorReset
                | GrantRead
                | GrantCreate
                | GrantRevoke
                | ApiKeyCreate
                | ApiKeyRead
                | ApiKeyRevoke
                | ApprovalRequest
                | ApprovalDecide
                | ApprovalRead
                | PolicyRead
                | PolicyWrite
                | PolicyActivate
                | KeyRead
                | KeyManage
                | FraudRulesRead
                | FraudRulesChange
        ),
        Role::Compliance => matches!(
            action,
            LimitsRead
                | LimitsSet
                | LedgerInspect
                | AuditRead
                | AuditBrowse
                | SecurityEventRead
                | BlockRead
                | ApprovalRead
                | RailRead
                | AccountFreeze
                | AccountUnfreeze
                | FraudRulesRead
                | FraudRulesChange
        ),
        Role::Customer | Role::Support => false,
    };
    facts.assurance >= 2 && (reads || more || (own && oneself))
}
