//! Roles given to people: asked for by one administrator, given by another, for good or for a time; taken away at once.
//!
//! Nobody gives more than is held: only administrators everywhere give roles, and none beyond the end of their own. A
//! role may be given for one department: it counts about customers who belong there. Nobody is part of a decision
//! about oneself. Whatever is taken away, somebody who administrates for good stays.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    department::Department,
    id::{ApprovalId, GrantId, UserId},
    principal::Role,
    time::Timestamp,
};
pub use strongroom_store::identity::GrantRow;
use strongroom_store::{Revoked, Scope, WriteTx, identity::UserState};

use crate::{
    audit::record::Entry,
    authority::{
        authorize::{Resource, authorize, is_allowed},
        policy::{Facts, Kind as PrincipalKind},
    },
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{operators::NEW_CHECKER_SECS, step_up::require_recent_login},
    security::catalogue::SecurityEventKind,
};

/// A role that somebody is to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GiveRole {
    /// To whom.
    pub user: UserId,
    /// Which.
    pub role: Role,
    /// The end; `None` for good.
    pub expires_at: Option<Timestamp>,
    /// The only department that it is to count in; `None` for everywhere.
    pub department: Option<Department>,
}

/// Whether a role can be given for one department: what it does is about customers.
const fn may_be_bound(role: Role) -> bool {
    matches!(role, Role::Support | Role::Teller)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct GrantRequest {
    user: String,
    role: String,
    expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    department: Option<String>,
}

/// The roles in force at a moment.
pub(crate) fn roles_at(grants: &[GrantRow], now: Timestamp) -> Vec<Role> {
    grants
        .iter()
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .map(|grant| grant.role)
        .collect()
}

/// Those of the roles in force at a moment that count in one department only.
pub(crate) fn bound_at(grants: &[GrantRow], now: Timestamp) -> Vec<(Role, Department)> {
    grants
        .iter()
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .filter_map(|grant| Some((grant.role, grant.department?)))
        .collect()
}

/// The roles that count at a moment about what belongs to a department, or to none.
pub(crate) fn roles_about(grants: &[GrantRow], now: Timestamp, here: Option<Department>) -> Vec<Role> {
    let bound = bound_at(grants, now);
    let counts = |role: &Role| {
        let found = bound.iter().find(|(of, _)| of == role);
        found.is_none_or(|(_, department)| Some(*department) == here)
    };
    roles_at(grants, now).into_iter().filter(counts).collect()
}

/// When the first role in force ends.
pub(crate) fn next_end(grants: &[GrantRow], now: Timestamp) -> Option<Timestamp> {
    grants
        .iter()
        .filter_map(|grant| grant.expires_at)
        .filter(|end| now < *end)
        .min()
}

fn last_administrator() -> Error {
    Error::new(
        Kind::Conflict,
        "last_administrator",
        "Nobody else administrates for good.",
    )
}

/// Refuses what would leave nobody who administrates for good. The caller has revoked in this transaction before, and
/// so is alone.
pub(crate) async fn keep_an_administrator(tx: &WriteTx, leaving: UserId) -> Result<(), Error> {
    let for_good = |grant: &GrantRow| {
        grant.role == Role::Admin && grant.expires_at.is_none() && grant.department.is_none()
    };
    let is_one = tx.grants(leaving).await?.iter().any(for_good);
    if is_one && tx.administrators_besides(leaving).await? == 0 {
        return Err(last_administrator());
    }
    Ok(())
}

/// Refuses to give beyond the end of what the giver holds.
fn check_end(giver: &[GrantRow], now: Timestamp, wanted: Option<Timestamp>) -> Result<(), Error> {
    let holds = giver
        .iter()
        .filter(|grant| grant.role == Role::Admin && grant.department.is_none())
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .any(|grant| match (grant.expires_at, wanted) {
            (None, _) => true,
            (Some(own), Some(wanted)) => wanted <= own,
            (Some(_), None) => false,
        });
    if holds { Ok(()) } else { Err(Error::forbidden()) }
}

impl Bank {
    /// The roles of a person, with their ends.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub async fn grants(&self, cx: &Cx, user: UserId) -> Result<Vec<GrantRow>, Error> {
        authorize(cx, Action::GrantRead, Resource::Bank)?;
        self.store.user(user).await?.ok_or_else(Error::not_found)?;
        Ok(self.store.grants(user).await?)
    }

    /// The roles, each with what the policies in force permit it: with two factors and for a reason, about what is
    /// somebody else's or the bank's; for customers, about what is one's own.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn roles_in_force(&self, cx: &Cx) -> Result<Vec<(Role, Vec<Action>)>, Error> {
        authorize(cx, Action::GrantRead, Resource::Bank)?;
        let in_force = self.policies.current();
        let may = |role: Role, action: Action| {
            let own = !role.is_operator();
            let held = [role];
            [false, true].into_iter().any(|is_somebodys| {
                let facts = Facts {
                    is_somebodys: is_somebodys || own,
                    own,
                    assurance: 2,
                    reason: true,
                    zone: Some(&self.zone),
                    ..Facts::new(PrincipalKind::User, &held, action, cx.now())
                };
                is_allowed(&in_force.policies, &facts)
            })
        };
        Ok(Role::ALL
            .into_iter()
            .map(|role| {
                let actions = Action::ALL.iter().copied();
                (role, actions.filter(|action| may(role, *action)).collect())
            })
            .collect())
    }

    /// Asks for a role to be given to an operator. Another administrator decides.
    ///
    /// # Errors
    /// `forbidden` for oneself and beyond the end of one's own role; `not_found`; `not_an_operator`;
    /// `validation_failed` for an end that is over and for a department where the role is about the bank;
    /// `step_up_required` without a fresh login.
    pub async fn ask_for_grant(self: &Arc<Self>, cx: &Cx, wanted: GiveRole) -> Result<ApprovalId, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            authorize(&cx, Action::GrantCreate, Resource::Bank)?;
            require_recent_login(&cx)?;
            if wanted.expires_at.is_some_and(|end| end <= cx.now()) {
                return Err(Error::field(
                    "/expires_at",
                    "out_of_range",
                    "must lie in the future",
                ));
            }
            if wanted.department.is_some() && !may_be_bound(wanted.role) {
                return Err(Error::field(
                    "/department",
                    "invalid_value",
                    "only support and tellers work for one department",
                ));
            }
            let tx = bank.store.write(Scope::Operator).await?;
            bank.check_grant(&tx, &cx, &wanted).await?;
            drop(tx);
            let request = GrantRequest {
                user: wanted.user.to_string(),
                role: wanted.role.name().to_owned(),
                expires_at: wanted.expires_at.map(|end| end.to_string()),
                department: wanted.department.map(|department| department.to_string()),
            };
            let text = serde_json::to_vec(&request).map_err(Error::internal)?;
            let details = Details::json(&format!(
                r#"{{"role":"{}","user":"{}"}}"#,
                wanted.role.name(),
                wanted.user
            ));
            bank.request_approval(&cx, Action::GrantCreate, &text, details)
                .await
        })
        .await
    }

    async fn check_grant(&self, tx: &WriteTx, cx: &Cx, wanted: &GiveRole) -> Result<(), Error> {
        // Nobody is part of a decision about oneself.
        if cx.caller.principal.owner() == Some(wanted.user) {
            return Err(Error::forbidden());
        }
        let user = tx.lock_user(wanted.user).await?.ok_or_else(Error::not_found)?;
        let held = roles_at(&tx.grants(wanted.user).await?, cx.now());
        if !held.iter().any(|role| role.is_operator()) || user.state != UserState::Active {
            return Err(Error::new(
                Kind::Conflict,
                "not_an_operator",
                "Roles of the bank are given to its operators.",
            ));
        }
        if let Some(me) = cx.caller.principal.owner() {
            check_end(&tx.grants(me).await?, cx.now(), wanted.expires_at)?;
        }
        Ok(())
    }

    /// What an approved request for a role says.
    pub(crate) fn requested_grant(text: &[u8]) -> Result<GiveRole, Error> {
        let request: GrantRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let end = request.expires_at.map(|end| Timestamp::parse(&end)).transpose();
        let department = request
            .department
            .map(|name| Department::parse(&name).ok_or_else(|| Error::broken("a request for no department")));
        Ok(GiveRole {
            user: UserId::parse(&request.user).map_err(Error::internal)?,
            role: Role::parse(&request.role).ok_or_else(|| Error::broken("a request for no role"))?,
            expires_at: end.map_err(Error::internal)?,
            department: department.transpose()?,
        })
    }

    /// Gives the role inside the transaction that approves the request. It counts from the next request on.
    pub(crate) async fn give_requested(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        wanted: &GiveRole,
        maker: Option<UserId>,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::GrantCreate, Resource::Bank)?;
        self.check_grant(tx, cx, wanted).await?;
        tx.revoke(Revoked::User(wanted.user)).await?;
        if let Some(maker) = maker {
            check_end(&tx.grants(maker).await?, cx.now(), wanted.expires_at)?;
        }
        // Not more than what may be asked for, whoever filed the request.
        if wanted.department.is_some() && !may_be_bound(wanted.role) {
            return Err(Error::broken("a role of the bank for one department"));
        }
        if wanted.expires_at.is_some() && wanted.role == Role::Admin {
            keep_an_administrator(tx, wanted.user).await?;
        }
        let grant = GrantRow {
            id: cx.new_id(),
            role: wanted.role,
            granted_at: cx.now(),
            expires_at: wanted.expires_at,
            department: wanted.department,
            granted_by: maker,
        };
        tx.put_grant(wanted.user, &grant).await?;
        if wanted.role == Role::Admin && !self.identity.settings.approvals_bootstrap {
            tx.set_approves_from(wanted.user, cx.now().plus_seconds(NEW_CHECKER_SECS))
                .await?;
        }
        let entry = Entry {
            object: Object::User(wanted.user),
            outcome: "ok",
            details: Details::json(&format!(
                r#"{{"approval":"{approval}",{}"expires_at":{},"grant":"{}","role":"{}"}}"#,
                wanted
                    .department
                    .map(|department| format!(r#""department":"{department}","#))
                    .unwrap_or_default(),
                // In microseconds since 1970, and said where there is none too: verification compares the row with it.
                wanted
                    .expires_at
                    .map_or_else(|| "null".to_owned(), |end| end.micros().to_string()),
                grant.id,
                wanted.role.name()
            )),
        };
        self.recorder.append(tx, cx, &permit, entry).await
    }

    /// Takes a role away. It counts from the next request on, on every node.
    ///
    /// # Errors
    /// `forbidden` for oneself; `not_found`; `last_administrator`; `step_up_required` without a fresh login.
    pub async fn take_grant(self: &Arc<Self>, cx: &Cx, user: UserId, grant: GrantId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::GrantRevoke, Resource::Bank)?;
            require_recent_login(&cx)?;
            if cx.caller.principal.owner() == Some(user) {
                return Err(Error::forbidden());
            }
            let mut tx = bank.store.write(Scope::Operator).await?;
            tx.lock_user(user).await?.ok_or_else(Error::not_found)?;
            // First: whoever revokes is alone, so that who administrates is counted as it is until the commit.
            tx.revoke(Revoked::User(user)).await?;
            let grants = tx.grants(user).await?;
            let taken = grants.iter().find(|held| held.id == grant);
            let role = taken.ok_or_else(Error::not_found)?.role;
            if role == Role::Admin {
                keep_an_administrator(&tx, user).await?;
            }
            tx.delete_grant(user, grant).await?;
            let entry = Entry {
                object: Object::User(user),
                outcome: "ok",
                details: Details::json(&format!(
                    r#"{{"grant":"{grant}","role":"{}","taken":true}}"#,
                    role.name()
                )),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            let object = (user.to_string(), *user.as_bytes());
            bank.note(&cx, SecurityEventKind::RoleTaken, Some(object));
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role, expires_at: Option<i64>) -> GrantRow {
        GrantRow {
            id: GrantId::from_bytes([1; 16]),
            role,
            granted_at: Timestamp::from_micros(0),
            expires_at: expires_at.map(Timestamp::from_micros),
            department: None,
            granted_by: None,
        }
    }

    #[test]
    fn a_role_counts_until_its_end_and_not_at_it() {
        let grants = [grant(Role::Teller, Some(100)), grant(Role::Support, None)];
        let at = |micros| roles_at(&grants, Timestamp::from_micros(micros));
        assert_eq!(at(99), [Role::Teller, Role::Support]);
        assert_eq!(at(100), [Role::Support]);
        assert_eq!(
            next_end(&grants, Timestamp::from_micros(99)),
            Some(Timestamp::from_micros(100))
        );
        assert_eq!(next_end(&grants, Timestamp::from_micros(100)), None);
    }

    #[test]
    fn a_role_for_one_department_counts_there_and_nowhere_else() {
        let north = Department::parse("north");
        let bound = GrantRow {
            department: north,
            ..grant(Role::Teller, Some(100))
        };
        let grants = [bound, grant(Role::Support, None)];
        let about = |here, micros| roles_about(&grants, Timestamp::from_micros(micros), here);
        assert_eq!(about(north, 99), [Role::Teller, Role::Support]);
        for elsewhere in [None, Department::parse("south"), Department::parse("north-2")] {
            assert_eq!(about(elsewhere, 99), [Role::Support]);
        }
        assert_eq!(about(north, 100), [Role::Support]);
    }

    #[test]
    fn nobody_gives_everywhere_what_is_held_in_one_department() {
        let admin = GrantRow {
            department: Department::parse("north"),
            ..grant(Role::Admin, None)
        };
        assert!(
            check_end(
                &[admin],
                Timestamp::from_micros(10),
                Some(Timestamp::from_micros(20))
            )
            .is_err()
        );
    }

    #[test]
    fn nobody_gives_longer_than_is_held() {
        let may = |own: &[GrantRow], wanted: Option<i64>| {
            check_end(
                own,
                Timestamp::from_micros(10),
                wanted.map(Timestamp::from_micros),
            )
            .is_ok()
        };
        let (lasting, ending) = ([grant(Role::Admin, None)], [grant(Role::Admin, Some(100))]);
        assert!(may(&lasting, None) && may(&lasting, Some(1_000)));
        assert!(may(&ending, Some(100)) && !may(&ending, Some(101)) && !may(&ending, None));
        assert!(
            !may(&[grant(Role::Admin, Some(10))], Some(5)) && !may(&[grant(Role::Teller, None)], Some(5))
        );
    }
}
