//! A request that nobody makes: what a simulation and a stored test case ask.

use std::net::IpAddr;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strongroom_domain::{action::Action, principal::Role, time::Timestamp};

use super::{Facts, Kind};
use crate::error::Error;

/// Who would ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// `user`, `api_key`, `job` or `cli`.
    pub kind: String,
    /// Names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// What it would be about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    /// `own`, `anothers`, or `bank` for what is nobody's.
    pub owner: String,
}

/// Under which circumstances. What is absent is absent from the decision, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Circumstances {
    /// Factors proved: 0, 1 or 2.
    pub assurance: i64,
    /// Whether it was said why this has to be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reason: bool,
    /// `api`, `web`, `cli` or `job`; `api` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// When, RFC 3339; now when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Where the operator works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Which department the thing belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_department: Option<String>,
    /// Where the request would come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How much would move, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Of which currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The state of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_state: Option<String>,
}

/// A request that nobody makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who would ask.
    pub principal: Asker,
    /// The name of the action.
    pub action: String,
    /// What it would be about.
    pub resource: Thing,
    /// Under which circumstances.
    #[serde(default)]
    pub context: Circumstances,
}

/// A question with the answer that it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// What is asked.
    pub question: Question,
    /// Whether it must be allowed.
    pub allowed: bool,
}

/// A question whose words are known.
#[derive(Debug, Clone)]
pub(crate) struct Known<'a> {
    kind: Kind,
    roles: Vec<Role>,
    action: Action,
    at: Timestamp,
    address: Option<IpAddr>,
    question: &'a Question,
}

const ORIGINS: [&str; 4] = ["api", "web", "cli", "job"];
const OWNERS: [&str; 3] = ["own", "anothers", "bank"];

impl Question {
    /// Reads the words.
    ///
    /// # Errors
    /// `validation_failed` with a pointer below `place` for a word that is not known.
    pub(crate) fn read(&self, place: &str, now: Timestamp) -> Result<Known<'_>, Error> {
        let unknown = |pointer: &str| {
            Error::field(
                &format!("{place}{pointer}"),
                "invalid_value",
                "is not a value that there is",
            )
        };
        let context = &self.context;
        let kind = Kind::parse(&self.principal.kind).ok_or_else(|| unknown("/principal/kind"))?;
        let roles = self.principal.roles.iter().map(|name| Role::parse(name));
        let roles: Option<Vec<Role>> = roles.collect();
        let action = Action::ALL.iter().find(|action| action.name() == self.action);
        if !OWNERS.contains(&self.resource.owner.as_str()) {
            return Err(unknown("/resource/owner"));
        }
        let origin = context.origin.as_deref();
        if !origin.is_none_or(|origin| ORIGINS.contains(&origin)) {
            return Err(unknown("/context/origin"));
        }
        if !(0..=2).contains(&context.assurance) {
            return Err(unknown("/context/assurance"));
        }
        let at = context.at.as_deref().map_or(Ok(now), |text| {
            Timestamp::parse(text).map_err(|_| unknown("/context/at"))
        });
        let address = context.address.as_deref().map(str::parse).transpose();
        Ok(Known {
            kind,
            roles: roles.ok_or_else(|| unknown("/principal/roles"))?,
            action: *action.ok_or_else(|| unknown("/action"))?,
            at: at?,
            address: address.map_err(|_| unknown("/context/address"))?,
            question: self,
        })
    }
}

impl Known<'_> {
    /// The facts of a decision about it.
    pub(crate) fn facts<'a>(&'a self, zone: &'a TimeZone) -> Facts<'a> {
        let context = &self.question.context;
        Facts {
            is_somebodys: self.question.resource.owner != "bank",
            own: self.question.resource.owner == "own",
            assurance: context.assurance,
            reason: context.reason,
            origin: context.origin.as_deref().unwrap_or("api"),
            zone: Some(zone),
            scopes: self.question.principal.scopes.as_deref(),
            department: context.department.as_deref(),
            resource_department: context.resource_department.as_deref(),
            address: self.address,
            amount: context.amount,
            currency: context.currency.as_deref(),
            account_state: context.account_state.as_deref(),
            ..Facts::new(self.kind, &self.roles, self.action, self.at)
        }
    }
}
