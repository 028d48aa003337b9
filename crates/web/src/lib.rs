//! HTTP: the server loop, the layers in front of every handler, extractors, problem documents, OpenAPI.
//!
//! The way of a request: [`server`] accepts the connection and speaks HTTP/1.1 or HTTP/2 over it;
//! [`layers::Front`] gives it a number, a place, a time limit and the headers of its answer; the router
//! finds the handler; [`extract`] turns bytes into wire types; [`Problem`] is the one way to refuse.
//!
//! [`site`] puts the pieces together from the routes that the caller passes in.

pub mod detection;
pub mod docs;
pub mod extract;
pub mod health;
pub mod layers;
pub mod limits;
pub mod openapi;
pub mod pages;
mod problem;
mod redirect;
mod refusal;
mod security_txt;
pub mod server;
mod site;
pub mod state;
pub mod suspicion;
pub mod v1;
mod views;

pub(crate) use problem::ShownAsPage;
pub use problem::{Problem, RETRY_AFTER_DEFAULT, error_reference, status_of};
pub use redirect::redirect_site;
pub use security_txt::SecurityTxt;
pub use site::{Describe, Routes, SiteSettings, document, metrics_site, site};

/// The largest body of an ordinary route, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest body of a batch route, in bytes; mount with [`layers::body_limit`].
pub const BATCH_BODY_BYTES_MAX: usize = 512 * 1024;
/// Largest body of the routes of policies, in bytes.
pub const POLICY_BODY_BYTES_MAX: usize = 256 * 1024;
