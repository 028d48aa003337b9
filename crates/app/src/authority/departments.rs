//! Where operators work and customers belong, and how a decision comes to know it.

use std::{borrow::Cow, sync::Arc};

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    department::Department,
    id::UserId,
};
use strongroom_store::{Revoked, Scope};

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{step_up::require_recent_login, users::UserDetails},
};

impl Bank {
    /// The same call, knowing where the person belongs whose thing it is about: what roles that count in one
    /// department, and policies, go by. Only for whoever works for the bank; nobody else is asked.
    pub(crate) async fn beside<'a>(&self, cx: &'a Cx, owner: UserId) -> Result<Cow<'a, Cx>, Error> {
        if cx.reach().is_none() || cx.caller.principal.owner() == Some(owner) {
            return Ok(Cow::Borrowed(cx));
        }
        let department = self.store.department(owner).await?;
        Ok(Cow::Owned(cx.clone().about(owner, department)))
    }

    /// As [`Self::beside`], for whose thing a resource is.
    pub(crate) async fn beside_owner<'a>(
        &self,
        cx: &'a Cx,
        resource: Resource,
    ) -> Result<Cow<'a, Cx>, Error> {
        match resource {
            Resource::OwnedBy(owner) => self.beside(cx, owner).await,
            Resource::Bank => Ok(Cow::Borrowed(cx)),
        }
    }

    /// Says to which department a customer or an operator belongs; to none where it is `None`. It counts from the next
    /// request on, on every node.
    ///
    /// # Errors
    /// `not_found`; `forbidden` for others than administrators and about oneself; `step_up_required` without a fresh
    /// login.
    pub async fn place_user(
        self: &Arc<Self>,
        cx: &Cx,
        user: UserId,
        department: Option<Department>,
    ) -> Result<UserDetails, Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::UserPlace, Resource::Bank)?;
            require_recent_login(&cx)?;
            if cx.caller.principal.owner() == Some(user) {
                return Err(Error::forbidden());
            }
            let mut tx = bank.store.write(Scope::Operator).await?;
            tx.lock_user(user).await?.ok_or_else(Error::not_found)?;
            // Permits that were given before decide nothing any more, about this person and by this person.
            tx.revoke(Revoked::User(user)).await?;
            tx.set_department(user, department).await?;
            let name = department.map_or_else(|| "null".to_owned(), |name| format!(r#""{name}""#));
            let entry = Entry {
                object: Object::User(user),
                outcome: "ok",
                details: Details::json(&format!(r#"{{"department":{name}}}"#)),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            let row = bank.store.user(user).await?.ok_or_else(Error::not_found)?;
            bank.user_details(&row).await
        })
        .await
    }
}
