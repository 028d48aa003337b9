//! Heads of policies decided beforehand.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use serde_json::{Value, json};
use strongroom_domain::{action::Action, principal::Role};

use super::{
    PolicyError, Verdict,
    facts::{Attribute, Facts, Kind, NUMBERED, NUMBERS, Wanted},
    schema::groups,
};

/// The role that every role of the bank's is in.
const OPERATOR: &str = "operator";

/// For whom a slice is cut: a kind of principal and a set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    kind: Kind,
    roles: u32,
}

impl Holder {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let roles = facts.roles.iter().fold(0, |set, role| set | 1 << *role as u32);
        Self {
            kind: facts.kind,
            roles,
        }
    }

    fn holds(self, name: &str) -> bool {
        // The host and jobs hold no roles, whatever they were given.
        matches!(self.kind, Kind::User | Kind::ApiKey)
            && Role::ALL
                .iter()
                .filter(|role| self.roles & (1 << **role as u32) != 0)
                .any(|role| role.name() == name || (name == OPERATOR && role.is_operator()))
    }
}

/// Who a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Who {
    kind: Option<Kind>,
    role: Option<String>,
}

/// A policy with its head taken apart.
#[derive(Debug)]
pub(super) struct Parsed {
    name: String,
    effect: Effect,
    who: Who,
    /// Names of actions and groups; `None` for all.
    actions: Option<Vec<String>>,
    /// The policy without who and what.
    rest: Policy,
    is_conditional: bool,
    wanted: Wanted,
}

impl Parsed {
    /// Takes a policy of a text apart. Policies of an author carry the label of their text in front of their own name.
    pub(super) fn read(policy: &Policy, label: Option<&str>) -> Result<Self, PolicyError> {
        let own = policy
            .annotation("id")
            .map_or_else(|| policy.id().to_string(), str::to_owned);
        let name = label.map_or_else(|| own.clone(), |label| format!("{label}/{own}"));
        let refuse = |why| PolicyError::Shape(name.clone(), why);
        let mut json = policy
            .to_json()
            .map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let conditions = json["conditions"].clone();
        check_conditions(&conditions).map_err(refuse)?;
        let who = who(&policy.principal_constraint()).map_err(refuse)?;
        if label.is_some() && matches!(who.kind, Some(Kind::Job | Kind::Cli)) {
            return Err(refuse("an author's policies are about people and integrations"));
        }
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some(vec![id(&action)]),
            ActionConstraint::In(actions) => Some(actions.iter().map(id).collect()),
        };
        let by_resource = match policy.resource_constraint() {
            ResourceConstraint::Any => false,
            ResourceConstraint::Is(_) => true,
            _ => return Err(refuse("a resource is any, `is Bank` or `is Thing`")),
        };
        json["principal"] = json!({"op": "All"});
        json["action"] = json!({"op": "All"});
        let rest = Policy::from_json(Some(PolicyId::new(&name)), json)
            .map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let has_conditions = conditions.as_array().is_some_and(|all| !all.is_empty());
        Ok(Self {
            effect: policy.effect(),
            who,
            actions,
            rest,
            is_conditional: by_resource || has_conditions,
            wanted: wanted_by(&conditions),
            name,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `permit` or `forbid`.
    pub(super) const fn effect(&self) -> &'static str {
        match self.effect {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        }
    }

    pub(super) fn applies(&self, holder: Holder, action: Action) -> bool {
        let named = |name: &String| name == action.name() || groups(action).any(|group| group == name);
        self.who.kind.is_none_or(|kind| kind == holder.kind)
            && self.who.role.as_ref().is_none_or(|role| holder.holds(role))
            && self.actions.as_ref().is_none_or(|names| names.iter().any(named))
    }
}

fn id(uid: &EntityUid) -> String {
    uid.id().unescaped().to_owned()
}

fn kind_of(name: &str) -> Result<Kind, &'static str> {
    match name {
        "User" => Ok(Kind::User),
        "ApiKey" => Ok(Kind::ApiKey),
        "Job" => Ok(Kind::Job),
        "Cli" => Ok(Kind::Cli),
        _ => Err("a principal is a User, an ApiKey, a Job or a Cli"),
    }
}

fn who(constraint: &PrincipalConstraint) -> Result<Who, &'static str> {
    let role = |uid: &EntityUid| match uid.type_name().basename() {
        "Role" => Ok(Some(id(uid))),
        _ => Err("a principal is in a Role"),
    };
    Ok(match constraint {
        PrincipalConstraint::Any => Who {
            kind: None,
            role: None,
        },
        PrincipalConstraint::In(uid) => Who {
            kind: None,
            role: role(uid)?,
        },
        PrincipalConstraint::Is(kind) => Who {
            kind: Some(kind_of(kind.basename())?),
            role: None,
        },
        PrincipalConstraint::IsIn(kind, uid) => Who {
            kind: Some(kind_of(kind.basename())?),
            role: role(uid)?,
        },
        PrincipalConstraint::Eq(_) => return Err("a policy names roles, not persons"),
    })
}

/// Who and what belong into the head, where they are decided beforehand: a condition about them would see names only.
fn check_conditions(conditions: &Value) -> Result<(), &'static str> {
    match conditions {
        Value::Object(members) => {
            if members.get("Var").is_some_and(|name| name != "context") {
                return Err("conditions are about `context`; who and what belong into the head");
            }
            members.values().try_for_each(check_conditions)
        }
        Value::Array(items) => items.iter().try_for_each(check_conditions),
        _ => Ok(()),
    }
}

/// The attributes that conditions name. A text constant of the same spelling counts, which does no harm.
fn wanted_by(conditions: &Value) -> Wanted {
    match conditions {
        Value::String(text) => Attribute::ALL
            .iter()
            .filter(|attribute| attribute.name() == text)
            .fold(Wanted::default(), |wanted, attribute| wanted.with(*attribute)),
        Value::Object(members) => members
            .values()
            .fold(Wanted::default(), |wanted, value| wanted.and(wanted_by(value))),
        Value::Array(items) => items
            .iter()
            .fold(Wanted::default(), |wanted, value| wanted.and(wanted_by(value))),
        _ => Wanted::default(),
    }
}

/// The policies that can apply to somebody's action.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) set: PolicySet,
    pub(super) wanted: Wanted,
    /// The verdict, where no fact can change it.
    pub(super) always: Option<Arc<Verdict>>,
    /// The verdicts over the few values of [`Facts::number`], where no condition asks for anything else.
    known: Vec<OnceLock<Arc<Verdict>>>,
}

impl Slice {
    pub(super) fn cut(all: &[Parsed], holder: Holder, action: Action) -> Result<Self, PolicyError> {
        let kept: Vec<_> = all
            .iter()
            .filter(|policy| policy.applies(holder, action))
            .collect();
        let set = PolicySet::from_policies(kept.iter().map(|policy| policy.rest.clone()))
            .map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let wanted = kept
            .iter()
            .fold(Wanted::default(), |wanted, policy| wanted.and(policy.wanted));
        let numbers = if wanted.is_within(NUMBERED) { NUMBERS } else { 0 };
        Ok(Self {
            set,
            wanted,
            always: always(&kept).map(Arc::new),
            known: std::iter::repeat_with(OnceLock::new).take(numbers).collect(),
        })
    }

    /// Where the verdict over these facts is kept, where it can be.
    pub(super) fn place(&self, facts: &Facts<'_>) -> Option<&OnceLock<Arc<Verdict>>> {
        self.known.get(facts.number()?)
    }
}

/// What a slice always comes to: no, where nothing permits or something forbids without a condition; yes, where
/// nothing has a condition.
fn always(kept: &[&Parsed]) -> Option<Verdict> {
    let named = |effect: Effect| -> Vec<String> {
        kept.iter()
            .filter(|policy| policy.effect == effect && !policy.is_conditional)
            .map(|policy| policy.name.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let verdict = |allowed, reasons| {
        Some(Verdict {
            allowed,
            reasons,
            failed: false,
        })
    };
    let forbids = named(Effect::Forbid);
    if !forbids.is_empty() {
        return verdict(false, forbids);
    }
    if kept.iter().all(|policy| policy.effect == Effect::Forbid) {
        return verdict(false, Vec::new());
    }
    let permits = named(Effect::Permit);
    (permits.len() == kept.len())
        .then_some(())
        .and_then(|()| verdict(true, permits))
}
