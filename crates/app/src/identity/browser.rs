//! Sessions that live in a browser: the cookie is an opaque name of the session, and none of its tokens leaves the
//! server.

use std::sync::Arc;

use strongroom_crypto::{ExposeSecret, SecretString, random, token::fingerprint};
use strongroom_domain::{action::Action, text::hex};
use strongroom_store::{Scope, identity::TicketKind};

use crate::{
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    identity::{
        SESSION_IDLE_SECS,
        auth_state::{is_live, refused},
    },
};

/// How long a session goes on, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionClock {
    /// Seconds until it ends where nothing is done.
    pub idle_secs: i64,
    /// Seconds until it ends whatever is done.
    pub left_secs: i64,
}

/// Name of the keyed digest that the tokens of forms are.
const FORMS: &str = "pages.forms";

impl Bank {
    /// What clients call this server.
    pub fn public_url(&self) -> &str {
        &self.identity.settings.public_url
    }

    /// A new value for the cookie that the tokens of a browser's forms are made from.
    pub fn new_form_cookie(&self) -> SecretString {
        random::token()
    }

    /// The token of the forms of a browser with this cookie.
    pub fn form_token(&self, cookie: &str) -> String {
        hex(&self.ring().blind_index(FORMS, cookie.as_bytes()))
    }

    /// Whether a form's token belongs to this cookie, also where a key was rotated meanwhile.
    pub fn is_form_token(&self, cookie: &str, token: &str) -> bool {
        // Digests are compared, so that the time says nothing about the token.
        let shown = fingerprint(token);
        let known = self.ring().blind_indexes(FORMS, cookie.as_bytes());
        known.iter().any(|index| fingerprint(&hex(index)) == shown)
    }

    /// What would do as the second half of a login.
    ///
    /// # Errors
    /// `invalid_credentials` for half a login that does not count.
    pub async fn methods_of_login(&self, cx: &Cx, token: &SecretString) -> Result<Vec<&'static str>, Error> {
        let hash = fingerprint(token.expose_secret());
        let ticket = self.usable_ticket(cx, &hash, &[TicketKind::Mfa]).await?;
        self.factor_methods(ticket.person, cx.now()).await
    }

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
