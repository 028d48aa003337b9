//! What stands in front of every handler.
//!
//! Most of it is one service, [`Front`], outside the router: a number for the request, a place under the
//! load limit, the time limit, the net under panics, problem documents, the headers of every answer, the
//! access log. One value and one future instead of a tower of boxed layers: each boxed layer would cost two
//! allocations per request. Only what needs the matched route is a layer: [`RouteLayer`] and [`body_limit`].

mod access_log;
mod cors;
mod front;
mod gate;
mod record;
mod request_id;
mod route;
mod security_headers;
mod signed;

pub use cors::Origins;
pub use front::{Failed, Front, FrontSettings, Scope};
pub use gate::{Hosts, TARGET_BYTES_MAX};
pub use record::{ClientAddress, ClientCertificate, Record};
pub use request_id::{NotARequestId, RequestId};
pub use route::{BodyLimitLayer, BodyLimitService, RouteLayer, RouteService, body_limit};
pub use security_headers::{API_CSP, Hsts};
pub(crate) use signed::{Proved, SIGNED, SentBody, fields, keep_body};
