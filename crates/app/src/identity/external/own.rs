//! One's own logins by issuers: added from inside with a fresh factor, seen, taken away.

use std::sync::Arc;

use strongroom_crypto::oidc::Claimed;
use strongroom_domain::{
    id::{ExternalLoginId, SessionId, UserId},
    principal::Principal,
    time::Timestamp,
};
use strongroom_store::{Scope, identity::EXTERNAL_LOGINS_MAX};

use super::{Sent, arrive::taken, login_place};
use crate::{
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::{
        auth_state::{is_live, refused},
        factors::{FactorChange, still_active},
        step_up::require_recent_proof,
    },
};

/// A login by an issuer as its owner sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalLoginDetails {
    /// The id.
    pub id: ExternalLoginId,
    /// The issuer's name in the configuration.
    pub provider: String,
    /// The address that the issuer named when it was added.
    pub email: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

impl std::fmt::Debug for ExternalLoginDetails {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExternalLoginDetails")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Bank {
    /// Sends the caller to an issuer, to make it a way into the caller's login.
    ///
    /// # Errors
    /// `step_up_required`; `not_found` for an issuer that is not configured; `external_logins_full`; `unavailable`;
    /// `forbidden` for integrations.
    pub async fn start_adding_external(self: &Arc<Self>, cx: &Cx, provider: &str) -> Result<Sent, Error> {
        let (cx, provider) = (cx.clone(), provider.to_owned());
        self.detached(move |bank| async move {
            bank.settings_change(&cx)?;
            let (Principal::User(me), Some(session)) = (cx.caller.principal, cx.caller.session) else {
                return Err(Error::forbidden());
            };
            if bank.store.external_logins(me).await?.len() >= EXTERNAL_LOGINS_MAX {
                return Err(full());
            }
            bank.send_away(&cx, &provider, Some((me, session))).await
        })
        .await
    }

    /// Adds the identity that an issuer vouched for, in the session that asked for it. All other sessions end.
    pub(super) async fn add_claimed(
        &self,
        cx: &Cx,
        person: UserId,
        session: SessionId,
        new: Option<(&str, Claimed)>,
    ) -> Result<(), Error> {
        let row = self.store.session(session).await?;
        let row = row
            .filter(|row| row.person == person && is_live(row, cx.now()))
            .ok_or_else(refused)?;
        let me = self
            .cx_of_session(cx, &row)
            .await?
            .with_proofs(crate::cx::Proofs {
                login_at: Some(row.created_at),
                proved_at: row.proved_at,
            });
        // The proof that the start wanted may be a little older by now, but is of this session.
        if row.proved_at.is_none() {
            require_recent_proof(&me)?;
        }
        let binding = self.settings_binding(&me)?;
        let Some((provider, claimed)) = new else {
            return Ok(());
        };
        let key = self.people.key_of(person).await?;
        let login = self.external_row(cx, person, provider, &claimed, |place, text| {
            key.seal(place, text)
        });
        let tx = self.store.write(Scope::System).await?;
        still_active(&tx, person).await?;
        let live = tx.lock_session(session).await?.is_some_and(|row| !row.ended);
        if !live {
            return Err(refused());
        }
        let many = tx.count_external_logins(person).await?;
        if usize::try_from(many).map_or(true, |many| many >= EXTERNAL_LOGINS_MAX) {
            return Err(full());
        }
        if !tx.insert_external_login(&login).await? {
            return Err(taken());
        }
        self.factor_changed(tx, &binding, FactorChange::Bound("external"))
            .await
    }

    /// The caller's logins by issuers, oldest first.
    ///
    /// # Errors
    /// `forbidden` for integrations.
    pub async fn own_external_logins(&self, cx: &Cx) -> Result<Vec<ExternalLoginDetails>, Error> {
        let me = self.settings_binding(cx)?.person;
        let key = self.people.key_of(me).await?;
        let rows = self.store.external_logins(me).await?;
        rows.into_iter()
            .map(|row| {
                let plain = key
                    .open(login_place(&row.id), &row.sealed)
                    .map_err(Error::internal)?;
                let shown: serde_json::Value =
                    serde_json::from_slice(plain.expose()).map_err(Error::internal)?;
                Ok(ExternalLoginDetails {
                    id: row.id,
                    provider: row.provider,
                    email: shown["email"].as_str().map(str::to_owned),
                    created_at: row.created_at,
                    last_used_at: row.last_used_at,
                })
            })
            .collect()
    }

    /// Takes one of the caller's logins by an issuer away. All other sessions end.
    ///
    /// # Errors
    /// `step_up_required`; `not_found` where there is none, or it is somebody else's; `last_credential` where there
    /// would be no way in any more; `forbidden` for integrations.
    pub async fn remove_external_login(
        self: &Arc<Self>,
        cx: &Cx,
        login: ExternalLoginId,
    ) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let binding = bank.settings_change(&cx)?;
            let person = binding.person;
            let has_password = bank.store.password(person).await?.is_some();
            let tx = bank.store.write(Scope::System).await?;
            still_active(&tx, person).await?;
            if !tx.delete_external_login(person, login).await? {
                return Err(Error::not_found());
            }
            let left = tx.count_external_logins(person).await?;
            if !has_password && left == 0 && tx.factor_counts(person).await?.passkeys == 0 {
                return Err(Error::new(
                    Kind::Conflict,
                    "last_credential",
                    "There would be no way in any more: set a password or bind a passkey first.",
                ));
            }
            bank.factor_changed(tx, &binding, FactorChange::Removed("external"))
                .await
        })
        .await
    }
}

fn full() -> Error {
    Error::new(
        Kind::Conflict,
        "external_logins_full",
        "There are as many issuers as one login can have.",
    )
}
