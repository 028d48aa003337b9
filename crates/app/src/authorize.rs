//! The one place where it is decided who may do what.
//!
//! [`authorize`] sees a principal with roles and assurance, an [`Action`], a [`Resource`] with its owner, and the
//! origin, and asks the [policies](crate::policy). The default is no. A [`Permit`] comes out and can come from nowhere
//! else; the books check the permit's scope and epoch again when they commit.

use strongroom_domain::{
    action::Action,
    id::UserId,
    ledger::{Authority, Owned},
    money::{Amount, Currency},
    principal::{Assurance, Principal, Role},
};

use crate::{
    cx::Cx,
    error::Error,
    policy::{self, Facts, Kind, Policies},
};

/// What a decision may depend on besides who asks for what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About {
    /// How much would move, of which currency.
    pub money: Option<(Amount, Currency)>,
}

impl About {
    /// So much would move.
    pub const fn money(amount: Amount, currency: Currency) -> Self {
        Self {
            money: Some((amount, currency)),
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
    let scope = decide(cx, action, resource, about);
    if let Some(log) = cx.in_force.as_ref().and_then(|in_force| in_force.log.as_ref()) {
        log.note(cx, action, resource, about, scope.is_some())?;
    }
    let scope = scope.ok_or_else(|| refusal(cx, resource))?;
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

/// Asks the policies, and bounds what they may give away: who does not work for the bank never gets a permit beyond
/// the own things, whatever a policy says.
fn decide(cx: &Cx, action: Action, resource: Resource, about: About) -> Option<Owned> {
    let kind = match cx.caller.principal {
        Principal::Anonymous => return None,
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
    let facts = Facts {
        is_somebodys: owner.is_some(),
        own: owner.is_some() && owner == me,
        assurance: match cx.assurance {
            Assurance::None => 0,
            Assurance::Aal1 => 1,
            Assurance::Aal2 => 2,
        },
        origin: cx.caller.origin.name(),
        zone: cx.in_force.as_ref().map(|in_force| &in_force.zone),
        scopes: cx.rights.scopes.as_deref(),
        address: cx.address,
        amount: about.money.map(|(amount, _)| amount.minor()),
        currency: about.money.as_ref().map(|(_, currency)| currency.code()),
        ..Facts::new(kind, &cx.rights.roles, action, cx.now())
    };
    let policies = match &cx.in_force {
        Some(in_force) => &in_force.policies,
        None => policy::built_in().ok()?,
    };
    if !is_allowed(policies, &facts) {
        return None;
    }
    // What the books let the permit touch: a customer's covers the customer's own, also when they look again.
    match (facts.kind, me) {
        (Kind::User | Kind::ApiKey, Some(me)) if facts.own && cx.rights.has(Role::Customer) => {
            Some(Owned::By(me))
        }
        _ => Some(Owned::ByAnyone),
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
