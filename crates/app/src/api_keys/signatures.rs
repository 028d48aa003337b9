//! Signed requests of integrations: whose key it is, whether it made the signature, and that each counts once.
//!
//! What a signature must cover and how it is read is the crate of secrets' affair. Here the key that the request names
//! is looked up, the algorithm is the key's own, and the nonce is kept: for a movement of money it is used up by the
//! books in the commit of the movement, for everything else before anything is done. Who signed gets a signed answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use strongroom_crypto::{
    http_signature::{Answer, Presented, Request, SignatureError, SignatureScheme, VerifyingKey, read},
    nonce_digest,
};
use strongroom_domain::{
    id::ApiKeyId,
    ledger::Nonce,
    principal::{Origin, Principal},
    time::Timestamp,
};
use strongroom_store::{Scope, identity::KeySigning};

use crate::{
    api_keys::input::Scheme,
    arrival::Arrival,
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::possession::invalid_proof,
    money::accounts::replayed,
};

/// The kind of nonces of signed requests.
const SIGNED: &str = "signed";

/// A request as it arrived, for whoever checks its signature.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: Option<&'a str>,
    /// Names in lower case with their values, in the order of arrival.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body as it was sent.
    pub body: &'a [u8],
}

/// An answer about to be sent.
#[derive(Clone, Copy)]
pub struct AnswerParts<'a> {
    /// The status code.
    pub status: u16,
    /// Names in lower case with their values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body; empty where there is none.
    pub body: &'a [u8],
}

/// The nonce of the request that is being served.
#[derive(Debug)]
pub(crate) struct OpenNonce {
    pub(crate) nonce: Nonce,
    /// Whether the books have it.
    given: AtomicBool,
}

impl OpenNonce {
    pub(crate) const fn new(nonce: Nonce) -> Self {
        Self {
            nonce,
            given: AtomicBool::new(false),
        }
    }

    pub(crate) fn give(&self) {
        self.given.store(true, Ordering::Release);
    }
}

impl Bank {
    fn request<'a>(&'a self, parts: &RequestParts<'a>) -> Request<'a> {
        Request {
            method: parts.method,
            authority: &self.identity.authority,
            path: parts.path,
            query: parts.query,
            headers: parts.headers,
            body: parts.body,
        }
    }

    /// A signed request, taken apart.
    pub(crate) fn presented(&self, parts: &RequestParts<'_>, now: Timestamp) -> Result<Presented, Error> {
        read(&self.request(parts), now.micros().div_euclid(1_000_000))
            .map_err(refused_form)?
            .ok_or_else(missing)
    }

    /// The fields that make an answer to a signed request ours, bound to that request; none where it has a field that
    /// no signature can cover.
    pub fn sign_answer(
        &self,
        parts: &RequestParts<'_>,
        answer: &AnswerParts<'_>,
    ) -> Vec<(&'static str, String)> {
        let answer = Answer {
            request: self.request(parts),
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        };
        let now = self.clock.now().micros().div_euclid(1_000_000);
        self.ring().sign_answer(&answer, now).unwrap_or_default()
    }

    /// Who signed a request.
    pub(crate) async fn enter_signed(
        &self,
        presented: &Presented,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Cx, Error> {
        let id = ApiKeyId::parse(&presented.key).map_err(|_| invalid())?;
        let cx = self.enter_by_signature(id, presented, arrival, now).await?;
        let made_at = Timestamp::from_micros(presented.created.saturating_mul(1_000_000));
        let digest = nonce_digest(SIGNED, id.as_bytes(), &presented.nonce);
        Ok(cx.with_nonce(Arc::new(OpenNonce::new(Nonce::new(digest, made_at)))))
    }

    /// Whether the key's own secret or pair made the signature, by a scheme that the key was made for.
    pub(crate) fn is_signed_by(
        &self,
        id: ApiKeyId,
        signing: &KeySigning,
        presented: &Presented,
    ) -> Result<bool, Error> {
        let scheme = match presented.scheme {
            SignatureScheme::Rfc9421 => Scheme::Rfc9421,
            SignatureScheme::Plain => Scheme::Plain,
        };
        if !Scheme::split(&signing.schemes).contains(&scheme) {
            return Ok(false);
        }
        match (scheme, &signing.public_key, &signing.sealed_secret) {
            (Scheme::Rfc9421, Some(public), _) => Ok(presented.is_by(&VerifyingKey::Ed25519(public))),
            (_, _, Some(sealed)) => {
                let secret = self
                    .ring()
                    .open_signing_secret(id.as_bytes(), sealed)
                    .map_err(Error::internal)?;
                Ok(presented.is_by(&VerifyingKey::Shared(&secret)))
            }
            _ => Ok(false),
        }
    }

    /// Uses the nonce of a signed request up; nothing for a request that was not signed.
    ///
    /// # Errors
    /// `signature_replayed` when another request did before.
    pub async fn use_nonce(&self, cx: &Cx) -> Result<(), Error> {
        let Some(open) = &cx.nonce else {
            return Ok(());
        };
        if open.given.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let tx = self.store.write(Scope::System).await?;
        if !tx.use_nonce(&open.nonce, cx.request).await? {
            return Err(came_before(cx));
        }
        Ok(tx.commit().await?)
    }

    /// The answer to a movement of money. Where it was refused before the books saw it, its nonce is used up here: a
    /// request that came before gets no second answer.
    pub(crate) async fn settled<T>(&self, cx: &Cx, outcome: Result<T, Error>) -> Result<T, Error> {
        self.use_nonce(cx).await?;
        match outcome {
            // The books say the same of either.
            Err(error) if error.code == replayed().code => Err(came_before(cx)),
            outcome => outcome,
        }
    }
}

/// The refusal of a request whose nonce or proof came before.
pub(crate) fn came_before(cx: &Cx) -> Error {
    match cx.is_signed() {
        true => replayed(),
        false => invalid_proof(),
    }
}

/// Money is moved for integrations by signed requests only.
pub(crate) fn require_signature(cx: &Cx) -> Result<(), Error> {
    match cx.caller.principal {
        Principal::ApiKey { .. } if cx.nonce.is_none() && cx.caller.origin == Origin::Api => Err(missing()),
        _ => Ok(()),
    }
}

fn missing() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "signature_required",
        "Authentication is required: sign the request with the key's secret or key pair.",
    )
}

/// The same for a key that is not there, one that ended, and one that did not make the signature.
pub(crate) fn invalid() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "signature_invalid",
        "Authentication is required: the signature is not that of a key that counts here.",
    )
}

fn refused_form(error: SignatureError) -> Error {
    let (code, detail) = match error {
        SignatureError::Expired => (
            "signature_expired",
            "The signature is too old, or made in the future: compare the clock and sign anew.",
        ),
        SignatureError::Malformed => (
            "signature_invalid",
            "The signature is not in the form of its scheme.",
        ),
        SignatureError::NotCovered => (
            "signature_invalid",
            "The signature must cover method, target, body digest and every field that decides what the request does.",
        ),
        SignatureError::Digest => ("signature_invalid", "The digest is not that of the body."),
    };
    Error::new(Kind::Unauthenticated, code, detail)
}
