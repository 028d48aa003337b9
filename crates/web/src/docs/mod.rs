//! `/openapi.json`, and `/docs`: the same document as a page for people.
//!
//! The page is rendered here once, when somebody first asks for it, without a script and with one stylesheet, so that
//! it needs no hole in the content security policy and no foreign assets.

mod page;
mod schema;
mod text;

use std::sync::{Arc, OnceLock};

use axum::{Router, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::openapi::OpenApi;

const STYLE: &str = include_str!("style.css");
/// Only the own stylesheet; everything else stays forbidden.
const PAGE_CSP: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The routes of the documents.
pub(crate) fn routes(document: &OpenApi) -> Router {
    let json = Bytes::from(serde_json::to_vec_pretty(document).unwrap_or_default());
    let page = Arc::new(Page {
        of: json.clone(),
        html: OnceLock::new(),
    });
    Router::new()
        .route(
            "/openapi.json",
            get(move || fixed(json.clone(), "application/json")),
        )
        .route(
            "/docs",
            get(move || fixed(page.html(), "text/html; charset=utf-8")),
        )
        .route(
            "/docs/style.css",
            get(|| fixed(Bytes::from_static(STYLE.as_bytes()), "text/css; charset=utf-8")),
        )
}

/// The page, which a server that nobody asks for it never makes.
struct Page {
    of: Bytes,
    html: OnceLock<Bytes>,
}

impl Page {
    fn html(&self) -> Bytes {
        let rendered = || {
            Bytes::from(page::render(
                &serde_json::from_slice(&self.of).unwrap_or_default(),
            ))
        };
        self.html.get_or_init(rendered).clone()
    }
}

async fn fixed(body: Bytes, media: &'static str) -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(media)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(PAGE_CSP),
            ),
        ],
        body,
    )
}
