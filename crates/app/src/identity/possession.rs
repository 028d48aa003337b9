//! Tokens that are bound to a key (DPoP, RFC 9449): whoever asks for them at login shows a proof of a key, and from
//! then on neither the access token nor the refresh token is worth anything without one.
//!
//! The session keeps the key's thumbprint, so that what is bound stays bound through refresh and step-up. A proof is
//! good once: it is used up like the nonce of a signed request, in the commit of what it came with.

use strongroom_crypto::{
    dpop::{Asked, ProofError},
    nonce_digest,
};
use strongroom_domain::{ledger::Nonce, time::Timestamp};
use strongroom_store::{
    WriteTx,
    identity::{SessionRow, Ticket},
};

use crate::{
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
    identity::personal::Client,
};

/// The kind of numbers of proofs.
const PROOF: &str = "proof";

/// A proof as a request shows it.
#[derive(Clone, Copy)]
pub struct ProofParts<'a> {
    /// The proof.
    pub proof: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// Whether it came in on the operators' own listener.
    pub operators: bool,
}

/// A proof that was verified and is not used up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownProof {
    /// The thumbprint of the key.
    pub(crate) holder: [u8; 32],
    /// What makes it good once.
    pub(crate) nonce: Nonce,
}

/// What shows that whoever has a session's token may use it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Possession {
    /// Nothing: the token itself.
    Bearer,
    /// The key with this thumbprint.
    Key([u8; 32]),
    /// It was shown before, by the same request.
    Established,
}

impl Possession {
    /// Whether that will do for a session that is bound like this.
    pub(crate) fn suffices(self, holder: Option<[u8; 32]>) -> bool {
        match self {
            Self::Bearer => holder.is_none(),
            Self::Key(shown) => holder == Some(shown),
            Self::Established => true,
        }
    }
}

impl Bank {
    /// Verifies a proof: of a request that shows this access token, or of one that is to get a token set.
    ///
    /// # Errors
    /// `invalid_dpop_proof`; `use_dpop_nonce` for one that only lacks a nonce of now.
    pub fn shown_proof(&self, parts: &ProofParts<'_>, token: Option<&str>) -> Result<ShownProof, Error> {
        let authority = match &self.identity.operators_authority {
            Some(authority) if parts.operators => authority,
            _ => &self.identity.authority,
        };
        let asked = Asked {
            method: parts.method,
            authority,
            path: parts.path,
            token,
        };
        let now = self.clock.now().micros().div_euclid(1_000_000);
        let proof = self
            .ring()
            .verify_proof(parts.proof, &asked, now)
            .map_err(|error| match error {
                ProofError::Nonce => nonce_needed(),
                _ => invalid_proof(),
            })?;
        let made_at = Timestamp::from_micros(proof.issued_at.saturating_mul(1_000_000));
        Ok(ShownProof {
            holder: proof.holder,
            nonce: Nonce::new(nonce_digest(PROOF, &proof.holder, &proof.id), made_at),
        })
    }

    /// A nonce for the next proofs of a client.
    pub fn proof_nonce(&self) -> String {
        self.ring()
            .proof_nonce(self.clock.now().micros().div_euclid(1_000_000))
    }
}

/// Uses a proof up with what it came with.
///
/// # Errors
/// `invalid_dpop_proof` when it came before.
pub(crate) async fn use_proof(tx: &WriteTx, cx: &Cx, proof: &ShownProof) -> Result<(), Error> {
    match tx.use_nonce(&proof.nonce, cx.request).await? {
        true => Ok(()),
        false => Err(invalid_proof()),
    }
}

/// Whether the client holds the key that a session is bound to; uses its proof up.
///
/// # Errors
/// `invalid_dpop_proof` without a new proof of that key.
pub(crate) async fn require_holder(
    tx: &WriteTx,
    cx: &Cx,
    client: &Client,
    session: &SessionRow,
) -> Result<(), Error> {
    match (session.holder, &client.proof) {
        (None, _) => Ok(()),
        (Some(holder), Some(proof)) if proof.holder == holder => use_proof(tx, cx, proof).await,
        (Some(_), _) => Err(invalid_proof()),
    }
}

/// Whether the client holds the key that a login began with. Its proof is used up by whatever comes of the step.
///
/// # Errors
/// `invalid_dpop_proof` without a proof of that key.
pub(crate) fn require_beginner(ticket: &Ticket, client: &Client) -> Result<(), Error> {
    match (ticket.holder, &client.proof) {
        (None, _) => Ok(()),
        (Some(holder), Some(proof)) if proof.holder == holder => Ok(()),
        (Some(_), _) => Err(invalid_proof()),
    }
}

pub(crate) fn invalid_proof() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "invalid_dpop_proof",
        "Authentication is required: show a new proof of the key, made for this request.",
    )
}

fn nonce_needed() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "use_dpop_nonce",
        "Authentication is required: make the proof with the nonce of `DPoP-Nonce`.",
    )
}
