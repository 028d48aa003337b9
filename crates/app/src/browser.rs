//! Sessions that live in a browser: the cookie is an opaque name of the session, and none of its tokens leaves the
//! server.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, token::fingerprint};
use strongroom_domain::action::Action;
use strongroom_store::Scope;

use crate::{
    auth_state::{is_live, refused},
    authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::SESSION_IDLE_SECS,
};

/// How long a session goes on, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionClock {
    /// Seconds until it ends where nothing is done.
    pub idle_secs: i64,
    /// Seconds until it ends whatever is done.
    pub left_secs: i64,
}

impl Bank {
    /// How long the session of a cookie goes on. To ask is no use of it.
    ///
    /// # Errors
    /// `token_invalid` for a session that does not count any more.
    pub async fn session_clock(&self, cx: &Cx, cookie: &str) -> Result<SessionClock, Error> {
        let session = self.store.browser_session(&fingerprint(cookie)).await?;
        let session = session.ok_or_else(refused)?;
        let mut row = self.store.session(session).await?.ok_or_else(refused)?;
        // Another process may have seen it later than the table says, this one too.
        let seen = self.identity.state.seen(session).unwrap_or_default();
        row.last_seen_at = row.last_seen_at.max(seen);
        if !is_live(&row, cx.now()) {
            return Err(refused());
        }
        let left_secs = row.expires_at.seconds_since(cx.now());
        let idle_secs = SESSION_IDLE_SECS - cx.now().seconds_since(row.last_seen_at);
        Ok(SessionClock {
            idle_secs: idle_secs.clamp(0, left_secs.max(0)),
            left_secs,
        })
    }

    /// Logs out of the session of a cookie. A cookie that names none is no error.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn logout_browser(self: &Arc<Self>, cx: &Cx, cookie: &SecretString) -> Result<(), Error> {
        let (cx, hash) = (cx.clone(), fingerprint(cookie.expose_secret()));
        self.detached(move |bank| async move {
            let Some(session) = bank.store.browser_session(&hash).await? else {
                return Ok(());
            };
            let tx = bank.store.write(Scope::System).await?;
            let Some(row) = tx.lock_session(session).await?.filter(|row| !row.ended) else {
                return Ok(());
            };
            let me = bank.cx_of_session(&cx, &row).await?;
            let permit = authorize(&me, Action::SessionEnd, Resource::OwnedBy(row.person))?;
            bank.end_locked(tx, &me, &permit, session, "logout").await
        })
        .await
    }
}
