//! What a caller shows, and how it came.

use std::net::IpAddr;

use strongroom_domain::{id::RequestId, principal::Origin};

use crate::{api_keys::signatures::RequestParts, identity::possession::ProofParts};

/// What a caller shows.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// An access token.
    Bearer(&'a str),
    /// An access token that is bound to a key, with a proof of the key.
    Bound(&'a str, ProofParts<'a>),
    /// The key of an integration.
    ApiKey(&'a str),
    /// The cookie of a session that lives in a browser.
    Browser(&'a str),
    /// A request that names the key of an integration and is signed with its secret.
    Signed(RequestParts<'a>),
}

/// In which request, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The request.
    pub request: RequestId,
    /// How it came in.
    pub origin: Origin,
    /// The network address that it came from; a key that is bound to networks is refused without one.
    pub address: Option<IpAddr>,
    /// The thumbprint of the certificate that the client proved to have in this connection's handshake, where the
    /// listener asks for one ([`crate::certificate_thumbprint`]); a key that is bound to one is refused without it.
    pub certificate: Option<[u8; 32]>,
}
