//! What a decision is about, and the form in which the evaluator takes it.

use std::net::IpAddr;

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use strongroom_domain::{
    action::Action,
    principal::{Origin, Role},
    time::Timestamp,
};

use super::PolicyError;

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

impl Kind {
    const ALL: [Self; 4] = [Self::User, Self::ApiKey, Self::Job, Self::Cli];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Job => "job",
            Self::Cli => "cli",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
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
    /// Whether it was said why this has to be.
    pub reason: bool,
    /// `api`, `web`, `cli` or `job`.
    pub origin: &'a str,
    /// When the request arrived.
    pub now: Timestamp,
    /// Where days begin; UTC when absent.
    pub zone: Option<&'a TimeZone>,
    /// The scopes of a key.
    pub scopes: Option<&'a [String]>,
    /// Where the operator works.
    pub department: Option<&'a str>,
    /// Which department the thing belongs to.
    pub resource_department: Option<&'a str>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
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
            reason: false,
            origin: "api",
            now,
            zone: None,
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

/// The ways by which callers come in, as facts name them.
const ORIGINS: [Origin; 4] = [Origin::Api, Origin::Web, Origin::Cli, Origin::Job];
/// Levels of assurance: none, one factor, two.
const ASSURANCES: usize = 3;
/// How many numbers [`Facts::number`] gives.
pub(super) const NUMBERS: usize = 4 * ASSURANCES * ORIGINS.len();
/// The attributes that a number tells. Whether the thing is somebody's is in it too: conditions see it as the
/// resource's type.
pub(super) const NUMBERED: Wanted = Wanted(0)
    .with(Attribute::Own)
    .with(Attribute::Assurance)
    .with(Attribute::Origin);

impl Facts<'_> {
    /// A number for everything that [`NUMBERED`] names, below [`NUMBERS`].
    pub(super) fn number(&self) -> Option<usize> {
        let assurance = usize::try_from(self.assurance)
            .ok()
            .filter(|level| *level < ASSURANCES)?;
        let origin = ORIGINS.iter().position(|origin| origin.name() == self.origin)?;
        let whose = usize::from(self.own) + 2 * usize::from(self.is_somebodys);
        Some((whose * ASSURANCES + assurance) * ORIGINS.len() + origin)
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
    Reason = "reason",
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

    /// Whether there is nothing that the other has not.
    pub(super) const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
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

/// Day of the week (1 is Monday) and minute of the day, where the bank is.
fn local(facts: &Facts<'_>) -> Option<(i64, i64)> {
    let at = jiff::Timestamp::from_microsecond(facts.now.micros()).ok()?;
    let zoned = at.to_zoned(facts.zone.cloned().unwrap_or(TimeZone::UTC));
    let minute = i64::from(zoned.hour()) * 60 + i64::from(zoned.minute());
    Some((i64::from(zoned.weekday().to_monday_one_offset()), minute))
}

/// Addresses that mean the same are the same: IPv4 in IPv6 is IPv4.
fn address(facts: &Facts<'_>) -> Option<String> {
    Some(facts.address?.to_canonical().to_string())
}

fn value(facts: &Facts<'_>, attribute: Attribute) -> Option<RestrictedExpression> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    Some(match attribute {
        Attribute::Own => RestrictedExpression::new_bool(facts.own),
        Attribute::Assurance => RestrictedExpression::new_long(facts.assurance),
        Attribute::Reason => RestrictedExpression::new_bool(facts.reason),
        Attribute::Origin => text(facts.origin),
        Attribute::Now => RestrictedExpression::new_long(facts.now.seconds()),
        Attribute::Weekday => RestrictedExpression::new_long(local(facts)?.0),
        Attribute::Minute => RestrictedExpression::new_long(local(facts)?.1),
        Attribute::Scopes => RestrictedExpression::new_set(facts.scopes?.iter().map(|scope| text(scope))),
        Attribute::Department => text(facts.department?),
        Attribute::ResourceDepartment => text(facts.resource_department?),
        Attribute::Address => RestrictedExpression::new_ip(address(facts)?),
        Attribute::Amount => RestrictedExpression::new_long(facts.amount?),
        Attribute::Currency => text(facts.currency?),
        Attribute::AccountState => text(facts.account_state?),
    })
}

/// The facts that somebody wants, as people read them; those that are absent are not there.
pub(super) fn told(facts: &Facts<'_>, wanted: Wanted) -> serde_json::Map<String, Value> {
    let one = |attribute: Attribute| -> Option<Value> {
        Some(match attribute {
            Attribute::Own => json!(facts.own),
            Attribute::Assurance => json!(facts.assurance),
            Attribute::Reason => json!(facts.reason),
            Attribute::Origin => json!(facts.origin),
            Attribute::Now => json!(facts.now.seconds()),
            Attribute::Weekday => json!(local(facts)?.0),
            Attribute::Minute => json!(local(facts)?.1),
            Attribute::Scopes => json!(facts.scopes?),
            Attribute::Department => json!(facts.department?),
            Attribute::ResourceDepartment => json!(facts.resource_department?),
            Attribute::Address => json!(address(facts)?),
            Attribute::Amount => json!(facts.amount?),
            Attribute::Currency => json!(facts.currency?),
            Attribute::AccountState => json!(facts.account_state?),
        })
    };
    Attribute::ALL
        .iter()
        .filter(|attribute| wanted.has(**attribute))
        .filter_map(|attribute| Some((attribute.name().to_owned(), one(*attribute)?)))
        .collect()
}
