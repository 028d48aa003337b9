//! Roles, and who was given which.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "teller", "operator": true, "actions": ["account.freeze", "deposit.create"]}))]
pub struct Role {
    /// `customer`, `support`, `teller`, `auditor` or `admin`.
    pub name: String,
    /// Whether it is a role of the bank's.
    pub operator: bool,
    /// What the policies in force permit it, with two factors, about what is somebody else's or the bank's; for
    /// `customer`, about what is one's own.
    pub actions: Vec<String>,
}

/// All roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Roles {
    /// The roles.
    pub data: Vec<Role>,
}

/// A role given to a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "grant_01kaggvh4tfs8rm9wpsh5d0a3e", "role": "teller",
    "granted_at": "2026-11-20T09:15:00Z", "expires_at": null, "department": null, "granted_by": null}))]
pub struct Grant {
    /// The id.
    pub id: String,
    /// Which role.
    pub role: String,
    /// When it was given.
    pub granted_at: String,
    /// The end; `null` for good.
    pub expires_at: Option<String>,
    /// The only department that it counts in; `null`: everywhere.
    pub department: Option<String>,
    /// Who asked for it, where somebody did.
    pub granted_by: Option<String>,
}

/// A user's roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grants {
    /// Those that are over, too.
    pub data: Vec<Grant>,
}

/// Body of `POST /admin/users/{id}/grants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "teller", "expires_at": "2026-12-24T16:00:00Z"}))]
pub struct NewGrant {
    /// `support`, `teller`, `auditor` or `admin`.
    pub role: String,
    /// The end; for good when absent.
    pub expires_at: Option<String>,
    /// The only department that it is to count in, for `support` and `teller`; everywhere when absent.
    pub department: Option<String>,
}
