//! Who looks at a page.

use axum::extract::{FromRef, FromRequestParts};
use http::{HeaderMap, header, request::Parts};
use strongroom_app::{
    Arrival, Bank, Credential, Cx, Error, ExposeSecret, SecretString,
    identity::personal::Client,
    security::{catalogue::SecurityEventKind, stream::Whence},
};
use strongroom_domain::principal::Origin;

use super::render::Refused;
use crate::{
    extract::{Anonymous, Cookie, Keep, read_cookie},
    layers::{Record, Scope},
    state::AppState,
};

/// A browser that asks, logged in or not.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Nobody yet.
    pub(super) cx: Cx,
    /// From where.
    pub(super) client: Client,
    /// The cookie of a session.
    pub(super) session: Option<SecretString>,
    /// The cookie of half a login.
    pub(super) half: Option<SecretString>,
    /// What the tokens of this browser's forms are made from, and whether it is new.
    pub(super) form: (SecretString, bool),
    /// Which listener it came to.
    scope: Scope,
    /// What is known of the request.
    record: Option<Record>,
    /// Where the request was made, as far as the browser says (Fetch metadata).
    pub(super) from: From,
}

/// Where a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// One of our pages, or the person's own doing.
    Here,
    /// A page of somebody else's.
    Elsewhere,
    /// The browser does not say.
    Unsaid,
}

impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    AppState: FromRef<S>,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Anonymous(mut cx, mut client) = Anonymous::from_request_parts(parts, state)
            .await
            .map_err(|_| Refused::from(Error::not_found()))?;
        cx.caller.origin = Origin::Web;
        client.browser = true;
        let bank = AppState::from_ref(state).bank;
        let read = |cookie| read_cookie(&parts.headers, cookie).map(SecretString::from);
        let form = match read(Cookie::Form) {
            Some(form) => (form, false),
            None => (bank.new_form_cookie(), true),
        };
        Ok(Self {
            cx,
            client,
            session: read(Cookie::Session),
            half: read(Cookie::Login),
            form,
            scope: parts.extensions.get::<Scope>().copied().unwrap_or_default(),
            record: Record::of(&parts.extensions).cloned(),
            from: made_at(&parts.headers, bank.public_url()),
        })
    }
}

/// Where a request was made: the browser says it where it knows Fetch metadata, else by its origin.
fn made_at(headers: &HeaderMap, own: &str) -> From {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some("same-origin" | "none"), _) => From::Here,
        (Some(_), _) => From::Elsewhere,
        // Without a referrer there is no origin either.
        (None, None | Some("null")) => From::Unsaid,
        (None, Some(origin)) if origin == own => From::Here,
        (None, Some(_)) => From::Elsewhere,
    }
}

impl Visitor {
    /// Who it is.
    ///
    /// # Errors
    /// [`Error`] of an unauthenticated call where there is no session, or it ended.
    pub(super) async fn member(&self, bank: &Bank) -> Result<Cx, Error> {
        let cookie = self.session.as_ref().ok_or_else(Error::unauthenticated)?;
        let arrival = Arrival {
            request: self.cx.request,
            origin: Origin::Web,
            address: self.record.as_ref().map(Record::client),
            certificate: None,
        };
        let outcome = bank
            .authenticate(Credential::Browser(cookie.expose_secret()), arrival)
            .await;
        bank.note_failure(
            SecurityEventKind::TokenRefused,
            &Whence::of(&self.cx, &self.client),
            None,
            &outcome,
        );
        let cx = outcome?.by_agent(&self.client.user_agent);
        if let (Some(record), Some(me)) = (&self.record, cx.caller.principal.owner()) {
            record.set_principal(me.to_string());
        }
        let operator = cx.rights.roles.iter().any(|role| role.is_operator());
        if self.scope.lets_in(operator) {
            Ok(cx)
        } else {
            Err(Error::unauthenticated())
        }
    }

    /// The token of this browser's forms.
    pub(super) fn token(&self, bank: &Bank) -> String {
        bank.form_token(self.form.0.expose_secret())
    }

    /// The header that lets the browser keep what its forms' tokens are made from, where it is new.
    pub(super) fn form_cookie(&self) -> Option<http::HeaderValue> {
        let (value, new) = &self.form;
        let header = || Cookie::Form.set(value.expose_secret(), Keep::Window);
        new.then(header).flatten()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_request_is_ours_only_where_the_browser_says_so() {
        let own = "https://bank.example";
        for (pairs, from) in [
            (&[("sec-fetch-site", "same-origin")][..], From::Here),
            (&[("sec-fetch-site", "none")], From::Here),
            (&[("sec-fetch-site", "same-site")], From::Elsewhere),
            (
                &[("sec-fetch-site", "cross-site"), ("origin", own)],
                From::Elsewhere,
            ),
            (&[("sec-fetch-site", "")], From::Elsewhere),
            (&[("origin", own)], From::Here),
            (
                &[("origin", "https://bank.example.evil.example")],
                From::Elsewhere,
            ),
            (&[("origin", "https://other.bank.example")], From::Elsewhere),
            (&[("origin", "http://bank.example")], From::Elsewhere),
            (&[("origin", "null")], From::Unsaid),
            (&[], From::Unsaid),
        ] {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(made_at(&headers, own), from, "{pairs:?}");
        }
    }
}
