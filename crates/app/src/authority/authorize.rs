//! The one place where it is decided who may do what.
//!
//! [`authorize`] sees a principal with roles and assurance, an [`Action`], a [`Resource`] with its owner, and the
//! origin, and asks the [policies](crate::authority::policy). The default is no. A [`Permit`] comes out and can come
//! from nowhere else; the books check the permit's scope and epoch again when they commit.

use std::borrow::Cow;

use strongroom_domain::{
    action::Action,
    department::Department,
    id::UserId,
    ledger::{Authority, Owned},
    money::{Amount, Currency},
    principal::{Assurance, Principal, Role},
};

use crate::{
    authority::policy::{self, Facts, Kind, Policies},
    cx::{Cx, Rights},
    error::{Error, Kind as Refusal},
};

/// What a decision may depend on besides who asks for what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About {
    /// How much would move, of which currency.
    pub money: Option<(Amount, Currency)>,
    /// The state of the account that it is about, where its row was read.
    pub account_state: Option<&'static str>,
}

impl About {
    /// So much would move.
    pub const fn money(amount: Amount, currency: Currency) -> Self {
        Self {
            money: Some((amount, currency)),
            account_state: None,
        }
    }

    /// It is about an account in this state.
    pub const fn account(state: &'static str) -> Self {
        Self {
            money: None,
            account_state: Some(state),
        }
    }
}

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
    authorize_about(cx, action, resource, About::default())
}

/// Allows or refuses, with what the decision may depend on besides.
///
/// # Errors
/// As [`authorize`].
pub fn authorize_about(cx: &Cx, action: Action, resource: Resource, about: About) -> Result<Permit, Error> {
    if cx.caller.principal == Principal::Anonymous {
        return Err(Error::unauthenticated());
    }
    if let Some(reach) = cx.reach()
        && !is_own(cx, resource)
    {
        reach.goes_beyond_own();
    }
    let scope = decide(cx, cx.reason.is_some(), action, resource, about);
    if let Some(log) = cx.in_force.as_ref().and_then(|in_force| in_force.log.as_ref()) {
        log.note(cx, action, resource, about, scope.as_ref().map(|_| ()))?;
    }
    let scope = scope.map_err(|_| refusal(cx, action, resource, about))?;
    let is_read_only = cx.in_force.as_ref().is_some_and(|in_force| in_force.read_only.0);
    if is_read_only && policy::moves_money(action) {
        return Err(read_only());
    }
    Ok(Permit {
        authority: Authority {
            caller: cx.caller,
            action,
            scope,
            policy: cx
                .in_force
                .as_ref()
                .map_or(policy::BUILT_IN_VERSION, |in_force| in_force.version),
            epoch: cx.epoch,
            network: cx.network,
        },
    })
}

/// As [`authorize_about`] for the caller's own things, with a permit that counts for these alone, whatever the caller's
/// roles: for what names many things at once and leaves it to the books whose they are. A permit that covered anybody's
/// would cover there whatever was named.
///
/// # Errors
/// As [`authorize`]; `unauthenticated` for what acts for no person.
pub(crate) fn authorize_own(cx: &Cx, action: Action, about: About) -> Result<Permit, Error> {
    let me = cx.person()?;
    let permit = authorize_about(cx, action, Resource::OwnedBy(me), about)?;
    Ok(Permit {
        authority: Authority {
            scope: Owned::By(me),
            ..permit.authority
        },
    })
}

/// Refuses early what is decided again with all of its facts before it is done: a refusal is noted here, what is
/// allowed there, so that one act is one decision. It gives no permit.
///
/// # Errors
/// As [`authorize`].
pub(crate) fn authorize_first(cx: &Cx, action: Action, resource: Resource) -> Result<(), Error> {
    if !would_allow(cx, action, resource) {
        return authorize(cx, action, resource).map(drop);
    }
    if let Some(reach) = cx.reach()
        && !is_own(cx, resource)
    {
        reach.goes_beyond_own();
    }
    Ok(())
}

/// Whether this would be allowed, where that decides what is asked for: it gives nothing and is not noted.
pub(crate) fn would_allow(cx: &Cx, action: Action, resource: Resource) -> bool {
    decide(cx, cx.reason.is_some(), action, resource, About::default()).is_ok()
}

/// Whether the caller may do this to somebody's things at all, asked before anything is looked for. A role that counts
/// in one department counts here, wherever that is: what it is about is asked next.
///
/// # Errors
/// As [`authorize`].
pub(crate) fn authorize_somewhere(cx: &Cx, action: Action) -> Result<(), Error> {
    if cx.rights.within.is_empty() {
        return authorize(cx, action, Resource::Bank).map(drop);
    }
    let mut anywhere = cx.clone();
    anywhere.rights = std::sync::Arc::new(Rights {
        within: Vec::new(),
        ..Rights::clone(&cx.rights)
    });
    authorize(&anywhere, action, Resource::Bank).map(drop)
}

/// The roles that count for this: one that was given for a department counts about what belongs there, about own things
/// and for coming in. What belongs nowhere is in no department.
pub(crate) fn roles_for(cx: &Cx, action: Action, resource: Resource) -> Cow<'_, [Role]> {
    if cx.rights.within.is_empty() {
        return Cow::Borrowed(&cx.rights.roles);
    }
    let here = department_of(cx, resource);
    let anyway = action == Action::DeskEnter || is_own(cx, resource);
    let counts = |role: &Role| {
        let bound = cx.rights.bound_to(*role);
        anyway || bound.is_none() || bound == here
    };
    cx.rights.roles.iter().copied().filter(counts).collect()
}

/// Where a thing belongs, as far as the call knows.
pub(crate) fn department_of(cx: &Cx, resource: Resource) -> Option<Department> {
    match (resource, cx.beside) {
        (Resource::OwnedBy(owner), Some((known, department))) if owner == known => department,
        _ => None,
    }
}

/// Lets in where operators work: whoever holds a role of the bank, with the factors that it asks for.
///
/// # Errors
/// `unauthenticated` for nobody, `forbidden` for everybody else.
pub fn enter_desk(cx: &Cx) -> Result<(), Error> {
    authorize(cx, Action::DeskEnter, Resource::Bank).map(drop)
}

/// The bank is read-only: said to those alone who else would be allowed.
fn read_only() -> Error {
    Error::new(
        Refusal::Unavailable,
        "read_only",
        "The bank moves no money for the moment. Try again later, with the same idempotency key.",
    )
}

fn reason_required() -> Error {
    Error::new(
        Refusal::Forbidden,
        "reason_required",
        "Say in `X-Access-Reason` why this has to be read.",
    )
}

fn is_own(cx: &Cx, resource: Resource) -> bool {
    matches!(resource, Resource::OwnedBy(owner) if cx.caller.principal.owner() == Some(owner))
}

/// Somebody else's thing looks like no thing to a customer; an operator is told that it is not allowed.
fn refusal(cx: &Cx, action: Action, resource: Resource, about: About) -> Error {
    let foreign = matches!(resource, Resource::OwnedBy(owner) if cx.caller.principal.owner() != Some(owner));
    if foreign && !cx.rights.roles.iter().any(|role| role.is_operator()) {
        Error::not_found()
    } else if cx.reach().is_some() && cx.reason.is_none() && decide(cx, true, action, resource, about).is_ok()
    {
        reason_required()
    } else {
        Error::forbidden()
    }
}

/// The verdict that refused; `None` where no policy was asked.
pub(crate) type Forbidding = Option<std::sync::Arc<policy::Verdict>>;

/// Asks the policies, and bounds what they may give away: who does not work for the bank never gets a permit beyond
/// the own things, whatever a policy says. Who is refused is told which policies forbade it, if any did: where none
/// did, none permits it.
fn decide(
    cx: &Cx,
    reason: bool,
    action: Action,
    resource: Resource,
    about: About,
) -> Result<Owned, Forbidding> {
    let kind = match cx.caller.principal {
        Principal::Anonymous => return Err(None),
        Principal::User(_) => Kind::User,
        Principal::ApiKey { .. } => Kind::ApiKey,
        Principal::Job => Kind::Job,
        Principal::Cli(_) => Kind::Cli,
    };
    let me = cx.caller.principal.owner();
    let owner = match resource {
        Resource::OwnedBy(owner) => Some(owner),
        Resource::Bank => None,
    };
    let roles = roles_for(cx, action, resource);
    let (mine, theirs) = (cx.rights.department, department_of(cx, resource));
    let facts = Facts {
        is_somebodys: owner.is_some(),
        own: owner.is_some() && owner == me,
        assurance: match cx.assurance {
            Assurance::None => 0,
            Assurance::Aal1 => 1,
            Assurance::Aal2 => 2,
        },
        reason,
        origin: cx.caller.origin.name(),
        zone: cx.in_force.as_ref().map(|in_force| &in_force.zone),
        scopes: cx.rights.scopes.as_deref(),
        department: mine.as_ref().map(Department::as_str),
        resource_department: theirs.as_ref().map(Department::as_str),
        address: cx.address,
        amount: about.money.map(|(amount, _)| amount.minor()),
        account_state: about.account_state,
        currency: about.money.as_ref().map(|(_, currency)| currency.code()),
        ..Facts::new(kind, &roles, action, cx.now())
    };
    let policies = match &cx.in_force {
        Some(in_force) => &in_force.policies,
        None => policy::built_in().map_err(|_| None)?,
    };
    if !is_allowed(policies, &facts) {
        // The same facts come to the same verdict.
        let verdict = policies.decide(&facts);
        return Err((!verdict.allowed).then_some(verdict));
    }
    // What the books let the permit touch: a customer's covers the customer's own, also when they look again.
    match (facts.kind, me) {
        (Kind::User | Kind::ApiKey, Some(me)) if facts.own && cx.rights.has(Role::Customer) => {
            Ok(Owned::By(me))
        }
        _ => Ok(Owned::ByAnyone),
    }
}

/// What policies allow, and no more than there can be a permit for: who holds no role of the bank gets one for own
/// things only.
pub(crate) fn is_allowed(policies: &Policies, facts: &Facts<'_>) -> bool {
    policies.decide(facts).allowed
        && match facts.kind {
            Kind::Job | Kind::Cli => true,
            Kind::User | Kind::ApiKey => {
                (facts.own && facts.roles.contains(&Role::Customer))
                    || facts.roles.iter().any(|role| role.is_operator())
            }
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_domain::{
        id::RequestId,
        principal::{Caller, Origin},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn who_may_reach_everybodys_things_reaches_own_ones_alone_where_that_is_asked_for() {
        let me = UserId::from_bytes([1; 16]);
        let caller = Caller {
            principal: Principal::User(me),
            session: None,
            origin: Origin::Api,
        };
        let rights = Rights {
            roles: vec![Role::Teller],
            ..Rights::default()
        };
        let (request, at) = (RequestId::from_bytes([2; 16]), Timestamp::from_micros(0));
        let teller = Cx::new(caller, Arc::new(rights), Assurance::Aal2, request, at, 1);
        let scope = |permit: Result<Permit, Error>| permit.map(|permit| permit.authority().scope).ok();
        let all = authorize(&teller, Action::HoldVoid, Resource::OwnedBy(me));
        assert_eq!(scope(all), Some(Owned::ByAnyone));
        let own = authorize_own(&teller, Action::HoldVoid, About::default());
        assert_eq!(scope(own), Some(Owned::By(me)));
        let not_allowed = authorize_own(&teller, Action::TransferCreate, About::default());
        assert_eq!(scope(not_allowed), None);
    }
}
