//! What a decision is about, and the form in which the evaluator takes it.

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};
use strongroom_domain::{action::Action, principal::Role, time::Timestamp};

use super::PolicyError;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// 1 January 1970 was a Thursday, the fourth day of the week.
const WEEKDAY_OF_EPOCH: i64 = 3;

/// What kind of principal asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person with a login.
    User,
    /// The key of an integration.
    ApiKey,
    /// The server itself.
    Job,
    /// Whoever holds the data directory.
    Cli,
}

/// The facts of one decision. What is absent matches no condition.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What kind of principal asks.
    pub kind: Kind,
    /// The roles in force.
    pub roles: &'a [Role],
    /// What is asked for.
    pub action: Action,
    /// Whether the thing belongs to somebody; else it is the bank's.
    pub is_somebodys: bool,
    /// Whether that somebody is the person who asks, or whom the key acts for.
    pub own: bool,
    /// Factors proved: 0, 1 or 2.
    pub assurance: i64,
    /// `api`, `web`, `cli` or `job`.
    pub origin: &'a str,
    /// When the request arrived.
    pub now: Timestamp,
    /// The scopes of a key.
    pub scopes: Option<&'a [String]>,
    /// Where the operator works.
    pub department: Option<&'a str>,
    /// Which department the thing belongs to.
    pub resource_department: Option<&'a str>,
    /// Where the request came from: an address in text form.
    pub address: Option<&'a str>,
    /// How much would move, in minor units of the currency.
    pub amount: Option<i64>,
    /// Of which currency.
    pub currency: Option<&'a str>,
    /// The state of the account.
    pub account_state: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// The facts that every decision has; the others are absent.
    pub const fn new(kind: Kind, roles: &'a [Role], action: Action, now: Timestamp) -> Self {
        Self {
            kind,
            roles,
            action,
            is_somebodys: false,
            own: false,
            assurance: 0,
            origin: "api",
            now,
            scopes: None,
            department: None,
            resource_department: None,
            address: None,
            amount: None,
            currency: None,
            account_state: None,
        }
    }
}

macro_rules! attributes {
    ($($variant:ident = $name:literal,)*) => {
        /// A fact by its name in policies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Attribute { $($variant,)* }

        impl Attribute {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

attributes! {
    Own = "own",
    Assurance = "assurance",
    Origin = "origin",
    Now = "now",
    Weekday = "weekday",
    Minute = "minute",
    Scopes = "scopes",
    Department = "department",
    ResourceDepartment = "resource_department",
    Address = "address",
    Amount = "amount",
    Currency = "currency",
    AccountState = "account_state",
}

/// A set of attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted(u32);

impl Wanted {
    pub(super) const fn with(self, attribute: Attribute) -> Self {
        Self(self.0 | 1 << attribute as u32)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, attribute: Attribute) -> bool {
        self.0 & (1 << attribute as u32) != 0
    }
}

/// Names of entities, made once.
#[derive(Debug)]
pub(super) struct Names {
    principals: [EntityUid; 4],
    action: EntityUid,
    bank: EntityUid,
    thing: EntityUid,
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, PolicyError> {
    let kind: EntityTypeName = kind
        .parse()
        .map_err(|error: cedar_policy::ParseErrors| PolicyError::Syntax(error.to_string()))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

impl Names {
    pub(super) fn new() -> Result<Self, PolicyError> {
        Ok(Self {
            principals: [
                uid("User", "asking")?,
                uid("ApiKey", "asking")?,
                uid("Job", "asking")?,
                uid("Cli", "asking")?,
            ],
            action: uid("Action", "asked")?,
            bank: uid("Bank", "bank")?,
            thing: uid("Thing", "asked-for")?,
        })
    }

    /// The request with those facts that somebody wants. `None` where a fact has no form, which decides no.
    pub(super) fn request(&self, facts: &Facts<'_>, wanted: Wanted) -> Option<Request> {
        let pairs = Attribute::ALL
            .iter()
            .filter(|attribute| wanted.has(**attribute))
            .filter_map(|attribute| Some((attribute.name().to_owned(), value(facts, *attribute)?)));
        let context = Context::from_pairs(pairs).ok()?;
        let [user, key, job, cli] = &self.principals;
        let principal = match facts.kind {
            Kind::User => user,
            Kind::ApiKey => key,
            Kind::Job => job,
            Kind::Cli => cli,
        };
        let resource = if facts.is_somebodys {
            &self.thing
        } else {
            &self.bank
        };
        Request::new(
            principal.clone(),
            self.action.clone(),
            resource.clone(),
            context,
            None,
        )
        .ok()
    }
}

fn value(facts: &Facts<'_>, attribute: Attribute) -> Option<RestrictedExpression> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let seconds = facts.now.seconds();
    Some(match attribute {
        Attribute::Own => RestrictedExpression::new_bool(facts.own),
        Attribute::Assurance => RestrictedExpression::new_long(facts.assurance),
        Attribute::Origin => text(facts.origin),
        Attribute::Now => RestrictedExpression::new_long(seconds),
        Attribute::Weekday => {
            let days = seconds.div_euclid(SECONDS_PER_DAY);
            RestrictedExpression::new_long(days.saturating_add(WEEKDAY_OF_EPOCH).rem_euclid(7) + 1)
        }
        Attribute::Minute => RestrictedExpression::new_long(seconds.rem_euclid(SECONDS_PER_DAY) / 60),
        Attribute::Scopes => RestrictedExpression::new_set(facts.scopes?.iter().map(|scope| text(scope))),
        Attribute::Department => text(facts.department?),
        Attribute::ResourceDepartment => text(facts.resource_department?),
        Attribute::Address => RestrictedExpression::new_ip(facts.address?),
        Attribute::Amount => RestrictedExpression::new_long(facts.amount?),
        Attribute::Currency => text(facts.currency?),
        Attribute::AccountState => text(facts.account_state?),
    })
}
