//! What a client gets for a session: an access token, the next refresh token, perhaps a device mark.

use strongroom_crypto::{NewToken, SecretString, dpop::thumbprint_text, random};
use strongroom_domain::{
    id::{Id, RequestId, SessionId, UserId},
    principal::Assurance,
    time::Timestamp,
};

use crate::{
    bank::Bank,
    identity::{ACCESS_TOKEN_SECS, login::Opening},
    security::catalogue::SecurityEventKind,
};

/// What a complete login gets.
#[derive(Debug)]
pub struct TokenSet {
    /// Opens everything else, for [`TokenSet::expires_in`] seconds.
    pub access_token: SecretString,
    /// Whether it and the refresh token are worth something with a proof of their key only.
    pub bound: bool,
    /// Seconds.
    pub expires_in: u32,
    /// Gets the next token set, once.
    pub refresh_token: SecretString,
    /// The session.
    pub session: SessionId,
    /// A new device mark, where the client showed none of its own.
    pub device: Option<SecretString>,
    /// For the cookie of a session that lives in a browser; whoever gets it gets none of the tokens.
    pub cookie: Option<SecretString>,
}

impl Bank {
    /// What the client gets once the session is written.
    pub(crate) fn token_set(&self, opening: Opening) -> TokenSet {
        let Opening { new, .. } = &opening;
        self.note(&opening.cx, SecurityEventKind::LoginSucceeded, None);
        TokenSet {
            access_token: self.access_token(
                new.person,
                new.id,
                opening.methods,
                new.assurance,
                new.created_at,
                new.expires_at,
                new.holder,
            ),
            bound: new.holder.is_some(),
            expires_in: lifetime(new.created_at, new.expires_at),
            refresh_token: opening.refresh.text(),
            session: new.id,
            device: opening.mark.map(|mark| mark.text()),
            cookie: opening.cookie,
        }
    }

    /// An access token of a session, never longer than the session.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is something else, and the callers have them apart"
    )]
    pub(crate) fn access_token(
        &self,
        person: UserId,
        session: SessionId,
        methods: &[&str],
        assurance: Assurance,
        now: Timestamp,
        session_ends: Timestamp,
        holder: Option<[u8; 32]>,
    ) -> SecretString {
        let holder = holder.as_ref().map(thumbprint_text);
        let token: RequestId = Id::from_bytes(random::uuid_v7(now.micros()));
        let new = NewToken {
            subject: &person.to_string(),
            session: &session.to_string(),
            token_id: &token.to_string(),
            methods,
            assurance: match assurance {
                Assurance::Aal2 => "aal2",
                Assurance::Aal1 | Assurance::None => "aal1",
            },
            bound_to: holder.as_deref(),
            now: now.micros(),
            lifetime_secs: lifetime(now, session_ends),
        };
        self.identity.tokens.issue(&self.ring(), new)
    }

    /// What names a device mark where limits are counted; `None` for a mark that this bank did not issue. It gives
    /// away neither the mark nor what the database keeps of it.
    pub fn device_limit_key(&self, text: &str) -> Option<[u8; 16]> {
        self.ring().read_device_mark(text).map(|mark| mark.limit_key())
    }

    /// The public keys of access tokens (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        strongroom_crypto::token::jwks(&self.ring())
    }
}

/// Seconds that a token of a session is good for.
pub(crate) fn lifetime(now: Timestamp, session_ends: Timestamp) -> u32 {
    u32::try_from(session_ends.seconds_since(now)).map_or(0, |left| left.min(ACCESS_TOKEN_SECS))
}
