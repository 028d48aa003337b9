//! The one place where it is decided who may do what.
//!
//! [`authorize`] sees a principal with roles and assurance, an [`Action`], a [`Resource`] with its owner, and the
//! origin: the inputs that a policy engine gets. The default is no. A [`Permit`] comes out and can come from nowhere
//! else; the books check the permit's scope and epoch again when they commit.

use strongroom_domain::{
    action::Action,
    id::UserId,
    ledger::{Authority, Owned},
    principal::{Assurance, Principal, Role},
};

use crate::{cx::Cx, error::Error};

/// Version of the built-in rules, as audit records name it.
pub const POLICY_VERSION: i32 = 1;

/// What an action is about, with what the decision needs of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Something of this person: an account, a session, a transfer that the person is a party of.
    OwnedBy(UserId),
    /// Something that belongs to the bank, or to nobody in particular.
    Bank,
}

/// Proof that an action was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    authority: Authority,
}

impl Permit {
    /// What the books and the log keep of it.
    pub const fn authority(&self) -> Authority {
        self.authority
    }
}

/// Allows or refuses.
///
/// # Errors
/// `unauthenticated` for nobody; `not_found` where somebody else's thing must look like no thing; `forbidden`
/// otherwise.
pub fn authorize(cx: &Cx, action: Action, resource: Resource) -> Result<Permit, Error> {
    if cx.caller.principal == Principal::Anonymous {
        return Err(Error::unauthenticated());
    }
    let scope = decide(cx, action, resource).ok_or_else(|| refusal(cx, resource))?;
    Ok(Permit {
        authority: Authority {
            caller: cx.caller,
            action,
            scope,
            policy: POLICY_VERSION,
            epoch: cx.epoch,
        },
    })
}

/// Lets in where operators work: whoever holds a role of the bank, with the factors that it asks for.
///
/// # Errors
/// `unauthenticated` for nobody, `forbidden` for everybody else.
pub fn enter_desk(cx: &Cx) -> Result<(), Error> {
    authorize(cx, Action::DeskEnter, Resource::Bank).map(drop)
}

/// Somebody else's thing looks like no thing to a customer; an operator is told that it is not allowed.
fn refusal(cx: &Cx, resource: Resource) -> Error {
    let foreign = matches!(resource, Resource::OwnedBy(owner) if cx.caller.principal.owner() != Some(owner));
    if foreign && !cx.rights.roles.iter().any(|role| role.is_operator()) {
        Error::not_found()
    } else {
        Error::forbidden()
    }
}

fn decide(cx: &Cx, action: Action, resource: Resource) -> Option<Owned> {
    if !scope_allows(cx, action) {
        return None;
    }
    match cx.caller.principal {
        Principal::Anonymous => None,
        // Whoever holds the data directory holds the bank; jobs are the server itself. Neither moves customers' money.
        Principal::Job | Principal::Cli(_) => (!moves_money(action)).then_some(Owned::ByAnyone),
        // Who works for the bank is no customer of the own desk.
        Principal::User(me)
            if matches!(action, Action::AccountOpenFor | Action::MerchantCreate)
                && resource == Resource::OwnedBy(me) =>
        {
            None
        }
        Principal::User(me) | Principal::ApiKey { owner: me, .. } => cx
            .rights
            .roles
            .iter()
            .find_map(|role| role_allows(*role, cx.assurance, action, resource, me)),
    }
}

/// A key without the scope may not, whatever its owner may.
fn scope_allows(cx: &Cx, action: Action) -> bool {
    if action == Action::DeskEnter {
        return true;
    }
    match &cx.rights.scopes {
        None => !matches!(cx.caller.principal, Principal::ApiKey { .. }),
        Some(scopes) => scope_of(action).is_some_and(|needed| scopes.iter().any(|scope| scope == needed)),
    }
}

const fn scope_of(action: Action) -> Option<&'static str> {
    match action {
        Action::AccountRead | Action::AccountList => Some("accounts:read"),
        Action::AccountOpen | Action::AccountOpenFor => Some("accounts:write"),
        Action::TransferCreate | Action::HoldPlace | Action::HoldCapture | Action::HoldVoid => {
            Some("transfers:write")
        }
        Action::TransferRead | Action::HoldRead | Action::PaymentRead | Action::MerchantRead => {
            Some("transfers:read")
        }
        Action::PaymentCreate | Action::PaymentRefund => Some("payments:write"),
        Action::DepositCreate | Action::WithdrawalCreate => Some("deposits:write"),
        // A key makes no keys and changes no rights.
        _ => None,
    }
}

const fn moves_money(action: Action) -> bool {
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

fn role_allows(
    role: Role,
    assurance: Assurance,
    action: Action,
    resource: Resource,
    me: UserId,
) -> Option<Owned> {
    if role.is_operator() && assurance < Assurance::Aal2 {
        return None;
    }
    let own = resource == Resource::OwnedBy(me);
    let allowed = match role {
        Role::Customer => own && customer_may(action),
        Role::Teller => teller_may(action) || (own && may_for_oneself(action)),
        Role::Support => support_may(action) || (own && may_for_oneself(action)),
        Role::Auditor => auditor_may(action) || (own && may_for_oneself(action)),
        Role::Admin => admin_may(action) || (own && may_for_oneself(action)),
    };
    // A customer's permit covers the customer's own accounts only, also when the books look again.
    let scope = if role == Role::Customer {
        Owned::By(me)
    } else {
        Owned::ByAnyone
    };
    allowed.then_some(scope)
}

/// What everybody with a login does with their own login.
const fn may_for_oneself(action: Action) -> bool {
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

const fn customer_may(action: Action) -> bool {
    may_for_oneself(action)
        || matches!(
            action,
            Action::UserRegister
                | Action::AccountOpen
                | Action::AccountRead
                | Action::AccountList
                | Action::AccountRename
                | Action::AccountFreeze
                | Action::AccountUnfreeze
                | Action::AccountClose
                | Action::TransferCreate
                | Action::TransferRead
                | Action::HoldPlace
                | Action::HoldCapture
                | Action::HoldVoid
                | Action::HoldRead
                | Action::PaymentCreate
                | Action::PaymentRefund
                | Action::PaymentRead
                | Action::MerchantRead
                | Action::ApiKeyCreate
                | Action::ApiKeyRead
                | Action::ApiKeyRotate
                | Action::ApiKeyRevoke
        )
}

const fn support_may(action: Action) -> bool {
    matches!(
        action,
        Action::DeskEnter
            | Action::AccountRead
            | Action::AccountList
            | Action::TransferRead
            | Action::HoldRead
            | Action::PaymentRead
            | Action::MerchantRead
            | Action::UserRead
    )
}

const fn teller_may(action: Action) -> bool {
    support_may(action)
        || matches!(
            action,
            Action::AccountOpenFor
                | Action::MerchantCreate
                | Action::TransferReverse
                | Action::AccountFreeze
                | Action::AccountUnfreeze
                | Action::DepositCreate
                | Action::WithdrawalCreate
                | Action::HoldVoid
        )
}

const fn auditor_may(action: Action) -> bool {
    support_may(action)
        || matches!(
            action,
            Action::LedgerInspect
                | Action::AuditRead
                | Action::SecurityEventRead
                | Action::BlockRead
                | Action::ApprovalRead
        )
}

const fn admin_may(action: Action) -> bool {
    support_may(action)
        || matches!(
            action,
            Action::AccountFreeze
                | Action::AccountUnfreeze
                | Action::TransferReverse
                | Action::LedgerInspect
                | Action::AuditRead
                | Action::SecurityEventRead
                | Action::BlockRead
                | Action::BlockLift
                | Action::UserCreate
                | Action::UserLock
                | Action::GrantCreate
                | Action::ApiKeyCreate
                | Action::ApiKeyRevoke
                | Action::ApprovalRead
                | Action::ApprovalRequest
                | Action::ApprovalDecide
                | Action::KeyManage
        )
}
