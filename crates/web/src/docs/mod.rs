//! `/openapi.json`, and `/docs`: the same document as a page for people.
//!
//! Both are made once, when somebody first asks for them; the page without a script and with one stylesheet, so that
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
pub(crate) fn routes(document: impl Fn() -> OpenApi + Send + Sync + 'static) -> Router {
    let documents = Arc::new(Documents {
        document: Box::new(document),
        json: OnceLock::new(),
        html: OnceLock::new(),
    });
    let page = Arc::clone(&documents);
    Router::new()
        .route(
            "/openapi.json",
            get(move || fixed(documents.json(), "application/json")),
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

/// The documents, which a server that nobody asks for them never makes.
struct Documents {
    document: Box<dyn Fn() -> OpenApi + Send + Sync>,
    json: OnceLock<Bytes>,
    html: OnceLock<Bytes>,
}

impl Documents {
    fn json(&self) -> Bytes {
        let rendered = || Bytes::from(serde_json::to_vec_pretty(&(self.document)()).unwrap_or_default());
        self.json.get_or_init(rendered).clone()
    }

    fn html(&self) -> Bytes {
        let rendered = || {
            let document = serde_json::from_slice(&self.json()).unwrap_or_default();
            Bytes::from(page::render(&document))
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
