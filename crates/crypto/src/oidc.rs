//! OpenID Connect as the relying party (Core 1.0, code flow), on the `openidconnect` crate.
//!
//! Always PKCE (RFC 7636, S256) and a nonce. An ID token counts when its signature is by a published key of the issuer
//! under an algorithm of [`ALGORITHMS`] (never `none`, never a shared secret), and issuer, audience, time and nonce are
//! right. The library's requests are handed to a [`Fetch`]: this crate opens no connection, and whoever opens it bounds
//! time, size and redirects.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AsyncHttpClient, AuthType, AuthenticationFlow,
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, SubjectIdentifier, TokenResponse, UserInfoError,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType,
        CoreIdTokenClaims, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
        CoreTokenResponse, CoreUserInfoClaims,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    random,
    secret::{ExposeSecret, SecretString},
};

/// Signature algorithms of ID tokens.
pub const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];
/// Longest subject, in bytes (Core 1.0, section 2).
pub const SUBJECT_BYTES_MAX: usize = 255;
/// How far an issuer's clock may be ahead, in seconds.
const AHEAD_SECS: i64 = 60;
/// How old an ID token may be that was just asked for, in seconds.
const AGE_SECS_MAX: i64 = 10 * 60;
const MICROS: i64 = 1_000_000;

type Metadata = ProviderMetadata<
    ResponseIssuer,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// RFC 9207, section 3.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct ResponseIssuer {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for ResponseIssuer {}

/// A request that the protocol wants sent. It holds secrets and has no readable `Debug`.
pub struct Outgoing {
    /// `POST`, else `GET`.
    pub post: bool,
    /// Where to.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty for `GET`.
    pub body: Vec<u8>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Outgoing([redacted])")
    }
}

/// What came back.
pub struct Incoming {
    /// The status.
    pub status: u16,
    /// The media type, where there is one.
    pub content_type: Option<String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Incoming")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer: {0}")]
pub struct FetchError(pub String);

type Pending<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
/// An answer on its way.
pub type Fetched<'a> = Pending<'a, Incoming, FetchError>;

/// Sends requests to issuers: bounded in time and size, TLS verified, no redirect followed.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// Sends one.
    fn fetch(&self, request: Outgoing) -> Fetched<'_>;
}

/// Why an issuer's answer does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The issuer does not answer, or not as an issuer does.
    #[error("the issuer is not available: {0}")]
    Unavailable(String),
    /// What it answered does not count.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// Signed with a key that the issuer had not published when it was asked.
    #[error("signed with an unknown key")]
    UnknownKey,
}

/// An issuer as configured.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its identifier, an URL.
    pub issuer: String,
    /// As whom we are known there.
    pub client_id: String,
    /// Proves that it is us; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Where it sends people back to.
    pub redirect_url: String,
}

/// An issuer that was asked what it is: endpoints and keys.
pub struct Issuer {
    client: Client,
    client_id: String,
    issuer: String,
    names_itself: bool,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Issuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Somebody is sent to an issuer.
#[derive(Debug)]
pub struct Departure {
    /// Where to.
    pub url: String,
    /// Comes back with the answer.
    pub state: SecretString,
    /// To be remembered.
    pub kept: Kept,
}

/// What the server remembers meanwhile.
#[derive(Debug)]
pub struct Kept {
    /// Must be in the ID token.
    pub nonce: SecretString,
    /// Proves that who redeems the code asked for it.
    pub verifier: SecretString,
}

/// Whom the issuer says it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The issuer's identifier.
    pub issuer: String,
    /// The person's name at the issuer: with the issuer, the only thing that identifies.
    pub subject: String,
    /// An address.
    pub email: Option<String>,
    /// Whether the issuer says that it is the person's.
    pub email_verified: bool,
    /// What the person is called.
    pub name: Option<String>,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Claimed([redacted])")
    }
}

impl Issuer {
    /// Asks an issuer what it is (Discovery 1.0) and for its keys.
    ///
    /// # Errors
    /// [`OidcError::Unavailable`] where it does not answer, answers for another issuer, or names an endpoint that is
    /// less protected than itself.
    pub fn discover<'a>(
        settings: &'a IssuerSettings,
        fetch: &'a Arc<dyn Fetch>,
    ) -> Pending<'a, Self, OidcError> {
        Box::pin(Self::asked(settings, fetch))
    }

    async fn asked(settings: &IssuerSettings, fetch: &Arc<dyn Fetch>) -> Result<Self, OidcError> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(unavailable)?;
        let send = Sender(fetch.clone());
        let metadata = Metadata::discover_async(issuer, &send)
            .await
            .map_err(|error: DiscoveryError<FetchError>| unavailable(error))?;
        let endpoints = [
            Some(metadata.authorization_endpoint().as_str()),
            metadata.token_endpoint().map(|url| url.as_str()),
            metadata.userinfo_endpoint().map(|url| url.as_str()),
            Some(metadata.jwks_uri().as_str()),
        ];
        let plain = settings.issuer.starts_with("http://");
        if !plain && endpoints.iter().flatten().any(|url| !url.starts_with("https://")) {
            return Err(OidcError::Unavailable("an endpoint without TLS".to_owned()));
        }
        let names_itself = metadata
            .additional_metadata()
            .authorization_response_iss_parameter_supported;
        // A client that only writes its secret into bodies is rare; the other way is the standard's default.
        let by_header = metadata
            .token_endpoint_auth_methods_supported()
            .is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let secret = settings
            .client_secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let redirect = RedirectUrl::new(settings.redirect_url.clone()).map_err(unavailable)?;
        let client =
            CoreClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret)
                .set_redirect_uri(redirect)
                .set_auth_type(if by_header {
                    AuthType::BasicAuth
                } else {
                    AuthType::RequestBody
                });
        Ok(Self {
            client,
            client_id: settings.client_id.clone(),
            issuer: settings.issuer.clone(),
            names_itself,
        })
    }

    /// The address that somebody is sent to.
    pub fn depart(&self) -> Departure {
        let (state, nonce, verifier) = (random::token(), random::token(), random::token());
        let (csrf, nonce_text) = (
            CsrfToken::new(state.expose_secret().to_owned()),
            Nonce::new(nonce.expose_secret().to_owned()),
        );
        let pkce = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
        let (url, _, _) = self
            .client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || csrf,
                move || nonce_text,
            )
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&pkce))
            .url();
        Departure {
            url: url.into(),
            state,
            kept: Kept { nonce, verifier },
        }
    }

    /// Whether an answer may come from this issuer, by the issuer that it names (RFC 9207): it must name this one where
    /// it names any, and must name one where the issuer said that it does.
    pub fn is_named_by(&self, iss: Option<&str>) -> bool {
        iss.map_or(!self.names_itself, |iss| iss == self.issuer)
    }

    /// Redeems the code and looks at what it was redeemed for. `now` in Unix microseconds.
    ///
    /// # Errors
    /// [`OidcError`].
    pub fn redeem<'a>(
        &'a self,
        fetch: &'a Arc<dyn Fetch>,
        code: &'a str,
        kept: &'a Kept,
        now: i64,
    ) -> Pending<'a, Tokens, OidcError> {
        Box::pin(self.redeemed(fetch, code, kept, now))
    }

    async fn redeemed(
        &self,
        fetch: &Arc<dyn Fetch>,
        code: &str,
        kept: &Kept,
        now: i64,
    ) -> Result<Tokens, OidcError> {
        let send = Sender(fetch.clone());
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(unavailable)?
            .set_pkce_verifier(PkceCodeVerifier::new(kept.verifier.expose_secret().to_owned()))
            .request_async(&send)
            .await;
        match answer {
            Ok(answer) => Ok(Tokens {
                answer,
                nonce: Nonce::new(kept.nonce.expose_secret().to_owned()),
                now,
            }),
            Err(RequestTokenError::Request(error)) => Err(unavailable(error)),
            Err(RequestTokenError::ServerResponse(_)) => Err(OidcError::Refused("the code was not redeemed")),
            Err(_) => Err(OidcError::Refused("the code was answered with something else")),
        }
    }

    /// Verifies an ID token.
    ///
    /// # Errors
    /// [`OidcError::UnknownKey`] where the issuer should be asked for its keys again; [`OidcError::Refused`].
    pub fn verify<'a>(
        &'a self,
        fetch: &'a Arc<dyn Fetch>,
        tokens: &'a Tokens,
    ) -> Pending<'a, Claimed, OidcError> {
        Box::pin(self.verified(fetch, tokens))
    }

    async fn verified(&self, fetch: &Arc<dyn Fetch>, tokens: &Tokens) -> Result<Claimed, OidcError> {
        let now = at(tokens.now);
        let verifier = self
            .client
            .id_token_verifier()
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .set_time_fn(move || now)
            .set_issue_time_verifier_fn(move |issued| {
                let age = now.timestamp().saturating_sub(issued.timestamp());
                if (-AHEAD_SECS..=AGE_SECS_MAX).contains(&age) {
                    Ok(())
                } else {
                    Err("of another time".to_owned())
                }
            });
        let token = tokens
            .answer
            .id_token()
            .ok_or(OidcError::Refused("no ID token"))?;
        let claims = token.claims(&verifier, &tokens.nonce).map_err(refused)?;
        if claims
            .authorized_party()
            .is_some_and(|party| party.as_str() != self.client_id)
        {
            return Err(OidcError::Refused("issued to another client"));
        }
        if let Some(expected) = claims.access_token_hash() {
            let key = token.signing_key(&verifier).map_err(|_| OidcError::UnknownKey)?;
            let algorithm = token
                .signing_alg()
                .map_err(|_| OidcError::Refused("no algorithm"))?;
            let hash = AccessTokenHash::from_token(tokens.answer.access_token(), algorithm, key)
                .map_err(|_| OidcError::Refused("no hash of the access token"))?;
            if hash != *expected {
                return Err(OidcError::Refused("beside another access token"));
            }
        }
        let mut claimed = self.claimed(claims)?;
        if claimed.email.is_none() {
            let told: Pending<'_, _, _> =
                Box::pin(self.ask_for_address(fetch, tokens, claims.subject().clone()));
            if let Some(told) = told.await? {
                claimed.email = told.email().map(|email| email.as_str().to_owned());
                claimed.email_verified = told.email_verified().unwrap_or(false);
                let name = told.name().and_then(|name| name.get(None));
                claimed.name = claimed.name.or_else(|| name.map(|name| name.as_str().to_owned()));
            }
        }
        Ok(claimed)
    }

    fn claimed(&self, claims: &CoreIdTokenClaims) -> Result<Claimed, OidcError> {
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return Err(OidcError::Refused("a subject of another length"));
        }
        Ok(Claimed {
            issuer: self.issuer.clone(),
            subject: subject.to_owned(),
            email: claims.email().map(|email| email.as_str().to_owned()),
            email_verified: claims.email_verified().unwrap_or(false),
            name: claims
                .name()
                .and_then(|name| name.get(None))
                .map(|name| name.as_str().to_owned()),
        })
    }

    /// Some issuers say the address only here (Core 1.0, section 5.4). The subject must be that of the ID token.
    async fn ask_for_address(
        &self,
        fetch: &Arc<dyn Fetch>,
        tokens: &Tokens,
        subject: SubjectIdentifier,
    ) -> Result<Option<CoreUserInfoClaims>, OidcError> {
        let access = tokens.answer.access_token().clone();
        let Ok(request) = self.client.user_info(access, Some(subject)) else {
            return Ok(None);
        };
        let send = Sender(fetch.clone());
        let told = request.request_async(&send).await;
        told.map(Some).map_err(|error| match error {
            UserInfoError::Request(error) => unavailable(error),
            _ => OidcError::Refused("what the issuer tells of the person does not count"),
        })
    }
}

/// What a code was redeemed for, before it was looked at.
pub struct Tokens {
    answer: CoreTokenResponse,
    nonce: Nonce,
    now: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tokens([redacted])")
    }
}

/// The library's way to a [`Fetch`].
struct Sender(Arc<dyn Fetch>);

impl<'c> AsyncHttpClient<'c> for Sender {
    type Error = FetchError;
    type Future = Pending<'c, HttpResponse, FetchError>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (parts, body) = request.into_parts();
        let headers = parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let fetched = self.0.fetch(Outgoing {
            post: parts.method.as_str() == "POST",
            url: parts.uri.to_string(),
            headers,
            body,
        });
        Box::pin(async move {
            let incoming = fetched.await?;
            let mut response = openidconnect::http::Response::builder().status(incoming.status);
            if let Some(media) = incoming.content_type {
                response = response.header("content-type", media);
            }
            response
                .body(incoming.body)
                .map_err(|_| FetchError("not an HTTP answer".to_owned()))
        })
    }
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(micros.div_euclid(MICROS), 0).unwrap_or_default()
}

fn unavailable(error: impl fmt::Display) -> OidcError {
    OidcError::Unavailable(error.to_string())
}

/// What is wrong, without anything of the token.
fn refused(error: ClaimsVerificationError) -> OidcError {
    OidcError::Refused(match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            return OidcError::UnknownKey;
        }
        ClaimsVerificationError::SignatureVerification(_) => "its signature",
        ClaimsVerificationError::Expired(_) => "its time",
        ClaimsVerificationError::InvalidAudience(_) => "its audience",
        ClaimsVerificationError::InvalidIssuer(_) => "its issuer",
        ClaimsVerificationError::InvalidNonce(_) => "its nonce",
        _ => "a claim of it",
    })
}
