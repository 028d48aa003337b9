//! Sessions: seen by their owner, ended one by one or all at once. What ends counts from the answer on, everywhere.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, RefreshToken, SecretString};
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{DeviceId, SessionId, UserId},
    principal::Assurance,
    time::Timestamp,
};
use strongroom_store::{Revoked, Scope, WriteTx};

use crate::{
    audit::record::Entry,
    authority::authorize::{Permit, Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{agent::readable, personal::Client, possession::require_holder},
};

/// A session as its owner sees it, and an administrator.
#[derive(Debug, Clone)]
pub struct SessionDetails {
    /// The id.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// How sure we are.
    pub assurance: Assurance,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub last_seen_at: Timestamp,
    /// The latest end.
    pub expires_at: Timestamp,
    /// From where it was begun.
    pub client: Client,
    /// What its device is called.
    pub device_name: String,
    /// The device, where the person is known by it.
    pub device: Option<DeviceId>,
}

impl Bank {
    /// The caller's living sessions, newest first.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden` for integrations.
    pub async fn own_sessions(
        &self,
        cx: &Cx,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionDetails>, Error> {
        let me = cx.person()?;
        authorize(cx, Action::SessionRead, Resource::OwnedBy(me))?;
        self.living_sessions(cx, me, before, limit).await
    }

    /// A person's living sessions, newest first, for whoever may read them.
    pub(crate) async fn living_sessions(
        &self,
        cx: &Cx,
        person: UserId,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionDetails>, Error> {
        // Without its key there is nothing left to read: the person was erased.
        let Some(key) = self.people.key(person).await? else {
            return Ok(Vec::new());
        };
        let views = self.store.sessions(person, before, cx.now(), limit).await?;
        let devices = self.device_names(&key, person).await?;
        views
            .into_iter()
            .map(|view| {
                let seen = self.identity.state.seen(view.id);
                let client = Client::open(&key, &view.id, &view.sealed_client)?;
                let device = view.device_hash.and_then(|hash| devices.get(&hash));
                Ok(SessionDetails {
                    id: view.id,
                    current: cx.caller.session == Some(view.id),
                    assurance: view.assurance,
                    created_at: view.created_at,
                    last_seen_at: seen.unwrap_or_default().max(view.last_seen_at),
                    expires_at: view.expires_at,
                    device_name: device
                        .filter(|device| device.named)
                        .map_or_else(|| readable(&client.user_agent), |device| device.name.clone()),
                    device: device.map(|device| device.id),
                    client,
                })
            })
            .collect()
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// `not_found` when there is none, or it is somebody else's.
    pub async fn end_own_session(self: &Arc<Self>, cx: &Cx, session: SessionId) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::SessionEnd, Resource::OwnedBy(me))?;
            let tx = bank.store.write(Scope::Person(me)).await?;
            let owned = tx
                .lock_session(session)
                .await?
                .is_some_and(|row| row.person == me && !row.ended);
            if !owned {
                return Err(Error::not_found());
            }
            bank.end_locked(tx, &cx, &permit, session, "ended_by_owner").await
        })
        .await
    }

    /// Ends all of the caller's sessions, this one included.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden` for integrations.
    pub async fn end_own_sessions(self: &Arc<Self>, cx: &Cx) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let me = cx.person()?;
            let permit = authorize(&cx, Action::SessionEnd, Resource::OwnedBy(me))?;
            let mut tx = bank.store.write(Scope::Person(me)).await?;
            tx.lock_user(me).await?;
            let ended = tx.end_sessions(me, None, cx.now(), "ended_by_owner").await?;
            let entry = Entry {
                object: Object::User(me),
                outcome: "ok",
                details: Details::json(&format!(r#"{{"sessions":{ended}}}"#)),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.revoke(Revoked::User(me)).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Logs out: ends the session that a refresh token belongs to, and says whether there was one. A token that belongs
    /// to none is no error, so that nothing can be learned from the answer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn logout(
        self: &Arc<Self>,
        cx: &Cx,
        client: &Client,
        token: SecretString,
    ) -> Result<bool, Error> {
        let (cx, client) = (cx.clone(), client.clone());
        self.detached(move |bank| async move {
            let Some(token) = RefreshToken::parse(token.expose_secret()) else {
                return Ok(false);
            };
            let tx = bank.store.write(Scope::System).await?;
            let Some(row) = tx.refresh_token(&token.hash()).await? else {
                return Ok(false);
            };
            let Some(session) = tx.lock_session(row.session).await?.filter(|row| !row.ended) else {
                return Ok(false);
            };
            require_holder(&tx, &cx, &client, &session).await?;
            let me = bank.cx_of_session(&cx, &session).await?;
            let permit = authorize(&me, Action::SessionEnd, Resource::OwnedBy(session.person))?;
            bank.end_locked(tx, &me, &permit, session.id, "logout").await?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn end_locked(
        &self,
        mut tx: WriteTx,
        cx: &Cx,
        permit: &Permit,
        session: SessionId,
        reason: &'static str,
    ) -> Result<(), Error> {
        tx.end_session(session, cx.now(), reason).await?;
        let entry = Entry {
            object: Object::Other("session", *session.as_bytes()),
            outcome: "ok",
            details: Details::json(&format!(r#"{{"reason":"{reason}"}}"#)),
        };
        self.recorder.append(&mut tx, cx, permit, entry).await?;
        tx.revoke(Revoked::Session(session)).await?;
        Ok(tx.commit().await?)
    }
}
